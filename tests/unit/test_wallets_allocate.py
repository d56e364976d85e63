"""Allocating credit: in order, within every limit, and never more than there is."""

import uuid
from collections.abc import Sequence
from decimal import Decimal

from hypothesis import given
from hypothesis import strategies as st

from tallystick.wallets.allocate import Wallets
from tallystick.wallets.model import GrantLeft, Unit

CUSTOMER, ASSET = 1, 7
charges = st.sets(st.sampled_from("abc")).map(lambda some: frozenset(some) or None)


@st.composite
def grants(draw: st.DrawFn) -> list[GrantLeft]:
    """Make up grants of one customer."""
    count = draw(st.integers(0, 6))
    return [
        GrantLeft(uuid.UUID(int=n), CUSTOMER, ASSET, n, draw(st.integers(1, 500)), None, draw(charges), None)
        for n in range(count)
    ]


def calls(units: str = "1", exponent: int = 0) -> dict[str, Sequence[Unit]]:
    """Return that a unit pays for so many of a meter."""
    return {"requests": [Unit(ASSET, "CALLS", exponent, "requests", Decimal(units))]}


@given(grants(), st.integers(0, 2000), st.dictionaries(st.sampled_from("abcd"), st.integers(-100, 500)))
def test_draws_stay_within_what_is_left_and_what_is_owed(
    own: list[GrantLeft], total: int, unpaid: dict[str, int]
) -> None:
    """Also within what the charges of a grant come to, all grants for them together; and in the order given."""
    wallets = Wallets({CUSTOMER: own})
    draws = wallets.pay(own, total, unpaid)
    assert sum(draw.amount for draw in draws) <= total
    assert all(0 < draw.amount <= draw.grant.left for draw in draws)
    assert all(wallets.left(draw.grant) == draw.grant.left - draw.amount for draw in draws)
    assert [draw.grant for draw in draws] == [one for one in own if one in {draw.grant for draw in draws}]
    for some in ({"a"}, {"a", "b"}, {"a", "b", "c"}):
        bound = sum(draw.amount for draw in draws if draw.grant.charges is not None and draw.grant.charges <= some)
        assert bound <= sum(max(unpaid.get(one, 0), 0) for one in some)


@given(grants(), st.integers(0, 2000))
def test_what_is_bound_to_nothing_pays_all_that_it_can(own: list[GrantLeft], total: int) -> None:
    """Nothing is left unpaid while there is something left to pay with."""
    free = [one for one in own if one.charges is None]
    paid = sum(draw.amount for draw in Wallets({CUSTOMER: free}).pay(free, total, {}))
    assert paid == min(total, sum(one.left for one in free))


@given(
    grants(),
    st.decimals(0, 5000, places=3),
    st.decimals("0.001", 50, places=3),
    st.integers(0, 3),
)
def test_units_cover_no_more_than_was_used(
    own: list[GrantLeft], quantity: Decimal, units: Decimal, exponent: int
) -> None:
    """What is covered and what each draw covers add up, and what is not covered is less than the smallest unit, or nothing is left."""
    wallets = Wallets({CUSTOMER: own}, calls(str(units), exponent))
    covered = wallets.cover(CUSTOMER, "api", "a", "requests", quantity)
    assert 0 <= covered.quantity <= quantity
    assert covered.quantity == sum((draw.quantity for draw in covered.draws), Decimal(0))
    assert all(draw.quantity == Decimal(draw.amount) / 10**exponent * units for draw in covered.draws)
    able = [one for one in own if one.charges is None or "a" in one.charges]
    if any(wallets.left(one) for one in able):
        assert quantity - covered.quantity < units / 10**exponent


def test_what_one_line_takes_is_gone_for_the_next() -> None:
    """The lines of a customer are covered one after the other."""
    own = [GrantLeft(uuid.UUID(int=1), CUSTOMER, ASSET, 1, 5, None, None, None)]
    wallets = Wallets({CUSTOMER: own}, calls())
    covered = [wallets.cover(CUSTOMER, "api", charge, "requests", Decimal(3)).quantity for charge in "abc"]
    assert covered == [3, 2, 0]


def granted(nth: int, left: int, **only: frozenset[str]) -> GrantLeft:
    """Make up a grant that may be spent on nothing else."""
    bounds = (only.get("products"), only.get("charges"), only.get("meters"))
    return GrantLeft(uuid.UUID(int=nth), CUSTOMER, ASSET, nth, left, *bounds)


def test_what_one_invoice_takes_is_gone_for_the_next() -> None:
    """The invoices of a customer are paid one after the other, and the last gets what is left."""
    own = [granted(1, 5)]
    wallets = Wallets({CUSTOMER: own})
    assert [sum(draw.amount for draw in wallets.pay(own, 3, {})) for _ in range(3)] == [3, 2, 0]


def test_what_was_paid_of_several_charges_is_paid_of_the_first_first() -> None:
    """Five for a and b pay all three of a and two of b: the other two of b are left for who pays b alone."""
    own = [granted(1, 5, charges=frozenset("ab")), granted(2, 9, charges=frozenset("b"))]
    draws = Wallets({CUSTOMER: own}).pay(own, 100, {"a": 3, "b": 4})
    assert [draw.amount for draw in draws] == [5, 2]


def test_units_cover_only_what_they_are_for() -> None:
    """Another product, charge or meter is covered by those that are bound to nothing."""
    bound = [
        granted(1, 1, products=frozenset({"other"})),
        granted(2, 1, charges=frozenset({"other"})),
        granted(3, 1, meters=frozenset({"other"})),
        granted(4, 1),
    ]
    covered = Wallets({CUSTOMER: bound}, calls()).cover(CUSTOMER, "api", "a", "requests", Decimal(9))
    assert [draw.grant.account_id for draw in covered.draws] == [4]
