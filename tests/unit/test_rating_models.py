"""What each charge model asks, as tables that a person can check with pencil and paper."""

from decimal import Decimal, localcontext
from fractions import Fraction

import msgspec
import pytest

from tallystick.money import Asset, currency
from tallystick.rating.model import Line
from tallystick.rating.prorate import prorate
from tallystick.rating.rate import needs, rate
from tallystick.rating.read_price import read_price
from tallystick.rating.split_line import split_line

USD, JPY, CREDITS = currency("USD"), currency("JPY"), Asset("CREDIT", 6)

FLAT = b'{"model": "flat", "amount": "10"}'
PER_UNIT = b'{"model": "per_unit", "rate": "0.002", "free_units": "1000"}'
TIERS = b'[{"up_to": "1000", "rate": "0.01"}, {"up_to": "5000", "rate": "0.005"}, {"up_to": null, "rate": "0.001"}]'
FEES = (
    b'[{"up_to": "10", "rate": "0", "flat": "5"}, {"up_to": "20", "rate": "1", "flat": "7"}, '
    b'{"up_to": null, "rate": "2"}]'
)
GRADUATED = b'{"model": "graduated", "tiers": ' + TIERS + b"}"
GRADUATED_FEES = b'{"model": "graduated", "free_units": "3", "tiers": ' + FEES + b"}"
VOLUME = b'{"model": "volume", "tiers": ' + TIERS + b"}"
VOLUME_FEES = b'{"model": "volume", "free_units": "3", "tiers": ' + FEES + b"}"
PACKAGE = b'{"model": "package", "size": "500", "rate": "1.50", "free_units": "100"}'
MEGABYTES = b'{"model": "per_unit", "rate": "0.05", "free_units": "100", "unit": {"per": "1000000", "name": "MB"}}'
THIRDS = b'{"model": "per_unit", "rate": "1", "unit": {"per": "3", "name": "trios"}}'
EXCLUSIVE = b'{"model": "volume", "bounds": "exclusive", "tiers": ' + FEES + b"}"
GRADUATED_EXCLUSIVE = b'{"model": "graduated", "bounds": "exclusive", "tiers": ' + FEES + b"}"
FIRST_AT_ZERO = b'{"model": "graduated", "charge_first_tier_at_zero": true, "free_units": "3", "tiers": ' + FEES + b"}"
NEAREST = b'{"model": "package", "size": "500", "rate": "1.50", "package_rounding": "nearest"}'
DOWN = b'{"model": "package", "size": "500", "rate": "1.50", "package_rounding": "down"}'
EXACTLY = b'{"model": "package", "size": "3", "rate": "1.50", "package_rounding": "exact"}'
GIGABYTES = b'{"model": "per_unit", "rate": "0.5", "unit": {"per": "1000", "name": "k", "rounding": "up", "digits": 1}}'
FEE = b'{"model": "percentage", "percent": "2.9"}'
FEE_FREE = b'{"model": "percentage", "percent": "2.9", "free_amount": "100", "unit": {"per": "100", "name": "USD"}}'
MARGINAL = (
    b'{"model": "graduated_percentage", "tiers": [{"up_to": "1000", "percent": "1", "flat": "2"}, '
    b'{"up_to": null, "percent": "0.5"}]}'
)
RESOLD = b'{"model": "dynamic", "markup_percent": "12.5"}'
SPEND = b'{"model": "per_unit", "rate": "0.5", "minimum_spend": "10", "maximum_spend": "40"}'
FLAT_MINIMUM = b'{"model": "flat", "amount": "8", "discounts": [{"percent": "25"}], "minimum_spend": "7"}'
DISCOUNTS = b'{"model": "per_unit", "rate": "0.5", "discounts": [{"percent": "10"}, {"amount": "2"}, {"units": "10"}]}'
SWAPPED = b'{"model": "per_unit", "rate": "0.5", "discounts": [{"amount": "2"}, {"percent": "10"}]}'
ROUNDED_UP = b'{"model": "per_unit", "rate": "0.001", "rounding": "up"}'
EACH = b'{"model": "graduated", "round_each": "detail", "rounding": "half_up", "tiers": [{"up_to": "1", "rate": "0.005"}, {"up_to": null, "rate": "0.005"}]}'
DOZENS = b'{"model": "package", "size": "2", "rate": "1", "unit": {"per": "12", "name": "dozen"}}'

