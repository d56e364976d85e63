"""Charge: all that is due on a day for a customer's account becomes one debit; made for a chunk of customers at a time."""

import datetime as dt
import uuid
from collections.abc import Sequence
from dataclasses import dataclass, field

from tallystick.db.queries import Connection, queries_beside
from tallystick.errors import InvalidInput
from tallystick.invoicing.life.unallocated_account import open_unallocated
from tallystick.ledger.accounts import NewAccount, Recorded, open_accounts
from tallystick.ledger.post import Ledger
from tallystick.ledger.read_in_order import Place
from tallystick.money import MAX_AMOUNT
from tallystick.repayments.debit_days import chosen_days_moved_to
from tallystick.repayments.dues import OpenInvoice, Purse, enter_to_repay, find_dues, lock_and_read
from tallystick.repayments.model import (
    BANK_DEBIT,
    Chargeable,
    ChargeablePage,
    ChargesMade,
    channel_account,
    charge_id_of,
)
from tallystick.repayments.move_for_holidays import Rule, bank_days_of, require_year

_queries = queries_beside(__file__)
_enter_to_charge = _queries.run("enter_to_charge")
_list_calendars = _queries.tuples("list_calendars")
_page_chargeable = _queries.tuples("page_chargeable")
_page_agreed = _queries.tuples("page_agreed")
_find_retries = _queries.tuples("find_retries")
_find_charged = _queries.tuples("find_charged")
_find_under_way = _queries.values("find_under_way")
_find_charged_days = _queries.tuples("find_charged_days")
_list_assets = _queries.tuples("list_assets")
_insert_charges = _queries.run("insert_charges")

_LAST = 0
"""How the last day of the month is told to the store, among the numbers of days."""


@dataclass(frozen=True, slots=True)
class _Debtor:
    """A customer whose account can be debited on the day."""

    customer_id: int
    customer: str
    bank_account: str
    country: str
    on_day: bool
    """It is the customer's debit day: all that is due is charged, not only what failed before."""


@dataclass(frozen=True, slots=True)
class _Retry:
    """A charge that failed and is to be tried again."""

    charge_id: uuid.UUID
    attempt: int
    invoices: frozenset[uuid.UUID]


@dataclass(slots=True)
class _Made:
    """A charge on its way."""

    charge_id: uuid.UUID
    debtor: _Debtor
    asset_id: int
    retry: _Retry | None
    invoices: list[tuple[uuid.UUID, int]] = field(default_factory=list)

    @property
    def amount(self) -> int:
        """Return what it asks for."""
        return sum(amount for _, amount in self.invoices)


async def make_charges(
    connection: Connection, ledger: Ledger, recorded: Recorded, on: dt.date, after: int, limit: int
) -> ChargesMade:
    """
    Make the charges of a day for the next *limit* customers with an agreement, behind *after* in order of their numbers.

    On a customer's debit day it asks for all that is due by then and in no charge that is under way; on the day on which
    a failed charge is tried again, for what is still owed of that. Made again, it finds that they are made.

    Raises:
        InvalidInput: the bank holidays of the day are not known (``invalid_input``).
        OrderLost: another transaction repaid some of it meanwhile, and is ordered later.
    """
    await _enter_to_charge(connection, recorded.book_id)
    place = await enter_to_repay(connection, recorded.book_id)
    customers, debtors = await _find_debtors(connection, recorded.book_id, place, on, after, limit)
    assets = dict(await _list_assets(connection, recorded.book_id))
    dues = await _find_open(connection, recorded.book_id, place, on, debtors, list(assets))
    made = await _put_together(connection, ledger, recorded, place, on, dues, assets)
    await _keep(connection, recorded, on, made)
    totals: dict[str, int] = {}
    for one in made:
        totals[assets[one.asset_id]] = totals.get(assets[one.asset_id], 0) + one.amount
    next_ = str(customers[-1]) if len(customers) == limit else None
    return ChargesMade(len(customers), len(made), totals, next_)


async def page_chargeable(connection: Connection, book_id: int, after: int, limit: int) -> ChargeablePage:
    """Return the customers whom `make_charges` would look at."""
    rows = await _page_agreed(connection, book_id, after, limit)
    cursors = [after, *(row[0] for row in rows)]
    items = [Chargeable(ref, str(before)) for (_, ref), before in zip(rows, cursors, strict=False)]
    return ChargeablePage(items, str(cursors[-1]) if len(rows) == limit else None)


async def _find_debtors(
    connection: Connection, book_id: int, place: Place, on: dt.date, after: int, limit: int
) -> tuple[list[int], list[_Debtor]]:
    """Return the customers that were looked at, and those of them whose banks are open and who agreed to a debit."""
    calendars = await _list_calendars(connection, book_id, place.place)
    for country in {country for country, _ in calendars}:
        require_year(country, on.year)
    choices = [
        (country, rule, _LAST if day == "last" else day)
        for country, rule in calendars
        for day in chosen_days_moved_to(on, country, Rule(rule))
    ]
    columns = ([one[at] for one in choices] for at in range(3))
    rows = await _page_chargeable(connection, book_id, after, place.place, limit, on, *columns)
    debtors = [_Debtor(*row) for row in rows if row[2] is not None and bank_days_of(row[3])(on)]
    return [row[0] for row in rows], debtors


