"""Issuing: gapless numbers, and receivables in the ledger."""

import asyncio
import datetime as dt
import uuid

import asyncpg
import pytest

from tallystick.canonical import encode
from tallystick.clock import FixedClock
from tallystick.errors import TallystickError
from tallystick.ids import uuid7
from tallystick.invoicing.find import invoice_account
from tallystick.invoicing.model import Invoice
from tallystick.invoicing.read_statements import read_statements
from tallystick.ledger.books import find_book
from tallystick.operations.run import Operations
from tallystick.operations.table import TABLE
from tallystick.security.model import OPERATOR
from tests.conftest import House
from tests.db.priced_usage import ask, meter_requests, price, refusal_of, use, use_in_may


async def _draft(house: House, customers: int, rate: str = "0.01") -> None:
    await meter_requests(house)
    await price(house, rate)
    await use_in_may(house, customers)
    await ask(house, "invoicing.draft", month="2015-05")


async def _invoices(house: House) -> list[Invoice]:
    return list((await ask(house, "invoicing.list")).items)


async def test_what_is_outstanding_is_the_balance_in_the_ledger(house: House) -> None:
    """Each invoice's account owes its total, and revenue is credited with all of them."""
    await _draft(house, 3)
    issued = await ask(house, "invoicing.issue", month="2015-05")
    assert (issued.issued, issued.totals, issued.first_number, issued.last_number) == (
        3,
        {"USD": 6},
        "INV-000001",
        "INV-000003",
    )
    invoices = await _invoices(house)
    assert [(one.number, one.customer, one.total, one.status) for one in invoices] == [
        ("INV-000001", "customer-001", 1, "issued"),
        ("INV-000002", "customer-002", 2, "issued"),
        ("INV-000003", "customer-003", 3, "issued"),
    ]
    for one in invoices:
        assert sum(line.amount for line in one.lines) == one.total == one.outstanding
        assert (await ask(house, "ledger.balance", account=one.account)).balance == -one.total
        transfer = await ask(house, "ledger.find_transfer", id=one.transfer_id)
        assert (transfer.amount, transfer.debit, transfer.reason) == (one.total, one.account, "invoice_issue")
    assert (await ask(house, "ledger.balance", account="revenue/api/USD")).balance == 6


async def test_an_invoice_is_paid_when_its_account_is_even(house: House) -> None:
    """The status follows the ledger, and paying more than is owed is refused there."""
    await _draft(house, 3)
    await ask(house, "invoicing.issue", month="2015-05")
    invoice = (await _invoices(house))[-1]
    await house.do("ledger.open_account", account="bank", asset="USD")

    async def pay(amount: int) -> None:
        await house.do("ledger.transfer", id=str(uuid7()), debit="bank", credit=invoice.account, amount=amount)

    await pay(1)
    found = await ask(house, "invoicing.find", id=invoice.id)
    assert (found.status, found.outstanding) == ("partly_paid", 2)
    with pytest.raises(TallystickError) as refused:
        await pay(3)
    assert refused.value.code == "ledger.limit_exceeded"
    await pay(2)
    found = await ask(house, "invoicing.find", id=invoice.id)
    assert (found.status, found.outstanding) == ("paid", 0)


async def test_a_total_of_zero_moves_nothing_and_is_paid(house: House, owner: asyncpg.Connection) -> None:
    """It still has its number, so that the series has no gap."""
    await _draft(house, 2, rate="0")
    issued = await ask(house, "invoicing.issue", month="2015-05")
    assert issued.last_number == "INV-000002"
    assert [(one.status, one.transfer_id) for one in await _invoices(house)] == [("paid", None)] * 2
    assert await owner.fetchval("SELECT count(*) FROM transfer") == 0


