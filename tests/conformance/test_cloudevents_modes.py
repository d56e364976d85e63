"""CloudEvents over HTTP: the three modes, what each answers, and input that is wrong in all the ways we know."""

import asyncio
import json
from typing import Any

from tests.conformance.conftest import Rest
from tests.conformance.test_rest_short_way import Line, connected
from tests.conformance.usage_over_http import (
    AT,
    BATCHED,
    STRUCTURED,
    as_json,
    cloud_event,
    send_batch,
    send_binary,
    send_single,
    stored,
)


def with_data(text: str) -> bytes:
    """Write an event whose data is *text*, which need not be JSON."""
    return as_json(cloud_event("bad", "DATA")).replace(b'"DATA"', text.encode())


def repeated(name: str) -> bytes:
    """Write an event in which *name* stands twice."""
    return as_json(cloud_event("bad")).replace(b"{", b'{"%b":"x",' % name.encode(), 1)


HOSTILE: list[tuple[object, str | None, str]] = [
    (cloud_event("bad", time="2015-05-17T10:05:03"), "time", "time zone"),
    (cloud_event("bad", time="2115-05-17T10:05:03Z"), "time", "a day ahead"),
    (cloud_event("bad", time="9999-12-31T23:59:59-10:00"), "time", "years 1970 to 9999"),
    (cloud_event("bad", time="1969-12-31T23:59:59Z"), "time", "years 1970 to 9999"),
    (cloud_event("bad", time="2015-05-17T10:05:03.123456789012Z"), "time", "microseconds"),
    (cloud_event("bad", time="2015-02-29T10:05:03Z"), "time", "calendar"),
    (cloud_event("bad", time="yesterday"), "time", "like 2015"),
    (cloud_event("bad", time="20150517T100503Z"), "time", "like 2015"),
    (cloud_event("bad", time=5), "time", "must be"),
    (cloud_event("x" * 10_000), "id", "255 characters"),
    (cloud_event(""), "id", "255 characters"),
    (cloud_event("a\0b"), "id", "NUL"),
    (cloud_event("\ud800"), "id", "half of a surrogate pair"),
    (cloud_event("bad", id=7), "id", "must be text"),
    (cloud_event("bad", source=""), "source", "255 characters"),
    (cloud_event("bad", source="s" * 256), "source", "255 characters"),
    (cloud_event("bad", source="a\0b"), "source", "NUL"),
    (cloud_event("bad", subject=""), "subject", "255 characters"),
    (cloud_event("bad", subject="a\0b"), "subject", "NUL"),
    (cloud_event("bad", type="t" * 256), "type", "255 characters"),
    (cloud_event("bad", specversion="0.3"), "specversion", "must be 1.0"),
    (cloud_event("bad", specversion="1.1"), "specversion", "must be 1.0"),
    (cloud_event("bad", colour="red"), "colour", "not known"),
    (cloud_event("bad", partitionkey="7"), "partitionkey", "not known"),
    (cloud_event("bad", data_base64="AA=="), "data_base64", "is not read"),
    (cloud_event("bad", datacontenttype="text/xml"), "datacontenttype", "application/json"),
    (with_data('{"quantities":{"bytes":1.5}}'), "data.quantities.bytes", "decimal in a string"),
    (with_data('{"quantities":{"bytes":1e400}}'), "data.quantities.bytes", "decimal in a string"),
    (with_data('{"quantities":{"bytes":NaN}}'), "data.quantities.bytes", "JSON has no NaN"),
    (with_data('{"quantities":{"bytes":-Infinity}}'), "data.quantities.bytes", "JSON has no -Infinity"),
    (with_data('{"quantities":{"bytes":-1}}'), "data.quantities.bytes", "negative"),
    (with_data('{"quantities":{"bytes":"-1"}}'), "data.quantities.bytes", "not negative"),
    (with_data('{"quantities":{"bytes":"NaN"}}'), "data.quantities.bytes", "a number"),
    (with_data('{"quantities":{"bytes":"1e9"}}'), "data.quantities.bytes", "exponent"),
    (with_data('{"quantities":{"bytes":%s}}' % ("9" * 40)), "data.quantities.bytes", "30 digits"),
    (with_data('{"quantities":{"bytes":"%s"}}' % ("9" * 40)), "data.quantities.bytes", "30 digits"),
    (with_data('{"quantities":{"bytes":%s}}' % ("9" * 5_000)), "data.quantities.bytes", "out of range"),
    (with_data('{"quantities":{"bytes":true}}'), "data.quantities.bytes", "must be"),
    (with_data('{"quantities":{"bytes":1,"bytes":2}}'), "data.quantities.bytes", "twice"),
    (with_data('{"quantities":{"a b":1}}'), "data.quantities", "named by"),
    (with_data('{"quantities":[1]}'), "data.quantities", "must be an object"),
    (with_data('{"quantities":{"bytes":1},"colour":"red"}'), "data.colour", "not known"),
    (with_data('{"bytes":1}'), "data.bytes", "not known"),
    (with_data('{"dimensions":{"region":"eu"}}'), "data.dimensions.region", "declared by no meter"),
    (with_data('{"dimensions":{"region":7}}'), "data.dimensions.region", "must be text"),
    (with_data('{"status":1000}'), "data.status", "999"),
    (with_data('{"status":2.5}'), "data.status", "integer"),
    (with_data('"text"'), "data", "must be an object"),
    (with_data("null"), "data", "must be an object"),
    (repeated("id"), "id", "twice"),
    (repeated("time"), "time", "twice"),
    ({name: one for name, one in cloud_event("bad").items() if name != "time"}, "time", "missing"),
    ({name: one for name, one in cloud_event("bad").items() if name != "subject"}, "subject", "missing"),
    ({name: one for name, one in cloud_event("bad").items() if name != "specversion"}, "specversion", "missing"),
]


