"""Recording usage against a plain model: one event after the other, as if there were no batches and nobody else."""

import asyncio
import datetime as dt
import random
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import asyncpg
import pytest

import tallystick.usage.accept as accepting
from tallystick.clock import SystemClock
from tallystick.db.retry import PartitionGone
from tallystick.errors import TallystickError
from tallystick.ledger.accounts import Recorded
from tallystick.ledger.books import find_book
from tallystick.operations.run import Operations
from tallystick.operations.table import TABLE
from tallystick.operations.usage import RecordOutput
from tallystick.security.model import OPERATOR
from tallystick.usage.accept import Judged, SeenUsage, Status, accept
from tallystick.usage.columns import EventColumns, columns_of
from tallystick.usage.model import InvalidEvent, UsageEvent
from tests.conftest import House

AT = dt.datetime(2026, 3, 1, tzinfo=dt.UTC)
FAR_AHEAD = dt.datetime(2999, 1, 1, tzinfo=dt.UTC)
FIELDS = ("customer", "at", "type", "quantities", "dimensions")
Sent = UsageEvent | InvalidEvent


@dataclass
class Plain:
    """What should become of each event, told one by one."""

    stored: dict[str, UsageEvent] = field(default_factory=dict)

    def answer(self, event: Sent) -> tuple[str, str | None]:
        """Return status and field at fault of one more event."""
        if isinstance(event, InvalidEvent):
            return "invalid", event.field
        known = self.stored.get(event.id)
        if known is not None:
            other = next((name for name in FIELDS if getattr(known, name) != getattr(event, name)), None)
            return ("known", None) if other is None else ("conflict", other)
        if event.at == FAR_AHEAD:
            return "invalid", "at"
        if event.dimensions and "undeclared" in event.dimensions:
            return "invalid", "dimensions.undeclared"
        if event.status == 404:
            return "not_billable", None
        self.stored[event.id] = event
        return "accepted", None


def made_up(rng: random.Random) -> Sent:
    """Return some event, whose id others have too, and which is as it should be or not."""
    if rng.random() < 0.1:
        return InvalidEvent("at", "is missing")
    return UsageEvent(
        id=f"{rng.randrange(60)}",
        customer=rng.choice(["a"] * 9 + ["b"]),
        type=rng.choice(["t"] * 9 + ["u"]),
        at=rng.choice([AT] * 16 + [AT.replace(month=5), FAR_AHEAD]),
        quantities={"n": rng.choice([1] * 9 + [2])},
        status=rng.choice([None, 200, 404]),
        dimensions=rng.choice([None] * 8 + [{"region": "eu"}, {"undeclared": "x"}]),
    )


def told(answer: RecordOutput, count: int) -> list[tuple[str, str | None]]:
    """Return status and field of each event."""
    items = {one.item: (one.status.value, one.field) for one in answer.items}
    return [items.get(place, ("accepted", None)) for place in range(count)]


async def declare(house: House) -> None:
    """Declare the one dimension that may be, for both types of events."""
    for type_ in ("t", "u"):
        await house.do("catalog.define_meter", code=f"of-{type_}", name="events", event_type=type_, aggregation="count",
                       group_by=["region"])  # fmt: skip


def others(house: House, count: int) -> list[Operations]:
    """Return what as many processes have, none of which remembers what another does."""
    return [Operations(house.operations.pool, SystemClock(), TABLE) for _ in range(count)]


async def send(operations: Operations, rng: random.Random, events: Sequence[Sent]) -> RecordOutput:
    """Send *events* as one message, by a list or by columns."""
    given = list(events) if rng.random() < 0.5 else columns_of("gateway", events)
    fields = {"source": "gateway", "events": given}
    answer: RecordOutput = await operations.call(OPERATOR, "main", "usage.record", f"m-{rng.random()}", fields)
    return answer


@pytest.mark.parametrize("seed", range(4))
async def test_any_batch_is_answered_as_one_event_after_the_other_would_be(
    house: House, owner: asyncpg.Connection, seed: int
) -> None:
    """Whatever stands in it, how often, in which order, and whatever the process remembers."""
    rng, plain = random.Random(seed), Plain()
    await declare(house)
    processes = others(house, 3)
    for _ in range(25):
        batch = [made_up(rng) for _ in range(rng.randrange(1, 30))]
        wanted = [plain.answer(event) for event in batch]
        assert told(await send(rng.choice(processes), rng, batch), len(batch)) == wanted
    rows = await owner.fetch("SELECT event_id, ref FROM usage_event JOIN customer USING (book_id, customer_id)")
    assert Counter(map(tuple, rows)) == Counter((one.id, one.customer) for one in plain.stored.values())


