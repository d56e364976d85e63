"""Prove a receipt: put it together from what is kept, with the proof that its transfer is in the log."""

import uuid
from collections import OrderedDict
from dataclasses import dataclass, field

import msgspec

from tallystick.db.queries import Connection, queries_beside
from tallystick.errors import Kind, TallystickError
from tallystick.ledger.log.proofs import inclusion_proof, ranges_for_inclusion
from tallystick.ledger.log.tlog_proof import TlogProof
from tallystick.ledger.model import microseconds
from tallystick.ledger.read_log import fetch_tiles, first_checkpoint_over
from tallystick.receipts.model import FORMAT, Receipt, ReceiptRow, ReceiptTransfer, render

_queries = queries_beside(__file__)
_find_receipt = _queries.tuples("find_receipt")
page_receipts = _queries.rows("page_receipts", ReceiptRow)


class UnknownReceipt(TallystickError):
    """There is no receipt {receipt} in this book."""

    code = "receipts.unknown_receipt"
    kind = Kind.NOT_FOUND


class NotYetProvable(TallystickError):
    """The receipt's transfer is posted but not sealed yet, which takes about a second; try again."""

    code = "receipts.not_yet_provable"
    kind = Kind.UNAVAILABLE


@dataclass(slots=True)
class ReceiptCache:
    """The receipts that this process put together last; a receipt never changes, so none is ever stale."""

    most: int = 10_000
    _files: OrderedDict[tuple[int, uuid.UUID], bytes] = field(default_factory=OrderedDict)

    def find(self, book_id: int, receipt_id: uuid.UUID) -> bytes | None:
        """Return the file, None when it is not here."""
        file = self._files.get((book_id, receipt_id))
        if file is not None:
            self._files.move_to_end((book_id, receipt_id))
        return file

    def keep(self, book_id: int, receipt_id: uuid.UUID, file: bytes) -> None:
        """Remember the file, and forget the one that was not asked for the longest if there are too many."""
        self._files[book_id, receipt_id] = file
        if len(self._files) > self.most:
            self._files.popitem(last=False)


async def prove_receipt(connection: Connection, cache: ReceiptCache, book_id: int, receipt_id: uuid.UUID) -> bytes:
    """
    Return the receipt's file, the same bytes every time: its proof is by the first checkpoint that covers it.

    Raises:
        UnknownReceipt: there is none (``receipts.unknown_receipt``).
        NotYetProvable: its transfer is not sealed yet (``receipts.not_yet_provable``).
    """
    file = cache.find(book_id, receipt_id)
    if file is None:
        file = render(await _put_together(connection, book_id, receipt_id))
        cache.keep(book_id, receipt_id, file)
    return file


async def _put_together(connection: Connection, book_id: int, receipt_id: uuid.UUID) -> Receipt:
    rows = await _find_receipt(connection, book_id, receipt_id)
    if not rows:
        raise UnknownReceipt(field="receipt_id", receipt=receipt_id)
    body, transfer_id, debit, credit, asset_id, amount, reason, effective_at, recorded_at, _, place = rows[0]
    transfer = ReceiptTransfer(
        book_id, uuid.UUID(bytes=transfer_id.bytes), debit, credit, asset_id, amount, reason, effective_at,
        microseconds(recorded_at),
    )  # fmt: skip
    proof = await _prove(connection, book_id, place)
    return Receipt(FORMAT, msgspec.json.decode(body), transfer, bytes(proof).decode())


async def _prove(connection: Connection, book_id: int, place: int | None) -> TlogProof:
    checkpoint = None if place is None else await first_checkpoint_over(connection, book_id, place)
    if place is None or checkpoint is None:
        raise NotYetProvable
    tiles = await fetch_tiles(connection, book_id, ranges_for_inclusion(place, checkpoint.size))
    hashes = inclusion_proof(place, checkpoint.size, tiles)
    return TlogProof(place, tuple(hashes), checkpoint.note.encode())
