"""
What a log sends to a witness (C2SP tlog-witness), and how a witness judges it.

    old 20852014            the size that the witness is thought to know
    base64 …                the consistency proof from there, a hash a line
                            a blank line
    the signed checkpoint
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from tallystick.errors import Kind, TallystickError
from tallystick.ledger.log import checkpoint as checkpoints
from tallystick.ledger.log.checkpoint import Checkpoint, parse_decimal
from tallystick.ledger.log.note import Verifier, decode_base64, encode_base64
from tallystick.ledger.log.note import parse as parse_note
from tallystick.ledger.log.proofs import verify_consistency
from tallystick.ledger.log.tree import EMPTY_ROOT, HASH_SIZE

MAX_BYTES = 1 << 18
"""How long a submission may be; 63 hashes and 100 signatures are far less."""
_MAX_HASHES = 63
_OLD = "old "


class BadSubmission(TallystickError):
    """The submission to the witness is malformed: {reason}."""

    code = "log.bad_submission"
    kind = Kind.INVALID


class UnknownLog(TallystickError):
    """The witness does not know the log {origin}."""

    code = "log.unknown_log"
    kind = Kind.NOT_FOUND


class StaleSize(TallystickError):
    """The witness knows the log at size {size}; prove that the checkpoint continues that."""

    code = "log.stale_size"
    kind = Kind.CONFLICT

    def __init__(self, size: int) -> None:
        """Carry the size that the witness knows."""
        super().__init__(size=size)
        self.size = size


@dataclass(frozen=True, slots=True)
class Submission:
    """A checkpoint, and the proof that it continues what the witness is thought to know."""

    old: int
    hashes: tuple[bytes, ...]
    checkpoint: bytes
    """The signed note, verbatim."""

    def __bytes__(self) -> bytes:
        """Write the text form."""
        lines = [f"{_OLD}{self.old}", *(encode_base64(value) for value in self.hashes), "", ""]
        return "\n".join(lines).encode() + self.checkpoint


def parse(body: bytes) -> Submission:
    """
    Read a submission without trusting any of it.

    Raises:
        BadSubmission: it is not one (``log.bad_submission``).
    """
    if len(body) > MAX_BYTES:
        raise BadSubmission(reason="it is too long")
    head, blank, checkpoint = body.partition(b"\n\n")
    try:
        first, *lines = head.decode("ascii").split("\n")
        old = parse_decimal(first.removeprefix(_OLD))
        hashes = tuple(decode_base64(line) for line in lines)
    except ValueError as error:
        raise BadSubmission(reason="its old size is not a number, or a hash not base64") from error
    if not blank or not first.startswith(_OLD):
        raise BadSubmission(reason="it does not begin with an old size, or has no blank line")
    if len(hashes) > _MAX_HASHES or any(len(value) != HASH_SIZE for value in hashes):
        raise BadSubmission(reason=f"it has more than {_MAX_HASHES} hashes, or one that is not {HASH_SIZE} bytes long")
    return Submission(old, hashes, checkpoint)


def judge_origin(submission: Submission, logs: Mapping[str, Sequence[Verifier]]) -> Checkpoint:
    """
    Return the checkpoint that was submitted, if it is of a log that is known and signed by one of its keys.

    Raises:
        BadSubmission: the checkpoint is malformed, or smaller than the old size (``log.bad_submission``).
        UnknownLog: its origin is none of *logs* (``log.unknown_log``).
        BadSignature: no key of the log signed it, or a signature of one is false (``log.bad_signature``).
    """
    try:
        said = checkpoints.parse(parse_note(submission.checkpoint).text)
    except TallystickError as error:
        raise BadSubmission(reason=error.message) from error
    if said.origin not in logs:
        raise UnknownLog(origin=said.origin)
    checkpoint = checkpoints.verify(submission.checkpoint, logs[said.origin], said.origin)
    if submission.old > checkpoint.size:
        raise BadSubmission(reason=f"its old size {submission.old} is more than the checkpoint's {checkpoint.size}")
    return checkpoint


def judge_growth(submission: Submission, checkpoint: Checkpoint, known: Checkpoint | None) -> None:
    """
    Find that *checkpoint* continues what the witness cosigned last, None when that is nothing yet.

    Raises:
        StaleSize: the submission starts from another size (``log.stale_size``).
        BadProof: it does not continue it (``log.bad_proof``).
    """
    size, root = (0, EMPTY_ROOT) if known is None else (known.size, known.root)
    if submission.old != size:
        raise StaleSize(size)
    verify_consistency(size, checkpoint.size, root, checkpoint.root, submission.hashes)
