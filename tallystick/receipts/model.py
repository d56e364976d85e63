"""The receipt: a file of JSON whose every byte is bound to a signed checkpoint of the book's log."""

import datetime as dt
import uuid
from typing import Any

import msgspec

from tallystick import canonical

FORMAT = "tallystick-receipt@v1"


class ReceiptTransfer(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The transfer as its leaf in the log has it; times are microseconds since 1970 UTC."""

    book_id: int
    transfer_id: uuid.UUID
    debit_account_id: int
    credit_account_id: int
    asset_id: int
    amount: int
    reason: int
    effective_at: int
    recorded_at: int


class Receipt(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """
    A receipt.

    ``message`` is what the book was told, in whole: the payment, and the invoice down to the usage of each line.
    The transfer's leaf contains the message's hash, and ``proof`` shows the leaf in the log (C2SP tlog-proof).
    """

    format: str
    message: dict[str, Any]
    transfer: ReceiptTransfer
    proof: str


class ReceiptRow(msgspec.Struct, frozen=True):
    """A receipt as it is listed."""

    receipt_id: uuid.UUID
    payment_id: uuid.UUID
    issued_at: dt.datetime


def render(receipt: Receipt) -> bytes:
    """Write the file: the same bytes for the same receipt, laid out to be read."""
    return msgspec.json.format(canonical.encode(msgspec.to_builtins(receipt)), indent=2) + b"\n"
