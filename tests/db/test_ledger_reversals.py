"""Reversals: back where it came from, once."""

import asyncio

import asyncpg
import numpy as np
import pytest

from tallystick.ids import uuid7
from tallystick.ledger.model import Batch, Reason, Status, transfers
from tallystick.ledger.post import LOOK_UP_FIRST
from tests.db.posting import Ledgerful
from tests.db.tables import Table, open_every_sort

LARGE = LOOK_UP_FIRST + 50

ONCE = """
    T1 bank  purse 10               → posted
    V1 reverse T1                   → posted 10
    V1 reverse T1                   → known 10
    V2 reverse T1                   → already_reversed
    T2 bank  purse 10               → posted
    V1 reverse T2                   → id_conflict reverses
    V2 reverse T2 reference=x       → posted
    V2 reverse T2 reference=y       → id_conflict reference
    V3 reverse V2                   → not_reversible
    balance purse 0

    V1 reverse T1                   → known 10
    V3 reverse T1                   → already_reversed
    T1 bank purse 10                → known 10
    V1 reverse T2                   → id_conflict reverses
    V2 reverse T2 reference=x       → known 10
    V1 bank purse 10                → id_conflict kind
"""

WITHIN_LIMITS = """
    T1 bank  purse 10               → posted
    T2 purse ada 4                  → posted
    V1 reverse T1                   → limit_exceeded
    V2 reverse T2                   → posted 4
    V1 reverse T1                   → posted 10
    T3 jar   ada 10                 → posted
    S1 sweep bank jar 500           → posted 60
    V3 reverse T3                   → limit_exceeded
    V4 reverse S1                   → posted 60
    V3 reverse T3                   → posted 10
    balance ada 0
    balance jar 0
    balance purse 0
"""

OF_EACH_KIND = """
    F1 bank ada 10 reason=fee       → posted
    S1 sweep bank ada 10            → posted
    H1 hold bank ada 10             → posted
    C1 capture H1 4                 → posted
    C2 capture H1                   → posted 6
    H2 hold bank ada 10 until=+5    → posted
    R1 release H2                   → posted
    V1 reverse F1                   → posted 10
    V2 reverse S1                   → posted 10
    V3 reverse H1                   → not_reversible
    V4 reverse C1                   → posted 4
    V5 reverse C2                   → posted 6
    V6 reverse R1                   → not_reversible
    C3 capture H1 1                 → hold_ended
    I1 bank ada 1 reason=invoice_issue  → posted
    I2 bank ada 1 reason=payment_settle → posted
    V7 reverse I1                   → not_reversible
    V7 reverse I2                   → not_reversible
    balance ada 2
"""

REFUSED_FIRST_AND_THEN_POSTED = """
    T1 purse ada 10                 → limit_exceeded
    V1 reverse T1                   → unknown_transfer
    D1 bank  purse 10               → posted
    T1 purse bob 9                  → posted
    V1 reverse T1                   → posted 9
    V2 reverse T2                   → unknown_transfer
    T2 bank ada 3                   → posted
    V2 reverse T2                   → posted 3
    balance purse 10
    balance bob 0
"""

CLOSED = """
    T1 bank  ada 10                 → posted
    T2 bob   bank 10                → posted
    close ada
    close bob
    V1 reverse T1                   → debit_account_closed
    V2 reverse T2                   → credit_account_closed
    balance ada 10
"""

TABLES = {
    "once": ONCE,
    "within_limits": WITHIN_LIMITS,
    "of_each_kind": OF_EACH_KIND,
    "refused_first_and_then_posted": REFUSED_FIRST_AND_THEN_POSTED,
    "closed": CLOSED,
}
each_table = pytest.mark.parametrize("name", TABLES)


@pytest.fixture
async def ledger(pool: asyncpg.Pool) -> Ledgerful:
    """Give a book with accounts of every sort."""
    return await open_every_sort(pool)


@each_table
async def test_a_reversal_moves_back_once(ledger: Ledgerful, name: str) -> None:
    """What was moved is moved back whole and once, where limits and accounts allow it; the log proves it."""
    await Table(ledger).play(TABLES[name])
    await ledger.seal()
    found = await ledger.verify()
    assert found.ok, found.findings


@each_table
async def test_reversals_answer_one_by_one_as_in_a_batch(ledger: Ledgerful, name: str) -> None:
    """Whether a reversal comes with what it reverses or after it changes no answer."""
    await Table(ledger).play(TABLES[name], one_by_one=True)


@each_table
async def test_reversals_answer_in_a_large_batch_as_in_a_small_one(ledger: Ledgerful, name: str) -> None:
    """The way of a batch that is written before its ids are looked up comes to the same answers."""
    await Table(ledger).play(TABLES[name], beside=LOOK_UP_FIRST + 1)


async def test_a_large_batch_of_reversals_is_known_when_it_comes_again(ledger: Ledgerful) -> None:
    """A repeat of a reversal is a repeat, not a second reversal."""
    forth = ledger.batch([(uuid7(), "bank", "purse", 1) for _ in range(LARGE)])
    assert set(await ledger.post(forth)) == {Status.POSTED}
    rows = transfers(LARGE)
    rows["transfer_id"] = [uuid7().bytes for _ in range(LARGE)]
    rows["reason"] = Reason.REVERSAL
    back = Batch(rows, np.ascontiguousarray(forth["transfer_id"]))
    assert set(await ledger.post(back)) == {Status.POSTED}
    assert set(await ledger.post(back)) == {Status.KNOWN}
    assert await ledger.balance("purse") == 0


async def test_of_many_reversals_at_once_one_is_posted(ledger: Ledgerful) -> None:
    """Whoever comes second finds the transfer reversed."""
    table = Table(ledger)
    await table.play("T1 bank ada 10 → posted")
    batches = [table.batch([["-", "reverse", "T1"]]) for _ in range(8)]
    answers = [status for (status,) in await asyncio.gather(*(ledger.post(batch) for batch in batches))]
    assert sorted(answers) == [Status.POSTED] + [Status.ALREADY_REVERSED] * 7
    assert await ledger.balance("ada") == 0
