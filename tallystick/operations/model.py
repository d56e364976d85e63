"""What an operation is, and what its verb is given."""

import datetime as dt
import uuid
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import msgspec
import numpy as np
import numpy.typing as npt

from tallystick.db.queries import Connection
from tallystick.errors import TallystickError
from tallystick.ids import uuid7
from tallystick.ledger.accounts import Recorded
from tallystick.ledger.books import Book
from tallystick.security.model import Principal

if TYPE_CHECKING:
    from tallystick.operations.run import Operations


class Input(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What a caller sends; a field that is not named is refused."""


class NothingInput(Input, frozen=True):
    """Nothing beside the book."""


@dataclass(frozen=True, slots=True)
class Call:
    """One call under way: the open transaction, and who asks for what where."""

    connection: Connection
    book: Book
    principal: Principal
    at: dt.datetime
    message_hashes: npt.NDArray[np.void]
    """The SHA-256 of each message of the transaction, by place."""
    place: int = 0
    """The place of this call's message in the transaction."""
    new_id: Callable[[], uuid.UUID] = uuid7
    """Makes up an id, or where the message is done again, tells the one that was made up; the answer must name it."""
    new_id_at: Callable[[int], uuid.UUID] = lambda _: uuid7()
    """The same for the message at a place, where one transaction does many."""

    @property
    def recorded(self) -> Recorded:
        """Return what every fact of this call carries."""
        return Recorded(self.book.book_id, self.place, self.at)


Verb = Callable[[Call, Any], Awaitable[Any]]
VerbTogether = Callable[[Call, Sequence[Any]], Awaitable[Sequence[object | TallystickError]]]
Preparation = Callable[["Operations", Principal, str, str, Any], Awaitable[Any]]
Continuation = Callable[["Operations", Principal, str, Any], Awaitable[Any]]


@dataclass(frozen=True, slots=True)
class Operation:
    """
    One thing that a caller can do.

    Exactly one of *verb* and *together* is set. *together* takes the inputs of many messages that arrived
    at once, each at its place in the transaction, and answers each. *then* goes on after the commit, outside any
    transaction, where calls to the outside are allowed; it must do right however often it is called.
    """

    name: str
    input: type[Input]
    output: Any
    scope: str
    route: str
    """
    Method and path below the book, as in ``POST /transfers``; ``{name}`` is a field of the input.

    Empty for what only the product's own workers do.
    """
    verb: Verb | None = None
    together: VerbTogether | None = None
    before: Preparation | None = None
    """
    Finds out what the verb has to know from outside, before the transaction, and returns the input that says so.

    It is given the operation's name and the input, and changes nothing of what is asked for.
    """
    then: Continuation | None = None
    again: Continuation | None = None
    """Goes on in place of *then* where the message was answered before: what it began may have ended long ago."""
    kept: Callable[[Any], object] | None = None
    """Makes of the input what the journal keeps, where that is less than all of it."""
    reads: bool = False
    """It changes nothing: it is neither kept nor idempotent by id."""
    snapshot: bool = False
    """It reads more than once, and all of it must be of one moment."""
    lasts: bool = False
    """Once it has an answer, that is its answer for ever: the process remembers it, and then asks no store for it."""

    @property
    def summary(self) -> str:
        """Return the first line of its verb's docstring."""
        return (getattr(self.verb or self.together, "__doc__", None) or "").strip().splitlines()[0]

    @property
    def description(self) -> str:
        """Return the whole docstring of its verb."""
        lines = (getattr(self.verb or self.together, "__doc__", None) or "").strip().splitlines()
        return "\n".join(line.removeprefix("    ") for line in lines)


@dataclass(frozen=True, slots=True)
class Answer:
    """The JSON that answers a message, and whether it was answered before."""

    body: bytes
    replayed: bool
