"""What one piece of usage is, and the rules it must keep."""

import datetime as dt
import json
import re
from collections.abc import Iterable, Mapping
from decimal import Decimal
from typing import Annotated, ClassVar

import msgspec

from tallystick.errors import Kind, TallystickError
from tallystick.flaw import find_flaw

Quantity = int | Decimal

DEFAULT_TYPE = "http.request"
MAX_TEXT = 255
MAX_DIGITS = 30
MAX_QUANTITIES = 32
MAX_DIMENSIONS = 16
MAX_EVIDENCE = 2**16
TWICE = "stands there twice"
_NOT_FINER = "must not be finer than microseconds, six digits behind the point"
_NOT_IN_YEARS = "must lie in the years 1970 to 9999"
_MICROSECONDS_AT = len("20150517T100503.12345")

INSTANT = re.compile(
    r"(?P<day>\d{4}-\d\d-\d\d)[Tt ](?P<second>\d\d:\d\d:\d\d)(?:\.(?P<fraction>\d+))?(?P<zone>[Zz]|[+-]\d\d:\d\d)?",
    re.ASCII,
)
"""An instant as RFC 3339 has it, but that its zone may be missing."""
_DECIMAL = re.compile(r"([0-9]+)(?:\.([0-9]+))?", re.ASCII)
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_.\-]{0,63}", re.ASCII)
_TOO_FINE = re.compile(r"[.,][0-9]{6}0*[1-9]", re.ASCII)
_TOO_FINE_AT = re.compile(rb'"at"\s*:\s*"[^".]*\.[0-9]{6}0*[1-9]')
_EARLIEST = dt.datetime(1970, 1, 1, tzinfo=dt.UTC)


class InvalidEvent(TallystickError):
    """Not a usage event: {place} {rule}."""

    code: ClassVar[str] = "usage.invalid_event"
    kind: ClassVar[Kind] = Kind.INVALID

    def __init__(self, field: str, rule: str) -> None:
        """Name the *field* at fault and the *rule* that it breaks, worded so that it follows the name."""
        self.reason = f"{field} {rule}"
        """Field and rule without the words before them."""
        self.rule = rule
        super().__init__(field=field, place=field, rule=rule)


class UsageEvent(msgspec.Struct, frozen=True, forbid_unknown_fields=True, gc=False):
    """
    One piece of usage, checked: who, what, when, how much.

    It can be in no reference cycle, so the garbage collector is spared millions of them.

    Building one checks nothing: what comes from outside passes ``check_event`` or a decoder of files first.
    """

    id: str
    """Unique in the book for ever; the same id again is the same event."""
    customer: str
    type: str
    at: dt.datetime
    """Aware, in UTC."""
    quantities: dict[str, Quantity]
    """By name; exact, never negative, each in its one form: whole numbers are ints, others have no zeros at their end."""
    status: int | None = None
    """Evidence for the billable rule (the HTTP status); never stored. None: nobody said."""
    resource: str | None = None
    """Evidence for the billable rule (the request target); never stored. None: nobody said."""
    source: str | None = None
    """Who reports it, where that is not the source of all events of its message."""
    dimensions: dict[str, str] | None = None
    """What meters tell it apart by; each must be declared by a meter of its type. None: nothing, and never empty."""


