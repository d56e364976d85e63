"""The main job on real parts: a log goes in, verified receipts come out."""

import argparse
import asyncio
import contextlib
import datetime as dt
import secrets
import sys
import tempfile
import time
import uuid
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import uvloop
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from tallystick.cli.run import write_log
from tallystick.errors import TallystickError
from tallystick.ids import uuid7
from tallystick.invoicing.model import Invoice
from tallystick.ledger.log_keys import load_public_key
from tallystick.money import Money, currency
from tallystick.open_store import FIRST_BOOK, ensure_book, keys_directory, open_store
from tallystick.operations.carry_payments import carry_payments
from tallystick.operations.import_usage import ImportReport, import_usage
from tallystick.operations.invoicing_month import MonthRun, run_month
from tallystick.operations.run import Operations
from tallystick.operations.sealing import Sealing
from tallystick.operations.work_queues import QueueWorker
from tallystick.payments import wake as payments
from tallystick.payments.model import PaymentOutput
from tallystick.payments.providers.registry import Providers
from tallystick.payments.providers.sandbox import process as sandbox
from tallystick.payments.providers.sandbox.client import SandboxProvider
from tallystick.periods import month
from tallystick.receipts.verify import verify_receipt
from tallystick.security.model import OPERATOR
from tallystick.settings import read_settings
from tallystick.usage.decode.open_file import UsageFile
from tallystick.usage.sample import write_sample

OUTPUT = Path("demo-output")
AT_ONCE = 16
USD = currency("USD")
START = "1990-01-01T00:00:00Z"
ALL_TIME = {"start_at": START, "end_at": "9000-01-01T00:00:00Z"}

METERS: list[dict[str, Any]] = [
    {"code": "requests", "name": "requests", "event_type": "http.request", "aggregation": "count"},
    {"code": "bytes", "name": "bytes", "event_type": "http.request", "aggregation": "sum", "quantity": "bytes"},
]
PRICES: list[dict[str, Any]] = [
    {"charge": "access", "name": "Access to the API", "price": {"model": "flat", "amount": "2.00"}},
    {
        "charge": "requests",
        "name": "Requests",
        "meter": "requests",
        "price": {
            "model": "graduated",
            "free_units": "5",
            "tiers": [{"up_to": "100", "rate": "0.01"}, {"up_to": None, "rate": "0.004"}],
        },
    },
    {
        "charge": "traffic",
        "name": "Bytes served",
        "meter": "bytes",
        "price": {"model": "package", "size": "1", "rate": "0.03", "unit": {"per": "1000000", "name": "MB"}},
    },
]
"""What the demo charges: a flat fee, graduated requests with some free, and megabytes by the started package."""


@dataclass(slots=True)
class Outcome:
    """What the demo did."""

    report: ImportReport
    months: list[MonthRun] = field(default_factory=list)
    not_over: list[str] = field(default_factory=list)
    """Months with usage that cannot be invoiced yet."""
    settled: int = 0
    failed: int = 0
    paid: int = 0
    verified: int = 0
    wrong: list[str] = field(default_factory=list)


def main() -> None:
    """Run the demo; the exit code is 0 only if every invoice was paid and every receipt verified."""
    arguments = argparse.ArgumentParser(prog="make demo", description=__doc__)
    arguments.add_argument(
        "data", nargs="?", type=Path, help="an access log (Combined Log Format), or any file that usage import reads"
    )
    chosen = arguments.parse_args()
    write_log()
    out = Console(highlight=False)
    try:
        good = uvloop.run(_demo(out, chosen.data))
    except KeyboardInterrupt:
        Console(stderr=True).print("stopped; the demo keeps nothing")
        sys.exit(130)
    except TallystickError as error:
        Console(stderr=True).print(f"[red]error:[/red] {error.message} [dim]{error.code}[/dim]", highlight=False)
        sys.exit(1)
    sys.exit(0 if good else 1)


async def _demo(out: Console, data: Path | None) -> bool:
    began = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="tallystick-demo-") as directory:
        file = data or Path(directory) / "access.log"
        if data is None:
            write_sample(file)
        UsageFile(file).close()  # one that cannot be read is told before anything is started for it
        settings = replace(read_settings({}), data_directory=Path(directory))
        async with open_store(settings) as store, _sandbox(Path(directory) / "sandbox.jsonl") as provider:
            operations = store.operations
            operations.resources[Providers] = Providers.only(provider)
            queues = QueueWorker(operations, {payments.QUEUE: carry_payments})
            operations.resources[QueueWorker] = queues
            await ensure_book(operations, FIRST_BOOK)
            sealing = Sealing(operations, keys_directory(settings), settings.log_origin)
            workers = [asyncio.create_task(sealing.run()), asyncio.create_task(queues.run())]
            try:
                outcome = await _main_job(out, operations, file, _Keys(keys_directory(settings)))
            finally:
                for worker in workers:
                    worker.cancel()
                await asyncio.gather(*workers, return_exceptions=True)
    return _say(out, outcome, time.monotonic() - began)


