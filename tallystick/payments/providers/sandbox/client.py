"""The sandbox as a payment provider: the protocol over HTTP."""

import asyncio
import ssl
from types import TracebackType
from typing import Self, TypeVar
from urllib.parse import quote

import httpx
import msgspec

from tallystick.payments.providers.outcome import failure_of_exception, failure_of_status
from tallystick.payments.providers.protocol import (
    CreateRequest,
    ProviderTransaction,
    ProviderUnreachable,
)
from tallystick.payments.providers.sandbox.register import CaptureRequest

IDLE_SECONDS = 30
"""How long a connection is kept for the next request; shorter than the server keeps it."""

MAX_CONNECTIONS = 16
"""How many requests are under way at once; httpx's pool spends time that grows with the square of this."""

_Answer = TypeVar("_Answer")


class _Found(msgspec.Struct):
    transactions: list[ProviderTransaction]


class _Reason(msgspec.Struct):
    reason: str


class SandboxProvider:
    """
    The sandbox, reached at its address.

    The secret lives in the client's headers alone, and nothing here logs: neither it nor an email comes out.
    """

    name = "sandbox"

    def __init__(self, base_url: str, secret: str, timeout: float = 10.0) -> None:
        """Reach the sandbox at *base_url*; an exchange has *timeout* seconds from first to last."""
        self._timeout = timeout
        # Who waits for a connection waits here, in turn: the pool's own queue is searched whole at every answer.
        self._turn = asyncio.Semaphore(MAX_CONNECTIONS)
        self._http = httpx.AsyncClient(
            base_url=base_url,
            headers={"Authorization": f"Bearer {secret}"},
            timeout=timeout,
            limits=httpx.Limits(
                max_connections=MAX_CONNECTIONS,
                max_keepalive_connections=MAX_CONNECTIONS,
                keepalive_expiry=IDLE_SECONDS,
            ),
            # The sandbox speaks plain HTTP: trusting no authority is strict, and spares 150 ms of loading them all.
            verify=ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT),
            # The sandbox is on loopback, and no proxy of the environment's has any business there.
            trust_env=False,
        )

    async def __aenter__(self) -> Self:
        """Return itself."""
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close."""
        await self.close()

    async def close(self) -> None:
        """Close the connections."""
        await self._http.aclose()

    async def create(self, request: CreateRequest) -> ProviderTransaction:
        """
        Open a transaction, once for each reference.

        Raises:
            ProviderUnreachable: whether it is open is not known (``payments.provider_unknown_outcome``).
            ProviderRefused: it is not (``payments.provider_refused``).
        """
        answer = await self._post("/v1/transactions", request, request.reference)
        asked = (request.reference, request.amount, request.currency)
        if (answer.reference, answer.amount, answer.currency) != asked:
            raise ProviderUnreachable(cause="the answer is about another payment")
        return answer

    async def capture(
        self, transaction_id: str, amount: int, currency: str, idempotency_key: str
    ) -> ProviderTransaction:
        """
        Take the money of a transaction, at most once.

        Raises:
            ProviderUnreachable: whether it is taken is not known (``payments.provider_unknown_outcome``).
            ProviderRefused: this request did not take it (``payments.provider_refused``).
        """
        path = f"/v1/transactions/{quote(transaction_id, safe='')}/capture"
        answer = await self._post(path, CaptureRequest(amount=amount, currency=currency), idempotency_key)
        if (answer.id, answer.amount, answer.currency) != (transaction_id, amount, currency):
            raise ProviderUnreachable(cause="the answer is about another payment")
        return answer

    async def find(self, transaction_id: str) -> ProviderTransaction:
        """
        Return a transaction as it stands.

        Raises:
            ProviderUnreachable: no answer (``payments.provider_unknown_outcome``).
            ProviderRefused: there is none of this id (``payments.provider_refused``).
        """
        path = f"/v1/transactions/{quote(transaction_id, safe='')}"
        answer = _decode(await self._exchange(self._http.build_request("GET", path)), ProviderTransaction)
        if answer.id != transaction_id:
            raise ProviderUnreachable(cause="the answer is about another payment")
        return answer

    async def find_by_reference(self, reference: str) -> ProviderTransaction | None:
        """
        Return the transaction opened for *reference*, or None if there is none yet.

        Raises:
            ProviderUnreachable: no answer (``payments.provider_unknown_outcome``).
            ProviderRefused: the question was refused (``payments.provider_refused``).
        """
        question = self._http.build_request("GET", "/v1/transactions", params={"reference": reference})
        found = _decode(await self._exchange(question), _Found).transactions
        if any(transaction.reference != reference for transaction in found):
            raise ProviderUnreachable(cause="the answer is about another payment")
        return found[0] if found else None

    async def _post(self, path: str, body: msgspec.Struct, key: str) -> ProviderTransaction:
        # Quoted, so that a key of any characters is a header and nothing but a header.
        headers = {"Idempotency-Key": quote(key), "Content-Type": "application/json"}
        request = self._http.build_request("POST", path, content=msgspec.json.encode(body), headers=headers)
        return _decode(await self._exchange(request), ProviderTransaction)

    async def _exchange(self, request: httpx.Request) -> bytes:
        try:
            # httpx bounds each wait, this their sum with the turn's: an answer that drips in is late too.
            async with asyncio.timeout(self._timeout), self._turn:
                response = await self._http.send(request)
        except (httpx.HTTPError, TimeoutError) as lost:
            raise failure_of_exception(lost) from lost
        failure = failure_of_status(response.status_code, _reason(response.content))
        if failure is not None:
            raise failure
        return response.content


def _decode(content: bytes, kind: type[_Answer]) -> _Answer:
    try:
        return msgspec.json.decode(content, type=kind)
    except (msgspec.DecodeError, UnicodeDecodeError) as unreadable:
        raise ProviderUnreachable(cause="the answer cannot be read") from unreadable


def _reason(content: bytes) -> str | None:
    try:
        return msgspec.json.decode(content, type=_Reason).reason
    except (msgspec.DecodeError, UnicodeDecodeError):
        return None
