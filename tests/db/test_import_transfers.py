"""Files of transfers go in, whatever happens on the way, and come out again."""

import asyncio
import datetime as dt
import os
import random
import shutil
import signal
import sys
import tempfile
import uuid
from pathlib import Path

import asyncpg
import numpy as np
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tallystick.clock import SystemClock
from tallystick.db.connect import open_pool
from tallystick.db.embedded import serving
from tallystick.db.migrate import migrate
from tallystick.errors import InvalidInput, TallystickError
from tallystick.ids import id_of_content, uuid7_batch
from tallystick.journal.attach import AttachmentChanged, digest, read_attachment
from tallystick.journal.check_attachments import check_attachments
from tallystick.ledger.books import find_book, open_book
from tallystick.ledger.files import Format, Refusal, open_transfers, write_results
from tallystick.ledger.files.errors import DamagedFile
from tallystick.ledger.files.model import ABSENT
from tallystick.ledger.mass.encode_columns import TransferColumns, decode_columns, encode_columns
from tallystick.ledger.mass.read_transfers import Selection
from tallystick.ledger.mass.take_columns import take_columns
from tallystick.ledger.model import NEVER, WHEN_RECORDED, Reason
from tallystick.operations.export_transfers import export_transfers
from tallystick.operations.import_transfers import ImportReport, import_transfers
from tallystick.operations.run import Operations
from tallystick.operations.table import TABLE
from tallystick.security.model import OPERATOR
from tests.conftest import House

ROOT = Path(__file__).parents[2]
FIRST = 8192
"""The rows of a first batch."""


def write_parquet(path: Path, **columns: object) -> Path:
    """Write a Parquet file of these columns."""
    pq.write_table(pa.table(columns), path)
    return path


def made_file(path: Path, rows: int, *, accounts: int = 50, seed: int = 1) -> Path:
    """Write *rows* transfers between accounts ``a/0``, ``a/1`` …, in order of their ids."""
    chance = np.random.default_rng(seed)
    debit = chance.integers(0, accounts, rows)
    credit = (debit + chance.integers(1, accounts, rows)) % accounts
    ids = pa.FixedSizeBinaryArray.from_buffers(pa.binary(16), rows, [None, pa.py_buffer(uuid7_batch(rows).tobytes())])
    return write_parquet(
        path,
        id=ids,
        debit=[f"a/{one}" for one in debit.tolist()],
        credit=[f"a/{one}" for one in credit.tolist()],
        amount=chance.integers(1, 1000, rows),
    )


async def bring(house: House, path: Path, **options: object) -> ImportReport:
    """Import a file as the operator."""
    return await import_transfers(house.operations, OPERATOR, "main", path, **options)  # type: ignore[arg-type]  # each test names its own


async def count(house: House) -> int:
    """Count the transfers in the store."""
    async with house.operations.pool.acquire() as connection:
        found: int = await connection.fetchval("SELECT count(*) FROM transfer")
        return found


async def balances(house: House, book: str = "main") -> dict[str, tuple[int, int]]:
    """Return the debits and credits of every account that was moved."""
    async with house.operations.pool.acquire() as connection:
        rows = await connection.fetch(
            "SELECT code, sums.debits, sums.credits FROM account JOIN book USING (book_id), "
            "account_sums(book_id, account_id) AS sums WHERE book.name = $1 AND sums.debits + sums.credits > 0", book
        )  # fmt: skip
    return {code: (int(debits), int(credited)) for code, debits, credited in rows}


async def test_a_file_is_posted_row_by_row_and_again_posts_nothing(house: House, tmp_path: Path) -> None:
    """Every row is a transfer, the accounts can be opened on the way, and a second run finds everything done."""
    path = made_file(tmp_path / "in.parquet", 20_000)
    first = await bring(house, path, open_accounts="USD")
    assert (first.rows, dict(first.statuses), first.opened, first.before) == (20_000, {"ledger.posted": 20_000}, 50, 0)
    moved = await balances(house)
    again = await bring(house, path)
    assert (again.before, dict(again.statuses)) == (20_000, {"ledger.posted": 20_000})
    assert (await count(house), await balances(house)) == (20_000, moved)


