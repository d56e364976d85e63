"""
Accept: judge usage events and keep those that are billable, each once; the one way usage comes in.

    valid? ─ known, or in conflict? ─ too far ahead? ─ its dimensions declared? ─ billable? ─ accepted

A batch is judged column by column. Which events are known is looked up only where some are likely to be: otherwise the
store is asked to take them, refuses the batch if it has one of them, and the transaction is run again with looking up.
"""

import datetime as dt
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from enum import StrEnum

import asyncpg
import msgspec
import numpy as np
import numpy.typing as npt

from tallystick.catalog.declared import declared_dimensions
from tallystick.db.queries import Connection, queries_beside
from tallystick.db.retry import PartitionGone
from tallystick.ledger.accounts import Recorded
from tallystick.usage.billable import Reason, remembering_judge
from tallystick.usage.columns import Column, EventColumns
from tallystick.usage.compare import Difference, Known, compare_with_earlier, compare_with_known
from tallystick.usage.rule import find_rule
from tallystick.usage.store_events import keep_refused, store_events

_queries = queries_beside(__file__)
_find_known_keys = _queries.tuples("find_known_keys")
_find_customers = _queries.tuples("find_customers")
_make_customers = _queries.run("make_customers")
_ensure_months = _queries.run("ensure_months")

MAX_AHEAD = dt.timedelta(days=1)
"""How far behind the present usage may lie: clocks differ, and nobody uses anything next week."""
_EPOCH = dt.datetime(1970, 1, 1, tzinfo=dt.UTC)
_MICROSECOND = dt.timedelta(microseconds=1)
_MOST_REMEMBERED = 500_000
_LOOK_UPS = 32
"""For so many batches after the last repeat known events are looked up first."""
_MOST_REFUSED = 1_000


class Status(StrEnum):
    """What became of an event; the closed set."""

    ACCEPTED = "accepted"
    KNOWN = "known"
    NOT_BILLABLE = "not_billable"
    CONFLICT = "conflict"
    INVALID = "invalid"


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of one event, and why."""

    status: Status
    reason: str | None = None
    """Why it is not billable, or which rule it breaks."""
    field: str | None = None
    """The field at fault, of one that is invalid or in conflict."""


@dataclass(slots=True)
class Judged:
    """What became of the events of one batch."""

    count: int
    others: dict[int, Outcome]
    """By place, those that were not accepted; all others were."""

    def counts(self) -> Counter[Status]:
        """Count the events by status."""
        counted = Counter(outcome.status for outcome in self.others.values())
        counted[Status.ACCEPTED] = self.count - len(self.others)
        return counted


@dataclass(slots=True)
class SeenUsage:
    """What one process remembers of a book's usage: nothing that could turn out untrue."""

    customer_ids: dict[str, int] = field(default_factory=dict)
    months: set[dt.date] = field(default_factory=set)
    """Months whose partitions were there; one that has left since is made again when the store says so."""
    look_ups: int = 0
    """For how many more batches known events are looked up first."""
    refused: set[bytes] = field(default_factory=set)
    """The first keys of batches that the store refused: those are looked up when they come again, whatever came between."""


_KNOWN = Outcome(Status.KNOWN)
_NOT_BILLABLE = {reason: Outcome(Status.NOT_BILLABLE, reason.value) for reason in Reason}
_TOO_FAR_AHEAD = Outcome(Status.INVALID, "must not lie more than a day ahead of the present", "at")
_DIFFERS = "differs from the event that is stored under the same source and id"
_DIFFERS_SOMEWHERE = (
    "differs in type, quantities or dimensions from the event that is stored under the same source and id"
)
"""In which of them nobody knows: the event itself has left with its month."""


