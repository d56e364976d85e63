"""Named SQL: each package's ``queries.sql`` beside its verbs, one named block per query, turned into row classes."""

import re
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, TypeAlias, TypeVar

if TYPE_CHECKING:
    import asyncpg
    from asyncpg.pool import PoolConnectionProxy

Row = TypeVar("Row")
Connection: TypeAlias = "asyncpg.Connection[Any] | PoolConnectionProxy[Any]"
"""A connection of one's own, or one lent by a pool."""
_BLOCK = re.compile(r"^-- (name|part): ([a-z][a-z0-9_]*)\n", re.MULTILINE)
_USE = re.compile(r"^-- with: ([a-z][a-z0-9_]*)$", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Query:
    """One named block of SQL and what its rows become: a class, a plain value, or nothing."""

    file: Path
    name: str
    sql: str
    row: type | None
    single: bool


@dataclass(slots=True)
class Queries:
    """
    The named blocks of one ``queries.sql``; declaring each ties it to the class of its rows.

    What several blocks begin with is a ``-- part:`` of its own, and stands where a line of theirs says ``-- with:`` it.
    """

    file: Path
    blocks: dict[str, str] = field(init=False)
    declared: ClassVar[list[Query]] = []
    """Every query of the program, for the test that prepares each against the migrated schema."""

    def __post_init__(self) -> None:
        """
        Read the file once.

        Raises:
            KeyError: a block says that it is with a part that the file does not have.
        """
        texts = _BLOCK.split(self.file.read_text())
        found = {
            (kind, name): text.strip() for kind, name, text in zip(texts[1::3], texts[2::3], texts[3::3], strict=True)
        }
        self.blocks = {
            name: _USE.sub(lambda use: found["part", use[1]], text)
            for (kind, name), text in found.items()
            if kind == "name"
        }

    def rows(self, name: str, row: type[Row]) -> Callable[..., Awaitable[list[Row]]]:
        """Declare a query of many rows, each built from its columns in order."""
        sql = self._declare(name, row, single=False)

        async def fetch(connection: Connection, *arguments: object) -> list[Row]:
            return [row(*record) for record in await connection.fetch(sql, *arguments)]

        return fetch

    def row(self, name: str, row: type[Row]) -> Callable[..., Awaitable[Row | None]]:
        """Declare a query of one row, or none."""
        sql = self._declare(name, row, single=False)

        async def fetch(connection: Connection, *arguments: object) -> Row | None:
            record = await connection.fetchrow(sql, *arguments)
            return None if record is None else row(*record)

        return fetch

    def value(self, name: str) -> Callable[..., Awaitable[Any]]:
        """Declare a query of one value: the first column of the first row, None without a row."""
        sql = self._declare(name, None, single=True)

        async def fetch(connection: Connection, *arguments: object) -> object:
            return await connection.fetchval(sql, *arguments)

        return fetch

    def values(self, name: str) -> Callable[..., Awaitable[list[Any]]]:
        """Declare a query of one column: its values in order."""
        sql = self._declare(name, None, single=True)

        async def fetch(connection: Connection, *arguments: object) -> list[object]:
            return [record[0] for record in await connection.fetch(sql, *arguments)]

        return fetch

    def tuples(self, name: str) -> Callable[..., Awaitable[list[tuple[Any, ...]]]]:
        """Declare a query of many rows that go into columns at once, so that no class is worth making."""
        sql = self._declare(name, None, single=False)

        async def fetch(connection: Connection, *arguments: object) -> list[tuple[Any, ...]]:
            return [tuple(record) for record in await connection.fetch(sql, *arguments)]

        return fetch

    def text(self, name: str) -> str:
        """Declare a query whose rows are read in binary (`db.copy.copy_out`), and return its text."""
        return self._declare(name, None, single=False)

    def run(self, name: str) -> Callable[..., Awaitable[int]]:
        """Declare a statement; it answers with how many rows it wrote."""
        sql = self._declare(name, None, single=False)

        async def execute(connection: Connection, *arguments: object) -> int:
            status: str = await connection.execute(sql, *arguments)
            count = status.rsplit(" ", 1)[-1]
            return int(count) if count.isdecimal() else 0

        return execute

    def _declare(self, name: str, row: type | None, *, single: bool) -> str:
        sql = self.blocks[name]
        self.declared.append(Query(self.file, name, sql, row, single))
        return sql


def queries_beside(module_file: str) -> Queries:
    """Load the ``queries.sql`` in the folder of *module_file*."""
    return Queries(Path(module_file).with_name("queries.sql"))
