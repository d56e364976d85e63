"""
Answer as Stripe: who is it, was it asked before under this key, what is asked; the desk does the rest.

An intent is confirmed from the start, as if the customer's device had done its part at once; who must act, is declined
or waits is ordered or sown in the email as for the sandbox itself.
"""

import base64
import binascii
import hmac
import re
import secrets
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any, Final

import msgspec
from starlette.types import Receive, Scope, Send

from tallystick.payments.providers.protocol import (
    CreateRequest,
    ProviderTransaction,
    RefundRequest,
    TransactionStatus,
)
from tallystick.payments.providers.sandbox.change import Call, CaptureRequest, Refusal
from tallystick.payments.providers.sandbox.desk import Desk, Lost
from tallystick.payments.providers.sandbox.exchange import Exchange
from tallystick.payments.providers.sandbox.faults import Way
from tallystick.payments.providers.sandbox.stripe_face import resources
from tallystick.payments.providers.sandbox.stripe_face.form import Form, WrongParameter
from tallystick.payments.providers.sandbox.stripe_face.keys import Answer, Keys, KeyUsedOtherwise
from tallystick.payments.providers.sandbox.stripe_face.names import own_id

PATH: Final = "/stripe/v1/"
LONGEST_KEY: Final = 255

_NOBODY: Final = "nobody@example.org"
_BY_REFERENCE = re.compile(r"metadata\['reference'\]:'((?:[^'\\]|\\.)*)'\Z", re.DOTALL)
_CODES: Final = {
    "more_than_is_left": "charge_already_refunded",
    "not_captured": "payment_intent_unexpected_state",
    "transaction_unknown": "resource_missing",
    "payout_unknown": "resource_missing",
    "dispute_unknown": "resource_missing",
}

Handler = Callable[[Exchange, str, Form], Awaitable[Answer]]