async def test_a_single_event_is_answered_with_what_became_of_it(rest: Rest) -> None:
    """Accepted, and known from then on, in structured and in binary mode alike."""
    event = cloud_event("1", {"quantities": {"bytes": 7, "hours": "0.50"}, "status": 200, "resource": "/a"})
    first, again, binary = (
        await send_single(rest, event),
        await send_single(rest, event),
        await send_binary(rest, event),
    )
    assert [one.status_code for one in (first, again, binary)] == [200, 200, 200]
    assert first.json() == {"index": 0, "id": "1", "source": "/gateway", "status": "accepted"}
    assert again.json() == binary.json() == {"index": 0, "id": "1", "source": "/gateway", "status": "known"}
    page = (await rest.get("/usage/events", customer="acme")).json()
    assert [(one["id"], one["source"], one["type"], one["at"], one["quantities"]) for one in page["items"]] == [
        ("1", "/gateway", "http.request", AT, {"bytes": 7, "hours": "0.5"})
    ]


async def test_an_event_that_is_not_billable_is_answered_with_the_rule(rest: Rest) -> None:
    """It is no failure of the caller's: the answer is a success that says why nothing is billed."""
    answer = await send_single(rest, cloud_event("1", {"status": 404}))
    assert (answer.status_code, answer.json()["status"]) == (200, "not_billable")
    assert answer.json()["reason"] == "status_not_billable"
    assert await stored(rest) == []


async def test_another_event_under_a_known_id_is_a_conflict(rest: Rest) -> None:
    """The problem names the field that differs, as the CloudEvent calls it; what is stored stays."""
    await send_single(rest, cloud_event())
    for changed, field in (
        ({"subject": "other"}, "subject"),
        ({"time": "2015-05-17T10:05:04Z"}, "time"),
        ({"type": "sms"}, "type"),
        ({"data": {"quantities": {"bytes": 8}}}, "data.quantities"),
    ):
        answer = await send_single(rest, cloud_event() | changed)
        assert (answer.status_code, answer.json()["code"]) == (409, "usage.event_conflict")
        assert (answer.json()["field"], answer.json()["retry"]) == (field, False)
    assert await stored(rest) == ["1"]


