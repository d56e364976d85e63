"""What is no price and no quantity, each with the field and the rule that the answer names."""

import json
from decimal import Decimal
from fractions import Fraction
from typing import Any

import pytest

from tallystick.errors import Kind
from tallystick.money import MAX_AMOUNT, Asset, currency
from tallystick.rating.check_number import InvalidPrice
from tallystick.rating.model import PerUnit, Volume
from tallystick.rating.prorate import prorate
from tallystick.rating.rate import AmountTooLarge, InvalidQuantity, InvalidShare, TransactionsNeeded, needs, rate
from tallystick.rating.read_price import price_to_builtins, read_price
from tallystick.rating.terms import Tier

USD = currency("USD")

BAD_PRICES = """
    rate             | is required                     | {"model": "per_unit"}
    model            | is required                     | {"rate": "1"}
    model            | must be one of          | {"model": "gratis"}
    price            | is not a field of this price    | {"model": "per_unit", "rate": "1", "price": "1"}
    free_units       | is not a field of this price    | {"model": "flat", "amount": "1", "free_units": "1"}
    rate             | not the JSON number 0.1         | {"model": "per_unit", "rate": 0.1}
    rate             | not the JSON number 1.0         | {"model": "per_unit", "rate": 1.0}
    rate             | not the JSON number 1e2         | {"model": "per_unit", "rate": 1e2}
    rate             | not the JSON number 1e999       | {"model": "per_unit", "rate": 1e999}
    tiers[0].rate    | not the JSON number 0.5         | {"model": "volume", "tiers": [{"up_to": null, "rate": 0.5}]}
    rate             | must not be negative            | {"model": "per_unit", "rate": "-0.01"}
    rate             | must be a plain decimal number  | {"model": "per_unit", "rate": "1e2"}
    rate             | must be a plain decimal number  | {"model": "per_unit", "rate": "NaN"}
    rate             | must be a plain decimal number  | {"model": "per_unit", "rate": "Infinity"}
    rate             | must be a plain decimal number  | {"model": "per_unit", "rate": "1_000"}
    rate             | must be a plain decimal number  | {"model": "per_unit", "rate": " 1"}
    rate             | must be a plain decimal number  | {"model": "per_unit", "rate": "1\\n"}
    rate             | must be a plain decimal number  | {"model": "per_unit", "rate": "\\u0661"}
    rate             | must be a plain decimal number  | {"model": "per_unit", "rate": ".5"}
    rate             | must be a plain decimal number  | {"model": "per_unit", "rate": ""}
    rate             | must be a decimal                 | {"model": "per_unit", "rate": true}
    rate             | must be a decimal                 | {"model": "per_unit", "rate": null}
    rate             | must have at most 30 digits     | {"model": "per_unit", "rate": "1234567890123456789012345678901"}
    rate             | must have at most 30 digits     | {"model": "per_unit", "rate": "0.123456789012345678901234567890"}
    rate             | must have at most 30 digits     | {"model": "per_unit", "rate": 1234567890123456789012345678901}
    free_units       | must not be negative            | {"model": "per_unit", "rate": "1", "free_units": "-1"}
    amount           | must not be negative            | {"model": "flat", "amount": "-1"}
    size             | must be greater than 0          | {"model": "package", "size": "0", "rate": "1"}
    size             | is required                     | {"model": "package", "rate": "1"}
    unit.per         | must be greater than 0          | {"model": "per_unit", "rate": "1", "unit": {"per": "0", "name": "MB"}}
    unit.name        | is required                     | {"model": "per_unit", "rate": "1", "unit": {"per": "10"}}
    unit.name        | must have 1 to 64 printable     | {"model": "per_unit", "rate": "1", "unit": {"per": "10", "name": " "}}
    unit.name        | must have 1 to 64 printable     | {"model": "per_unit", "rate": "1", "unit": {"per": "10", "name": "a\\u0000"}}
    unit.name        | must be text                       | {"model": "per_unit", "rate": "1", "unit": {"per": "10", "name": 3}}
    tiers            | must have 1 to 100 tiers        | {"model": "graduated", "tiers": []}
    tiers            | must be a list                    | {"model": "graduated", "tiers": {}}
    tiers[0].up_to   | is required                     | {"model": "graduated", "tiers": [{"rate": "1"}]}
    tiers[0].fee     | is not a field of this price    | {"model": "graduated", "tiers": [{"up_to": null, "rate": "1", "fee": "1"}]}
    tiers[0].up_to   | must be null                    | {"model": "graduated", "tiers": [{"up_to": "5", "rate": "1"}]}
    tiers[0].up_to   | must be a number                | {"model": "volume", "tiers": [{"up_to": null, "rate": "1"}, {"up_to": null, "rate": "1"}]}
    tiers[0].up_to   | must be greater than 0          | {"model": "volume", "tiers": [{"up_to": "0", "rate": "1"}, {"up_to": null, "rate": "1"}]}
    tiers[1].up_to   | must be greater than 5          | {"model": "volume", "tiers": [{"up_to": "5", "rate": "1"}, {"up_to": "5.0", "rate": "1"}, {"up_to": null, "rate": "1"}]}
    tiers[1].flat    | must not be negative            | {"model": "volume", "tiers": [{"up_to": "5", "rate": "1"}, {"up_to": null, "rate": "1", "flat": "-1"}]}
    bounds           | must be one of       | {"model": "graduated", "bounds": "both", "tiers": [{"up_to": null, "rate": "1"}]}
    charge_first_tier_at_zero | must be true or false              | {"model": "volume", "charge_first_tier_at_zero": "yes", "tiers": [{"up_to": null, "rate": "1"}]}
    package_rounding | must be one of       | {"model": "package", "size": "1", "rate": "1", "package_rounding": "ceil"}
    unit.rounding    | must be one of      | {"model": "per_unit", "rate": "1", "unit": {"per": "10", "name": "MB", "rounding": "floor"}}
    unit.digits      | must be from 0 to 12            | {"model": "per_unit", "rate": "1", "unit": {"per": "10", "name": "MB", "rounding": "up", "digits": 13}}
    unit.digits      | must be from 0 to 12            | {"model": "per_unit", "rate": "1", "unit": {"per": "10", "name": "MB", "rounding": "up", "digits": -1}}
    unit.digits      | needs unit.rounding             | {"model": "per_unit", "rate": "1", "unit": {"per": "10", "name": "MB", "digits": 2}}
    tiers[1].up_to   | must be greater than 5          | {"model": "graduated", "tiers": [{"up_to": "5", "rate": "1"}, {"up_to": "3", "rate": "1"}, {"up_to": null, "rate": "1"}]}
    tiers[0].from    | is not a field of this price    | {"model": "graduated", "tiers": [{"from": "0", "up_to": null, "rate": "1"}]}
    tiers[0].rate    | is not a field of this price    | {"model": "graduated_percentage", "tiers": [{"up_to": null, "rate": "1", "percent": "1"}]}
    tiers[0].percent | is required                     | {"model": "graduated_percentage", "tiers": [{"up_to": null}]}
    tiers[0].percent | must not be negative            | {"model": "graduated_percentage", "tiers": [{"up_to": null, "percent": "-1"}]}
    tiers[1].percent | must be a plain decimal number  | {"model": "graduated_percentage", "tiers": [{"up_to": "1", "percent": "1"}, {"up_to": null, "percent": "1e400"}]}
    percent          | is required                     | {"model": "percentage"}
    percent          | not the JSON number 2.9         | {"model": "percentage", "percent": 2.9}
    percent          | must be a plain decimal number  | {"model": "percentage", "percent": "2.9%"}
    per_transaction  | must not be negative            | {"model": "percentage", "percent": "1", "per_transaction": "-0.3"}
    free_transactions | must be a whole number         | {"model": "percentage", "percent": "1", "free_transactions": "1.5"}
    free_amount_covers | must be one of                | {"model": "percentage", "percent": "1", "free_amount_covers": "fixed"}
    free_units       | is not a field of this price    | {"model": "percentage", "percent": "1", "free_units": "1"}
    maximum_per_transaction | must not be less than minimum_per_transaction, which is 2 | {"model": "percentage", "percent": "1", "minimum_per_transaction": "2", "maximum_per_transaction": "1.99"}
    markup_percent   | must not be negative            | {"model": "dynamic", "markup_percent": "-5"}
    minimum_spend    | must be a plain decimal number  | {"model": "flat", "amount": "1", "minimum_spend": "NaN"}
    minimum_spend    | must not be negative            | {"model": "flat", "amount": "1", "minimum_spend": "-1"}
    maximum_spend    | must not be less than minimum_spend, which is 5 | {"model": "flat", "amount": "1", "minimum_spend": "5", "maximum_spend": "4"}
    maximum_spend    | must have at most 30 digits     | {"model": "flat", "amount": "1", "maximum_spend": "1234567890123456789012345678901234567890"}
    discounts        | must have at most 10 discounts  | {"model": "flat", "amount": "1", "discounts": [{"amount": 1},{"amount": 1},{"amount": 1},{"amount": 1},{"amount": 1},{"amount": 1},{"amount": 1},{"amount": 1},{"amount": 1},{"amount": 1},{"amount": 1}]}
    discounts[0]     | must have exactly one of amount, percent and units | {"model": "flat", "amount": "1", "discounts": [{}]}
    discounts[1]     | must have exactly one of amount, percent and units | {"model": "flat", "amount": "1", "discounts": [{"amount": "1"}, {"amount": "1", "percent": "1"}]}
    discounts[0].percent | must be at most 100         | {"model": "flat", "amount": "1", "discounts": [{"percent": "100.01"}]}
    discounts[0].amount | must be greater than 0       | {"model": "flat", "amount": "1", "discounts": [{"amount": "0"}]}
    discounts[0].units | must be left out              | {"model": "flat", "amount": "1", "discounts": [{"units": "1"}]}
    discounts[0].name | is not a field of this price   | {"model": "flat", "amount": "1", "discounts": [{"name": "spring", "amount": "1"}]}
    rounding         | must be one of    | {"model": "flat", "amount": "1", "rounding": "ceiling"}
    round_each       | must be one of       | {"model": "flat", "amount": "1", "round_each": "unit"}
    None             | must be an object                     | []
    None             | must be JSON                    | {"model": "per_unit"
    None             | must be JSON                    |
"""

