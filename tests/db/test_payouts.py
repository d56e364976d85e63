"""Payouts in the store: the same from their messages alone, once however many say so at once, and quick however long a report."""

import asyncio
import time

import pytest
import pytest_asyncio

from tallystick.db.embedded import EmbeddedServer
from tallystick.errors import TallystickError
from tallystick.operations.payouts import match_waiting
from tests.conftest import House
from tests.db.paid_out import Desk, charge, line, open_desk
from tests.db.test_rebuild import rebuilt, said


@pytest_asyncio.fixture
async def desk(house: House) -> Desk:
    """Open a book that takes payments at a provider."""
    return open_desk(house)


async def make_payouts_of_every_kind(desk: Desk) -> None:
    """Record payouts, find lines, match and book by hand, take back, let one fail and another arrive."""
    await desk.do("ledger.ensure_asset", asset="EUR", exponent=2)
    await desk.do("ledger.open_account", account="differences", asset="USD")
    taken, late, euros = await desk.take(1_000), await desk.take(400, settle=False), await desk.take(900, asset="EUR")
    await desk.refund(taken, 100, "ref_1")
    await desk.dispute(taken, 300, "dis_1", "open")
    first = [
        charge(taken, 1_000, 39),
        charge(late, 400, 31),
        charge(euros, 985, 5),
        line("refund", -100, transaction_id=taken, refund_id="ref_1"),
        line("dispute", -300, 1_500, transaction_id=taken, dispute_id="dis_1"),
        line("adjustment", 2_000),
        line("fee", -10),
    ]
    recorded = await desk.record(first, "po_1", status="pending")
    await desk.settle(late)
    await match_waiting(desk.operations, "main")
    exchanged, adjusted = await desk.unmatched()
    await desk.do("payouts.match", line=exchanged.id, partner="charge", partner_id=str(desk.payments[euros]))
    await desk.do("payouts.book", line=adjusted.id, account="differences")
    await desk.do("payouts.undo", line=adjusted.id, reason="not there")
    await desk.do("payouts.book", line=adjusted.id)
    await desk.carry("payouts.status", id=str(recorded.payout_id), status="failed")
    again = await desk.record([line("adjustment", recorded.payout.amount, description="payout po_1 failed")], "po_2")
    (entry,) = await desk.enter_statement(recorded.payout.amount)
    await desk.do("payouts.arrive", id=str(again.payout_id), entry=entry)
    await desk.record(first[:1], "po_3")


async def test_payouts_come_out_the_same_from_their_messages_alone(
    desk: Desk, house: House, server: EmbeddedServer
) -> None:
    """Reports, matches, what was taken back and what arrived: a rebuild makes each row anew."""
    await make_payouts_of_every_kind(desk)
    assert await desk.unmatched() == []
    assert not said(await rebuilt(house, server))


async def test_a_report_recorded_by_many_at_once_counts_once(desk: Desk) -> None:
    """Eight workers read the same payout at the same time: one payout, one match for each line, the money once."""
    lines = [charge(await desk.take(500), 500, 10), charge(await desk.take(300), 300)]
    answers = await asyncio.gather(*(desk.record(lines) for _ in range(8)))
    assert len({one.payout_id for one in answers}) == 1
    assert await desk.money() == (0, 790, 10)
    assert await desk.operations.pool.fetchval("SELECT count(*) FROM payout_match") == 2


async def test_of_two_who_say_what_a_line_is_one_is_told_that_it_is_said(desk: Desk) -> None:
    """Two operators book the same line at once: it is booked once."""
    await desk.record([line("adjustment", 70)])
    (waiting,) = await desk.unmatched()

    async def book() -> str:
        try:
            await desk.do("payouts.book", line=waiting.id)
        except TallystickError as error:
            return error.code
        return "booked"

    assert sorted(await asyncio.gather(*(book() for _ in range(4)))) == ["booked", *["payouts.line_matched"] * 3]
    assert await desk.balance("adjustments/sandbox/USD") == 70


async def test_an_account_of_payouts_that_is_closed_keeps_nothing(desk: Desk) -> None:
    """The fees' account is closed: the report is refused whole, and is taken once another account is there to take it."""
    taken = await desk.take(500)
    await desk.do("ledger.open_account", account="fees/sandbox/USD", asset="USD")
    await desk.do("ledger.close_account", account="fees/sandbox/USD")
    with pytest.raises(TallystickError) as refused:
        await desk.record([charge(taken, 500, 10)])
    assert refused.value.code == "payouts.account_unusable"
    assert (await desk.do("payouts.list")).items == []
    assert await desk.money() == (500, 0, 0)


async def test_a_report_of_thousands_of_lines_is_found_in_a_few_seconds(desk: Desk) -> None:
    """Each page of lines is a few statements, however many payments there are."""
    taken = await desk.take(100)
    lines = [charge(taken, 100), *(charge(f"tra_none_{at}", 100, 1) for at in range(3_999))]
    began = time.monotonic()
    parts = {"amount": 100 + 3_999 * 99, "of": 4_000, "version": "b" * 64}
    await desk.do("payouts.record", **desk.report(lines[:2_000], **parts))
    told = await desk.do("payouts.record", **desk.report(lines[2_000:], **parts, first=2_001))
    assert (told.payout.matched, told.payout.unmatched) == (1, 3_999)
    page = await desk.do("payouts.unmatched", limit=1_000)
    assert len(page.items) == 1_000
    assert page.next is not None
    assert time.monotonic() - began < 20