async def test_a_bad_event_is_refused_by_field_and_rule(rest: Rest) -> None:
    """Alone it is a problem; in a batch it costs itself alone. The connection serves on, and nothing of it is stored."""
    async with connected(rest.port) as line:
        for number, (event, field, rule) in enumerate(HOSTILE):
            alone = await ask(rest, line, as_json(event), STRUCTURED)
            assert (alone["status"], alone["code"], alone["field"]) == (400, "usage.invalid_event", field), event
            assert rule in alone["detail"], event
            around = f"{number} before", f"{number} behind"
            batch = await ask(rest, line, b"[%b,%b,%b]" % (good(around[0]), as_json(event), good(around[1])), BATCHED)
            assert [one["status"] for one in batch["items"]] == ["accepted", "invalid", "accepted"], event
            assert [one["index"] for one in batch["items"]] == [0, 1, 2]
            assert (batch["items"][1]["field"], batch["accepted"], batch["refused"]) == (field, 2, 1), event
            assert rule in batch["items"][1]["reason"]
    assert len(await stored(rest)) == 2 * len(HOSTILE)


def good(identifier: str) -> bytes:
    """Write an event that nothing is wrong with."""
    return as_json(cloud_event(identifier))


async def ask(rest: Rest, line: Line, body: bytes, media_type: str) -> Any:  # noqa: ANN401 - whatever is answered
    """Send *body* over a connection that stays open, and read the answer."""
    head = (
        f"POST /v1/books/main/events HTTP/1.1\r\nhost: x\r\nauthorization: {rest.client.headers['authorization']}\r\n"
        f"content-type: {media_type}\r\ncontent-length: {len(body)}\r\n\r\n"
    )
    await line.send(head.encode() + body)
    answer = await line.answer()
    assert not answer.closes
    return answer.json()


NO_BATCHES = [
    b"", b"7", b"{}", b"null", b"nonsense", b"[", b"[{}", b"[{},]", b"[{}] []", b"[\xff]", b"[]", b"[" + b"[" * 100_000,
    b'[{"id":' + b"[" * 100_000 + b"]" * 100_000 + b"}]", b"[" + b"{}," * 5_000 + b"{}]",
]  # fmt: skip


async def test_what_is_no_batch_is_refused_whole(rest: Rest) -> None:
    """Where nobody can say which event is at fault, nothing is stored; 1 to 5,000 events are a batch."""
    async with connected(rest.port) as line:
        for body in NO_BATCHES:
            refused = await ask(rest, line, body, BATCHED)
            assert (refused["status"], refused["code"]) == (400, "usage.not_a_batch"), body[:20]
        accepted = await ask(rest, line, b"[%b]" % good("1"), BATCHED)
        assert accepted["accepted"] == 1


async def test_a_body_beyond_the_limit_is_refused(rest: Rest) -> None:
    """8 MiB are enough for 5,000 events."""
    answer = await send_batch(rest, cloud_event("x" * 9_000_000))
    assert (answer.status_code, answer.json()["code"]) == (413, "rest.body_too_large")
    whole = await send_batch(rest, *(cloud_event(str(number)) for number in range(5_000)))
    assert whole.json()["accepted"] == 5_000


async def test_a_body_that_says_it_is_something_else_is_refused(rest: Rest) -> None:
    """The answer lists what is taken."""
    for media_type in (
        "", "application/json", "text/plain", "application/cloudevents", "application/cloudevents+avro",
        "application/cloudevents-batch+avro", f"{STRUCTURED}; charset=utf-16", f"{BATCHED}; charset=latin1",
    ):  # fmt: skip
        answer = await send_single(rest, cloud_event(), media_type)
        assert (answer.status_code, answer.json()["code"]) == (415, "rest.media_type_unknown"), media_type
        assert answer.json()["field"] == "content-type"
        assert STRUCTURED in answer.json()["detail"]


