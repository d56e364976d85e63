"""Verify: whatever is changed behind the product's back is found, and the row is named."""

import asyncpg
import pytest

from tallystick.ids import uuid7
from tallystick.ledger import seal as sealing
from tallystick.ledger.accounts import NewAccount
from tallystick.ledger.findings import MOST_FINDINGS, Verification
from tallystick.ledger.verify import verify, verify_book
from tests.db.posting import ORIGIN, Ledgerful, open_ledger

BATCHES, EACH = 12, 50


@pytest.fixture
async def ledger(pool: asyncpg.Pool, monkeypatch: pytest.MonkeyPatch) -> Ledgerful:
    """Give a book with 600 sealed transfers in 12 batches, snapshots, tile roots and two checkpoints; and one unsealed."""
    monkeypatch.setattr(sealing, "CHANGES_PER_SNAPSHOT", 4)
    monkeypatch.setattr(verify_book, "TRANSFERS_AT_ONCE", 100)  # so it is cut into pieces of two batches
    opened = await open_ledger(pool, "bank", "ada", "bob", "eve")
    await opened.open(NewAccount("euros", "EUR"))
    for number in range(BATCHES):
        rows = [("bank", ("ada", "bob")[at % 2], 100 + at) for at in range(EACH)]
        await opened.move(*rows)
        if number == BATCHES // 2:
            await opened.seal()
    await opened.seal()
    await opened.move(("ada", "bob", 7))
    return opened


async def tamper(owner: asyncpg.Connection, *statements: str) -> None:
    """Change rows as someone would who owns the database: with its guards off."""
    await owner.execute("SET session_replication_role = replica")
    for statement in statements:
        assert (await owner.execute(statement)).split()[-1] == "1", f"it must change one row: {statement}"
    await owner.execute("SET session_replication_role = DEFAULT")


async def only_book_there_is(owner: asyncpg.Connection) -> int:
    """Return the id of the one book."""
    found: int = await owner.fetchval("SELECT book_id FROM book")
    return found


def said(verification: Verification) -> str:
    """Write all findings, one a line."""
    return "\n".join(str(finding) for finding in verification.findings)


async def test_an_untouched_ledger_is_right(ledger: Ledgerful) -> None:
    """Nothing is found where nothing was changed, and everything was looked at."""
    found = await ledger.verify()
    assert said(found) == ""
    assert found.ok
    assert (found.batches, found.transfers, found.size) == (BATCHES + 1, BATCHES * EACH + 1, BATCHES * EACH)
    assert (found.messages, found.checkpoints, found.net_changes) == (BATCHES + 1, 2, BATCHES + 1)


async def test_it_is_the_same_in_one_piece(ledger: Ledgerful, monkeypatch: pytest.MonkeyPatch) -> None:
    """Into how many pieces the log is cut makes no difference."""
    in_pieces = await ledger.verify()
    monkeypatch.setattr(verify_book, "TRANSFERS_AT_ONCE", 1_000_000)
    assert await ledger.verify() == in_pieces


async def test_an_empty_book_is_right(pool: asyncpg.Pool) -> None:
    """A book without a transfer verifies."""
    assert (await (await open_ledger(pool)).verify()).ok


async def test_progress_is_told(ledger: Ledgerful) -> None:
    """Whoever waits hears how far it is."""
    heard: list[tuple[int, int]] = []
    async with ledger.pool.acquire() as connection, connection.transaction(isolation="repeatable_read"):
        await verify(connection, ledger.book.book_id, [], ORIGIN, progress=lambda *told: heard.append(told))
    assert heard[-1] == (BATCHES * EACH + 1, BATCHES * EACH + 1)


# The fourth batch begins at place 150; its row at position 3 is at place 153.
THE_BATCH = "(SELECT batch_id FROM sealed_batch WHERE first_place = 150)"
THE_ROW = f"batch_id = {THE_BATCH} AND position = 3"
ROW_NAMED = "position 3, place 153"