BAD_ROWS = [[cell.strip() for cell in row.split("|", 2)] for row in BAD_PRICES.strip().splitlines()]


@pytest.mark.parametrize(("field", "rule", "text"), BAD_ROWS)
def test_a_bad_price_is_refused_by_field_and_rule(field: str, rule: str, text: str) -> None:
    """The answer names the path of the field to blame and the rule it breaks."""
    with pytest.raises(InvalidPrice) as caught:
        read_price(text.encode())
    assert str(caught.value.field) == field
    assert rule in caught.value.message
    assert (caught.value.code, caught.value.kind) == ("rating.invalid_price", Kind.INVALID)


@pytest.mark.parametrize("data", [b"\xff\xfe", b'{"model": "\xff"}', b"[" * 100_000, b"\x00" * 100])
def test_bytes_that_are_no_json_are_refused_as_such(data: bytes) -> None:
    """Malformed UTF-8, a binary file and endless nesting get the same clear answer as a typing error."""
    with pytest.raises(InvalidPrice, match="must be JSON"):
        read_price(data)


def test_a_float_in_content_that_is_already_decoded_is_refused_too() -> None:
    """Nobody gets a binary fraction past the door by decoding the JSON first."""
    with pytest.raises(InvalidPrice) as caught:
        read_price({"model": "volume", "tiers": [{"up_to": None, "rate": 0.5}]})
    assert caught.value.field == "tiers[0].rate"


