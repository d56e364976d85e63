"""History: every transfer of an account or a subtree once, in order, whichever way the pages are turned."""

import datetime as dt
import random
import uuid

import asyncpg
import numpy as np
import pytest

from tallystick.errors import TallystickError
from tallystick.ledger.model import Batch, Reason, microseconds
from tallystick.ledger.reading import find_places as finding
from tallystick.ledger.reading import merge_dated as merging
from tallystick.ledger.reading.balance import By
from tallystick.ledger.reading.find_places import read_positions
from tallystick.ledger.reading.history import Asked, HistoryPage, PostedTransfer, Turn, find_transfer, page_history
from tests.conftest import House
from tests.db.posting import NOW, Ledgerful, open_ledger
from tests.db.reading import SECOND, Past, rows_of

CODES = [f"customers/{number}" for number in range(20)]
EARLY, LATE = NOW - SECOND * 1000, NOW + SECOND * 1000


async def turn_to(ledger: Ledgerful, asked: Asked, turn: Turn) -> HistoryPage:
    """Ask for one page in one snapshot."""
    async with ledger.pool.acquire() as connection, connection.transaction(isolation="repeatable_read"):
        return await page_history(connection, ledger.book.book_id, asked, turn)


async def read_onwards(ledger: Ledgerful, asked: Asked, limit: int) -> list[PostedTransfer]:
    """Turn the pages from the first to the last."""
    items, after = [], ""
    for _ in range(1000):
        page = await turn_to(ledger, asked, Turn(after=after, limit=limit))
        items += page.items
        if page.next is None:
            return items
        after = page.next
    raise AssertionError("the pages have no end")


async def read_backwards(ledger: Ledgerful, asked: Asked, limit: int) -> list[PostedTransfer]:
    """Turn the pages from the last to the first."""
    items: list[PostedTransfer] = []
    turn = Turn(last=True, limit=limit)
    for _ in range(1000):
        page = await turn_to(ledger, asked, turn)
        items = [*page.items, *items]
        if page.previous is None:
            return items
        turn = Turn(before=page.previous, limit=limit)
    raise AssertionError("the pages have no beginning")


async def make_past(pool: asyncpg.Pool, monkeypatch: pytest.MonkeyPatch, seed: int, dated: float) -> Past:
    """Post random transfers, with everything that is done rarely done often."""
    monkeypatch.setattr(merging, "CHANGES_PER_RUN", 4)
    monkeypatch.setattr(merging, "RUNS_PER_RUN", 3)
    for module in (merging, finding):
        monkeypatch.setattr(module, "BLOCK", 5)
    monkeypatch.setattr(finding, "_FIRST_ROWS", 2)
    print(f"seed {seed}")  # noqa: T201 - a failing seed is told
    past = Past(await open_ledger(pool, *CODES), random.Random(seed))
    await past.post_some(CODES, 60, dated=dated)
    return past


@pytest.mark.parametrize("by", ["recorded", "effective"])
@pytest.mark.parametrize(("seed", "dated"), [(1, 0.0), (2, 0.3), (3, 1.0)])
async def test_each_transfer_of_a_period_is_there_once_both_ways(
    pool: asyncpg.Pool, monkeypatch: pytest.MonkeyPatch, seed: int, dated: float, by: By
) -> None:
    """Turned onwards or backwards, the pages hold what was posted, in order, with the balance after each."""
    past = await make_past(pool, monkeypatch, seed, dated)
    for code in past.chance.sample(CODES, 4):
        since, until = sorted(NOW + SECOND * past.chance.randint(-120, 90) for _ in range(2))
        for since_, until_ in ((since, until), (None, None)):
            expected = past.history(code, since_ or EARLY, until_ or LATE, by)
            asked = Asked(code, since=since_, until=until_, by=by)
            onwards: list[PostedTransfer] = []
            for limit in (2, 50):
                onwards = await read_onwards(past.ledger, asked, limit)
                assert [one.transfer_id for one in onwards] == [one.transfer_id for one in expected]
                assert await read_backwards(past.ledger, asked, limit) == onwards
            balance = past.balance(code, since_, by) if since_ else 0
            for item, told in zip(onwards, expected, strict=True):
                balance += told.moves(code)
                assert item.balance == balance
                assert item.effective_at == told.counts_at("effective")
                assert item.direction == ("credit" if told.credit == code else "debit")


@pytest.mark.parametrize("by", ["recorded", "effective"])
async def test_a_subtree_has_each_transfer_once(pool: asyncpg.Pool, monkeypatch: pytest.MonkeyPatch, by: By) -> None:
    """What moves within a subtree shows once, and accounts whose codes only begin alike are not of it."""
    monkeypatch.setattr(merging, "CHANGES_PER_RUN", 4)
    codes = ["a", "a/1", "a/1/x", "a-b", "a0", "b/1", *(f"c/{number}" for number in range(40)), "a/2"]
    past = Past(await open_ledger(pool, *codes), random.Random(8))
    await past.post_some(codes, 40, dated=0.4)
    for path, inside in (
        ("a", {"a", "a/1", "a/1/x", "a/2"}),
        ("c", {one for one in codes if one[0] == "c"}),
        ("", {*codes}),
    ):
        expected = [one for one in past.told if {one.debit, one.credit} & inside]
        expected.sort(key=lambda one: one.counts_at(by))
        asked = Asked(path, below=True, by=by)
        onwards: list[PostedTransfer] = []
        for limit in (3, 100):
            onwards = await read_onwards(past.ledger, asked, limit)
            assert [one.transfer_id for one in onwards] == [one.transfer_id for one in expected]
            assert await read_backwards(past.ledger, asked, limit) == onwards
        within = [one.transfer_id for one in onwards if one.direction == "within"]
        assert within == [one.transfer_id for one in expected if {one.debit, one.credit} <= inside]


