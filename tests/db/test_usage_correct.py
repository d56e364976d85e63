"""Corrections: what was recorded wrongly is amended or taken back, and never rewritten."""

import asyncio
from typing import Any

import asyncpg
import pytest

from tallystick.operations.usage_corrections import MAX_CORRECTIONS
from tests.conftest import House
from tests.db.priced_usage import ask, meter_requests, refusal_of

AT = "2015-05-17T10:05:03Z"


async def record(house: House, *ids: str, size: int = 100) -> None:
    """Record an event of *size* bytes under each id."""
    events = [{"id": one, "customer": "ada", "at": AT, "quantities": {"bytes": size}} for one in ids]
    assert (await ask(house, "usage.record", source="s", events=events)).accepted == len(ids)


async def amend(house: House, *events: dict[str, Any], reason: str = "the counter was wrong") -> list[tuple[str, Any]]:
    """Amend events and return status and field of each that was not corrected."""
    found = await ask(house, "usage.amend", source="s", reason=reason, events=list(events))
    assert found.corrected + found.known + found.unchanged + found.refused == len(events)
    return [(one.status, one.field) for one in found.items]


async def void(house: House, *ids: str) -> list[tuple[str, Any]]:
    """Void events and return status and field of each that was not corrected."""
    found = await ask(house, "usage.void", source="s", reason="sent by a test", events=[{"id": one} for one in ids])
    return [(one.status, one.field) for one in found.items]


async def rows_of(owner: asyncpg.Connection, event_id: str) -> list[tuple[int, str]]:
    """Return sign and quantities of each row of an event, in order."""
    rows = await owner.fetch(
        "SELECT sign::integer, quantities::text FROM usage_event WHERE event_id = $1 "
        "ORDER BY transaction_id, message_place, sign",
        event_id,
    )
    return [(row[0], row[1]) for row in rows]


async def test_an_amendment_takes_the_old_numbers_back_and_puts_new_ones_in_their_place(
    house: House, owner: asyncpg.Connection
) -> None:
    """What was recorded stays; sums over all rows are those of the newest content."""
    await record(house, "a")
    assert await amend(house, {"id": "a", "quantities": {"bytes": 70, "rows": "0.50"}}) == []
    assert await amend(house, {"id": "a", "quantities": {"bytes": 30}}) == []
    assert await rows_of(owner, "a") == [
        (1, '{"bytes": 100}'),
        (-1, '{"bytes": 100}'),
        (1, '{"rows": "0.5", "bytes": 70}'),
        (-1, '{"rows": "0.5", "bytes": 70}'),
        (1, '{"bytes": 30}'),
    ]
    assert await owner.fetchval("SELECT count(DISTINCT (customer_id, occurred_at)) FROM usage_event") == 1
    in_force = "SELECT quantities::text FROM usage_in_force(1, $1::bigint)"
    orders = [row[0] for row in await owner.fetch("SELECT DISTINCT transaction_id FROM usage_event ORDER BY 1")]
    assert [await owner.fetchval(in_force, order + 1) for order in orders] == [
        '{"bytes": 100}', '{"rows": "0.5", "bytes": 70}', '{"bytes": 30}'
    ]  # fmt: skip
    assert [tuple(row) for row in await owner.fetch("SELECT kind, reason FROM usage_correction")] == [
        ("amend", "the counter was wrong")
    ] * 2


async def test_a_void_takes_an_event_back_for_good(house: House, owner: asyncpg.Connection) -> None:
    """It counts no more, cannot be amended, and its id stays taken."""
    await record(house, "a", "b")
    assert await void(house, "a") == []
    assert await rows_of(owner, "a") == [(1, '{"bytes": 100}'), (-1, '{"bytes": 100}')]
    found = await owner.fetch("SELECT event_id FROM usage_in_force(1, 9223372036854775807)")
    assert [row[0] for row in found] == ["b"]
    assert await void(house, "a") == [("known", None)]
    assert await amend(house, {"id": "a", "quantities": {"bytes": 1}}) == [("already_void", "id")]
    again = await ask(house, "usage.record", source="s", events=[{"id": "a", "customer": "ada", "at": AT}])
    assert (again.accepted, again.items[0].status) == (0, "conflict")
    assert len(await rows_of(owner, "a")) == 2