def test_a_whole_json_number_is_exact_and_welcome() -> None:
    """An integer loses nothing, so it is read as if it stood in quotes."""
    assert read_price(b'{"model": "per_unit", "rate": 2}') == read_price(b'{"model": "per_unit", "rate": "2.00"}')


def test_equal_prices_are_written_as_one_text() -> None:
    """However a number was written, the price has one content and so one hash."""
    written = [price_to_builtins(read_price({"model": "per_unit", "rate": text})) for text in ("0.10", "0.1", "00.100")]
    assert written == [{"model": "per_unit", "rate": "0.1"}] * 3


def test_a_price_made_in_code_is_held_to_the_same_rules() -> None:
    """There is no way round the checks: a price that exists is valid."""
    with pytest.raises(InvalidPrice):
        PerUnit(rate=Decimal("NaN"))
    with pytest.raises(InvalidPrice):
        Volume(tiers=(Tier(up_to=Decimal(5), rate=Decimal(1)),))


def test_all_of_a_price_can_be_discounted() -> None:
    """A hundred percent is a discount, and leaves nothing to ask for."""
    price = read_price({"model": "flat", "amount": "3", "discounts": [{"percent": "100"}]})
    assert rate(price, Decimal(1), USD, "periods").amount == 0


def test_a_hundred_tiers_are_the_most() -> None:
    """One hundred tiers are read, one more is refused."""

    def price(count: int) -> bytes:
        tiers: list[dict[str, Any]] = [{"up_to": str(place + 1), "rate": "1"} for place in range(count)]
        tiers[-1]["up_to"] = None
        return json.dumps({"model": "graduated", "tiers": tiers}).encode()

    assert rate(read_price(price(100)), Decimal(200), USD, "events").amount == 20000
    with pytest.raises(InvalidPrice, match="must have 1 to 100 tiers"):
        read_price(price(101))


