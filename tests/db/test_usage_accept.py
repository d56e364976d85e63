"""Recording usage: each event judged by itself, kept once, and answered."""

import asyncio
from typing import Any, cast

import asyncpg
import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tallystick.errors import Kind, TallystickError
from tallystick.ids import id_of_content
from tallystick.operations.usage import RecordInput, RecordOutput, keep_no_payload
from tallystick.usage.accept import Status
from tallystick.usage.columns import columns_of
from tallystick.usage.model import UsageEvent
from tests.conftest import House

AT = "2015-05-17T10:05:03Z"


def event(identifier: str = "1", **fields: object) -> dict[str, object]:
    """Return an event as JSON brings it, with *fields* in place of the usual ones."""
    usual: dict[str, object] = {"id": identifier, "customer": "acme", "at": AT, "quantities": {"bytes": 7}}
    return {**usual, **fields}


async def record(house: House, *events: object, source: str = "gateway") -> RecordOutput:
    """Record *events* and return the answer."""
    answer = await house.do("usage.record", source=source, events=list(events))
    assert isinstance(answer, RecordOutput)
    return answer


def told(answer: RecordOutput) -> list[tuple[int, str, str | None]]:
    """Return place, status and field of every item of the answer."""
    return [(one.item, one.status.value, one.field) for one in answer.items]


async def stored(owner: asyncpg.Connection) -> list[str]:
    """Return the ids of the stored events, in order."""
    return [row[0] for row in await owner.fetch("SELECT event_id FROM usage_event ORDER BY event_id")]


async def test_an_event_is_stored_with_who_what_when_how_much_and_by_which_source(
    house: House, owner: asyncpg.Connection
) -> None:
    """The record has what invoicing and auditing need, and no trace of the evidence."""
    await record(house, event(quantities={"bytes": 7, "hours": "0.50"}, status=200, resource="/secret?token=1"))
    row = await owner.fetchrow(
        "SELECT ref, type, occurred_at, quantities::text, source, event_id, event_key, operation, message.body "
        "FROM usage_event JOIN customer USING (book_id, customer_id) "
        "JOIN message ON (message.transaction_id, place) = (usage_event.transaction_id, usage_event.message_place)"
    )
    assert row is not None
    assert row[0:2] == ("acme", "http.request")
    assert row[2].isoformat() == "2015-05-17T10:05:03+00:00"
    assert msgspec.json.decode(row[3]) == {"bytes": 7, "hours": "0.5"}
    assert row[4:6] == ("gateway", "1")
    assert row[6] == id_of_content(["gateway", "1"])
    assert row[7] == "usage.record"
    assert b"secret" not in row[8]
    assert b"acme" not in row[8]


async def test_the_same_event_again_is_known_whichever_way_it_comes(house: House, owner: asyncpg.Connection) -> None:
    """In the same batch, in another message, or with its numbers written differently: counted once."""
    first = await record(house, event(quantities={"hours": "0.5"}), event(quantities={"hours": "0.5"}))
    again = await record(house, event(quantities={"hours": "0.50"}, at="2015-05-17T12:05:03+02:00"), event("2"))
    assert (first.accepted, told(first)) == (1, [(1, "known", None)])
    assert (again.accepted, told(again)) == (1, [(0, "known", None)])
    assert await stored(owner) == ["1", "2"]


async def test_a_source_numbers_its_own_events(house: House, owner: asyncpg.Connection) -> None:
    """Two sources may use the same id for different events."""
    await record(house, event())
    answer = await record(house, event(customer="other"), source="another gateway")
    assert answer.accepted == 1
    assert await stored(owner) == ["1", "1"]


@pytest.mark.parametrize(
    ("field", "other"),
    [
        ("customer", "somebody else"),
        ("type", "sms"),
        ("at", "2015-05-17T10:05:04Z"),
        ("quantities", {"bytes": 8}),
        ("quantities", {"bytes": 7, "hours": 1}),
        ("quantities", {}),
    ],
)
async def test_another_event_under_a_known_id_is_a_conflict(
    house: House, owner: asyncpg.Connection, field: str, other: object
) -> None:
    """It is reported with the field that differs, and nothing of it is stored, in the same batch or later."""
    changed = {**event(), field: other}
    answer = await record(house, event(), changed)
    later = await record(house, changed, event("2"))
    assert told(answer) == [(1, "conflict", field)]
    assert told(later) == [(0, "conflict", field)]
    assert (answer.refused, later.refused) == (1, 1)
    assert await stored(owner) == ["1", "2"]
    assert await owner.fetchval("SELECT count(*) FROM customer") == 1


async def test_that_an_event_is_not_billable_is_kept_once_for_each_reason(
    house: House, owner: asyncpg.Connection
) -> None:
    """Whoever sends it again, in the same message or another, gets the same answer and adds nothing."""
    failed, elsewhere = event("x", status=404), event("x", status=200, resource="*")
    for sent in ([failed], [failed, failed], [elsewhere], [failed], [elsewhere, elsewhere]):
        assert (await record(house, *sent)).not_billable == len(sent)
    kept = await owner.fetch("SELECT reason FROM usage_not_billable ORDER BY reason")
    assert [row["reason"] for row in kept] == ["not_a_resource", "status_not_billable"]


