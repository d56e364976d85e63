"""The handshake: which protocols the two sides have (Avro specification 1.12, "Protocol Wire Format")."""

from dataclasses import dataclass
from enum import IntEnum

from tallystick.api.avro.binary import read_long, read_metadata, read_string, write_optional
from tallystick.api.avro.errors import BadHandshake

HASH_SIZE = 16


class Match(IntEnum):
    """What a server knows; the numbers are those of the symbols."""

    BOTH = 0
    CLIENT = 1
    NONE = 2


@dataclass(frozen=True, slots=True)
class HandshakeRequest:
    """What a client says of itself, and guesses of the server."""

    client_hash: bytes
    client_protocol: str | None
    server_hash: bytes
    metadata: dict[str, bytes]


def read_handshake(data: bytes) -> tuple[HandshakeRequest, int]:
    """
    Read the handshake at the head of a call; return it, and where it ends.

    Raises:
        BadHandshake: there is none (``avro.bad_handshake``).
    """
    try:
        at = HASH_SIZE
        protocol: str | None = None
        metadata: dict[str, bytes] = {}
        branch, at = read_long(data, at)
        if _is_given(branch):
            protocol, at = read_string(data, at)
        server_hash, at = data[at : at + HASH_SIZE], at + HASH_SIZE
        branch, at = read_long(data, at)
        if _is_given(branch):
            metadata, at = read_metadata(data, at)
    except (IndexError, ValueError) as error:
        raise BadHandshake(rule=f"it cannot be read ({error})") from error
    return HandshakeRequest(data[:HASH_SIZE], protocol, server_hash, metadata), at


def write_handshake(match: Match, server_hash: bytes, server_protocol: str) -> bytes:
    """Answer a handshake; the server's own protocol goes along unless the client has it."""
    if match is Match.BOTH:
        return b"\0\0\0\0"
    return bytes((match << 1,)) + write_optional(server_protocol) + b"\2" + server_hash + b"\0"


def _is_given(branch: int) -> bool:
    if branch not in {0, 1}:
        raise ValueError(f"{branch} is no branch of a union of two")
    return branch == 1
