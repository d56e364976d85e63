"""The receipts' operations."""

import uuid
from typing import Annotated, Any

import msgspec

from tallystick.operations.model import Call, Input, Operation
from tallystick.receipts.model import ReceiptRow
from tallystick.receipts.prove import page_receipts, prove_receipt

_FIRST = uuid.UUID(int=0)


class ReceiptInput(Input, frozen=True):
    """The id of a receipt."""

    receipt_id: uuid.UUID


class ReceiptsPageInput(Input, frozen=True):
    """Which page of receipts: those behind the cursor."""

    after: uuid.UUID = _FIRST
    limit: Annotated[int, msgspec.Meta(ge=1, le=1000)] = 100


class ReceiptsPage(msgspec.Struct, frozen=True):
    """Receipts in order of id; ``next`` is the cursor of the page behind, null on the last."""

    items: list[ReceiptRow]
    next: uuid.UUID | None


async def get_receipt(call: Call, request: ReceiptInput) -> msgspec.Raw:
    """Return a receipt (getReceipt) with its proof: the same file every time, which verifies offline."""
    return msgspec.Raw(await prove_receipt(call.connection, call.book.book_id, request.receipt_id))


async def list_receipts(call: Call, request: ReceiptsPageInput) -> ReceiptsPage:
    """Return a page of receipts."""
    found = await page_receipts(call.connection, call.book.book_id, request.after, request.limit + 1)
    items = found[: request.limit]
    return ReceiptsPage(items, items[-1].receipt_id if len(found) > request.limit else None)


OPERATIONS = [
    Operation(
        "receipts.get",
        ReceiptInput,
        dict[str, Any],
        "receipts:read",
        "GET /receipts/{receipt_id}",
        get_receipt,
        reads=True,
        lasts=True,
    ),
    Operation(
        "receipts.list", ReceiptsPageInput, ReceiptsPage, "receipts:read", "GET /receipts", list_receipts, reads=True
    ),
]
