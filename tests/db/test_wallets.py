"""Prepaid credits: granted, spent in order, expired, voided; always the balance of a ledger account."""

import asyncio
import datetime as dt
import uuid
from typing import Any

import asyncpg
import pytest
import pytest_asyncio

from tallystick.clock import FixedClock
from tallystick.ids import uuid7
from tallystick.operations.run import Operations
from tallystick.operations.work_wallets import expire_due
from tallystick.security.model import OPERATOR
from tests.conftest import House
from tests.db.priced_usage import meter_requests, price, refusal_of, use, use_in_may

NOW = dt.datetime(2026, 11, 1, tzinfo=dt.UTC)
ADA = "customer-005"


class Shop:
    """A book whose clock is set by hand, with customers who used something in May 2015."""

    def __init__(self, house: House) -> None:
        """Set the clock."""
        self.clock = FixedClock(NOW)
        self.house = House(Operations(house.operations.pool, self.clock, house.operations.table))

    async def do(self, operation: str, /, **fields: object) -> Any:  # noqa: ANN401 - each operation has its own
        """Run an operation."""
        return await self.house.do(operation, **fields)

    async def grant(self, amount: int, customer: str = ADA, asset: str = "USD", **fields: object) -> uuid.UUID:
        """Grant credit and return its id."""
        given = await self.do("wallets.grant", id=uuid7(), customer=customer, asset=asset, amount=amount, **fields)
        granted: uuid.UUID = given.id
        return granted

    async def left(self, grant: uuid.UUID) -> int:
        """Return what the ledger has of a grant."""
        found = await self.do("wallets.find_grant", id=grant)
        balance: int = (await self.do("ledger.balance", account=found.account)).balance
        assert found.balance == balance
        return balance

    async def draft(self, **fields: object) -> None:
        """Draft May."""
        drafted = await self.do("invoicing.draft", month="2015-05", **fields)
        assert drafted.failed == []

    async def issue(self) -> list[Any]:
        """Issue what is drafted and return all invoices."""
        await self.do("invoicing.issue", month="2015-05")
        return await self.invoices()

    async def invoices(self) -> list[Any]:
        """Return all invoices."""
        return list((await self.do("invoicing.list")).items)

    def later(self, **span: float) -> dt.datetime:
        """Return an instant after the first one."""
        return NOW + dt.timedelta(**span)

    async def expire(self, **span: float) -> int:
        """Let time pass, and what is due expire."""
        self.clock.at = self.later(**span)
        return await expire_due(self.house.operations, "main", 1)


@pytest_asyncio.fixture
async def shop(house: House) -> Shop:
    """Give a shop where customer n made n requests in May, at 1.00 each."""
    await meter_requests(house)
    await price(house, "1")
    await use_in_may(house, 5)
    return Shop(house)


async def test_credit_pays_an_invoice_when_it_is_issued(shop: Shop) -> None:
    """What a grant has goes to what is owed, in the transaction of the issue; the rest stays outstanding."""
    grant = await shop.grant(300)
    await shop.draft()
    invoices = {one.customer: one for one in await shop.issue()}
    paid = invoices[ADA]
    assert (paid.total, paid.credits_applied, paid.outstanding, paid.status) == (500, 300, 200, "partly_paid")
    assert [(it.grant, it.amount, it.line) for it in paid.credits] == [(grant, 300, None)]
    assert (await shop.do("ledger.balance", account=paid.account)).balance == -200
    assert await shop.left(grant) == 0
    other = invoices["customer-004"]
    assert (other.credits_applied, other.credits, other.outstanding) == (0, [], 400)
    transfer = await shop.do("ledger.find_transfer", id=paid.credits[0].transfer_id)
    assert (transfer.credit, transfer.amount, transfer.reason) == (paid.account, 300, "credit_use")


