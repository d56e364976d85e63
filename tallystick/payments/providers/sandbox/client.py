"""The sandbox as a payment provider: the protocol over HTTP."""

from collections.abc import Callable, Mapping, Sequence
from typing import Final, TypeVar
from urllib.parse import quote, urlencode

import aiohttp
import msgspec
from yarl import URL

from tallystick.clock import Clock, SystemClock
from tallystick.payments.providers.closing import Closing
from tallystick.payments.providers.outcome import NO_ANSWER, failure_of_exception, failure_of_status
from tallystick.payments.providers.protocol import (
    CreateRequest,
    PayoutLine,
    ProviderDispute,
    ProviderEvent,
    ProviderPayout,
    ProviderRefund,
    ProviderTransaction,
    ProviderUnreachable,
    RefundRequest,
    WebhookNotGenuine,
)
from tallystick.payments.providers.sandbox.change import CaptureRequest
from tallystick.payments.providers.sandbox.sign import NotSigned, check, webhook_secret

IDLE_SECONDS: Final = 30
"""How long a connection is kept for the next request; shorter than the server keeps it."""

MAX_CONNECTIONS: Final = 64
"""How many requests are under way at once; further ones wait their turn within their time."""

MAX_ANSWER_BYTES: Final = 64 << 20
"""A report of a payout with 100,000 lines has about half of it."""

_Answer = TypeVar("_Answer")
_encoder = msgspec.json.Encoder()


class _Transactions(msgspec.Struct):
    transactions: list[ProviderTransaction]


class _Refunds(msgspec.Struct):
    refunds: list[ProviderRefund]


class _Payouts(msgspec.Struct):
    payouts: list[ProviderPayout]


class _Report(msgspec.Struct):
    payout: ProviderPayout
    lines: list[PayoutLine]


class _Reason(msgspec.Struct):
    reason: str


_TRANSACTION = msgspec.json.Decoder(ProviderTransaction)
_TRANSACTIONS = msgspec.json.Decoder(_Transactions)
_REFUND = msgspec.json.Decoder(ProviderRefund)
_REFUNDS = msgspec.json.Decoder(_Refunds)
_DISPUTE = msgspec.json.Decoder(ProviderDispute)
_PAYOUTS = msgspec.json.Decoder(_Payouts)
_REPORT = msgspec.json.Decoder(_Report)
_REASON = msgspec.json.Decoder(_Reason)
_EVENT = msgspec.json.Decoder(ProviderEvent)


