"""
One answer, whichever way usage comes in: the same scenarios through every door.

A scenario says what is sent, and what is answered of each event: status, reason, and the field at fault.
"""

from dataclasses import dataclass, field

import pytest
import pytest_asyncio

from tests.conformance.conftest import Rest
from tests.conformance.usage_doors import DOORS, Door, Event, Told, usage_event
from tests.conformance.usage_over_http import stored

ACCEPTED, KNOWN = Told("accepted"), Told("known")
DIFFERS = "differs from the event that is stored under the same source and id"
NO_ZONE = "must name its time zone, as in 2015-05-17T10:05:03Z"
NO_INSTANT = "must be a time like 2015-05-17T10:05:03Z"
NO_DAY = "must be a time of the calendar and the clock"
NO_NUMBER = "must be a number that is not negative, as in 12 or 0.5, without an exponent"
YEARS = "must lie in the years 1970 to 9999"
LENGTH = "must have from 1 to 255 characters"


def invalid(name: str, rule: str) -> Told:
    """Say that an event is refused for a field of it."""
    return Told("invalid", rule, name)


@dataclass(frozen=True)
class Scenario:
    """What is sent, and what is to be answered."""

    events: tuple[Event, ...]
    answers: tuple[Told, ...]
    before: tuple[Event, ...] = ()
    """What is stored already."""
    needs: frozenset[str] = field(default=frozenset())
    """What a door has to have words for."""


def one(answer: Told, *needs: str, **fields: object) -> Scenario:
    """Send a single event."""
    return Scenario((usage_event(**fields),), (answer,), needs=frozenset(needs))  # type: ignore[arg-type]  # fields name what they hold


def again(answer: Told, *needs: str, **fields: object) -> Scenario:
    """Send an event whose like is stored, with other *fields*."""
    return Scenario((usage_event(**fields),), (answer,), (usage_event(),), frozenset(needs))  # type: ignore[arg-type]  # fields name what they hold


SCENARIOS: dict[str, Scenario] = {
    "accepted": one(ACCEPTED, status=200, resource="/v1/search"),
    "accepted without quantities": one(ACCEPTED, quantities={}),
    "known again": again(KNOWN),
    "known, its number written in another way": again(KNOWN, quantities={"bytes": "7.00"}),
    "known, its instant in another zone": again(KNOWN, at="2015-05-17T12:05:03+02:00"),
    "known, its instant with zeros": again(KNOWN, "instant as text", at="2015-05-17T10:05:03.000000000000Z"),
    "known, whatever was not kept": again(KNOWN, status=200, resource="/a"),
    "not billable for its status": one(Told("not_billable", "status_not_billable"), status=404),
    "not billable for its target": one(Told("not_billable", "not_a_resource"), resource="*"),
    "conflict: customer": again(Told("conflict", DIFFERS, "customer"), customer="other"),
    "conflict: type": again(Told("conflict", DIFFERS, "type"), type="sms"),
    "conflict: at": again(Told("conflict", DIFFERS, "at"), at="2015-05-17T10:05:03.000001Z"),
    "conflict: quantities": again(Told("conflict", DIFFERS, "quantities"), quantities={"bytes": "7.000000000001"}),
    "exact decimals": one(ACCEPTED, quantities={"tiny": "0.00000000000000000000000000001", "large": "9" * 30}),
    "invalid: 40 digits": one(
        invalid("quantities.bytes", "must have at most 30 digits"), quantities={"bytes": "1" * 40}
    ),
    "invalid: negative": one(invalid("quantities.bytes", NO_NUMBER), "number as text", quantities={"bytes": "-1"}),
    "invalid: NaN": one(invalid("quantities.bytes", NO_NUMBER), "number as text", quantities={"bytes": "NaN"}),
    "invalid: exponent": one(invalid("quantities.bytes", NO_NUMBER), "number as text", quantities={"bytes": "1e400"}),
    "invalid: no zone": one(invalid("at", NO_ZONE), "instant as text", at="2015-05-17T10:05:03"),
    "invalid: no instant": one(invalid("at", NO_INSTANT), "instant as text", at="yesterday"),
    "invalid: no day": one(invalid("at", NO_DAY), "instant as text", at="2015-02-30T10:05:03Z"),
    "invalid: before 1970": one(invalid("at", YEARS), at="1969-12-31T23:59:59Z"),
    "invalid: far ahead": one(
        invalid("at", "must not lie more than a day ahead of the present"), at="2115-05-17T10:05:03Z"
    ),
    "invalid: too fine": one(
        invalid("at", "must not be finer than microseconds, six digits behind the point"),
        "instant as text",
        at="2015-05-17T10:05:03.123456789012Z",
    ),
    "invalid: no customer": one(invalid("customer", LENGTH), customer=""),
    "invalid: long customer": one(invalid("customer", LENGTH), customer="c" * 256),
    "invalid: long id": one(invalid("id", LENGTH), identifier="x" * 10_000),
    "invalid: empty id": one(invalid("id", LENGTH), "id", identifier=""),
    "invalid: NUL": one(invalid("id", "must not contain a NUL"), "id", identifier="a\0b"),
    "invalid: empty source": one(invalid("source", LENGTH), "an empty text", source=""),
    "invalid: long source": one(invalid("source", LENGTH), "source", source="s" * 256),
    "invalid: status": one(invalid("status", "must be from 0 to 999"), "id", status=1000),
    "id and source of full length": one(ACCEPTED, identifier="x" * 255, source="s" * 255),
    "the same id of another source": Scenario(
        (usage_event(source="other", customer="eve"),), (ACCEPTED,), (usage_event(),)
    ),
    "a dimension that no meter declares": one(
        invalid("dimensions.colour", "is declared by no meter of this type"), "dimensions", dimensions={"colour": "red"}
    ),
    "a dimension that a meter declares": one(ACCEPTED, "dimensions", dimensions={"region": "eu"}),
    "one bad among good ones": Scenario(
        (usage_event("a"), usage_event("b", quantities={"bytes": "x"}), usage_event("c")),
        (ACCEPTED, invalid("quantities.bytes", NO_NUMBER), ACCEPTED),
        needs=frozenset({"number as text"}),
    ),
}


