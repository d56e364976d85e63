"""A month's invoices, with the process that issues them killed half-way and several at it at once."""

import asyncio
import contextlib
import datetime as dt
import os
import signal
import sys
from pathlib import Path

import asyncpg
import pytest

from tallystick.clock import SystemClock
from tallystick.db.connect import open_pool
from tallystick.errors import InvalidInput
from tallystick.invoicing.draft import UsageNotSettled
from tallystick.operations.invoicing_month import MonthTerms, run_month
from tallystick.operations.run import Operations
from tallystick.operations.run_chunks import Stage
from tallystick.operations.table import TABLE
from tallystick.security.model import OPERATOR
from tests.conftest import House
from tests.db.priced_usage import ask, meter_requests, price, use

CUSTOMERS = 60
SMALL = MonthTerms(draft_chunk=7, issue_chunk=4)
CHILD = """
import asyncio, sys
from tallystick.clock import SystemClock
from tallystick.db.connect import open_pool
from tallystick.operations.invoicing_month import MonthTerms, run_month
from tallystick.operations.run import Operations
from tallystick.operations.table import TABLE
from tallystick.security.model import OPERATOR

async def main():
    pool = await open_pool(sys.argv[1])
    await run_month(Operations(pool, SystemClock(), TABLE), OPERATOR, "main", "2015-05",
                    MonthTerms(draft_chunk=7, issue_chunk=4),
                    lambda stage, done: print(stage, done, flush=True))

asyncio.run(main())
"""


async def _set_up(house: House) -> None:
    """Let sixty customers use something in May, customer n as often as n modulo 5 and once more."""
    await meter_requests(house)
    await price(house, "0.01")
    await use(
        house, [(f"c{n:03}", f"2015-05-{day + 1:02}T08:00:00Z") for n in range(CUSTOMERS) for day in range(n % 5 + 1)]
    )


async def _require_complete(house: House, owner: asyncpg.Connection) -> None:
    """Find every customer invoiced once, under the numbers 1 to n in order, and the ledger owing their total."""
    numbers = [row[0] for row in await owner.fetch("SELECT number FROM invoice_issue ORDER BY number")]
    assert numbers == list(range(1, CUSTOMERS + 1))
    assert await owner.fetchval("SELECT count(DISTINCT customer_id) FROM invoice") == CUSTOMERS
    assert await owner.fetchval("SELECT count(*) FROM invoice") == CUSTOMERS
    in_order = (
        "SELECT count(*) FROM (SELECT number, row_number() OVER (ORDER BY customer_id) AS place FROM invoice_issue"
    )
    assert await owner.fetchval(f"{in_order} JOIN invoice USING (book_id, invoice_id)) AS o WHERE number <> place") == 0
    owed = await owner.fetchval("SELECT sum(total) FROM invoice")
    assert owed == await owner.fetchval("SELECT sum(amount) FROM invoice_line") == CUSTOMERS // 5 * (1 + 2 + 3 + 4 + 5)
    assert (await ask(house, "ledger.balance", account="revenue/api/USD")).balance == owed
    assert await owner.fetchval("SELECT count(*) FROM transfer") == CUSTOMERS


@pytest.mark.parametrize(("stage", "chunks"), [("drafting", 3), ("issuing", 2), ("issuing", 9)])
async def test_killed_half_way_and_run_again_every_customer_has_one_invoice(
    house: House, owner: asyncpg.Connection, database_url: str, stage: str, chunks: int
) -> None:
    """Whatever chunk is under way when the process is killed, the next run completes the month without a gap."""
    await _set_up(house)
    child = await asyncio.create_subprocess_exec(
        sys.executable, "-c", CHILD, database_url, stdout=asyncio.subprocess.PIPE, cwd=Path(__file__).parents[2]
    )
    assert child.stdout is not None
    try:
        heard = 0
        while heard < chunks:
            line = await child.stdout.readline()
            assert line, "the child ended before it was killed"
            heard += line.startswith(stage.encode())
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.kill(child.pid, signal.SIGKILL)
        await child.wait()
    assert child.returncode == -signal.SIGKILL
    before = await owner.fetchval("SELECT count(*) FROM invoice_issue")
    (killed,) = (await ask(house, "batches.list", kind="invoices")).items
    assert killed.status == "not_ended"
    assert killed.counts["drafted"] >= (chunks - 1) * 7 or stage == "issuing"
    done = await run_month(house.operations, OPERATOR, "main", "2015-05", SMALL)
    assert (done.customers, done.drafted + done.known) == (CUSTOMERS, CUSTOMERS)
    # The child's last transaction may end after we counted, so the run finds at most what we saw missing.
    assert done.issued <= CUSTOMERS - before
    await _require_complete(house, owner)


