"""Events as columns: what a batch of usage is while it is judged and stored."""

import datetime as dt
import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Generic, Protocol, TypeVar, cast

import msgspec
import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from tallystick.ledger.log.hash_rows import HashArray
from tallystick.ledger.log.hash_texts import hash_texts
from tallystick.usage.model import InvalidEvent, UsageEvent, write_quantities

KEY = np.dtype("V16")
_EPOCH = dt.datetime(1970, 1, 1, tzinfo=dt.UTC)
_NO_EVENT = UsageEvent("", "", "", _EPOCH, {})
"""What stands in the columns in the place of one that is invalid."""
FEW = 200
"""Fewer events than this are gone through one by one: a call of Arrow costs what some dozens of them do."""
_NUL, _NOTHING = pa.scalar(b"\0", pa.binary()), pa.scalar(b"", pa.binary())
"""Made here, since PyArrow looks for a module on disk whenever it is to find out what a plain value is."""
_encode = msgspec.json.Encoder(decimal_format="string", order="sorted").encode
_NO_EVIDENCE = (None, None)

Evidence = tuple[int | None, str | None]
"""Status and resource, for the billable rule."""
_Value = TypeVar("_Value")
_Given_co = TypeVar("_Given_co", covariant=True)


class Column(Protocol[_Given_co]):
    """Values by place: a list, or what stands in for one."""

    def __len__(self) -> int:
        """Count them."""
        ...

    def __getitem__(self, place: int, /) -> _Given_co:
        """Return the one at *place*."""
        ...

    def __iter__(self) -> Iterator[_Given_co]:
        """Go through them."""
        ...


@dataclass(frozen=True, slots=True)
class ArrowColumn(Generic[_Value]):
    """A column as a file brought it, of which no value is made an object before someone asks for it."""

    array: pa.Array

    def __len__(self) -> int:
        """Count the values."""
        return len(self.array)

    def __getitem__(self, place: int, /) -> _Value:
        """Return the value at *place*."""
        return cast("_Value", self.array[place].as_py())

    def __iter__(self) -> Iterator[_Value]:
        """Go through the values."""
        return iter(self.array.to_pylist())


