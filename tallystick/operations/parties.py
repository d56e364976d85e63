"""The parties' operations, and the reading of what a document says."""

import uuid
from typing import Annotated, Literal

import msgspec

from tallystick.documents import parties
from tallystick.documents.collect import collect_credit_note, collect_document
from tallystick.documents.model import DEFAULT_LANGUAGE, BankAccount, Document, Party
from tallystick.operations.invoicing import CustomerRef
from tallystick.operations.model import Call, Input, Operation

_PRINTABLE = r"^[^\x00-\x1f\x7f\ufffe\uffff]+$(?!\n)"
"""Nothing that a page or an XML file cannot carry; the lines of an address are told apart by the list."""
Text = Annotated[str, msgspec.Meta(min_length=1, max_length=255, pattern=_PRINTABLE)]
Short = Annotated[str, msgspec.Meta(min_length=1, max_length=32, pattern=_PRINTABLE)]


class BankAccountInput(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Where money goes to."""

    account: Annotated[str, msgspec.Meta(min_length=1, max_length=64, pattern=_PRINTABLE)]
    """An IBAN, or the number that the bank's country uses instead."""
    bic: Short | None = None
    bank: Text | None = None
    holder: Text | None = None
    """Left out: the party itself."""


class PartyInput(Input, frozen=True):
    """Name and address of a customer, or of the book itself, from now on."""

    name: Text
    address: Annotated[list[Text], msgspec.Meta(min_length=1, max_length=3)]
    """Street and what else stands above the city."""
    city: Text
    country: Annotated[str, msgspec.Meta(pattern=r"^[A-Z]{2}$(?!\n)")]
    """In two letters of ISO 3166."""
    customer: CustomerRef | None = None
    """Left out: the book itself, who sells."""
    postcode: Short | None = None
    vat_id: Short | None = None
    registration: Annotated[str, msgspec.Meta(min_length=1, max_length=64, pattern=_PRINTABLE)] | None = None
    """Where it is registered, and under which number."""
    email: Annotated[str, msgspec.Meta(min_length=3, max_length=254, pattern=_PRINTABLE)] | None = None
    phone: Annotated[str, msgspec.Meta(min_length=3, max_length=32, pattern=_PRINTABLE)] | None = None
    language: Annotated[str, msgspec.Meta(max_length=16)] = DEFAULT_LANGUAGE
    """In which the party reads what it is sent: en, de, fr, ja or zh."""
    bank: BankAccountInput | None = None


class FindPartyInput(Input, frozen=True):
    """Whose name and address; those of the book itself if left out."""

    customer: CustomerRef | None = None


class DocumentInput(Input, frozen=True):
    """The id of an invoice, or of a credit note."""

    id: uuid.UUID
    kind: Literal["invoice", "credit_note"] = "invoice"


async def set_party(call: Call, request: PartyInput) -> Party:
    """Say the name and address of a customer, or of the book itself; what was issued before keeps the former ones."""
    given = request.bank
    bank = None if given is None else BankAccount(given.account, given.bic, given.bank, given.holder)
    wanted = Party(
        request.customer, request.name, request.address, request.city, request.postcode, request.country, request.vat_id,
        request.registration, request.email, request.phone, request.language, bank, call.at,
    )  # fmt: skip
    return await parties.set_party(call.connection, call.recorded, wanted)


async def find_party(call: Call, request: FindPartyInput) -> Party:
    """Return the name and address of a customer, or of the book itself."""
    return await parties.find_party(call.connection, call.book.book_id, request.customer)


async def read_document(call: Call, request: DocumentInput) -> Document:
    """Return everything that the document of an invoice or of a credit note says."""
    if request.kind == "credit_note":
        return await collect_credit_note(call.connection, call.book.ledger, request.id)
    return await collect_document(call.connection, call.book.ledger, request.id)


OPERATIONS = [
    Operation("parties.set", PartyInput, Party, "parties:write", "POST /parties", set_party),
    Operation("parties.find", FindPartyInput, Party, "parties:read", "GET /parties", find_party, reads=True),
    Operation(
        "documents.read", DocumentInput, Document, "invoicing:read", "", read_document, reads=True, snapshot=True
    ),
]