async def test_the_same_transfers_in_another_file_are_known(house: House, tmp_path: Path) -> None:
    """Another file with the same rows posts nothing; with another amount under an id it is told which field differs."""
    ids = [str(uuid.UUID(bytes=one.tobytes())) for one in uuid7_batch(3)]
    same = {"id": ids, "debit": ["x"] * 3, "credit": ["y"] * 3}
    await bring(house, write_parquet(tmp_path / "a.parquet", **same, amount=[1, 2, 3]), open_accounts="USD")
    report = await bring(house, write_parquet(tmp_path / "b.parquet", **same, amount=[1, 5, 3], asset=["USD"] * 3))
    assert dict(report.statuses) == {"ledger.known": 2, "ledger.id_conflict": 1}
    assert [(one.row, one.status, one.field) for one in report.refused_rows] == [(2, "ledger.id_conflict", "amount")]
    assert await count(house) == 3


async def test_bad_rows_spoil_nothing_and_each_is_named(house: House, tmp_path: Path) -> None:
    """What cannot be read, and what the ledger refuses, is told by row, status and field; the rest is posted."""
    path = tmp_path / "in.csv"
    fresh = [str(uuid.UUID(bytes=one.tobytes())) for one in uuid7_batch(9)]
    path.write_text(
        "id,debit,credit,amount,reason\n"
        f"{fresh[0]},bank,ada,5,deposit\n"
        f"not-an-id,bank,ada,5,\n"
        f"{fresh[1]},bank,ada,0,\n"
        f"{fresh[2]},bank,nobody,7,\n"
        f"{fresh[3]},bank,bank,7,\n"
        f"{fresh[4]},bank,ada,7,bribe\n"
        f"{id_of_content(['x'])},bank,ada,7,\n"
        f"{fresh[5]},bank,ada,8,fee\n"
    )
    for code in ("bank", "ada"):
        await house.do("ledger.open_account", account=code, asset="USD")
    results = tmp_path / "results.csv"
    with write_results(results, Format.CSV) as writer:
        report = await bring(house, path, results=writer)
    assert (report.rows, report.refused) == (8, 6)
    assert [(one.row, one.status, one.field) for one in report.refused_rows] == [
        (2, "invalid_input", "id"),
        (3, "invalid_input", "amount"),
        (4, "ledger.unknown_credit_account", "credit"),
        (5, "ledger.same_account", "credit"),
        (6, "invalid_input", "reason"),
        (7, "invalid_input", "id"),
    ]
    written = pa.csv.read_csv(results).to_pydict()
    assert written["row"] == list(range(1, 9))
    assert written["status"][0] == written["status"][7] == "ledger.posted"
    assert written["amount"] == [5, 0, 0, 0, 0, 0, 0, 8]
    assert written["field"][3] == "credit"
    assert (await house.do("ledger.balance", account="ada")).balance == 13
    second = tmp_path / "again.csv"
    with write_results(second, Format.CSV) as writer:
        await bring(house, path, results=writer)
    assert second.read_bytes() == results.read_bytes()


async def test_what_the_product_derived_elsewhere_comes_in_when_the_operator_says_so(
    house: House, tmp_path: Path
) -> None:
    """The movements of an invoice have ids and reasons of the product's own; in another book they are transfers."""
    path = tmp_path / "in.csv"
    path.write_text(f"id,debit,credit,amount,reason\n{id_of_content(['x'])},a,b,7,invoice_issue\n")
    assert (await bring(house, path, open_accounts="USD")).refused == 1
    report = await bring(house, path, open_accounts="USD", derived_ids=True, retry_refused=True)
    assert dict(report.statuses) == {"ledger.posted": 1}


