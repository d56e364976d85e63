"""The sandbox's HTTP interface: who is it, which failure waits, what happens, is it on disk; then the answer."""

import asyncio
import hmac
from collections.abc import Callable
from typing import TypeVar

import msgspec
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route
from starlette.types import ASGIApp, Receive, Scope, Send

from tallystick.payments.providers.protocol import CreateRequest, ProviderTransaction
from tallystick.payments.providers.sandbox.faults import FaultKind, FaultOrder, Faults, Way
from tallystick.payments.providers.sandbox.register import Call, CaptureRequest, Refusal, Register
from tallystick.payments.providers.sandbox.state_file import StateFile

LARGEST_BODY = 64 * 1024
"""In bytes; the largest request has under 2 KiB."""

LONGEST_KEY = 255

DROP_CONNECTION = "tallystick.drop_connection"
"""The extension of the ASGI scope whose ``now`` cuts the connection; the server supplies it."""

_Body = TypeVar("_Body")


class Sandbox:
    """The handlers, one for each thing that can be asked."""

    def __init__(self, state: StateFile, hang_seconds: float) -> None:
        """Continue from what *state* holds; a timeout that was ordered hangs for *hang_seconds*, then answers 504."""
        self._state = state
        self._register = Register(state.replay())
        self._faults = Faults()
        self._hang_seconds = hang_seconds

    async def create(self, request: Request) -> Response:
        """Open a transaction."""
        key, order = _key(request), await _body(request, CreateRequest)

        def act(*, decline: bool) -> ProviderTransaction:
            transaction, changed = self._register.create(key, order, decline=decline)
            return self._kept(Call.CREATE, key, transaction, changed=changed)

        return await self._answer(Call.CREATE, request, act)

    async def capture(self, request: Request) -> Response:
        """Take the money of a transaction."""
        key, order = _key(request), await _body(request, CaptureRequest)
        transaction_id = request.path_params["id"]

        def act(*, decline: bool) -> ProviderTransaction:
            transaction, changed = self._register.capture(key, transaction_id, order, decline=decline)
            return self._kept(Call.CAPTURE, key, transaction, changed=changed)

        return await self._answer(Call.CAPTURE, request, act)

    async def find(self, request: Request) -> Response:
        """Return a transaction."""
        return await self._answer(Call.FIND, request, lambda **_: self._register.find(request.path_params["id"]))

    async def find_all(self, request: Request) -> Response:
        """Return the transaction of one reference, or all of them with what was captured in all."""
        reference = request.query_params.get("reference")
        if reference is None:
            everything = list(self._register.transactions.values())
            response = _json(200, {"transactions": everything, "captured": self._register.captured()})
            await self._state.durable()
            return response

        def act(*, decline: bool) -> object:  # noqa: ARG001 - a look-up cannot be declined
            found = self._register.find_by_reference(reference)
            return {"transactions": [] if found is None else [found]}

        return await self._answer(Call.FIND, request, act)

    async def order_faults(self, request: Request) -> Response:
        """Queue failures."""
        order = await _body(request, FaultOrder)
        self._faults.queue(order.faults)
        return _json(200, {"queued": len(order.faults)})

    async def forget_faults(self, _request: Request) -> Response:
        """Drop the failures that wait."""
        self._faults.forget()
        return _json(200, {"queued": 0})

    async def _answer(self, call: Call, request: Request, act: Callable[..., object]) -> Response:
        fault = self._faults.take(call)
        if fault is not None and (way := fault.lost_before):
            return await self._lose(request, way)
        try:
            response = _json(200, act(decline=fault is FaultKind.DECLINE))
        except Refusal as refusal:
            response = refused(request, refusal)
        # Look-ups and repeated answers wait too: none may tell of a change that a power cut would take back.
        await self._state.durable()
        if fault is not None and (way := fault.lost_after):
            return await self._lose(request, way)
        return response

    def _kept(self, call: Call, key: str, transaction: ProviderTransaction, *, changed: bool) -> ProviderTransaction:
        if changed:
            self._state.append(self._register.change_under(call, key))
        return transaction

    async def _lose(self, request: Request, way: Way) -> Response:
        if way is Way.ERROR:
            return _json(500, {"reason": "ordered_error"})
        if way is Way.DROP:
            request.scope["extensions"][DROP_CONNECTION]["now"]()
        try:
            await asyncio.wait_for(_hung_up(request), self._hang_seconds)
        except TimeoutError:
            return _json(504, {"reason": "ordered_timeout"})
        return Response(status_code=499)


def build(state: StateFile, secret: str, hang_seconds: float) -> ASGIApp:
    """Put the sandbox together behind *secret*."""
    sandbox = Sandbox(state, hang_seconds)
    routes = [
        Route("/v1/transactions", sandbox.create, methods=["POST"]),
        Route("/v1/transactions", sandbox.find_all, methods=["GET"]),
        Route("/v1/transactions/{id}", sandbox.find, methods=["GET"]),
        Route("/v1/transactions/{id}/capture", sandbox.capture, methods=["POST"]),
        Route("/v1/faults", sandbox.order_faults, methods=["POST"]),
        Route("/v1/faults", sandbox.forget_faults, methods=["DELETE"]),
    ]
    return _behind_secret(Starlette(routes=routes, exception_handlers={Refusal: refused}), secret)


def refused(_request: Request, refusal: Exception) -> Response:
    """Word a refusal as an answer."""
    if not isinstance(refusal, Refusal):
        raise refusal
    return _json(refusal.status, {"reason": refusal.reason})


def _behind_secret(app: ASGIApp, secret: str) -> ASGIApp:
    expected = b"Bearer " + secret.encode()

    async def guarded(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            shown = dict(scope["headers"]).get(b"authorization", b"")
            if not hmac.compare_digest(shown, expected):
                await _json(401, {"reason": "secret_not_accepted"})(scope, receive, send)
                return
        await app(scope, receive, send)

    return guarded


def _key(request: Request) -> str:
    key = request.headers.get("idempotency-key", "")
    if not 0 < len(key) <= LONGEST_KEY:
        raise Refusal(400, f"Idempotency-Key must have 1 to {LONGEST_KEY} characters")
    return key


async def _body(request: Request, kind: type[_Body]) -> _Body:
    content = bytearray()
    async for chunk in request.stream():
        content += chunk
        if len(content) > LARGEST_BODY:
            raise Refusal(413, f"the body is larger than {LARGEST_BODY} bytes")
    try:
        return msgspec.json.decode(content, type=kind)
    except msgspec.ValidationError as wrong:
        raise Refusal(422, str(wrong)) from wrong
    except (msgspec.DecodeError, UnicodeDecodeError) as unreadable:
        raise Refusal(400, f"the body is not JSON: {unreadable}") from unreadable


async def _hung_up(request: Request) -> None:
    while (await request.receive())["type"] != "http.disconnect":
        pass


def _json(status: int, content: object) -> Response:
    return Response(msgspec.json.encode(content), status, media_type="application/json")
