"""What a provider pays out is held against the ledger line by line, and no unit gets lost or counted twice on the way."""

import datetime as dt
import uuid

import pytest
import pytest_asyncio

from tallystick.db.embedded import EmbeddedServer
from tallystick.operations.payouts import match_waiting
from tests.conftest import House
from tests.db.paid_out import Desk, charge, line, open_desk
from tests.db.test_repayments_at_once import require_the_same_anew


@pytest_asyncio.fixture
async def desk(house: House) -> Desk:
    """Open a book that takes payments at a provider."""
    return open_desk(house)


async def test_a_report_is_found_in_the_ledger_line_by_line(desk: Desk) -> None:
    """Charges, a partial refund, a fee of its own and fees of lines: all is found, and the three accounts tell where the money is."""
    first, second = await desk.take(10_000), await desk.take(2_500)
    refund = await desk.refund(first, 1_000, "ref_1")
    await desk.take(700)
    recorded = await desk.record([
        charge(first, 10_000, 165),
        charge(second, 2_500, 60),
        line("refund", -1_000, transaction_id=first, refund_id="ref_1"),
        line("fee", -300, description="monthly fee"),
    ])  # fmt: skip
    payout = recorded.payout
    assert (payout.amount, payout.fees, payout.lines, payout.unmatched, payout.open) == (10_975, 525, 4, 0, 0)
    assert await desk.money() == (700, 10_975, 525)
    shown = (await desk.do("payouts.lines", id=str(payout.id))).items
    assert [one.partner for one in shown] == ["charge", "charge", "refund", "fee"]
    assert [one.partner_id for one in shown[:3]] == [
        str(desk.payments[first]), str(desk.payments[second]), str(refund)
    ]  # fmt: skip
    assert shown[0].matched == "the payment: same id, same amount, same day"
    assert await desk.unmatched() == []


async def test_a_report_is_recorded_once_however_often_it_is_read(desk: Desk) -> None:
    """The same report again, under whatever message, moves nothing and adds no line."""
    lines = [charge(await desk.take(500), 500, 10)]
    first = await desk.record(lines)
    money = await desk.money()
    again = await desk.record(lines)
    assert (again.payout_id, again.payout) == (first.payout_id, first.payout)
    assert await desk.money() == money == (0, 490, 10)
    assert len((await desk.do("payouts.list")).items) == 1


async def test_a_report_that_changes_later_is_refused_and_what_was_recorded_stands(desk: Desk) -> None:
    """A line of another fee, one more line, another amount: each is named, and no money moves."""
    one, other = charge(await desk.take(500), 500, 10), charge(await desk.take(300), 300)
    await desk.record([one, other])
    money = await desk.money()
    for lines, field in (
        ([{**one, "fee": 9}, {**other, "fee": 1}], "lines[0].fee"),
        ([one, other, line("adjustment", 0)], "of"),
        ([one, {**other, "amount": 301}], "amount"),
    ):
        refused = await desk.refused("payouts.record", **desk.report(lines, amount=sum(
            said["amount"] - said["fee"] for said in lines
        )))  # fmt: skip
        assert (refused.code, refused.field) == ("payouts.report_differs", field)
    assert await desk.money() == money
    assert (await desk.do("payouts.list")).items[0].lines == 2


async def test_a_report_that_does_not_add_up_is_refused_whole_and_taken_when_it_does(desk: Desk) -> None:
    """While a line is missing nothing is kept; the whole report is taken afterwards as if nothing had been."""
    one, other = charge(await desk.take(500), 500, 10), charge(await desk.take(300), 300)
    refused = await desk.refused("payouts.record", **desk.report([one], amount=790))
    assert refused.code == "payouts.does_not_add_up"
    assert (await desk.do("payouts.list")).items == []
    assert await desk.money() == (800, 0, 0)
    assert (await desk.record([one, other])).payout.unmatched == 0
    assert await desk.money() == (0, 790, 10)


