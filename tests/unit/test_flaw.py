"""What is wrong with an input is told in plain words, and no instant is rounded in silence."""

import datetime as dt
import enum
import json
import uuid
from collections.abc import Iterator
from typing import Annotated, Any, Literal

import msgspec
import pytest
from msgspec import Meta, inspect

from tallystick.errors import InvalidInput
from tallystick.flaw import SHAPES, find_flaw, require_whole_instants
from tallystick.operations.table import TABLE
from tallystick.usage.model import InvalidEvent, decode_event

Instant = Annotated[dt.datetime, Meta(tz=True)]


class _Kind(enum.Enum):
    PAID = "paid"
    GIVEN = "given"


class _Flat(msgspec.Struct, tag_field="model", tag="flat", forbid_unknown_fields=True):
    amount: int


class _Tiered(msgspec.Struct, tag_field="model", tag="tiered"):
    since: Instant


class _Given(msgspec.Struct, forbid_unknown_fields=True):
    kind: _Kind | None = None
    size: Literal["s", "m"] = "s"
    at: Instant | None = None
    day: dt.date | None = None
    count: Annotated[int, Meta(ge=1, le=5)] = 1
    limits: dict[Annotated[str, Meta(max_length=2)], Annotated[int, Meta(gt=0)]] = {}
    prices: Annotated[list[_Flat | _Tiered], Meta(max_length=2)] = []
    id: uuid.UUID | None = None
    country: Annotated[str, Meta(pattern=r"^[A-Z]{2}$(?!\n)")] | None = None
    whatever: Any = None

    def __post_init__(self) -> None:
        if self.count == 5:
            raise ValueError("five is too many on a Sunday")


FLAWS: list[tuple[str, str | None, str]] = [
    ('{"kind": "sold"}', "kind", "Expected one of paid, given or null"),
    ('{"size": "xl"}', "size", "Expected one of m, s"),
    ('{"at": "2024-01-01T00:00:00"}', "at", "Expected an instant with its zone, such as 2024-01-01T00:00:00Z or null"),
    ('{"at": "soon"}', "at", "Expected an instant with its zone, such as 2024-01-01T00:00:00Z or null"),
    ('{"day": "2024-13-01"}', "day", "Expected a day, such as 2024-01-31 or null"),
    ('{"count": 0}', "count", "Expected a whole number of 1 to 5"),
    ('{"count": 2.5}', "count", "Expected a whole number of 1 to 5"),
    ('{"count": 5}', None, "five is too many on a Sunday"),
    ('{"limits": {"abc": 1}}', "limits", "Expected text of at most 2 characters"),
    ('{"limits": {"a": 0}}', "limits[...]", "Expected a whole number of at least 1"),
    ('{"prices": [{"model": "free"}]}', "prices[0].model", "Expected one of flat, tiered"),
    ('{"prices": [{"amount": 1}]}', "prices[0].model", "The field is required"),
    ('{"prices": [{"model": "flat"}]}', "prices[0].amount", "The field is required"),
    ('{"prices": [1, 2, 3]}', "prices[0]", "Expected an object"),
    ('{"id": "7"}', "id", "Expected a UUID, such as 01900000-0000-7000-8000-000000000000 or null"),
    ('{"country": "Austria"}', "country", "Expected text that is a country's code of two letters, such as AT or null"),
    ("[]", None, "Expected an object"),
]


@pytest.mark.parametrize(("given", "field", "rule"), FLAWS)
def test_what_is_expected_is_told_from_the_type(given: str, field: str | None, rule: str) -> None:
    """Neither a pattern nor the name of a Python type reaches a caller."""
    with pytest.raises(msgspec.ValidationError) as caught:
        msgspec.json.decode(given, type=_Given)
    found = find_flaw(caught.value, _Given)
    assert (found.field, found.rule) == (field, rule)


def test_an_unknown_field_is_told_with_those_there_are() -> None:
    """So that a slip of the pen is seen."""
    with pytest.raises(msgspec.ValidationError) as caught:
        msgspec.json.decode('{"knd": "paid"}', type=_Given)
    found = find_flaw(caught.value, _Given)
    assert found.field == "knd"
    assert found.rule.startswith("There is no such field; there are kind, size, at")


FINE = "2024-01-01T00:00:00.1234567Z"


@pytest.mark.parametrize(
    ("given", "field"),
    [
        ({"at": FINE}, "at"),
        ({"at": "2024-01-01T00:00:00.000000000001Z"}, "at"),
        ({"prices": [{"model": "tiered", "since": FINE}]}, "prices[0].since"),
    ],
)
def test_an_instant_finer_than_a_microsecond_is_refused(given: dict[str, Any], field: str) -> None:
    """It would be kept as another one; that holds in JSON and in what was read from it."""
    for value in (given, json.dumps(given).encode()):
        with pytest.raises(InvalidInput) as refused:
            require_whole_instants(value, _Given)
        assert refused.value.field == field


@pytest.mark.parametrize(
    "given",
    [
        rb'{"at": "2024-01-01T00:00:00\u002e1234567Z"}',
        rb'{"at": "2024-01-01T00:00:00.123456\u0037Z"}',
        rb'{"\u0061t": "2024-01-01T00:00:00.1234567Z"}',
    ],
)
def test_such_an_instant_is_found_however_it_is_written(given: bytes) -> None:
    """JSON can write any character by its number; an event of a file is no exception."""
    with pytest.raises(InvalidInput) as refused:
        require_whole_instants(given, _Given)
    assert refused.value.field == "at"
    with pytest.raises(InvalidEvent) as unfit:
        decode_event(given[:-1] + b', "customer": "ada", "id": "1"}')
    assert unfit.value.field == "at"


@pytest.mark.parametrize("given", [{"at": "2024-01-01T00:00:00.1234560Z"}, {"whatever": FINE}, {"country": FINE}, {}])
def test_nothing_else_is_taken_for_such_an_instant(given: dict[str, Any]) -> None:
    """Zeros are no loss, and a text may look like one."""
    for value in (given, json.dumps(given).encode()):
        require_whole_instants(value, _Given)


def test_every_pattern_of_an_input_is_worded() -> None:
    """A pattern is for machines: whoever adds one says in `tallystick.flaw.SHAPES` what it takes."""
    found = {pattern for operation in TABLE.values() for pattern in _patterns(inspect.type_info(operation.input), ())}
    assert found
    assert not found - SHAPES.keys()


def _patterns(type_: Any, above: tuple[type, ...]) -> Iterator[str]:  # noqa: ANN401 - any node of a type
    match type_:
        case inspect.StrType():
            yield from [type_.pattern] if type_.pattern else []
        case inspect.StructType() if type_.cls not in above:
            for field in type_.fields:
                yield from _patterns(field.type, (*above, type_.cls))
        case inspect.UnionType():
            for one in type_.types:
                yield from _patterns(one, above)
        case inspect.Metadata():
            yield from _patterns(type_.type, above)
        case inspect.DictType():
            yield from _patterns(type_.key_type, above)
            yield from _patterns(type_.value_type, above)
        case inspect.ListType():
            yield from _patterns(type_.item_type, above)
        case _:
            return
