"""The bank's operations: debits go out as a file, their results and statements come in, entries find their invoices."""

import datetime as dt
import uuid
from decimal import Decimal
from typing import Annotated

import msgspec

from tallystick.collecting.bank.apply_results import ChargeResult, apply_results
from tallystick.collecting.bank.find_entries import page_entries
from tallystick.collecting.bank.keep_statement import keep_statement
from tallystick.collecting.bank.model import (
    BankFile,
    Creditor,
    DebitsPage,
    EntriesPage,
    Entry,
    Imported,
    SettledChunk,
    StatementBalance,
    StatementHead,
    read_entry_id,
)
from tallystick.collecting.bank.settle import Books, What, match_by_hand, settle
from tallystick.collecting.bank.take_file import find_file, page_debits, take_file
from tallystick.errors import InvalidInput
from tallystick.ledger.accounts import find_asset
from tallystick.operations.charges import MOST_OUTCOMES, ErrorKind
from tallystick.operations.fields import AssetCode, PageSize
from tallystick.operations.model import Call, Input, Operation
from tallystick.repayments.check_account import read_bank_account
from tallystick.repayments.model import OutcomesApplied, Repayment

MOST_ENTRIES = 1_000
"""So many entries of a statement are kept in one transaction."""
MOST_SETTLED = 200
"""So many entries are settled in one transaction."""
MOST_DEBITS = 5_000
"""So many debits are on a page."""
_MOST_MOVED = 10**15
Short = Annotated[str, msgspec.Meta(max_length=64, pattern=r"^[^\x00-\x1f\x7f]*$(?!\n)")]
Moved = Annotated[int, msgspec.Meta(ge=-_MOST_MOVED, le=_MOST_MOVED)]
Position = Annotated[int, msgspec.Meta(ge=1, le=100_000)]


class CreditorInput(Input, frozen=True):
    """Who collects."""

    name: Annotated[str, msgspec.Meta(min_length=1, max_length=70, pattern=r"^[^\x00-\x1f\x7f]+$(?!\n)")]
    iban: Annotated[str, msgspec.Meta(pattern=r"^[A-Za-z]{2}[0-9]{2}[A-Za-z0-9 ]{11,40}$(?!\n)")]
    creditor_id: Annotated[str, msgspec.Meta(pattern=r"^[A-Z]{2}[0-9]{2}[A-Z0-9]{3}[A-Za-z0-9]{1,28}$(?!\n)")]
    """As the central bank gave it: ``DE98ZZZ09999999999``."""
    bic: Annotated[str, msgspec.Meta(pattern=r"^[A-Z0-9]{4}[A-Z]{2}[A-Z0-9]{2}([A-Z0-9]{3})?$(?!\n)")] | None = None


class TakeFileInput(Input, frozen=True):
    """The day whose charges go to the bank, in one asset."""

    on: dt.date
    asset: AssetCode
    creditor: CreditorInput | None = None
    """Null: who collected last."""


class FileIdInput(Input, frozen=True):
    """The id of a file."""

    id: uuid.UUID


class DebitsInput(Input, frozen=True):
    """A page of the debits of a file."""

    id: uuid.UUID
    after: uuid.UUID | None = None
    limit: Annotated[int, msgspec.Meta(ge=1, le=MOST_DEBITS)] = 1000


class ResultInput(Input, frozen=True):
    """What a bank says became of a charge, in major units."""

    charge: uuid.UUID
    amount: Decimal | None = None
    error_kind: ErrorKind | None = None


class ApplyResultsInput(Input, frozen=True):
    """What a bank says became of charges."""

    results: Annotated[list[ResultInput], msgspec.Meta(min_length=1, max_length=MOST_OUTCOMES)]
    received_on: dt.date | None = None
    """When the money came; null: today, in UTC."""


class StatementBalanceInput(Input, frozen=True):
    """What was on the account; minor units."""

    on: dt.date
    amount: Moved


class EntryInput(Input, frozen=True):
    """A movement; minor units, positive if money came."""

    value_on: dt.date
    amount: Moved
    booked_on: dt.date | None = None
    reversal: bool = False
    code: Short = ""
    reference: Short = ""
    bank_reference: Short = ""
    text: Annotated[str, msgspec.Meta(max_length=2000, pattern=r"^[^\x00]*$(?!\n)")] = ""
    account: Short = ""
    """Of the other side."""
    name: Annotated[str, msgspec.Meta(max_length=140, pattern=r"^[^\x00]*$(?!\n)")] = ""


class ImportInput(Input, frozen=True):
    """A statement of a bank account, or the next entries of one that is long."""

    account: Annotated[str, msgspec.Meta(min_length=1, max_length=64, pattern=r"^[^\x00-\x1f\x7f]+$(?!\n)")]
    currency: Annotated[str, msgspec.Meta(pattern=r"^[A-Z]{3}$(?!\n)")]
    number: Annotated[str, msgspec.Meta(max_length=35, pattern=r"^[^\x00-\x1f\x7f]*$(?!\n)")]
    opening: StatementBalanceInput
    closing: StatementBalanceInput
    entries: Annotated[list[EntryInput], msgspec.Meta(max_length=MOST_ENTRIES)]
    first: Position = 1
    """The position of the first of these entries."""
    of: Annotated[int, msgspec.Meta(ge=0, le=100_000)] | None = None
    """How many the statement has; null: these."""
    accept_difference: bool = False
    """Keep it though its balances do not go with its entries."""


