"""Trouble: why payments did not go on at the last try, kept until they do."""

import datetime as dt
import uuid
from collections.abc import Sequence
from typing import NamedTuple

import msgspec

from tallystick.db.queries import Connection, queries_beside

_queries = queries_beside(__file__)
_note_trouble = _queries.run("note_trouble")
_end_trouble = _queries.run("end_trouble")


class Trouble(NamedTuple):
    """What is in a payment's way."""

    payment_id: uuid.UUID
    code: str
    """Of the error."""
    message: str


class StuckPayment(msgspec.Struct, frozen=True):
    """A payment that did not go on when it was last tried."""

    payment_id: uuid.UUID
    code: str
    """Of the error."""
    message: str
    tries: int
    """How often it did not go on since it last did."""
    since: dt.datetime
    last_tried_at: dt.datetime


list_stuck = _queries.rows("list_stuck", StuckPayment)


async def note_trouble(connection: Connection, book_id: int, at: dt.datetime, troubles: Sequence[Trouble]) -> None:
    """Keep why payments did not go on."""
    columns = [one.payment_id for one in troubles], [one.code for one in troubles], [one.message for one in troubles]
    await _note_trouble(connection, book_id, at, *columns)


async def end_trouble(connection: Connection, book_id: int, payment_ids: Sequence[uuid.UUID]) -> None:
    """Forget why payments did not go on: they did."""
    await _end_trouble(connection, book_id, list(payment_ids))