async def accept(connection: Connection, recorded: Recorded, events: EventColumns, seen: SeenUsage) -> Judged:
    """
    Keep those of *events* that are billable and new, and say of each of the others what became of it.

    An event is the same as one that is stored if source and id are the same; that comes before any other judgement
    but that of its shape, and a repeat within *events* is answered as it would be in a later call.

    Raises:
        asyncpg.UniqueViolationError: one of them is stored already; run the transaction again.
        PartitionGone: a month has left meanwhile; run the transaction again.
    """
    customers = _Customers(connection, recorded, seen)
    others = {place: Outcome(Status.INVALID, one.rule, one.field) for place, one in (events.invalid or {}).items()}
    unfit = await _judge_each(connection, recorded, events, others.keys())
    repeats = _repeats(events, others)
    first_key = events.keys[:1].tobytes()
    looks_up = seen.look_ups or first_key in seen.refused
    asked = range(len(events)) if looks_up else sorted({*unfit, *repeats})
    known = await _find_known(
        connection, recorded.book_id, events.keys, [place for place in asked if place not in others]
    )
    others |= unfit
    if known:
        await customers.find(events.customers_at(list(known)))
        fields = await compare_with_known(connection, recorded.book_id, events, known, customers.id_of)
        others.update((place, _of_difference(said)) for place, said in fields.items())
    _answer_repeats(events, repeats, known, others)
    seen.look_ups = _LOOK_UPS if known else max(seen.look_ups - 1, 0)
    accepted = [place for place in range(len(events)) if place not in others] if others else list(range(len(events)))
    if accepted:
        names, _ = events.by_customer
        await customers.make(events.customers_at(accepted) if others else set(names))
        await _store(connection, recorded, events, accepted, customers)
    seen.refused.discard(first_key)
    await _keep_others(connection, recorded, events, others)
    return Judged(len(events), others)


async def _judge_each(
    connection: Connection, recorded: Recorded, events: EventColumns, invalid: Iterable[int]
) -> dict[int, Outcome]:
    """Return those that are not to be stored for what they are themselves."""
    unfit: dict[int, Outcome] = {}
    if events.evidence is not None:
        judge = remembering_judge((await find_rule(connection, recorded.book_id)).compiled)
        for place, (status, resource) in enumerate(events.evidence):
            reason = judge(status, resource)
            if reason is not None:
                unfit[place] = _NOT_BILLABLE[reason]
    if events.dimensions is not None:
        unfit |= await _undeclared(connection, recorded.book_id, events, events.dimensions)
    latest = (recorded.at + MAX_AHEAD - _EPOCH) // _MICROSECOND
    for place in np.flatnonzero(events.at > latest).tolist():
        unfit[place] = _TOO_FAR_AHEAD
    for place in invalid:
        unfit.pop(place, None)
    return unfit


async def _undeclared(
    connection: Connection, book_id: int, events: EventColumns, dimensions: Column[bytes | None]
) -> dict[int, Outcome]:
    declared = await declared_dimensions(connection, book_id)
    judged: dict[tuple[str, bytes], Outcome | None] = {}
    unfit: dict[int, Outcome] = {}
    for place, text in enumerate(dimensions):
        if text is None:
            continue
        type_ = events.types if isinstance(events.types, str) else events.types[place]
        if (type_, text) not in judged:
            names = msgspec.json.decode(text, type=dict[str, str]).keys() - declared.get(type_, frozenset())
            judged[type_, text] = _not_declared(min(names)) if names else None
        outcome = judged[type_, text]
        if outcome is not None:
            unfit[place] = outcome
    return unfit


def _not_declared(name: str) -> Outcome:
    return Outcome(Status.INVALID, "is declared by no meter of this type", f"dimensions.{name}")


def _repeats(events: EventColumns, invalid: dict[int, Outcome]) -> dict[int, list[int]]:
    """Return the places of events whose source and id stand more than once, by the first of each."""
    if not events.has_repeats:
        return {}
    places: dict[bytes, list[int]] = {}
    for place, key in enumerate(events.keys.tolist()):
        if place not in invalid:
            places.setdefault(key, []).append(place)
    found = {several[0]: several for several in places.values() if len(several) > 1}
    return {place: several for several in found.values() for place in several}


def _answer_repeats(
    events: EventColumns, repeats: dict[int, list[int]], known: dict[int, Known], others: dict[int, Outcome]
) -> None:
    """Of events that stand more than once the first that can be stored is; those after it are compared with it."""
    for first, places in repeats.items():
        if first != places[0] or first in known:
            continue
        storable = [place for place in places if place not in others]
        for place in places[places.index(storable[0]) + 1 :] if storable else []:
            said = compare_with_earlier(events, place, storable[0])
            others[place] = _of_difference(said)


def _of_difference(said: Difference) -> Outcome:
    if said == "":
        return _KNOWN
    return Outcome(Status.CONFLICT, _DIFFERS_SOMEWHERE if said is None else _DIFFERS, said)


