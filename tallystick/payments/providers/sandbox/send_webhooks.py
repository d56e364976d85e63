"""
Send webhooks: each event to the one endpoint that is set, signed, again with back-off until it is taken.

Events of one transaction are sent in order, and those of different ones beside each other; a twist breaks that on
order or by plan. An event that waits is forgotten by a restart: what is told is a hint, and whoever hears it asks.
"""

import asyncio
import contextlib
import datetime as dt
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Final, Protocol
from urllib.parse import urlsplit

import msgspec

from tallystick.clock import Clock, SystemClock
from tallystick.payments.providers.protocol import EventKind
from tallystick.payments.providers.sandbox.change import Event, Refusal
from tallystick.payments.providers.sandbox.desk import Desk
from tallystick.payments.providers.sandbox.faults import Twist
from tallystick.payments.providers.sandbox.private_file import write_privately
from tallystick.payments.providers.sandbox.sign import sign, webhook_secret

if TYPE_CHECKING:
    import aiohttp

ATTEMPTS: Final = 10
FIRST_PAUSE_SECONDS: Final = 0.2
"""After the first attempt; each further pause is twice as long."""
LATE_SECONDS: Final = 1.0
"""How late a late one is, and how long one that is out of order waits for a next one."""
TIMEOUT_SECONDS: Final = 10
AT_ONCE: Final = 16
"""How many are under way at once."""

LOOPBACK = {"127.0.0.1", "::1", "localhost"}

NATIVE: Final = "native"

_encoder = msgspec.json.Encoder()


