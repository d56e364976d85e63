"""Files of transfers over HTTP: in as a body, out as a stream, by whoever may and nobody else."""

import io
import itertools
import json
import uuid
from collections.abc import AsyncIterator
from typing import Any

import httpx
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tallystick.api.rest.app import make_app
from tallystick.ids import uuid7_batch
from tests.conformance.conftest import Rest, listening

IMPORT = "/v1/books/main/transfers/import"


def parquet(rows: int, *, credit: str = "ada") -> bytes:
    """Write *rows* transfers of one cent from the bank."""
    ids = pa.FixedSizeBinaryArray.from_buffers(pa.binary(16), rows, [None, pa.py_buffer(uuid7_batch(rows).tobytes())])
    into = io.BytesIO()
    columns = {"id": ids, "debit": ["bank"] * rows, "credit": [credit] * rows, "amount": np.ones(rows, np.int64)}
    pq.write_table(pa.table(columns), into)
    return into.getvalue()


async def in_chunks(body: bytes, size: int = 1000) -> AsyncIterator[bytes]:
    """Send a body without saying how long it is."""
    for start in range(0, len(body), size):
        yield body[start : start + size]


def lines_of(response: httpx.Response) -> list[dict[str, Any]]:
    """Read the lines of an answer."""
    assert response.headers["content-type"] == "application/x-ndjson"
    return [json.loads(line) for line in response.text.splitlines()]


async def test_a_file_in_the_body_is_imported_and_sent_again_posts_nothing(rest: Rest) -> None:
    """The last line says what became of it all; the same file again is known by its content."""
    body = parquet(20_000)
    first = lines_of(await rest.client.post(IMPORT, content=in_chunks(body)))
    done = first[-1]["done"]
    assert (done["rows"], done["statuses"], done["imported_before"]) == (20_000, {"ledger.posted": 20_000}, 0)
    assert any("progress" in line for line in first)
    again = lines_of(await rest.client.post(IMPORT, content=body))[-1]["done"]
    assert (again["imported_before"], again["statuses"]) == (20_000, {"ledger.posted": 20_000})
    assert (await rest.get("/balance", account="ada")).json()["balance"] == 20_000


async def test_each_refused_row_has_a_line(rest: Rest) -> None:
    """Row, status and field are told as they are found; missing accounts can be opened on the way."""
    body = f"id,debit,credit,amount\n{uuid.uuid4()},bank,eve,5\n{uuid.uuid4()},bank,ada,-1\n{uuid.uuid4()},bank,ada,2\n"
    lines = lines_of(await rest.client.post(IMPORT, content=body, headers={"content-type": "text/csv"}))
    refused = [(line["refused"]["row"], line["refused"]["status"]) for line in lines if "refused" in line]
    assert refused == [(1, "ledger.unknown_credit_account"), (2, "invalid_input")]
    assert lines[-1]["done"]["refused"] == 2
    retried = await rest.client.post(f"{IMPORT}?open_accounts=USD&retry_refused=true", content=body)
    assert lines_of(retried)[-1]["done"]["refused"] == 1


@pytest.mark.parametrize(
    ("body", "query", "type_", "status", "code"),
    [
        (b"", "", "", 400, "ledger.unknown_format"),
        (b"PAR1 and then nothing", "", "", 400, "ledger.damaged_file"),
        (b"id,debit,credit\n", "", "", 400, "ledger.missing_columns"),
        (b"id,debit,credit,amount\n", "", "application/vnd.apache.parquet", 400, "ledger.other_format"),
        (b"id,debit,credit,amount\n", "?what=1", "", 400, "invalid_input"),
        (b"id,debit,credit,amount\n", "?dry_run=maybe", "", 400, "invalid_input"),
        (b"x" * 20_000, "", "", 413, "rest.body_too_large"),
    ],
)
async def test_what_cannot_be_imported_is_a_problem(
    rest: Rest, body: bytes, query: str, type_: str, status: int, code: str
) -> None:
    """Before anything is posted a file is refused as any other request is."""
    async with listening(make_app(rest.house.operations, most_import_bytes=10_000)) as port:
        url = f"http://127.0.0.1:{port}{IMPORT}{query}"
        headers = {"content-type": type_} if type_ else {}
        for content in (body, in_chunks(body)):
            answer = await rest.client.post(url, content=content, headers=headers)
            assert (answer.status_code, answer.json()["code"]) == (status, code)


async def test_who_may_not_write_is_refused_before_the_body_is_read(rest: Rest) -> None:
    """No byte of the body is taken from who shows no key, or one that may only read."""
    key = (await rest.new_key("ledger:read")).key
    sent = itertools.count()

    async def endless() -> AsyncIterator[bytes]:
        while next(sent) < 10_000:
            yield bytes(1000)

    for authorization, status in ((f"Bearer {key}", 403), ("", 401)):
        try:
            answer = await rest.client.post(IMPORT, content=endless(), headers={"authorization": authorization})
        except (httpx.WriteError, httpx.RemoteProtocolError):
            continue  # it was hung up on, which says the same
        assert answer.status_code == status
    assert (await rest.client.get(IMPORT)).status_code == 405


@pytest.mark.parametrize("format_", ["parquet", "arrow", "arrow-stream", "avro", "csv"])
async def test_what_went_in_comes_out_in_every_format(rest: Rest, format_: str) -> None:
    """An export is a file that can be imported; taken back into its own book, every transfer is known."""
    await rest.client.post(IMPORT, content=parquet(300))
    exported = await rest.get("/transfers/export", format=format_)
    assert exported.status_code == 200
    assert f'filename="main.{format_}"' in exported.headers["content-disposition"]
    lines = lines_of(await rest.client.post(f"{IMPORT}?dry_run=true", content=exported.content))
    assert lines[-1]["done"]["rows"] == 300
    one = await rest.get("/transfers/export", format=format_, account="ada", since="2020-01-01T00:00:00Z")
    assert one.status_code == 200
    assert (await rest.get("/transfers/export", format=format_, account="nobody")).json()["code"] == (
        "ledger.unknown_account"
    )
    assert (await rest.get("/transfers/export", format=format_, since="2020-01-01T00:00:00")).status_code == 400
    assert (await rest.get("/transfers/export", format="xml")).status_code == 400


async def test_a_caller_that_hangs_up_finishes_by_sending_it_again(rest: Rest) -> None:
    """What was posted stays, nothing is posted twice, and nothing is left on the server's disk."""
    body = parquet(60_000)
    async with rest.client.stream("POST", IMPORT, content=body) as answer:
        await anext(answer.aiter_lines())
    done = lines_of(await rest.client.post(IMPORT, content=body))[-1]["done"]
    assert done["statuses"] == {"ledger.posted": 60_000}
    assert (await rest.get("/balance", account="ada")).json()["balance"] == 60_000