async def test_two_charges_of_the_same_amount_are_told_apart_and_one_charge_is_paid_out_once(desk: Desk) -> None:
    """Ids decide between equal amounts; a second line for the same charge waits and says which line has it."""
    first, second = await desk.take(500), await desk.take(500)
    await desk.record([charge(second, 500), charge(first, 500)], "po_1")
    shown = (await desk.do("payouts.lines", id=str((await desk.do("payouts.list")).items[0].id))).items
    assert [one.partner_id for one in shown] == [str(desk.payments[second]), str(desk.payments[first])]
    recorded = await desk.record([charge(first, 500)], "po_2")
    (waiting,) = await desk.unmatched()
    assert waiting.payout == "po_2"
    assert waiting.why_not == f"the payment is matched with the line {shown[1].id} already"
    assert waiting.partners[0].id == desk.payments[first]
    assert f"matched with the line {shown[1].id} already" in waiting.partners[0].why
    assert recorded.payout.open == 500
    taken = await desk.refused("payouts.match", line=waiting.id, partner="charge", partner_id=str(desk.payments[first]))
    assert taken.code == "payouts.partner_taken"


async def test_what_does_not_match_is_listed_with_the_likeliest_partner_and_why(desk: Desk) -> None:
    """A mistyped id, an amount that differs by the fee, another asset, money the book does not have: each says what is wrong."""
    await desk.do("ledger.ensure_asset", asset="EUR", exponent=2)
    mistyped = await desk.take(500, "tra_abcdefgh")
    net = await desk.take(1_000)
    euros = await desk.take(900, asset="EUR")
    pending = await desk.take(400, settle=False)
    await desk.record([
        charge("tra_abcdefgi", 500),
        charge(net, 970, 30),
        charge(euros, 985),
        charge(pending, 400),
        charge("tra_unheard_of", 123_456),
        line("adjustment", -50, description="correction of last month"),
    ])  # fmt: skip
    waiting = await desk.unmatched()
    likeliest = [one.partners[0] if one.partners else None for one in waiting]
    assert [None if one is None else one.id for one in likeliest] == [
        desk.payments[mistyped], desk.payments[net], desk.payments[euros], desk.payments[pending], None, None
    ]  # fmt: skip
    assert likeliest[0] is not None
    assert likeliest[0].why == "id nearly alike, same amount, same day"
    assert [one.why_not for one in waiting] == [
        "no payment of ours has the id tra_abcdefgi",
        "the payment is of another amount: 1,000 USD, which differs by the fee",
        "the payment is in another asset: 900 EUR",
        "our book does not have the money: the payment is opened",
        "no payment of ours has the id tra_unheard_of",
        "an adjustment that names no payout that failed",
    ]
    held, way, kept = await desk.money()
    assert (held, way, kept) == (1_500 - sum(one.line.amount for one in waiting), way, 30)
    (said,) = [one for one in (await desk.do("payouts.balance")).items if one.asset == "USD"]
    assert (said.held, said.unmatched, said.unreported) == (held, 1_500 - held, 1_500)


async def test_a_payment_that_is_settled_after_its_payout_is_found_then(desk: Desk) -> None:
    """The report came before the book had the money; the next look at the lines that wait finds it."""
    late = await desk.take(400, settle=False)
    assert (await desk.record([charge(late, 400)])).payout.unmatched == 1
    assert await match_waiting(desk.operations, "main") == 0
    await desk.settle(late)
    assert "nobody has looked yet" in (await desk.unmatched())[0].why_not
    assert await match_waiting(desk.operations, "main") == 1
    assert await desk.unmatched() == []
    assert await desk.money() == (0, 400, 0)