TABLES = {
    "flat": (
        FLAT,
        """
        0         | 1000 | flat fee of 10 USD = 10.00 USD
        1234.5    | 1000 | flat fee of 10 USD = 10.00 USD
        """,
    ),
    "per unit, 1,000 free": (
        PER_UNIT,
        """
        0         |    0 | 0 requests = 0.00 USD
        1000      |    0 | 1,000 requests: 1,000 free = 0.00 USD
        1001      |    0 | 1,001 requests: 1,000 free, 1 x 0.002 USD = 0.00 USD
        1234      |   47 | 1,234 requests: 1,000 free, 234 x 0.002 USD = 0.47 USD
        1002.5    |    0 | 1,002.5 requests: 1,000 free, 2.5 x 0.002 USD = 0.00 USD
        1007.5    |    2 | 1,007.5 requests: 1,000 free, 7.5 x 0.002 USD = 0.02 USD
        """,
    ),
    "graduated: a bound belongs to the tier below it": (
        GRADUATED,
        """
        0         |    0 | 0 requests = 0.00 USD
        1000      | 1000 | 1,000 requests: 1,000 x 0.01 USD = 10.00 USD
        1001      | 1000 | 1,001 requests: 1,000 x 0.01 USD + 1 x 0.005 USD = 10.00 USD
        1002      | 1001 | 1,002 requests: 1,000 x 0.01 USD + 2 x 0.005 USD = 10.01 USD
        5000      | 3000 | 5,000 requests: 1,000 x 0.01 USD + 4,000 x 0.005 USD = 30.00 USD
        7000      | 3200 | 7,000 requests: 1,000 x 0.01 USD + 4,000 x 0.005 USD + 2,000 x 0.001 USD = 32.00 USD
        """,
    ),
    "graduated: each tier's fee when it is entered, none for no usage": (
        GRADUATED_FEES,
        """
        0         |    0 | 0 requests = 0.00 USD
        3         |    0 | 3 requests: 3 free = 0.00 USD
        3.1       |  500 | 3.1 requests: 3 free, 0.1 x 0 USD + tier fee of 5 USD = 5.00 USD
        13        |  500 | 13 requests: 3 free, 10 x 0 USD + tier fee of 5 USD = 5.00 USD
        14        | 1300 | 14 requests: 3 free, 10 x 0 USD + tier fee of 5 USD + 1 x 1 USD + tier fee of 7 USD = 13.00 USD
        """,
    ),
    "volume: a bound belongs to the tier below it": (
        VOLUME,
        """
        0         |    0 | 0 requests = 0.00 USD
        1000      | 1000 | 1,000 requests: 1,000 x 0.01 USD = 10.00 USD
        1001      |  500 | 1,001 requests: 1,001 x 0.005 USD = 5.00 USD
        5001      |  500 | 5,001 requests: 5,001 x 0.001 USD = 5.00 USD
        """,
    ),
    "volume: the fee of the one tier, none for no usage": (
        VOLUME_FEES,
        """
        3         |    0 | 3 requests: 3 free = 0.00 USD
        4         |  500 | 4 requests: 3 free, 1 x 0 USD + tier fee of 5 USD = 5.00 USD
        23        | 2700 | 23 requests: 3 free, 20 x 1 USD + tier fee of 7 USD = 27.00 USD
        24        | 4200 | 24 requests: 3 free, 21 x 2 USD = 42.00 USD
        """,
    ),
    "package: what is started is paid": (
        PACKAGE,
        """
        100       |    0 | 100 requests: 100 free = 0.00 USD
        100.01    |  150 | 100.01 requests: 100 free, 1 package of 500 x 1.5 USD = 1.50 USD
        600       |  150 | 600 requests: 100 free, 1 package of 500 x 1.5 USD = 1.50 USD
        601       |  300 | 601 requests: 100 free, 2 packages of 500 x 1.5 USD = 3.00 USD
        """,
    ),
    "converted: every number of the price counts megabytes": (
        MEGABYTES,
        """
        100000000 |    0 | 100,000,000 requests (100 MB): 100 free = 0.00 USD
        250500000 |  752 | 250,500,000 requests (250.5 MB): 100 free, 150.5 x 0.05 USD = 7.52 USD
        """,
    ),
    "converted by three: thirds are kept until the one rounding": (
        THIRDS,
        """
        1         |   33 | 1 requests (1/3 trios): 1/3 x 1 USD = 0.33 USD
        2         |   67 | 2 requests (2/3 trios): 2/3 x 1 USD = 0.67 USD
        3         |  100 | 3 requests (1 trios): 1 x 1 USD = 1.00 USD
        10000     | 333333 | 10,000 requests (10,000/3 trios): 10,000/3 x 1 USD = 3,333.33 USD
        """,
    ),
    "packages of a converted unit": (
        DOZENS,
        """
        24        |  100 | 24 requests (2 dozen): 1 package of 2 x 1 USD = 1.00 USD
        25        |  200 | 25 requests (25/12 dozen): 2 packages of 2 x 1 USD = 2.00 USD
        """,
    ),
    "volume, exclusive: a bound belongs to the tier above it": (
        EXCLUSIVE,
        """
        0         |    0 | 0 requests = 0.00 USD
        9.9       |  500 | 9.9 requests: 9.9 x 0 USD + tier fee of 5 USD = 5.00 USD
        10        | 1700 | 10 requests: 10 x 1 USD + tier fee of 7 USD = 17.00 USD
        """,
    ),
    "graduated, exclusive: the bound enters the next tier with nothing in it": (
        GRADUATED_EXCLUSIVE,
        """
        0         |    0 | 0 requests = 0.00 USD
        10        | 1200 | 10 requests: 10 x 0 USD + tier fee of 5 USD + tier fee of 7 USD = 12.00 USD
        """,
    ),
    "graduated, the first tier charged at zero: also if all of it was free": (
        FIRST_AT_ZERO,
        """
        0         |  500 | 0 requests: tier fee of 5 USD = 5.00 USD
        3         |  500 | 3 requests: 3 free, tier fee of 5 USD = 5.00 USD
        14        | 1300 | 14 requests: 3 free, 10 x 0 USD + tier fee of 5 USD + 1 x 1 USD + tier fee of 7 USD = 13.00 USD
        """,
    ),
    "package, nearest: half a package is one": (
        NEAREST,
        """
        249       |    0 | 249 requests = 0.00 USD
        250       |  150 | 250 requests: 1 package of 500 x 1.5 USD = 1.50 USD
        749       |  150 | 749 requests: 1 package of 500 x 1.5 USD = 1.50 USD
        """,
    ),
    "package, down: only full ones": (
        DOWN,
        """
        499       |    0 | 499 requests = 0.00 USD
        999       |  150 | 999 requests: 1 package of 500 x 1.5 USD = 1.50 USD
        """,
    ),
    "package, exact: fractions of one, also thirds": (
        EXACTLY,
        """
        3         |  150 | 3 requests: 1 package of 3 x 1.5 USD = 1.50 USD
        4         |  200 | 4 requests: 4/3 packages of 3 x 1.5 USD = 2.00 USD
        """,
    ),
    "converted and rounded before it is priced": (
        GIGABYTES,
        """
        1000      |   50 | 1,000 requests (1 k): 1 x 0.5 USD = 0.50 USD
        1001      |   55 | 1,001 requests (1.1 k): 1.1 x 0.5 USD = 0.55 USD
        """,
    ),
    "percentage of an amount": (
        FEE,
        """
        0         |    0 | 0 requests = 0.00 USD
        1250.50   | 3626 | 1,250.5 requests: 2.9% of 1,250.5 USD = 36.26 USD
        """,
    ),
    "percentage of what is over a free amount, metered in cents": (
        FEE_FREE,
        """
        9000      |    0 | 9,000 requests (90 USD): 90 free = 0.00 USD
        30000     |  580 | 30,000 requests (300 USD): 100 free, 2.9% of 200 USD = 5.80 USD
        """,
    ),
    "graduated percentage": (
        MARGINAL,
        """
        1000      | 1200 | 1,000 requests: 1% of 1,000 USD + tier fee of 2 USD = 12.00 USD
        1500      | 1450 | 1,500 requests: 1% of 1,000 USD + tier fee of 2 USD + 0.5% of 500 USD = 14.50 USD
        """,
    ),
    "dynamic: the amounts came with the events": (
        RESOLD,
        """
        0         |    0 | 0 requests = 0.00 USD
        3.435     |  386 | 3.435 requests: 3.435 USD + markup of 12.5% = 3.86 USD
        """,
    ),
    "minimum and maximum spend": (
        SPEND,
        """
        0         | 1000 | 0 requests: raised to the minimum of 10 USD = 10.00 USD
        19        | 1000 | 19 requests: 19 x 0.5 USD, raised to the minimum of 10 USD = 10.00 USD
        20        | 1000 | 20 requests: 20 x 0.5 USD = 10.00 USD
        81        | 4000 | 81 requests: 81 x 0.5 USD, cut to the maximum of 40 USD = 40.00 USD
        """,
    ),
    "the limits of spend come behind the discounts": (
        FLAT_MINIMUM,
        """
        1         |  700 | flat fee of 8 USD, less 25% of 8 USD, raised to the minimum of 7 USD = 7.00 USD
        """,
    ),
    "discounts by units first, the others in their order, never below nothing": (
        DISCOUNTS,
        """
        10        |    0 | 10 requests: 10 discounted = 0.00 USD
        12        |    0 | 12 requests: 10 discounted, 2 x 0.5 USD, less 10% of 1 USD, less 0.9 USD = 0.00 USD
        30        |  700 | 30 requests: 10 discounted, 20 x 0.5 USD, less 10% of 10 USD, less 2 USD = 7.00 USD
        """,
    ),
    "discounts in the other order take off another amount": (
        SWAPPED,
        """
        20        |  720 | 20 requests: 20 x 0.5 USD, less 2 USD, less 10% of 8 USD = 7.20 USD
        """,
    ),
    "rounded up": (
        ROUNDED_UP,
        """
        1         |    1 | 1 requests: 1 x 0.001 USD, rounded up = 0.01 USD
        10        |    1 | 10 requests: 10 x 0.001 USD, rounded up = 0.01 USD
        """,
    ),
    "each part rounded half up: two half cents are two cents": (
        EACH,
        """
        2         |    2 | 2 requests: 1 x 0.005 USD + 1 x 0.005 USD, each part rounded half up = 0.02 USD
        """,
    ),
}

