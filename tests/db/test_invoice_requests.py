"""Requests: any product asks for an invoice in its own words, and gets it once."""

import asyncio
import datetime as dt
import uuid
from typing import Any

import asyncpg
import pytest

from tallystick.clock import FixedClock
from tallystick.db.embedded import EmbeddedServer
from tallystick.errors import TallystickError
from tallystick.operations.run import Operations
from tallystick.operations.table import TABLE
from tallystick.security.model import OPERATOR
from tests.conftest import House
from tests.db.requested import LINE, refused, request, wanted
from tests.db.test_rebuild import rebuilt, said

MOST = 2**63 - 1


async def test_a_product_gets_its_invoice_numbered_and_posted(house: House) -> None:
    """Lines in the product's words become an invoice with a number, a due date and what is owed in the ledger."""
    lines = [
        {"description": "Interest of May", "quantity": "31", "unit_amount": "12.5", "amount": 388},
        {"description": "Fee", "amount": 250, "post_to": "fees/late"},
    ]
    told = await request(house, lines=lines, memo="Loan 7\nMay", cost_rank="0.18", due_on="2999-01-31", terms_days=None)
    assert (told.number, told.total, told.known, told.due_on) == ("INV-000001", 638, False, dt.date(2999, 1, 31))
    found = await house.do("invoicing.find", id=told.id)
    assert (found.reference, found.memo, found.cost_rank) == ("loan-1", "Loan 7\nMay", "0.18")
    assert [(line.name, line.quantity, line.unit_amount, line.amount, line.post_to) for line in found.lines] == [
        ("Interest of May", "31", "12.5", 388, None),
        ("Fee", "1", None, 250, "fees/late"),
    ]
    assert (found.status, found.outstanding, found.period_start) == ("issued", 638, None)
    assert (await house.do("ledger.balance", account="revenue/loans/USD")).balance == 388
    assert (await house.do("ledger.balance", account="fees/late")).balance == 250
    assert (await house.do("ledger.balance", account=found.account)).balance == -638


async def test_the_same_reference_is_the_same_invoice(house: House) -> None:
    """However often it is asked for, also in other words for the same numbers, there is one."""
    one = await request(house, lines=[{"description": "Fee", "quantity": "2", "unit_amount": "5.0"}])
    again = await request(house, lines=[{"description": "Fee", "quantity": "2.00", "unit_amount": "5", "amount": 10}])
    assert (again.id, again.number, again.known) == (one.id, one.number, True)
    other = await request(house, product="cards")
    assert (other.number, other.known) == ("INV-000002", False)


@pytest.mark.parametrize(
    ("field", "value"),
    [("customer", "eve"), ("terms_days", 31), ("memo", "other"), ("zone", "Asia/Tokyo"), ("series", "B"), ("cost_rank", "1"),
     ("lines", [{"description": "Fee", "amount": 1_001}])],
)  # fmt: skip
async def test_other_content_under_a_reference_is_a_conflict(house: House, field: str, value: object) -> None:
    """The field that differs is named, and the invoice stays as it was asked for first."""
    await request(house)
    changed: dict[str, Any] = {field: value}
    assert await refused(house, "invoicing.request", **wanted(**changed)) == ("invoicing.reference_taken", field)
    assert len((await house.do("invoicing.list")).items) == 1


