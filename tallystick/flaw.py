"""
What is wrong with an input, in plain words: the field, and what is expected there.

msgspec decodes every input and finds what does not fit; its words are for programmers, and are put here into ours, for all
doors alike. What is expected is told from the type that the field has, so it cannot differ from what is taken.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from typing import Any

import msgspec
from msgspec import inspect

from tallystick.errors import InvalidInput

INSTANT = "an instant with its zone, such as 2024-01-01T00:00:00Z"
_NOT_FINER = (
    "Expected an instant to the microsecond: it has a digit behind the sixth of its fraction, which would be lost"
)
_SHOWN = 20
"""A list of what there is, is told if it is not longer."""

SHAPES = {
    r"^[^\x00]+$(?!\n)": "without U+0000",
    r"^[^\x00]*$(?!\n)": "without U+0000",
    r"^[^\x00-\x1f\x7f]+$(?!\n)": "without control characters",
    r"^[^\x00-\x1f\x7f]*$(?!\n)": "without control characters",
    r"^[^\x00-\x1f\x7f\ufffe\uffff]+$(?!\n)": "without control characters",
    r"^[^\x00-\x09\x0b-\x1f\x7f]+$": "without control characters but line breaks",
    r"^[a-z][a-z0-9_]{0,31}$(?!\n)": "that begins with a-z and has up to 32 characters of a-z, 0-9 and _",
    r"^[a-z][a-z0-9_]{0,62}$(?!\n)": "that begins with a-z and has up to 63 characters of a-z, 0-9 and _",
    r"^[a-z][a-z0-9_-]{0,30}$(?!\n)": "that begins with a-z and has up to 31 characters of a-z, 0-9, _ and -",
    r"^[a-z][a-z0-9_.-]{0,62}$(?!\n)": "that begins with a-z and has up to 63 characters of a-z, 0-9, _, . and -",
    r"^[A-Z][A-Z0-9_]{0,31}$(?!\n)": "that begins with A-Z and has up to 32 characters of A-Z, 0-9 and _, such as USD",
    r"^[A-Z][A-Z0-9-]{0,15}$(?!\n)": "that begins with A-Z and has up to 16 characters of A-Z, 0-9 and -, such as INV",
    r"^[A-Za-z0-9][A-Za-z0-9_.:-]{0,127}$(?!\n)": "that begins with a letter or digit of ASCII and has up to 128 of those and of _ . : -",
    r"^[A-Z]{3}$(?!\n)": "that is a currency's code of three letters, such as EUR",
    r"^[A-Za-z]{2}[0-9]{2}[A-Za-z0-9 ]{11,40}$(?!\n)": "that is an IBAN, such as DE89370400440532013000",
    r"^[A-Z]{2}[0-9]{2}[A-Z0-9]{3}[A-Za-z0-9]{1,28}$(?!\n)": "that is a SEPA creditor's identifier, such as DE98ZZZ09999999999",
    r"^[A-Z0-9]{4}[A-Z]{2}[A-Z0-9]{2}([A-Z0-9]{3})?$(?!\n)": "that is a BIC of 8 or 11 characters, such as COBADEFFXXX",
    r"^[A-Z]{2}$(?!\n)": "that is a country's code of two letters, such as AT",
    r"^[A-Z]{2}(-[A-Z0-9]{1,3})?$(?!\n)": "that is a country's code, with a part of the country or without, such as AT or DE-BY",
    r"^[A-Z]{2}(-[A-Z0-9]{1,16})*$(?!\n)": "that is a country's code, with parts of the country or without, such as AT or US-CA",
    r"^[0-9]{4}-(0[1-9]|1[0-2])$(?!\n)": "that is a month, such as 2024-01",
    r"^[0-9]{1,18}$(?!\n)": "of 1 to 18 digits",
    r"^[0-9]{0,18}$(?!\n)": "of up to 18 digits",
    r"^[0-9]{0,7}$(?!\n)": "of up to 7 digits",
    r"^[0-9]{1,16}(/[0-9]{1,16})?$(?!\n)": "that is a whole number or a fraction of two, such as 10/31",
    r"^[0-9]{1,15}(\.[0-9]{1,15})?$(?!\n)": "that is a decimal number, not negative, with up to 15 digits on each side of the point, such as 12.50",
    r"^[0-9]{1,18}(\.[0-9]{1,18})?$(?!\n)": "that is a decimal number, not negative, with up to 18 digits on each side of the point, such as 12.50",
    r"^-?[0-9]{1,18}(\.[0-9]{1,18})?$(?!\n)": "that is a decimal number with up to 18 digits on each side of the point, such as 12.50",
    r"^-?[0-9]{1,9}(\.[0-9]{1,12})?$(?!\n)": "that is a decimal number with up to 9 digits before the point and 12 behind it, such as 0.20",
    r"^[0-9]{1,9}(\.[0-9]{1,12})?$(?!\n)": "that is a decimal number, not negative, with up to 9 digits before the point and 12 behind it, such as 1.25",
    r"^[0-9]{1,6}(\.[0-9]{1,12})?$(?!\n)": "that is a decimal number, not negative, with up to 6 digits before the point and 12 behind it, such as 1.25",
    r"^[0-9a-f]{64}$(?!\n)": "of 64 hexadecimal digits of 0-9 and a-f",
    r"^(\*|[a-z]+:(\*|[a-z]+))$(?!\n)": "that is a scope, such as ledger:read, usage:* or *",
    r"^[^@\s\x00-\x1f\x7f]+@[^@\s\x00-\x1f\x7f]+$(?!\n)": "that is an address of e-mail, such as ada@example.com",
}  # fmt: skip
"""What a text is that a pattern takes, behind the word text. A pattern that an input has stands here (a test finds it)."""

_PLACE = re.compile(r"(?P<rule>.*?) - at (?P<key>`key` in )?`\$(?P<path>[^`]*)`", re.DOTALL)
_ABOUT_FIELD = re.compile(
    r"Object (?P<what>missing required|contains unknown) field `(?P<name>[^`]*)`(?P<rest>.*)", re.DOTALL
)
_STEP = re.compile(r"\.(?P<name>[^.\[]+)|\[(?P<place>\.\.\.|[0-9]+)\]")
_OWN_WORDS = ("Expected `", "Invalid ", "Timestamp ", "Object ")
"""How msgspec's complaints begin; whatever begins otherwise was said by a class of ours, in its own words."""
_TOO_FINE = re.compile(r"\.[0-9]{6}0*[1-9]", re.ASCII)
_TOO_FINE_BYTES = re.compile(rb"\.[0-9]{6}0*[1-9]")
_ESCAPE = rb"\u"
"""Where one stands, a point or a digit may be written otherwise."""


