"""Credits and taxes of every kind, for tests that look at all there is."""

from tallystick.ids import uuid7
from tests.conftest import House
from tests.db.priced_usage import use


async def make_credit_of_every_kind(house: House, customer: str = "customer-001") -> None:
    """Let a customer whose wallet is watched get, use and lose credit, and be taxed some day."""
    await house.do("ledger.ensure_asset", asset="CALLS", exponent=0)
    await house.do("wallets.bind_unit", asset="CALLS", meter="requests")
    await house.do("wallets.set_threshold", customer=customer, asset="USD", threshold=50)
    spent, units, lost = (str(uuid7()) for _ in range(3))
    await house.do("wallets.grant", "grant", id=spent, customer=customer, asset="USD", amount=10)
    await house.do("wallets.grant", id=units, customer=customer, asset="CALLS", amount=1)
    await house.do(
        "wallets.grant", id=lost, customer=customer, asset="USD", amount=90, expires_at="2999-01-01T00:00:00Z"
    )
    await use(house, [(customer, f"2015-06-0{day}T00:00:00Z") for day in (1, 2)])
    await house.do("invoicing.draft", "draft-june", month="2015-06")
    await house.do("invoicing.issue", "issue-june", month="2015-06")
    await house.do("wallets.void", "void-credit", id=lost, reason="given by mistake")
    some_day = "2999-01-01T00:00:00Z"
    given = {"jurisdiction": "AT", "effective_at": some_day}
    await house.do("taxes.set_rate", "tax-rate", name="VAT", rate="0.20", **given)
    await house.do("taxes.set_rounding", scope="line", **given)
    await house.do("taxes.set_category", category="books", effective_at=some_day)
    await house.do("taxes.set_customer", "tax-customer", customer=customer, **given)
