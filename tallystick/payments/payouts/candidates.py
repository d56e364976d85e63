"""Candidates: lines that wait, and what of ours they may be."""

import datetime as dt
import uuid
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from tallystick.db.queries import Connection, queries_beside
from tallystick.payments.payouts.match import Candidate, Line
from tallystick.payments.payouts.model import ReportLine, line_id

_queries = queries_beside(__file__)
_page_open = _queries.tuples("page_open")
_page_open_of_payout = _queries.tuples("page_open_of_payout")
_find_open = _queries.tuples("find_open")
_find_told_before = _queries.tuples("find_told_before")
_find_named = _queries.values("find_named")
_find_partners = _queries.tuples("find_partners")
_find_same_amounts = _queries.tuples("find_same_amounts")

_NEAR = dt.timedelta(days=7)
"""How long before or after a line something of the same amount may be meant by it."""


@dataclass(frozen=True, slots=True)
class Open:
    """A line that waits, with the payout that it stands in."""

    payout_id: uuid.UUID
    payout: str
    provider: str
    ordered: int
    open: int
    line: Line
    told: ReportLine


@dataclass(frozen=True, slots=True)
class Known:
    """A candidate with the place of what made it so."""

    candidate: Candidate
    ordered: int
    provider: str


async def page_open(connection: Connection, book_id: int, after: tuple[int, int], limit: int) -> list[Open]:
    """Return the lines behind *after* that wait, in the order in which they were recorded."""
    return await _as_open(connection, book_id, await _page_open(connection, book_id, *after, limit))


async def page_open_of_payout(
    connection: Connection, book_id: int, payout_id: uuid.UUID, after: int, limit: int
) -> list[Open]:
    """Return those of a payout's lines that wait, behind the position *after*."""
    return await _as_open(connection, book_id, await _page_open_of_payout(connection, book_id, payout_id, after, limit))


async def find_open(connection: Connection, book_id: int, payout_id: uuid.UUID, positions: Sequence[int]) -> list[Open]:
    """Return those of a payout's lines that wait, in order of position."""
    rows = await _find_open(connection, book_id, payout_id, list(positions))
    return await _as_open(connection, book_id, rows)


async def _as_open(connection: Connection, book_id: int, rows: Sequence[Sequence[Any]]) -> list[Open]:
    """Make lines of their rows, and say which were told before."""
    of_payouts: dict[Any, list[int]] = {}
    for row in rows:
        of_payouts.setdefault(row[2], []).append(row[1])
    told: dict[tuple[Any, int], str] = {}
    for payout_id, positions in of_payouts.items():
        for position, before in await _find_told_before(connection, book_id, payout_id, positions):
            told[payout_id, position] = before
    return [_open(row, told.get((row[2], row[1]))) for row in rows]


def _open(row: Sequence[Any], repeats: str | None) -> Open:
    ordered, position, payout_id, left, provider, payout, asset = row[:7]
    told = ReportLine(*row[7:16])
    line = Line(
        position, told.id, told.kind, told.amount, told.fee, asset, told.occurred_at, told.transaction_id,
        told.refund_id, told.dispute_id, told.description, repeats,
    )  # fmt: skip
    return Open(payout_id, payout, provider, ordered, left, line, told)


async def find_named(connection: Connection, book_id: int, lines: Iterable[Open]) -> dict[str, list[Known]]:
    """Find, provider by provider, what the lines name."""
    found = {}
    for provider, own in _by_provider(lines).items():
        names = {name for one in own for name in (*one.line.names, one.line.transaction_id) if name}
        ids = await _find_named(connection, book_id, provider, sorted(names))
        known = await find_by_id(connection, book_id, list(ids))
        found[provider] = [one for one in known if one.provider == provider]
    return found


async def find_likely(connection: Connection, book_id: int, lines: Sequence[Open]) -> dict[str, list[Known]]:
    """Find, provider by provider, what the lines name, and what has the amount of one at about its time."""
    found = await find_named(connection, book_id, lines)
    for provider, own in _by_provider(lines).items():
        wanted = sorted({(amount, one.line.occurred_at) for one in own for amount in _amounts(one.line)})
        rows = await _find_same_amounts(
            connection, book_id, provider, [one[0] for one in wanted], [one[1] for one in wanted], _NEAR
        )
        have = {(one.candidate.kind, one.candidate.id) for one in found[provider]}
        more = sorted({row[1] for row in rows if (row[0], row[1]) not in have})
        found[provider] += [
            one
            for one in await find_by_id(connection, book_id, more)
            if (one.candidate.kind, one.candidate.id) not in have
        ]
    return found


async def find_by_id(connection: Connection, book_id: int, ids: Sequence[uuid.UUID]) -> list[Known]:
    """Find what has these ids of ours; a refund and a dispute are two things each, of which one undoes the other."""
    return _known(await _find_partners(connection, book_id, list(ids))) if ids else []


def _amounts(line: Line) -> set[int]:
    return {line.amount, line.amount - line.fee, line.amount + line.fee}


def _by_provider(lines: Iterable[Open]) -> dict[str, list[Open]]:
    found: dict[str, list[Open]] = {}
    for one in lines:
        found.setdefault(one.provider, []).append(one)
    return found


def _known(rows: Iterable[Sequence[Any]]) -> list[Known]:
    """Make candidates of rows, each once."""
    found = {}
    for row in rows:
        kind, id_, transaction, own, amount, asset, at, moved, state, payout_id, position, ordered, provider = row
        taken = None if payout_id is None else line_id(payout_id, position)
        one = Candidate(kind, id_, transaction, own, amount, asset, at, moved, state, taken)
        found[kind, one.id] = Known(one, ordered, provider)
    return list(found.values())