class SettleEntriesInput(Input, frozen=True):
    """The next entries of a statement to settle, of one kind."""

    statement: uuid.UUID
    what: What
    after: Annotated[int, msgspec.Meta(ge=0, le=100_000)] = 0
    limit: Annotated[int, msgspec.Meta(ge=1, le=MOST_SETTLED)] = MOST_SETTLED


class MatchInput(Input, frozen=True):
    """An entry, and the invoice that it is for."""

    entry: Annotated[str, msgspec.Meta(max_length=50)]
    invoice: uuid.UUID


class EntriesInput(Input, frozen=True):
    """A page of entries in the order in which they came."""

    unmatched: bool = False
    after: Annotated[str, msgspec.Meta(max_length=50)] = ""
    limit: PageSize = 100


async def take(call: Call, request: TakeFileInput) -> BankFile:
    """Hand the charges of a day to the bank, each once; asked again, the answer is the same file."""
    asset = await find_asset(call.connection, call.book.book_id, request.asset)
    creditor = None
    if (said := request.creditor) is not None:
        creditor = Creditor(said.name, read_bank_account(said.iban, "creditor.iban"), said.creditor_id, said.bic)
    return await take_file(call.connection, call.recorded, request.on, asset, creditor)


async def find(call: Call, request: FileIdInput) -> BankFile:
    """Return a file of debits."""
    return await find_file(call.connection, call.book.book_id, request.id)


async def list_debits(call: Call, request: DebitsInput) -> DebitsPage:
    """Return a page of the debits of a file, as they are written into it."""
    return await page_debits(call.connection, call.book.book_id, request.id, request.after, request.limit)


async def apply(call: Call, request: ApplyResultsInput) -> OutcomesApplied:
    """Apply what a bank says of charges, in major units; each charge has one outcome, for ever."""
    today = call.at.date()
    received_on = request.received_on or today
    if not today - dt.timedelta(days=3660) <= received_on <= today + dt.timedelta(days=1):
        raise InvalidInput(field="received_on", rule="Expected a day of the last ten years, or tomorrow at the latest")
    results = [ChargeResult(one.charge, one.amount, one.error_kind) for one in request.results]
    return await apply_results(
        call.connection, call.book.ledger, call.recorded, call.message_hashes, results, received_on
    )


async def import_statement(call: Call, request: ImportInput) -> Imported:
    """Keep a bank's statement, each entry once; what it does not say yet settles nothing."""
    for nth, one in enumerate(request.entries):
        if one.amount == 0:
            raise InvalidInput(field=f"entries[{nth}].amount", rule="An entry moves something")
    head = StatementHead(
        request.account, request.currency, request.number, StatementBalance(request.opening.on, request.opening.amount),
        StatementBalance(request.closing.on, request.closing.amount),
    )  # fmt: skip
    entries = [
        Entry(one.value_on, one.amount, one.booked_on, one.reversal, one.code, one.reference, one.bank_reference,
              one.text, one.account, one.name)
        for one in request.entries
    ]  # fmt: skip
    of = len(entries) if request.of is None else request.of
    return await keep_statement(
        call.connection, call.recorded, head, entries, request.first, of, accept_difference=request.accept_difference
    )


async def settle_entries(call: Call, request: SettleEntriesInput) -> SettledChunk:
    """Let entries of a statement become what they certainly are: collected charges, repayments, returned debits."""
    return await settle(_books(call, request.statement), request.what, request.after, request.limit)


async def match_entry(call: Call, request: MatchInput) -> Repayment:
    """Let an entry of a statement repay an invoice; what it does not need lies unallocated."""
    statement, position = read_entry_id(request.entry)
    return await match_by_hand(_books(call, statement), position, request.invoice)


async def list_entries(call: Call, request: EntriesInput) -> EntriesPage:
    """Return a page of entries of statements; what is not matched comes with the likeliest invoices."""
    return await page_entries(
        call.connection, call.book.book_id, request.after, request.limit, unmatched=request.unmatched
    )


def _books(call: Call, statement: uuid.UUID) -> Books:
    return Books(call.connection, call.book.ledger, call.recorded, call.message_hashes, statement)


_WRITE, _READ = "bank:write", "bank:read"
OPERATIONS = [
    Operation("bank.take_file", TakeFileInput, BankFile, _WRITE, "POST /bank/files", take),
    Operation("bank.file", FileIdInput, BankFile, _READ, "GET /bank/files/{id}", find, reads=True),
    Operation("bank.debits", DebitsInput, DebitsPage, _READ, "GET /bank/files/{id}/debits", list_debits, reads=True),
    Operation("bank.apply_results", ApplyResultsInput, OutcomesApplied, _WRITE, "POST /bank/results", apply),
    Operation("bank.import", ImportInput, Imported, _WRITE, "POST /bank/statements", import_statement),
    Operation("bank.settle", SettleEntriesInput, SettledChunk, _WRITE, "POST /bank/statements/settle", settle_entries),
    Operation("bank.match", MatchInput, Repayment, _WRITE, "POST /bank/matches", match_entry),
    Operation(
        "bank.entries", EntriesInput, EntriesPage, _READ, "GET /bank/entries", list_entries, reads=True, snapshot=True
    ),
]  # fmt: skip
