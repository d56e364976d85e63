"""How calls are read: as fastavro wrote them, by our types and by others, and whatever is wrong with them."""

import contextlib
import copy
import datetime as dt
import hashlib
import json
from decimal import Decimal
from typing import Any

import fastavro
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tallystick.api.avro.answer_calls import _read
from tallystick.api.avro.client_protocols import MOST_KNOWN, OWN_TEXT, ClientProtocol, ClientProtocols
from tallystick.api.avro.errors import BadCall, BadProtocol
from tallystick.api.avro.handshake import HandshakeRequest
from tallystick.api.avro.schema import hash_of
from tallystick.errors import InvalidInput, TallystickError
from tallystick.usage.columns import EventColumns, columns_of
from tallystick.usage.model import GivenEvent, InvalidEvent, UsageEvent, check_event
from tests.conformance.avro_client import CONTRACT, EPOCH, Sides, write

OWN = Sides()
PROTOCOL = json.loads(OWN.text)


def protocol_of(text: str) -> ClientProtocol:
    """Show a protocol, as a client does."""
    found, _ = ClientProtocols().shake(HandshakeRequest(hash_of(text), text, bytes(16), {}))
    assert found is not None
    return found


def evolved(change: Any) -> tuple[Sides, ClientProtocol]:  # noqa: ANN401 - changes a list of fields
    """Return another client's protocol, of which the fields of an event are changed."""
    protocol = copy.deepcopy(PROTOCOL)
    change(next(one for one in protocol["types"] if one["name"] == "UsageEvent")["fields"])
    text = json.dumps(protocol)
    return Sides(text), protocol_of(text)


OURS = protocol_of(OWN.text)
FOREIGN, FOREIGN_READ = evolved(
    lambda fields: fields.insert(4, {"name": "more", "type": {"type": "array", "items": "int"}})
)

names = st.one_of(st.sampled_from(["bytes", "seconds", "a" * 64, "a" * 65, "0", "ß"]), st.text(max_size=4))
texts = st.one_of(st.sampled_from(["a", "x" * 63, "x" * 64, "x" * 255, "x" * 256, "ü", "ü" * 200]), st.text(max_size=6))
decimals = st.one_of(
    st.decimals(0, 10**12, places=3).map(lambda value: f"{value:f}"),
    st.sampled_from(
        ["0.10", "007.5", "1.", ".5", "1e4", "NaN", "-1", "", "0.0000001", "12", "1.000", "9" * 40, "0.5\n"]
    ),
)
quantities = st.dictionaries(
    names, st.one_of(st.integers(-3, 300), st.integers(-(2**63), 2**63 - 1), decimals), max_size=4
)
instants = st.one_of(
    st.integers(0, 4 * 10**15),
    st.integers(-(2**63), 2**63 - 1),
    st.sampled_from([0, 2**47, 2**54 - 1, 2**54, 2**55, -1]),
)
events = st.fixed_dictionaries(
    {
        "id": texts,
        "customer": texts,
        "at": instants,
        "type": texts,
        "quantities": quantities,
        "dimensions": st.dictionaries(names, texts, max_size=3),
        "source": st.none() | texts,
        "status": st.none() | st.integers(-2, 1100),
        "resource": st.none() | texts,
        "more": st.just([1, 2]),
    }
)  # fmt: skip
usual = st.fixed_dictionaries(
    {
        "id": st.uuids().map(str),
        "customer": st.sampled_from(["ada", "bob"]),
        "at": st.integers(10**15, 3 * 10**15),
        "type": st.just("http.request"),
        "quantities": st.fixed_dictionaries({"bytes": st.integers(0, 10**6), "seconds": decimals}),
        "dimensions": st.sampled_from([{}, {"region": "eu"}]),
        "source": st.none(),
        "status": st.sampled_from([None, 200]),
        "resource": st.sampled_from([None, "/a"]),
        "more": st.just([]),
    }
)  # fmt: skip


