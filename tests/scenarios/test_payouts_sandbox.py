"""Payouts of a real sandbox: whatever it pays out, and however it reports it, book and provider agree on what it holds."""

import asyncio
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest
import pytest_asyncio

from tallystick.clock import SystemClock
from tallystick.db.embedded import EmbeddedServer
from tallystick.operations.carry_disputes import carry_disputes
from tallystick.operations.carry_payments import carry_payments
from tallystick.operations.carry_refunds import carry_refunds
from tallystick.operations.run import Operations
from tallystick.operations.work_payouts import ask_for_lists, carry_payouts
from tallystick.operations.work_queues import QueueWorker, take_over
from tallystick.payments import wake
from tallystick.payments.disputes.queue import dispute_jobs
from tallystick.payments.providers.protocol import ProviderPayout
from tallystick.payments.providers.registry import Providers
from tallystick.payments.providers.sandbox.balance import fee_of
from tallystick.payments.providers.sandbox.change import Call
from tallystick.payments.providers.sandbox.client import SandboxProvider
from tallystick.payments.providers.sandbox.control import SandboxControl
from tallystick.payments.providers.sandbox.faults import Fault
from tallystick.payments.providers.sandbox.spoil import Flaw
from tallystick.queues.enqueue import enqueue
from tests.conftest import House
from tests.db.paid_out import NOW, Desk
from tests.db.test_repayments_at_once import require_the_same_anew
from tests.scenarios.giving_back import open_counter
from tests.scenarios.paying import LOST_ANSWERS, Till, open_till

_PATIENCE = 20.0


@pytest_asyncio.fixture
async def till(tmp_path: Path) -> AsyncIterator[Till]:
    """Start a sandbox: one that others are paid through has payouts of theirs on its list."""
    async with open_till(tmp_path) as opened:
        yield opened


@dataclass(slots=True)
class Shop(Desk):
    """A book that really takes payments at a sandbox, with a worker such as the server has."""

    control: SandboxControl | None = None

    @property
    def sandbox(self) -> SandboxControl:
        """Return the sandbox's other door."""
        assert self.control is not None
        return self.control

    @property
    def worker(self) -> QueueWorker:
        """Return the worker of the queues."""
        found: QueueWorker = self.operations.resources[QueueWorker]
        return found

    async def sell(self, amount: int) -> str:
        """Let a customer pay an invoice; return the provider's transaction."""
        invoice = await self.owe(amount, due_on="2999-12-31")
        request = {"user": "ada", "email": "ada@example.com", "timestamp": NOW.isoformat(), "payment_type": "credit"}
        started = await self.do("payments.start", **request, invoice_id=str(invoice))
        done = await self.do("payments.post", **request, transaction_id=started.transaction_id, amount=amount)
        assert done.status == "settled"
        self.payments[started.transaction_id] = started.payment_id
        return str(started.transaction_id)

    async def look(self, *payouts: ProviderPayout) -> None:
        """Have the provider's list looked through, and wait until payouts on it have been read."""
        assert (await self.do("payouts.read")).providers == ["sandbox"]
        assert await self.worker.settled("main", "payouts", "sandbox", _PATIENCE)
        for one in payouts:
            assert await self.worker.settled("main", "payouts", f"sandbox/{one.id}", _PATIENCE)

    async def hear_of_dispute(self, dispute: str) -> None:
        """Have a dispute looked at, as a webhook would."""
        await self.operations.work(
            lambda connection: enqueue(connection, 1, dispute_jobs([("sandbox", dispute)], self.operations.clock.now()))
        )
        self.worker.wake()
        assert await self.worker.settled("main", "disputes", f"sandbox/{dispute}", _PATIENCE)

    async def unreported(self) -> int:
        """Return what the book has of the provider's money and no report has named, before fees."""
        (said,) = [one for one in (await self.do("payouts.balance")).items if one.asset == "USD"]
        return int(said.unreported)

    async def owed(self) -> int:
        """Return what the sandbox says it owes, after its fees."""
        return (await self.sandbox.holdings()).owed.get("USD", 0)


@pytest_asyncio.fixture
async def shop(house: House, till: Till) -> AsyncIterator[Shop]:
    """Open a book whose customers pay at the sandbox."""
    operations = Operations(house.operations.pool, SystemClock(), house.operations.table)
    handlers = {
        wake.QUEUE: carry_payments, "refunds": carry_refunds, "disputes": carry_disputes, "payouts": carry_payouts,
    }  # fmt: skip
    worker = operations.resources[QueueWorker] = QueueWorker(operations, handlers)
    url = till.process.url
    async with SandboxProvider(url, till.secret) as provider, SandboxControl(url, till.secret) as control:
        operations.resources[Providers] = Providers.only(provider)
        working = asyncio.create_task(worker.run())
        yield Shop(operations, house.operations.clock, control=control)  # type: ignore[arg-type]  # the clock that goes on by itself is not set by hand
        working.cancel()
        await asyncio.gather(working, return_exceptions=True)


