"""Errors in HTTP: every kind has a status, and every error is told in full."""

from http import HTTPStatus

import pytest

from tallystick.api.errors import STATUS, STATUS_OF_CODE, headers_of, problem_of, status_of
from tallystick.api.rest.errors import MethodNotAllowed
from tallystick.errors import InvalidInput, Kind, TallystickError, every_error


def test_every_kind_has_a_status() -> None:
    """The table is total, and each of its statuses is an error in HTTP."""
    assert set(STATUS) == set(Kind)
    assert all(HTTPStatus(status) >= HTTPStatus.BAD_REQUEST for status in STATUS.values())


def test_a_status_alone_tells_the_kinds_apart() -> None:
    """No two kinds share a status, so a client may act on it without reading the body."""
    assert len(set(STATUS.values())) == len(Kind)


def test_only_errors_that_exist_in_http_alone_have_their_own_status() -> None:
    """The exceptions to the table are the transport's own errors."""
    codes = {error.code for error in every_error() if error.__module__ == "tallystick.api.rest.errors"}
    assert set(STATUS_OF_CODE) <= codes
    assert status_of(MethodNotAllowed(path="/x", method="PUT", allowed="GET")) == HTTPStatus.METHOD_NOT_ALLOWED


@pytest.mark.parametrize("kind", Kind)
def test_a_problem_says_what_where_and_whether_to_retry(kind: Kind) -> None:
    """Every kind of error becomes problem details with code, field and advice."""

    class Odd(TallystickError):
        """{thing} is odd."""

    Odd.code, Odd.kind = "internal", kind
    problem = problem_of(Odd(field="amount", thing="Seven"))
    assert (problem.type, problem.code, problem.field) == ("urn:tallystick:error:internal", "internal", "amount")
    assert (problem.detail, problem.status, problem.retry) == ("Seven is odd.", STATUS[kind], kind.retry_helps)
    assert problem.title


@pytest.mark.parametrize("kind", Kind)
def test_headers_tell_how_to_come_again(kind: Kind) -> None:
    """Where a retry helps there is a time to wait, and where a key is wanted the way to show it."""

    class Odd(TallystickError):
        """Odd."""

    Odd.kind = kind
    headers = headers_of(Odd())
    assert headers["content-type"] == "application/problem+json"
    assert ("retry-after" in headers) == kind.retry_helps
    assert ("www-authenticate" in headers) == (kind is Kind.UNAUTHENTICATED)


def test_bad_input_is_the_callers_fault() -> None:
    """What the caller can put right answers 400."""
    assert status_of(InvalidInput(rule="no")) == HTTPStatus.BAD_REQUEST
