"""Usage as a file over HTTP: every format reads back, and whoever may not, or asks for nonsense, is told so."""

import asyncio
import csv
import datetime as dt
import io
from collections.abc import AsyncGenerator
from decimal import Decimal
from typing import Any

import httpx
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tallystick.api.rest import export_usage
from tallystick.api.rest.app import RestApp, make_app
from tallystick.db.connect import StoreUnreachable
from tallystick.usage.export.model import EVENT_COLUMNS
from tests.conformance.conftest import Rest, listening

EXPORT = "/v1/books/main/usage/export"
MAY = {"start_at": "2015-05-01T00:00:00Z", "end_at": "2015-06-01T00:00:00Z"}
LARGE = "123456789012345678.901234567891"


@pytest.fixture
async def metered(rest: Rest) -> Rest:
    """Serve a book with a meter and three events of two customers."""
    await rest.house.do(
        "catalog.define_meter", code="bytes", name="bytes", event_type="http.request", aggregation="sum", quantity="bytes",
        group_by=["region"],
    )  # fmt: skip
    events = [
        {"id": f"e{n}", "customer": customer, "at": f"2015-05-{day:02}T22:30:00Z", "quantities": {"bytes": size},
         "dimensions": {"region": region}}
        for n, (customer, day, size, region) in enumerate(
            [("ada", 1, LARGE, "eu"), ("ada", 2, "0.5", "us"), ('eve, "the second"', 2, 7, "eu")])
    ]  # fmt: skip
    recorded = await rest.house.do("usage.record", source="gate", events=events)
    assert recorded.accepted == len(events), recorded
    return rest


def rows_of(answer: httpx.Response, format_: str) -> list[dict[str, Any]]:
    """Read the rows of a file that came."""
    assert answer.status_code == 200, answer.text
    assert answer.headers["content-disposition"] == f'attachment; filename="main-usage.{format_}"'
    assert answer.headers["cache-control"] == "no-store"
    if format_ == "csv":
        assert answer.headers["content-type"] == "text/csv; charset=utf-8"
        return list(csv.DictReader(io.StringIO(answer.text)))
    if format_ == "parquet":
        assert answer.headers["content-type"] == "application/vnd.apache.parquet"
        return [dict(one) for one in pq.read_table(io.BytesIO(answer.content)).to_pylist()]
    assert answer.headers["content-type"] == "application/vnd.apache.arrow.file"
    table = pa.ipc.open_file(pa.BufferReader(answer.content)).read_all()
    return [dict(one) for one in table.to_pylist()]


@pytest.mark.parametrize("format_", ["parquet", "arrow", "csv"])
async def test_readings_come_out_exactly_in_every_format(metered: Rest, format_: str) -> None:
    """Numbers of thirty digits are what they were; days are those of the zone; what is told apart has a column."""
    query = {"format": format_, "meter": "bytes", "per": "day", "zone": "Europe/Vienna", "group_by": "customer"} | MAY
    rows = rows_of(await metered.client.get(EXPORT, params=query), format_)
    assert [(one["customer"], int(one["events"]), Decimal(one["quantity"])) for one in rows] == [
        ("ada", 1, Decimal(LARGE)), ("ada", 1, Decimal("0.5")), ('eve, "the second"', 1, Decimal(7)),
    ]  # fmt: skip
    begins = rows[0]["start_at"]
    assert begins in {"2015-05-01T22:00:00.000000Z", dt.datetime(2015, 5, 1, 22, tzinfo=dt.UTC)}
    several = {"format": format_, "meter": "bytes", "where": ["region:us", "region:eu"]} | MAY
    (everything,) = rows_of(await metered.client.get(EXPORT, params=several), format_)
    assert int(everything["events"]) == 3


@pytest.mark.parametrize("format_", ["parquet", "arrow", "csv"])
async def test_events_come_out_as_they_are_in_force(metered: Rest, format_: str) -> None:
    """By customer and time, narrowed as the page of events is; no period need be said."""
    query = {"format": format_, "events": "true", "type": "http.request", "where": "region:eu"}
    rows = rows_of(await metered.client.get(EXPORT, params=query), format_)
    assert [one["id"] for one in rows] == ["e0", "e2"]
    assert LARGE in str(rows[0]["quantities"])
    nothing = await metered.client.get(EXPORT, params=query | {"customer": "nobody"})
    assert rows_of(nothing, format_) == []


