"""
Check limits: that no transfer drew an account beyond its limit, at any instant of the order; and none moved a closed one.

A hold counts against the limit that it draws towards; a capture takes what is held already and a release gives it
back, so neither draws. An account that is beyond a new limit when that comes into force may move towards it; whatever
draws on it must leave it within.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from tallystick.db.queries import Connection, queries_beside
from tallystick.ledger.findings import Findings
from tallystick.ledger.model import ENDS_HOLD, USES_HOLD, Reason
from tallystick.ledger.verify.check_transfers import tell
from tallystick.ledger.verify.model import Book, Exact, Numbers, Rows, Slack, StoredBatch

_queries = queries_beside(__file__)
_limits_ever = _queries.tuples("limits_ever")
_closings = _queries.tuples("closings")

_SAFE = 2**61
_FAR = _SAFE
"""More than any sum that is kept in 64 bits here comes near to."""


@dataclass(frozen=True, slots=True)
class AccountFacts:
    """What the accounts of a book may do: limits in order of account and of when they came into force, and closings."""

    accounts: Numbers
    since: Numbers
    lowest: npt.NDArray[np.object_] | Numbers
    highest: npt.NDArray[np.object_] | Numbers
    limited: npt.NDArray[np.bool_]
    """Two columns: whether there is a lowest and a highest balance."""
    ids: Numbers
    """Each limited account once."""
    closed: Numbers
    closed_since: Numbers


async def read_account_facts(connection: Connection, book: Book) -> AccountFacts:
    """Read the limits and closings of a book."""
    limits = await _limits_ever(connection, book.book_id)
    closings = await _closings(connection, book.book_id)
    accounts = np.array([row[0] for row in limits], np.int64)
    limited = np.array([(row[2] is not None, row[3] is not None) for row in limits], np.bool_).reshape(-1, 2)
    return AccountFacts(
        accounts,
        np.array([row[1] for row in limits], np.int64),
        np.array([row[2] or 0 for row in limits], np.int64),
        np.array([row[3] or 0 for row in limits], np.int64),
        limited,
        np.unique(accounts),
        np.array([row[0] for row in closings], np.int64),
        np.array([row[1] for row in closings], np.int64),
    )


def check_closings(findings: Findings, batches: Sequence[StoredBatch], rows: Rows, facts: AccountFacts) -> None:
    """Find that no transfer moves an account that was closed before; what ends a hold may."""
    if not len(facts.closed):
        return
    moving = ~np.isin(rows.reason, ENDS_HOLD)
    for name, accounts in (("debit", rows.debit), ("credit", rows.credit)):
        at = np.minimum(np.searchsorted(facts.closed, accounts), len(facts.closed) - 1)
        late = (facts.closed[at] == accounts) & (rows.batch_id > facts.closed_since[at]) & moving
        for one in np.flatnonzero(late).tolist():
            tell(findings, batches, rows, [one], f"its {name} account {accounts[one]} was closed before")


@dataclass(frozen=True, slots=True)
class _Moves:
    """What the transfers of a piece do to limited accounts, in order of account and place, each account from nothing."""

    row: npt.NDArray[np.intp]
    account: Numbers
    begins: npt.NDArray[np.intp]
    """Where each account begins."""
    down: Exact
    """What there is above what is drawn, after each move; less the lowest balance that holds then."""
    up: Exact
    """The highest balance that holds less what there may come to be, after each move."""
    draws_down: npt.NDArray[np.bool_]
    draws_up: npt.NDArray[np.bool_]


def measure_slack(rows: Rows, facts: AccountFacts) -> Slack | None:
    """Find how near the piece brings each limited account to its limits; None if it draws on none."""
    moves = _moves_of(rows, facts)
    if moves is None:
        return None
    down = np.minimum.reduceat(np.where(moves.draws_down, moves.down, _FAR), moves.begins)
    up = np.minimum.reduceat(np.where(moves.draws_up, moves.up, _FAR), moves.begins)
    return Slack(moves.account[moves.begins], down, up)


def find_exceeding(
    findings: Findings,
    batches: Sequence[StoredBatch],
    rows: Rows,
    facts: AccountFacts,
    starts: dict[int, tuple[int, int]],
) -> None:
    """Name the transfers that exceed limits, given what each of the accounts began the piece with: down and up."""
    moves = _moves_of(rows, facts)
    if moves is None:
        return
    for account, (down, up) in starts.items():
        mine = np.flatnonzero(moves.account == account)
        wrong = (moves.draws_down[mine] & (moves.down[mine].astype(object) + down < 0)) | (
            moves.draws_up[mine] & (moves.up[mine].astype(object) + up < 0)
        )
        at = moves.row[mine[wrong.astype(np.bool_)]].tolist()
        tell(findings, batches, rows, at, f"it exceeds the limit of account {account}")


def _moves_of(rows: Rows, facts: AccountFacts) -> _Moves | None:
    if not len(facts.ids) or not len(rows):
        return None
    slots, row, credit = _sides_of(rows, facts)
    if not len(slots):
        return None
    begins = np.flatnonzero(np.concatenate([[True], slots[1:] != slots[:-1]]))
    reason = rows.reason[row]
    fact = _facts_in_force(rows, facts, facts.ids[slots], row)
    amount = _exact(rows, facts)[row]
    captured, freed, held = reason == Reason.CAPTURE, np.isin(reason, ENDS_HOLD), reason == Reason.HOLD
    down = np.where(credit, np.where(freed | held, 0, amount), np.where(freed, amount, np.where(captured, 0, -amount)))
    up = np.where(credit, np.where(freed, -amount, np.where(captured, 0, amount)), np.where(freed | held, 0, -amount))
    draws = ~np.isin(reason, USES_HOLD)
    return _Moves(
        row,
        facts.ids[slots],
        begins,
        _from_nothing(down, begins) - facts.lowest[fact],
        facts.highest[fact] - _from_nothing(up, begins),
        draws & ~credit & facts.limited[fact, 0],
        draws & credit & facts.limited[fact, 1],
    )


def _sides_of(
    rows: Rows, facts: AccountFacts
) -> tuple[npt.NDArray[np.intp], npt.NDArray[np.intp], npt.NDArray[np.bool_]]:
    """Return the sides of transfers that are of limited accounts, by account and row: which account, row, whether credit."""
    found = []
    for credit, accounts in ((False, rows.debit), (True, rows.credit)):
        slot = np.minimum(np.searchsorted(facts.ids, accounts), len(facts.ids) - 1)
        at = np.flatnonzero(facts.ids[slot] == accounts)
        found.append((slot[at], at, np.full(len(at), credit)))
    slots = np.concatenate([one[0] for one in found])
    row = np.concatenate([one[1] for one in found])
    order = np.lexsort((row, slots))
    return slots[order], row[order], np.concatenate([one[2] for one in found])[order]


def _exact(rows: Rows, facts: AccountFacts) -> Exact:
    """Return the amounts in a form in which no sum of them with a limit overflows."""
    most = int(np.abs(rows.amount).max()) * len(rows)
    most += max(int(-facts.lowest.min()), int(facts.highest.max()))
    return rows.amount if most < _SAFE else rows.amount.astype(object)


def _from_nothing(changes: Exact, begins: npt.NDArray[np.intp]) -> Exact:
    """Add up from where each account begins."""
    sums: Exact = np.cumsum(changes)
    before = sums[begins] - changes[begins]
    result: Exact = sums - np.repeat(before, np.diff(np.append(begins, len(changes))))
    return result


def _facts_in_force(
    rows: Rows, facts: AccountFacts, accounts: Numbers, row: npt.NDArray[np.intp]
) -> npt.NDArray[np.intp]:
    """Return which limit holds for each account when the transfer of *row* moves it."""
    from_row = np.searchsorted(rows.batch_id, facts.since)  # a limit holds from the first batch that is not before it
    width = len(rows) + 1
    slot = np.searchsorted(facts.ids, facts.accounts)
    wanted = np.searchsorted(facts.ids, accounts) * width + row
    found: npt.NDArray[np.intp] = np.searchsorted(slot * width + from_row, wanted, side="right") - 1
    return found
