"""What other products' own documentation says that a price comes to, said here as the reference of charge models says."""

from decimal import Decimal
from typing import Any

import pytest

from tallystick.money import currency
from tallystick.rating.rate import rate
from tallystick.rating.read_price import read_price

USD = currency("USD")
Content = dict[str, Any]


def tiered(model: str, *tiers: tuple[int | None, str, str], rate: str = "rate", **terms: object) -> Content:
    """Write a price of tiers: up to which quantity, at which rate, with which fee."""
    written = [{"up_to": None if end is None else str(end), rate: each, "flat": fee} for end, each, fee in tiers]
    return {"model": model, "tiers": written, **terms}


STRIPE: Content = {"rounding": "half_up", "charge_first_tier_at_zero": True}
FONTS = ((5, "7", "0"), (10, "6.5", "0"), (None, "6", "0"))
FEES = ((5, "5", "10"), (10, "4", "20"), (15, "3", "30"), (20, "2", "40"), (None, "1", "50"))
PER_FIVE: Content = {"model": "package", "size": "5", "rate": "10", "rounding": "half_up"}
HOURS: Content = {"model": "per_unit", "rate": "10", "unit": {"per": "60", "name": "hours", "rounding": "up"}}

LAGO: Content = {"rounding": "half_up", "charge_first_tier_at_zero": True}
CALLS = ((100, "1", "0"), (200, "0.5", "0"), (None, "0.1", "0"))
VOLUMES = ((10_000, "0.0010", "10"), (50_000, "0.0008", "10"), (100_000, "0.0006", "10"), (None, "0.0004", "10"))
SHARES = ((1_000, "1", "200"), (10_000, "2", "300"), (None, "3", "400"))
PER_HUNDRED: Content = {"model": "package", "size": "100", "rate": "5", "free_units": "100", "rounding": "half_up"}

OPENMETER: Content = {"rounding": "half_up", "round_each": "detail", "charge_first_tier_at_zero": True}
MIXED = ((5, "0", "100"), (10, "0", "50"), (15, "5", "0"), (None, "1", "0"))
MULTIPLIED: Content = {"model": "dynamic", "markup_percent": "20", "rounding": "half_up", "round_each": "detail"}

KILL_BILL: Content = {"rounding": "half_up", "unit": {"per": "100", "name": "blocks", "rounding": "up"}}
BLOCKS = ((10, "1", "0"), (None, "0.5", "0"))

SAID: list[tuple[str, Content, str, int]] = [
    ("stripe volume, 5", tiered("volume", *FONTS, **STRIPE), "5", 3500),
    ("stripe volume, 6", tiered("volume", *FONTS, **STRIPE), "6", 3900),
    ("stripe graduated, 6", tiered("graduated", *FONTS, **STRIPE), "6", 4150),
    ("stripe volume with fees, 12", tiered("volume", *FEES, **STRIPE), "12", 6600),
    ("stripe graduated with fees, 12", tiered("graduated", *FEES, **STRIPE), "12", 11100),
    ("stripe volume with fees, none", tiered("volume", *FEES, **STRIPE), "0", 1000),
    ("stripe graduated with fees, none", tiered("graduated", *FEES, **STRIPE), "0", 1000),
    ("stripe, 6 users in fives", PER_FIVE, "6", 2000),
    ("stripe, 5 users in fives", PER_FIVE, "5", 1000),
    ("stripe, 4 users in full fives", PER_FIVE | {"package_rounding": "down"}, "4", 0),
    ("stripe, 150 minutes by the hour", HOURS, "150", 3000),
    ("lago graduated, 250", tiered("graduated", *CALLS, **LAGO), "250", 10000 + 5000 + 500),
    ("lago volume, 65,000", tiered("volume", *VOLUMES, **LAGO), "65000", 4900),
    ("lago graduated percentage", tiered("graduated_percentage", *SHARES, rate="percent", **LAGO), "5050", 59100),
    ("lago package, 201", PER_HUNDRED, "201", 1000),
    ("lago package, all free", PER_HUNDRED, "100", 0),
    ("openmeter graduated, 22", tiered("graduated", *MIXED, **OPENMETER), "22", 10000 + 5000 + 2500 + 700),
    ("openmeter graduated, none", tiered("graduated", *MIXED, **OPENMETER), "0", 10000),
    ("openmeter graduated, a bound", tiered("graduated", *MIXED, **OPENMETER), "10", 15000),
    ("openmeter volume, a bound", tiered("volume", *MIXED, **OPENMETER), "15", 7500),
    ("openmeter dynamic, times 1.2", MULTIPLIED, "3.33", 400),
    ("kill bill all tiers, a begun block", tiered("graduated", *BLOCKS, **KILL_BILL), "1001", 1050),
    ("kill bill top tier, a begun block", tiered("volume", *BLOCKS, **KILL_BILL), "1001", 550),
    ("kill bill top tier, a full block", tiered("volume", *BLOCKS, **KILL_BILL), "1000", 1000),
]


@pytest.mark.parametrize(("price", "quantity", "amount"), [row[1:] for row in SAID], ids=[row[0] for row in SAID])
def test_a_price_carried_over_asks_what_it_asked_there(price: Content, quantity: str, amount: int) -> None:
    """The amounts are those of their examples, or follow from the rules that they state."""
    assert rate(read_price(price), Decimal(quantity), USD, "units").amount == amount