async def test_credit_is_spent_by_priority_then_expiry_then_age(shop: Shop) -> None:
    """Whatever order it was granted in."""
    old = await shop.grant(100)
    soon = await shop.grant(100, expires_at=shop.later(days=1))
    late = await shop.grant(100, expires_at=shop.later(days=9))
    new = await shop.grant(100)
    first = await shop.grant(50, priority=1)
    await shop.draft()
    (paid,) = [one for one in await shop.issue() if one.customer == ADA]
    assert paid.credits_applied == 450
    assert [it.grant for it in paid.credits] == [first, soon, late, old, new]
    assert paid.outstanding == 50


async def test_credit_is_granted_to_who_has_used_nothing_yet(shop: Shop) -> None:
    """Who pays in advance is a customer from then on, once; and the first invoice is paid of it."""
    first, second = await shop.grant(60, "newcomer"), await shop.grant(60, "newcomer")
    await use(shop.house, [("newcomer", "2015-05-20T00:00:00Z")])
    await shop.draft()
    (paid,) = [one for one in await shop.issue() if one.customer == "newcomer"]
    assert (paid.total, paid.credits_applied, await shop.left(first), await shop.left(second)) == (100, 100, 0, 20)


async def test_what_is_more_than_is_owed_stays(shop: Shop) -> None:
    """An invoice takes no more than it asks for, and is paid."""
    grant = await shop.grant(800)
    await shop.draft()
    (paid,) = [one for one in await shop.issue() if one.customer == ADA]
    assert (paid.credits_applied, paid.outstanding, paid.status) == (500, 0, "paid")
    assert await shop.left(grant) == 300


async def test_credit_for_a_product_or_a_charge_pays_nothing_else(shop: Shop) -> None:
    """What is bound to charges pays no more than what those come to."""
    await price(shop.house, "0.30", charge="extra", name="Extra")
    other = await shop.grant(1000, products=["other"])
    extra = await shop.grant(1000, charges=["extra"])
    again = await shop.grant(1000, charges=["extra", "nothing"])
    await shop.draft()
    (paid,) = [one for one in await shop.issue() if one.customer == ADA]
    assert (paid.total, paid.credits_applied) == (650, 150)
    assert [await shop.left(one) for one in (other, extra, again)] == [1000, 850, 1000]


async def test_units_cover_usage_before_it_is_priced(shop: Shop) -> None:
    """A unit of the operator's own pays for what is metered; the line says how much of it, and from which grants."""
    await shop.do("ledger.ensure_asset", asset="CALLS", exponent=0)
    await shop.do("wallets.bind_unit", asset="CALLS", meter="requests")
    one = await shop.grant(2, asset="CALLS", expires_at=shop.later(days=1))
    two = await shop.grant(2, asset="CALLS")
    await shop.draft()
    (draft,) = [it for it in await shop.invoices() if it.customer == ADA]
    assert (draft.total, draft.credits_applied) == (100, 0)
    (line,) = draft.lines
    assert (line.quantity, line.amount, line.detail["priced_quantity"]) == ("5", 100, "1")
    assert [(it["grant"], it["amount"], it["quantity"]) for it in line.detail["credits"]] == [
        (str(one), 2, "2"), (str(two), 2, "2"),
    ]  # fmt: skip
    assert "4 requests from credits" in line.explanation
    assert [(it.grant, it.asset, it.amount, it.line, it.quantity) for it in draft.credits] == [
        (one, "CALLS", 2, 0, "2"), (two, "CALLS", 2, 0, "2"),
    ]  # fmt: skip
    assert [await shop.left(it) for it in (one, two)] == [0, 0]
    assert (await shop.do("ledger.balance", account="wallets/used/CALLS")).balance == 4