@dataclass(frozen=True, slots=True)
class _Open:
    """What is open for a customer in an asset on the day, and may be charged."""

    debtor: _Debtor
    asset_id: int
    retry: _Retry | None
    invoices: Sequence[OpenInvoice]


async def _find_open(
    connection: Connection,
    book_id: int,
    place: Place,
    on: dt.date,
    debtors: Sequence[_Debtor],
    asset_ids: Sequence[int],
) -> list[_Open]:
    """
    Return what may be charged; on a day that is no debit day of the customer's only what failed before.

    Left out are those who were charged for the day already, and the invoices of charges that are under way.
    """
    by_id = {one.customer_id: one for one in debtors}
    retries = await _find_to_retry(connection, book_id, place, on, list(by_id))
    purses = {(one.customer_id, asset_id) for one in debtors if one.on_day for asset_id in asset_ids} | set(retries)
    dues = await find_dues(connection, book_id, purses, place.place, on, ranked=False)
    ids = [invoice.invoice_id for own in dues.values() for invoice in own]
    charged = {tuple(row) for row in await _find_charged_days(connection, book_id, on, list(by_id))}
    under_way = {*await _find_under_way(connection, book_id, ids, place.place)}
    found = []
    for (customer_id, asset_id), own in dues.items():
        debtor = by_id[customer_id]
        retry = None if debtor.on_day else retries[customer_id, asset_id]
        if (customer_id, debtor.bank_account, asset_id) in charged:
            continue
        invoices = [
            one for one in own
            if one.invoice_id not in under_way and (retry is None or one.invoice_id in retry.invoices)
        ]  # fmt: skip
        found.append(_Open(debtor, asset_id, retry, invoices))
    return found


async def _put_together(
    connection: Connection,
    ledger: Ledger,
    recorded: Recorded,
    place: Place,
    on: dt.date,
    dues: Sequence[_Open],
    assets: dict[int, str],
) -> list[_Made]:
    """
    Put what is outstanding into one charge for each customer and asset.

    The accounts that the money will arrive on are opened here, so that who applies many outcomes finds them.
    """
    arriving = sorted({(own.debtor.customer, assets[own.asset_id]) for own in dues if own.invoices})
    await open_unallocated(connection, recorded, arriving)
    channels = [NewAccount(channel_account(BANK_DEBIT, asset), asset) for asset in sorted({one[1] for one in arriving})]
    await open_accounts(connection, recorded, channels)
    accounts = [invoice.account_id for own in dues for invoice in own.invoices]
    balances = await lock_and_read(connection, ledger, place, accounts)
    made = []
    for own in dues:
        debtor = own.debtor
        id_ = charge_id_of(debtor.customer, debtor.bank_account, assets[own.asset_id], on)
        one = _Made(id_, debtor, own.asset_id, own.retry)
        for invoice in own.invoices:
            outstanding = balances.outstanding(invoice.account_id)
            if outstanding and one.amount + outstanding <= MAX_AMOUNT:
                one.invoices.append((invoice.invoice_id, outstanding))
        if one.invoices:
            made.append(one)
    return made


async def _find_to_retry(
    connection: Connection, book_id: int, place: Place, on: dt.date, customer_ids: Sequence[int]
) -> dict[Purse, _Retry]:
    rows = await _find_retries(connection, book_id, list(customer_ids), place.place, on)
    invoices: dict[uuid.UUID, set[uuid.UUID]] = {row[2]: set() for row in rows}
    for charge_id, invoice_id, _ in await _find_charged(connection, book_id, list(invoices)) if rows else []:
        invoices[charge_id].add(invoice_id)
    return {
        (customer_id, asset_id): _Retry(charge_id, attempt + 1, frozenset(invoices[charge_id]))
        for customer_id, asset_id, charge_id, attempt in rows
    }


async def _keep(connection: Connection, recorded: Recorded, on: dt.date, made: Sequence[_Made]) -> None:
    if not made:
        return
    parts = [(one.charge_id, *part) for one in made for part in one.invoices]
    await _insert_charges(
        connection,
        recorded.book_id,
        on,
        recorded.message_place,
        recorded.at,
        [one.charge_id for one in made],
        [one.debtor.customer_id for one in made],
        [one.debtor.bank_account for one in made],
        [one.asset_id for one in made],
        [one.amount for one in made],
        [one.retry.attempt if one.retry else 1 for one in made],
        [one.retry.charge_id if one.retry else None for one in made],
        [one.debtor.country for one in made],
        *([part[at] for part in parts] for at in range(3)),
    )


def read_cursor(after: str) -> int:
    """
    Read the cursor of a chunk of customers.

    Raises:
        InvalidInput: it is none (``invalid_input``).
    """
    if not after.isdecimal() or len(after) > 18:  # noqa: PLR2004 - as many digits as a customer's number can have
        raise InvalidInput(field="after", rule="a cursor is what `next` of the chunk before gave")
    return int(after)
