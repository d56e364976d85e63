"""
Encode columns: rows of a file of transfers as the bytes that are kept with their message, and back.

    header, as canonical JSON ∙ newline ∙ columns

The header says ``version`` (1), ``rows``, ``columns`` (the names of those that follow, in order), and holds what is text:
``codes`` of accounts and ``assets``, each once and in ascending order, ``references`` row by row, and ``refused``, the
rows that could not be read: place, field, rule. Of each column first come the first bytes of all rows, then the second
ones, and so on, which compresses better; numbers are little-endian, ids in network order. ``debit``, ``credit`` and
``asset`` are places among the codes, 65535 where the row gives none; ``reason`` is a number of ``ledger.model.Reason``,
which also says what kind of transfer it is.
"""

from dataclasses import dataclass, field
from typing import Any

import msgspec
import numpy as np
import numpy.typing as npt

from tallystick import canonical
from tallystick.errors import InvalidInput
from tallystick.ledger.files.model import ABSENT, Ids, Mask, Numbers, Places, Refusal
from tallystick.ledger.model import NEVER, WHEN_RECORDED

VERSION = 1
MOST_ROWS = 8192
"""So many rows have at most twice as many account codes, whose places fit into 16 bits."""
_NONE = 0xFFFF
_WIDTHS = {
    "id": "V16",
    "debit": "<u2",
    "credit": "<u2",
    "amount": "<i8",
    "reason": "<i2",
    "asset": "<u2",
    "effective_at": "<i8",
    "related": "V16",
    "expires_at": "<i8",
}


@dataclass(frozen=True, slots=True)
class TransferColumns:
    """Rows of a file as they are sent to the ledger; a column in which no row says anything is None."""

    ids: Ids
    codes: list[str]
    """Of accounts, ascending; the columns hold places in it, ``ABSENT`` for none."""
    debits: Places
    credits: Places
    amounts: Numbers
    reasons: npt.NDArray[np.int16]
    assets: list[str] = field(default_factory=list)
    asset_places: Places | None = None
    references: list[str] | None = None
    """Empty where there is none."""
    effective_at: Numbers | None = None
    related: Ids | None = None
    expires_at: Numbers | None = None
    refused: list[Refusal] = field(default_factory=list)
    """The rows that could not be read; what the columns say of them means nothing."""

    def __len__(self) -> int:
        """Return the number of rows."""
        return len(self.ids)

    @property
    def good(self) -> Mask:
        """Say which rows could be read."""
        good = np.ones(len(self), np.bool_)
        good[[refusal.place for refusal in self.refused]] = False
        return good

    def rows(self, start: int, stop: int) -> "TransferColumns":
        """Return some rows on end."""
        part = slice(start, stop)
        return TransferColumns(
            self.ids[part], self.codes, self.debits[part], self.credits[part], self.amounts[part], self.reasons[part],
            self.assets, None if self.asset_places is None else self.asset_places[part],
            None if self.references is None else self.references[part],
            None if self.effective_at is None else self.effective_at[part],
            None if self.related is None else self.related[part],
            None if self.expires_at is None else self.expires_at[part],
            [Refusal(one.place - start, one.field, one.rule) for one in self.refused if start <= one.place < stop],
        )  # fmt: skip


