"""The log's operations: proofs, and the keys that checkpoints are signed with."""

import datetime as dt
import uuid

import msgspec

from tallystick.ledger.log.checkpoint import MAX_SIZE
from tallystick.ledger.log.note import encode_base64
from tallystick.ledger.log_keys import list_log_keys
from tallystick.ledger.prove import prove_growth, prove_transfer
from tallystick.ledger.read_log import CheckpointNote, KeptCheckpoint
from tallystick.operations.model import Call, Input, NothingInput, Operation


class ProveTransferInput(Input, frozen=True):
    """The id of a transfer."""

    id: uuid.UUID


class TransferProof(msgspec.Struct, frozen=True):
    """
    That a transfer is in the log, for whoever holds the log's public key and nothing else.

    ``proof`` is a C2SP tlog-proof of the entry ``leaf``, written in hexadecimal, at ``place``; it is by the first
    checkpoint that covers it, of ``size`` leaves.
    """

    id: uuid.UUID
    leaf: str
    place: int
    size: int
    proof: str


class ProveConsistencyInput(Input, frozen=True):
    """From which checkpoint to which: the sizes that were signed; ``to`` left out is the newest."""

    from_: int = msgspec.field(name="from")
    to: int | None = None

    def __post_init__(self) -> None:
        """Refuse what no log's size can be."""
        if not 0 < self.from_ <= MAX_SIZE or not 0 < (self.to or 1) <= MAX_SIZE:
            raise ValueError("Expected sizes from 1 to 2^63-1")


class ConsistencyProof(msgspec.Struct, frozen=True):
    """That the log only grew from one checkpoint to the other: the hashes of RFC 6962 §2.1.2 in Base64."""

    older: CheckpointNote
    newer: CheckpointNote
    hashes: list[str]


class LogKeyOutput(msgspec.Struct, frozen=True):
    """
    A key of the log, and the checkpoints that it may have signed.

    They are of more than ``after_size`` leaves, and of ``last_size`` at the most, null while it signs. Until
    ``overlap_until`` the keys before it sign as well.
    """

    number: int
    key: str
    after_size: int
    last_size: int | None
    overlap_until: dt.datetime | None
    made_at: dt.datetime


async def read_transfer_proof(call: Call, request: ProveTransferInput) -> TransferProof:
    """Prove that a transfer is in the log: the same proof every time, which verifies offline."""
    found = await prove_transfer(call.connection, call.book.book_id, request.id)
    return TransferProof(request.id, found.leaf.hex(), found.proof.index, found.size, bytes(found.proof).decode())


async def read_consistency_proof(call: Call, request: ProveConsistencyInput) -> ConsistencyProof:
    """Prove that one checkpoint of the log continues another."""
    found = await prove_growth(call.connection, call.book.book_id, request.from_, request.to)
    hashes = [encode_base64(value) for value in found.hashes]
    return ConsistencyProof(_published(found.old), _published(found.new), hashes)


async def read_log_keys(call: Call, _: NothingInput) -> list[LogKeyOutput]:
    """
    List the keys of the log, oldest first, the newest last.

    Trust none of them on the log's own word: public keys are handed over another way.
    """
    return [
        LogKeyOutput(key.number, key.verifier, key.after_size, key.last_size, key.overlap_until, key.made_at)
        for key in await list_log_keys(call.connection, call.book.book_id)
    ]


def _published(checkpoint: KeptCheckpoint) -> CheckpointNote:
    return CheckpointNote(checkpoint.size, checkpoint.note, checkpoint.signed_at)


OPERATIONS = [
    Operation(
        "ledger.prove_transfer",
        ProveTransferInput,
        TransferProof,
        "ledger:read",
        "GET /transfers/{id}/proof",
        read_transfer_proof,
        reads=True,
    ),
    Operation(
        "ledger.prove_consistency",
        ProveConsistencyInput,
        ConsistencyProof,
        "ledger:read",
        "GET /checkpoint/consistency",
        read_consistency_proof,
        reads=True,
    ),
    Operation(
        "ledger.log_keys",
        NothingInput,
        list[LogKeyOutput],
        "ledger:read",
        "GET /checkpoint/keys",
        read_log_keys,
        reads=True,
    ),
]
