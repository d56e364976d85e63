"""Repayments: money comes in, goes where the policy says, lies unallocated, is given back or fetched back."""

import datetime as dt
import uuid

import pytest
import pytest_asyncio

from tallystick.errors import InvalidInput
from tallystick.ids import uuid7
from tallystick.repayments.find import find_repayments
from tallystick.repayments.model import repayment_id_of
from tallystick.security.model import OPERATOR
from tests.conftest import House
from tests.db.repaid import ADA, Till, open_till


@pytest_asyncio.fixture
async def till(house: House) -> Till:
    """Give a book whose clock stands."""
    return open_till(house)


async def test_money_repays_the_oldest_invoice_first(till: Till) -> None:
    """Where nobody says otherwise; each unit says why it went where it went, and the ledger has it."""
    late = await till.owe(500, due_on="2026-11-20")
    early = await till.owe(300, due_on="2026-11-01")
    paid = await till.pay(400)
    assert [(one.invoice, one.amount) for one in paid.allocations] == [(early, 300), (late, 100)]
    assert paid.allocations[0].why == "oldest first: due 2026-11-01; takes all 300 outstanding"
    assert paid.allocations[1].why == "oldest first: due 2026-11-20; takes the last 100 there was, of 500 outstanding"
    assert await till.outstanding(early, late) == [0, 400]
    assert [await till.status(one) for one in (early, late)] == ["paid", "partly_paid"]
    assert (paid.unallocated, await till.unallocated()) == (0, 0)
    came = await till.do("ledger.find_transfer", id=paid.transfer_id)
    assert (came.debit, came.amount, came.reason) == ("providers/bank_transfer/USD", 400, "repayment_receive")
    went = await till.do("ledger.find_transfer", id=paid.allocations[0].transfer_id)
    assert (went.debit, went.amount, went.reason) == (came.credit, 300, "repayment_allocate")


async def test_what_is_too_much_lies_unallocated_and_is_visible(till: Till) -> None:
    """It is the customer's, and repays what comes later when it is told to."""
    first = await till.owe(300)
    paid = await till.pay(1000)
    assert (paid.unallocated, await till.unallocated()) == (700, 700)
    later = await till.owe(500)
    assert await till.outstanding(first, later) == [0, 500]
    placed = await till.do("repayments.allocate", customer=ADA, asset="USD")
    assert [(one.invoice, one.amount) for one in placed.allocations] == [(later, 500)]
    assert (placed.unallocated, await till.unallocated()) == (200, 200)
    again = await till.do("repayments.allocate", customer=ADA, asset="USD")
    assert (again.allocations, again.unallocated, await till.unallocated()) == ([], None, 200)


async def test_money_of_one_who_owes_nothing_lies_unallocated(till: Till) -> None:
    """It is not refused: it came."""
    await till.owe(100, customer="bob")
    await till.pay(100, customer="bob")
    paid = await till.pay(50, customer="bob")
    assert (paid.allocations, paid.unallocated) == ([], 50)
    page = await till.do("repayments.unallocated")
    assert [(one.customer, one.asset, one.amount) for one in page.items] == [("bob", "USD", 50)]


async def test_a_repayment_that_is_asked_for_twice_is_told_twice_as_it_is(till: Till) -> None:
    """What it repaid is told once in each, and nothing of it lies unallocated."""
    await till.owe(300)
    paid = await till.pay(300)
    async with till.operations.pool.acquire() as connection:
        book_id = await connection.fetchval("SELECT book_id FROM book WHERE name = 'main'")
        assert await find_repayments(connection, book_id, [paid.id, paid.id]) == [paid, paid]


