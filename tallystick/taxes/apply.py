"""Apply: the taxes of a chunk of customers, loaded once, and what they make of each one's lines at a moment."""

import datetime as dt
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple, TypeVar

from tallystick.db.queries import Connection, queries_beside
from tallystick.taxes.compute import Taxed, TaxLine, compute
from tallystick.taxes.model import STANDARD, InvoiceTax, Rate, Rounding, Whose
from tallystick.taxes.set_taxes import EVERY_CHARGE

_queries = queries_beside(__file__)
_any_customers = _queries.value("any_customers")
_versions_of_customers = _queries.tuples("versions_of_customers")
_versions_of_rates = _queries.tuples("versions_of_rates")
_versions_of_roundings = _queries.tuples("versions_of_roundings")
_versions_of_categories = _queries.tuples("versions_of_categories")

_Kept = TypeVar("_Kept")
_Versions = Sequence[tuple[dt.datetime, _Kept]]
"""In order of the instants that they are in force from."""


class ChargeLine(NamedTuple):
    """What one line asks for, and for which charge of which product."""

    product: str
    charge: str
    amount: int
    """In minor units; negative where it takes back."""


@dataclass(frozen=True, slots=True)
class TaxTable:
    """Every version of what taxes some customers pay."""

    customers: Mapping[int, _Versions[Whose]] = field(default_factory=dict)
    """Those who are taxed somewhere; the others pay no tax."""
    rates: Mapping[tuple[str, str], Sequence[_Versions[Rate | None]]] = field(default_factory=dict)
    """By jurisdiction and category, each of its taxes in the order in which they are printed."""
    roundings: Mapping[str, _Versions[Rounding]] = field(default_factory=dict)
    """By jurisdiction."""
    categories: Mapping[tuple[str, str], _Versions[str]] = field(default_factory=dict)
    """By product and charge; under ``EVERY_CHARGE`` that of the product."""

    def whose(self, customer_id: int, before: dt.datetime) -> Whose | None:
        """Return where a customer is taxed; None: nowhere."""
        return _in_force(self.customers.get(customer_id, ()), before)

    def category_of(self, product: str, charge: str, before: dt.datetime) -> str:
        """Return the category of a charge: its own, that of its product, or the standard one."""
        own = _in_force(self.categories.get((product, charge), ()), before)
        return own or _in_force(self.categories.get((product, EVERY_CHARGE), ()), before) or STANDARD

    def rates_of(self, jurisdiction: str, category: str, before: dt.datetime) -> list[Rate]:
        """Return the rates in force; those that are compound come last."""
        found = [_in_force(versions, before) for versions in self.rates.get((jurisdiction, category), ())]
        return sorted((one for one in found if one is not None), key=lambda rate: rate.compound)


UNTAXED = TaxTable()


async def load_taxes(connection: Connection, book_id: int, customer_ids: Sequence[int]) -> TaxTable:
    """
    Return what taxes the customers pay.

    A book that taxes nobody costs one short question.
    """
    if not customer_ids or not await _any_customers(connection, book_id):
        return UNTAXED
    customers: dict[int, list[tuple[dt.datetime, Whose]]] = {}
    for customer_id, at, *whose in await _versions_of_customers(connection, book_id, list(customer_ids)):
        customers.setdefault(customer_id, []).append((at, Whose(*whose)))
    if not customers:
        return UNTAXED
    return await load_table(connection, book_id, customers)


async def load_table(
    connection: Connection, book_id: int, customers: Mapping[int, _Versions[Whose]] | None = None
) -> TaxTable:
    """Return every rate, rounding and category of the book, with *customers* of whom it is known where they are taxed."""
    rates: dict[tuple[str, str], dict[str, list[tuple[dt.datetime, Rate | None]]]] = {}
    for jurisdiction, category, name, at, rate, inclusive, compound in await _versions_of_rates(connection, book_id):
        version = None if rate is None else Rate(name, rate, inclusive, compound)
        rates.setdefault((jurisdiction, category), {}).setdefault(name, []).append((at, version))
    roundings: dict[str, list[tuple[dt.datetime, Rounding]]] = {}
    for jurisdiction, at, scope, mode in await _versions_of_roundings(connection, book_id):
        roundings.setdefault(jurisdiction, []).append((at, Rounding(scope, mode)))
    categories: dict[tuple[str, str], list[tuple[dt.datetime, str]]] = {}
    for product, charge, at, category in await _versions_of_categories(connection, book_id):
        categories.setdefault((product, charge), []).append((at, category))
    by_name = {key: list(taxes.values()) for key, taxes in rates.items()}
    return TaxTable(customers or {}, by_name, roundings, categories)


def tax_lines(
    table: TaxTable, customer_id: int, lines: Sequence[ChargeLine], before: dt.datetime
) -> tuple[list[InvoiceTax], int]:
    """
    Return the taxes of a customer's lines, and what they add to them. Pure.

    What is in force right before an instant counts, which is the end of what is invoiced.

    Raises:
        NoTaxRate: a line's category has no rate in force (``taxes.no_rate``).
        TaxTooLarge: a tax is beyond what can be asked for (``taxes.amount_too_large``).
    """
    whose = table.whose(customer_id, before)
    if whose is None:
        return [], 0
    told = [TaxLine(table.category_of(line.product, line.charge, before), line.amount) for line in lines]
    taxed = tax_whose(table, whose, told, before)
    return taxed.taxes, taxed.exclusive


def tax_whose(table: TaxTable, whose: Whose, lines: Sequence[TaxLine], before: dt.datetime) -> Taxed:
    """
    Return the taxes of lines by who is taxed where. Pure.

    Raises:
        NoTaxRate: a line's category has no rate in force (``taxes.no_rate``).
        TaxTooLarge: a tax is beyond what can be asked for (``taxes.amount_too_large``).
    """
    rates = {
        category: table.rates_of(whose.jurisdiction, category, before) for category in {it.category for it in lines}
    }
    rounding = _in_force(table.roundings.get(whose.jurisdiction, ()), before) or Rounding()
    return compute(whose, rounding, rates, lines)


def _in_force(versions: _Versions[_Kept], before: dt.datetime) -> _Kept | None:
    """Return the newest version from before an instant; None where there is none."""
    found = None
    for at, version in versions:
        if at >= before:
            break
        found = version
    return found
