"""Bad input and unwelcome callers over REST: each answer names the code, the field and the rule."""

import asyncio
import contextlib
import datetime as dt
import json
from collections.abc import AsyncIterator

import asyncpg
import httpx
import pytest

from tallystick.clock import SystemClock
from tallystick.ids import uuid7
from tallystick.ledger.books import find_book, open_book
from tallystick.security.keys import revoke_key
from tests.conformance.conftest import Rest, transfer

MIB = 1024 * 1024


def _says(answer: httpx.Response) -> tuple[int, str, str | None]:
    """Return status, code and field of a problem, having looked at what every problem has."""
    assert answer.headers["content-type"] == "application/problem+json"
    problem = answer.json()
    assert problem["status"] == answer.status_code
    assert problem["type"] == f"urn:tallystick:error:{problem['code']}"
    assert problem["title"]
    assert problem["detail"]
    return answer.status_code, problem["code"], problem["field"]


async def test_a_transfer_that_cannot_be_names_what_is_wrong(rest: Rest) -> None:
    """Code, field and status say what to put right, and nothing was moved."""
    await rest.post("/assets", asset="EUR", exponent=2)
    await rest.open_accounts("euros", asset="EUR")
    wrong: list[tuple[dict[str, object], int, str, str]] = [
        ({"debit": "nobody"}, 404, "ledger.unknown_debit_account", "debit"),
        ({"credit": "nobody"}, 404, "ledger.unknown_credit_account", "credit"),
        ({"credit": "bank"}, 400, "ledger.same_account", "credit"),
        ({"credit": "euros"}, 400, "ledger.asset_mismatch", "asset"),
        ({"asset": "EUR"}, 400, "ledger.asset_mismatch", "asset"),
        ({"asset": "XXX"}, 400, "ledger.asset_mismatch", "asset"),
        ({"asset": "usd"}, 400, "invalid_input", "asset"),
        ({"debit": ""}, 400, "invalid_input", "debit"),
        ({"debit": "a\0b"}, 400, "invalid_input", "debit"),
        ({"debit": "a" * 256}, 400, "invalid_input", "debit"),
        ({"debit": None}, 400, "invalid_input", "debit"),
        ({"id": "42"}, 400, "invalid_input", "id"),
        ({"effective_at": "yesterday"}, 400, "invalid_input", "effective_at"),
        ({"amonut": 1}, 400, "invalid_input", "amonut"),
    ]
    for changed, *said in wrong:
        assert _says(await rest.post("/transfers", **transfer(**changed))) == tuple(said), changed
    assert (await rest.get("/balance", account="ada")).json()["balance"] == 0


async def test_an_amount_is_a_positive_integer_of_minor_units(rest: Rest) -> None:
    """Whatever else stands there, be it a float that happens to be whole, is refused by name."""
    for amount in (
        *("0", "-1", "9223372036854775808", "99999999999999999999999"),
        *("1.5", "1.0", "1e2", '"100"', "true", "null", "[1]"),
    ):
        body = json.dumps(transfer(amount="?")).replace('"?"', amount).encode()
        assert _says(await rest.send("/transfers", body)) == (400, "invalid_input", "amount"), amount
        in_batch = b'{"transfers": [' + body + b"]}"
        said = _says(await rest.send("/transfers/batch", in_batch))
        assert said == (400, "invalid_input", "transfers[0].amount"), amount
    assert (await rest.get("/balance", account="ada")).json()["balance"] == 0


async def test_a_body_that_is_no_input_is_refused_with_the_reason(rest: Rest) -> None:
    """Not JSON, not UTF-8 (with the byte), too deep, another shape: never a failure of the server."""
    wrong: list[tuple[bytes, str | None, str]] = [
        (b"", "id", "required"),
        (b"{}", "id", "required"),
        (b"[]", None, "Expected an object"),
        (b"nonsense", None, "not JSON"),
        (b'{"id": ', None, "not JSON"),
        (b"{} {}", "id", "required"),
        (b'{"debit": "caf\xe9"}', None, "byte 14"),
        (b'{"caf\xe9": 1}', None, "byte 5"),
        (b"\x1f\x8b\x08\x00binary", None, "not UTF-8: byte 1"),
        (b'{"debit": "\\ud800"}', None, "not JSON"),
        (b"[" * 100_000, None, "Expected an object"),
        (
            b'{"debit": ' + b"[" * 100_000,
            "debit",
            "Expected text of 1 to 255 characters without control characters or null",
        ),
        (b'{"x": ' * 100_000, "x", "no such field"),
        (b'{"id": 1, "id": 2}', "id", "Expected a UUID"),
    ]
    for body, field, detail in wrong:
        answer = await rest.send("/transfers", body)
        assert _says(answer) == (400, "invalid_input", field), body[:60]
        assert detail in answer.json()["detail"], body[:60]