async def test_two_runs_at_once_make_each_invoice_once(
    house: House, owner: asyncpg.Connection, database_url: str
) -> None:
    """Two nodes that start the month together share the work, and neither doubles nor skips a number."""
    await _set_up(house)
    other_pool = await open_pool(database_url)
    try:
        other = Operations(other_pool, SystemClock(), TABLE)
        runs = await asyncio.gather(
            run_month(house.operations, OPERATOR, "main", "2015-05", SMALL),
            run_month(other, OPERATOR, "main", "2015-05", SMALL),
        )
    finally:
        await other_pool.close()
    assert sum(run.drafted for run in runs) == CUSTOMERS
    assert sum(run.issued for run in runs) == CUSTOMERS
    numbers = [row[0] for row in await owner.fetch("SELECT number FROM invoice_issue ORDER BY number")]
    assert numbers == list(range(1, CUSTOMERS + 1))
    assert await owner.fetchval("SELECT count(*) FROM transfer") == CUSTOMERS


async def test_a_month_from_usage_to_what_is_owed(house: House, owner: asyncpg.Connection) -> None:
    """One call drafts and issues all, tells its progress, and run again finds nothing to do."""
    await _set_up(house)
    told: list[tuple[str, int]] = []

    def tell(stage: Stage, done: int) -> None:
        told.append((stage, done))

    done = await run_month(
        house.operations, OPERATOR, "main", "2015-05", MonthTerms(draft_chunk=25, issue_chunk=40), tell
    )
    assert told == [("drafting", 25), ("drafting", 50), ("drafting", 60), ("issuing", 40), ("issuing", 60)]
    assert (done.drafted, done.known, done.issued, done.totals) == (60, 0, 60, {"USD": 180})
    assert (done.first_number, done.last_number) == ("INV-000001", "INV-000060")
    await _require_complete(house, owner)
    again = await run_month(house.operations, OPERATOR, "main", "2015-05")
    assert (again.drafted, again.known, again.issued, again.totals) == (0, 60, 0, {})


async def test_a_run_waits_for_the_transaction_that_usage_is_behind(house: House, owner: asyncpg.Connection) -> None:
    """It says that it waits, goes on when the other transaction ends, and bills all that was accepted."""
    await _set_up(house)
    held = owner.transaction()
    await held.start()
    await owner.fetchval("SELECT pg_current_xact_id()::text")
    await use(house, [("c000", "2015-05-09T08:00:00Z")])
    waits = asyncio.Event()

    def tell(stage: Stage, _done: int) -> None:
        if stage == "waiting":
            waits.set()

    run = asyncio.create_task(run_month(house.operations, OPERATOR, "main", "2015-05", SMALL, tell))
    await asyncio.wait_for(waits.wait(), 10)
    assert (await ask(house, "invoicing.list")).items == []
    await held.rollback()
    done = await run
    assert (done.issued, done.totals, done.late_events) == (CUSTOMERS, {"USD": 181}, 0)


async def test_a_run_does_not_wait_for_ever(house: House, owner: asyncpg.Connection) -> None:
    """When the other transaction outlasts its patience it says so, and the next run makes the month complete."""
    await _set_up(house)
    async with owner.transaction():
        await owner.fetchval("SELECT pg_current_xact_id()::text")
        await use(house, [("c000", "2015-05-09T08:00:00Z")])
        hasty = MonthTerms(patience=dt.timedelta(milliseconds=100))
        with pytest.raises(UsageNotSettled):
            await run_month(house.operations, OPERATOR, "main", "2015-05", hasty)
    assert (await run_month(house.operations, OPERATOR, "main", "2015-05")).totals == {"USD": 181}


