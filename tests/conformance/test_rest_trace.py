"""Lineage over REST: what a message asked and made, and the chain from any id, to who may see it."""

import hashlib

import httpx

from tallystick.ids import uuid7
from tests.conformance.conftest import Rest, transfer


async def _as(rest: Rest, path: str, *scopes: str, **query: str) -> httpx.Response:
    """Read with a key of no more than *scopes*."""
    key = (await rest.new_key(*scopes)).key
    return await rest.client.get(f"/v1/books/main{path}", params=query, headers={"authorization": f"Bearer {key}"})


async def test_a_message_shows_what_it_asked_and_made(rest: Rest) -> None:
    """Under the key that its sender chose, percent signs and all: the words, the answer, the transfer."""
    sent = transfer()
    assert (await rest.post("/transfers", "order/66%", **sent)).status_code == 200
    shown = (await rest.get_raw("/messages/order%2F66%25")).json()
    assert (shown["key"], shown["operation"], shown["refused"]) == ("order/66%", "ledger.transfer", False)
    assert shown["asked"]["input"]["id"] == sent["id"]
    assert shown["answer"]["id"] == sent["id"]
    assert len(bytes.fromhex(shown["sha256"])) == hashlib.sha256().digest_size
    assert [(group["kind"], group["total"]) for group in shown["records"]] == [("transfer", 1)]
    record = shown["records"][0]["items"][0]["record"]
    assert (record["id"], record["amount"], record["what"]) == (sent["id"], 250, "bank → ada")
    assert record["message"] | {"at": ""} == {
        "id": shown["id"], "key": "order/66%", "operation": "ledger.transfer", "by": shown["by"], "at": "",
    }  # fmt: skip


async def test_a_refusal_is_shown_with_its_words(rest: Rest) -> None:
    """A message that was refused made nothing, and says why."""
    await rest.post("/transfers", "bad", **transfer(debit="nobody"))
    shown = (await rest.get("/messages/bad")).json()
    assert (shown["refused"], shown["answer"]["code"], shown["records"]) == (True, "ledger.unknown_debit_account", [])
    assert (await rest.get("/messages/none")).json()["code"] == "lineage.unknown_message"


async def test_trace_goes_from_any_id(rest: Rest) -> None:
    """By a transfer's id, by its message's key, by the account: the same transfer."""
    sent = transfer()
    await rest.post("/transfers", "mine", **sent)
    found = (await rest.get("/trace", id=sent["id"])).json()
    assert [one["record"]["kind"] for one in found["found"]] == ["transfer"]
    assert found["found"][0]["record"]["message"]["key"] == "mine"
    for id_ in ("mine", "ada"):
        forward = (await rest.get("/trace", id=id_)).json()["found"][0]["forward"]
        assert sent["id"] in [link["record"]["id"] for group in forward for link in group["items"]]
    assert (await rest.get("/trace", id="what")).status_code == 404
    for query in ({}, {"id": ""}, {"id": "a", "depth": "9"}, {"id": "a", "limit": "0"}, {"id": "a", "after": "-1"}):
        assert (await rest.get("/trace", **query)).json()["code"] == "invalid_input", query


async def test_trace_needs_the_right_to_read_the_ledger(rest: Rest) -> None:
    """Of another room's rights none is enough."""
    for path in ("/trace", "/messages/x"):
        refused = await _as(rest, path, "usage:read", **({"id": "x"} if path == "/trace" else {}))
        assert (refused.status_code, refused.json()["code"]) == (403, "security.scope_missing")


async def test_what_a_message_asked_is_shown_to_who_may_read_its_room(rest: Rest) -> None:
    """Who reads the ledger sees its messages; of the catalog's, that they are there and what they made."""
    await rest.post("/transfers", "mine", **transfer())
    await rest.post("/meters", "meter", code="m", name="m", event_type="t", aggregation="count")
    shown = (await _as(rest, "/messages/mine", "ledger:read")).json()
    assert shown["asked"]["operation"] == "ledger.transfer"
    hidden = (await _as(rest, "/messages/meter", "ledger:read")).json()
    assert (hidden["asked"], hidden["answer"], hidden["scope"]) == (None, None, "catalog:read")
    assert [group["kind"] for group in hidden["records"]] == ["meter"]
    both = (await _as(rest, "/messages/meter", "ledger:read", "catalog:read")).json()
    assert both["asked"]["input"]["code"] == "m"


async def test_what_a_payment_asked_is_shown_to_who_may_do_payments(rest: Rest) -> None:
    """Who pays has an address, and the provider's token is good for something: reading payments does not show them."""
    payment = {
        "user": "ada", "email": "ada@example.com", "timestamp": "2015-06-02T10:00:00Z", "payment_type": "credit",
        "invoice_id": str(uuid7()),
    }  # fmt: skip
    assert (await rest.post("/payments/start", "pay", **payment)).status_code == 404
    for scopes, seen in ((("ledger:read", "payments:read"), False), (("ledger:read", "payments:*"), True)):
        answer = await _as(rest, "/messages/pay", *scopes)
        assert ("ada@example.com" in answer.text) is seen, scopes