async def test_an_operator_matches_books_and_takes_it_back(desk: Desk) -> None:
    """By hand a line is a payment with its difference booked, or goes to an account; taken back, the money is as before."""
    net = await desk.take(1_000)
    await desk.do("ledger.open_account", account="differences", asset="USD")
    await desk.record([charge(net, 970, 30), line("adjustment", -50)])
    before = await desk.money()
    short, adjustment = await desk.unmatched()
    match = {"line": short.id, "partner": "charge", "partner_id": str(desk.payments[net])}
    unsaid = await desk.refused("payouts.match", **match)
    assert (unsaid.code, unsaid.field) == ("payouts.not_matchable", "difference_to")
    done = await desk.do("payouts.match", **match, difference_to="differences")
    assert (done.open, done.by_hand, done.partner_id) == (0, True, str(desk.payments[net]))
    assert await desk.balance("differences") == -30
    booked = await desk.do("payouts.book", line=adjustment.id)
    assert (booked.partner, booked.partner_id) == ("account", "adjustments/sandbox/USD")
    assert await desk.balance("adjustments/sandbox/USD") == -50
    assert await desk.unmatched() == []
    assert (await desk.money())[0] == 0
    again = await desk.refused("payouts.book", line=adjustment.id)
    assert again.code == "payouts.line_matched"
    for one in (short, adjustment):
        await desk.do("payouts.undo", line=one.id, reason="the wrong one")
        assert (await desk.refused("payouts.undo", line=one.id, reason="again")).code == "payouts.nothing_to_undo"
    assert await desk.money() == before
    assert [await desk.balance(code) for code in ("differences", "adjustments/sandbox/USD")] == [0, 0]
    assert [one.id for one in await desk.unmatched()] == [short.id, adjustment.id]
    assert (await desk.do("payouts.match", **match, difference_to="differences")).open == 0


async def test_a_payment_in_another_asset_is_matched_by_hand_and_each_asset_adds_up(desk: Desk) -> None:
    """The provider exchanged euros: both amounts go through its conversions, and it holds none of either."""
    await desk.do("ledger.ensure_asset", asset="EUR", exponent=2)
    euros = await desk.take(900, asset="EUR")
    await desk.record([charge(euros, 985, 5)])
    (waiting,) = await desk.unmatched()
    await desk.do("payouts.match", line=waiting.id, partner="charge", partner_id=str(desk.payments[euros]))
    assert await desk.money() == (0, 980, 5)
    assert await desk.money("EUR") == (0, 0, 0)
    conversions = [await desk.balance(f"conversions/sandbox/{asset}") for asset in ("USD", "EUR")]
    assert conversions == [985, -900]


async def test_a_payout_that_fails_puts_the_money_back_and_its_return_is_no_income(desk: Desk) -> None:
    """What the bank sent back is held by the provider again; the next payout tells of it as a line, which is no new money."""
    taken = await desk.take(500)
    recorded = await desk.record([charge(taken, 500, 10)], status="pending")
    assert await desk.money() == (0, 490, 10)
    for _ in range(2):
        await desk.carry("payouts.status", id=str(recorded.payout_id), status="failed")
    assert (await desk.do("payouts.find", id=str(recorded.payout_id))).status == "failed"
    assert await desk.money() == (490, 0, 10)
    await desk.record([line("adjustment", 490, description="payout po_1 failed")], "po_2")
    assert await desk.unmatched() == []
    assert await desk.money() == (0, 490, 10)


@pytest.mark.parametrize("known", ["before", "after"])
async def test_lines_that_are_told_again_after_their_payout_failed_count_once(desk: Desk, known: str) -> None:
    """Some providers tell the same lines again: neither charge nor fee is counted twice, whenever the failure is heard of."""
    lines = [charge(await desk.take(500), 500, 10)]
    recorded = await desk.record(lines, "po_1", status="pending")
    if known == "before":
        await desk.carry("payouts.status", id=str(recorded.payout_id), status="failed")
    await desk.record(lines, "po_2")
    if known == "after":
        (waiting,) = await desk.unmatched()
        assert (waiting.why_not, waiting.open) == ("this very line is in the payout po_1 already", 490)
        await desk.carry("payouts.status", id=str(recorded.payout_id), status="failed")
    assert await desk.unmatched() == []
    assert await desk.money() == (0, 490, 10)