ROWS = [
    pytest.param(price, *(cell.strip() for cell in row.split("|")), id=f"{name}: {row.split('|')[0].strip()}")
    for name, (price, table) in TABLES.items()
    for row in table.strip().splitlines()
]


def usd(price: bytes, quantity: str) -> Line:
    """Rate *quantity* requests in US dollars."""
    return rate(read_price(price), Decimal(quantity), USD, "requests")


@pytest.mark.parametrize(("price", "quantity", "amount", "explanation"), ROWS)
def test_a_model_asks_what_its_table_says_and_says_why(
    price: bytes, quantity: str, amount: str, explanation: str
) -> None:
    """Each row is one quantity, the minor units asked for it, and the sentence that explains them."""
    line = usd(price, quantity)
    assert (line.amount, line.explanation.replace("\N{MULTIPLICATION SIGN}", "x")) == (int(amount), explanation)


@pytest.mark.parametrize(
    ("quantity", "amount"),
    [("0.5", 0), ("1.5", 2), ("2.5", 2), ("2.50000000001", 3), ("3.5", 4)],
)
def test_a_half_of_a_minor_unit_goes_to_the_even_one(quantity: str, amount: int) -> None:
    """Rounding is half to even, and a hair over the half goes up."""
    assert rate(read_price({"model": "per_unit", "rate": "1"}), Decimal(quantity), JPY, "s").amount == amount


