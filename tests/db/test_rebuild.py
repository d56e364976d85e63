"""Rebuild: the kept messages alone make the same book again, and whatever does not fit them is named."""

import asyncio
import datetime as dt
import random
import uuid
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import asyncpg
import pytest

from tallystick.clock import FixedClock, SystemClock
from tallystick.db.connect import connect_as_owner
from tallystick.db.embedded import EmbeddedServer
from tallystick.errors import InvalidInput, TallystickError
from tallystick.ids import uuid7
from tallystick.ledger.books import find_book
from tallystick.ledger.seal import lead
from tallystick.operations.import_transfers import import_transfers
from tallystick.operations.model import Call, Operation
from tallystick.operations.rebuild import rebuild
from tallystick.operations.run import Operations
from tallystick.operations.work_alerts import raise_alerts
from tallystick.rebuild.model import Rebuilt
from tallystick.rebuild.open_twin import TwinNotEmpty, made_database
from tallystick.security.model import OPERATOR, SYSTEM
from tests.conftest import House, url_of
from tests.db.posting import ORIGIN, SIGNER, seal_all
from tests.db.priced_usage import meter_requests, price, use_in_may
from tests.db.requested import make_invoice_of_every_kind
from tests.db.telling import worker
from tests.db.test_parties import BERLIN, SELLER
from tests.scenarios.paying import open_shop


async def rebuilt(house: House, server: EmbeddedServer) -> Rebuilt:
    """Make the book anew in a database of its own."""
    async with made_database(url_of(server, "postgres")) as url:
        return await rebuild(house.operations, "main", url, lambda *_: None)


def said(found: Rebuilt) -> str:
    """Return what differs, empty when all came out the same."""
    return found.difference.message if found.difference else ""


async def seal_book(house: House) -> None:
    """Seal all that is posted, under one checkpoint."""
    async with house.operations.pool.acquire() as connection:
        book = await find_book(connection, "main")
        sealer = await lead(connection, book.book_id, ORIGIN, [SIGNER])
        assert sealer is not None
        await seal_all(connection, sealer)
        await connection.execute("SELECT pg_advisory_unlock_all()")


async def attempt(house: House, operation: str, key: str = "", /, **fields: object) -> Any:  # noqa: ANN401 - each has its own
    """Run an operation; a refusal is as good an answer."""
    try:
        return await house.do(operation, key, **fields)
    except TallystickError as error:
        return error


async def open_accounts(house: House) -> None:
    """Open accounts of two assets, limited and not, described and not; some again, one otherwise."""
    await house.do("ledger.ensure_asset", asset="EUR", exponent=2)
    await house.do("ledger.ensure_asset", asset="EUR", exponent=2)
    for code in ("bank", "ada", "bob", "eve", "old"):
        await house.do("ledger.open_account", account=code, asset="USD")
    await house.do("ledger.open_account", account="purse", asset="USD", min_balance=0, metadata={"of": "ada"})
    await house.do("ledger.open_account", account="euros", asset="EUR", max_balance=10**6)
    await house.do("ledger.open_account", account="ada", asset="USD")
    assert isinstance(await attempt(house, "ledger.open_account", account="ada", asset="EUR"), TallystickError)
    await house.do("ledger.describe_account", account="ada", metadata={"tier": "gold"})
    await house.do("ledger.limit_account", account="bob", min_balance=-500, max_balance=None)


def moved(debit: str, credit: str, amount: int, **fields: object) -> dict[str, object]:
    """Write an item of `ledger.transfers`."""
    return {"id": str(uuid7()), "debit": debit, "credit": credit, "amount": amount, **fields}