class SandboxProvider(Closing):
    """
    The sandbox, reached at its address.

    The secrets live in the client's headers and in a check alone, and nothing here logs: neither they nor an email
    come out. Make it where an event loop runs.
    """

    name = "sandbox"

    def __init__(self, base_url: str, secret: str, timeout: float = 10.0, clock: Clock | None = None) -> None:
        """Reach the sandbox at *base_url*; an exchange has *timeout* seconds from first to last."""
        self._base_url = base_url.rstrip("/")
        self._read_event = _event_reader(webhook_secret(secret), clock or SystemClock())
        self._http = aiohttp.ClientSession(
            headers={"Authorization": f"Bearer {secret}"},
            skip_auto_headers={"User-Agent", "Accept", "Accept-Encoding"},
            timeout=aiohttp.ClientTimeout(total=timeout),
            connector=aiohttp.TCPConnector(limit=MAX_CONNECTIONS, keepalive_timeout=IDLE_SECONDS),
            cookie_jar=aiohttp.DummyCookieJar(),
            auto_decompress=False,
            # The sandbox is on loopback, and no proxy of the environment's has any business there.
            trust_env=False,
        )

    async def close(self) -> None:
        """Close the connections."""
        await self._http.close()

    async def create(self, request: CreateRequest) -> ProviderTransaction:
        """
        Open a transaction, once for each reference.

        Raises:
            ProviderUnreachable: whether it is open is not known (``payments.provider_unknown_outcome``).
            ProviderRefused: it is not (``payments.provider_refused``).
        """
        answer = await self._post("/v1/transactions", request, request.reference, _TRANSACTION)
        asked = (request.reference, request.amount, request.currency)
        return _about((answer.reference, answer.amount, answer.currency) == asked, answer)

    async def capture(
        self, transaction_id: str, amount: int, currency: str, idempotency_key: str
    ) -> ProviderTransaction:
        """
        Take the money of a transaction, at most once.

        Raises:
            ProviderUnreachable: whether it is taken is not known (``payments.provider_unknown_outcome``).
            ProviderRefused: this request did not take it (``payments.provider_refused``).
        """
        path = f"/v1/transactions/{_part(transaction_id)}/capture"
        answer = await self._post(path, CaptureRequest(amount, currency), idempotency_key, _TRANSACTION)
        return _about((answer.id, answer.amount, answer.currency) == (transaction_id, amount, currency), answer)

    async def find(self, transaction_id: str) -> ProviderTransaction:
        """
        Return a transaction as it stands.

        Raises:
            ProviderUnreachable: no answer (``payments.provider_unknown_outcome``).
            ProviderRefused: there is none of this id (``payments.provider_refused``).
        """
        answer = await self._get(f"/v1/transactions/{_part(transaction_id)}", _TRANSACTION)
        return _about(answer.id == transaction_id, answer)

    async def find_by_reference(self, reference: str) -> ProviderTransaction | None:
        """
        Return the transaction opened for *reference*, or None if there is none yet.

        Raises:
            ProviderUnreachable: no answer (``payments.provider_unknown_outcome``).
            ProviderRefused: the question was refused (``payments.provider_refused``).
        """
        answer = await self._get(f"/v1/transactions?{urlencode({'reference': reference})}", _TRANSACTIONS)
        found = answer.transactions
        return _about(all(one.reference == reference for one in found), found[0] if found else None)

    async def cancel(self, transaction_id: str) -> ProviderTransaction:
        """
        Give up a transaction of which nothing was taken; too late, return it as it stands.

        Raises:
            ProviderUnreachable: whether it is given up is not known (``payments.provider_unknown_outcome``).
            ProviderRefused: there is none of this id (``payments.provider_refused``).
        """
        path = f"/v1/transactions/{_part(transaction_id)}/cancel"
        answer = await self._exchange("POST", path, None, {}, _TRANSACTION)
        return _about(answer.id == transaction_id, answer)

    async def refund(self, request: RefundRequest) -> ProviderRefund:
        """
        Give money of a captured transaction back, once for each reference.

        Raises:
            ProviderUnreachable: whether it is given back is not known (``payments.provider_unknown_outcome``).
            ProviderRefused: it is not (``payments.provider_refused``).
        """
        answer = await self._post("/v1/refunds", request, request.reference, _REFUND)
        told = RefundRequest(answer.reference, answer.transaction_id, answer.amount, answer.currency)
        return _about(told == request, answer)

    async def find_refund(self, transaction_id: str, reference: str) -> ProviderRefund | None:
        """
        Return the refund made for *reference*, or None if there is none yet.

        Raises:
            ProviderUnreachable: no answer (``payments.provider_unknown_outcome``).
            ProviderRefused: the question was refused (``payments.provider_refused``).
        """
        query = urlencode({"transaction_id": transaction_id, "reference": reference})
        found = (await self._get(f"/v1/refunds?{query}", _REFUNDS)).refunds
        asked = (transaction_id, reference)
        return _about(all((one.transaction_id, one.reference) == asked for one in found), found[0] if found else None)

    async def find_dispute(self, dispute_id: str) -> ProviderDispute:
        """
        Return a dispute as it stands.

        Raises:
            ProviderUnreachable: no answer (``payments.provider_unknown_outcome``).
            ProviderRefused: there is none of this id (``payments.provider_refused``).
        """
        answer = await self._get(f"/v1/disputes/{_part(dispute_id)}", _DISPUTE)
        return _about(answer.id == dispute_id, answer)

    async def list_payouts(self, after: str | None) -> Sequence[ProviderPayout]:
        """
        Return up to 100 payouts, oldest first, behind the payout *after*; None: from the first.

        Raises:
            ProviderUnreachable: no answer (``payments.provider_unknown_outcome``).
            ProviderRefused: there is no payout *after* (``payments.provider_refused``).
        """
        query = "" if after is None else f"?{urlencode({'after': after})}"
        return (await self._get(f"/v1/payouts{query}", _PAYOUTS)).payouts

    async def read_payout(self, payout_id: str) -> tuple[ProviderPayout, Sequence[PayoutLine]]:
        """
        Return a payout with every line of its report.

        Raises:
            ProviderUnreachable: no answer (``payments.provider_unknown_outcome``).
            ProviderRefused: there is none of this id (``payments.provider_refused``).
        """
        report = await self._get(f"/v1/payouts/{_part(payout_id)}", _REPORT)
        return _about(report.payout.id == payout_id, (report.payout, report.lines))

    async def read_webhook(self, headers: Mapping[str, str], body: bytes) -> ProviderEvent:
        """
        Return what a webhook says, once it has proved to be the sandbox's.

        Raises:
            WebhookNotGenuine: its signature is missing, wrong or too old (``payments.webhook_not_genuine``).
        """
        return self._read_event(headers, body)

    async def _post(
        self, path: str, body: msgspec.Struct, key: str, decoder: "msgspec.json.Decoder[_Answer]"
    ) -> _Answer:
        # Quoted, so that a key of any characters is a header and nothing but a header.
        headers = {"Idempotency-Key": quote(key), "Content-Type": "application/json"}
        return await self._exchange("POST", path, _encoder.encode(body), headers, decoder)

    async def _get(self, path: str, decoder: "msgspec.json.Decoder[_Answer]") -> _Answer:
        return await self._exchange("GET", path, None, {}, decoder)

    async def _exchange(
        self,
        method: str,
        path: str,
        content: bytes | None,
        headers: Mapping[str, str],
        decoder: "msgspec.json.Decoder[_Answer]",
    ) -> _Answer:
        url = URL(self._base_url + path, encoded=True)
        try:
            async with self._http.request(
                method, url, data=content, headers=headers, allow_redirects=False
            ) as response:
                body = await _read(response)
        except NO_ANSWER as lost:
            raise failure_of_exception(lost) from lost
        failure = failure_of_status(response.status, None if response.ok else _reason(body))
        if failure is not None:
            raise failure
        try:
            return decoder.decode(body)
        except (msgspec.DecodeError, UnicodeDecodeError) as unreadable:
            raise ProviderUnreachable(cause="the answer cannot be read") from unreadable


