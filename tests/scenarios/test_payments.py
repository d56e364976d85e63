"""Money is taken exactly once, and none is lost, whatever fails between customer, house and provider."""

import asyncio
import contextlib
import datetime as dt
import secrets
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import asyncpg
import pytest
import pytest_asyncio
from structlog.testing import capture_logs

from tallystick.db.queries import Connection
from tallystick.errors import TallystickError
from tallystick.ids import uuid7
from tallystick.ledger.accounts import Recorded, close_account
from tallystick.ledger.books import find_book
from tallystick.operations.carry_payments import printable
from tallystick.operations.invoicing_month import run_month
from tallystick.operations.run import RESERVED
from tallystick.payments.errors import NothingToPay, TransactionTaken
from tallystick.payments.model import Payment, PaymentOutput
from tallystick.payments.providers import protocol
from tallystick.payments.providers.sandbox import process as sandbox
from tallystick.payments.providers.sandbox.change import Call
from tallystick.payments.providers.sandbox.client import SandboxProvider
from tallystick.payments.providers.sandbox.faults import Fault, FaultKind
from tallystick.payments.start import NewPayment, start_payments
from tallystick.security.model import OPERATOR, SYSTEM, Principal
from tests.conftest import House
from tests.db.priced_usage import use
from tests.scenarios.paying import LOST_ANSWERS, Died, Shop, Till, open_shop_at


@pytest_asyncio.fixture
async def shop(house: House, till: Till) -> AsyncIterator[Shop]:
    """Open a shop whose customer owes for three requests."""
    async with open_shop_at(house, till) as opened:
        yield opened


async def require_paid_once(shop: Shop) -> None:
    """Hold provider, ledger, invoice and receipts against each other."""
    total = shop.invoice.total
    assert await shop.captured() == total
    invoice = await shop.reread()
    assert (invoice.status, invoice.outstanding) == ("paid", 0)
    assert (await shop.do("ledger.balance", account="providers/sandbox/USD")).balance == -total
    assert len((await shop.do("receipts.list")).items) == 1


async def test_a_payment_goes_from_start_to_receipt(shop: Shop) -> None:
    """Start gives the provider's transaction, post takes the money and gives the receipt."""
    started = await shop.start()
    assert (started.status, started.amount) == ("opened", shop.invoice.total)
    assert started.transaction_id
    assert started.token
    done = await shop.post(started)
    assert done.status == "settled"
    assert done.receipt_id
    await require_paid_once(shop)


async def test_the_same_messages_take_the_money_once(shop: Shop) -> None:
    """A customer who presses every button three times pays once and gets one receipt."""
    started = [await shop.start() for _ in range(3)]
    assert len({one.transaction_id for one in started}) == 1
    done = [await shop.post(started[0]) for _ in range(3)]
    assert {one.receipt_id for one in done} == {done[0].receipt_id}
    await shop.post(started[0], key="another message")
    await require_paid_once(shop)


@pytest.mark.parametrize("kind", LOST_ANSWERS)
async def test_a_lost_answer_to_create_opens_one_transaction(shop: Shop, kind: FaultKind) -> None:
    """Whether the provider acted or not before the answer was lost, asking again opens one transaction."""
    await shop.control.order([Fault(Call.CREATE, kind)])
    assert (await shop.start()).status == "started"
    started = await shop.start()
    assert started.status == "opened"
    assert len(await shop.transactions()) == 1
    await shop.post(started)
    await require_paid_once(shop)


@pytest.mark.parametrize("kind", LOST_ANSWERS)
async def test_a_lost_answer_to_capture_is_found_out(shop: Shop, kind: FaultKind) -> None:
    """Whether the money was taken or not before the answer was lost, a worker finds out, and it is taken once."""
    started = await shop.start()
    await shop.control.order([Fault(Call.CAPTURE, kind)])
    assert (await shop.post(started)).status == "submitted"
    await shop.wait_and_work()
    assert (await shop.do("payments.find", payment_id=str(started.payment_id))).status == "settled"
    await require_paid_once(shop)


async def test_an_outcome_that_stays_unknown_is_asked_for_again(shop: Shop) -> None:
    """A provider that does not answer is asked until it does; meanwhile the payment is neither settled nor failed."""
    started = await shop.start()
    await shop.control.order([Fault(Call.CAPTURE, FaultKind.DROP_AFTER)])
    await shop.control.order([Fault(Call.FIND, FaultKind.DROP_BEFORE)] * 2)
    for _ in range(3):
        assert (await shop.do("payments.find", payment_id=str(started.payment_id))).status in {"opened", "submitted"}
        await shop.post(started) if not await shop.captured() else await shop.wait_and_work()
    await shop.wait_and_work()
    await require_paid_once(shop)


