"""The sandbox's own HTTP interface: which request is it, what is asked; the desk does the rest."""

from collections.abc import Awaitable, Callable, Mapping
from typing import Final

import msgspec
from starlette.types import ASGIApp, Receive, Scope, Send

from tallystick.payments.providers.protocol import CreateRequest, RefundRequest
from tallystick.payments.providers.sandbox.change import Call, CaptureRequest, Refusal
from tallystick.payments.providers.sandbox.customer_page import PATH, show_customer_page
from tallystick.payments.providers.sandbox.desk import Desk, Lost
from tallystick.payments.providers.sandbox.exchange import Exchange, behind_secret
from tallystick.payments.providers.sandbox.faults import FaultOrder
from tallystick.payments.providers.sandbox.orders import Decision, DisputeOrder, LineOrder, PayoutOrder
from tallystick.payments.providers.sandbox.send_webhooks import Endpoint, Sender

LONGEST_KEY = 255
_PARTS: Final = 5
"""Of a path: nothing before the first slash, the version, what it is about, which of them, and what to do with it."""


_CREATE = msgspec.json.Decoder(CreateRequest)
_CAPTURE = msgspec.json.Decoder(CaptureRequest)
_REFUND = msgspec.json.Decoder(RefundRequest)
_DECISION = msgspec.json.Decoder(Decision)
_DISPUTE = msgspec.json.Decoder(DisputeOrder)
_PAYOUT = msgspec.json.Decoder(PayoutOrder)
_LINE = msgspec.json.Decoder(LineOrder)
_FAULTS = msgspec.json.Decoder(FaultOrder)
_ENDPOINT = msgspec.json.Decoder(Endpoint)

Handler = Callable[[Exchange, str], Awaitable[object]]


