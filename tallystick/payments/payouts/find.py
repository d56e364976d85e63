"""Find payouts, their lines with the likeliest partners, what no report has named, and where the money is."""

import datetime as dt
import uuid
from collections.abc import Sequence
from typing import Any

from tallystick.db.queries import Connection, queries_beside
from tallystick.errors import InvalidInput
from tallystick.payments.payouts.accounts import BANK, fees, held, on_the_way
from tallystick.payments.payouts.candidates import (
    Known,
    Open,
    find_by_id,
    find_likely,
    find_open,
    page_open,
    page_open_of_payout,
)
from tallystick.payments.payouts.errors import UnknownPayout
from tallystick.payments.payouts.match import Judged, likeliest, match
from tallystick.payments.payouts.model import (
    Balances,
    LikelyPartner,
    LineShown,
    LinesPage,
    Payout,
    PayoutsPage,
    ProviderBalance,
    ReportLine,
    Status,
    Unreported,
    UnreportedPage,
    line_id,
)

_queries = queries_beside(__file__)
_page_payouts = _queries.tuples("page_payouts")
_find_recorded = _queries.tuples("find_recorded")
_page_lines = _queries.tuples("page_lines")
_page_unreported = _queries.tuples("page_unreported")
_list_purses = _queries.tuples("list_purses")
_sum_open = _queries.tuples("sum_open")
_find_balances = _queries.tuples("find_balances")

LAST = 2**63 - 1
"""Behind every payout."""


async def find_payout(connection: Connection, book_id: int, payout_id: uuid.UUID) -> Payout:
    """
    Return a payout as it stands.

    Raises:
        UnknownPayout: none with this id was recorded (``payouts.unknown_payout``).
    """
    rows = await _page_payouts(connection, book_id, LAST, None, payout_id, False, 1)  # noqa: FBT003 - a parameter of SQL
    if not rows:
        raise UnknownPayout(field="payout_id", payout=payout_id)
    return _payout(rows[0])


async def find_recorded(connection: Connection, book_id: int, provider: str, provider_id: str) -> Payout | None:
    """Return the payout that a provider knows by this id; None if it was not recorded yet."""
    rows = await _find_recorded(connection, book_id, provider, provider_id)
    return await find_payout(connection, book_id, rows[0][0]) if rows else None


async def page_payouts(
    connection: Connection, book_id: int, before: int, limit: int, provider: str | None, *, unmatched: bool
) -> PayoutsPage:
    """Return *limit* payouts recorded before a place, the newest first; only those with lines that wait if asked."""
    rows = await _page_payouts(connection, book_id, before, provider, None, unmatched, limit + 1)
    shown = rows[:limit]
    return PayoutsPage([_payout(row) for row in shown], str(shown[-1][12]) if len(rows) > limit else None)


def _payout(row: Sequence[Any]) -> Payout:
    id_, provider, provider_id, asset, amount, steps, arrives_on, kept, lines, waiting, left, at, _, version = row
    status: Status = "failed" if "failed" in steps else "paid" if "paid" in steps else "pending"
    arrived = "arrived" in steps
    return Payout(
        id_, provider, provider_id, version, asset, amount, status, arrives_on, arrived, kept, lines,
        waiting, left, at,
    )  # fmt: skip


async def page_lines(
    connection: Connection, book_id: int, payout_id: uuid.UUID, after: int, limit: int, *, unmatched: bool
) -> LinesPage:
    """
    Return *limit* lines of a payout behind the position *after*, with what each is; only those that wait if asked.

    Raises:
        UnknownPayout: none with this id was recorded (``payouts.unknown_payout``).
    """
    payout = await find_payout(connection, book_id, payout_id)
    if unmatched:
        waiting = await page_open_of_payout(connection, book_id, payout_id, after, limit + 1)
        shown = await _show_open(connection, book_id, waiting[:limit])
        return LinesPage(shown, str(waiting[limit - 1].line.position) if len(waiting) > limit else None)
    rows = await _page_lines(connection, book_id, payout.id, after, limit + 1)
    positions = [row[0] for row in rows[:limit] if row[2] is not None]
    waiting = await find_open(connection, book_id, payout_id, positions)
    shown = await _show_open(connection, book_id, waiting)
    found = {one.line.position: told for one, told in zip(waiting, shown, strict=True)}
    items = [found[row[0]] if row[0] in found else _line(row) for row in rows[:limit]]
    return LinesPage(items, str(rows[limit - 1][0]) if len(rows) > limit else None)


def _line(row: Sequence[Any]) -> LineShown:
    position, payout_id, _, provider, payout, asset = row[:6]
    partner, partner_id, why, by_hand = row[15:]
    told = ReportLine(*row[6:15])
    if partner is None:
        partner, why = ("fee", "the provider keeps it") if told.kind == "fee" else (None, "it comes to nothing")
    return LineShown(
        line_id(payout_id, position),
        payout_id,
        payout,
        provider,
        asset,
        told,
        why,
        partner,
        partner_id,
        bool(by_hand),
        0,
        None,
        [],
    )


