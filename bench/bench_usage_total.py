"""
Month totals of one customer and meter out of 20 million stored events, while some more are not folded yet.

The events are written straight into the store, a year of them in the order of time; the totals are made by the
product's own fold. Asked is the operation, with all that belongs to it. BENCH_EVENTS sets another number of events.
Filling the store takes most of the time: with BENCH_STORE, a directory, it stays there, and the next run only asks.
"""

import contextlib
import datetime as dt
import os
import random
import tempfile
import time
from pathlib import Path

import asyncpg

from bench.table import Report, Result
from tallystick.clock import SystemClock
from tallystick.db.connect import open_pool
from tallystick.db.embedded import serving
from tallystick.db.migrate import migrate
from tallystick.ledger.books import open_book
from tallystick.operations.run import Operations
from tallystick.operations.table import TABLE
from tallystick.operations.work_totals import fold_behind
from tallystick.security.model import OPERATOR

IDS = ("usage_month_total",)
EVENTS = int(os.environ.get("BENCH_EVENTS", "20000000"))
CUSTOMERS = 1_000
A_LOT = "customer 1"
"""This one makes a tenth of all events."""
_AT_ONCE = 100_000
_BEHIND = 5_000
_ASKED = 1_000
_YEAR = 2025
_START = dt.datetime(_YEAR, 1, 1, tzinfo=dt.UTC)
_SECONDS = 365 * 86_400

_CUSTOMERS_SQL = (
    "INSERT INTO tallystick.customer (book_id, customer_id, ref, transaction_id, created_at) "
    "SELECT 1, number, 'customer ' || number, tallystick.transaction_order(), now() FROM generate_series(1, $1::integer) AS number"
)
_MONTHS_SQL = (
    "SELECT tallystick.ensure_usage_months(1, array_agg(month::date)) "
    "FROM generate_series($1::timestamp, $1 + interval '11 months', '1 month') AS month"
)
_EVENTS_SQL = (
    "INSERT INTO tallystick.usage_event (book_id, customer_id, occurred_at, transaction_id, event_key, message_place, "
    "sign, type, source, event_id, quantities, dimensions) "
    "SELECT 1, CASE WHEN number % 10 = 0 THEN 1 ELSE 1 + abs(hashint8(number)) % $4::integer END, "
    "$1::timestamptz + number * $5::bigint * interval '1 microsecond', tallystick.transaction_order(), gen_random_uuid(), 0, 1, 'http.request', "
    "'bench', number::text, jsonb_build_object('bytes', number % 5000), "
    "jsonb_build_object('region', (ARRAY['eu', 'us', 'asia'])[1 + number % 3]) "
    "FROM generate_series($2::bigint, $3::bigint) AS number"
)


class WrongTotal(Exception):
    """A total is not the sum of the events."""


async def run(_: set[str], report: Report) -> None:
    """Fill a year with events, fold them, and ask for month totals of customers taken by lot."""
    with contextlib.ExitStack() as stack:
        kept = os.environ.get("BENCH_STORE")
        directory = Path(kept or stack.enter_context(tempfile.TemporaryDirectory(prefix="tallystick-bench-")))
        filled = directory / f"filled-{EVENTS}"
        beside: dict[str, int | float | str] = {"events": EVENTS, "behind": _BEHIND}
        async with serving(directory) as store:
            await migrate(store.url)
            operations = Operations(await open_pool(store.url), SystemClock(), TABLE)
            if not filled.exists():
                beside["folded_per_second"] = int(EVENTS / await _fill(operations))
                filled.touch()
            times = await _ask(operations)
            async with operations.pool.acquire() as connection:
                await _compare(operations, connection)
            await operations.pool.close()
    beside["p50"] = times[len(times) // 2]
    report(Result("usage_month_total", times[len(times) * 99 // 100], "ms p99", beside))


async def _fill(operations: Operations) -> float:
    """Store the events and fold them, leave some more that are not folded, and return how long folding took."""
    async with operations.pool.acquire() as connection:
        await open_book(connection, "main", SystemClock().now())
    await _define(operations)
    async with operations.pool.acquire() as connection:
        await _load(connection)
        began = time.perf_counter()
        await fold_behind(operations, 1)
        folding = time.perf_counter() - began
        await _insert(connection, EVENTS, EVENTS + _BEHIND)
    return folding


async def _define(operations: Operations) -> None:
    meter = {"code": "bytes", "name": "bytes", "event_type": "http.request", "aggregation": "sum", "quantity": "bytes",
             "group_by": ["region"]}  # fmt: skip
    await operations.run(OPERATOR, "main", "catalog.define_meter", "bytes", meter)


async def _load(connection: asyncpg.pool.PoolConnectionProxy) -> None:
    await connection.execute(_CUSTOMERS_SQL, CUSTOMERS)
    await connection.execute(_MONTHS_SQL, _START.replace(tzinfo=None))
    for first in range(0, EVENTS, _AT_ONCE):
        await _insert(connection, first, min(first + _AT_ONCE, EVENTS))


async def _insert(connection: asyncpg.pool.PoolConnectionProxy, first: int, behind: int) -> None:
    apart = _SECONDS * 1_000_000 // (EVENTS + _BEHIND)
    await connection.execute(_EVENTS_SQL, _START, first, behind - 1, CUSTOMERS, apart)


async def _ask(operations: Operations) -> list[float]:
    """Return how long each answer took, in ms, ascending."""
    chance = random.Random(1)
    times = []
    for _ in range(_ASKED):
        customer = A_LOT if not chance.randrange(10) else f"customer {chance.randrange(1, CUSTOMERS + 1)}"
        question = {"meter": "bytes", "customer": customer, **_month(chance.randrange(1, 13))}
        began = time.perf_counter()
        await operations.run(OPERATOR, "main", "usage.totals", "", question)
        times.append((time.perf_counter() - began) * 1000)
    return sorted(times)


async def _compare(operations: Operations, connection: asyncpg.pool.PoolConnectionProxy) -> None:
    """Hold the last month of who makes most against its events."""
    question = {"meter": "bytes", "customer": A_LOT, **_month(12)}
    (total,) = (await operations.call(OPERATOR, "main", "usage.totals", "", question)).items
    found = await connection.fetchrow(
        "SELECT count(*), sum((quantities ->> 'bytes')::bigint) FROM tallystick.usage_event "
        "WHERE book_id = 1 AND customer_id = 1 AND occurred_at >= $1",
        dt.datetime(_YEAR, 12, 1, tzinfo=dt.UTC),
    )
    if found is None or (total.events, total.quantity) != (found[0], str(found[1])):
        raise WrongTotal(total, found)


def _month(number: int) -> dict[str, str]:
    following = f"{_YEAR + number // 12}-{number % 12 + 1:02}"
    return {"start_at": f"{_YEAR}-{number:02}-01T00:00:00Z", "end_at": f"{following}-01T00:00:00Z"}
