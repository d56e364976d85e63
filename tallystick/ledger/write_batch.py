"""Write batch: put what was judged into the ledger, a few rows by one statement and many by copying."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from tallystick.db.copy import BIGINT, INTEGER, SMALLINT, UUID, FixedTable, copy_in
from tallystick.db.queries import Connection, queries_beside
from tallystick.ledger import encode_changes
from tallystick.ledger.accounts import Recorded
from tallystick.ledger.encode_leaf import ToSeal, hash_leaves
from tallystick.ledger.find_known import split_ids
from tallystick.ledger.model import NEVER, USES_HOLD, Batch, Outcomes, Reason, Status, Transfers, microseconds
from tallystick.ledger.reading.date_changes import COLUMNS as DATED_COLUMNS
from tallystick.ledger.reading.date_changes import TABLE as DATED
from tallystick.ledger.reading.date_changes import date_changes
from tallystick.ledger.sum_changes import Touched, require_sums_fit, sum_changes, touch

_queries = queries_beside(__file__)
_write_small = _queries.run("write_small")
_insert_batch = _queries.run("insert_batch")
_insert_references = _queries.run("insert_references")

TRANSFER = FixedTable(
    "transfer",
    {
        "batch_id": BIGINT,
        "debit_account_id": BIGINT,
        "credit_account_id": BIGINT,
        "amount": BIGINT,
        "effective_at": BIGINT,
        "transfer_id": UUID,
        "book_id": INTEGER,
        "position": SMALLINT,
        "asset_id": INTEGER,
        "message_place": SMALLINT,
        "reason": SMALLINT,
    },
)
_HOLD = FixedTable("hold", {"expires_at": BIGINT, "batch_id": BIGINT, "book_id": INTEGER, "position": SMALLINT})
_HOLD_USE = FixedTable(
    "hold_use",
    {"hold_id": UUID, "batch_id": BIGINT, "amount": BIGINT, "asked": BIGINT, "book_id": INTEGER, "nth": INTEGER,
     "position": SMALLINT, "ends": SMALLINT},
)  # fmt: skip
_REVERSAL = FixedTable("reversal", {"reversed_id": UUID, "batch_id": BIGINT, "book_id": INTEGER, "position": SMALLINT})
_SWEEP = FixedTable("sweep", {"asked": BIGINT, "batch_id": BIGINT, "book_id": INTEGER, "position": SMALLINT})

COPIED = ("transfer_id", "debit_account_id", "credit_account_id", "amount", "effective_at", "asset_id",
          "message_place", "reason")  # fmt: skip


@dataclass(frozen=True, slots=True)
class ToWrite:
    """A batch that was judged, and its place in the ledger."""

    book_id: int
    batch_id: int
    recorded: Recorded
    batch: Batch
    """Its amounts are as they were asked for."""
    touched: Touched
    small: bool
    """It is written by one statement."""


@dataclass(frozen=True, slots=True)
class Details:
    """What only some transfers have, found while the batch was judged; each column as long as the batch, or None."""

    asked: npt.NDArray[np.int64] | None
    nth: npt.NDArray[np.int64]
    """Which of the uses of its hold it is."""
    ends: npt.NDArray[np.int64]
    """1 for the use that ends its hold."""

    def take(self, chosen: npt.NDArray[np.bool_]) -> "Details":
        """Return those of the transfers that are *chosen*."""
        return Details(None if self.asked is None else self.asked[chosen], self.nth[chosen], self.ends[chosen])


async def write_batch(
    connection: Connection, writing: ToWrite, message_hashes: npt.NDArray[np.void], outcomes: Outcomes, details: Details
) -> None:
    """
    Write what is to be posted, with the amounts it came to.

    *message_hashes* are the SHA-256 of the transaction's messages by place.

    Raises:
        BatchTooLarge: the amounts of one account overflow (``ledger.batch_too_large``).
    """
    posted = outcomes.statuses == Status.POSTED
    if not posted.any():
        return
    whole = writing.batch
    batch = Batch(whole.rows.copy(), whole.related, whole.expires_at, whole.references)
    batch.rows["amount"] = outcomes.amounts
    touched = writing.touched
    if not posted.all():
        batch, details = batch.take(posted), details.take(posted)
        touched = touch(batch.rows)
    book_id, recorded, rows = writing.book_id, writing.recorded, batch.rows
    require_sums_fit(rows)
    changes = sum_changes(rows, touched)
    leaves = hash_leaves(ToSeal(book_id, batch, details.asked, microseconds(recorded.at), message_hashes))
    sealed = (book_id, writing.batch_id, len(batch), recorded.at, leaves, changes.pages.tobytes())
    if writing.small:
        await _write_small(connection, *sealed, *_columns_of(rows), *encode_changes.columns_of(changes))
    else:
        columns: dict[str, npt.ArrayLike] = {name: rows[name] for name in COPIED}
        columns |= {"batch_id": writing.batch_id, "book_id": book_id, "position": np.arange(len(batch))}
        await copy_in(connection, TRANSFER.name, TRANSFER.columns, TRANSFER.encode(len(batch), columns))
        encoded = encode_changes.encode_changes(book_id, writing.batch_id, changes)
        await copy_in(connection, encode_changes.TABLE, encode_changes.COLUMNS, encoded)
        await _insert_batch(connection, *sealed)
    if (dated := date_changes(book_id, writing.batch_id, rows, touched)) is not None:
        await copy_in(connection, DATED, DATED_COLUMNS, dated)
    await _write_details(connection, writing, batch, details)


def _columns_of(rows: Transfers) -> list[list[Any]]:
    """Return the columns of few transfers as the parameters of one statement, which spares the round trips of copying."""
    return [split_ids(rows["transfer_id"]), *(rows[name].tolist() for name in COPIED[1:])]


async def _write_details(connection: Connection, writing: ToWrite, batch: Batch, details: Details) -> None:
    """Write what only some transfers have, each a fact of its own."""
    reasons = np.ascontiguousarray(batch.rows["reason"])
    same: dict[str, npt.ArrayLike] = {"batch_id": writing.batch_id, "book_id": writing.book_id}
    if (holds := np.flatnonzero(reasons == Reason.HOLD)).size:
        expires_at = NEVER if batch.expires_at is None else batch.expires_at[holds]
        await _copy(connection, _HOLD, holds, same | {"expires_at": expires_at})
    if (sweeps := np.flatnonzero(reasons == Reason.SWEEP)).size and details.asked is not None:
        await _copy(connection, _SWEEP, sweeps, same | {"asked": details.asked[sweeps]})
    if batch.related is not None:
        if (reversals := np.flatnonzero(reasons == Reason.REVERSAL)).size:
            await _copy(connection, _REVERSAL, reversals, same | {"reversed_id": batch.related[reversals]})
        if (uses := np.flatnonzero(np.isin(reasons, USES_HOLD))).size:
            columns: dict[str, npt.ArrayLike] = {
                "hold_id": batch.related[uses],
                "amount": batch.rows["amount"][uses],
                "asked": 0 if details.asked is None else details.asked[uses],
                "nth": details.nth[uses],
                "ends": details.ends[uses],
            }
            await _copy(connection, _HOLD_USE, uses, same | columns)
    if batch.references is not None:
        said = [(place, reference) for place, reference in enumerate(batch.references) if reference]
        if said:
            places, references = zip(*said, strict=True)
            await _insert_references(connection, same["book_id"], same["batch_id"], places, references)


async def _copy(
    connection: Connection, table: FixedTable, positions: npt.NDArray[np.intp], columns: dict[str, Any]
) -> None:
    encoded = table.encode(len(positions), columns | {"position": positions})
    await copy_in(connection, table.name, table.columns, encoded)
