"""What the end of an exchange with a provider says: the whole mapping, as tables."""

from collections.abc import Iterator

import aiohttp
import pytest

from tallystick.errors import Kind
from tallystick.payments.providers.outcome import LONGEST_REASON, NO_ANSWER, failure_of_exception, failure_of_status
from tallystick.payments.providers.protocol import (
    CreateRequest,
    PaymentType,
    ProviderRefused,
    ProviderUnreachable,
)

EXCEPTIONS = {
    aiohttp.ClientConnectionError,
    aiohttp.ClientConnectionResetError,
    aiohttp.ClientConnectorCertificateError,
    aiohttp.ClientConnectorDNSError,
    aiohttp.ClientConnectorError,
    aiohttp.ClientConnectorSSLError,
    aiohttp.ClientError,
    aiohttp.ClientHttpProxyError,
    aiohttp.ClientOSError,
    aiohttp.ClientPayloadError,
    aiohttp.ClientProxyConnectionError,
    aiohttp.ClientResponseError,
    aiohttp.ClientSSLError,
    aiohttp.ConnectionTimeoutError,
    aiohttp.ContentTypeError,
    aiohttp.InvalidURL,
    aiohttp.InvalidUrlClientError,
    aiohttp.InvalidUrlRedirectClientError,
    aiohttp.NonHttpUrlClientError,
    aiohttp.NonHttpUrlRedirectClientError,
    aiohttp.RedirectClientError,
    aiohttp.ServerConnectionError,
    aiohttp.ServerDisconnectedError,
    aiohttp.ServerFingerprintMismatch,
    aiohttp.ServerTimeoutError,
    aiohttp.SocketTimeoutError,
    aiohttp.TooManyRedirects,
    aiohttp.UploadAbortedError,
    aiohttp.WSServerHandshakeError,
    aiohttp.client_exceptions.UnixClientConnectorError,
    ConnectionResetError,
    OSError,
    TimeoutError,
    ValueError,
}

SUCCESS = set(range(200, 300))
REFUSED = set(range(400, 500)) - {401, 403, 407, 408, 409, 425, 429}


def below(error: type[Exception]) -> Iterator[type[Exception]]:
    """Yield *error* and whatever is one."""
    yield error
    for further in error.__subclasses__():
        yield from below(further)


def test_the_table_names_every_exception_of_aiohttp() -> None:
    """A version of aiohttp with a new exception fails here, so that somebody decides what it means."""
    theirs = {error for error in below(aiohttp.ClientError) if error.__module__.startswith("aiohttp")}
    assert theirs | {ConnectionResetError, OSError, TimeoutError, ValueError} == EXCEPTIONS


@pytest.mark.parametrize("error", sorted(EXCEPTIONS, key=str))
def test_an_exchange_without_an_answer_is_an_unknown_outcome(error: type[Exception]) -> None:
    """Whatever broke, we cannot say that the provider did nothing; and the address does not leak."""
    lost = error.__new__(error, "https://provider.test/?reference=p-1")
    assert isinstance(lost, NO_ANSWER)
    failure = failure_of_exception(lost)
    assert isinstance(failure, ProviderUnreachable)
    assert error.__name__ in failure.message
    assert "p-1" not in failure.message


@pytest.mark.parametrize("status", range(100, 600))
def test_every_status_has_one_meaning(status: int) -> None:
    """A 2xx is an answer, a 4xx about the payment a refusal, and all else an unknown outcome."""
    expected = type(None) if status in SUCCESS else ProviderRefused if status in REFUSED else ProviderUnreachable
    assert type(failure_of_status(status, "because")) is expected


@pytest.mark.parametrize("status", sorted(REFUSED))
@pytest.mark.parametrize("reason", [None, ""])
def test_a_refusal_without_a_reason_is_not_the_providers(status: int, reason: str | None) -> None:
    """A proxy's 404 page must not make us believe that a payment was refused."""
    assert isinstance(failure_of_status(status, reason), ProviderUnreachable)


def test_the_two_failures_tell_whether_to_ask_again() -> None:
    """An unknown outcome is asked again, a refusal is not; their codes are public and stay."""
    assert (ProviderUnreachable.code, ProviderUnreachable.kind) == (
        "payments.provider_unknown_outcome",
        Kind.UNAVAILABLE,
    )
    assert (ProviderRefused.code, ProviderRefused.kind) == ("payments.provider_refused", Kind.REFUSED)
    assert ProviderUnreachable.kind.retry_helps
    assert not ProviderRefused.kind.retry_helps


def test_a_long_reason_is_cut() -> None:
    """A provider cannot fill our log with one reason."""
    failure = failure_of_status(422, "x" * 5000)
    assert failure is not None
    assert len(failure.message) < LONGEST_REASON + 100


def test_a_printed_request_does_not_show_the_person() -> None:
    """What is printed may end in a log, so neither user nor email is in it."""
    request = CreateRequest("p-1", 100, "EUR", "ada", "ada@example.org", PaymentType.DEBIT)
    assert "p-1" in repr(request)
    assert "ada" not in repr(request)
