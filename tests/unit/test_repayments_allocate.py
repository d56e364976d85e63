"""Which invoice gets how much of an amount, by every policy, down to the last minor unit."""

import datetime as dt
import random
import uuid
from decimal import Decimal
from fractions import Fraction
from itertools import pairwise

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tallystick.errors import InvalidInput
from tallystick.repayments.allocate import Due, Placed, allocate, share_out
from tallystick.repayments.policy import (
    FixedSplit,
    HighestCostFirst,
    OldestFirst,
    Policy,
    ProductOrder,
    ProRata,
    require_sound,
)

PRODUCTS = ["api", "deferred", "loans"]
DAY = dt.date(2026, 11, 1)
NOON = dt.datetime(2026, 10, 1, 12, tzinfo=dt.UTC)
LARGEST = 2**63 - 1


def due(number: int, product: str, outstanding: int, days: int = 0, cost: str | None = None) -> Due:
    """Make an invoice that is due so many days after the first."""
    rank = None if cost is None else Decimal(cost)
    return Due(uuid.UUID(int=number), product, DAY + dt.timedelta(days=days), NOON, outstanding, rank, f"INV-{number}")


@st.composite
def dues(draw: st.DrawFn) -> list[Due]:
    """Make some invoices, several of which may be alike in all but their id."""
    count = draw(st.integers(0, 8))
    amounts = st.one_of(st.integers(0, 50), st.integers(0, LARGEST))
    costs = st.one_of(st.none(), st.decimals(0, 100, places=2).map(str))
    return [
        due(number, draw(st.sampled_from(PRODUCTS)), draw(amounts), draw(st.integers(0, 3)), draw(costs))
        for number in range(count)
    ]


orders = st.permutations(PRODUCTS).flatmap(
    lambda products: st.integers(1, len(products)).map(lambda count: ProductOrder(list(products[:count])))
)
splits = (
    st.dictionaries(st.sampled_from(PRODUCTS), st.integers(0, 9), min_size=1)
    .filter(lambda weights: sum(weights.values()) > 0)
    .map(FixedSplit)
)
policies = st.one_of(st.just(OldestFirst()), st.just(HighestCostFirst()), st.just(ProRata()), orders, splits)
amounts = st.one_of(st.integers(0, 200), st.integers(0, 4 * LARGEST))


def placed_on(placed: list[Placed]) -> dict[uuid.UUID, int]:
    """Return what each invoice gets, by id; each is named once at the most."""
    found = {one.invoice: one.amount for one in placed}
    assert len(found) == len(placed)
    return found


@given(amounts, dues(), policies)
def test_no_more_is_placed_than_is_due_or_there_and_all_of_it_if_enough_is_due(
    available: int, waiting: list[Due], policy: Policy
) -> None:
    """The sum is exact: the smaller of what there is and what is due."""
    placed = allocate(available, waiting, policy)
    outstanding = {one.invoice_id: one.outstanding for one in waiting}
    assert all(0 < amount <= outstanding[invoice] for invoice, amount in placed_on(placed).items())
    assert sum(one.amount for one in placed) == min(available, sum(outstanding.values()))


@given(amounts, dues(), policies, st.integers())
def test_the_order_in_which_invoices_are_given_changes_nothing(
    available: int, waiting: list[Due], policy: Policy, seed: int
) -> None:
    """The same question has the same answer, word by word."""
    shuffled = random.Random(seed).sample(waiting, len(waiting))
    assert allocate(available, waiting, policy) == allocate(available, shuffled, policy)


@given(amounts, dues(), policies)
def test_each_placing_says_why(available: int, waiting: list[Due], policy: Policy) -> None:
    """Whoever reads it learns the rule, and finds the amount in it."""
    for one in allocate(available, waiting, policy):
        assert len(one.why) > 20
        assert str(one.amount) in one.why


def rank(one: Due, policy: Policy) -> tuple[object, ...]:
    """Say where an invoice stands by a policy that pays one after the other."""
    age = (one.due_on, one.issued_at, one.invoice_id.bytes)
    if isinstance(policy, ProductOrder):
        return (policy.products.index(one.product) if one.product in policy.products else 99, *age)
    if isinstance(policy, HighestCostFirst):
        return (-(one.cost_rank or 0), *age)
    return age


@given(amounts, dues(), st.one_of(st.just(OldestFirst()), st.just(HighestCostFirst()), orders))
def test_an_order_is_respected_to_the_last_unit(available: int, waiting: list[Due], policy: Policy) -> None:
    """Whoever comes later gets something only when all before are paid off."""
    got = placed_on(allocate(available, waiting, policy))
    ordered = sorted((one for one in waiting if one.outstanding), key=lambda one: rank(one, policy))
    for before, after in pairwise(ordered):
        if got.get(after.invoice_id):
            assert got[before.invoice_id] == before.outstanding


@given(amounts, dues())
def test_pro_rata_is_within_a_unit_of_the_exact_share(available: int, waiting: list[Due]) -> None:
    """Nobody loses or gains a whole unit by the rounding, and larger remainders go first."""
    whole = sum(one.outstanding for one in waiting)
    got = placed_on(allocate(available, waiting, ProRata()))
    if available >= whole:
        return
    exact = {one.invoice_id: Fraction(available * one.outstanding, whole) for one in waiting}
    assert all(abs(got.get(invoice, 0) - share) < 1 for invoice, share in exact.items())
    raised = [share % 1 for invoice, share in exact.items() if got.get(invoice, 0) > share]
    left = [share % 1 for invoice, share in exact.items() if got.get(invoice, 0) < share]
    assert not raised or not left or min(raised) >= max(left)