async def test_the_same_reference_is_received_once(till: Till) -> None:
    """However often and by whichever message it comes; other money needs a reference of its own."""
    await till.owe(300)
    first = await till.pay(100, "statement 7/1")
    assert await till.pay(100, "statement 7/1") == first
    assert await till.pay(100, "statement 7/1", received_on="2026-09-30") == first
    for other in ({"amount": 101}, {"customer": "bob"}, {"from_account": "bank"}):
        if "customer" in other:
            await till.owe(5, customer="bob")
        error = await till.refused(
            "repayments.receive", **{"customer": ADA, "asset": "USD", "amount": 100, "channel": "bank_transfer",
                                     "reference": "statement 7/1", **other},
        )  # fmt: skip
        assert (error.code, error.field) == ("repayments.reference_reused", next(iter(other)))
    assert (await till.pay(100, "statement 7/1", channel="cash")).id != first.id
    assert len((await till.do("repayments.list")).items) == 2


@pytest.mark.parametrize(
    ("policy", "expected"),
    [
        ({"kind": "oldest_first"}, [200, 500, 300]),
        ({"kind": "product_order", "products": ["api", "loans"]}, [700, 0, 300]),
        ({"kind": "highest_cost_first"}, [1000, 0, 0]),
        ({"kind": "pro_rata"}, [555, 278, 167]),
        ({"kind": "fixed_split", "weights": {"loans": 3, "deferred": 1}}, [750, 250, 0]),
    ],
)
async def test_a_policy_is_tried_without_effect_and_then_does_what_it_said(
    till: Till, policy: dict[str, object], expected: list[int]
) -> None:
    """The preview places each unit as the money then does, and tells the same reasons."""
    loan = await till.owe(1000, "loans", "2026-11-03", cost_rank="0.185")
    deferred = await till.owe(500, "deferred", "2026-11-01")
    api = await till.owe(300, "api", "2026-11-02", cost_rank="0.03")
    fields = {"customer": ADA, "asset": "USD", "policy": policy}
    tried = await till.do("repayments.preview", **fields, amount=1000)
    assert tried.said_by == "request"
    assert await till.outstanding(loan, deferred, api) == [1000, 500, 300]
    got = {one.invoice: one.amount for one in tried.placed}
    assert [got.get(one, 0) for one in (loan, deferred, api)] == expected
    assert set(tried.left_out) == {loan, deferred, api} - set(got)
    await till.do("repayments.set_policy", policy=policy)
    paid = await till.pay(1000)
    assert {(one.invoice, one.amount, one.why) for one in paid.allocations} == {
        (one.invoice, one.amount, one.why) for one in tried.placed
    }
    assert paid.policy == tried.policy


async def test_a_customers_own_policy_goes_before_the_books(till: Till) -> None:
    """And the book's before the oldest first; a customer's own can be taken away again."""
    await till.owe(100, "loans")
    await till.owe(100, "api", customer="bob")
    of_ada = {"customer": ADA}
    assert (await till.do("repayments.policy", **of_ada)).said_by == "default"
    await till.do("repayments.set_policy", policy={"kind": "pro_rata"})
    assert (await till.do("repayments.policy", **of_ada)).said_by == "book"
    await till.do("repayments.set_policy", policy={"kind": "product_order", "products": ["api"]}, **of_ada)
    assert (await till.do("repayments.policy", **of_ada)).said_by == "customer"
    assert (await till.do("repayments.policy", customer="bob")).said_by == "book"
    taken_away = await till.do("repayments.set_policy", policy=None, **of_ada)
    assert (taken_away.said_by, await till.do("repayments.policy", **of_ada)) == ("book", taken_away)


async def test_invoices_that_are_named_alone_get_something(till: Till) -> None:
    """What they do not need lies unallocated, though others are due."""
    first, second = await till.owe(100), await till.owe(100)
    paid = await till.pay(150, invoices=[str(second)])
    assert [(one.invoice, one.amount) for one in paid.allocations] == [(second, 100)]
    assert (await till.outstanding(first, second), paid.unallocated) == ([100, 0], 50)
    again = await till.pay(10, invoices=[str(second)])
    assert (again.allocations, again.unallocated) == ([], 10)


async def test_an_overdue_invoice_is_repaid_late(till: Till) -> None:
    """Late money is money."""
    invoice = await till.owe(100, due_on="2026-10-31")
    till.clock.at += dt.timedelta(days=33)
    await till.do("invoicing.mark_overdue", invoices=[str(invoice)])
    assert await till.status(invoice) == "overdue"
    await till.pay(40)
    assert await till.status(invoice) == "overdue"
    await till.pay(60)
    assert await till.status(invoice) == "paid"


