"""Read a price from JSON and write it back, every number as decimal text."""

import re
from decimal import Decimal
from typing import Any, cast, get_args

import msgspec

from tallystick.flaw import find_flaw
from tallystick.rating.check_number import InvalidPrice, invalid
from tallystick.rating.exact import plain
from tallystick.rating.model import Price
from tallystick.rating.terms import Discount, PercentTier, Tier, Unit

_DECIMAL_TEXT = re.compile(r"-?[0-9]+(\.[0-9]+)?")
_COMPLAINT = re.compile(r"(?P<rule>.*?)(?: - at `\$\.?(?P<path>[^`]*)`)?", re.DOTALL)
_COMPLAINT_OF_FIELD = re.compile(r"Object (?P<what>missing required|contains unknown) field `(?P<name>.*)`", re.DOTALL)

_NUMBERS = frozenset(
    field.encode_name
    for struct in (*get_args(Price), Tier, PercentTier, Discount, Unit)
    for field in msgspec.structs.fields(struct)
    if field.type in (Decimal, Decimal | None)
)
"""The names of all fields that hold a number."""


class _JsonFraction(msgspec.Struct, frozen=True):
    """A JSON number with a fraction or an exponent, kept as it was written."""

    text: str


_decoder = msgspec.json.Decoder(float_hook=_JsonFraction)


def read_price(data: bytes | dict[str, Any]) -> Price:
    """
    Read a price from JSON text, or from what JSON text was decoded to.

    Raises:
        InvalidPrice: rating.invalid_price: it is not JSON, a field is missing, unknown or of another type, a number
            is a JSON number with a fraction or an exponent, or breaks a rule of its model.
    """
    content = _decode(data) if isinstance(data, bytes) else data
    _check_numbers(content)
    try:
        # The union of tagged structs is a form mypy cannot express as a type argument.
        return cast("Price", msgspec.convert(content, Price))
    except msgspec.ValidationError as problem:
        raise _translate(problem) from None


def price_to_builtins(price: Price) -> dict[str, Any]:
    """Write *price* as what JSON has words for; equal prices give equal content, so it can be hashed."""
    content = _builtins(price)
    return {"model": type(price).__struct_config__.tag, **content}


def _decode(data: bytes) -> object:
    try:
        return _decoder.decode(data)
    except (msgspec.DecodeError, UnicodeDecodeError) as problem:
        raise invalid(None, f"must be JSON: {problem}") from None
    except RecursionError:
        raise invalid(None, "must be JSON: nested too deeply") from None


def _check_numbers(content: object) -> None:
    """Refuse numbers that are binary floating point to most readers of JSON, and text that is not plain decimal."""
    waiting: list[tuple[str, str, object]] = [("", "", content)]
    while waiting:
        path, name, value = waiting.pop()
        if isinstance(value, _JsonFraction | float):
            text = value.text if isinstance(value, _JsonFraction) else repr(value)
            raise invalid(path or None, f"must be decimal text in quotes, not the JSON number {text[:40]}")
        if isinstance(value, str) and name in _NUMBERS and not _DECIMAL_TEXT.fullmatch(value):
            raise invalid(path, "must be a plain decimal number such as 12.50")
        if isinstance(value, dict):
            waiting.extend((f"{path}.{key}" if path else str(key), str(key), inner) for key, inner in value.items())
        elif isinstance(value, list | tuple):
            waiting.extend((f"{path}[{place}]", "", inner) for place, inner in enumerate(value))


def _translate(problem: msgspec.ValidationError) -> InvalidPrice:
    """Turn msgspec's complaint into ours, its path into our field."""
    found = _COMPLAINT.fullmatch(str(problem))
    rule, path = (found["rule"], found["path"] or "") if found else (str(problem), "")
    about = _COMPLAINT_OF_FIELD.fullmatch(rule)
    if about is not None:
        field = f"{path}.{about['name']}" if path else about["name"]
        return invalid(field, "is required" if about["what"].startswith("missing") else "is not a field of this price")
    expected = find_flaw(problem, Price).expected
    return invalid(
        path or None, f"is wrong: {rule[:1].lower()}{rule[1:]}" if expected is None else f"must be {expected}"
    )


def _builtins(struct: msgspec.Struct) -> dict[str, Any]:
    """Write the fields of *struct* that differ from their defaults."""
    content: dict[str, Any] = {}
    for field in msgspec.structs.fields(struct):
        value = getattr(struct, field.name)
        if field.required or value != field.default:
            content[field.encode_name] = _builtin(value)
    return content


def _builtin(value: object) -> object:
    if isinstance(value, Decimal):
        return plain(value)
    if isinstance(value, tuple):
        return [_builtin(inner) for inner in value]
    return _builtins(value) if isinstance(value, msgspec.Struct) else value
