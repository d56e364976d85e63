"""The operations on months of usage, and the long jobs: export, restore, and whatever the policy asks for."""

import asyncio
import contextlib
import datetime as dt
import hashlib
import os
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Annotated

import msgspec

from tallystick.db.connect import SCHEMA
from tallystick.db.queries import Connection
from tallystick.errors import TallystickError
from tallystick.ids import uuid7
from tallystick.invoicing.late_usage import require_issued
from tallystick.ledger.books import find_book
from tallystick.ledger.write_whole import write_whole
from tallystick.operations.model import Call, Input, NothingInput, Operation
from tallystick.operations.run import KEPT_KINDS, Operations
from tallystick.operations.wait_settled import wait_settled
from tallystick.operations.work_totals import fold_behind
from tallystick.security.authorise import authorise
from tallystick.security.model import Principal
from tallystick.usage.archive import parquet
from tallystick.usage.archive.make_piece import make_piece, name_piece
from tallystick.usage.archive.model import FileDiffers, Piece, UsageMonth, read_utc_month, span_of, written
from tallystick.usage.archive.move import attach, detach, drop, list_months, note_export, note_restore
from tallystick.usage.archive.retention import Retention, RetentionStep, due_steps, find_retention, set_retention
from tallystick.usage.totals.require_folded import fold_rest, require_folded

SCOPE = "usage:admin"
_PATIENCE = dt.timedelta(seconds=30)
"""How long a month that shall leave waits for its newest rows to be in the totals."""
Month = Annotated[str, msgspec.Meta(min_length=7, max_length=7)]
Months = Annotated[int, msgspec.Meta(ge=1, le=1200)]
Progress = Callable[[str, int], None]
"""Told what is being done, and how many bytes or rows of it are done."""


class MonthInput(Input, frozen=True):
    """A month of UTC, written as ``2015-05``."""

    month: Month


class DropInput(Input, frozen=True):
    """A month of UTC, and whether it may go though there is no file of it."""

    month: Month
    even_unexported: bool = False


class NoteExportInput(Input, frozen=True):
    """A piece of a month that was written to a file."""

    month: Month
    piece: int
    rows: int
    file: str
    sha256: str


class NoteRestoreInput(Input, frozen=True):
    """A piece of a month that was read from a file."""

    month: Month
    piece: int
    sha256: str


class RetentionInput(Input, frozen=True):
    """How many months before the present one stay attached, and how many at all; null: for ever."""

    attached_months: Months | None
    kept_months: Months | None


class MovedPiece(msgspec.Struct, frozen=True):
    """A piece of a month, and what became of it."""

    month: str
    piece: int
    state: str
    rows: int
    first_order: int | None
    last_order: int | None


class MovedOutput(msgspec.Struct, frozen=True):
    """What became of a month."""

    pieces: list[MovedPiece]


class MonthsOutput(msgspec.Struct, frozen=True):
    """What there is of each month, in order of time."""

    items: list[UsageMonth]


class Manifest(msgspec.Struct, frozen=True):
    """What stands beside an exported file."""

    book: str
    month: str
    piece: int
    file: str
    rows: int
    first_order: int | None
    last_order: int | None
    sha256: str


async def months(call: Call, _: NothingInput) -> MonthsOutput:
    """Return what there is of each month of usage: attached, detached, exported or dropped, how much and in which order."""
    return MonthsOutput(await list_months(call.connection, call.book.book_id))


async def detach_month(call: Call, request: MonthInput) -> MovedOutput:
    """Detach a month of usage that is over: it stays in the store, and is neither read nor rated, but for its totals."""
    month = read_utc_month(request.month)
    await fold_rest(call.connection, call.recorded, month)
    pieces = await detach(call.connection, call.recorded, month)
    for one in pieces:
        await require_folded(call.connection, call.book.book_id, month, one.last_order)
    return _moved(pieces)


async def attach_month(call: Call, request: MonthInput) -> MovedOutput:
    """Attach a month of usage again, with what came late for it meanwhile."""
    return _moved(await attach(call.connection, call.recorded, read_utc_month(request.month)))


async def drop_month(call: Call, request: DropInput) -> MovedOutput:
    """
    Drop a month of usage that is detached, if it was exported and every invoice that covers it is issued.

    That its events were there stays known: one that is sent again is not counted again.
    """
    month = read_utc_month(request.month)
    await require_issued(call.connection, call.book.book_id, span_of(month))
    return _moved(await drop(call.connection, call.recorded, month, even_unexported=request.even_unexported))


async def export_noted(call: Call, request: NoteExportInput) -> MovedOutput:
    """Note that a piece of a month was written to a file."""
    month = read_utc_month(request.month)
    piece = await note_export(
        call.connection, call.recorded, month, request.piece, request.rows, request.file, request.sha256
    )
    return _moved([piece])


