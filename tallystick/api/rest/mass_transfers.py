"""
Files of transfers over HTTP: one in the body goes into the ledger, and the ledger comes out as one.

    POST …/transfers/import   who is it ─ may it ─ body to disk ─ import ─ lines of JSON, as it goes
    GET  …/transfers/export   who is it ─ may it ─ blocks, each sent as soon as it is written

An import is finished by sending the same file again: what was posted is known, and answered as the first time.
"""

import asyncio
import contextlib
import datetime as dt
import errno
import hashlib
import io
import re
import tempfile
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import aclosing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO

import msgspec
from starlette.types import Receive, Scope, Send

from tallystick.api.errors import problem_of
from tallystick.api.rest.errors import BodyTooLarge, CallerGone, ImportsBusy, SpoolFull
from tallystick.api.rest.read_input import read_query
from tallystick.api.rest.reply import problem_reply
from tallystick.errors import InvalidInput, TallystickError
from tallystick.flaw import require_whole_instants, worded
from tallystick.ledger.files import BlockWriter, Format, Posted, write_transfers
from tallystick.ledger.mass.read_transfers import Selection
from tallystick.operations.export_transfers import read_transfers
from tallystick.operations.import_transfers import ImportReport, RefusedRow, Step, import_transfers
from tallystick.operations.run import Operations
from tallystick.security.model import Principal

MASS = re.compile(r"/v1/books/(?P<book>[a-z][a-z0-9-]{0,62})/transfers/(?P<what>import|export)", re.ASCII)
METHODS = {"import": "POST", "export": "GET"}
SCOPES = {"import": "ledger:write", "export": "ledger:read"}
MOST_BYTES = 8 * 1024**3
"""How large a file in a body may be, unless the operator says otherwise."""
MOST_AT_ONCE = 4
"""So many files are taken in at once: each lies on disk until it is imported."""
_SAID = 1.0
"""Seconds between two lines that say how far it is."""
_ON_DISK_AT_ONCE = 1 << 20
MEDIA_TYPES = {
    Format.AVRO: b"application/avro",
    Format.PARQUET: b"application/vnd.apache.parquet",
    Format.ARROW: b"application/vnd.apache.arrow.file",
    Format.ARROW_STREAM: b"application/vnd.apache.arrow.stream",
    Format.CSV: b"text/csv",
}
"""What each format is called in HTTP."""
_FORMATS = {type_: format_ for format_, type_ in MEDIA_TYPES.items()} | {b"avro/binary": Format.AVRO}
_NO_STORE = (b"cache-control", b"no-store")
_NO_ROOM = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}
_encode = msgspec.json.Encoder().encode


