"""The sandbox as it runs: put together, behind uvicorn, which says when it serves and can cut a connection."""

import socket
from collections.abc import Callable

import uvicorn
from starlette.types import ASGIApp
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from tallystick.payments.providers.sandbox.app import build
from tallystick.payments.providers.sandbox.desk import Desk
from tallystick.payments.providers.sandbox.exchange import DROP_CONNECTION
from tallystick.payments.providers.sandbox.live_on import Life
from tallystick.payments.providers.sandbox.paypal_face.face import PayPalFace
from tallystick.payments.providers.sandbox.plan import Plan
from tallystick.payments.providers.sandbox.send_webhooks import Sender
from tallystick.payments.providers.sandbox.state_file import StateFile
from tallystick.payments.providers.sandbox.stripe_face.app import StripeFace
from tallystick.payments.providers.sandbox.stripe_face.encode_event import StripeEncoder

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


async def run(
    state: StateFile,
    plan: Plan,
    secret: str,
    hang_seconds: float,
    listener: socket.socket,
    announce: Callable[[], None],
) -> None:
    """
    Answer on *listener* until SIGINT or SIGTERM.

    Raises:
        StateUnusable: what *state* holds cannot be read.
    """
    base = f"http://127.0.0.1:{listener.getsockname()[1]}"
    desk = Desk(state, plan, base)
    paypal = PayPalFace(desk, secret, hang_seconds, base)
    kept_at = state.path.with_name(f"{state.path.name}.webhooks")
    sender = Sender(desk, secret, kept_at, {"stripe": StripeEncoder(), "paypal": paypal.encoder})
    faces: dict[str, ASGIApp] = {"stripe": StripeFace(desk, secret, hang_seconds), "paypal": paypal}
    Life(desk).resume()
    try:
        await serve(build(desk, sender, secret, hang_seconds, faces), listener, announce)
    finally:
        await sender.close()


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
