"""Verify what only some transfers have: holds and their uses, sweeps, reversals, references, limits."""

import asyncpg
import numpy as np
import pytest

from tallystick.ledger import seal as sealing
from tallystick.ledger.findings import Findings
from tallystick.ledger.model import Reason
from tallystick.ledger.verify import verify_book
from tallystick.ledger.verify.check_limits import AccountFacts, find_exceeding, measure_slack
from tallystick.ledger.verify.model import Rows, StoredBatch
from tests.db.posting import NOW
from tests.db.tables import Table, open_every_sort
from tests.db.test_verify import said, tamper

EVERYTHING = """
    D1 bank purse 100 reference=first   → posted
    D2 bank credit 10                   → posted
    H1 hold purse ada 30 until=+60      → posted 30
    H2 hold purse jar 20                → posted 20

    C1 capture H1 4 reference=second    → posted 4
    C2 capture H1 5                     → posted 5
    S1 sweep purse bob 500 reference=s  → posted 50
    T1 purse ada 1                      → limit_exceeded

    C3 capture H1                       → posted 21
    R1 release H2                       → posted 20
    V1 reverse D2                       → posted 10

    H3 hold bank ada 7 until=+10        → posted 7
    T2 bank both 50                     → posted
    T3 bank both 1                      → limit_exceeded
    clock +30
    X1 expire H3                        → posted 7
    limit both 0 20
    T4 bank both 1                      → limit_exceeded
    T5 both bank 40                     → posted
    T6 bank both 10                     → posted
"""


@pytest.fixture
async def table(pool: asyncpg.Pool, monkeypatch: pytest.MonkeyPatch) -> Table:
    """Give a sealed ledger that has something of everything, cut into pieces of a batch or two."""
    monkeypatch.setattr(sealing, "CHANGES_PER_SNAPSHOT", 2)
    monkeypatch.setattr(verify_book, "TRANSFERS_AT_ONCE", 4)
    played = Table(await open_every_sort(pool))
    await played.play(EVERYTHING)
    await played.ledger.seal()
    return played


