"""
Import: a file of transfers goes in, batch by batch, each batch one message; doing it again adds only what is missing.

    read ─► look up which batches are done ─► columns ─► message ─► what became of each row
    a thread                                  a thread   up to AT_ONCE at once, answered in the order of the file

A message's id is made of the file's hash and the batch's rows, so whoever imports the same content again, after a kill
or for its results, gets the first answers; and ids of transfers are unique besides.
"""

import asyncio
import hashlib
import time
from collections import Counter, deque
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterator, Sequence
from contextlib import aclosing
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import TypeVar

import msgspec
import numpy as np

from tallystick.errors import InvalidInput, TallystickError
from tallystick.ids import uuid7
from tallystick.ledger.errors import BatchTooLarge
from tallystick.ledger.files import Block, BlockWriter, Codes, Format, Results, TransferFile, open_transfers
from tallystick.ledger.files.model import ABSENT
from tallystick.ledger.mass.encode_columns import TransferColumns, encode_columns
from tallystick.ledger.mass.take_columns import take_columns
from tallystick.ledger.model import RELATES, Reason, Status
from tallystick.operations.import_batch import IMPORT_BATCH, ImportBatchOutput, ImportedBatch, LookOutput, RowRun
from tallystick.operations.run import Operations
from tallystick.security.model import Principal

AT_ONCE = 2
"""How many batches are under way at once: PostgreSQL takes one while the next is made. With three the indexes of ids,
which then grow in three places at a time, were a fifth larger (109 bytes a transfer instead of 91)."""
LOOKED_UP = 16
"""So many batches are read, and looked up, together."""
SHOWN = 1000
"""How many refused rows a report names; beyond that it counts."""
PATIENCE = 60.0
"""So many seconds a batch is sent again while the store is away or busy."""
_MOST_REMEMBERED = 1_000_000
_HASHED_AT_ONCE = 1 << 22
_IN_ORDER = np.array([Reason.SWEEP, Reason.HOLD, *RELATES], np.int16)
"""What must not be judged before the rows that stand before it."""

_Done = TypeVar("_Done")


@dataclass(frozen=True, slots=True)
class Step:
    """How far an import is."""

    stage: str
    """``reading``, while the file is hashed, or ``importing``."""
    done: int
    total: int
    """Rows, where the file tells their number beforehand, and otherwise bytes."""
    rows: int


Progress = Callable[[Step], None]


@dataclass(frozen=True, slots=True)
class RefusedRow:
    """A row that is not in the ledger, by its number in the file."""

    row: int
    status: str
    field: str | None
    rule: str | None
    """What the field breaks, where the row could not even be read."""


@dataclass(slots=True)
class ImportReport:
    """What an import did."""

    file: str
    """The SHA-256 of the file's content."""
    format: Format
    rows: int = 0
    statuses: Counter[str] = field(default_factory=Counter)
    """How many rows came to which status."""
    before: int = 0
    """The rows of batches that an earlier run had imported."""
    opened: int = 0
    """Accounts."""
    refused: int = 0
    refused_rows: list[RefusedRow] = field(default_factory=list)
    """The first ``SHOWN`` of them."""

    def add(self, batch: "_Batch", answer: ImportBatchOutput) -> None:
        """Take in what became of a batch."""
        self.rows += answer.rows
        self.refused += answer.refused
        self.statuses[Status.POSTED.code] += answer.rows - sum(run.rows for run in answer.runs)
        for run in answer.runs:
            self.statuses[run.status] += run.rows
            if run.status == Status.KNOWN.code:
                continue
            shown = min(run.rows, SHOWN - len(self.refused_rows))
            self.refused_rows += [
                RefusedRow(batch.block.first_row + place, run.status, run.field, batch.rule_of(place))
                for place in range(run.first, run.first + shown)
            ]
        if not +self.statuses[Status.POSTED.code]:
            del self.statuses[Status.POSTED.code]


