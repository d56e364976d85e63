"""One real PostgreSQL for the whole run; each test that asks for it gets a database of its own, cloned in milliseconds."""

import asyncio
import itertools
import shutil
import tempfile
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import asyncpg
import pytest
import pytest_asyncio
from hypothesis import settings

from tallystick.clock import SystemClock
from tallystick.db.connect import open_pool
from tallystick.db.embedded import EmbeddedServer, shipped_binaries
from tallystick.db.migrate import migrate
from tallystick.ledger.books import open_book
from tallystick.operations.run import Operations
from tallystick.operations.table import TABLE
from tallystick.security.model import OPERATOR

settings.register_profile("house", print_blob=True, deadline=None)
settings.load_profile("house")

TEMPLATE = "prepared"
DATA = Path(__file__).parents[2] / "shared" / "data"
"""Real input, where it is there."""
_LONG = (
    "simulation/",
    "scenarios/test_demo.py",
    "scenarios/test_up.py",
    "docs/test_how_to.py",
    "docs/test_tutorial.py",
)
_numbers = itertools.count(1)
_ROOM = 8 * 2**30


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Have the tests that take long begin first: the last of them would keep one core busy while the others wait."""
    items.sort(key=lambda item: not item.nodeid.removeprefix("tests/").startswith(_LONG))


@pytest.fixture(scope="session")
def server() -> Iterator[EmbeddedServer]:
    """Serve one PostgreSQL with a migrated template database."""
    with tempfile.TemporaryDirectory(prefix="tallystick-tests-", dir=_in_memory()) as directory:
        # All buffers are gone through whenever a database is made or dropped, which is what these tests do most.
        served = EmbeddedServer(Path(directory), shipped_binaries(), most_buffers=128)
        asyncio.run(_start(served))
        try:
            yield served
        finally:
            asyncio.run(served.stop())


def _in_memory() -> Path | None:
    """
    Return where files lie in memory, if there is room; None: where temporary files lie.

    A database is a thousand small files, and each test has one: on a disk, making them took longer than most tests.
    """
    memory = Path("/dev/shm")  # noqa: S108 - a directory of a name of its own is made there
    return memory if memory.is_dir() and shutil.disk_usage(memory).free >= _ROOM else None


async def _start(served: EmbeddedServer) -> None:
    await served.start()
    for setting in (
        "fsync",
        "full_page_writes",
        "synchronous_commit",
    ):  # tests of durability start servers of their own
        await _as_superuser(served, f"ALTER SYSTEM SET {setting} = off")
    await _as_superuser(served, "SELECT pg_reload_conf()")
    await _as_superuser(served, f"CREATE DATABASE {TEMPLATE}")
    await migrate(url_of(served, TEMPLATE))
    # The first to connect after a change writes down what each session needs of the catalogue; copies are born with it.
    await _as_superuser(served, "SELECT 1", TEMPLATE)


async def _as_superuser(served: EmbeddedServer, statement: str, database: str = "postgres") -> None:
    connection = await asyncpg.connect(url_of(served, database))
    try:
        await connection.execute(statement)
    finally:
        await connection.close()


def url_of(served: EmbeddedServer, database: str) -> str:
    """Return the address of *database* on the server, as the schema's owner."""
    return served.url.replace("/tallystick?", f"/{database}?")


@pytest_asyncio.fixture(scope="session")
async def superuser(server: EmbeddedServer) -> AsyncIterator[asyncpg.Connection]:
    """Return the one connection that makes the tests' databases and drops them."""
    connection = await asyncpg.connect(url_of(server, "postgres"))
    yield connection
    await connection.close()


@pytest_asyncio.fixture
async def database_url(server: EmbeddedServer, superuser: asyncpg.Connection) -> AsyncIterator[str]:
    """Return the address of an empty migrated database of this test's own, as its owner."""
    name = f"test_{next(_numbers)}"
    await superuser.execute(f"CREATE DATABASE {name} TEMPLATE {TEMPLATE} STRATEGY FILE_COPY")
    yield url_of(server, name)
    await superuser.execute(f"DROP DATABASE {name} WITH (FORCE)")


@pytest_asyncio.fixture
async def pool(database_url: str) -> AsyncIterator[asyncpg.Pool]:
    """Return a pool that works as the product does: it may append facts and not rewrite them."""
    opened = await open_pool(database_url)
    yield opened
    await opened.close()


@pytest_asyncio.fixture
async def owner(database_url: str) -> AsyncIterator[asyncpg.Connection]:
    """Return a connection that may do anything, to tamper with and to look behind."""
    connection = await asyncpg.connect(database_url, server_settings={"search_path": "tallystick"})
    yield connection
    await connection.close()


@dataclass(frozen=True, slots=True)
class House:
    """The operations on a fresh database with the book ``main``, asked by the operator."""

    operations: Operations

    async def do(self, operation: str, key: str = "", /, **fields: object) -> Any:  # noqa: ANN401 - each operation has its own
        """Run an operation on the book; an empty key makes one up."""
        message = key or f"message-{next(_numbers)}"
        return await self.operations.call(OPERATOR, "main", operation, message, fields)


@pytest_asyncio.fixture
async def house(pool: asyncpg.Pool) -> AsyncIterator[House]:
    """Return the operations on a fresh database with the book ``main`` and the asset USD."""
    async with pool.acquire() as connection:
        await open_book(connection, "main", SystemClock().now())
    opened = House(Operations(pool, SystemClock(), TABLE))
    await opened.do("ledger.ensure_asset", asset="USD", exponent=2)
    yield opened