async def test_units_are_spent_on_what_they_are_granted_for(shop: Shop) -> None:
    """Ten requests for a credit with two decimal digits; a quantity that does not come out even keeps its rest."""
    await shop.do("ledger.ensure_asset", asset="CREDITS", exponent=1)
    await shop.do("wallets.bind_unit", asset="CREDITS", meter="requests", units="20")
    other = await shop.grant(50, asset="CREDITS", charges=["other"])
    bytes_only = await refusal_of(
        shop.house, "wallets.grant", id=uuid7(), customer=ADA, asset="CREDITS", amount=1, meters=["bytes"]
    )
    assert bytes_only == ("wallets.meter_not_bound", "meters[0]")
    grant = await shop.grant(50, asset="CREDITS", meters=["requests"], products=["api"])
    await shop.draft()
    (draft,) = [it for it in await shop.invoices() if it.customer == ADA]
    assert (draft.total, draft.lines[0].detail["covered"]) == (100, "4")
    assert [await shop.left(it) for it in (other, grant)] == [50, 48]


async def test_a_draft_takes_units_once(shop: Shop) -> None:
    """Drafting again, or four at once, finds the invoice there and takes nothing; a dry run keeps nothing."""
    await shop.do("ledger.ensure_asset", asset="CALLS", exponent=0)
    await shop.do("wallets.bind_unit", asset="CALLS", meter="requests")
    grants = [await shop.grant(20, asset="CALLS", customer=f"customer-{n:03}") for n in range(1, 6)]
    await shop.house.operations.run(OPERATOR, "main", "invoicing.draft", "dry", {"month": "2015-05"}, dry_run=True)
    assert [await shop.left(it) for it in grants] == [20] * 5
    await asyncio.gather(*(shop.draft(customers=[f"customer-{n:03}" for n in range(1, 6)]) for _ in range(4)))
    assert [await shop.left(it) for it in grants] == [19, 18, 17, 16, 15]
    assert {one.total for one in await shop.invoices()} == {0}


async def test_an_issue_that_fails_takes_nothing(shop: Shop, owner: asyncpg.Connection) -> None:
    """What is taken and what it pays stand or fall together."""
    grant = await shop.grant(300)
    await shop.draft()
    await owner.execute("ALTER TABLE invoice_issue ADD CONSTRAINT never CHECK (false)")
    with pytest.raises(asyncpg.CheckViolationError):
        await shop.do("invoicing.issue", month="2015-05")
    assert await shop.left(grant) == 300
    assert await owner.fetchval("SELECT count(*) FROM credit_use") == 0


async def test_credit_expires_on_time_and_is_spent_no_more(shop: Shop) -> None:
    """What is left goes to an account of its own; what was spent stays spent."""
    soon = await shop.grant(700, expires_at=shop.later(seconds=10))
    late = await shop.grant(700, expires_at=shop.later(seconds=20))
    await shop.draft()
    await shop.issue()
    assert (await shop.expire(seconds=9), await shop.left(soon)) == (0, 200)
    assert (await shop.expire(seconds=10), await shop.left(soon), await shop.left(late)) == (1, 0, 700)
    assert (await shop.expire(seconds=10), await shop.expire(seconds=21)) == (0, 1)
    assert (await shop.do("ledger.balance", account="wallets/expired/USD")).balance == 900
    assert (await shop.do("wallets.find_grant", id=soon)).status == "expired"


async def test_credit_whose_time_has_run_out_is_not_spent_before_anybody_looked(shop: Shop) -> None:
    """The worker may be late; the draw is not."""
    grant = await shop.grant(700, expires_at=shop.later(seconds=10))
    await shop.draft()
    shop.clock.at = shop.later(seconds=10)
    assert {one.credits_applied for one in await shop.issue()} == {0}
    assert await shop.left(grant) == 700


async def test_what_is_voided_goes_back_once(shop: Shop) -> None:
    """The rest goes where it came from; a second time there is nothing to void."""
    grant = await shop.grant(700, kind="promotional")
    await shop.draft()
    await shop.issue()
    voided = await shop.do("wallets.void", id=grant, reason="given by mistake")
    assert (voided.status, voided.balance) == ("voided", 0)
    assert (await shop.do("ledger.balance", account="wallets/promotional/USD")).balance == -500
    assert await refusal_of(shop.house, "wallets.void", id=grant, reason="again") == ("wallets.grant_ended", "id")
    unknown = await refusal_of(shop.house, "wallets.void", id=uuid7(), reason="why")
    assert unknown == ("wallets.unknown_grant", "id")


