"""What makes a transaction worth running again from its start."""

import asyncpg


class OrderLost(Exception):
    """A transaction ordered after this one moved first; run this one again, under a later place."""


RUN_AGAIN = (
    OrderLost,
    asyncpg.SerializationError,
    asyncpg.DeadlockDetectedError,
    asyncpg.UniqueViolationError,
)
"""Running the same transaction again finds what the other one wrote, and answers accordingly."""