@given(st.lists(st.one_of(usual, events), min_size=1, max_size=6))
def test_what_fastavro_writes_is_read_as_json_would_be(given_events: list[dict[str, Any]]) -> None:
    """By the short way and by the long one: the same columns, and the same said of those that are invalid."""
    expected = columns_of("gateway", [as_json(one) for one in given_events])
    request = {"source": "gateway", "events": given_events, "message_id": None}
    for sides, protocol in ((OWN, OURS), (FOREIGN, FOREIGN_READ)):
        found = _read(protocol, "record", write(sides.requests["record"], request), 0)["events"].columns("gateway")
        assert told(found) == told(expected)


def as_json(event: dict[str, Any]) -> UsageEvent | InvalidEvent:
    """Judge an event as if JSON had brought it."""
    fields = {name: value for name, value in event.items() if name not in {"at", "more"}}
    try:
        return check_event(GivenEvent(at=EPOCH + dt.timedelta(microseconds=event["at"]), **fields))
    except OverflowError:
        return InvalidEvent("at", "must lie in the years 1970 to 9999")
    except InvalidEvent as error:
        return error


def told(columns: EventColumns) -> list[object]:
    """Tell all that is stored of events, and which are invalid."""
    invalid = columns.invalid or {}
    count = len(columns)
    rows = zip(
        columns.ids,
        columns.customers,
        [columns.types] * count if isinstance(columns.types, str) else columns.types,
        [columns.sources] * count if isinstance(columns.sources, str) else columns.sources,
        columns.at.tolist(),
        [numbers(one) for one in columns.quantities],
        columns.dimensions or [None] * count,
        columns.evidence or [(None, None)] * count,
        strict=True,
    )
    return ["invalid" if place in invalid else row for place, row in enumerate(rows)]


def numbers(text: bytes) -> dict[str, Decimal]:
    """Return the values of quantities; how each is written has a test of its own."""
    return {name: Decimal(value) for name, value in json.loads(text).items()}


@given(st.lists(usual, min_size=1, max_size=4))
def test_quantities_are_written_in_their_one_form(given_events: list[dict[str, Any]]) -> None:
    """Or the same event would be another by another door."""
    expected = columns_of("gateway", [as_json(one) for one in given_events])
    request = {"source": "gateway", "events": given_events, "message_id": None}
    found = _read(OURS, "record", write(OWN.requests["record"], request), 0)["events"].columns("gateway")
    assert found.contents.tolist() == expected.contents.tolist()
    assert found.keys.tolist() == expected.keys.tolist()


@given(st.lists(usual, min_size=1, max_size=3), st.data())
def test_damaged_calls_are_refused_or_read(given_events: list[dict[str, Any]], data: st.DataObject) -> None:
    """Whichever bytes are wrong, cut off or too many, nothing but a clear refusal comes of it."""
    for sides, protocol in ((OWN, OURS), (FOREIGN, FOREIGN_READ)):
        written = bytearray(write(sides.requests["record"], {"source": "g", "events": given_events, "message_id": "m"}))
        for _ in range(data.draw(st.integers(1, 3))):
            place = data.draw(st.integers(0, len(written) - 1))
            match data.draw(st.sampled_from(["change", "cut", "insert"])):
                case "change":
                    written[place] = data.draw(st.integers(0, 255))
                case "cut":
                    del written[max(place, 1) :]
                case _:
                    written.insert(place, data.draw(st.integers(0, 255)))
        with contextlib.suppress(BadCall, InvalidInput):
            assert "events" in _read(protocol, "record", bytes(written), 0)


