"""Files of banks: what goes out, and what comes back."""

import datetime as dt
import re
import uuid
from typing import Literal

import msgspec

from tallystick.errors import InvalidInput
from tallystick.ids import id_of_content

_ENTRY = re.compile(r"([0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12})\.([1-9][0-9]{0,5})")


class Creditor(msgspec.Struct, frozen=True):
    """Who collects."""

    name: str
    iban: str
    creditor_id: str
    """Given by the creditor's central bank (EPC262-08)."""
    bic: str | None = None


class BankFile(msgspec.Struct, frozen=True):
    """A file of debits; amounts are minor units of *asset*."""

    id: uuid.UUID
    debit_on: dt.date
    asset: str
    exponent: int
    number: int
    """1 for the first of a day and an asset; more if charges were made after it."""
    charges: int
    total: int
    creditor: Creditor
    taken_at: dt.datetime

    @property
    def message_id(self) -> str:
        """Return what the bank knows it by."""
        return self.id.hex


class Debit(msgspec.Struct, frozen=True):
    """One charge in a file."""

    charge: uuid.UUID
    amount: int
    bank_account: str
    customer: str
    name: str
    mandate: str
    signed_on: dt.date
    invoices: str
    """Their numbers, with spaces between."""


class DebitsPage(msgspec.Struct, frozen=True):
    """Debits of a file; ``next`` is the cursor of the page behind, null on the last."""

    items: list[Debit]
    next: uuid.UUID | None


class StatementBalance(msgspec.Struct, frozen=True):
    """What was on an account; minor units, negative if overdrawn."""

    on: dt.date
    amount: int


class StatementHead(msgspec.Struct, frozen=True):
    """What a bank says of an account for some days."""

    account: str
    currency: str
    number: str
    opening: StatementBalance
    closing: StatementBalance

    @property
    def id(self) -> uuid.UUID:
        """
        Derive its id.

        Many banks number every statement alike, or begin anew each year, so days and balances tell them apart.
        """
        balances = (str(at) for one in (self.opening, self.closing) for at in (one.on, one.amount))
        return id_of_content(("bank.statement", self.account, self.currency, self.number, *balances))


class Entry(msgspec.Struct, frozen=True, omit_defaults=True):
    """A movement on an account; minor units, positive if money came."""

    value_on: dt.date
    amount: int
    booked_on: dt.date | None = None
    reversal: bool = False
    """It takes back an entry of the other direction."""
    code: str = ""
    """The bank's name for the kind of movement."""
    reference: str = ""
    """The customer's."""
    bank_reference: str = ""
    text: str = ""
    """What it is for, as it came."""
    account: str = ""
    """Of the other side."""
    name: str = ""
    """Of the other side."""


class Partner(msgspec.Struct, frozen=True):
    """An invoice that an entry may be for."""

    invoice: uuid.UUID
    number: str
    customer: str
    outstanding: int
    score: int
    """Of 100."""
    why: str


class EntryShown(msgspec.Struct, frozen=True):
    """An entry with what became of it."""

    id: str
    statement_account: str
    asset: str
    entry: Entry
    matched: str | None
    """Why, null: it is not."""
    repayment: uuid.UUID | None
    partners: list[Partner]
    """The likeliest first; of entries that are not matched."""


class EntriesPage(msgspec.Struct, frozen=True):
    """Entries in the order in which they came; ``next`` is the cursor of the page behind, null on the last."""

    items: list[EntryShown]
    next: str | None


class Imported(msgspec.Struct, frozen=True):
    """What was kept of a statement."""

    statement: uuid.UUID
    entries: int
    new: int


class Settled(msgspec.Struct, frozen=True):
    """What became of one entry."""

    entry: str
    kind: Literal["invoice", "charge", "file", "return", "payout", "refused"]
    amount: int
    why: str
    repayment: uuid.UUID | None = None


class SettledChunk(msgspec.Struct, frozen=True):
    """What became of a chunk of entries; those that nothing was certain of are not in it."""

    looked_at: int
    items: list[Settled]
    next: int | None
    """The position of the last entry that was looked at; null: there are none behind."""


def entry_id(statement: uuid.UUID, position: int) -> str:
    """Write the id of an entry."""
    return f"{statement}.{position}"


def read_entry_id(text: str, field: str = "entry") -> tuple[uuid.UUID, int]:
    """
    Read the id of an entry.

    Raises:
        InvalidInput: it is none (``invalid_input``).
    """
    found = _ENTRY.fullmatch(text)
    if found is None:
        raise InvalidInput(field=field, rule="An entry's id is that of its statement, a full stop, and its position")
    return uuid.UUID(found[1]), int(found[2])