async def test_refused_rows_are_judged_again_when_that_is_wanted(house: House, tmp_path: Path) -> None:
    """A refusal stays until a retry is asked for; from then on the new answer is the one that stands."""
    path = made_file(tmp_path / "in.parquet", 100, accounts=2)
    await house.do("ledger.open_account", account="a/0", asset="USD")
    assert (await bring(house, path)).refused == 100
    await house.do("ledger.open_account", account="a/1", asset="USD")
    assert (await bring(house, path)).refused == 100
    assert dict((await bring(house, path, retry_refused=True)).statuses) == {"ledger.posted": 100}
    after = await bring(house, path)
    assert (after.refused, after.before, await count(house)) == (0, 100, 100)


async def test_rows_that_depend_on_earlier_ones_are_judged_behind_them(house: House, tmp_path: Path) -> None:
    """A limited account is paid into in the first batch and drawn on in the later ones: nothing is refused."""
    await house.do("ledger.open_account", account="bank", asset="USD")
    await house.do("ledger.open_account", account="purse", asset="USD", min_balance=0)
    rows = 3 * FIRST
    ids = [one.tobytes() for one in uuid7_batch(rows)]
    path = write_parquet(
        tmp_path / "in.parquet",
        id=pa.array(ids, pa.binary(16)),
        debit=["bank"] * FIRST + ["purse"] * 2 * FIRST,
        credit=["purse"] * FIRST + ["bank"] * 2 * FIRST,
        amount=[2] * FIRST + [1] * 2 * FIRST,
    )
    assert dict((await bring(house, path)).statuses) == {"ledger.posted": rows}
    assert (await house.do("ledger.balance", account="purse")).balance == 0


async def test_every_kind_of_transfer_can_be_imported(house: House, tmp_path: Path) -> None:
    """Holds are captured and released, sweeps take what there is, reversals undo: as one by one over the door."""
    await house.do("ledger.open_account", account="bank", asset="USD")
    await house.do("ledger.open_account", account="purse", asset="USD", min_balance=0)
    ids = [uuid.UUID(bytes=one.tobytes()) for one in uuid7_batch(8)]
    lines = [
        f"{ids[0]},,bank,purse,100,,,salary",
        f"{ids[1]},hold,purse,bank,60,,,",
        f"{ids[2]},capture,,,25,{ids[1]},,",
        f"{ids[3]},release,,,,{ids[1]},,",
        f"{ids[4]},transfer,purse,bank,5,,,",
        f"{ids[5]},reversal,,,,,{ids[4]},",
        f"{ids[6]},sweep,purse,bank,1000,,,",
        f"{ids[7]},transfer,purse,bank,1,,,",
    ]
    path = tmp_path / "in.csv"
    path.write_text("\n".join(["id,kind,debit,credit,amount,hold,reverses,reference", *lines, ""]))
    results = tmp_path / "results.csv"
    with write_results(results, Format.CSV) as writer:
        report = await bring(house, path, results=writer)
    assert [(one.row, one.status) for one in report.refused_rows] == [(8, "ledger.limit_exceeded")]
    assert pa.csv.read_csv(results).to_pydict()["amount"] == [100, 60, 25, 35, 5, 5, 75, 0]
    assert (await house.do("ledger.balance", account="purse")).available == 0