@pytest.mark.parametrize(
    "change",
    [
        "debit_account_id = (SELECT account_id FROM account WHERE code = 'eve')",
        "credit_account_id = (SELECT account_id FROM account WHERE code = 'eve')",
        "credit_account_id = (SELECT account_id FROM account WHERE code = 'euros')",
        "debit_account_id = 987654321",
        "amount = amount + 1",
        "amount = 9223372036854775807",
        "effective_at = effective_at + 1",
        "transfer_id = gen_random_uuid()",
        "asset_id = 2",
        "message_place = 1",
        "message_place = 32767",
        "message_place = -1",
        "reason = 2",
        "position = 4000",
        "book_id = 77",
        "batch_id = batch_id + 1, position = 4000",
        "batch_id = 9000000000000000000",
        "batch_id = 1",
    ],
)
async def test_a_changed_transfer_is_named(ledger: Ledgerful, owner: asyncpg.Connection, change: str) -> None:
    """Whatever column of a transfer is changed, verify says which transfer it was and where in the log it stands."""
    await tamper(owner, f"UPDATE transfer SET {change} WHERE {THE_ROW}")
    found = await ledger.verify()
    assert any(one.kind == "transfer" and ROW_NAMED in one.row for one in found.findings), said(found)
    assert sum(one.kind == "transfer" for one in found.findings) <= 3, said(found)


async def test_the_changed_transfers_id_is_told(ledger: Ledgerful, owner: asyncpg.Connection) -> None:
    """The finding has the transfer's id, so that it can be looked up."""
    transfer_id = await owner.fetchval(f"SELECT transfer_id FROM transfer WHERE {THE_ROW}")
    await tamper(owner, f"UPDATE transfer SET amount = amount + 1 WHERE {THE_ROW}")
    assert f"transfer {transfer_id} (batch " in said(await ledger.verify())


async def test_a_missing_transfer_is_named(ledger: Ledgerful, owner: asyncpg.Connection) -> None:
    """A transfer that was taken out is named by its place."""
    await tamper(owner, f"DELETE FROM transfer WHERE {THE_ROW}")
    found = await ledger.verify()
    assert any(ROW_NAMED in one.row and "missing" in one.message for one in found.findings), said(found)


async def test_a_transfer_put_in_is_named(ledger: Ledgerful, owner: asyncpg.Connection) -> None:
    """A transfer that was slipped into a batch is named by its id."""
    slipped = uuid7()
    await tamper(
        owner,
        "INSERT INTO transfer SELECT batch_id, debit_account_id, credit_account_id, amount, effective_at, "
        f"'{slipped}', book_id, 50, asset_id, message_place, reason FROM transfer WHERE {THE_ROW}",
    )
    found = await ledger.verify()
    assert any(str(slipped) in one.row for one in found.findings), said(found)


async def test_a_transfer_changed_together_with_its_leaf_hash_is_narrowed_down(
    ledger: Ledgerful, owner: asyncpg.Connection
) -> None:
    """Who also changes the leaf hash in the batch still breaks the tile root above it and the signed checkpoints."""
    await tamper(
        owner,
        f"UPDATE batch SET leaf_hashes = overlay(leaf_hashes PLACING sha256('x') FROM 32 * 3 + 1 FOR 32) "
        f"WHERE batch_id = {THE_BATCH}",
    )
    found = await ledger.verify()
    rows = [one.row for one in found.findings]
    assert any(ROW_NAMED in row for row in rows), said(found)
    assert "tile root 0 of level 1 (places 0 to 255)" in rows
    assert sum(one.kind == "checkpoint" for one in found.findings) >= 2


@pytest.mark.parametrize(
    "change",
    [
        "transfers = transfers + 1, leaf_hashes = leaf_hashes || sha256('x')",
        "transfers = transfers - 1, leaf_hashes = substring(leaf_hashes FROM 33)",
        "recorded_at = recorded_at + interval '1 microsecond'",
        "leaf_hashes = overlay(leaf_hashes PLACING '\\x00' FROM 100 FOR 1)",
        "pages = overlay(pages PLACING '\\xff' FROM 1 FOR 1)",
        "pages = ''",
        "batch_id = 9000000000000000000",
        "book_id = 77",
    ],
)
async def test_a_changed_batch_is_named(ledger: Ledgerful, owner: asyncpg.Connection, change: str) -> None:
    """Whatever column of a batch is changed, verify says which batch it was."""
    batch_id = await owner.fetchval(f"SELECT {THE_BATCH}")
    await tamper(owner, f"UPDATE batch SET {change} WHERE batch_id = {batch_id}")
    found = await ledger.verify()
    assert any(f"batch {batch_id}" in one.row for one in found.findings), said(found)