class StripeFace:
    """The handlers, one for each thing that can be asked; each returns what is answered."""

    def __init__(self, desk: Desk, secret: str, hang_seconds: float) -> None:
        """Ask *desk*; a timeout that was ordered hangs for *hang_seconds*, then answers 504."""
        self._desk = desk
        self._register = desk.register
        self._secret = secret.encode()
        self._hang_seconds = hang_seconds
        self._keys = Keys()
        self._given_up: set[str] = set()
        """The transactions that were declined and then canceled, which the register does not tell apart."""
        intent = {"amount", "currency", "capture_method", "payment_method_types", "metadata", "receipt_email", "expand"}
        paged = {"limit", "starting_after", "ending_before", "expand"}
        self._handlers: Mapping[tuple[str, str, bool, str], tuple[Handler, set[str]]] = {
            ("POST", "payment_intents", False, ""): (self._create, intent),
            ("GET", "payment_intents", True, ""): (self._find, {"expand"}),
            ("POST", "payment_intents", True, "confirm"): (self._confirm, {"expand"}),
            ("POST", "payment_intents", True, "capture"): (self._capture, {"amount_to_capture", "expand"}),
            ("POST", "payment_intents", True, "cancel"): (self._cancel, {"cancellation_reason", "expand"}),
            ("POST", "refunds", False, ""): (self._refund, {"payment_intent", "amount", "metadata"}),
            ("GET", "refunds", False, ""): (self._list_refunds, {"payment_intent", *paged}),
            ("GET", "disputes", True, ""): (self._find_dispute, {"expand"}),
            ("GET", "payouts", False, ""): (self._list_payouts, paged),
            ("GET", "payouts", True, ""): (self._find_payout, {"expand"}),
            ("GET", "balance_transactions", False, ""): (self._list_entries, {"payout", *paged}),
        }

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        exchange = Exchange(scope, receive, send)
        request_id = f"req_{secrets.token_hex(7)}"
        try:
            answer = await self._answer(exchange, request_id)
        except Refusal as refusal:
            answer = _refused(refusal)
        except Lost as lost:
            if lost.way is not Way.ERROR:
                await exchange.lose(lost.way, self._hang_seconds)
                return
            answer = _error(500, {"type": "api_error", "message": "an error was ordered"})
        await _write(send, answer, request_id)

    async def _answer(self, exchange: Exchange, request_id: str) -> Answer:
        self._require_secret(exchange)
        what, which, verb = (*exchange.path.removeprefix(PATH).split("/", 2), "", "")[:3]
        if (exchange.method, what, which) == ("GET", "payment_intents", "search"):
            return await self._search(exchange, "", Form(exchange.scope["query_string"], {"query", "limit"}))
        found = self._handlers.get((exchange.method, what, which != "", verb))
        if found is None or not exchange.path.startswith(PATH):
            raise Refusal(404, "url_unknown")
        handler, parameters = found
        if exchange.method == "GET":
            return await handler(exchange, which, Form(exchange.scope["query_string"], parameters))
        body = await exchange.body()
        form = Form(body, parameters)
        content = b"%b\n%b" % (exchange.path.encode(), body)
        return await self._keys.answer(_key(exchange), content, request_id, lambda: handler(exchange, which, form))

    def _require_secret(self, exchange: Exchange) -> None:
        """Let in who shows the secret, as a bearer or as the user of a password that is empty."""
        scheme, _, shown = exchange.header(b"authorization").partition(b" ")
        if scheme == b"Basic":
            try:
                shown = base64.b64decode(shown).partition(b":")[0]
            except binascii.Error:
                shown = b""
        if not hmac.compare_digest(shown, self._secret):
            raise Refusal(401, "secret_not_accepted")

    async def _create(self, exchange: Exchange, _: str, form: Form) -> Answer:
        key = _key(exchange)
        if form.find("capture_method") != "manual":
            raise WrongParameter("parameter_invalid", "capture_method")
        fields = {
            "reference": form.find("metadata[reference]") or key,
            "amount": form.number("amount"),
            "currency": form.text_of("currency").upper(),
            "user": "stripe",
            "email": form.find("receipt_email") or _NOBODY,
            "payment_type": "credit",
        }
        try:
            request = msgspec.convert(fields, CreateRequest)
        except msgspec.ValidationError as wrong:
            raise WrongParameter("parameter_invalid", str(wrong).partition("$.")[2].rstrip("`")) from wrong
        return await self._intent_answer(
            Call.CREATE, request.reference, form, lambda fate: self._register.transactions.create(key, request, fate)
        )

    async def _capture(self, exchange: Exchange, which: str, form: Form) -> Answer:
        key, own = _key(exchange), own_id(which)
        transaction = self._register.transactions.find(own)
        if form.find("amount_to_capture") and form.number("amount_to_capture") != transaction.amount:
            raise WrongParameter("amount_too_small", "amount_to_capture")
        request = CaptureRequest(transaction.amount, transaction.currency)
        return await self._intent_answer(
            Call.CAPTURE,
            transaction.reference,
            form,
            lambda fate: self._register.transactions.capture(key, own, request, fate),
        )

    async def _intent_answer(
        self, call: Call, reference: str, form: Form, act: Callable[[Any], ProviderTransaction]
    ) -> Answer:
        """Move an intent; an error that strikes before it moved is kept under the key, as Stripe keeps its own."""
        try:
            moved = await self._desk.answer(call, reference, act)
        except Lost as lost:
            struck = _error(500, {"type": "api_error", "message": "an error was ordered"})
            if lost.way is Way.ERROR and not self._has_moved(call, reference):
                return struck
            raise
        if call is Call.CAPTURE and moved.status is TransactionStatus.DECLINED:
            return _error(402, resources.card_error(moved, self._created(moved.id)))
        return self._intent(moved, form)

    def _has_moved(self, call: Call, reference: str) -> bool:
        found = self._register.transactions.find_by_reference(reference)
        return found is not None and (call is Call.CREATE or found.status is not TransactionStatus.CREATED)

    async def _find(self, _: Exchange, which: str, form: Form) -> Answer:
        return self._intent(await self._desk.find(own_id(which)), form)

    async def _confirm(self, _: Exchange, which: str, form: Form) -> Answer:
        """Tell how it stands: it was confirmed from the start."""
        return self._intent(self._register.transactions.find(own_id(which)), form)

    async def _cancel(self, _: Exchange, which: str, form: Form) -> Answer:
        own = own_id(which)
        reference = self._desk.reference_of(own)
        ended = await self._desk.answer(Call.CANCEL, reference, lambda _: self._register.transactions.cancel(own))
        if ended.status in {TransactionStatus.CAPTURED, TransactionStatus.PROCESSING} or own in self._given_up:
            raise Refusal(400, "payment_intent_unexpected_state")
        if ended.status is TransactionStatus.DECLINED:
            self._given_up.add(own)
        return self._intent(ended, form)

    async def _search(self, _: Exchange, __: str, form: Form) -> Answer:
        asked = _BY_REFERENCE.match(form.text_of("query"))
        if asked is None:
            raise WrongParameter("parameter_invalid", "query")
        reference = re.sub(r"\\(.)", r"\1", asked.group(1), flags=re.DOTALL)
        found = await self._desk.answer(
            Call.FIND, reference, lambda _: self._register.transactions.find_by_reference(reference)
        )
        data = [] if found is None else [self._intent(found, form).content]
        listed = {"object": "search_result", "data": data, "has_more": False, "url": "/v1/payment_intents/search"}
        return Answer(200, {**listed, "next_page": None})

    async def _refund(self, exchange: Exchange, _: str, form: Form) -> Answer:
        key, own = _key(exchange), own_id(form.text_of("payment_intent"))
        paid = self._register.transactions.find(own)
        amount = form.number("amount") if form.find("amount") is not None else self._register.transactions.left(own)
        request = RefundRequest(form.find("metadata[reference]") or key, own, amount, paid.currency)
        made = await self._desk.answer(
            Call.REFUND, request.reference, lambda fate: self._register.refunds.make(key, request, fate)
        )
        return Answer(200, resources.refund(made, self._created(own)))

    async def _list_refunds(self, _: Exchange, __: str, form: Form) -> Answer:
        own = own_id(form.text_of("payment_intent"))
        reference = self._desk.reference_of(own)
        await self._desk.answer(Call.FIND_REFUND, reference, lambda _: self._register.transactions.find(own))
        made = self._register.refunds.of_transaction(own)
        rendered = [resources.refund(one, self._created(own)) for one in reversed(made)]
        return _page(rendered, form, "/v1/refunds")

    async def _find_dispute(self, _: Exchange, which: str, __: Form) -> Answer:
        own = own_id(which)
        found = await self._desk.answer(Call.FIND_DISPUTE, which, lambda _: self._register.disputes.find(own))
        return Answer(200, resources.dispute(found, self._created(found.transaction_id)))

    async def _list_payouts(self, _: Exchange, __: str, form: Form) -> Answer:
        made = await self._desk.answer(Call.LIST_PAYOUTS, "", lambda _: list(self._register.payouts.by_id.values()))
        return _page([resources.payout(one) for one in reversed(made)], form, "/v1/payouts")

    async def _find_payout(self, _: Exchange, which: str, __: Form) -> Answer:
        return Answer(200, resources.payout(self._register.payouts.find(own_id(which))))

    async def _list_entries(self, _: Exchange, __: str, form: Form) -> Answer:
        """List the lines of the balance that a payout took, and its own."""
        which = own_id(form.text_of("payout"))
        paid, lines = await self._desk.answer(Call.READ_PAYOUT, which, lambda _: self._register.payouts.read(which))
        entries = [resources.balance_transaction(line) for line in lines]
        if not form.expands("data.source"):
            entries = [{**entry, "source": entry["source"] and entry["source"]["id"]} for entry in entries]
        return _page([resources.entry_of_payout(paid), *reversed(entries)], form, "/v1/balance_transactions")

    def _intent(self, transaction: ProviderTransaction, form: Form) -> Answer:
        rendered = resources.intent(
            transaction,
            self._created(transaction.id),
            given_up=transaction.id in self._given_up,
            expand=form.expands("latest_charge"),
        )
        return Answer(200, rendered)

    def _created(self, own_transaction: str) -> int:
        """Return when a transaction was captured, for want of when it was opened; 0 before that."""
        at = self._register.transactions.captured_at(own_transaction)
        return 0 if at is None else resources.seconds(at)


