"""The table of every operation."""

from tallystick.operations import catalog, invoicing, ledger, payments, receipts, security, usage
from tallystick.operations.model import Operation

ROOMS = (usage, catalog, invoicing, payments, receipts, ledger, security)

TABLE: dict[str, Operation] = {operation.name: operation for room in ROOMS for operation in room.OPERATIONS}