def test_a_line_is_rounded_once_and_not_part_by_part() -> None:
    """Two parts of 0.4 yen make 1 yen; rounded apart they would make none."""
    price = {"model": "graduated", "tiers": [{"up_to": "1", "rate": "0.4"}, {"up_to": None, "rate": "0.4"}]}
    assert rate(read_price(price), Decimal(2), JPY, "s").amount == 1


@pytest.mark.parametrize("quantity", [1, 2, 3, 4, 5])
def test_a_limit_of_half_a_minor_unit_cuts_every_amount_to_the_same(quantity: int) -> None:
    """Rounding the limit, not what is cut off, keeps the line from swinging with what was used."""
    price = {"model": "per_unit", "rate": "1", "round_each": "detail", "maximum_spend": "0.5"}
    assert rate(read_price(price), Decimal(quantity), JPY, "s").amount == 0


@pytest.mark.parametrize("quantity", [0, 1, 2])
def test_a_limit_of_half_a_minor_unit_lifts_every_amount_to_the_same(quantity: int) -> None:
    """A minimum of 1.5 yen is 2, from wherever it is reached."""
    price = {"model": "per_unit", "rate": "1", "round_each": "detail", "minimum_spend": "1.5"}
    assert rate(read_price(price), Decimal(quantity), JPY, "s").amount == 2