async def test_a_grant_that_is_used_up_has_ended(shop: Shop) -> None:
    """It neither expires nor can be voided."""
    grant = await shop.grant(500, expires_at=shop.later(seconds=10))
    await shop.draft()
    await shop.issue()
    assert (await shop.do("wallets.find_grant", id=grant)).status == "used"
    assert await refusal_of(shop.house, "wallets.void", id=grant, reason="late") == ("wallets.grant_ended", "id")
    assert await shop.expire(seconds=11) == 0


async def test_the_same_grant_again_is_the_same_and_another_a_conflict(shop: Shop) -> None:
    """By its id, whatever the message; the first field that differs is named."""
    given: dict[str, object] = {"id": uuid7(), "customer": ADA, "asset": "USD", "amount": 100, "charges": ["b", "a"]}
    first = await shop.do("wallets.grant", **given)
    assert await shop.do("wallets.grant", **given) == first
    for field, value in (("amount", 101), ("priority", 1), ("kind", "promotional"), ("charges", None)):
        refused = await refusal_of(shop.house, "wallets.grant", **(given | {field: value}))
        assert refused == ("wallets.grant_exists", field)
    assert (await shop.do("ledger.balance", account="wallets/paid/USD")).balance == -100


async def test_a_wallet_says_what_it_has_and_what_expires_next(shop: Shop) -> None:
    """By asset and grant, in the order of their spending; ended ones only when asked for."""
    at = shop.later(days=1)
    late = await shop.grant(70)
    soon, too = await shop.grant(100, expires_at=at), await shop.grant(50, expires_at=at)
    gone = await shop.grant(9)
    await shop.do("wallets.void", id=gone, reason="gone")
    wallet = await shop.do("wallets.balance", customer=ADA)
    (usd,) = wallet.assets
    assert (usd.asset, usd.balance, usd.expiring.at, usd.expiring.amount) == ("USD", 220, at, 150)
    assert [one.id for one in usd.grants] == [soon, too, late]
    everything = await shop.do("wallets.balance", customer=ADA, asset="USD", ended=True)
    assert {one.id: one.status for one in everything.assets[0].grants}[gone] == "voided"
    assert (await shop.do("wallets.balance", customer="customer-001")).assets == []


async def test_the_history_of_a_wallet_is_the_ledgers(shop: Shop) -> None:
    """Each transfer with its grant, and with the invoice that it paid; page by page."""
    grant = await shop.grant(300)
    spare = await shop.grant(400)
    await shop.draft()
    invoice = next(one for one in await shop.issue() if one.customer == ADA)
    await shop.do("wallets.void", id=spare, reason="no more")
    entries = []
    after: str | None = ""
    while after is not None:
        page = await shop.do("wallets.history", customer=ADA, after=after, limit=2)
        entries += page.items
        after = page.next
    assert [(one.grant, one.amount, one.reason, one.invoice) for one in entries] == [
        (grant, 300, "credit_grant", None),
        (spare, 400, "credit_grant", None),
        (grant, -300, "credit_use", invoice.id),
        (spare, -200, "credit_use", invoice.id),
        (spare, -200, "credit_void", None),
    ]
    assert (await shop.do("wallets.history", customer="customer-001")).items == []


