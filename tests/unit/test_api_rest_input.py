"""Inputs read from requests, and routes found for them."""

import datetime as dt
from typing import Annotated

import msgspec
import pytest

from tallystick.api.rest.read_input import InputReader, refuse_repeated
from tallystick.api.rest.routes import Routes, offered
from tallystick.errors import InvalidInput, TallystickError
from tallystick.operations.model import Call, Input, Operation


class _Input(Input, frozen=True):
    """An input with fields of each shape."""

    number: int
    name: str = ""
    sizes: list[Annotated[int, msgspec.Meta(ge=0)]] = msgspec.field(default_factory=list)
    exact: bool = False


class _At(Input, frozen=True):
    """An input that is an instant."""

    at: Annotated[dt.datetime, msgspec.Meta(tz=True)]


async def _verb(_call: Call, _request: object) -> object:
    """Do nothing."""
    return None


def _operation(route: str, name: str = "room.verb") -> Operation:
    return Operation(name, _Input, dict[str, str], "room:write", route, _verb)


READER = InputReader.of(_operation("POST /things/{number}"))


def test_a_query_becomes_the_types_of_the_input() -> None:
    """Text becomes numbers, truth and lists where the input has them."""
    read = READER.from_query(b"number=7&sizes=1&sizes=2&exact=true&name=a%20b+c", {})
    assert read == _Input(number=7, sizes=[1, 2], exact=True, name="a b c")


@pytest.mark.parametrize("text", ["1.0", "1e3", "+1", " 1", "1_0", "0x1", "٣", "", "null"])
def test_an_integer_in_a_query_is_written_as_one(text: str) -> None:
    """What JSON would not take as an integer is not one in a query either."""
    with pytest.raises(InvalidInput) as refused:
        READER.from_query(f"number={text}".replace("+", "%2B").encode("ascii", "xmlcharrefreplace"), {})
    assert refused.value.field is not None


def test_a_field_of_the_path_joins_the_body() -> None:
    """It is converted by its own rule, and does not stand in the body again."""
    assert READER.from_body(b'{"name": "x"}', {"number": "7"}) == _Input(number=7, name="x")
    assert READER.from_body(b"", {"number": "7"}) == _Input(number=7)
    for body, path_field in ((b'{"number": 8}', "7"), (b"{}", "seven"), (b"{}", "7.0")):
        with pytest.raises(InvalidInput) as refused:
            READER.from_body(body, {"number": path_field})
        assert refused.value.field == "number"


def test_an_instant_in_a_path_or_a_query_is_not_rounded() -> None:
    """It is refused as it would be in a body."""
    reader = InputReader.of(Operation("room.verb", _At, dict[str, str], "room:write", "POST /at/{at}", _verb))
    fine = "2024-01-01T00:00:00.0000001Z"
    with pytest.raises(InvalidInput) as by_path:
        reader.from_body(b"{}", {"at": fine})
    with pytest.raises(InvalidInput) as by_query:
        reader.from_query(f"at={fine}".encode(), {})
    assert (by_path.value.field, by_query.value.field) == ("at", "at")
    assert reader.from_body(b"", {"at": "2024-01-01T00:00:00.0000010Z"}) == reader.from_query(
        b"at=2024-01-01T00:00:00.000001Z", {}
    )


@pytest.mark.parametrize("body", [b"[]", b"nonsense", b'{"name": "\xff"}', b"[" * 100_000])
def test_a_body_beside_a_path_is_an_object_too(body: bytes) -> None:
    """Anything else is bad input."""
    with pytest.raises(InvalidInput):
        READER.from_body(body, {"number": "7"})


def test_a_repeated_name_is_found_at_any_depth() -> None:
    """Equal names in different objects are no repetition."""
    refuse_repeated(b'{"a": {"a": [{"a": 1}, {"a": 1}]}}')
    with pytest.raises(InvalidInput) as refused:
        refuse_repeated(b'{"a": [{"b": {"c": 1, "d": 2, "c": 1}}]}')
    assert refused.value.field == "c"


def test_two_operations_cannot_share_a_route() -> None:
    """The second is refused when the application is made."""
    routes = Routes()
    routes.add(_operation("POST /things"))
    with pytest.raises(ValueError, match="one route"):
        routes.add(_operation("POST /things", "room.other"))


def test_an_operation_without_a_route_is_nobodys_to_call() -> None:
    """What only the product's own workers do has no path."""
    table = {"room.verb": _operation("POST /things"), "room.own": _operation("", "room.own")}
    assert [operation.name for operation in offered(table)] == ["room.verb"]


def test_a_fixed_path_wins_over_a_pattern() -> None:
    """A word of the table is never taken for a field, and a percent sign never makes a segment."""
    routes = Routes()
    for route in ("GET /things/{number}", "GET /things/all", "POST /things/{number}/close"):
        routes.add(_operation(route))
    assert routes.find("GET", "/v1/books/main/things/all").route.path == "/things/all"
    found = routes.find("GET", "/v1/books/main/things/a%2Fb")
    assert (found.book, found.fields) == ("main", {"number": "a/b"})
    for method, path, code in (
        ("POST", "/v1/books/main/things/7", "rest.method_not_allowed"),
        ("GET", "/v1/books/main/things/", "rest.no_such_path"),
        ("GET", "/v1/books/main", "rest.no_such_path"),
        ("GET", "/v1/books/Main/things/all", "ledger.unknown_book"),
    ):
        with pytest.raises(TallystickError) as refused:
            routes.find(method, path)
        assert refused.value.code == code