async def be_busy(house: House, seed: int) -> None:
    """Do one of everything, and many at once that draw on the same limited accounts."""
    chance = random.Random(seed)
    await open_accounts(house)
    await house.do("ledger.transfers", transfers=[moved("bank", "purse", 1000, reference="first"),
                                                  moved("bank", "ada", 5, effective_at="2020-02-02T00:00:00Z"),
                                                  moved("bank", "nobody", 5), moved("bank", "euros", 5)])  # fmt: skip
    await attempt(
        house, "ledger.transfers", group=True, transfers=[moved("bank", "ada", 1), moved("purse", "ada", 10**6)]
    )
    await house.do("ledger.transfers", group=True, transfers=[moved("bank", "ada", 1), moved("purse", "ada", 2)])
    hold, other, gone = (str(uuid7()) for _ in range(3))
    await house.do("ledger.hold", id=hold, debit="purse", credit="eve", amount=300)
    await house.do("ledger.hold", id=other, debit="purse", credit="eve", amount=50, expires_at="2999-01-01T00:00:00Z")
    ends = SystemClock().now() + dt.timedelta(minutes=30)
    await house.do("ledger.hold", id=gone, debit="purse", credit="eve", amount=20, expires_at=ends.isoformat())
    later = Operations(house.operations.pool, FixedClock(ends + dt.timedelta(minutes=1)), house.operations.table)
    assert (
        await later.call(SYSTEM, "main", "ledger.expire_holds", "tallystick:expire", {"holds": [gone]})
    ).expired == 1
    await house.do("ledger.capture", id=str(uuid7()), hold=hold, amount=100, reference="half")
    await house.do("ledger.capture", id=str(uuid7()), hold=hold)
    await attempt(house, "ledger.capture", id=str(uuid7()), hold=hold)
    await house.do("ledger.release", id=str(uuid7()), hold=other)
    first = moved("bank", "eve", 77)
    await house.do("ledger.transfer", "once", **first)
    await house.do("ledger.transfer", "once", **first)
    await attempt(house, "ledger.transfer", "once", **(first | {"amount": 78}))
    await house.do("ledger.transfer", "the same id under another key", **first)
    await attempt(house, "ledger.transfer", **(first | {"amount": 78}))
    await house.do("ledger.reverse", id=str(uuid7()), reverses=first["id"])
    await attempt(house, "ledger.reverse", id=str(uuid7()), reverses=first["id"])
    await house.do("ledger.sweep", **moved("purse", "eve", 10**9))
    await house.do("ledger.transfer", **moved("bank", "purse", 400))
    codes = ["bank", "ada", "bob", "eve", "purse", "euros", "nobody"]
    await asyncio.gather(*(
        attempt(house, chance.choice(["ledger.transfer", "ledger.transfer", "ledger.sweep", "ledger.hold"]),
                **moved(chance.choice(codes), chance.choice(codes), chance.randint(1, 200)))
        for _ in range(300)
    ))  # fmt: skip
    await house.do("ledger.close_account", account="old")
    await attempt(house, "ledger.close_account", account="old")
    await attempt(house, "ledger.transfer", **moved("bank", "old", 1))
    await asyncio.gather(*(
        attempt(house, "ledger.limit_account", account="bob", min_balance=-number, max_balance=None) if number % 20 == 0
        else attempt(house, "ledger.transfer", **moved("bob", "ada", number))
        for number in range(100)
    ))  # fmt: skip


@pytest.fixture
async def busy(house: House) -> House:
    """Give a book in which one of everything was done, sealed twice and with some that is not sealed."""
    seed = random.SystemRandom().randrange(10**6)
    print(f"seed {seed}")  # noqa: T201 - whoever sees it fail must be able to do it again
    await be_busy(house, seed)
    await seal_twice(house)
    return house


@pytest.fixture
async def quiet(house: House) -> House:
    """Give a small book, sealed twice and with one that is not sealed."""
    await open_accounts(house)
    await house.do("ledger.close_account", account="old")
    await house.do("ledger.transfer", **moved("bank", "ada", 10))
    await seal_twice(house)
    return house


