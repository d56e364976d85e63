"""`tallystick batch`: what runs over all customers came to."""

from typing import Annotated

import typer
from rich.markup import escape
from rich.table import Table

from tallystick.cli.console import out, print_whole
from tallystick.cli.run import Book, on_store
from tallystick.collecting.batches.model import BatchRun
from tallystick.open_store import FIRST_BOOK, Store
from tallystick.security.model import OPERATOR

app = typer.Typer(no_args_is_help=True, help="Batches: what runs over all customers came to.")


@app.command("list")
def list_(
    kind: Annotated[str | None, typer.Option(help="Only runs of this kind, such as dunning.")] = None,
    limit: Annotated[int, typer.Option(min=1, max=1000, help="How many, the newest first.")] = 20,
    book: Book = FIRST_BOOK,
) -> None:
    """List runs, the newest first."""

    async def work(store: Store) -> list[BatchRun]:
        page = await store.operations.call(OPERATOR, book, "batches.list", "", {"kind": kind, "limit": limit})
        return list(page.items)

    print_whole(out, _table(on_store(work)))


@app.command()
def show(
    run: Annotated[str, typer.Argument(help="The id of the run.")],
    book: Book = FIRST_BOOK,
) -> None:
    """Show a run with the customers who were left out."""

    async def work(store: Store) -> BatchRun:
        found: BatchRun = await store.operations.call(OPERATOR, book, "batches.find", "", {"id": run})
        return found

    found = on_store(work)
    print_whole(out, _table([found]))
    for one in found.failures:
        line = f"left out: {one.customer}: {one.message} {one.code}"
        out.print(line, highlight=False, markup=False, soft_wrap=True)


def _table(items: list[BatchRun]) -> Table:
    table = Table(box=None)
    for heading in ("kind", "of", "status", "counts", "left out", "begun at", "id"):
        table.add_column(heading, no_wrap=True)
    for one in items:
        counts = ", ".join(f"{count:,} {escape(name)}" for name, count in one.counts.items())
        table.add_row(
            one.kind, escape(one.of), one.status.replace("_", " "), counts, f"{one.failed:,}",
            f"{one.begun_at:%Y-%m-%d %H:%M:%S}", str(one.id),
        )  # fmt: skip
    return table