@dataclass(frozen=True)
class EventColumns:
    """
    Usage events, field by field; each was held against the rules of ``usage.model``.

    A field that is the same for all events may be one text instead of a list.
    """

    sources: str | Column[str]
    ids: Column[str]
    customers: Column[str]
    types: str | Column[str]
    at: npt.NDArray[np.int64]
    """Microseconds since 1970, in UTC."""
    quantities: Column[bytes]
    """JSON in its canonical form, by name; decimals are strings."""
    dimensions: Column[bytes | None] | None = None
    """JSON in its canonical form, by name; None: that event, or none of them, has any."""
    evidence: list[Evidence] | None = None
    """None: nobody said anything."""
    invalid: dict[int, InvalidEvent] | None = None
    """By place, those whose other columns mean nothing."""

    def __len__(self) -> int:
        """Count the events, invalid ones too."""
        return len(self.ids)

    @cached_property
    def id_texts(self) -> pa.BinaryArray:
        """Return the ids for Arrow."""
        return _texts(self.ids)

    @cached_property
    def quantity_texts(self) -> pa.BinaryArray:
        """Return the quantities for Arrow."""
        return _texts(self.quantities)

    @cached_property
    def dimension_texts(self) -> pa.BinaryArray | None:
        """Return the dimensions for Arrow; None: none of them has any."""
        return None if self.dimensions is None else _texts(self.dimensions)

    @cached_property
    def keys(self) -> npt.NDArray[np.void]:
        """Derive what each event is stored under, ``ids.id_of_content([source, id])``, as 16 bytes each."""
        if len(self) < FEW:
            return _as_ids(_hash_few(values_of(self.sources, len(self)), values_of(self.ids, len(self))))
        return _as_ids(hash_texts(pc.binary_join_element_wise(texts_or_one(self.sources), self.id_texts, _NUL)))

    @cached_property
    def in_order(self) -> npt.NDArray[np.int64]:
        """Return the places in the order of the keys, which is that of their bytes."""
        first, second = self._halves
        order = np.argsort(first, kind="stable")
        ordered = first[order]
        # Two keys that begin alike are nearly always one key, twice.
        return np.lexsort((second, first)) if bool((ordered[1:] == ordered[:-1]).any()) else order

    @cached_property
    def has_repeats(self) -> bool:
        """Say whether any two of them have one key."""
        first, second = (half[self.in_order] for half in self._halves)
        return bool(((first[1:] == first[:-1]) & (second[1:] == second[:-1])).any())

    @property
    def _halves(self) -> tuple[npt.NDArray[np.uint64], npt.NDArray[np.uint64]]:
        """Return the keys as two numbers each, that are in order as their bytes are."""
        halves = self.keys.view(">u8").reshape(-1, 2).astype(np.uint64)
        return np.ascontiguousarray(halves[:, 0]), np.ascontiguousarray(halves[:, 1])

    @cached_property
    def contents(self) -> npt.NDArray[np.void]:
        """Derive from type, quantities and dimensions of each event what tells it from another under its id."""
        if len(self) < FEW:
            columns = self.types, self.quantities, "" if self.dimensions is None else self.dimensions
            return _as_ids(_hash_few(*(values_of(column, len(self)) for column in columns)))
        dimensions = _NOTHING if self.dimension_texts is None else self.dimension_texts.fill_null(b"")
        said = pc.binary_join_element_wise(texts_or_one(self.types), self.quantity_texts, dimensions, _NUL)
        return _as_ids(hash_texts(said))

    @cached_property
    def by_customer(self) -> tuple[list[str], npt.NDArray[np.int32]]:
        """Return the different customers in the order in which they first stand there, and which of them each event is of."""
        if len(self) < FEW:
            codes: dict[str, int] = {}
            places = [codes.setdefault(customer, len(codes)) for customer in self.customers]
            return list(codes), np.array(places, np.int32)
        encoded = _texts(self.customers).cast(pa.string()).dictionary_encode()
        return encoded.dictionary.to_pylist(), encoded.indices.to_numpy(zero_copy_only=False)

    def customers_at(self, places: npt.NDArray[np.int64] | Sequence[int]) -> set[str]:
        """Return the customers of the events at *places*."""
        names, codes = self.by_customer
        return {names[code] for code in np.unique(codes[np.asarray(places, np.int64)]).tolist()}

    @cached_property
    def digest(self) -> str:
        """Return the SHA-256 of all that is stored of them, in hex: two batches of one digest say the same."""
        whole = hashlib.sha256()
        customers, codes = self.by_customer
        for column in (self.keys, self.contents, np.ascontiguousarray(self.at), codes):
            whole.update(column.tobytes())
        whole.update(_encode([customers, [[place, one.field, one.rule] for place, one in sorted(self._invalid)]]))
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


def texts_or_one(column: str | Column[Any]) -> pa.BinaryScalar | pa.BinaryArray:
    """Return a column for Arrow; one text stays one."""
    return pa.scalar(column.encode(), pa.binary()) if isinstance(column, str) else _texts(column)


def _texts(column: Column[Any]) -> pa.BinaryArray:
    return column.array.cast(pa.binary()) if isinstance(column, ArrowColumn) else pa.array(column, pa.binary())


def values_of(column: str | Column[Any], count: int) -> list[bytes]:
    """Return the values of a column one by one; what is None is empty."""
    if isinstance(column, str):
        return [column.encode()] * count
    return [one.encode() if isinstance(one, str) else one or b"" for one in column]


def _hash_few(*columns: list[bytes]) -> HashArray:
    digests = [hashlib.sha256(b"\0".join(values)).digest() for values in zip(*columns, strict=True)]
    return np.frombuffer(b"".join(digests), np.uint8).reshape(-1, 32)


def _as_ids(digests: HashArray) -> npt.NDArray[np.void]:
    """Make UUIDs of version 8 (RFC 9562 §5.8) of the first halves of digests."""
    made = digests[:, :16].copy()
    made[:, 6] = made[:, 6] & 0x0F | 0x80
    made[:, 8] = made[:, 8] & 0x3F | 0x80
    return made.reshape(-1).view(KEY)
