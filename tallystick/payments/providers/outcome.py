"""
What the end of an HTTP exchange says about the payment: done, refused, or not known.

The mapping is closed, and leans to one side: whatever is not surely a refusal is an unknown outcome,
because taking a refusal for unknown costs one more question, and the reverse costs a customer's money.
"""

from typing import Final

import aiohttp

from tallystick.payments.providers.protocol import ProviderRefused, ProviderUnreachable

_SUCCESS = range(200, 300)
_REFUSAL = range(400, 500)

NOT_ABOUT_THE_PAYMENT = frozenset({401, 403, 407, 408, 409, 425, 429})
"""The 4xx that speak of our secret, the way there, the pace, or of a key or a transaction that was used before."""

LONGEST_REASON = 200
"""How many characters of a provider's reason we pass on."""

NO_ANSWER: Final = (aiohttp.ClientError, OSError, ValueError)
"""Whatever an exchange over aiohttp may end with instead of an answer; TimeoutError is an OSError."""


def failure_of_status(status: int, reason: str | None) -> ProviderUnreachable | ProviderRefused | None:
    """
    Say what is wrong with an answer of *status*; None when it is a success.

    *reason* is what the provider gave in the body. Without one a 4xx is not the provider's word (a proxy's page,
    a wrong address), so it refuses nothing.
    """
    if status in _SUCCESS:
        return None
    if status in _REFUSAL and status not in NOT_ABOUT_THE_PAYMENT and reason:
        return ProviderRefused(reason=reason[:LONGEST_REASON])
    return ProviderUnreachable(cause=f"HTTP {status}")


def failure_of_exception(lost: Exception) -> ProviderUnreachable:
    """
    Say that the exchange ended without an answer.

    Only the name of the exception goes on: its text may hold the address, and so the payment's reference.
    """
    return ProviderUnreachable(cause=type(lost).__name__)
