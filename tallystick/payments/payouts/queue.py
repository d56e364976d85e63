"""The jobs of payouts: the list of a provider is looked through, and each payout on it is read."""

import datetime as dt
import uuid
from collections.abc import Sequence

from tallystick.db.queries import Connection, queries_beside
from tallystick.queues.model import NewJob

_queries = queries_beside(__file__)
_first_opened_at = _queries.value("first_opened_at")
_find_before = _queries.value("find_before")
_find_known = _queries.tuples("find_known")

QUEUE = "payouts"
_PRIORITY = 4


def list_jobs(providers: Sequence[str], at: dt.datetime) -> list[NewJob]:
    """Return the jobs of looking through providers' lists of payouts now."""
    return [NewJob(QUEUE, one, _PRIORITY, at) for one in providers]


def payout_jobs(named: Sequence[tuple[str, str]], at: dt.datetime) -> list[NewJob]:
    """Return the jobs of reading payouts now; each is named by its provider and the provider's id of it."""
    return [NewJob(QUEUE, f"{provider}/{payout}", _PRIORITY, at) for provider, payout in named]


def read_key(key: str) -> tuple[str, str | None]:
    """Return the provider that a job is about, and its id of the payout to read; None: to look through its list."""
    provider, slash, payout = key.partition("/")
    return provider, payout if slash else None


async def first_taken_at(connection: Connection, book_id: int, provider: str) -> dt.datetime | None:
    """Return when a book first had to do with a provider's money; None: it never had."""
    found: dt.datetime | None = await _first_opened_at(connection, book_id, provider)
    return found


async def find_before(connection: Connection, book_id: int, provider: str, at: dt.datetime) -> str | None:
    """Return the newest payout of a provider that was recorded before *at*; None: there is none."""
    found: str | None = await _find_before(connection, book_id, provider, at)
    return found


async def find_known(
    connection: Connection, book_id: int, provider: str, payouts: Sequence[str]
) -> dict[str, tuple[uuid.UUID, str]]:
    """Return our ids of those payouts that were recorded, and what became of them."""
    rows = await _find_known(connection, book_id, provider, list(payouts))
    return {row[0]: (row[1], row[2]) for row in rows}
