"""The life of an invoice: partly paid, paid, overdue, void, written off, credited, opened again; each a fact."""

import asyncio
import datetime as dt
import uuid
from collections.abc import Sequence

import asyncpg
import pytest

from tallystick.clock import FixedClock
from tallystick.db.embedded import EmbeddedServer
from tallystick.errors import TallystickError
from tallystick.ids import uuid7
from tallystick.invoicing.life.note_states import note_states
from tallystick.invoicing.life.unallocated_account import is_unallocated, unallocated_account
from tallystick.invoicing.pair import pair
from tallystick.ledger.accounts import Recorded
from tallystick.ledger.books import find_book
from tallystick.operations.overdue_run import work_overdue
from tallystick.operations.run import Operations
from tallystick.operations.table import TABLE
from tests.conftest import House
from tests.db.priced_usage import meter_requests, price, use_in_may
from tests.db.requested import LINE, pay, refused, request, wanted
from tests.db.test_rebuild import rebuilt, said

UNALLOCATED = "customers/ada/unallocated/USD"


async def whats(house: House, invoice_id: object) -> list[str]:
    """Return what happened to an invoice."""
    return [one.what for one in (await house.do("invoicing.history", id=invoice_id)).items]


async def note(house: House, invoice_ids: Sequence[uuid.UUID]) -> None:
    """Note states as a verb does that has moved money, in a transaction of its own."""
    async with house.operations.pool.acquire() as connection, house.operations.begin(connection):
        book = await find_book(connection, "main")
        recorded = Recorded(book.book_id, 0, house.operations.clock.now())
        await note_states(connection, recorded, invoice_ids)


async def balance(house: House, account: str) -> int:
    """Return the balance of an account."""
    return int((await house.do("ledger.balance", account=account)).balance)


def later(house: House, days: int) -> House:
    """Return the same book some days later."""
    at = dt.datetime.now(dt.UTC) + dt.timedelta(days=days)
    return House(Operations(house.operations.pool, FixedClock(at), TABLE))


async def test_states_are_facts_with_their_time(house: House, owner: asyncpg.Connection) -> None:
    """Partly paid, paid and opened again are appended as the ledger comes to say so, each told once."""
    told = await request(house)
    for amount in (300, 200):
        await pay(house, told.id, amount)
        await note(house, [told.id, told.id])
    await note(house, [told.id])
    await pay(house, told.id, 500)
    await note(house, [told.id])
    invoice = await house.do("invoicing.find", id=told.id)
    await house.do("ledger.transfer", id=str(uuid7()), debit=invoice.account, credit="bank", amount=400)
    await note(house, [told.id])
    found = [
        (row["state"], row["outstanding"])
        for row in await owner.fetch("SELECT * FROM invoice_state ORDER BY transaction_id")
    ]
    assert found == [("partly_paid", 700), ("partly_paid", 500), ("paid", 0), ("reopened", 400)]
    assert (await house.do("invoicing.find", id=told.id)).status == "partly_paid"
    types = [row["type"] for row in await owner.fetch("SELECT type FROM event ORDER BY transaction_id, position")]
    assert types == ["invoice.issued", "invoice.partly_paid", "invoice.partly_paid", "invoice.paid", "invoice.reopened"]


async def test_invoices_are_found_by_their_status(house: House) -> None:
    """Each status has its list, page by page."""
    ids = {name: (await request(house, name, issue=name != "draft")).id for name in
           ("draft", "issued", "partly_paid", "paid", "overdue", "written_off", "void")}  # fmt: skip
    await pay(house, ids["partly_paid"], 1)
    await pay(house, ids["paid"], 1_000)
    await house.do("invoicing.void", id=ids["void"], reason="wrong")
    await house.do("invoicing.write_off", id=ids["written_off"], reason="gone")
    assert (await later(house, 31).do("invoicing.mark_overdue", invoices=[ids["overdue"]])).overdue == 1
    for name, invoice_id in ids.items():
        assert [(one.id, one.status) for one in (await house.do("invoicing.list", status=name)).items] == [
            (invoice_id, name)
        ]
    first = await house.do("invoicing.list", limit=3)
    rest = await house.do("invoicing.list", after=first.next)
    assert {one.id for one in (*first.items, *rest.items)} == set(ids.values())
    assert (await refused(house, "invoicing.list", status="lost"))[0] == "invalid_input"


