"""`tallystick verify`: the whole ledger again, with a progress bar, and every changed row by name."""

from collections.abc import Iterator
from pathlib import Path
from typing import Annotated

import typer
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from tallystick.cli.console import out, say
from tallystick.cli.run import Book, on_store
from tallystick.cli.run import settings as read
from tallystick.cli.verify_in_processes import Wanted, cores, verify_in_processes
from tallystick.errors import Kind, TallystickError
from tallystick.ledger.books import find_book
from tallystick.ledger.findings import Verification
from tallystick.ledger.log_keys import load_public_keys, origin_of
from tallystick.open_store import FIRST_BOOK, Store, keys_directory
from tallystick.settings import Settings

_LARGEST_NOTE = 1_000_000
"""A checkpoint with a hundred signatures is a fiftieth of it."""


class CheckpointUnreadable(TallystickError):
    """The checkpoint in {path} cannot be read: {reason}."""

    code = "verify.checkpoint_unreadable"
    kind = Kind.INVALID


def verify(
    of_book: Book = FIRST_BOOK,
    held: Annotated[
        Path | None,
        typer.Option("--from", metavar="FILE", help="A signed checkpoint that you trust: begin behind it."),
    ] = None,
    processes: Annotated[int | None, typer.Option(min=1, help="How many work at it; all cores by default.")] = None,
) -> None:
    """
    Recompute the whole ledger and its log, and name every row that was changed behind its back; then exit with 1.

    With --from, the log must go on from the checkpoint you hold, and only what is behind it is recomputed: a log that
    was rewritten before it or cut off is found at once.
    """
    chosen = read()
    if not on_store(lambda store: verify_with_progress(store, chosen, of_book, held=held, processes=processes)):
        raise typer.Exit(1)


async def verify_with_progress(
    store: Store, settings: Settings, name: str, *, held: Path | None = None, processes: int | None = None
) -> bool:
    """
    Verify the book and say what was found; True if everything is as it was written.

    *held* is a file with a checkpoint that is trusted: then only what is behind it is recomputed. So many processes
    work at it, for None as many as there are cores.

    Raises:
        CheckpointUnreadable: there is no such file, or it is no checkpoint's (``verify.checkpoint_unreadable``).
    """
    note = None if held is None else _read(held)
    columns = [TextColumn("verify"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn()]
    with Progress(*columns, console=out, transient=True) as progress:
        bar = progress.add_task("verify", total=None)

        def tick(done: int, total: int) -> None:
            progress.update(bar, completed=done, total=total)

        async with store.operations.pool.acquire() as connection:
            book = await find_book(connection, name)
        keys = load_public_keys(keys_directory(settings), name)
        origin = keys[0].name if keys else origin_of(settings.log_origin, name)
        wanted = Wanted(book.book_id, keys, origin, note)
        found = await verify_in_processes(
            store.operations, store.url, wanted, processes=processes or cores(), progress=tick
        )
    for line in describe(name, found):
        say(line)
    return found.ok


def _read(held: Path) -> bytes:
    try:
        with held.open("rb") as file:
            note = file.read(_LARGEST_NOTE + 1)
    except OSError as error:
        raise CheckpointUnreadable(path=held, reason=error.strerror) from error
    if len(note) > _LARGEST_NOTE:
        raise CheckpointUnreadable(path=held, reason="it is far too long for one")
    return note


def describe(name: str, found: Verification) -> Iterator[str]:
    """Say what was found, line by line, with the first bad row first."""
    if found.ok:
        mark, verdict = "[green]✓[/green]", "all as they were written"
    else:
        mark, verdict = "[red]✗[/red]", "[bold]and not all is as it was written[/bold]"
    behind = f" behind place {found.since - 1:,}, up to which the checkpoint vouches" if found.since else ""
    yield f"{mark} {name}: {found.transfers:,} transfers in {found.batches:,} batches{behind}, {verdict}"
    if found.findings:
        first, *others = found.findings
        yield f"  [bold]first:[/bold] [red]{escape(str(first))}[/red]"
        if others:
            yield "  behind it, and perhaps for the same reason:"
        for finding in others:
            yield f"  [red]{escape(str(finding))}[/red]"
        if found.found > len(found.findings):
            yield f"  and {found.found - len(found.findings):,} more"
    for count, what in (
        (found.messages, "messages"),
        (found.net_changes, "net changes"),
        (found.checkpoints, "checkpoints"),
        (found.size, "leaves in the log"),
    ):
        yield f"{count:>13,} {what}"