async def test_a_json_of_any_depth_in_a_field_of_any_shape_is_refused(rest: Rest) -> None:
    """Where a field takes any JSON its depth is limited, without the server failing."""
    body = b'{"source": "gate", "events": [' + b"[" * 100_000 + b"]" * 100_000 + b"]}"
    answer = await rest.send("/usage/events", body)
    assert _says(answer) == (400, "invalid_input", None)
    assert "nested too deeply" in answer.json()["detail"]


async def test_a_field_given_twice_is_refused(rest: Rest) -> None:
    """Parsers differ in which of the two they take, so neither is taken."""
    body = json.dumps(transfer()).replace('"amount": 250', '"amount": 1, "amount": 250').encode()
    assert _says(await rest.send("/transfers", body)) == (400, "invalid_input", "amount")
    in_batch = b'{"transfers": [' + body + b"]}"
    assert _says(await rest.send("/transfers/batch", in_batch)) == (400, "invalid_input", "amount")


async def test_a_query_is_held_to_the_same_rules(rest: Rest) -> None:
    """A field of a query is named when it is missing, unknown, given twice, or not what it should be."""
    for path, field in (
        ("/balance", "account"),
        ("/balance?account=ada&account=bank", "account"),
        ("/balance?account=ada&acount=bank", "acount"),
        ("/balance?account=a%00b", "account"),
        ("/accounts?after=a%00b", "after"),
        ("/accounts?limit=1.0", "limit"),
        ("/accounts?limit=1e1", "limit"),
        ("/accounts?limit=0", "limit"),
        ("/accounts?limit=1001", "limit"),
        ("/accounts?limit=", "limit"),
        ("/history?account=ada&since=today", "since"),
        ("/history?account=ada&after=x", "after"),
        ("/balance?account=%FF", None),
        ("/balance?" + "a=1&" * 101, None),
    ):
        assert _says(await rest.get_raw(path)) == (400, "invalid_input", field), path


async def test_one_event_with_a_nul_costs_itself_alone(rest: Rest) -> None:
    """It is told by its place, the good ones are stored; anywhere else a NUL is refused by the field's path."""
    good = {"id": "1", "customer": "alice", "at": "2015-05-01T00:00:00Z"}
    bad = {**good, "id": "2", "customer": "b\0b"}
    answer = (await rest.post("/usage/events", source="s", events=[good, bad])).json()
    assert (answer["accepted"], answer["refused"]) == (1, 1)
    assert answer["items"] == [
        {"item": 1, "status": "invalid", "reason": "must not contain a NUL", "field": "customer"}
    ]
    assert _says(await rest.post("/usage/events", source="s\0", events=[good])) == (400, "invalid_input", "source")


async def test_a_change_takes_no_fields_in_its_query(rest: Rest) -> None:
    """Whoever means a dry run and writes it wrong must not get a wet one."""
    assert _says(await rest.post("/transfers?dryrun=true", **transfer())) == (400, "invalid_input", "dryrun")
    assert _says(await rest.post("/transfers?dry_run=1", **transfer())) == (400, "invalid_input", "dry_run")
    assert (await rest.get("/balance", account="ada")).json()["balance"] == 0


async def test_an_idempotency_key_is_short_and_visible(rest: Rest) -> None:
    """A key of more than 255 characters, or of other than visible ASCII, is refused."""
    for key in (b"x" * 256, b"with space", "schlüssel".encode(), b""):
        headers = {b"idempotency-key": key}
        answer = await rest.client.post("/v1/books/main/transfers", json=transfer(), headers=headers)
        assert _says(answer) == (400, "invalid_input", "idempotency-key"), key