STEPS = [
    (step, when)
    for step in (
        "payments.start",
        "payments.find_whole",
        "payments.open",
        "payments.post",
        "payments.statements",
        "payments.settle",
    )
    for when in ("before", "after")
]


@pytest.mark.parametrize("dies", STEPS, ids=" ".join)
async def test_a_death_at_any_step_loses_nothing(shop: Shop, dies: tuple[str, str]) -> None:
    """The process dies just before or after each step; the next one and the customer's second try make it whole."""
    with contextlib.suppress(Died):
        async with shop.process_that_dies(dies) as worker:
            started = await shop.start()
            await worker.work_once()
            await shop.post(await shop.reread_payment(started))
            await worker.work_once()
    await shop.work()
    started = await shop.start()
    assert started.status in {"opened", "settled"}
    assert (await shop.post(started)).status == "settled"
    await require_paid_once(shop)


async def test_a_decline_takes_nothing_and_frees_the_invoice(shop: Shop) -> None:
    """A declined payment fails with the bank's reason, and another can be started at once."""
    await shop.control.order([Fault(Call.CAPTURE, FaultKind.DECLINE)])
    failed = await shop.post(await shop.start())
    assert failed.status == "failed"
    assert "declined" in str(failed.reason)
    assert await shop.captured() == 0
    await shop.post(await shop.start("second"), "second post")
    await require_paid_once(shop)
    told = (await shop.operations.call(OPERATOR, "main", "events.list", "", {})).items
    assert sorted(one.type for one in told if one.type.startswith("payment.")) == [
        "payment.failed",
        "payment.succeeded",
    ]
    assert all(b"@" not in bytes(one.data) for one in told)


async def test_two_payments_do_not_take_the_same_money(shop: Shop) -> None:
    """While one payment covers the invoice another cannot start, so that nobody pays twice."""
    await shop.start("one tab")
    with pytest.raises(TallystickError) as refused:
        await shop.start("another tab")
    assert refused.value.code == "payments.under_way"


async def test_a_payment_that_nobody_completes_expires(shop: Shop) -> None:
    """Half an hour later the invoice can be paid anew, and the old transaction takes nothing any more."""
    abandoned = await shop.start()
    await shop.wait_and_work(seconds=31 * 60)
    with pytest.raises(TallystickError) as refused:
        await shop.post(abandoned)
    assert refused.value.code == "payments.ended"
    await shop.post(await shop.start("again"), "again post")
    await require_paid_once(shop)


async def test_without_an_invoice_the_one_due_first_is_paid(shop: Shop) -> None:
    """P1's four fields are enough."""
    started = await shop.do("payments.start", "plain", **shop.request)
    assert started.invoice_id == shop.invoice.id


@pytest.mark.parametrize(
    ("changed", "code", "field"),
    [
        ({"amount": 74}, "payments.differs", "amount"),
        ({"user": "eve"}, "payments.differs", "user"),
        ({"email": "eve@example.com"}, "payments.differs", "email"),
        ({"payment_type": "debit"}, "payments.differs", "payment_type"),
        ({"transaction_id": "nonsense"}, "payments.unknown_payment", "transaction_id"),
        ({"payment_type": "cash"}, "invalid_input", "payment_type"),
        ({"email": "no address"}, "invalid_input", "email"),
        ({"timestamp": "2015-06-02T10:00:00"}, "invalid_input", "timestamp"),
        ({"amount": 0}, "invalid_input", "amount"),
        ({"amount": 0.5}, "invalid_input", "amount"),
        ({"card": "4242"}, "invalid_input", "card"),
    ],
)
async def test_bad_completion_is_refused(shop: Shop, changed: dict[str, object], code: str, field: str) -> None:
    """What does not fit the payment that was started names the field, and takes nothing."""
    started = await shop.start()
    fields = {**shop.request, "transaction_id": started.transaction_id, "amount": started.amount, **changed}
    with pytest.raises(TallystickError) as refused:
        await shop.do("payments.post", **fields)
    assert (refused.value.code, refused.value.field) == (code, field)
    assert await shop.captured() == 0