@pytest.mark.parametrize("known", ["at once", "later"])
async def test_a_payout_that_failed_and_is_heard_of_behind_the_next_one_leaves_no_line_waiting(
    desk: Desk, known: str
) -> None:
    """Its report was late: the lines are those of the payout that stands, and its failure takes its own part back."""
    lines = [charge(await desk.take(500), 500, 10)]
    await desk.record(lines, "po_2")
    late = await desk.record(lines, "po_1", status="failed" if known == "at once" else "pending")
    if known == "later":
        assert [one.open for one in await desk.unmatched()] == [490]
        await desk.carry("payouts.status", id=str(late.payout_id), status="failed")
    assert await desk.unmatched() == []
    assert await desk.money() == (0, 490, 10)
    await desk.record(lines, "po_3")
    assert [one.open for one in await desk.unmatched()] == [490]
    assert await desk.money() == (-490, 980, 10)


async def test_a_payout_that_fails_explains_one_line_that_was_told_again_and_no_more(desk: Desk) -> None:
    """Three payouts told the same line: of the two that tell it again one is left over, until another fails."""
    lines = [charge(await desk.take(500), 500, 10)]
    told = [await desk.record(lines, f"po_{at}", status="pending") for at in range(3)]
    await desk.carry("payouts.status", id=str(told[0].payout_id), status="failed")
    assert [(one.payout, one.open) for one in await desk.unmatched()] == [("po_2", 490)]
    assert await desk.money() == (-490, 980, 10)
    await desk.carry("payouts.status", id=str(told[1].payout_id), status="failed")
    assert await desk.unmatched() == []
    assert await desk.money() == (0, 490, 10)


async def test_a_long_report_comes_in_parts_and_counts_when_it_is_whole(desk: Desk) -> None:
    """Parts may come twice and after a kill; before the last one nothing has moved."""
    lines = [charge(await desk.take(100 + at), 100 + at, 1) for at in range(5)]
    parts = {"amount": 505, "of": 5, "version": "a" * 64}
    for _ in range(2):
        told = await desk.do("payouts.record", **desk.report(lines[:2], **parts))
        assert (told.lines, told.whole, told.payout) == (2, False, None)
    assert await desk.money() == (510, 0, 0)
    assert (await desk.do("payouts.list")).items == []
    await desk.do("payouts.record", **desk.report(lines[4:], **parts, first=5))
    told = await desk.do("payouts.record", **desk.report(lines[2:4], **parts, first=3))
    assert (told.whole, told.payout.unmatched) == (True, 0)
    assert await desk.money() == (0, 505, 5)
    nameless = {"amount": 505, "of": 5}
    refused = await desk.refused("payouts.record", **desk.report(lines[:2], **nameless))
    assert (refused.code, refused.field) == ("invalid_input", "version")


async def test_what_no_report_has_named_is_listed_after_some_days(desk: Desk) -> None:
    """The other direction: a payment that no payout tells of is found, unless a line is it by now."""
    first, second = await desk.take(500), await desk.take(300)
    assert (await desk.do("payouts.unreported")).items == []
    desk.clock.at += dt.timedelta(days=8)
    assert {one.provider_id for one in (await desk.do("payouts.unreported")).items} == {first, second}
    await desk.record([charge(first, 500)])
    (left,) = (await desk.do("payouts.unreported")).items
    assert (left.id, left.amount, left.kind) == (desk.payments[second], 300, "charge")
    page = await desk.do("payouts.unreported", limit=1)
    assert page.next is None


async def test_a_dispute_opened_and_won_in_one_instant_is_listed_as_both_on_short_pages(desk: Desk) -> None:
    """A cursor stands between two things of one id and one time."""
    taken = await desk.take(500)
    await desk.dispute(taken, 200, "dis_1", "won")
    desk.clock.at += dt.timedelta(days=8)
    listed: list[str] = []
    after: str | None = ""
    while after is not None:
        page = await desk.do("payouts.unreported", limit=1, after=after)
        listed += [one.kind for one in page.items]
        after = page.next
    assert sorted(listed) == ["charge", "dispute", "dispute_reversed"]


