"""PayPal's REST API over the sandbox: which request is it, who asks, what the desk answers, how PayPal words that."""

import datetime as dt
import hmac
import secrets
from base64 import b64decode
from binascii import Error as NotBase64
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Final

import msgspec
from cryptography.hazmat.primitives.serialization import Encoding
from starlette.types import Receive, Scope, Send

from tallystick.clock import Clock, SystemClock
from tallystick.payments.providers.protocol import (
    CreateRequest,
    PaymentType,
    ProviderRefund,
    ProviderTransaction,
    RefundRequest,
    TransactionStatus,
)
from tallystick.payments.providers.sandbox.change import Call, CaptureRequest, Fate, Refusal
from tallystick.payments.providers.sandbox.desk import Desk, Lost
from tallystick.payments.providers.sandbox.exchange import Exchange
from tallystick.payments.providers.sandbox.paypal_face import word
from tallystick.payments.providers.sandbox.paypal_face.authority import Authority
from tallystick.payments.providers.sandbox.paypal_face.encode_webhook import CERTIFICATE, PayPalEncoder

NAME: Final = "paypal"
"""The first part of the path, and what an endpoint of webhooks says that it speaks."""

TOKEN_SECONDS: Final = 32_400
PEM: Final = b"application/x-pem-file"

_LONGEST_SEARCH: Final = dt.timedelta(days=31)
_PAGE: Final = 100
_LARGEST_PAGE: Final = 500
_MOST_FOUND: Final = 10_000
_PARTS: Final = 6


class _Money(msgspec.Struct):
    currency_code: str
    value: str


class _Unit(msgspec.Struct):
    amount: _Money
    custom_id: str


class _OrderRequest(msgspec.Struct):
    intent: str
    purchase_units: list[_Unit]


class _RefundRequest(msgspec.Struct):
    amount: _Money
    custom_id: str


class _Patch(msgspec.Struct):
    op: str
    path: str
    value: str


_ORDER = msgspec.json.Decoder(_OrderRequest)
_REFUND = msgspec.json.Decoder(_RefundRequest)
_PATCHES = msgspec.json.Decoder(list[_Patch])

_Handler = Callable[[Exchange, str], Awaitable[tuple[int, object]]]