async def test_unallocated_money_is_given_back_once(till: Till) -> None:
    """As much as there is, to an account outside."""
    await till.do("ledger.open_account", account="bank", asset="USD")
    await till.owe(100)
    await till.pay(150)
    fields = {"customer": ADA, "asset": "USD", "to_account": "bank", "reference": "r-1", "reason": "paid twice"}
    error = await till.refused("repayments.refund", **fields, amount=51)
    assert (error.code, error.field) == ("repayments.not_enough", "amount")
    back = await till.do("repayments.refund", **fields)
    assert (back.kind, back.amount, await till.unallocated()) == ("refund", 50, 0)
    told = [one for one in (await till.do("events.list", limit=100)).items if one.type == "repayment.refunded"]
    assert [one.subject for one in told] == [f"customer/{ADA}"]
    assert (await till.do("ledger.balance", account="bank")).balance == 50
    assert await till.do("repayments.refund", **fields) == back
    assert (await till.refused("repayments.refund", **fields, amount=49)).code == "repayments.reference_reused"
    other = {**fields, "reference": "r-2"}
    assert (await till.refused("repayments.refund", **other)).code == "repayments.not_enough"


async def test_a_repayment_that_the_bank_fetches_back_is_owed_again(till: Till) -> None:
    """Its invoices are open again, and nothing is erased."""
    first, second = await till.owe(100), await till.owe(200, due_on="2026-11-02")
    paid = await till.pay(250)
    back = await till.do("repayments.reverse", id=paid.id, reason="no such account")
    assert (back.kind, back.amount, back.reopened) == ("reversal", 250, {first: 100, second: 150})
    assert await till.outstanding(first, second) == [100, 200]
    assert [await till.status(one) for one in (first, second)] == ["issued", "issued"]
    found = await till.do("repayments.find", id=paid.id)
    assert (found.reversed, [one.undone for one in found.allocations]) == (True, [100, 150])
    assert (await till.do("ledger.balance", account="providers/bank_transfer/USD")).balance == 0
    assert await till.do("repayments.reverse", id=paid.id, reason="no such account") == back
    again = await till.pay(300)
    assert {one.invoice: one.amount for one in again.allocations} == {first: 100, second: 200}


async def test_a_reversal_undoes_what_was_repaid_of_its_rest_since(till: Till) -> None:
    """The rest repaid another invoice meanwhile; that one is open again too. What was given back cannot be."""
    first = await till.owe(100)
    paid = await till.pay(150)
    later = await till.owe(40)
    await till.do("repayments.allocate", customer=ADA, asset="USD")
    back = await till.do("repayments.reverse", id=paid.id, reason="unknown")
    assert back.reopened == {first: 100, later: 40}
    assert (await till.outstanding(first, later), await till.unallocated()) == ([100, 40], 0)
    await till.do("ledger.open_account", account="bank", asset="USD")
    paid = await till.pay(200)
    await till.do(
        "repayments.refund", customer=ADA, asset="USD", to_account="bank", reference="r", reason="asked for it"
    )
    error = await till.refused("repayments.reverse", id=paid.id, reason="unknown")
    assert (error.code, error.message) == (
        "repayments.not_reversible", "The repayment cannot be reversed: 60 minor units of it were given back.",
    )  # fmt: skip


