"""The command line: `tallystick up` and all that an operator does beside it."""

import os
import sys
from dataclasses import replace
from pathlib import Path
from typing import Annotated

import msgspec
import typer
from rich.padding import Padding

from tallystick import __version__
from tallystick.cli import (
    account,
    book,
    invoice,
    key,
    ledger,
    log,
    rate,
    rebuild,
    receipt,
    subscription,
    tax,
    trace,
    usage,
    usage_queries,
    wallet,
)
from tallystick.cli.run import Book, complain, faults_on_one_line, on_store, out, require_address, run, settings
from tallystick.cli.verify import verify_with_progress
from tallystick.ids import uuid7
from tallystick.main import FIRST_BOOK, Started, Store, prepare
from tallystick.main import up as serve
from tallystick.operations.table import TABLE
from tallystick.security.model import OPERATOR
from tallystick.settings import Settings

app = typer.Typer(no_args_is_help=True, add_completion=False, rich_markup_mode="markdown",
                  pretty_exceptions_show_locals=False,  # keys and secrets are among them
                  help="Usage goes in, verified receipts come out.")  # fmt: skip
for _name, _group in (
    ("account", account),
    ("usage", usage),
    ("rate", rate),
    ("invoice", invoice),
    ("receipt", receipt),
    ("wallet", wallet),
    ("tax", tax),
    ("ledger", ledger),
    ("log", log),
    ("key", key),
    ("book", book),
):
    app.add_typer(_group.app, name=_name)
for _name, _command in (
    ("totals", usage_queries.totals),
    ("check-totals", usage_queries.check_totals),
    ("export", usage_queries.export),
):
    usage.app.command(_name)(_command)
app.add_typer(subscription.plans, name="plan")
app.add_typer(subscription.app, name="subscription")


@app.command()
def up(
    port: Annotated[
        int | None, typer.Option(min=0, max=65535, help="The port to listen on; 0 takes a free one.")
    ] = None,
    host: Annotated[str | None, typer.Option(help="The address to listen on.")] = None,
    data: Annotated[Path | None, typer.Option(help="The directory that holds everything.")] = None,
) -> None:
    """Serve REST on 127.0.0.1:8080, with everything that belongs to it; Ctrl-C ends it all."""
    chosen = settings()
    chosen = replace(
        chosen,
        port=chosen.port if port is None else port,
        host=host or chosen.host,
        data_directory=data or chosen.data_directory,
    )
    run(lambda: serve(chosen, lambda started: _say_started(chosen, started)))
    out.print("stopped; everything is on disk")


def _say_started(chosen: Settings, started: Started) -> None:
    out.print(f"[bold]Tallystick {__version__}[/bold] serves {started.address}", highlight=False)
    out.print(f"  data      {chosen.data_directory}", highlight=False)
    if started.store.server is None:
        out.print("  database  your PostgreSQL; the log's keys are in the data directory", highlight=False)
    out.print(f"  contract  {started.address}/openapi.json", highlight=False)
    if started.avro is not None:
        out.print(f"  avro      {started.avro}", highlight=False)
    if chosen.provider_url is None:
        out.print("  payments  the sandbox provider: no real money moves", highlight=False)
    if started.first_key is not None:
        out.print(f"\n  The first administrator's key of the book [bold]{FIRST_BOOK}[/bold], shown this once:")
        print(f"\n    {started.first_key}\n", flush=True)
        out.print("  Keep it safe. Try it, with the key as $KEY:", highlight=False)
        command = f'curl -H "Authorization: Bearer $KEY" {started.address}/v1/books/{FIRST_BOOK}/accounts'
        print(f"    {command}\n", flush=True)


@app.command()
def migrate(
    url: Annotated[str | None, typer.Option(help="The database; TALLYSTICK_POSTGRES_URL by default.")] = None,
) -> None:
    """Prepare a PostgreSQL 18 of your own for this version; run it again whenever you like."""
    target = url or settings().postgres_url
    if target is None:
        complain.print("[red]error:[/red] name a database with --url or TALLYSTICK_POSTGRES_URL")
        raise typer.Exit(2)
    require_address(target, "the database's address")
    applied = run(lambda: prepare(target))
    for name in applied:
        out.print(f"applied {name}", highlight=False)
    out.print("the database is up to date")


@app.command()
def operations() -> None:
    """List every operation: what `do` runs here, REST and the other doors elsewhere."""
    for one in TABLE.values():
        if one.route:
            out.print(f"[bold]{one.name:<24}[/bold]{one.route:<38} [dim]{one.scope}[/dim]", highlight=False)
            out.print(Padding(one.summary, (0, 0, 0, 2)), highlight=False)


@app.command()
def do(
    operation: Annotated[str, typer.Argument(help="Its name, as `tallystick operations` lists it.")],
    input_: Annotated[str, typer.Argument(metavar="JSON", help="Its input; - reads standard input.")] = "{}",
    of_book: Book = FIRST_BOOK,
    message_id: Annotated[str | None, typer.Option("--key", help="The message's id; the same id is done once.")] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Judge it, answer, and keep nothing.")] = False,
) -> None:
    """Run any operation as the operator and print its answer as JSON."""
    text = sys.stdin.buffer.read() if input_ == "-" else os.fsencode(input_)

    async def work(store: Store) -> bytes:
        message = message_id or str(uuid7())
        answer = await store.operations.run(OPERATOR, of_book, operation, message, text, dry_run=dry_run)
        return answer.body

    print(msgspec.json.format(on_store(work), indent=2).decode())


app.command()(trace.trace)
app.command()(rebuild.rebuild)


@app.command()
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
    chosen = settings()
    if not on_store(lambda store: verify_with_progress(store, chosen, of_book, out, held=held, processes=processes)):
        raise typer.Exit(1)


def main() -> None:
    """Run the command line."""
    with faults_on_one_line():
        app()


if __name__ == "__main__":
    main()
