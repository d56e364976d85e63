"""Lineage: every record is found from its message, and every chain is whole in both directions."""

import json
import re
from collections.abc import AsyncIterator, Iterable, Iterator
from pathlib import Path
from typing import Any

import asyncpg
import pytest
import pytest_asyncio

from tallystick.db.queries import Query
from tallystick.ids import uuid7
from tallystick.ledger.log.note import Signer
from tallystick.ledger.seal import lead, seal
from tallystick.lineage.kinds import KINDS, NO_RECORDS
from tallystick.lineage.model import Links, Trace, Traced
from tallystick.lineage.trace import UnknownId, UnknownMessage
from tests.conftest import House
from tests.db.credited import make_credit_of_every_kind
from tests.db.given_back import give_back_in_every_way
from tests.db.priced_usage import ask, meter_requests, price, use
from tests.db.repaid import make_repayments_of_every_kind
from tests.db.requested import make_invoice_of_every_kind
from tests.db.subscribed import make_subscription_of_every_kind
from tests.db.test_schema import every_query
from tests.scenarios.paying import Shop, open_shop


@pytest_asyncio.fixture
async def shop(house: House, tmp_path: Path) -> AsyncIterator[Shop]:
    """Serve a shop whose customer paid, in a book with a record of every kind."""
    async with open_shop(house, tmp_path) as opened:
        await opened.post(await opened.start())
        for account in ("bank", "ada", "old"):
            await house.do("ledger.open_account", f"open-{account}", account=account, asset="USD")
        await house.do("ledger.transfer", "move", id=str(uuid7()), debit="bank", credit="ada", amount=5)
        await house.do("ledger.limit_account", "limit", account="ada", min_balance=0, max_balance=None)
        await house.do("ledger.describe_account", "describe", account="ada", metadata={"tier": "gold"})
        await house.do("ledger.close_account", "close", account="old")
        key = await house.do("security.create_key", "key", name="till", scopes=["*"], sha256="ab" * 32)
        await house.do("security.revoke_key", "revoke", key_id=str(key.key_id))
        await house.do("usage.set_billable_rule", "rule", rule={})
        await make_usage_of_every_kind(house)
        await make_subscription_of_every_kind(house)
        await make_credit_of_every_kind(house)
        await make_invoice_of_every_kind(house)
        await make_repayments_of_every_kind(house)
        yield opened


async def make_usage_of_every_kind(house: House) -> None:
    """Record what is not billable, what is in conflict, what is corrected and what is detached, and say how long it stays."""
    event = {"id": "u", "customer": "bob", "at": "2014-01-01T00:00:00Z", "status": 200, "resource": "/x"}
    for key, change in (("first", {}), ("conflict", {"type": "sms"}), ("refused", {"id": "v", "status": 404})):
        await house.do("usage.record", key, source="s", events=[event | change])
    await house.do("usage.amend", "amend", source="s", reason="r", events=[{"id": "u", "quantities": {"bytes": 2}}])
    await house.do("usage.void", "void", source="s", reason="r", events=[{"id": "u"}])
    await house.do("usage.set_retention", "retention", attached_months=12, kept_months=None)
    await house.do("usage.detach_month", "detach", month="2014-01")
    await house.do("usage.attach_month", "attach", month="2014-01")


OF_ITS_OWN = (
    "AS event WHERE NOT EXISTS (SELECT FROM usage_correction AS made WHERE (made.event_key, made.transaction_id, "
    "made.message_place) = (event.event_key, event.transaction_id, event.message_place))"
)
"""The rows by which an event is corrected are told as its correction."""


def kinds_of(groups: Iterable[Links]) -> Iterator[str]:
    """Return the kinds along the way, nearest first."""
    for group in groups:
        yield group.kind
        for link in group.items:
            yield from kinds_of(link.links)


