"""Dunning: reminders by rule, late fees once, each customer alone, whatever is killed."""

import asyncio
import contextlib
import datetime as dt
import sys
from pathlib import Path
from typing import Any

import asyncpg
import pytest
import pytest_asyncio

from tallystick.db.embedded import EmbeddedServer
from tallystick.errors import InvalidInput
from tallystick.ids import uuid7
from tallystick.operations.dunning_run import DunningRun, run_dunning, try_dunning
from tallystick.operations.rebuild import rebuild
from tallystick.rebuild.open_twin import made_database
from tallystick.security.model import OPERATOR
from tests.conftest import House, url_of
from tests.db.repaid import ADA, Till, open_till

DUE = dt.date(2026, 10, 2)
FIXED = {"kind": "fixed", "amounts": {"USD": 500}}
RATE = {"kind": "rate", "per_year": "0.0912"}
LEVELS = [{"after_days": 5}, {"after_days": 15, "fee": FIXED}, {"after_days": 30, "fee": RATE}]


@pytest_asyncio.fixture
async def till(house: House) -> Till:
    """Give a book in which ada owes 100,000 that was due on the 2nd, with three levels of reminders."""
    opened = open_till(house)
    await opened.do("dunning.set_rules", rules={"levels": LEVELS})
    await opened.owe(100_000, due_on=DUE.isoformat(), reference="first")
    return opened


async def dun(till: Till, days: int, chunk: int = 1_000) -> DunningRun:
    """Run the dunning so many days after the due date."""
    on = DUE + dt.timedelta(days=days)
    till.clock.at = dt.datetime.combine(on, dt.time(9), dt.UTC)
    return await run_dunning(till.operations, OPERATOR, "main", on, chunk=chunk)


async def reminders(till: Till, **fields: object) -> list[Any]:
    """Return the reminders that were made."""
    return list((await till.do("dunning.list", **fields)).items)


async def test_reminders_come_by_the_rules(till: Till) -> None:
    """After the days of grace, each once; the second costs a fixed fee, the third a part of a year."""
    assert (await dun(till, 4)).reminders == 0
    first = await dun(till, 5)
    assert (first.customers, first.reminders, first.fees, first.totals, first.failed) == (1, 1, 0, {}, [])
    assert (await dun(till, 5)).reminders == 0
    second = await dun(till, 15)
    assert (second.reminders, second.fees, second.totals) == (1, 1, {"USD": 500})
    third = await dun(till, 30)
    assert third.totals == {"USD": 750}, "100,000 times 9.12 % times 30 days of 365: 749.59"
    made = await reminders(till, invoice=till.invoices["first"])
    assert [(one.level, str(one.on), one.fee, one.fee_days, one.outstanding) for one in made] == [
        (1, "2026-10-07", 0, None, 100_000), (2, "2026-10-17", 500, None, 100_000), (3, "2026-11-01", 750, 30, 100_000),
    ]  # fmt: skip
    fee = await till.do("invoicing.find", id=made[1].fee_invoice)
    assert (fee.product, fee.total, fee.customer, str(fee.due_on)) == ("late-fee", 500, ADA, "2026-10-31")
    assert [line.name for line in fee.lines] == [f"Late fee: {made[1].number}, reminder 2"]
    assert (await dun(till, 60)).customers == 1, "a fee that is late is reminded of, too"
    again = [one for one in await reminders(till) if one.invoice == made[1].fee_invoice]
    assert [(one.level, one.fee) for one in again] == [(1, 0)]
    assert (await till.do("invoicing.find", id=till.invoices["first"])).status == "overdue"


async def test_it_is_told_what_is_due_and_overdue(till: Till) -> None:
    """On the day, and on the day after."""
    on_the_day = await dun(till, 0)
    assert (on_the_day.due, on_the_day.overdue) == (1, 0)
    after = await dun(till, 1)
    assert (after.due, after.overdue) == (0, 1)
    types = [one.type for one in (await till.do("events.list")).items]
    assert [one for one in types if one in {"invoice.due", "invoice.overdue"}] == ["invoice.due", "invoice.overdue"]


