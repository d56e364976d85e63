"""What callers do over REST, and what they are answered."""

import asyncio
import datetime as dt
import hashlib

import httpx

from tallystick.clock import SystemClock
from tallystick.ids import uuid7
from tallystick.ledger.books import find_book
from tallystick.ledger.log.note import Signer
from tallystick.ledger.seal import lead, seal
from tests.conformance.conftest import Rest, transfer


async def test_a_transfer_moves_money_and_is_found_again(rest: Rest) -> None:
    """What was posted shows in both balances, under its id, and in the history."""
    sent = transfer()
    answer = await rest.post("/transfers", **sent)
    assert answer.status_code == 200
    assert answer.json() == {"id": sent["id"], "status": "ledger.posted", "amount": 250, "field": None}
    assert answer.headers["content-type"] == "application/json"
    assert (await rest.get("/balance", account="ada")).json()["balance"] == 250
    assert (await rest.get("/balance", account="bank")).json()["balance"] == -250
    found = (await rest.get(f"/transfers/{sent['id']}")).json()
    assert (found["debit"], found["credit"], found["amount"], found["asset"]) == ("bank", "ada", 250, "USD")
    history = (await rest.get("/history", account="ada")).json()
    assert [one["transfer_id"] for one in history["items"]] == [sent["id"]]
    assert history["next"] is None


async def test_a_repeat_gets_the_first_answer(rest: Rest) -> None:
    """Whoever sends a message again, not knowing whether it arrived, changes nothing and is told so."""
    sent = transfer()
    first = await rest.post("/transfers", "mine-1", **sent)
    again = await rest.post("/transfers", "mine-1", **sent)
    assert first.headers["idempotency-key"] == again.headers["idempotency-key"] == "mine-1"
    assert "idempotent-replayed" not in first.headers
    assert again.headers["idempotent-replayed"] == "true"
    assert again.content == first.content
    assert (await rest.get("/balance", account="ada")).json()["balance"] == 250


async def test_a_transfer_without_a_key_is_known_by_its_id(rest: Rest) -> None:
    """An id in the body is as good as a key."""
    sent = transfer()
    first = await rest.post("/transfers", **sent)
    assert first.headers["idempotency-key"] == f"ledger.transfer:{sent['id']}"
    assert (await rest.post("/transfers", **sent)).headers["idempotent-replayed"] == "true"


async def test_a_change_without_key_or_id_is_told_its_key(rest: Rest) -> None:
    """The server makes a key up, and each is another."""
    answers = [await rest.post("/assets", asset="EUR", exponent=2) for _ in range(2)]
    assert len({answer.headers["idempotency-key"] for answer in answers}) == 2
    assert {answer.status_code for answer in answers} == {200}


async def test_other_content_under_a_known_key_is_a_conflict(rest: Rest) -> None:
    """A key stands for one message for ever."""
    sent = transfer()
    await rest.post("/transfers", "mine-2", **sent)
    other = await rest.post("/transfers", "mine-2", **{**sent, "amount": 251})
    assert (other.status_code, other.json()["code"], other.json()["retry"]) == (409, "journal.id_reused", False)
    assert (await rest.get("/balance", account="ada")).json()["balance"] == 250


async def test_a_dry_run_answers_and_keeps_nothing(rest: Rest) -> None:
    """What would happen is told; nothing has happened, and the message may still be sent in earnest."""
    sent = transfer()
    tried = await rest.post("/transfers?dry_run=true", "mine-3", **sent)
    assert (tried.status_code, tried.json()["status"]) == (200, "ledger.posted")
    assert (await rest.get("/balance", account="ada")).json()["balance"] == 0
    assert "idempotent-replayed" not in (await rest.post("/transfers", "mine-3", **sent)).headers


async def test_a_batch_is_answered_item_by_item(rest: Rest) -> None:
    """One bad transfer does not keep the good ones out."""
    batch = [transfer(), transfer(debit="nobody"), transfer()]
    answer = (await rest.post("/transfers/batch", transfers=batch)).json()
    assert (answer["done"], answer["refused"]) == (2, 1)
    assert [item["status"] for item in answer["items"]] == [
        "ledger.posted",
        "ledger.unknown_debit_account",
        "ledger.posted",
    ]
    assert [item["id"] for item in answer["items"]] == [sent["id"] for sent in batch]


