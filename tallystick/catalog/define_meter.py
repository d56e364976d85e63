"""Define a meter: once, for good, since invoices were counted by it."""

import re

import msgspec

from tallystick import canonical
from tallystick.catalog.model import Meter, meter_of
from tallystick.db.queries import Connection, queries_beside
from tallystick.errors import InvalidInput, Kind, TallystickError
from tallystick.ledger.accounts import Recorded

_queries = queries_beside(__file__)
_insert_meter = _queries.run("insert_meter")
_find_meter = _queries.tuples("find_meter")

MAX_DIMENSIONS = 16
MAX_FILTER_VALUES = 100
MAX_VALUE = 255
_DIMENSION_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_.-]{0,63}")
_NAME_RULE = "a dimension is named by 1 to 64 of A-Z a-z 0-9 _ . -, no digit, point or hyphen first"


class MeterExists(TallystickError):
    """The meter {meter} exists with another {differs}; define a new one under a new code."""

    code = "catalog.meter_exists"
    kind = Kind.CONFLICT


class UnknownMeter(TallystickError):
    """There is no meter {meter} in this book."""

    code = "catalog.unknown_meter"
    kind = Kind.NOT_FOUND


async def define_meter(connection: Connection, recorded: Recorded, wanted: Meter) -> Meter:
    """
    Add a meter to the catalog, or find it there with the same content.

    It sees all events of its type, also those that came before it. The order of filters does not matter.

    Raises:
        InvalidInput: it could not measure anything, or is not what its aggregation needs (``invalid_input``).
        MeterExists: it exists with other content (``catalog.meter_exists``).
    """
    _require_measurable(wanted)
    _require_dimensions(wanted)
    wanted = msgspec.structs.replace(
        wanted, filters={name: sorted(wanted.filters[name]) for name in sorted(wanted.filters)}
    )
    await _insert_meter(
        connection,
        recorded.book_id,
        wanted.code,
        wanted.name,
        wanted.event_type,
        wanted.aggregation,
        wanted.quantity,
        wanted.dimension,
        canonical.encode(wanted.filters).decode(),
        wanted.group_by,
        wanted.time_unit,
        recorded.message_place,
        recorded.at,
    )
    found = await find_meter(connection, recorded.book_id, wanted.code)
    for name in Meter.__struct_fields__:
        if getattr(found, name) != getattr(wanted, name):
            raise MeterExists(field=name, meter=wanted.code, differs=name)
    return found


async def find_meter(connection: Connection, book_id: int, code: str) -> Meter:
    """
    Return the meter *code*.

    Raises:
        UnknownMeter: there is none (``catalog.unknown_meter``).
    """
    found = await _find_meter(connection, book_id, code)
    if not found:
        raise UnknownMeter(field="meter", meter=code)
    return meter_of(found[0])


def _require_measurable(wanted: Meter) -> None:
    """Hold what the meter names against what its aggregation looks at."""
    if (wanted.aggregation in {"count", "unique"}) != (wanted.quantity is None):
        rule = "sum, max, latest and time_weighted name the quantity they measure, count and unique name none"
        raise InvalidInput(field="quantity", rule=rule)
    if wanted.aggregation == "unique" and wanted.dimension is None:
        raise InvalidInput(field="dimension", rule="unique names the dimension whose values it counts")
    if wanted.dimension is not None and wanted.aggregation not in {"unique", "time_weighted"}:
        raise InvalidInput(field="dimension", rule="only unique and time_weighted name one; see group_by and filters")
    if (wanted.aggregation == "time_weighted") != (wanted.time_unit is not None):
        raise InvalidInput(
            field="time_unit", rule="time_weighted names hour, day or period, and nothing else names one"
        )


def _require_dimensions(wanted: Meter) -> None:
    """Find that the dimensions could be some event's, and are few enough."""
    for name, values in wanted.filters.items():
        _require_name("filters", name)
        _require_values(f"filters.{name}", values)
    for place, name in enumerate(wanted.group_by):
        _require_name(f"group_by[{place}]", name)
        if name in wanted.group_by[:place]:
            raise InvalidInput(field=f"group_by[{place}]", rule="a dimension is named once")
    if wanted.dimension is not None:
        _require_name("dimension", wanted.dimension)
    named = {*wanted.filters, *wanted.group_by, *filter(None, [wanted.dimension])}
    if len(named) > MAX_DIMENSIONS:
        raise InvalidInput(field="group_by", rule=f"a meter names at most {MAX_DIMENSIONS} dimensions in all")


def _require_name(field: str, name: str) -> None:
    if _DIMENSION_NAME.fullmatch(name) is None:
        raise InvalidInput(field=field, rule=_NAME_RULE)


def _require_values(field: str, values: list[str]) -> None:
    if not 1 <= len(values) <= MAX_FILTER_VALUES:
        raise InvalidInput(field=field, rule=f"a filter names 1 to {MAX_FILTER_VALUES} values")
    for place, value in enumerate(values):
        if not 1 <= len(value) <= MAX_VALUE or "\0" in value:
            raise InvalidInput(field=f"{field}[{place}]", rule=f"a value has 1 to {MAX_VALUE} characters and no NUL")
        if value in values[:place]:
            raise InvalidInput(field=f"{field}[{place}]", rule="a value is named once")
