"""`tallystick usage amend|void` and `usage months|detach|export-month|attach|drop|restore|retention|retain`."""

import contextlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Annotated, Any

import msgspec
import typer
from rich.console import Console
from rich.progress import Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

from tallystick.cli.console import complain, out, say
from tallystick.cli.run import Book, ask, on_store
from tallystick.ids import uuid7
from tallystick.open_store import FIRST_BOOK, Store
from tallystick.operations.usage_archive import (
    Manifest,
    MonthsOutput,
    MovedOutput,
    detach_folded,
    export_month,
    restore_month,
    retain,
)
from tallystick.operations.usage_corrections import CorrectOutput
from tallystick.security.model import OPERATOR
from tallystick.usage.archive.retention import Retention, RetentionStep

Month = Annotated[str, typer.Argument(help="A month of UTC, such as 2015-05.")]
Source = Annotated[str, typer.Option(help="Who reported it.")]
Reason = Annotated[str, typer.Option(help="Why; it is kept.")]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Judge it, answer, and keep nothing.")]
_MEGABYTE = 1_000_000


def amend(
    event_id: Annotated[str, typer.Argument(metavar="ID", help="The id that its source gave it.")],
    source: Source,
    reason: Reason,
    quantity: Annotated[
        list[str] | None, typer.Option("--quantity", "-q", metavar="NAME=NUMBER", help="All of its quantities.")
    ] = None,
    dimension: Annotated[
        list[str] | None, typer.Option("--dimension", "-d", metavar="NAME=VALUE", help="All of its dimensions.")
    ] = None,
    dry_run: DryRun = False,
    book: Book = FIRST_BOOK,
) -> None:
    """
    Amend an event: other numbers count from now on, and what is invoiced already is adjusted on the next invoice.

    When and by whom something was used cannot be amended: void the event and send the usage anew, under another id.
    """
    event: dict[str, Any] = {"id": event_id}
    for field, pairs in (("quantities", quantity), ("dimensions", dimension)):
        if pairs is not None:
            event[field] = _read_pairs(field, pairs)
    _correct("usage.amend", source, reason, event, book, dry_run=dry_run)


def void(
    event_id: Annotated[str, typer.Argument(metavar="ID", help="The id that its source gave it.")],
    source: Source,
    reason: Reason,
    dry_run: DryRun = False,
    book: Book = FIRST_BOOK,
) -> None:
    """Take an event back: it does not count from now on, and what is invoiced already is adjusted on the next invoice."""
    _correct("usage.void", source, reason, {"id": event_id}, book, dry_run=dry_run)


def _read_pairs(field: str, pairs: list[str]) -> dict[str, str]:
    read: dict[str, str] = {}
    for pair in pairs:
        name, equals, value = pair.partition("=")
        if not equals:
            complain.print(f"[red]error:[/red] {field}: {pair} is not NAME=VALUE", highlight=False)
            raise typer.Exit(2)
        read[name] = value
    return read


def _correct(operation: str, source: str, reason: str, event: dict[str, Any], book: str, *, dry_run: bool) -> None:
    asked = {"source": source, "reason": reason, "events": [event]}

    async def work(store: Store) -> bytes:
        return (await store.operations.run(OPERATOR, book, operation, str(uuid7()), asked, dry_run=dry_run)).body

    answer = msgspec.json.decode(on_store(work), type=CorrectOutput)
    if not answer.items:
        out.print("would be corrected" if dry_run else "corrected", highlight=False)
        return
    (item,) = answer.items
    told = " ".join(filter(None, (item.field, item.reason)))
    (complain if answer.refused else out).print(
        f"{item.status.replace('_', ' ')}: {told}".rstrip(": "), highlight=False
    )
    if answer.refused:
        raise typer.Exit(1)


def months(book: Book = FIRST_BOOK) -> None:
    """List the months of usage: attached, detached, exported or dropped, and how much there is of each."""
    found: MonthsOutput = ask(book, "usage.months", {})
    table = Table("month", "state", "rows", "MB", "order", "file", box=None)
    for one in found.items:
        rows = f"{one.rows:,}" if one.exact else f"about {one.rows:,}"
        size = "" if one.bytes is None else f"{one.bytes / _MEGABYTE:,.1f}"
        order = "" if one.first_order is None else f"{one.first_order} to {one.last_order}"
        state = one.state if one.piece is None else f"{one.state} (piece {one.piece})"
        table.add_row(one.month, state, rows, size, order, one.file or "")
    out.print(table)