@pytest.mark.parametrize(
    ("quantity", "rule"),
    [
        ("-1", "must not be negative"),
        ("-0.0000001", "must not be negative"),
        ("NaN", "must be a finite number"),
        ("sNaN", "must be a finite number"),
        ("Infinity", "must be a finite number"),
        ("-Infinity", "must be a finite number"),
        ("1" * 41, "at most 40 digits"),
        ("0." + "1" * 40, "at most 40 digits"),
        ("1E+40", "at most 40 digits"),
        ("1E+999999", "at most 40 digits"),
        ("1E-999999", "at most 40 digits"),
    ],
)
@pytest.mark.parametrize("model", [{"model": "flat", "amount": "1"}, {"model": "per_unit", "rate": "1"}])
def test_what_no_meter_can_have_counted_is_refused(model: dict[str, str], quantity: str, rule: str) -> None:
    """A quantity that is negative, endless or over 40 digits is an error, whatever the price."""
    with pytest.raises(InvalidQuantity, match=rule) as caught:
        rate(read_price(model), Decimal(quantity), USD, "events")
    assert (caught.value.code, caught.value.field) == ("rating.invalid_quantity", "quantity")


def test_the_largest_amount_is_asked_and_one_more_is_refused() -> None:
    """2**63 - 1 minor units still fit a transfer; an amount that rounds to more does not."""
    price = read_price({"model": "per_unit", "rate": "1"})
    points = Asset("POINT", 0)
    assert rate(price, Decimal(MAX_AMOUNT), points, "events").amount == MAX_AMOUNT
    for quantity in (Decimal(MAX_AMOUNT + 1), Decimal(MAX_AMOUNT) + Decimal("0.5"), Decimal("9" * 40)):
        with pytest.raises(AmountTooLarge, match="9223372036854775807 minor units of POINT"):
            rate(price, quantity, points, "events")


def test_the_limit_counts_minor_units_after_rounding() -> None:
    """In dollars it is a hundred times nearer, and half a cent over it is rounded first, to the even cent above."""
    price = read_price({"model": "per_unit", "rate": "0.01"})
    assert rate(price, Decimal(MAX_AMOUNT) + Decimal("0.4"), USD, "events").amount == MAX_AMOUNT
    for more in ("0.5", "1"):
        with pytest.raises(AmountTooLarge):
            rate(price, Decimal(MAX_AMOUNT) + Decimal(more), USD, "events")


