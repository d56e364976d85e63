"""
Columns of CloudEvents that are written as nearly all are: each field is looked at for all events at once.

It takes nothing that the careful way would refuse, and makes of the rest what that makes; where a field is not plain,
it leaves the whole batch to that.
"""

import re
from collections.abc import Collection, Sequence

import msgspec
import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from tallystick.usage.columns import EventColumns, Evidence
from tallystick.usage.decode.cloudevent import CloudEvent
from tallystick.usage.model import (
    MAX_DIGITS,
    MAX_EVIDENCE,
    MAX_TEXT,
    InvalidEvent,
    Quantity,
    check_dimensions,
    check_quantities,
    write_quantities,
)

_INSTANT = r"^\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d(\.\d{1,6})?(Z|[+-]\d\d:\d\d)$"
_CANONICAL = re.compile(r"(?:0|[1-9][0-9]*)\.[0-9]*[1-9]", re.ASCII)
"""A decimal that stays as it is written: it has no zero too many."""
_TOO_LARGE: int = 10**MAX_DIGITS
_YEAR_10000 = 253_402_300_800_000_000
"""In microseconds since 1970."""
_LAST_STATUS = 999
_NOTHING = (None, None)
_encode = msgspec.json.Encoder(decimal_format="string", order="sorted").encode


def columns_of_plain(envelopes: Sequence[CloudEvent]) -> EventColumns | None:
    """Return *envelopes* as columns, None where one of them needs a closer look."""
    if not all(one.specversion == "1.0" and one.datacontenttype is one.data_base64 is None for one in envelopes):
        return None
    ids, sources = [one.id for one in envelopes], [one.source for one in envelopes]
    customers, types = [one.subject for one in envelopes], [one.type for one in envelopes]
    at = _instants([one.time for one in envelopes])
    if at is None or not all(map(_are_texts, (ids, set(sources), set(customers), set(types)))):
        return None
    quantities, dimensions = _quantities(envelopes), _dimensions(envelopes)
    if quantities is None or dimensions is None or not _is_evidence(envelopes):
        return None
    return EventColumns(
        sources=_one_or_all(sources),
        ids=ids,
        customers=customers,
        types=_one_or_all(types),
        at=at,
        quantities=quantities,
        dimensions=dimensions if any(dimensions) else None,
        evidence=_evidence(envelopes),
    )


def _are_texts(texts: Collection[str]) -> bool:
    lengths = list(map(len, texts))
    return min(lengths) > 0 and max(lengths) <= MAX_TEXT and "\0" not in "".join(texts)


def _instants(texts: Sequence[str]) -> npt.NDArray[np.int64] | None:
    written = pa.array(texts, pa.string())
    if not pc.all(pc.match_substring_regex(written, _INSTANT)).as_py():
        return None
    try:
        found = written.cast(pa.timestamp("us", "UTC")).cast(pa.int64()).to_numpy()
    except pa.ArrowInvalid:
        return None
    return found if found.min() >= 0 and found.max() < _YEAR_10000 else None


def _quantities(envelopes: Sequence[CloudEvent]) -> list[bytes] | None:
    """Write the quantities of each in their canonical form; None where some are not right."""
    good: set[tuple[str, ...]] = set()
    written = []
    for one in envelopes:
        given = one.data.quantities
        names = tuple(given)
        if names not in good or not all(map(_is_canonical, given.values())):
            checked = _checked(given)
            if checked is None:
                return None
            good.add(names)
            written.append(write_quantities(checked))
        else:
            written.append(_encode(given))
    return written


def _is_canonical(value: int | str) -> bool:
    if isinstance(value, int):
        return 0 <= value < _TOO_LARGE
    return len(value) <= MAX_DIGITS and _CANONICAL.fullmatch(value) is not None


def _checked(given: dict[str, int | str]) -> dict[str, Quantity] | None:
    try:
        return check_quantities(given)
    except InvalidEvent:
        return None


def _dimensions(envelopes: Sequence[CloudEvent]) -> list[bytes | None] | None:
    """Write the dimensions of each in their canonical form; None where some are not right."""
    good: set[tuple[tuple[str, str], ...]] = set()
    written: list[bytes | None] = []
    for one in envelopes:
        given = one.data.dimensions
        pairs = tuple(given.items())
        if pairs and pairs not in good:
            try:
                check_dimensions(given)
            except InvalidEvent:
                return None
            good.add(pairs)
        written.append(_encode(given) if given else None)
    return written


def _is_evidence(envelopes: Sequence[CloudEvent]) -> bool:
    return all(
        (one.data.status is None or 0 <= one.data.status <= _LAST_STATUS)
        and (one.data.resource is None or len(one.data.resource) <= MAX_EVIDENCE)
        for one in envelopes
    )


def _evidence(envelopes: Sequence[CloudEvent]) -> list[Evidence] | None:
    evidence = [(one.data.status, one.data.resource) for one in envelopes]
    return None if evidence.count(_NOTHING) == len(evidence) else evidence


def _one_or_all(texts: list[str]) -> str | list[str]:
    return texts[0] if texts.count(texts[0]) == len(texts) else texts
