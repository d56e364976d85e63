"""The schema: every query fits it, and facts cannot be rewritten by anyone who works through it."""

import contextlib
import dataclasses
import datetime as dt
import decimal
import importlib
import pkgutil
import types
import typing
import uuid

import asyncpg
import pytest

import tallystick
from tallystick.db.queries import Queries, Query

WORKING_TABLES = {
    "account_epoch",
    "credit_expiry",
    "dated_block",
    "dated_run",
    "dated_snapshot",
    "delivery",
    "hold_expiry_pass",
    "migration",
    "invoice_due",
    "late_fee_due",
    "number_series",
    "overdue_open",
    "payment_trouble",
    "job",
    "kept_value",
    "payout_open",
    "refund_unanswered",
    "subscription_due",
    "subscription_waiting",
    "transaction_base",
    "usage_total",
    "usage_totals_through",
    "webhook_work",
}
"""All that may change in place. Whatever is not listed here is a fact; add a table only if it is none."""

TYPES: dict[str, type] = {
    "bool": bool, "bytea": bytes, "date": dt.date, "int2": int, "int4": int, "int8": int, "interval": dt.timedelta,
    "jsonb": str, "numeric": decimal.Decimal, "text": str, "timestamptz": dt.datetime, "uuid": uuid.UUID,
}  # fmt: skip
"""What a column of each type arrives as."""


def every_query() -> list[Query]:
    """Load the whole product and return the queries that it declares."""
    for found in pkgutil.walk_packages(tallystick.__path__, "tallystick."):
        if not found.name.endswith("__main__"):
            importlib.import_module(found.name)
    return Queries.declared


def columns_of(row: type) -> dict[str, object]:
    """Return the fields of a row class with their types."""
    hints = typing.get_type_hints(row)
    if dataclasses.is_dataclass(row):
        return {one.name: hints[one.name] for one in dataclasses.fields(row)}
    names: tuple[str, ...] = getattr(row, "__struct_fields__", getattr(row, "_fields", ()))
    return {name: hints[name] for name in names}


def fits(column: str, annotation: object) -> bool:
    """Say whether a column of that type can be handed to a field so annotated."""
    if isinstance(annotation, types.UnionType) or typing.get_origin(annotation) is typing.Union:
        return any(fits(column, one) for one in typing.get_args(annotation) if one is not types.NoneType)
    if typing.get_origin(annotation) is typing.Literal:
        return all(isinstance(value, TYPES[column]) for value in typing.get_args(annotation))
    annotation = getattr(annotation, "__supertype__", annotation)  # a NewType
    if typing.get_origin(annotation) is typing.Annotated:
        annotation = typing.get_args(annotation)[0]
    if column.endswith("[]"):
        return (typing.get_origin(annotation) or annotation) in {list, tuple}
    return annotation is TYPES[column]


async def test_every_query_fits_the_schema_and_its_row_class(owner: asyncpg.Connection) -> None:
    """Each named query prepares, and its columns are those of the class its rows become, in number, order and type."""
    wrong: list[str] = []
    declared = every_query()
    assert len(declared) > 30
    for query in declared:
        where = f"{query.file.parent.name}/{query.name}"
        try:
            columns = (await owner.prepare(query.sql)).get_attributes()
        except asyncpg.PostgresError as error:
            wrong.append(f"{where}: {error}")
            continue
        if query.single and len(columns) != 1:
            wrong.append(f"{where}: {len(columns)} columns instead of one")
        if query.row is None:
            continue
        fields = columns_of(query.row)
        if len(fields) != len(columns):
            wrong.append(f"{where}: {len(columns)} columns for the {len(fields)} fields of {query.row.__name__}")
            continue
        wrong += [
            f"{where}: column {column.name} is {column.type.name}, field {name} of {query.row.__name__} is {annotation}"
            for column, (name, annotation) in zip(columns, fields.items(), strict=True)
            if not fits(column.type.name, annotation)
        ]
    assert wrong == []