async def test_a_wallet_that_falls_below_its_threshold_is_noticed_once(shop: Shop) -> None:
    """By a draw, an expiry or a void; again only when it had risen meanwhile."""
    await shop.do("wallets.set_threshold", customer=ADA, asset="USD", threshold=150)
    first, second = await shop.grant(300), await shop.grant(300, expires_at=shop.later(days=1))
    await shop.draft()
    await shop.issue()
    low = (await shop.do("wallets.low")).items
    assert [(one.customer, one.asset, one.threshold, one.balance) for one in low] == [(ADA, "USD", 150, 100)]
    assert await shop.left(first) == 100
    assert await shop.left(second) == 0
    await shop.grant(60, expires_at=shop.later(days=2))
    assert await shop.expire(days=3) == 1
    await shop.do("wallets.void", id=first, reason="no more")
    assert [one.balance for one in (await shop.do("wallets.low", customer=ADA)).items] == [100, 100]
    page = await shop.do("wallets.low", limit=1)
    assert [one.balance for one in (await shop.do("wallets.low", after=page.next)).items] == [100]
    told = [one.subject for one in (await shop.do("events.list")).items if one.type == "balance.low"]
    assert told == [f"customer/{ADA}"] * 2
    await shop.do("wallets.set_threshold", customer=ADA, asset="USD", threshold=None)
    await shop.do("wallets.void", id=await shop.grant(500), reason="not watched")
    assert len((await shop.do("wallets.low")).items) == 2


NONSENSE: list[tuple[str, dict[str, object], tuple[str, str | None]]] = [
    ("grant", {"amount": 0}, ("invalid_input", "amount")),
    ("grant", {"amount": -1}, ("invalid_input", "amount")),
    ("grant", {"amount": 2**63}, ("invalid_input", "amount")),
    ("grant", {"amount": 1.5}, ("invalid_input", "amount")),
    ("grant", {"asset": "XXQ"}, ("ledger.unknown_asset", "asset")),
    ("grant", {"customer": "a\0b"}, ("invalid_input", "customer")),
    ("grant", {"priority": -1}, ("invalid_input", "priority")),
    ("grant", {"priority": 1001}, ("invalid_input", "priority")),
    ("grant", {"kind": "gift"}, ("invalid_input", "kind")),
    ("grant", {"expires_at": NOW}, ("invalid_input", "expires_at")),
    ("grant", {"expires_at": "2026-12-01T00:00:00"}, ("invalid_input", "expires_at")),
    ("grant", {"expires_at": "9999-12-31T23:00:00-10:00"}, ("invalid_input", "expires_at")),
    ("grant", {"products": []}, ("invalid_input", "products")),
    ("grant", {"charges": ["Not a code"]}, ("invalid_input", "charges[0]")),
    ("grant", {"meters": ["requests"]}, ("wallets.meter_not_bound", "meters[0]")),
    ("grant", {"id": uuid.uuid5(uuid.NAMESPACE_DNS, "x").hex, "amount": "1"}, ("invalid_input", "amount")),
    ("grant", {"note": "more"}, ("invalid_input", "note")),
    ("bind_unit", {"asset": "USD", "meter": "requests"}, ("invalid_input", "asset")),
    ("bind_unit", {"asset": "NONE", "meter": "requests"}, ("ledger.unknown_asset", "asset")),
    ("bind_unit", {"asset": "UNITS", "meter": "nothing"}, ("catalog.unknown_meter", "meter")),
    ("bind_unit", {"asset": "UNITS", "meter": "requests", "units": "0"}, ("invalid_input", "units")),
    ("bind_unit", {"asset": "UNITS", "meter": "requests", "units": "-1"}, ("invalid_input", "units")),
    ("bind_unit", {"asset": "UNITS", "meter": "requests", "units": "NaN"}, ("invalid_input", "units")),
    ("bind_unit", {"asset": "UNITS", "meter": "requests", "units": "2"}, ("wallets.unit_bound", "units")),
    ("balance", {"customer": "nobody"}, ("wallets.unknown_customer", "customer")),
    ("history", {"customer": ADA, "after": "x"}, ("invalid_input", "after")),
    ("low", {"after": "1.2"}, ("invalid_input", "after")),
    ("low", {"after": f"{2**63}.0.0.0"}, ("invalid_input", "after")),
    ("set_threshold", {"customer": ADA, "asset": "USD", "threshold": 0}, ("invalid_input", "threshold")),
    ("set_threshold", {"customer": ADA, "asset": "NONE", "threshold": 1}, ("ledger.unknown_asset", "asset")),
    ("find_grant", {"id": str(uuid.UUID(int=7))}, ("wallets.unknown_grant", "id")),
]  # fmt: skip
"""An operation, what is asked of it, and its refusal."""


