"""Events as columns: what a batch of usage is while it is judged and stored."""

import datetime as dt
import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import msgspec
import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from tallystick.ledger.log.hash_rows import HashArray, hash_texts
from tallystick.usage.model import InvalidEvent, UsageEvent, write_quantities

KEY = np.dtype("V16")
_EPOCH = dt.datetime(1970, 1, 1, tzinfo=dt.UTC)
_NO_EVENT = UsageEvent("", "", "", _EPOCH, {})
"""What stands in the columns in the place of one that is invalid."""
_SECOND = 1_000_000
_NUL, _NUL_BYTE = pa.scalar("\0", pa.string()), pa.scalar(b"\0", pa.binary())
"""Made here, since PyArrow looks for a module on disk whenever it is to find out what a plain value is."""
_encode = msgspec.json.Encoder(decimal_format="string", order="sorted").encode
_NO_EVIDENCE = (None, None)

Evidence = tuple[int | None, str | None]
"""Status and resource, for the billable rule."""


@dataclass(frozen=True)
class EventColumns:
    """
    Usage events, field by field; each was held against the rules of ``usage.model``.

    A field that is the same for all events may be one text instead of a list.
    """

    sources: str | list[str]
    ids: list[str]
    customers: list[str]
    types: str | list[str]
    at: npt.NDArray[np.int64]
    """Microseconds since 1970, in UTC."""
    quantities: list[bytes]
    """JSON in its canonical form, by name; decimals are strings."""
    dimensions: list[bytes | None] | None = None
    """JSON in its canonical form, by name; None: that event, or none of them, has any."""
    evidence: list[Evidence] | None = None
    """None: nobody said anything."""
    invalid: dict[int, InvalidEvent] | None = None
    """By place, those whose other columns mean nothing."""

    def __len__(self) -> int:
        """Count the events, invalid ones too."""
        return len(self.ids)

    @cached_property
    def keys(self) -> npt.NDArray[np.void]:
        """Derive what each event is stored under, ``ids.id_of_content([source, id])``, as 16 bytes each."""
        ids = pa.array(self.ids, pa.string())
        whole = pc.binary_join_element_wise(_column(self.sources), ids, _NUL)
        return _as_ids(hash_texts(whole.cast(pa.binary())))

    @cached_property
    def contents(self) -> npt.NDArray[np.void]:
        """Derive from type, quantities and dimensions of each event what tells it from another under its id."""
        quantities = pa.array(self.quantities, pa.binary())
        types = _column(self.types).cast(pa.binary())
        dimensions = pa.scalar(b"", pa.binary())
        if self.dimensions is not None:
            dimensions = pa.array(self.dimensions, pa.binary()).fill_null(b"")
        return _as_ids(hash_texts(pc.binary_join_element_wise(types, quantities, dimensions, _NUL_BYTE)))

    @cached_property
    def digest(self) -> str:
        """Return the SHA-256 of all that is stored of them, in hex: two batches of one digest say the same."""
        whole = hashlib.sha256()
        for column in (self.keys, self.contents, np.ascontiguousarray(self.at)):
            whole.update(column.tobytes())
        whole.update(_encode([self.customers, [[place, one.field, one.rule] for place, one in sorted(self._invalid)]]))
        if self.evidence is not None:
            whole.update(_encode(self.evidence))
        return whole.hexdigest()

    @property
    def _invalid(self) -> list[tuple[int, InvalidEvent]]:
        return list((self.invalid or {}).items())


def columns_of(source: str, events: Sequence[UsageEvent | InvalidEvent]) -> EventColumns:
    """Turn *events* into columns; *source* is that of those that name none."""
    invalid = {place: event for place, event in enumerate(events) if isinstance(event, InvalidEvent)}
    rows: Sequence[UsageEvent]
    rows = [_NO_EVENT if isinstance(event, InvalidEvent) else event for event in events] if invalid else events  # type: ignore[assignment]  # none of them is invalid
    own_sources = any(event.source is not None for event in rows)
    return EventColumns(
        sources=[event.source or source for event in rows] if own_sources else source,
        ids=[event.id for event in rows],
        customers=[event.customer for event in rows],
        types=_one_or_all([event.type for event in rows]),
        at=microseconds([event.at for event in rows]),
        quantities=[write_quantities(event.quantities) for event in rows],
        dimensions=_dimensions(rows),
        evidence=_evidence(rows),
        invalid=invalid or None,
    )


def microseconds(instants: Sequence[dt.datetime]) -> npt.NDArray[np.int64]:
    """Count the microseconds since 1970 of instants in UTC."""
    return np.array([instant.replace(tzinfo=None) for instant in instants], "datetime64[us]").astype(np.int64)


def _one_or_all(texts: list[str]) -> str | list[str]:
    return texts[0] if texts and texts.count(texts[0]) == len(texts) else texts


def _dimensions(rows: Sequence[UsageEvent]) -> list[bytes | None] | None:
    if not any(event.dimensions for event in rows):
        return None
    return [_encode(event.dimensions) if event.dimensions else None for event in rows]


def _evidence(rows: Sequence[UsageEvent]) -> list[Evidence] | None:
    evidence = [(event.status, event.resource) for event in rows]
    return None if evidence.count(_NO_EVIDENCE) == len(evidence) else evidence


def _column(column: str | list[str]) -> pa.StringScalar | pa.StringArray:
    return pa.scalar(column, pa.string()) if isinstance(column, str) else pa.array(column, pa.string())


def _as_ids(digests: HashArray) -> npt.NDArray[np.void]:
    """Make UUIDs of version 8 (RFC 9562 §5.8) of the first halves of digests."""
    made = digests[:, :16].copy()
    made[:, 6] = made[:, 6] & 0x0F | 0x80
    made[:, 8] = made[:, 8] & 0x3F | 0x80
    return made.reshape(-1).view(KEY)
