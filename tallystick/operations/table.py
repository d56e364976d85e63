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
    reading,
    receipts,
    security,
    usage,
)
from tallystick.operations.model import Operation

ROOMS = (usage, catalog, invoicing, payments, receipts, ledger, exchange, reading, log, import_batch, lineage, security)

TABLE: dict[str, Operation] = {operation.name: operation for room in ROOMS for operation in room.OPERATIONS}
