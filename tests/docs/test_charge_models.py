"""The reference of charge models: its examples rate as they say, and it leaves no field out."""

import re
from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction
from typing import Any, get_args

import msgspec
import pytest

from tallystick.money import currency
from tallystick.rating.model import Detail, Part, Price
from tallystick.rating.rate import rate
from tallystick.rating.read_price import read_price
from tallystick.rating.terms import Discount, PercentTier, Terms, Tier, Unit
from tests.docs.runnable import ROOT

PAGE = (ROOT / "docs" / "reference" / "charge-models.md").read_text("utf-8")
_EXAMPLE = re.compile(r"^```json\n(?P<json>.*?)^```\n\n```text\n(?P<text>.*?)^```$", re.MULTILINE | re.DOTALL)


@dataclass(frozen=True)
class Example:
    """An input of the preview, and the sentences of the lines that it answers with."""

    input: dict[str, Any]
    sentences: list[str]


EXAMPLES = [
    Example(msgspec.json.decode(found["json"]), found["text"].splitlines()) for found in _EXAMPLE.finditer(PAGE)
]


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda one: one.sentences[-1][:50])
def test_an_example_rates_as_it_says(example: Example) -> None:
    """Whoever sends the input gets these sentences."""
    said = [rated(example.input, quantity) for quantity in example.input["quantities"]]
    assert said == example.sentences


def rated(given: dict[str, Any], quantity: dict[str, Any]) -> str:
    """Rate one quantity of an example and return its sentence."""
    transactions = [Decimal(one) for one in quantity.get("transactions", [])]
    return rate(
        read_price(given["price"]),
        Decimal(quantity["quantity"]) if "quantity" in quantity else sum(transactions, Decimal(0)),
        currency(given["asset"]),
        given["unit"],
        share=Fraction(quantity.get("share", "1")),
        events=quantity.get("events"),
        transactions=transactions or None,
    ).explanation


def test_every_model_has_an_example() -> None:
    """No model is described in words alone."""
    models = {model.__struct_config__.tag for model in get_args(Price)}
    assert {example.input["price"]["model"] for example in EXAMPLES} == models


def test_every_field_and_part_is_named() -> None:
    """A field that a price may have, and a part that a line may have, stands on the page."""
    structs = (*get_args(Price), Terms, Unit, Tier, PercentTier, Discount, Detail)
    names = {field.encode_name for struct in structs for field in msgspec.structs.fields(struct)} | set(get_args(Part))
    quoted = set(re.findall(r'[`"](\w+)[`"]', PAGE))
    assert names - quoted == set()
