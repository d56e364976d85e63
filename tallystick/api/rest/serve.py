"""uvicorn as the house runs it: uvloop, httptools, no chatter, and an end to what heads and trailers may hold."""

import uvicorn
from starlette.types import ASGIApp
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

MOST_HEAD_BYTES = 64 * 1024
"""How much a request may send on end that is not body: its head, and the trailers behind a body in chunks."""
KEEP_ALIVE_SECONDS = 75
_TOO_MUCH = b"HTTP/1.1 431 Request Header Fields Too Large\r\ncontent-length: 0\r\nconnection: close\r\n\r\n"


class BoundedHeadProtocol(HttpToolsProtocol):
    """
    HTTP that hangs up on a head or on trailers without end, which would otherwise be collected in memory for ever.

    Trailers are thrown away: nobody here reads them, and among the headers they could pass for some (RFC 9110 §6.5.1).
    """

    _beside_body = True
    """The parser stands in a head, or behind a chunk's size, where the chunk follows or, behind the last, trailers."""
    _bytes_beside_body = 0
    _in_head = True

    def data_received(self, data: bytes) -> None:
        """Take in what arrived, and count it while it is neither body nor the whole of a head."""
        self._moved_on = False
        super().data_received(data)
        if self._beside_body and not self._moved_on:
            self._bytes_beside_body += len(data)
            if self._bytes_beside_body > MOST_HEAD_BYTES and not self.transport.is_closing():
                if self._in_head or not self.cycle.response_started:
                    self.transport.write(_TOO_MUCH)
                self.transport.close()

    def on_message_begin(self) -> None:
        """Begin to count."""
        self._in_head = self._beside_body = True
        super().on_message_begin()

    def on_header(self, name: bytes, value: bytes) -> None:
        """Take in a header; a trailer is thrown away."""
        if self._in_head:
            super().on_header(name, value)

    def on_headers_complete(self) -> None:
        """Stop counting: the body has a limit of its own."""
        self._in_head = False
        self._move_on(beside_body=False)
        super().on_headers_complete()

    def on_chunk_header(self) -> None:
        """Begin to count: behind the last chunk's size there come trailers."""
        self._move_on(beside_body=True)

    def on_body(self, body: bytes) -> None:
        """Stop counting."""
        self._move_on(beside_body=False)
        super().on_body(body)

    def on_message_complete(self) -> None:
        """Be ready for the next head."""
        self._move_on(beside_body=True)
        super().on_message_complete()

    def _move_on(self, *, beside_body: bool) -> None:
        self._moved_on, self._beside_body, self._bytes_beside_body = True, beside_body, 0


def server_config(app: ASGIApp, *, host: str = "127.0.0.1", port: int = 8080) -> uvicorn.Config:
    """
    Say how the application is served.

    There is no access log: what a caller did is in the journal, and addresses with their queries are nobody's to keep.
    """
    return uvicorn.Config(
        app,
        host=host,
        port=port,
        loop="uvloop",
        http=BoundedHeadProtocol,
        ws="none",
        lifespan="off",
        access_log=False,
        log_level="warning",
        server_header=False,
        proxy_headers=False,
        timeout_keep_alive=KEEP_ALIVE_SECONDS,
        timeout_graceful_shutdown=10,
    )
