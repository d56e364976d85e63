"""
Usage as a file over HTTP: readings of a meter, or the events themselves.

    GET  …/usage/export   who is it ─ may it ─ what is asked ─ the first rows ─ blocks, each sent as soon as it is written

What goes wrong before the first rows is a problem; afterwards the connection is cut, so that no part passes for a whole.
"""

import asyncio
import io
import re
from collections.abc import AsyncGenerator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final
from urllib.parse import urlencode

from starlette.types import Receive, Scope, Send

from tallystick.api.rest.errors import CallerGone, ExportsBusy
from tallystick.api.rest.read_input import InputReader, read_query
from tallystick.errors import InvalidInput
from tallystick.operations import export_usage
from tallystick.operations.export_usage import Block, make_writer, read_rows
from tallystick.operations.model import Operation
from tallystick.operations.run import Operations
from tallystick.operations.usage_queries import EventsInput, TotalsInput, list_events, read
from tallystick.security.model import Principal
from tallystick.usage.export.model import MEDIA_TYPES, Format
from tallystick.usage.query import EventsPage
from tallystick.usage.totals.read import TotalsPage

if TYPE_CHECKING:
    from tallystick.usage.export.write_rows import RowWriter

USAGE_EXPORT = re.compile(r"/v1/books/(?P<book>[a-z][a-z0-9-]{0,62})/usage/export", re.ASCII)
SCOPE = export_usage.SCOPE
MOST_AT_ONCE = 4
"""So many exports run at once: one of readings holds a connection of the store until its last row was taken."""
_PATIENCE_SECONDS = 60
"""A caller that takes nothing for so long has gone: it holds a place, and what is read of one moment."""
_READERS: Final = {
    True: InputReader.of(Operation("usage.list_events", EventsInput, EventsPage, SCOPE, "", list_events, reads=True)),
    False: InputReader.of(Operation("usage.totals", TotalsInput, TotalsPage, SCOPE, "", read, reads=True)),
}
"""How the rest of the query is read, by whether it asks for events."""
_OF_PAGES = ("after", "limit")


@dataclass(slots=True)
class UsageExports:
    """What gives usage out as files, for one application."""

    operations: Operations
    patience: float = _PATIENCE_SECONDS
    _under_way: int = 0

    async def answer(self, scope: Scope, receive: Receive, principal: Principal, book: str) -> "UsageReply":
        """
        Make the reply to who was recognised and may ask; its first rows are read by then.

        Raises:
            InvalidInput: the query is not one (``invalid_input``).
            ExportsBusy: others are under way (``rest.exports_busy``).
            TallystickError: of ``read_rows``.
            CallerGone: nobody waits for it any more.
        """
        format_, request = read_export_query(scope["query_string"])
        if self._under_way >= MOST_AT_ONCE:
            raise ExportsBusy
        self._under_way += 1
        rows = _Rows(read_rows(self.operations, principal, book, request), asyncio.create_task(_hung_up(receive)))
        reply = UsageReply(self, book, format_, rows, head=scope["method"] == "HEAD")
        try:
            reply.first = await rows.take()
        except BaseException:
            await reply.end()
            raise
        return reply

    def release(self) -> None:
        """Let another one begin."""
        self._under_way -= 1


@dataclass(slots=True)
class _Rows:
    """Blocks of rows, as long as somebody waits for them."""

    blocks: AsyncGenerator[Block, None]
    gone: "asyncio.Task[None]"

    async def take(self) -> Block | None:
        """
        Return the next block, None behind the last; the query stops when the caller hangs up.

        Raises:
            CallerGone: it did.
        """
        reading = asyncio.create_task(self._read())
        try:
            await asyncio.wait({reading, self.gone}, return_when=asyncio.FIRST_COMPLETED)
            if self.gone.done():
                raise CallerGone
            return await reading
        finally:
            reading.cancel()
            await asyncio.gather(reading, return_exceptions=True)

    async def close(self) -> None:
        """Stop reading."""
        self.gone.cancel()
        await asyncio.gather(self.gone, return_exceptions=True)
        await self.blocks.aclose()

    async def _read(self) -> Block | None:
        return await anext(self.blocks, None)


@dataclass(slots=True)
class UsageReply:
    """The answer to an export: the file, a block at a time."""

    exports: UsageExports
    book: str
    format: Format
    rows: _Rows
    head: bool
    """Nothing is asked for but how the answer would begin."""
    first: Block | None = None

    async def send(self, _: Receive, send: Send) -> None:
        """Send it; what goes wrong on the way cuts the connection."""
        try:
            name = f'attachment; filename="{self.book}-usage.{self.format}"'
            headers = [
                (b"content-type", MEDIA_TYPES[self.format]),
                (b"cache-control", b"no-store"),
                (b"content-disposition", name.encode()),
            ]
            await send({"type": "http.response.start", "status": 200, "headers": headers})
            if self.head:
                await send({"type": "http.response.body", "body": b""})
            else:
                await self._send_blocks(send)
        except CallerGone:
            return
        finally:
            await self.end()

    async def end(self) -> None:
        """Stop reading, and let another one begin."""
        try:
            await self.rows.close()
        finally:
            self.exports.release()

    async def _send_blocks(self, send: Send) -> None:
        block, sink = self.first, io.BytesIO()
        if block is None:
            raise CallerGone
        writer: RowWriter = await asyncio.to_thread(make_writer, sink, block[0], self.format)
        with writer:
            while block is not None:
                await asyncio.to_thread(writer.write, block[1])
                await self._send_piece(send, sink, more=True)
                block = await self.rows.take()
        await self._send_piece(send, sink, more=False)

    async def _send_piece(self, send: Send, sink: io.BytesIO, *, more: bool) -> None:
        """Send what was written; a caller that does not take it is given up."""
        piece = sink.getvalue()
        sink.seek(0)
        sink.truncate()
        if piece or not more:
            async with asyncio.timeout(self.exports.patience):
                await send({"type": "http.response.body", "body": piece, "more_body": more})


def read_export_query(query: bytes) -> tuple[Format, EventsInput | TotalsInput]:
    """
    Read which format is asked for, and which rows: readings as `usage.totals` takes them, or events.

    Raises:
        InvalidInput: a field is missing, unknown, given twice, or breaks its rule (``invalid_input``).
    """
    given = read_query(query)
    format_, events = _only(given, "format", ""), _only(given, "events", "false")
    if format_ not in set(Format):
        raise InvalidInput(field="format", rule=f"Expected one of {', '.join(Format)}")
    if events not in {"true", "false"}:
        raise InvalidInput(field="events", rule="Expected true or false")
    for name, _ in given:
        if name in _OF_PAGES:
            raise InvalidInput(field=name, rule=f"A file has no pages, and so no `{name}`")
    rest = urlencode([(name, value) for name, value in given if name not in {"format", "events"}])
    request = _READERS[events == "true"].from_query(rest.encode(), {})
    if not isinstance(request, EventsInput | TotalsInput):
        raise TypeError(request)
    return Format(format_), request


def _only(given: list[tuple[str, str]], name: str, default: str) -> str:
    said = [value for one, value in given if one == name]
    if len(said) > 1:
        raise InvalidInput(field=name, rule="The field is given twice")
    return said[0] if said else default


async def _hung_up(receive: Receive) -> None:
    """Wait until the caller hangs up."""
    while (await receive())["type"] != "http.disconnect":
        pass
