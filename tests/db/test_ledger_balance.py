"""Balance: now and at any past instant, by either time, whatever came later."""

import datetime as dt
import random

import asyncpg
import pytest

from tallystick.ledger import seal as sealing
from tallystick.ledger.model import Balance, Batch, Reason, microseconds
from tallystick.ledger.reading import merge_dated as merging
from tallystick.ledger.reading.balance import By, find_balance
from tallystick.ledger.reading.merge_dated import sort_again
from tests.conftest import House
from tests.db.posting import NOW, Ledgerful, open_ledger
from tests.db.reading import SECOND, Past, rows_of

CODES = [f"customers/{number}" for number in range(20)]
DAY = dt.timedelta(days=1)


async def ask(ledger: Ledgerful, code: str, at: dt.datetime | None = None, by: By = "recorded") -> Balance:
    """Ask for a balance."""
    async with ledger.pool.acquire() as connection:
        return await find_balance(connection, ledger.book.ledger, code, at, by)


@pytest.fixture
async def ledger(pool: asyncpg.Pool) -> Ledgerful:
    """Give a book with a bank and Ada."""
    return await open_ledger(pool, "bank", "ada")


@pytest.mark.parametrize("seed", [1, 2])
@pytest.mark.parametrize("dated", [0.0, 0.3, 1.0])
async def test_a_balance_at_any_instant_is_the_sum_of_what_counts_then(
    pool: asyncpg.Pool, monkeypatch: pytest.MonkeyPatch, seed: int, dated: float
) -> None:
    """Whether snapshots, runs and merges of runs lie between or not, it is the plain sum by either time."""
    monkeypatch.setattr(sealing, "CHANGES_PER_SNAPSHOT", 8)
    monkeypatch.setattr(merging, "CHANGES_PER_RUN", 4)
    monkeypatch.setattr(merging, "RUNS_PER_RUN", 3)
    monkeypatch.setattr(merging, "BLOCK", 5)
    print(f"seed {seed}")  # noqa: T201 - a failing seed is told
    past = Past(await open_ledger(pool, *CODES), random.Random(seed))
    await past.post_some(CODES, 60, dated=dated)
    instants = [NOW + SECOND * past.chance.randint(-200, 120) for _ in range(25)]
    for at in instants:
        for code in past.chance.sample(CODES, 3):
            for by in ("recorded", "effective"):
                found = await ask(past.ledger, code, at, by)
                assert found.balance == past.balance(code, at + dt.timedelta(microseconds=1), by), (at, code, by)
                assert found.credits - found.debits == found.balance
    for code in CODES:
        assert (await ask(past.ledger, code)).balance == past.balance(code, None, "recorded")