async def test_void_takes_back_what_was_posted_and_keeps_the_number(house: House) -> None:
    """All accounts are even again, also those of what was given off; the next invoice has the next number."""
    lines = [LINE, {"description": "Off", "amount": -100, "post_to": "discounts"}]
    told = await request(house, lines=lines)
    ended = await house.do("invoicing.void", id=told.id, reason="wrong customer")
    assert (ended.status, ended.number, ended.amount) == ("void", "INV-000001", 900)
    found = await house.do("invoicing.find", id=told.id)
    assert (found.status, found.outstanding) == ("void", 0)
    assert [await balance(house, code) for code in ("revenue/loans/USD", "discounts", found.account)] == [0, 0, 0]
    assert (await request(house, "next")).number == "INV-000002"
    assert (await house.do("invoicing.void", id=told.id, reason="again")).status == "void"
    assert await refused(house, "invoicing.write_off", id=told.id, reason="x") == (
        "invoicing.nothing_outstanding",
        "id",
    )
    credit = {"id": told.id, "reference": "c", "reason": "x"}
    assert (await refused(house, "invoicing.credit", **credit))[0] == "invoicing.ended"


async def test_what_is_paid_in_part_is_not_voided(house: House) -> None:
    """A credit note takes it back instead."""
    told = await request(house)
    await pay(house, told.id, 1)
    assert await refused(house, "invoicing.void", id=told.id, reason="x") == ("invoicing.something_paid", "id")
    other = await request(house, "credited")
    await house.do("invoicing.credit", id=other.id, reference="c", reason="x", lines=[{"line": 0, "amount": 1}])
    assert (await refused(house, "invoicing.void", id=other.id, reason="x"))[0] == "invoicing.something_paid"


async def test_a_draft_that_is_void_is_never_issued(house: House) -> None:
    """It has no number, and asking for it again does not issue it; nor is the draft of a month."""
    told = await request(house, issue=False)
    assert (await house.do("invoicing.void", id=told.id, reason="no")).number is None
    assert (await house.do("invoicing.find", id=told.id)).status == "void"
    assert (await house.do("invoicing.issue_requested", invoices=[told.id])).items[0].invoice.number is None
    assert (await request(house, issue=True)).number is None
    await meter_requests(house)
    await price(house, "1")
    await use_in_may(house, 1)
    await house.do("invoicing.draft", month="2015-05")
    (draft,) = (await house.do("invoicing.list", status="draft")).items
    assert (await refused(house, "invoicing.write_off", id=draft.id, reason="x"))[0] == "invoicing.not_issued"
    assert (await refused(house, "invoicing.credit", id=draft.id, reference="c", reason="x"))[
        0
    ] == "invoicing.not_issued"
    ended = await house.do("invoicing.void", id=draft.id, reason="a friend of the house")
    assert (ended.status, ended.number, ended.amount) == ("void", None, draft.total)
    assert (await house.do("invoicing.issue", month="2015-05")).issued == 0
    assert (await house.do("invoicing.draft", month="2015-05")).drafted == 0
    assert (await house.do("invoicing.find", id=draft.id)).status == "void"
    assert (await refused(house, "invoicing.write_off", id=draft.id, reason="x"))[0] == "invoicing.not_issued"


async def test_a_draft_is_void_or_issued_never_both(house: House, owner: asyncpg.Connection) -> None:
    """Of the two at once one is first, and the other sees it: it issues none, or voids what was issued."""
    await meter_requests(house)
    await price(house, "1")
    await use_in_may(house, 1)
    await house.do("invoicing.draft", month="2015-05")
    (draft,) = (await house.do("invoicing.list", status="draft")).items
    ended, issued = await asyncio.gather(
        house.do("invoicing.void", id=draft.id, reason="x"), house.do("invoicing.issue", month="2015-05")
    )
    assert ended.status == "void"
    assert (ended.number is not None) == (issued.issued == 1)
    first = await owner.fetchval("SELECT count(*) FROM invoice_issue")
    assert first == issued.issued
    assert await balance(house, f"invoices/{draft.id}/receivable") == 0 if issued.issued else True