async def _main_job(out: Console, operations: Operations, file: Path, keys: "_Keys") -> Outcome:
    await _set_prices(operations)
    with _progress(out) as progress:
        reading = progress.add_task("usage in", total=file.stat().st_size)
        report = await import_usage(
            operations, OPERATOR, FIRST_BOOK, file, complete=True,
            progress=lambda done, _: progress.update(reading, completed=done),
        )  # fmt: skip
        outcome = Outcome(report)
        for one in await _months(operations):
            if month(one).end_at > operations.clock.now():
                outcome.not_over.append(one)
            else:
                outcome.months.append(await _invoice(operations, one, progress))
        invoices = await _open_invoices(operations)
        paying = progress.add_task("payments", total=len(invoices))
        receipts = await _pay_all(operations, invoices, outcome, lambda: progress.advance(paying))
        verifying = progress.add_task("receipts", total=len(receipts))
        await _verify_all(operations, receipts, keys, outcome, lambda: progress.advance(verifying))
    return outcome


async def _invoice(operations: Operations, of_month: str, progress: Progress) -> MonthRun:
    bars = {stage: progress.add_task(f"{stage} {of_month}", total=None) for stage in ("drafting", "issuing")}
    waiting = progress.add_task("waiting, seconds", total=None, visible=False)
    done = await run_month(
        operations,
        OPERATOR,
        FIRST_BOOK,
        of_month,
        progress=lambda stage, count: progress.update(bars.get(stage, waiting), completed=count, visible=True),
    )
    progress.update(bars["drafting"], total=done.customers)
    progress.update(bars["issuing"], total=done.issued)
    return done


async def _set_prices(operations: Operations) -> None:
    async def do(name: str, fields: dict[str, Any]) -> None:
        await operations.call(OPERATOR, FIRST_BOOK, name, str(uuid7()), fields)

    await do("ledger.ensure_asset", {"asset": USD.code, "exponent": USD.exponent})
    for meter in METERS:
        await do("catalog.define_meter", meter)
    for price in PRICES:
        await do("catalog.set_price", {**price, "asset": USD.code, "effective_at": START})


async def _months(operations: Operations) -> list[str]:
    """Return the months that there is usage in."""
    summary = await operations.call(OPERATOR, FIRST_BOOK, "usage.summary", "", ALL_TIME)
    if summary.first_at is None:
        return []
    months, day = [], summary.first_at.date().replace(day=1)
    while day <= summary.last_at.date():
        months.append(f"{day:%Y-%m}")
        day = (day + dt.timedelta(days=32)).replace(day=1)
    return months


async def _open_invoices(operations: Operations) -> list[Invoice]:
    """Return every invoice that something is outstanding of."""
    found: list[Invoice] = []
    after = None
    while True:
        page = await operations.call(OPERATOR, FIRST_BOOK, "invoicing.list", "", {"after": after, "limit": 1000})
        found += [invoice for invoice in page.items if invoice.outstanding]
        if page.next is None:
            return found
        after = page.next


async def _pay_all(
    operations: Operations, invoices: list[Invoice], outcome: Outcome, tick: Callable[[], None]
) -> list[uuid.UUID]:
    """Pay each invoice as its customer would: start, then post what the provider gave."""
    receipts: list[uuid.UUID] = []
    gate = asyncio.Semaphore(AT_ONCE)

    async def pay(invoice: Invoice) -> None:
        async with gate:
            done = await _pay_one(operations, invoice)
        tick()
        if done.receipt_id is None:
            outcome.failed += 1
            return
        outcome.settled += 1
        outcome.paid += done.amount
        receipts.append(done.receipt_id)

    await asyncio.gather(*(pay(invoice) for invoice in invoices))
    return receipts


async def _pay_one(operations: Operations, invoice: Invoice) -> PaymentOutput:
    request = {
        "user": invoice.customer,
        "email": "customer@example.com",
        "timestamp": operations.clock.now().isoformat(),
        "payment_type": "credit",
    }
    start = {**request, "invoice_id": str(invoice.id)}
    started = await operations.call(OPERATOR, FIRST_BOOK, "payments.start", str(uuid7()), start)
    post = {**request, "transaction_id": started.transaction_id, "amount": started.amount}
    done: PaymentOutput = await operations.call(OPERATOR, FIRST_BOOK, "payments.post", str(uuid7()), post)
    return done


@dataclass(frozen=True, slots=True)
class _Keys:
    """Where the log's public key is, once there is one."""

    directory: Path

    def public(self) -> str:
        return str(load_public_key(self.directory, FIRST_BOOK))