async def test_a_group_is_posted_whole_or_not_at_all(rest: Rest) -> None:
    """With one bad transfer in a group none is posted."""
    refused = await rest.post("/transfers/batch", transfers=[transfer(), transfer(debit="nobody")], group=True)
    assert (refused.status_code, refused.json()["code"]) == (422, "ledger.group_failed")
    assert (await rest.get("/balance", account="ada")).json()["balance"] == 0
    posted = await rest.post("/transfers/batch", transfers=[transfer(), transfer()], group=True)
    assert posted.json()["done"] == 2


async def test_pages_follow_one_another_without_gap_or_overlap(rest: Rest) -> None:
    """Following ``next`` gives every account once, in order."""
    await rest.open_accounts("eve", "bob", "cy")
    codes: list[str] = []
    after = ""
    while True:
        page = (await rest.get("/accounts", after=after, limit=2)).json()
        codes += [item["code"] for item in page["items"]]
        if page["next"] is None:
            break
        after = page["next"]
    assert codes == ["ada", "bank", "bob", "cy", "eve"]


async def test_history_is_asked_for_a_period(rest: Rest) -> None:
    """Instants in a query are read with their zone, and a period without anything in it is empty."""
    await rest.post("/transfers", **transfer())
    now = SystemClock().now()
    before = await rest.get("/history", account="ada", until=(now - dt.timedelta(hours=1)).isoformat())
    within = await rest.get("/history", account="ada", since=(now - dt.timedelta(hours=1)).isoformat())
    assert (len(before.json()["items"]), len(within.json()["items"])) == (0, 1)


async def test_many_at_once_are_all_posted_once(rest: Rest) -> None:
    """Transfers that arrive together share transactions, and each gets its own answer."""
    sent = [transfer(amount=amount) for amount in range(1, 101)]
    answers = await asyncio.gather(*(rest.post("/transfers", **one) for one in sent))
    assert [answer.json()["id"] for answer in answers] == [one["id"] for one in sent]
    assert {answer.json()["status"] for answer in answers} == {"ledger.posted"}
    assert (await rest.get("/balance", account="ada")).json()["balance"] == 5050


async def test_the_log_is_served_as_the_tools_of_the_world_read_it(rest: Rest, tmp_path: object) -> None:
    """Checkpoint and tiles lie under the addresses of C2SP tlog-tiles, and the tile holds the checkpoint's root."""
    await rest.post("/transfers", **transfer())
    async with rest.house.operations.pool.acquire() as connection:
        book_id = (await find_book(connection, "main")).book_id
        async with connection.transaction():
            sealer = await lead(connection, book_id, "example.com/main", [Signer.generate("example.com/main")])
            assert sealer is not None
            assert await seal(connection, sealer, SystemClock().now()) is not None
    note = await rest.get("/log/checkpoint")
    assert note.headers["content-type"] == "text/plain; charset=utf-8"
    assert note.text.splitlines()[:2] == ["example.com/main", "1"]
    tile = await rest.get("/log/tile/0/000.p/1")
    assert tile.headers["content-type"] == "application/octet-stream"
    assert len(tile.content) == hashlib.sha256().digest_size
    missing = await rest.get("/log/tile/0/000.p/2")
    assert (missing.status_code, missing.json()["code"]) == (404, "rest.unknown_tile")
    wrong = await rest.get("/log/tile/0/7")
    assert (wrong.status_code, wrong.json()["code"]) == (400, "log.bad_tile")


async def test_anyone_may_ask_whether_it_lives_and_what_it_offers(rest: Rest) -> None:
    """Health and description need no key."""
    async with httpx.AsyncClient(base_url=str(rest.client.base_url), trust_env=False) as stranger:
        assert (await stranger.get("/health")).json() == {"status": "ok", "store": "reachable"}
        described = (await stranger.get("/openapi.json")).json()
    assert described["openapi"] == "3.1.0"
    assert described["paths"]["/v1/books/{book}/transfers"]["post"]["operationId"] == "ledger.transfer"


async def test_head_answers_like_get_without_the_body(rest: Rest) -> None:
    """The headers of an answer can be had alone."""
    answer = await rest.client.head("/v1/books/main/balance", params={"account": "ada"})
    assert (answer.status_code, answer.content) == (200, b"")
    assert int(answer.headers["content-length"]) > 0


async def test_a_path_names_what_it_is_about(rest: Rest) -> None:
    """A field that stands in the path is read by its own rule."""
    unknown = uuid7()
    missing = await rest.get(f"/transfers/{unknown}")
    assert (missing.status_code, missing.json()["code"]) == (404, "ledger.unknown_transfer")
    wrong = await rest.get("/transfers/42")
    assert (wrong.status_code, wrong.json()["code"], wrong.json()["field"]) == (400, "invalid_input", "id")
