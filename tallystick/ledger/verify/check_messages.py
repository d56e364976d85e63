"""Check messages: that each hashes to what it says, and is of the book, id and operation that it says."""

import datetime as dt
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from tallystick import canonical
from tallystick.db.queries import Connection, queries_beside
from tallystick.ledger.verify.model import Book, Checked, Numbers, StoredBatch

_AT_ONCE = 8_192


class _Message(NamedTuple):
    """A message as it is stored: its body's beginning and end, and what the whole hashes to now."""

    transaction_id: int
    place: int
    key: str
    operation: str
    refused: bool
    recorded_at: dt.datetime
    hash: bytes
    hash_of_body: bytes
    head: bytes
    tail: bytes

    @property
    def row(self) -> str:
        return f"message {self.key!r} (transaction {self.transaction_id}, place {self.place})"


_messages_between = queries_beside(__file__).rows("messages_between", _Message)


@dataclass(frozen=True, slots=True)
class MessageHashes:
    """The messages of the transactions that posted a piece's batches, in order of batch and place."""

    keys: Numbers
    """Which batch, and the place, as one number: ascending."""
    stored: npt.NDArray[np.void]
    computed: npt.NDArray[np.void]
    """What the body hashes to; the same as stored, if nothing was changed."""

    def find(self, ordinals: Numbers, places: Numbers) -> tuple[npt.NDArray[np.intp], npt.NDArray[np.bool_]]:
        """Return which message each transfer names, and whether there is one that was not refused."""
        if not len(self.keys):
            return np.zeros(len(ordinals), np.intp), np.zeros(len(ordinals), np.bool_)
        wanted = _key(ordinals, places)
        at = np.minimum(np.searchsorted(self.keys, wanted), len(self.keys) - 1)
        return at, (self.keys[at] == wanted) & (places >= 0)


def _key(ordinals: Numbers, places: Numbers) -> Numbers:
    return ordinals.astype(np.int64) << 31 | places & 0x7FFFFFFF


async def check_messages(
    connection: Connection, book: Book, checked: Checked, batches: list[StoredBatch], batch_ids: Numbers
) -> MessageHashes:
    """
    Check every message of the piece's part of the order, and return the hashes of those that its batches can name.

    Only the hash of a message's body is left to the server, since bodies can be large.
    """
    piece = checked.piece
    opening = b'{"book":' + canonical.encode(book.name) + b',"id":'
    ordinals, places, stored, computed = [], [], [], []
    behind = (piece.before, 2**31 - 1)
    while True:
        messages = await _messages_between(connection, book.book_id, *behind, piece.last, _AT_ONCE)
        found = np.searchsorted(batch_ids, np.array([one.transaction_id for one in messages], np.int64)).tolist()
        for message, ordinal in zip(messages, found, strict=True):
            batch = batches[ordinal] if ordinal < len(batches) else None
            batch = batch if batch is not None and batch.batch_id == message.transaction_id else None
            _check(checked, opening, message, batch)
            if batch is not None and not message.refused:
                ordinals.append(ordinal)
                places.append(message.place)
                stored.append(message.hash)
                computed.append(message.hash_of_body)
        checked.messages += len(messages)
        if len(messages) < _AT_ONCE:
            break
        behind = messages[-1].transaction_id, messages[-1].place
    keys = _key(np.array(ordinals, np.int64), np.array(places, np.int64))
    return MessageHashes(
        keys, np.frombuffer(b"".join(stored), "V32"), np.frombuffer(b"".join(computed), "V32")
    )  # fmt: skip


def _check(checked: Checked, opening: bytes, message: _Message, batch: StoredBatch | None) -> None:
    def wrong(what: str) -> None:
        checked.findings.add("message", message.row, what, batch_id=message.transaction_id, position=message.place)

    if message.hash != message.hash_of_body:
        wrong("its hash is not that of its body")
    head = opening + canonical.encode(message.key) + b',"input":'
    tail = b',"operation":' + canonical.encode(message.operation) + b"}"
    if not (message.head.startswith(head) and message.tail.endswith(tail)):
        wrong("its body is of another book, id or operation")
    if batch is not None and message.recorded_at != batch.recorded_at:
        wrong("it and its batch were not recorded at the same instant")