async def test_two_who_report_at_once_what_is_not_billable_keep_it_once(
    house: House, owner: asyncpg.Connection
) -> None:
    """The one behind waits for the one before, and adds nothing to what that one kept."""
    await record(house, event("before", status=404))
    async with owner.transaction():
        await owner.execute(
            "INSERT INTO usage_not_billable SELECT book_id, $1, transaction_order(), 0, reason, judged_at FROM usage_not_billable",
            id_of_content(["gateway", "x"]),
        )
        behind = asyncio.create_task(record(house, event("x", status=404), event("y", status=404)))
        blocked = (
            "SELECT count(*) FROM pg_sleep(0.01), pg_stat_activity "
            "WHERE datname = current_database() AND cardinality(pg_blocking_pids(pid)) > 0"
        )
        while not behind.done() and not await owner.fetchval(blocked):
            pass
    assert (await behind).not_billable == 2
    assert await owner.fetchval("SELECT count(*) FROM usage_not_billable") == 3


async def test_what_is_not_billable_is_told_why_and_leaves_nothing(house: House, owner: asyncpg.Connection) -> None:
    """Neither the event nor its customer is kept."""
    answer = await record(
        house,
        event("1", status=404, customer="lost"),
        event("2", resource="*", customer="odd"),
        event("3", status=206, resource="/a"),
        event("4"),
    )
    assert [(one.item, one.status.value, one.reason) for one in answer.items] == [
        (0, "not_billable", "status_not_billable"),
        (1, "not_billable", "not_a_resource"),
    ]
    assert (answer.accepted, answer.not_billable) == (2, 2)
    assert await owner.fetchval("SELECT array_agg(ref) FROM customer") == ["acme"]


HOSTILE: list[tuple[object, str | None, str]] = [
    (event("x", at="2015-05-17T10:05:03"), "at", "time zone"),
    (event("x", at="9999-12-31T23:59:59Z"), "at", "a day ahead"),
    (event("x", at="9999-12-31T23:59:59-10:00"), "at", "years 1970 to 9999"),
    (event("x", at="yesterday"), "at", "must be a time like"),
    (event("x", at=5), "at", "must be an instant with its zone"),
    (event("x", quantities={"bytes": -1}), "quantities.bytes", "negative"),
    (event("x", quantities={"bytes": "-1"}), "quantities.bytes", "not negative"),
    (event("x", quantities={"bytes": "NaN"}), "quantities.bytes", "a number"),
    (event("x", quantities={"bytes": "Infinity"}), "quantities.bytes", "a number"),
    (event("x", quantities={"bytes": "1e9"}), "quantities.bytes", "exponent"),
    (event("x", quantities={"bytes": 10**30}), "quantities.bytes", "30 digits"),
    (event("x", quantities={"bytes": "9" * 100_000}), "quantities.bytes", "30 digits"),
    (event("x", quantities={"bytes": 1.5}), "quantities.bytes", "decimal in a string"),
    (event("x", quantities={"bytes": None}), "quantities.bytes", "must be a whole number or text"),
    (event("x", quantities={"a b": 1}), "quantities", "named by"),
    (event("x", quantities={f"q{number}": 1 for number in range(33)}), "quantities", "at most 32"),
    (event("x" * 256), "id", "255 characters"),
    (event("x" * 1_000_000), "id", "255 characters"),
    (event(""), "id", "255 characters"),
    (event("a\0b"), "id", "NUL"),
    (event("x", id=None), "id", "missing"),
    (event("x", id=7), "id", "must be text"),
    (event("x", customer=""), "customer", "255 characters"),
    (event("x", customer="a\0"), "customer", "NUL"),
    (event("x", type="t" * 256), "type", "255 characters"),
    (event("x", status=1000), "status", "999"),
    (event("x", resource="/" * 70_000), "resource", "at most"),
    (event("x", colour="red"), "colour", "is not known here"),
    ({"id": "x"}, "customer", "is missing"),
    (7, "the object", "must be an object"),
    (None, "the object", "must be an object"),
    ([], "the object", "must be an object"),
]


async def test_bad_events_cost_themselves_alone(house: House, owner: asyncpg.Connection) -> None:
    """Each is told the field and the rule that it breaks; the good ones around them are stored."""
    bad = [one for one, _, _ in HOSTILE]
    answer = await record(house, event("first"), *bad, event("last"))
    assert (answer.accepted, answer.refused) == (2, len(bad))
    for one, (sent, field, rule) in zip(answer.items, HOSTILE, strict=True):
        assert one.status is Status.INVALID
        assert one.field == field, sent
        assert rule in (one.reason or ""), sent
    assert await stored(owner) == ["first", "last"]


