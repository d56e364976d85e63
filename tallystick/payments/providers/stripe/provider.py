"""
Stripe as a payment provider: the protocol over PaymentIntents that are captured by hand.

    requires_payment_method ─► requires_confirmation ─► requires_capture ─► succeeded
              ▲                  └─► requires_action ─┘      │
              └────── a try that failed ─────────────────────┴─► canceled
"""

import asyncio
import hashlib
import re
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from functools import partial
from typing import Any, Final, Protocol, cast

from msgspec.structs import replace

from tallystick.payments.providers.closing import Closing
from tallystick.payments.providers.protocol import (
    CreateRequest,
    PayoutLine,
    ProviderDispute,
    ProviderEvent,
    ProviderPayout,
    ProviderRefund,
    ProviderRefused,
    ProviderTransaction,
    ProviderUnreachable,
    RefundRequest,
    TransactionStatus,
)
from tallystick.payments.providers.stripe.connection import StripeConnection
from tallystick.payments.providers.stripe.currencies import counts_alike, to_stripe
from tallystick.payments.providers.stripe.failure import failure_of, is_kept_failure
from tallystick.payments.providers.stripe.read_event import read_event
from tallystick.payments.providers.stripe.resources import (
    BalanceTransaction,
    Dispute,
    Intent,
    Payout,
    Refund,
    dispute_of,
    line_of,
    payout_of,
    refund_of,
    shape,
    transaction_of,
)
from tallystick.payments.providers.stripe.sdk import API_VERSION, stripe

AT_ONCE: Final = 25
"""How many requests are under way at once: what Stripe lets a test account send in a second."""

PAGE: Final = 100
"""The most that Stripe lists at once."""

KEYS: Final = 3
"""Under how many idempotency keys a request is tried, each after the one before has kept an error of Stripe's own."""

_EXPAND: Final = ["latest_charge"]
_PLAIN_KEY = re.compile(r"[!-~]{1,200}\Z")
_ID = re.compile(r"\w{1,255}\Z", re.ASCII)


class _Answer(Protocol):
    def to_dict(self) -> dict[str, Any]: ...


