"""
Webhooks of payment providers: whoever can sign as the provider may speak, and what is said is a hint.

    POST /v1/books/BOOK/providers/PROVIDER/webhook   is it genuine ─ keep it ─ wake what it is about

No key is asked for: the signature is the proof, and nothing is looked up before it is checked. Until then it comes from a
stranger, who gets little room and little time. The answer is 2xx once the event is kept, so that a provider sends again
whatever was not.
"""

import asyncio
import re
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass

import msgspec
import structlog

from tallystick.api.rest.errors import NoSuchPath
from tallystick.api.rest.reply import Reply, json_reply, problem_reply
from tallystick.errors import Kind, TallystickError
from tallystick.journal.keep import IdReused
from tallystick.operations.provider_events import hear
from tallystick.operations.run import Operations
from tallystick.payments.providers.protocol import Provider
from tallystick.payments.providers.registry import Providers

PROVIDER_WEBHOOK = re.compile(
    r"/v1/books/(?P<book>[a-z][a-z0-9-]{0,62})/providers/(?P<provider>[a-z][a-z0-9_]{0,31})/webhook", re.ASCII
)
MOST_BYTES = 1024 * 1024
"""No event of a provider is near it."""
USUAL_BYTES = 64 * 1024
"""What most events stay below, and no stranger is kept from sending."""
MOST_LONG = 16
"""How many bodies that may be longer than the usual are read at once."""
BODY_SECONDS = 10.0
"""How long a body may take to come."""

_log = structlog.get_logger()
_HEARD = msgspec.json.encode({"heard": True})


class WebhooksBusy(TallystickError):
    """Other long webhooks are being read; send it again when they are done."""

    code = "rest.webhooks_busy"
    kind = Kind.RATE_LIMITED


class WebhookTooSlow(TallystickError):
    """The body was not there after {seconds:g} seconds; send it again."""

    code = "rest.webhook_too_slow"
    kind = Kind.UNAVAILABLE


@dataclass(slots=True)
class WebhookDoor:
    """Where webhooks come in."""

    operations: Operations
    most_bytes: int = MOST_BYTES
    seconds: float = BODY_SECONDS
    _long: int = 0
    """How many long bodies are being read."""

    async def answer(
        self,
        found: re.Match[str],
        headers: Iterable[tuple[bytes, bytes]],
        length: int | None,
        read: Callable[[int], Awaitable[bytes]],
    ) -> Reply:
        """
        Hear a webhook once it has proved to be the provider's; *read* gives its body, of up to so many bytes.

        *length* is how many it says that it has, None if it does not.

        Raises:
            NoSuchPath: this server has no such provider (``rest.no_such_path``).
            WebhooksBusy: its body is long, and so are many others' (``rest.webhooks_busy``).
            WebhookNotGenuine: it is not the provider's (``payments.webhook_not_genuine``).
            ProviderUnreachable: what is needed to check it could not be fetched; send it again
                (``payments.provider_unknown_outcome``).
            UnknownBook: there is no such book (``ledger.unknown_book``).
        """
        provider = self._find_provider(found)
        try:
            async with asyncio.timeout(self.seconds):
                body = await self._read(length, read)
        except TimeoutError:
            return problem_reply(WebhookTooSlow(seconds=self.seconds), hang_up=True)
        event = await provider.read_webhook(_lower(headers), body)
        try:
            await hear(self.operations, found["book"], provider.name, event)
        except IdReused:  # what it told first under this id is kept; refused, it would be sent for ever
            _log.warning("a provider reused the id of an event", provider=provider.name, event_id=event.id)
        return json_reply(_HEARD)

    def _find_provider(self, found: re.Match[str]) -> Provider:
        providers: Providers | None = self.operations.resources.get(Providers)
        provider = None if providers is None else providers.by_name.get(found["provider"])
        if provider is None:
            raise NoSuchPath(path=found[0])
        return provider

    async def _read(self, length: int | None, read: Callable[[int], Awaitable[bytes]]) -> bytes:
        """Read a body; of long ones a few at once, since whoever sends them need not be a provider."""
        if length is not None and length <= USUAL_BYTES:
            return await read(self.most_bytes)
        if self._long >= MOST_LONG:
            raise WebhooksBusy
        self._long += 1
        try:
            return await read(self.most_bytes)
        finally:
            self._long -= 1


def _lower(headers: Iterable[tuple[bytes, bytes]]) -> dict[str, str]:
    """Return headers by name in lower case; one that was sent more than once has all of its values, as HTTP says."""
    found: dict[str, str] = {}
    for name, value in headers:
        key, text = name.decode("latin-1").lower(), value.decode("latin-1")
        found[key] = f"{found[key]}, {text}" if key in found else text
    return found