async def traced(shop: Shop | House, id_: str, **fields: object) -> Traced:
    """Trace an id that names one record."""
    found: Trace = await shop.do("lineage.trace", id=id_, **fields)
    assert len(found.found) == 1, [one.record.kind for one in found.found]
    assert found.whole
    return found.found[0]


async def test_every_table_that_names_a_transaction_is_traced(owner: asyncpg.Connection) -> None:
    """Whoever adds a table of facts says how its rows are found from their message, or why they are not."""
    rows = await owner.fetch(
        "SELECT DISTINCT tgrelid::regclass::text AS name FROM pg_trigger JOIN pg_attribute ON attrelid = tgrelid "
        "WHERE tgname = 'append_only' AND attname IN ('transaction_id', 'batch_id') AND NOT attisdropped"
    )
    named = {row["name"] for row in rows} | {"message"}
    traced_tables = [table for kind in KINDS for table in (kind.table, *kind.beside)]
    assert len(traced_tables) == len(set(traced_tables))
    assert named - {*traced_tables} == NO_RECORDS.keys()
    lines = {"invoice_line", "credit_note_line", "credit_note_tax"}
    assert {*traced_tables} - named == lines, "a line is found from its invoice, which names the transaction"


async def test_every_record_is_found_from_its_message(shop: Shop, house: House, owner: asyncpg.Connection) -> None:
    """Table by table, the rows that carry a message's place in the order are those that the message shows."""
    await give_back_in_every_way(house)
    expected: dict[tuple[int, int], dict[str, int]] = {}
    for kind in KINDS:
        order = "batch_id" if kind.table == "transfer" else "transaction_id"
        of_its_own = OF_ITS_OWN if kind.table == "usage_event" else ""
        rows = await owner.fetch(
            f"SELECT {order}, message_place, count(*) FROM {kind.table} {of_its_own} GROUP BY 1, 2"
        )
        assert rows, f"{kind.name}: nothing was made, so nothing is tested"
        for transaction_id, place, count in rows:
            expected.setdefault((transaction_id, place), {})[kind.name] = count
    for record in await owner.fetch("SELECT transaction_id, place, key FROM message"):
        shown = await shop.do("lineage.message", key=record["key"], limit=1000)
        made = {group.kind: group.total for group in shown.records}
        assert made == expected.pop((record["transaction_id"], record["place"]), {}), record["key"]
        assert all(len(group.items) == group.total for group in shown.records)
        assert all(link.record.message.key == record["key"] for group in shown.records for link in group.items)
    assert expected == {}, "records without a message"


async def test_a_receipt_leads_back_to_the_usage_and_who_reported_it(shop: Shop) -> None:
    """Receipt, payment, invoice, draft, line, events: each with the message that made it."""
    receipt = (await shop.do("receipts.list")).items[0].receipt_id
    found = await traced(shop, str(receipt))
    assert list(kinds_of(found.back)) == ["payment", "invoice", "draft", "line", "usage", "price", "meter"]
    assert found.forward == []
    group = found.back
    while group[0].kind != "usage":
        group = group[0].items[0].links
    assert len({link.record.id for link in group[0].items}) == group[0].total == 3
    assert {link.record.message.operation for link in group[0].items if link.record.message} == {"usage.record"}


async def test_a_usage_event_leads_forward_to_the_receipt(shop: Shop, owner: asyncpg.Connection) -> None:
    """Whoever reported it sees what was asked for it, and that it was paid."""
    event = await owner.fetchval(
        "SELECT source || '/' || event_id FROM usage_event JOIN customer USING (book_id, customer_id) WHERE ref = $1 LIMIT 1",
        shop.invoice.customer,
    )
    found = await traced(shop, event)
    assert list(kinds_of(found.forward)) == [
        "line",
        "draft",
        "invoice",
        "payment",
        "payment_step",
        "receipt",
        "invoice_state",
    ]


