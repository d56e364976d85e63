"""What a CloudEvent of usage is in JSON: its envelope, and the data in it."""

import msgspec


class CloudEventData(msgspec.Struct, frozen=True, forbid_unknown_fields=True, gc=False):
    """What a CloudEvent of usage carries."""

    quantities: dict[str, int | str] = {}
    """Integers, or decimals in strings."""
    dimensions: dict[str, str] = {}
    status: int | None = None
    resource: str | None = None


NO_DATA = CloudEventData()
"""Stands in an envelope in which no data stood."""


class CloudEvent(msgspec.Struct, frozen=True, forbid_unknown_fields=True, gc=False):
    """
    The envelope. Beside usage it takes what the specification itself names, and keeps nothing of that.

    An extension of somebody's own is refused by name: what is not kept must not look as if it counted.
    """

    specversion: str
    id: str
    source: str
    type: str
    subject: str
    time: str
    data: CloudEventData = NO_DATA
    datacontenttype: str | None = None
    dataschema: str | None = None
    traceparent: str | None = None
    tracestate: str | None = None
    data_base64: str | None = None


REQUIRED = ("specversion", "id", "source", "type", "subject", "time")


def quotes_of(envelope: CloudEvent) -> int:
    """Count the quotes that *envelope* has at the least when it is written as JSON."""
    count, data = 4 * len(REQUIRED), envelope.data
    for text in (envelope.datacontenttype, envelope.dataschema, envelope.traceparent, envelope.tracestate,
                 envelope.data_base64):  # fmt: skip
        if text is not None:
            count += 4
    if data is NO_DATA:
        return count
    if data.quantities:
        count += 2 + sum([4 if type(value) is str else 2 for value in data.quantities.values()])
    if data.dimensions:
        count += 2 + 4 * len(data.dimensions)
    return count + 2 + 2 * (data.status is not None) + 4 * (data.resource is not None)
