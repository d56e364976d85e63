"""
Correct: amend or void usage by a later fact.

    valid? ─ named once? ─ known? ─ not void? ─ its month there? ─ other than before? ─ corrected

What was recorded stays. A void appends the event once more with the opposite sign; an amendment does so too, and puts
the new content in its place, at the same instant and of the same customer.
"""

import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from enum import StrEnum
from typing import Any, Literal, NamedTuple

import msgspec

from tallystick.catalog.declared import declared_dimensions
from tallystick.db.queries import Connection, queries_beside
from tallystick.db.retry import OrderLost
from tallystick.ids import id_of_content
from tallystick.ledger.accounts import Recorded
from tallystick.usage.model import InvalidEvent, Quantity, write_quantities

_queries = queries_beside(__file__)
_lock_bucket = _queries.run("lock_bucket")
_read_order = _queries.value("read_order")
_find_current = _queries.tuples("find_current")
_take_back = _queries.run("take_back")
_put_in_place = _queries.run("put_in_place")
_insert_corrections = _queries.run("insert_corrections")

_BUCKETS = 64
"""Events are locked by bucket: a lock for each of a thousand would fill the table of locks."""
_encode = msgspec.json.Encoder(decimal_format="string", order="sorted").encode

Kind = Literal["amend", "void"]


class CorrectionStatus(StrEnum):
    """What became of one correction; the closed set."""

    CORRECTED = "corrected"
    KNOWN = "known"
    UNKNOWN_EVENT = "unknown_event"
    ALREADY_VOID = "already_void"
    UNCHANGED = "unchanged"
    INVALID = "invalid"


@dataclass(frozen=True, slots=True)
class CorrectionOutcome:
    """What became of one correction, and why."""

    status: CorrectionStatus
    reason: str | None = None
    field: str | None = None


@dataclass(frozen=True, slots=True)
class Wanted:
    """The event to correct and, of an amendment, what it shall say; None: as before."""

    id: str
    quantities: Mapping[str, Quantity] | None = None
    dimensions: Mapping[str, str] | None = None


class _Current(NamedTuple):
    """An event as it stands."""

    key: uuid.UUID
    at: Any
    type: str | None
    """None: its month is not there."""
    quantities: str
    dimensions: str | None
    order: int | None
    """Where in the order of transactions it was recorded or corrected last."""
    corrected: Kind | None
    """How it was corrected last; None: never."""


_CORRECTED = CorrectionOutcome(CorrectionStatus.CORRECTED)
_KNOWN = CorrectionOutcome(CorrectionStatus.KNOWN)
_UNKNOWN = CorrectionOutcome(CorrectionStatus.UNKNOWN_EVENT, "is no event of this source", "id")
_VOID = CorrectionOutcome(CorrectionStatus.ALREADY_VOID, "was taken back; send the usage anew under another id", "id")
_UNCHANGED = CorrectionOutcome(CorrectionStatus.UNCHANGED, "says the same already")
_TWICE = CorrectionOutcome(CorrectionStatus.INVALID, "is named twice in one request", "id")


async def correct(
    connection: Connection,
    recorded: Recorded,
    kind: Kind,
    source: str,
    reason: str,
    given: Sequence[Wanted | InvalidEvent],
) -> list[CorrectionOutcome]:
    """
    Amend or void each event, and say in the same order what became of it.

    Two who correct one event at once do so one after the other.

    Raises:
        OrderLost: one was corrected by a transaction ordered behind this one; run the transaction again.
    """
    keys = [None if isinstance(one, InvalidEvent) else id_of_content([source, one.id]) for one in given]
    named = [key for key in keys if key is not None]
    for bucket in sorted({key.int % _BUCKETS for key in named}):
        await _lock_bucket(connection, recorded.book_id, bucket)
    current = {row[0]: _Current(*row) for row in await _find_current(connection, recorded.book_id, _array(named))}
    declared = await declared_dimensions(connection, recorded.book_id)
    outcomes: list[CorrectionOutcome] = []
    taken: dict[uuid.UUID, Wanted] = {}
    for one, key in zip(given, keys, strict=True):
        if isinstance(one, InvalidEvent):
            outcome = CorrectionOutcome(CorrectionStatus.INVALID, one.rule, one.field)
        elif key is None or key in taken:
            outcome = _TWICE
        else:
            outcome = _judge(kind, one, current.get(key), declared)
            if outcome is _CORRECTED:
                taken[key] = one
        outcomes.append(outcome)
    if taken:
        await _require_last(connection, [current[key] for key in taken])
        await _write(connection, recorded, kind, reason, taken, current)
    return outcomes