class PayPalFace:
    """The handlers, one for each thing that can be asked."""

    def __init__(self, desk: Desk, secret: str, hang_seconds: float, base: str, clock: Clock | None = None) -> None:
        """Ask *desk*, for whoever shows *secret* as PayPal's; *base* is the sandbox's own address."""
        self._desk = desk
        self._register = desk.register
        self._secret = secret
        self._hang_seconds = hang_seconds
        self._base = base
        self._clock = clock or SystemClock()
        self._authority = Authority(self._clock.now())
        self.encoder = PayPalEncoder(self._authority, f"{base}/{NAME}")
        self._tokens: dict[str, dt.datetime] = {}
        self._handlers: Mapping[tuple[str, str, bool, str], _Handler] = {
            ("POST", "v2/checkout/orders", False, ""): self._create,
            ("GET", "v2/checkout/orders", True, ""): self._find,
            ("PATCH", "v2/checkout/orders", True, ""): self._change,
            ("POST", "v2/checkout/orders", True, "capture"): self._capture,
            ("GET", "v2/payments/captures", True, ""): self._find_capture,
            ("POST", "v2/payments/captures", True, "refund"): self._refund,
            ("GET", "v1/customer/disputes", False, ""): self._find_disputes,
            ("GET", "v1/customer/disputes", True, ""): self._find_dispute,
            ("GET", "v1/reporting/transactions", False, ""): self._search,
        }

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        exchange = Exchange(scope, receive, send)
        path = exchange.path.removeprefix(f"/{NAME}/")
        try:
            if path == f"v1/notifications/certs/{CERTIFICATE}":
                await exchange.write(200, self._authority.chain, PEM)
            elif path == "anchor":
                self._authority.issued  # noqa: B018 - made now, while somebody waits for it anyway, and not at the first webhook
                await exchange.write(200, self._authority.anchor.public_bytes(Encoding.PEM), PEM)
            elif path == "v1/oauth2/token":
                await exchange.answer(*await self._let_in(exchange))
            elif not self._is_in(exchange):
                await exchange.answer(401, {"error": "invalid_token", "error_description": "Token signature invalid"})
            else:
                status, content = await self._handle(exchange, path)
                await exchange.write(status, b"" if content is None else msgspec.json.encode(content))
        except Refusal as refusal:
            await exchange.answer(*word.wrong(refusal))
        except Lost as lost:
            await exchange.lose(lost.way, self._hang_seconds)

    async def _handle(self, exchange: Exchange, path: str) -> tuple[int, object]:
        parts = (*path.split("/", _PARTS - 1), "", "", "")
        which, verb = parts[3], parts[4]
        handler = self._handlers.get((exchange.method, "/".join(parts[:3]), which != "", verb))
        if handler is None:
            raise Refusal(404, "INVALID_RESOURCE_ID")
        return await handler(exchange, which)

    # Who asks.

    async def _let_in(self, exchange: Exchange) -> tuple[int, object]:
        shown = _basic(exchange.header(b"authorization"))
        if await exchange.body() != b"grant_type=client_credentials":
            return 400, {"error": "unsupported_grant_type"}
        if not hmac.compare_digest(shown, self._secret.encode()):
            return 401, {"error": "invalid_client", "error_description": "Client Authentication failed"}
        now = self._clock.now()
        self._tokens = {token: end for token, end in self._tokens.items() if end > now}
        token = f"A21AA{secrets.token_urlsafe(64)}"
        self._tokens[token] = now + dt.timedelta(seconds=TOKEN_SECONDS)
        return 200, {"access_token": token, "token_type": "Bearer", "expires_in": TOKEN_SECONDS}

    def _is_in(self, exchange: Exchange) -> bool:
        token = exchange.header(b"authorization").decode("latin-1").removeprefix("Bearer ")
        end = self._tokens.get(token)
        return end is not None and end > self._clock.now()

    # Orders.

    async def _create(self, exchange: Exchange, _: str) -> tuple[int, object]:
        asked = await exchange.read(_ORDER)
        if asked.intent != "CAPTURE" or len(asked.purchase_units) != 1:
            raise Refusal(422, "NOT_SUPPORTED")
        unit = asked.purchase_units[0]
        amount = word.from_money(unit.amount.value, unit.amount.currency_code)
        request = CreateRequest(
            unit.custom_id, amount, unit.amount.currency_code, "payer", "payer@example.com", PaymentType.CREDIT
        )
        key = _key(exchange)
        opened = await self._desk.answer(
            Call.CREATE, unit.custom_id, lambda fate: self._register.transactions.create(key, request, fate)
        )
        if opened.status is TransactionStatus.DECLINED:
            raise Refusal(422, "PAYEE_ACCOUNT_RESTRICTED")
        # As it is when it is fresh, whatever it has come to: nobody has approved it, and this is where it is done.
        approve = {"href": self._page(opened), "rel": "approve", "method": "GET"}
        return 201, self._order(self._register.transactions.find(opened.id)) | {"status": "CREATED", "links": [approve]}

    async def _find(self, _: Exchange, which: str) -> tuple[int, object]:
        return 200, self._order(await self._desk.find(word.from_paypal(which)))

    async def _change(self, exchange: Exchange, which: str) -> tuple[int, object]:
        """Take the one change that gives an order up: its description."""
        own, patches = word.from_paypal(which), await exchange.read(_PATCHES)
        if [(patch.path.rpartition("/")[2], patch.value) for patch in patches] != [("description", word.GIVEN_UP)]:
            raise Refusal(422, "NOT_PATCHABLE")

        def act(_: Fate) -> ProviderTransaction:
            canceled = self._register.transactions.cancel(own)
            if canceled.status is not TransactionStatus.CANCELED:
                raise Refusal(422, "ORDER_ALREADY_COMPLETED")
            return canceled

        await self._desk.answer(Call.CANCEL, self._desk.reference_of(own), act)
        return 204, None

    async def _capture(self, exchange: Exchange, which: str) -> tuple[int, object]:
        own, key = word.from_paypal(which), _key(exchange)

        def act(fate: Fate) -> ProviderTransaction:
            before = self._register.transactions.find(own)
            if before.status is TransactionStatus.ACTION_REQUIRED:
                raise Refusal(422, "ORDER_NOT_APPROVED")  # PayPal does not keep in mind that it was asked
            return self._register.transactions.capture(key, own, CaptureRequest(before.amount, before.currency), fate)

        taken = await self._desk.answer(Call.CAPTURE, self._desk.reference_of(own), act)
        if taken.status is TransactionStatus.ACTION_REQUIRED:
            raise Refusal(422, "PAYER_ACTION_REQUIRED")
        if taken.status is TransactionStatus.DECLINED:
            raise Refusal(422, "INSTRUMENT_DECLINED")
        return 201, self._order(taken)

    async def _find_capture(self, _: Exchange, which: str) -> tuple[int, object]:
        taken = word.captures(await self._desk.find(word.captured_by(which)))
        if not taken:
            raise Refusal(404, "INVALID_RESOURCE_ID")
        return 200, taken[0]

    async def _refund(self, exchange: Exchange, which: str) -> tuple[int, object]:
        asked, key = await exchange.read(_REFUND), _key(exchange)
        amount = word.from_money(asked.amount.value, asked.amount.currency_code)
        request = RefundRequest(asked.custom_id, word.captured_by(which), amount, asked.amount.currency_code)

        def act(fate: Fate) -> ProviderRefund:
            return self._register.refunds.make(key, request, fate)

        return 201, word.refund(await self._desk.answer(Call.REFUND, asked.custom_id, act))

    # Disputes, and where the money went.

    async def _find_dispute(self, _: Exchange, which: str) -> tuple[int, object]:
        own = word.from_paypal(which)
        return 200, word.dispute(
            await self._desk.answer(Call.FIND_DISPUTE, own, lambda _: self._register.disputes.find(own))
        )

    async def _find_disputes(self, exchange: Exchange, _: str) -> tuple[int, object]:
        own = word.captured_by(exchange.query("disputed_transaction_id") or "")
        return 200, {"items": [word.dispute(one) for one in reversed(self._register.disputes.of_transaction(own))]}

    async def _search(self, exchange: Exchange, _: str) -> tuple[int, object]:
        """List what moved between two instants; the balance is told to nobody who asks for more than that."""
        start, end = _instant(exchange.query("start_date")), _instant(exchange.query("end_date"))
        if end - start > _LONGEST_SEARCH:
            raise Refusal(400, "INVALID_REQUEST")
        filtered = {name: exchange.query(name) for name in ("page", "page_size", "fields")}
        size, number = _number(filtered["page_size"], _PAGE), _number(filtered["page"], 1)
        if not 0 < size <= _LARGEST_PAGE or number < 1:
            raise Refusal(400, "INVALID_PARAMETER_VALUE")
        plain = not any(filtered.values())
        found = await self._desk.answer(
            Call.LIST_PAYOUTS, "", lambda _: self._movements(start, end, with_balance=plain)
        )
        if len(found) > _MOST_FOUND:
            raise Refusal(400, "RESULTSET_TOO_LARGE")
        return 200, {
            "transaction_details": [{"transaction_info": one} for one in found[(number - 1) * size : number * size]],
            "total_items": len(found),
            "total_pages": max(1, -(-len(found) // size)),
            "last_refreshed_datetime": self._clock.now().isoformat(),
        }

    def _movements(self, start: dt.datetime, end: dt.datetime, *, with_balance: bool) -> list[dict[str, Any]]:
        payouts, moved = self._register.payouts, []
        for payout_id in payouts.by_id:
            at = payouts.paid_out_at(payout_id)
            payout, lines = payouts.read(payout_id)
            moved += [(line.occurred_at, word.movement(line)) for line in lines]
            moved.append((at, word.withdrawal(payout, at, with_balance=with_balance)))
        for code in payouts.balance.owed():
            moved += [(line.occurred_at, word.movement(line)) for line in payouts.balance.waiting(code)]
        return [worded for at, worded in moved if start <= at <= end]

    def _order(self, paid: ProviderTransaction) -> dict[str, Any]:
        refunds = self._register.refunds.of_transaction(paid.id)
        return word.order(paid, refunds, paid.action_url or self._page(paid))

    def _page(self, paid: ProviderTransaction) -> str:
        return f"{self._base}/customer/{paid.token}"


def _key(exchange: Exchange) -> str:
    """Return the key that a request shows; one that shows none has one of its own."""
    return exchange.header(b"paypal-request-id").decode("latin-1") or secrets.token_hex(16)


def _basic(header: bytes) -> bytes:
    try:
        return b64decode(header.removeprefix(b"Basic "), validate=True).partition(b":")[2]
    except NotBase64:
        return b""


def _number(text: str | None, otherwise: int) -> int:
    if text is None:
        return otherwise
    return int(text) if text.isdecimal() else 0


def _instant(text: str | None) -> dt.datetime:
    try:
        instant = dt.datetime.fromisoformat(text or "")
    except ValueError:
        instant = None
    if instant is None or instant.tzinfo is None:
        raise Refusal(400, "INVALID_PARAMETER_SYNTAX")
    return instant