def test_an_asset_of_the_operators_own_keeps_its_digits() -> None:
    """A credit with six decimals is charged to the sixth."""
    line = rate(read_price({"model": "per_unit", "rate": "0.0000015"}), Decimal(3), CREDITS, "tokens")
    assert (line.amount, line.asset) == (4, "CREDIT")


def test_a_line_tells_every_part_with_its_bounds() -> None:
    """From a line alone one sees the quantity, what was free, and each tier's bounds, rate and exact amount."""
    line = usd(GRADUATED_FEES, "15.5")
    parts = [(d.part, d.tier, d.above, d.up_to, d.quantity, d.rate, d.amount) for d in line.details]
    assert parts == [
        ("tier", 0, "0", "10", "10", "0", "0"),
        ("tier_fee", 0, "0", "10", "1", "5", "5"),
        ("tier", 1, "10", "20", "2.5", "1", "2.5"),
        ("tier_fee", 1, "10", "20", "1", "7", "7"),
    ]
    assert (line.model, line.quantity, line.unit, line.free_units) == ("graduated", "15.5", "requests", "3")


def test_a_converted_line_keeps_what_was_metered_beside_what_was_priced() -> None:
    """The bytes of the meter and the megabytes of the price both stand in the line."""
    line = rate(read_price(MEGABYTES), Decimal(2746963047), USD, "bytes")
    assert (line.quantity, line.unit) == ("2746963047", "bytes")
    assert (line.priced_quantity, line.priced_unit) == ("2746.963047", "MB")


