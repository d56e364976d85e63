"""One HTTP exchange with PayPal: bounded in time and size, never redirected, and nothing of it in a log."""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

import aiohttp
import yarl

from tallystick.payments.providers.outcome import NO_ANSWER, failure_of_exception
from tallystick.payments.providers.protocol import ProviderUnreachable

MAX_CONNECTIONS: Final = 32
"""How many requests are under way at once."""

IDLE_SECONDS: Final = 30
"""How long a connection is kept for the next request."""

LARGEST_ANSWER: Final = 8 * 1024 * 1024
"""In bytes; the largest answer is a page of 500 movements."""


@dataclass(frozen=True, slots=True)
class Reply:
    """What came back, whatever it says."""

    status: int
    content: bytes


class Connection:
    """
    The connections to PayPal.

    What is sent has the secret or a bearer token in its headers, so nothing here logs, and an error carries nothing but the
    name of the exception.
    """

    def __init__(self, timeout: float) -> None:
        """Give each exchange *timeout* seconds from first to last."""
        self._timeout = timeout
        self._http: aiohttp.ClientSession | None = None

    async def close(self) -> None:
        """Close the connections; the next exchange opens others."""
        if self._http is not None:
            http, self._http = self._http, None
            await http.close()

    async def exchange(
        self,
        method: str,
        url: str,
        headers: Mapping[str, str],
        body: bytes | None = None,
        largest: int = LARGEST_ANSWER,
    ) -> Reply:
        """
        Send a request and return what was answered, redirections included: none is followed.

        Raises:
            ProviderUnreachable: no whole answer of at most *largest* bytes came in time.
        """
        try:
            async with (
                asyncio.timeout(self._timeout),
                self._session().request(
                    # Encoded by whoever built it: nothing in it is to be read another way.
                    method,
                    yarl.URL(url, encoded=True),
                    data=body,
                    headers=headers,
                    allow_redirects=False,
                ) as response,
            ):
                return Reply(response.status, await _read(response, largest))
        except NO_ANSWER as lost:
            failure = failure_of_exception(lost)
        # Raised out here, so that it has neither cause nor context: aiohttp's errors show the headers that were sent.
        raise failure

    def _session(self) -> aiohttp.ClientSession:
        if self._http is None:
            self._http = aiohttp.ClientSession(
                connector=aiohttp.TCPConnector(limit=MAX_CONNECTIONS, keepalive_timeout=IDLE_SECONDS),
                # Nobody's environment says which proxy, or whose password, an exchange with PayPal goes by.
                trust_env=False,
                cookie_jar=aiohttp.DummyCookieJar(),
            )
        return self._http


async def _read(response: aiohttp.ClientResponse, largest: int) -> bytes:
    content = bytearray()
    async for part in response.content.iter_any():
        content += part
        if len(content) > largest:
            response.close()
            raise ProviderUnreachable(cause=f"the answer has over {largest} bytes")
    return bytes(content)