async def test_bad_input_is_refused_by_name_and_moves_nothing(desk: Desk) -> None:
    """Unknown ids, lines twice in a report, accounts that are not there, a currency that the book does not count in."""
    taken = await desk.take(500)
    one = charge(taken, 250)
    report = desk.report
    nobody = str(uuid.UUID(int=7))
    await desk.record([charge("tra_other", 70)], "po_9")
    (waiting,) = await desk.unmatched()
    before = await desk.money()
    for operation, fields, code in (
        ("payouts.record", report([one, one], amount=500), "invalid_input"),
        ("payouts.record", report([], amount=5), "payouts.does_not_add_up"),
        ("payouts.record", report([one], amount=250, currency="XTS"), "ledger.unknown_asset"),
        ("payouts.record", report([one], amount=250, first=2), "invalid_input"),
        ("payouts.record", report([{**one, "amount": 1.5}], amount=250), "invalid_input"),
        ("payouts.record", report([one], "po\n1", amount=250), "invalid_input"),
        ("payouts.find", {"id": nobody}, "payouts.unknown_payout"),
        ("payouts.lines", {"id": nobody}, "payouts.unknown_payout"),
        ("payouts.book", {"line": "1"}, "invalid_input"),
        ("payouts.book", {"line": f"{nobody}.1"}, "payouts.unknown_line"),
        ("payouts.book", {"line": waiting.id, "account": "nowhere"}, "payouts.account_unusable"),
        ("payouts.book", {"line": waiting.id, "account": "providers/sandbox/USD"}, "payouts.not_matchable"),
        ("payouts.match", {"line": waiting.id, "partner": "refund", "partner_id": nobody}, "payouts.unknown_partner"),
        ("payouts.undo", {"line": waiting.id, "reason": "x"}, "payouts.nothing_to_undo"),
        ("payouts.unmatched", {"after": "x"}, "invalid_input"),
        ("payouts.unreported", {"after": "x"}, "invalid_input"),
    ):
        refused = await desk.refused(operation, **fields)
        assert refused.code == code, (operation, fields, refused)
    assert await desk.money() == before


async def test_the_bank_statement_clears_what_was_on_its_way(desk: Desk) -> None:
    """The statement's entry is the payout: nothing is on its way, the bank has it; sent back, it is nowhere but at the provider."""
    payout = (await desk.record([charge(await desk.take(500), 500, 10)])).payout
    arrived, other = await desk.enter_statement(490, 17)
    wrong = await desk.refused("payouts.arrive", id=str(payout.id), entry=other)
    assert wrong.code == "payouts.entry_not_of_payout"
    assert (await desk.do("payouts.arrive", id=str(payout.id), entry=arrived)).arrived
    assert await desk.money() == (0, 0, 10)
    assert -await desk.balance("providers/bank/USD") == 490
    (entry, _) = (await desk.do("bank.entries")).items
    assert entry.matched == "the payout po_1 of sandbox"
    again = await desk.refused("payouts.arrive", id=str(payout.id), entry=arrived)
    assert again.code == "payouts.entry_not_of_payout"
    await desk.carry("payouts.status", id=str(payout.id), status="failed")
    assert await desk.money() == (490, -490, 10)
    (back,) = await desk.enter_statement(-490)
    await desk.do("payouts.arrive", id=str(payout.id), entry=back)
    assert await desk.money() == (490, 0, 10)
    assert await desk.balance("providers/bank/USD") == 0


async def test_money_is_booked_as_a_customers_where_repayments_look_for_it_or_not_at_all(desk: Desk) -> None:
    """The account of a customer with a long ref has another code: what is booked on the ref's own would be nobody's."""
    await desk.owe(500, customer="c" * 210)
    await desk.owe(500, customer="carl")
    await desk.record([line("adjustment", 70)])
    (waiting,) = await desk.unmatched()
    for code in (f"customers/{'c' * 210}/unallocated/USD", "customers/carl/unallocated/EUR"):
        refused = await desk.refused("payouts.book", line=waiting.id, account=code)
        assert refused.code == "payouts.account_unusable", code
    await desk.do("payouts.book", line=waiting.id, account="customers/carl/unallocated/USD")
    assert await desk.unallocated("carl") == 70