async def test_a_header_sent_twice_is_refused(rest: Rest) -> None:
    """Two keys are none."""
    headers = [("idempotency-key", "a"), ("idempotency-key", "b")]
    answer = await rest.client.post("/v1/books/main/transfers", json=transfer(), headers=headers)
    assert _says(answer) == (400, "invalid_input", "idempotency-key")


async def test_what_is_not_there_is_told(rest: Rest) -> None:
    """Unknown paths, books and methods are problems like any other."""
    assert _says(await rest.client.get("/nowhere")) == (404, "rest.no_such_path", None)
    assert _says(await rest.get("/nowhere")) == (404, "rest.no_such_path", None)
    assert _says(await rest.get("/transfers/a/b/c")) == (404, "rest.no_such_path", None)
    assert _says(await rest.client.get("/v1/books/Main%00/accounts")) == (404, "ledger.unknown_book", "book")
    for method, path, allowed in (
        ("DELETE", "/v1/books/main/accounts", "GET, HEAD, POST"),
        ("GET", "/v1/books/main/transfers/batch", "POST"),
        ("POST", "/v1/books/main/balance", "GET, HEAD"),
        ("PUT", "/v1/books/main/log/checkpoint", "GET, HEAD"),
        ("POST", "/health", "GET, HEAD"),
    ):
        answer = await rest.client.request(method, path)
        if path.endswith("batch"):
            assert answer.status_code in {400, 405}
            continue
        assert _says(answer) == (405, "rest.method_not_allowed", None)
        assert answer.headers["allow"] == allowed


async def test_a_body_of_50_mb_is_refused_before_it_is_read(rest: Rest) -> None:
    """The length alone is enough: the answer comes while nothing of the body was sent."""
    reader, writer = await asyncio.open_connection("127.0.0.1", rest.port)
    writer.write(_head(rest, f"content-length: {50 * MIB}"))
    head = await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), 1)
    assert head.startswith(b"HTTP/1.1 413 ")
    assert b"connection: close" in head.lower()
    writer.close()


async def test_whoever_sends_all_50_mb_still_reads_the_answer(rest: Rest) -> None:
    """A client that writes before it reads is told 413 too, and the next request goes through."""
    answer = await rest.send("/transfers", b" " * (50 * MIB))
    assert _says(answer) == (413, "rest.body_too_large", None)
    assert (await rest.post("/transfers", **transfer())).status_code == 200


async def test_a_body_without_a_length_is_counted_while_it_comes(rest: Rest) -> None:
    """Sent in chunks without end, a body is cut off at the limit, with the answer."""

    async def endless() -> AsyncIterator[bytes]:
        for _ in range(20):
            yield b" " * MIB

    answer = await rest.client.post("/v1/books/main/transfers", content=endless())
    assert _says(answer) == (413, "rest.body_too_large", None)
    assert (await rest.get("/balance", account="ada")).status_code == 200


async def test_headers_without_end_are_cut_off(rest: Rest) -> None:
    """A head of more than 64 KiB is not collected in memory."""
    reader, writer = await asyncio.open_connection("127.0.0.1", rest.port)
    writer.write(b"GET /health HTTP/1.1\r\nhost: x\r\nx: " + b"a" * 70_000)
    assert (await asyncio.wait_for(reader.readline(), 1)).startswith(b"HTTP/1.1 431 ")
    writer.close()


@pytest.mark.parametrize("block", [b"x: y\r\n" * 2000, b"x" * 12_000])
async def test_trailers_without_end_are_cut_off(rest: Rest, block: bytes) -> None:
    """What follows a body in chunks is bounded like the head, in many fields or in one, of whoever has a key or none."""
    reader, writer = await asyncio.open_connection("127.0.0.1", rest.port)
    writer.write(_head(rest, "transfer-encoding: chunked") + b"2\r\n{}\r\n0\r\n")
    with contextlib.suppress(ConnectionError):
        async with asyncio.timeout(5):
            for _ in range(100):
                writer.write(block)
                await writer.drain()
                await asyncio.sleep(0)
    answer = b"HTTP/1.1 431 "
    with contextlib.suppress(ConnectionError):  # a caller that goes on sending may be cut off before it has read
        answer = await asyncio.wait_for(reader.read(), 5)
    assert answer.startswith(b"HTTP/1.1 431 ")
    writer.close()


