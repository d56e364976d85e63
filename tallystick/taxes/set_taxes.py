"""Set taxes: append versions of rates, roundings, categories and customers, each in force from an instant on."""

from decimal import Decimal
from typing import Any

from tallystick.db.queries import Connection, queries_beside
from tallystick.ledger.accounts import Recorded
from tallystick.rating.exact import plain
from tallystick.taxes.errors import TaxVersionExists, UnknownJurisdiction, UnknownTaxCustomer
from tallystick.taxes.model import TaxCategory, TaxCustomer, TaxRate, TaxRounding

_queries = queries_beside(__file__)
_find_customer = _queries.value("find_customer")
_has_jurisdiction = _queries.value("has_jurisdiction")
_insert_rate = _queries.run("insert_rate")
_find_rate = _queries.tuples("find_rate")
_insert_rounding = _queries.run("insert_rounding")
_find_rounding = _queries.tuples("find_rounding")
_insert_category = _queries.run("insert_category")
_find_category = _queries.tuples("find_category")
_insert_customer = _queries.run("insert_customer")
_find_customer_tax = _queries.tuples("find_customer_tax")
_list_rates = _queries.tuples("list_rates")

EVERY_CHARGE = ""
"""How a category of the whole product is kept."""


async def set_rate(connection: Connection, recorded: Recorded, wanted: TaxRate) -> TaxRate:
    """
    Append a version of a tax, or find it there with the same content.

    Raises:
        TaxVersionExists: that instant has a version with other content (``taxes.version_exists``).
    """
    rate = None if wanted.rate is None else Decimal(wanted.rate)
    key = (wanted.jurisdiction, wanted.category, wanted.name, wanted.effective_at)
    said = (rate, wanted.inclusive, wanted.compound)
    await _insert_rate(connection, recorded.book_id, *key, *said, recorded.message_place, recorded.at)
    (found,) = await _find_rate(connection, recorded.book_id, *key)
    _require_same(("rate", "inclusive", "compound"), said, found)
    return wanted


async def set_rounding(connection: Connection, recorded: Recorded, wanted: TaxRounding) -> TaxRounding:
    """
    Append how a jurisdiction's taxes are rounded, or find it there with the same content.

    Raises:
        UnknownJurisdiction: it has no rate (``taxes.unknown_jurisdiction``).
        TaxVersionExists: that instant has a version with other content (``taxes.version_exists``).
    """
    await require_jurisdiction(connection, recorded.book_id, wanted.jurisdiction)
    key, said = (wanted.jurisdiction, wanted.effective_at), (wanted.scope, wanted.mode)
    await _insert_rounding(connection, recorded.book_id, *key, *said, recorded.message_place, recorded.at)
    (found,) = await _find_rounding(connection, recorded.book_id, *key)
    _require_same(("scope", "mode"), said, found)
    return wanted


async def set_category(connection: Connection, recorded: Recorded, wanted: TaxCategory) -> TaxCategory:
    """
    Append the category of a product or a charge, or find it there with the same content.

    Raises:
        TaxVersionExists: that instant has a version with other content (``taxes.version_exists``).
    """
    key = (wanted.product, wanted.charge or EVERY_CHARGE, wanted.effective_at)
    await _insert_category(connection, recorded.book_id, *key, wanted.category, recorded.message_place, recorded.at)
    (found,) = await _find_category(connection, recorded.book_id, *key)
    _require_same(("category",), (wanted.category,), found)
    return wanted


async def set_customer(connection: Connection, recorded: Recorded, wanted: TaxCustomer) -> TaxCustomer:
    """
    Append where a customer is taxed, or find it there with the same content.

    Raises:
        UnknownTaxCustomer: the customer is not known (``taxes.unknown_customer``).
        UnknownJurisdiction: the jurisdiction has no rate (``taxes.unknown_jurisdiction``).
        TaxVersionExists: that instant has a version with other content (``taxes.version_exists``).
    """
    customer_id = await require_customer(connection, recorded.book_id, wanted.customer)
    await require_jurisdiction(connection, recorded.book_id, wanted.jurisdiction)
    key, said = (customer_id, wanted.effective_at), (wanted.jurisdiction, wanted.treatment, wanted.reason)
    await _insert_customer(connection, recorded.book_id, *key, *said, recorded.message_place, recorded.at)
    (found,) = await _find_customer_tax(connection, recorded.book_id, *key)
    _require_same(("jurisdiction", "treatment", "reason"), said, found)
    return wanted


async def require_customer(connection: Connection, book_id: int, ref: str) -> int:
    """
    Return the number of a customer.

    Raises:
        UnknownTaxCustomer: the customer is not known (``taxes.unknown_customer``).
    """
    customer_id: int | None = await _find_customer(connection, book_id, ref)
    if customer_id is None:
        raise UnknownTaxCustomer(field="customer", customer=ref)
    return customer_id


async def require_jurisdiction(connection: Connection, book_id: int, jurisdiction: str) -> None:
    """
    Find that a jurisdiction has a rate.

    Raises:
        UnknownJurisdiction: it has none (``taxes.unknown_jurisdiction``).
    """
    if not await _has_jurisdiction(connection, book_id, jurisdiction):
        raise UnknownJurisdiction(field="jurisdiction", jurisdiction=jurisdiction)


async def list_rates(connection: Connection, book_id: int, jurisdiction: str | None) -> list[TaxRate]:
    """Return every version of every rate, of one jurisdiction if given."""
    return [
        TaxRate(where, category, name, at, None if rate is None else plain(rate), inclusive, compound)
        for where, category, name, at, rate, inclusive, compound in await _list_rates(connection, book_id, jurisdiction)
    ]


def _require_same(names: tuple[str, ...], wanted: tuple[Any, ...], found: tuple[Any, ...]) -> None:
    for name, said, there in zip(names, wanted, found, strict=True):
        if said != there:
            raise TaxVersionExists(field=name, differs=name)