async def test_write_off_gives_up_what_is_outstanding(house: House) -> None:
    """It becomes an expense of the product; what comes in later finds nothing due, and nobody can pay the invoice."""
    told = await request(house)
    await pay(house, told.id, 400)
    ended = await house.do("invoicing.write_off", id=told.id, reason="bankrupt")
    assert (ended.status, ended.amount) == ("written_off", 600)
    assert await balance(house, "expenses/write-off/loans/USD") == -600
    assert (await house.do("invoicing.find", id=told.id)).status == "written_off"
    with pytest.raises(TallystickError) as error:
        await pay(house, told.id, 1)
    assert error.value.code == "ledger.limit_exceeded"
    assert (await refused(house, "invoicing.write_off", id=told.id, reason="x"))[0] == "invoicing.nothing_outstanding"
    assert (await refused(house, "invoicing.credit", id=told.id, reference="c", reason="x"))[0] == "invoicing.ended"


async def test_an_invoice_that_is_opened_again_can_be_written_off_again(house: House) -> None:
    """What the bank took back after the write-off is given up by another one."""
    told = await request(house)
    await pay(house, told.id, 400)
    await house.do("invoicing.write_off", id=told.id, reason="bankrupt")
    invoice = await house.do("invoicing.find", id=told.id)
    await house.do("ledger.transfer", id=str(uuid7()), debit=invoice.account, credit="bank", amount=400)
    assert (await house.do("invoicing.write_off", id=told.id, reason="taken back")).amount == 400
    assert await balance(house, "expenses/write-off/loans/USD") == -1_000


async def test_a_credit_note_lowers_what_is_owed_and_then_is_the_customers(house: House) -> None:
    """Its numbers are of its own series; what exceeds what is outstanding lies on the customer's unallocated account."""
    told = await request(house, lines=[LINE, {"description": "Fee", "amount": 500, "post_to": "fees"}])
    first = await house.do(
        "invoicing.credit", id=told.id, reference="c1", reason="late", lines=[{"line": 1, "amount": 200}]
    )
    assert (first.number, first.total, first.applied, first.unallocated) == ("CN-000001", 200, 200, 0)
    assert (await house.do("invoicing.find", id=told.id)).status == "issued"
    await pay(house, told.id, 1_000)
    rest = await house.do("invoicing.credit", id=told.id, reference="c2", reason="all")
    assert (rest.number, rest.total, rest.applied, rest.unallocated) == ("CN-000002", 1_300, 300, 1_000)
    found = await house.do("invoicing.find", id=told.id)
    assert (found.status, found.outstanding, found.credited) == ("paid", 0, 1_500)
    assert [await balance(house, code) for code in (UNALLOCATED, "revenue/loans/USD", "fees")] == [1_000, 0, 0]
    assert [one.number for one in (await house.do("invoicing.credit_notes", id=told.id)).items] == [
        "CN-000001",
        "CN-000002",
    ]
    assert await house.do("invoicing.find_credit_note", id=rest.id) == rest
    assert (await request(house, "next")).number == "INV-000002"


async def test_no_more_is_credited_than_is_left(house: House) -> None:
    """Neither of a line nor of the invoice; a wrong line, a wrong sign and nothing at all are told."""
    told = await request(house, lines=[LINE, {"description": "Off", "amount": -400}])

    async def why(*lines: dict[str, object]) -> tuple[str, str | None]:
        return await refused(
            house, "invoicing.credit", id=told.id, reference=str(uuid7()), reason="x", lines=list(lines)
        )

    assert await why({"line": 0, "amount": 1_001}) == ("invoicing.credit_too_large", "lines[0].amount")
    assert await why({"line": 0, "amount": 601}) == ("invoicing.credit_too_large", "lines")
    assert await why({"line": 0, "amount": -1}) == ("invoicing.credit_too_large", "lines[0].amount")
    assert await why({"line": 2}) == ("invalid_input", "lines[0].line")
    assert await why({"line": 0}, {"line": 0}) == ("invalid_input", "lines[1].line")
    assert await why({"line": 1}) == ("invalid_input", "lines")
    assert await why() == ("invalid_input", "lines")
    assert await why({"line": 0, "amount": 2**63}) == ("invalid_input", "lines[0].amount")
    assert (await house.do("invoicing.credit", id=told.id, reference="all", reason="x")).total == 600
    assert (await refused(house, "invoicing.credit", id=told.id, reference="more", reason="x"))[
        0
    ] == "invoicing.credit_too_large"
    assert [await balance(house, "revenue/loans/USD")] == [0]
    assert (await refused(house, "invoicing.credit", id=uuid.uuid4(), reference="x", reason="x"))[
        0
    ] == "invoicing.unknown_invoice"
    assert (await refused(house, "invoicing.find_credit_note", id=uuid.uuid4()))[0] == "invoicing.unknown_credit_note"


