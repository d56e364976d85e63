"""
Debit everybody: 100,000 customers owe two invoices each; one bank file is written, and what the bank says of it is applied.

The clock runs over all that an operator does: `tallystick charge make`, `charge file` and `charge result`, with a pain.002 of
every debit, of which one in fifty was refused. The invoices and the customers' choices of a day are there before.
"""

import datetime as dt
import os
import tempfile
import time
from pathlib import Path
from typing import Any

import asyncpg

from bench.table import Report, Result
from tallystick.clock import FixedClock
from tallystick.db.connect import open_pool
from tallystick.db.embedded import serving
from tallystick.db.migrate import migrate
from tallystick.ids import uuid7
from tallystick.ledger.books import open_book
from tallystick.operations.bank_files import apply_results_file, write_debits
from tallystick.operations.run import Operations
from tallystick.operations.run_charges import run_charges
from tallystick.operations.table import TABLE
from tallystick.security.model import OPERATOR

IDS = ("invoice_debit",)
CUSTOMERS = int(os.environ.get("BENCH_CUSTOMERS", "100000"))
INVOICES = 2
REFUSED_EACH = 50
NOW = dt.datetime(2026, 10, 1, 9, tzinfo=dt.UTC)
DAY = dt.date(2026, 10, 5)
_AT_ONCE = 500
CREDITOR = {"name": "Tallystick", "iban": "DE02120300000000202051", "creditor_id": "DE98ZZZ09999999999"}
AGREE = """
INSERT INTO debit_agreement (book_id, customer_id, bank_account, day, country, rule, cutoff_days, from_on,
                             transaction_id, message_place, agreed_at)
SELECT one.book_id, customer.customer_id, 'account of ' || customer.ref, one.day, one.country, one.rule, one.cutoff_days, one.from_on,
       transaction_order(), 0, one.agreed_at
FROM debit_agreement AS one JOIN customer ON customer.book_id = one.book_id AND customer.customer_id <> one.customer_id
"""
"""Lets all agree to what the first one did; each by itself would take longer than all that is measured."""
HEAD = """<?xml version="1.0" encoding="UTF-8"?>
<Document xmlns="urn:iso:std:iso:20022:tech:xsd:pain.002.001.10"><CstmrPmtStsRpt><GrpHdr><MsgId>1</MsgId></GrpHdr>
<OrgnlGrpInfAndSts><OrgnlMsgId>1</OrgnlMsgId><GrpSts>PART</GrpSts></OrgnlGrpInfAndSts><OrgnlPmtInfAndSts>
"""
TAIL = "</OrgnlPmtInfAndSts></CstmrPmtStsRpt></Document>\n"


class NotAllDebited(Exception):
    """A charge, a repayment or a refusal is missing."""


async def run(_: set[str], report: Report) -> None:
    """Let every customer owe, then debit all of them."""
    with tempfile.TemporaryDirectory(prefix="tallystick-bench-") as name:
        directory = Path(name)
        async with serving(directory) as store:
            await migrate(store.url)
            pool = await open_pool(store.url)
            async with pool.acquire() as connection:
                await open_book(connection, "main", NOW)
            operations = Operations(pool, FixedClock(NOW), TABLE)
            await _prepare(operations, pool)
            marks, used = [time.perf_counter()], [time.process_time()]
            made = await run_charges(operations, OPERATOR, "main", DAY, lambda _: None)
            marks.append(time.perf_counter())
            used.append(time.process_time())
            fields = {"on": DAY, "asset": "EUR", "creditor": CREDITOR}
            taken = await operations.call(OPERATOR, "main", "bank.take_file", str(uuid7()), fields)
            with (directory / "debit.xml").open("wb") as out:
                await write_debits(operations, OPERATOR, "main", taken, out, lambda _: None)
            marks.append(time.perf_counter())
            used.append(time.process_time())
            refused = _answer(directory / "debit.xml", directory / "result.xml")
            between = time.perf_counter() - marks[-1], time.process_time() - used[-1]
            done = await apply_results_file(
                operations, OPERATOR, "main", directory / "result.xml", None, lambda *_: None
            )
            marks.append(time.perf_counter())
            used.append(time.process_time())
            repaid = await pool.fetchval("SELECT count(*) FROM repayment_allocation")
            await pool.close()
    expected = (CUSTOMERS, CUSTOMERS, CUSTOMERS, INVOICES * (CUSTOMERS - refused))
    if (made.made, taken.charges, done.counts["applied"], repaid) != expected:
        raise NotAllDebited
    parts = [marks[at + 1] - marks[at] for at in range(3)]
    parts[2] -= between[0]
    ours = used[3] - used[0] - between[1]
    told: dict[str, int | float | str] = {
        "customers": CUSTOMERS, "make s": parts[0], "file s": parts[1], "result s": parts[2],
        "us of ours": ours * 1e6 / CUSTOMERS,
    }  # fmt: skip
    report(Result("invoice_debit", sum(parts), "s", told))


def _answer(debits: Path, results: Path) -> int:
    """Write what a bank says of a file of debits, and return how many it refuses."""
    refused = count = 0
    with debits.open() as read, results.open("w") as out:
        out.write(HEAD)
        for line in read:
            if not line.startswith("<DrctDbtTxInf>"):
                continue
            end = line.partition("<EndToEndId>")[2].partition("<")[0]
            count += 1
            status = "<TxSts>ACSC</TxSts>"
            if count % REFUSED_EACH == 0:
                refused += 1
                status = "<TxSts>RJCT</TxSts><StsRsnInf><Rsn><Cd>AM04</Cd></Rsn></StsRsnInf>"
            out.write(f"<TxInfAndSts><OrgnlEndToEndId>{end}</OrgnlEndToEndId>{status}</TxInfAndSts>\n")
        out.write(TAIL)
    return refused


async def _prepare(operations: Operations, pool: asyncpg.Pool) -> None:
    async def do(operation: str, **fields: Any) -> None:  # noqa: ANN401 - each operation has its own
        await operations.call(OPERATOR, "main", operation, str(uuid7()), fields)

    await do("ledger.ensure_asset", asset="EUR", exponent=2)
    wanted = [
        {
            "product": "loans", "reference": f"{customer}/{nth}", "customer": f"customer-{customer:07d}", "asset": "EUR",
            "due_on": DAY.isoformat(), "lines": [{"description": "instalment", "amount": 1_000 + nth}],
        }
        for customer in range(CUSTOMERS) for nth in range(INVOICES)
    ]  # fmt: skip
    for first in range(0, len(wanted), _AT_ONCE):
        await do("invoicing.request_many", invoices=wanted[first : first + _AT_ONCE])
    account = {"bank_account": "DE89370400440532013000", "country": "DE", "cutoff_days": 0}
    await do("collecting.choose_debit_day", customer="customer-0000000", day=5, **account)
    async with pool.acquire() as connection:
        await connection.execute(AGREE)
        await connection.execute("ANALYZE")
