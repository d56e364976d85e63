"""Money that a provider takes for a payment that had failed is heard of, told and listed, until somebody has seen to it."""

from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from tallystick.db.embedded import EmbeddedServer
from tallystick.errors import TallystickError
from tallystick.ids import uuid7
from tallystick.payments.late.model import LateCapture
from tallystick.payments.model import PaymentOutput
from tallystick.payments.providers.sandbox.change import Call
from tallystick.payments.providers.sandbox.faults import Fault, FaultKind
from tallystick.security.model import SYSTEM
from tests.conftest import House
from tests.db.test_repayments_at_once import require_the_same_anew
from tests.scenarios.giving_back import Counter, open_counter
from tests.scenarios.paying import LOST_ANSWERS, Till, open_till


@pytest_asyncio.fixture
async def till(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Till]:
    """Start a sandbox of its own for each shop, since payouts pay out whatever there is."""
    async with open_till(tmp_path_factory.mktemp("till")) as opened:
        yield opened


@pytest_asyncio.fixture
async def counter(house: House, till: Till) -> AsyncIterator[Counter]:
    """Open a shop whose customer owes for three requests."""
    async with open_counter(house, till) as opened:
        yield opened


async def fail_and_take(counter: Counter) -> PaymentOutput:
    """Let a payment be failed by hand while the provider has not decided; and then the provider takes the money."""
    await counter.shop.control.order([Fault(Call.CAPTURE, FaultKind.WAIT)])
    started = await counter.shop.start()
    await counter.shop.post(started)
    fields = {"payment_id": str(started.payment_id), "reason": "the provider has forgotten it", "ends": "submitted"}
    failed: PaymentOutput = await counter.shop.do("payments.fail", **fields)
    assert failed.status == "failed"
    await counter.shop.control.complete(str(started.transaction_id), succeeded=True)
    return failed


async def late(counter: Counter, *, all_: bool = False) -> list[LateCapture]:
    """Return what is listed."""
    return list((await counter.shop.do("payments.late", all=all_)).items)


async def events(counter: Counter) -> list[str]:
    """Return the types of the events that others are told of payments."""
    rows = await counter.shop.operations.pool.fetch("SELECT type FROM event WHERE type ~ '^payment' ORDER BY told_at")
    return [row[0] for row in rows]


async def test_money_taken_after_a_payment_had_failed_is_told_and_listed(counter: Counter) -> None:
    """The webhook of the capture comes, and twice: it is listed and told once, and neither payment nor ledger is changed."""
    failed = await fail_and_take(counter)
    assert await late(counter) == []
    for _ in range(2):
        await counter.hear("transaction", str(failed.transaction_id))
    (one,) = await late(counter)
    assert (one.payment_id, one.transaction_id, one.amount, one.asset, one.customer, one.reason) == (
        failed.payment_id, failed.transaction_id, 75, "USD", counter.shop.invoice.customer, "the provider has forgotten it",
    )  # fmt: skip
    assert await events(counter) == ["payment.failed", "payment.captured_late"]
    assert await counter.shop.status(failed) == "failed"
    assert (await counter.shop.reread()).outstanding == 75
    assert await counter.balance("providers/sandbox/USD") == 0


async def test_a_lost_answer_about_a_failed_payment_is_asked_for_again(counter: Counter) -> None:
    """However the answer is lost, and however often: what was taken is noted in the end, once."""
    failed = await fail_and_take(counter)
    await counter.shop.control.order([Fault(Call.FIND, kind) for kind in LOST_ANSWERS])
    await counter.hear("transaction", str(failed.transaction_id))
    assert await late(counter) == []
    for _ in LOST_ANSWERS:
        await counter.shop.wait_and_work()
    assert [one.payment_id for one in await late(counter)] == [failed.payment_id]


async def test_a_payment_that_failed_and_took_nothing_is_not_listed(counter: Counter) -> None:
    """A decline is told by webhook too, and is none; nor is what was settled."""
    await counter.shop.control.order([Fault(Call.CAPTURE, FaultKind.DECLINE)])
    declined = await counter.shop.post(await counter.shop.start())
    await counter.hear("transaction", str(declined.transaction_id))
    paid = await counter.pay("again")
    await counter.hear("transaction", str(paid.transaction_id))
    assert await late(counter, all_=True) == []
    assert await counter.shop.due_at() is None
    fields = {"payment_id": str(paid.payment_id), "amount": 75, "currency": "USD"}
    with pytest.raises(TallystickError) as refused:
        await counter.shop.operations.call(SYSTEM, "main", "payments.note_late", str(uuid7()), fields)
    assert refused.value.code == "payments.not_failed"


async def test_it_is_heard_of_from_the_payouts_report_and_seen_to_there(
    counter: Counter, server: EmbeddedServer
) -> None:
    """Every webhook lost: the report names it. Booked as the customer's, it is listed no more; and a rebuild says the same."""
    paid = await counter.pay()
    await counter.refund(paid, amount=75)
    failed = await fail_and_take(counter)
    await counter.shop.control.pay_out("USD")
    await counter.shop.do("payouts.read")
    await counter.shop.work()
    await counter.shop.work()
    await counter.shop.work()
    assert [one.payment_id for one in await late(counter)] == [failed.payment_id]
    (line,) = (await counter.shop.do("payouts.unmatched")).items
    assert line.line.transaction_id == failed.transaction_id
    account = f"customers/{counter.shop.invoice.customer}/unallocated/USD"
    with pytest.raises(TallystickError) as refused:
        await counter.shop.do("payouts.book", line=line.id, account="customers/nobody/unallocated/USD")
    assert refused.value.code == "payouts.account_unusable"
    await counter.shop.do("payouts.book", line=line.id, account=account)
    assert await counter.lies_unallocated() == 75
    (lying,) = (await counter.shop.do("repayments.unallocated")).items
    assert (lying.customer, lying.amount) == (counter.shop.invoice.customer, 75)
    await counter.shop.do("payouts.undo", line=line.id, reason="a slip of the finger")
    assert (await counter.lies_unallocated(), len(await late(counter))) == (0, 1)
    noted = {"payment_id": str(failed.payment_id), "amount": 75, "currency": "USD"}
    before = await counter.shop.operations.call(SYSTEM, "main", "payments.note_late", str(uuid7()), noted)
    await counter.shop.do("payouts.book", line=line.id, account=account)
    assert await late(counter) == []
    assert [one.seen_to for one in await late(counter, all_=True)] == [True]
    after = await counter.shop.operations.call(SYSTEM, "main", "payments.note_late", str(uuid7()), noted)
    assert before == after, "what is kept of a note would hang on the moment"
    await require_the_same_anew(House(counter.shop.operations), server)
