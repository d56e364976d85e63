"""One charge for all that is due: made for a day, applied to each invoice, tried again by the kind of error."""

import asyncio
import datetime as dt
import sys
import uuid
from pathlib import Path
from typing import Any

import asyncpg
import msgspec
import pytest
import pytest_asyncio

from tallystick.errors import InvalidInput
from tallystick.operations.run_charges import run_charges
from tallystick.security.model import OPERATOR
from tests.conftest import House
from tests.db.repaid import ADA, Till, open_till

IBAN = "DE89370400440532013000"
DAY = "2026-10-05"
"""A Monday."""


@pytest_asyncio.fixture
async def till(house: House) -> Till:
    """Give a book in which ada owes two invoices and is debited on the 5th of each month."""
    opened = open_till(house)
    await opened.owe(300, "loans", "2026-10-05", reference="first")
    await opened.owe(200, "api", "2026-10-03", reference="second")
    await agree(opened)
    return opened


async def agree(till: Till, customer: str = ADA, **fields: object) -> Any:  # noqa: ANN401 - an Agreement
    """Let a customer choose a day."""
    wanted = {"day": 5, "bank_account": IBAN, "country": "DE", "cutoff_days": 0, **fields}
    return await till.do("collecting.choose_debit_day", customer=customer, **wanted)


async def charges_of(till: Till, on: str) -> list[Any]:
    """Return the charges of a day."""
    return list((await till.do("charges.list", on=on)).items)


async def apply(till: Till, charge: uuid.UUID, **fields: object) -> Any:  # noqa: ANN401 - an OutcomeApplied
    """Apply an outcome."""
    (applied,) = (await till.do("charges.apply", outcomes=[{"charge": str(charge), **fields}])).items
    return applied


async def test_all_that_is_due_is_one_charge(till: Till) -> None:
    """What is due by the day, of every product; made twice it is made once."""
    later = await till.owe(50, due_on="2026-10-06")
    made = await till.do("charges.make", on=DAY)
    assert (made.customers, made.made, made.totals, made.next) == (1, 1, {"USD": 500}, None)
    again = await till.do("charges.make", on=DAY)
    assert (again.customers, again.made) == (1, 0)
    (charge,) = await charges_of(till, DAY)
    assert (charge.customer, charge.bank_account, charge.amount, charge.attempt, charge.status) == (
        ADA, IBAN, 500, 1, "made",
    )  # fmt: skip
    assert {one.invoice: one.amount for one in charge.invoices} == {
        till.invoices["first"]: 300, till.invoices["second"]: 200,
    }  # fmt: skip
    assert later not in {one.invoice for one in charge.invoices}


async def test_on_any_other_day_nothing_is_charged(till: Till) -> None:
    """Not the day before, not the day after, and not on a Sunday."""
    for on in ("2026-10-02", "2026-10-04", "2026-10-06"):
        assert (await till.do("charges.make", on=on)).made == 0


async def test_a_success_repays_each_invoice(till: Till) -> None:
    """The same outcome again changes nothing, and another one is refused."""
    await till.do("charges.make", on=DAY)
    (charge,) = await charges_of(till, DAY)
    applied = await apply(till, charge.id)
    assert (applied.status, applied.taken, applied.allocated, applied.retry_on) == ("applied", 500, 500, None)
    assert await till.outstanding(*till.invoices.values()) == [0, 0]
    assert [await till.status(one) for one in till.invoices.values()] == ["paid", "paid"]
    (found,) = await charges_of(till, DAY)
    assert (found.status, [one.repaid for one in found.invoices]) == (
        "succeeded",
        [one.amount for one in found.invoices],
    )
    assert (await apply(till, charge.id)).status == "known"
    other = await apply(till, charge.id, error_kind="technical")
    assert (other.status, other.code) == ("refused", "charges.outcome_differs")
    assert (await till.do("ledger.balance", account="providers/bank_debit/USD")).balance == -500


async def test_a_part_is_placed_by_the_customers_policy(till: Till) -> None:
    """Among the invoices of the charge alone."""
    older = await till.owe(80, due_on="2026-10-07", cost_rank="0.9")
    await till.do("repayments.set_policy", customer=ADA, policy={"kind": "product_order", "products": ["api"]})
    await till.do("charges.make", on=DAY)
    (charge,) = await charges_of(till, DAY)
    applied = await apply(till, charge.id, taken=250, error_kind="insufficient_funds")
    assert (applied.taken, applied.allocated, str(applied.retry_on)) == (250, 250, "2026-10-12")
    first, second = till.invoices["first"], till.invoices["second"]
    assert await till.outstanding(first, second, older) == [250, 0, 80]
    assert (await charges_of(till, DAY))[0].status == "partly"


