"""Errors in HTTP: the one table from what can go wrong to a status, and the problem details (RFC 9457) told with it."""

from http import HTTPStatus

import msgspec

from tallystick.errors import Kind, TallystickError

STATUS: dict[Kind, int] = {
    Kind.INVALID: 400,
    Kind.UNAUTHENTICATED: 401,
    Kind.FORBIDDEN: 403,
    Kind.NOT_FOUND: 404,
    Kind.CONFLICT: 409,
    Kind.REFUSED: 422,
    Kind.TOO_LARGE: 413,
    Kind.RATE_LIMITED: 429,
    Kind.UNAVAILABLE: 503,
    Kind.INTERNAL: 500,
}
"""The status of each kind."""

STATUS_OF_CODE: dict[str, int] = {
    "rest.method_not_allowed": 405,
    "rest.spool_full": 507,
    "rest.media_type_unknown": 415,
    "rest.not_avro": 415,
}
"""Errors that exist in HTTP alone and have a status of their own there."""

RETRY_AFTER_SECONDS = 1
"""How long a caller is asked to wait where a retry helps."""

TYPE_PREFIX = "urn:tallystick:error:"
PROBLEM_TYPE = "application/problem+json"


class Problem(msgspec.Struct, frozen=True):
    """What went wrong (RFC 9457); ``code`` is stable, ``field`` names the input to blame, ``retry`` whether the same may succeed later."""

    type: str
    title: str
    status: int
    detail: str
    code: str
    field: str | None
    retry: bool


def status_of(error: TallystickError) -> int:
    """Return the HTTP status of *error*."""
    return STATUS_OF_CODE.get(error.code) or STATUS[error.kind]


def problem_of(error: TallystickError) -> Problem:
    """Word *error* as problem details."""
    status = status_of(error)
    return Problem(
        type=TYPE_PREFIX + error.code,
        title=HTTPStatus(status).phrase,
        status=status,
        detail=error.message,
        code=error.code,
        field=error.field,
        retry=error.kind.retry_helps,
    )


def headers_of(error: TallystickError) -> dict[str, str]:
    """Return the headers that HTTP wants beside the problem: how to authenticate, and when to come again."""
    headers = {"content-type": PROBLEM_TYPE}
    if error.kind is Kind.UNAUTHENTICATED:
        headers["www-authenticate"] = 'Bearer realm="tallystick"'
    if error.kind.retry_helps:
        headers["retry-after"] = str(RETRY_AFTER_SECONDS)
    return headers
