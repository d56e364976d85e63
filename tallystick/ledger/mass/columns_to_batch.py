"""Columns to batch: turn codes, which files use, into the ids that the ledger posts, each distinct one looked up once."""

import numpy as np

from tallystick.db.queries import Connection, queries_beside
from tallystick.ledger.mass.encode_columns import TransferColumns
from tallystick.ledger.model import Batch, transfers
from tallystick.ledger.post import Ledger
from tallystick.ledger.resolve import UNKNOWN, resolve_accounts

_queries = queries_beside(__file__)
_find_asset_ids = _queries.tuples("find_asset_ids")

UNKNOWN_ASSET = -1
"""What an asset resolves to that the book does not have: no account is of it."""


async def columns_to_batch(connection: Connection, ledger: Ledger, columns: TransferColumns, place: int) -> Batch:
    """Return those rows of *columns* that could be read as a batch; *place* is that of their message."""
    accounts = await resolve_accounts(connection, ledger, columns.codes)
    ids = np.array([*accounts, UNKNOWN], np.int64)  # what a row does not give has the index -1, the last
    rows = transfers(len(columns))
    rows["transfer_id"] = columns.ids
    rows["debit_account_id"] = ids[columns.debits]
    rows["credit_account_id"] = ids[columns.credits]
    rows["amount"] = columns.amounts
    rows["reason"] = columns.reasons
    rows["message_place"] = place
    if columns.effective_at is not None:
        rows["effective_at"] = columns.effective_at
    if columns.asset_places is not None:
        found = dict(await _find_asset_ids(connection, ledger.book_id, columns.assets))
        assets = np.array([*(found.get(code, UNKNOWN_ASSET) for code in columns.assets), 0], np.int32)
        rows["asset_id"] = assets[columns.asset_places]
    batch = Batch(rows, columns.related, columns.expires_at, columns.references)
    return batch.take(columns.good) if columns.refused else batch