class GivenEvent(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A usage event as JSON brings it, its shape checked and its rules not yet; see ``check_event``."""

    customer: str
    at: Annotated[dt.datetime, msgspec.Meta(tz=True)]
    id: str | None = None
    type: str = DEFAULT_TYPE
    quantities: dict[str, int | str] = {}
    """Integers, or decimals in strings; a JSON number with a fraction is refused: it need not be exact."""
    status: int | None = None
    resource: str | None = None
    source: str | None = None
    dimensions: dict[str, str] = {}
    """By the name that a meter of the type declares."""


class _Written(msgspec.Struct, frozen=True):
    """As much of an event as shows how its instant is written."""

    at: str


_given = msgspec.json.Decoder(GivenEvent)
_written = msgspec.json.Decoder(_Written)
_encode = msgspec.json.Encoder(decimal_format="string", order="sorted").encode


def decode_event(raw: bytes, *, otherwise_id: str | None = None) -> UsageEvent:
    """
    Read one event from JSON; *otherwise_id* is its id if it brings none.

    Raises:
        InvalidEvent: usage.invalid_event, naming field and rule.
    """
    try:
        given = _given.decode(raw)
        if raw.count(b'"') != _quotes_of(given):
            _refuse_repeated(raw)
        # Of the event, or of a dimension that is called so; or where anything may be written otherwise than it reads.
        if _TOO_FINE_AT.search(raw) or rb"\u" in raw:
            check_fineness("at", _written.decode(raw).at)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise name_flaw(error, said=_loosely(raw)) from error
    return check_event(given, otherwise_id=otherwise_id)


def _quotes_of(given: GivenEvent) -> int:
    """Count the quotes that an event has at the least when it is written as JSON."""
    count = 8 + 4 * (given.type is not DEFAULT_TYPE) + 2 * (given.status is not None)
    count += 4 * ((given.id is not None) + (given.source is not None) + (given.resource is not None))
    if given.quantities:
        count += 2 + sum([4 if type(value) is str else 2 for value in given.quantities.values()])
    return count + (2 + 4 * len(given.dimensions) if given.dimensions else 0)


def _refuse_repeated(raw: bytes) -> None:
    """
    Find that no name stands twice in an object of *raw*, which is JSON: readers differ in which of the two they take.

    Raises:
        InvalidEvent: one does.
    """

    def look(pairs: list[tuple[str, object]]) -> None:
        name = find_repeated(name for name, _ in pairs)
        if name is not None:
            raise InvalidEvent(name[:64], TWICE)

    json.loads(raw, object_pairs_hook=look)


def find_repeated(names: Iterable[str]) -> str | None:
    """Return the first of *names* that stood there before; a line may have a hundred thousand."""
    seen: set[str] = set()
    for name in names:
        if name in seen:
            return name
        seen.add(name)
    return None


def check_event(given: GivenEvent, *, otherwise_id: str | None = None) -> UsageEvent:
    """
    Hold *given* against every rule and return it as an event; *otherwise_id* is its id if it brings none.

    Raises:
        InvalidEvent: usage.invalid_event, naming field and rule.
    """
    identifier = given.id if given.id is not None else otherwise_id
    if identifier is None:
        raise InvalidEvent("id", "is missing")
    if given.status is not None and not 0 <= given.status <= 999:  # noqa: PLR2004 - three digits (RFC 9110 §15)
        raise InvalidEvent("status", "must be from 0 to 999")
    if given.resource is not None and len(given.resource) > MAX_EVIDENCE:
        raise InvalidEvent("resource", f"must have at most {MAX_EVIDENCE} characters")
    return UsageEvent(
        id=check_text("id", identifier),
        customer=check_text("customer", given.customer),
        type=check_text("type", given.type),
        at=check_instant("at", given.at),
        quantities=check_quantities(given.quantities),
        status=given.status,
        resource=given.resource,
        source=None if given.source is None else check_text("source", given.source),
        dimensions=check_dimensions(given.dimensions) if given.dimensions else None,
    )


def check_text(field: str, text: str) -> str:
    """
    Return *text* if a name may look like that.

    Raises:
        InvalidEvent: it is empty, longer than 255 characters, or has a NUL.
    """
    if not 1 <= len(text) <= MAX_TEXT:
        raise InvalidEvent(field, f"must have from 1 to {MAX_TEXT} characters")
    if "\0" in text:
        raise InvalidEvent(field, "must not contain a NUL")
    return text


def check_instant(field: str, instant: dt.datetime) -> dt.datetime:
    """
    Return *instant* in UTC.

    Raises:
        InvalidEvent: it has no time zone, or lies outside the years 1970 to 9999 in UTC.
    """
    if instant.tzinfo is None:
        raise InvalidEvent(field, "must name its time zone, as in 2015-05-17T10:05:03Z")
    try:
        in_utc = instant.astimezone(dt.UTC)
    except OverflowError as error:
        raise InvalidEvent(field, _NOT_IN_YEARS) from error
    if in_utc < _EARLIEST:
        raise InvalidEvent(field, _NOT_IN_YEARS)
    return in_utc


def check_fineness(field: str, text: str) -> str:
    """
    Return the text of an instant if no digit of it would be lost: instants are kept to the microsecond.

    Raises:
        InvalidEvent: it has a digit other than 0 behind the sixth of its fraction.
    """
    if len(text) > _MICROSECONDS_AT and _TOO_FINE.search(text):
        raise InvalidEvent(field, _NOT_FINER)
    return text


def check_dimensions(given: dict[str, str]) -> dict[str, str]:
    """
    Return the dimensions if they look like some; whether a meter declares them is judged where they are recorded.

    Raises:
        InvalidEvent: there are too many, or one has a bad name or value.
    """
    if len(given) > MAX_DIMENSIONS:
        raise InvalidEvent("dimensions", f"must be at most {MAX_DIMENSIONS}")
    for name in given:
        if _NAME.fullmatch(name) is None:
            raise InvalidEvent("dimensions", "must be named by 1 to 64 of A-Z a-z 0-9 _ . -, no digit first")
    return {name: check_text(f"dimensions.{name}", value) for name, value in given.items()}


def check_quantities(given: dict[str, int | str]) -> dict[str, Quantity]:
    """
    Return the quantities as exact numbers.

    Raises:
        InvalidEvent: there are too many, or one has a bad name or value.
    """
    if len(given) > MAX_QUANTITIES:
        raise InvalidEvent("quantities", f"must be at most {MAX_QUANTITIES}")
    for name in given:
        if _NAME.fullmatch(name) is None:
            raise InvalidEvent("quantities", "must be named by 1 to 64 of A-Z a-z 0-9 _ . -, no digit first")
    return {name: check_quantity(f"quantities.{name}", value) for name, value in given.items()}


def check_quantity(field: str, value: int | str) -> Quantity:
    """
    Return *value* as an exact number: an int if it is written without a point.

    Raises:
        InvalidEvent: it is negative, is not a plain decimal number, or has more than 30 digits.
    """
    if isinstance(value, int):
        if value < 0:
            raise InvalidEvent(field, "must not be negative")
        if value >= 10**MAX_DIGITS:
            raise InvalidEvent(field, f"must have at most {MAX_DIGITS} digits")
        return value
    if len(value) > 2 * MAX_DIGITS:
        raise InvalidEvent(field, f"must have at most {MAX_DIGITS} digits")
    found = _DECIMAL.fullmatch(value)
    if found is None:
        raise InvalidEvent(field, "must be a number that is not negative, as in 12 or 0.5, without an exponent")
    whole, fraction = found[1], found[2] or ""
    if len(whole) + len(fraction) > MAX_DIGITS:
        raise InvalidEvent(field, f"must have at most {MAX_DIGITS} digits")
    if fraction.strip("0"):
        return Decimal(f"{whole}.{fraction.rstrip('0')}")
    return int(whole)


def write_number(number: Decimal | int) -> str:
    """Write a number in full, without an exponent and without zeros behind its last decimal."""
    text = f"{number:f}"
    return text.rstrip("0").rstrip(".") if "." in text else text


def write_quantities(quantities: Mapping[str, Quantity | str]) -> bytes:
    """Write quantities as JSON in their one form: by name, and decimals as text that has no exponent, however small."""
    written = _encode(quantities)
    if b"E-" not in written:
        return written
    return _encode({name: write_number(one) if isinstance(one, Decimal) else one for name, one in quantities.items()})


def blame_instant(field: str, text: str) -> InvalidEvent:
    """Say what is wrong with *text*, which is no instant."""
    found = INSTANT.fullmatch(text)
    if found is None:
        return InvalidEvent(field, "must be a time like 2015-05-17T10:05:03Z")
    if found["zone"] is None:
        return InvalidEvent(field, "must name its time zone, as in 2015-05-17T10:05:03Z")
    return InvalidEvent(field, "must be a time of the calendar and the clock")


def _loosely(raw: bytes) -> object:
    """Return what JSON says, None where it is none."""
    try:
        return msgspec.json.decode(raw)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None


def name_flaw(error: Exception, type_: type[msgspec.Struct] = GivenEvent, *, said: object = None) -> InvalidEvent:
    """
    Say in our words what msgspec found wrong when it read *type_*: the field, and the rule it breaks.

    *said* is what it read, where that is known: it tells which quantity or dimension is at fault, and more of an instant.
    """
    flaw = _name_flaw(error, type_)
    at = said.get("at") if isinstance(said, dict) else None
    if flaw.field == "at" and isinstance(at, str):
        return blame_instant("at", at)
    return InvalidEvent(_name_member(flaw.field or "", type_, said), flaw.rule)


def _name_member(field: str, type_: type[msgspec.Struct], said: object) -> str:
    """Put the name of the first quantity or dimension that is none in the place of dots."""
    kind = field.removesuffix("[...]")
    if kind == field or not isinstance(said, dict) or not isinstance(said.get(kind), dict):
        return field
    for name, value in said[kind].items():
        try:
            msgspec.convert({kind: {name: value}}, type_)
        except msgspec.ValidationError as error:
            if field in str(error):  # and not that the other fields are missing
                return f"{kind}.{name[:64]}"
    return field


def _name_flaw(error: Exception, type_: type[msgspec.Struct]) -> InvalidEvent:
    text = str(error)
    if not isinstance(error, msgspec.ValidationError):
        return InvalidEvent("the text", f"is not JSON ({text[:200]})")
    flaw = find_flaw(error, type_)
    rule = text
    if "`int | str`, got `float`" in rule:
        rule = "must be an integer, or a decimal in a string: a JSON number with a fraction need not be exact"
    elif "timezone component" in rule:
        rule = "must name its time zone, as in 2015-05-17T10:05:03Z"
    elif flaw.expected is not None:
        rule = f"must be {flaw.expected}"
    elif text.startswith("Object "):
        rule = "is missing" if text.startswith("Object missing") else "is not known here"
    else:
        rule = f"does not fit: {flaw.rule[:200]}"
    return InvalidEvent((flaw.field or "the object")[:200], rule)