class StripeProvider(Closing):
    """
    Stripe, reached with an account's secret key.

    The secret lives in the SDK's client alone. Nothing that Stripe or its SDK writes goes on into a log or an error, but
    Stripe's own short codes.
    """

    name = "stripe"

    def __init__(
        self, secret: str, webhook_secrets: Sequence[str] = (), url: str | None = None, timeout: float = 20.0
    ) -> None:
        """
        Reach Stripe, or what speaks as Stripe at *url*; an exchange has *timeout* seconds from first to last.

        A webhook may be signed with any of *webhook_secrets*: one for each endpoint, and two while one is changed.
        """
        self._timeout = timeout
        self._webhook_secrets = tuple(webhook_secrets)
        self._turn = asyncio.Semaphore(AT_ONCE)
        self._http = StripeConnection(AT_ONCE, timeout)
        client = stripe.StripeClient(
            secret,
            stripe_version=API_VERSION,
            base_addresses={"api": url} if url else None,
            max_network_retries=0,  # we try again, knowingly
            http_client=self._http,
        )
        self._stripe = client.v1

    async def close(self) -> None:
        """Close the connections."""
        await self._http.close_async()

    async def create(self, request: CreateRequest) -> ProviderTransaction:
        """
        Open an intent whose money is taken by *capture* alone, once for each reference.

        Stripe knows a key for a day. Asked again later it opens another intent, which costs nothing: no customer holds
        its token, and nobody captures it.

        Raises:
            ProviderUnreachable: whether it is open is not known (``payments.provider_unknown_outcome``).
            ProviderRefused: it is not (``payments.provider_refused``).
        """
        fields = {
            "amount": request.amount,
            "currency": to_stripe(request.amount, request.currency),
            "capture_method": "manual",
            "payment_method_types": ["card"],
            "metadata": {"reference": request.reference},
            "receipt_email": request.email,
        }
        made = await self._ask_under(
            request.reference, lambda options: self._stripe.payment_intents.create_async(cast("Any", fields), options)
        )
        opened = transaction_of(shape(made, Intent))
        asked = (request.reference, request.amount, request.currency)
        if (opened.reference, opened.amount, opened.currency) != asked:
            raise _about_another("payment")
        return opened

    async def capture(
        self, transaction_id: str, amount: int, currency: str, idempotency_key: str
    ) -> ProviderTransaction:
        """
        Take the money of an intent, confirming it first where the customer's device left that to us.

        An intent whose customer was declined is given up, so that no later try of theirs can make it good. One that has
        not been given a card yet asks for action.

        Raises:
            ProviderUnreachable: whether it is taken is not known (``payments.provider_unknown_outcome``).
            ProviderRefused: this request did not take it (``payments.provider_refused``).
        """
        to_stripe(amount, currency)
        intent = await self._intent(transaction_id)
        if (intent.amount, intent.currency.upper()) != (amount, currency):
            raise ProviderRefused(reason="amount_differs")
        if intent.status == "requires_confirmation":
            confirm = self._stripe.payment_intents.confirm_async
            # Under no key: it takes no money, and the answer of an earlier try with another card is none to this one.
            intent = await self._move(intent, lambda: self._ask(lambda: confirm(intent.id, {"expand": _EXPAND})))
        if intent.status == "requires_capture":
            capture = self._stripe.payment_intents.capture_async
            intent = await self._move(
                intent,
                lambda: self._ask_under(
                    idempotency_key, lambda options: capture(intent.id, {"expand": _EXPAND}, options)
                ),
            )
        if intent.status == "requires_payment_method":
            return await self._give_up_or_wait(intent)
        taken = transaction_of(intent)
        if (taken.amount, taken.currency) != (amount, currency):
            raise _about_another("payment")
        return taken

    async def find(self, transaction_id: str) -> ProviderTransaction:
        """
        Return an intent as it stands.

        Raises:
            ProviderUnreachable: no answer (``payments.provider_unknown_outcome``).
            ProviderRefused: there is none of this id (``payments.provider_refused``).
        """
        return transaction_of(await self._intent(transaction_id))

    async def find_by_reference(self, reference: str) -> ProviderTransaction | None:
        """
        Return the first intent opened for *reference*, or None if there is none yet that Stripe's index knows.

        The index is up to some minutes late; where it misses an intent, *create* with the same reference finds it by its
        key, which Stripe knows for a day. A listing would be exact and has to read every newer intent of the account.

        Raises:
            ProviderUnreachable: no answer (``payments.provider_unknown_outcome``).
            ProviderRefused: the question was refused (``payments.provider_refused``).
        """
        quoted = reference.replace("\\", "\\\\").replace("'", "\\'")
        fields = {"query": f"metadata['reference']:'{quoted}'", "limit": PAGE}
        page = await self._ask(lambda: self._stripe.payment_intents.search_async(cast("Any", fields)))
        intents = [shape(one, Intent) for one in _data(page)]
        ours = [intent for intent in intents if intent.reference == reference]
        if not ours:
            return None
        # The index may tell of the past; the intent itself does not.
        return await self.find(min(ours, key=lambda intent: (intent.created, intent.id)).id)

    async def cancel(self, transaction_id: str) -> ProviderTransaction:
        """
        Give up an intent of which nothing was taken; asked again, or too late, tell how it stands.

        Raises:
            ProviderUnreachable: whether it was given up is not known (``payments.provider_unknown_outcome``).
            ProviderRefused: Stripe knows none of this id, or does not give it up (``payments.provider_refused``).
        """
        intent = await self._intent(transaction_id)
        return transaction_of(await self._cancel(intent), intent.failure)

    async def refund(self, request: RefundRequest) -> ProviderRefund:
        """
        Give money back, once for each reference, or tell how the refund stands that was made for it.

        Stripe knows a key for a day, and a refund for ever: it is looked for first.

        Raises:
            ProviderUnreachable: whether it is made is not known (``payments.provider_unknown_outcome``).
            ProviderRefused: it is not (``payments.provider_refused``).
        """
        currency = to_stripe(request.amount, request.currency)
        intent = await self._intent(request.transaction_id)
        if intent.currency != currency:
            raise ProviderRefused(reason="currency_differs")
        made = await self.find_refund(request.transaction_id, request.reference)
        if made is None:
            made = await self._make_refund(request)
        asked = (request.reference, request.transaction_id, request.amount, request.currency)
        if (made.reference, made.transaction_id, made.amount, made.currency) != asked:
            raise _about_another("refund")
        return made

    async def find_refund(self, transaction_id: str, reference: str) -> ProviderRefund | None:
        """
        Return the refund made for *reference*, or None if there is none yet.

        Raises:
            ProviderUnreachable: no answer (``payments.provider_unknown_outcome``).
            ProviderRefused: there is no such transaction (``payments.provider_refused``).
        """
        fields = {"payment_intent": _require_id(transaction_id)}
        refunds = [shape(one, Refund) async for one in self._list(self._stripe.refunds.list_async, fields)]
        ours = [refund for refund in refunds if refund.reference == reference]
        if not ours:
            return None
        return refund_of(min(ours, key=lambda refund: (refund.created, refund.id)), transaction_id)

    async def find_dispute(self, dispute_id: str) -> ProviderDispute:
        """
        Return a dispute as it stands.

        Raises:
            ProviderUnreachable: no answer (``payments.provider_unknown_outcome``).
            ProviderRefused: there is none of this id (``payments.provider_refused``).
        """
        known = _require_id(dispute_id)
        dispute = shape(await self._ask(lambda: self._stripe.disputes.retrieve_async(known)), Dispute)
        if dispute.id != dispute_id:
            raise _about_another("dispute")
        return dispute_of(dispute)

    async def list_payouts(self, after: str | None) -> Sequence[ProviderPayout]:
        """
        Return up to 100 payouts, oldest first, behind the payout *after*; None: from the first.

        Those in a currency that Stripe counts in other units are left out: no payment of ours is in them.

        Raises:
            ProviderUnreachable: no answer (``payments.provider_unknown_outcome``).
            ProviderRefused: there is no payout *after* (``payments.provider_refused``).
        """
        page = await self._payouts_behind(after)
        while page and not any(counts_alike(one.currency.upper()) for one in page):
            page = await self._payouts_behind(page[-1].id)
        return [payout_of(one) for one in page if counts_alike(one.currency.upper())]

    async def read_payout(self, payout_id: str) -> tuple[ProviderPayout, Sequence[PayoutLine]]:
        """
        Return a payout with the lines of the balance that it took.

        Stripe tells them of payouts that it makes by itself; of one made by hand there are none.

        Raises:
            ProviderUnreachable: no answer (``payments.provider_unknown_outcome``).
            ProviderRefused: there is none of this id (``payments.provider_refused``).
        """
        known = _require_id(payout_id)
        payout = shape(await self._ask(lambda: self._stripe.payouts.retrieve_async(known)), Payout)
        if payout.id != payout_id:
            raise _about_another("payout")
        fields = {"payout": payout_id, "expand": ["data.source"]}
        entries = [
            shape(one, BalanceTransaction)
            async for one in self._list(self._stripe.balance_transactions.list_async, fields)
        ]
        # The payout itself is an entry too: the one that takes the others' sum.
        return payout_of(payout), [line_of(entry) for entry in entries if entry.type != "payout"]

    async def read_webhook(self, headers: Mapping[str, str], body: bytes) -> ProviderEvent:
        """
        Return what a webhook says, once its signature is known to be Stripe's; *headers* have names in lower case.

        Raises:
            WebhookNotGenuine: its signature is missing, wrong or too old (``payments.webhook_not_genuine``).
        """
        return read_event(headers, body, self._webhook_secrets)

    async def _payouts_behind(self, after: str | None) -> list[Payout]:
        """List a page of payouts; Stripe lists the newest first, so that the very first are found at the end of all."""
        found: deque[dict[str, Any]] = deque(maxlen=PAGE)
        if after is None:
            async for one in self._list(self._stripe.payouts.list_async, {}):
                found.append(one)
        else:
            fields = {"ending_before": _require_id(after), "limit": PAGE}
            found.extend(_data(await self._ask(lambda: self._stripe.payouts.list_async(cast("Any", fields)))))
        return [shape(one, Payout) for one in reversed(found)]

    async def _intent(self, transaction_id: str) -> Intent:
        known = _require_id(transaction_id)
        found = await self._ask(lambda: self._stripe.payment_intents.retrieve_async(known, {"expand": _EXPAND}))
        return _same(shape(found, Intent), transaction_id)

    async def _move(self, intent: Intent, ask: Callable[[], Awaitable[dict[str, Any]]]) -> Intent:
        """
        Have an intent move on; where that is refused and it has moved all the same, return how it stands.

        A decline while it is confirmed is such a refusal, and so is a capture that somebody else made.
        """
        try:
            moved = await ask()
        except ProviderRefused:
            found = await self._intent(intent.id)
            if found.status == intent.status:
                raise
            return found
        return _same(shape(moved, Intent), intent.id)

    async def _give_up_or_wait(self, intent: Intent) -> ProviderTransaction:
        """Give up an intent that has no means of payment because the last one failed; where none was given, wait."""
        if intent.failure is None:
            return replace(transaction_of(intent), status=TransactionStatus.ACTION_REQUIRED)
        return transaction_of(await self._cancel(intent), intent.failure)

    async def _cancel(self, intent: Intent) -> Intent:
        """Give an intent up, unless it has ended; no key is needed, since it happens once anyway."""
        if intent.status in {"succeeded", "canceled"}:
            return intent
        cancel = self._stripe.payment_intents.cancel_async
        return await self._move(intent, lambda: self._ask(lambda: cancel(intent.id, {"expand": _EXPAND})))

    async def _make_refund(self, request: RefundRequest) -> ProviderRefund:
        fields = {
            "payment_intent": request.transaction_id,
            "amount": request.amount,
            "metadata": {"reference": request.reference},
        }
        # Never under a second key: an error of Stripe's own may have made the refund, and shows it only later.
        options = {"idempotency_key": _header_key(request.reference)}
        made = await self._ask(lambda: self._stripe.refunds.create_async(cast("Any", fields), cast("Any", options)))
        return refund_of(shape(made, Refund), request.transaction_id)

    async def _list(
        self, call: Callable[..., Awaitable[_Answer]], fields: Mapping[str, Any]
    ) -> AsyncIterator[dict[str, Any]]:
        """Yield everything of a list, page by page, newest first."""
        asked: dict[str, Any] = {**fields, "limit": PAGE}
        while True:
            page = await self._ask(partial(call, asked))
            data = _data(page)
            for one in data:
                yield one
            if not data or page.get("has_more") is not True:
                return
            if (last := data[-1].get("id")) in {None, asked.get("starting_after")}:
                raise ProviderUnreachable(cause="the list has no end")
            asked = {**asked, "starting_after": last}

    async def _ask_under(self, key: str, call: Callable[[Any], Awaitable[_Answer]], turn: int = 1) -> dict[str, Any]:
        """Ask for something that happens once under *key*; under a second and a third where Stripe kept its own error."""
        numbered = key if turn == 1 else f"{key}:{turn}"
        try:
            return await self._exchange(lambda: call({"idempotency_key": _header_key(numbered)}))
        except Exception as error:  # noqa: BLE001 - see _ask
            if not is_kept_failure(error) or turn == KEYS:
                raise failure_of(error) from None
        return await self._ask_under(key, call, turn + 1)

    async def _ask(self, call: Callable[[], Awaitable[_Answer]]) -> dict[str, Any]:
        try:
            return await self._exchange(call)
        except Exception as error:  # noqa: BLE001 - whatever the SDK fails with, the outcome is not known
            raise failure_of(error) from None

    async def _exchange(self, call: Callable[[], Awaitable[_Answer]]) -> dict[str, Any]:
        async with asyncio.timeout(self._timeout), self._turn:
            return (await call()).to_dict()


def _same(intent: Intent, transaction_id: str) -> Intent:
    if intent.id != transaction_id:
        raise _about_another("payment")
    return intent


def _data(page: Mapping[str, Any]) -> list[dict[str, Any]]:
    data = page.get("data")
    if not isinstance(data, list) or not all(isinstance(one, dict) for one in data):
        raise ProviderUnreachable(cause="the answer cannot be read")
    return data


def _require_id(text: str) -> str:
    """Return *text* if it can be an id of Stripe's: another would name another resource when it is put into an address."""
    if not _ID.match(text):
        raise ProviderRefused(reason="resource_missing")
    return text


def _header_key(key: str) -> str:
    """Return a key that is a header and nothing but a header, whatever the characters of *key*."""
    return key if _PLAIN_KEY.match(key) else hashlib.sha256(key.encode("utf-8", "surrogatepass")).hexdigest()


def _about_another(what: str) -> ProviderUnreachable:
    return ProviderUnreachable(cause=f"the answer is about another {what}")