async def _verify_all(
    operations: Operations, receipts: list[uuid.UUID], keys: _Keys, outcome: Outcome, tick: Callable[[], None]
) -> None:
    """Write each receipt to a file as its customer would keep it, read it again, and verify that."""
    (OUTPUT / "receipts").mkdir(parents=True, exist_ok=True)
    for old in (OUTPUT / "receipts").glob("*.json"):
        old.unlink()
    gate = asyncio.Semaphore(AT_ONCE)

    async def check(receipt_id: uuid.UUID) -> None:
        path = OUTPUT / "receipts" / f"{receipt_id}.json"
        async with gate:
            path.write_bytes(await _fetch(operations, receipt_id))
        try:
            verify_receipt(path.read_bytes(), keys.public())
            outcome.verified += 1
        except TallystickError as error:
            outcome.wrong.append(f"{path.name}: {error}")
        tick()

    await asyncio.gather(*(check(receipt_id) for receipt_id in receipts))
    if receipts:
        (OUTPUT / "log.pub").write_text(f"{keys.public()}\n")


async def _fetch(operations: Operations, receipt_id: uuid.UUID) -> bytes:
    """Return the receipt, waiting for its seal where it is only just posted."""
    async with asyncio.timeout(10):
        while True:
            try:
                answer = await operations.run(OPERATOR, FIRST_BOOK, "receipts.get", "", {"receipt_id": str(receipt_id)})
            except TallystickError as error:
                if not error.kind.retry_helps:
                    raise
                await asyncio.sleep(0.05)
            else:
                return answer.body


@contextlib.asynccontextmanager
async def _sandbox(state: Path) -> AsyncIterator[SandboxProvider]:
    secret = secrets.token_urlsafe(32)
    process = await sandbox.start(state, secret)
    try:
        async with SandboxProvider(process.url, secret) as client:
            yield client
    finally:
        await process.stop()


def _progress(out: Console) -> Progress:
    columns = [TextColumn("{task.description:<18}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn()]
    return Progress(*columns, console=out)


def _say(out: Console, outcome: Outcome, seconds: float) -> bool:
    report = outcome.report
    not_billable = ", ".join(f"{count:,} {reason}" for reason, count in sorted(report.not_billable.items()))
    issued = sum(one.issued for one in outcome.months)
    total = sum(one.totals.get(USD.code, 0) for one in outcome.months)
    set_aside = [one for of_month in outcome.months for one in of_month.failed]
    out.print(f"\n[bold]usage[/bold]     {report.lines:,} lines")
    out.print(
        f"          {report.accepted:,} accepted, {report.known:,} already known, of {report.customers:,} customers"
    )
    for name, quantity in sorted(report.quantities.items()):
        out.print(f"          {quantity:,} {name}")
    out.print(f"          {sum(report.not_billable.values()):,} not billable ({not_billable or 'none'})")
    out.print(f"          {report.malformed:,} malformed")
    for malformed in report.malformed_lines[:5]:
        out.print(f"            line {malformed.line:,}: {malformed.reason}", markup=False, soft_wrap=True)
    out.print(f"[bold]invoices[/bold]  {issued:,} issued, {Money(total, USD)} in all")
    if outcome.not_over:
        out.print(f"          {', '.join(outcome.not_over)} skipped: a month is invoiced once it is over")
    for one in set_aside[:5]:
        out.print(f"          {one.customer} could not be invoiced: {one.message}", markup=False, soft_wrap=True)
    out.print(
        f"[bold]payments[/bold]  {outcome.settled:,} settled, {Money(outcome.paid, USD)}; {outcome.failed:,} failed"
    )
    out.print(f"[bold]receipts[/bold]  {outcome.verified:,} verified offline, in {OUTPUT}/receipts")
    for wrong in outcome.wrong[:5]:
        out.print(f"          [red]{wrong}[/red]")
    complete = outcome.failed == 0 and outcome.verified == outcome.settled and outcome.paid == total and not set_aside
    good = bool(issued) and complete
    if good:
        out.print("[bold green]all receipts verified[/bold green]")
        for first in sorted((OUTPUT / "receipts").glob("*.json"))[:1]:
            out.print("\nCheck one yourself:")
            out.print(f"  .venv/bin/tallystick receipt verify {first} --key {OUTPUT}/log.pub", soft_wrap=True)
    elif complete and not outcome.months:
        out.print("[bold]no billable usage of a month that is over: there is nothing to invoice[/bold]")
    else:
        out.print("[bold red]something did not come out right[/bold red]")
    out.print(f"[dim]{seconds:.1f} s[/dim]")
    return good


if __name__ == "__main__":
    main()