def test_details_are_told_in_minor_units_too() -> None:
    """Seven thirds of a cent are two cents, which go to the full ones; each rounded apart is what it was rounded to."""
    tiers = [{"up_to": str(end), "rate": "0.01"} for end in (1, 2)]
    price = {
        "model": "graduated",
        "unit": {"per": "3", "name": "trios"},
        "tiers": [*tiers, {"up_to": None, "rate": "0.01"}],
    }
    line = rate(read_price(price), Decimal(7), USD, "requests")
    assert (line.amount, split_line(line, USD)) == (2, [1, 1, 0])
    assert split_line(usd(EACH, "2"), USD) == [1, 1]
    assert split_line(usd(DISCOUNTS, "12"), USD) == [0, 100, -10, -90]
    assert split_line(usd(PER_UNIT, "0"), USD) == []


def test_a_package_detail_names_its_size() -> None:
    """The number of packages means nothing without how much one holds."""
    (detail,) = usd(PACKAGE, "1101").details
    assert (detail.part, detail.quantity, detail.size) == ("package", "3", "500")


def test_the_callers_decimal_context_changes_nothing() -> None:
    """A caller who computes with three digits still gets every digit of the amount."""
    with localcontext(prec=3):
        assert usd(PER_UNIT, "123457789").amount == 24691358


def test_zero_below_nothing_is_zero() -> None:
    """A negative zero, which Decimal has, is no usage and is not written with a sign."""
    line = usd(PER_UNIT, "-0")
    assert (line.amount, line.quantity) == (0, "0")


BY_TRANSACTION = {
    "model": "percentage",
    "percent": "2.9",
    "per_transaction": "0.30",
    "free_transactions": "1",
    "minimum_per_transaction": "0.50",
    "maximum_per_transaction": "3",
}


LIMITS = {"minimum_per_transaction": "0.5", "maximum_per_transaction": "1.362"}


def by_transaction(changed: dict[str, str], *amounts: str, share: Fraction = Fraction(1)) -> Line:
    """Rate transactions by a percentage, of which some terms are changed."""
    transactions = [Decimal(amount) for amount in amounts]
    price = read_price(BY_TRANSACTION | changed)
    return rate(price, sum(transactions, Decimal(0)), USD, "USD", share=share, transactions=transactions)


def test_each_transaction_keeps_between_its_minimum_and_maximum() -> None:
    """The first pays no fixed part and no minimum; of the others one pays the rate, one the least, one the most."""
    line = by_transaction({}, "5", "10", "0.5", "1000")
    assert [(d.part, d.quantity, d.rate, d.amount, d.of) for d in line.details] == [
        ("free_transactions", "1", "0", "0", None),
        ("percent", "15", "0.029", "0.435", None),
        ("transaction_fee", "1", "0.3", "0.3", None),
        ("transaction_minimum", "1", "0.5", "0.5", "0.5"),
        ("transaction_maximum", "1", "3", "3", "1000"),
    ]
    assert (line.amount, line.transactions, line.free_units) == (424, 4, "0")


def test_free_transactions_can_be_free_of_all() -> None:
    """Then their amounts are free units, and use nothing of the free amount."""
    line = by_transaction({"free_transactions_cover": "all", "free_amount": "6"}, "500", "10", "10")
    assert (line.amount, line.free_units) == (50 + 59, "506")  # 2.9% of 4 and 0.30 are raised to the minimum
    assert line.details[0].of == "500"


def test_a_transaction_inside_the_free_amount_pays_no_minimum() -> None:
    """It pays its fixed part alone: a minimum on what is free would take the freedom back."""
    assert by_transaction({"free_transactions": "0", "free_amount": "10"}, "4", "6").amount == 60


def test_fixed_parts_need_no_more_than_the_number_of_transactions() -> None:
    """Of twelve transactions ten pay the fixed part; the percentage is of their sum."""
    price = read_price({"model": "percentage", "percent": "1", "per_transaction": "0.1", "free_transactions": "2"})
    line = rate(price, Decimal(200), USD, "USD", events=12)
    assert (line.amount, line.transactions) == (300, 12)
    assert line.explanation == (
        "200 USD in 12 transactions: 2 transactions free of the fixed part, "
        "1% of 200 USD + 10 transactions \N{MULTIPLICATION SIGN} 0.1 USD = 3.00 USD"
    )