@pytest.mark.parametrize(
    "change",
    [
        "page = 7",
        "slots = overlay(slots PLACING '\\x09' FROM 3 FOR 1)",
        "slots = overlay(slots PLACING '\\xff' FROM 3 FOR 1)",
        "slots = substring(slots FROM 2), amounts = amounts[3:]",
        "amounts[3] = amounts[3] + 1",
        "amounts[4] = amounts[4] - 1",
        "amounts[4] = NULL",
        "amounts = '[0:5]={1,2,3,4,5,6}'",
        "positions = overlay(positions PLACING '\\x0001' FROM 1 FOR 2)",
        "positions = ''",
        "batch_id = 9000000000000000000",
        "book_id = 77",
    ],
)
async def test_a_changed_net_change_is_named(ledger: Ledgerful, owner: asyncpg.Connection, change: str) -> None:
    """Whatever column of a net change is changed, verify says of which page in which batch it was."""
    batch_id = await owner.fetchval(f"SELECT {THE_BATCH}")
    await tamper(owner, f"UPDATE net_change SET {change} WHERE batch_id = {batch_id}")
    found = await ledger.verify()
    assert found.findings[0].kind == "net_change", said(found)
    assert found.findings[0].row == f"net change of page 0 (accounts 0 to 15) in batch {batch_id}", said(found)


async def test_a_net_change_put_in_is_named(ledger: Ledgerful, owner: asyncpg.Connection) -> None:
    """A net change that no transfer accounts for is named, wherever its row lies."""
    batch_id = await owner.fetchval(f"SELECT {THE_BATCH}")
    await tamper(
        owner, "INSERT INTO net_change SELECT 3, batch_id, book_id, slots, amounts, positions "
        f"FROM net_change WHERE batch_id = {batch_id}",
    )  # fmt: skip
    found = await ledger.verify()
    assert [one.message for one in found.findings] == ["no transfer of the batch touches the page"]
    assert found.findings[0].row.endswith(f"in batch {batch_id}")


async def test_two_amounts_that_make_up_for_each_other_are_found(ledger: Ledgerful, owner: asyncpg.Connection) -> None:
    """What one account lost and another got is found, though the sum of the batch is as before; the account is told."""
    change = "amounts[4] = amounts[4] - 1, amounts[6] = amounts[6] + 1"
    await tamper(owner, f"UPDATE net_change SET {change} WHERE batch_id = {THE_BATCH}")
    (finding,) = (await ledger.verify()).findings
    assert f"account {ledger.accounts['ada']}: debits and credits must be (0, " in finding.message


@pytest.mark.parametrize(
    "change",
    [
        "place = 5",
        "key = key || 'x'",
        "operation = 'ledger.other'",
        "hash = sha256('x')",
        "body = overlay(body PLACING 'X' FROM 60 FOR 1)",
        "refused = true",
        "recorded_at = recorded_at + interval '1 second'",
        "transaction_id = 9000000000000000000",
        "book_id = 77",
    ],
)
async def test_a_changed_message_is_named(ledger: Ledgerful, owner: asyncpg.Connection, change: str) -> None:
    """Whatever bound column of a message is changed, verify names it, or the transfers that it made."""
    batch_id = await owner.fetchval(f"SELECT {THE_BATCH}")
    await tamper(owner, f"UPDATE message SET {change} WHERE transaction_id = {batch_id}")
    found = await ledger.verify()
    assert any(f"(transaction {batch_id}, " in one.row or f"(batch {batch_id}, " in one.row for one in found.findings)


