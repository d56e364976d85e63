"""Find entries: what statements told, what became of it, and for what is not matched who it may be from."""

from collections.abc import Mapping, Sequence
from typing import Any

from tallystick.collecting.bank.find_candidates import find_candidates
from tallystick.collecting.bank.keep_statement import entry_of
from tallystick.collecting.bank.match import judge
from tallystick.collecting.bank.model import EntriesPage, EntryShown, Partner, entry_id
from tallystick.db.queries import Connection, queries_beside
from tallystick.errors import InvalidInput
from tallystick.repayments.dues import NOW, read_outstanding

_queries = queries_beside(__file__)
_page_entries = _queries.tuples("page_entries")
_PARTS = 3


async def page_entries(connection: Connection, book_id: int, after: str, limit: int, *, unmatched: bool) -> EntriesPage:
    """
    Return *limit* entries behind *after* in the order in which they came, only those that are not matched if asked.

    Raises:
        InvalidInput: *after* is no cursor (``invalid_input``).
    """
    rows = await _page_entries(connection, book_id, *_cursor(after), unmatched, limit + 1)
    shown = rows[:limit]
    partners = await _find_partners(connection, book_id, shown)
    items = [
        EntryShown(
            entry_id(row[0], row[1]), row[2], row[3], entry_of(row[5:15]), row[15],
            row[16], partners.get(nth, []),
        )
        for nth, row in enumerate(shown)
    ]  # fmt: skip
    last = shown[-1] if len(rows) > limit else None
    return EntriesPage(items, None if last is None else f"{last[17]}.{last[18]}.{last[1]}")


def _cursor(after: str) -> tuple[int, int, int]:
    parts = after.split(".") if after else ["0", "0", "0"]
    if len(parts) != _PARTS or not all(part.isascii() and part.isdecimal() and len(part) < 19 for part in parts):  # noqa: PLR2004 - as many digits as the store's numbers have
        raise InvalidInput(field="after", rule="a cursor is what `next` of the page before gave")
    transaction, place, position = (int(part) for part in parts)
    return transaction, min(place, 2**31 - 1), min(position, 2**31 - 1)


async def _find_partners(
    connection: Connection, book_id: int, rows: Sequence[Sequence[Any]]
) -> dict[int, list[Partner]]:
    """Find the likeliest invoices for entries that brought money and are not matched, by the place of the row."""

    async def outstanding(accounts: Sequence[int]) -> Mapping[int, int]:
        return await read_outstanding(connection, book_id, accounts) if accounts else {}

    found: dict[int, list[Partner]] = {}
    waiting = [(nth, row) for nth, row in enumerate(rows) if row[15] is None and row[7] > 0 and not row[8]]
    for asset_id in sorted({row[4] for _, row in waiting}):
        own = [(nth, entry_of(row[5:15])) for nth, row in waiting if row[4] == asset_id]
        entries = [entry for _, entry in own]
        candidates = await find_candidates(connection, book_id, asset_id, NOW, entries, outstanding, by_amount=True)
        for at, (nth, entry) in enumerate(own):
            found[nth] = judge(entry.amount, candidates.open_for(at, entry)).partners()
    return found
