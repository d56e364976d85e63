"""uvicorn, with two things more: word that it serves, and a way to cut a connection."""

import socket
from collections.abc import Callable

import uvicorn
from starlette.types import ASGIApp
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from tallystick.payments.providers.sandbox.app import DROP_CONNECTION

KEEP_ALIVE_SECONDS = 75
"""Longer than any client of ours keeps an idle connection, so that it is never the server that closes first."""


class _DroppableProtocol(HttpToolsProtocol):
    """HTTP whose scope says how to cut the connection without a byte of an answer."""

    def on_message_begin(self) -> None:
        """Begin a request's scope."""
        super().on_message_begin()
        self.scope["extensions"] = {DROP_CONNECTION: {"now": self.transport.abort}}


class _AnnouncingServer(uvicorn.Server):
    """A server that says when it serves."""

    def __init__(self, config: uvicorn.Config, announce: Callable[[], None]) -> None:
        """Call *announce* once connections are answered."""
        super().__init__(config)
        self._announce = announce

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Start, and say so."""
        await super().startup(sockets)
        if self.started:
            self._announce()


async def serve(app: ASGIApp, listener: socket.socket, announce: Callable[[], None]) -> None:
    """Answer on *listener* until SIGINT or SIGTERM."""
    config = uvicorn.Config(
        app,
        http=_DroppableProtocol,
        ws="none",
        lifespan="off",
        access_log=False,
        log_level="warning",
        server_header=False,
        timeout_keep_alive=KEEP_ALIVE_SECONDS,
        timeout_graceful_shutdown=1,
    )
    await _AnnouncingServer(config, announce).serve(sockets=[listener])
