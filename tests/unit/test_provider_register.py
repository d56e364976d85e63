"""The sandbox's rules, without its process."""

import datetime as dt
import json

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from tallystick.clock import UTC, FixedClock
from tallystick.payments.providers.protocol import (
    CreateRequest,
    DisputeStatus,
    EventKind,
    PaymentType,
    PayoutLineKind,
    PayoutStatus,
    ProviderTransaction,
    RefundRequest,
    RefundStatus,
    TransactionStatus,
)
from tallystick.payments.providers.sandbox.balance import DISPUTE_FEE, fee_of, total
from tallystick.payments.providers.sandbox.change import Call, CaptureRequest, Change, Event, Fate, Refusal
from tallystick.payments.providers.sandbox.faults import Fault, FaultKind, Faults, Twist, Way
from tallystick.payments.providers.sandbox.payouts import PAGE
from tallystick.payments.providers.sandbox.register import Register
from tallystick.payments.providers.sandbox.spoil import Flaw

NOON = dt.datetime(2026, 11, 22, 12, tzinfo=UTC)


def order(reference: str = "p-1", amount: int = 100, email: str = "ada@example.org") -> CreateRequest:
    """Ask for a payment in euros."""
    return CreateRequest(reference, amount, "EUR", "ada", email, PaymentType.CREDIT)


def pay(
    register: Register, reference: str = "p-1", amount: int = 1000, fate: Fate = Fate.SUCCEED
) -> ProviderTransaction:
    """Open a transaction and ask for its money."""
    opened = register.transactions.create(f"o-{reference}", order(reference, amount))
    return register.transactions.capture(f"c-{reference}", opened.id, CaptureRequest(amount, "EUR"), fate)


def give_back(paid: ProviderTransaction, amount: int, reference: str = "r-1", currency: str = "EUR") -> RefundRequest:
    """Ask for a refund."""
    return RefundRequest(reference, paid.id, amount, currency)


def written(changes: list[Change]) -> list[Change]:
    """Return *changes* as they come back from a file."""
    return [msgspec.json.decode(msgspec.json.encode(change), type=Change) for change in changes]


def test_the_same_key_and_content_get_the_first_answer_even_after_the_capture() -> None:
    """A creation that is repeated late is answered as it was, not as things stand now."""
    changes: list[Change] = []
    register = Register(keep=changes.append)
    first = register.transactions.create("k", order())
    register.transactions.capture("c", first.id, CaptureRequest(100, "EUR"))
    assert register.transactions.create("k", order()) == first
    assert [change.call for change in changes] == [Call.CREATE, Call.CAPTURE]
    assert register.transactions.find(first.id).status is TransactionStatus.CAPTURED


def test_the_same_key_with_other_content_is_refused() -> None:
    """A key stands for one request."""
    register = Register()
    opened = register.transactions.create("k", order())
    with pytest.raises(Refusal, match="key_used_for_other_content"):
        register.transactions.create("k", order(amount=101))
    other = register.transactions.create("k2", order("p-2"))
    register.transactions.capture("c", opened.id, CaptureRequest(100, "EUR"))
    with pytest.raises(Refusal, match="key_used_for_other_content"):
        register.transactions.capture("c", other.id, CaptureRequest(100, "EUR"))
    register.refunds.make("r", give_back(opened, 50))
    with pytest.raises(Refusal, match="key_used_for_other_content"):
        register.refunds.make("r", give_back(opened, 51))


def test_a_key_belongs_to_its_call() -> None:
    """A payment's id may serve as key of its creation, its capture and its refund."""
    register = Register()
    opened = register.transactions.create("k", order())
    captured = register.transactions.capture("k", opened.id, CaptureRequest(100, "EUR"))
    assert captured.status is TransactionStatus.CAPTURED
    assert register.refunds.make("k", give_back(opened, 1)).status is RefundStatus.SUCCEEDED


def test_a_reference_has_one_transaction() -> None:
    """Another key does not open a second transaction for the same payment, nor make a second refund."""
    register = Register()
    register.transactions.create("k", order())
    with pytest.raises(Refusal, match="reference_taken"):
        register.transactions.create("k2", order())
    paid = pay(register, "p-2")
    register.refunds.make("r", give_back(paid, 1))
    with pytest.raises(Refusal, match="reference_taken"):
        register.refunds.make("r2", give_back(paid, 1))