def test_a_share_prorates_what_is_fixed_for_a_period_and_nothing_else() -> None:
    """Fees, free units, discounts and limits of spend are; rates, bounds, sizes and what a transaction asks are not."""
    price = {
        "model": "graduated",
        "tiers": [{"up_to": "10", "rate": "1", "flat": "3.1"}, {"up_to": None, "rate": "0.5"}],
        "free_units": "31",
        "discounts": [{"units": "6.2"}, {"amount": "0.31"}, {"percent": "50"}],
        "maximum_spend": "62",
    }
    line = rate(read_price(price), Decimal(112), USD, "requests", share=Fraction(10, 31))
    assert [(d.part, d.quantity, d.rate, d.amount, d.limit) for d in line.details] == [
        ("discount_units", "2", "0", "0", None),
        ("tier", "10", "1", "10", None),
        ("tier_fee", "10/31", "3.1", "1", None),
        ("tier", "90", "0.5", "45", None),
        ("discount", "-1", "0.1", "-0.1", None),
        ("discount", "-0.5", "55.9", "-27.95", None),
        ("maximum_spend", "-1", "7.95", "-7.95", "20"),
    ]
    assert (line.amount, line.share, line.free_units) == (2000, "10/31", "10")


def test_more_free_transactions_than_there_were_give_nothing_back() -> None:
    """Of two transactions three may be free; the third pays no other one's fixed part."""
    price = read_price({"model": "percentage", "percent": "1", "per_transaction": "0.1", "free_transactions": "3"})
    assert rate(price, Decimal(200), USD, "USD", events=2).amount == 200


def test_a_transaction_of_nothing_pays_the_minimum() -> None:
    """It is not inside a free amount, since it takes nothing of it."""
    assert by_transaction({"free_transactions": "0", "free_amount": "10"}, "0").amount == 50


@pytest.mark.parametrize(
    ("amount", "parts"),
    [
        ("6.89", ["transaction_minimum"]),
        ("6.90", ["percent", "transaction_fee"]),
        ("93.10", ["percent", "transaction_fee"]),
        ("93.11", ["transaction_maximum"]),
    ],
)
def test_exactly_the_minimum_or_the_maximum_is_no_raising_and_no_cutting(amount: str, parts: list[str]) -> None:
    """A transaction that asks for just as much pays its rate, and the line says so."""
    line = by_transaction({"percent": "1", "per_transaction": "0.431", "free_transactions": "0"} | LIMITS, amount)
    assert [detail.part for detail in line.details] == parts


def test_transactions_are_converted_each_by_itself_before_they_are_judged() -> None:
    """Of cents rounded up to dollars: 1.01 is 2, and 50.00 asks for more than the maximum."""
    unit = {"per": "100", "name": "USD", "rounding": "up"}
    price = {"model": "percentage", "percent": "10", "maximum_per_transaction": "3", "unit": unit}
    line = rate(read_price(price), Decimal(5202), USD, "cents", transactions=[Decimal(n) for n in (101, 101, 5000)])
    assert (line.amount, line.priced_quantity) == (20 + 20 + 300, "54")


