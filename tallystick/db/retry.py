"""What makes a transaction worth running again from its start."""

import asyncpg


class OrderLost(Exception):
    """A transaction ordered after this one moved first; run this one again, under a later place."""


class PartitionGone(Exception):
    """The part of a table that rows were for has left since it was seen; run this one again, which makes another."""


RUN_AGAIN = (
    OrderLost,
    asyncpg.SerializationError,
    asyncpg.DeadlockDetectedError,
    asyncpg.UniqueViolationError,
    PartitionGone,
)
"""Running the same transaction again finds what the other one wrote, and answers accordingly."""