@pytest.mark.parametrize("asked", [CaptureRequest(99, "EUR"), CaptureRequest(101, "EUR"), CaptureRequest(100, "USD")])
def test_a_capture_takes_exactly_what_was_created(asked: CaptureRequest) -> None:
    """Less, more and another currency are refused, and the transaction stays open."""
    register = Register()
    opened = register.transactions.create("k", order())
    with pytest.raises(Refusal, match="amount_differs"):
        register.transactions.capture("c", opened.id, asked)
    assert register.transactions.find(opened.id) == opened


def test_another_key_does_not_capture_again() -> None:
    """A transaction is captured once in all, whatever the keys."""
    register = Register()
    opened = register.transactions.create("k", order())
    register.transactions.capture("c", opened.id, CaptureRequest(100, "EUR"))
    with pytest.raises(Refusal, match="already_captured"):
        register.transactions.capture("c2", opened.id, CaptureRequest(100, "EUR"))
    assert register.transactions.captured() == {"EUR": 100}


@pytest.mark.parametrize("email", ["declined@example.org", "Declined.ada@example.org"])
def test_a_customer_called_declined_is_declined(email: str) -> None:
    """A demo can show a decline without ordering one."""
    register = Register()
    opened = register.transactions.create("k", order(email=email))
    assert (opened.status, opened.decline_code) == (TransactionStatus.DECLINED, "card_declined")
    with pytest.raises(Refusal, match="already_declined"):
        register.transactions.capture("c", opened.id, CaptureRequest(100, "EUR"))


def test_a_change_on_file_holds_neither_user_nor_email() -> None:
    """The state file needs to recognise a request, not the person."""
    changes: list[Change] = []
    Register(keep=changes.append).transactions.create("k", order())
    kept = msgspec.json.encode(changes[0]).decode()
    assert "p-1" in kept
    assert "ada" not in json.dumps(kept)


@pytest.mark.parametrize("email", ["challenged@example.org", "Challenged.ada@example.org"])
def test_a_customer_called_challenged_authenticates_first(email: str) -> None:
    """A demo can show 3-D Secure without ordering it: open only once the customer did their part."""
    register = Register(customer_page="http://127.0.0.1:1/customer/")
    opened = register.transactions.create("k", order(email=email))
    assert opened.status is TransactionStatus.ACTION_REQUIRED
    assert opened.action_url == f"http://127.0.0.1:1/customer/{opened.token}"
    assert register.transactions.find_by_token(opened.token) == opened
    after = register.transactions.authenticate(opened.id, succeeded=True)
    assert (after.status, after.action_url) == (TransactionStatus.CREATED, None)
    assert (
        register.transactions.capture("c", opened.id, CaptureRequest(100, "EUR")).status is TransactionStatus.CAPTURED
    )


@pytest.mark.parametrize("at_capture", [True, False])
@pytest.mark.parametrize("succeeded", [True, False])
def test_a_capture_that_waits_for_its_customer_happens_when_they_come(*, at_capture: bool, succeeded: bool) -> None:
    """Whether the bank asks at the creation or at the capture, the money is asked for once and taken once."""
    register = Register()
    opened = register.transactions.create("k", order(), Fate.SUCCEED if at_capture else Fate.ACT)
    asked = register.transactions.capture(
        "c", opened.id, CaptureRequest(100, "EUR"), Fate.ACT if at_capture else Fate.SUCCEED
    )
    assert asked.status is TransactionStatus.ACTION_REQUIRED
    with pytest.raises(Refusal, match="already_action_required"):
        register.transactions.capture("c2", opened.id, CaptureRequest(100, "EUR"))
    after = register.transactions.authenticate(opened.id, succeeded=succeeded)
    assert register.transactions.capture("c", opened.id, CaptureRequest(100, "EUR")) == asked
    assert after == register.transactions.find(opened.id)
    assert after.status is (TransactionStatus.CAPTURED if succeeded else TransactionStatus.DECLINED)
    assert after.decline_code == (None if succeeded else "authentication_failed")
    with pytest.raises(Refusal, match="already_"):
        register.transactions.authenticate(opened.id, succeeded=True)