@pytest_asyncio.fixture
async def room(rest: Rest) -> Rest:
    """Have a meter that declares a dimension."""
    answer = await rest.post(
        "/meters", code="seats", name="Seats", event_type="http.request", aggregation="unique", dimension="region"
    )
    assert answer.status_code == 200, answer.text
    return rest


@pytest.mark.parametrize("door", DOORS, ids=lambda door: door.name)
async def test_every_door_gives_one_answer(room: Rest, door: Door) -> None:
    """Status, reason and field are the same whichever way an event comes in, and so is what is stored."""
    for number, (name, scenario) in enumerate(SCENARIOS.items()):
        if scenario.needs & door.cannot_say:
            continue
        apart = f"{number}-"
        if scenario.before:
            assert await DOORS[0].send(room, [_apart(event, apart) for event in scenario.before]) == [ACCEPTED], name
        told = await door.send(room, [_apart(event, apart) for event in scenario.events])
        assert [(one.status, one.field) for one in told] == [(one.status, one.field) for one in scenario.answers], name
        for said, wanted in zip(told, scenario.answers, strict=True):
            assert wanted.reason in {None, said.reason}, name
    assert len(await stored(room)) == sum(
        len(scenario.before) + scenario.answers.count(ACCEPTED)
        for scenario in SCENARIOS.values()
        if not scenario.needs & door.cannot_say
    )


async def test_an_event_is_known_through_every_other_door(room: Rest) -> None:
    """It is the same event whichever way it comes again; stored once."""
    for first in DOORS:
        event = usage_event(first.name, quantities={"bytes": "0.5"}, status=200)
        assert await first.send(room, [event]) == [ACCEPTED], first.name
        for other in DOORS:
            assert await other.send(room, [event]) == [KNOWN], (first.name, other.name)
    assert await stored(room) == sorted(door.name for door in DOORS)


def _apart(event: Event, apart: str) -> Event:
    """Keep scenarios that share a book from knowing each other's events, by their customers' and their sources' names."""
    source = event["source"]
    return event | {"source": source if len(source) in {0, 256} else (apart + source)[:255]}