async def test_every_block_of_sql_is_used() -> None:
    """A query that nobody declares is dead and goes."""
    declared = {(query.file, query.name) for query in every_query()}
    blocks = {(file, name) for file in {query.file for query in Queries.declared} for name in Queries(file).blocks}
    assert blocks - declared == set()


async def facts_of(connection: asyncpg.Connection) -> list[tuple[str, str]]:
    """Return every table of the schema but the working ones, each with a column that may be written."""
    rows = await connection.fetch(
        "SELECT table_name::text, min(column_name::text) FROM information_schema.columns "
        "JOIN information_schema.tables USING (table_schema, table_name) "
        "WHERE table_schema = 'tallystick' AND table_type = 'BASE TABLE' AND is_identity = 'NO' GROUP BY 1 ORDER BY 1"
    )
    return [(table, column) for table, column in rows if table not in WORKING_TABLES]


def rewrites_of(table: str, column: str) -> list[str]:
    """Return each way to rewrite a table."""
    return [f"UPDATE {table} SET {column} = {column}", f"DELETE FROM {table}", f"TRUNCATE {table} CASCADE"]


async def test_facts_are_guarded_by_trigger(owner: asyncpg.Connection) -> None:
    """Even the schema's owner is refused each kind of rewriting, on every table that is not listed as a working one."""
    facts = await facts_of(owner)
    assert len(facts) > 20
    unguarded: list[str] = []
    for table, column in facts:
        for statement in rewrites_of(table, column):
            try:
                async with owner.transaction():
                    await owner.execute(statement)
                    unguarded.append(statement)
            except asyncpg.RestrictViolationError:
                pass
    assert unguarded == []


async def test_facts_are_guarded_by_grant(owner: asyncpg.Connection, pool: asyncpg.Pool) -> None:
    """The role the product works as may not rewrite any fact, nor switch a guard off."""
    ungranted: list[str] = []
    async with pool.acquire() as connection:
        assert await connection.fetchval("SELECT current_user") == "tallystick_app"
        for table, column in await facts_of(owner):
            for statement in [*rewrites_of(table, column), f"ALTER TABLE {table} DISABLE TRIGGER ALL"]:
                with contextlib.suppress(asyncpg.InsufficientPrivilegeError):
                    await connection.execute(statement)
                    ungranted.append(statement)
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await connection.execute("SET session_replication_role = replica")
    assert ungranted == []


async def test_the_role_may_read_and_append_every_fact(owner: asyncpg.Connection, pool: asyncpg.Pool) -> None:
    """No table was forgotten when rights were given out."""
    async with pool.acquire() as connection:
        lacking = [
            table
            for table, _ in await facts_of(owner)
            if not await connection.fetchval(
                "SELECT has_table_privilege($1, 'SELECT') AND has_table_privilege($1, 'INSERT')", table
            )
        ]
    assert lacking == []


async def test_every_key_begins_with_the_book(owner: asyncpg.Connection) -> None:
    """Every primary, unique and foreign key of a fact starts with its book, so that books can live on many machines."""
    rows = await owner.fetch(
        "SELECT conname::text, conrelid::regclass::text AS of, "
        "(SELECT attname::text FROM pg_attribute WHERE attrelid = conrelid AND attnum = conkey[1]) AS first "
        "FROM pg_constraint WHERE connamespace = 'tallystick'::regnamespace AND contype IN ('p', 'u', 'f')"
    )
    known = {
        *WORKING_TABLES
        - {
            "account_epoch",
            "credit_expiry",
            "dated_block",
            "dated_run",
            "dated_snapshot",
            "delivery",
            "hold_expiry_pass",
            "invoice_due",
            "late_fee_due",
            "number_series",
            "overdue_open",
            "payment_trouble",
            "job",
            "subscription_due",
            "subscription_waiting",
            "webhook_work",
        },
        "book",
    }
    others = [row["conname"] for row in rows if row["first"] != "book_id" and row["of"].split(".")[-1] not in known]
    assert others == []


