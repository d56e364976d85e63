"""Migrations: numbered SQL files, applied once each, in order, under one lock."""

import hashlib
from dataclasses import dataclass
from pathlib import Path

import asyncpg

from tallystick.db.connect import StoreNotPrepared, connect_as_owner
from tallystick.errors import Kind, TallystickError

MIGRATIONS = Path(__file__).with_name("migrations")
_LOCK = 0x7A11_5710


class MigrationChanged(TallystickError):
    """Migration {name} was applied with other content than this version ships; restore the file, never edit one."""

    code = "store.migration_changed"
    kind = Kind.CONFLICT


class StoreTooNew(TallystickError):
    """The database has migration {name}, which this version does not know; run a newer Tallystick."""

    code = "store.too_new"
    kind = Kind.CONFLICT


class StoreTooOld(TallystickError):
    """The server is PostgreSQL {found}; Tallystick needs 18 or newer."""

    code = "store.too_old"
    kind = Kind.REFUSED


@dataclass(frozen=True, slots=True)
class Migration:
    """One numbered file."""

    name: str
    sql: str

    @property
    def digest(self) -> str:
        """Return the SHA-256 of the content, in hex."""
        return hashlib.sha256(self.sql.encode()).hexdigest()


def shipped_migrations() -> list[Migration]:
    """Return what this version ships, in order of number."""
    return [Migration(path.stem, path.read_text()) for path in sorted(MIGRATIONS.glob("*.sql"))]


async def migrate(url: str) -> list[str]:
    """
    Bring the database at *url* up to this version and return the names of the migrations applied now.

    Each file and the note that it was applied are one transaction; running it again changes nothing.

    Raises:
        StoreUnreachable: nobody answers at *url* (``store.unreachable``).
        StoreTooOld: the server is older than PostgreSQL 18 (``store.too_old``).
        MigrationChanged: an applied file differs from the shipped one (``store.migration_changed``).
        StoreTooNew: the database is ahead of this version (``store.too_new``).
    """
    connection = await connect_as_owner(url)
    try:
        return await _apply(connection)
    finally:
        await connection.close()


async def _apply(connection: asyncpg.Connection) -> list[str]:
    version = connection.get_server_version()
    if version.major < 18:  # noqa: PLR2004 - the oldest PostgreSQL with uuidv7() and temporal constraints
        raise StoreTooOld(found=f"{version.major}.{version.minor}")
    await connection.execute("SELECT pg_advisory_lock($1)", _LOCK)
    await connection.execute("CREATE SCHEMA IF NOT EXISTS tallystick")
    await connection.execute(
        "CREATE TABLE IF NOT EXISTS tallystick.migration "
        "(name text PRIMARY KEY, digest text NOT NULL, applied_at timestamptz NOT NULL DEFAULT clock_timestamp())"
    )
    rows = await connection.fetch("SELECT name, digest FROM tallystick.migration")
    applied = {row["name"]: row["digest"] for row in rows}
    shipped = shipped_migrations()
    _compare(applied, shipped)
    waiting = [migration for migration in shipped if migration.name not in applied]
    for migration in waiting:
        async with connection.transaction():
            await connection.execute(migration.sql)
            await connection.execute(
                "INSERT INTO tallystick.migration (name, digest) VALUES ($1, $2)", migration.name, migration.digest
            )
    return [migration.name for migration in waiting]


def _compare(applied: dict[str, str], shipped: list[Migration]) -> None:
    known = {migration.name: migration.digest for migration in shipped}
    for name, digest in sorted(applied.items()):
        if name not in known:
            raise StoreTooNew(name=name)
        if known[name] != digest:
            raise MigrationChanged(name=name)


async def require_prepared(pool: asyncpg.Pool) -> None:
    """
    Hold what is applied against what this version ships.

    Raises:
        StoreNotPrepared: a migration is missing (``store.not_prepared``).
        MigrationChanged: an applied file differs from the shipped one (``store.migration_changed``).
        StoreTooNew: the database is ahead of this version (``store.too_new``).
    """
    try:
        rows = await pool.fetch("SELECT name, digest FROM migration")
    except (asyncpg.UndefinedTableError, asyncpg.InsufficientPrivilegeError) as error:
        raise StoreNotPrepared from error
    applied = {row["name"]: row["digest"] for row in rows}
    shipped = shipped_migrations()
    _compare(applied, shipped)
    if len(applied) < len(shipped):
        raise StoreNotPrepared