async def test_a_failure_is_tried_again_by_its_kind(till: Till) -> None:
    """Insufficient funds after five days, twice; what was paid meanwhile is not charged again."""
    await till.do("charges.make", on=DAY)
    (charge,) = await charges_of(till, DAY)
    assert str((await apply(till, charge.id, error_kind="insufficient_funds")).retry_on) == "2026-10-12"
    assert await till.outstanding(*till.invoices.values()) == [300, 200]
    await till.pay(200, invoices=[str(till.invoices["second"])])
    new = await till.owe(70, due_on="2026-10-06")
    assert (await till.do("charges.make", on="2026-10-09")).made == 0
    assert (await till.do("charges.make", on="2026-10-12")).totals == {"USD": 300}
    (second,) = await charges_of(till, "2026-10-12")
    assert (second.attempt, second.retry_of, [one.invoice for one in second.invoices]) == (
        2, charge.id, [till.invoices["first"]],
    )  # fmt: skip
    assert str((await apply(till, second.id, error_kind="insufficient_funds")).retry_on) == "2026-10-19"
    await till.do("charges.make", on="2026-10-19")
    (third,) = await charges_of(till, "2026-10-19")
    assert (third.attempt, (await apply(till, third.id, error_kind="insufficient_funds")).retry_on) == (3, None)
    made = await till.do("charges.make", on="2026-11-05")
    assert made.totals == {"USD": 370}
    (next_month,) = await charges_of(till, "2026-11-05")
    assert (next_month.attempt, next_month.retry_of) == (1, None)
    assert {one.invoice for one in next_month.invoices} == {till.invoices["first"], new}


async def test_a_closed_account_is_not_tried_again(till: Till) -> None:
    """Nor is what failed for a reason that nobody has a rule for."""
    for on, kind in ((DAY, "account_closed"), ("2026-11-05", "never_heard_of")):
        await till.do("charges.make", on=on)
        (charge,) = await charges_of(till, on)
        assert (await apply(till, charge.id, error_kind=kind)).retry_on is None


async def test_a_retry_policy_is_data(till: Till) -> None:
    """Whoever sets one says what is done from then on; the day is moved behind a weekend."""
    assert (await till.do("charges.retry_policy")).rules["technical"].times == 3
    await till.do("charges.set_retry_policy", rules={"technical": {"times": 1, "after_days": 5}})
    await till.do("charges.make", on=DAY)
    (charge,) = await charges_of(till, DAY)
    assert str((await apply(till, charge.id, error_kind="technical")).retry_on) == "2026-10-12"


async def test_what_is_under_way_is_in_no_other_charge(till: Till) -> None:
    """Though the next debit day comes before the bank has answered."""
    await till.do("charges.make", on=DAY)
    new = await till.owe(70, due_on="2026-10-06")
    made = await till.do("charges.make", on="2026-11-05")
    (charge,) = await charges_of(till, "2026-11-05")
    assert (made.made, [one.invoice for one in charge.invoices]) == (1, [new])


async def test_what_was_repaid_otherwise_meanwhile_lies_unallocated(till: Till) -> None:
    """The bank took all: nobody is paid more than is owed, and nothing is lost."""
    await till.do("charges.make", on=DAY)
    (charge,) = await charges_of(till, DAY)
    await till.pay(200, invoices=[str(till.invoices["second"])])
    applied = await apply(till, charge.id)
    assert (applied.taken, applied.allocated, await till.unallocated()) == (500, 300, 200)
    assert await till.outstanding(*till.invoices.values()) == [0, 0]


