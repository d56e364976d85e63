"""Receive webhooks: a small server that checks signatures and hands each event on as a line."""

import asyncio
from collections.abc import Callable

import msgspec
import uvicorn
from standardwebhooks.webhooks import Webhook, WebhookVerificationError
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

_MOST_BYTES = 1024 * 1024


async def listen(port: int, secret: str | None, count: int | None, take: Callable[[str], None]) -> None:
    """Take events on 127.0.0.1 until *count* of them have come, or for ever; what *secret* did not sign is answered 401."""
    webhook = None if secret is None else Webhook(secret)
    left = count

    async def receive(request: Request) -> Response:
        nonlocal left
        body = await request.body()
        if len(body) > _MOST_BYTES:
            return Response(status_code=413)
        if webhook is not None:
            try:
                webhook.verify(body, dict(request.headers))
            except WebhookVerificationError as error:
                return Response(f"{error}\n", 401)
        try:
            take(msgspec.json.encode(msgspec.json.decode(body)).decode())
        except msgspec.DecodeError:
            return Response("this is no JSON\n", 400)
        if left is not None:
            left -= 1
            server.should_exit = left <= 0
        return Response(status_code=204)

    app = Starlette(routes=[Route("/{path:path}", receive, methods=["POST"])])
    server = uvicorn.Server(uvicorn.Config(app, "127.0.0.1", port, log_level="error", lifespan="off"))
    await asyncio.ensure_future(server.serve())
