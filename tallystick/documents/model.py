"""Parties, and everything that a document says."""

import datetime as dt
import uuid

import msgspec

from tallystick.invoicing.model import Invoice

DEFAULT_LANGUAGE = "en"
LANGUAGES = ("en", "de", "fr", "ja", "zh")
"""In which languages a document can be written."""


class BankAccount(msgspec.Struct, frozen=True, omit_defaults=True, forbid_unknown_fields=True):
    """Where money goes to."""

    account: str
    """An IBAN, or the number that the bank's country uses instead."""
    bic: str | None = None
    bank: str | None = None
    """The bank's name, and its branch where the country asks for it."""
    holder: str | None = None
    """Null: the party itself."""


class Party(msgspec.Struct, frozen=True):
    """Who sells or buys, as documents print it."""

    customer: str | None
    """Null: the book itself, who sells."""
    name: str
    address: list[str]
    """Street and what else stands above the city; one to three lines."""
    city: str
    postcode: str | None
    country: str
    """As ISO 3166 writes it in two letters."""
    vat_id: str | None
    registration: str | None
    """Where it is registered, and under which number."""
    email: str | None
    phone: str | None
    language: str
    """In which the party reads what it is sent."""
    bank: BankAccount | None
    set_at: dt.datetime


class Document(msgspec.Struct, frozen=True):
    """An issued invoice, or a credit note in the form of one, and all that is printed beside it."""

    invoice: Invoice
    seller: Party
    buyer: Party
    categories: list[str | None]
    """The tax category of each line; null where no tax is asked for it."""
    adjusted: dict[uuid.UUID, str]
    """The numbers of the invoices that lines correct."""
    zone: str
    """In which its days are counted."""
    takes_back: str | None = None
    """Of a credit note, the number of the invoice that it takes back from; null: it is an invoice."""
