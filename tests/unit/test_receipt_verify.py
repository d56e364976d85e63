"""A receipt is checked with the log's public key alone."""

import hashlib
import uuid

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tallystick import canonical
from tallystick.errors import TallystickError
from tallystick.ledger.encode_leaf import PREFIXED_BYTES, encode_leaves
from tallystick.ledger.log import checkpoint as checkpoints
from tallystick.ledger.log.checkpoint import Checkpoint
from tallystick.ledger.log.note import Signer
from tallystick.ledger.log.proofs import inclusion_proof, ranges_for_inclusion
from tallystick.ledger.log.tlog_proof import TlogProof
from tallystick.ledger.log.tree import HASH_SIZE, Frontier, leaf_hashes
from tallystick.ledger.model import Reason, transfers
from tallystick.receipts.issue import receipt_id_of, transfer_id_of
from tallystick.receipts.model import FORMAT, Receipt, ReceiptTransfer, render
from tallystick.receipts.verify import verify_receipt

SIGNER = Signer.from_seed("example.test/tallystick/main", bytes(32))
KEY = str(SIGNER.verifier)
ANOTHER_KEY = str(Signer.from_seed("example.test/tallystick/main", bytes(31) + b"\x01").verifier)
PAYMENT_ID = uuid.UUID(int=7)
TRANSFER_ID = transfer_id_of(PAYMENT_ID)
SIZE, PLACE = 5, 3


def a_receipt(
    operation: str = "payments.settle", reason: Reason = Reason.PAYMENT_SETTLE, stated: int = 1250, paid: int = 1250
) -> bytes:
    """Issue a receipt of 12.50 in a log of five transfers."""
    statement = {
        "receipt_id": str(receipt_id_of(PAYMENT_ID)),
        "payment": {"payment_id": str(PAYMENT_ID), "user": "ada", "amount": paid, "asset": "USD"},
        "transfer": {
            "transfer_id": str(TRANSFER_ID),
            "amount": stated,
            "debit_account_id": 4,
            "credit_account_id": 9,
        },
        "invoice": {
            "number": "INV-000001",
            "asset": "USD",
            "lines": [{"explanation": "12 requests × 0.10 USD", "events": 12}],
        },
    }
    message = {
        "book": "main",
        "id": "settle:1",
        "operation": operation,
        "input": {"payment_id": str(PAYMENT_ID), "statement": statement},
    }
    batch = transfers(SIZE)
    batch["amount"], batch["debit_account_id"], batch["credit_account_id"] = 1250, 4, 9
    batch["asset_id"], batch["reason"] = 1, reason
    batch["transfer_id"][PLACE] = TRANSFER_ID.bytes
    hashes = np.frombuffer(hashlib.sha256(canonical.encode(message)).digest(), "V32")
    leaves = leaf_hashes(encode_leaves(1, batch, 1_700_000_000_000_000, hashes), PREFIXED_BYTES)
    frontier = Frontier()
    frontier.append(leaves)
    tiles = {tile: leaves[: tile.width * HASH_SIZE] for tile in ranges_for_inclusion(PLACE, SIZE)}
    note = checkpoints.sign(Checkpoint(SIGNER.verifier.name, SIZE, frontier.root()), [SIGNER])
    proof = TlogProof(PLACE, tuple(inclusion_proof(PLACE, SIZE, tiles)), note)
    row = ReceiptTransfer(
        1, TRANSFER_ID, 4, 9, 1, 1250, int(reason), int(batch["effective_at"][0]), 1_700_000_000_000_000
    )
    return render(Receipt(FORMAT, message, row, bytes(proof).decode()))


GOOD = a_receipt()


def test_a_receipt_verifies_with_the_public_key_alone() -> None:
    """Holder and key are enough: the statement and the place in the log come out."""
    verified = verify_receipt(GOOD, KEY)
    assert (verified.place, verified.size) == (PLACE, SIZE)
    assert verified.statement["payment"]["user"] == "ada"


def test_no_byte_can_be_changed() -> None:
    """Whichever byte is changed, and to whatever neighbour, the receipt fails."""
    for place in range(len(GOOD)):
        changed = bytearray(GOOD)
        changed[place] ^= 1
        with pytest.raises(TallystickError):
            verify_receipt(bytes(changed), KEY)


@given(place=st.integers(0, len(GOOD) - 1), value=st.integers(0, 255))
def test_no_byte_can_be_set_to_another(place: int, value: int) -> None:
    """The same for any other value of any byte."""
    changed = bytearray(GOOD)
    if changed[place] == value:
        return
    changed[place] = value
    with pytest.raises(TallystickError):
        verify_receipt(bytes(changed), KEY)


@given(st.binary(max_size=300))
def test_anything_else_is_refused(file: bytes) -> None:
    """Any other bytes give an error of ours, never a crash."""
    with pytest.raises(TallystickError):
        verify_receipt(file, KEY)


@pytest.mark.parametrize(
    ("what", "file", "key", "code"),
    [
        ("another key", GOOD, ANOTHER_KEY, "log.bad_signature"),
        ("cut short", GOOD[:-20], KEY, "receipts.bad_receipt"),
        ("laid out otherwise", GOOD.replace(b"\n", b""), KEY, "receipts.bad_receipt"),
        ("a second amount", GOOD.replace(b'"amount": 1250', b'"amount": 1,\n"amount": 1250', 1), KEY, "receipts.bad_receipt"),
        ("of another operation", a_receipt(operation="ledger.transfer"), KEY, "receipts.bad_receipt"),
        ("of another reason", a_receipt(reason=Reason.TRANSFER), KEY, "receipts.bad_receipt"),
        ("that states another amount", a_receipt(stated=9250), KEY, "receipts.bad_receipt"),
        ("that states another payment", a_receipt(paid=9250), KEY, "receipts.bad_receipt"),
        ("not a key", GOOD, "nonsense", "log.bad_key"),
    ],
)  # fmt: skip
def test_what_does_not_hold_is_refused(what: str, file: bytes, key: str, code: str) -> None:
    """A receipt that is not what it says it is fails, and the code says why."""
    with pytest.raises(TallystickError) as refused:
        verify_receipt(file, key)
    assert refused.value.code == code, what
