"""Wallets under load: whatever happens at once, they have what the ledger has, and a rebuild comes out the same."""

import asyncio
import datetime as dt
import random
from collections import defaultdict
from typing import Any

import asyncpg
import pytest

from tallystick.clock import FixedClock
from tallystick.db.embedded import EmbeddedServer
from tallystick.errors import TallystickError
from tallystick.ids import uuid7
from tallystick.operations.rebuild import rebuild
from tallystick.operations.run import Operations
from tallystick.operations.work_wallets import expire_due
from tallystick.rebuild.open_twin import made_database
from tests.conftest import House, url_of
from tests.db.priced_usage import meter_requests, price

START = dt.datetime(2026, 11, 1, tzinfo=dt.UTC)
MONTHS = [f"2015-{number:02}" for number in range(1, 9)]
CUSTOMERS = [f"customer-{number}" for number in range(6)]
TASKS = 4
STEPS = 18
SEEDS = (20261122, 7)
"""They stand in the names of the tests."""
REFUSALS = {"wallets.unknown_grant", "wallets.grant_ended", "invoicing.usage_not_settled", "store.busy"}
"""What may be answered to one who is late."""


async def open_shop(house: House, chance: random.Random) -> tuple[House, FixedClock]:
    """Price usage of some months by some customers, whose wallets are watched."""
    clock = FixedClock(START)
    shop = House(Operations(house.operations.pool, clock, house.operations.table))
    await meter_requests(shop)
    await price(shop, "1", effective_at="2015-01-01T00:00:00Z")
    events = [
        {"id": f"{month}-{who}-{day}", "customer": who, "at": f"{month}-{day:02}T12:00:00Z", "status": 200, "resource": "/x"}
        for who in CUSTOMERS for month in MONTHS for day in range(1, chance.randint(2, 6))
    ]  # fmt: skip
    assert (await shop.do("usage.record", source="shop", events=events)).accepted == len(events)
    await shop.do("ledger.ensure_asset", asset="CALLS", exponent=0)
    await shop.do("wallets.bind_unit", asset="CALLS", meter="requests")
    for who in CUSTOMERS:
        await shop.do("wallets.set_threshold", customer=who, asset="USD", threshold=300)
        await shop.do("wallets.grant", id=uuid7(), customer=who, asset="CALLS", amount=9)
    return shop, clock


async def be_busy(shop: House, clock: FixedClock, chance: random.Random, months: list[str]) -> None:
    """
    Grant, draft, issue, void, let expire and take usage back, in any order; a refusal is as good an answer.

    Each has months of its own.
    """
    granted: list[Any] = []
    for _ in range(STEPS):
        month, asset = chance.choice(months), chance.choice(["USD", "USD", "CALLS"])
        try:
            match chance.choice(["grant", "grant", "draft", "draft", "issue", "void", "expire", "take back"]):
                case "grant":
                    expires = clock.at + dt.timedelta(seconds=chance.randint(1, 20)) if chance.random() < 0.5 else None
                    granted.append(uuid7())
                    await shop.do(
                        "wallets.grant", id=granted[-1], customer=chance.choice(CUSTOMERS), asset=asset,
                        amount=chance.randint(1, 900) if asset == "USD" else chance.randint(1, 6),
                        priority=chance.randint(0, 2), expires_at=expires,
                    )  # fmt: skip
                case "draft":
                    await shop.do("invoicing.draft", month=month)
                case "issue":
                    await shop.do("invoicing.issue", month=month, limit=chance.randint(1, 4))
                case "take back":
                    taken = [{"id": f"{month}-{who}-1"} for who in CUSTOMERS]
                    await shop.do("usage.void", source="shop", reason="a mistake", events=taken)
                case "void":
                    await shop.do("wallets.void", id=chance.choice(granted or [uuid7()]), reason="why not")
                case _:
                    clock.at += dt.timedelta(seconds=chance.randint(0, 3))
                    await expire_due(shop.operations, "main", 1)
        except TallystickError as error:
            if error.code not in REFUSALS:
                raise


