"""`tallystick ledger`: files of transfers go in and come out."""

import asyncio
import datetime as dt
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TaskProgressColumn,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)

from tallystick.cli.console import complain, out, say
from tallystick.cli.run import Book, on_store
from tallystick.errors import InvalidInput
from tallystick.ledger.files import BlockWriter, Format, Results, write_results
from tallystick.ledger.mass.read_transfers import Selection
from tallystick.open_store import FIRST_BOOK, Store
from tallystick.operations.export_transfers import export_transfers
from tallystick.operations.import_transfers import ImportReport, Step, import_transfers
from tallystick.security.model import OPERATOR

app = typer.Typer(no_args_is_help=True, help="The ledger: files of transfers go in and come out.")
_SHOWN = 10
_EXTENSIONS = {
    ".parquet": Format.PARQUET,
    ".arrow": Format.ARROW,
    ".feather": Format.ARROW,
    ".arrows": Format.ARROW_STREAM,
    ".avro": Format.AVRO,
    ".csv": Format.CSV,
}


@app.command("import")
def import_(  # noqa: PLR0913, PLR0917 - a command has as many options as it has
    file: Annotated[Path, typer.Argument(help="Parquet, Arrow, Avro or CSV, with columns id, debit, credit, amount …")],
    format_: Annotated[Format | None, typer.Option("--format", help="Find that it is of this format.")] = None,
    results: Annotated[
        Path | None, typer.Option(help="Write what became of each row to this file; its ending tells the format.")
    ] = None,
    open_accounts: Annotated[
        str | None, typer.Option(metavar="ASSET", help="Open the accounts that the book lacks, in this asset.")
    ] = None,
    retry_refused: Annotated[
        bool, typer.Option("--retry-refused", help="Judge the rows again that an earlier run of this file had refused.")
    ] = False,
    derived_ids: Annotated[
        bool, typer.Option("--derived-ids", help="Take ids of UUID version 8, too: for the export of another book.")
    ] = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Judge each batch as the ledger stands now, and keep nothing.")
    ] = False,
    book: Book = FIRST_BOOK,
) -> None:
    """
    Import a file of transfers. Doing it again, after a kill or for the results, posts nothing twice.

    Exit code 0: every row is in the ledger. 3: some were refused; they are named, and all are in the file of results.
    """

    async def work(store: Store) -> ImportReport:
        with _bar() as progress:
            writer = None if results is None else await asyncio.to_thread(_begin_results, results)
            try:
                report = await import_transfers(
                    store.operations, OPERATOR, book, file, format_=format_, results=writer,
                    open_accounts=open_accounts, retry_refused=retry_refused, derived_ids=derived_ids, dry_run=dry_run,
                    progress=_Watching(progress),
                )  # fmt: skip
            except BaseException:
                if writer is not None:
                    writer.discard()
                raise
            if writer is not None:
                await asyncio.to_thread(writer.finish)
            return report

    report = on_store(work)
    say_import(out, report, dry_run=dry_run)
    if results is not None:
        out.print(f"results: {results}", highlight=False, markup=False, soft_wrap=True)
    if report.refused:
        if not dry_run:
            say(
                "What was refused stays refused when the file is imported again; when the reason is gone, "
                "--retry-refused has it judged anew.",
                to=complain,
            )
        raise typer.Exit(3)