async def seal_twice(house: House) -> None:
    """Seal what there is, then one transfer more, and leave one unsealed."""
    await seal_book(house)
    await house.do("ledger.transfer", "the last sealed", **moved("bank", "ada", 11))
    await seal_book(house)
    await house.do("ledger.transfer", "not sealed", **moved("bank", "ada", 12))


async def test_a_busy_book_comes_out_the_same(busy: House, server: EmbeddedServer, owner: asyncpg.Connection) -> None:
    """Accounts, limits, holds, sweeps, reversals, groups, repeats and refusals: the same log, and every fact the same."""
    found = await rebuilt(busy, server)
    assert said(found) == ""
    assert found.log is not None
    assert found.log.checkpoints == 2
    newest = await owner.fetchrow("SELECT size, root FROM checkpoint ORDER BY size DESC LIMIT 1")
    assert newest is not None
    assert (found.log.size, found.log.root) == tuple(newest)
    assert found.log.transfers == await owner.fetchval("SELECT count(*) FROM transfer") == found.log.size + 1
    assert found.messages == await owner.fetchval("SELECT count(*) FROM message")
    assert found.usage_events == 0
    assert await owner.fetchval(
        "SELECT count(*) FROM (SELECT FROM message GROUP BY transaction_id HAVING count(*) > 1) AS x"
    )


async def tamper(owner: asyncpg.Connection, statement: str, *arguments: object) -> None:
    """Change one row as someone would who owns the database: with its guards off."""
    await owner.execute("SET session_replication_role = replica")
    assert (await owner.execute(statement, *arguments)).split()[-1] == "1"
    await owner.execute("SET session_replication_role = DEFAULT")


async def test_a_changed_message_is_named(quiet: House, server: EmbeddedServer, owner: asyncpg.Connection) -> None:
    """Whoever changes an amount is found: by the hash; with the hash made to fit, by the answer; then by the leaf."""
    await tamper(owner, "UPDATE message SET body = replace(encode(body, 'escape'), '\"amount\":11,', '\"amount\":99,')::bytea "
                        "WHERE key = 'the last sealed'")  # fmt: skip
    assert "message the last sealed: its body is not what its hash was made of" in said(await rebuilt(quiet, server))
    await tamper(owner, "UPDATE message SET hash = sha256(body) WHERE key = 'the last sealed'")
    assert "message the last sealed: it was answered" in said(await rebuilt(quiet, server))
    await tamper(owner, "UPDATE message SET answer = replace(encode(answer, 'escape'), '\"amount\":11,', '\"amount\":99,')::bytea "
                        "WHERE key = 'the last sealed'")  # fmt: skip
    assert "message the last sealed: the leaf of its transfer" in said(await rebuilt(quiet, server))


ANOTHER_ACCOUNT = (
    "INSERT INTO account SELECT book_id, account_id + 1, asset_id, 'forged', min_balance, max_balance, transaction_id, "
    "message_place, opened_at FROM account ORDER BY account_id DESC LIMIT 1"
)
ANOTHER_CHANGE = (
    "UPDATE net_change SET amounts[1] = amounts[1] + 1 WHERE (page, batch_id) = "
    "(SELECT min(page), min(batch_id) FROM net_change)"
)


@pytest.mark.parametrize(
    ("statement", "named"),
    [
        (ANOTHER_ACCOUNT, "account: no message makes"),
        ("DELETE FROM account_closing", "account_closing: it lacks"),
        ("UPDATE account_limit SET min_balance = -501 WHERE min_balance = -500", "min_balance is -501 and comes out as -500"),
        (ANOTHER_CHANGE, "net_change"),
        ("DELETE FROM message WHERE key = 'not sealed'", "its transfers are stored, and no message makes them"),
        ("UPDATE checkpoint SET root = sha256('x') WHERE size = (SELECT max(size) FROM checkpoint)", "it has the root"),
    ],
)  # fmt: skip
async def test_a_row_that_no_message_made_is_named(
    quiet: House, server: EmbeddedServer, owner: asyncpg.Connection, statement: str, named: str
) -> None:
    """What was added, taken away or changed beside the messages is found, and the row told."""
    await tamper(owner, statement)
    assert named in said(await rebuilt(quiet, server))