async def test_one_bad_outcome_does_not_stop_the_others(till: Till) -> None:
    """Each is answered by itself."""
    await till.owe(40, due_on=DAY, customer="bob")
    await agree(till, "bob", bank_account="bob's account")
    assert (await till.do("charges.make", on=DAY)).made == 2
    of = {one.customer: one.id for one in await charges_of(till, DAY)}
    unknown = uuid.uuid4()
    answered = await till.do(
        "charges.apply",
        outcomes=[
            {"charge": str(of[ADA]), "taken": 501}, {"charge": str(unknown)},
            {"charge": str(of["bob"]), "taken": 40},
        ],
    )  # fmt: skip
    assert [(one.charge, one.status, one.code) for one in answered.items] == [
        (of[ADA], "refused", "invalid_input"), (unknown, "refused", "charges.unknown_charge"),
        (of["bob"], "applied", None),
    ]  # fmt: skip
    short = await apply(till, of[ADA], taken=100)
    assert (short.code, "why less" in str(short.message)) == ("invalid_input", True)
    twice = await till.refused("charges.apply", outcomes=[{"charge": str(of[ADA])}] * 2)
    assert twice.field == "outcomes"


async def test_chunks_make_the_same_charges(till: Till, owner: asyncpg.Connection) -> None:
    """However few customers are taken at a time, each has one charge."""
    for number in range(7):
        await till.owe(10 + number, due_on=DAY, customer=f"c{number}")
        await agree(till, f"c{number}", bank_account=f"account {number}")
    made = 0
    after: str | None = "0"
    while after is not None:
        chunk = await till.do("charges.make", on=DAY, after=after, limit=3)
        made, after = made + chunk.made, chunk.next
    assert made == 8
    rows = await owner.fetch("SELECT count(*) FROM charge GROUP BY customer_id, debit_on")
    assert [row["count"] for row in rows] == [1] * 8


async def test_a_killed_run_of_charges_is_finished_by_the_next(
    till: Till, database_url: str, owner: asyncpg.Connection
) -> None:
    """Killed between two chunks: each customer is charged once for all that is due, and the killed run did not end."""
    for number in range(9):
        await till.owe(10 + number, due_on=DAY, customer=f"c{number}")
        await agree(till, f"c{number}", bank_account=f"account {number}")
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "tests.db.charging_process", database_url, DAY,
        cwd=Path(__file__).parents[2], stdout=asyncio.subprocess.PIPE,
    )  # fmt: skip
    assert process.stdout is not None
    for _ in range(2):
        assert await process.stdout.readline()
    process.kill()
    await process.wait()
    before = await owner.fetchval("SELECT count(*) FROM charge")
    assert 4 <= before < 10
    done = await run_charges(till.operations, OPERATOR, "main", dt.date.fromisoformat(DAY), lambda _: None)
    assert (done.made, done.failed) == (10 - before, [])
    assert sum(one.amount for one in await charges_of(till, DAY)) == 500 + sum(range(10, 19))
    assert await owner.fetchval("SELECT count(DISTINCT customer_id) FROM charge") == 10
    assert [one.status for one in (await till.do("batches.list", kind="charges")).items] == ["ended", "not_ended"]


async def test_an_agreement_can_be_changed_until_the_cut_off(till: Till) -> None:
    """A debit that is nearer than that is by the old one; from then on the new one counts."""
    till.clock.at = dt.datetime(2026, 10, 20, tzinfo=dt.UTC)
    first = await agree(till, day=28, cutoff_days=5)
    assert (str(first.from_on), str(first.next_debit_on), first.still_on) == ("2026-10-25", "2026-10-28", None)
    till.clock.at = dt.datetime(2026, 10, 23, tzinfo=dt.UTC)
    in_time = await agree(till, day="last", cutoff_days=5, bank_account="another")
    assert (str(in_time.from_on), str(in_time.next_debit_on), in_time.still_on) == ("2026-10-28", "2026-11-02", None)
    till.clock.at = dt.datetime(2026, 10, 29, tzinfo=dt.UTC)
    late = await agree(till, day=15, cutoff_days=5)
    assert (str(late.next_debit_on), str(late.still_on)) == ("2026-11-16", "2026-11-02")
    assert (await till.do("charges.make", on="2026-10-28")).made == 0
    assert (await till.do("charges.make", on="2026-11-02")).made == 1
    assert (await charges_of(till, "2026-11-02"))[0].bank_account == "another"
    ended = await till.do("collecting.choose_debit_day", customer=ADA, day=None)
    assert (ended.bank_account, ended.next_debit_on) == (None, None)
    assert (await till.do("collecting.debit_day", customer=ADA)).day is None