@pytest.mark.parametrize(("succeeded", "status"), [(True, "captured"), (False, "declined")])
def test_a_capture_that_is_processing_is_decided_later(*, succeeded: bool, status: str) -> None:
    """A bank debit is known in days: until then no money is counted, and then once."""
    register = Register()
    asked = pay(register, fate=Fate.WAIT)
    assert (asked.status, register.transactions.captured(), register.payouts.balance.owed()) == (
        TransactionStatus.PROCESSING,
        {},
        {},
    )
    assert register.transactions.complete(asked.id, succeeded=succeeded).status.value == status
    assert register.transactions.captured() == ({"EUR": 1000} if succeeded else {})
    with pytest.raises(Refusal, match=f"already_{status}"):
        register.transactions.complete(asked.id, succeeded=True)


@pytest.mark.parametrize("fate", [Fate.SUCCEED, Fate.ACT])
def test_an_open_transaction_can_be_given_up(fate: Fate) -> None:
    """Of a canceled one no money is ever taken; asked again it is what it is."""
    register = Register()
    opened = register.transactions.create("k", order(), fate)
    canceled = register.transactions.cancel(opened.id)
    assert (canceled.status, canceled.action_url) == (TransactionStatus.CANCELED, None)
    assert register.transactions.cancel(opened.id) == canceled
    with pytest.raises(Refusal, match="already_canceled"):
        register.transactions.capture("c", opened.id, CaptureRequest(100, "EUR"))
    with pytest.raises(Refusal, match="transaction_unknown"):
        register.transactions.cancel("none")


@pytest.mark.parametrize("fate", [Fate.SUCCEED, Fate.WAIT, Fate.DECLINE])
def test_too_late_to_give_up(fate: Fate) -> None:
    """What was taken, or may be, is not canceled: the answer tells how it stands."""
    register = Register()
    paid = pay(register, fate=fate)
    assert register.transactions.cancel(paid.id) == paid == register.transactions.find(paid.id)


@pytest.mark.parametrize("amounts", [[1000], [300, 700], [1, 1, 998]])
def test_money_is_given_back_in_parts_and_never_more_than_was_taken(amounts: list[int]) -> None:
    """Refunds add up to the payment at most."""
    register = Register()
    paid = pay(register)
    for number, amount in enumerate(amounts):
        made = register.refunds.make(f"k{number}", give_back(paid, amount, f"r{number}"))
        assert register.refunds.find_by_reference(paid.id, f"r{number}") == made
    assert register.transactions.left(paid.id) == 0
    with pytest.raises(Refusal, match="more_than_is_left"):
        register.refunds.make("k", give_back(paid, 1, "r"))


def test_what_cannot_be_given_back() -> None:
    """Only money that was taken, in its own currency, of a transaction that there is."""
    register = Register()
    opened = register.transactions.create("k", order())
    with pytest.raises(Refusal, match="not_captured"):
        register.refunds.make("r", give_back(opened, 1))
    with pytest.raises(Refusal, match="not_captured"):
        register.disputes.open(opened.id)
    paid = pay(register, "p-2")
    with pytest.raises(Refusal, match="currency_differs"):
        register.refunds.make("r", give_back(paid, 1, currency="USD"))
    with pytest.raises(Refusal, match="more_than_is_left"):
        register.refunds.make("r", give_back(paid, 1001))
    with pytest.raises(Refusal, match="transaction_unknown"):
        register.refunds.make("r", RefundRequest("r", "none", 1, "EUR"))
    assert register.refunds.find_by_reference("none", "r") is None


def test_a_refund_that_fails_later_gives_the_money_back_to_us() -> None:
    """A closed bank account sends the money back: it is in the balance again, and can be refunded again."""
    register = Register()
    paid = pay(register)
    made = register.refunds.make("r", give_back(paid, 1000), Fate.WAIT)
    assert (made.status, register.transactions.left(paid.id)) == (RefundStatus.PENDING, 0)
    failed = register.refunds.decide(made.id, succeeded=False)
    assert (failed.status, failed.failure) == (RefundStatus.FAILED, "sent_back_by_the_bank")
    assert register.refunds.make("r", give_back(paid, 1000)) == failed, "asked again, it tells how the refund stands"
    assert register.transactions.left(paid.id) == 1000
    assert register.payouts.balance.owed() == {"EUR": 1000 - fee_of(1000)}
    with pytest.raises(Refusal, match="already_failed"):
        register.refunds.decide(made.id, succeeded=True)


