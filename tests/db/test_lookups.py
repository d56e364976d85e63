"""Looking up by a list: no plan goes through all that a book has, however little the planner knows of the store."""

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import asyncpg

import tallystick
from tallystick.db.queries import Connection, Query
from tests.db.test_schema import every_query

SMALL = {"asset", "book", "meter", "payout_report", "price", "transaction_base", "usage_month_event", "webhook_work"}
"""Tables that stay so small that it does no harm to go through all of a book."""

MEANT = {
    "lineage follow": "follows one id, whose pieces `test_no_look_up_reads_all_of_a_table` looks at",
}
"""Statements that are meant as they are, each with the reason."""

READS_ALL = {
    "Aggregate", "Hash", "Hash Join", "Incremental Sort", "Merge Join", "Nested Loop", "SetOp", "Sort", "Unique", "WindowAgg"
}  # fmt: skip
"""What may read all of its input for a few rows, so that a limit above it saves nothing."""

ADVICE = """
These statements take a list, and are planned as a way through all that the book has. The plan is made while tables are
empty and kept: as they grow, each call goes through all of them. Make each look-up one of its own, fenced by OFFSET 0,
    CROSS JOIN LATERAL (
        SELECT amount FROM payment WHERE book_id = $1 AND payment.payment_id = wanted.payment_id OFFSET 0
    ) AS payment
(LEFT JOIN LATERAL (...) AS payment ON true where there may be none, EXISTS (... OFFSET 0)), and put whatever else it
must fulfil outside of the fence. "Looking up by a list" in tallystick/db/README.md says more.
"""


@dataclass(frozen=True, slots=True)
class Scan:
    """One node of a plan that reads a table."""

    table: str
    condition: str
    """What bounds it, as the plan tells it; empty: nothing."""
    leads: str
    """The first column of the index that tells the rows of a book apart; empty: none does."""

    def is_of_the_whole_book(self) -> bool:
        """Say whether nothing but the book, the asset and a horizon bounds it."""
        return not any(_bounds(clause, self.leads) for clause in self.condition.split(" AND "))

    def __str__(self) -> str:
        """Tell it for the message of a failure."""
        return f"{self.table} by {self.condition or 'nothing'}"


def _bounds(clause: str, column: str) -> bool:
    plain, wanted = (text.replace('"', "").lstrip("(") for text in (clause, column))
    if not wanted or not plain.removeprefix("ROW(").startswith(wanted) or "IS NOT NULL" in plain:
        return False
    return not (wanted == "transaction_id" and re.search(r" <=? ", plain))


def scans(node: dict[str, Any], leads: dict[str, tuple[str, str]], *, limited: bool = False) -> Iterator[Scan]:
    """Yield each scan from *node* on that no limit cuts short."""
    kind = node["Node Type"]
    limited = (limited or kind == "Limit") and kind not in READS_ALL
    if "Index Name" in node and (kind == "Bitmap Index Scan" or not limited):
        table, column = leads[node["Index Name"]]
        yield Scan(table, node.get("Index Cond", ""), column)
    elif kind == "Seq Scan" and not limited:
        yield Scan(node["Relation Name"], "", "")
    for below in node.get("Plans", []):
        same = below["Parent Relationship"] in {"Outer", "Member", "Subquery"}
        yield from scans(below, leads, limited=limited and same)


async def leading_columns(connection: Connection) -> dict[str, tuple[str, str]]:
    """Return each index with its table, and its first column that is neither the book nor the asset."""
    rows = await connection.fetch(
        "SELECT indexrelid::regclass::text, indrelid::regclass::text, array(SELECT pg_get_indexdef(indexrelid, nth, true) "
        "FROM generate_series(1, indnkeyatts) AS nth) FROM pg_index JOIN pg_class ON pg_class.oid = indrelid "
        "WHERE relnamespace = 'tallystick'::regnamespace"
    )
    return {
        index: (table, next((one for one in columns if one not in {"book_id", "asset_id"}), ""))
        for index, table, columns in rows
    }


async def plan_of(connection: Connection, sql: str) -> dict[str, Any]:
    """Return the plan that is kept for whatever a statement is given."""
    taken = len((await connection.prepare(sql)).get_parameters())
    transaction = connection.transaction()
    await transaction.start()
    try:
        await connection.execute("SET LOCAL plan_cache_mode = force_generic_plan")
        await connection.execute(f"PREPARE planned AS {sql}")
        given = f"({', '.join(['NULL'] * taken)})" if taken else ""
        plan = await connection.fetchval(f"EXPLAIN (FORMAT JSON) EXECUTE planned{given}")
        await connection.execute("DEALLOCATE planned")  # which no rollback does
    finally:
        await transaction.rollback()
    whole: dict[str, Any] = json.loads(plan)[0]["Plan"]
    return whole


def looking_up_by_a_list() -> dict[str, Query]:
    """Return each query that takes a list, by where it stands."""
    product = Path(tallystick.__path__[0])
    return {
        f"{query.file.parent.relative_to(product)} {query.name}": query
        for query in every_query()
        if re.search(r"unnest\(|= ANY \(", query.sql)
    }


async def through_the_book(connection: Connection, queries: dict[str, str]) -> dict[str, list[str]]:
    """Return of each statement what it would go through all of, those that go through nothing left out."""
    leads = await leading_columns(connection)
    found = {}
    for name, sql in queries.items():
        whole = {
            str(scan)
            for scan in scans(await plan_of(connection, sql), leads)
            if scan.table not in SMALL and scan.is_of_the_whole_book()
        }
        if whole:
            found[name] = sorted(whole)
    return found


async def test_no_list_is_looked_up_by_going_through_a_book(pool: asyncpg.Pool) -> None:
    """By the plan that is kept from when tables were empty, each of a list is still looked up by an index of its own."""
    queries = looking_up_by_a_list()
    assert len(queries) > 200
    async with pool.acquire() as connection:
        found = await through_the_book(connection, {name: query.sql for name, query in queries.items()})
    wrong = {name: tables for name, tables in found.items() if name not in MEANT}
    assert not wrong, ADVICE + "".join(f"\n{name}: {'; '.join(tables)}" for name, tables in wrong.items())
    assert MEANT.keys() - found.keys() == set(), "these are fine by now: take them out of MEANT"


async def test_what_goes_through_a_book_is_found(pool: asyncpg.Pool) -> None:
    """A join by a key, a key that is only part of an index, a horizon: each is told with its table; a fence is none."""
    wanted = "SELECT amount FROM unnest($2::uuid[]) AS wanted (payment_id)"
    statements = {
        "join": f"{wanted} JOIN payment USING (payment_id) WHERE book_id = $1",
        "limit": f"{wanted} JOIN payment USING (payment_id) WHERE book_id = $1 LIMIT 1",
        "horizon": "SELECT FROM payment WHERE book_id = $1 AND transaction_id < $2",
        "part": "SELECT FROM payment WHERE book_id = $1 AND started_at = ANY ($2)",
        "fence": f"{wanted} CROSS JOIN LATERAL (SELECT amount FROM payment "
        "WHERE book_id = $1 AND payment.payment_id = wanted.payment_id OFFSET 0) AS payment",
    }
    async with pool.acquire() as connection:
        found = await through_the_book(connection, statements)
    assert found.keys() == {"join", "limit", "horizon", "part"}
    assert all(table.startswith("payment by ") for tables in found.values() for table in tables)
