"""
What an exception of Stripe's SDK says about the payment: refused, or not known.

The mapping is closed and leans as `outcome` does: only what Stripe itself says, about the request itself, is a refusal.
What Stripe writes for people to read is never passed on, since it quotes what it was sent: an address, a key.
"""

from tallystick.payments.providers.outcome import LONGEST_REASON
from tallystick.payments.providers.protocol import ProviderRefused, ProviderUnreachable
from tallystick.payments.providers.stripe.sdk import stripe

REFUSALS = (stripe.CardError, stripe.InvalidRequestError)
"""The exceptions by which Stripe can refuse; every other one leaves the outcome unknown."""

_REFUSING = frozenset({400, 402, 404})
_MISSING = 404

NOT_ABOUT_THE_PAYMENT = frozenset(
    {
        "account_invalid",
        "api_key_expired",
        "idempotency_key_in_use",
        "livemode_mismatch",
        "lock_timeout",
        "platform_api_key_expired",
        "rate_limit",
        "secret_key_required",
        "testmode_charges_only",
        "tls_version_unsupported",
    }
)
"""The codes that speak of our key, our account, the way there or the pace."""


def failure_of(error: Exception) -> ProviderUnreachable | ProviderRefused:
    """Say what *error* says; raise it ``from None``, or the SDK's own text ends in a log after all."""
    status = getattr(error, "http_status", None)
    if isinstance(error, REFUSALS) and type(error) in REFUSALS and status in _REFUSING:
        reason = _reason(error)
        if reason is not None and error.code not in NOT_ABOUT_THE_PAYMENT:
            return ProviderRefused(reason=reason[:LONGEST_REASON])
    return ProviderUnreachable(cause=f"HTTP {status}" if status else type(error).__name__)


def is_kept_failure(error: Exception) -> bool:
    """
    Say whether Stripe repeats a failure of its own that it has kept under the idempotency key.

    It keeps and repeats the first answer for a day, even if that was an error of the server: under this key the request
    is not tried again.
    """
    if not isinstance(error, stripe.StripeError):
        return False
    headers = {name.lower(): value for name, value in (error.headers or {}).items()}
    return headers.get("idempotent-replayed") == "true" and (error.http_status or 0) >= 500  # noqa: PLR2004 - HTTP's


def _reason(error: stripe.CardError | stripe.InvalidRequestError) -> str | None:
    """Return Stripe's codes for what is wrong; None if it gives none, and then it is not surely about the request."""
    code = getattr(error.error, "decline_code", None) or error.code
    if code is None and error.http_status == _MISSING:
        code = "resource_missing"
    if error.param:
        return f"{code or 'wrong'} ({error.param})"
    return code