@app.command("export")
def export(
    file: Annotated[Path, typer.Argument(help="The file to write; its ending tells the format.")],
    format_: Annotated[
        Format | None, typer.Option("--format", help="Where the file's ending does not tell it.")
    ] = None,
    account: Annotated[str | None, typer.Option(help="Only this account and those below it.")] = None,
    since: Annotated[
        str | None, typer.Option(help="Recorded from this instant on, as in 2026-01-31T00:00:00Z.")
    ] = None,
    until: Annotated[str | None, typer.Option(help="Recorded before this instant.")] = None,
    force: Annotated[bool, typer.Option("--force", help="Write over a file that is there.")] = False,
    book: Book = FIRST_BOOK,
) -> None:
    """Write the transfers of a book, in the order of its log, to a file that `import` can read elsewhere."""
    chosen = format_ or format_of(file, "--format")
    if file.exists() and not force:
        raise InvalidInput(field="FILE", rule=f"{file} is there already; name another, or write over it with --force")
    selection = Selection(account, read_instant("--since", since), read_instant("--until", until))

    async def work(store: Store) -> int:
        columns = [TextColumn("export"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn()]
        terminal = Console(stderr=True)
        with Progress(*columns, console=terminal, disable=not terminal.is_terminal, transient=True) as progress:
            bar = progress.add_task("export", total=None)
            return await export_transfers(
                store.operations, OPERATOR, book, file, chosen, selection,
                progress=lambda done, total: progress.update(bar, completed=done, total=total),
            )  # fmt: skip

    written = on_store(work)
    out.print(f"{written:,} transfers in {file}", highlight=False, markup=False, soft_wrap=True)


def format_of(path: Path, option: str) -> Format:
    """
    Tell the format of a file to be written from its ending.

    Raises:
        InvalidInput: it is none of those there are (``invalid_input``).
    """
    found = _EXTENSIONS.get(path.suffix.lower())
    if found is None:
        raise InvalidInput(field=option, rule=f"The ending of {path.name} is none of {', '.join(_EXTENSIONS)}")
    return found


def read_instant(option: str, text: str | None) -> dt.datetime | None:
    """
    Read an instant with its zone; None stays None.

    Raises:
        InvalidInput: it is none, or has no zone (``invalid_input``).
    """
    if text is None:
        return None
    try:
        instant = dt.datetime.fromisoformat(text)
    except ValueError as error:
        raise InvalidInput(field=option, rule=f"{text!r} is no instant such as 2026-01-31T00:00:00Z") from error
    if instant.tzinfo is None:
        raise InvalidInput(field=option, rule=f"{text!r} has no zone; write Z behind it for UTC")
    return instant


def say_import(console: Console, report: ImportReport, *, dry_run: bool) -> None:
    """Show what an import did."""

    def say(text: str) -> None:
        console.print(text, highlight=False, markup=False, soft_wrap=True)

    width = len(f"{report.rows:,}") + 2

    def say_count(count: int, what: str) -> None:
        say(f"{count:>{width},} {what}")

    say_count(report.rows, f"rows ({report.format.value})" + (", judged and not kept" if dry_run else ""))
    for status, count in sorted(report.statuses.items()):
        say_count(count, status)
    if report.opened:
        say_count(report.opened, "accounts opened")
    if report.before:
        say_count(report.before, "rows had been imported before")
    for one in report.refused_rows[:_SHOWN]:
        say(f"row {one.row:,}: {one.status}" + "".join(f" {part}" for part in (one.field, one.rule) if part))
    if report.refused > _SHOWN:
        say(f"and {report.refused - _SHOWN:,} more")


def _begin_results(path: Path) -> BlockWriter[Results]:
    return write_results(path, format_of(path, "--results"))


def _bar() -> Progress:
    terminal = Console(stderr=True)
    return Progress(
        TextColumn("{task.description}"), BarColumn(), TaskProgressColumn(), TextColumn("{task.fields[rate]}"),
        TimeElapsedColumn(), TimeRemainingColumn(), console=terminal, disable=not terminal.is_terminal,
    )  # fmt: skip


class _Watching:
    """The progress bar of an import: first the file is read for its hash, then its rows are posted."""

    def __init__(self, progress: Progress) -> None:
        self._progress = progress
        self._stage = ""
        self._bar = progress.add_task("import", total=None, rate="")

    def __call__(self, step: Step) -> None:
        if step.stage != self._stage:
            self._stage = step.stage
            self._progress.reset(self._bar, description=step.stage, total=step.total, rate="")
        elapsed = self._progress.tasks[0].elapsed
        rate = f"{step.rows / elapsed:,.0f} rows/s" if step.rows and elapsed else ""
        self._progress.update(self._bar, completed=step.done, total=step.total, rate=rate)
