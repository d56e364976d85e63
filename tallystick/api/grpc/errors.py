"""Errors in gRPC: the one table from what can go wrong to a status, and what is told with it in the trailing metadata."""

import re

import grpc
from google.protobuf.any_pb2 import Any

from tallystick.api.grpc.generated.tallystick_pb2 import Refusal, StatusDetails
from tallystick.errors import Kind, TallystickError

STATUS: dict[Kind, grpc.StatusCode] = {
    Kind.INVALID: grpc.StatusCode.INVALID_ARGUMENT,
    Kind.UNAUTHENTICATED: grpc.StatusCode.UNAUTHENTICATED,
    Kind.FORBIDDEN: grpc.StatusCode.PERMISSION_DENIED,
    Kind.NOT_FOUND: grpc.StatusCode.NOT_FOUND,
    Kind.CONFLICT: grpc.StatusCode.ALREADY_EXISTS,
    Kind.REFUSED: grpc.StatusCode.FAILED_PRECONDITION,
    Kind.TOO_LARGE: grpc.StatusCode.INVALID_ARGUMENT,
    Kind.RATE_LIMITED: grpc.StatusCode.RESOURCE_EXHAUSTED,
    Kind.UNAVAILABLE: grpc.StatusCode.UNAVAILABLE,
    Kind.INTERNAL: grpc.StatusCode.INTERNAL,
}
"""
The status of each kind.

A conflict is not ABORTED, and what is too large not RESOURCE_EXHAUSTED: libraries send such calls again, in vain here.
"""

_LONGEST_TEXT = 1_000
"""Bytes: the head of an answer has 8 KiB by default, and a text outside ASCII takes three times its length in it."""
_LONGEST_FIELD = 200
_PLAIN = re.compile(r"[ -~]+", re.ASCII)

Metadata = tuple[tuple[str, str | bytes], ...]


class BadMessage(TallystickError):
    """The message of {method} is not what the contract says: its bytes cannot be read."""

    code = "grpc.bad_message"
    kind = Kind.INVALID


def told_of(error: TallystickError) -> tuple[grpc.StatusCode, str, Metadata]:
    """Return the status, the text and the trailing metadata that tell *error*."""
    status, text = STATUS[error.kind], _cut(error.message, _LONGEST_TEXT)
    retry = "true" if error.kind.retry_helps else "false"
    metadata: list[tuple[str, str | bytes]] = [("tallystick-code", error.code), ("tallystick-retry", retry)]
    field = None if error.field is None else _cut(error.field, _LONGEST_FIELD)
    if field is not None and _PLAIN.fullmatch(field):
        metadata.append(("tallystick-field", field))
    metadata.append(("grpc-status-details-bin", _details(error, status, text, field)))
    return status, text, tuple(metadata)


def _details(error: TallystickError, status: grpc.StatusCode, text: str, field: str | None) -> bytes:
    refusal = Refusal(code=error.code, field=field, rule=text, retry=error.kind.retry_helps)
    packed = Any()
    packed.Pack(refusal)
    whole: bytes = StatusDetails(code=status.value[0], message=text, details=[packed]).SerializeToString()
    return whole


def _cut(text: str, most: int) -> str:
    """Return as much of *text* as *most* bytes hold."""
    return text.encode(errors="replace")[:most].decode(errors="ignore")
