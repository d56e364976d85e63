"""Drafts: what usage comes to at the prices in force."""

import asyncio
import datetime as dt
import uuid
from typing import Any

import asyncpg
import pytest

from tallystick.clock import FixedClock
from tallystick.invoicing.draft import UsageNotSettled
from tallystick.ledger.books import find_book
from tallystick.operations.invoicing_month import run_month
from tallystick.operations.run import Operations
from tallystick.operations.table import TABLE
from tallystick.security.model import OPERATOR
from tests.conftest import House
from tests.db.priced_usage import ask, meter_requests, price, refusal_of, use, use_in_may
from tests.db.subscribed import flat, plan_content

FLAT: dict[str, Any] = {"charge": "base", "name": "Base fee", "meter": None, "price": {"model": "flat", "amount": "5"}}

BAD_INPUT: list[tuple[dict[str, Any], str]] = [
    ({"month": "2015-13"}, "month"),
    ({"month": "2015-00"}, "month"),
    ({"month": "May 2015"}, "month"),
    ({"month": "0000-01"}, "month"),
    ({"month": "9999-12"}, "month"),
    ({"month": "0001-01", "zone": "Asia/Tokyo"}, "month"),
    ({"zone": "Mars/Olympus"}, "zone"),
    ({"zone": "../etc/passwd"}, "zone"),
    ({"zone": "Europe"}, "zone"),
    ({"zone": ""}, "zone"),
    ({"zone": "localtime"}, "zone"),
    ({"zone": "posixrules"}, "zone"),
    ({"zone": "posix/UTC"}, "zone"),
    ({"zone": "right/UTC"}, "zone"),
    ({"zone": "Factory"}, "zone"),
    ({"zone": "europe/vienna"}, "zone"),
    ({"zone": "x" * 5000}, "zone"),
    ({"limit": 0}, "limit"),
    ({"limit": 10**9}, "limit"),
    ({"after": "page two"}, "after"),
]

BAD_TERMS: list[tuple[dict[str, Any], str]] = [
    ({"terms_days": -1}, "terms_days"),
    ({"customers": []}, "customers"),
    ({"customers": ["c"] * 1001}, "customers"),
    ({"customers": ["nul\0"]}, "customers[0]"),
    ({"product": "API"}, "product"),
]


async def test_a_draft_has_a_line_for_each_charge_that_was_used(house: House) -> None:
    """Requests, bytes and the base fee each make a line that explains itself, and the total is their sum."""
    await meter_requests(house)
    await price(house, "0.01")
    await price(
        house, "0", charge="traffic", name="Traffic", meter="bytes", price={"model": "per_unit", "rate": "0.001"}
    )
    await price(house, "0", **FLAT)
    await use(
        house, [("ada", "2015-05-02T00:00:00Z"), ("ada", "2015-05-31T23:59:59Z"), ("ada", "2015-06-01T00:00:00Z")]
    )
    drafted = await ask(house, "invoicing.draft", month="2015-05")
    assert (drafted.customers, drafted.drafted, drafted.totals, drafted.next) == (1, 1, {"USD": 522}, None)
    (invoice,) = await _invoices(house)
    assert [(line.charge, line.events, line.quantity, line.amount, line.explanation) for line in invoice.lines] == [
        ("base", 0, "1", 500, "flat fee of 5 USD = 5.00 USD"),
        ("requests", 2, "2", 2, "2 requests: 2 × 0.01 USD = 0.02 USD"),
        ("traffic", 2, "200", 20, "200 bytes: 200 × 0.001 USD = 0.20 USD"),
    ]
    assert invoice.total == sum(line.amount for line in invoice.lines)
    assert (invoice.status, invoice.number, invoice.outstanding, invoice.due_on) == ("draft", None, 0, None)


