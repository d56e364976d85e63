"""Read a message of protobuf as the builtin values that an operation's input is read from."""

import datetime as dt
from typing import Any

from google.protobuf.descriptor import EnumDescriptor, FieldDescriptor
from google.protobuf.message import Message
from google.protobuf.timestamp_pb2 import Timestamp

from tallystick.errors import InvalidInput

_EPOCH = dt.datetime(1970, 1, 1, tzinfo=dt.UTC)
_NANOSECONDS = 1_000
"""Of a microsecond."""


def read_message(message: Message, path: str = "") -> dict[str, Any]:
    """
    Return the fields that are set in *message*, which stands at *path*, by name; what is not set is not given.

    Raises:
        InvalidInput: an instant or an enum has a value that there cannot be (``invalid_input``).
    """
    return {field.name: _value(field, value, f"{path}{field.name}") for field, value in message.ListFields()}


def prefix_of(enum: EnumDescriptor) -> str:
    """Return how the names of an enum's values begin: ``INVOICE_STATUS_`` for ``InvoiceStatus``."""
    return "".join(f"_{one}" if one.isupper() else one.upper() for one in enum.name).lstrip("_") + "_"


def _value(field: FieldDescriptor, value: Any, path: str) -> Any:  # noqa: ANN401 - the contract says which
    if not field.is_repeated:
        return _one(field, value, path)
    if field.message_type is not None and field.message_type.GetOptions().map_entry:
        return dict(value)
    return [_one(field, one, f"{path}[{place}]") for place, one in enumerate(value)]


def _one(field: FieldDescriptor, value: Any, path: str) -> Any:  # noqa: ANN401 - the contract says which
    if isinstance(value, Timestamp):
        return _instant(value, path)
    if field.message_type is not None:
        return read_message(value, f"{path}.")
    if field.enum_type is not None:
        return _name(field.enum_type, value, path)
    return value


def _instant(value: Timestamp, path: str) -> dt.datetime:
    microseconds, rest = divmod(value.nanos, _NANOSECONDS)
    if rest or not 0 <= microseconds < 10**6:
        raise InvalidInput(field=path, rule="Expected whole microseconds: nanos from 0 to 999999000 that end in 000")
    try:
        return _EPOCH + dt.timedelta(seconds=value.seconds, microseconds=microseconds)
    except OverflowError:
        raise InvalidInput(field=path, rule="must lie in the years 1 to 9999") from None


def _name(enum: EnumDescriptor, number: int, path: str) -> str:
    found = enum.values_by_number.get(number)
    if found is None:
        known = ", ".join(one.name for one in enum.values if one.number)
        raise InvalidInput(field=path, rule=f"Expected one of {known}")
    name: str = found.name
    return name.removeprefix(prefix_of(enum)).lower()