@dataclass(slots=True)
class _Batch:
    """Some rows of the file on their way."""

    block: Block
    key: str
    attempts: int = 1
    """By how many messages it was sent, this one counted."""
    answer: ImportBatchOutput | None = None
    """What it got when it was imported before."""

    def rule_of(self, place: int) -> str | None:
        """Return what a row breaks that could not be read."""
        return next((refusal.rule for refusal in self.block.refused if refusal.place == place), None)


def _ignore(_: Step) -> None:
    """Show no progress."""


async def import_transfers(  # noqa: PLR0913 - what is read, for whom, with what liberties, and who watches
    operations: Operations,
    principal: Principal,
    book: str,
    path: Path,
    *,
    format_: Format | None = None,
    hashed: str | None = None,
    results: BlockWriter[Results] | None = None,
    open_accounts: str | None = None,
    retry_refused: bool = False,
    derived_ids: bool = False,
    dry_run: bool = False,
    progress: Progress = _ignore,
    tell: Callable[[RefusedRow], Awaitable[None]] | None = None,
) -> ImportReport:
    """
    Post the transfers in the file at *path*; what becomes of each row is written to *results*.

    *hashed* is the SHA-256 of its content where that is known. *open_accounts* names the asset of which accounts are
    opened that the book lacks. *retry_refused* judges the batches again in which an earlier run had rows refused.
    *derived_ids* takes ids of UUID version 8 too, which the export of a book may have: for an operator to say.
    With *dry_run* each batch is judged by itself, as the ledger stands, and nothing is kept.

    Each batch is posted for good or not at all, so an import that was interrupted or killed is finished by running it
    again.

    Raises:
        TallystickError: of ``open_transfers``, or that the book or the asset is not there, or the store stays away; what
            was posted before stays.
    """
    if dry_run and open_accounts is not None:
        raise InvalidInput(
            field="open_accounts", rule="A dry run opens no accounts, so it cannot judge their transfers"
        )
    file = await asyncio.to_thread(open_transfers, path, format_)
    with file:
        digest = hashed or await _hash(path, progress)
        importing = _Importing(operations, principal, book, file, ImportReport(digest, file.format), progress)
        importing.results, importing.open_accounts, importing.tell = results, open_accounts, tell
        importing.retry_refused, importing.derived_ids, importing.dry_run = retry_refused, derived_ids, dry_run
        await importing.run()
        return importing.report


async def _hash(path: Path, progress: Progress) -> str:
    """Return the SHA-256 of a file's content, read in a thread."""
    size, done = path.stat().st_size, 0
    sha256 = hashlib.sha256()
    with path.open("rb") as file:
        while piece := await asyncio.to_thread(file.read, _HASHED_AT_ONCE):
            await asyncio.to_thread(sha256.update, piece)
            done += len(piece)
            progress(Step("reading", done, size, 0))
    return sha256.hexdigest()