async def test_a_price_change_inside_the_month_splits_the_line(house: House) -> None:
    """What was used before the change keeps the old price, and each part names the version it is rated at."""
    await meter_requests(house)
    await price(house, "0.01")
    await price(house, "1", "2015-05-11T00:00:00Z")
    await use(
        house,
        [("ada", "2015-05-10T23:59:59.999999Z"), ("ada", "2015-05-11T00:00:00Z"), ("ada", "2015-05-12T00:00:00Z")],
    )
    await ask(house, "invoicing.draft", month="2015-05")
    (invoice,) = await _invoices(house)
    assert [(one.price_at.day, one.period_start.day, one.events, one.amount) for one in invoice.lines] == [
        (1, 1, 1, 1),
        (11, 11, 2, 200),
    ]


async def test_a_new_price_does_not_change_an_old_invoice(house: House) -> None:
    """A version may begin in a month that was invoiced; what stands on the invoice stays to the last character."""
    await meter_requests(house)
    await price(house, "0.01")
    await use_in_may(house, 2)
    await ask(house, "invoicing.draft", month="2015-05")
    before = await _invoices(house)
    await price(house, "99", "2015-05-02T00:00:00Z")
    again = await ask(house, "invoicing.draft", month="2015-05")
    assert (again.drafted, again.known) == (0, 2)
    assert await _invoices(house) == before


async def test_drafting_again_finds_what_is_there(house: House) -> None:
    """A repeat under a new message id drafts only for who has come since, and invoice ids derive from content."""
    await meter_requests(house)
    await price(house, "0.01")
    await use_in_may(house, 2)
    await ask(house, "invoicing.draft", month="2015-05")
    await use(house, [("zoe", "2015-05-02T00:00:00Z"), ("customer-001", "2015-05-02T00:00:00Z")])
    again = await ask(house, "invoicing.draft", month="2015-05")
    assert (again.customers, again.drafted, again.known) == (3, 1, 2)
    assert [(one.customer, one.total) for one in await _invoices(house)] == [
        ("customer-001", 1),
        ("customer-002", 2),
        ("zoe", 1),
    ]


async def test_prices_in_two_assets_make_two_invoices(house: House) -> None:
    """An invoice is of one asset, since its account in the ledger is."""
    await meter_requests(house)
    await house.do("ledger.ensure_asset", asset="JPY", exponent=0)
    await price(house, "0.01")
    await price(
        house,
        "0",
        charge="traffic",
        name="Traffic",
        meter="bytes",
        asset="JPY",
        price={"model": "per_unit", "rate": "1"},
    )
    await use_in_may(house, 1)
    drafted = await ask(house, "invoicing.draft", month="2015-05")
    assert drafted.totals == {"USD": 1, "JPY": 100}
    assert sorted((one.asset, one.total, len(one.lines)) for one in await _invoices(house)) == [
        ("JPY", 100, 1),
        ("USD", 1, 1),
    ]


async def test_who_used_nothing_that_is_metered_gets_no_invoice(house: House) -> None:
    """A base fee alone is due only from who used the product."""
    await meter_requests(house)
    await house.do("catalog.define_meter", code="sms", name="messages", event_type="sms", aggregation="count")
    await price(house, "1", charge="sms", name="Messages", meter="sms")
    await price(house, "0", **FLAT)
    await use_in_may(house, 1)
    drafted = await ask(house, "invoicing.draft", month="2015-05")
    assert (drafted.customers, drafted.drafted) == (1, 0)


async def test_named_customers_are_drafted_alone(house: House) -> None:
    """Given refs, nobody else is looked at; one who does not exist is named by place, and nothing is drafted."""
    await meter_requests(house)
    await price(house, "0.01")
    await use_in_may(house, 3)
    wrong = {"month": "2015-05", "customers": ["customer-002", "nobody"]}
    assert await refusal_of(house, "invoicing.draft", **wrong) == ("invoicing.unknown_customer", "customers[1]")
    await ask(house, "invoicing.draft", month="2015-05", customers=["customer-002"])
    assert [one.customer for one in await _invoices(house)] == ["customer-002"]


