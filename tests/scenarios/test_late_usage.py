"""A year of usage that comes late, is amended and taken back: in the end everybody has paid for what was used, once."""

import asyncio
import json
import random
from collections import Counter
from dataclasses import dataclass, field
from decimal import Decimal

import asyncpg

from tallystick.clock import SystemClock
from tallystick.db.connect import open_pool
from tallystick.operations.invoicing_month import MonthTerms, run_month
from tallystick.operations.run import Operations
from tallystick.operations.table import TABLE
from tallystick.security.model import OPERATOR
from tests.conftest import House
from tests.db.priced_usage import ask, meter_requests, price, use

TIERS = {
    "model": "graduated",
    "tiers": [
        {"up_to": "3", "rate": "0.31"},
        {"up_to": "7", "rate": "0.17", "flat": "1"},
        {"up_to": None, "rate": "0.05"},
    ],
}
PACKAGE = {"model": "package", "size": "70", "rate": "0.13", "free_units": "20"}
CUSTOMERS = ("ada", "bob", "eve", "joe")
MONTHS = range(1, 8)


@dataclass(slots=True)
class Truth:
    """What was really used, by event: the month, the customer and the bytes; a void takes it out."""

    chance: random.Random
    events: dict[str, tuple[str, int, int]] = field(default_factory=dict)
    sent: int = 0

    def new(self, latest: int) -> dict[str, object]:
        """Make an event of a month up to *latest*."""
        self.sent += 1
        name, customer = f"e{self.sent}", self.chance.choice(CUSTOMERS)
        month, size = self.chance.randint(max(1, latest - 3), latest), self.chance.randint(0, 90)
        self.events[name] = (customer, month, size)
        day, hour = self.chance.randint(1, 28), self.chance.randint(0, 23)
        return {
            "id": name,
            "customer": customer,
            "at": f"2015-{month:02}-{day:02}T{hour:02}:00:00Z",
            "quantities": {"bytes": size},
        }

    def owed(self) -> dict[tuple[str, int], int]:
        """Rate what was used in each month once, by arithmetic that shares nothing with the product."""
        counts: Counter[tuple[str, int]] = Counter()
        sizes: Counter[tuple[str, int]] = Counter()
        for customer, month, size in self.events.values():
            counts[customer, month] += 1
            sizes[customer, month] += size
        return {key: _graduated(counts[key]) + _packages(sizes[key]) for key in counts}


def _graduated(count: int) -> int:
    inside = (min(count, 3), min(max(count - 3, 0), 4), max(count - 7, 0))
    cents = Decimal(31 * inside[0] + 17 * inside[1] + 5 * inside[2] + (100 if count > 3 else 0))
    return int(cents)


