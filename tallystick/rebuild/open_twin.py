"""Open a twin: an empty database in which a book is made anew, with every place in the order told to it."""

import contextlib
import datetime as dt
import secrets
from collections.abc import AsyncIterator
from urllib.parse import urlsplit

import asyncpg

from tallystick.db.connect import connect_as_owner, open_pool
from tallystick.db.migrate import migrate
from tallystick.db.queries import Connection, queries_beside
from tallystick.errors import Kind, TallystickError
from tallystick.ledger.books import Book

_queries = queries_beside(__file__)
_opened_at = _queries.value("opened_at")
_any_book = _queries.value("any_book")
_insert_book = _queries.run("insert_book")
_take_told_order = _queries.run("take_told_order")
_take_told_horizon = _queries.run("take_told_horizon")
_tell_place = _queries.run("tell_place")
_definition = _queries.value("definition")
_raise_base = _queries.run("raise_base")
_raise_books = _queries.value("raise_books")
_raise_customers = _queries.value("raise_customers")

_TOLD = ("tallystick.transaction_order()", "tallystick.settled_horizon()")


class TwinNotEmpty(TallystickError):
    """The database to rebuild into holds a book already; name an empty one."""

    code = "rebuild.not_empty"
    kind = Kind.CONFLICT


class TwinRefused(TallystickError):
    """PostgreSQL makes no database to rebuild into: {reason}; make an empty one and name it with --into."""

    code = "rebuild.refused"
    kind = Kind.REFUSED


@contextlib.asynccontextmanager
async def made_database(url: str, *, kept: bool = False) -> AsyncIterator[str]:
    """
    Make a database of its own on the server at *url* and give its address; it is dropped at the end unless *kept*.

    Raises:
        TwinRefused: the login may not (``rebuild.refused``).
    """
    name = f"rebuild_{secrets.token_hex(6)}"
    await _manage(url, "CREATE DATABASE " + name)  # a name is no parameter; this one is ours
    try:
        # All can be made anew, so nothing needs to be on disk before it goes on.
        await _manage(url, "ALTER DATABASE " + name + " SET synchronous_commit = off")
        yield urlsplit(url)._replace(path="/" + name).geturl()
    finally:
        if not kept:
            await _manage(url, "DROP DATABASE " + name + " WITH (FORCE)")


async def _manage(url: str, statement: str) -> None:
    connection = await connect_as_owner(url)
    try:
        await connection.execute(statement)
    except asyncpg.PostgresError as error:
        raise TwinRefused(reason=error) from error
    finally:
        await connection.close()


@contextlib.asynccontextmanager
async def open_twin(url: str, book: Book, opened_at: dt.datetime) -> AsyncIterator[asyncpg.Pool]:
    """
    Prepare the empty database at *url* for *book*, under the number that it has, and give a pool to fill it by.

    At the end the twin gives places itself again, behind all that it holds: it can be served like any other store.

    Raises:
        TwinNotEmpty: there is a book in it (``rebuild.not_empty``).
    """
    await migrate(url)
    owner = await connect_as_owner(url)
    try:
        if await _any_book(owner):
            raise TwinNotEmpty
        await _insert_book(owner, book.book_id, book.name, opened_at)
        given = [await _definition(owner, name) for name in _TOLD]
        await _take_told_order(owner)
        await _take_told_horizon(owner)
        pool = await open_pool(url, size=2)
        try:
            yield pool
        finally:
            await pool.close()
            for definition in given:
                await owner.execute(definition)
    finally:
        await owner.close()


async def find_opening(connection: Connection, book: Book) -> dt.datetime:
    """Return when the book was opened."""
    at: dt.datetime = await _opened_at(connection, book.book_id)
    return at


async def tell_place(connection: Connection, place: int, horizon: int) -> None:
    """Say where in the order the transaction under way stands, and below which place all has ended."""
    await _tell_place(connection, str(place), str(horizon))


async def raise_numbers(url: str, beyond: int) -> None:
    """Let what comes next in a twin that is kept be ordered and numbered behind what it holds: *beyond* that place."""
    owner = await connect_as_owner(url)
    try:
        await _raise_base(owner, beyond)
        await _raise_books(owner)
        await _raise_customers(owner)
    finally:
        await owner.close()
