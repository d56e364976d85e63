"""Call PayPal's API: who we are, under which key, and what an answer that is none means."""

import hashlib
import re
from collections.abc import Mapping
from typing import Final
from urllib.parse import urlencode

import msgspec

from tallystick.payments.providers.outcome import failure_of_status
from tallystick.payments.providers.paypal.account import PayPalAccount
from tallystick.payments.providers.paypal.authorize import Authorization
from tallystick.payments.providers.paypal.connection import Connection, Reply
from tallystick.payments.providers.protocol import ProviderRefused, ProviderUnreachable

_UNAUTHENTICATED: Final = 401

_NOT_DECIDED: Final = frozenset(
    {
        "DUPLICATE_REQUEST_ID",
        "INTERNAL_SERVER_ERROR",
        "INTERNAL_SERVICE_ERROR",
        "ORDER_COMPLETION_IN_PROGRESS",
        "PREVIOUS_REQUEST_IN_PROGRESS",
        "RATE_LIMIT_REACHED",
        "RESOURCE_CONFLICT",
    }
)
"""What PayPal answers with a 4xx while an earlier request of ours may be under way, or to everybody."""

_KEY: Final = re.compile(r"[A-Za-z0-9_.,-]{1,108}", re.ASCII)


class _Detail(msgspec.Struct):
    issue: str | None = None


class _Wrong(msgspec.Struct):
    name: str | None = None
    details: list[_Detail] = []


class PayPalCall:
    """The calls of one account."""

    def __init__(self, account: PayPalAccount, connection: Connection, authorization: Authorization) -> None:
        """Call *account*'s address."""
        self._url = account.url
        self._connection = connection
        self._authorization = authorization

    async def get(self, path: str, parameters: Mapping[str, str] | None = None) -> Reply:
        """
        Ask for *path*.

        Raises:
            ProviderUnreachable: there is no answer to rely on (``payments.provider_unknown_outcome``).
        """
        return await self._send("GET", path if parameters is None else f"{path}?{urlencode(parameters)}", None, {})

    async def post(self, path: str, body: object, key: str) -> Reply:
        """
        Do something, once for each *key* as long as PayPal keeps it, and have all told that there is to tell.

        Raises:
            ProviderUnreachable: whether it was done is not known (``payments.provider_unknown_outcome``).
        """
        headers = {"PayPal-Request-Id": key_of(key), "Prefer": "return=representation"}
        return await self._send("POST", path, msgspec.json.encode(body), headers)

    async def patch(self, path: str, body: object) -> Reply:
        """
        Change something; done twice it is as if it had been done once.

        Raises:
            ProviderUnreachable: whether it was changed is not known (``payments.provider_unknown_outcome``).
        """
        return await self._send("PATCH", path, msgspec.json.encode(body), {})

    async def _send(self, method: str, path: str, body: bytes | None, headers: Mapping[str, str]) -> Reply:
        reply, token = await self._send_once(method, path, body, headers)
        if reply.status != _UNAUTHENTICATED:
            return reply
        # A token can end before its time. Who is not known has had nothing done, so the same is asked once more.
        self._authorization.forget(token)
        reply, _ = await self._send_once(method, path, body, headers)
        return reply

    async def _send_once(
        self, method: str, path: str, body: bytes | None, headers: Mapping[str, str]
    ) -> tuple[Reply, str]:
        token = await self._authorization.token()
        own = {"Authorization": f"Bearer {token}", "Accept": "application/json", "Content-Type": "application/json"}
        return await self._connection.exchange(method, f"{self._url}{path}", {**own, **headers}, body), token


def key_of(key: str) -> str:
    """Return *key*, or its SHA-256 where PayPal would not take it: too long, or with other characters than its own."""
    return key if _KEY.fullmatch(key) else hashlib.sha256(key.encode()).hexdigest()


def issue_of(reply: Reply) -> str | None:
    """Return what PayPal says is wrong, in one word; None if it does not say."""
    try:
        wrong = msgspec.json.decode(reply.content, type=_Wrong)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None
    return next((detail.issue for detail in wrong.details if detail.issue), wrong.name)


def check(reply: Reply) -> bytes:
    """
    Return what was answered, if it was done.

    Raises:
        ProviderRefused: PayPal said no, with a word that says why (``payments.provider_refused``).
        ProviderUnreachable: anything else (``payments.provider_unknown_outcome``).
    """
    if (failure := failure_of(reply)) is not None:
        raise failure
    return reply.content


def failure_of(reply: Reply) -> ProviderUnreachable | ProviderRefused | None:
    """Say what is wrong with an answer; None if nothing is."""
    unknown = failure_of_status(reply.status, None)
    if unknown is None:
        return None
    issue = issue_of(reply)
    return unknown if issue in _NOT_DECIDED else failure_of_status(reply.status, issue)