async def test_an_untouched_ledger_with_everything_is_right(table: Table, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is found where nothing was changed, in however many pieces."""
    found = await table.ledger.verify()
    assert said(found) == ""
    monkeypatch.setattr(verify_book, "TRANSFERS_AT_ONCE", 1_000)
    assert await table.ledger.verify() == found


@pytest.mark.parametrize(
    ("transfer", "change"),
    [
        ("D1", "UPDATE transfer_reference SET reference = 'firsT' WHERE {row}"),
        ("D1", "UPDATE transfer_reference SET position = 1 WHERE {row}"),
        ("D1", "UPDATE transfer_reference SET position = 999 WHERE {row}"),
        ("D1", "UPDATE transfer_reference SET batch_id = 9000000000000000000 WHERE {row}"),
        ("D1", "UPDATE transfer_reference SET book_id = 77 WHERE {row}"),
        ("D1", "DELETE FROM transfer_reference WHERE {row}"),
        ("D2", "INSERT INTO transfer_reference SELECT book_id, batch_id, position, 'x' FROM transfer WHERE {row}"),
        ("C1", "UPDATE transfer_reference SET reference = 'x' WHERE {row}"),
        ("S1", "DELETE FROM transfer_reference WHERE {row}"),
        ("H1", "UPDATE hold SET expires_at = expires_at + 1 WHERE {row}"),
        ("H2", "UPDATE hold SET expires_at = 5 WHERE {row}"),
        ("H1", "UPDATE hold SET position = 0 WHERE {row}"),
        ("H1", "UPDATE hold SET batch_id = 9000000000000000000 WHERE {row}"),
        ("H1", "DELETE FROM hold WHERE {row}"),
        ("D1", "INSERT INTO hold SELECT 5, batch_id, book_id, position FROM transfer WHERE {row}"),
        ("S1", "UPDATE sweep SET asked = asked + 1 WHERE {row}"),
        ("S1", "UPDATE sweep SET position = 0 WHERE {row}"),
        ("S1", "DELETE FROM sweep WHERE {row}"),
        ("C1", "INSERT INTO sweep SELECT 5, batch_id, book_id, position FROM transfer WHERE {row}"),
        ("C1", "UPDATE hold_use SET hold_id = gen_random_uuid() WHERE {row}"),
        ("C1", "UPDATE hold_use SET nth = 9 WHERE {row}"),
        ("C2", "UPDATE hold_use SET nth = 9 WHERE {row}"),
        ("C3", "UPDATE hold_use SET nth = 9 WHERE {row}"),
        ("C1", "UPDATE hold_use SET amount = amount + 1 WHERE {row}"),
        ("C1", "UPDATE hold_use SET asked = asked + 1 WHERE {row}"),
        ("C3", "UPDATE hold_use SET asked = asked + 1 WHERE {row}"),
        ("C1", "UPDATE hold_use SET ends = 1 WHERE {row}"),
        ("C3", "UPDATE hold_use SET ends = 0 WHERE {row}"),
        ("R1", "UPDATE hold_use SET ends = 0 WHERE {row}"),
        ("X1", "UPDATE hold_use SET ends = 0 WHERE {row}"),
        ("C1", "UPDATE hold_use SET position = 999 WHERE {row}"),
        ("C1", "UPDATE hold_use SET batch_id = 9000000000000000000 WHERE {row}"),
        ("C1", "UPDATE hold_use SET book_id = 77 WHERE {row}"),
        ("C1", "DELETE FROM hold_use WHERE {row}"),
        (
            "T2",
            "INSERT INTO hold_use SELECT transfer_id, batch_id, 1, 0, book_id, 1, position, 1 FROM transfer WHERE {row}",
        ),
        ("V1", "UPDATE reversal SET reversed_id = gen_random_uuid() WHERE {row}"),
        ("V1", "UPDATE reversal SET position = 0 WHERE {row}"),
        ("V1", "UPDATE reversal SET batch_id = batch_id + 1 WHERE {row}"),
        ("V1", "DELETE FROM reversal WHERE {row}"),
        ("D1", "INSERT INTO reversal SELECT transfer_id, batch_id, book_id, position FROM transfer WHERE {row}"),
        ("C1", "UPDATE transfer SET reason = 1 WHERE {row}"),
        ("H1", "UPDATE transfer SET reason = 1 WHERE {row}"),
        ("R1", "UPDATE transfer SET reason = 9 WHERE {row}"),
        ("T2", "UPDATE transfer SET reason = 6 WHERE {row}"),
    ],
)
async def test_a_changed_detail_is_named(table: Table, owner: asyncpg.Connection, transfer: str, change: str) -> None:
    """Whatever is changed of what is kept beside a transfer, missing or too many, the first findings say where."""
    wanted = "SELECT batch_id, position FROM transfer WHERE transfer_id = $1"
    ((batch_id, position),) = await owner.fetch(wanted, table.ids[transfer])
    await tamper(owner, change.format(row=f"batch_id = {batch_id} AND position = {position}"))
    found = await table.ledger.verify()
    assert any(f"batch {batch_id}, position {position}, place" in one.row for one in found.findings[:3]), said(found)


@pytest.mark.parametrize(
    ("change", "transfer", "account"),
    [
        ("UPDATE account SET min_balance = -40 WHERE code = 'purse'", None, ""),
        ("UPDATE account SET min_balance = 0 WHERE code = 'bank'", "D1", "bank"),
        ("UPDATE account SET min_balance = -110 WHERE code = 'bank'", "T2", "bank"),
        ("UPDATE account SET max_balance = 99 WHERE code = 'purse'", "D1", "purse"),
        ("UPDATE account SET max_balance = 29 WHERE code = 'ada'", "H1", "ada"),
        ("UPDATE account SET max_balance = 19 WHERE code = 'jar'", "H2", "jar"),
        ("UPDATE account_limit SET max_balance = 19", "T6", "both"),
        ("UPDATE account_limit SET transaction_id = 1 + (SELECT max(transaction_id) FROM account)", "T2", "both"),
        ("UPDATE account_limit SET max_balance = NULL", None, ""),
    ],
)
async def test_a_limit_that_was_exceeded_is_found(
    table: Table, owner: asyncpg.Connection, change: str, transfer: str | None, account: str
) -> None:
    """Had an account had another limit, the first transfer that exceeds it is named; holds count as they draw."""
    await tamper(owner, change)
    found = await table.ledger.verify()
    if transfer is None:
        assert found.ok, said(found)
        return
    assert str(table.ids[transfer]) in found.findings[0].row, said(found)
    assert found.findings[0].message == f"it exceeds the limit of account {table.ledger.accounts[account]}"


async def test_what_was_expired_too_early_or_captured_too_late_is_found(
    table: Table, owner: asyncpg.Connection
) -> None:
    """Whether a hold had expired is judged by the instants that are sealed; its expiry is in its leaf."""
    await tamper(owner, f"UPDATE hold SET expires_at = 9223372036854775807 WHERE (batch_id, position) = "
                        f"(SELECT batch_id, position FROM transfer WHERE transfer_id = '{table.ids['H3']}')")  # fmt: skip
    found = await table.ledger.verify()
    assert str(table.ids["H3"]) in found.findings[0].row, said(found)
    assert "its hold had not expired yet" in said(found)


@pytest.mark.parametrize("seed", range(8))
def test_limits_are_judged_as_one_after_the_other_would(seed: int) -> None:
    """The columns say of every transfer what a plain walk over the order says, over sums of any size."""
    chance = np.random.default_rng(seed)
    count, accounts = 200, 6
    most = 2**62 if seed % 2 else 50
    debit = chance.integers(1, accounts + 1, count)
    credit = (debit + chance.integers(0, accounts - 1, count)) % accounts + 1
    reason = chance.choice([Reason.TRANSFER, Reason.HOLD, Reason.CAPTURE, Reason.RELEASE, Reason.SWEEP], count)
    batch_id = np.sort(chance.integers(1, 20, count))
    zeros = np.zeros(count, np.int64)
    rows = Rows(
        batch_id, np.arange(count), debit, credit, chance.integers(1, most, count), zeros,
        np.zeros(count, "V16"), zeros, zeros, reason, np.searchsorted(np.unique(batch_id), batch_id),
    )  # fmt: skip
    limits = [(account, since, *(int(one) for one in chance.integers(0, most, 2)), *chance.integers(0, 2, 2))
              for account in range(1, 4) for since in (-(2**63), 7, 13)]  # fmt: skip
    facts = AccountFacts(
        np.array([one[0] for one in limits]), np.array([one[1] for one in limits]),
        -np.array([one[2] for one in limits]), np.array([one[3] for one in limits]),
        np.array([one[4:] for one in limits], np.bool_), np.arange(1, 4), zeros[:0], zeros[:0],
    )  # fmt: skip
    begin = {account: (int(chance.integers(0, 100)), int(chance.integers(0, 100))) for account in range(1, 4)}
    expected = _walk(rows, limits, begin)
    batches = [StoredBatch(one, 1, NOW, b"", b"", 0, 1, NOW) for one in np.unique(batch_id).tolist()]
    findings = Findings()
    find_exceeding(findings, batches, rows, facts, {one: (down, -up) for one, (down, up) in begin.items()})
    assert (
        sorted({(one.position, int(one.message.rsplit(" ", 1)[1])) for one in findings.kept}) == sorted(expected)[:800]
    )
    assert findings.count == len(expected)
    slack = measure_slack(rows, facts)
    assert slack is not None
    near = {account for account, down, up in zip(slack.accounts.tolist(), slack.down, slack.up, strict=True)
            if down + begin[account][0] < 0 or up - begin[account][1] < 0}  # fmt: skip
    assert near == {account for _, account in expected}


def _walk(rows: Rows, limits: list[tuple[int, ...]], begin: dict[int, tuple[int, int]]) -> set[tuple[int, int]]:
    """Judge transfer by transfer."""
    down, up = ({account: pair[side] for account, pair in begin.items()} for side in (0, 1))
    wrong: set[tuple[int, int]] = set()
    for at in range(len(rows)):
        debit, credit, amount, reason = (int(one[at]) for one in (rows.debit, rows.credit, rows.amount, rows.reason))
        in_force = {one[0]: one for one in limits if one[1] <= rows.batch_id[at]}
        posts, held = reason in {Reason.TRANSFER, Reason.SWEEP, Reason.CAPTURE}, 0
        held = amount if reason == Reason.HOLD else -amount if reason in {Reason.CAPTURE, Reason.RELEASE} else 0
        if debit in down:
            down[debit] -= amount * posts + held
            up[debit] -= amount * posts
        if credit in up:
            up[credit] += amount * posts + held
            down[credit] += amount * posts
        if reason in {Reason.CAPTURE, Reason.RELEASE}:
            continue
        if debit in down and in_force[debit][4] and down[debit] < -in_force[debit][2]:
            wrong.add((at, debit))
        if credit in up and in_force[credit][5] and up[credit] > in_force[credit][3]:
            wrong.add((at, credit))
    return wrong


async def test_a_hold_that_never_expires_verifies(pool: asyncpg.Pool) -> None:
    """What a leaf says of a hold depends on the hold alone, not on whether another of its batch expires."""
    played = Table(await open_every_sort(pool))
    await played.play("H1 hold bank ada 5 → posted")
    assert said(await played.ledger.verify()) == ""