@pytest.mark.parametrize(
    ("terms", "field"),
    [
        (MonthTerms(terms_days=-5), "terms_days"),
        (MonthTerms(terms_days=10**7), "terms_days"),
        (MonthTerms(terms_days=10**12), "terms_days"),
        (MonthTerms(series="x y"), "series"),
        (MonthTerms(product="No Such"), "product"),
        (MonthTerms(zone="localtime"), "zone"),
        (MonthTerms(draft_chunk=0), "limit"),
    ],
)
async def test_terms_of_a_month_are_held_to_their_rules(
    house: House, owner: asyncpg.Connection, terms: MonthTerms, field: str
) -> None:
    """What REST refuses by field a run refuses too, before anything is written; then the right terms do."""
    await _set_up(house)
    with pytest.raises(InvalidInput) as refused:
        await run_month(house.operations, OPERATOR, "main", "2015-05", terms)
    assert refused.value.field == field
    assert await owner.fetchval("SELECT count(*) FROM invoice") == 0
    assert (await run_month(house.operations, OPERATOR, "main", "2015-05")).issued == CUSTOMERS


async def test_usage_that_comes_after_the_draft_waits(house: House, owner: asyncpg.Connection) -> None:
    """An issued invoice never changes; the events that were too late can be told by its usage_through."""
    await _set_up(house)
    await run_month(house.operations, OPERATOR, "main", "2015-05")
    before = (await ask(house, "invoicing.list")).items
    await use(house, [("c000", "2015-05-09T08:00:00Z")])
    assert (await run_month(house.operations, OPERATOR, "main", "2015-05")).late_events == 1
    assert (await ask(house, "invoicing.list")).items == before
    late = await owner.fetchval(
        "SELECT count(*) FROM usage_event JOIN invoice USING (book_id, customer_id) "
        "WHERE usage_event.transaction_id >= usage_through"
    )
    assert late == 1


REFUSE = """
CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
IF EXISTS (SELECT FROM invoice JOIN customer USING (book_id, customer_id)
           WHERE invoice_id = NEW.invoice_id AND ref = TG_ARGV[0]) THEN RAISE 'not this one'; END IF;
RETURN NEW; END $$;
CREATE TRIGGER refuse BEFORE INSERT ON invoice_line FOR EACH ROW EXECUTE FUNCTION refuse('c004');
CREATE TRIGGER refuse BEFORE INSERT ON invoice_issue FOR EACH ROW EXECUTE FUNCTION refuse('c031')
"""
"""Lets the store refuse the draft of one customer, and to issue that of another."""


async def test_one_failing_customer_is_left_out_and_the_others_are_invoiced(
    house: House, owner: asyncpg.Connection
) -> None:
    """Whatever the store refuses it for; the run says who and why, without a gap, and the next one does the rest."""
    await _set_up(house)
    await owner.execute(REFUSE)
    run = await run_month(house.operations, OPERATOR, "main", "2015-05", SMALL)
    assert [(one.customer, one.code) for one in run.failed] == [("c004", "internal"), ("c031", "internal")]
    assert (run.customers, run.drafted, run.issued) == (CUSTOMERS, CUSTOMERS - 1, CUSTOMERS - 2)
    assert (run.first_number, run.last_number) == ("INV-000001", f"INV-{CUSTOMERS - 2:06}")
    (kept,) = (await ask(house, "batches.list", kind="invoices")).items
    assert (kept.status, kept.counts, kept.failed) == ("ended", {"drafted": CUSTOMERS - 1, "issued": CUSTOMERS - 2}, 2)
    await owner.execute("DROP TRIGGER refuse ON invoice_line; DROP TRIGGER refuse ON invoice_issue")
    again = await run_month(house.operations, OPERATOR, "main", "2015-05", SMALL)
    assert (again.drafted, again.issued, again.failed) == (1, 2, [])
    numbers = [row[0] for row in await owner.fetch("SELECT number FROM invoice_issue ORDER BY number")]
    assert numbers == list(range(1, CUSTOMERS + 1))