def test_a_refund_that_fails_at_once_moves_nothing() -> None:
    """It is an answer, and no line of any report."""
    register = Register()
    paid = pay(register)
    made = register.refunds.make("r", give_back(paid, 400), Fate.DECLINE)
    assert (made.status, made.failure, register.transactions.left(paid.id)) == (
        RefundStatus.FAILED,
        "refund_declined",
        1000,
    )
    assert [line.kind for line in register.payouts.balance.waiting("EUR")] == [PayoutLineKind.CHARGE]


@pytest.mark.parametrize(("won", "left", "cost"), [(True, 1000, 0), (False, 400, 600 + DISPUTE_FEE)])
def test_a_dispute_holds_money_back_until_it_is_decided(*, won: bool, left: int, cost: int) -> None:
    """Won, money and fee come back; lost, both are gone."""
    register = Register(clock=FixedClock(NOON))
    paid = pay(register)
    opened = register.disputes.open(paid.id, 600, "unrecognized")
    assert (opened.status, opened.answer_by) == (DisputeStatus.OPEN, NOON + dt.timedelta(days=7))
    assert register.transactions.left(paid.id) == 400
    with pytest.raises(Refusal, match="more_than_is_left"):
        register.refunds.make("r", give_back(paid, 401))
    decided = register.disputes.decide(opened.id, won=won)
    assert decided == register.disputes.find(opened.id)
    assert (decided.status is DisputeStatus.WON, register.transactions.left(paid.id)) == (won, left)
    assert register.payouts.balance.owed() == {"EUR": 1000 - fee_of(1000) - cost}
    with pytest.raises(Refusal, match="already_"):
        register.disputes.decide(opened.id, won=True)


def test_a_payout_takes_everything_once_and_its_lines_add_up() -> None:
    """Charges less fees, refunds, disputes, fees and adjustments; the next payout has what came after."""
    register = Register(clock=FixedClock(NOON))
    paid = pay(register, "p-1", 10_000)
    failed = register.refunds.make("r", give_back(paid, 300), Fate.WAIT)
    register.refunds.decide(failed.id, succeeded=False)
    dispute = register.disputes.open(paid.id, 500)
    register.disputes.decide(dispute.id, won=True)
    register.payouts.charge_fee(50, "EUR")
    register.payouts.adjust(7, "EUR")
    owed = register.payouts.balance.owed()["EUR"]
    first = register.payouts.pay_out("EUR")
    told, lines = register.payouts.read(first.id)
    assert (told, first.amount, first.arrives_on) == (first, owed, dt.date(2026, 11, 24))
    assert total(lines) == owed == 10_000 - fee_of(10_000) - 50 + 7
    assert [line.kind for line in lines] == [*list(PayoutLineKind)[:5], PayoutLineKind.FEE, PayoutLineKind.ADJUSTMENT]
    assert {line.transaction_id for line in lines} == {paid.id, None}
    assert {line.refund_id for line in lines} == {failed.id, None}
    assert {line.dispute_id for line in lines} == {dispute.id, None}
    with pytest.raises(Refusal, match="nothing_to_pay_out"):
        register.payouts.pay_out("EUR")
    other = pay(register, "p-2")
    second = register.payouts.pay_out("EUR")
    assert [line.transaction_id for line in register.payouts.read(second.id)[1]] == [other.id]
    assert register.payouts.list_after() == [first, second]
    assert register.payouts.list_after(first.id) == [second]
    with pytest.raises(Refusal, match="payout_unknown"):
        register.payouts.list_after("none")


def test_a_payout_may_collect() -> None:
    """Who gives more back than they take owes the provider: the payout is below zero."""
    register = Register()
    paid = pay(register)
    register.payouts.pay_out("EUR")
    register.refunds.make("r", give_back(paid, 1000))
    assert register.payouts.pay_out("EUR").amount == -1000


def test_a_payout_that_the_bank_sends_back_waits_for_the_next() -> None:
    """Its money is a line of its own in the next report."""
    register = Register()
    pay(register)
    first = register.payouts.pay_out("EUR")
    assert register.payouts.fail(first.id).status is PayoutStatus.FAILED
    second = register.payouts.pay_out("EUR")
    assert second.amount == first.amount
    (line,) = register.payouts.read(second.id)[1]
    assert (line.kind, line.description) == (PayoutLineKind.ADJUSTMENT, f"payout {first.id} failed")
    assert [one.status for one in register.payouts.list_after()] == [PayoutStatus.FAILED, PayoutStatus.PAID]
    assert len(register.payouts.read(first.id)[1]) == 1
    with pytest.raises(Refusal, match="already_failed"):
        register.payouts.fail(first.id)