async def test_what_the_sandbox_pays_out_is_found_and_both_agree_on_what_it_holds(shop: Shop) -> None:
    """Charges, a refund, a dispute won, one open, a fee: each unit is found, whoever is asked where it is."""
    first, second, third = [await shop.sell(amount) for amount in (10_000, 2_500, 4_000)]
    fields = {"payment_id": str(shop.payments[first]), "amount": 1_000, "take_from": "invoice", "reason": "damaged"}
    assert (await shop.do("payments.refund", **fields)).status == "succeeded"
    won = await shop.sandbox.open_dispute(second)
    await shop.hear_of_dispute(won.id)
    await shop.sandbox.decide_dispute(won.id, won=True)
    await shop.hear_of_dispute(won.id)
    await shop.hear_of_dispute((await shop.sandbox.open_dispute(third)).id)
    await shop.sandbox.charge_fee(300, "USD")
    paid = await shop.sandbox.pay_out("USD")
    await shop.sell(700)
    await shop.look(paid)
    payout = next(one for one in (await shop.do("payouts.list")).items if one.provider_id == paid.id)
    ours = [one for one in await shop.unmatched() if one.payout == paid.id]
    assert (payout.amount, payout.unmatched, ours) == (paid.amount, 0, [])
    assert payout.status == "paid"
    assert await shop.unreported() == 700
    assert await shop.owed() == 700 - fee_of(700)
    assert (await shop.money())[1] == paid.amount


async def test_a_report_whose_last_line_comes_late_is_taken_when_it_is_whole(shop: Shop) -> None:
    """Read too early nothing of it is kept; the queue reads it again, and then all of it is there."""
    await shop.sell(1_000)
    await shop.sell(500)
    paid = await shop.sandbox.pay_out("USD", Flaw.LATE_LINE)
    await ask_for_lists(shop.operations)
    async with asyncio.timeout(_PATIENCE):
        while not (await shop.do("payouts.list")).items:
            assert await shop.worker.settled("main", "payouts", f"sandbox/{paid.id}", _PATIENCE)
            await asyncio.sleep(0.05)  # between two tries the job only waits for its time
    (payout,) = (await shop.do("payouts.list")).items
    assert (payout.provider_id, payout.lines, payout.unmatched) == (paid.id, 2, 0)
    assert await shop.unreported() == 0 == await shop.owed()


@pytest.mark.parametrize("flaw", [Flaw.WRONG_LINE, Flaw.UNKNOWN_LINE, Flaw.MISSING_LINE])
async def test_a_flaw_of_a_report_is_listed_and_the_rest_is_found(shop: Shop, flaw: Flaw) -> None:
    """A line of another amount, one of a charge that nobody made, one that is missing: that one is told, the others are found."""
    transactions = {await shop.sell(amount) for amount in (1_000, 500, 300)}
    paid = await shop.sandbox.pay_out("USD", flaw)
    await shop.look(paid)
    (payout,) = (await shop.do("payouts.list")).items
    waiting = await shop.unmatched()
    left = {one.provider_id for one in (await shop.do("payouts.unreported", days=0)).items}
    if flaw is Flaw.MISSING_LINE:
        assert (payout.unmatched, waiting, len(left)) == (0, [], 1)
        assert left < transactions
        return
    (one,) = waiting
    assert payout.unmatched == 1
    if flaw is Flaw.WRONG_LINE:
        assert await shop.unreported() == one.partners[0].amount
        assert one.line.transaction_id in transactions
        assert str(one.partners[0].id) == str(shop.payments[one.line.transaction_id])
        assert "of another amount" in one.why_not
        assert left == {one.line.transaction_id}
        await shop.do("ledger.open_account", account="rounding", asset="USD")
        said = {"line": one.id, "partner": "charge", "partner_id": str(one.partners[0].id), "difference_to": "rounding"}
        await shop.do("payouts.match", **said)
        assert await shop.balance("rounding") == 1
        assert await shop.unreported() == 0 == (await shop.money())[0]
    else:
        assert "no payment of ours has the id" in one.why_not
        assert left == set()
        assert await shop.unreported() == 0


async def test_a_payout_that_the_bank_sends_back_is_heard_of_and_paid_again(shop: Shop) -> None:
    """Its money is held by the provider again, and with the next payout on its way; no fee and no charge counts twice."""
    await shop.sell(1_000)
    first = await shop.sandbox.pay_out("USD")
    await shop.look(first)
    assert await shop.money() == (0, first.amount, fee_of(1_000))
    await shop.sandbox.fail_payout(first.id)
    await shop.look()
    assert (await shop.do("payouts.list")).items[0].status == "failed"
    assert await shop.money() == (first.amount, 0, fee_of(1_000))
    assert await shop.unreported() == first.amount == await shop.owed()
    again = await shop.sandbox.pay_out("USD")
    await shop.look(again)
    assert await shop.unmatched() == []
    assert await shop.money() == (0, first.amount, fee_of(1_000))


