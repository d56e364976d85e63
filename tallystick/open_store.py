"""Open the store: the operations on a pool of connections, with the embedded server beneath them if there is no other."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from pathlib import Path

import asyncpg

from tallystick.clock import MovedClock, SystemClock
from tallystick.db.connect import LOST_CONNECTION, faults_told, open_pool
from tallystick.db.embedded import EmbeddedServer, serving, shipped_binaries
from tallystick.db.migrate import migrate, require_prepared
from tallystick.errors import Kind, TallystickError
from tallystick.ids import uuid7
from tallystick.keyvalue.in_postgres import KeyValueInPostgres
from tallystick.keyvalue.model import KeyValue
from tallystick.ledger.books import open_book
from tallystick.notify.derive_secret import WebhookKey
from tallystick.notify.judge_address import Reach
from tallystick.operations.run import Operations
from tallystick.operations.table import TABLE
from tallystick.security.keys import hash_of, make_key
from tallystick.security.model import OPERATOR
from tallystick.settings import Settings
from tallystick.taxes.engine import TaxEngine, load_engine

FIRST_BOOK = "main"
POOL_SIZE = 12
_CLOSE_SECONDS = 10


class StoreRefused(TallystickError):
    """PostgreSQL answers, and refuses: {reason}."""

    code = "store.refused"
    kind = Kind.REFUSED


@dataclass(frozen=True, slots=True)
class Store:
    """The operations on an open store; ``server`` is None where PostgreSQL is the operator's own."""

    operations: Operations
    server: EmbeddedServer | None
    url: str


@contextlib.asynccontextmanager
async def open_store(settings: Settings, *, attach: bool = True) -> AsyncIterator[Store]:
    """
    Open the store that *settings* name, starting the embedded server if they name none.

    The embedded one is brought up to this version; one of the operator's own must have been (`tallystick migrate`).

    Raises:
        TallystickError: ``store.…``, with what to do.
    """
    async with contextlib.AsyncExitStack() as stack:
        server = None
        url = settings.postgres_url
        if url is None:
            binaries = settings.postgres_binaries or shipped_binaries()
            server = await stack.enter_async_context(serving(settings.data_directory, binaries, attach=attach))
            url = server.url
            await prepare(url)
        with _refusals_told():
            pool = await open_pool(url, size=POOL_SIZE)
            stack.push_async_callback(_close, pool)
            await require_prepared(pool)
        clock = SystemClock() if settings.test_clock is None else MovedClock(settings.test_clock)
        operations = Operations(pool, clock, TABLE)
        if settings.tax_engine is not None:
            operations.resources[TaxEngine] = load_engine(settings.tax_engine)
        operations.resources[WebhookKey] = WebhookKey(keys_directory(settings) / "webhooks.secret")
        operations.resources[Reach] = Reach.parse(settings.webhook_allow)
        operations.resources[KeyValue] = KeyValueInPostgres(pool, clock)
        yield Store(operations, server, url)


async def prepare(url: str) -> list[str]:
    """
    Bring the database at *url* up to this version and return the names of the migrations applied now.

    Raises:
        TallystickError: ``store.…``, with what is in the way.
    """
    with _refusals_told():
        return await migrate(url)


async def ensure_book(operations: Operations, name: str) -> str | None:
    """Open the book *name* if need be; return a new administrator's key if it has none, and None otherwise."""
    await operations.work(lambda connection: open_book(connection, name, operations.clock.now()))
    if await operations.call(OPERATOR, name, "security.list_keys", "", {}):
        return None
    key = make_key()
    fields = {"name": "first administrator", "scopes": ["*"], "sha256": hash_of(key).hex()}
    await operations.call(OPERATOR, name, "security.create_key", str(uuid7()), fields)
    return key


def keys_directory(settings: Settings) -> Path:
    """Return where the keys of the logs are."""
    return settings.data_directory / "keys"


@contextlib.contextmanager
def _refusals_told() -> Iterator[None]:
    """Turn what PostgreSQL says when it is opened into errors of ours."""
    try:
        with faults_told():
            yield
    except asyncpg.PostgresError as error:
        raise StoreRefused(reason=error) from error


async def _close(pool: asyncpg.Pool) -> None:
    """Close the connections; those that are not given back in time are cut."""
    try:
        await asyncio.wait_for(pool.close(), _CLOSE_SECONDS)
    except (TimeoutError, *LOST_CONNECTION):
        pool.terminate()