@pytest.mark.parametrize("seed", range(2))
async def test_processes_that_send_the_same_at_once_store_each_event_once(
    house: House, owner: asyncpg.Connection, seed: int
) -> None:
    """Each id is accepted by one of them, and what it accepted is what is stored."""
    rng = random.Random(seed)
    await declare(house)
    accepted: Counter[str] = Counter()

    async def sending(operations: Operations, batches: Iterator[list[Sent]]) -> None:
        for batch in batches:
            answer = await send(operations, rng, batch)
            for event, (status, _) in zip(batch, told(answer, len(batch)), strict=True):
                if isinstance(event, UsageEvent) and status == "accepted":
                    accepted[event.id] += 1

    await asyncio.gather(
        *(
            sending(operations, iter([[made_up(rng) for _ in range(12)] for _ in range(10)]))
            for operations in others(house, 5)
        )
    )
    stored = Counter(row[0] for row in await owner.fetch("SELECT event_id FROM usage_event"))
    assert stored == accepted
    assert set(stored.values()) == {1}


@dataclass
class Direct:
    """Recording without what runs a transaction again."""

    pool: asyncpg.Pool
    seen: SeenUsage = field(default_factory=SeenUsage)

    async def accept(self, *events: Sent) -> Judged:
        """Record *events* in a transaction."""
        return await self.accept_columns(columns_of("gateway", events))

    async def accept_columns(self, events: EventColumns) -> Judged:
        """Record events in a transaction."""
        async with self.pool.acquire() as connection, connection.transaction():
            book = await find_book(connection, "main")
            return await accept(connection, Recorded(book.book_id, 0, SystemClock().now()), events, self.seen)


def plain_event(identifier: str, customer: str = "a", **fields: Any) -> UsageEvent:  # noqa: ANN401 - any field
    """Return an event that nothing is wrong with."""
    return UsageEvent(identifier, customer, "t", AT, {"n": 1}, **fields)


async def test_a_batch_that_was_refused_is_looked_up_whatever_came_between(house: House) -> None:
    """However many others went through since, a repeat is not tried blindly again until its tries are used up."""
    await Direct(house.operations.pool).accept(plain_event("1"))
    room = Direct(house.operations.pool)
    with pytest.raises(asyncpg.UniqueViolationError):
        await room.accept(plain_event("1"))
    for number in range(40):
        await room.accept(plain_event(f"other {number}"))
    assert room.seen.look_ups == 0
    assert (await room.accept(plain_event("1"))).counts() == {Status.ACCEPTED: 0, Status.KNOWN: 1}
    assert not room.seen.refused


async def test_customers_are_forgotten_under_nobodys_feet(
    house: House, owner: asyncpg.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    """When so many are remembered that all are forgotten, a call that waits for the store meanwhile still knows its own."""
    monkeypatch.setattr(accepting, "_MOST_REMEMBERED", 3)
    room = Direct(house.operations.pool)
    for number in range(2):
        await room.accept(plain_event(f"{number}", "known"))
    assert set(room.seen.customer_ids) == {"known"}
    held = owner.transaction()
    await held.start()
    await owner.execute(
        "INSERT INTO customer (book_id, customer_id, ref, transaction_id, created_at) "
        "VALUES (1, 999, 'new', transaction_order(), now())"
    )
    waiting = asyncio.create_task(room.accept(plain_event("2", "known"), plain_event("3", "new")))
    await until_somebody_waits(owner)
    await room.accept(*(plain_event(f"of {name}", name) for name in ("many", "others", "too")))
    await held.rollback()
    assert not (await waiting).others


async def until_somebody_waits(connection: asyncpg.Connection) -> None:
    """Look until a transaction of this database waits for another."""
    waiting = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"
    async with asyncio.timeout(10):
        while not await connection.fetchval(waiting):
            await connection.execute("SELECT pg_stat_clear_snapshot()")


async def test_nobody_is_remembered_who_was_not_stored_for_good(house: House, owner: asyncpg.Connection) -> None:
    """A customer that was made by a transaction that came to nothing is made by the next."""
    room = Direct(house.operations.pool)

    async def come_to_nothing() -> None:
        async with house.operations.pool.acquire() as connection, connection.transaction():
            book = await find_book(connection, "main")
            events = columns_of("gateway", [plain_event("1", "new")])
            await accept(connection, Recorded(book.book_id, 0, SystemClock().now()), events, room.seen)
            raise TallystickError

    with pytest.raises(TallystickError):
        await come_to_nothing()
    # The month was made by the same transaction: the store says so, and another run makes it.
    with pytest.raises(PartitionGone):
        await room.accept(plain_event("1", "new"))
    await room.accept(plain_event("1", "new"))
    assert await owner.fetchval("SELECT ref FROM usage_event JOIN customer USING (book_id, customer_id)") == "new"


async def test_an_old_event_without_its_content_is_known_when_its_month_has_left(
    house: House, owner: asyncpg.Connection
) -> None:
    """Nothing speaks against it being the same: customer and instant are; those of another are a conflict."""
    await Direct(house.operations.pool).accept(plain_event("1"), plain_event("2"))
    await owner.execute("ALTER TABLE usage_key DISABLE TRIGGER USER")
    await owner.execute("UPDATE usage_key SET content = NULL")
    await owner.execute("ALTER TABLE usage_event_1 DETACH PARTITION usage_event_1_202603")
    room = Direct(house.operations.pool)
    room.seen.look_ups = 1
    judged = await room.accept(plain_event("1"), plain_event("2", "b"))
    assert [(place, one.status.value, one.field) for place, one in sorted(judged.others.items())] == [
        (0, "known", None),
        (1, "conflict", "customer"),
    ]