@pytest.mark.parametrize(
    ("changed", "code", "field"),
    [
        ({"lines": [{"description": "a", "quantity": "3", "unit_amount": "1.5", "amount": 5}]},
         "invoicing.line_amount_differs", "lines[0].amount"),
        ({"lines": [{"description": "a"}]}, "invalid_input", "lines[0].amount"),
        ({"lines": [LINE, {"description": "off", "amount": -1_001}]}, "invoicing.total_below_zero", "lines"),
        ({"lines": [{"description": "a", "amount": MOST}, LINE]}, "invoicing.amount_beyond", "lines"),
        ({"lines": [{"description": "a", "quantity": "999999999999999999", "unit_amount": "100"}]},
         "invoicing.amount_beyond", "lines[0]"),
        ({"lines": [{"description": "a", "amount": MOST + 1}]}, "invalid_input", "lines[0].amount"),
        ({"lines": [{"description": "a", "amount": 2**70}]}, "invalid_input", "lines[0].amount"),
        ({"lines": [{"description": "a", "amount": 1.5}]}, "invalid_input", "lines[0].amount"),
        ({"lines": [{"description": "a", "quantity": 2.5, "amount": 1}]}, "invalid_input", "lines[0].quantity"),
        ({"lines": [{"description": "a", "quantity": "1e5", "amount": 1}]}, "invalid_input", "lines[0].quantity"),
        ({"lines": [{"description": "a\x00", "amount": 1}]}, "invalid_input", "lines[0].description"),
        ({"lines": [{"description": "a" * 10_000, "amount": 1}]}, "invalid_input", "lines[0].description"),
        ({"lines": [{"description": "a", "amount": 1, "post_to": "x\x00"}]}, "invalid_input", "lines[0].post_to"),
        ({"lines": [LINE] * 10_001}, "invalid_input", "lines"),
        ({"lines": []}, "invalid_input", "lines"),
        ({"memo": "a" * 10_000}, "invalid_input", "memo"),
        ({"memo": "a\x00"}, "invalid_input", "memo"),
        ({"reference": "a\nb"}, "invalid_input", "reference"),
        ({"customer": "a\x00"}, "invalid_input", "customer"),
        ({"asset": "EUR"}, "ledger.unknown_asset", "asset"),
        ({"asset": "usd"}, "invalid_input", "asset"),
        ({"zone": "Mars/Olympus"}, "invalid_input", "zone"),
        ({"due_on": "2999-01-01"}, "invalid_input", "due_on"),
        ({"terms_days": None}, "invalid_input", "due_on"),
        ({"terms_days": -1}, "invalid_input", "terms_days"),
        ({"terms_days": None, "due_on": "2001-01-01"}, "invoicing.due_before_issue", "due_on"),
        ({"terms_days": None, "due_on": "2001-02-30"}, "invalid_input", "due_on"),
        ({"terms_days": None, "due_on": "2001-01-01", "issue": False}, "invoicing.due_before_issue", "due_on"),
        ({"lines": [LINE | {"post_to": "invoices/x/receivable"}]}, "invoicing.account_unusable", "lines[0].post_to"),
        ({"lines": [LINE | {"post_to": "purse"}]}, "invoicing.account_unusable", "lines[0].post_to"),
        ({"lines": [LINE | {"post_to": "euros"}]}, "invoicing.account_unusable", "lines[0].post_to"),
        ({"lines": [LINE | {"post_to": "gone"}]}, "invoicing.account_unusable", "lines[0].post_to"),
        ({"colour": "red"}, "invalid_input", "colour"),
    ],
)  # fmt: skip
async def test_what_cannot_be_asked_for_is_refused_and_nothing_is_stored(
    house: House, owner: asyncpg.Connection, changed: dict[str, Any], code: str, field: str | None
) -> None:
    """The field and the rule are named; no invoice, no customer, no account and no number comes of it."""
    await house.do("ledger.ensure_asset", asset="YEN", exponent=0)
    await house.do("ledger.open_account", account="euros", asset="YEN")
    await house.do("ledger.open_account", account="purse", asset="USD", max_balance=10)
    await house.do("ledger.open_account", account="gone", asset="USD")
    await house.do("ledger.close_account", account="gone")
    assert await refused(house, "invoicing.request", **wanted(**changed)) == (code, field)
    for table in ("invoice", "invoice_line", "customer", "number_series"):
        assert await owner.fetchval(f"SELECT count(*) FROM {table}") == 0
    assert await owner.fetchval("SELECT count(*) FROM account") == 3


