"""The chart of accounts: each account is counted once, at every step of its path."""

import random

import asyncpg
import pytest

from tallystick.ledger import seal as sealing
from tallystick.ledger.accounts import NewAccount
from tallystick.ledger.model import Batch, Reason
from tallystick.ledger.reading.account_tree import TreePage, list_children
from tests.conftest import House
from tests.db.posting import Ledgerful, open_ledger
from tests.db.reading import Past, rows_of


async def children(ledger: Ledgerful, path: str = "", after: str = "", limit: int = 100) -> TreePage:
    """List the children of a path."""
    async with ledger.pool.acquire() as connection:
        return await list_children(connection, ledger.book.book_id, path, after, limit)


async def test_codes_that_begin_alike_are_no_family(pool: asyncpg.Pool) -> None:
    """A slash makes a child; any other character makes another name, whatever sorts between."""
    ledger = await open_ledger(pool, "a", "a-b", "a/x", "a/x/y", "a b/c", "a0", "a/-/q", "ä/1")
    assert [one.name for one in (await children(ledger)).children] == ["a b", "a-b", "a", "a0", "ä"]
    found = {one.path: (one.is_account, one.below) for one in (await children(ledger)).children}
    assert found == {"a b": (False, 1), "a-b": (True, 0), "a": (True, 3), "a0": (True, 0), "ä": (False, 1)}
    assert [(one.path, one.is_account, one.below) for one in (await children(ledger, "a")).children] == [
        ("a/-", False, 1), ("a/x", True, 1),
    ]  # fmt: skip
    assert (await children(ledger, "a0")).children == []


@pytest.mark.parametrize("seed", [1, 2])
async def test_balances_are_rolled_up_by_asset(pool: asyncpg.Pool, monkeypatch: pytest.MonkeyPatch, seed: int) -> None:
    """With snapshots or without, each node has the sum of what is on it and below it."""
    monkeypatch.setattr(sealing, "CHANGES_PER_SNAPSHOT", 8)
    print(f"seed {seed}")  # noqa: T201 - a failing seed is told
    codes = [f"customers/{number}/{kind}" for number in range(15) for kind in ("receivable", "deposit")]
    past = Past(await open_ledger(pool, "bank", *codes), random.Random(seed))
    await past.post_some(["bank", *codes], 60, dated=0.2)
    whole = (await children(past.ledger)).children
    assert [(one.name, one.is_account, one.below) for one in whole] == [("bank", True, 0), ("customers", False, 30)]
    assert sum(total.balance for one in whole for total in one.totals) == 0
    assert whole[0].totals[0].balance == past.balance("bank", None, "recorded")
    for node in (await children(past.ledger, "customers")).children:
        expected = sum(past.balance(code, None, "recorded") for code in codes if code.startswith(f"{node.path}/"))
        assert [(total.asset, total.accounts, total.balance) for total in node.totals] == [("USD", 2, expected)]


async def test_a_node_has_a_total_for_each_asset_and_what_is_held(pool: asyncpg.Pool) -> None:
    """Assets are never added up with each other; what is held shows on the debit side, what is incoming on the other."""
    ledger = await open_ledger(pool, "bank", "ada")
    await ledger.open(NewAccount("bank/eur", "EUR"))
    hold = rows_of(ledger, 1, Reason.HOLD)
    hold["amount"] = 7
    await Past(ledger, random.Random(0)).post_batch(Batch(hold))
    ada, bank = (await children(ledger)).children
    assert [(one.asset, one.held, one.incoming, one.available) for one in ada.totals] == [("USD", 0, 7, 0)]
    assert [(one.asset, one.accounts, one.held, one.available) for one in bank.totals] == [
        ("EUR", 1, 0, 0), ("USD", 1, 7, -7),
    ]  # fmt: skip


async def test_children_come_page_by_page(pool: asyncpg.Pool) -> None:
    """Pages of children are in order and without a gap, whatever their names end in."""
    codes = [f"x/{name}" for name in ("a", "a-", "a/1", "a.b", "b", "b0", "", "/q", "-", "z/z/z")]
    ledger = await open_ledger(pool, *codes)
    names = [one.name for one in (await children(ledger, "x")).children]
    assert sorted(names) == sorted({"a", "a-", "a.b", "b", "b0", "", "-", "z"})
    turned, after = [], ""
    while True:
        page = await children(ledger, "x", after, 1)
        turned += [one.name for one in page.children]
        if page.next is None:
            break
        after = page.next
    assert turned == names


async def test_the_tree_is_asked_for_by_path(house: House) -> None:
    """The operation answers the roots, and what is below a path."""
    for account in ("customers/1/receivable", "customers/2/receivable", "bank"):
        await house.do("ledger.open_account", account=account, asset="USD")
    roots = await house.do("ledger.tree")
    assert [(one.path, one.below) for one in roots.children if one.path != "revenue"] == [("bank", 0), ("customers", 2)]
    assert [one.path for one in (await house.do("ledger.tree", path="customers")).children] == [
        "customers/1", "customers/2",
    ]  # fmt: skip
