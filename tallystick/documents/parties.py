"""Set and find parties: the book itself, who sells, and its customers, who buy."""

import datetime as dt
from typing import Any

import msgspec

from tallystick.db.queries import Connection, queries_beside
from tallystick.documents.check_party import check_party
from tallystick.documents.errors import NoParty, UnknownPartyCustomer
from tallystick.documents.model import BankAccount, Party
from tallystick.ledger.accounts import Recorded

_queries = queries_beside(__file__)
_find_customer = _queries.value("find_customer")
_insert_party = _queries.run("insert_party")
_find_party = _queries.tuples("find_party")
_find_first_party = _queries.tuples("find_first_party")


async def set_party(connection: Connection, recorded: Recorded, wanted: Party) -> Party:
    """
    Append a version of a party.

    Raises:
        InvalidInput: its country, language, VAT id or bank account is none (``invalid_input``).
        UnknownPartyCustomer: the customer is not known (``documents.unknown_customer``).
    """
    party = check_party(wanted)
    customer_id = await _customer_id(connection, recorded.book_id, party.customer)
    bank = None if party.bank is None else msgspec.json.encode(party.bank).decode()
    await _insert_party(
        connection, recorded.book_id, recorded.message_place, customer_id, party.name, party.address, party.city,
        party.postcode, party.country, party.vat_id, party.registration, party.email, party.phone, party.language, bank,
        recorded.at,
    )  # fmt: skip
    return party


async def find_party(
    connection: Connection, book_id: int, customer: str | None, at: dt.datetime | None = None
) -> Party:
    """
    Return a party as it is, or as it was at an instant; of one that was first set later, that first version.

    Raises:
        UnknownPartyCustomer: the customer is not known (``documents.unknown_customer``).
        NoParty: nobody has said its name and address (``documents.no_party``).
    """
    customer_id = await _customer_id(connection, book_id, customer)
    rows = await _find_party(connection, book_id, customer_id, at)
    rows = rows or await _find_first_party(connection, book_id, customer_id)
    if not rows:
        whose = "the book itself, who sells" if customer is None else f"the customer {customer}"
        raise NoParty(field="customer", whose=whose)
    return _party(customer, rows[0])


async def _customer_id(connection: Connection, book_id: int, customer: str | None) -> int | None:
    if customer is None:
        return None
    customer_id: int | None = await _find_customer(connection, book_id, customer)
    if customer_id is None:
        raise UnknownPartyCustomer(field="customer", customer=customer)
    return customer_id


def _party(customer: str | None, row: tuple[Any, ...]) -> Party:
    (name, address, city, postcode, country, vat_id, registration, email, phone, language, bank, set_at) = row
    account = None if bank is None else msgspec.json.decode(bank, type=BankAccount)
    return Party(
        customer, name, address, city, postcode, country, vat_id, registration, email, phone, language, account, set_at
    )