async def test_a_reference_is_one_credit_note(house: House) -> None:
    """Asked again it is the same one; with other content it is a conflict."""
    told = await request(house)
    asked = {"id": told.id, "reference": "c", "reason": "x", "lines": [{"line": 0, "amount": 10}]}
    assert await house.do("invoicing.credit", **asked) == await house.do("invoicing.credit", **asked)
    other = asked | {"lines": [{"line": 0, "amount": 11}]}
    assert await refused(house, "invoicing.credit", **other) == ("invoicing.credit_reference_taken", "reference")
    assert (await house.do("invoicing.find", id=told.id)).credited == 10


async def test_taxes_are_taken_back_with_their_lines_to_the_unit(house: House) -> None:
    """However an invoice is taken back in parts, what is taken back of its taxes adds up to them."""
    for category, value in (("standard", "0.19"), ("reduced", "0.07")):
        rate = {"jurisdiction": "DE", "category": category, "name": f"VAT {category}", "rate": value}
        await house.do("taxes.set_rate", effective_at="2020-01-01T00:00:00Z", **rate)
    await request(house, "first")
    await house.do("taxes.set_customer", customer="ada", jurisdiction="DE", effective_at="2020-01-01T00:00:00Z")
    lines = [
        {"description": "a", "amount": 333, "tax_category": "standard"},
        {"description": "b", "amount": 101, "tax_category": "reduced"},
        {"description": "c", "amount": 77},
    ]
    told = await request(house, "taxed", lines=lines)
    invoice = await house.do("invoicing.find", id=told.id)
    parts = [{"line": 0, "amount": 100}, {"line": 0, "amount": 1}, {"line": 1, "amount": 50}, {"line": 2, "amount": 7}]
    notes = [
        await house.do("invoicing.credit", id=told.id, reference=str(place), reason="x", lines=[part])
        for place, part in enumerate(parts)
    ]
    assert [note.total for note in notes] == [119, 1, 53, 7]
    notes.append(await house.do("invoicing.credit", id=told.id, reference="rest", reason="x"))
    assert sum(note.total for note in notes) == invoice.total
    for tax in invoice.taxes:
        back = [one for note in notes for one in note.taxes if one.category == tax.category]
        assert (sum(one.amount for one in back), sum(one.base for one in back)) == (tax.amount, tax.base)
    assert await balance(house, "revenue/loans/USD") == 1_000


async def test_an_invoice_of_a_month_is_credited_and_voided_like_any(house: House) -> None:
    """Its lines are taken back by their positions, and its revenue is what is debited."""
    await meter_requests(house)
    await price(house, "1")
    await use_in_may(house, 2)
    await house.do("invoicing.draft", month="2015-05")
    await house.do("invoicing.issue", month="2015-05")
    one, two = (await house.do("invoicing.list")).items
    note = await house.do("invoicing.credit", id=two.id, reference="c", reason="x", lines=[{"line": 0, "amount": 50}])
    assert (note.total, note.lines[0].description, note.product) == (50, two.lines[0].name, "api")
    assert (await house.do("invoicing.void", id=one.id, reason="x")).amount == one.total
    assert await balance(house, "revenue/api/USD") == two.total - 50


async def test_overdue_is_noted_once_by_the_calendar_of_the_zone(house: House, owner: asyncpg.Connection) -> None:
    """An invoice is due on its day, overdue from the next on; who has paid is neither."""
    at = dt.datetime(2026, 6, 1, 11, tzinfo=dt.UTC)

    def on(instant: dt.datetime) -> House:
        return House(Operations(house.operations.pool, FixedClock(instant), TABLE))

    ids = [(await request(on(at), name, terms_days=1, zone=zone)).id for name, zone in
           (("a", "UTC"), ("b", "Pacific/Auckland"), ("paid", "UTC"))]  # fmt: skip
    await pay(on(at), ids[2], 1_000)

    async def run(instant: dt.datetime) -> tuple[int, int]:
        page = await on(instant).do("invoicing.list_due")
        done = await on(instant).do("invoicing.mark_overdue", invoices=[one.id for one in page.items] or ids)
        return done.due, done.overdue

    assert await run(at) == (0, 0)
    assert await run(dt.datetime(2026, 6, 2, 9, tzinfo=dt.UTC)) == (2, 0)  # the 2nd in both zones
    assert await run(dt.datetime(2026, 6, 2, 9, tzinfo=dt.UTC)) == (0, 0)
    assert await run(dt.datetime(2026, 6, 2, 13, tzinfo=dt.UTC)) == (0, 1)  # the 3rd in Auckland
    assert await run(dt.datetime(2026, 6, 3, 0, tzinfo=dt.UTC)) == (0, 1)
    assert await run(dt.datetime(2026, 6, 9, 0, tzinfo=dt.UTC)) == (0, 0)
    assert [(await house.do("invoicing.find", id=one)).status for one in ids] == ["overdue", "overdue", "paid"]
    assert await owner.fetchval("SELECT count(*) FROM invoice_due") == 0