async def test_prepaid_credit_repays_what_is_due(till: Till) -> None:
    """In the order in which credit is spent, no more than is needed; several times from one grant."""
    invoice = await till.owe(300, "loans")
    other = await till.owe(100, "api", "2026-11-05")
    grants = []
    for amount, fields in ((150, {"priority": 1}), (400, {}), (500, {"priority": 0, "products": ["other"]})):
        grants.append(str(uuid7()))
        await till.do("wallets.grant", id=grants[-1], customer=ADA, asset="USD", amount=amount, **fields)
    some = {"customer": ADA, "asset": "USD"}
    first = await till.do("repayments.from_wallet", **some, amount=100, reference="w1")
    assert [(one.invoice, one.amount) for one in first.allocations] == [(invoice, 100)]
    second = await till.do("repayments.from_wallet", **some, amount=100, reference="w2")
    assert [(one.invoice, one.amount) for one in second.allocations] == [(invoice, 50), (invoice, 50)]
    assert await till.do("repayments.from_wallet", **some, amount=100, reference="w2") == second
    third = await till.do("repayments.from_wallet", **some, reference="w3")
    assert (third.amount, await till.outstanding(invoice, other)) == (200, [0, 0])
    found = await till.do("invoicing.find", id=invoice)
    assert (found.credits_applied, found.credits, found.status) == (0, [], "paid")  # the invoice says what it said
    left = [(await till.do("wallets.find_grant", id=one)).balance for one in grants]
    assert left == [0, 150, 500]
    assert (await till.refused("repayments.from_wallet", **some, reference="w4")).code == "repayments.nothing_to_repay"
    error = await till.refused("repayments.reverse", id=third.id, reason="no")
    assert error.code == "repayments.not_reversible"


async def test_credit_for_one_product_repays_that_one_alone(till: Till) -> None:
    """What the policy places on a product without credit goes to the others, and says so."""
    loan, api = await till.owe(300, "loans"), await till.owe(100, "api", "2026-11-05")
    await till.do("wallets.grant", id=uuid7(), customer=ADA, asset="USD", amount=500, products=["api"])
    paid = await till.do("repayments.from_wallet", customer=ADA, asset="USD", amount=350, reference="w")
    assert [(one.invoice, one.amount) for one in paid.allocations] == [(api, 100)]
    assert await till.outstanding(loan, api) == [300, 0]


async def test_a_try_out_leaves_nothing(till: Till) -> None:
    """A dry run answers as if, and keeps neither money nor reference."""
    invoice = await till.owe(100)
    fields = {"customer": ADA, "asset": "USD", "amount": 100, "channel": "cash", "reference": "r"}
    answer = await till.operations.run(OPERATOR, "main", "repayments.receive", "tried", fields, dry_run=True)
    assert b'"amount":100' in answer.body
    assert (await till.outstanding(invoice), (await till.do("repayments.list")).items) == ([100], [])


def test_ids_are_derived() -> None:
    """The same reference of a channel is the same repayment, in every process."""
    assert repayment_id_of("cash", "a") == repayment_id_of("cash", "a") != repayment_id_of("slip", "a")
    assert isinstance(repayment_id_of("cash", "a"), uuid.UUID)


GOOD = {"customer": ADA, "asset": "USD", "amount": 10, "channel": "cash", "reference": "r"}
POLICY = {"kind": "fixed_split", "weights": {"loans": 1}}


BAD_MONEY: list[tuple[dict[str, object], str]] = [
    ({"amount": 0}, "amount"), ({"amount": -1}, "amount"), ({"amount": 1.5}, "amount"), ({"amount": "10"}, "amount"),
    ({"amount": 2**63}, "amount"), ({"amount": None}, "amount"), ({"customer": "nobody"}, "customer"),
    ({"customer": ""}, "customer"), ({"customer": "a\x00b"}, "customer"), ({"customer": "x" * 256}, "customer"),
    ({"asset": "EUR"}, "asset"), ({"asset": "usd"}, "asset"), ({"channel": "Cash"}, "channel"),
    ({"channel": "wallet"}, "channel"), ({"channel": "bank_debit"}, "channel"), ({"reference": ""}, "reference"),
    ({"reference": "a\x00b"}, "reference"), ({"reference": "x" * 10_000}, "reference"),
    ({"received_on": "1999-12-31"}, "received_on"), ({"received_on": "2026-10-03"}, "received_on"),
    ({"received_on": "9999-12-31"}, "received_on"), ({"received_on": "2026-02-30"}, "received_on"),
    ({"from_account": "nowhere"}, "from_account"), ({"from_account": "customers/bob/unallocated/USD"}, "from_account"),
    ({"from_account": "revenue/loans/USD"}, "from_account"), ({"from_account": "a\nb"}, "from_account"),
    ({"invoices": []}, "invoices"), ({"invoices": [str(uuid.UUID(int=1))]}, "invoices[0]"),
    ({"invoices": ["x"]}, "invoices[0]"), ({"policy": {"kind": "newest_first"}}, "policy.kind"),
    ({"policy": {**POLICY, "weights": {"loans": 0}}}, "policy.weights"),
    ({"policy": {**POLICY, "weights": {"loans": 1.5}}}, "policy.weights[...]"),
    ({"policy": {**POLICY, "weights": {"unheard": 1}}}, "policy.weights"),
    ({"policy": {"kind": "product_order", "products": ["loans", "loans"]}}, "policy.products"),
    ({"policy": {"kind": "product_order", "products": ["unheard"]}}, "policy.products"), ({"more": 1}, "more"),
]  # fmt: skip