async def test_a_media_type_may_be_written_in_its_ways(rest: Rest) -> None:
    """Letter case and charset do not make it another."""
    for identifier, media_type in (
        ("1", f"{STRUCTURED}; charset=utf-8"),
        ("2", f'{STRUCTURED.upper()};charset="UTF-8"'),
    ):
        assert (await send_single(rest, cloud_event(identifier), media_type)).json()["status"] == "accepted"


async def test_what_the_specification_names_is_taken_and_not_kept(rest: Rest) -> None:
    """Its optional attributes and the extension for distributed tracing stand in the way of nobody."""
    event = cloud_event(
        "1", dataschema="https://example.com/usage", traceparent="00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
        tracestate="rojo=00f067aa0ba902b7",
    )  # fmt: skip
    assert (await send_single(rest, event | {"datacontenttype": "application/json"})).json()["status"] == "accepted"
    assert (await send_binary(rest, event)).json()["status"] == "known"


async def test_an_event_without_data_counts(rest: Rest) -> None:
    """A request is usage by itself: what is counted needs no quantity."""
    bare = {name: one for name, one in cloud_event("1").items() if name != "data"}
    assert (await send_single(rest, bare)).json()["status"] == "accepted"
    assert (await send_binary(rest, bare)).json()["status"] == "known"
    assert (await send_binary(rest, cloud_event("1", {}))).json()["status"] == "known"


async def test_an_instant_may_be_written_in_its_ways(rest: Rest) -> None:
    """Another zone, or zeros behind the sixth digit, are the same instant; no digit that says something is dropped."""
    await send_single(rest, cloud_event())
    for time in ("2015-05-17t10:05:03z", "2015-05-17T12:05:03.000000000000+02:00", "2015-05-17 10:05:03.0Z"):
        assert (await send_single(rest, cloud_event(time=time))).json()["status"] == "known"


async def test_headers_of_binary_mode_are_decoded_once(rest: Rest) -> None:
    """Percent signs, quotes and what is beyond ASCII come out as they went in."""
    event = cloud_event('50% "of"\u20ac \U0001f600', subject="Zo\u00eb & Co")
    assert (await send_binary(rest, event)).json()["id"] == event["id"]
    assert (await send_single(rest, event)).json()["status"] == "known"
    quoted = await send_binary(rest, event, ce_id='"a \\"b\\" %2541"')
    assert quoted.json()["id"] == 'a "b" %41'


BAD_HEADERS = [
    ({"ce_id": "100%"}, "id", "%25"),
    ({"ce_id": "%C0%A0"}, "id", "UTF-8"),
    ({"ce_id": "%00"}, "id", "NUL"),
    ({"ce_id": "%ED%A0%80"}, "id", "UTF-8"),
    ({"ce_id": "x" * 10_000}, "id", "255 characters"),
    ({"ce_id": ""}, "id", "255 characters"),
    ({"ce_time": "2015-05-17T10:05:03"}, "time", "time zone"),
    ({"ce_specversion": "0.3"}, "specversion", "must be 1.0"),
    ({"ce_colour": "red"}, "colour", "not known"),
    ({"ce_data": "{}"}, "data", "not known"),
    ({"ce_datacontenttype": "application/json"}, "datacontenttype", "not known"),
]
BAD_DATA = [
    (b"nonsense", "the text"),
    (b'{"quantities":{"bytes":1.5}}', "data.quantities.bytes"),
    (b'{"quantities":{"bytes":1,"bytes":1}}', "data.quantities.bytes"),
    (b'{"quantities":{"bytes":NaN}}', "data.quantities.bytes"),
    (b'{"quantities":{"bytes":true}}', "data.quantities.bytes"),
    (b'{"colour":1}', "data.colour"),
    (b"[1]", "data"),
    (b'{"quantities":' + b"[" * 50_000, "data.quantities"),
    (b'{} , "id": "2"', "the text"),
]