async def test_what_is_repaid_is_not_reminded_of(till: Till) -> None:
    """A part of it leaves the rest to be reminded of; opened again it is, too."""
    await dun(till, 5)
    paid = await till.pay(100_000)
    assert (await dun(till, 15)).reminders == 0
    await till.do("repayments.reverse", id=paid.id, reason="returned")
    await till.pay(60_000)
    assert (await dun(till, 16)).reminders == 1
    assert [one.outstanding for one in await reminders(till)] == [100_000, 40_000]


async def test_what_a_store_announces_is_not_reminded_of(till: Till) -> None:
    """Until the notice is taken back."""
    slip = await till.do("slips.issue", invoice=till.invoices["first"])
    await till.do("slips.notify", number=slip.number, reference="n")
    assert (await dun(till, 5)).reminders == 0
    await till.do("slips.withdraw", reference="n", reason="void")
    assert (await dun(till, 5)).reminders == 1


async def test_what_the_bank_is_asked_for_is_not_reminded_of(till: Till) -> None:
    """Until the bank says that it took nothing; a holiday that moves the debit costs nobody a reminder."""
    account = {"bank_account": "DE89370400440532013000", "country": "DE", "cutoff_days": 0}
    await till.do("collecting.choose_debit_day", customer=ADA, day=5, **account)
    assert (await till.do("charges.make", on="2026-10-05")).made == 1
    assert (await dun(till, 5)).reminders == 0
    (charge,) = (await till.do("charges.list", customer=ADA)).items
    await till.do("charges.apply", outcomes=[{"charge": str(charge.id), "error_kind": "insufficient_funds"}])
    assert (await dun(till, 5)).reminders == 1


async def test_a_day_that_cannot_be_is_no_run(till: Till) -> None:
    """It is refused before anything is kept, so no run looks as if it had been broken off."""
    with pytest.raises(InvalidInput) as refused:
        await run_dunning(till.operations, OPERATOR, "main", dt.date(2090, 1, 1))
    assert refused.value.field == "on"
    assert (await till.do("batches.list")).items == []


async def test_days_of_delay_are_counted_once(till: Till) -> None:
    """Each reminder with a rate counts from the one before, also over a leap day."""
    rules = {"levels": [{"after_days": 10, "fee": {**RATE, "per_year": "0.365"}},
                        {"after_days": 20, "fee": {**RATE, "per_year": "0.365", "cap": {"USD": 700}}}]}  # fmt: skip
    await till.do("dunning.set_rules", rules=rules)
    till.clock.at = dt.datetime(2028, 1, 1, tzinfo=dt.UTC)
    leap = await till.owe(100_000, due_on="2028-02-20", customer="leap")
    for day in ("2028-03-01", "2028-03-11"):
        till.clock.at = dt.datetime.fromisoformat(f"{day}T09:00:00+00:00")
        await run_dunning(till.operations, OPERATOR, "main", dt.date.fromisoformat(day))
    made = await reminders(till, invoice=leap)
    assert [(one.fee_days, one.fee) for one in made] == [(10, 1_000), (10, 700)]


async def test_two_runs_at_once_make_each_reminder_once(till: Till, owner: asyncpg.Connection) -> None:
    """And each fee."""
    await owe_many(till, 7)
    await dun(till, 5)
    runs = await asyncio.gather(*(dun(till, 15, chunk=3) for _ in range(3)), return_exceptions=True)
    assert [one for one in runs if isinstance(one, BaseException)] == []
    assert sum(one.reminders for one in runs if isinstance(one, DunningRun)) == 8
    assert await owner.fetchval("SELECT count(*) FROM reminder") == 16
    assert await owner.fetchval("SELECT count(*) FROM invoice_request WHERE product = 'late-fee'") == 8
    assert (await till.do("dunning.list_fees")).items == []


