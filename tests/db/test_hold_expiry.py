"""Holds end by themselves when their time has run out, whenever that is looked at."""

import datetime as dt
import uuid

import asyncpg
import pytest

from tallystick.clock import FixedClock
from tallystick.ids import uuid7
from tallystick.ledger import find_due_holds
from tallystick.operations.run import Operations
from tallystick.operations.work_holds import expire_due
from tests.conftest import House

START = dt.datetime(2026, 11, 1, tzinfo=dt.UTC)


class _Shop:
    """A house whose clock is set by hand, with accounts to hold on."""

    def __init__(self, house: House) -> None:
        self.clock = FixedClock(START)
        self.house = House(Operations(house.operations.pool, self.clock, house.operations.table))

    async def open(self) -> None:
        for code in ("bank", "ada", "shop"):
            await self.house.do("ledger.open_account", account=code, asset="USD")

    async def hold(self, amount: int, seconds: int | None) -> uuid.UUID:
        hold_id = uuid7()
        expires = {} if seconds is None else {"expires_at": START + dt.timedelta(seconds=seconds)}
        await self.house.do("ledger.hold", id=hold_id, debit="ada", credit="shop", amount=amount, **expires)
        return hold_id

    async def held(self) -> int:
        balance = await self.house.do("ledger.balance", account="ada")
        held: int = balance.held
        return held

    async def expire(self, seconds: int) -> int:
        self.clock.at = START + dt.timedelta(seconds=seconds)
        return await expire_due(self.house.operations, "main", 1)


@pytest.fixture
async def shop(house: House) -> _Shop:
    """Give the shop."""
    opened = _Shop(house)
    await opened.open()
    return opened


async def test_a_hold_expires_on_time_and_no_earlier(shop: _Shop) -> None:
    """What is due ends, what is not stays, what never expires stays for ever."""
    await shop.hold(1, 10)
    await shop.hold(2, 20)
    await shop.hold(4, None)
    assert (await shop.expire(9), await shop.held()) == (0, 7)
    assert (await shop.expire(10), await shop.held()) == (1, 6)
    assert (await shop.expire(10), await shop.held()) == (0, 6)
    assert (await shop.expire(10_000), await shop.held()) == (1, 4)


async def test_an_expired_hold_gives_back_what_was_not_captured_and_is_captured_no_more(shop: _Shop) -> None:
    """A part that was captured stays captured; the rest is free, and nothing more can be taken."""
    hold_id = await shop.hold(10, 5)
    await shop.house.do("ledger.capture", id=uuid7(), hold=hold_id, amount=4)
    assert (await shop.expire(5), await shop.held()) == (1, 0)
    with pytest.raises(Exception, match="Nothing is left of the hold") as refused:
        await shop.house.do("ledger.capture", id=uuid7(), hold=hold_id, amount=1)
    assert getattr(refused.value, "code", "") == "ledger.hold_ended"
    assert (await shop.house.do("ledger.balance", account="ada")).balance == -4


async def test_more_holds_than_one_message_takes_all_expire(shop: _Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever has more due than fit into one look goes on until none is left."""
    monkeypatch.setattr(find_due_holds, "MOST_DUE", 3)
    for _ in range(7):
        await shop.hold(1, 5)
    assert (await shop.expire(6), await shop.held()) == (7, 0)


async def test_holds_of_any_size_expire_together(shop: _Shop) -> None:
    """What is too much for one batch to free is freed by two."""
    for _ in range(3):
        await shop.hold(2**62, 5)
    assert (await shop.expire(6), await shop.held()) == (3, 0)


async def test_a_clock_that_goes_back_does_not_lose_a_hold(shop: _Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    """What was due by the clock that looked, and not yet by the clock that ended it, is ended by the next look."""
    await shop.hold(3, 10)
    late = iter([START + dt.timedelta(seconds=11), START + dt.timedelta(seconds=9)])
    monkeypatch.setattr(shop.clock, "now", lambda: next(late))
    assert await expire_due(shop.house.operations, "main", 1) == 0
    monkeypatch.undo()
    assert (await shop.held(), await shop.expire(12), await shop.held()) == (3, 1, 0)


async def test_a_hold_that_is_committed_late_is_not_missed(
    shop: _Shop, owner: asyncpg.Connection, pool: asyncpg.Pool
) -> None:
    """A pass that goes by while a transaction is under way looks at that transaction's holds again."""
    blocker = await pool.acquire()
    transaction = blocker.transaction()
    await transaction.start()
    await blocker.fetchval("SELECT transaction_order()")
    await shop.hold(5, 5)
    passed_at = await owner.fetchval("SELECT count(*) FROM hold")
    assert (passed_at, await shop.expire(60)) == (1, 1)
    before = await owner.fetchval("SELECT before FROM hold_expiry_pass")
    assert before <= await blocker.fetchval("SELECT transaction_order()")
    await transaction.rollback()
    await pool.release(blocker)
    assert (await shop.expire(61), await shop.held()) == (0, 0)