async def test_a_transfer_cannot_name_an_account_of_another_book_or_asset(owner: asyncpg.Connection) -> None:
    """The store itself refuses a row whose accounts are not both of its book and asset, in few rows and in many."""
    await owner.execute(
        "INSERT INTO book (name, opened_at) VALUES ('a', now()), ('b', now());"
        "INSERT INTO asset SELECT book_id, number, (ARRAY['USD', 'EUR'])[number], 2 "
        "FROM book, generate_series(1, 2) AS number;"
        "INSERT INTO account SELECT book_id, row_number() OVER (), asset_id, code || part, NULL, NULL, 1, 0, now() "
        "FROM asset, unnest(ARRAY['x', 'y']) AS part;"
    )
    ids = {
        (row["name"], row["code"]): (row["book_id"], row["account_id"], row["asset_id"])
        for row in await owner.fetch(
            "SELECT name, code, book_id, account_id, asset_id FROM account JOIN book USING (book_id)"
        )
    }

    async def post(debit: tuple[str, str], credit: tuple[str, str], count: int) -> None:
        book, account, asset = ids[debit]
        async with owner.transaction():
            await owner.execute(
                "INSERT INTO transfer SELECT transaction_order(), $1, $2, 1, 0, gen_random_uuid(), $3, position, $4, 0, 1 "
                "FROM generate_series(1, $5) AS position",
                account, ids[credit][1], book, asset, count,
            )  # fmt: skip

    for count in (1, 300):
        await post(("a", "USDx"), ("a", "USDy"), count)
        for credit in (("a", "EURx"), ("b", "USDx")):
            with pytest.raises(asyncpg.ForeignKeyViolationError) as refused:
                await post(("a", "USDx"), credit, count)
            assert refused.value.constraint_name == "transfer_accounts_exist"


async def test_no_function_takes_a_lock_that_outlives_its_transaction(owner: asyncpg.Connection) -> None:
    """One that is cancelled before it gives such a lock back leaves it on a connection that others are given next."""
    source = "SELECT proname FROM pg_proc WHERE pronamespace = 'tallystick'::regnamespace AND prosrc ~ $1"
    assert await owner.fetch(source, r"advisory_lock(_shared)?\s*\(") == []
    assert await owner.fetch(source, r"advisory_xact_lock") != []


async def test_who_waits_for_holders_holds_nothing_then(owner: asyncpg.Connection) -> None:
    """Whoever entered to pay keeps no lock of those that it waited for."""
    async with owner.transaction():
        await owner.execute("SELECT enter_to_pay(1), wait_for_holders(6, 1)")
        held = "SELECT classid, objid FROM pg_locks WHERE locktype = 'advisory' AND pid = pg_backend_pid()"
        assert [row for row in await owner.fetch(held) if row["classid"] in {4, 6}] == []


async def test_who_decides_on_invoices_waits_for_those_who_took_a_place_to_pay(
    owner: asyncpg.Connection, database_url: str
) -> None:
    """A payment that is ordered before a decision is there to be seen by it, as it will be when the books are made again."""
    other = await asyncpg.connect(database_url, server_settings={"search_path": "tallystick", "lock_timeout": "100ms"})
    try:
        async with owner.transaction():
            await owner.execute("SELECT enter_to_pay(1)")
            with pytest.raises(asyncpg.LockNotAvailableError):
                await other.execute("SELECT enter_to_decide(1)")
            await other.execute("SELECT enter_to_decide(2)")
        async with other.transaction():
            await other.execute("SELECT enter_to_decide(1)")
            await owner.execute("SET lock_timeout = '100ms'")
            with pytest.raises(asyncpg.LockNotAvailableError):
                await owner.execute("SELECT enter_to_pay(1)")
    finally:
        await other.close()