async def test_a_server_notes_by_itself_what_falls_due(house: House) -> None:
    """No cron is needed: the worker looks as soon as it begins, and again when the clock has gone on."""
    clock = FixedClock(dt.datetime(2026, 6, 1, 11, tzinfo=dt.UTC))
    begun = House(Operations(house.operations.pool, clock, TABLE))
    told = await request(begun, "a", terms_days=1, zone="Pacific/Auckland")
    working = asyncio.create_task(work_overdue(begun.operations))

    async def until(event: str) -> None:
        async with asyncio.timeout(20):
            while event not in await whats(begun, told.id):  # noqa: ASYNC110 - what the worker does tells nobody here
                await asyncio.sleep(0.05)

    clock.at = dt.datetime(2026, 6, 1, 13, tzinfo=dt.UTC)  # the 2nd in Auckland
    await until("due")
    clock.at = dt.datetime(2026, 6, 2, 13, tzinfo=dt.UTC)
    await until("overdue")
    working.cancel()
    assert (await begun.do("invoicing.find", id=told.id)).status == "overdue"


async def test_two_servers_note_and_tell_what_is_overdue_once(house: House, owner: asyncpg.Connection) -> None:
    """Each looks every minute, and both may find the same page: the second notes nothing of what the first did."""
    told = (await request(house)).id
    async with owner.transaction():  # both have begun before either can end
        await owner.execute("LOCK TABLE invoice_state IN SHARE ROW EXCLUSIVE MODE")
        noting = [asyncio.create_task(later(house, 31).do("invoicing.mark_overdue", invoices=[told])) for _ in range(2)]
        async with asyncio.timeout(20):
            while await owner.fetchval("SELECT count(*) FROM pg_locks WHERE NOT granted") < len(noting):  # noqa: ASYNC110 - the store tells nobody who waits
                await asyncio.sleep(0.02)
    assert sum([(await one).overdue for one in noting]) == 1
    assert (await whats(house, told)).count("overdue") == 1


async def test_an_overdue_invoice_that_is_paid_is_paid(house: House) -> None:
    """While a part is missing it stays overdue; the history has every step."""
    told = await request(house)
    await later(house, 31).do("invoicing.mark_overdue", invoices=[told.id])
    await pay(house, told.id, 400)
    await note(house, [told.id])
    assert (await house.do("invoicing.find", id=told.id)).status == "overdue"
    await pay(house, told.id, 600)
    await note(house, [told.id])
    assert (await house.do("invoicing.find", id=told.id)).status == "paid"
    expected = ["requested", "issued", "invoice_issue", "overdue", "transfer", "partly_paid", "transfer", "paid"]
    assert await whats(house, told.id) == expected