async def test_a_debit_day_is_moved_by_the_countrys_holidays(till: Till) -> None:
    """Golden week, year's end, and a leap day."""
    found = []
    for at, day, country, rule in (
        ("2027-05-01", 3, "JP", "following"), ("2026-12-20", "last", "JP", "modified_following"),
        ("2028-02-20", "last", "US", "following"), ("2026-12-20", 25, "DE", "preceding"),
    ):  # fmt: skip
        till.clock.at = dt.datetime.fromisoformat(f"{at}T00:00:00+00:00")
        agreed = await agree(till, day=day, country=country, rule=rule, bank_account="x")
        found.append(str(agreed.next_debit_on))
    assert found == ["2027-05-06", "2026-12-30", "2028-02-29", "2026-12-24"]


BAD_AGREEMENTS: list[tuple[dict[str, object], str]] = [
    ({"day": 0}, "day"), ({"day": 29}, "day"), ({"day": 31}, "day"), ({"day": "first"}, "day"), ({"day": 1.5}, "day"),
    ({"day": -1}, "day"), ({"bank_account": "DE89370400440532013001"}, "bank_account"), ({"bank_account": ""}, "bank_account"),
    ({"bank_account": "x" * 65}, "bank_account"), ({"bank_account": "a\x00b"}, "bank_account"),
    ({"bank_account": None}, "bank_account"), ({"country": None}, "country"), ({"country": "XX"}, "country"),
    ({"country": "DE-XX"}, "country"), ({"country": "de"}, "country"), ({"rule": "nearest"}, "rule"),
    ({"cutoff_days": -1}, "cutoff_days"), ({"cutoff_days": 29}, "cutoff_days"), ({"customer": "nobody"}, "customer"),
    ({"customer": "a\x00"}, "customer"),
]  # fmt: skip


async def test_what_is_no_agreement_is_refused(till: Till) -> None:
    """It names the field, and what was agreed before goes on."""
    before = await till.do("collecting.debit_day", customer=ADA)
    for fields, field in BAD_AGREEMENTS:
        wanted = {"customer": ADA, "day": 5, "bank_account": IBAN, "country": "DE", **fields}
        error = await till.refused("collecting.choose_debit_day", **wanted)
        assert (fields, error.field) == (fields, field), error.message
    assert await till.do("collecting.debit_day", customer=ADA) == before


BAD_INPUT: list[tuple[str, dict[str, object], str]] = [
    ("charges.make", {"on": "2199-10-05"}, "on"), ("charges.make", {"on": "0001-01-01"}, "on"),
    ("charges.make", {"on": "2026-02-30"}, "on"), ("charges.make", {"on": DAY, "after": "x"}, "after"),
    ("charges.make", {"on": DAY, "limit": 0}, "limit"), ("charges.apply", {"outcomes": []}, "outcomes"),
    ("charges.apply", {"outcomes": [{"charge": "x"}]}, "outcomes[0].charge"),
    ("charges.apply", {"outcomes": [{"charge": str(uuid.UUID(int=1)), "taken": -1}]}, "outcomes[0].taken"),
    ("charges.apply", {"outcomes": [{"charge": str(uuid.UUID(int=1)), "taken": 1.5}]}, "outcomes[0].taken"),
    ("charges.apply", {"outcomes": [{"charge": str(uuid.UUID(int=1)), "error_kind": "No Money"}]}, "outcomes[0].error_kind"),
    ("charges.apply", {"outcomes": [{"charge": str(uuid.UUID(int=1))}], "received_on": "9999-01-01"}, "received_on"),
    ("charges.find", {"id": str(uuid.UUID(int=1))}, "id"), ("charges.list", {"after": str(uuid.UUID(int=1))}, "after"),
    ("charges.set_retry_policy", {"rules": {"x": {"times": -1}}}, "rules[...].times"),
    ("charges.set_retry_policy", {"rules": {"x": {"times": 1, "after_days": 0}}}, "rules[...].after_days"),
    ("charges.set_retry_policy", {"rules": {"X Y": {"times": 1}}}, "rules"),
]  # fmt: skip


async def test_bad_input_about_charges_is_refused(till: Till) -> None:
    """It names the field, and nothing is kept."""
    for operation, fields, field in BAD_INPUT:
        error = await till.refused(operation, **fields)
        assert error.field is not None, error.message
        assert error.field.startswith(field.split("[", maxsplit=1)[0]), (fields, error.field)
    assert (await till.do("charges.list")).items == []