async def test_a_shop_comes_out_the_same(
    house: House, server: EmbeddedServer, owner: asyncpg.Connection, tmp_path: Path
) -> None:
    """Usage, prices, invoices, a payment and its receipt, keys: the same again, and the provider is not asked again."""
    async with open_shop(house, tmp_path) as shop:
        paid = await shop.post(await shop.start())
        key = await house.do("security.create_key", name="till", scopes=["usage:write"], sha256="ab" * 32)
        await house.do("security.revoke_key", key_id=str(key.key_id))
        await seal_book(house)
        taken = await shop.captured()
        found = await rebuilt(house, server)
        assert said(found) == ""
        assert (await shop.captured(), len(await shop.transactions())) == (taken, 1)
    assert paid.receipt_id is not None
    assert found.usage_events == await owner.fetchval("SELECT count(*) FROM usage_event") > 0
    assert found.customers == await owner.fetchval("SELECT count(*) FROM customer")


async def test_who_is_told_of_what_comes_out_the_same(
    house: House, server: EmbeddedServer, owner: asyncpg.Connection, tmp_path: Path
) -> None:
    """Events, endpoints, rules, alerts and parties: the same again, and nobody is told a second time."""
    worker(house.operations, tmp_path)
    endpoint = {"endpoint_id": str((await house.do("webhooks.set_endpoint", url="https://example.com/x")).endpoint_id)}
    await make_invoice_of_every_kind(house)
    await house.do("webhooks.set_endpoint", url="https://example.com/y", types=["invoice.paid"], **endpoint)
    await house.do("webhooks.rotate_secret", **endpoint)
    await house.do("webhooks.test", **endpoint)
    await house.do("webhooks.replay", start_at="2000-01-01T00:00:00Z", **endpoint)
    await house.do("webhooks.disable", **endpoint)
    await attempt(house, "webhooks.test", **endpoint)
    await house.do("webhooks.enable", skip=True, **endpoint)
    await house.do("parties.set", **SELLER)
    await house.do("parties.set", customer="zoe", **BERLIN)
    await house.do("alerts.set_rule", rule="large", kind="event_amount", types=["repayment.received"], asset="USD",
                   threshold="10")  # fmt: skip
    await house.do("repayments.receive", customer="zoe", asset="USD", amount=11, channel="cash", reference="r")
    assert await raise_alerts(house.operations, "main", 1) == 1
    for table in ("event", "webhook_endpoint", "alert_rule", "alert", "party"):
        assert await owner.fetchval(f"SELECT count(*) FROM {table}") > 0
    assert said(await rebuilt(house, server)) == ""


async def test_usage_that_its_message_did_not_bring_is_named(
    house: House, server: EmbeddedServer, owner: asyncpg.Connection
) -> None:
    """Usage cannot be made anew, but a message knows how many of its events were accepted, and an event whose it is."""
    await meter_requests(house)
    await price(house, "0.25")
    await use_in_may(house, 3)
    assert said(await rebuilt(house, server)) == ""
    await tamper(owner, "DELETE FROM usage_event WHERE event_key = (SELECT event_key FROM usage_event LIMIT 1)")
    assert "events were accepted, and" in said(await rebuilt(house, server))


@dataclass(slots=True)
class Slow:
    """Operations of which one, once it is done, waits before it commits."""

    operations: Operations
    done: asyncio.Event = field(default_factory=asyncio.Event)
    go_on: asyncio.Event = field(default_factory=asyncio.Event)


def slow(house: House, name: str) -> Slow:
    """Make *name* slow to commit."""
    operation = house.operations.table[name]
    table: dict[str, Operation] = {}
    made = Slow(Operations(house.operations.pool, house.operations.clock, table))

    async def verb(call: Call, request: object) -> object:
        assert operation.verb is not None
        answer: object = await operation.verb(call, request)
        made.done.set()
        await made.go_on.wait()
        return answer

    table[name] = replace(operation, verb=verb)
    return made