@given(st.integers(0, 500), dues(), splits)
def test_a_fixed_split_gives_each_product_its_part_unless_it_is_paid_off(
    available: int, waiting: list[Due], policy: FixedSplit
) -> None:
    """Of two products that both want more, each has what its weight says, give or take the rounding."""
    got = placed_on(allocate(available, waiting, policy))
    wants = {product: sum(one.outstanding for one in waiting if one.product == product) for product in PRODUCTS}
    has = {
        product: sum(got.get(one.invoice_id, 0) for one in waiting if one.product == product) for product in PRODUCTS
    }
    hungry = [product for product, weight in policy.weights.items() if weight and has[product] < wants[product]]
    for one, other in pairwise(sorted(hungry)):
        per_weight = Fraction(has[one], policy.weights[one]), Fraction(has[other], policy.weights[other])
        assert abs(per_weight[0] - per_weight[1]) <= Fraction(1, policy.weights[one]) + Fraction(
            1, policy.weights[other]
        )
    if hungry:
        unnamed = [product for product in PRODUCTS if not policy.weights.get(product)]
        assert not any(has[product] for product in unnamed)


@given(st.integers(0, 10**20), st.lists(st.integers(0, 10**19), min_size=1).filter(any))
def test_shares_add_up(amount: int, weights: list[int]) -> None:
    """The parts are the whole, and none is a unit away from its exact share."""
    parts = share_out(amount, weights)
    assert sum(parts) == amount
    assert all(
        abs(part - Fraction(amount * weight, sum(weights))) < 1 for part, weight in zip(parts, weights, strict=True)
    )


SHOP = [
    due(1, "loans", 1000, days=2, cost="18.5"),
    due(2, "deferred", 500, days=0),
    due(3, "api", 300, days=1, cost="3"),
]


@pytest.mark.parametrize(
    ("policy", "expected"),
    [
        (OldestFirst(), {2: 500, 3: 300, 1: 200}),
        (ProductOrder(["loans"]), {1: 1000}),
        (ProductOrder(["api", "loans"]), {3: 300, 1: 700}),
        (HighestCostFirst(), {1: 1000}),
        (ProRata(), {2: 278, 3: 167, 1: 555}),
        (FixedSplit({"loans": 3, "deferred": 1}), {1: 750, 2: 250}),
        (FixedSplit({"loans": 1, "deferred": 1, "api": 2}), {3: 300, 1: 350, 2: 350}),
        (FixedSplit({"api": 1}), {3: 300, 2: 500, 1: 200}),
    ],
    ids=lambda value: type(value).__name__ if not isinstance(value, dict) else "",
)
def test_a_thousand_on_three_invoices(policy: Policy, expected: dict[int, int]) -> None:
    """What the page about the policies shows is what comes out."""
    placed = allocate(1000, SHOP, policy)
    assert {one.invoice.int: one.amount for one in placed} == expected


def test_equal_remainders_go_to_the_oldest() -> None:
    """A tie is broken by age, and says so by being the same each time."""
    twins = [due(2, "api", 1), due(1, "api", 1), due(3, "api", 1, days=-1)]
    assert {one.invoice.int: one.amount for one in allocate(1, twins, ProRata())} == {3: 1}
    assert {one.invoice.int: one.amount for one in allocate(2, twins, ProRata())} == {3: 1, 1: 1}


def test_nothing_below_zero_is_placed() -> None:
    """A negative amount is nobody's question."""
    with pytest.raises(ValueError, match="below zero"):
        allocate(-1, SHOP, OldestFirst())
    with pytest.raises(ValueError, match="below zero"):
        allocate(1, [due(1, "api", -1)], OldestFirst())


@pytest.mark.parametrize(
    ("policy", "field"),
    [
        (ProductOrder(["api", "loans", "api"]), "policy.products"),
        (FixedSplit({"api": 0, "loans": 0}), "policy.weights"),
    ],
)
def test_a_policy_that_decides_nothing_is_refused(policy: Policy, field: str) -> None:
    """An order that goes round in a circle, or parts of nothing, name the field and the rule."""
    with pytest.raises(InvalidInput) as refused:
        require_sound(policy, field.split(".", maxsplit=1)[0])
    assert refused.value.field == field


@pytest.mark.parametrize(
    "text",
    [
        '{"kind": "newest_first"}', '{"kind": "pro_rata", "weights": {"api": 1}}', '{"kind": "product_order"}',
        '{"kind": "product_order", "products": []}', '{"kind": "product_order", "products": ["API"]}',
        '{"kind": "fixed_split", "weights": {"api": -1}}', '{"kind": "fixed_split", "weights": {"api": 1.5}}',
        '{"kind": "fixed_split", "weights": {}}', '{"kind": "fixed_split", "weights": {"a\\u0000": 1}}',
        '{"kind": "fixed_split", "weights": {"api": 1000001}}', "{}", "null", '"oldest_first"',
    ],
)  # fmt: skip
def test_what_is_no_policy_is_refused(text: str) -> None:
    """A policy is data of five kinds, and each knows its fields."""
    with pytest.raises(msgspec.ValidationError):
        msgspec.json.decode(text, type=Policy)