def _page(rendered: Sequence[resources.Resource], form: Form, url: str) -> Answer:
    """Return the part of what is *rendered*, newest first, that is asked for."""
    limit, ids = form.limit(), [one["id"] for one in rendered]
    start, end = 0, len(rendered)
    if (after := form.find("starting_after")) is not None:
        start = _place(ids, after, "starting_after") + 1
        end = min(end, start + limit)
        more = end < len(rendered)
    elif (before := form.find("ending_before")) is not None:
        end = _place(ids, before, "ending_before")
        start = max(0, end - limit)
        more = start > 0
    else:
        end = min(end, limit)
        more = end < len(rendered)
    return Answer(200, {"object": "list", "data": rendered[start:end], "has_more": more, "url": url})


def _place(ids: Sequence[str], wanted: str, parameter: str) -> int:
    if wanted not in ids:
        raise WrongParameter("resource_missing", parameter)
    return ids.index(wanted)


def _refused(refusal: Refusal) -> Answer:
    """Word a refusal as Stripe does: what was taken for a conflict is a request that cannot be."""
    if refusal.status == 401:  # noqa: PLR2004 - HTTP's
        return _error(401, {"type": "invalid_request_error", "message": "The secret is not accepted."})
    if isinstance(refusal, KeyUsedOtherwise) or refusal.reason == "key_used_for_other_content":
        return _error(400, {"type": "idempotency_error", "message": "The key was used with other parameters."})
    code = _CODES.get(refusal.reason, refusal.reason)
    if refusal.reason.startswith("already_"):
        code = "payment_intent_unexpected_state"
    status = refusal.status if refusal.status in {404, 409} and code != "payment_intent_unexpected_state" else 400
    error: dict[str, Any] = {"type": "invalid_request_error", "code": code, "message": f"{refusal.reason}."}
    if isinstance(refusal, WrongParameter):
        error["param"] = refusal.parameter
    return _error(status, error)


def _error(status: int, error: Mapping[str, Any]) -> Answer:
    return Answer(status, {"error": error})


def _key(exchange: Exchange) -> str:
    """Return the key of a request; one without a key has one that nobody else has."""
    key = exchange.header(b"idempotency-key").decode("latin-1")
    if len(key) > LONGEST_KEY:
        raise WrongParameter("idempotency_key_too_long", "Idempotency-Key")
    if not key:
        key = f"none-{secrets.token_hex(16)}"
    return key


async def _write(send: Send, answer: Answer, request_id: str) -> None:
    content = msgspec.json.encode(answer.content)
    named = {"content-type": "application/json", "request-id": request_id, **answer.headers}
    headers = [(name.encode(), value.encode()) for name, value in named.items()]
    headers.append((b"content-length", b"%d" % len(content)))
    await send({"type": "http.response.start", "status": answer.status, "headers": headers})
    await send({"type": "http.response.body", "body": content})