async def owe_many(till: Till, count: int) -> None:
    """Let more customers owe as ada does."""
    for number in range(count):
        await till.owe(1_000 + number, due_on=DUE.isoformat(), customer=f"c{number}")


async def test_one_failing_customer_is_left_out_and_the_others_go_on(till: Till, owner: asyncpg.Connection) -> None:
    """Whatever it fails for: a rule, or the store; the run says who and why, and the next run tries again."""
    await owe_many(till, 9)
    refuse = (
        "CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN "
        "IF NEW.customer_id = (SELECT customer_id FROM customer WHERE ref = 'c4') THEN RAISE 'not this one'; END IF; "
        "RETURN NEW; END $$; CREATE TRIGGER refuse BEFORE INSERT ON reminder FOR EACH ROW EXECUTE FUNCTION refuse()"
    )
    await owner.execute(refuse)
    run = await dun(till, 5)
    assert (run.reminders, [(one.customer, one.code) for one in run.failed]) == (9, [("c4", "internal")])
    kept = await till.do("batches.find", id=run.id)
    assert (kept.kind, kept.of, kept.status, kept.failed) == ("dunning", "2026-10-07", "ended", 1)
    assert (kept.counts, kept.failures) == ({"due": 0, "overdue": 10, "reminded": 9, "reminders": 9}, run.failed)
    await owner.execute("DROP TRIGGER refuse ON reminder")
    assert (await dun(till, 5)).reminders == 1
    await till.do("dunning.set_rules", rules={"levels": [{"after_days": 5}, {"after_days": 15, "fee": {
        **RATE, "per_year": "999999"}}]})  # fmt: skip
    await till.do("ledger.ensure_asset", asset="BIG", exponent=0)
    await till.owe(2**62, due_on="2026-10-08", customer="c1", asset="BIG")
    await dun(till, 12)
    late = await dun(till, 25)
    assert [(one.customer, one.code) for one in late.failed] == [("c1", "dunning.fee_beyond")]
    assert late.reminders == 9


async def test_one_who_cannot_be_noted_as_overdue_keeps_nobody_else(till: Till, owner: asyncpg.Connection) -> None:
    """The store refuses what is noted of one invoice: the run names its customer, and the others are overdue and reminded."""
    await owe_many(till, 4)
    refuse = (
        "CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN "
        "IF NEW.invoice_id IN (SELECT invoice_id FROM invoice JOIN customer USING (book_id, customer_id) WHERE ref = 'c2') "
        "THEN RAISE 'not this one'; END IF; RETURN NEW; END $$; "
        "CREATE TRIGGER refuse BEFORE INSERT ON invoice_state FOR EACH ROW EXECUTE FUNCTION refuse()"
    )
    await owner.execute(refuse)
    run = await dun(till, 5)
    assert (run.overdue, [(one.customer, one.code) for one in run.failed]) == (4, [("c2", "internal")])
    assert run.reminders == 5
    await owner.execute("DROP TRIGGER refuse ON invoice_state")
    assert (await dun(till, 5)).overdue == 1


async def test_a_fee_that_cannot_be_asked_for_is_told(till: Till, owner: asyncpg.Connection) -> None:
    """The others are asked for; it stays to be, and the next run does."""
    await owe_many(till, 4)
    await dun(till, 5)
    refuse = (
        "CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN "
        "IF NEW.customer_id = (SELECT customer_id FROM customer WHERE ref = 'c2') THEN RAISE 'not this one'; END IF; "
        "RETURN NEW; END $$; CREATE TRIGGER refuse BEFORE INSERT ON invoice FOR EACH ROW EXECUTE FUNCTION refuse()"
    )
    await owner.execute(refuse)
    run = await dun(till, 15)
    assert (run.fees, [(one.customer, one.code) for one in run.failed]) == (4, [("c2", "internal")])
    await owner.execute("DROP TRIGGER refuse ON invoice")
    assert (await dun(till, 15)).fees == 1
    assert await owner.fetchval("SELECT count(*) FROM late_fee_due") == 0


