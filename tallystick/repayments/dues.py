"""What customers owe, read so that what is decided by it stays right: behind locks, and as of a place in the order."""

import datetime as dt
import uuid
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, NamedTuple

from tallystick.db.queries import Connection, queries_beside
from tallystick.db.retry import OrderLost
from tallystick.invoicing.life.enter_to_decide import enter_to_decide
from tallystick.invoicing.life.note_states import Noting
from tallystick.invoicing.model import printed_number
from tallystick.ledger.post import Ledger
from tallystick.ledger.read_in_order import Place, read_in_order
from tallystick.repayments.allocate import Due

_queries = queries_beside(__file__)
_enter_to_repay = _queries.tuples("enter_to_repay")
_find_dues = _queries.tuples("find_dues")
_find_dues_among = _queries.tuples("find_dues_among")
_find_outstanding = _queries.tuples("find_outstanding")

NOW = 2**63 - 1
"""The place behind all others, for those who only look."""

Purse = tuple[int, int]
"""A customer and an asset."""


class OpenInvoice(NamedTuple):
    """An issued invoice that something may be outstanding on."""

    invoice_id: uuid.UUID
    product: str
    due_on: dt.date
    issued_at: dt.datetime
    account_id: int
    cost_rank: Decimal | None
    series: str
    nth: int
    """In its series."""
    total: int
    owed: int
    """The total, without what credit notes took of what was outstanding."""
    noted: str | None
    """The newest state noted of it, those aside that only tell of its due date."""
    noted_outstanding: int | None

    @property
    def number(self) -> str:
        """Return its number as people know it."""
        return printed_number(self.series, self.nth)

    def owing(self, outstanding: int) -> Due:
        """Return it with what is outstanding, as what waits for money."""
        return Due(
            self.invoice_id, self.product, self.due_on, self.issued_at, outstanding, self.cost_rank, self.number
        )  # fmt: skip

    def noting(self, customer: str, asset: str, outstanding: int) -> Noting:
        """
        Return it with what is outstanding once money came in, as what a state is noted of.

        Others who were ordered before may have paid some of it since it was looked for, which makes the same of it; and
        whether it is overdue is asked only of one that opens again.
        """
        return Noting(
            self.invoice_id, customer, self.product, asset, self.total, self.owed, outstanding, self.noted,
            self.noted_outstanding, overdue=False, series=self.series, number=self.nth, due_on=self.due_on,
        )  # fmt: skip


@dataclass(frozen=True, slots=True)
class Balances:
    """Balances by account, as of a place in the order."""

    down: dict[int, int]
    """What can be taken of it."""
    up: dict[int, int]
    """What it has, with what holds will bring."""
    now: dict[int, int]
    """What it has, whatever is held."""

    def outstanding(self, account_id: int) -> int:
        """Return what is owed on an invoice's account."""
        return max(-self.up[account_id], 0)

    def owed(self, account_id: int) -> int:
        """Return what is owed on an invoice's account until what is held for it has come."""
        return -self.now[account_id]


async def enter_to_repay(connection: Connection, book_id: int) -> Place:
    """
    Take the transaction's place in the order such that all invoices and policies ordered before it are there to be seen.

    To be called first: whoever took a place before has not let policies rest, nor waited for those who issue.
    """
    ((place, horizon),) = await _enter_to_repay(connection, book_id)
    return Place(place, horizon)


async def enter_to_reverse(connection: Connection, book_id: int) -> Place:
    """
    Take the transaction's place in the order with nobody repaying beside it; to be called first, as `enter_to_repay` is.

    What is reversed opens invoices again, and undoes what was repaid of them. Whoever repaid beside it could miss the
    one, and two reversals could both undo the other.
    """
    await enter_to_decide(connection, book_id)
    return await enter_to_repay(connection, book_id)


def require_earlier(transaction_id: int, place: Place) -> None:
    """
    Find that what was found under a reference is not of a transaction that is ordered later.

    Raises:
        OrderLost: it is; by the order this one was first. Run again, it comes after.
    """
    if transaction_id > place.place:
        raise OrderLost


async def find_dues(
    connection: Connection, book_id: int, purses: Iterable[Purse], place: int, until: dt.date | None = None, *,
    ranked: bool = True,
) -> dict[Purse, list[OpenInvoice]]:  # fmt: skip
    """
    Return the invoices that may be open, the oldest first, by customer and asset; only those due by *until* if given.

    With *ranked* their cost ranks are looked up, which many do not ask for.
    """
    wanted = sorted(set(purses))
    columns = [one[0] for one in wanted], [one[1] for one in wanted]
    rows = await _find_dues(connection, book_id, place, ranked, *columns, until) if wanted else []
    return _by_purse(wanted, rows)


async def find_dues_among(
    connection: Connection, book_id: int, named: Iterable[tuple[Purse, uuid.UUID]], place: int, *, ranked: bool
) -> dict[Purse, list[OpenInvoice]]:
    """Return those invoices, each named with whose it is, that may be open, as `find_dues` does."""
    wanted = sorted(set(named))
    columns = [one[0][0] for one in wanted], [one[0][1] for one in wanted], [one[1] for one in wanted]
    rows = await _find_dues_among(connection, book_id, place, ranked, *columns) if wanted else []
    return _by_purse([purse for purse, _ in wanted], rows)


def _by_purse(purses: Iterable[Purse], rows: Iterable[tuple[Any, ...]]) -> dict[Purse, list[OpenInvoice]]:
    found: dict[Purse, list[OpenInvoice]] = {purse: [] for purse in purses}
    for row in rows:
        found[row[0], row[1]].append(OpenInvoice._make(row[2:]))
    return found


async def lock_and_read(
    connection: Connection, ledger: Ledger, place: Place, invoices: Sequence[int], unallocated: Sequence[int] = ()
) -> Balances:
    """
    Lock accounts of invoices and of unallocated money, in order of id as the ledger does, and return their balances.

    Raises:
        OrderLost: a transaction that is ordered later moved one already; run this one again, under a later place.
    """
    accounts = sorted({*invoices, *unallocated})
    if not accounts:
        return Balances({}, {}, {})
    before = await read_in_order(connection, ledger, place, accounts)
    if before.raised_later.intersection(invoices) or before.lowered_later.intersection(unallocated):
        raise OrderLost
    return Balances(*(dict(zip(accounts, each, strict=True)) for each in (before.down, before.up, before.balance)))


async def read_outstanding(connection: Connection, book_id: int, accounts: Sequence[int]) -> dict[int, int]:
    """Return what is owed on invoices' accounts just now, for who only looks."""
    rows = await _find_outstanding(connection, book_id, list(accounts))
    return {account_id: max(outstanding, 0) for account_id, outstanding in rows}