async def audit(owner: asyncpg.Connection, shop: House) -> None:
    """Hold every figure of a wallet against the ledger's own transfers, added up here."""
    moved: dict[str, int] = defaultdict(int)
    for row in await owner.fetch(
        "SELECT debit.code AS debit, credit.code AS credit, amount FROM transfer "
        "JOIN account AS debit ON debit.account_id = debit_account_id "
        "JOIN account AS credit ON credit.account_id = credit_account_id ORDER BY batch_id, position"
    ):
        moved[row["debit"]] -= row["amount"]
        moved[row["credit"]] += row["amount"]
        if row["debit"].count("/") == 2 and row["debit"].startswith("wallets/"):
            assert moved[row["debit"]] >= 0 or row["debit"].split("/")[1] in {"paid", "used"}, row
    uses, ends = await owner.fetch("SELECT * FROM credit_use"), await owner.fetch("SELECT * FROM credit_end")
    for who in CUSTOMERS:
        wallet = await shop.do("wallets.balance", customer=who, ended=True)
        for part in wallet.assets:
            assert part.balance == sum(one.balance for one in part.grants)
            for one in part.grants:
                used = sum(row["amount"] for row in uses if str(row["grant_id"]) == str(one.id))
                ended = sum(row["amount"] for row in ends if str(row["grant_id"]) == str(one.id))
                assert one.balance == moved[one.account] == one.amount - used - ended
                assert one.balance == 0 or one.status == "active"
    for invoice in (await shop.do("invoicing.list", limit=1000)).items:
        paid = sum(
            row["amount"] for row in uses if str(row["invoice_id"]) == str(invoice.id) and row["position"] is None
        )
        assert invoice.credits_applied == paid <= invoice.total
        if invoice.account is not None:
            assert invoice.outstanding == invoice.total - paid == -moved[invoice.account]
        for line in invoice.lines:
            covered = sum(row["amount"] for row in uses if str(row["invoice_id"]) == str(invoice.id) and row["position"] == line.position)  # fmt: skip
            if line.adjusts is not None:
                assert int(line.detail.get("returned", "0")) == -covered
                continue
            assert int(line.detail.get("covered", "0")) == covered
            assert line.amount == 100 * (int(line.quantity) - covered)


async def audit_low(owner: asyncpg.Connection) -> None:
    """Walk the transactions in their order and find the falls below the threshold that were noticed, and no others."""
    rows = await owner.fetch(
        "SELECT transaction_id, customer_id, delta FROM ("
        "SELECT credit_grant.transaction_id, customer_id, asset_id, amount AS delta FROM credit_grant UNION ALL "
        "SELECT credit_use.transaction_id, customer_id, asset_id, -credit_use.amount FROM credit_use "
        "JOIN credit_grant USING (grant_id) UNION ALL "
        "SELECT credit_end.transaction_id, customer_id, asset_id, -credit_end.amount FROM credit_end "
        "JOIN credit_grant USING (grant_id)) AS changed WHERE asset_id = (SELECT asset_id FROM asset WHERE code = 'USD')"
    )
    by_transaction: dict[tuple[int, int], int] = defaultdict(int)
    for row in rows:
        by_transaction[row["transaction_id"], row["customer_id"]] += row["delta"]
    balance: dict[int, int] = defaultdict(int)
    expected = []
    for (transaction_id, customer_id), delta in sorted(by_transaction.items()):
        before, balance[customer_id] = balance[customer_id], balance[customer_id] + delta
        if balance[customer_id] < 300 <= before:
            expected.append((transaction_id, customer_id, balance[customer_id]))
    noticed = await owner.fetch("SELECT transaction_id, customer_id, balance FROM wallet_low ORDER BY 1, 2")
    assert [tuple(row) for row in noticed] == expected


@pytest.mark.parametrize("seed", SEEDS)
async def test_wallets_are_what_the_ledger_has_whatever_happens_at_once(
    house: House, owner: asyncpg.Connection, server: EmbeddedServer, seed: int
) -> None:
    """Four tasks grant, draft, issue, void, let expire and take usage back; nothing is spent twice, overdrawn or noticed wrongly."""
    chance = random.Random(seed)
    shop, clock = await open_shop(house, chance)
    await asyncio.gather(
        *(be_busy(shop, clock, random.Random(chance.random()), MONTHS[task::TASKS]) for task in range(TASKS))
    )
    await audit(owner, shop)
    await audit_low(owner)
    assert await owner.fetchval("SELECT count(*) FROM credit_use WHERE amount > 0") > 0
    assert await owner.fetchval("SELECT count(*) FROM credit_use WHERE amount < 0") > 0
    async with made_database(url_of(server, "postgres")) as url:
        rebuilt = await rebuild(shop.operations, "main", url, lambda *_: None)
    assert rebuilt.difference is None, rebuilt.difference.message
