"""Checkpoints (C2SP tlog-checkpoint): a log's name, size and root, as the text of a signed note."""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from tallystick.errors import Kind, TallystickError
from tallystick.ledger.log import note
from tallystick.ledger.log.note import Signer, Verifier
from tallystick.ledger.log.tree import HASH_SIZE

MAX_SIZE = 2**63 - 1
"""The largest size of a log: what a signed 64-bit number holds."""

_DECIMAL = re.compile("0|[1-9][0-9]{0,18}")


class BadCheckpoint(TallystickError):
    """The checkpoint is not acceptable: {reason}."""

    code = "log.bad_checkpoint"
    kind = Kind.INVALID


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """What a log says of itself at one size."""

    origin: str
    """The log's name, unique in the world."""
    size: int
    root: bytes
    extensions: tuple[str, ...] = ()
    """Further lines that others may write; signed, but without meaning here."""

    def __post_init__(self) -> None:
        """Refuse what the text form cannot say (BadCheckpoint)."""
        if not all(line and "\n" not in line for line in (self.origin, *self.extensions)):
            raise BadCheckpoint(reason="its origin or an extension is not one non-empty line")
        if not 0 <= self.size <= MAX_SIZE:
            raise BadCheckpoint(reason="its size is not a number from 0 to 2^63-1")
        if len(self.root) != HASH_SIZE:
            raise BadCheckpoint(reason=f"its root is not a hash of {HASH_SIZE} bytes")

    def __str__(self) -> str:
        """Write the text that is signed, its last newline included."""
        return "\n".join([self.origin, str(self.size), note.encode_base64(self.root), *self.extensions, ""])


def parse(text: str) -> Checkpoint:
    """
    Read the text of a checkpoint's note; only the one canonical spelling is taken.

    Raises:
        BadCheckpoint: it is not one.
    """
    lines = text.split("\n")
    if len(lines) < 4 or lines[-1]:  # noqa: PLR2004 - origin, size, root, and nothing behind the last newline
        raise BadCheckpoint(reason="it is not three lines or more")
    origin, size, root, *extensions = lines[:-1]
    try:
        return Checkpoint(origin, parse_decimal(size), note.decode_base64(root), tuple(extensions))
    except ValueError as error:
        raise BadCheckpoint(reason="its second line is not a number or its third not base64") from error


def sign(checkpoint: Checkpoint, signers: Sequence[Signer]) -> bytes:
    """
    Write a checkpoint as a note signed by each of *signers*.

    Raises:
        BadNote: the origin holds a control character, or nobody signs.
    """
    return note.sign(str(checkpoint), signers)


def verify(signed: bytes, verifiers: Iterable[Verifier], origin: str) -> Checkpoint:
    """
    Read a signed checkpoint of the log called *origin*, if a key of *verifiers* signed it.

    Raises:
        BadNote: it is not a well-formed note.
        BadSignature: no known key signed it, or a signature of one is false.
        BadCheckpoint: its text is not a checkpoint, or one of another log.
        BadKey: two different keys of *verifiers* have the same name and id.
    """
    checkpoint = parse(note.verify(signed, verifiers).text)
    if checkpoint.origin != origin:
        raise BadCheckpoint(reason=f"it is of the log {checkpoint.origin}, not of {origin}")
    return checkpoint


def parse_decimal(text: str) -> int:
    """
    Read a non-negative number as these formats write it: ASCII digits, no leading zero, at most 2^63-1.

    Raises:
        ValueError: it is written otherwise.
    """
    if not _DECIMAL.fullmatch(text) or int(text) > MAX_SIZE:
        raise ValueError("not a decimal number without leading zeros, up to 2^63-1")
    return int(text)
