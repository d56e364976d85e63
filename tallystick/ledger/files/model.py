"""What a file of transfers holds: its formats, its columns, and the blocks they are read and written in."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from enum import IntEnum, StrEnum

import numpy as np
import numpy.typing as npt

from tallystick.ledger.model import WHEN_RECORDED

BLOCK_ROWS = 8192
"""No block has more rows: what is posted as one batch."""

NEVER = 2**63 - 1
"""The ``expires_at`` of what does not expire."""

ABSENT = -1
"""The index of a code that the row does not give, and the place of a transfer that has none yet."""

Ids = npt.NDArray[np.void]
Numbers = npt.NDArray[np.int64]
Places = npt.NDArray[np.int32]
Mask = npt.NDArray[np.bool_]
Kinds = npt.NDArray[np.int8]


class Format(StrEnum):
    """The formats of files; the closed set."""

    AVRO = "avro"
    PARQUET = "parquet"
    ARROW = "arrow"
    ARROW_STREAM = "arrow-stream"
    CSV = "csv"


class Kind(IntEnum):
    """What a row asks for. The numbers are of this package alone and are stored nowhere."""

    TRANSFER = 0
    SWEEP = 1
    HOLD = 2
    CAPTURE = 3
    RELEASE = 4
    REVERSAL = 5


class Rule(StrEnum):
    """What a field of a row must keep; the closed set, in words for whoever wrote the file."""

    GIVEN = "must be given"
    NOT_GIVEN = "must not be given for this kind"
    UUID = "must be a UUID: 36 characters, or 16 bytes"
    INTEGER = "must be an integer"
    POSITIVE = "must be at least 1"
    SMALL_ENOUGH = "must be at most 9223372036854775807"
    LENGTH = "must have 1 to 255 characters"
    PRINTABLE = "must not have control characters"
    UTF8 = "must be text in UTF-8"
    INSTANT = "must be an instant of RFC 3339 with its zone"
    CALENDAR = "must lie in the years 1 to 9998"
    MICROSECONDS = "must not be finer than a microsecond"
    KIND = "must be one of transfer, sweep, hold, capture, release, reversal"
    CELLS = "must have as many cells as the header"


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why one row cannot be read; the field is empty where the row itself is at fault."""

    place: int
    """The row's place in its block, from 0."""
    field: str
    rule: str


@dataclass(frozen=True, slots=True)
class Codes:
    """A column of texts of which many are equal: row *i* has ``distinct[index[i]]``, or none if that is ``ABSENT``."""

    distinct: list[str]
    index: Places

    def texts(self) -> list[str | None]:
        """Write the column out, row by row."""
        by_index = [*self.distinct, None]
        return [by_index[place] for place in self.index.tolist()]

    @classmethod
    def of(cls, texts: Iterable[str | None]) -> "Codes":
        """Gather the distinct ones of *texts*."""
        known: dict[str, int] = {}
        index = [ABSENT if text is None else known.setdefault(text, len(known)) for text in texts]
        return cls(list(known), np.array(index, dtype=np.int32))


@dataclass(frozen=True, slots=True)
class Block:
    """
    Some rows on end, at most ``BLOCK_ROWS``, column by column.

    A column that the file does not have is None; in the ones it has, a refused row has no meaning. A row that leaves a
    field out has ``ABSENT`` for a code, None for a reference, 0 for an amount (a capture of all that is left),
    ``WHEN_RECORDED`` for ``effective_at`` and ``NEVER`` for ``expires_at``.
    """

    first_row: int
    """The number of the first row in the file, counted from 1; a header is no row."""
    ids: Ids
    debits: Codes
    credits: Codes
    amounts: Numbers
    assets: Codes | None = None
    reasons: Codes | None = None
    references: list[str | None] | None = None
    effective_at: Numbers | None = None
    """Microseconds since 1970 UTC."""
    kinds: Kinds | None = None
    """Numbers of ``Kind``; None if all are transfers."""
    related: Ids | None = None
    """The hold that is captured or released, the transfer that is reversed; zeros for other kinds."""
    expires_at: Numbers | None = None
    bad: Mask = field(default_factory=lambda: np.zeros(0, dtype=np.bool_))
    """Which rows are refused."""
    refused: list[Refusal] = field(default_factory=list)
    """Why: one refusal for each of them, the first that applies, in order of rows."""

    def __len__(self) -> int:
        """Return the number of rows."""
        return len(self.ids)


@dataclass(frozen=True, slots=True)
class Posted:
    """Some transfers of the ledger, to be written."""

    ids: Ids
    debits: Codes
    credits: Codes
    assets: Codes
    amounts: Numbers
    reasons: Codes
    references: list[str | None]
    effective_at: Numbers
    recorded_at: Numbers
    places: Numbers
    """Places in the log, ``ABSENT`` for what is not sealed yet."""

    def __len__(self) -> int:
        """Return the number of transfers."""
        return len(self.ids)


@dataclass(frozen=True, slots=True)
class Results:
    """What became of some rows of a file, to be written."""

    rows: Numbers
    ids: Ids
    has_id: Mask
    """Which rows had an id that could be read."""
    statuses: Codes
    amounts: Numbers
    """Minor units moved or held; 0 where nothing was."""
    fields: Codes
    """The field at fault, ``ABSENT`` where none is."""

    def __len__(self) -> int:
        """Return the number of rows."""
        return len(self.rows)


def when_recorded(count: int) -> Numbers:
    """Say of *count* rows that they name no effective instant."""
    return np.full(count, WHEN_RECORDED, dtype=np.int64)
