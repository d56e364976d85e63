"""Find candidates: the open invoices that entries of a statement may be for."""

import uuid
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass

from tallystick.collecting.bank.match import Open, numbers_in
from tallystick.collecting.bank.model import Entry
from tallystick.db.queries import Connection, queries_beside
from tallystick.invoicing.model import printed_number
from tallystick.repayments.dues import OpenInvoice, find_dues

_queries = queries_beside(__file__)
_list_series = _queries.values("list_series")
_find_numbered = _queries.tuples("find_numbered")
_find_account_owners = _queries.tuples("find_account_owners")
_find_same_totals = _queries.tuples("find_same_totals")

ReadOutstanding = Callable[[Sequence[int]], Awaitable[Mapping[int, int]]]
"""Returns what is outstanding on accounts of invoices."""


@dataclass(frozen=True, slots=True)
class Candidates:
    """What is known of open invoices, for some entries."""

    dues: Mapping[int, Sequence[OpenInvoice]]
    """By customer."""
    customers: Mapping[int, str]
    named: Mapping[int, frozenset[uuid.UUID]]
    """By the place of an entry, the invoices that it names."""
    related: Mapping[int, frozenset[int]]
    """By the place of an entry, the customers that it has to do with."""
    owners: Mapping[str, frozenset[int]]
    """By account, the customers that it is debited for."""
    outstanding: dict[int, int]
    """By account of an invoice; what is placed is taken off."""

    def open_for(self, place: int, entry: Entry) -> list[Open]:
        """Return the invoices that an entry may be for."""
        own = self.owners.get(entry.account, frozenset())
        return [
            Open(
                one.invoice_id, one.number, customer, self.customers[customer], self.outstanding[one.account_id],
                one.invoice_id in self.named[place], customer in own,
            )
            for customer in sorted(self.related[place])
            for one in self.dues[customer]
        ]  # fmt: skip

    def account_of(self, customer_id: int, invoice: uuid.UUID) -> int:
        """Return the account of an invoice."""
        return next(one.account_id for one in self.dues[customer_id] if one.invoice_id == invoice)


async def find_candidates(
    connection: Connection,
    book_id: int,
    asset_id: int,
    place: int,
    entries: Sequence[Entry],
    read_outstanding: ReadOutstanding,
    *,
    by_amount: bool = False,
) -> Candidates:
    """
    Find what is open and named, or of a customer whose account it is; for those who only look also what has the amount.

    All is as of *place* in the order.
    """
    series = await _list_series(connection, book_id)
    said = [list(numbers_in(f"{one.text} {one.reference}", series)) for one in entries]
    wanted = sorted({pair for own in said for pair in own})
    columns = [one[0] for one in wanted], [one[1] for one in wanted]
    customers: dict[int, str] = dict(await _find_numbered(connection, book_id, *columns, place, asset_id))
    accounts = sorted({one.account for one in entries if one.account})
    owners: dict[str, set[int]] = {}
    for account, customer_id, ref in await _find_account_owners(connection, book_id, accounts, place):
        owners.setdefault(account, set()).add(customer_id)
        customers[customer_id] = ref
    same: dict[int, set[int]] = {}
    for amount in sorted({one.amount for one in entries}) if by_amount else []:
        for customer_id, ref in await _find_same_totals(connection, book_id, asset_id, amount, place):
            same.setdefault(amount, set()).add(customer_id)
            customers[customer_id] = ref
    purses = {(customer_id, asset_id) for customer_id in customers}
    dues = {purse[0]: own for purse, own in (await find_dues(connection, book_id, purses, place)).items()}
    numbers = {one.number: (one.invoice_id, customer) for customer, own in dues.items() for one in own}
    named = {}
    related = {}
    for at, (entry, pairs) in enumerate(zip(entries, said, strict=True)):
        found = [numbers[printed] for own, number in pairs if (printed := printed_number(own, number)) in numbers]
        named[at] = frozenset(one[0] for one in found)
        related[at] = frozenset(
            {one[1] for one in found} | owners.get(entry.account, set()) | same.get(entry.amount, set())
        )
    outstanding = dict(await read_outstanding([one.account_id for own in dues.values() for one in own]))
    frozen = {account: frozenset(own) for account, own in owners.items()}
    return Candidates(dues, customers, named, related, frozen, outstanding)