@dataclass(frozen=True, slots=True)
class Flaw:
    """What is wrong with an input."""

    field: str | None
    """The path of the field at fault; None: it is the whole."""
    rule: str
    """What is wrong, as a sentence without its point."""
    expected: str | None = None
    """What belongs there, as in ``one of paid, promotional``, where it is the value that is wrong."""


def find_flaw(error: msgspec.ValidationError, type_: Any) -> Flaw:  # noqa: ANN401 - whatever can be decoded
    """Say in plain words what msgspec found wrong when it decoded as *type_*."""
    text = str(error)
    found = _PLACE.fullmatch(text)
    rule, path = (found["rule"], found["path"]) if found else (text, "")
    field = path.lstrip(".")
    about = _ABOUT_FIELD.fullmatch(rule)
    if about is not None:
        return _about_field(about, field, type_, path)
    if not rule.startswith(_OWN_WORDS):
        return Flaw(field or None, rule)
    place = _find(inspect.type_info(type_), path)
    if place is not None and found is not None and found["key"]:
        place = place.key_type if isinstance(place, inspect.DictType) else None
    if place is None:
        return Flaw(field or None, rule)
    expected = describe(place)
    return Flaw(field or None, f"Expected {expected}", expected)


def describe(type_: inspect.Type) -> str:  # noqa: PLR0911 - one for each type
    """Say what a type takes, as a noun."""
    match type_:
        case inspect.Metadata():
            return describe(type_.type)
        case inspect.UnionType():
            return _describe_union(type_)
        case inspect.EnumType() | inspect.LiteralType():
            return _describe_choice(type_)
        case inspect.StrType():
            length = _range(type_.min_length, type_.max_length, " of {} characters")
            shape = "" if type_.pattern is None else f" {SHAPES.get(type_.pattern, f'of the form {type_.pattern}')}"
            return f"text{length}{shape}"
        case inspect.IntType():
            least = type_.ge if type_.gt is None else type_.gt + 1
            most = type_.le if type_.lt is None else type_.lt - 1
            return f"a whole number{_range(least, most, ' of {}')}"
        case inspect.ListType() | inspect.VarTupleType() | inspect.SetType() | inspect.FrozenSetType():
            return f"a list{_range(type_.min_length, type_.max_length, ' of {} elements')}"
        case inspect.TupleType():
            return f"a list of {len(type_.item_types)} elements"
        case _:
            return _NOUNS.get(type(type_), "another value")