async def test_a_draft_is_made_chunk_by_chunk(house: House) -> None:
    """The cursor of each chunk leads to the next, and the last has none."""
    await meter_requests(house)
    await price(house, "0.01")
    await use_in_may(house, 3)
    first = await ask(house, "invoicing.draft", month="2015-05", limit=2)
    second = await ask(house, "invoicing.draft", month="2015-05", limit=2, after=first.next)
    assert [(first.drafted, second.drafted), second.next] == [(2, 1), None]


async def test_a_dry_run_leaves_nothing(house: House, owner: asyncpg.Connection) -> None:
    """It says what drafting would come to; no invoice, line, zone or message is there after it."""
    await meter_requests(house)
    await price(house, "0.01")
    await use_in_may(house, 2)
    kept = await owner.fetchval("SELECT count(*) FROM message")
    answer = await house.operations.run(OPERATOR, "main", "invoicing.draft", "dry", {"month": "2015-05"}, dry_run=True)
    assert b'"drafted":2' in answer.body
    assert b'"totals":{"USD":3}' in answer.body
    for table in ("invoice", "invoice_line", "billing_zone", "number_series"):
        assert await owner.fetchval(f"SELECT count(*) FROM {table}") == 0
    assert await owner.fetchval("SELECT count(*) FROM message") == kept


async def test_months_of_two_zones_never_bill_one_event_twice(house: House) -> None:
    """The first draft fixes a product's zone: months of another would overlap what was invoiced."""
    await meter_requests(house)
    await price(house, "0.01", "2015-01-01T00:00:00Z")
    await use(house, [("ada", "2015-05-31T22:30:00Z")])
    await ask(house, "invoicing.draft", month="2015-06", zone="Europe/Vienna")
    (invoice,) = await _invoices(house)
    assert invoice.period_start == dt.datetime(2015, 5, 31, 22, tzinfo=dt.UTC)
    assert await refusal_of(house, "invoicing.draft", month="2015-05", zone="UTC") == ("invoicing.other_zone", "zone")
    assert await refusal_of(house, "invoicing.issue", month="2015-05", zone="UTC") == ("invoicing.other_zone", "zone")


async def test_a_month_that_is_not_over_is_not_invoiced(house: House, pool: asyncpg.Pool) -> None:
    """Until its last instant has passed an invoice would leave usage out."""
    await meter_requests(house)
    await price(house, "0.01")
    await use_in_may(house, 1)
    early = House(Operations(pool, FixedClock(dt.datetime(2015, 5, 31, 23, 59, tzinfo=dt.UTC)), TABLE))
    assert await refusal_of(early, "invoicing.draft", month="2015-05") == ("invoicing.month_not_over", "month")
    on_time = House(Operations(pool, FixedClock(dt.datetime(2015, 6, 1, tzinfo=dt.UTC)), TABLE))
    assert (await ask(on_time, "invoicing.draft", month="2015-05")).drafted == 1


async def test_a_total_beyond_what_can_be_moved_is_set_aside(house: House) -> None:
    """Lines that fit one by one and not together cost their customer the invoice, who is named, and nobody else."""
    await meter_requests(house)
    await price(house, "0.01")
    for charge in ("first", "second"):
        await price(house, "50000000000000000", charge=charge, meter="bytes")
    await use(house, [("ada", "2015-05-02T00:00:00Z")], size=1)
    await use(house, [("bob", "2015-05-02T00:00:00Z")], size=0)
    drafted = await ask(house, "invoicing.draft", month="2015-05")
    assert [(one.customer, one.code) for one in drafted.failed] == [("ada", "invoicing.total_too_large")]
    assert (drafted.customers, drafted.drafted, [one.customer for one in await _invoices(house)]) == (2, 1, ["bob"])


