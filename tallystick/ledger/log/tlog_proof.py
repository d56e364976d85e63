"""Proofs for offline use (C2SP tlog-proof): where an entry stands, its inclusion proof, and the signed checkpoint."""

from collections.abc import Iterable
from dataclasses import dataclass

from tallystick.ledger.log import checkpoint as checkpoints
from tallystick.ledger.log.checkpoint import Checkpoint, parse_decimal
from tallystick.ledger.log.note import Verifier, decode_base64, encode_base64
from tallystick.ledger.log.proofs import BadProof, verify_inclusion
from tallystick.ledger.log.tree import HASH_SIZE

HEADER = "c2sp.org/tlog-proof@v1"

_MAX_HASHES = 63
_MAX_BYTES = 1 << 20


@dataclass(frozen=True, slots=True)
class TlogProof:
    """All that shows, together with the log's key, that an entry is in the log."""

    index: int
    hashes: tuple[bytes, ...]
    """The inclusion proof, the leaf's side first."""
    checkpoint: bytes
    """The signed note, verbatim."""
    extra: bytes = b""
    """Anything; nobody vouches for it."""

    def __bytes__(self) -> bytes:
        """Write the text form."""
        lines = [HEADER]
        if self.extra:
            lines.append(f"extra {encode_base64(self.extra)}")
        lines.append(f"index {self.index}")
        lines.extend(encode_base64(value) for value in self.hashes)
        return "\n".join([*lines, "", ""]).encode() + self.checkpoint


@dataclass(frozen=True, slots=True)
class Verified:
    """What a proof has shown: the entry stands at *index* in the log as *checkpoint* describes it."""

    index: int
    checkpoint: Checkpoint

    @property
    def size(self) -> int:
        """Return how many entries the log had."""
        return self.checkpoint.size


def parse(text: bytes) -> TlogProof:
    """
    Read a proof without trusting any of it; only the one canonical spelling is taken.

    Raises:
        BadProof: it is not one.
    """
    if len(text) > _MAX_BYTES:
        raise BadProof(reason="it is longer than a mebibyte")
    head, blank, checkpoint = text.partition(b"\n\n")
    if not blank:
        raise BadProof(reason="it has no blank line before a checkpoint")
    try:
        return _parse_head(head.decode("ascii").split("\n"), checkpoint)
    except ValueError as error:
        raise BadProof(reason="its index is not a number, or an extra or a hash not base64") from error


def verify(text: bytes, leaf_hash: bytes, verifiers: Iterable[Verifier], origin: str) -> Verified:
    """
    Check that the entry with *leaf_hash* is in the log called *origin*, as one of the keys of *verifiers* signed it.

    Raises:
        BadProof: it is malformed, or the entry does not follow from it.
        BadNote: its checkpoint is not a well-formed note.
        BadSignature: no known key signed its checkpoint, or a signature of one is false.
        BadCheckpoint: its checkpoint is none, or one of another log.
        BadKey: two different keys of *verifiers* have the same name and id.
    """
    proof = parse(text)
    checkpoint = checkpoints.verify(proof.checkpoint, verifiers, origin)
    verify_inclusion(leaf_hash, proof.index, checkpoint.size, proof.hashes, checkpoint.root)
    return Verified(proof.index, checkpoint)


def _parse_head(lines: list[str], checkpoint: bytes) -> TlogProof:
    if lines.pop(0) != HEADER:
        raise BadProof(reason=f"its first line is not {HEADER}")
    extra = b""
    if lines and lines[0].startswith("extra "):
        extra = decode_base64(lines.pop(0).removeprefix("extra "))
        if not extra:
            raise BadProof(reason="its extra line is empty")
    if not lines or not lines[0].startswith("index "):
        raise BadProof(reason="its index is missing")
    index = parse_decimal(lines.pop(0).removeprefix("index "))
    if len(lines) > _MAX_HASHES:
        raise BadProof(reason=f"it has more than {_MAX_HASHES} hashes")
    hashes = tuple(decode_base64(line) for line in lines)
    if any(len(value) != HASH_SIZE for value in hashes):
        raise BadProof(reason=f"a hash in it is not {HASH_SIZE} bytes long")
    return TlogProof(index, hashes, checkpoint, extra)