def worded(error: msgspec.ValidationError, type_: Any, within: str | None = None) -> InvalidInput:  # noqa: ANN401 - as above
    """Make of what msgspec found wrong an error of ours; *within* is the path of what was decoded, if that is not all."""
    flaw = find_flaw(error, type_)
    return InvalidInput(field=".".join(part for part in (within, flaw.field) if part) or None, rule=flaw.rule)


@cache
def _type_info(type_: Any) -> inspect.Type:  # noqa: ANN401 - as above
    return inspect.type_info(type_)


def require_whole_instants(value: object, type_: Any) -> None:  # noqa: ANN401 - as above
    """
    Find that no instant is finer than what is kept, the microsecond: msgspec would round it in silence.

    *value* is what is decoded as *type_*: JSON as bytes, or the builtin values it stands for.

    Raises:
        InvalidInput: one is (``invalid_input``).
    """
    if not _has_instants(type_):
        return
    if isinstance(value, bytes):
        if _TOO_FINE_BYTES.search(value) is None and _ESCAPE not in value:
            return
        value = msgspec.json.decode(value)
    for field in _find_finer(value, _type_info(type_), ""):
        raise InvalidInput(field=field or None, rule=_NOT_FINER)


def _about_field(about: re.Match[str], field: str, type_: Any, path: str) -> Flaw:  # noqa: ANN401 - as above
    """Blame the field that is missing or unknown, not the object that it is missing from or unknown to."""
    at = ".".join(part for part in (field, about["name"]) if part)
    if about["what"] == "missing required":
        return Flaw(at, f"The field is required{about['rest']}")
    names = _names_in(_find(inspect.type_info(type_), path))
    there_are = f"; there are {', '.join(names)}" if 0 < len(names) <= _SHOWN and not about["rest"] else ""
    return Flaw(at, f"There is no such field{about['rest']}{there_are}")


def _find(type_: inspect.Type, path: str) -> inspect.Type | None:
    """Follow a path of msgspec's from a type to the one of the value there; None where it cannot be followed."""
    found: inspect.Type | None = type_
    for step in _STEP.finditer(path):
        found = None if found is None else _inside(found, step["name"])
    return found


def _inside(type_: inspect.Type, name: str | None) -> inspect.Type | None:  # noqa: PLR0911 - one for each type
    """Return the type of what is inside: under a *name*, or of any element."""
    match type_:
        case inspect.Metadata():
            return _inside(type_.type, name)
        case inspect.UnionType():
            found = [one for one in (_inside(each, name) for each in type_.types) if one is not None]
            tags = [value for one in found if isinstance(one, inspect.LiteralType) for value in one.values]
            return inspect.LiteralType(tuple(tags)) if tags else next(iter(found), None)
        case inspect.StructType() if name is not None and name == type_.tag_field:
            return inspect.LiteralType((type_.tag,))
        case inspect.StructType():
            return next((one.type for one in type_.fields if one.encode_name == name), None)
        case inspect.DictType():
            return type_.value_type
        case inspect.ListType() | inspect.VarTupleType() | inspect.SetType() | inspect.FrozenSetType() if name is None:
            return type_.item_type
        case _:
            return None