@pytest.mark.parametrize(
    ("quantities", "code"),
    [
        (["999999999999999999999999999999"], "rating.amount_too_large"),
        (["99999999999999999999", "0.00000000000000000000000000001"], "rating.invalid_quantity"),
    ],
)
async def test_one_customers_odd_usage_does_not_stop_everybodys_invoices(
    house: House, quantities: list[str], code: str
) -> None:
    """An event is never taken back: whose events have no amount is set aside, each time, and the others are issued."""
    await meter_requests(house)
    await price(house, "1.00", charge="traffic", meter="bytes")
    await use(house, [("bob", "2015-05-02T00:00:00Z")])
    given = [
        {"id": f"odd-{place}", "customer": "mallory", "at": "2015-05-03T00:00:00Z", "quantities": {"bytes": one}}
        for place, one in enumerate(quantities)
    ]
    assert (await ask(house, "usage.record", source="s", events=given)).accepted == len(given)
    for issued in (1, 0):
        done = await run_month(house.operations, OPERATOR, "main", "2015-05")
        assert [(one.customer, one.code) for one in done.failed] == [("mallory", code)]
        assert (done.customers, done.issued) == (2, issued)
    assert [(one.customer, one.status) for one in await _invoices(house)] == [("bob", "issued")]


async def test_usage_behind_an_open_transaction_is_not_left_out(house: House, owner: asyncpg.Connection) -> None:
    """While it cannot be told what an invoice covers nothing is drafted; afterwards all that was accepted is billed."""
    await meter_requests(house)
    await price(house, "1.00")
    await use(house, [("ada", "2015-05-01T00:00:00Z")])
    async with owner.transaction():
        await owner.fetchval("SELECT pg_current_xact_id()::text")
        await use(house, [("ada", "2015-05-02T00:00:00Z"), ("bob", "2015-05-02T00:00:00Z")])
        refused = await refusal_of(house, "invoicing.draft", month="2015-05")
        assert refused == ("invoicing.usage_not_settled", None)
        assert UsageNotSettled.kind.retry_helps
        named = {"month": "2015-05", "customers": ["bob"]}
        assert await refusal_of(house, "invoicing.draft", **named) == refused
    await ask(house, "invoicing.draft", month="2015-05")
    assert [(one.customer, one.total) for one in await _invoices(house)] == [("ada", 200), ("bob", 100)]


@pytest.mark.parametrize("by", ["a price", "a plan"])
async def test_a_price_waits_for_a_draft_before_it_takes_its_place(
    house: House, owner: asyncpg.Connection, by: str
) -> None:
    """Set while a draft of the product is made, it is ordered behind the draft, which has not seen it."""
    await meter_requests(house)
    book_id = (await find_book(owner, "main")).book_id
    waiting = "FROM pg_locks JOIN pg_stat_activity USING (pid) WHERE locktype = 'advisory' AND NOT granted"
    async with owner.transaction():
        await owner.execute("SELECT pg_advisory_xact_lock(hashtextextended('tallystick.drafts.api', $1))", book_id)
        if by == "a plan":
            content = plan_content(flat("base", "5"))
            setting = ask(house, "plans.set_version", plan="api", effective_at="2015-05-01T00:00:00Z", content=content)
        else:
            setting = price(house, "1.00")
        task = asyncio.create_task(setting)
        async with asyncio.timeout(30):
            while not await house.operations.pool.fetchval(f"SELECT count(*) {waiting}"):  # noqa: ASYNC110 - nothing tells us
                await asyncio.sleep(0.01)
        assert await house.operations.pool.fetchval(f"SELECT count(backend_xid) {waiting}") == 0
    await task


async def test_an_open_transaction_holds_nothing_up_that_it_does_not_touch(
    house: House, owner: asyncpg.Connection
) -> None:
    """What was recorded before it, of other months, or of who has an invoice, does not keep a month from drafting."""
    await meter_requests(house)
    await price(house, "1.00")
    await use(house, [("ada", "2015-05-01T00:00:00Z")])
    await ask(house, "invoicing.draft", month="2015-05")
    await use(house, [("bob", "2015-05-01T00:00:00Z")])
    async with owner.transaction():
        await owner.fetchval("SELECT pg_current_xact_id()::text")
        await use(house, [("ada", "2015-05-02T00:00:00Z"), ("bob", "2015-06-01T00:00:00Z")])
        drafted = await ask(house, "invoicing.draft", month="2015-05")
    assert (drafted.drafted, drafted.known) == (1, 1)