async def test_a_line_shows_the_usage_that_it_counted_and_no_other(house: House) -> None:
    """Two prices in one month, two meters, usage that came too late: both directions agree with what was billed."""
    await meter_requests(house)
    await price(house, "0.25")
    await price(house, "0.50", effective_at="2015-05-10T00:00:00Z")
    await price(house, "1", charge="bytes", meter="bytes")
    await use(house, [("ada", f"2015-05-{day:02}T12:00:00Z") for day in range(1, 26)])
    await ask(house, "invoicing.draft", month="2015-05")
    await use(house, [("ada", "2015-05-03T00:00:00Z")])
    invoice = (await ask(house, "invoicing.list")).items[0]
    assert len(invoice.lines) == 3
    for line in invoice.lines:
        covered = (await ask(house, "invoicing.lineage", id=str(invoice.id), line=line.position)).items
        back = (await traced(house, f"{invoice.id}/{line.position}", limit=1000)).back[0]
        assert [link.record.id for link in back.items] == [f"{one.source}/{one.event_id}" for one in covered]
        assert back.total == len(back.items) == line.events
    events = await ask(house, "usage.list_events", customer="ada", limit=1000)
    lines: dict[str, int] = {}
    for event in events.items:
        for group in (await traced(house, f"test/{event.id}", depth=1)).forward:
            for link in group.items:
                lines[link.record.id] = lines.get(link.record.id, 0) + 1
    assert lines == {f"{invoice.id}/{line.position}": line.events for line in invoice.lines}


async def test_each_kind_of_id_names_its_record(shop: Shop, owner: asyncpg.Connection) -> None:
    """Whatever stands on a paper or in a log file is enough to begin with."""
    invoice, payment = shop.invoice, await owner.fetchrow("SELECT * FROM payment")
    assert payment is not None
    transfer = await owner.fetchrow("SELECT * FROM transfer WHERE reason = 1")
    assert transfer is not None
    provider_id = await owner.fetchval("SELECT provider_id FROM payment_step WHERE step = 'opened'")
    ids = {
        str(invoice.id): "invoice",
        str(invoice.id).upper(): "invoice",
        invoice.number: "invoice",
        f"{invoice.number}/0": "line",
        f"{invoice.id}/0": "line",
        invoice.customer: "customer",
        str(payment["payment_id"]): "payment",
        provider_id: "payment",
        str(transfer["transfer_id"]): "transfer",
        "move": "message",
        f"{transfer['batch_id']}.{transfer['message_place']}": "message",
        "ada": "account",
        "USD": "asset",
        "bytes": "meter",
        "api/requests@2015-05-01T00:00:00Z": "price",
        str(await owner.fetchval("SELECT key_id FROM api_key")): "key",
        str(await owner.fetchval("SELECT event_key FROM usage_event LIMIT 1")): "usage",
        str(await owner.fetchval("SELECT receipt_id FROM receipt")): "receipt",
    }
    assert {id_: (await traced(shop, id_)).record.kind for id_ in ids} == ids


async def test_what_is_told_can_be_traced(shop: Shop, house: House, owner: asyncpg.Connection) -> None:
    """The id that stands beside a record leads to it again, or to what it is a step of."""
    await give_back_in_every_way(house)
    told: dict[str, str] = {}
    for record in await owner.fetch("SELECT key FROM message"):
        for group in (await shop.do("lineage.message", key=record["key"], limit=1000)).records:
            told.update({link.record.id: group.kind for link in group.items})
    steps = {
        "draft": "invoice",
        "invoice_state": "invoice",
        "billing_zone": "plan",
        "subscription_revision": "subscription",
        "subscription_bill": "subscription",
        "payment_step": "payment",
        "refund_step": "refund",
        "dispute_end": "dispute",
        "account_closing": "account",
        "account_limit": "account",
        "account_metadata": "account",
        "key_revocation": "key",
        "billable_rule": "message",
        "credit_use": "transfer",
        "credit_end": "credit_grant",
        "wallet_low": "message",
        "debit_agreement": "message",
        "charge_outcome": "charge",
        "tax_rate": "message",
        "tax_customer": "message",
        "usage_correction": "message",
        "usage_conflict": "message",
        "usage_month": "message",
        "usage_retention": "message",
    }
    del told["api"]  # the zone of a product, which has no other name
    for id_, kind in told.items():
        kinds = {one.record.kind for one in (await shop.do("lineage.trace", id=id_, depth=0)).found}
        assert kinds & {kind, steps.get(kind)}, id_


