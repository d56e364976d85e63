"""What a real provider would not offer: order its failures, act for others, see all. For tests, demos and audits."""

from collections.abc import Iterable
from types import TracebackType
from typing import Self, TypeVar

import aiohttp
import msgspec

from tallystick.errors import Kind, TallystickError
from tallystick.payments.providers.outcome import NO_ANSWER
from tallystick.payments.providers.protocol import (
    PayoutLine,
    ProviderDispute,
    ProviderPayout,
    ProviderRefund,
    ProviderTransaction,
)
from tallystick.payments.providers.sandbox.faults import Fault, FaultOrder, Twist
from tallystick.payments.providers.sandbox.orders import Decision, DisputeOrder, LineOrder, PayoutOrder
from tallystick.payments.providers.sandbox.send_webhooks import NATIVE, Endpoint
from tallystick.payments.providers.sandbox.spoil import Flaw

_SECONDS = 10
_Answer = TypeVar("_Answer")
_encoder = msgspec.json.Encoder()


class SandboxRefused(TallystickError):
    """The sandbox does not do that: {reason}."""

    code = "payments.sandbox_refused"
    kind = Kind.REFUSED


class SandboxUnreachable(TallystickError):
    """The sandbox gave no answer ({cause}); if it does not run, `tallystick up` starts one."""

    code = "payments.sandbox_unreachable"
    kind = Kind.UNAVAILABLE


class Holdings(msgspec.Struct, frozen=True):
    """Everything the sandbox holds."""

    transactions: list[ProviderTransaction]
    captured: dict[str, int]
    """How much was captured in all, in minor units by currency."""
    refunds: list[ProviderRefund] = []
    disputes: list[ProviderDispute] = []
    payouts: list[ProviderPayout] = []
    owed: dict[str, int] = {}
    """What waits for the next payout, after fees."""


class _Reason(msgspec.Struct):
    reason: str = "no such address"


class SandboxControl:
    """
    The sandbox's other door.

    Whatever it asks for may be refused (``payments.sandbox_refused``) or find nobody there
    (``payments.sandbox_unreachable``).
    """

    def __init__(self, base_url: str, secret: str) -> None:
        """Reach the sandbox at *base_url*."""
        self._base_url = base_url.rstrip("/")
        self._http = aiohttp.ClientSession(
            headers={"Authorization": f"Bearer {secret}"},
            timeout=aiohttp.ClientTimeout(total=_SECONDS),
            cookie_jar=aiohttp.DummyCookieJar(),
            trust_env=False,
        )

    async def __aenter__(self) -> Self:
        """Return itself."""
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close the connections."""
        await self._http.close()

    async def order(self, faults: Iterable[Fault] = (), webhooks: Iterable[Twist] = ()) -> None:
        """Queue *faults* behind those that wait, and *webhooks*; each strikes one request, or one webhook."""
        await self._ask("POST", "faults", FaultOrder(list(faults), list(webhooks)), object)

    async def forget(self) -> None:
        """Drop the faults that wait."""
        await self._ask("DELETE", "faults", None, object)

    async def holdings(self) -> Holdings:
        """Return everything it holds."""
        return await self._ask("GET", "holdings", None, Holdings)

    async def authenticate(self, transaction_id: str, *, succeeded: bool) -> ProviderTransaction:
        """Do what is asked of a transaction's customer, or fail to."""
        path = f"transactions/{transaction_id}/authenticate"
        return await self._ask("POST", path, Decision(succeeded), ProviderTransaction)

    async def complete(self, transaction_id: str, *, succeeded: bool) -> ProviderTransaction:
        """Decide a transaction that is processing."""
        path = f"transactions/{transaction_id}/complete"
        return await self._ask("POST", path, Decision(succeeded), ProviderTransaction)

    async def decide_refund(self, refund_id: str, *, succeeded: bool) -> ProviderRefund:
        """Decide a refund that is pending."""
        return await self._ask("POST", f"refunds/{refund_id}/decide", Decision(succeeded), ProviderRefund)

    async def open_dispute(
        self, transaction_id: str, amount: int | None = None, reason: str = "fraudulent"
    ) -> ProviderDispute:
        """Let the customer's bank want *amount* back; None: all that is left."""
        return await self._ask("POST", "disputes", DisputeOrder(transaction_id, amount, reason), ProviderDispute)

    async def decide_dispute(self, dispute_id: str, *, won: bool) -> ProviderDispute:
        """Decide a dispute."""
        return await self._ask("POST", f"disputes/{dispute_id}/decide", Decision(won), ProviderDispute)

    async def charge_fee(self, amount: int, currency: str, description: str = "monthly fee") -> PayoutLine:
        """Charge us a fee that belongs to no transaction."""
        return await self._ask("POST", "fees", LineOrder(amount, currency, description), PayoutLine)

    async def adjust(self, amount: int, currency: str, description: str = "correction") -> PayoutLine:
        """Give us *amount*, or take it when below zero."""
        return await self._ask("POST", "adjustments", LineOrder(amount, currency, description), PayoutLine)

    async def pay_out(self, currency: str, flaw: Flaw | None = None) -> ProviderPayout:
        """Pay out all that waits in *currency*."""
        return await self._ask("POST", "payouts", PayoutOrder(currency, flaw), ProviderPayout)

    async def fail_payout(self, payout_id: str) -> ProviderPayout:
        """Let the bank send a payout back."""
        return await self._ask("POST", f"payouts/{payout_id}/fail", None, ProviderPayout)

    async def send_webhooks_to(self, url: str | None, secret: str | None = None, speaks: str = NATIVE) -> None:
        """Send webhooks to *url*, which is on this machine, from now on; None: to nobody."""
        if url is None:
            await self._ask("DELETE", "webhook_endpoint", None, object)
        else:
            await self._ask("POST", "webhook_endpoint", Endpoint(url, secret, speaks), object)

    async def _ask(self, method: str, path: str, body: msgspec.Struct | None, kind: type[_Answer]) -> _Answer:
        content = None if body is None else _encoder.encode(body)
        try:
            async with self._http.request(method, f"{self._base_url}/v1/{path}", data=content) as answer:
                told = await answer.read()
        except NO_ANSWER as lost:
            raise SandboxUnreachable(cause=type(lost).__name__) from lost
        if not answer.ok:
            try:
                reason = msgspec.json.decode(told, type=_Reason).reason
            except (msgspec.DecodeError, UnicodeDecodeError):
                reason = ""
            raise SandboxRefused(reason=f"{reason} (HTTP {answer.status})")
        return msgspec.json.decode(told, type=kind)