def _names_in(type_: inspect.Type | None) -> list[str]:
    match type_:
        case inspect.Metadata():
            return _names_in(type_.type)
        case inspect.UnionType():
            structs = [one for one in type_.types if isinstance(one, inspect.StructType)]
            return _names_in(structs[0]) if len(structs) == 1 else []
        case inspect.StructType():
            return [one.encode_name for one in type_.fields]
        case _:
            return []


def _describe_union(type_: inspect.UnionType) -> str:
    nouns = list(dict.fromkeys(describe(one) for one in type_.types if not isinstance(one, inspect.NoneType)))
    if len(nouns) < len(type_.types) and any(isinstance(one, inspect.NoneType) for one in type_.types):
        nouns.append("null")
    return " or ".join(nouns)


def _describe_choice(type_: inspect.EnumType | inspect.LiteralType) -> str:
    values = [one.value for one in type_.cls] if isinstance(type_, inspect.EnumType) else list(type_.values)
    return str(values[0]) if len(values) == 1 else f"one of {', '.join(str(one) for one in values)}"


def _range(least: int | None, most: int | None, words: str) -> str:
    if least is None and most is None:
        return ""
    if most is None:
        return words.format(f"at least {least}")
    if least is None or (least == 0 and "characters" in words):
        return words.format(f"at most {most}")
    return words.format(f"{least} to {most}" if least != most else f"{least}")


@cache
def _has_instants(type_: Any) -> bool:  # noqa: ANN401 - as above
    return _leads_to_instant(inspect.type_info(type_), ())


def _leads_to_instant(type_: inspect.Type, above: tuple[type, ...]) -> bool:
    match type_:
        case inspect.DateTimeType():
            return True
        case inspect.StructType():
            return type_.cls not in above and any(
                _leads_to_instant(one.type, (*above, type_.cls)) for one in type_.fields
            )
        case inspect.UnionType():
            return any(_leads_to_instant(one, above) for one in type_.types)
        case inspect.Metadata():
            return _leads_to_instant(type_.type, above)
        case _:
            element = _inside(type_, None)
            return element is not None and _leads_to_instant(element, above)


def _find_finer(value: object, type_: inspect.Type, path: str) -> Iterator[str]:
    """Go through *value* beside its type, and name each instant that is too fine."""
    if isinstance(value, dict):
        for name, one in value.items():
            inner = _inside(type_, str(name))
            if inner is not None:
                yield from _find_finer(one, inner, f"{path}.{name}" if path else str(name))
    elif isinstance(value, list | tuple):
        element = _inside(type_, None)
        if element is not None:
            for place, one in enumerate(value):
                yield from _find_finer(one, element, f"{path}[{place}]")
    elif isinstance(value, str) and _TOO_FINE.search(value) and _is_instant(type_):
        yield path


def _is_instant(type_: inspect.Type) -> bool:
    if isinstance(type_, inspect.UnionType):
        return any(_is_instant(one) for one in type_.types)
    return isinstance(type_.type if isinstance(type_, inspect.Metadata) else type_, inspect.DateTimeType)


_NOUNS: dict[type[inspect.Type], str] = {
    inspect.DateTimeType: INSTANT,
    inspect.DateType: "a day, such as 2024-01-31",
    inspect.UUIDType: "a UUID, such as 01900000-0000-7000-8000-000000000000",
    inspect.DecimalType: "a decimal number in quotes, such as 12.50",
    inspect.BoolType: "true or false",
    inspect.NoneType: "null",
    inspect.DictType: "an object",
    inspect.StructType: "an object",
    inspect.BytesType: "bytes in base64",
    inspect.FloatType: "a number",
}
