"""
The way to Stripe: the SDK's own client for aiohttp, but that nothing is left open, followed or kept.

The SDK's leaves the connection of an answer that is given up half-way, follows redirections with the account's secret,
reads an answer of any size, and keeps cookies.
"""

import ssl
from collections.abc import Mapping
from typing import Final

import aiohttp

from tallystick.payments.providers.stripe.sdk import stripe

IDLE_SECONDS: Final = 30
"""How long a connection is kept for the next request."""

MAX_ANSWER_BYTES: Final = 16 << 20
"""A page of a hundred lines has some hundred kilobytes."""

NOTICE: Final = "Stripe-Notice"
"""A header whose words the SDK would give out as a warning; where warnings are errors, the answer would be lost."""


class AnswerTooLarge(Exception):
    """The answer has more than MAX_ANSWER_BYTES."""


class StripeConnection(stripe.HTTPClient):
    """The SDK's requests, over connections that are kept and closed here."""

    name = "aiohttp"

    def __init__(self, at_once: int, timeout: float) -> None:
        """Make up to *at_once* connections; an exchange has *timeout* seconds from first to last."""
        super().__init__()
        self._at_once = at_once
        self._patience = aiohttp.ClientTimeout(total=timeout)
        self._session: aiohttp.ClientSession | None = None

    async def request_async(
        self, method: str, url: str, headers: Mapping[str, str], post_data: str | None = None
    ) -> tuple[bytes, int, Mapping[str, str]]:
        """Return body, status and headers of an answer that was read to its end."""
        if self._session is None:
            self._session = self._connect()
        async with self._session.request(method, url, headers=headers, data=post_data, allow_redirects=False) as answer:
            body = bytearray()
            async for chunk in answer.content.iter_any():
                body += chunk
                if len(body) > MAX_ANSWER_BYTES:
                    raise AnswerTooLarge
            headers = answer.headers.copy()
            headers.popall(NOTICE, None)
            return bytes(body), answer.status, headers

    async def close_async(self) -> None:
        """Close the connections."""
        if self._session is not None:
            await self._session.close()

    def _connect(self) -> aiohttp.ClientSession:
        # The authorities that the SDK brings along, since a small machine may trust none at all.
        trusted = ssl.create_default_context(cafile=stripe.ca_bundle_path)
        connector = aiohttp.TCPConnector(ssl=trusted, limit=self._at_once, keepalive_timeout=IDLE_SECONDS)
        return aiohttp.ClientSession(
            connector=connector, timeout=self._patience, cookie_jar=aiohttp.DummyCookieJar(), trust_env=False
        )
