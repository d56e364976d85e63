"""A database with payments under way is brought up to version 0031: what is still to be done about each is in the queue."""

import datetime as dt
import shutil
import uuid
from collections.abc import AsyncIterator
from pathlib import Path

import asyncpg
import pytest

from tallystick.db import migrate as migrating
from tallystick.db.connect import open_pool
from tallystick.db.embedded import EmbeddedServer
from tallystick.db.migrate import migrate, shipped_migrations
from tallystick.queues.claim import claim
from tests.conftest import url_of

NOW = dt.datetime(2026, 5, 1, 12, tzinfo=dt.UTC)


@pytest.fixture
async def old_url(server: EmbeddedServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[str]:
    """Return the address of a database of version 0030."""
    for one in shipped_migrations():
        if one.name < "0031":
            shutil.copy(migrating.MIGRATIONS / f"{one.name}.sql", tmp_path)
    connection = await asyncpg.connect(url_of(server, "postgres"))
    await connection.execute("CREATE DATABASE before_queues")
    url = url_of(server, "before_queues")
    with monkeypatch.context() as patched:
        patched.setattr(migrating, "MIGRATIONS", tmp_path)
        assert (await migrate(url))[-1].startswith("0030")
    yield url
    await connection.execute("DROP DATABASE before_queues WITH (FORCE)")
    await connection.close()


async def test_payments_under_way_go_on_in_the_queue(old_url: str) -> None:
    """Those asked to be completed come first, each is due when its lease would have ended, and none is held."""
    started, opened, submitted, waiting = (uuid.UUID(int=number) for number in range(1, 5))
    owner = await asyncpg.connect(old_url, server_settings={"search_path": "tallystick"})
    await owner.execute("INSERT INTO book (name, opened_at) VALUES ('main', $1)", NOW)
    await owner.execute("SET session_replication_role = replica")  # jobs and steps alone, without their invoices
    await owner.executemany(
        "INSERT INTO payment_step VALUES (1, $1, $2, $3, $4, NULL, 1, 0, $5)",
        [
            (opened, "opened", "tx-2", "token", NOW),
            (submitted, "opened", "tx-3", "token", NOW),
            (submitted, "submitted", None, None, NOW),
        ],
    )
    await owner.executemany(
        "INSERT INTO payment_job VALUES (1, $1, $2, $3)",
        [(started, NOW, 0), (opened, NOW - dt.timedelta(minutes=1), 2), (submitted, NOW, 7),
         (waiting, NOW + dt.timedelta(minutes=30), 0)],
    )  # fmt: skip
    await owner.close()
    await migrate(old_url)
    pool = await open_pool(old_url)
    async with pool.acquire() as connection:
        jobs = await claim(connection, "ada", ["payments"], NOW, 64)
        assert await connection.fetchval("SELECT to_regclass('payment_job') IS NULL")
        assert await connection.fetchval("SELECT due_at FROM job WHERE worker IS NULL") == NOW + dt.timedelta(
            minutes=30
        )
    await pool.close()
    assert [(job.key, job.priority, job.attempts) for job in jobs] == [
        (str(submitted), 0, 8), (str(opened), 1, 3), (str(started), 1, 1),
    ]  # fmt: skip