RECORDER = Principal("key:recorder", "main", frozenset({"usage:write"}))
NONSENSE = {"source": "x", "events": [{"nonsense": 1}]}


async def record_under(shop: Shop, key: str, principal: Principal = RECORDER) -> None:
    """Send a message of another operation under *key*; it may be refused, and kept nevertheless."""
    with contextlib.suppress(TallystickError):
        await shop.operations.run(principal, "main", "usage.record", key, NONSENSE)


@pytest.mark.parametrize("prefix", ["", "tallystick:"])
@pytest.mark.parametrize("step", ["open", "settle"])
async def test_no_caller_can_take_the_ids_of_the_workers_messages(shop: Shop, step: str, prefix: str) -> None:
    """Whoever may write anything in the book cannot stop a payment by using the id of a worker's message."""
    await shop.control.order([Fault(Call.CREATE, FaultKind.DROP_AFTER)])
    started = await shop.start()
    await record_under(shop, f"{prefix}{step}:{started.payment_id}")
    await shop.post(await shop.start())
    await require_paid_once(shop)


async def test_a_message_in_the_place_of_the_settlement_is_not_taken_for_one(shop: Shop) -> None:
    """Should another message ever have the settlement's id, the payment stays unknown, and the log says so."""
    started = await shop.start()
    await record_under(shop, f"tallystick:settle:{started.payment_id}", SYSTEM)
    with capture_logs() as said:
        assert (await shop.post(started)).status == "submitted"
    assert [(one["log_level"], one["payment"], one["code"]) for one in said if "payment" in one] == [
        ("error", str(started.payment_id), "journal.id_reused")
    ]


@pytest.mark.parametrize("account", ["providers/sandbox/USD", "unallocated/USD", "invoice"])
async def test_no_caller_opens_or_closes_the_accounts_of_payments(shop: Shop, account: str) -> None:
    """Whoever may write the ledger neither takes the accounts that payments need beforehand, nor closes them amid one."""
    code = shop.invoice.account if account == "invoice" else account
    with pytest.raises(TallystickError) as opening:
        await shop.do("ledger.open_account", account=code, asset="USD", min_balance=0)
    started = await shop.start()
    with pytest.raises(TallystickError) as closing:
        await shop.do("ledger.close_account", account=code)
    assert {opening.value.code, closing.value.code} == {"ledger.own_account"}
    await shop.post(started)
    await require_paid_once(shop)


async def close_behind(shop: Shop, account: str) -> None:
    """Close an account as no caller can."""
    recorded = Recorded(1, 0, shop.clock.now())
    await shop.operations.work(lambda connection: close_account(connection, recorded, account))


@pytest.mark.parametrize("account", ["providers/sandbox/USD"])
async def test_no_money_is_taken_that_could_not_arrive(shop: Shop, account: str) -> None:
    """Where an account that the money needs is closed, the completion is refused, may be sent again, and takes nothing."""
    started = await shop.start()
    await close_behind(shop, account)
    with pytest.raises(TallystickError) as refused:
        await shop.post(started)
    assert refused.value.code == "payments.accounts_unusable"
    assert refused.value.kind.retry_helps
    assert (await shop.status(started), await shop.captured()) == ("opened", 0)


@pytest.mark.parametrize("account", ["providers/sandbox/USD", "invoice"])
async def test_a_submitted_payment_takes_nothing_once_an_account_is_closed(shop: Shop, account: str) -> None:
    """The accounts are looked at before every try to take the money, not only when the customer asks for it."""
    started = await shop.start()
    await shop.control.order([Fault(Call.CAPTURE, FaultKind.DROP_BEFORE)])
    await shop.post(started)
    await close_behind(shop, shop.invoice.account if account == "invoice" else account)
    with capture_logs() as said:
        await shop.wait_and_work()
    assert ("error", "payments.accounts_unusable") in {(one["log_level"], one["code"]) for one in said}
    assert (await shop.status(started), await shop.captured()) == ("submitted", 0)


async def test_money_that_was_taken_and_cannot_be_posted_is_told_again_and_again(shop: Shop) -> None:
    """It is neither forgotten nor called failed: each try is an error in the log, until somebody sees to it."""
    started = await shop.start()
    await shop.control.order([Fault(Call.CAPTURE, FaultKind.DROP_AFTER)])
    await shop.post(started)
    await close_behind(shop, "providers/sandbox/USD")
    for _ in range(3):
        with capture_logs() as said:
            await shop.wait_and_work()
        assert [(one["log_level"], one["payment"], one["status"]) for one in said if "payment" in one] == [
            ("error", str(started.payment_id), "submitted")
        ]
    assert (await shop.status(started), await shop.captured()) == ("submitted", started.amount)