async def test_what_is_wrong_in_binary_mode_is_refused_by_name(rest: Rest) -> None:
    """Field and rule are told as in the other modes, of headers and of data, and nothing is stored."""
    for headers, field, rule in BAD_HEADERS:
        answer = await send_binary(rest, cloud_event(), **headers)
        assert (answer.status_code, answer.json()["field"]) == (400, field), headers
        assert rule in answer.json()["detail"]
    for data, field in BAD_DATA:
        answer = await send_binary(rest, cloud_event() | {"data": data})
        assert (answer.status_code, answer.json()["code"]) == (400, "usage.invalid_event"), data[:50]
        assert answer.json()["field"] == field
    assert await stored(rest) == []


async def test_a_header_sent_twice_is_refused(rest: Rest) -> None:
    """Two readers might take different ones."""
    async with connected(rest.port) as line:
        for name, code in (("ce-id", "usage.invalid_event"), ("content-type", "invalid_input")):
            twice = f"{name}: application/json\r\n{name}: application/json\r\n"
            told = f"ce-specversion: 1.0\r\n{twice}"
            head = f"POST /v1/books/main/events HTTP/1.1\r\nhost: x\r\n{told}content-length: 0\r\nauthorization: "
            await line.send(f"{head}{rest.client.headers['authorization']}\r\n\r\n".encode())
            answer = await line.answer()
            assert (answer.status, answer.json()["code"]) == (400, code)


async def test_only_who_may_write_usage_gets_in(rest: Rest) -> None:
    """Without a key, or with one for something else, nothing is looked at; and only POST is taken."""
    assert (await rest.get("/events")).status_code == 405
    for key, status in (("Bearer tsk_unknown", 401), (f"Bearer {(await rest.new_key('usage:read')).key}", 403)):
        rest.client.headers["authorization"] = key
        assert (await send_single(rest, cloud_event())).status_code == status
    rest.client.headers["authorization"] = f"Bearer {(await rest.new_key('usage:write')).key}"
    assert (await send_single(rest, cloud_event())).status_code == 200


async def test_a_dry_run_says_what_would_be_and_keeps_nothing(rest: Rest) -> None:
    """One event or a batch."""
    for body, media_type in ((good("1"), STRUCTURED), (b"[%b]" % good("1"), BATCHED)):
        answer = await rest.send("/events?dry_run=true", body, content_type=media_type)
        assert "accepted" in json.dumps(answer.json())
    assert await stored(rest) == []
    assert (await rest.send("/events?dryrun=true", good("1"), content_type=STRUCTURED)).status_code == 400


async def test_the_items_of_a_batch_say_which_event_they_are_about(rest: Rest) -> None:
    """Place, id and source stand in each; what could not be read as an id is null."""
    answer = await send_batch(
        rest, cloud_event("a"), cloud_event("b", colour="red"), 7, cloud_event(id=7), cloud_event("a")
    )
    told = [(one["index"], one["id"], one["source"], one["status"]) for one in answer.json()["items"]]
    assert told == [
        (0, "a", "/gateway", "accepted"),
        (1, "b", "/gateway", "invalid"),
        (2, None, None, "invalid"),
        (3, None, "/gateway", "invalid"),
        (4, "a", "/gateway", "known"),
    ]


async def test_many_single_events_at_once_each_get_their_own_answer(rest: Rest) -> None:
    """They share messages, and none gets the answer of another."""
    events = [cloud_event(str(number % 70), {"status": 404} if number % 7 == 0 else None) for number in range(100)]
    answers = await asyncio.gather(*(send_single(rest, event) for event in events))
    assert [answer.json()["id"] for answer in answers] == [event["id"] for event in events]
    statuses = [answer.json()["status"] for answer in answers]
    assert [place for place, one in enumerate(statuses) if one == "not_billable"] == list(range(0, 100, 7))
    assert (statuses.count("accepted"), statuses.count("known")) == (60, 25)
    assert len(await stored(rest)) == 60
