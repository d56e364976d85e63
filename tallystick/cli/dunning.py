"""`tallystick dunning`: reminders and late fees of a day, by rules."""

import datetime as dt
import os
import sys
from typing import Annotated

import msgspec
import typer
from rich.markup import escape
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

from tallystick.cli.amounts import read_amounts
from tallystick.cli.console import UNITS, complain, out, say
from tallystick.cli.pages import print_pages
from tallystick.cli.run import Book, on_store
from tallystick.collecting.dunning.model import Reminder
from tallystick.collecting.dunning.rules import Rules
from tallystick.errors import InvalidInput
from tallystick.ids import uuid7
from tallystick.money import Money
from tallystick.open_store import FIRST_BOOK, Store
from tallystick.operations.dunning_run import DunningRun, Stage, run_dunning, try_dunning
from tallystick.security.model import OPERATOR

app = typer.Typer(no_args_is_help=True, help="Dunning: reminders and late fees of a day, by rules.")
_SHOWN = 20


@app.command()
def run(
    day: Annotated[dt.datetime, typer.Option("--day", formats=["%Y-%m-%d"], metavar="DAY", help="As in 2026-11-05.")],
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what would be made, and keep nothing.")] = False,
    book: Book = FIRST_BOOK,
) -> None:
    """Make the reminders of a day and ask for late fees; run it again whenever you like, each is made once."""

    async def work(store: Store) -> tuple[DunningRun, list[Money]]:
        if dry_run:
            done = await try_dunning(store.operations, OPERATOR, book, day.date())
        else:
            shown = (
                TextColumn("{task.description}"),
                BarColumn(),
                TextColumn("{task.completed:,}"),
                TimeElapsedColumn(),
            )
            with Progress(*shown, console=complain, transient=True) as progress:
                task = progress.add_task("", total=None)

                def tell(stage: Stage, count: int) -> None:
                    progress.update(task, description=stage, completed=count)

                done = await run_dunning(store.operations, OPERATOR, book, day.date(), tell)
        return done, await read_amounts(store, book, done.totals)

    done, totals = on_store(work)
    _say(done, totals)
    if done.failed:
        raise typer.Exit(1)


@app.command()
def rules(
    given: Annotated[
        str | None,
        typer.Argument(metavar="JSON", help="The rules to set; - reads standard input. Left out: show them."),
    ] = None,
    book: Book = FIRST_BOOK,
) -> None:
    """Show who is reminded when and what being late costs, or set it."""
    text = sys.stdin.buffer.read() if given == "-" else os.fsencode(given or "")

    async def work(store: Store) -> Rules:
        if given is None:
            found: Rules = await store.operations.call(OPERATOR, book, "dunning.rules", "", {})
            return found
        try:
            fields = {"rules": msgspec.json.decode(text)}
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            raise InvalidInput(field="JSON", rule=f"It is not JSON: {error}") from error
        given_now: Rules = await store.operations.call(OPERATOR, book, "dunning.set_rules", str(uuid7()), fields)
        return given_now

    found = on_store(work)
    for at, level in enumerate(found.levels, 1):
        fee = "no fee" if level.fee is None else msgspec.json.encode(level.fee).decode()
        out.print(f"reminder {at}, {level.after_days} days after the due date: {fee}", highlight=False, markup=False)
    if not found.levels:
        out.print("nobody is reminded")


@app.command("list")
def list_(
    customer: Annotated[str | None, typer.Option(help="Only this customer's.")] = None,
    invoice: Annotated[str | None, typer.Option(help="Only those of this invoice.")] = None,
    book: Book = FIRST_BOOK,
) -> None:
    """List reminders with what they cost."""
    fields = {"customer": customer, "invoice": invoice}
    on_store(lambda store: print_pages(store, book, "dunning.list", fields, _table))
    out.print(UNITS)


def _table(items: list[Reminder]) -> Table:
    table = Table(box=None)
    for heading in ("invoice", "customer", "reminder", "on", "due on"):
        table.add_column(heading, no_wrap=True)
    for heading in ("outstanding", "fee"):
        table.add_column(heading, no_wrap=True, justify="right")
    for one in items:
        table.add_row(
            one.number, escape(one.customer), str(one.level), str(one.on), str(one.due_on),
            f"{one.outstanding:,} {one.asset}", f"{one.fee:,}",
        )  # fmt: skip
    return table


def _say(done: DunningRun, totals: list[Money]) -> None:
    fees = ", ".join(str(total) for total in totals) or "none"
    if done.id is None:
        text = f"would be made: {done.reminders:,} reminders of {done.customers:,} customers; late fees: {fees}"
    else:
        text = (
            f"{done.due:,} fall due, {done.overdue:,} newly overdue; {done.reminders:,} reminders of "
            f"{done.customers:,} customers; late fees: {fees}"
        )
    say(text)
    for one in done.failed[:_SHOWN]:
        line = f"left out: {one.customer}: {one.message} {one.code}"
        complain.print(line, highlight=False, markup=False, soft_wrap=True)
    if done.failed:
        complain.print(f"{len(done.failed):,} left out; run it again to try them again", highlight=False)
