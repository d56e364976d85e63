"""Routes: from a method and a path to an operation and the fields that stand in the path."""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from urllib.parse import unquote

from tallystick.api.rest.errors import MethodNotAllowed, NoSuchPath
from tallystick.api.rest.read_input import InputReader
from tallystick.ledger.books import UnknownBook
from tallystick.operations.model import Operation

BOOKS = "/v1/books/"
"""What stands before the name of the book."""
METHODS = ("GET ", "POST ", "PUT ", "PATCH ", "DELETE ")
_BOOK = re.compile(r"[a-z][a-z0-9-]{0,62}", re.ASCII)
_NO_FIELDS: dict[str, str] = {}


@dataclass(frozen=True, slots=True)
class Route:
    """One operation at its method and path."""

    method: str
    path: str
    """Below the book, as in ``/transfers/{id}``."""
    operation: Operation
    reader: InputReader
    names: tuple[str | None, ...] = ()
    """By segment of the path: the field that stands there, None for a fixed word."""

    @property
    def path_fields(self) -> list[str]:
        """Return the fields of the input that stand in the path."""
        return [name for name in self.names if name is not None]


@dataclass(frozen=True, slots=True)
class Found:
    """A request's route, its book, and the fields that its path named."""

    route: Route
    book: str
    fields: dict[str, str]


@dataclass(slots=True)
class Routes:
    """Every route; paths without fields are one look-up, the others are tried segment by segment."""

    fixed: dict[str, dict[str, Route]] = field(default_factory=dict)
    patterns: dict[int, list[Route]] = field(default_factory=dict)
    """Paths with fields, by their number of segments."""

    def add(self, operation: Operation) -> None:
        """
        Add the route of *operation*.

        Raises:
            ValueError: another operation has it already.
        """
        route = route_of(operation)
        if not route.path_fields:
            methods = self.fixed.setdefault(route.path, {})
            if route.method in methods:
                raise ValueError(f"{operation.name} and {methods[route.method].operation.name} have one route")
            methods[route.method] = route
            return
        self.patterns.setdefault(len(route.names), []).append(route)

    def find(self, method: str, path: str) -> Found:
        """
        Return what a request is about; *path* is as sent, with its percent signs. HEAD is asked as GET.

        Raises:
            NoSuchPath: there is no such path (``rest.no_such_path``).
            UnknownBook: what stands where a book's name belongs cannot be one (``ledger.unknown_book``).
            MethodNotAllowed: the path takes other methods (``rest.method_not_allowed``).
        """
        book, slash, rest = path.removeprefix(BOOKS).partition("/")
        if not path.startswith(BOOKS) or not slash:
            raise NoSuchPath(path=_readable(path))
        if not _BOOK.fullmatch(book):
            raise UnknownBook(field="book", book=_readable(book))
        wanted = "GET" if method == "HEAD" else method
        methods = self.fixed.get(slash + rest)
        if methods is not None and wanted in methods:
            return Found(methods[wanted], book, _NO_FIELDS)
        return self._find_pattern(wanted, path, book, rest, set(methods or ()))

    def _find_pattern(self, method: str, path: str, book: str, rest: str, allowed: set[str]) -> Found:
        segments = rest.split("/")
        for route in self.patterns.get(len(segments), ()):
            fields = _match(route, segments)
            if fields is None:
                continue
            if route.method == method:
                return Found(route, book, fields)
            allowed.add(route.method)
        if allowed:
            raise not_allowed(path, method, allowed)
        raise NoSuchPath(path=_readable(path))


def offered(table: Mapping[str, Operation]) -> list[Operation]:
    """Return the operations that have a route; the others are for the product's own workers and no caller's."""
    return [operation for operation in table.values() if operation.route.startswith(METHODS)]


def route_of(operation: Operation) -> Route:
    """Read the route of *operation*, as in ``POST /transfers``."""
    method, _, path = operation.route.partition(" ")
    segments = path.removeprefix("/").split("/")
    names = tuple(part[1:-1] if part.startswith("{") and part.endswith("}") else None for part in segments)
    return Route(method, path, operation, InputReader.of(operation), names)


def not_allowed(path: str, method: str, allowed: Iterable[str]) -> MethodNotAllowed:
    """Make the refusal of a method; what may be read may be asked for its headers too."""
    methods = {*allowed, "HEAD"} if "GET" in allowed else set(allowed)
    return MethodNotAllowed(path=_readable(path), method=method, allowed=", ".join(sorted(methods)))


def _match(route: Route, segments: list[str]) -> dict[str, str] | None:
    """Return the fields of the path, None when its fixed words are others."""
    fixed = route.path.removeprefix("/").split("/")
    fields = {}
    for name, word, segment in zip(route.names, fixed, segments, strict=True):
        if name is not None and segment:
            fields[name] = unquote(segment)
        elif word != segment:
            return None
    return fields


def _readable(path: str) -> str:
    """Shorten what a caller sent to what fits into a message."""
    return path if len(path) <= 200 else path[:200] + "…"  # noqa: PLR2004 - a message is for people