class Native:
    """The handlers, one for each thing that can be asked; each returns what is answered."""

    def __init__(self, desk: Desk, sender: Sender, hang_seconds: float) -> None:
        """Ask *desk*; a timeout that was ordered hangs for *hang_seconds*, then answers 504."""
        self._desk = desk
        self._register = register = desk.register
        self._sender = sender
        self._hang_seconds = hang_seconds
        self._handlers: Mapping[tuple[str, str, bool, str], Handler] = {
            ("POST", "transactions", False, ""): self._create,
            ("GET", "transactions", False, ""): self._find_all,
            ("GET", "transactions", True, ""): self._find,
            ("POST", "transactions", True, "capture"): self._capture,
            ("POST", "transactions", True, "cancel"): self._cancel,
            ("POST", "transactions", True, "authenticate"): self._decider(
                Call.AUTHENTICATE, lambda which, done: register.transactions.authenticate(which, succeeded=done)
            ),
            ("POST", "transactions", True, "complete"): self._decider(
                Call.COMPLETE, lambda which, done: register.transactions.complete(which, succeeded=done)
            ),
            ("POST", "refunds", False, ""): self._refund,
            ("GET", "refunds", False, ""): self._find_refund,
            ("POST", "refunds", True, "decide"): self._decider(
                Call.DECIDE_REFUND, lambda which, done: register.refunds.decide(which, succeeded=done)
            ),
            ("POST", "disputes", False, ""): self._open_dispute,
            ("GET", "disputes", True, ""): self._find_dispute,
            ("POST", "disputes", True, "decide"): self._decider(
                Call.DECIDE_DISPUTE, lambda which, done: register.disputes.decide(which, won=done)
            ),
            ("POST", "payouts", False, ""): self._pay_out,
            ("GET", "payouts", False, ""): self._list_payouts,
            ("GET", "payouts", True, ""): self._read_payout,
            ("POST", "payouts", True, "fail"): self._fail_payout,
            ("POST", "fees", False, ""): self._adder(Call.CHARGE_FEE, register.payouts.charge_fee),
            ("POST", "adjustments", False, ""): self._adder(Call.ADJUST, register.payouts.adjust),
            ("GET", "holdings", False, ""): self._hold,
            ("POST", "faults", False, ""): self._order_faults,
            ("DELETE", "faults", False, ""): self._forget_faults,
            ("POST", "webhook_endpoint", False, ""): self._set_endpoint,
            ("DELETE", "webhook_endpoint", False, ""): self._forget_endpoint,
        }

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        exchange = Exchange(scope, receive, send)
        what, which, verb = (*exchange.path.split("/", _PARTS - 1)[2:], "", "", "")[:3]
        handler = self._handlers.get((exchange.method, what, which != "", verb))
        if handler is None or not exchange.path.startswith("/v1/"):
            await exchange.answer(404, {"error": "no such address"})
            return
        try:
            answer = await handler(exchange, which)
        except Refusal as refusal:
            await exchange.answer(refusal.status, {"reason": refusal.reason})
        except Lost as lost:
            await exchange.lose(lost.way, self._hang_seconds)
        else:
            await exchange.answer(200, answer)

    async def _create(self, exchange: Exchange, _: str) -> object:
        key, order = _key(exchange), await exchange.read(_CREATE)
        return await self._desk.answer(
            Call.CREATE, order.reference, lambda fate: self._register.transactions.create(key, order, fate)
        )

    async def _capture(self, exchange: Exchange, which: str) -> object:
        key, order = _key(exchange), await exchange.read(_CAPTURE)
        reference = self._desk.reference_of(which)
        return await self._desk.answer(
            Call.CAPTURE, reference, lambda fate: self._register.transactions.capture(key, which, order, fate)
        )

    async def _cancel(self, _: Exchange, which: str) -> object:
        reference = self._desk.reference_of(which)
        return await self._desk.answer(Call.CANCEL, reference, lambda _: self._register.transactions.cancel(which))

    async def _find(self, _: Exchange, which: str) -> object:
        return await self._desk.find(which)

    async def _find_all(self, exchange: Exchange, _: str) -> object:
        """Return the transaction of one reference, or all of them with what was captured in all."""
        reference = exchange.query("reference")
        if reference is None:
            everything = list(self._register.transactions.by_id.values())
            await self._desk.durable()
            return {"transactions": everything, "captured": self._register.transactions.captured()}
        found = await self._desk.answer(
            Call.FIND, reference, lambda _: self._register.transactions.find_by_reference(reference)
        )
        return {"transactions": [] if found is None else [found]}

    async def _refund(self, exchange: Exchange, _: str) -> object:
        key, order = _key(exchange), await exchange.read(_REFUND)
        return await self._desk.answer(
            Call.REFUND, order.reference, lambda fate: self._register.refunds.make(key, order, fate)
        )

    async def _find_refund(self, exchange: Exchange, _: str) -> object:
        transaction_id, reference = exchange.query("transaction_id"), exchange.query("reference")
        if transaction_id is None or reference is None:
            raise Refusal(422, "transaction_id and reference are both needed")
        found = await self._desk.answer(
            Call.FIND_REFUND, reference, lambda _: self._register.refunds.find_by_reference(transaction_id, reference)
        )
        return {"refunds": [] if found is None else [found]}

    async def _open_dispute(self, exchange: Exchange, _: str) -> object:
        order = await exchange.read(_DISPUTE)
        return await self._desk.answer(
            Call.OPEN_DISPUTE,
            order.transaction_id,
            lambda _: self._register.disputes.open(order.transaction_id, order.amount, order.reason),
        )

    async def _find_dispute(self, _: Exchange, which: str) -> object:
        return await self._desk.answer(Call.FIND_DISPUTE, which, lambda _: self._register.disputes.find(which))

    async def _pay_out(self, exchange: Exchange, _: str) -> object:
        order = await exchange.read(_PAYOUT)
        return await self._desk.answer(
            Call.PAY_OUT, order.currency, lambda _: self._register.payouts.pay_out(order.currency, order.flaw)
        )

    async def _list_payouts(self, exchange: Exchange, _: str) -> object:
        after = exchange.query("after")
        found = await self._desk.answer(
            Call.LIST_PAYOUTS, after or "", lambda _: self._register.payouts.list_after(after)
        )
        return {"payouts": found}

    async def _read_payout(self, _: Exchange, which: str) -> object:
        payout, lines = await self._desk.answer(Call.READ_PAYOUT, which, lambda _: self._register.payouts.read(which))
        return {"payout": payout, "lines": lines}

    async def _fail_payout(self, _: Exchange, which: str) -> object:
        return await self._desk.answer(Call.FAIL_PAYOUT, which, lambda _: self._register.payouts.fail(which))

    def _decider(self, call: Call, decide: Callable[[str, bool], object]) -> Handler:
        """Return the handler by which somebody decides what was open: which, and whether it succeeded."""

        async def handle(exchange: Exchange, which: str) -> object:
            succeeded = (await exchange.read(_DECISION)).succeeded
            return await self._desk.answer(call, which, lambda _: decide(which, succeeded))

        return handle

    def _adder(self, call: Call, add: Callable[[int, str, str], object]) -> Handler:
        """Return the handler that adds a line of no transaction: an amount, its currency and what it is for."""

        async def handle(exchange: Exchange, _: str) -> object:
            order = await exchange.read(_LINE)
            return await self._desk.answer(
                call, order.currency, lambda _: add(order.amount, order.currency, order.description)
            )

        return handle

    async def _hold(self, _: Exchange, __: str) -> object:
        """Return everything there is."""
        register = self._register
        await self._desk.durable()
        return {
            "transactions": list(register.transactions.by_id.values()),
            "refunds": list(register.refunds.by_id.values()),
            "disputes": list(register.disputes.by_id.values()),
            "payouts": list(register.payouts.by_id.values()),
            "captured": register.transactions.captured(),
            "owed": register.payouts.balance.owed(),
        }

    async def _order_faults(self, exchange: Exchange, _: str) -> object:
        order = await exchange.read(_FAULTS)
        self._desk.faults.queue(order.faults)
        self._desk.faults.queue_twists(order.webhooks)
        return {"queued": len(order.faults) + len(order.webhooks)}

    async def _forget_faults(self, _: Exchange, __: str) -> object:
        self._desk.faults.forget()
        return {"queued": 0}

    async def _set_endpoint(self, exchange: Exchange, _: str) -> object:
        endpoint = await exchange.read(_ENDPOINT)
        self._sender.set_endpoint(endpoint)
        return {"url": endpoint.url}

    async def _forget_endpoint(self, _: Exchange, __: str) -> object:
        self._sender.set_endpoint(None)
        return {"url": None}


def build(desk: Desk, sender: Sender, secret: str, hang_seconds: float, faces: Mapping[str, ASGIApp]) -> ASGIApp:
    """
    Put the sandbox together: its own interface behind *secret*, the customers' page, and *faces* by their path.

    A face sees its requests as they came, its path included, and asks for its secret in its own way.
    """
    native = behind_secret(Native(desk, sender, hang_seconds), secret)

    async def dispatch(scope: Scope, receive: Receive, send: Send) -> None:
        path: str = scope["path"]
        if path.startswith(PATH):
            await show_customer_page(desk, Exchange(scope, receive, send))
            return
        face = faces.get(path[1:].partition("/")[0])
        await (face or native)(scope, receive, send)

    return dispatch


def _key(exchange: Exchange) -> str:
    key = exchange.header(b"idempotency-key").decode("latin-1")
    if not 0 < len(key) <= LONGEST_KEY:
        raise Refusal(400, f"Idempotency-Key must have 1 to {LONGEST_KEY} characters")
    return key
