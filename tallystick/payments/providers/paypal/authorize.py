"""The bearer token that PayPal knows us by: fetched with the secret, kept until shortly before it ends."""

import base64
from collections.abc import Callable
from typing import Final

import msgspec

from tallystick.payments.providers.outcome import failure_of_status
from tallystick.payments.providers.paypal.account import PayPalAccount
from tallystick.payments.providers.paypal.answers import decode
from tallystick.payments.providers.paypal.connection import Connection
from tallystick.payments.providers.paypal.join import UnderWay
from tallystick.payments.providers.protocol import ProviderUnreachable

EARLY_SECONDS: Final = 60
"""How long before its end a token is taken to be over, so that none ends on its way."""

LARGEST_TOKEN: Final = 64 * 1024


class _Token(msgspec.Struct, frozen=True):
    access_token: str
    expires_in: int

    def __repr__(self) -> str:
        """Leave the token out: what is printed may end in a log."""
        return "_Token()"


class Authorization:
    """The token of now; whoever needs one while it is fetched waits for the same one."""

    def __init__(self, account: PayPalAccount, connection: Connection, seconds: Callable[[], float]) -> None:
        """Fetch for *account*; *seconds* is a clock that nobody sets."""
        self._account = account
        self._connection = connection
        self._seconds = seconds
        self._under_way: UnderWay[str] = UnderWay(1)
        self._token: str | None = None
        self._ends_at = 0.0

    async def token(self) -> str:
        """
        Return the token of now.

        Raises:
            ProviderUnreachable: PayPal gave none (``payments.provider_unknown_outcome``).
        """
        if self._token is not None and self._seconds() < self._ends_at:
            return self._token
        return await self._under_way.join("", self._renew)

    def forget(self, token: str) -> None:
        """Fetch another in place of *token*, which PayPal no longer takes; of one that was replaced, do nothing."""
        if self._token == token:
            self._token = None

    async def _renew(self) -> str:
        asked_at = self._seconds()
        fetched = await self._fetch()
        self._token, self._ends_at = fetched.access_token, asked_at + fetched.expires_in - EARLY_SECONDS
        return fetched.access_token

    async def _fetch(self) -> _Token:
        pair = f"{self._account.client_id}:{self._account.secret}"
        headers = {
            "Authorization": f"Basic {base64.b64encode(pair.encode()).decode()}",
            "Content-Type": "application/x-www-form-urlencoded",
            "Accept": "application/json",
        }
        url = f"{self._account.url}/v1/oauth2/token"
        reply = await self._connection.exchange("POST", url, headers, b"grant_type=client_credentials", LARGEST_TOKEN)
        # Without a reason: nothing that is said here refuses a payment.
        if (failure := failure_of_status(reply.status, None)) is not None:
            raise failure
        token = decode(reply.content, _Token)
        if not token.access_token.isascii() or not token.access_token.isprintable():
            raise ProviderUnreachable(cause="the answer cannot be read")
        return token