async def test_an_invoice_is_due_by_its_terms_after_the_day_of_issue(house: House, pool: asyncpg.Pool) -> None:
    """The day is that of the billing zone, in which it may be tomorrow already."""
    await meter_requests(house)
    await price(house, "0.01")
    await use_in_may(house, 1)
    zone = {"month": "2015-05", "zone": "Asia/Tokyo"}
    await ask(house, "invoicing.draft", terms_days=14, **zone)
    evening = House(Operations(pool, FixedClock(dt.datetime(2015, 6, 1, 20, tzinfo=dt.UTC)), TABLE))
    await ask(evening, "invoicing.issue", **zone)
    (invoice,) = await _invoices(house)
    assert invoice.due_on == dt.date(2015, 6, 16)


async def test_issuing_again_finds_nothing_to_do(house: House, owner: asyncpg.Connection) -> None:
    """Every draft is issued once; a repeat takes no number."""
    await _draft(house, 2)
    await ask(house, "invoicing.issue", month="2015-05")
    again = await ask(house, "invoicing.issue", month="2015-05")
    assert (again.issued, again.first_number, again.next) == (0, None, None)
    assert await owner.fetchval("SELECT last FROM number_series") == 2


async def test_each_series_counts_by_itself(house: House) -> None:
    """Numbers of one series are gapless whatever another does."""
    await _draft(house, 3)
    first = await ask(house, "invoicing.issue", month="2015-05", series="A", limit=1)
    await ask(house, "invoicing.issue", month="2015-05", series="B", limit=1)
    await ask(house, "invoicing.issue", month="2015-05", series="A", after=first.next)
    assert [one.number for one in await _invoices(house)] == ["A-000001", "B-000001", "A-000002"]


async def test_a_dry_run_takes_no_number(house: House, owner: asyncpg.Connection) -> None:
    """It says which numbers would be given; the series, the ledger and the drafts stay as they were."""
    await _draft(house, 2)
    answer = await house.operations.run(OPERATOR, "main", "invoicing.issue", "dry", {"month": "2015-05"}, dry_run=True)
    assert b'"last_number":"INV-000002"' in answer.body
    for table in ("invoice_issue", "number_series", "transfer", "account"):
        assert await owner.fetchval(f"SELECT count(*) FROM {table}") == 0
    assert {one.status for one in await _invoices(house)} == {"draft"}


async def test_a_chunk_that_fails_leaves_no_gap(house: House, owner: asyncpg.Connection) -> None:
    """When the last of its writes fails nothing is issued, half or whole, nothing moves and no number is lost."""
    await _draft(house, 2)
    await owner.execute("ALTER TABLE invoice_issue ADD CONSTRAINT never CHECK (false)")
    with pytest.raises(asyncpg.CheckViolationError):
        await house.do("invoicing.issue", month="2015-05")
    assert await owner.fetchval("SELECT count(*) FROM transfer") == 0
    assert await owner.fetchval("SELECT count(*) FROM invoice_issue") == 0
    assert await owner.fetchval("SELECT coalesce(max(last), 0) FROM number_series") == 0


async def test_amounts_that_do_not_fit_into_one_batch_are_issued_in_two(house: House) -> None:
    """Each invoice is within what can be moved and together they are not: each is drafted and issued all the same."""
    await meter_requests(house)
    await price(house, "50000000000000000")
    await use(house, [("ada", "2015-05-02T00:00:00Z"), ("bob", "2015-05-02T00:00:00Z")])
    first = await ask(house, "invoicing.draft", month="2015-05")
    assert (first.customers, first.drafted, first.next is None) == (1, 1, False)
    second = await ask(house, "invoicing.draft", month="2015-05", after=first.next)
    assert (second.customers, second.drafted, second.next) == (1, 1, None)
    one = await ask(house, "invoicing.issue", month="2015-05")
    two = await ask(house, "invoicing.issue", month="2015-05", after=one.next)
    assert (one.last_number, two.last_number, two.next) == ("INV-000001", "INV-000002", None)


