"""Sweeps: as much as there is, and not more."""

import asyncio

import asyncpg
import pytest

from tallystick.ids import uuid7
from tallystick.ledger.model import Batch, Reason, Status
from tallystick.ledger.post import LOOK_UP_FIRST
from tests.db.posting import Ledgerful
from tests.db.tables import Table, open_every_sort

LARGE = LOOK_UP_FIRST + 50

AS_MUCH_AS_THERE_IS = """
    S1 sweep purse ada 50           → nothing_to_move
    D1 bank  purse 20               → posted
    S1 sweep purse ada 50           → posted 20
    S1 sweep purse ada 50           → known 20
    S1 sweep purse ada 20           → id_conflict amount
    S1 purse ada 20                 → id_conflict kind
    S2 sweep purse ada 1            → nothing_to_move
    S3 sweep bank ada 7             → posted 7
    S4 sweep credit ada 500         → posted 100
    S5 sweep bank jar 40            → posted 40
    S6 sweep bank jar 40            → posted 10
    S7 sweep bank jar 1             → nothing_to_move
    balance ada 127
    balance purse 0
    balance credit -100
    balance jar 50

    S1 sweep purse ada 50           → known 20
    S1 sweep purse ada 20           → id_conflict amount
    S4 sweep credit ada 500         → known 100
    S8 sweep jar  both 90           → posted 50
    S9 sweep both jar  90           → posted 50
    SA sweep both jar  90           → nothing_to_move
"""

WITH_HOLDS = """
    D1 bank  purse 20               → posted
    H1 hold purse ada 15            → posted
    S1 sweep purse bob 50           → posted 5
    S2 sweep purse bob 50           → nothing_to_move
    C1 capture H1 10                → posted
    S3 sweep purse bob 50           → nothing_to_move
    R1 release H1                   → posted 5
    S4 sweep purse bob 50           → posted 5
    H2 hold bank jar 30             → posted
    S5 sweep bank jar 50            → posted 20
    R2 release H2                   → posted
    S6 sweep bank jar 50            → posted 30
    V1 reverse S6                   → posted 30
    V2 reverse S4                   → posted 5
    balance purse 5
    balance jar 20
"""

TABLES = {"as_much_as_there_is": AS_MUCH_AS_THERE_IS, "with_holds": WITH_HOLDS}
each_table = pytest.mark.parametrize("name", TABLES)


@pytest.fixture
async def ledger(pool: asyncpg.Pool) -> Ledgerful:
    """Give a book with accounts of every sort."""
    return await open_every_sort(pool)


@each_table
async def test_a_sweep_moves_as_much_as_there_is(ledger: Ledgerful, name: str) -> None:
    """A sweep is told what it moved, and told the same again; the log proves what is left."""
    await Table(ledger).play(TABLES[name])
    await ledger.seal()
    found = await ledger.verify()
    assert found.ok, found.findings


@each_table
async def test_sweeps_answer_one_by_one_as_in_a_batch(ledger: Ledgerful, name: str) -> None:
    """Cutting a batch changes no answer."""
    await Table(ledger).play(TABLES[name], one_by_one=True)


@each_table
async def test_sweeps_answer_in_a_large_batch_as_in_a_small_one(ledger: Ledgerful, name: str) -> None:
    """The way of a batch that is written before its ids are looked up comes to the same answers."""
    await Table(ledger).play(TABLES[name], beside=LOOK_UP_FIRST + 1)


async def test_a_large_batch_of_sweeps_is_known_when_it_comes_again(ledger: Ledgerful) -> None:
    """What a sweep moved is its first answer, though there is nothing left to move."""
    await ledger.move(("bank", "purse", LARGE))
    rows = ledger.batch([(uuid7(), "purse", "ada", 2) for _ in range(LARGE)])
    rows["reason"] = Reason.SWEEP
    batch = Batch(rows)
    expected = [Status.POSTED] * (LARGE // 2) + [Status.NOTHING_TO_MOVE] * (LARGE // 2)
    assert await ledger.post(batch) == expected
    again = await ledger.judge(batch)
    expected = [Status.KNOWN] * (LARGE // 2) + [Status.NOTHING_TO_MOVE] * (LARGE // 2)
    assert again.statuses.tolist() == expected
    assert set(again.amounts[: LARGE // 2].tolist()) == {2}
    await ledger.move(("bank", "purse", 1))
    last = await ledger.judge(batch)
    assert (last.statuses[LARGE // 2], last.amounts[LARGE // 2]) == (Status.POSTED, 1)


async def test_sweeps_at_once_move_together_what_there_is(ledger: Ledgerful) -> None:
    """Of ten sweeps of up to 8 out of 30 at once, all that there is goes, once."""
    await ledger.move(("bank", "purse", 30))
    table = Table(ledger)
    batches = [table.batch([["-", "sweep", "purse", "ada", "8"]]) for _ in range(10)]
    outcomes = await asyncio.gather(*(ledger.judge(batch) for batch in batches))
    moved = sorted(int(one.amounts[0]) for one in outcomes if one.statuses[0] == Status.POSTED)
    assert moved == [6, 8, 8, 8]
    assert await ledger.balance("purse") == 0