async def test_what_was_paid_otherwise_meanwhile_is_unallocated(shop: Shop) -> None:
    """When the invoice was paid otherwise before the money is posted, the money is kept apart for the customer."""
    started = await shop.start()
    await shop.control.order([Fault(Call.CAPTURE, FaultKind.DROP_AFTER)])
    await shop.post(started)
    await shop.do("ledger.open_account", account="bank", asset="USD")
    transfer = {"debit": "bank", "credit": shop.invoice.account, "amount": started.amount}
    await shop.do("ledger.transfer", id=str(uuid7()), **transfer)
    await shop.wait_and_work()
    assert await shop.status(started) == "settled"
    kept = await shop.do("repayments.unallocated", customer=shop.invoice.customer)
    assert [one.amount for one in kept.items] == [started.amount]
    receipt = (await shop.do("receipts.list")).items[0]
    assert receipt.payment_id == started.payment_id


async def test_a_provider_that_does_not_know_the_transaction_proves_nothing(shop: Shop, tmp_path: Path) -> None:
    """One of two nodes whose providers differ does not fail what the other's provider has taken."""
    started = await shop.start()
    await shop.control.order([Fault(Call.CAPTURE, FaultKind.DROP_AFTER)])
    await shop.post(started)
    own = shop.provider
    secret = secrets.token_urlsafe(16)
    other = await sandbox.start(tmp_path / "other.jsonl", secret)
    try:
        async with SandboxProvider(other.url, secret, 0.5) as provider:
            shop.provider = provider
            await shop.wait_and_work()
            assert (await shop.post(started)).status == "submitted"
    finally:
        await other.stop()
    shop.provider = own
    await shop.wait_and_work()
    await require_paid_once(shop)


class Refusing:
    """A provider that refuses to open anything, after whatever happens meanwhile."""

    name = "sandbox"

    def __init__(self, reason: str, meanwhile: Any = None) -> None:  # noqa: ANN401 - any coroutine function
        """Refuse for *reason*, once *meanwhile* has happened."""
        self.reason, self.meanwhile = reason, meanwhile

    async def find_by_reference(self, _: str) -> None:
        """Know nothing."""

    async def create(self, request: protocol.CreateRequest) -> protocol.ProviderTransaction:
        """Refuse."""
        if self.meanwhile is not None:
            await self.meanwhile(request)
        raise protocol.ProviderRefused(reason=self.reason)


async def test_a_refusal_to_open_ends_only_what_nobody_has_opened(shop: Shop) -> None:
    """A refusal that is answered late does not fail a payment that was opened by another try meanwhile."""
    await shop.control.order([Fault(Call.CREATE, FaultKind.DROP_BEFORE)])
    await shop.start()
    own = shop.provider

    async def open_it(request: protocol.CreateRequest) -> None:
        opened = await own.create(request)
        fields = {"payment_id": request.reference, "transaction_id": opened.id, "token": opened.token}
        await shop.do("payments.open", **fields)
        shop.provider = own

    shop.provider = Refusing("no", open_it)
    started = await shop.start()
    assert (started.status, await shop.status(started)) == ("opened", "opened")
    await shop.control.order([Fault(Call.CAPTURE, FaultKind.DECLINE)])
    assert (await shop.post(started)).status == "failed"


@pytest.mark.parametrize("reason", ["blocked\nsee our terms", "\x00\x1b[31m", "n\u2028o", "x" * 1000, "\n"])
async def test_a_refusal_in_any_characters_ends_the_payment(shop: Shop, reason: str) -> None:
    """Whatever a provider's reason is made of, the payment fails and the invoice is free again."""
    own = shop.provider
    shop.provider = Refusing(reason)
    failed = await shop.start()
    assert failed.status == "failed"
    assert str(failed.reason).isprintable()
    shop.provider = own
    await shop.post(await shop.start("again"), "again post")
    await require_paid_once(shop)


def test_a_reason_fits_on_a_line() -> None:
    """A provider's reason becomes one line that can be printed, and is never empty."""
    assert printable("blocked\r\n see\tterms\x00") == "blocked see terms"
    assert printable("\n\x1b") == "no reason given"
    assert len(printable("x" * 1000)) == 255