async def test_a_place_in_the_log_names_its_transfer(shop: Shop, owner: asyncpg.Connection) -> None:
    """An auditor who found a leaf finds who asked for it; a place that no leaf has yet names nothing."""
    assert (await traced(shop, "ada")).forward[-1].items[0].record.place is None
    async with shop.operations.pool.acquire() as connection, connection.transaction():
        sealer = await lead(connection, 1, "example.com/main", [Signer.generate("example.com/main")])
        assert sealer is not None
        assert await seal(connection, sealer, shop.clock.now()) is not None
    known = {row[0] for row in await owner.fetch("SELECT transfer_id FROM transfer")}
    found = [(await traced(shop, f"place:{place}")).record for place in range(len(known))]
    assert [record.place for record in found] == list(range(len(known)))
    assert {record.transfer_id for record in found} == known
    with pytest.raises(UnknownId):
        await traced(shop, f"place:{len(known)}")


async def test_an_id_of_several_records_shows_all(house: House) -> None:
    """A code may be an account's, a customer's and a message's at once, and nobody has to know which was meant."""
    await house.do("ledger.open_account", "ada", account="ada", asset="USD")
    await use(house, [("ada", "2015-05-03T00:00:00Z")])
    found: Trace = await house.do("lineage.trace", id="ada")
    assert {one.record.kind for one in found.found} == {"account", "customer", "message"}


@pytest.mark.parametrize(
    "id_",
    [
        "nothing",
        "INV-000001/0",
        "place:0",
        "0.0",
        "f7c6f868-e48a-41a0-965b-0afd032607bd",
        "a/" * 200,
        "a/b@2015-05-01",
        "☃",
        "{id}",
    ],
)
async def test_an_unknown_id_is_told_what_is_understood(house: House, id_: str) -> None:
    """The complaint names the kinds of ids there are."""
    with pytest.raises(UnknownId) as refused:
        await house.do("lineage.trace", id=id_)
    assert "invoice numbers" in refused.value.message
    assert refused.value.code == "lineage.unknown_id"
    with pytest.raises(UnknownMessage):
        await house.do("lineage.message", key=id_[:255])


async def test_a_wide_fan_is_told_in_pages(house: House) -> None:
    """The first twenty and how many there are; the cursor brings those behind until all were told once."""
    await ask(house, "ledger.open_account", account="bank", asset="USD")
    await house.do(
        "usage.record", "many", source="s",
        events=[{"id": str(n), "customer": "ada", "at": "2015-05-01T00:00:00Z"} for n in range(45)],
    )  # fmt: skip
    told: list[str] = []
    after: int | None = 0
    while after is not None:
        group = next(one for one in (await traced(house, "many", after=after)).forward if one.kind == "usage")
        assert (len(group.items) <= 20, group.total) == (True, 45)
        told += [link.record.id for link in group.items]
        after = group.next
    assert len(told) == len(set(told)) == 45
    assert len((await traced(house, "many", limit=1000)).forward[1].items) == 45