@pytest.mark.parametrize("flaw", list(Flaw))
def test_a_report_can_be_wrong_on_order(flaw: Flaw) -> None:
    """One line of another amount, one too few, one too many, or one that comes late: as it says, and no more."""
    register = Register()
    paid = [pay(register, f"p-{number}") for number in range(3)]
    payout = register.payouts.pay_out("EUR", flaw)
    first, lines = (register.payouts.read(payout.id)[1] for _ in range(2))
    assert total(lines) == payout.amount
    known = {line.transaction_id: line.amount for line in lines}
    true = {one.id: one.amount for one in paid}
    assert (len(lines), len(first)) == {
        Flaw.WRONG_LINE: (3, 3),
        Flaw.MISSING_LINE: (2, 2),
        Flaw.UNKNOWN_LINE: (4, 4),
        Flaw.LATE_LINE: (3, 2),
    }[flaw]
    assert (known == true) == (flaw is Flaw.LATE_LINE)
    assert register.payouts.balance.owed() == {}, "no later payout has what this one should have had"


def test_the_only_line_cannot_be_left_out() -> None:
    """A payout of nothing is none."""
    register = Register()
    pay(register)
    with pytest.raises(Refusal, match="nothing_to_pay_out_without_the_line"):
        register.payouts.pay_out("EUR", Flaw.MISSING_LINE)


def test_payouts_are_listed_by_the_hundred() -> None:
    """Whoever was away for long asks again from the last one on."""
    register = Register()
    made = []
    for number in range(PAGE + 1):
        register.payouts.adjust(number + 1, "EUR")
        made.append(register.payouts.pay_out("EUR"))
    assert register.payouts.list_after() == made[:PAGE]
    assert register.payouts.list_after(made[PAGE - 1].id) == made[PAGE:]


def test_each_change_is_told_once() -> None:
    """An event has the id that it had, and what it is about is found by it, also after a restart."""
    changes: list[Change] = []
    told: list[Event] = []
    register = Register(keep=changes.append, clock=FixedClock(NOON))
    register.history.listeners.append(told.append)
    paid = pay(register)
    register.refunds.make("r", give_back(paid, 1))
    register.refunds.make("r", give_back(paid, 1))
    register.disputes.open(paid.id)
    register.payouts.charge_fee(1, "EUR")
    register.payouts.pay_out("EUR")
    assert [event.type for event in told] == [
        *("transaction.created", "transaction.captured", "refund.succeeded", "dispute.open", "payout.paid")
    ]
    assert [event.kind for event in told] == [EventKind.TRANSACTION, *list(EventKind)[:4]]
    assert [event.transaction_id for event in told] == [paid.id] * 4 + [None]
    assert len({event.id for event in told}) == len(told)
    assert {event.at for event in told} == {NOON}
    again = Register(written(changes))
    assert [again.history.find_event(event.id) for event in told] == told
    with pytest.raises(Refusal, match="event_unknown"):
        again.history.find_event("evt_none")


def test_a_file_of_the_first_days_is_still_read() -> None:
    """Lines without ids and times are transactions like any other: found, refunded and paid out."""
    told = (
        '{"call":"%s","key":"%s","fingerprint":"f","transaction":{"id":"sbx_1","token":"tok_1","reference":"p-1",'
        '"status":"%s","amount":100,"currency":"EUR","decline_code":null}}'
    )
    lines = [told % ("create", "k", "created"), told % ("capture", "c", "captured")]
    register = Register(msgspec.json.decode(line, type=Change) for line in lines)
    assert register.transactions.captured() == {"EUR": 100}
    register.refunds.make("r", RefundRequest("r", "sbx_1", 30, "EUR"))
    assert register.payouts.pay_out("EUR").amount == 100 - fee_of(100) - 30


CALLS = st.sampled_from([Call.CREATE, Call.CAPTURE])
STEPS = st.lists(
    st.tuples(
        CALLS,
        st.integers(0, 3),  # key
        st.integers(0, 2),  # reference, or which transaction
        st.integers(1, 2),  # amount
        st.sampled_from(Fate),
    ),
    max_size=30,
)


