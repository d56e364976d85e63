"""Prove a receipt: put it together from what is kept, with the proof that its transfer is in the log."""

import uuid
from collections import OrderedDict

import msgspec

from tallystick.db.queries import Connection, queries_beside
from tallystick.errors import Kind, TallystickError
from tallystick.ledger.log.proofs import inclusion_proof, ranges_for_inclusion
from tallystick.ledger.log.tiles import Tile
from tallystick.ledger.log.tlog_proof import TlogProof
from tallystick.ledger.model import microseconds
from tallystick.ledger.read_log import fetch_tiles
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


async def prove_receipt(connection: Connection, book_id: int, receipt_id: uuid.UUID) -> bytes:
    """
    Return the receipt's file, the same bytes every time: its proof is by the first checkpoint that covers it.

    Raises:
        UnknownReceipt: there is none (``receipts.unknown_receipt``).
        NotYetProvable: its transfer is not sealed yet (``receipts.not_yet_provable``).
    """
    return render(await _put_together(connection, book_id, receipt_id))


async def _put_together(connection: Connection, book_id: int, receipt_id: uuid.UUID) -> Receipt:
    rows = await _find_receipt(connection, book_id, receipt_id)
    if not rows:
        raise UnknownReceipt(field="receipt_id", receipt=receipt_id)
    body, transfer_id, debit, credit, asset_id, amount, reason, effective_at, recorded_at, place, *covering = rows[0]
    transfer = ReceiptTransfer(
        book_id, transfer_id, debit, credit, asset_id, amount, reason, effective_at,
        microseconds(recorded_at),
    )  # fmt: skip
    size, root, note = covering
    if size is None:
        raise NotYetProvable
    hashes = inclusion_proof(place, size, await _fetch_tiles(connection, book_id, root, place, size))
    proof = TlogProof(place, tuple(hashes), note.encode())
    return Receipt(FORMAT, msgspec.json.decode(body), transfer, bytes(proof).decode())


_MOST_TILES = 512
_tiles: OrderedDict[tuple[bytes, Tile], bytes] = OrderedDict()
"""Tiles under the root that they are part of, which is what makes them the same for ever; receipts of a moment share them."""


async def _fetch_tiles(connection: Connection, book_id: int, root: bytes, place: int, size: int) -> dict[Tile, bytes]:
    """Return the tiles that prove a place under a checkpoint: those that no receipt needed just before are read."""
    wanted = list(ranges_for_inclusion(place, size))
    missing = [tile for tile in wanted if (root, tile) not in _tiles]
    found = {tile: _tiles[root, tile] for tile in wanted if (root, tile) in _tiles}
    if missing:
        found |= await fetch_tiles(connection, book_id, missing)
        for tile in missing:
            _tiles[root, tile] = found[tile]
        while len(_tiles) > _MOST_TILES:
            _tiles.popitem(last=False)
    return found
