"""The sandbox's rules, without its process."""

import json

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tallystick.payments.providers.protocol import CreateRequest, PaymentType, ProviderTransaction, TransactionStatus
from tallystick.payments.providers.sandbox.faults import Fault, FaultKind, Faults, Way
from tallystick.payments.providers.sandbox.register import Call, CaptureRequest, Change, Refusal, Register


def order(reference: str = "p-1", amount: int = 100, email: str = "ada@example.org") -> CreateRequest:
    """Ask for a payment in euros."""
    return CreateRequest(reference, amount, "EUR", "ada", email, PaymentType.CREDIT)


def test_the_same_key_and_content_get_the_first_answer_even_after_the_capture() -> None:
    """A creation that is repeated late is answered as it was, not as things stand now."""
    register = Register()
    first, changed = register.create("k", order())
    register.capture("c", first.id, CaptureRequest(100, "EUR"))
    assert changed
    assert register.create("k", order()) == (first, False)
    assert register.find(first.id).status is TransactionStatus.CAPTURED


def test_the_same_key_with_other_content_is_refused() -> None:
    """A key stands for one request."""
    register = Register()
    opened, _ = register.create("k", order())
    with pytest.raises(Refusal, match="key_used_for_other_content"):
        register.create("k", order(amount=101))
    other, _ = register.create("k2", order("p-2"))
    register.capture("c", opened.id, CaptureRequest(100, "EUR"))
    with pytest.raises(Refusal, match="key_used_for_other_content"):
        register.capture("c", other.id, CaptureRequest(100, "EUR"))


def test_a_key_belongs_to_its_call() -> None:
    """A payment's id may serve as key of both its creation and its capture."""
    register = Register()
    opened, _ = register.create("k", order())
    captured, changed = register.capture("k", opened.id, CaptureRequest(100, "EUR"))
    assert (captured.status, changed) == (TransactionStatus.CAPTURED, True)


def test_a_reference_has_one_transaction() -> None:
    """Another key does not open a second transaction for the same payment."""
    register = Register()
    register.create("k", order())
    with pytest.raises(Refusal, match="reference_taken"):
        register.create("k2", order())


@pytest.mark.parametrize("asked", [CaptureRequest(99, "EUR"), CaptureRequest(101, "EUR"), CaptureRequest(100, "USD")])
def test_a_capture_takes_exactly_what_was_created(asked: CaptureRequest) -> None:
    """Less, more and another currency are refused, and the transaction stays open."""
    register = Register()
    opened, _ = register.create("k", order())
    with pytest.raises(Refusal, match="amount_differs"):
        register.capture("c", opened.id, asked)
    assert register.find(opened.id) == opened


def test_another_key_does_not_capture_again() -> None:
    """A transaction is captured once in all, whatever the keys."""
    register = Register()
    opened, _ = register.create("k", order())
    register.capture("c", opened.id, CaptureRequest(100, "EUR"))
    with pytest.raises(Refusal, match="already_captured"):
        register.capture("c2", opened.id, CaptureRequest(100, "EUR"))
    assert register.captured() == {"EUR": 100}


@pytest.mark.parametrize("email", ["declined@example.org", "Declined.ada@example.org"])
def test_a_customer_called_declined_is_declined(email: str) -> None:
    """A demo can show a decline without ordering one."""
    register = Register()
    opened, _ = register.create("k", order(email=email))
    assert (opened.status, opened.decline_code) == (TransactionStatus.DECLINED, "card_declined")
    with pytest.raises(Refusal, match="already_declined"):
        register.capture("c", opened.id, CaptureRequest(100, "EUR"))


def test_a_change_on_file_holds_neither_user_nor_email() -> None:
    """The state file needs to recognise a request, not the person."""
    register = Register()
    register.create("k", order())
    written = msgspec.json.encode(register.change_under(Call.CREATE, "k")).decode()
    assert "p-1" in written
    assert "ada" not in json.dumps(written)


STEPS = st.lists(
    st.tuples(
        st.sampled_from([Call.CREATE, Call.CAPTURE]),
        st.integers(0, 3),  # key
        st.integers(0, 2),  # reference, or which transaction
        st.integers(1, 2),  # amount
        st.booleans(),  # decline
    ),
    max_size=30,
)


@settings(print_blob=True, max_examples=150, deadline=None)
@given(steps=STEPS, cut=st.integers(0, 30))
def test_whatever_is_asked_each_payment_is_taken_once_and_a_replay_answers_the_same(
    steps: list[tuple[Call, int, int, int, bool]], cut: int
) -> None:
    """Money taken never exceeds one capture a reference, and a restart anywhere changes no answer."""
    changes: list[Change] = []
    register = Register()
    first_answers: dict[tuple[Call, int], ProviderTransaction] = {}
    asked_by_key: dict[tuple[Call, int], object] = {}
    for place, (call, key, which, amount, decline) in enumerate(steps):
        if place == cut:
            register = Register(changes)
        ids = sorted(register.transactions, key=lambda one: register.transactions[one].reference)
        target = ids[which % len(ids)] if ids else "none"
        content: object = (which, amount) if call is Call.CREATE else (target, amount)
        try:
            if call is Call.CREATE:
                answer, changed = register.create(f"k{key}", order(f"p-{which}", amount), decline=decline)
            else:
                answer, changed = register.capture(f"k{key}", target, CaptureRequest(amount, "EUR"), decline=decline)
        except Refusal:
            assert asked_by_key.get((call, key)) != content
            continue
        if changed:
            changes.append(register.change_under(call, f"k{key}"))
        assert asked_by_key.setdefault((call, key), content) == content
        assert first_answers.setdefault((call, key), answer) == answer
    captures = [one.transaction for one in changes if one.transaction.status is TransactionStatus.CAPTURED]
    assert len({one.reference for one in captures}) == len(captures)
    assert register.captured().get("EUR", 0) == sum(one.amount for one in captures)
    assert Register(changes).transactions == register.transactions


@pytest.mark.parametrize(
    ("kind", "before", "after"),
    [
        (FaultKind.DECLINE, None, None),
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


def test_a_look_up_cannot_be_declined() -> None:
    """An order that makes no sense queues nothing of itself."""
    faults = Faults()
    with pytest.raises(Refusal, match="cannot be declined"):
        faults.queue([Fault(Call.CREATE, FaultKind.DECLINE), Fault(Call.FIND, FaultKind.DECLINE)])
    assert faults.take(Call.CREATE) is None