async def test_a_message_with_a_new_body_and_its_right_hash_is_found(
    ledger: Ledgerful, owner: asyncpg.Connection
) -> None:
    """A forged request is found though it fits its hash, since the leaves hold the hash of the true one."""
    batch_id = await owner.fetchval(f"SELECT {THE_BATCH}")
    forged = "convert_to(replace(convert_from(body, 'UTF8'), '50', '51'), 'UTF8')"
    await tamper(
        owner, f"UPDATE message SET body = {forged}, hash = sha256({forged}) WHERE transaction_id = {batch_id}"
    )
    found = await ledger.verify()
    assert any(one.kind == "transfer" and ROW_NAMED in one.row for one in found.findings), said(found)


@pytest.mark.parametrize(
    "change", ["hash = sha256('x')", "level = 3", "level = 9", "place = 4611686018427387904", "book_id = 77"]
)
async def test_a_changed_tile_root_is_named(ledger: Ledgerful, owner: asyncpg.Connection, change: str) -> None:
    """Whatever column of a tile root is changed, verify says which leaves it is over."""
    await tamper(owner, f"UPDATE tile_root SET {change} WHERE place = 1")
    assert "tile root 1 of level 1 (places 256 to 511)" in said(await ledger.verify())


@pytest.mark.parametrize(
    "change",
    [
        "size = size - 1",
        "size = size + 1000000",
        "root = sha256('x')",
        "through = through - 1",
        "note = replace(note, '350', '349')",
        "note = overlay(note PLACING 'AAAA' FROM length(note) - 20)",
        "note = ''",
        "book_id = 77",
    ],
)
async def test_a_changed_checkpoint_is_named(ledger: Ledgerful, owner: asyncpg.Connection, change: str) -> None:
    """Whatever column of a checkpoint is changed, verify says of which size it was, or that it is missing."""
    newest = change == "book_id = 77"
    size = await owner.fetchval(f"SELECT {'max' if newest else 'min'}(size) FROM checkpoint")
    await tamper(owner, f"UPDATE checkpoint SET {change} WHERE size = {size}")
    found = await ledger.verify()
    assert any(one.kind == "checkpoint" for one in found.findings), said(found)
    assert not any(one.kind in {"transfer", "batch"} for one in found.findings), said(found)


@pytest.mark.parametrize(
    "change",
    [
        "first_place = first_place + 7",
        "transfers = 1",
        "batch_id = 9000000000000000000",
        "settled_at = settled_at + interval '1 microsecond'",
        "book_id = 77",
    ],
)
async def test_a_changed_place_is_named(ledger: Ledgerful, owner: asyncpg.Connection, change: str) -> None:
    """A batch that was given another place in the log is named."""
    batch_id = await owner.fetchval(f"SELECT {THE_BATCH}")
    await tamper(owner, f"UPDATE sealed_batch SET {change} WHERE batch_id = {batch_id}")
    found = await ledger.verify()
    assert any(one.kind == "sealed_batch" for one in found.findings), said(found)


@pytest.mark.parametrize(
    "change",
    [
        "sums[3] = sums[3] + 1",
        "sums[4] = sums[4] - 1",
        "sums[4] = sums[4] + 0.5",
        "sums[4] = 'NaN'",
        "sums[4] = NULL",
        "sums = sums[1:4], slots = substring(slots FROM 1 FOR 2)",
        "slots = overlay(slots PLACING '\\x09' FROM 3 FOR 1)",
        "slots = overlay(slots PLACING '\\xff' FROM 3 FOR 1)",
        "batch_id = batch_id - 1",
        "batch_id = 9000000000000000000",
        "page = 1",
    ],
)
async def test_a_changed_snapshot_is_named(ledger: Ledgerful, owner: asyncpg.Connection, change: str) -> None:
    """A balance snapshot that is not the sum of its accounts is named."""
    where = "batch_id = (SELECT max(batch_id) FROM balance_snapshot)"
    await tamper(owner, f"UPDATE balance_snapshot SET {change} WHERE {where}")
    found = await ledger.verify()
    assert {one.kind for one in found.findings} == {"balance_snapshot"}, said(found)
    assert f"snapshot of page {1 if change == 'page = 1' else 0} " in found.findings[0].row