async def test_amounts_are_rounded_once(house: House) -> None:
    """Quantity times unit amount is exact until it becomes minor units, half to even."""
    lines = [
        {"description": "a", "quantity": "0.5", "unit_amount": "1"},
        {"description": "b", "quantity": "1.5", "unit_amount": "1"},
        {"description": "c", "quantity": "3", "unit_amount": "0.166666666666666667"},
        {"description": "d", "quantity": "999999999999", "unit_amount": "0.000000000001"},
        {"description": "e", "quantity": "1", "unit_amount": "-0.5"},
    ]
    found = await house.do("invoicing.find", id=(await request(house, lines=lines)).id)
    assert [line.amount for line in found.lines] == [0, 2, 1, 1, 0]
    assert found.lines[1].explanation == "1.5 at USD 0.01"


async def test_a_total_of_nothing_is_paid_at_once(house: House) -> None:
    """It has its number, and nothing moves; what is given off moves between the accounts that it is taken from."""
    told = await request(house, lines=[{"description": "Free", "amount": 0}])
    found = await house.do("invoicing.find", id=told.id)
    assert (found.number, found.status, found.transfer_id) == ("INV-000001", "paid", None)
    assert [one.what for one in (await house.do("invoicing.history", id=told.id)).items] == [
        "requested",
        "issued",
        "paid",
    ]
    given = [{"description": "Fee", "amount": 300}, {"description": "Off", "amount": -300, "post_to": "discounts"}]
    assert (await house.do("invoicing.find", id=(await request(house, "2", lines=given)).id)).status == "paid"
    assert (await house.do("ledger.balance", account="discounts")).balance == -300


async def test_what_is_given_off_is_taken_from_its_account(house: House) -> None:
    """A line below zero debits the account that it names, and nobody can pay more than the rest."""
    lines = [{"description": "Fee", "amount": 300}, {"description": "Off", "amount": -100, "post_to": "discounts"}]
    found = await house.do("invoicing.find", id=(await request(house, lines=lines)).id)
    assert (found.total, found.outstanding) == (200, 200)
    balances = [(await house.do("ledger.balance", account=code)).balance for code in ("revenue/loans/USD", "discounts")]
    assert balances == [300, -100]


async def test_each_of_many_is_answered_by_itself(house: House) -> None:
    """Those that cannot be are named with their reasons; the others have numbers without a gap."""
    asked = [
        wanted("a"),
        wanted("b", lines=[{"description": "x", "amount": -1}]),
        wanted("c", asset="EUR"),
        wanted("a"),
        wanted("a", customer="eve"),
        wanted("d", issue=False),
        wanted("e"),
    ]
    items = (await house.do("invoicing.request_many", invoices=asked)).items
    assert [one.code for one in items] == [
        None, "invoicing.total_below_zero", "ledger.unknown_asset", None, "invoicing.reference_taken", None, None,
    ]  # fmt: skip
    assert [one.invoice and one.invoice.number for one in items] == [
        "INV-000001", None, None, "INV-000001", None, None, "INV-000002",
    ]  # fmt: skip
    again = (await house.do("invoicing.request_many", invoices=asked)).items
    assert [one.invoice and (one.invoice.id, one.invoice.number) for one in again] == [
        one.invoice and (one.invoice.id, one.invoice.number) for one in items
    ]
    assert again[0].invoice.known


async def test_a_message_of_many_has_its_bounds(house: House) -> None:
    """A thousand invoices and ten thousand lines go into one message, and no more."""
    many = [wanted(str(place), lines=[LINE] * 101) for place in range(100)]
    assert await refused(house, "invoicing.request_many", invoices=many) == ("invalid_input", "invoices")
    assert (await refused(house, "invoicing.request_many", invoices=[wanted()] * 1_001))[0] == "invalid_input"
    together = [wanted(str(place), lines=[{"description": "x", "amount": MOST}]) for place in range(2)]
    assert (await refused(house, "invoicing.request_many", invoices=together))[0] == "invalid_input"


async def test_an_invoice_of_ten_thousand_lines_is_issued(house: House) -> None:
    """Each may credit an account of its own."""
    lines = [{"description": f"line {place}", "amount": 1, "post_to": f"p/{place % 2_000}"} for place in range(10_000)]
    told = await request(house, lines=lines)
    assert (told.number, told.total) == ("INV-000001", 10_000)
    assert (await house.do("ledger.balance", account="p/7")).balance == 5