async def test_credits_voids_and_payments_at_once_never_take_too_much(house: House, owner: asyncpg.Connection) -> None:
    """Whatever comes first: no invoice is owed less than nothing, credited beyond its total, or void and paid."""
    ids = [(await request(house, str(place))).id for place in range(6)]
    await house.do("ledger.open_account", account="bank", asset="USD")
    accounts = [(await house.do("invoicing.find", id=one)).account for one in ids]

    async def attempt(operation: str, **fields: object) -> None:
        try:
            await house.do(operation, **fields)
        except TallystickError as error:
            assert error.code.startswith(("invoicing.", "ledger.limit"))  # noqa: PT017 - who is late is told so

    work = []
    for one, account in zip(ids, accounts, strict=True):
        work += [
            attempt("invoicing.credit", id=one, reference=str(n), reason="x", lines=[{"line": 0, "amount": 400}])
            for n in range(4)
        ]
        work += [
            attempt("ledger.transfer", id=str(uuid7()), debit="bank", credit=account, amount=700) for _ in range(2)
        ]
        work += [attempt("invoicing.void", id=one, reason="x"), attempt("invoicing.write_off", id=one, reason="x")]
    await asyncio.gather(*work)
    for one in ids:
        found = await house.do("invoicing.find", id=one)
        assert found.outstanding >= 0
        assert found.credited <= found.total
        assert found.status != "void" or not found.credited
    numbers = [row["number"] for row in await owner.fetch("SELECT number FROM credit_note ORDER BY number")]
    assert numbers == list(range(1, len(numbers) + 1))
    total = await owner.fetchval("SELECT coalesce(sum(total - applied), 0) FROM credit_note")
    held = await balance(house, UNALLOCATED) if total else 0
    assert held == total


async def test_credit_notes_of_two_series_at_once_take_no_more_than_there_is(house: House) -> None:
    """Of an invoice that is paid nothing but what is left bounds them; its series are no reason to miss each other."""
    for place in range(5):
        told = await request(house, str(place))
        await pay(house, told.id, 1_000)
        asked = [{"reference": series, "series": series} for series in ("CN", "OTHER", "THIRD")]
        tried = await asyncio.gather(
            *(house.do("invoicing.credit", id=told.id, reason="x", **one) for one in asked), return_exceptions=True
        )
        late = [one.code for one in tried if isinstance(one, TallystickError)]
        assert late == ["invoicing.credit_too_large"] * 2
        assert await balance(house, UNALLOCATED) == 1_000 * (place + 1)


async def test_a_reason_is_a_text_with_bounds(house: House) -> None:
    """NUL, nothing and ten thousand characters are refused with the field named."""
    told = await request(house)
    for reason in ("", "a\x00b", "a" * 10_000):
        for operation in ("invoicing.void", "invoicing.write_off"):
            assert await refused(house, operation, id=told.id, reason=reason) == ("invalid_input", "reason")
    assert await refused(house, "invoicing.void", id=uuid.uuid4(), reason="x") == ("invoicing.unknown_invoice", "id")
    assert await refused(house, "invoicing.history", id=uuid.uuid4()) == ("invoicing.unknown_invoice", "id")


def test_a_customer_has_one_unallocated_account_whatever_the_ref(house: House) -> None:
    """Long and odd refs stand in the code as a hash; none is taken for another's."""
    refs = ["ada", "a/b", "x" * 255, "x" * 254, "~ada", "tab\there", "ada/unallocated/USD"]
    codes = [unallocated_account(ref, "USD") for ref in refs]
    assert len(set(codes)) == len(refs)
    assert all(len(code) <= 255 and code.isprintable() and is_unallocated(code) for code in codes)
    assert not is_unallocated("customers/ada/receivable/USD")


def test_both_sides_of_a_fact_are_paired_in_order() -> None:
    """Transfers go through debits and credits as they stand; sides that differ are an error of ours."""
    assert pair([(1, 70), (2, 30)], [(3, 90), (4, 10)]) == [(1, 3, 70), (2, 3, 20), (2, 4, 10)]
    assert pair([], []) == []
    with pytest.raises(ValueError, match="do not come to the same"):
        pair([(1, 1)], [])


async def test_a_life_is_made_anew_the_same(house: House, server: EmbeddedServer) -> None:
    """Every state, credit note and event of it comes out of its messages."""
    told = await request(house, lines=[LINE, {"description": "Fee", "amount": 50, "post_to": "fees"}])
    await pay(house, told.id, 300)
    await house.do("invoicing.credit", id=told.id, reference="c", reason="x", lines=[{"line": 1}])
    await house.do("invoicing.credit", id=told.id, reference="d", reason="x")
    other = await request(house, "other", issue=False)
    await house.do("invoicing.void", id=other.id, reason="x")
    late = await request(house, "late", terms_days=0)
    await later(house, 3).do("invoicing.mark_overdue", invoices=[late.id])
    await house.do("invoicing.write_off", id=late.id, reason="x")
    await house.do("invoicing.request_many", invoices=[wanted("m", customer="new")])
    assert said(await rebuilt(house, server)) == ""
