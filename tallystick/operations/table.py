"""The table of every operation."""

from tallystick.operations import (
    catalog,
    exchange,
    import_batch,
    invoicing,
    ledger,
    lineage,
    log,
    payments,
    plans,
    rating,
    reading,
    receipts,
    security,
    subscriptions,
    taxes,
    test_clock,
    usage,
    usage_archive,
    usage_corrections,
    usage_queries,
    wallets,
)
from tallystick.operations.model import Operation

ROOMS = (
    usage,
    usage_corrections,
    usage_archive,
    usage_queries,
    catalog,
    rating,
    plans,
    invoicing,
    subscriptions,
    wallets,
    taxes,
    payments,
    receipts,
    ledger,
    exchange,
    reading,
    log,
    import_batch,
    lineage,
    security,
    test_clock,
)

TABLE: dict[str, Operation] = {operation.name: operation for room in ROOMS for operation in room.OPERATIONS}