@pytest.mark.parametrize(
    ("changed", "field"),
    [
        ({"format": "xml"}, "format"),
        ({"format": None}, "format"),
        ({"events": "maybe"}, "events"),
        ({"end_at": "2015-04-01T00:00:00Z"}, "end_at"),
        ({"start_at": "2015-05-01T00:00:00"}, "start_at"),
        ({"start_at": None}, "start_at"),
        ({"start_at": "May"}, "start_at"),
        ({"per": "day", "zone": "Mars/Olympus"}, "zone"),
        ({"per": "day", "zone": "../../etc/passwd"}, "zone"),
        ({"per": "fortnight"}, "per"),
        ({"meter": "unheard-of"}, "meter"),
        ({"where": "planet:mars"}, "where[0]"),
        ({"limit": "5"}, "limit"),
        ({"after": "x"}, "after"),
        ({"what": "1"}, "what"),
        ({"customer": "a\0b"}, "customer"),
        ({"events": "true"}, "meter"),
    ],
)
async def test_what_makes_no_sense_is_a_problem_that_names_its_field(
    metered: Rest, changed: dict[str, str | None], field: str
) -> None:
    """Nothing of a file has gone out by then."""
    query = {"format": "csv", "meter": "bytes"} | MAY | changed
    answer = await metered.client.get(EXPORT, params={name: one for name, one in query.items() if one is not None})
    assert answer.status_code in {400, 404}
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.json()["field"] == field, answer.json()


async def test_a_field_given_twice_is_refused(metered: Rest) -> None:
    """Two readers might take different ones."""
    for name in ("format", "meter"):
        given = {"format": "csv", "meter": "bytes"} | MAY | {name: ["csv", "csv"]}
        answer = await metered.client.get(EXPORT, params=given)
        assert (answer.status_code, answer.json()["field"]) == (400, name)


async def test_who_may_not_gets_no_row(metered: Rest) -> None:
    """Without a key, without the scope, of another book, and by another method."""
    query = {"format": "csv", "events": "true"}
    ledger = (await metered.new_key("ledger:read")).key
    usage = (await metered.new_key("usage:read")).key
    for path, authorization, status in (
        (EXPORT, "", 401),
        (EXPORT, f"Bearer {ledger}", 403),
        (EXPORT.replace("main", "other"), f"Bearer {usage}", 403),
        (EXPORT, f"Bearer {usage}", 200),
    ):
        answer = await metered.client.get(path, params=query, headers={"authorization": authorization})
        assert answer.status_code == status
    assert (await metered.client.post(EXPORT, params=query)).headers["allow"] == "GET, HEAD"
    assert (await metered.client.head(EXPORT, params=query)).content == b""


class _Reading:
    """Blocks as a test wants them: one at once, and then what it is told to do."""

    def __init__(self, error: Exception | None = None) -> None:
        """Break with *error* behind the first block, or wait for ever."""
        self.error = error
        self.stopped = asyncio.Event()

    async def rows(self, *_: object) -> AsyncGenerator[object, None]:
        """Hand out a block, and no second one."""
        try:
            yield EVENT_COLUMNS, []
            if self.error is not None:
                raise self.error
            await asyncio.Event().wait()
        finally:
            self.stopped.set()


async def test_what_breaks_behind_the_first_byte_cuts_the_connection(
    metered: Rest, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No part of a file passes for the whole of it."""
    reading = _Reading(StoreUnreachable(reason="gone"))
    monkeypatch.setattr(export_usage, "read_rows", reading.rows)
    with pytest.raises(httpx.RemoteProtocolError):
        await metered.client.get(EXPORT, params={"format": "csv", "events": "true"})
    assert reading.stopped.is_set()


async def test_a_caller_that_hangs_up_stops_the_reading_and_makes_room(
    metered: Rest, monkeypatch: pytest.MonkeyPatch
) -> None:
    """So many run at once and no more; what a caller that went away was given is another's to have."""
    reading = _Reading()
    monkeypatch.setattr(export_usage, "read_rows", reading.rows)
    monkeypatch.setattr(export_usage, "MOST_AT_ONCE", 1)
    app = make_app(metered.house.operations)
    assert isinstance(app, RestApp)
    query = {"format": "csv", "events": "true"}
    async with listening(app) as port:
        url = f"http://127.0.0.1:{port}{EXPORT}"
        async with metered.client.stream("GET", url, params=query) as answer:
            assert answer.status_code == 200
            busy = await metered.client.get(url, params=query)
            assert (busy.status_code, busy.json()["code"]) == (429, "rest.exports_busy")
        await asyncio.wait_for(reading.stopped.wait(), 5)
        monkeypatch.undo()
        assert rows_of(await metered.client.get(url, params=query), "csv")
