"""`tallystick charge file` and `result`: debits go to the bank as a file, and what it says of them comes back."""

import contextlib
import datetime as dt
import os
from pathlib import Path
from typing import Annotated

import typer
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from tallystick.cli.console import complain, out
from tallystick.cli.run import Book, on_store
from tallystick.collecting.bank.model import BankFile
from tallystick.collecting.bank.write_pain008 import write_amount
from tallystick.errors import InvalidInput
from tallystick.ids import uuid7
from tallystick.open_store import FIRST_BOOK, Store
from tallystick.operations.bank_files import ResultsReport, apply_results_file, write_debits
from tallystick.security.model import OPERATOR


def file(  # noqa: PLR0913, PLR0917 - a command has as many options as it has
    day: Annotated[dt.datetime, typer.Option("--day", formats=["%Y-%m-%d"], metavar="DAY", help="Whose charges.")],
    output: Annotated[Path, typer.Option("--output", "-o", help="The file to write.")],
    asset: Annotated[str, typer.Option(help="Of one currency.")] = "EUR",
    creditor: Annotated[str | None, typer.Option(help="Who collects: the name. Needed once, and kept.")] = None,
    iban: Annotated[str | None, typer.Option(help="The creditor's account.")] = None,
    creditor_id: Annotated[str | None, typer.Option(help="As the central bank gave it.")] = None,
    bic: Annotated[str | None, typer.Option(help="Of the creditor's bank.")] = None,
    book: Book = FIRST_BOOK,
) -> None:
    """Write the charges of a day as a file for the bank (pain.008.001.08); asked again, the same bytes."""
    said = None
    if creditor or iban or creditor_id or bic:
        said = {"name": creditor or "", "iban": iban or "", "creditor_id": creditor_id or "", "bic": bic}

    async def work(store: Store) -> BankFile:
        fields = {"on": day.date().isoformat(), "asset": asset, "creditor": said}
        taken: BankFile = await store.operations.call(OPERATOR, book, "bank.take_file", str(uuid7()), fields)
        beside = output.with_name(f".{output.name}.{os.getpid()}")
        try:
            with _bar("debits") as bar, beside.open("wb") as opened:
                task = bar.add_task("", total=taken.charges)
                await write_debits(
                    store.operations, OPERATOR, book, taken, opened, lambda done: bar.update(task, completed=done)
                )
            beside.replace(output)
        except OSError as error:
            raise InvalidInput(field="--output", rule=f"{output} cannot be written: {error.strerror}") from error
        finally:
            with contextlib.suppress(OSError):
                beside.unlink(missing_ok=True)
        return taken

    taken = on_store(work)
    total = write_amount(taken.total, taken.exponent)
    out.print(
        f"{taken.charges:,} debits of {total} {taken.asset} on {taken.debit_on}: {output}, known to the bank as "
        f"{taken.message_id}",
        highlight=False, markup=False, soft_wrap=True,
    )  # fmt: skip


def result(
    path: Annotated[Path, typer.Argument(metavar="FILE", help="pain.002, or CSV: charge, status, amount, reason.")],
    on: Annotated[
        dt.datetime | None, typer.Option("--on", formats=["%Y-%m-%d"], metavar="DAY", help="When the money came.")
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what would become of it, and keep nothing.")] = False,
    book: Book = FIRST_BOOK,
) -> None:
    """
    Apply what the bank says of debits; doing it again, after a kill or with the same file, applies what is missing.

    Results that cannot be applied are named and left out; the exit code is then 3.
    """

    async def work(store: Store) -> ResultsReport:
        received_on = None if on is None else on.date()
        with _bar("results") as bar:
            task = bar.add_task("", total=None)
            return await apply_results_file(
                store.operations, OPERATOR, book, path, received_on,
                lambda done, of: bar.update(task, completed=done, total=of), dry_run=dry_run,
            )  # fmt: skip

    require_file(path)
    report = on_store(work)
    words = {"applied": "would be applied" if dry_run else "applied", "under_way": "under way", "bad": "unreadable"}
    out.print(f"{report.results:,} results", highlight=False)
    for name in ("applied", "known", "under_way", "refused", "bad"):
        if report.counts[name] or name == "applied":
            out.print(f"{report.counts[name]:,} {words.get(name, name)}", highlight=False)
    for kind, count in sorted(report.failed.items()):
        out.print(f"{count:,} failed: {kind}", highlight=False)
    for told in report.told:
        out.print(told, highlight=False, markup=False, soft_wrap=True)
    if report.counts["bad"] or report.counts["refused"]:
        raise typer.Exit(3)


def require_file(path: Path) -> None:
    """Find that there is a file that can be read; else say so and end."""
    if path.is_file() and os.access(path, os.R_OK):
        return
    complain.print(f"error: {path} is no file that can be read", markup=False, highlight=False, soft_wrap=True)
    raise typer.Exit(2)


def _bar(what: str) -> Progress:
    columns = (TextColumn(what), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    return Progress(*columns, console=complain, transient=True, disable=not complain.is_terminal)