@dataclass(slots=True)
class _Importing:
    """An import under way."""

    operations: Operations
    principal: Principal
    book: str
    file: TransferFile
    report: ImportReport
    progress: Progress
    results: BlockWriter[Results] | None = None
    open_accounts: str | None = None
    tell: Callable[[RefusedRow], Awaitable[None]] | None = None
    retry_refused: bool = False
    derived_ids: bool = False
    dry_run: bool = False
    under_way: deque[tuple[_Batch, "asyncio.Task[ImportBatchOutput]"]] = field(default_factory=deque)
    unlimited: set[str] = field(default_factory=set)
    """Accounts that were looked at: they are there and have no limit."""
    looking: asyncio.Lock = field(default_factory=asyncio.Lock)

    async def run(self) -> None:
        """Import the whole file."""
        async with aclosing(_ahead(iter(self.file))) as pieces:
            try:
                async for blocks in pieces:
                    for batch in await self._look_up(blocks):
                        earlier = [task for _, task in self.under_way]
                        self.under_way.append((batch, asyncio.create_task(self._import(batch, earlier))))
                        if len(self.under_way) >= AT_ONCE:
                            await self._take_in_oldest()
                while self.under_way:
                    await self._take_in_oldest()
            finally:
                # Whatever ended the reading, what is under way is posted rather than thrown away.
                await asyncio.gather(*(task for _, task in self.under_way), return_exceptions=True)

    async def _take_in_oldest(self) -> None:
        batch, task = self.under_way[0]
        answer = await asyncio.shield(task)  # who interrupts the import does not interrupt the batch
        self.under_way.popleft()
        named = len(self.report.refused_rows)
        self.report.add(batch, answer)
        if self.results is not None:
            await asyncio.to_thread(self.results.write, _results(batch.block, answer))
        if self.tell is not None:
            for one in self.report.refused_rows[named:]:
                await self.tell(one)
        rows, total = self.report.rows, self.file.rows_total
        if total is not None:
            self.progress(Step("importing", rows, total, rows))
        else:
            self.progress(Step("importing", self.file.bytes_read, self.file.size or 0, rows))

    async def _look_up(self, blocks: Sequence[Block]) -> list[_Batch]:
        """Find which batches an earlier run imported, and what they came to."""
        batches = [_Batch(block, self._key(block.first_row, len(block))) for block in blocks]
        looked_up = batches
        while looked_up:
            keys = [batch.key if batch.answer is None else f"{batch.key}:{batch.attempts + 1}" for batch in looked_up]
            found = await self._imported(keys)
            for batch, key in zip(looked_up, keys, strict=True):
                if key in found:
                    batch.attempts += batch.answer is not None
                    batch.answer = found[key]
            # Rows that were refused may have been judged again.
            looked_up = [
                batch for batch, key in zip(looked_up, keys, strict=True) if key in found and found[key].refused
            ]
        return batches

    async def _imported(self, keys: list[str]) -> dict[str, ImportBatchOutput]:
        found = await self._patiently(lambda: self._call("ledger.imported", "", {"keys": keys}, list[ImportedBatch]))
        return {one.key: one.answer for one in found}

    def _key(self, first_row: int, rows: int) -> str:
        return f"import:{self.report.file}:{first_row}-{first_row + rows - 1}"

    async def _import(self, batch: _Batch, earlier: "list[asyncio.Task[ImportBatchOutput]]") -> ImportBatchOutput:
        """Send a batch, unless it was imported before; where the order counts, behind all before it."""
        if batch.answer is not None and not (self.retry_refused and batch.answer.refused):
            self.report.before += batch.answer.rows
            return batch.answer
        columns = await asyncio.to_thread(take_columns, batch.block, derived_ids=self.derived_ids)
        in_order = await self._look_at_accounts(columns) or bool(np.isin(columns.reasons, _IN_ORDER).any())
        if in_order:
            await asyncio.gather(*map(asyncio.shield, earlier))
        key = batch.key if batch.answer is None else f"{batch.key}:{batch.attempts + 1}"
        return await self._send(key, columns, batch.block.first_row)

    async def _look_at_accounts(self, columns: TransferColumns) -> bool:
        """Say whether an account of the batch has a limit; open those that are missing if that is wanted."""
        if self.unlimited.issuperset(columns.codes):
            return False
        async with self.looking:
            return await self._look_at_new(columns)

    async def _look_at_new(self, columns: TransferColumns) -> bool:
        new = [code for code in columns.codes if code not in self.unlimited]
        if not new:
            return False
        found = await self._patiently(lambda: self._call("ledger.look_at_accounts", "", {"codes": new}, LookOutput))
        if self.open_accounts is not None and found.unknown:
            wanted = {"codes": found.unknown, "asset": self.open_accounts}
            key = f"open-{uuid7()}"
            await self._patiently(lambda: self.operations.run(
                self.principal, self.book, "ledger.open_unknown_accounts", key, wanted))  # fmt: skip
            self.report.opened += len(found.unknown)
            found = LookOutput([], found.limited)
        if len(self.unlimited) > _MOST_REMEMBERED:
            self.unlimited.clear()
        self.unlimited.update(set(new).difference(found.unknown, found.limited))
        return bool(found.limited)

    async def _send(self, key: str, columns: TransferColumns, first_row: int) -> ImportBatchOutput:
        """Send rows as one message; those whose sums no batch can hold are sent in halves."""
        encoded = await asyncio.to_thread(encode_columns, columns)
        message = {"rows": len(columns), "columns": encoded}
        try:
            return await self._patiently(lambda: self._call(IMPORT_BATCH, key, message, ImportBatchOutput))
        except BatchTooLarge:
            middle = len(columns) // 2
            if not middle:
                raise
        halves = columns.rows(0, middle), columns.rows(middle, len(columns))
        starts = first_row, first_row + middle
        answers = [
            await self._send(self._key(start, len(half)), half, start)
            for start, half in zip(starts, halves, strict=True)
        ]
        return _joined(*answers)

    async def _call(self, operation: str, key: str, fields: dict[str, object], output: type[_Done]) -> _Done:
        answer = await self.operations.run(
            self.principal, self.book, operation, key, fields, dry_run=self.dry_run and operation == IMPORT_BATCH
        )
        return msgspec.json.decode(answer.body, type=output)

    async def _patiently(self, ask: Callable[[], Awaitable[_Done]]) -> _Done:
        """Ask until there is an answer, as long as the store is only away for a while: the same message is done once."""
        until = time.monotonic() + PATIENCE
        while True:
            try:
                return await ask()
            except TallystickError as error:
                if not error.kind.retry_helps or time.monotonic() > until:
                    raise
            await asyncio.sleep(0.5)