async def test_late_usage_is_counted_where_it_belongs_on_an_invoice_that_is_made(house: House) -> None:
    """Events after the draft that a meter counts are late, and no others; who has no invoice yet gets one."""
    await meter_requests(house)
    await price(house, "1.00")
    await use(house, [("ada", "2015-05-01T00:00:00Z")])
    assert (await ask(house, "invoicing.late_usage", month="2015-05")).events == 0
    await ask(house, "invoicing.draft", month="2015-05")
    assert (await ask(house, "invoicing.late_usage", month="2015-05")).events == 0
    await use(
        house, [("ada", "2015-05-31T23:59:59Z"), ("ada", "2015-06-01T00:00:00Z"), ("bob", "2015-05-02T00:00:00Z")]
    )
    other = {"id": "other", "customer": "ada", "at": "2015-05-03T00:00:00Z", "type": "sms", "quantities": {}}
    assert (await ask(house, "usage.record", source="s", events=[other])).accepted == 1
    assert (await ask(house, "invoicing.late_usage", month="2015-05")).events == 1
    assert (await ask(house, "invoicing.late_usage", month="2015-05", product="other")).events == 0


@pytest.mark.parametrize(
    ("operation", "fields"),
    [
        ("invoicing.draft", {"month": "2015-05", "after": "999"}),
        ("invoicing.issue", {"month": "2015-05", "after": str(uuid.UUID(int=7))}),
        ("invoicing.list", {"after": str(uuid.UUID(int=7))}),
        ("catalog.list_meters", {"after": "nothing"}),
        ("catalog.list_prices", {"after": "api/requests/2015-05-02T00:00:00+00:00"}),
        ("catalog.list_prices", {"after": "api/requests/0001-01-01T00:00:00+14:00"}),
    ],
)
async def test_a_cursor_that_no_page_gave_is_refused(house: House, operation: str, fields: dict[str, Any]) -> None:
    """Taken for one it would answer with nothing, as if there were no more."""
    await meter_requests(house)
    await price(house, "0.01")
    await use_in_may(house, 1)
    await ask(house, "invoicing.draft", month="2015-05")
    assert await refusal_of(house, operation, **fields) == ("invalid_input", "after")
    (invoice,) = await _invoices(house)
    of_line = {"id": str(invoice.id), "line": 0, "after": str(uuid.UUID(int=7))}
    assert await refusal_of(house, "invoicing.lineage", **of_line) == ("invalid_input", "after")


@pytest.mark.parametrize("operation", ["invoicing.draft", "invoicing.issue", "invoicing.list"])
async def test_bad_input_is_refused_by_field(house: House, operation: str) -> None:
    """Each refusal names the field to blame."""
    for change, field in BAD_INPUT:
        assert await refusal_of(house, operation, **({"month": "2015-05"} | change)) == ("invalid_input", field), change


async def test_bad_terms_are_refused_by_field(house: House) -> None:
    """Each refusal names the field to blame."""
    for change, field in BAD_TERMS:
        given = {"month": "2015-05"} | change
        assert await refusal_of(house, "invoicing.draft", **given) == ("invalid_input", field), change


async def test_a_product_without_prices_is_not_invoiced(house: House) -> None:
    """A slip in the product's name bills nobody and says why."""
    await meter_requests(house)
    await price(house, "0.01")
    await use_in_may(house, 1)
    assert await refusal_of(house, "invoicing.draft", month="2015-05", product="apo") == (
        "invoicing.no_prices",
        "product",
    )


