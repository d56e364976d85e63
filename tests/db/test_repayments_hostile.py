"""Repayments and charges by somebody who tries: edges of amounts, other books, what has ended, what is tried for ever."""

import datetime as dt

import pytest
import pytest_asyncio

from tallystick.ids import uuid7
from tallystick.ledger.books import open_book
from tallystick.money import MAX_AMOUNT
from tallystick.operations.table import TABLE
from tallystick.security.model import OPERATOR
from tests.conftest import House
from tests.db.repaid import ADA, Till, open_till

MINE = {"customer": ADA, "asset": "USD"}
AGREED = {"bank_account": "somewhere", "country": "DE", "cutoff_days": 0}


@pytest_asyncio.fixture
async def till(house: House) -> Till:
    """Give a book whose clock stands."""
    return open_till(house)


async def test_two_of_the_largest_amounts_are_kept_to_the_unit(till: Till) -> None:
    """What lies unallocated may be more than one transfer moves: it is told, and goes back in parts."""
    await till.do("ledger.open_account", account="bank", asset="USD")
    invoice = await till.owe(100)
    await till.pay(MAX_AMOUNT)
    await till.pay(MAX_AMOUNT)
    assert (await till.outstanding(invoice), await till.unallocated()) == ([0], 2 * MAX_AMOUNT - 100)
    back = {**MINE, "to_account": "bank", "reason": "too much"}
    assert (await till.do("repayments.refund", **back, reference="r-1")).amount == MAX_AMOUNT
    assert (await till.do("repayments.refund", **back, reference="r-2")).amount == MAX_AMOUNT - 100
    assert await till.unallocated() == 0


async def test_money_for_what_was_written_off_is_the_customers(till: Till) -> None:
    """It finds nothing due, and lies unallocated; a reversal of what was paid before opens just that."""
    invoice = await till.owe(100)
    paid = await till.pay(30)
    await till.do("invoicing.write_off", id=invoice, reason="gone")
    late = await till.pay(70)
    assert (late.allocations, await till.unallocated(), await till.outstanding(invoice)) == ([], 70, [0])
    await till.do("repayments.reverse", id=paid.id, reason="returned")
    assert (await till.outstanding(invoice), await till.unallocated()) == ([30], 70)
    await till.do("repayments.allocate", **MINE)
    assert (await till.outstanding(invoice), await till.unallocated()) == ([0], 40)


async def test_credit_that_has_ended_or_is_of_another_asset_repays_nothing(till: Till) -> None:
    """Expired and voided grants, and units of something else; what is there is never taken beyond itself."""
    await till.do("ledger.ensure_asset", asset="EUR", exponent=2)
    invoice = await till.owe(100)
    await till.do("wallets.grant", id=uuid7(), customer=ADA, asset="EUR", amount=500)
    soon = (till.clock.now() + dt.timedelta(hours=1)).isoformat()
    await till.do("wallets.grant", id=uuid7(), **MINE, amount=50, expires_at=soon)
    till.clock.at += dt.timedelta(hours=2)
    error = await till.refused("repayments.from_wallet", **MINE, reference="w-1")
    assert error.code == "repayments.nothing_to_repay"
    await till.do("wallets.grant", id=uuid7(), **MINE, amount=40)
    paid = await till.do("repayments.from_wallet", **MINE, reference="w-2", amount=90)
    assert (paid.amount, await till.outstanding(invoice)) == (40, [60])
    error = await till.refused("repayments.from_wallet", **MINE, reference="w-2", amount=39)
    assert (error.code, error.field) == ("repayments.reference_reused", "amount")


async def test_a_reference_of_another_channel_or_customer(till: Till) -> None:
    """Channels have references of their own; another customer's is refused, and the money stays whose it is."""
    await till.owe(100)
    await till.owe(100, customer="bob/é")
    first, second = await till.pay(10, "same"), await till.pay(10, "same", channel="cash")
    assert first.id != second.id
    error = await till.refused(
        "repayments.receive", customer="bob/é", asset="USD", amount=10, channel="cash", reference="same"
    )
    assert (error.code, error.field) == ("repayments.reference_reused", "customer")
    await till.pay(150, customer="bob/é")
    assert (await till.unallocated("bob/é"), await till.unallocated()) == (50, 0)


async def test_another_book_knows_nothing_of_it(till: Till, house: House) -> None:
    """Its charges, repayments and customers are unknown there, and the same reference is other money."""
    await till.owe(100, due_on="2026-10-05")
    await till.do("collecting.choose_debit_day", customer=ADA, day=5, **AGREED)
    await till.do("charges.make", on="2026-10-05")
    (charge,) = (await till.do("charges.list")).items
    async with house.operations.pool.acquire() as connection:
        await open_book(connection, "other", till.clock.now())
    call = till.operations.call
    outcomes = [{"charge": str(charge.id)}]
    (answer,) = (await call(OPERATOR, "other", "charges.apply", "x", {"outcomes": outcomes})).items
    assert (answer.status, answer.code) == ("refused", "charges.unknown_charge")
    assert (await till.do("charges.find", id=charge.id)).status == "made"
    assert (await call(OPERATOR, "other", "charges.list", "", {})).items == []
    assert (await call(OPERATOR, "other", "repayments.unallocated", "", {})).items == []


async def test_an_outcome_is_told_twice_with_what_was_placed(till: Till) -> None:
    """The same again says the same; another amount is another outcome, and changes nothing."""
    await till.owe(100, due_on="2026-10-05")
    await till.do("collecting.choose_debit_day", customer=ADA, day=5, **AGREED)
    await till.do("charges.make", on="2026-10-05")
    await till.do("collecting.choose_debit_day", customer=ADA, day=9, **{**AGREED, "bank_account": "elsewhere"})
    assert (await till.do("charges.make", on="2026-10-05")).made == 0
    (charge,) = (await till.do("charges.list")).items
    assert charge.bank_account == "somewhere"
    await till.pay(70)
    named = {"charge": str(charge.id)}
    (first,) = (await till.do("charges.apply", outcomes=[named])).items
    (again,) = (await till.do("charges.apply", outcomes=[named])).items
    assert [(one.status, one.taken, one.allocated) for one in (first, again)] == [
        ("applied", 100, 30),
        ("known", 100, 30),
    ]
    other = {**named, "taken": 60, "error_kind": "insufficient_funds"}
    (differs,) = (await till.do("charges.apply", outcomes=[other])).items
    assert (differs.status, differs.code) == ("refused", "charges.outcome_differs")
    assert await till.unallocated() == 70


async def test_a_charge_that_always_fails_is_tried_so_often_and_no_more(till: Till) -> None:
    """The first attempt and as many as the policy says; then nothing until the next debit day."""
    await till.owe(100, due_on="2026-10-05")
    await till.do("collecting.choose_debit_day", customer=ADA, day=5, **AGREED)
    await till.do("charges.set_retry_policy", rules={"technical": {"times": 2, "after_days": 1}})
    made = 0
    for day in range(5, 31):
        on = f"2026-10-{day:02}"
        made += (await till.do("charges.make", on=on)).made
        for charge in (await till.do("charges.list", on=on)).items:
            await till.do("charges.apply", outcomes=[{"charge": str(charge.id), "error_kind": "technical"}])
    assert made == 3


@pytest.mark.parametrize("room", ["repayments", "charges", "collecting"])
def test_what_changes_something_needs_the_scope_to_write(room: str) -> None:
    """And what only reads needs the other one: nobody who may read can move money."""
    for name, operation in TABLE.items():
        if name.startswith(f"{room}."):
            assert operation.scope.endswith(":read" if operation.reads else ":write"), name
