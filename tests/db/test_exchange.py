"""Exchanges between assets: balanced in each, exact in the rate, all or nothing."""

import uuid
from fractions import Fraction
from typing import Any

import asyncpg
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tallystick.errors import TallystickError
from tallystick.ids import uuid7
from tallystick.ledger.exchange import ExchangeTooLarge, NothingBought, convert
from tests.conftest import House

ACCOUNTS = {"ada/usd": "USD", "fx/usd": "USD", "ada/eur": "EUR", "fx/eur": "EUR", "fx/rounding": "EUR"}


async def prepare(house: House, **limits: int) -> None:
    """Open what an exchange needs."""
    await house.do("ledger.ensure_asset", asset="EUR", exponent=2)
    for code, asset in ACCOUNTS.items():
        await house.do("ledger.open_account", account=code, asset=asset, min_balance=limits.get(code.replace("/", "_")))


async def sell(house: House, amount: int, numerator: int, denominator: int, **other: object) -> object:
    """Sell dollars of Ada's for euros."""
    fields: dict[str, object] = {
        "id": uuid7(), "payer": "ada/usd", "sold_pool": "fx/usd", "bought_pool": "fx/eur", "payee": "ada/eur",
        "rounding": "fx/rounding", "amount": amount, "numerator": numerator, "denominator": denominator,
    }  # fmt: skip
    return await house.do("ledger.exchange", "", **(fields | other))


async def balances(house: House) -> dict[str, int]:
    """Return every account's balance."""
    return {code: (await house.do("ledger.balance", account=code)).balance for code in ACCOUNTS}


async def test_both_legs_are_posted_and_the_unit_left_goes_where_it_was_said(
    house: House, owner: asyncpg.Connection
) -> None:
    """100.00 dollars at 0.92315 come to 92.31 euros and a part of a cent, which the pool gives up whole."""
    await prepare(house)
    done = await sell(house, 10_000, 92_315, 100_000)
    assert (getattr(done, "bought", 0), getattr(done, "rounding", 0)) == (9_231, 1)
    assert await balances(house) == {
        "ada/usd": -10_000, "fx/usd": 10_000, "ada/eur": 9_231, "fx/eur": -9_232, "fx/rounding": 1,
    }  # fmt: skip
    kept = await owner.fetchrow("SELECT numerator, denominator, sold, bought, rounding FROM exchange")
    assert tuple(kept or ()) == (92_315, 100_000, 10_000, 9_231, 1)


async def test_an_even_rate_leaves_nothing_to_round(house: House) -> None:
    """Two legs are enough then."""
    await prepare(house)
    done = await sell(house, 100, 3, 4)
    assert (getattr(done, "bought", 0), getattr(done, "rounding_transfer", 0)) == (75, None)


async def test_a_leg_that_is_refused_leaves_no_other(house: House) -> None:
    """Who cannot pay, or whose pool is empty, exchanges nothing; and the same exchange comes to the same twice."""
    await prepare(house, fx_eur=0)
    with pytest.raises(TallystickError) as refused:
        await sell(house, 100, 1, 2)
    assert (refused.value.code, refused.value.field) == ("ledger.group_failed", "transfers[1]")
    assert set((await balances(house)).values()) == {0}


@pytest.mark.parametrize(
    ("fields", "code"),
    [
        ({"payee": "nobody"}, "ledger.unknown_account"),
        ({"payee": "ada/usd"}, "ledger.group_failed"),
        ({"amount": 1, "numerator": 1, "denominator": 2}, "ledger.nothing_bought"),
        ({"amount": 2**62, "numerator": 4, "denominator": 1}, "ledger.exchange_too_large"),
        ({"id": uuid.UUID("0" * 12 + "8" + "0" * 3 + "8" + "0" * 15)}, "invalid_input"),
    ],
)
async def test_what_cannot_be_exchanged_is_refused(house: House, fields: dict[str, object], code: str) -> None:
    """An account that is not there or of the wrong asset, an amount that buys nothing or too much, an id of ours."""
    await prepare(house)
    with pytest.raises(TallystickError) as refused:
        await sell(house, **({"amount": 100, "numerator": 1, "denominator": 2} | fields))  # type: ignore[arg-type]  # as a test says them
    assert refused.value.code == code
    assert set((await balances(house)).values()) == {0}


@given(st.integers(1, 2**63 - 1), st.integers(1, 2**40), st.integers(1, 2**40))
def test_what_is_bought_is_the_rate_to_less_than_a_unit(sold: int, numerator: int, denominator: int) -> None:
    """What is bought is what is whole of the exact amount, and a unit is left just when it does not come out even."""
    exact = Fraction(sold * numerator, denominator)
    try:
        bought, left = convert(sold, numerator, denominator)
    except NothingBought:
        assert exact < 1
    except ExchangeTooLarge:
        assert exact >= 2**63 - 1
    else:
        assert bought <= exact < bought + 1
        assert (left == 0) == (exact == bought)


async def test_an_exchange_sent_again_under_another_message_is_the_same_one(house: House) -> None:
    """The id is the exchange's own: the same content gets the first answer, other content is a conflict."""
    await prepare(house)
    exchange_id = str(uuid7())
    first = await sell(house, 10_000, 92_315, 100_000, id=exchange_id)
    assert await sell(house, 10_000, 92_315, 100_000, id=exchange_id) == first
    for other in ({"numerator": 92_316}, {"payee": "fx/rounding"}, {"rounding": "ada/eur"}):
        fields: dict[str, Any] = {"amount": 10_000, "numerator": 92_315, "denominator": 100_000} | other
        with pytest.raises(TallystickError) as refused:
            await sell(house, **fields, id=exchange_id)
        assert refused.value.code == "ledger.exchange_exists"
    assert (await balances(house))["ada/eur"] == 9_231
