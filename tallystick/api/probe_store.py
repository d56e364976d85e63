"""Find out whether the store answers: all that anybody is told of its health."""

import asyncio

import asyncpg

from tallystick.db.connect import LOST_CONNECTION
from tallystick.db.queries import queries_beside

STORE_SECONDS = 1
"""A store that takes longer counts as away; nor is it asked more often."""
_ping = queries_beside(__file__).value("ping")


async def store_answers(pool: asyncpg.Pool) -> bool:
    """Say whether the store answers within a second."""
    try:
        async with asyncio.timeout(STORE_SECONDS), pool.acquire() as connection:
            await _ping(connection)
    except (asyncpg.PostgresError, *LOST_CONNECTION):
        return False
    return True