async def test_what_was_paid_in_beside_is_left_out_where_it_was_not_seen(house: House, server: EmbeddedServer) -> None:
    """A sweep takes what it sees: the order says that more had been paid in, by one that was not yet committed."""
    await open_accounts(house)
    await house.do("ledger.transfer", **moved("bank", "purse", 100))
    payer = slow(house, "ledger.transfers")
    fields = {"transfers": [moved("bank", "purse", 50)]}
    paying = asyncio.create_task(payer.operations.call(OPERATOR, "main", "ledger.transfers", "paid in", fields))
    await payer.done.wait()
    assert isinstance(await attempt(house, "ledger.transfer", **moved("purse", "ada", 120)), TallystickError)
    assert (await house.do("ledger.sweep", **moved("purse", "ada", 1000))).amount == 100
    payer.go_on.set()
    await paying
    found = await rebuilt(house, server)
    assert said(found) == ""
    assert found.judged_beside + len(found.judged_elsewhere) == 2


async def test_usage_that_came_beside_a_draft_stays_late(house: House, server: EmbeddedServer) -> None:
    """An invoice covers what it covered, though usage that was not yet committed is ordered before it."""
    await meter_requests(house)
    await price(house, "0.25")
    await use_in_may(house, 1)
    reporter = slow(house, "usage.record")
    customer = await house.operations.pool.fetchval("SELECT ref FROM customer")
    events = [{"id": "late", "customer": customer, "at": "2015-05-17T10:05:03Z"}]
    fields = {"source": "slow", "events": events}
    reporting = asyncio.create_task(reporter.operations.call(OPERATOR, "main", "usage.record", "late", fields))
    await reporter.done.wait()
    assert (await house.do("invoicing.draft", month="2015-05")).drafted == 1
    reporter.go_on.set()
    await reporting
    assert (await house.do("invoicing.late_usage", month="2015-05")).events == 1
    assert said(await rebuilt(house, server)) == ""


async def test_drafts_of_one_product_beside_each_other_come_out_the_same(
    house: House, owner: asyncpg.Connection, server: EmbeddedServer
) -> None:
    """Whoever waits for another has no place in the order yet: who wrote the invoice is ordered before who found it there."""
    await meter_requests(house)
    await price(house, "0.25")
    await use_in_may(house, 1)
    waiting = (
        "SELECT count(*) FROM pg_locks WHERE NOT granted "
        "AND database = (SELECT oid FROM pg_database WHERE datname = current_database())"
    )
    in_order = "SELECT count(backend_xid) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"
    async with owner.transaction():
        await owner.execute("LOCK TABLE invoice IN SHARE ROW EXCLUSIVE MODE")
        drafts = [asyncio.create_task(house.do("invoicing.draft", month="2015-05")) for _ in range(3)]
        async with asyncio.timeout(20):
            while await owner.fetchval(waiting) < len(drafts):  # noqa: ASYNC110 - only the server knows who waits
                await asyncio.sleep(0.01)
        assert await owner.fetchval(in_order) == 1
    drafted = await asyncio.gather(*drafts)
    assert sorted((one.drafted, one.known) for one in drafted) == [(0, 1), (0, 1), (1, 0)]
    assert said(await rebuilt(house, server)) == ""


async def test_an_imported_file_comes_out_the_same(house: House, server: EmbeddedServer, tmp_path: Path) -> None:
    """The rows of a file are an attachment of their message, and are posted from it again."""
    file = tmp_path / "in.csv"
    rows = [f"{uuid.uuid4()},bank,ada,{number},USD" for number in range(-1, 300)]
    file.write_text("id,debit,credit,amount,asset\n" + "\n".join(rows) + "\n")
    await import_file(house, file)
    await seal_book(house)
    found = await rebuilt(house, server)
    assert said(found) == ""
    assert found.log is not None
    assert found.log.size == 299


