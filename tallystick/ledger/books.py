"""Books: each the ledger of one legal entity, with its own accounts, log and numbers."""

import datetime as dt
import re
from dataclasses import dataclass, field
from typing import Any

from tallystick.db.queries import Connection, queries_beside
from tallystick.errors import InvalidInput, Kind, TallystickError
from tallystick.ledger.post import Ledger

_queries = queries_beside(__file__)
_insert_book = _queries.run("insert_book")
_find_book = _queries.value("find_book")
_list_books = _queries.tuples("list_books")
_NAME = re.compile(r"[a-z][a-z0-9-]{0,62}", re.ASCII)


class UnknownBook(TallystickError):
    """There is no book {book}; `tallystick book create {book}` opens it."""

    code = "ledger.unknown_book"
    kind = Kind.NOT_FOUND


@dataclass(frozen=True, slots=True)
class Book:
    """A book and what this process remembers of it."""

    book_id: int
    name: str
    ledger: Ledger
    remembered: dict[type, Any] = field(default_factory=dict, compare=False)
    """By type, what other rooms remember of it."""


async def open_book(connection: Connection, name: str, at: dt.datetime) -> Book:
    """
    Open the book *name*, or find it open.

    Raises:
        InvalidInput: the name has other than small letters, digits and hyphens (``invalid_input``).
    """
    require_book_name(name)
    await _insert_book(connection, name, at)
    return await find_book(connection, name)


def require_book_name(name: str) -> None:
    """
    Find that a book can have this name.

    Raises:
        InvalidInput: it has other than small letters, digits and hyphens (``invalid_input``).
    """
    if not _NAME.fullmatch(name):
        raise InvalidInput(field="book", rule="A book's name has 1 to 63 small letters, digits and hyphens")


async def find_book(connection: Connection, name: str) -> Book:
    """
    Return the book *name*.

    Raises:
        UnknownBook: there is none (``ledger.unknown_book``).
    """
    book_id = await _find_book(connection, name)
    if book_id is None:
        raise UnknownBook(field="book", book=name)
    return Book(book_id, name, Ledger(book_id))


async def list_books(connection: Connection) -> list[Book]:
    """Return every book, oldest first."""
    return [Book(book_id, name, Ledger(book_id)) for book_id, name in await _list_books(connection)]
