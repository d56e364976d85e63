"""What a real provider would not offer: order its failures, and see all it holds. For tests, demos and audits."""

import ssl
from collections.abc import Iterable
from types import TracebackType
from typing import Self

import httpx
import msgspec

from tallystick.payments.providers.protocol import ProviderTransaction
from tallystick.payments.providers.sandbox.faults import Fault, FaultOrder


class Holdings(msgspec.Struct, frozen=True):
    """Everything the sandbox holds."""

    transactions: list[ProviderTransaction]
    captured: dict[str, int]
    """How much was captured in all, in minor units by currency."""


class SandboxControl:
    """The sandbox's other door."""

    def __init__(self, base_url: str, secret: str) -> None:
        """Reach the sandbox at *base_url*."""
        self._http = httpx.AsyncClient(
            base_url=base_url,
            headers={"Authorization": f"Bearer {secret}"},
            verify=ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT),  # as in client.py
            trust_env=False,
        )

    async def __aenter__(self) -> Self:
        """Return itself."""
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close the connections."""
        await self._http.aclose()

    async def order(self, faults: Iterable[Fault]) -> None:
        """Queue *faults* behind those that wait; each strikes one request."""
        content = msgspec.json.encode(FaultOrder(faults=list(faults)))
        (await self._http.post("/v1/faults", content=content)).raise_for_status()

    async def forget(self) -> None:
        """Drop the faults that wait."""
        (await self._http.delete("/v1/faults")).raise_for_status()

    async def holdings(self) -> Holdings:
        """Return all transactions and what was captured."""
        answer = (await self._http.get("/v1/transactions")).raise_for_status()
        return msgspec.json.decode(answer.content, type=Holdings)