async def test_trailers_are_no_headers(rest: Rest) -> None:
    """A key behind the body lets nobody in."""
    reader, writer = await asyncio.open_connection("127.0.0.1", rest.port)
    authorization = rest.client.headers["authorization"]
    writer.write(
        b"POST /v1/books/main/transfers HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\n"
        b"2\r\n{}\r\n0\r\nauthorization: " + authorization.encode() + b"\r\n\r\n"
    )
    assert (await asyncio.wait_for(reader.readline(), 5)).startswith(b"HTTP/1.1 401 ")
    writer.close()


async def test_a_body_in_many_small_chunks_is_a_body(rest: Rest) -> None:
    """What stands between the chunks is not taken for a head without end."""
    reader, writer = await asyncio.open_connection("127.0.0.1", rest.port)
    chunks = b"1\r\n \r\n" * 30_000 + b"2\r\n{}\r\n0\r\n\r\n"
    writer.write(_head(rest, "transfer-encoding: chunked") + chunks)
    answer = await asyncio.wait_for(reader.readuntil(b"}"), 5)
    assert answer.startswith(b"HTTP/1.1 400 ")
    assert b'"invalid_input"' in answer
    writer.close()


async def test_a_caller_that_hangs_up_half_way_leaves_nothing_behind(rest: Rest) -> None:
    """Half a transfer is none."""
    body = json.dumps(transfer()).encode()
    _, writer = await asyncio.open_connection("127.0.0.1", rest.port)
    writer.write(_head(rest, f"content-length: {len(body)}") + body[:-5])
    await writer.drain()
    writer.close()
    await writer.wait_closed()
    assert (await rest.get("/balance", account="ada")).json()["balance"] == 0


async def test_without_a_good_key_nothing_is_read_or_changed(rest: Rest) -> None:
    """A key is asked for on every path but health and description, before anything is looked at."""
    missing, invalid = "security.key_missing", "security.key_invalid"
    async with httpx.AsyncClient(base_url=str(rest.client.base_url), trust_env=False) as stranger:
        for shown, code in (
            (None, missing),
            ("Basic dXNlcjpwYXNz", missing),
            ("Bearer", invalid),
            ("Bearer tsk_unknown", invalid),
            ("Bearer tsk_" + "x" * 300, invalid),
            ("Bearer tsk_\xff", invalid),
            ("bearer another", invalid),
        ):
            stranger.headers = httpx.Headers({} if shown is None else {b"authorization": shown.encode("latin-1")})
            for answer in (
                await stranger.get("/v1/books/main/balance?account=ada"),
                await stranger.post("/v1/books/main/transfers", content=b"nonsense"),
                await stranger.get("/v1/books/main/log/checkpoint"),
                await stranger.get("/v1/books/unheard-of/accounts"),
            ):
                assert _says(answer) == (401, code, None), shown
                assert answer.headers["www-authenticate"] == 'Bearer realm="tallystick"'


async def test_a_key_does_what_its_scopes_say_and_no_more(rest: Rest) -> None:
    """A reader reads; its attempt to write is refused with the scope that it lacks."""
    reader = await rest.new_key("ledger:read")
    as_reader = {"authorization": f"Bearer {reader.key}"}
    assert (await rest.client.get("/v1/books/main/accounts", headers=as_reader)).status_code == 200
    refused = await rest.client.post("/v1/books/main/transfers", json=transfer(), headers=as_reader)
    assert _says(refused) == (403, "security.scope_missing", None)
    assert "ledger:write" in refused.json()["detail"]


async def test_refusals_are_recorded_once_a_minute(rest: Rest, owner: asyncpg.Connection) -> None:
    """Whoever was turned away stands in the book, and hammering at the door does not fill it."""
    reader = await rest.new_key("ledger:read")
    as_reader = {"authorization": f"Bearer {reader.key}"}
    for _ in range(5):
        await rest.client.post("/v1/books/main/transfers", json=transfer(), headers=as_reader)
        await rest.client.get("/v1/books/main/accounts", headers={"authorization": "Bearer tsk_unknown"})
    found = await owner.fetch("SELECT principal, operation, code, count(*) FROM refused_access GROUP BY 1, 2, 3")
    assert {tuple(row)[:3] for row in found} == {
        (f"key:{reader.key_id}", "ledger.transfer", "security.scope_missing"),
        ("nobody", "ledger.list_accounts", "security.key_invalid"),
    }
    assert all(row["count"] <= 2 for row in found), "two when the minute changed meanwhile"