def _event_reader(secret: str, clock: Clock) -> Callable[[Mapping[str, str], bytes], ProviderEvent]:
    """Return what reads webhooks; it alone knows the secret."""

    def read(headers: Mapping[str, str], body: bytes) -> ProviderEvent:
        try:
            message_id = check(secret, headers, body, clock.now())
            event = _EVENT.decode(body)
        except NotSigned as refused:
            raise WebhookNotGenuine(reason=str(refused)) from refused
        except (msgspec.DecodeError, UnicodeDecodeError) as unreadable:
            raise WebhookNotGenuine(reason="it cannot be read") from unreadable
        if event.id != message_id:
            raise WebhookNotGenuine(reason="it was signed as another event")
        return event

    return read


async def _read(response: aiohttp.ClientResponse) -> bytes:
    """
    Read an answer whole.

    Raises:
        ProviderUnreachable: it is larger than any that we expect.
    """
    parts, size = [], 0
    while part := await response.content.readany():
        parts.append(part)
        size += len(part)
        if size > MAX_ANSWER_BYTES:
            response.close()
            raise ProviderUnreachable(cause="the answer is too large")
    return b"".join(parts)


def _about(same: bool, answer: _Answer) -> _Answer:  # noqa: FBT001 - the one thing it is told
    """Return *answer*, if it is about what was asked."""
    if not same:
        raise ProviderUnreachable(cause="the answer is about another payment")
    return answer


def _reason(content: bytes) -> str | None:
    try:
        return _REASON.decode(content).reason
    except (msgspec.DecodeError, UnicodeDecodeError):
        return None


def _part(name: str) -> str:
    """Quote *name* as one part of a path."""
    return quote(name, safe="")