def test_the_longest_numbers_of_all_stay_exact() -> None:
    """Forty digits times thirty digits, converted by the awkwardest power of two, come out to the last digit."""
    price = {"model": "per_unit", "rate": "0." + "0" * 28 + "1", "unit": {"per": str(2**99), "name": "heaps"}}
    (detail,) = rate(read_price(price), Decimal("9" * 40), USD, "events").details
    assert Decimal(detail.amount) > 0
    assert "/" not in detail.amount


BY_EVENT: dict[str, Any] = {"model": "percentage", "percent": "1", "per_transaction": "0.3"}
BY_ITSELF: dict[str, Any] = {"model": "percentage", "percent": "1", "minimum_per_transaction": "0.3"}


@pytest.mark.parametrize(
    ("price", "field", "rule"), [(BY_EVENT, "events", "how many"), (BY_ITSELF, "transactions", "each")]
)
def test_a_price_by_transaction_is_not_rated_without_them(price: dict[str, Any], field: str, rule: str) -> None:
    """Who does not say what the price needs is told what it is, rather than given an amount that lacks a part."""
    known = read_price(price)
    assert needs(known) == field
    with pytest.raises(TransactionsNeeded, match=rule) as caught:
        rate(known, Decimal(10), USD, "USD")
    assert caught.value.field == field


@pytest.mark.parametrize(
    ("transactions", "events", "field", "rule"),
    [
        (["4", "5"], None, "transactions", "must be the sum"),
        (["4", "6"], 3, "events", "as many events as there are transactions"),
        (["11", "-1"], None, "transactions[1]", "must not be negative"),
        (["10", "NaN"], None, "transactions[1]", "must be a finite number"),
        (["1E+400"], None, "transactions[0]", "at most 40 digits"),
        (None, -1, "events", "fewer events than none"),
    ],
)
def test_transactions_that_contradict_the_quantity_are_refused(
    transactions: list[str] | None, events: int | None, field: str, rule: str
) -> None:
    """Each is held to the rules of a quantity, and all of them to their sum and number."""
    amounts = None if transactions is None else [Decimal(amount) for amount in transactions]
    with pytest.raises(InvalidQuantity, match=rule) as caught:
        rate(read_price(BY_EVENT), Decimal(10), USD, "USD", events=events, transactions=amounts)
    assert caught.value.field == field


@pytest.mark.parametrize(
    ("share", "rule"),
    [
        (Fraction(-1, 31), "must not be negative"),
        (Fraction(1, 10**15), "at most 15 digits"),
        (Fraction(10**15), "15 digits"),
    ],
)
def test_what_is_no_share_of_a_period_is_refused(share: Fraction, rule: str) -> None:
    """A share is not negative, and its parts are no longer than microseconds of a lifetime."""
    with pytest.raises(InvalidShare, match=rule) as caught:
        rate(read_price({"model": "flat", "amount": "1"}), Decimal(1), USD, "periods", share=share)
    assert (caught.value.code, caught.value.field) == ("rating.invalid_share", "share")


def test_the_longest_numbers_stay_exact_in_the_smallest_share() -> None:
    """Forty digits, thirty digits and a share of fifteen still divide to the last digit, fee and all."""
    price = {"model": "package", "size": "0." + "0" * 28 + "3", "rate": "0." + "0" * 20 + "9", "package_rounding": "exact",
             "unit": {"per": "0." + "0" * 28 + "7", "name": "crumbs"}, "discounts": [{"percent": "0." + "0" * 28 + "1"}] * 10}  # fmt: skip
    line = rate(
        read_price(price), Decimal("0." + "0" * 38 + "1"), Asset("POINT", 18), "e", share=Fraction(1, 10**15 - 1)
    )
    assert line.amount > 0


def test_a_negative_share_cannot_be_prorated() -> None:
    """What is taken back is a negative amount, never a negative share."""
    with pytest.raises(ValueError, match="not negative"):
        prorate(100, [Fraction(1), Fraction(-1, 2)])
