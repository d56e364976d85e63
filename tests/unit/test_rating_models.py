"""What each charge model asks, as tables that a person can check with pencil and paper."""

from decimal import Decimal, localcontext

import pytest

from tallystick.money import Asset, currency
from tallystick.rating.model import Line
from tallystick.rating.rate import rate
from tallystick.rating.read_price import read_price

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