@pytest.mark.parametrize(
    ("fields", "field"),
    [
        ({"source": "", "events": [event()]}, "source"),
        ({"source": "a\0b", "events": [event()]}, "source"),
        ({"source": "s" * 256, "events": [event()]}, "source"),
        ({"source": "a", "events": []}, "events"),
        ({"source": "a", "events": [event()] * 5001}, "events"),
        ({"source": "a", "events": "all"}, "events"),
        ({"source": "a", "events": [event()], "given": 1}, "given"),
    ],
)
async def test_a_request_without_its_frame_is_refused_whole(
    house: House, owner: asyncpg.Connection, fields: dict[str, Any], field: str | None
) -> None:
    """Where there is no source, or no list of events, nothing can be answered by item."""
    with pytest.raises(TallystickError) as refused:
        await house.do("usage.record", "frame", **fields)
    assert (refused.value.kind, refused.value.field) == (Kind.INVALID, field)
    assert await stored(owner) == []


async def test_the_same_message_gets_its_first_answer_again(house: House, owner: asyncpg.Connection) -> None:
    """A caller who heard no answer sends the message again, and other events under its id are refused."""
    first = await house.do("usage.record", "one", source="gateway", events=[event()])
    again = await house.do("usage.record", "one", source="gateway", events=[event()])
    assert first == again
    assert first.accepted == 1
    with pytest.raises(TallystickError) as refused:
        await house.do("usage.record", "one", source="gateway", events=[event("2")])
    assert refused.value.code == "journal.id_reused"
    assert await stored(owner) == ["1"]


async def test_a_rule_judges_what_comes_after_it(house: House, owner: asyncpg.Connection) -> None:
    """A wider rule takes in what the old one refused; a narrower one leaves what is stored, and knows it."""
    missing, found = event("missing", status=404), event("found", status=200, resource="/v1/a")
    assert (await record(house, missing, found)).accepted == 1
    await house.do("usage.set_billable_rule", rule={"statuses": [[200, 299], [404, 404]]})
    assert told(await record(house, missing, found)) == [(1, "known", None)]
    await house.do("usage.set_billable_rule", rule={"excluded": ["/v1/*"]})
    assert told(await record(house, found, event("new", resource="/v1/b"))) == [
        (0, "known", None),
        (1, "not_billable", None),
    ]
    assert await stored(owner) == ["found", "missing"]
    assert await owner.fetchval("SELECT count(*) FROM billable_rule") == 2


async def test_a_rule_that_cannot_be_used_is_not_set(house: House) -> None:
    """The one in force stays, and the answer names the place."""
    with pytest.raises(TallystickError) as refused:
        await house.do("usage.set_billable_rule", rule={"resources": [""]})
    assert (refused.value.code, refused.value.field) == ("usage.invalid_rule", "resources[0]")
    in_force: Any = await house.do("usage.billable_rule")
    assert (in_force.set_at, in_force.rule.resources) == (None, ("/*",))


async def test_usage_of_nobody_is_refused_by_the_store(house: House, owner: asyncpg.Connection) -> None:
    """No row can name a customer that is not in its book, alone or among thousands, nor be changed or taken away."""
    await record(house, event())
    for count in (1, 2_000):
        many = (
            "INSERT INTO usage_key SELECT gen_random_uuid(), content, "
            "customer_id + CASE number WHEN $1 THEN $2 ELSE 0 END, occurred_at, book_id + CASE number WHEN $1 THEN $3 ELSE 0 END "
            f"FROM usage_key, generate_series(1, {count}) AS number"
        )
        for other_customer, other_book in ((999, 0), (0, 999)):
            with pytest.raises(asyncpg.ForeignKeyViolationError):
                await owner.execute(many, count, other_customer, other_book)
        await owner.execute(many, count, 0, 0)
    for statement in ("UPDATE usage_event SET type = 'x'", "DELETE FROM usage_event", "TRUNCATE usage_event"):
        with pytest.raises(asyncpg.RestrictViolationError):
            await owner.execute(statement)


@given(source=st.text(min_size=1).filter(lambda text: "\0" not in text), identifier=st.text(min_size=1, max_size=60))
def test_an_events_key_is_the_id_of_its_source_and_id(source: str, identifier: str) -> None:
    """The quick way for many gives what the kernel gives for one."""
    if "\0" in identifier:
        identifier = "1"
    one = msgspec.convert({"id": identifier, "customer": "a", "type": "t", "at": AT, "quantities": {}}, UsageEvent)
    for one_source in (source, "another"):
        sent = msgspec.structs.replace(one, source=None if one_source == source else source)
        assert columns_of(one_source, [sent]).keys[0].tobytes() == id_of_content([source, identifier]).bytes


def test_the_journal_keeps_of_events_their_number_and_hash() -> None:
    """Equal events give an equal message and others another one, without a word of them in it."""
    one, same, other = (
        RecordInput(source="gateway", events=[event(resource=resource)]) for resource in ("/a", "/a", "/b")
    )
    kept = [keep_no_payload(request) for request in (one, same, other)]
    assert kept[0] == kept[1] != kept[2]
    assert kept[0]["source"] == "gateway"
    assert cast("dict[str, object]", kept[0]["events"]).keys() == {"count", "sha256"}