async def test_bad_money_is_refused(till: Till) -> None:
    """It names the field and the rule, and nothing is kept."""
    invoice = await till.owe(100)
    await till.owe(100, customer="bob")
    for change, field in BAD_MONEY:
        error = await till.refused("repayments.receive", **{**GOOD, **change})
        assert (change, error.field) == (change, field), error.message
        assert error.message
    assert (await till.outstanding(invoice), (await till.do("repayments.list")).items) == ([100], [])


async def test_an_amount_that_is_no_whole_number_is_refused(till: Till) -> None:
    """Whatever JSON or what is nearly JSON says."""
    await till.owe(100)
    for text in (b"NaN", b"Infinity", b"-1", b"1e400", b"1.0", b"[]"):
        body = b'{"customer":"ada","asset":"USD","amount":%s,"channel":"cash","reference":"r"}' % text
        with pytest.raises(InvalidInput):
            await till.operations.run(OPERATOR, "main", "repayments.receive", "bad", body)
    assert (await till.do("repayments.list")).items == []


BAD_INPUT: list[tuple[str, dict[str, object], str]] = [
    ("repayments.set_policy", {"policy": None}, "policy"),
    ("repayments.set_policy", {"policy": {"kind": "pro_rata"}, "customer": "nobody"}, "customer"),
    ("repayments.set_policy", {"policy": {"kind": "product_order", "products": ["unheard"]}}, "policy.products"),
    ("repayments.preview", {"customer": "nobody", "asset": "USD", "amount": 1}, "customer"),
    ("repayments.preview", {"customer": ADA, "asset": "EUR", "amount": 1}, "asset"),
    ("repayments.preview", {"customer": ADA, "asset": "USD", "amount": -1}, "amount"),
    ("repayments.preview", {"customer": ADA, "asset": "USD", "policy": {**POLICY, "weights": {"loans": 0}}}, "policy.weights"),
    ("repayments.allocate", {"customer": ADA, "asset": "USD", "amount": 1}, "amount"),
    ("repayments.from_wallet", {"customer": ADA, "asset": "USD", "reference": "a\x00"}, "reference"),
    ("repayments.refund", {"customer": ADA, "asset": "USD", "to_account": "nowhere", "reference": "r", "reason": "r"}, "to_account"),
    ("repayments.reverse", {"id": str(uuid.UUID(int=1)), "reason": "r"}, "id"),
    ("repayments.reverse", {"id": "x", "reason": "r"}, "id"), ("repayments.find", {"id": str(uuid.UUID(int=1))}, "id"),
    ("repayments.list", {"after": "x"}, "after"), ("repayments.list", {"limit": 0}, "limit"),
    ("repayments.unallocated", {"after": "x"}, "after"), ("repayments.unallocated", {"customer": "nobody"}, "customer"),
]  # fmt: skip


async def test_bad_input_about_repayments_is_refused(till: Till) -> None:
    """At every door it names the field."""
    await till.owe(100)
    for operation, fields, field in BAD_INPUT:
        error = await till.refused(operation, **fields)
        assert (operation, fields, error.field) == (operation, fields, field), error.message
