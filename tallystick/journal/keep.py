"""Keep messages, each once, and find what was kept."""

import datetime as dt
from collections.abc import Sequence
from dataclasses import dataclass

from tallystick.db.queries import Connection, queries_beside
from tallystick.errors import Kind, TallystickError
from tallystick.journal.model import Kept, Message

_queries = queries_beside(__file__)
_find_kept = _queries.rows("find_kept", Kept)
_insert_messages = _queries.run("insert_messages")


class IdReused(TallystickError):
    """The id {key} was used before for a message with other content; take a new id for a new message."""

    code = "journal.id_reused"
    kind = Kind.CONFLICT


@dataclass(frozen=True, slots=True)
class ToKeep:
    """A message with the outcome it is kept with."""

    place: int
    message: Message
    principal: str
    refused: bool
    answer: bytes


async def find_kept(connection: Connection, book_id: int, messages: Sequence[Message]) -> dict[str, Kept]:
    """Return those of *messages* whose keys were kept before, by key; whether the content is the same is not looked at."""
    rows = await _find_kept(connection, book_id, [message.key for message in messages])
    return {row.key: row for row in rows}


async def keep(connection: Connection, book_id: int, kept: Sequence[ToKeep], at: dt.datetime) -> None:
    """Append messages with their outcomes to the journal, in the transaction of the facts they made."""
    await _insert_messages(
        connection,
        book_id,
        [one.place for one in kept],
        [one.message.key for one in kept],
        [one.message.operation for one in kept],
        [one.principal for one in kept],
        [one.message.hash for one in kept],
        [one.message.body for one in kept],
        [one.refused for one in kept],
        at,
        [one.answer for one in kept],
    )


def require_same(kept: Kept, message: Message) -> None:
    """
    Hold a message against the one that was kept under its key.

    Raises:
        IdReused: the content differs (``journal.id_reused``).
    """
    if kept.hash != message.hash:
        raise IdReused(field="id", key=message.key)