def detach(month: Month, book: Book = FIRST_BOOK) -> None:
    """Detach a month that is over: it stays in the store, and is neither read nor rated, but for its totals."""

    async def work(store: Store) -> MovedOutput:
        return await detach_folded(store.operations, OPERATOR, book, month)

    _say_moved(on_store(work))


def attach(month: Month, book: Book = FIRST_BOOK) -> None:
    """Attach a month again, with what came late for it meanwhile."""
    _say_moved(ask(book, "usage.attach_month", {"month": month}))


def drop(
    month: Month,
    even_unexported: Annotated[
        bool, typer.Option("--even-unexported", help="Also if there is no file of it: it is gone then.")
    ] = False,
    book: Book = FIRST_BOOK,
) -> None:
    """Drop a month that is detached and exported, and whose invoices are issued. That its events were there stays known."""
    _say_moved(ask(book, "usage.drop_month", {"month": month, "even_unexported": even_unexported}))


def export(
    month: Month,
    directory: Annotated[Path, typer.Argument(help="Where the file and its manifest go.", file_okay=False)],
    book: Book = FIRST_BOOK,
) -> None:
    """Write a month that is detached to a Parquet file, with a manifest beside it: rows, order, SHA-256."""

    async def work(store: Store) -> list[Manifest]:
        with _progress() as tick:
            return await export_month(store.operations, OPERATOR, book, month, directory, tick)

    written = on_store(work)
    for one in written:
        say(f"{one.file}: {one.rows:,} rows\n  sha256 {one.sha256}")
    if not written:
        out.print(f"nothing of {month} is detached that is not exported", highlight=False)


def restore(
    manifest: Annotated[Path, typer.Argument(help="The manifest beside the file.", exists=True, dir_okay=False)],
    book: Book = FIRST_BOOK,
) -> None:
    """Read a month that was dropped back from its file, row for row; `attach` makes it count again."""

    async def work(store: Store) -> Manifest:
        with _progress() as tick:
            return await restore_month(store.operations, OPERATOR, book, manifest, tick)

    one = on_store(work)
    out.print(f"{one.month}: {one.rows:,} rows restored", highlight=False)


def retention(
    attached: Annotated[int | None, typer.Option(help="How many months before the present one stay attached.")] = None,
    kept: Annotated[int | None, typer.Option(help="How many of them stay in the store; more are dropped.")] = None,
    forever: Annotated[bool, typer.Option("--forever", help="Keep all of them, as if nothing had been set.")] = False,
    book: Book = FIRST_BOOK,
) -> None:
    """Set how long months of usage stay, or show it. `retain` applies it."""
    asked = {"attached_months": attached, "kept_months": kept}
    change = forever or attached is not None or kept is not None
    policy: Retention = ask(book, "usage.set_retention", asked) if change else ask(book, "usage.retention", {})

    def words(count: int | None) -> str:
        return "for ever" if count is None else f"for {count} months"

    out.print(f"attached {words(policy.attached_months)}, kept {words(policy.kept_months)}", highlight=False)


def retain_(
    directory: Annotated[
        Path, typer.Argument(help="Where files of months go before they are dropped.", file_okay=False)
    ],
    dry_run: DryRun = False,
    book: Book = FIRST_BOOK,
) -> None:
    """
    Detach, export and drop the months that the policy no longer keeps. Interrupted, run it again.

    A month that cannot go yet says why and stays; the exit code is then 3.
    """

    async def work(store: Store) -> list[RetentionStep]:
        with _progress() as tick:
            return await retain(store.operations, OPERATOR, book, directory, dry_run=dry_run, progress=tick)

    steps = on_store(work)
    for one in steps:
        if one.refused is not None:
            out.print(f"{one.month}: cannot {one.step}: {one.refused}", highlight=False, markup=False, soft_wrap=True)
        else:
            out.print(f"{one.month}: {'would ' if dry_run else ''}{one.step}", highlight=False)
    if any(one.refused is not None for one in steps):
        raise typer.Exit(3)
    if not steps:
        out.print("nothing to do", highlight=False)


def _say_moved(moved: MovedOutput) -> None:
    for one in moved.pieces:
        out.print(f"{one.month}, piece {one.piece}: {one.state}, {one.rows:,} rows", highlight=False)


@contextlib.contextmanager
def _progress() -> Iterator[Callable[[str, int], None]]:
    """Show on a terminal what is being done."""
    terminal = Console(stderr=True)
    columns = [TextColumn("{task.description}"), TextColumn("{task.completed:,}"), TimeElapsedColumn()]
    with Progress(*columns, console=terminal, transient=True, disable=not terminal.is_terminal) as shown:
        task = shown.add_task("", total=None)
        yield lambda what, done: shown.update(task, description=what, completed=done)