async def page_unmatched(connection: Connection, book_id: int, after: tuple[int, int], limit: int) -> LinesPage:
    """Return *limit* lines that wait, of any payout, in the order in which they were recorded, with the likeliest partners."""
    waiting = await page_open(connection, book_id, after, limit + 1)
    last = waiting[limit - 1] if len(waiting) > limit else None
    shown = await _show_open(connection, book_id, waiting[:limit])
    return LinesPage(shown, None if last is None else f"{last.ordered}.{last.line.position}")


async def _show_open(connection: Connection, book_id: int, waiting: Sequence[Open]) -> list[LineShown]:
    """Say of lines that wait why, and what they may be."""
    known = await find_likely(connection, book_id, waiting)
    shown = {}
    for provider, found in known.items():
        own = [one for one in waiting if one.provider == provider]
        candidates = [one.candidate for one in found]
        lines = [one.line for one in own]
        for one, judged, partners in zip(own, match(lines, candidates), likeliest(lines, candidates), strict=True):
            shown[one.payout_id, one.line.position] = _waiting(one, judged, partners)
    return [shown[one.payout_id, one.line.position] for one in waiting]


def _waiting(one: Open, judged: Judged, partners: list[LikelyPartner]) -> LineShown:
    return LineShown(
        id=line_id(one.payout_id, one.line.position),
        payout_id=one.payout_id,
        payout=one.payout,
        provider=one.provider,
        asset=one.line.asset,
        line=one.told,
        matched=None,
        partner=None,
        partner_id=None,
        by_hand=False,
        open=one.open,
        why_not=judged.why if judged.certain is None else f"nobody has looked yet; it is {judged.why}",
        partners=partners,
    )


async def page_unreported(
    connection: Connection, book_id: int, since: dt.datetime, until: dt.datetime, provider: str | None,
    after: tuple[dt.datetime, uuid.UUID, str], limit: int,
) -> UnreportedPage:  # fmt: skip
    """Return what moved at providers from *since* and before *until* by our book, and that no line of a report is."""
    rows = await _page_unreported(connection, book_id, max(since, after[0]), until, *after, provider, limit + 1)
    shown = rows[:limit]
    known = await find_by_id(connection, book_id, sorted({id_ for _, id_, _ in shown}))
    found = {(one.candidate.kind, one.candidate.id): one for one in known}
    items = [_unreported(found[kind, id_], at) for kind, id_, at in shown]
    last = items[-1] if len(rows) > limit else None
    return UnreportedPage(items, None if last is None else _time_cursor(last))


def _time_cursor(one: Unreported) -> str:
    """Write where a page ends; a dispute may have been opened and won in one instant."""
    return f"{one.at.astimezone(dt.UTC).replace(tzinfo=None).isoformat()} {one.id} {one.kind}"


def _unreported(known: Known, at: dt.datetime) -> Unreported:
    one = known.candidate
    return Unreported(one.kind, one.id, known.provider, one.own_id or one.transaction_id, one.amount, one.asset, at)


async def find_balances(connection: Connection, book_id: int, provider: str | None, asset: str | None) -> Balances:
    """Return where the money is, for each provider that has an account, or the one named; the bank is none."""
    purses = [tuple(row) for row in await _list_purses(connection, book_id, provider)]
    own = sorted(one for one in purses if asset in (None, one[1]) and one[0] != BANK)
    waiting = {(row[0], row[1]): int(row[2]) for row in await _sum_open(connection, book_id)}
    codes = [code(*one) for one in own for code in (held, on_the_way, fees)]
    sums = {code: int(amount) for code, amount in await _find_balances(connection, book_id, codes)}
    items = []
    for one in own:
        has, left = -sums.get(held(*one), 0), waiting.get(one, 0)
        way, kept = -sums.get(on_the_way(*one), 0), -sums.get(fees(*one), 0)
        items.append(ProviderBalance(one[0], one[1], has, left, has + left, way, kept))
    return Balances(items)


async def find_providers(connection: Connection, book_id: int, provider: str | None) -> list[str]:
    """Return who has to do with the book's money; whether anybody reaches them is not known here."""
    return sorted({row[0] for row in await _list_purses(connection, book_id, provider)} - {BANK})


def read_cursor(text: str) -> tuple[int, int]:
    """
    Read the cursor of lines that wait; empty: before the first.

    Raises:
        InvalidInput: it is none (``invalid_input``).
    """
    parts = text.split(".") if text else ["0", "0"]
    if len(parts) != 2 or not all(part.isascii() and part.isdecimal() and len(part) < 19 for part in parts):  # noqa: PLR2004 - as many parts as it has, and as many digits as the store's numbers
        raise InvalidInput(field="after", rule="a cursor is what `next` of the page before gave")
    return int(parts[0]), min(int(parts[1]), 2**31 - 1)


def read_time_cursor(text: str) -> tuple[dt.datetime, uuid.UUID, str]:
    """
    Read the cursor of what no report has named; empty: before the first.

    Raises:
        InvalidInput: it is none (``invalid_input``).
    """
    try:
        at, id_, kind = (text or f"0001-01-02T00:00:00 {uuid.UUID(int=0)} -").split(" ")
        instant, last = dt.datetime.fromisoformat(at), uuid.UUID(id_)
    except ValueError as error:
        raise InvalidInput(field="after", rule="a cursor is what `next` of the page before gave") from error
    return instant if instant.tzinfo else instant.replace(tzinfo=dt.UTC), last, kind