@pytest.mark.parametrize("blocks", [1, 2, 7])
def test_arrays_and_maps_may_come_in_blocks(blocks: int) -> None:
    """As many as the client likes, with or without their size."""
    one = write(_event_schema(), {"id": "1", "customer": "c", "at": 1, "type": "t", "quantities": {"a": 1},
                                  "dimensions": {}, "source": None, "status": None, "resource": None})  # fmt: skip
    several = b"".join(
        write("long", 1) + one if block % 2 else write("long", -1) + write("long", len(one)) + one
        for block in range(blocks)
    )
    call = write("string", "g") + several + b"\0" + b"\0"
    assert len(_read(OURS, "record", call, 0)["events"].rows) == blocks


def _event_schema() -> Any:  # noqa: ANN401 - fastavro's
    return fastavro.parse_schema(next(one for one in PROTOCOL["types"] if one["name"] == "UsageEvent"))


@pytest.mark.parametrize(
    ("change", "why"),
    [
        (lambda fields: fields[2].update(type={"type": "long", "logicalType": "timestamp-millis"}), "timestamp-millis"),
        (lambda fields: fields[2].update(type="double"), "record.events.*.at is a double"),
        (lambda fields: fields[4].update(type={"type": "map", "values": "double"}), "quantities is a double"),
        (lambda fields: fields[0].update(type="int"), "record.events.*.id is a int"),
    ],
)
def test_a_field_of_a_type_that_is_not_ours_is_named(change: Any, why: str) -> None:  # noqa: ANN401 - changes a list of fields
    """An instant in milliseconds above all, which would pass for one in 1970."""
    _, protocol = evolved(change)
    with pytest.raises(TallystickError, match=why.replace("*", r"\*")) as refused:
        protocol.reader("record")
    assert refused.value.code == "avro.bad_protocol"


def test_a_message_that_is_answered_is_not_one_way() -> None:
    """A client that would not wait for the answer would never hear what was refused."""
    protocol = copy.deepcopy(PROTOCOL)
    protocol["messages"]["record"] |= {"one-way": True, "response": "null"}
    with pytest.raises(BadProtocol, match="must not be one-way"):
        protocol_of(json.dumps(protocol)).reader("record")


def test_a_value_that_ours_cannot_be_costs_its_event_alone() -> None:
    """A client whose id may be null, and is in one event."""
    sides, protocol = evolved(lambda fields: fields[0].update(type=["null", "string"]))
    one: dict[str, Any] = {"id": None, "customer": "c", "at": 1, "type": "t", "quantities": {}, "dimensions": {}}
    request = {"source": "g", "events": [one, {**one, "id": "1"}], "message_id": None}
    found = _read(protocol, "record", write(sides.requests["record"], request), 0)["events"]
    assert {place: error.reason for place, error in found.invalid.items()} == {0: "id is missing"}
    assert found.rows[1][0] == "1"


def test_promotions_are_those_of_the_specification() -> None:
    """An int is a long, and bytes are a string."""
    sides, protocol = evolved(lambda fields: (fields[0].update(type="bytes"), fields[2].update(type="int")))
    one = {"id": b"1", "customer": "c", "at": 7, "type": "t", "quantities": {}, "dimensions": {}}
    request = {"source": "g", "events": [one], "message_id": None}
    found = _read(protocol, "record", write(sides.requests["record"], request), 0)["events"].columns("g")
    assert (found.ids, found.at.tolist()) == (["1"], [7])


def test_thousands_of_protocols_are_forgotten_again() -> None:
    """Only the last of them are remembered."""
    protocols = ClientProtocols()
    for number in range(3_000):
        text = json.dumps({"protocol": f"P{number}", "messages": {}})
        protocols.shake(HandshakeRequest(hash_of(text), text, bytes(16), {}))
    assert len(protocols._known) == MOST_KNOWN


def test_the_contract_checked_in_is_the_one_served() -> None:
    """contracts/usage.avpr is what a client without a protocol of its own is handed."""
    assert json.loads(OWN_TEXT) == json.loads(CONTRACT.read_text(encoding="utf-8"))
    assert hashlib.md5(OWN_TEXT.encode(), usedforsecurity=False).digest() == hash_of(OWN_TEXT)
