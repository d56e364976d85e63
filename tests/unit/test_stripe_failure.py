"""What each exception of Stripe's SDK says about the payment: closed, and leaning to not known."""

import aiohttp
import pytest
import stripe.oauth_error  # the SDK loads these exceptions only when it needs them

from tallystick.payments.providers.protocol import ProviderRefused, ProviderUnreachable
from tallystick.payments.providers.stripe.failure import NOT_ABOUT_THE_PAYMENT, REFUSALS, failure_of, is_kept_failure
from tallystick.payments.providers.stripe.sdk import API_VERSION

PERSON = "ada.lovelace@example.org"
MESSAGE = f"No such customer: {PERSON}; key sk_test_secret"


def every_exception() -> list[type[stripe.StripeError]]:
    """Return the SDK's exceptions, all of them."""
    found, waiting = [], [stripe.StripeError]
    while waiting:
        one = waiting.pop()
        found.append(one)
        waiting.extend(one.__subclasses__())
    return sorted(found, key=lambda one: one.__name__)


def make(
    kind: type[stripe.StripeError], status: int | None, code: str | None = None, param: str | None = None, **error: str
) -> stripe.StripeError:
    """Make an exception as the SDK does, with a text that names a person and a key."""
    body = {"error": {"message": MESSAGE, "code": code, **error}}
    failed = kind.__new__(kind)
    stripe.StripeError.__init__(failed, MESSAGE, MESSAGE, status, body, {"request-id": "req_1"}, code)
    failed.param = param  # type: ignore[attr-defined]  # those that have it have it
    return failed


KNOWN = {
    "APIConnectionError", "APIError", "AlreadyCanceledError", "AuthenticationError", "BlockedByStripeError",
    "CannotProceedError", "CapabilityNotEnabledError", "CardError", "ControlledByAlternateResourceError",
    "FeatureNotEnabledError", "FinancialAccountNotOpenError", "FxQuoteNeedsRefreshError", "IdempotencyError",
    "InsufficientFundsError", "InvalidClientError", "InvalidGrantError", "InvalidPaymentMethodError",
    "InvalidPayoutMethodError", "InvalidRequestError", "InvalidScopeError", "InvalidVaultedCredentialError",
    "NotCancelableError", "OAuthError", "PermissionError", "QuotaExceededError", "RateLimitError",
    "RecipientNotNotifiableError", "SignatureVerificationError", "StripeError", "StripeErrorWithParamCode",
    "TemporarySessionExpiredError", "UnsupportedGrantTypeError", "UnsupportedResponseTypeError",
    "VerificationAttemptFailedError", "VerificationExpiredError", "VerificationNotInitiatedError",
}  # fmt: skip
"""Every exception that somebody has thought about."""


def test_every_exception_of_the_sdk_was_thought_about() -> None:
    """A release of the SDK with an exception of its own fails here, until somebody has said what it means."""
    assert {one.__name__ for one in every_exception() if one.__module__.startswith("stripe")} == KNOWN


def test_the_interface_spoken_is_the_one_the_sdk_was_made_for() -> None:
    """A new SDK comes with a new version, which is taken up on purpose, with its changes read."""
    assert stripe.api_version == API_VERSION


@pytest.mark.parametrize("kind", every_exception(), ids=lambda kind: kind.__name__)
def test_only_a_word_on_the_request_itself_is_a_refusal(kind: type[stripe.StripeError]) -> None:
    """Two exceptions refuse, with three of HTTP's statuses; whatever else happens, the outcome is not known."""
    for status in (None, 200, 302, 400, 401, 402, 403, 404, 408, 409, 425, 429, 500, 502, 503):
        failure = failure_of(make(kind, status, "parameter_missing", "amount"))
        refuses = kind in REFUSALS and status in {400, 402, 404}
        assert isinstance(failure, ProviderRefused if refuses else ProviderUnreachable), status
        assert PERSON not in f"{failure!r}{failure}"
        assert "sk_test" not in f"{failure!r}{failure}"


@pytest.mark.parametrize("code", sorted(NOT_ABOUT_THE_PAYMENT))
def test_what_speaks_of_our_key_or_the_pace_refuses_no_payment(code: str) -> None:
    """A mistake in the settings must not mark customers' payments as refused."""
    assert isinstance(failure_of(make(stripe.InvalidRequestError, 400, code)), ProviderUnreachable)


def test_a_refusal_without_a_code_is_not_surely_one() -> None:
    """Stripe names what is wrong with a request; what names nothing may speak of anything, unless it is a 404."""
    assert isinstance(failure_of(make(stripe.InvalidRequestError, 400)), ProviderUnreachable)
    assert "resource_missing" in str(failure_of(make(stripe.InvalidRequestError, 404)))


def test_a_refusal_gives_stripes_codes_and_nothing_of_its_prose() -> None:
    """The code of the bank is the one that says why; the parameter says where."""
    refused = failure_of(make(stripe.CardError, 402, "card_declined", None, decline_code="insufficient_funds"))
    assert "insufficient_funds" in str(refused)
    refused = failure_of(make(stripe.InvalidRequestError, 400, "email_invalid", "receipt_email"))
    assert "email_invalid (receipt_email)" in str(refused)


@pytest.mark.parametrize("lost", [TimeoutError(), aiohttp.ClientPayloadError(MESSAGE), OSError(MESSAGE), KeyError("x")])
def test_whatever_else_goes_wrong_is_not_known(lost: Exception) -> None:
    """The way there fails in many ways, and the SDK on answers that are none of Stripe's."""
    failure = failure_of(lost)
    assert isinstance(failure, ProviderUnreachable)
    assert type(lost).__name__ in str(failure)
    assert PERSON not in str(failure)


def test_an_error_of_stripes_own_that_it_repeats_is_told_from_one_that_it_does_not() -> None:
    """Only an error of the server that comes from under the key says that the key is used up."""
    replayed = {"Idempotent-Replayed": "true"}
    for status, headers, kept in ((500, replayed, True), (500, {}, False), (400, replayed, False), (None, {}, False)):
        error = stripe.APIError("", None, status, None, headers)
        assert is_kept_failure(error) is kept
    assert not is_kept_failure(TimeoutError())