class _Header(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What stands before the columns."""

    version: int
    rows: int
    columns: list[str]
    codes: list[str]
    assets: list[str] = []
    references: list[str] | None = None
    refused: list[tuple[int, str, str]] = []


def encode_columns(columns: TransferColumns) -> bytes:
    """Write *columns* as bytes; the same columns always give the same."""
    present: dict[str, npt.NDArray[Any]] = {
        "id": columns.ids,
        "debit": _places(columns.debits),
        "credit": _places(columns.credits),
        "amount": columns.amounts,
        "reason": columns.reasons,
    }
    optional = {
        "asset": None if columns.asset_places is None else _places(columns.asset_places),
        "effective_at": columns.effective_at,
        "related": columns.related,
        "expires_at": columns.expires_at,
    }
    present |= {name: values for name, values in optional.items() if values is not None}
    header = _Header(
        VERSION, len(columns), list(present), columns.codes, columns.assets, columns.references,
        [(refusal.place, refusal.field, refusal.rule) for refusal in columns.refused],
    )  # fmt: skip
    pieces = [_spread(name, values) for name, values in present.items()]
    return b"".join((canonical.encode(header), b"\n", *pieces))


def decode_columns(content: bytes) -> TransferColumns:
    """
    Read what ``encode_columns`` wrote.

    Raises:
        InvalidInput: it is something else (``invalid_input``).
    """
    head, newline, body = content.partition(b"\n")
    try:
        header = msgspec.json.decode(head, type=_Header)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise InvalidInput(field="columns", rule="The header cannot be read") from error
    width = sum(np.dtype(_WIDTHS[name]).itemsize for name in header.columns if name in _WIDTHS)
    if (
        not newline
        or header.version != VERSION
        or not 1 <= header.rows <= MOST_ROWS
        or not set(header.columns) <= set(_WIDTHS)
        or len(body) != width * header.rows
    ):
        raise InvalidInput(field="columns", rule=f"Not {MOST_ROWS} rows or fewer of version {VERSION}")
    return _take(header, _gather(header, body))


def _take(header: _Header, columns: dict[str, npt.NDArray[Any]]) -> TransferColumns:
    """
    Put columns together.

    Raises:
        InvalidInput: one is missing, or names a code that there is not (``invalid_input``).
    """
    missing = {"id", "debit", "credit", "amount", "reason"} - columns.keys()
    said = [header.references] if header.references is not None else []
    if missing or any(len(texts) != header.rows for texts in said):
        raise InvalidInput(field="columns", rule="A column is missing or short")
    if any(not 0 <= place < header.rows for place, _, _ in header.refused):
        raise InvalidInput(field="columns", rule="A refused row is none of the rows")
    return TransferColumns(
        ids=columns["id"],
        codes=header.codes,
        debits=_indices(columns["debit"], len(header.codes)),
        credits=_indices(columns["credit"], len(header.codes)),
        amounts=columns["amount"],
        reasons=columns["reason"],
        assets=header.assets,
        asset_places=_indices(columns["asset"], len(header.assets)) if "asset" in columns else None,
        references=header.references,
        effective_at=columns.get("effective_at"),
        related=columns.get("related"),
        expires_at=columns.get("expires_at"),
        refused=[Refusal(*one) for one in header.refused],
    )


def without_empty(columns: TransferColumns) -> TransferColumns:
    """Leave the columns out in which no row says anything."""
    return TransferColumns(
        columns.ids, columns.codes, columns.debits, columns.credits, columns.amounts, columns.reasons, columns.assets,
        columns.asset_places if columns.assets else None,
        columns.references if columns.references and any(columns.references) else None,
        _unless_all(columns.effective_at, WHEN_RECORDED),
        columns.related if columns.related is not None and any(columns.related.tobytes()) else None,
        _unless_all(columns.expires_at, NEVER),
        columns.refused,
    )  # fmt: skip


def _unless_all(values: Numbers | None, nothing: int) -> Numbers | None:
    return None if values is None or bool((values == nothing).all()) else values


def _places(places: Places) -> npt.NDArray[np.uint16]:
    return np.where(places == ABSENT, _NONE, places).astype(np.uint16)


def _indices(places: npt.NDArray[np.uint16], count: int) -> Places:
    """
    Turn places that were read back into indices.

    Raises:
        InvalidInput: one lies behind the end (``invalid_input``).
    """
    indices: Places = places.astype(np.int32)
    indices[places == _NONE] = ABSENT
    if len(indices) and int(indices.max()) >= count:
        raise InvalidInput(field="columns", rule="A row names a code that is not there")
    return indices


def _spread(name: str, values: npt.NDArray[Any]) -> bytes:
    """Write a column, its first bytes first."""
    plain = np.ascontiguousarray(values.astype(_WIDTHS[name], copy=False))
    return np.ascontiguousarray(plain.view(np.uint8).reshape(len(values), -1).T).tobytes()


def _gather(header: _Header, body: bytes) -> dict[str, npt.NDArray[Any]]:
    """Read the columns behind the header."""
    columns: dict[str, npt.NDArray[Any]] = {}
    start = 0
    for name in header.columns:
        width = np.dtype(_WIDTHS[name])
        spread = np.frombuffer(body, np.uint8, width.itemsize * header.rows, start)
        start += len(spread)
        bytes_of_rows = np.ascontiguousarray(spread.reshape(width.itemsize, header.rows).T)
        columns[name] = bytes_of_rows.view(width).reshape(-1)
    return columns