async def test_a_worker_does_not_expire_what_was_opened_a_moment_ago(shop: Shop) -> None:
    """However long it took until a provider opened a payment: from then on the customer has half an hour."""
    await shop.control.order([Fault(Call.CREATE, FaultKind.DROP_BEFORE)])
    started = await shop.start()
    await shop.wait_and_work(31 * 60)
    await shop.do("payments.expire", payment_id=str(started.payment_id))
    assert await shop.status(started) == "opened"
    assert await shop.due_at() == shop.clock.at + dt.timedelta(minutes=30)
    await shop.wait_and_work(31 * 60)
    assert await shop.status(started) == "failed"


async def test_what_fails_again_and_again_is_tried_less_and_less_often(shop: Shop) -> None:
    """After each try the next comes later, a quarter of an hour later at most; a step forward begins anew."""
    tries = 12
    await shop.control.order([Fault(Call.CREATE, FaultKind.ERROR_BEFORE)])
    await shop.control.order([Fault(Call.FIND, FaultKind.ERROR_BEFORE)] * (tries - 1))
    started = await shop.start()
    pauses = []
    for _ in range(tries):
        due = await shop.due_at()
        assert due is not None
        pauses.append((due - shop.clock.at).total_seconds())
        shop.clock.at = due
        await shop.work()
    assert pauses == [1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 900, 900]
    assert await shop.status(started) == "opened"


class Garbled:
    """A provider whose answers the store cannot hold, to the first that asks; the next one is served."""

    name = "sandbox"

    def __init__(self, own: protocol.Provider, victim: str, error: Exception | None = None) -> None:
        """Answer as *own* does, but for the payment *victim*."""
        self.own, self.victim, self.error = own, victim, error

    async def find_by_reference(self, reference: str) -> protocol.ProviderTransaction | None:
        """Answer as the own one does."""
        return await self.own.find_by_reference(reference)

    async def create(self, request: protocol.CreateRequest) -> protocol.ProviderTransaction:
        """Answer."""
        opened = await self.own.create(request)
        if request.reference != self.victim:
            return opened
        if self.error is not None:
            raise self.error
        return protocol.ProviderTransaction(
            opened.id, "to\0ken", opened.reference, opened.status, opened.amount, opened.currency
        )


@pytest.mark.parametrize("error", [None, asyncpg.DataError("ada@example.com"), RuntimeError("ada@example.com")])
async def test_one_payment_that_cannot_go_on_does_not_end_the_worker(shop: Shop, error: Exception | None) -> None:
    """A fault on one payment is that payment's; the others of the round go on, and no customer is named in the log."""
    await shop.control.order([Fault(Call.CREATE, FaultKind.DROP_BEFORE)] * 2)
    half: dict[str, Any] = {**shop.request, "invoice_id": str(shop.invoice.id), "amount": 1}
    victim, other = [await shop.do("payments.start", key, **half) for key in ("victim", "other")]
    own = shop.provider
    shop.provider = Garbled(own, str(victim.payment_id), error)
    with capture_logs() as said:
        await shop.wait_and_work()
    assert [await shop.status(one) for one in (victim, other)] == ["started", "opened"]
    assert [(one["log_level"], one["payment"]) for one in said if "payment" in one] == [
        ("error", str(victim.payment_id))
    ]
    assert "ada" not in str(said)
    shop.provider = own
    await shop.wait_and_work()
    assert await shop.status(victim) == "opened"


class Together:
    """A provider that answers nobody until all have asked."""

    name = "sandbox"

    def __init__(self, own: protocol.Provider, count: int) -> None:
        """Wait for *count*."""
        self.own, self.all_here = own, asyncio.Barrier(count)

    async def create(self, request: protocol.CreateRequest) -> protocol.ProviderTransaction:
        """Answer, once all are here."""
        async with asyncio.timeout(5):
            await self.all_here.wait()
        return await self.own.create(request)


async def test_a_slow_provider_does_not_hold_up_one_payment_for_another(shop: Shop) -> None:
    """What is carried on at once is carried on side by side."""
    one_cent: dict[str, Any] = {**shop.request, "invoice_id": str(shop.invoice.id), "amount": 1}
    shop.provider = Together(shop.provider, 12)
    started = await asyncio.gather(*(shop.do("payments.start", **one_cent) for _ in range(12)))
    assert {one.status for one in started} == {"opened"}