async def test_a_payout_that_was_said_to_be_the_wrong_entry_is_taken_back(desk: Desk, server: EmbeddedServer) -> None:
    """Of two entries of the same amount the wrong one was named: taken back, both can be named, and nothing is lost on the way."""
    payout = (await desk.record([charge(await desk.take(500), 500, 10)])).payout
    fields = {"id": str(payout.id), "reason": "that is another one's"}
    none = await desk.refused("payouts.undo_arrival", **fields)
    assert none.code == "payouts.not_on_statement"
    wrong, right = await desk.enter_statement(490, 490)
    await desk.do("payouts.arrive", id=str(payout.id), entry=wrong)
    assert not (await desk.do("payouts.undo_arrival", **fields)).arrived
    assert await desk.money() == (0, 490, 10)
    assert await desk.balance("providers/bank/USD") == 0
    assert [one.matched for one in (await desk.do("bank.entries")).items] == [None, None]
    assert (await desk.do("payouts.arrive", id=str(payout.id), entry=wrong)).arrived
    await desk.do("payouts.undo_arrival", **fields)
    assert (await desk.do("payouts.arrive", id=str(payout.id), entry=right)).arrived
    assert [one.matched is None for one in (await desk.do("bank.entries")).items] == [True, False]
    await desk.carry("payouts.status", id=str(payout.id), status="failed")
    (back,) = await desk.enter_statement(-490)
    await desk.do("payouts.arrive", id=str(payout.id), entry=back)
    await desk.do("payouts.undo_arrival", **fields)
    assert await desk.money() == (490, -490, 10)
    await desk.do("payouts.arrive", id=str(payout.id), entry=back)
    assert await desk.money() == (490, 0, 10)
    await require_the_same_anew(House(desk.operations), server)


async def test_disputes_won_and_lost_are_what_the_report_says(desk: Desk) -> None:
    """Money that a dispute held back and gave back again, and money that it took for good, with the fee of each."""
    won, lost = await desk.take(1_000), await desk.take(400)
    for transaction, dispute, amount, end in ((won, "dis_1", 1_000, "won"), (lost, "dis_2", 400, "lost")):
        await desk.dispute(transaction, amount, dispute, "open")
        await desk.dispute(transaction, amount, dispute, end)
    await desk.record([
        charge(won, 1_000, 39),
        charge(lost, 400, 31),
        line("dispute", -1_000, 1_500, transaction_id=won, dispute_id="dis_1"),
        line("dispute", -400, 1_500, transaction_id=lost, dispute_id="dis_2"),
        line("dispute_reversed", 1_000, -1_500, transaction_id=won, dispute_id="dis_1"),
    ])  # fmt: skip
    assert await desk.unmatched() == []
    assert await desk.money() == (0, 1_000 - 1_570, 1_570)


async def test_refunds_of_one_payment_are_told_apart_and_one_that_failed_comes_to_nothing(desk: Desk) -> None:
    """Two partial refunds of the same amount are two lines' partners, whether or not the lines name them; a third failed."""
    taken = await desk.take(1_000)
    for refund, status in (("ref_1", "succeeded"), ("ref_2", "succeeded"), ("ref_3", "failed")):
        await desk.refund(taken, 100, refund, status)
    await desk.record([
        charge(taken, 1_000),
        line("refund", -100, transaction_id=taken),
        line("refund", -100, transaction_id=taken, refund_id="ref_2"),
        line("refund", -100, transaction_id=taken, refund_id="ref_3"),
        line("refund_failed", 100, transaction_id=taken, refund_id="ref_3"),
    ])  # fmt: skip
    assert await desk.unmatched() == []
    assert await desk.money() == (0, 800, 0)


async def test_a_provider_that_collects_and_a_payout_of_nothing(desk: Desk) -> None:
    """Refunds beyond what was taken make the payout a debit of our account; a payout of nothing moves nothing."""
    taken = await desk.take(1_000)
    await desk.record([charge(taken, 1_000)], "po_1")
    await desk.refund(taken, 600, "ref_1")
    await desk.record([line("refund", -600, transaction_id=taken, refund_id="ref_1")], "po_2")
    assert await desk.money() == (0, 400, 0)
    await desk.record([], "po_3")
    assert await desk.money() == (0, 400, 0)
    assert [one.amount for one in (await desk.do("payouts.list")).items] == [0, -600, 1_000]