async def restore_noted(call: Call, request: NoteRestoreInput) -> MovedOutput:
    """Note that a piece of a month was read back from a file."""
    month = read_utc_month(request.month)
    return _moved([await note_restore(call.connection, call.recorded, month, request.piece, request.sha256)])


async def change_retention(call: Call, request: RetentionInput) -> Retention:
    """Set how long months of usage stay attached, and how long in the store; `tallystick usage retain` applies it."""
    return await set_retention(call.connection, call.recorded, request.attached_months, request.kept_months)


async def read_retention(call: Call, _: NothingInput) -> Retention:
    """Return how long months of usage stay."""
    return await find_retention(call.connection, call.book.book_id)


def _moved(pieces: list[Piece]) -> MovedOutput:
    return MovedOutput(
        [
            MovedPiece(written(one.month), one.piece, one.state, one.rows, one.first_order, one.last_order)
            for one in pieces
        ]
    )


def _say_nothing(_what: str, _done: int) -> None:
    """Keep progress to oneself."""


async def detach_folded(operations: Operations, principal: Principal, book: str, month: str) -> MovedOutput:
    """
    Fold what is behind in the totals, and detach *month* then: many rows are folded in several transactions, not in its.

    Raises:
        TallystickError: of ``usage.detach_month``.
    """
    authorise(principal, SCOPE, book)
    async with operations.pool.acquire() as connection:
        book_id = (await find_book(connection, book)).book_id

    async def leave() -> MovedOutput:
        await fold_behind(operations, book_id)
        moved: MovedOutput = await operations.call(
            principal, book, "usage.detach_month", f"usage-detach-{uuid7()}", {"month": month}
        )
        return moved

    return await wait_settled(leave, _PATIENCE, lambda _: None)


async def export_month(
    operations: Operations,
    principal: Principal,
    book: str,
    month: str,
    directory: Path,
    progress: Progress = _say_nothing,
) -> list[Manifest]:
    """
    Write each detached piece of *month* to a Parquet file in *directory*, with its manifest beside it.

    A file has its name once it is whole and on disk, and is noted then. Pieces that were exported are left out, unless
    their file is not there any more.

    Raises:
        TallystickError: of ``usage.months``; the month is none.
    """
    authorise(principal, SCOPE, book)
    read_utc_month(month)
    directory.mkdir(parents=True, exist_ok=True)
    found: MonthsOutput = await operations.call(principal, book, "usage.months", "", {})
    manifests = []
    for one in found.items:
        name = f"usage-{book}-{one.month}-{one.piece}.parquet"
        there = one.state == "exported" and (directory / name).exists()
        if one.month == month and one.bytes is not None and one.piece is not None and not there:
            manifests.append(await _export_piece(operations, principal, book, one, directory / name, progress))
    return manifests


async def _export_piece(
    operations: Operations, principal: Principal, book: str, one: UsageMonth, path: Path, progress: Progress
) -> Manifest:
    piece = one.piece or 0
    with _beside(path) as rows, _beside(path) as made:
        async with operations.pool.acquire() as connection:
            table = await name_piece(connection, (await find_book(connection, book)).book_id, one.month, piece)
            await _copy_out(connection, table, rows, progress)
        count = await asyncio.to_thread(parquet.write, rows, made)
        sha256 = await asyncio.to_thread(_sha256, made)
        made.replace(path)
    manifest = Manifest(book, one.month, piece, path.name, count, one.first_order, one.last_order, sha256)
    write_whole(path.with_suffix(".json"), msgspec.json.format(msgspec.json.encode(manifest), indent=2) + b"\n")
    fields = {"month": one.month, "piece": piece, "rows": count, "file": path.name, "sha256": sha256}
    await operations.call(principal, book, "usage.note_export", f"usage-export-{uuid7()}", fields)
    progress("exported", count)
    return manifest


async def restore_month(
    operations: Operations, principal: Principal, book: str, manifest: Path, progress: Progress = _say_nothing
) -> Manifest:
    """
    Read a piece that was dropped back from the file beside its *manifest*, row for row; `usage.attach_month` attaches it.

    Killed anywhere and run again it begins anew, and the piece is noted once all of it is there.

    Raises:
        FileDiffers: the file is not the one that was exported (``usage.file_differs``).
        UnknownMonth: the piece was not dropped (``usage.unknown_month``).
    """
    authorise(principal, SCOPE, book)
    said = _read_manifest(manifest)
    path = manifest.with_name(said.file)
    if not path.exists() or await asyncio.to_thread(_sha256, path) != said.sha256:
        raise FileDiffers(file=path, what="its SHA-256 is not the one that the manifest says")
    async with operations.pool.acquire() as connection:
        book_id = (await find_book(connection, book)).book_id
        async with operations.begin(connection):
            table = await make_piece(connection, book_id, said.month, said.piece)
        done = 0
        for rows, text in parquet.read(path):
            await _copy_in(connection, table, text)
            done += rows
            progress("restoring", done)
    fields = {"month": said.month, "piece": said.piece, "sha256": said.sha256}
    await operations.call(principal, book, "usage.note_restore", f"usage-restore-{uuid7()}", fields)
    return said