async def test_holds_captures_and_reversals_lead_to_each_other(house: House) -> None:
    """From the hold to what used it and what undid that, and back again."""
    hold, capture, release, reversal, sweep = (str(uuid7()) for _ in range(5))
    for account in ("bank", "ada"):
        await ask(house, "ledger.open_account", account=account, asset="USD")
    await ask(house, "ledger.hold", id=hold, debit="bank", credit="ada", amount=10, expires_at="2126-01-02T03:04:05Z")
    await ask(house, "ledger.capture", id=capture, hold=hold, amount=4)
    await ask(house, "ledger.release", id=release, hold=hold)
    await ask(house, "ledger.reverse", id=reversal, reverses=capture)
    await ask(house, "ledger.sweep", id=sweep, debit="bank", credit="ada", amount=777, reference="order 66")

    forward = (await traced(house, hold)).forward
    assert [(link.record.id, link.record.reason) for link in forward[0].items] == [
        (capture, "capture"), (release, "release")
    ]  # fmt: skip
    assert [link.record.id for link in forward[0].items[0].links[0].items] == [reversal]
    captured = (await traced(house, reversal)).back[0].items[0]
    assert captured.record.id == capture
    held = captured.links[0].items[0].record
    assert (held.id, held.reason, held.amount, held.what) == (
        hold, "hold", 10, "bank → ada, until 2126-01-02 03:04:05"
    )  # fmt: skip
    assert (await traced(house, release)).back[0].items[0].record.id == hold
    swept = (await traced(house, sweep)).record
    assert (swept.reason, swept.what) == ("sweep", "bank → ada, order 66, at most 777")


async def test_an_account_shows_its_newest_transfers(shop: Shop) -> None:
    """Newest first, and an invoice's account leads back to the invoice."""
    found = await traced(shop, "ada")
    assert [(group.kind, len(group.items)) for group in found.forward] == [
        ("account_limit", 1), ("account_metadata", 1), ("transfer", 1)
    ]  # fmt: skip
    receivable = await traced(shop, shop.invoice.account)
    assert next(kinds_of(receivable.back)) == "invoice"
    assert [link.record.reason for link in receivable.forward[0].items] == ["payment_settle", "invoice_issue"]


def nodes_of(plan: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """Return every node of a plan."""
    yield plan
    for child in plan.get("Plans", ()):
        yield from nodes_of(child)


def follows() -> list[Query]:
    """Return the two queries, back and forward."""
    return [query for query in every_query() if query.name == "follow"]


async def test_no_look_up_reads_all_of_a_table(pool: asyncpg.Pool, owner: asyncpg.Connection) -> None:
    """By a plan made for any ids while tables are empty, every table is still read by an index on more than the book."""
    wrong = []
    await owner.execute(  # rows of this one are so wide that, empty, it is taken to have a handful
        "INSERT INTO book (name, opened_at) VALUES ('main', now());"
        "INSERT INTO meter (book_id, code, name, event_type, aggregation, filters, group_by, transaction_id, message_place, "
        "created_at) SELECT 1, 'm' || n, 'm', 'e', 'count', '{}', '{}', n, 0, now() FROM generate_series(1, 2000) AS n;"
        "ANALYZE meter"
    )
    assert len(follows()) == 2
    async with pool.acquire() as connection:
        for query in follows():
            await connection.execute(f"SET plan_cache_mode = force_generic_plan; PREPARE followed AS {query.sql}")
            text = await connection.fetchval(
                "EXPLAIN (FORMAT JSON) EXECUTE followed (1, '', NULL, NULL, NULL, NULL, NULL, NULL, NULL, '{}', NULL, 20, 8, 9, 0)"
            )
            await connection.execute("DEALLOCATE followed; RESET plan_cache_mode")
            for node in nodes_of(json.loads(text)[0]["Plan"]):
                told = (node["Node Type"], node.get("Index Name", node.get("Relation Name")), node.get("Index Cond"))
                if node["Node Type"] == "Seq Scan":
                    wrong.append(told)
                bounds = re.sub(r"\(?book_id = [^)]*\)", "", node.get("Index Cond", "bound"))
                if "Index Name" in node and not re.search(r"\w", bounds.replace("AND", "")):
                    wrong.append(told)
    assert wrong == []