async def test_a_draft_waits_until_it_is_issued(house: House) -> None:
    """It has no number and nothing is owed; asked for again to be issued, or issued by its id, it is, once."""
    one, two = await request(house, "a", issue=False), await request(house, "b", issue=False)
    found = await house.do("invoicing.find", id=one.id)
    assert (found.status, found.number, found.outstanding) == ("draft", None, 0)
    unknown = uuid.uuid4()
    items = (await house.do("invoicing.issue_requested", invoices=[one.id, unknown, one.id])).items
    assert [one.code or one.invoice.number for one in items] == [
        "INV-000001",
        "invoicing.unknown_invoice",
        "INV-000001",
    ]
    assert [each.invoice.known for each in (await house.do("invoicing.issue_requested", invoices=[one.id])).items] == [
        True
    ]
    assert (await request(house, "b", issue=True)).number == "INV-000002"
    assert (await request(house, "b", issue=True)).id == two.id
    assert (await house.do("ledger.balance", account="revenue/loans/USD")).balance == 2_000


async def test_a_draft_whose_day_has_gone_by_is_not_issued(house: House, pool: asyncpg.Pool) -> None:
    """The due date that was asked for stays; whoever asked is told that it is before the issue."""
    today = dt.datetime.now(dt.UTC).date()
    told = await request(house, issue=False, terms_days=None, due_on=today.isoformat())
    later = House(Operations(pool, FixedClock(dt.datetime.now(dt.UTC) + dt.timedelta(days=2)), TABLE))
    (outcome,) = (await later.do("invoicing.issue_requested", invoices=[told.id])).items
    assert (outcome.code, outcome.field) == ("invoicing.due_before_issue", "due_on")
    assert (await house.do("invoicing.find", id=told.id)).status == "draft"


async def test_the_day_of_issue_is_that_of_the_zone(pool: asyncpg.Pool, house: House) -> None:
    """In the evening of one city it is tomorrow in another, and terms count from there."""
    evening = House(Operations(pool, FixedClock(dt.datetime(2026, 6, 1, 20, tzinfo=dt.UTC)), TABLE))
    assert (await request(evening, "a", terms_days=10)).due_on == dt.date(2026, 6, 11)
    assert (await request(evening, "b", terms_days=10, zone="Asia/Tokyo")).due_on == dt.date(2026, 6, 12)
    late = {"terms_days": None, "due_on": "2026-06-01", "zone": "Asia/Tokyo"}
    assert (await refused(evening, "invoicing.request", **wanted("c", **late)))[0] == "invoicing.due_before_issue"


async def test_series_are_set_by_product_and_kind(house: House) -> None:
    """A product's own series comes before that of every product; both count without gaps, and neither counts credit notes."""
    await house.do("invoicing.set_series", series="ALL")
    await house.do("invoicing.set_series", series="LOAN", product="loans")
    numbers = [(await request(house, ref, **which)).number for ref, which in (
        ("a", {}), ("b", {"product": "cards"}), ("c", {}), ("d", {"series": "OWN"}),
    )]  # fmt: skip
    assert numbers == ["LOAN-000001", "ALL-000001", "LOAN-000002", "OWN-000001"]
    taken = {"series": "LOAN", "kind": "credit_note"}
    assert await refused(house, "invoicing.set_series", **taken) == ("invoicing.series_of_other_kind", "series")
    assert (await refused(house, "invoicing.set_series", series="lower"))[0] == "invalid_input"