class Endpoint(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Where webhooks go."""

    url: str
    secret: str | None = None
    """What they are signed with; None: what both sides derive from the secret of the interface."""
    speaks: str = NATIVE
    """Whose encoding they come in: ``native``, or a face's."""

    def __repr__(self) -> str:
        """Leave the secret out."""
        return f"Endpoint(url={self.url!r}, speaks={self.speaks!r})"


class Encoder(Protocol):
    """How a provider words an event and proves that it is its own."""

    def encode(self, event: Event, secret: str, at: dt.datetime) -> tuple[Mapping[str, str], bytes]:
        """Return headers and body of a webhook that tells of *event* and is sent *at*, signed with *secret*."""
        ...


class NativeBody(msgspec.Struct, frozen=True):
    """What a webhook of the sandbox's own says."""

    id: str
    kind: EventKind
    type: str
    subject: str
    transaction_id: str | None
    occurred_at: dt.datetime


class NativeEncoder:
    """The sandbox's own webhooks."""

    def encode(self, event: Event, secret: str, at: dt.datetime) -> tuple[Mapping[str, str], bytes]:
        """Return headers and body."""
        told = NativeBody(event.id, event.kind, event.type, event.subject, event.transaction_id, event.at)
        body = _encoder.encode(told)
        return {"content-type": "application/json", **sign(secret, event.id, at, body)}, body


class Sender:
    """The endpoint, and what is on its way there."""

    def __init__(
        self,
        desk: Desk,
        secret: str,
        kept_at: Path,
        encoders: Mapping[str, Encoder] | None = None,
        clock: Clock | None = None,
    ) -> None:
        """Send what *desk* tells, to the endpoint that the file *kept_at* remembers until another is set."""
        self._desk = desk
        self._secret = webhook_secret(secret)
        self._kept_at = kept_at
        self._encoders: Mapping[str, Encoder] = {NATIVE: NativeEncoder(), **(encoders or {})}
        self._clock = clock or SystemClock()
        self._endpoint = self._remembered()
        self._http: aiohttp.ClientSession | None = None
        self._turn = asyncio.Semaphore(AT_ONCE)
        self._last: dict[str, asyncio.Task[None]] = {}
        """The newest first attempt of each transaction."""
        self._under_way: set[asyncio.Task[None]] = set()
        self._sent = asyncio.Event()
        """Set, and made anew, whenever an event was sent."""
        desk.register.history.listeners.append(self.tell)

    def set_endpoint(self, endpoint: Endpoint | None) -> None:
        """
        Send to *endpoint* from now on, also after a restart; None: to nobody.

        Raises:
            Refusal: it is not on this machine, or speaks as nobody does.
        """
        if endpoint is not None:
            self._check(endpoint)
        self._endpoint = endpoint
        self._remember()

    def tell(self, event: Event) -> None:
        """Send *event*, once what it tells of is on disk."""
        if self._endpoint is None:
            return
        reference = self._desk.reference_of(event.transaction_id or event.subject)
        twist = self._desk.faults.take_twist() or self._desk.plan.twist(reference)
        if twist is Twist.LOST:
            return
        about = event.transaction_id or event.subject
        task = asyncio.get_running_loop().create_task(self._send(event, self._endpoint, twist, self._last.get(about)))
        if twist in {None, Twist.DUPLICATE, Twist.FORGED}:
            self._last[about] = task
            task.add_done_callback(lambda done: self._last.pop(about) if self._last.get(about) is done else None)
        self._hold(task)

    async def close(self) -> None:
        """Give up what is under way."""
        for task in self._under_way:
            task.cancel()
        if self._http is not None:
            await self._http.close()

    def _check(self, endpoint: Endpoint) -> None:
        try:
            parts = urlsplit(endpoint.url)
            here = parts.scheme == "http" and parts.hostname in LOOPBACK and parts.port != 0
        except ValueError:
            here = False
        if not here:
            raise Refusal(422, "url: webhooks go by http to this machine alone")
        if endpoint.speaks not in self._encoders:
            raise Refusal(422, f"speaks: expected one of {', '.join(sorted(self._encoders))}")

    async def _send(
        self, event: Event, endpoint: Endpoint, twist: Twist | None, before: asyncio.Task[None] | None
    ) -> None:
        await self._desk.durable()
        if twist is Twist.LATE:
            await asyncio.sleep(LATE_SECONDS)
        elif twist is Twist.OUT_OF_ORDER:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._sent.wait(), LATE_SECONDS)
        elif before is not None:
            await asyncio.wait([before])
        if twist is Twist.FORGED:
            await self._post(endpoint, *self._forged(event, endpoint))
        taken = await self._attempt(event, endpoint)
        if twist is Twist.DUPLICATE:
            await self._attempt(event, endpoint)
        self._sent.set()
        self._sent = asyncio.Event()
        if not taken:
            self._hold(asyncio.create_task(self._insist(event, endpoint)))

    async def _insist(self, event: Event, endpoint: Endpoint) -> None:
        pause = FIRST_PAUSE_SECONDS
        for _ in range(ATTEMPTS - 1):
            await asyncio.sleep(pause)
            if await self._attempt(event, endpoint):
                return
            pause *= 2

    async def _attempt(self, event: Event, endpoint: Endpoint) -> bool:
        secret = endpoint.secret or self._secret
        return await self._post(endpoint, *self._encoders[endpoint.speaks].encode(event, secret, self._clock.now()))

    def _forged(self, event: Event, endpoint: Endpoint) -> tuple[Mapping[str, str], bytes]:
        """Return the true headers of *event* around another body: what somebody could make who has seen one."""
        encoder, secret = self._encoders[endpoint.speaks], endpoint.secret or self._secret
        headers, _ = encoder.encode(event, secret, self._clock.now())
        other = msgspec.structs.replace(event, id=f"{event.id}f", type=f"{event.type}.forged")
        return headers, encoder.encode(other, secret, self._clock.now())[1]

    async def _post(self, endpoint: Endpoint, headers: Mapping[str, str], body: bytes) -> bool:
        """Say whether *endpoint* took it."""
        import aiohttp  # noqa: PLC0415 - takes longer than all the rest of starting, and is seldom needed

        if self._http is None:
            timeout = aiohttp.ClientTimeout(total=TIMEOUT_SECONDS)
            self._http = aiohttp.ClientSession(timeout=timeout, cookie_jar=aiohttp.DummyCookieJar())
        try:
            async with (
                self._turn,
                self._http.post(endpoint.url, headers=headers, data=body, allow_redirects=False) as answer,
            ):
                return answer.ok
        except (aiohttp.ClientError, TimeoutError, OSError):
            return False

    def _hold(self, task: asyncio.Task[None]) -> None:
        """Keep a task from being collected while it runs."""
        self._under_way.add(task)
        task.add_done_callback(self._under_way.discard)

    def _remembered(self) -> Endpoint | None:
        try:
            return msgspec.json.decode(self._kept_at.read_bytes(), type=Endpoint)
        except (OSError, msgspec.DecodeError):
            return None

    def _remember(self) -> None:
        if self._endpoint is None:
            self._kept_at.unlink(missing_ok=True)
            return
        write_privately(self._kept_at, _encoder.encode(self._endpoint))