LIMIT = """
INSERT INTO account_limit (book_id, account_id, transaction_id, message_place, min_balance, changed_at)
SELECT book_id, account_id, transaction_order(), 0, $1, opened_at FROM account
WHERE code = 'customers/carl/unallocated/USD'
"""
"""Gives an account that is opened with one bound another."""


async def test_one_who_cannot_be_charged_is_left_out_and_the_others_go_on(
    till: Till, owner: asyncpg.Connection
) -> None:
    """Who it is and why is told and kept; mended, the next run makes that charge too."""
    on = dt.date.fromisoformat(DAY)
    await till.owe(1, customer="carl")
    await till.pay(1, customer="carl")
    for customer in ("bob", "carl", "dora"):
        await till.owe(70, customer=customer, due_on=DAY)
        await agree(till, customer)
    await owner.execute(LIMIT, -5)
    told: list[int] = []
    done = await run_charges(till.operations, OPERATOR, "main", on, lambda so_far: told.append(so_far.made), chunk=3)
    assert (done.customers, done.made, done.totals) == (3, 3, {"USD": 640})
    (failed,) = done.failed
    assert (failed.customer, failed.code) == ("carl", "ledger.account_exists")
    assert told[-1] == 3
    assert {one.customer for one in await charges_of(till, DAY)} == {ADA, "bob", "dora"}
    (run,) = (await till.do("batches.list", kind="charges")).items
    kept = await till.do("batches.find", id=run.id)
    assert (kept.status, [one.customer for one in kept.failures]) == ("ended", ["carl"])
    await owner.execute(LIMIT, 0)
    again = await run_charges(till.operations, OPERATOR, "main", on, lambda _: None)
    assert (again.made, again.failed) == (1, [])


async def test_a_day_whose_holidays_are_not_known_fails_at_once(till: Till) -> None:
    """It is nobody's fault among the customers, so nobody is left out for it."""
    with pytest.raises(InvalidInput) as refused:
        await run_charges(till.operations, OPERATOR, "main", dt.date(9000, 1, 5), lambda _: None)
    assert refused.value.field == "on"


NEW = str(uuid.UUID(int=7))
NAMED: list[tuple[str, dict[str, object], str]] = [
    ("charge", {"charge_id": NEW, "customer_id": 7777}, "customer_id"),
    ("charge", {"charge_id": NEW, "debit_on": "2030-01-01", "asset_id": 77}, "asset_id"),
    ("charge", {"charge_id": NEW, "debit_on": "2030-01-01", "attempt": 2, "retry_of": str(uuid.UUID(int=8))}, "retry_of"),
    ("charge_invoice", {"charge_id": NEW}, "charge_id"),
    ("charge_invoice", {"invoice_id": NEW}, "invoice_id"),
    ("charge_outcome", {"charge_id": NEW}, "charge_id"),
    ("repayment", {"repayment_id": NEW, "reference": "x", "customer_id": 7777}, "customer_id"),
    ("repayment", {"repayment_id": NEW, "reference": "x", "from_account_id": 7777}, "from_account_id"),
    ("repayment_allocation", {"transfer_id": NEW, "repayment_id": NEW}, "repayment_id"),
    ("repayment_allocation", {"transfer_id": NEW, "invoice_id": NEW}, "invoice_id"),
    ("invoice_state", {"invoice_id": NEW}, "invoice_id"),
    ("invoice_issue", {"invoice_id": NEW, "number": 7777}, "invoice_id"),
    ("invoice_request", {"invoice_id": NEW, "reference": "x"}, "invoice_id"),
    ("account", {"account_id": 7777, "code": "x", "asset_id": 77}, "asset_id"),
]  # fmt: skip


async def test_the_store_refuses_what_names_nothing(till: Till, owner: asyncpg.Connection) -> None:
    """As foreign keys would, though it looks once for each statement: a row that is otherwise right is not written."""
    await till.do("charges.make", on=DAY)
    (charge,) = await charges_of(till, DAY)
    await apply(till, charge.id)
    for table, wrong, column in NAMED:
        text = f"INSERT INTO {table} SELECT (jsonb_populate_record(t, $1::jsonb)).* FROM {table} AS t LIMIT 1"
        with pytest.raises(asyncpg.ForeignKeyViolationError) as refused:
            await owner.execute(text, msgspec.json.encode(wrong).decode())
        assert refused.value.constraint_name == f"{table}_book_id_{column}_fkey"
    assert await owner.fetchval("SELECT count(*) FROM charge") == 1