async def test_a_page_may_come_short_and_the_pages_still_hold_everything(
    pool: asyncpg.Pool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An account whose neighbours move all the time is found by pages that each read a bounded number of rows."""
    monkeypatch.setattr(finding, "MOST_ROWS", 8)
    monkeypatch.setattr(finding, "_FIRST_ROWS", 8)
    past = Past(await open_ledger(pool, "bank", "ada", "bob"), random.Random(9))
    for number in range(40):
        past.now += SECOND
        await past.post(("bank", "ada", 1, None), *([("ada", "bob", 1, None)] if number % 19 == 7 else []))
    first = await turn_to(past.ledger, Asked("bob"), Turn(limit=10))
    assert len(first.items) < 3
    assert first.next is not None
    for by in ("recorded", "effective"):
        items = await read_onwards(past.ledger, Asked("bob", by=by), 10)
        assert [one.balance for one in items] == [1, 2]
        assert await read_backwards(past.ledger, Asked("bob", by=by), 10) == items


async def test_a_page_turns_back_from_where_it_went_on(pool: asyncpg.Pool, monkeypatch: pytest.MonkeyPatch) -> None:
    """The previous of the next page is this page, but for the cursor of a first page, which it does not know to be."""
    past = await make_past(pool, monkeypatch, 4, 0.3)
    asked = Asked(CODES[0], by="effective")
    first = await turn_to(past.ledger, asked, Turn(limit=4))
    assert first.previous is None
    assert first.next is not None
    second = await turn_to(past.ledger, asked, Turn(after=first.next, limit=4))
    assert second.previous is not None
    back = await turn_to(past.ledger, asked, Turn(before=second.previous, limit=4))
    assert (back.items, back.next) == (first.items, first.next)


async def test_an_item_says_what_it_relates_to(pool: asyncpg.Pool) -> None:
    """A hold, its capture and release, and a reversal name each other, and only what is posted moves the balance."""
    ledger = await open_ledger(pool, "bank", "ada")
    past = Past(ledger, random.Random(10))
    hold = rows_of(ledger, 1, Reason.HOLD)
    hold["amount"] = 10
    await past.post_batch(Batch(hold, expires_at=np.array([microseconds(NOW + SECOND * 60)])))
    uses = rows_of(ledger, 2, Reason.CAPTURE)
    uses["amount"], uses["reason"] = [4, 0], [Reason.CAPTURE, Reason.RELEASE]
    await past.post_batch(Batch(uses, np.repeat(hold["transfer_id"], 2), references=["order 7", ""]))
    undo = rows_of(ledger, 1, Reason.REVERSAL)
    await past.post_batch(Batch(undo, uses["transfer_id"][:1].copy()))
    held, captured, released, reversed_ = (await turn_to(ledger, Asked("ada"), Turn())).items
    hold_id, capture_id, undo_id = (uuid.UUID(bytes=bytes(rows["transfer_id"][0])) for rows in (hold, uses, undo))
    assert [one.effect for one in (held, captured, released, reversed_)] == ["held", "posted", "freed", "posted"]
    assert [one.amount for one in (held, captured, released, reversed_)] == [10, 4, 6, 4]
    assert [one.balance for one in (held, captured, released, reversed_)] == [0, 4, 4, 0]
    assert [one.direction for one in (held, captured, released, reversed_)] == ["credit", "credit", "credit", "debit"]
    assert held.expires_at == NOW + SECOND * 60
    assert (captured.hold, captured.reference, captured.reversed_by) == (hold_id, "order 7", undo_id)
    assert released.hold == hold_id
    assert (reversed_.reverses, reversed_.hold) == (capture_id, None)
    async with pool.acquire() as connection:
        assert (await find_transfer(connection, ledger.book.book_id, capture_id)).reversed_by == undo_id


def test_positions_are_read_for_the_accounts_asked_for() -> None:
    """The highest bit begins the next account; an account with something posted and something held is one."""
    marked = np.array([0x8000 | 3, 5, 0x8000 | 3, 0x8000 | 1, 7], ">u2").tobytes()
    rows = [(2, 100, bytes([1, 4, 9, 20]), marked), (5, 90, bytes([0]), np.array([0x8000], ">u2").tobytes())]
    for accounts, expected in (
        ([33], [(100, 3), (100, 5)]),
        ([36], [(100, 3)]),
        ([33, 36], [(100, 3), (100, 5)]),
        ([41, 80], [(90, 0), (100, 1), (100, 7)]),
        ([34], []),
    ):
        batches, positions = read_positions(rows, np.array(accounts, np.int64))
        assert list(zip(batches.tolist(), positions.tolist(), strict=True)) == expected


async def test_a_page_is_said_in_one_way(house: House) -> None:
    """After, before and last contradict each other, and an empty code has a history only with all below it."""
    await house.do("ledger.open_account", account="a", asset="USD")
    for fields, field in (
        ({"account": "a", "after": "0.1.1.", "last": True}, "before"),
        ({"account": "a", "after": "0.1.1.", "before": "0.1.1."}, "before"),
        ({"account": ""}, "account"),
        ({"account": "a", "since": "0001-01-01T00:00:00Z"}, "since"),
    ):
        with pytest.raises(TallystickError) as refused:
            await house.do("ledger.history", **fields)
        assert (refused.value.code, refused.value.field) == ("invalid_input", field)
    assert (await house.do("ledger.history", account="", below=True)).items == []
    with pytest.raises(TallystickError) as unknown:
        await house.do("ledger.history", account="b", below=True)
    assert unknown.value.code == "ledger.unknown_account"
    assert (await house.do("ledger.history", account="a", until=dt.datetime(9998, 1, 1, tzinfo=dt.UTC))).next is None