async def test_reading_everything_again_changes_nothing(shop: Shop) -> None:
    """However often the lists are looked through, each payout is recorded once and moves its money once."""
    await shop.sell(1_000)
    paid = await shop.sandbox.pay_out("USD")
    await shop.look(paid)
    before = await shop.money(), (await shop.do("payouts.list")).items
    messages = await shop.operations.pool.fetchval("SELECT count(*) FROM message")
    for _ in range(3):
        await ask_for_lists(shop.operations)
        assert await shop.worker.settled("main", "payouts", "sandbox", _PATIENCE)
    assert before == (await shop.money(), (await shop.do("payouts.list")).items)
    assert await shop.operations.pool.fetchval("SELECT count(*) FROM message") == messages


async def test_a_dispute_that_nobody_told_of_is_heard_of_from_the_report(shop: Shop) -> None:
    """Webhooks can be lost: the line of a payout that names a dispute has it looked at, and is found to be it."""
    await shop.sell(5_000)
    disputed = await shop.sandbox.open_dispute(await shop.sell(900))
    payout = await shop.sandbox.pay_out("USD")
    await shop.look(payout)
    assert await shop.worker.settled("main", "disputes", f"sandbox/{disputed.id}", _PATIENCE)
    assert [one.status for one in (await shop.do("disputes.list")).items] == ["open"]
    await shop.look(payout)
    assert await shop.unmatched() == []


async def test_lost_answers_about_payouts_are_asked_for_again(house: House, till: Till) -> None:
    """However the answers to the list and to the report are lost, and however often, the payout is recorded once, and whole."""
    async with open_counter(house, till) as counter:
        await counter.pay()
        paid = await counter.shop.control.pay_out("USD")
        await counter.shop.control.order(
            Fault(call, kind) for call in (Call.LIST_PAYOUTS, Call.READ_PAYOUT) for kind in LOST_ANSWERS
        )
        await counter.shop.do("payouts.read")
        for _ in range(2 * len(LOST_ANSWERS) + 2):
            await counter.shop.wait_and_work()
        (payout,) = (await counter.shop.do("payouts.list")).items
        assert (payout.provider_id, payout.amount, payout.lines, payout.unmatched) == (paid.id, paid.amount, 1, 0)
        assert await counter.balance("payouts/sandbox/USD") == -paid.amount


async def test_a_kill_in_the_middle_of_a_long_report_changes_nothing(
    shop: Shop, till: Till, database_url: str, server: EmbeddedServer
) -> None:
    """The process that records a report part by part is killed on the way: it is there once, whole, and adds up."""
    shop.worker.handlers = {wake.QUEUE: carry_payments}
    await shop.sell(90_000)
    await asyncio.gather(*(shop.sandbox.charge_fee(nth, "USD", f"fee {nth}") for nth in range(1, _FEES + 1)))
    paid = await shop.sandbox.pay_out("USD")
    await shop.do("payouts.read")
    kept = 0
    for share in (2, 1):
        async with _reading(database_url, till) as process:
            async with asyncio.timeout(_PATIENCE):
                while kept < (_FEES + 1) // share:
                    await asyncio.sleep(0.005)
                    kept = await shop.operations.pool.fetchval("SELECT count(*) FROM payout_line")
                if share == 1:
                    await _until_settled(shop, f"sandbox/{paid.id}")
            assert kept <= _FEES or share == 1
            process.kill()
        await take_over(shop.operations)
    (payout,) = (await shop.do("payouts.list")).items
    fees = sum(range(1, _FEES + 1))
    assert (payout.lines, payout.unmatched, payout.amount) == (_FEES + 1, 0, paid.amount)
    assert payout.fees == fees + fee_of(90_000)
    assert await shop.money() == (0, paid.amount, payout.fees)
    assert (kept, await shop.owed()) == (_FEES + 1, 0)
    await require_the_same_anew(House(shop.operations), server)


_FEES = 100


@asynccontextmanager
async def _reading(database_url: str, till: Till) -> AsyncIterator[asyncio.subprocess.Process]:
    """Give a process that reads payouts, and is killed in the end."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "tests.scenarios.payouts_process", database_url, till.process.url, till.secret, "5",
        cwd=Path(__file__).parents[2],
    )  # fmt: skip
    try:
        yield process
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()


async def _until_settled(shop: Shop, key: str) -> None:
    """Wait until another process has done a job of payouts."""
    while await shop.operations.pool.fetchval("SELECT count(*) FROM job WHERE key = $1", key):  # noqa: ASYNC110 - it is another process that does it
        await asyncio.sleep(0.02)