async def _find_known(
    connection: Connection, book_id: int, keys: npt.NDArray[np.void], places: Sequence[int]
) -> dict[int, Known]:
    """Look up those at *places*; return what is known under their keys."""
    if not places:
        return {}
    wanted = [key.hex() for key in keys[np.array(places)].tolist()]
    # As the text of an array: the driver takes its time over each element of a list.
    rows = await _find_known_keys(connection, book_id, f"{{{','.join(wanted)}}}")
    if not rows:
        return {}
    found = {key.hex: Known(customer_id, at, content and content.bytes) for key, customer_id, at, content in rows}
    return {place: found[key] for place, key in zip(places, wanted, strict=True) if key in found}


async def _store(
    connection: Connection, recorded: Recorded, events: EventColumns, accepted: list[int], customers: "_Customers"
) -> None:
    seen = customers.seen
    places = np.array(accepted)
    months = _months(events.at[places])
    if not months <= seen.months:
        await _ensure_months(connection, recorded.book_id, sorted(months))
        seen.months |= months
    names, codes = events.by_customer
    customer_ids = np.array([customers.id_of(name) or 0 for name in names], np.int64)[codes[places]]
    try:
        await store_events(connection, recorded, events, places, customer_ids)
    except asyncpg.UniqueViolationError:
        seen.look_ups = _LOOK_UPS
        if len(seen.refused) >= _MOST_REFUSED:
            seen.refused.clear()
        seen.refused.add(events.keys[:1].tobytes())
        raise
    except asyncpg.CheckViolationError as error:  # what the store says where there is no partition
        seen.months.clear()
        raise PartitionGone from error


def _months(at: npt.NDArray[np.int64]) -> set[dt.date]:
    """Return the first days of the months of UTC in which instants lie."""
    ends = np.array([at.min(), at.max()]).view("datetime64[us]").astype("datetime64[M]")
    if ends[0] == ends[1]:
        return {ends[0].astype("datetime64[D]").item()}
    return set(np.unique(at.view("datetime64[us]").astype("datetime64[M]")).astype("datetime64[D]").tolist())


async def _keep_others(
    connection: Connection, recorded: Recorded, events: EventColumns, others: dict[int, Outcome]
) -> None:
    """Keep that some were not billable, and what was said under the id of another event."""
    not_billable = [place for place, one in others.items() if one.status is Status.NOT_BILLABLE]
    conflicts = [place for place, one in others.items() if one.status is Status.CONFLICT]
    if not_billable or conflicts:
        reasons = [others[place].reason or "" for place in not_billable]
        fields = [others[place].field for place in conflicts]
        await keep_refused(connection, recorded, events, (not_billable, reasons), (conflicts, fields))


@dataclass(slots=True)
class _Customers:
    """The customers that the events of one call name."""

    connection: Connection
    recorded: Recorded
    seen: SeenUsage
    ids: dict[str, int] = field(init=False)
    """Those remembered; when they become too many, calls under way keep theirs."""
    made: dict[str, int] = field(default_factory=dict)
    """Those that this transaction made: not to be remembered, since it may be rolled back."""

    def __post_init__(self) -> None:
        """Begin with what is remembered."""
        self.ids = self.seen.customer_ids

    def id_of(self, ref: str) -> int | None:
        """Return the id of one that was found or made; None if the book has none of that name."""
        found = self.ids.get(ref)
        return self.made.get(ref) if found is None else found

    async def find(self, refs: set[str]) -> set[str]:
        """Look up those that are not remembered, and return those that the book has not."""
        if len(self.ids) + len(refs) > _MOST_REMEMBERED:
            self.ids = self.seen.customer_ids = {}
        missing = refs - self.ids.keys()
        if missing:
            self.ids.update(await _find_customers(self.connection, self.recorded.book_id, list(missing)))
        return missing - self.ids.keys()

    async def make(self, refs: set[str]) -> None:
        """Make those that the book had not, in order: another transaction that makes some of them waits, or we do."""
        missing = sorted(await self.find(refs))
        if missing:
            await _make_customers(self.connection, self.recorded.book_id, missing, self.recorded.at)
            self.made.update(await _find_customers(self.connection, self.recorded.book_id, missing))
