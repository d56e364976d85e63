"""Accounts change by facts: limits and metadata, each in force from one place in the order on."""

import asyncpg
import pytest

from tallystick.errors import TallystickError
from tallystick.ids import uuid7
from tests.conftest import House


async def open_pair(house: House, **fields: object) -> None:
    """Open a bank, and Ada's account with what *fields* say."""
    await house.do("ledger.open_account", account="bank", asset="USD")
    await house.do("ledger.open_account", account="ada", asset="USD", **fields)


async def pay(house: House, amount: int) -> str:
    """Let Ada pay the bank, and return what became of it."""
    transfer = {"id": str(uuid7()), "debit": "ada", "credit": "bank", "amount": amount}
    answer = await house.do("ledger.transfers", transfers=[transfer])
    status: str = answer.items[0].status
    return status


async def test_a_limit_changes_and_is_in_force_at_once(house: House) -> None:
    """A credit line that is given can be drawn on; one that is taken back leaves what was drawn, and no more."""
    await open_pair(house, min_balance=0)
    assert await pay(house, 10) == "ledger.limit_exceeded"
    changed = await house.do("ledger.limit_account", account="ada", min_balance=-100, max_balance=None)
    assert (changed.min_balance, changed.max_balance) == (-100, None)
    assert await pay(house, 100) == "ledger.posted"
    await house.do("ledger.limit_account", account="ada", min_balance=-50, max_balance=None)
    assert await pay(house, 1) == "ledger.limit_exceeded"
    assert (await house.do("ledger.balance", account="ada")).balance == -100
    await house.do("ledger.limit_account", account="ada", min_balance=None, max_balance=None)
    assert await pay(house, 10**12) == "ledger.posted"


async def test_an_account_that_may_not_be_credited_from_below_zero_to_above(house: House) -> None:
    """A receivable is paid up to nothing and no further."""
    await open_pair(house, max_balance=0)
    assert await pay(house, 70) == "ledger.posted"
    back = {"debit": "bank", "credit": "ada"}
    answer = await house.do(
        "ledger.transfers",
        transfers=[{"id": str(uuid7()), **back, "amount": 71}, {"id": str(uuid7()), **back, "amount": 70}],
    )
    assert [one.status for one in answer.items] == ["ledger.limit_exceeded", "ledger.posted"]


async def test_every_change_of_an_account_is_kept(house: House, owner: asyncpg.Connection) -> None:
    """The newest counts, and those before it stay where they were."""
    await open_pair(house, metadata={"name": "Ada"})
    for number in range(3):
        await house.do("ledger.limit_account", account="ada", min_balance=-number, max_balance=None)
        await house.do("ledger.describe_account", account="ada", metadata={"visits": str(number)})
    found = await house.do("ledger.find_account", account="ada")
    assert (found.min_balance, found.metadata) == (-2, {"visits": "2"})
    assert await owner.fetchval("SELECT array_agg(min_balance ORDER BY transaction_id) FROM account_limit") == [
        0,
        -1,
        -2,
    ]
    assert await owner.fetchval("SELECT count(*) FROM account_metadata") == 4


async def test_an_account_is_opened_again_only_as_it_is(house: House) -> None:
    """The same attributes find it; others are told by name; what is left unsaid does not matter."""
    await open_pair(house, metadata={"name": "Ada"})
    for fields in ({}, {"metadata": {"name": "Ada"}}):
        assert (await house.do("ledger.open_account", account="ada", asset="USD", **fields)).metadata == {"name": "Ada"}
    for field, value in (("min_balance", 0), ("max_balance", 0), ("metadata", {"name": "Eve"})):
        with pytest.raises(TallystickError) as refused:
            await house.do("ledger.open_account", account="ada", asset="USD", **{field: value})
        assert (refused.value.code, refused.value.field) == ("ledger.account_exists", field)


@pytest.mark.parametrize(
    ("operation", "fields", "code"),
    [
        ("limit_account", {"account": "nobody", "min_balance": 0, "max_balance": None}, "ledger.unknown_account"),
        ("limit_account", {"account": "ada", "min_balance": 1, "max_balance": None}, "invalid_input"),
        ("limit_account", {"account": "ada", "min_balance": 0}, "invalid_input"),
        ("limit_account", {"account": "revenue/x", "min_balance": 0, "max_balance": None}, "ledger.own_account"),
        ("limit_account", {"account": "gone", "min_balance": 0, "max_balance": None}, "ledger.account_closed"),
        ("describe_account", {"account": "nobody", "metadata": {}}, "ledger.unknown_account"),
        ("describe_account", {"account": "ada", "metadata": {"a": 1}}, "invalid_input"),
        ("describe_account", {"account": "ada", "metadata": {"": "x"}}, "invalid_input"),
        ("describe_account", {"account": "ada", "metadata": {str(n): "" for n in range(51)}}, "invalid_input"),
    ],
)
async def test_a_change_that_cannot_be_made_is_refused(
    house: House, operation: str, fields: dict[str, object], code: str
) -> None:
    """Nobody's account, limits on the wrong side, half a limit, an account of the product's own, a closed one."""
    await open_pair(house)
    await house.do("ledger.open_account", account="gone", asset="USD")
    await house.do("ledger.close_account", account="gone")
    with pytest.raises(TallystickError) as refused:
        await house.do(f"ledger.{operation}", **fields)
    assert refused.value.code == code


async def test_accounts_are_numbered_without_gaps_in_the_order_they_are_opened(
    house: House, owner: asyncpg.Connection
) -> None:
    """An opening that is refused takes no number, and each book counts from 1."""
    await open_pair(house)
    with pytest.raises(TallystickError):
        await house.do("ledger.open_account", account="eve", asset="EUR")
    await house.do("ledger.open_account", account="bob", asset="USD")
    numbers = await owner.fetch("SELECT account_id, code FROM account ORDER BY transaction_id, account_id")
    assert [tuple(row) for row in numbers] == [(1, "bank"), (2, "ada"), (3, "bob")]