@pytest.mark.parametrize("lines", [1, 3, 6, 8])
async def test_a_killed_run_is_finished_by_the_next(
    till: Till, database_url: str, owner: asyncpg.Connection, lines: int
) -> None:
    """Killed after so many chunks; all reminders and fees are there once, and the killed run says that it did not end."""
    await owe_many(till, 7)
    await dun(till, 5)
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "tests.db.dunning_process", database_url, "2026-10-17",
        cwd=Path(__file__).parents[2], stdout=asyncio.subprocess.PIPE,
    )  # fmt: skip
    assert process.stdout is not None
    for _ in range(lines):
        await process.stdout.readline()
    with contextlib.suppress(ProcessLookupError):  # it has ended just before
        process.kill()
    await process.wait()
    await dun(till, 15)
    rows = await owner.fetch("SELECT level, count(*), sum(fee) FROM reminder GROUP BY 1 ORDER BY 1")
    assert [tuple(row) for row in rows] == [(1, 8, 0), (2, 8, 4_000)]
    asked = await owner.fetchval("SELECT count(*) FROM invoice_request JOIN invoice_issue USING (book_id, invoice_id) "
                                 "WHERE invoice_request.product = 'late-fee'")  # fmt: skip
    assert asked == 8
    runs = (await till.do("batches.list", kind="dunning")).items
    assert [one.status for one in runs][::2] == ["ended", "ended"]
    assert sum(one.counts.get("reminders", 0) for one in runs) <= 16


async def test_a_try_out_keeps_nothing(till: Till, owner: asyncpg.Connection) -> None:
    """It says what would be made, also of what is not noted as overdue yet."""
    await dun(till, 0)
    on = DUE + dt.timedelta(days=5)
    till.clock.at = dt.datetime.combine(on, dt.time(9), dt.UTC)
    await owner.execute("CREATE TABLE before AS SELECT count(*) FROM message")
    tried = await try_dunning(till.operations, OPERATOR, "main", on)
    assert (tried.id, tried.customers, tried.reminders) == (None, 1, 1)
    assert await reminders(till) == []
    assert await owner.fetchval("SELECT count(*) = (SELECT count FROM before) FROM message")


async def test_without_rules_nobody_is_reminded(house: House) -> None:
    """Nor with rules that say so; what is overdue is noted all the same."""
    till = open_till(house)
    await till.owe(5, due_on=DUE.isoformat())
    assert ((await dun(till, 90)).reminders, (await till.do("dunning.rules")).levels) == (0, [])


def levels(*days: object) -> dict[str, object]:
    """Return rules with reminders after so many days."""
    return {"rules": {"levels": [{"after_days": one} for one in days]}}


def fee(**fields: object) -> dict[str, object]:
    """Return rules with a fee."""
    return {"rules": {"levels": [{"after_days": 1, "fee": fields}]}}


