"""Verify a receipt: offline, with nothing but the file and the log's public key."""

import hashlib
import uuid
from dataclasses import dataclass
from typing import Any

import msgspec
import numpy as np

from tallystick import canonical
from tallystick.errors import Kind, TallystickError
from tallystick.ledger.encode_leaf import encode_leaves
from tallystick.ledger.log import tlog_proof
from tallystick.ledger.log.note import parse_keys
from tallystick.ledger.model import Reason, transfers
from tallystick.receipts.issue import receipt_id_of, transfer_id_of
from tallystick.receipts.model import FORMAT, Receipt, ReceiptTransfer, render

MOST_BYTES = 4 * 2**20


class BadReceipt(TallystickError):
    """The receipt does not hold: {reason}."""

    code = "receipts.bad_receipt"
    kind = Kind.INVALID


@dataclass(frozen=True, slots=True)
class VerifiedReceipt:
    """What a receipt has shown to be in the log."""

    receipt: Receipt
    place: int
    size: int
    """How many transfers the log held when the checkpoint was signed."""

    @property
    def statement(self) -> dict[str, Any]:
        """Return what the receipt says of payment and invoice."""
        statement: dict[str, Any] = self.receipt.message["input"]["statement"]
        return statement


def verify_receipt(file: bytes, key: str) -> VerifiedReceipt:
    """
    Check a receipt's file against the log's public *key* (a verifier key as in C2SP signed-note), or keys, one a line.

    No byte of the file can be changed: its layout is fixed, the transfer and the hash of the message are in the
    log's leaf, the statement is in the message, and the leaf is under the root that the key signed.

    Raises:
        BadReceipt: it is not a receipt, or says something that is not in the log (``receipts.bad_receipt``).
        TallystickError: its proof does not hold (``log.…``).
    """
    verifiers = parse_keys(key)
    receipt = _read(file)
    leaf_hash = hashlib.sha256(_leaf_of(receipt)).digest()
    verified = tlog_proof.verify(receipt.proof.encode(), leaf_hash, verifiers, verifiers[0].name)
    _require_statement(receipt)
    return VerifiedReceipt(receipt, verified.index, verified.size)


def _read(file: bytes) -> Receipt:
    if len(file) > MOST_BYTES:
        raise BadReceipt(reason="the file is too large for a receipt")
    try:
        receipt = msgspec.json.decode(file, type=Receipt)
        same = render(receipt) == file
    except (msgspec.MsgspecError, UnicodeError, TypeError, RecursionError) as error:
        raise BadReceipt(reason=f"the file cannot be read: {error}") from error
    if receipt.format != FORMAT:
        raise BadReceipt(reason=f"its format is not {FORMAT}")
    if not same:
        raise BadReceipt(reason="the file is not laid out as it was issued")
    return receipt


def _leaf_of(receipt: Receipt) -> bytes:
    """Encode the leaf anew, from the transfer and the message as the file has them."""
    given = receipt.transfer
    batch = transfers(1)
    try:
        for column in ReceiptTransfer.__struct_fields__:
            if column not in {"book_id", "transfer_id", "recorded_at"}:
                batch[column] = getattr(given, column)
        batch["transfer_id"] = given.transfer_id.bytes
        message_hash = np.frombuffer(hashlib.sha256(canonical.encode(receipt.message)).digest(), "V32")
        return encode_leaves(given.book_id, batch, given.recorded_at, message_hash)
    except (OverflowError, TypeError) as error:
        raise BadReceipt(reason="its transfer has a number that no transfer can have") from error


def _require_statement(receipt: Receipt) -> None:
    """Hold what the receipt says for people against the transfer that is proven."""
    given = receipt.transfer
    message = receipt.message
    if message.get("operation") != "payments.settle" or given.reason != Reason.PAYMENT_SETTLE:
        raise BadReceipt(reason="its transfer does not settle a payment")
    try:
        said = message["input"]["statement"]
        payment, transfer, invoice = said["payment"], said["transfer"], said["invoice"]
        payment_id = uuid.UUID(payment["payment_id"])
        pairs: list[tuple[object, object]] = [
            (message["input"]["payment_id"], str(payment_id)),
            (payment["amount"], given.amount),
            (payment["asset"], invoice["asset"]),
            (said["receipt_id"], str(receipt_id_of(payment_id))),
            (transfer["transfer_id"], str(transfer_id_of(payment_id))),
            (transfer["transfer_id"], str(given.transfer_id)),
            (transfer["amount"], given.amount),
            (transfer["debit_account_id"], given.debit_account_id),
            (transfer["credit_account_id"], given.credit_account_id),
        ]
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise BadReceipt(reason="its statement does not name payment, transfer and invoice") from error
    if any(stated != proven for stated, proven in pairs):
        raise BadReceipt(reason="its statement and its transfer differ")
