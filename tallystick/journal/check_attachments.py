"""Check attachments: that each message which names one has it, unchanged, for whoever verifies a book."""

from typing import NamedTuple

import msgspec

from tallystick.db.queries import Connection, queries_beside
from tallystick.journal.attach import decompress, digest

_AT_ONCE = 64
"""So many attachments are held in memory at a time."""


class _Attached(NamedTuple):
    """A message that names an attachment, with what is stored of that."""

    transaction_id: int
    place: int
    key: str
    body: bytes
    size: int | None
    content: bytes | None


class _Input(msgspec.Struct):
    """What of a message's input names its attachment."""

    attachment: str


class _Body(msgspec.Struct):
    """A message's body, as far as it is looked at."""

    input: _Input


_attached_between = queries_beside(__file__).rows("attached_between", _Attached)


async def check_attachments(connection: Connection, book_id: int, before: int, last: int) -> list[tuple[int, int, str]]:
    """
    Return transaction, place and key of the messages whose attachments are missing or are not what was sent.

    Of the transactions behind *before* up to *last*, in their order.
    """
    wrong: list[tuple[int, int, str]] = []
    behind = (before, 2**31 - 1)
    while found := await _attached_between(connection, book_id, *behind, last, _AT_ONCE):
        wrong += [(one.transaction_id, one.place, one.key) for one in found if not _is_whole(one)]
        behind = found[-1].transaction_id, found[-1].place
    return wrong


def _is_whole(attached: _Attached) -> bool:
    content = None
    if attached.content is not None and attached.size is not None:
        content = decompress(attached.content, attached.size)
    try:
        wanted = msgspec.json.decode(attached.body, type=_Body).input.attachment
    except (msgspec.DecodeError, UnicodeDecodeError):
        return False
    return content is not None and digest(content) == wanted