async def test_what_is_sorted_can_be_made_anew(
    pool: asyncpg.Pool, owner: asyncpg.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The runs and their snapshots come from the dated changes alone: thrown away and made again they say the same."""
    monkeypatch.setattr(merging, "CHANGES_PER_RUN", 4)
    past = Past(await open_ledger(pool, *CODES), random.Random(3))
    await past.post_some(CODES, 50, dated=0.5)
    await past.ledger.seal()
    asked = [(code, NOW + SECOND * at) for code in CODES[:6] for at in range(-150, 60, 30)]
    before = [await ask(past.ledger, code, at, "effective") for code, at in asked]
    async with pool.acquire() as connection, connection.transaction():
        assert await sort_again(connection, past.ledger.book.book_id) == 2
    assert [await ask(past.ledger, code, at, "effective") for code, at in asked] == before
    assert await owner.fetchval("SELECT count(*) FROM dated_snapshot") > 10


async def test_runs_are_merged_so_that_there_are_few(
    pool: asyncpg.Pool, owner: asyncpg.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However many dated changes, a page has fewer than two levels' worth of small runs and what is not sorted is short."""
    monkeypatch.setattr(merging, "CHANGES_PER_RUN", 2)
    monkeypatch.setattr(merging, "RUNS_PER_RUN", 3)
    past = Past(await open_ledger(pool, "bank", "ada"), random.Random(4))
    for number in range(60):
        await past.post(("bank", "ada", 1, NOW - SECOND * number))
        await past.ledger.seal()
    levels = [row["level"] for row in await owner.fetch("SELECT level FROM dated_run ORDER BY through")]
    assert levels == sorted(levels, reverse=True)
    assert levels.count(1) < 3
    assert levels.count(2) < 3
    unsorted = await owner.fetchval(
        "SELECT count(*) FROM dated_change WHERE batch_id > (SELECT max(through) FROM dated_run)"
    )
    assert unsorted < 2
    assert (await ask(past.ledger, "ada", NOW - SECOND * 30, "effective")).balance == 30


async def test_transfers_without_an_effective_time_leave_nothing_to_sort(
    ledger: Ledgerful, owner: asyncpg.Connection
) -> None:
    """Who gives no effective times pays nothing for them."""
    for _ in range(5):
        await ledger.move(("bank", "ada", 1))
    await ledger.seal()
    assert await owner.fetchval("SELECT count(*) FROM dated_change") == 0


async def test_recorded_time_runs_in_the_order_of_the_log(ledger: Ledgerful) -> None:
    """A batch that a slow clock dated back counts from when the one before it counts, sealed or not."""
    past = Past(ledger, random.Random(5))
    past.now = NOW + SECOND * 10
    await past.post(("bank", "ada", 1, None))
    past.now = NOW
    await past.post(("bank", "ada", 2, None))
    for _ in range(2):
        assert (await ask(ledger, "ada", NOW)).balance == 0
        assert (await ask(ledger, "ada", NOW + SECOND * 9)).balance == 0
        assert (await ask(ledger, "ada", NOW + SECOND * 10)).balance == 3
        await ledger.seal()


async def test_what_is_held_counts_by_recorded_time(ledger: Ledgerful) -> None:
    """A capture under an effective time moves the balance back then; what it frees was held until it was recorded."""
    past = Past(ledger, random.Random(6))
    await past.post(("ada", "bank", 5, None))
    past.now = NOW + SECOND * 10
    hold = rows_of(ledger, 1, Reason.HOLD)
    hold["amount"] = 40
    hold["effective_at"] = microseconds(NOW - DAY)
    await past.post_batch(Batch(hold))
    past.now = NOW + SECOND * 20
    capture = rows_of(ledger, 1, Reason.CAPTURE)
    capture["amount"] = 30
    capture["effective_at"] = microseconds(NOW + SECOND * 5)
    await past.post_batch(Batch(capture, hold["transfer_id"].copy()))

    async def both(seconds: int) -> list[tuple[int, int, int]]:
        found = [await ask(ledger, "bank", NOW + SECOND * seconds, by) for by in ("recorded", "effective")]
        return [(one.balance, one.held, one.available) for one in found]

    for _ in range(2):
        assert await both(-1) == [(0, 0, 0), (0, 0, 0)]
        assert await both(0) == [(5, 0, 5), (5, 0, 5)]
        assert await both(5) == [(5, 0, 5), (-25, 0, -25)]
        assert await both(10) == [(5, 40, -35), (-25, 40, -65)]
        assert await both(20) == [(-25, 10, -35), (-25, 10, -35)]
        assert (await ask(ledger, "ada", NOW + SECOND * 15)).incoming == 40
        await ledger.seal()


async def test_sums_beyond_64_bits_are_exact_by_effective_time_too(
    ledger: Ledgerful, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Sums of many large amounts are whole numbers of any size."""
    monkeypatch.setattr(merging, "CHANGES_PER_RUN", 2)
    past = Past(ledger, random.Random(7))
    for number in range(5):
        await past.post(("bank", "ada", 2**63 - 1, NOW - SECOND * number))
        await ledger.seal()
    assert (await ask(ledger, "ada", NOW, "effective")).balance == 5 * (2**63 - 1)
    assert (await ask(ledger, "ada", NOW - SECOND * 2, "effective")).balance == 3 * (2**63 - 1)


async def test_a_balance_is_asked_of_an_instant(house: House) -> None:
    """The operation answers as of an instant, and by effective time as of now when none is given."""
    for account in ("bank", "ada"):
        await house.do("ledger.open_account", account=account, asset="USD")
    for number, effective_at in ((1, "2015-06-01T00:00:00Z"), (2, "2115-06-01T00:00:00Z")):
        await house.do(
            "ledger.transfer", id=f"0190000{number}-0000-7000-8000-000000000000", debit="bank", credit="ada",
            amount=number, effective_at=effective_at,
        )  # fmt: skip
    assert (await house.do("ledger.balance", account="ada")).balance == 3
    assert (await house.do("ledger.balance", account="ada", by="effective")).balance == 1
    assert (await house.do("ledger.balance", account="ada", by="effective", at="2015-05-31T23:59:59Z")).balance == 0
    assert (await house.do("ledger.balance", account="ada", by="effective", at="2116-01-01T00:00:00Z")).balance == 3
    assert (await house.do("ledger.balance", account="ada", at="2015-06-02T00:00:00Z")).balance == 0