async def test_a_whole_batch_that_was_taken_out_is_noticed(ledger: Ledgerful, owner: asyncpg.Connection) -> None:
    """Who takes a batch out with all that belongs to it leaves a hole in the log."""
    batch_id = await owner.fetchval(f"SELECT {THE_BATCH}")
    await owner.execute("SET session_replication_role = replica")
    for table in ("transfer", "net_change", "batch", "sealed_batch"):
        await owner.execute(f"DELETE FROM {table} WHERE batch_id = {batch_id}")
    found = await ledger.verify()
    assert any(one.kind == "sealed_batch" and "must begin at place 150" in one.message for one in found.findings)
    assert any(one.kind == "checkpoint" for one in found.findings)


async def test_a_log_of_another_name_or_key_is_not_accepted(ledger: Ledgerful) -> None:
    """The checkpoints count only under the name and the key that the asker trusts."""
    found = await ledger.verify(origin="other.example/main")
    assert [one.kind for one in found.findings] == ["checkpoint", "checkpoint"]


async def test_a_closed_account_that_moved_is_found(ledger: Ledgerful, owner: asyncpg.Connection) -> None:
    """A transfer after the closing of its account is found."""
    await ledger.close("bob")
    assert (await ledger.verify()).ok
    await tamper(owner, "UPDATE account_closing SET transaction_id = (SELECT min(batch_id) FROM batch)")
    found = await ledger.verify()
    assert "account 3 was closed before" in found.findings[0].message, said(found)
    assert "position 1, place 51)" in found.findings[0].row, said(found)


async def test_findings_are_counted_beyond_those_that_are_told(ledger: Ledgerful, owner: asyncpg.Connection) -> None:
    """A ledger that is wrong everywhere gives a bounded report that says how much there is."""
    await owner.execute("SET session_replication_role = replica")
    await owner.execute("UPDATE transfer SET amount = amount + 1")
    found = await ledger.verify()
    assert found.found > BATCHES * EACH
    assert len(found.findings) == MOST_FINDINGS
    assert not found.ok


async def test_the_first_bad_row_comes_first(ledger: Ledgerful, owner: asyncpg.Connection) -> None:
    """However many rows are wrong in however many tables, the first finding is where it began."""
    await tamper(
        owner,
        "UPDATE message SET hash = sha256('x') WHERE transaction_id = (SELECT max(batch_id) FROM sealed_batch)",
        f"UPDATE transfer SET amount = amount + 1 WHERE {THE_ROW}",
        "UPDATE checkpoint SET root = sha256('x') WHERE size = 600",
        "UPDATE transfer SET amount = amount + 1 WHERE position = 2 AND batch_id = "
        "(SELECT batch_id FROM sealed_batch WHERE first_place = 400)",
    )
    found = await ledger.verify()
    assert ROW_NAMED in found.findings[0].row, said(found)


async def test_a_false_tile_root_makes_nothing_else_look_wrong(ledger: Ledgerful, owner: asyncpg.Connection) -> None:
    """A piece that would have begun on a false tile is checked again on the true one: the tile alone is named."""
    await tamper(owner, "UPDATE tile_root SET hash = sha256('x') WHERE place = 0")
    found = await ledger.verify()
    assert [one.row for one in found.findings] == ["tile root 0 of level 1 (places 0 to 255)"], said(found)


@pytest.mark.parametrize(
    ("change", "row"),
    [
        ("DELETE FROM account WHERE account_id = 2", "account 3"),
        ("UPDATE account SET account_id = 9 WHERE account_id = 4", "account 5"),
        ("UPDATE account SET transaction_id = 9000000000000000000 WHERE account_id = 2", "account 3"),
        ("UPDATE account SET asset_id = 9 WHERE account_id = 4", "account 4"),
        ("UPDATE account_closing SET account_id = 77", "account_closing of account 77 "),
        ("UPDATE account_closing SET transaction_id = 1", "account_closing of account 4 "),
    ],
)
async def test_a_changed_account_is_named(ledger: Ledgerful, owner: asyncpg.Connection, change: str, row: str) -> None:
    """Accounts are numbered without a gap in the order they were opened, and what is said of them is of one there is."""
    await ledger.close("eve")
    await tamper(owner, change)
    found = await ledger.verify()
    assert any(one.row.startswith(row) for one in found.findings if one.kind.startswith("account")), said(found)