async def _ahead(blocks: Iterator[Block]) -> AsyncGenerator[list[Block], None]:
    """Hand out *blocks* some at a time, the next ones being read in a thread while the present ones are sent."""

    def read() -> tuple[list[Block], Exception | None]:
        taken: list[Block] = []
        try:
            taken.extend(block for block in islice(blocks, LOOKED_UP) if len(block))
        except TallystickError as error:
            return taken, error  # what was read before the damage is sent first
        return taken, None

    coming = asyncio.ensure_future(asyncio.to_thread(read))
    try:
        while True:
            taken, error = await asyncio.shield(coming)
            if error is None and taken:
                coming = asyncio.ensure_future(asyncio.to_thread(read))
            if taken:
                yield taken
            if error is not None:
                raise error
            if not taken:
                return
    finally:
        # A thread cannot be interrupted: it finishes its blocks before the file under it is closed.
        await asyncio.wait([coming])


def _joined(first: ImportBatchOutput, second: ImportBatchOutput) -> ImportBatchOutput:
    """Put the answers of two neighbours together."""
    runs = [RowRun(run.first + first.rows, run.rows, run.status, run.field) for run in second.runs]
    amounts = [(place + first.rows, amount) for place, amount in second.amounts]
    return ImportBatchOutput(
        first.rows + second.rows, first.refused + second.refused, [*first.runs, *runs], [*first.amounts, *amounts]
    )


def _results(block: Block, answer: ImportBatchOutput) -> Results:
    """Say of each row what became of it."""
    statuses = [Status.POSTED.code]
    fields: list[str] = []
    of_rows = np.zeros(len(block), np.int32)
    at_fault = np.full(len(block), ABSENT, np.int32)
    amounts = block.amounts.copy()
    for run in answer.runs:
        place = slice(run.first, run.first + run.rows)
        of_rows[place] = _place_of(run.status, statuses)
        if run.field is not None:
            at_fault[place] = _place_of(run.field, fields)
        if run.status != Status.KNOWN.code:
            amounts[place] = 0
    for at, amount in answer.amounts:
        amounts[at] = amount
    has_id = block.ids != np.void(bytes(16))
    numbers = np.arange(block.first_row, block.first_row + len(block), dtype=np.int64)
    return Results(numbers, block.ids, has_id, Codes(statuses, of_rows), amounts, Codes(fields, at_fault))


def _place_of(text: str, texts: list[str]) -> int:
    if text not in texts:
        texts.append(text)
    return texts.index(text)