def test_a_free_amount_can_cover_the_fixed_part_too() -> None:
    """Of what lies wholly inside it; who crosses its end pays all of the fixed part, and the rate for the rest."""
    changed = {"free_transactions": "0", "free_amount": "10", "free_amount_covers": "all"}
    line = by_transaction(changed, "4", "6", "1")
    assert (line.amount, line.free_units) == (50, "10")
    assert [(detail.part, detail.quantity) for detail in line.details] == [
        ("free_transactions", "2"),
        ("transaction_minimum", "1"),
    ]
    assert by_transaction(changed, "4", "7").amount == 50  # 2.9% of 1 and 0.30 are raised to the minimum
    assert by_transaction(changed, "4", "27").amount == 91  # 2.9% of 21 and 0.30 are 0.909
    price = {"model": "percentage", "percent": "1", "per_transaction": "1", "free_amount": "5"}
    assert needs(read_price(price)) == "events"
    assert needs(read_price(price | {"free_amount_covers": "all"})) == "transactions"


def test_what_is_free_and_what_is_discounted_of_transactions_is_told_apart() -> None:
    """The free amount is used up first, then the discount by units; and no more of either than there is."""
    changed = {"free_transactions": "0", "free_amount": "10"}
    price = read_price(BY_TRANSACTION | changed | {"discounts": [{"units": "5"}]})
    line = rate(price, Decimal(52), USD, "USD", transactions=[Decimal(12), Decimal(40)])
    discounted = [detail.quantity for detail in line.details if detail.part == "discount_units"]
    assert (line.free_units, discounted, line.amount) == ("10", ["5"], 30 + 30 + 107)


def test_fractions_of_packages_are_of_what_is_not_free_in_a_share() -> None:
    """Half a period has half of the free units: 10 of 13 are left, which is 10/3 of a package."""
    price = read_price({"model": "package", "size": "3", "rate": "3", "package_rounding": "exact", "free_units": "6"})
    line = rate(price, Decimal(13), USD, "messages", share=Fraction(1, 2))
    assert (line.amount, line.free_units, line.details[0].quantity) == (1000, "3", "10/3")


@pytest.mark.parametrize("model", ["graduated", "volume"])
def test_the_fee_of_the_first_tier_is_prorated_also_where_nothing_was_used(model: str) -> None:
    """Ten days of 31 are 10/31 of it."""
    price = {"model": model, "charge_first_tier_at_zero": True, "tiers": [{"up_to": None, "rate": "1", "flat": "31"}]}
    assert rate(read_price(price), Decimal(0), USD, "requests", share=Fraction(10, 31)).amount == 1000


@pytest.mark.parametrize(
    ("amount", "shares", "parts"),
    [
        (100, ["1/3", "1/3", "1/3"], [34, 33, 33]),
        (10, ["7/50", "4/25", "7/10"], [1, 2, 7]),
        (10, ["1/4", "3/4"], [3, 7]),
        (-10, ["1/4", "3/4"], [-3, -7]),
    ],
)
def test_what_is_left_over_goes_to_the_largest_remainder_the_earliest_first(
    amount: int, shares: list[str], parts: list[int]
) -> None:
    """Of an amount that is divided, no unit is given by chance."""
    assert prorate(amount, [Fraction(share) for share in shares]) == parts


def test_begun_free_transactions_are_granted_whole() -> None:
    """A third of a period with one free transaction has one, since a third of a transaction cannot be free."""
    assert by_transaction({"minimum_per_transaction": "0"}, "1", share=Fraction(1, 3)).amount == 3


def test_a_whole_share_is_no_proration() -> None:
    """However it is written, all of a period is not worth a word."""
    price = read_price(FLAT)
    line = rate(price, Decimal(1), USD, "periods", share=Fraction(31, 31))
    assert line == rate(price, Decimal(1), USD, "periods")
    assert line.share is None


def test_old_lines_are_written_as_they_were() -> None:
    """A price that uses nothing new makes a line without the fields that newer prices fill."""
    written = msgspec.to_builtins(usd(PER_UNIT, "1234"))
    assert set(written) == {
        "model", "quantity", "unit", "priced_quantity", "priced_unit", "free_units", "details", "amount", "asset",
        "explanation",
    }  # fmt: skip
    assert list(written["details"]) == [{"part": "units", "quantity": "234", "rate": "0.002", "amount": "0.468"}]
