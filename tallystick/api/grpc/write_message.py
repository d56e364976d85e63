"""Write an operation's answer as a message of protobuf."""

import datetime as dt
from collections.abc import Mapping
from typing import Any

from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.message import Message

from tallystick.api.grpc.read_message import prefix_of

_TIMESTAMP = "google.protobuf.Timestamp"


def write_message(message: Message, values: Mapping[str, Any]) -> None:
    """Set the fields of *message* from values of the same names; null is not set, and what the contract has not is left out."""
    for field in message.DESCRIPTOR.fields:
        value = values.get(field.name)
        if value is None:
            continue
        if not field.is_repeated:
            _set(message, field, value)
        elif field.message_type is None:
            getattr(message, field.name).extend(value)
        elif field.message_type.GetOptions().map_entry:
            getattr(message, field.name).update(value)
        else:
            items = getattr(message, field.name)
            for one in value:
                write_message(items.add(), one)


def _set(message: Message, field: FieldDescriptor, value: Any) -> None:  # noqa: ANN401 - the contract says which
    if field.enum_type is not None:
        setattr(message, field.name, field.enum_type.values_by_name[prefix_of(field.enum_type) + value.upper()].number)
    elif field.message_type is None:
        setattr(message, field.name, value)
    elif field.message_type.full_name == _TIMESTAMP:
        getattr(message, field.name).FromDatetime(dt.datetime.fromisoformat(value))
    else:
        inner = getattr(message, field.name)
        inner.SetInParent()
        write_message(inner, value)