def _judge(
    kind: Kind, wanted: Wanted, current: _Current | None, declared: Mapping[str, frozenset[str]]
) -> CorrectionOutcome:
    if current is None:
        return _UNKNOWN
    if current.corrected == "void":
        return _KNOWN if kind == "void" else _VOID
    if current.type is None:
        month = current.at.strftime("%Y-%m")
        rule = f"lies in {month}, which is not attached; attach that month first"
        return CorrectionOutcome(CorrectionStatus.INVALID, rule, "id")
    return _CORRECTED if kind == "void" else _judge_content(wanted, current, declared.get(current.type, frozenset()))


def _judge_content(wanted: Wanted, current: _Current, declared: frozenset[str]) -> CorrectionOutcome:
    names = (wanted.dimensions or {}).keys() - declared
    if names:
        field = f"dimensions.{min(names)}"
        return CorrectionOutcome(CorrectionStatus.INVALID, "is declared by no meter of this type", field)
    if _says(current, wanted):
        return _KNOWN if current.corrected == "amend" else _UNCHANGED
    return _CORRECTED


def _says(current: _Current, wanted: Wanted) -> bool:
    """Say whether the event says already what is wanted; numbers are compared by value."""
    quantities: dict[str, int | str] = msgspec.json.decode(current.quantities)
    dimensions: dict[str, str] = msgspec.json.decode(current.dimensions) if current.dimensions else {}
    same = wanted.quantities is None or (
        quantities.keys() == wanted.quantities.keys()
        and all(Decimal(quantities[name]) == Decimal(wanted.quantities[name]) for name in quantities)
    )
    return same and (wanted.dimensions is None or dimensions == wanted.dimensions)


async def _require_last(connection: Connection, corrected: Sequence[_Current]) -> None:
    order: int = await _read_order(connection)
    if any(one.order is not None and one.order >= order for one in corrected):
        raise OrderLost


async def _write(
    connection: Connection,
    recorded: Recorded,
    kind: Kind,
    reason: str,
    taken: Mapping[uuid.UUID, Wanted],
    current: Mapping[uuid.UUID, _Current],
) -> None:
    keys = sorted(taken)
    book_id, place = recorded.book_id, recorded.message_place
    await _take_back(connection, book_id, place, _array(keys))
    if kind == "amend":
        contents = [_content(taken[key], current[key]) for key in keys]
        quantities, dimensions = [one for one, _ in contents], [other for _, other in contents]
        await _put_in_place(connection, book_id, place, _array(keys), quantities, dimensions)
    await _insert_corrections(connection, book_id, place, kind, reason, recorded.at, _array(keys))


def _content(wanted: Wanted, current: _Current) -> tuple[str, str | None]:
    """Write the new content; what is not said stays as it is."""
    quantities = current.quantities if wanted.quantities is None else write_quantities(wanted.quantities).decode()
    if wanted.dimensions is None:
        return quantities, current.dimensions
    return quantities, _encode(wanted.dimensions).decode() if wanted.dimensions else None


def _array(keys: Sequence[uuid.UUID]) -> str:
    """Write keys as the text of an array: the driver takes its time over each element of a list."""
    return f"{{{','.join(key.hex for key in keys)}}}"