@settings(print_blob=True, max_examples=150, deadline=None)
@given(steps=STEPS, cut=st.integers(0, 30))
def test_whatever_is_asked_each_payment_is_taken_once_and_a_replay_answers_the_same(
    steps: list[tuple[Call, int, int, int, Fate]], cut: int
) -> None:
    """Money taken never exceeds one capture a reference, and a restart anywhere changes no answer."""
    changes: list[Change] = []
    register = Register(keep=changes.append)
    first_answers: dict[tuple[Call, int], ProviderTransaction] = {}
    asked_by_key: dict[tuple[Call, int], object] = {}
    for place, (call, key, which, amount, fate) in enumerate(steps):
        if place == cut:
            register = Register(written(changes), changes.append)
        ids = sorted(register.transactions.by_id, key=lambda one: register.transactions.by_id[one].reference)
        target = ids[which % len(ids)] if ids else "none"
        content: object = (which, amount) if call is Call.CREATE else (target, amount)
        try:
            if call is Call.CREATE:
                answer = register.transactions.create(f"k{key}", order(f"p-{which}", amount), fate)
            else:
                answer = register.transactions.capture(f"k{key}", target, CaptureRequest(amount, "EUR"), fate)
        except Refusal:
            assert asked_by_key.get((call, key)) != content
            continue
        assert asked_by_key.setdefault((call, key), content) == content
        assert first_answers.setdefault((call, key), answer) == answer
    taken = [one.transaction for one in changes if one.transaction is not None]
    captures = [one for one in taken if one.status is TransactionStatus.CAPTURED]
    assert len({one.reference for one in captures}) == len(captures)
    assert register.transactions.captured().get("EUR", 0) == sum(one.amount for one in captures)
    assert Register(changes).transactions.by_id == register.transactions.by_id


class WholeLife(RuleBasedStateMachine):
    """Everything that can happen to payments, in any order, beside a purse that is counted apart."""

    def __init__(self) -> None:
        """Begin with nothing."""
        super().__init__()
        self.changes: list[Change] = []
        self.register = Register(keep=self.changes.append)
        self.number = 0
        self.owed = 0
        self.paid_out = 0

    def some(self, of: "dict[str, object]", which: int) -> str:
        """Return one of the ids there are, or one that there is not."""
        return list(of)[which % len(of)] if of else "none"

    @rule(amount=st.integers(1, 500), fate=st.sampled_from(Fate))
    def take(self, amount: int, fate: Fate) -> None:
        """Let a customer pay."""
        self.number += 1
        if pay(self.register, f"p-{self.number}", amount, fate).status is TransactionStatus.CAPTURED:
            self.owed += amount - fee_of(amount)

    @rule(which=st.integers(0, 9), succeeded=st.booleans(), bank=st.booleans())
    def decide(self, *, which: int, succeeded: bool, bank: bool) -> None:
        """Let a customer authenticate, or a bank decide."""
        verb = self.register.transactions.complete if bank else self.register.transactions.authenticate
        try:
            after = verb(self.some(dict(self.register.transactions.by_id), which), succeeded=succeeded)
        except Refusal:
            return
        if after.status is TransactionStatus.CAPTURED:
            self.owed += after.amount - fee_of(after.amount)

    @rule(which=st.integers(0, 9), amount=st.integers(1, 500), fate=st.sampled_from(Fate))
    def refund(self, which: int, amount: int, fate: Fate) -> None:
        """Give money back."""
        self.number += 1
        target = self.some(dict(self.register.transactions.by_id), which)
        try:
            made = self.register.refunds.make(
                f"r-{self.number}", RefundRequest(f"r-{self.number}", target, amount, "EUR"), fate
            )
        except Refusal:
            return
        if made.status is not RefundStatus.FAILED:
            self.owed -= amount

    @rule(which=st.integers(0, 9), succeeded=st.booleans())
    def decide_refund(self, *, which: int, succeeded: bool) -> None:
        """Let a bank take the money, or send it back."""
        try:
            made = self.register.refunds.decide(
                self.some(dict(self.register.refunds.by_id), which), succeeded=succeeded
            )
        except Refusal:
            return
        self.owed += 0 if succeeded else made.amount

    @rule(which=st.integers(0, 9), amount=st.none() | st.integers(1, 500))
    def open_dispute(self, which: int, amount: int | None) -> None:
        """Let a customer's bank want money back."""
        try:
            made = self.register.disputes.open(self.some(dict(self.register.transactions.by_id), which), amount)
        except Refusal:
            return
        self.owed -= made.amount + DISPUTE_FEE

    @rule(which=st.integers(0, 9), won=st.booleans())
    def decide_dispute(self, *, which: int, won: bool) -> None:
        """Decide it."""
        try:
            made = self.register.disputes.decide(self.some(dict(self.register.disputes.by_id), which), won=won)
        except Refusal:
            return
        self.owed += made.amount + DISPUTE_FEE if won else 0

    @rule()
    def pay_out(self) -> None:
        """Let the provider pay."""
        try:
            payout = self.register.payouts.pay_out("EUR")
        except Refusal:
            return
        assert total(self.register.payouts.read(payout.id)[1]) == payout.amount
        self.paid_out += payout.amount

    @rule()
    def restart(self) -> None:
        """End the process and begin again."""
        self.register = Register(written(self.changes), self.changes.append)

    @invariant()
    def nothing_is_lost_or_made(self) -> None:
        """Find what is owed and was paid out to be what happened adds up to, and that nobody got more than they paid."""
        assert self.register.payouts.balance.owed().get("EUR", 0) + self.paid_out == self.owed
        for one in self.register.transactions.by_id.values():
            assert 0 <= self.register.transactions.left(one.id) <= one.amount


