"""Migrations: applied once each, whoever and however many start them."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import asyncpg
import pytest

from tallystick.db import migrate as migrating
from tallystick.db.connect import StoreNotPrepared, StoreUnreachable, open_pool
from tallystick.db.embedded import EmbeddedServer
from tallystick.db.migrate import MigrationChanged, StoreTooNew, migrate, shipped_migrations
from tests.conftest import url_of

CATALOG = """
    SELECT 'column', table_name::text, column_name::text, data_type::text, column_default::text, is_nullable::text
    FROM information_schema.columns WHERE table_schema = 'tallystick'
    UNION ALL SELECT 'constraint', conrelid::regclass::text, conname::text, pg_get_constraintdef(oid), NULL, NULL
    FROM pg_constraint WHERE connamespace = 'tallystick'::regnamespace
    UNION ALL SELECT 'index', tablename::text, indexname::text, indexdef, NULL, NULL
    FROM pg_indexes WHERE schemaname = 'tallystick'
    UNION ALL SELECT 'trigger', tgrelid::regclass::text, tgname::text, pg_get_triggerdef(oid), NULL, NULL
    FROM pg_trigger WHERE NOT tgisinternal
    UNION ALL SELECT 'function', proname::text, '', prosrc, NULL, NULL
    FROM pg_proc WHERE pronamespace = 'tallystick'::regnamespace
    ORDER BY 1, 2, 3, 4
"""


@pytest.fixture
async def empty_url(server: EmbeddedServer) -> AsyncIterator[str]:
    """Return the address of a database in which nothing was ever done."""
    connection = await asyncpg.connect(url_of(server, "postgres"))
    await connection.execute("CREATE DATABASE empty")
    yield url_of(server, "empty")
    await connection.execute("DROP DATABASE empty WITH (FORCE)")
    await connection.close()


async def test_a_second_run_changes_nothing(database_url: str, owner: asyncpg.Connection) -> None:
    """Running the migrations again applies none and leaves every table, key, trigger and function as it was."""
    before = await owner.fetch(CATALOG)
    applied = await owner.fetch("SELECT * FROM migration ORDER BY name")
    assert [row["name"] for row in applied] == [one.name for one in shipped_migrations()]
    assert await migrate(database_url) == []
    assert await owner.fetch(CATALOG) == before
    assert await owner.fetch("SELECT * FROM migration ORDER BY name") == applied


async def test_two_at_once_apply_each_once(empty_url: str, owner: asyncpg.Connection) -> None:
    """Several that start together share the work without treading on each other, and the schema is the usual one."""
    applied = await asyncio.gather(*(migrate(empty_url) for _ in range(3)))
    assert sorted(applied) == [[], [], [one.name for one in shipped_migrations()]]
    connection = await asyncpg.connect(empty_url, server_settings={"search_path": "tallystick"})
    assert await connection.fetch(CATALOG) == await owner.fetch(CATALOG)
    await connection.close()


async def test_a_changed_migration_is_refused(database_url: str, owner: asyncpg.Connection) -> None:
    """A file that was edited after it was applied is named, and nothing is done."""
    name = shipped_migrations()[2].name
    await owner.execute("UPDATE migration SET digest = 'other' WHERE name = $1", name)
    with pytest.raises(MigrationChanged) as refused:
        await migrate(database_url)
    assert name in refused.value.message


async def test_a_database_of_a_newer_version_is_refused(database_url: str, owner: asyncpg.Connection) -> None:
    """An older program leaves a newer database alone."""
    await owner.execute("INSERT INTO migration (name, digest) VALUES ('9999_future', 'x')")
    with pytest.raises(StoreTooNew):
        await migrate(database_url)


async def test_a_migration_that_fails_leaves_the_ones_before_it_and_no_half(
    empty_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each file is one transaction: a failing one leaves nothing of itself, and the next run takes it up again."""
    (tmp_path / "0001_good.sql").write_text("CREATE TABLE tallystick.good (x int);")
    (tmp_path / "0002_bad.sql").write_text("CREATE TABLE tallystick.half (x int); SELECT 1 / 0;")
    monkeypatch.setattr(migrating, "MIGRATIONS", tmp_path)
    with pytest.raises(asyncpg.DivisionByZeroError):
        await migrate(empty_url)
    connection = await asyncpg.connect(empty_url)
    assert await connection.fetchval("SELECT to_regclass('tallystick.good') IS NOT NULL")
    assert await connection.fetchval("SELECT to_regclass('tallystick.half') IS NULL")
    (tmp_path / "0002_bad.sql").write_text("CREATE TABLE tallystick.whole (x int);")
    assert await migrate(empty_url) == ["0002_bad"]
    await connection.close()


async def test_an_unprepared_database_is_told_from_one_that_is_away(empty_url: str) -> None:
    """Who forgot to migrate is told to; who has a wrong address is told that nobody answers."""
    with pytest.raises(StoreUnreachable):
        await migrate("postgresql://postgres@127.0.0.1:1/none")
    with pytest.raises(StoreUnreachable):
        await open_pool("postgresql://postgres@127.0.0.1:1/none")
    try:
        pool = await open_pool(empty_url)  # the role may exist already: another database of this server has it
    except StoreNotPrepared:
        return
    async with pool.acquire() as connection:
        with pytest.raises(asyncpg.UndefinedTableError):
            await connection.fetch("SELECT FROM book")
    await pool.close()
