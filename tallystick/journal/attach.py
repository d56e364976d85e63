"""Attach to a message what is too large to be JSON, and read it again."""

import hashlib

from tallystick.db.queries import Connection, queries_beside
from tallystick.errors import Kind, TallystickError

_queries = queries_beside(__file__)
_insert_attachment = _queries.run("insert_attachment")
_find_attachment = _queries.tuples("find_attachment")

LARGEST = 1 << 26
"""No attachment is larger than this, before it is compressed."""
_LEVEL = 1
"""The columns that are attached hardly become smaller with more effort."""


class AttachmentChanged(TallystickError):
    """The attachment of the message at place {place} of transaction {transaction} is missing, or is not what was sent."""

    code = "journal.attachment_changed"
    kind = Kind.INTERNAL


def digest(content: bytes) -> str:
    """Return what a message's body names its attachment by: the SHA-256 of the content, in hexadecimal."""
    return hashlib.sha256(content).hexdigest()


async def attach(connection: Connection, book_id: int, place: int, content: bytes) -> None:
    """Keep *content* with the message at *place* of the present transaction."""
    await _insert_attachment(connection, book_id, place, len(content), _compress(content))


async def read_attachment(connection: Connection, book_id: int, transaction_id: int, place: int, wanted: str) -> bytes:
    """
    Return what was attached to a message, whose body names it by the digest *wanted*.

    Raises:
        AttachmentChanged: it is not there, or is something else (``journal.attachment_changed``).
    """
    content = None
    for size, compressed in await _find_attachment(connection, book_id, transaction_id, place):
        content = decompress(compressed, size)
    if content is None or digest(content) != wanted:
        raise AttachmentChanged(transaction=transaction_id, place=place)
    return content


def _compress(content: bytes) -> bytes:
    import pyarrow as pa  # noqa: PLC0415 - it takes a third of a second to load, which only files of transfers shall pay

    compressed: bytes = pa.Codec("zstd", compression_level=_LEVEL).compress(content, asbytes=True)
    return compressed


def decompress(compressed: bytes, size: int) -> bytes | None:
    """Return the content, None if *compressed* is not a frame of that many bytes."""
    import pyarrow as pa  # noqa: PLC0415 - see above

    if not 0 < size <= LARGEST:
        return None
    try:
        content: bytes = pa.decompress(compressed, size, codec="zstd", asbytes=True)
    except (OSError, pa.ArrowException):
        return None
    return content