def _packages(size: int) -> int:
    return 13 * -(-max(size - 20, 0) // 70)


async def _happen(house: House, truth: Truth, month: int) -> None:
    """Let events come in, some of them late, and let some be amended and some be taken back."""
    events = [truth.new(month) for _ in range(truth.chance.randint(5, 25))]
    recorded = await ask(house, "usage.record", source="s", events=events)
    assert recorded.accepted == len(events)
    for _ in range(truth.chance.randint(0, 6)):
        name = truth.chance.choice(sorted(truth.events))
        customer, of_month, _ = truth.events[name]
        if truth.chance.random() < 0.5:
            size = truth.chance.randint(0, 200)
            truth.events[name] = (customer, of_month, size)
            events = [{"id": name, "quantities": {"bytes": size}}]
            await ask(house, "usage.amend", source="s", reason="r", events=events)
        else:
            del truth.events[name]
            await ask(house, "usage.void", source="s", reason="r", events=[{"id": name}])


async def test_in_the_end_all_that_was_used_is_billed_once(house: House, owner: asyncpg.Connection) -> None:
    """Over all invoices each month comes to what its true usage is rated at, up to what is still to be given back."""
    seed = random.SystemRandom().randrange(10**6)
    print(f"seed {seed}")  # noqa: T201 - whoever sees it fail must be able to do it again
    truth = Truth(random.Random(seed))
    await meter_requests(house)
    await price(house, "0", "2015-01-01T00:00:00Z", price=TIERS)
    await price(house, "0", "2015-01-01T00:00:00Z", charge="traffic", meter="bytes", price=PACKAGE)
    for month in MONTHS:
        for _ in range(2):
            await _happen(house, truth, month)
        if month > 1:  # some months are run again, for those who had no invoice
            await run_month(house.operations, OPERATOR, "main", f"2015-{truth.chance.randint(1, month - 1):02}")
        await run_month(house.operations, OPERATOR, "main", f"2015-{month:02}", MonthTerms(draft_chunk=2))
    # Everybody uses a lot in the end, so that whatever is left to be given back is given back.
    await use(house, [(customer, "2015-08-02T00:00:00Z") for customer in CUSTOMERS for _ in range(400)], size=0)
    for month in (*MONTHS, 8):
        await run_month(house.operations, OPERATOR, "main", f"2015-{month:02}")
    owed = {key: amount for key, amount in truth.owed().items() if amount}
    rows = await owner.fetch(
        "SELECT ref, extract(month FROM line.period_start AT TIME ZONE 'UTC')::integer, sum(amount)::bigint "
        "FROM invoice_line AS line JOIN invoice USING (book_id, invoice_id) JOIN customer USING (book_id, customer_id) "
        "GROUP BY 1, 2"
    )
    billed = {(row[0], row[1]): row[2] for row in rows if row[2] and row[1] <= max(MONTHS)}
    assert billed == owed
    assert await owner.fetchval("SELECT min(total) FROM invoice") >= 0
    assert await owner.fetchval("SELECT count(*) FROM invoice_line WHERE adjusts_invoice IS NOT NULL") > 0
    for month in MONTHS:
        assert (await ask(house, "invoicing.late_usage", month=f"2015-{month:02}")).events == 0


async def test_two_runs_at_once_adjust_each_line_once(
    house: House, owner: asyncpg.Connection, database_url: str
) -> None:
    """Two months, drafted by two nodes at once, both see the same late usage, and one of them bills it."""
    await meter_requests(house)
    await price(house, "0.01")
    customers = [f"c{n}" for n in range(12)]
    await use(house, [(one, "2015-05-02T00:00:00Z") for one in customers])
    await run_month(house.operations, OPERATOR, "main", "2015-05")
    await use(house, [(one, f"2015-0{month}-03T00:00:00Z") for one in customers for month in (5, 6, 7)])
    other_pool = await open_pool(database_url)
    try:
        other = Operations(other_pool, SystemClock(), TABLE)
        terms = MonthTerms(draft_chunk=3)
        runs = await asyncio.gather(
            run_month(house.operations, OPERATOR, "main", "2015-06", terms),
            run_month(other, OPERATOR, "main", "2015-07", terms),
        )
    finally:
        await other_pool.close()
    assert sum(run.adjustments for run in runs) == len(customers)
    assert await owner.fetchval("SELECT sum(amount) FROM invoice_line") == 4 * len(customers)
    assert {row[0] for row in await owner.fetch("SELECT count(*) FROM invoice_line WHERE adjusts_invoice IS NOT NULL "
                                                "GROUP BY adjusts_invoice, adjusts_position")} == {1}  # fmt: skip


async def test_old_months_are_not_read_for_late_usage_that_is_not_there(
    house: House, owner: asyncpg.Connection
) -> None:
    """Each month's partition is asked, by the order of transactions, for what came after its invoices alone."""
    await meter_requests(house)
    await price(house, "0.01", "2015-01-01T00:00:00Z")
    for month in range(1, 5):
        events = [
            {"id": f"{month}-{n}", "customer": f"c{n % 50}", "at": f"2015-{month:02}-02T00:00:00Z"} for n in range(5000)
        ]
        for source in ("a", "b", "c", "d"):
            await ask(house, "usage.record", source=source, events=events)
        await run_month(house.operations, OPERATOR, "main", f"2015-{month:02}")
    for month in range(1, 5):
        await owner.execute(f"VACUUM ANALYZE usage_event_1_2015{month:02}")
    await ask(
        house, "usage.record", source="late", events=[{"id": "l", "customer": "c1", "at": "2015-02-02T00:00:00Z"}]
    )
    through = await owner.fetchval("SELECT settled_horizon()")
    asked = "SELECT * FROM late_usage(1, 'api', NULL, 0, 1 << 60, $1)"
    assert len(await owner.fetch(asked, through)) == 1
    plan = json.loads(await owner.fetchval(f"EXPLAIN (ANALYZE, BUFFERS, FORMAT JSON) {asked}", through))[0]["Plan"]
    read = plan["Shared Hit Blocks"] + plan["Shared Read Blocks"]
    whole = await owner.fetchval("SELECT sum(relpages) FROM pg_class WHERE relname ~ '^usage_event_1_2015..$'")
    assert read < whole / 2, f"{read} pages were read, of the planner's tables too, and usage has {whole}"
