"""The operations behind an import of transfers: a batch of a file as one message, and what was imported before."""

from collections.abc import Iterator
from typing import Annotated

import msgspec
import numpy as np
import numpy.typing as npt

from tallystick.errors import InvalidInput
from tallystick.journal.attach import attach, digest
from tallystick.journal.find_answers import find_answers
from tallystick.ledger.accounts import NewAccount, open_accounts
from tallystick.ledger.errors import TRANSFER_ERRORS
from tallystick.ledger.mass import look_at_accounts as looking
from tallystick.ledger.mass.columns_to_batch import columns_to_batch
from tallystick.ledger.mass.encode_columns import MOST_ROWS, TransferColumns, decode_columns
from tallystick.ledger.model import Outcomes, Status
from tallystick.ledger.post import post
from tallystick.operations.fields import AssetCode, Code
from tallystick.operations.ledger import refuse_own
from tallystick.operations.model import Call, Input, Operation

IMPORT_BATCH = "ledger.import_batch"
_MOST_CODES = 2 * MOST_ROWS


class ImportBatchInput(Input, frozen=True):
    """Some rows of a file; the message names the columns by their hash, and they are kept as its attachment."""

    rows: Annotated[int, msgspec.Meta(ge=1, le=MOST_ROWS)]
    columns: bytes
    """As `ledger/mass/encode_columns.py` writes them."""


class RowRun(msgspec.Struct, frozen=True, omit_defaults=True):
    """Rows on end that came to the same; ``first`` counts from 0 in the batch."""

    first: int
    rows: int
    status: str
    field: str | None = None
    """Of a refusal the field to blame; of a conflict the first that differs."""


class ImportBatchOutput(msgspec.Struct, frozen=True, omit_defaults=True):
    """What became of the rows: those that no run names were posted, as they stand."""

    rows: int
    refused: int
    runs: list[RowRun] = []
    amounts: list[tuple[int, int]] = []
    """Place and amount of the rows that moved, held or freed another amount than they say."""


class ImportedInput(Input, frozen=True):
    """The keys of messages that imported batches, or may have."""

    keys: Annotated[list[str], msgspec.Meta(max_length=1000)]


class ImportedBatch(msgspec.Struct, frozen=True):
    """The answer that a batch got when it was imported."""

    key: str
    answer: ImportBatchOutput


class AccountCodes(Input, frozen=True):
    """Codes of accounts."""

    codes: Annotated[list[str], msgspec.Meta(max_length=_MOST_CODES)]


class LookOutput(msgspec.Struct, frozen=True):
    """Which of the accounts there are not, and which have a limit."""

    unknown: list[str]
    limited: list[str]


class OpenAccountsInput(Input, frozen=True):
    """Accounts of one asset to open, unlimited, where they are not open."""

    codes: Annotated[list[Code], msgspec.Meta(min_length=1, max_length=_MOST_CODES)]
    asset: AssetCode


class OpenAccountsOutput(msgspec.Struct, frozen=True):
    """How many there were to open."""

    accounts: int


async def import_batch(call: Call, request: ImportBatchInput) -> ImportBatchOutput:
    """Post some rows of a file, each judged by itself, and keep them with the message."""
    columns = decode_columns(request.columns)
    if len(columns) != request.rows:
        raise InvalidInput(field="rows", rule=f"The columns have {len(columns)} rows")
    await attach(call.connection, call.book.book_id, call.place, request.columns)
    batch = await columns_to_batch(call.connection, call.book.ledger, columns, call.place)
    if not len(batch):
        return _answer(columns, Outcomes(np.zeros(0, np.uint8), np.zeros(0, np.int64)))
    return _answer(columns, await post(call.connection, call.book.ledger, batch, call.recorded, call.message_hashes))


async def find_imported(call: Call, request: ImportedInput) -> list[ImportedBatch]:
    """Return the answers of those batches that were imported before."""
    found = await find_answers(call.connection, call.book.book_id, IMPORT_BATCH, request.keys)
    return [
        ImportedBatch(key, msgspec.json.decode(answer, type=ImportBatchOutput))
        for key, refused, answer in found
        if not refused
    ]


async def look_at_accounts(call: Call, request: AccountCodes) -> LookOutput:
    """Say which accounts the book does not have, and which have a limit."""
    limited = await looking.look_at_accounts(call.connection, call.book.book_id, request.codes)
    return LookOutput(
        [code for code in request.codes if code not in limited], [code for code in request.codes if limited.get(code)]
    )


async def open_many(call: Call, request: OpenAccountsInput) -> OpenAccountsOutput:
    """Open unlimited accounts; those that are open already are let be if they are of the asset."""
    for code in request.codes:
        refuse_own(code, "codes")
    await open_accounts(call.connection, call.recorded, [NewAccount(code, request.asset) for code in request.codes])
    return OpenAccountsOutput(len(request.codes))


def _answer(columns: TransferColumns, outcomes: Outcomes) -> ImportBatchOutput:
    """Put together what the reading and the ledger said of the rows."""
    good = np.flatnonzero(columns.good)
    verdicts: dict[int, tuple[str, str | None]] = {
        refusal.place: (InvalidInput.code, refusal.field or None) for refusal in columns.refused
    }
    for at in np.flatnonzero(outcomes.statuses != Status.POSTED).tolist():
        status = Status(int(outcomes.statuses[at]))
        field = None if status.done else outcomes.differs.get(at) or TRANSFER_ERRORS[status][1]
        verdicts[int(good[at])] = status.code, field
    done = outcomes.statuses <= Status.KNOWN
    return ImportBatchOutput(
        len(columns), len(columns) - int(done.sum()), list(_runs(verdicts)),
        _other_amounts(good, columns.amounts[good], outcomes, done),
    )  # fmt: skip


def _runs(verdicts: dict[int, tuple[str, str | None]]) -> Iterator[RowRun]:
    """Gather neighbours that came to the same."""
    first = last = -1
    verdict: tuple[str, str | None] = "", None
    for place in sorted(verdicts):
        if place != last + 1 or verdicts[place] != verdict or first < 0:
            if first >= 0:
                yield RowRun(first, last + 1 - first, *verdict)
            first, verdict = place, verdicts[place]
        last = place
    if first >= 0:
        yield RowRun(first, last + 1 - first, *verdict)


def _other_amounts(
    good: npt.NDArray[np.intp], said: npt.NDArray[np.int64], outcomes: Outcomes, done: npt.NDArray[np.bool_]
) -> list[tuple[int, int]]:
    other = np.flatnonzero(done & (outcomes.amounts != said))
    return list(zip(good[other].tolist(), outcomes.amounts[other].tolist(), strict=True))


def _kept(request: ImportBatchInput) -> object:
    """Name the columns by their hash: they are kept beside the message."""
    return {"attachment": digest(request.columns), "rows": request.rows}


OPERATIONS = [
    Operation(IMPORT_BATCH, ImportBatchInput, ImportBatchOutput, "ledger:write", "", import_batch, kept=_kept),
    Operation("ledger.open_unknown_accounts", OpenAccountsInput, OpenAccountsOutput, "ledger:write", "", open_many),
    Operation("ledger.imported", ImportedInput, list[ImportedBatch], "ledger:read", "", find_imported, reads=True),
    Operation("ledger.look_at_accounts", AccountCodes, LookOutput, "ledger:read", "", look_at_accounts, reads=True),
]