async def test_terms_are_bounded_so_that_every_draft_can_be_issued(house: House, owner: asyncpg.Connection) -> None:
    """Neither a caller nor anyone behind the product's back makes a draft whose due date no calendar has."""
    await _draft(house, 1)
    wrong = {"month": "2015-05", "terms_days": 3651}
    assert await refusal_of(house, "invoicing.draft", **wrong) == ("invalid_input", "terms_days")
    await owner.execute("CREATE TEMPORARY TABLE forged AS SELECT * FROM invoice")
    await owner.execute("UPDATE forged SET terms_days = 3651, invoice_id = uuidv7()")
    await owner.execute("ALTER TABLE forged DROP COLUMN month_product")  # which the store makes up itself
    with pytest.raises(asyncpg.CheckViolationError):
        await owner.execute("INSERT INTO invoice SELECT * FROM forged")


async def test_two_who_issue_at_once_issue_each_invoice_once(house: House, owner: asyncpg.Connection) -> None:
    """The second waits for the series and then sees what the first has done."""
    await _draft(house, 8)
    chunks = await asyncio.gather(*(ask(house, "invoicing.issue", month="2015-05", limit=3) for _ in range(4)))
    assert sum(chunk.issued for chunk in chunks) == 8
    numbers = await owner.fetch("SELECT number FROM invoice_issue ORDER BY number")
    assert [row[0] for row in numbers] == list(range(1, 9))


async def test_a_payment_finds_the_account_of_an_invoice(house: House, owner: asyncpg.Connection) -> None:
    """Issued, it has an account with what is outstanding; before, nothing is owed; unknown, it is said so."""
    await _draft(house, 1)
    (draft,) = await _invoices(house)
    book_id = (await find_book(owner, "main")).book_id
    with pytest.raises(TallystickError) as refused:
        await invoice_account(owner, book_id, draft.id)
    assert refused.value.code == "invoicing.not_issued"
    await ask(house, "invoicing.issue", month="2015-05")
    found = await invoice_account(owner, book_id, draft.id)
    account = await ask(house, "ledger.find_account", account=found.code)
    assert (found.account_id, found.asset, found.outstanding) == (account.account_id, "USD", 1)
    with pytest.raises(TallystickError) as refused:
        await invoice_account(owner, book_id, uuid.UUID(int=7))
    assert refused.value.code == "invoicing.unknown_invoice"
    assert await refusal_of(house, "invoicing.find", id=uuid.UUID(int=7)) == ("invoicing.unknown_invoice", "id")


async def test_the_statement_of_an_invoice_is_canonical_and_stays(house: House, owner: asyncpg.Connection) -> None:
    """What goes into a receipt has no float and no status: paying the invoice does not change it."""
    await _draft(house, 1)
    await ask(house, "invoicing.issue", month="2015-05")
    (invoice,) = await _invoices(house)
    book_id = (await find_book(owner, "main")).book_id
    before = encode((await read_statements(owner, book_id, [invoice.id]))[invoice.id])
    await house.do("ledger.open_account", account="bank", asset="USD")
    await house.do("ledger.transfer", id=str(uuid7()), debit="bank", credit=invoice.account, amount=1)
    (paid,) = await _invoices(house)
    assert paid.status == "paid"
    assert encode((await read_statements(owner, book_id, [invoice.id]))[invoice.id]) == before
    assert b'"number":"INV-000001"' in before


async def test_invoices_come_in_pages(house: House) -> None:
    """By customer or by month, following the cursor visits each invoice once."""
    await _draft(house, 3)
    await price(house, "0.02", "2015-06-01T00:00:00Z")
    seen: list[str] = []
    after: uuid.UUID | None = None
    while not seen or after is not None:
        page = await ask(house, "invoicing.list", month="2015-05", limit=2, after=after)
        seen += [one.customer for one in page.items]
        after = page.next
    assert seen == ["customer-001", "customer-002", "customer-003"]
    assert [one.customer for one in (await ask(house, "invoicing.list", customer="customer-002")).items] == [
        "customer-002"
    ]
    assert (await ask(house, "invoicing.list", month="2015-06")).items == []
    assert (await ask(house, "invoicing.list", customer="nobody")).items == []