BAD: list[tuple[str, dict[str, object], str]] = [
    ("dunning.set_rules", levels(5, 5), "rules.levels[1].after_days"), ("dunning.set_rules", levels(5, 4), "rules.levels[1].after_days"),
    ("dunning.set_rules", levels(0), "rules.levels[0].after_days"), ("dunning.set_rules", levels(-1), "rules.levels[0].after_days"),
    ("dunning.set_rules", levels(1.5), "rules.levels[0].after_days"), ("dunning.set_rules", {}, "rules"),
    ("dunning.set_rules", levels(*range(1, 23)), "rules.levels"), ("dunning.set_rules", {"rules": {"levels": [], "x": 1}}, "rules.x"),
    ("dunning.set_rules", fee(kind="fixed", amounts={"USD": 0}), "rules.levels[0].fee.amounts"),
    ("dunning.set_rules", fee(kind="fixed", amounts={}), "rules.levels[0].fee.amounts"),
    ("dunning.set_rules", fee(kind="rate", per_year="-1"), "rules.levels[0].fee.per_year"),
    ("dunning.set_rules", fee(kind="rate", per_year=0.1), "rules.levels[0].fee.per_year"),
    ("dunning.set_rules", fee(kind="rate", per_year="0.1", year="365.25"), "rules.levels[0].fee.year"),
    ("dunning.set_rules", fee(kind="other"), "rules.levels[0].fee.kind"),
    ("dunning.remind", {"on": "2099-01-01", "customers": [ADA]}, "on"), ("dunning.remind", {"on": "1999-01-01", "customers": [ADA]}, "on"),
    ("dunning.remind", {"on": "2026-02-30", "customers": [ADA]}, "on"), ("dunning.remind", {"on": "2026-10-01", "customers": []}, "customers"),
    ("dunning.remind", {"on": "2026-10-01", "customers": ["nobody"]}, "customers[0]"),
    ("dunning.list_debtors", {"on": "2026-10-01", "after": "x"}, "after"),
    ("dunning.ask_fees", {"fees": [{"invoice": str(uuid7()), "level": 1}]}, "fees[0]"),
    ("dunning.ask_fees", {"fees": [{"invoice": str(uuid7()), "level": 0}]}, "fees[0].level"),
    ("dunning.list", {"after": "x"}, "after"), ("dunning.list_fees", {"after": "x/1"}, "after"),
    ("batches.begin", {"id": str(uuid7()), "kind": "No Kind", "of": "x"}, "kind"),
    ("batches.begin", {"id": str(uuid7()), "kind": "k", "of": ""}, "of"),
    ("batches.note", {"id": str(uuid7()), "counts": {}}, "id"), ("batches.find", {"id": str(uuid7())}, "id"),
    ("batches.note", {"id": str(uuid7()), "counts": {"a": -1}}, "counts"), ("batches.list", {"after": str(uuid7())}, "after"),
]  # fmt: skip


async def test_bad_input_about_dunning_is_refused(till: Till) -> None:
    """It names the field, and nothing is kept."""
    before = await till.do("dunning.rules")
    for operation, fields, field in BAD:
        error = await till.refused(operation, **fields)
        assert (operation, fields, (error.field or "").split("[...]")[0]) == (operation, fields, field), error.message
    assert await till.do("dunning.rules") == before
    assert (await till.do("batches.list")).items == []


async def test_what_a_run_came_to_is_kept(till: Till) -> None:
    """Chunk by chunk; what has ended takes no more."""
    run = str(uuid7())
    await till.do("batches.begin", id=run, kind="mine", of="2026-10")
    await till.do("batches.begin", id=run, kind="mine", of="2026-10")
    assert (await till.refused("batches.begin", id=run, kind="mine", of="2026-11")).code == "batches.begun"
    failure = {"customer": ADA, "code": "x.y", "message": "why"}
    await till.do("batches.note", id=run, counts={"done": 2}, failures=[failure])
    await till.do("batches.note", id=run, counts={"done": 3}, last=True)
    (kept,) = (await till.do("batches.list", kind="mine")).items
    assert (kept.status, kept.counts, kept.failed) == ("ended", {"done": 5}, 1)
    assert (await till.refused("batches.note", id=run, counts={})).code == "batches.ended"


async def test_reminders_are_rebuilt(till: Till, server: EmbeddedServer) -> None:
    """With their fees, and what the runs came to."""
    await owe_many(till, 3)
    for days in (5, 15, 30):
        await dun(till, days, chunk=2)
    async with made_database(url_of(server, "postgres")) as url:
        found = await rebuild(till.operations, "main", url, lambda *_: None)
    assert found.difference is None, found.difference.message