async def test_the_message_holds_every_row_of_its_batch(house: House, tmp_path: Path) -> None:
    """What is attached to a message is what was sent, refused rows included; changed, it is found out."""
    path = tmp_path / "in.csv"
    good = uuid.UUID(bytes=uuid7_batch(1)[0].tobytes())
    path.write_text(f"id,debit,credit,amount,reference\n{good},x,y,3,Grüße\nbad,x,y,3,\n")
    await bring(house, path, open_accounts="USD")
    with open_transfers(path) as file:
        sent = take_columns(next(iter(file)))
    async with house.operations.pool.acquire() as connection:
        book_id = (await find_book(connection, "main")).book_id
        ((transaction, body),) = await connection.fetch(
            "SELECT transaction_id, body FROM message WHERE operation = 'ledger.import_batch'"
        )
        wanted = digest(encode_columns(sent))
        assert wanted.encode() in body
        kept = decode_columns(await read_attachment(connection, book_id, transaction, 0, wanted))
        assert encode_columns(kept) == encode_columns(sent)
        assert kept.refused == [Refusal(1, "id", sent.refused[0].rule)]
        with pytest.raises(AttachmentChanged):
            await read_attachment(connection, book_id, transaction, 0, digest(b"else"))


@pytest.mark.parametrize(
    "change",
    [
        "UPDATE message_attachment SET content = overlay(content PLACING '\\x00' FROM length(content) - 9)",
        "UPDATE message_attachment SET size = size - 1",
        "DELETE FROM message_attachment",
    ],
)
async def test_a_changed_attachment_is_named(
    house: House, tmp_path: Path, owner: asyncpg.Connection, change: str
) -> None:
    """Whoever changes or removes an attachment behind the product's back is found out, by the message's key."""
    await bring(house, made_file(tmp_path / "in.parquet", 100), open_accounts="USD")
    book_id, last = await owner.fetchrow("SELECT book_id, transaction_id FROM message_attachment") or (0, 0)
    assert await check_attachments(owner, book_id, 0, last) == []
    await owner.execute("ALTER TABLE message_attachment DISABLE TRIGGER append_only")
    await owner.execute(change)
    ((transaction_id, place, key),) = await check_attachments(owner, book_id, 0, last)
    assert (transaction_id, place, key.split(":")[0]) == (last, 0, "import")


ROWS = st.integers(1, 40)


@given(data=st.data(), rows=ROWS)
def test_columns_come_back_as_they_were_encoded(data: st.DataObject, rows: int) -> None:
    """Whatever the columns hold, decoding gives exactly the batch again, and encoding that the same bytes."""
    codes = sorted(data.draw(st.sets(st.text(max_size=9).filter(_is_utf8), min_size=1, max_size=12)))

    def numbers(low: int, high: int) -> list[int]:
        return data.draw(st.lists(st.integers(low, high), min_size=rows, max_size=rows))

    def maybe(values: np.ndarray) -> np.ndarray | None:
        return values if data.draw(st.booleans()) else None

    longs = (-(2**63), 2**63 - 1)
    references = data.draw(st.lists(st.text(max_size=5).filter(_is_utf8), min_size=rows, max_size=rows))
    columns = TransferColumns(
        ids=np.frombuffer(data.draw(st.binary(min_size=16 * rows, max_size=16 * rows)), "V16"),
        codes=codes,
        debits=np.array(numbers(ABSENT, len(codes) - 1), np.int32),
        credits=np.array(numbers(ABSENT, len(codes) - 1), np.int32),
        amounts=np.array(numbers(*longs), np.int64),
        reasons=np.array(numbers(0, 99), np.int16),
        assets=["EUR", "USD"],
        asset_places=maybe(np.array(numbers(ABSENT, 1), np.int32)),
        references=references if data.draw(st.booleans()) else None,
        effective_at=maybe(np.array(numbers(*longs), np.int64)),
        related=maybe(np.frombuffer(data.draw(st.binary(min_size=16 * rows, max_size=16 * rows)), "V16")),
        expires_at=maybe(np.array(numbers(*longs), np.int64)),
        refused=[
            Refusal(place, "id", "must be a UUID") for place in sorted(data.draw(st.sets(st.integers(0, rows - 1))))
        ],
    )
    encoded = encode_columns(columns)
    back = decode_columns(encoded)
    assert encode_columns(back) == encoded
    for name in ("codes", "assets", "references", "refused"):
        assert getattr(back, name) == getattr(columns, name)
    for name in (
        "ids",
        "debits",
        "credits",
        "amounts",
        "reasons",
        "asset_places",
        "effective_at",
        "related",
        "expires_at",
    ):
        before, after = getattr(columns, name), getattr(back, name)
        assert (before is None) == (after is None)
        assert before is None or before.tolist() == after.tolist()