async def test_taxes_are_asked_for_where_a_category_is_given(house: House) -> None:
    """The lines with a category are taxed by the rates in force; the others are not, and a category without a rate is told."""
    rate = {
        "jurisdiction": "DE",
        "category": "standard",
        "name": "VAT",
        "rate": "0.19",
        "effective_at": "2020-01-01T00:00:00Z",
    }
    await house.do("taxes.set_rate", **rate)
    await request(house, "first")
    await house.do("taxes.set_customer", customer="ada", jurisdiction="DE", effective_at="2020-01-01T00:00:00Z")
    lines = [LINE | {"tax_category": "standard"}, LINE]
    found = await house.do("invoicing.find", id=(await request(house, "taxed", lines=lines)).id)
    assert (found.subtotal, found.total, [tax.amount for tax in found.taxes]) == (2_000, 2_190, [190])
    books = [LINE | {"tax_category": "books"}]
    assert (await refused(house, "invoicing.request", **wanted("x", lines=books)))[0] == "taxes.no_rate"
    assert (await request(house, "y", customer="eve", lines=books)).total == 1_000


async def test_prepaid_credit_pays_at_issue(house: House) -> None:
    """As with every invoice, grants of its asset are drawn in the same batch, and what they paid is noted."""
    await request(house, "first")
    await house.do("wallets.grant", id=str(uuid.uuid4()), customer="ada", asset="USD", amount=1_500)
    one, two = await request(house, "a"), await request(house, "b")
    paid, partly = [await house.do("invoicing.find", id=told.id) for told in (one, two)]
    assert [(each.status, each.outstanding) for each in (paid, partly)] == [("paid", 0), ("partly_paid", 500)]
    whats = [each.what for each in (await house.do("invoicing.history", id=two.id)).items]
    assert whats == ["requested", "issued", "invoice_issue", "credit_use", "partly_paid"]


async def test_a_dry_run_says_the_number_and_takes_none(house: House, owner: asyncpg.Connection) -> None:
    """Everything is judged, nothing is kept, and the next invoice has the same number."""
    answer = await house.operations.run(OPERATOR, "main", "invoicing.request", "dry", wanted("a"), dry_run=True)
    assert b'"number":"INV-000001"' in answer.body
    for table in ("invoice", "invoice_request", "number_series", "customer", "account", "event"):
        assert await owner.fetchval(f"SELECT count(*) FROM {table}") == 0
    assert (await request(house, "b")).number == "INV-000001"


async def test_numbers_have_no_gap_however_many_ask_at_once(house: House, owner: asyncpg.Connection) -> None:
    """Requests, repeats, refusals and dry runs at once: each reference has one invoice, numbered 1 to n."""

    async def one(place: int) -> None:
        which = place % 20
        fields = wanted(f"ref-{which}", customer=f"c{which % 7}", terms_days=30 if which < 17 else -1)
        try:
            await house.operations.run(
                OPERATOR, "main", "invoicing.request", f"k{place}", fields, dry_run=place % 7 == 6
            )
        except TallystickError as error:
            assert error.code == "invalid_input"  # noqa: PT017 - which of them are refused is known

    await asyncio.gather(*(one(place) for place in range(80)))
    numbers = [row["number"] for row in await owner.fetch("SELECT number FROM invoice_issue ORDER BY number")]
    assert numbers == list(range(1, len(numbers) + 1))
    assert len(numbers) == await owner.fetchval("SELECT count(DISTINCT reference) FROM invoice_request")
    assert len(numbers) == 17


async def test_a_book_with_requests_is_made_anew_the_same(house: House, server: EmbeddedServer) -> None:
    """Customers, references, numbers and states come out as they were, also after dry runs and refusals."""
    await house.operations.run(
        OPERATOR, "main", "invoicing.request", "dry", wanted("z", customer="nobody"), dry_run=True
    )
    await refused(house, "invoicing.request", **wanted(lines=[{"description": "x", "amount": -1}]))
    told = await request(house)
    await house.do("invoicing.request_many", invoices=[wanted("b", customer="bob"), wanted("c", asset="EUR")])
    await house.do("invoicing.set_series", series="CR", kind="credit_note")
    await house.do("invoicing.credit", id=told.id, reference="c", reason="wrong", lines=[{"line": 0, "amount": 10}])
    await house.do("invoicing.void", id=(await request(house, "v")).id, reason="wrong")
    await house.do("invoicing.write_off", id=told.id, reason="gone")
    assert said(await rebuilt(house, server)) == ""