async def test_a_refusal_on_another_book_is_recorded_too(rest: Rest, owner: asyncpg.Connection) -> None:
    """Of one key, within the same minute; books that do not exist count as one."""
    async with rest.house.operations.pool.acquire() as connection:
        for book in ("other", "third"):
            await open_book(connection, book, SystemClock().now())
    for book in ("other", "third", "made-up", "made-up-too"):
        assert (await rest.client.get(f"/v1/books/{book}/accounts")).status_code == 403
    found = await owner.fetch(
        "SELECT book.name, count(*) FROM refused_access LEFT JOIN book USING (book_id) GROUP BY 1 ORDER BY 1"
    )
    assert [row[0] for row in found] == ["other", "third", None]
    assert all(row[1] <= 2 for row in found), "two when the minute changed meanwhile"


async def test_a_key_opens_its_own_book_alone(rest: Rest) -> None:
    """A key of another book is refused, whatever its scopes."""
    async with rest.house.operations.pool.acquire() as connection:
        await open_book(connection, "other", SystemClock().now())
    stranger = await rest.new_key("*", book="other")
    headers = {"authorization": f"Bearer {stranger.key}"}
    answer = await rest.client.get("/v1/books/main/accounts", headers=headers)
    assert _says(answer) == (403, "security.other_book", "book")
    assert (await rest.client.get("/v1/books/other/accounts", headers=headers)).status_code == 200


async def test_an_expired_key_is_refused(rest: Rest) -> None:
    """After its last instant a key is as good as unknown."""
    now = SystemClock().now()
    old = await rest.new_key("*", at=now - dt.timedelta(days=2), expires_at=now - dt.timedelta(days=1))
    answer = await rest.client.get("/v1/books/main/accounts", headers={"authorization": f"Bearer {old.key}"})
    assert _says(answer) == (401, "security.key_invalid", None)


async def test_a_revoked_key_stops_within_a_second(rest: Rest) -> None:
    """Even one that was used the moment before."""
    key = await rest.new_key("*")
    headers = {"authorization": f"Bearer {key.key}"}
    assert (await rest.client.get("/v1/books/main/accounts", headers=headers)).status_code == 200
    async with rest.house.operations.pool.acquire() as connection:
        book_id = (await find_book(connection, "main")).book_id
        await revoke_key(connection, book_id, key.key_id, SystemClock().now())
    async with asyncio.timeout(1.2):
        while (answer := await rest.client.get("/v1/books/main/accounts", headers=headers)).status_code == 200:
            pass
    assert _says(answer) == (401, "security.key_invalid", None)


async def test_a_failure_of_our_own_tells_the_caller_nothing(rest: Rest, owner: asyncpg.Connection) -> None:
    """What went wrong inside is the operator's to read; the caller gets a problem without details."""
    await owner.execute("ALTER VIEW account_now RENAME TO account_hidden")
    answer = await rest.get("/accounts")
    assert _says(answer) == (500, "internal", None)
    assert "account_hidden" not in answer.text


async def test_a_refused_transfer_is_refused_again_in_the_same_words(rest: Rest) -> None:
    """A refusal is an answer too, kept with its message."""
    sent = transfer(id=str(uuid7()), debit="nobody")
    first = await rest.post("/transfers", "mine-9", **sent)
    await rest.open_accounts("nobody")
    again = await rest.post("/transfers", "mine-9", **sent)
    assert first.content == again.content
    assert again.headers["idempotency-key"] == "mine-9"


def _head(rest: Rest, more: str) -> bytes:
    lines = ["POST /v1/books/main/transfers HTTP/1.1", "host: x", more]
    lines.append(f"authorization: {rest.client.headers['authorization']}")
    return "\r\n".join([*lines, "", ""]).encode()