def _is_utf8(text: str) -> bool:
    return not any("\ud800" <= letter <= "\udfff" for letter in text)


@pytest.mark.parametrize("cut", [0, 1, 30, 200, -1])
def test_bytes_that_are_no_columns_are_refused(cut: int, tmp_path: Path) -> None:
    """A cut or foreign content is an error, never half a batch."""
    with open_transfers(made_file(tmp_path / "in.parquet", 10)) as file:
        encoded = encode_columns(take_columns(next(iter(file))))
    with pytest.raises(InvalidInput):
        decode_columns(encoded[:cut])


async def test_a_dry_run_keeps_nothing(house: House, tmp_path: Path) -> None:
    """It judges every row and leaves neither a transfer nor a message behind."""
    path = made_file(tmp_path / "in.parquet", 9_000, accounts=2)
    for code in ("a/0", "a/1"):
        await house.do("ledger.open_account", account=code, asset="USD")
    report = await bring(house, path, dry_run=True)
    assert (dict(report.statuses), await count(house)) == ({"ledger.posted": 9_000}, 0)
    assert (await bring(house, path)).before == 0
    with pytest.raises(InvalidInput):
        await bring(house, path, dry_run=True, open_accounts="USD")


async def test_a_file_without_rows_is_imported_at_once(house: House, tmp_path: Path) -> None:
    """Nothing to do is done; a file without even columns is refused."""
    assert (await bring(house, made_file(tmp_path / "none.parquet", 0))).rows == 0
    empty = tmp_path / "empty"
    empty.touch()
    with pytest.raises(TallystickError):
        await bring(house, empty)