TestWholeLife = WholeLife.TestCase
TestWholeLife.settings = settings(print_blob=True, max_examples=40, stateful_step_count=40, deadline=None)


@pytest.mark.parametrize(
    ("kind", "before", "after"),
    [
        (FaultKind.DECLINE, None, None),
        (FaultKind.ACTION, None, None),
        (FaultKind.WAIT, None, None),
        (FaultKind.ERROR_BEFORE, Way.ERROR, None),
        (FaultKind.ERROR_AFTER, None, Way.ERROR),
        (FaultKind.TIMEOUT_BEFORE, Way.TIMEOUT, None),
        (FaultKind.TIMEOUT_AFTER, None, Way.TIMEOUT),
        (FaultKind.DROP_BEFORE, Way.DROP, None),
        (FaultKind.DROP_AFTER, None, Way.DROP),
    ],
)
def test_each_fault_is_lost_before_or_after(kind: FaultKind, before: Way | None, after: Way | None) -> None:
    """A fault's name says when the request or its answer is lost, and how."""
    assert (kind.lost_before, kind.lost_after) == (before, after)


def test_faults_strike_in_order_and_once_each() -> None:
    """Failures of different calls wait in queues of their own."""
    faults = Faults()
    faults.queue([Fault(Call.CREATE, FaultKind.DECLINE), Fault(Call.CAPTURE, FaultKind.DROP_AFTER)])
    faults.queue([Fault(Call.CREATE, FaultKind.ERROR_BEFORE)])
    assert [faults.take(Call.CREATE) for _ in range(3)] == [FaultKind.DECLINE, FaultKind.ERROR_BEFORE, None]
    assert [faults.take(Call.CAPTURE) for _ in range(2)] == [FaultKind.DROP_AFTER, None]


def test_what_cannot_happen_to_a_call_is_refused() -> None:
    """An order that makes no sense queues nothing of itself."""
    faults = Faults()
    for wrong in (
        *(
            Fault(Call.FIND, FaultKind.DECLINE),
            Fault(Call.CREATE, FaultKind.WAIT),
            Fault(Call.REFUND, FaultKind.ACTION),
        ),
    ):
        with pytest.raises(Refusal, match=f"no {wrong.kind.value} of a {wrong.on.value}"):
            faults.queue([Fault(Call.CREATE, FaultKind.DECLINE), wrong])
    assert faults.take(Call.CREATE) is None


def test_twists_wait_for_webhooks() -> None:
    """Each strikes one webhook, in order, and they can be forgotten."""
    faults = Faults()
    faults.queue_twists([Twist.LOST, Twist.LATE, Twist.FORGED])
    assert [faults.take_twist() for _ in range(2)] == [Twist.LOST, Twist.LATE]
    faults.forget()
    assert faults.take_twist() is None
