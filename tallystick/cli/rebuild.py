"""`tallystick rebuild`: a book made anew from its messages, with a progress bar, and whether it came out the same."""

import base64
import contextlib
from collections.abc import AsyncIterator, Iterator
from typing import Annotated

import typer
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from tallystick.cli.console import complain, out, say
from tallystick.cli.run import Book, on_store, require_address
from tallystick.open_store import FIRST_BOOK, Store
from tallystick.operations.rebuild import rebuild as make_anew
from tallystick.rebuild.model import Rebuilt
from tallystick.rebuild.open_twin import made_database

_MOST_TOLD = 5


def rebuild(
    *,
    check: Annotated[
        bool, typer.Option("--check", help="Into a database of its own on the same server, which is dropped again.")
    ] = False,
    of_book: Book = FIRST_BOOK,
    into: Annotated[
        str | None, typer.Option("--into", metavar="URL", help="Into this empty database, which stays.")
    ] = None,
    keep: Annotated[bool, typer.Option("--keep", help="With --check: let the database stay, and name it.")] = False,
) -> None:
    """
    Make a book anew from its messages alone, and name the first thing that does not come out the same; then exit with 1.

    Every message is done again, in order, at its own instant: the answers, the log's leaves and roots and every fact must
    be those that are stored. Nothing outside is called, and the book itself is only read; it may be in use.
    """
    if check == (into is not None):
        complain.print("[red]error:[/red] say either --check or --into URL")
        raise typer.Exit(2)
    if into is not None:
        require_address(into, "the database's address")

    async def work(store: Store) -> Rebuilt:
        async with _twin(store.url, into, keep=keep) as url:
            with _progress() as tell:
                return await make_anew(store.operations, of_book, url, tell, kept=keep or into is not None)

    found = on_store(work)
    for line in describe(of_book, found):
        say(line)
    if not found.same:
        raise typer.Exit(1)


@contextlib.asynccontextmanager
async def _twin(url: str, into: str | None, *, keep: bool) -> AsyncIterator[str]:
    """Give the address to rebuild into: the one that is named, or one made for it."""
    if into is not None:
        yield into
        return
    async with made_database(url, kept=keep) as made:
        yield made
        if keep:
            out.print(f"the rebuilt book is kept in {made}", markup=False, highlight=False, soft_wrap=True)


class _Tell:
    """Moves the bar: the messages first, then the tables."""

    def __init__(self, progress: Progress) -> None:
        self._progress, self._bar = progress, progress.add_task("messages", total=None)

    def __call__(self, what: str, done: int, total: int) -> None:
        """Show how much of it is done."""
        self._progress.update(self._bar, description=what, completed=done, total=total)


@contextlib.contextmanager
def _progress() -> Iterator[_Tell]:
    columns = [TextColumn("rebuild {task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn()]
    with Progress(*columns, console=out, transient=True) as progress:
        yield _Tell(progress)


def describe(name: str, found: Rebuilt) -> Iterator[str]:
    """Say what came out, line by line, with what was not made anew and had to be taken as it is."""
    log = found.log
    if found.difference is not None or log is None:
        yield f"[red]✗[/red] {name}: after {found.messages:,} messages, [bold]and not all comes out the same[/bold]"
        yield f"  [bold]first:[/bold] [red]{escape(found.difference.message if found.difference else '')}[/red]"
    else:
        yield (
            f"[green]✓[/green] {name}: {found.messages:,} messages, {log.transfers:,} transfers: the log comes out the "
            f"same, root {base64.b64encode(log.root).decode()}"
        )
        yield f"{log.checkpoints:>13,} checkpoints have the root that comes out"
        yield (
            f"{log.transfers - log.size:>13,} transfers behind the newest of them"
            if log.checkpoints
            else ("              nothing is sealed yet: the root is that of all transfers")
        )
    if found.usage_events or found.customers:
        yield (
            f"{found.usage_events:>13,} events of usage, of {found.customers:,} new customers, taken as they are stored: "
            "the journal keeps only their count and hash"
        )
    if found.judged_beside:
        yield (
            f"{found.judged_beside:>13,} transactions were judged while others were open beside them, and come out the same "
            "without what those paid in"
        )
    if found.judged_elsewhere:
        told = ", ".join(found.judged_elsewhere[:_MOST_TOLD])
        more = (
            f" and {len(found.judged_elsewhere) - _MOST_TOLD:,} more"
            if len(found.judged_elsewhere) > _MOST_TOLD
            else ""
        )
        yield (
            f"{len(found.judged_elsewhere):>13,} refusals were judged just before their place in the order and would be "
            f"otherwise there; they changed nothing: {escape(told)}{more}"
        )
