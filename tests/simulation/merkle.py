"""The log by the letter of RFC 6962 §2.1 and of the leaf's description, written for the auditor and nothing else."""

import base64
import hashlib
import struct
from dataclasses import dataclass, field

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

WITH_MORE = {4, 5, 6, 7, 8, 9}
"""The reasons whose leaves are of version 2 always: sweeps, reversals, and the steps of holds."""


@dataclass(slots=True)
class Tree:
    """A Merkle tree that grows; the roots of its complete subtrees, largest first."""

    size: int = 0
    peaks: list[tuple[int, bytes]] = field(default_factory=list)

    def append(self, leaf: bytes) -> None:
        """Add a leaf."""
        width, node = 1, hashlib.sha256(b"\x00" + leaf).digest()
        while self.peaks and self.peaks[-1][0] == width:
            node = hashlib.sha256(b"\x01" + self.peaks.pop()[1] + node).digest()
            width *= 2
        self.peaks.append((width, node))
        self.size += 1

    def root(self) -> bytes:
        """Return the hash of the whole tree."""
        if not self.peaks:
            return hashlib.sha256(b"").digest()
        node = self.peaks[-1][1]
        for _, peak in reversed(self.peaks[:-1]):
            node = hashlib.sha256(b"\x01" + peak + node).digest()
        return node


@dataclass(frozen=True, slots=True)
class Leaf:
    """What a leaf says."""

    book: int
    transfer_id: bytes
    debit: int
    credit: int
    asset: int
    amount: int
    reason: int
    effective_at: int
    recorded_at: int
    message_hash: bytes
    related: bytes
    expires_at: int
    asked: int
    reference: str

    def encode(self) -> bytes:
        """Write it: 99 bytes, or 163 where there is more to say than of a plain transfer."""
        more = self.reason in WITH_MORE or bool(self.reference)
        start = struct.pack(
            ">BI16sqqIqHqq32s", 2 if more else 1, self.book, self.transfer_id, self.debit, self.credit, self.asset,
            self.amount, self.reason, self.effective_at, self.recorded_at, self.message_hash,
        )  # fmt: skip
        if not more:
            return start
        reference = hashlib.sha256(self.reference.encode()).digest() if self.reference else bytes(32)
        return start + struct.pack(">16sqq32s", self.related, self.expires_at, self.asked, reference)


@dataclass(frozen=True, slots=True)
class Seen:
    """A checkpoint as a reader saw it."""

    size: int
    root: bytes


def read_checkpoint(note: str, public_key: str) -> Seen:
    """Check the signature of a checkpoint by *public_key*, ``name+id+base64``, and return what it says."""
    name, _, rest = public_key.partition("+")
    key = base64.b64decode(rest.partition("+")[2])[1:]
    text, _, signatures = note.rpartition("\n\n")
    signed = [line.split(" ") for line in signatures.splitlines()]
    values = [base64.b64decode(value)[4:] for dash, who, value in signed if (dash, who) == ("—", name)]
    assert values, f"no signature by {name}"
    Ed25519PublicKey.from_public_bytes(key).verify(values[0], f"{text}\n".encode())
    origin, size, root = text.split("\n")[:3]
    assert origin == name, origin
    return Seen(int(size), base64.b64decode(root))