async def test_only_its_customer_pays_an_invoice(shop: Shop) -> None:
    """Another user is refused by name of the field, and starts nothing."""
    fields = {**shop.request, "user": "customer-001", "invoice_id": str(shop.invoice.id)}
    with pytest.raises(TallystickError) as refused:
        await shop.do("payments.start", **fields)
    assert (refused.value.code, refused.value.field) == ("payments.differs", "user")
    assert await shop.transactions() == []


async def test_an_invoice_that_is_being_paid_is_not_the_one_due_first(shop: Shop, house: House) -> None:
    """Without an invoice the next one is paid while the first is; when all are, the customer is told to wait."""
    await use(house, [(shop.invoice.customer, "2015-06-01T12:00:00Z")])
    shop.clock.at = dt.datetime(2015, 7, 2, tzinfo=dt.UTC)
    await run_month(shop.operations, OPERATOR, "main", "2015-06")
    started: list[PaymentOutput] = [await shop.do("payments.start", **shop.request) for _ in range(2)]
    assert started[0].invoice_id == shop.invoice.id
    assert started[1].invoice_id != shop.invoice.id
    with pytest.raises(TallystickError) as refused:
        await shop.do("payments.start", **shop.request)
    assert refused.value.code == "payments.under_way"


async def test_an_invoice_that_is_paid_by_name_beside_is_not_the_one_due_first(shop: Shop, house: House) -> None:
    """Of starts that come together the one that names no invoice takes what the others leave; one too large leaves all."""
    await use(house, [(shop.invoice.customer, "2015-06-01T12:00:00Z")])
    shop.clock.at = dt.datetime(2015, 7, 2, tzinfo=dt.UTC)
    await run_month(shop.operations, OPERATOR, "main", "2015-06")
    named, too_much = (shop.invoice.id, None), (None, shop.invoice.total + 1)
    asked = [too_much, named, (None, None)]
    new = [
        NewPayment(
            uuid7(),
            place,
            invoice_id,
            shop.invoice.customer,
            "ada@example.com",
            shop.clock.at,
            "credit",
            amount,
            "sandbox",
        )
        for place, (invoice_id, amount) in enumerate(asked)
    ]

    async def start(to: Connection) -> list[Payment | TallystickError]:
        book = await find_book(to, "main")
        return await start_payments(to, book.ledger, Recorded(book.book_id, 0, shop.clock.at), new)

    refused, first, second = await shop.operations.work(start)
    assert isinstance(refused, NothingToPay)
    assert isinstance(first, Payment)
    assert isinstance(second, Payment)
    assert first.invoice_id == shop.invoice.id != second.invoice_id


async def test_a_message_that_comes_again_is_answered_at_once(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is waited for where nothing is under way."""
    started = await shop.start()
    done = await shop.post(started)
    monkeypatch.setattr("tallystick.operations.work_queues._ELSEWHERE_EVERY", 60.0)
    async with asyncio.timeout(20):
        assert (await shop.start()).status == "settled"
        assert await shop.post(started) == done


async def test_a_transaction_is_one_payments(shop: Shop) -> None:
    """Two providers may give the same id: the second payment is not opened and that is told; what comes beside it goes on."""
    first = await shop.do("payments.start", **shop.request, amount=1)
    await shop.until_let_go()
    await shop.rest()
    others = [await shop.do("payments.start", **shop.request, amount=1) for _ in range(3)]

    async def open_as(payment: PaymentOutput, transaction_id: str) -> PaymentOutput | TallystickError:
        fields = {"payment_id": str(payment.payment_id), "transaction_id": transaction_id, "token": "of another"}
        key = f"{RESERVED}open:{payment.payment_id}"
        try:
            opened: PaymentOutput = await shop.operations.call(SYSTEM, "main", "payments.open", key, fields)
        except TallystickError as error:
            return error
        return opened

    named = ["another", first.transaction_id, "a third"]
    before, taken, behind = await asyncio.gather(*(open_as(*one) for one in zip(others, named, strict=True)))
    assert isinstance(taken, TransactionTaken)
    assert [one.status for one in (before, behind) if isinstance(one, PaymentOutput)] == ["opened", "opened"]
    assert await shop.status(others[1]) == "started"
    assert (await shop.reread_payment(first)).transaction_id == first.transaction_id