async def test_each_correction_of_a_batch_is_answered_by_itself(house: House, owner: asyncpg.Connection) -> None:
    """One that is wrong costs itself alone, and is told field and rule."""
    await house.do(
        "catalog.define_meter", code="m", name="m", event_type="http.request", aggregation="unique", dimension="region"
    )
    await record(house, "a", "b", "c", "d")
    assert await amend(house, {"id": "b", "quantities": {"bytes": 7}}) == []
    asked: list[tuple[dict[str, Any], str, str | None]] = [
        ({"id": "b", "quantities": {"bytes": 7}}, "known", None),
        ({"id": "a", "quantities": {"bytes": 100}}, "unchanged", None),
        ({"id": "x", "quantities": {"bytes": 1}}, "unknown_event", "id"),
        ({"id": "d"}, "invalid", "quantities"),
        ({"quantities": {}}, "invalid", "id"),
        ({"id": "", "quantities": {}}, "invalid", "id"),
        ({"id": "i" * 10_000, "quantities": {}}, "invalid", "id"),
        ({"id": "n\0l", "quantities": {}}, "invalid", "id"),
        ({"id": "d", "quantities": {"bytes": -1}}, "invalid", "quantities.bytes"),
        ({"id": "d", "quantities": {"bytes": "NaN"}}, "invalid", "quantities.bytes"),
        ({"id": "d", "quantities": {"bytes": "1e400"}}, "invalid", "quantities.bytes"),
        ({"id": "d", "quantities": {"bytes": "1" * 40}}, "invalid", "quantities.bytes"),
        ({"id": "d", "dimensions": {"colour": "red"}}, "invalid", "dimensions.colour"),
        ({"id": "d", "dimensions": {"region": ""}}, "invalid", "dimensions.region"),
        ({"id": "d", "customer": "bob"}, "invalid", "customer"),
        ({"id": "d", "at": AT}, "invalid", "at"),
        ({"id": "d", "type": "sms"}, "invalid", "type"),
        ({"id": "d", "status": 200}, "invalid", "status"),
    ]
    found = await ask(
        house,
        "usage.amend",
        source="s",
        reason="r",
        events=[one for one, _, _ in asked]
        + [{"id": "c", "dimensions": {"region": "eu"}}, {"id": "c", "quantities": {}}],
    )
    assert found.corrected == 1
    assert [(one.status, one.field) for one in found.items] == [
        *[(status, field) for _, status, field in asked], ("invalid", "id")
    ]  # fmt: skip
    told = {one.field: one.reason for one in found.items}
    assert told["customer"] == "cannot be amended: void the event and send the usage anew, under another id"
    assert await owner.fetchval("SELECT count(*) FROM usage_correction") == 2
    assert await owner.fetchval("SELECT dimensions::text FROM usage_in_force(1, 1 << 60) WHERE event_id = 'c'") == (
        '{"region": "eu"}'
    )


@pytest.mark.parametrize(
    ("fields", "field"),
    [
        ({"source": ""}, "source"),
        ({"reason": ""}, "reason"),
        ({"reason": "r" * 256}, "reason"),
        ({"reason": None}, "reason"),
        ({"events": []}, "events"),
        ({"events": [{"id": "a"}] * (MAX_CORRECTIONS + 1)}, "events"),
        ({"customer": "ada"}, "customer"),
    ],
)
async def test_a_bad_request_is_refused_whole(
    house: House, owner: asyncpg.Connection, fields: dict[str, Any], field: str | None
) -> None:
    """A correction without a source or a reason is none, and leaves nothing."""
    await record(house, "a")
    for operation in ("usage.amend", "usage.void"):
        given = {"source": "s", "reason": "r", "events": [{"id": "a"}]} | fields
        assert await refusal_of(house, operation, **given) == ("invalid_input", field)
    assert await owner.fetchval("SELECT count(*) FROM usage_correction") == 0


async def test_two_who_correct_one_event_at_once_do_so_one_after_the_other(
    house: House, owner: asyncpg.Connection
) -> None:
    """However many there are, each takes back exactly what the one before it put there, and a void is the last."""
    await meter_requests(house)
    await record(house, "a")
    asked = [amend(house, {"id": "a", "quantities": {"bytes": n}}) for n in range(8)]
    await asyncio.gather(*asked, void(house, "a"))
    rows = await rows_of(owner, "a")
    assert sum(sign for sign, _ in rows) == 0
    assert [one for _, one in rows[::2]] == [one for _, one in rows[1::2]], "what is taken back is what was there"
    assert [sign for sign, _ in rows] == [1, -1] * (len(rows) // 2)
    kinds = await owner.fetch("SELECT kind FROM usage_correction ORDER BY transaction_id")
    assert [row[0] for row in kinds][-1] == "void"
    assert [row[0] for row in kinds].count("void") == 1


async def test_a_dry_run_corrects_nothing(house: House, owner: asyncpg.Connection) -> None:
    """It answers as if, and leaves neither rows nor messages."""
    await record(house, "a")
    from tallystick.security.model import OPERATOR

    request = {"source": "s", "reason": "r", "events": [{"id": "a"}]}
    answer = await house.operations.run(OPERATOR, "main", "usage.void", "dry", request, dry_run=True)
    assert b'"corrected":1' in answer.body
    assert len(await rows_of(owner, "a")) == 1
    assert await owner.fetchval("SELECT count(*) FROM message WHERE key = 'dry'") == 0