async def test_the_usage_behind_a_line_is_what_was_counted(house: House) -> None:
    """Lineage leads from a line to exactly its events and their messages, also after more usage came in late."""
    await meter_requests(house)
    await price(house, "0.01")
    await use_in_may(house, 3)
    await ask(house, "invoicing.draft", month="2015-05")
    await use(house, [("customer-003", "2015-05-01T00:00:00Z")])
    invoice = (await _invoices(house))[-1]
    seen: list[Any] = []
    after: uuid.UUID | None = None
    while not seen or after is not None:
        page = await ask(house, "invoicing.lineage", id=invoice.id, line=0, limit=2, after=after)
        seen += page.items
        after = page.next
    assert len(seen) == invoice.lines[0].events == 3
    assert [one.at.day for one in seen] == [1, 2, 3]
    assert {one.source for one in seen} == {"test"}
    assert all(one.message for one in seen)
    assert await refusal_of(house, "invoicing.lineage", id=invoice.id, line=1) == ("invoicing.unknown_line", "line")


async def test_customers_who_used_equally_much_are_each_billed_for_it(house: House) -> None:
    """A line rated once for a chunk stands on the invoice of each customer, and no one else's."""
    await meter_requests(house)
    await price(house, "0.01")
    await use(house, [(name, "2015-05-02T00:00:00Z") for name in ("ada", "bob", "bob", "eve")])
    await ask(house, "invoicing.draft", month="2015-05")
    assert [(one.customer, one.lines[0].events, one.total) for one in await _invoices(house)] == [
        ("ada", 1, 1),
        ("bob", 2, 2),
        ("eve", 1, 1),
    ]


@pytest.mark.parametrize(
    "change", ["charge = 'other'", "price_at = '2014-01-01'", "product = 'other'", "invoice_id = uuidv7()"]
)
async def test_a_line_names_an_invoice_and_a_price_that_exist(
    house: House, owner: asyncpg.Connection, change: str
) -> None:
    """Even behind the product's back no line can be written that leads nowhere."""
    await meter_requests(house)
    await price(house, "0.01")
    await use_in_may(house, 1)
    await ask(house, "invoicing.draft", month="2015-05")
    await owner.execute("CREATE TEMPORARY TABLE forged AS SELECT * FROM invoice_line")
    await owner.execute(f"UPDATE forged SET position = 9, {change}")
    with pytest.raises(asyncpg.ForeignKeyViolationError):
        await owner.execute("INSERT INTO invoice_line SELECT * FROM forged")
    with pytest.raises(asyncpg.RestrictViolationError):
        await owner.execute("UPDATE invoice_line SET amount = 0")


async def _invoices(house: House) -> list[Any]:
    return list((await ask(house, "invoicing.list")).items)


async def test_a_seat_that_nobody_touches_is_billed_month_after_month(house: House) -> None:
    """A level that was set in March holds on in April, though nothing was reported there; who gave it back is not billed."""
    await house.do(
        "catalog.define_meter", code="seats", name="seats", event_type="seats", aggregation="time_weighted",
        quantity="seats", time_unit="period",
    )  # fmt: skip
    per_seat = {"model": "per_unit", "rate": "10"}
    await price(house, "0", "2015-03-01T00:00:00Z", charge="seats", name="Seats", meter="seats", price=per_seat)
    given = [
        {"id": f"{customer}-{at}", "customer": customer, "type": "seats", "at": at, "quantities": {"seats": seats}}
        for customer, at, seats in (
            ("ada", "2015-03-10T00:00:00Z", 3), ("bob", "2015-03-10T00:00:00Z", 1), ("bob", "2015-03-20T00:00:00Z", 0)
        )
    ]  # fmt: skip
    await ask(house, "usage.record", source="test", events=given)
    drafted = await ask(house, "invoicing.draft", month="2015-04")
    assert drafted.totals == {"USD": 3000}
    assert [(one.customer, line.quantity, line.amount) for one in await _invoices(house) for line in one.lines] == [
        ("ada", "3", 3000)
    ]