async def retain(
    operations: Operations,
    principal: Principal,
    book: str,
    directory: Path,
    *,
    dry_run: bool = False,
    progress: Progress = _say_nothing,
) -> list[RetentionStep]:
    """
    Do what the policy asks for now, exporting into *directory*, and return the steps; a dry run only returns them.

    A month that refuses its step says why and stays as it is; the others go on.
    """
    policy: Retention = await operations.call(principal, book, "usage.retention", "", {})
    found: MonthsOutput = await operations.call(principal, book, "usage.months", "", {})
    done: list[RetentionStep] = []
    refused: set[str] = set()
    for step in due_steps(policy, found.items, operations.clock.now()):
        if step.month in refused:
            continue
        try:
            await _retain_one(operations, principal, book, directory, step, dry_run=dry_run, progress=progress)
        except TallystickError as error:
            if error.kind not in KEPT_KINDS:
                raise
            refused.add(step.month)
            done.append(msgspec.structs.replace(step, refused=error.message))
        else:
            done.append(step)
    return done


async def _retain_one(
    operations: Operations,
    principal: Principal,
    book: str,
    directory: Path,
    step: RetentionStep,
    *,
    dry_run: bool,
    progress: Progress,
) -> None:
    """Do one step; a dry run asks whether a month can be detached, on which all else depends."""
    key, fields = f"usage-retain-{uuid7()}", {"month": step.month}
    if dry_run:
        if step.step == "detach":
            await operations.run(principal, book, "usage.detach_month", key, fields, dry_run=True)
        return
    if step.step == "export":
        await export_month(operations, principal, book, step.month, directory, progress)
    elif step.step == "detach":
        await detach_folded(operations, principal, book, step.month)
    else:
        await operations.call(principal, book, f"usage.{step.step}_month", key, fields)
    progress(f"{step.step} {step.month}", 1)


@contextlib.contextmanager
def _beside(path: Path) -> Iterator[Path]:
    """Give a file beside *path* to write to; it goes, unless it was renamed."""
    handle, name = tempfile.mkstemp(prefix=f".{path.name}.", suffix=".unfinished", dir=path.parent)
    os.close(handle)
    try:
        yield Path(name)
    finally:
        Path(name).unlink(missing_ok=True)


async def _copy_out(connection: Connection, table: str, into: Path, progress: Progress) -> None:
    with into.open("wb") as file:
        done = 0

        async def take(data: bytes) -> None:
            nonlocal done
            file.write(data)
            done += len(data)
            progress("exporting", done)

        await connection.copy_from_table(
            table, schema_name=SCHEMA, columns=list(parquet.COLUMNS), format="csv", header=True, output=take
        )


async def _copy_in(connection: Connection, table: str, text: bytes) -> None:
    await connection.copy_to_table(
        table,
        schema_name=SCHEMA,
        columns=list(parquet.COLUMNS),
        format="csv",
        header=True,
        source=memoryview(text),  # type: ignore[arg-type]  # as in db/copy.py
    )


def _read_manifest(path: Path) -> Manifest:
    try:
        return msgspec.json.decode(path.read_bytes(), type=Manifest)
    except (OSError, msgspec.DecodeError, UnicodeDecodeError) as error:
        raise FileDiffers(file=path, what="it is no manifest") from error


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


OPERATIONS = [
    Operation(
        "usage.months", NothingInput, MonthsOutput, "usage:read", "GET /usage/months", months, reads=True, snapshot=True
    ),
    Operation("usage.detach_month", MonthInput, MovedOutput, SCOPE, "POST /usage/months/detach", detach_month),
    Operation("usage.attach_month", MonthInput, MovedOutput, SCOPE, "POST /usage/months/attach", attach_month),
    Operation("usage.drop_month", DropInput, MovedOutput, SCOPE, "POST /usage/months/drop", drop_month),
    Operation("usage.note_export", NoteExportInput, MovedOutput, SCOPE, "", export_noted),
    Operation("usage.note_restore", NoteRestoreInput, MovedOutput, SCOPE, "", restore_noted),
    Operation("usage.set_retention", RetentionInput, Retention, SCOPE, "POST /usage/retention", change_retention),
    Operation(
        "usage.retention", NothingInput, Retention, "usage:read", "GET /usage/retention", read_retention, reads=True
    ),
]