class _ImportQuery(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The query of an import."""

    open_accounts: str | None = None
    retry_refused: bool = False
    dry_run: bool = False


class _ExportQuery(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The query of an export."""

    format: Format
    account: str | None = None
    since: dt.datetime | None = None
    until: dt.datetime | None = None


_PATIENCE_SECONDS = 60
"""A caller that sends nothing of its file for so long has gone: it holds a place that others wait for."""


@dataclass(slots=True)
class MassTransfers:
    """What takes files in and gives them out, for one application."""

    operations: Operations
    most_bytes: int = MOST_BYTES
    directory: Path | None = None
    """Where bodies lie while they are imported; None for the system's own place."""
    _under_way: int = 0

    async def answer(self, scope: Scope, receive: Receive, principal: Principal, book: str, what: str) -> "MassReply":
        """
        Make the reply to who was recognised and may ask; the body of an import is on disk by then.

        Raises:
            InvalidInput: the query is not one (``invalid_input``).
            BodyTooLarge, SpoolFull, ImportsBusy: the body cannot be taken (``rest.…``).
        """
        if what == "export":
            wanted = _read(scope["query_string"], _ExportQuery)
            _require_zones(wanted)
            return ExportReply(self.operations, principal, book, wanted)
        query = _read(scope["query_string"], _ImportQuery)
        headers = dict(scope["headers"])
        said = _FORMATS.get(headers.get(b"content-type", b"").split(b";")[0].strip().lower())
        if int(headers.get(b"content-length", b"0")) > self.most_bytes:
            raise BodyTooLarge(limit=self.most_bytes)
        if self._under_way >= MOST_AT_ONCE:
            raise ImportsBusy
        spool = _Spool(self._release, self.directory)
        self._under_way += 1
        try:
            await spool.take(receive, self.most_bytes)
        except BaseException:
            spool.close()
            raise
        return ImportReply(self.operations, principal, book, query, said, spool)

    def _release(self) -> None:
        self._under_way -= 1


class _Spool:
    """A body on disk."""

    def __init__(self, release: Callable[[], None], directory: Path | None) -> None:
        self._release = release
        self._directory = tempfile.TemporaryDirectory(prefix="tallystick-import-", dir=directory)
        self.path = Path(self._directory.name) / "the body"
        self.sha256 = hashlib.sha256()

    async def take(self, receive: Receive, most: int) -> None:
        """Write the body down, and hash it."""
        length, waiting = 0, bytearray()
        with self.path.open("xb") as file:
            async for piece in _body(receive):
                length += len(piece)
                if length > most:
                    raise BodyTooLarge(limit=most)
                waiting += piece
                if len(waiting) >= _ON_DISK_AT_ONCE:
                    await asyncio.to_thread(self._write, file, bytes(waiting))
                    waiting.clear()
            await asyncio.to_thread(self._write, file, bytes(waiting))

    def _write(self, file: BinaryIO, data: bytes) -> None:
        try:
            file.write(data)
            file.flush()
        except OSError as error:
            if error.errno in _NO_ROOM:
                raise SpoolFull from error
            raise
        self.sha256.update(data)

    def close(self) -> None:
        """Throw it away."""
        try:
            self._directory.cleanup()
        finally:
            self._release()


async def _body(receive: Receive) -> AsyncIterator[bytes]:
    with contextlib.suppress(TimeoutError):
        while (message := await asyncio.wait_for(receive(), _PATIENCE_SECONDS))["type"] == "http.request":
            yield message["body"]
            if not message["more_body"]:
                return
    raise CallerGone


@dataclass(slots=True)
class ImportReply:
    """The answer to an import: a line for each step, for each refused row, and at the end one that says it all."""

    operations: Operations
    principal: Principal
    book: str
    query: _ImportQuery
    said: Format | None
    spool: _Spool
    _lines: "asyncio.Queue[bytes | None]" = field(default_factory=lambda: asyncio.Queue(1000))
    _next: float = 0.0
    _last: Step | None = None

    async def send(self, receive: Receive, send: Send) -> None:
        """Import, and tell how it goes; when the caller hangs up, what is under way is finished and no more begun."""
        importing = asyncio.create_task(self._import())
        gone = asyncio.create_task(_hung_up(receive))
        started = False
        try:
            while (line := await self._next_line(importing, gone)) is not None:
                if not started:
                    await _start(send, b"application/x-ndjson", {})
                    started = True
                await send({"type": "http.response.body", "body": line + b"\n", "more_body": True})
            if gone.done():
                importing.cancel()
            await asyncio.wait([importing])
            if importing.cancelled():
                return
            await self._finish(importing, receive, send, started=started)
        finally:
            importing.cancel()
            gone.cancel()
            await asyncio.gather(importing, gone, return_exceptions=True)
            await asyncio.to_thread(self.spool.close)

    async def _next_line(self, importing: "asyncio.Task[Any]", gone: "asyncio.Task[None]") -> bytes | None:
        """Return the next line, None when there is none any more or nobody to read it."""
        if gone.done():
            return None
        if not self._lines.empty():
            return self._lines.get_nowait()
        line = asyncio.create_task(self._lines.get())
        await asyncio.wait({line, importing, gone}, return_when=asyncio.FIRST_COMPLETED)
        if line.done():
            return line.result()
        line.cancel()
        return None if self._lines.empty() else self._lines.get_nowait()

    async def _finish(
        self, importing: "asyncio.Task[ImportReport]", receive: Receive, send: Send, *, started: bool
    ) -> None:
        error = importing.exception()
        if error is not None and not isinstance(error, TallystickError):
            raise error
        if isinstance(error, TallystickError) and not started:
            await problem_reply(error).send(receive, send)
            return
        if not started:
            await _start(send, b"application/x-ndjson", {})
        last = {"failed": problem_of(error)} if isinstance(error, TallystickError) else _summary(importing.result())
        await send({"type": "http.response.body", "body": _encode(last) + b"\n"})

    async def _import(self) -> ImportReport:
        return await import_transfers(
            self.operations, self.principal, self.book, self.spool.path, format_=self.said,
            hashed=self.spool.sha256.hexdigest(), open_accounts=self.query.open_accounts,
            retry_refused=self.query.retry_refused, dry_run=self.query.dry_run,
            progress=self._tell_step, tell=self._tell_row,
        )  # fmt: skip

    def _tell_step(self, step: Step) -> None:
        now = asyncio.get_running_loop().time()
        if now >= self._next and not self._lines.full():
            self._next = now + _SAID
            self._lines.put_nowait(_encode({"progress": {"done": step.done, "total": step.total, "rows": step.rows}}))

    async def _tell_row(self, row: RefusedRow) -> None:
        told = {"row": row.row, "status": row.status, "field": row.field, "rule": row.rule}
        await self._lines.put(_encode({"refused": told}))


@dataclass(frozen=True, slots=True)
class ExportReply:
    """The answer to an export: the file, a block at a time."""

    operations: Operations
    principal: Principal
    book: str
    query: _ExportQuery

    async def send(self, receive: Receive, send: Send) -> None:
        """Send it; what goes wrong before the first block is told, and afterwards the connection breaks."""
        selection = Selection(self.query.account, self.query.since, self.query.until)
        gone = asyncio.create_task(_hung_up(receive))
        try:
            async with aclosing(read_transfers(self.operations, self.principal, self.book, selection)) as blocks:
                try:
                    block = await anext(blocks, None)
                except TallystickError as error:
                    await problem_reply(error).send(receive, send)
                    return
                name = f'attachment; filename="{self.book}.{self.query.format}"'
                await _start(send, MEDIA_TYPES[self.query.format], {b"content-disposition": name.encode()})
                await self._send_blocks(block, blocks, send, gone)
        finally:
            gone.cancel()

    async def _send_blocks(
        self, block: Posted | None, blocks: AsyncIterator[Posted], send: Send, gone: "asyncio.Task[None]"
    ) -> None:
        sink = io.BytesIO()
        writer: BlockWriter[Posted] = await asyncio.to_thread(write_transfers, sink, self.query.format)
        while block is not None and not gone.done():
            await asyncio.to_thread(writer.write, block)
            if piece := _take(sink):
                await send({"type": "http.response.body", "body": piece, "more_body": True})
            block = await anext(blocks, None)
        await asyncio.to_thread(writer.finish)
        await send({"type": "http.response.body", "body": _take(sink)})


def _take(sink: io.BytesIO) -> bytes:
    """Take what was written."""
    taken = sink.getvalue()
    sink.seek(0)
    sink.truncate()
    return taken


MassReply = ImportReply | ExportReply


async def _start(send: Send, type_: bytes, more: Mapping[bytes, bytes]) -> None:
    headers = [(b"content-type", type_), _NO_STORE, *more.items()]
    await send({"type": "http.response.start", "status": 200, "headers": headers})


async def _hung_up(receive: Receive) -> None:
    """Wait until the caller hangs up."""
    while (await receive())["type"] != "http.disconnect":
        pass


def _summary(report: ImportReport) -> dict[str, object]:
    return {
        "done": {
            "file": report.file,
            "format": report.format,
            "rows": report.rows,
            "refused": report.refused,
            "statuses": dict(report.statuses),
            "imported_before": report.before,
            "accounts_opened": report.opened,
        }
    }


def _read(query: bytes, type_: type[Any]) -> Any:  # noqa: ANN401 - the caller says which
    """
    Read a query.

    Raises:
        InvalidInput: a parameter is unknown, twice there, or breaks its rule (``invalid_input``).
    """
    given = read_query(query)
    fields = dict(given)
    if len(fields) < len(given):
        raise InvalidInput(rule="The query has a parameter twice")
    try:
        found = msgspec.convert(fields, type_, strict=False)
    except msgspec.ValidationError as error:
        raise worded(error, type_) from error
    require_whole_instants(fields, type_)
    return found


def _require_zones(query: _ExportQuery) -> None:
    for name, instant in (("since", query.since), ("until", query.until)):
        if instant is not None and instant.tzinfo is None:
            raise InvalidInput(field=name, rule="Expected an instant with its zone, as in 2026-01-31T00:00:00Z")