async def test_a_file_cut_short_keeps_what_came_before_the_cut(house: House, tmp_path: Path) -> None:
    """The rows before the damage are posted, the damage is told, and the whole file then adds the rest."""
    whole = tmp_path / "whole.arrows"
    table = pq.read_table(made_file(tmp_path / "in.parquet", 3 * FIRST))
    with pa.ipc.new_stream(whole, table.schema) as writer:
        writer.write_table(table, max_chunksize=FIRST)
    cut = tmp_path / "cut.arrows"
    cut.write_bytes(whole.read_bytes()[: whole.stat().st_size * 2 // 3])
    with pytest.raises(DamagedFile):
        await bring(house, cut, open_accounts="USD")
    assert await count(house) == FIRST
    report = await bring(house, whole)
    assert dict(report.statuses) == {"ledger.known": FIRST, "ledger.posted": 2 * FIRST}


async def test_sums_too_large_for_a_batch_are_posted_in_parts(house: House, tmp_path: Path) -> None:
    """Amounts that overflow together are no reason to refuse a file; a second run finds the parts done."""
    rows = 5
    path = write_parquet(
        tmp_path / "in.parquet",
        id=pa.array([one.tobytes() for one in uuid7_batch(rows)], pa.binary(16)),
        debit=["x"] * rows, credit=["y"] * rows, amount=[2**62] * rows,
    )  # fmt: skip
    assert dict((await bring(house, path, open_accounts="USD")).statuses) == {"ledger.posted": rows}
    assert dict((await bring(house, path)).statuses) == {"ledger.posted": rows}
    assert (await balances(house))["y"] == (0, rows * 2**62)


@pytest.mark.parametrize("format_", list(Format))
async def test_what_is_exported_can_be_imported_elsewhere(house: House, tmp_path: Path, format_: Format) -> None:
    """Through each format, a book's movements make the same balances in an empty book."""
    await bring(house, made_file(tmp_path / "in.parquet", 500), open_accounts="USD")
    await house.do("ledger.transfer", id=str(uuid.uuid4()), debit="a/0", credit="a/1", amount=7, reference="Miete, März",
                   effective_at="2026-01-31T12:00:00.123456Z", reason="payment")  # fmt: skip
    hold = str(uuid.uuid4())
    await house.do("ledger.hold", id=hold, debit="a/2", credit="a/3", amount=9)
    await house.do("ledger.capture", id=str(uuid.uuid4()), hold=hold, amount=4)
    out = tmp_path / "out"
    assert await export_transfers(house.operations, OPERATOR, "main", out, format_) == 502
    async with house.operations.pool.acquire() as connection:
        await open_book(connection, "other", SystemClock().now())
    await house.operations.call(OPERATOR, "other", "ledger.ensure_asset", "a", {"asset": "USD", "exponent": 2})
    report = await import_transfers(house.operations, OPERATOR, "other", out, open_accounts="USD")
    assert dict(report.statuses) == {"ledger.posted": 502}
    assert await balances(house, "other") == await balances(house)


async def test_an_export_can_be_narrowed_to_a_subtree_and_a_period(house: House, tmp_path: Path) -> None:
    """Only what touches the account or what lies below it, and only what was recorded in the period."""
    for code in ("shop/1", "shop/1/fees", "shop/10", "bank"):
        await house.do("ledger.open_account", account=code, asset="USD")
    for code in ("shop/1", "shop/1/fees", "shop/10"):
        await house.do("ledger.transfer", id=str(uuid.uuid4()), debit="bank", credit=code, amount=1)
    out = tmp_path / "out.parquet"

    async def export(**chosen: object) -> list[str]:
        selection = Selection(**chosen)  # type: ignore[arg-type]  # each call names its own
        await export_transfers(house.operations, OPERATOR, "main", out, Format.PARQUET, selection)
        return list(pq.read_table(out).to_pydict()["credit"])

    assert await export() == ["shop/1", "shop/1/fees", "shop/10"]
    assert await export(account="shop/1") == ["shop/1", "shop/1/fees"]
    now = SystemClock().now()
    assert await export(until=now - dt.timedelta(hours=1)) == []
    assert await export(since=now - dt.timedelta(hours=1), until=now + dt.timedelta(hours=1)) == await export()
    with pytest.raises(TallystickError):
        await export(account="shop/2")


async def start_import(url: str, path: Path) -> asyncio.subprocess.Process:
    """Import in a process of its own, which says a line for each batch."""
    command = [sys.executable, "-m", "tests.db.importing_process", url, str(path)]
    return await asyncio.create_subprocess_exec(
        *command, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT, cwd=ROOT
    )


@pytest.mark.parametrize("seed", [1, 2])
async def test_an_import_killed_anywhere_is_finished_by_the_next(
    house: House, database_url: str, tmp_path: Path, seed: int
) -> None:
    """However often the importing process is killed, in the end every row is there once."""
    chance = random.Random(seed)
    path = made_file(tmp_path / "in.parquet", 12 * FIRST)
    for _ in range(3):
        process = await start_import(database_url, path)
        assert process.stdout is not None
        for _ in range(chance.randrange(1, 4)):
            await process.stdout.readline()  # a batch is done
        await asyncio.sleep(chance.random() / 20)  # anywhere within the next ones
        process.kill()
        await process.communicate()
    report = await bring(house, path)
    assert (report.rows, report.refused, await count(house)) == (12 * FIRST, 0, 12 * FIRST)
    assert report.before >= FIRST
    assert await balances(house) == await _expected(path)


async def _expected(path: Path) -> dict[str, tuple[int, int]]:
    """Add the file up by another way."""
    sums: dict[str, list[int]] = {}
    for row in pq.read_table(path, columns=["debit", "credit", "amount"]).to_pylist():
        sums.setdefault(row["debit"], [0, 0])[0] += row["amount"]
        sums.setdefault(row["credit"], [0, 0])[1] += row["amount"]
    return {code: (debits, credited) for code, (debits, credited) in sums.items()}


async def test_an_import_outlives_a_crash_of_postgresql(tmp_path: Path) -> None:
    """When the server dies in the middle and comes back, the import goes on, and every row is there once."""
    path = made_file(tmp_path / "in.parquet", 12 * FIRST)
    data = Path(tempfile.mkdtemp(prefix="tallystick-tests-"))  # PostgreSQL's account has to reach it
    async with serving(data) as server:
        await migrate(server.url)
        pool = await open_pool(server.url)
        async with pool.acquire() as connection:
            await open_book(connection, "main", SystemClock().now())
        house = House(Operations(pool, SystemClock(), TABLE))
        await house.do("ledger.ensure_asset", asset="USD", exponent=2)
        begun = asyncio.Event()
        keeping = asyncio.create_task(server.keep_alive())
        bringing = asyncio.create_task(
            bring(house, path, open_accounts="USD", progress=lambda step: begun.set() if step.rows else None)
        )
        await begun.wait()
        os.kill(int(next(data.rglob("postmaster.pid")).read_text().split()[0]), signal.SIGKILL)
        report = await bringing
        assert (report.refused, await count(house)) == (0, 12 * FIRST)
        assert await balances(house) == await _expected(path)
        keeping.cancel()
        await asyncio.gather(keeping, return_exceptions=True)
        await pool.close()
    shutil.rmtree(data)


async def test_a_million_rows_take_bounded_memory(database_url: str, house: House, tmp_path: Path) -> None:
    """The importing process stays below a gibibyte, however many rows there are."""
    path = made_file(tmp_path / "in.parquet", 1_000_000)
    process = await start_import(database_url, path)
    told, _ = await process.communicate()
    assert process.returncode == 0, told
    peak = int(told.split()[-1])
    assert peak < 1024
    assert await count(house) == 1_000_000


async def test_an_open_question_is_asked_once_for_many_batches(house: House, tmp_path: Path) -> None:
    """A run that finds everything done asks for the answers of many batches at a time."""
    path = made_file(tmp_path / "in.parquet", 20 * 512)
    await bring(house, path, open_accounts="USD")
    asked: list[str] = []
    async with house.operations.pool.acquire() as connection:
        connection.add_query_logger(lambda query: asked.append(query.query))
        await bring(House(house.operations), path)
    assert len(asked) <= 2


def test_what_a_row_does_not_say_is_left_out(tmp_path: Path) -> None:
    """Columns in which no row says anything cost nothing in the message."""
    path = write_parquet(
        tmp_path / "in.parquet",
        id=pa.array([one.tobytes() for one in uuid7_batch(2)], pa.binary(16)),
        debit=["x", "x"], credit=["y", "y"], amount=[1, 2],
        reference=pa.array([None, None], pa.string()), effective_at=pa.array([None, None], pa.timestamp("us", "UTC")),
    )  # fmt: skip
    with open_transfers(path) as file:
        columns = take_columns(next(iter(file)))
    assert (columns.references, columns.effective_at, columns.expires_at) == (None, None, None)
    assert columns.reasons.tolist() == [Reason.TRANSFER] * 2
    assert NEVER > 0 > WHEN_RECORDED


async def test_a_book_without_the_asset_is_told_before_anything_is_posted(
    house: House, tmp_path: Path, owner: asyncpg.Connection
) -> None:
    """Opening accounts in an asset that is not there refuses the import as a whole."""
    path = made_file(tmp_path / "in.parquet", 10)
    with pytest.raises(TallystickError) as refused:
        await bring(house, path, open_accounts="EUR")
    assert refused.value.code == "ledger.unknown_asset"
    assert await owner.fetchval("SELECT count(*) FROM transfer") == 0