async def import_file(house: House, file: Path) -> None:
    """Import a file, opening its accounts."""
    await import_transfers(house.operations, OPERATOR, "main", file, open_accounts="USD")


async def test_a_kept_twin_takes_up_where_the_book_is(quiet: House, server: EmbeddedServer) -> None:
    """A twin that stays is ordered and numbered behind what it holds, and is not rebuilt into again."""
    async with made_database(url_of(server, "postgres")) as url:
        found = await rebuild(quiet.operations, "main", url, lambda *_: None, kept=True)
        assert said(found) == ""
        twin = await connect_as_owner(url)
        try:
            assert await twin.fetchval("SELECT transaction_order() > max(transaction_id) FROM message")
            assert await twin.fetchval("SELECT settled_horizon() > max(transaction_id) FROM message")
        finally:
            await twin.close()
        with pytest.raises(TwinNotEmpty):
            await rebuild(quiet.operations, "main", url, lambda *_: None)


async def test_the_database_made_for_it_is_gone(
    house: House, server: EmbeddedServer, owner: asyncpg.Connection
) -> None:
    """Nothing is left on the server, also when it ends in a fault."""
    twins = "SELECT array_agg(datname ORDER BY datname) FROM pg_database WHERE datname LIKE 'rebuild%'"
    before = await owner.fetchval(twins)
    with pytest.raises(TallystickError, match="no book elsewhere"):
        async with made_database(url_of(server, "postgres")) as url:
            await rebuild(house.operations, "elsewhere", url, lambda *_: None)
    assert await owner.fetchval(twins) == before


async def test_corrected_usage_and_its_adjustments_come_out_the_same(house: House, server: EmbeddedServer) -> None:
    """Corrections are done again, months stay attached in the twin, and while one is away the book cannot be made anew."""
    await meter_requests(house)
    await price(house, "0.25")
    await use_in_may(house, 3)
    await house.do(
        "usage.record", source="s", events=[{"id": "a", "customer": "customer-001", "at": "2015-06-02T00:00:00Z"}]
    )
    await house.do("invoicing.draft", month="2015-05")
    event = {"id": "late", "customer": "customer-001", "at": "2015-05-20T00:00:00Z"}
    await house.do("usage.record", source="s", events=[event])
    await house.do("usage.record", source="s", events=[event | {"type": "sms"}, {**event, "id": "x", "status": 404}])
    await house.do("usage.amend", source="s", reason="r", events=[{"id": "late", "quantities": {"bytes": "1.50"}}])
    await house.do("usage.set_retention", attached_months=1, kept_months=None)
    drafted = await house.do("invoicing.draft", month="2015-06")
    assert drafted.adjustments == 1
    await house.do("usage.void", source="s", reason="r", events=[{"id": "late"}])
    await house.do("usage.detach_month", month="2015-05")
    with pytest.raises(TallystickError, match="2015-05"):
        await rebuilt(house, server)
    await house.do("usage.attach_month", month="2015-05")
    assert said(await rebuilt(house, server)) == ""


async def test_what_iso_4217_says_of_a_currency_changes_no_book(house: House, server: EmbeddedServer) -> None:
    """It is looked up before the message, and not by it: one that an earlier table let through is done again."""
    with pytest.raises(InvalidInput, match="JPY is a currency of ISO 4217, with 0 digits"):
        await house.do("ledger.ensure_asset", asset="JPY", exponent=2)
    earlier = replace(house.operations.table["ledger.ensure_asset"], before=None)
    operations = Operations(house.operations.pool, house.operations.clock, {earlier.name: earlier})
    await operations.call(OPERATOR, "main", earlier.name, "yen", {"asset": "JPY", "exponent": 2})
    assert said(await rebuilt(house, server)) == ""
