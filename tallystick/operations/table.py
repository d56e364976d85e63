"""
The table of every operation.

A room's modules are imported when the first of its operations is looked for: a command of the command line pays for the
rooms that it uses, and the server, which goes through all of the table as it starts, for all of them.
"""

from collections.abc import Iterator, Mapping
from functools import cache
from importlib import import_module

from tallystick.operations.model import Operation

ROOMS: dict[str, tuple[str, ...]] = {
    "usage": ("usage", "usage_corrections", "usage_archive", "usage_queries", "lineage"),
    "catalog": ("catalog",),
    "rating": ("rating",),
    "plans": ("plans",),
    "invoicing": ("invoicing", "invoice_requests", "invoice_life"),
    "subscriptions": ("subscriptions",),
    "wallets": ("wallets",),
    "taxes": ("taxes",),
    "parties": ("parties",),
    "documents": ("parties",),
    "payments": ("payments", "refunds", "provider_events", "late_captures"),
    "refunds": ("refunds",),
    "disputes": ("disputes",),
    "payouts": ("payouts",),
    "repayments": ("repayments",),
    "collecting": ("repayments",),
    "charges": ("charges",),
    "bank": ("bank",),
    "slips": ("slips",),
    "dunning": ("dunning",),
    "batches": ("batches",),
    "receipts": ("receipts",),
    "queues": ("queues",),
    "ledger": ("ledger", "exchange", "reading", "log", "import_batch"),
    "lineage": ("lineage",),
    "security": ("security",),
    "webhooks": ("webhooks",),
    "events": ("webhooks",),
    "alerts": ("alerts",),
    "clock": ("test_clock",),
}
"""Where the operations stand: by the first word of their names, the modules here that list them in OPERATIONS."""


class Table(Mapping[str, Operation]):
    """Every operation by its name."""

    def __getitem__(self, name: str) -> Operation:
        """Return an operation; KeyError if there is none of this name."""
        return _room(name.partition(".")[0])[name]

    def __iter__(self) -> Iterator[str]:
        """Go through all names, room by room."""
        for first_word in ROOMS:
            yield from _room(first_word)

    def __len__(self) -> int:
        """Count them."""
        return sum(1 for _ in self)


@cache
def _room(first_word: str) -> dict[str, Operation]:
    """Import the operations whose names begin with this word."""
    modules = [import_module(f"tallystick.operations.{name}") for name in ROOMS.get(first_word, ())]
    found = (operation for module in modules for operation in module.OPERATIONS)
    return {operation.name: operation for operation in found if operation.name.startswith(f"{first_word}.")}


TABLE = Table()