async def test_what_makes_no_sense_is_refused_by_field(shop: Shop, owner: asyncpg.Connection) -> None:
    """Each with the field to blame; nothing is granted, and nothing moves."""
    await shop.grant(1)
    await shop.do("ledger.ensure_asset", asset="UNITS", exponent=0)
    await shop.do("wallets.bind_unit", asset="UNITS", meter="requests", units="1.0")
    for operation, fields, refusal in NONSENSE:
        given: dict[str, object] = {}
        if operation == "grant":
            given = {"id": uuid7(), "customer": ADA, "asset": "USD", "amount": 100}
        refused = await refusal_of(shop.house, f"wallets.{operation}", **(given | fields))
        assert refused == refusal, (operation, fields)
    assert await owner.fetchval("SELECT count(*) FROM credit_grant") == 1
    assert await owner.fetchval("SELECT count(*) FROM transfer") == 1


async def test_nobody_takes_an_id_that_the_product_derives(shop: Shop) -> None:
    """A grant's id of UUID version 8 is refused, and so is a change of a wallet's account."""
    given = {"customer": ADA, "asset": "USD", "amount": 100}
    derived = "01234567-89ab-8def-8123-456789abcdef"
    assert (await refusal_of(shop.house, "wallets.grant", id=derived, **given))[0] == "invalid_input"
    found = await shop.do("wallets.find_grant", id=await shop.grant(5))
    assert await refusal_of(shop.house, "ledger.close_account", account=found.account) == (
        "ledger.own_account",
        "account",
    )


async def test_credit_that_is_held_otherwise_is_not_spent(shop: Shop) -> None:
    """A hold on a grant's account keeps its amount from being drawn."""
    grant = await shop.grant(300)
    account = (await shop.do("wallets.find_grant", id=grant)).account
    await shop.do("ledger.open_account", account="elsewhere", asset="USD")
    await shop.do("ledger.hold", id=uuid7(), debit=account, credit="elsewhere", amount=100)
    await shop.draft()
    assert next(one for one in await shop.issue() if one.customer == ADA).credits_applied == 200


async def test_invoices_without_credit_pay_as_before(shop: Shop, owner: asyncpg.Connection) -> None:
    """Who has none is not touched by those who have."""
    await shop.grant(10**6, customer="customer-001")
    await shop.draft()
    found = {one.customer: one for one in await shop.issue()}
    assert [one.outstanding for one in found.values()] == [0, 200, 300, 400, 500]
    assert await owner.fetchval("SELECT count(*) FROM credit_use") == 1


async def test_a_zero_invoice_takes_no_credit(shop: Shop) -> None:
    """There is nothing to pay."""
    await price(shop.house, "0", effective_at="2015-06-01T00:00:00Z")
    await use(shop.house, [(ADA, "2015-06-02T00:00:00Z")])
    grant = await shop.grant(10)
    await shop.do("invoicing.draft", month="2015-06")
    await shop.do("invoicing.issue", month="2015-06")
    assert await shop.left(grant) == 10


async def test_a_use_leads_to_its_grant_and_to_what_it_paid(shop: Shop) -> None:
    """Both ways: from the grant to the invoice, and from the invoice to the grant."""
    grant = await shop.grant(300)
    await shop.draft()
    invoice = next(one for one in await shop.issue() if one.customer == ADA)
    forward = (await shop.do("lineage.trace", id=str(grant))).found[0].forward
    used = {group.kind: group for group in forward}["credit_use"].items[0]
    assert [group.items[0].record.id for group in used.links] == [invoice.number]
    back = {group.kind: group for group in (await shop.do("lineage.trace", id=invoice.number)).found[0].back}
    assert [group.items[0].record.id for group in back["credit_use"].items[0].links] == [str(grant)]
    ended = {group.kind: group for group in forward}["credit_end"].items[0]
    assert ended.record.what == "used"
