"""`tallystick charge`: one debit of a customer's account for all that is due on a day."""

import datetime as dt
from typing import Annotated, Any

import msgspec
import typer
from rich.markup import escape
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

from tallystick.cli.charge_files import file, result
from tallystick.cli.console import UNITS, complain, out, say
from tallystick.cli.pages import print_pages
from tallystick.cli.run import Book, on_store
from tallystick.ids import uuid7
from tallystick.open_store import FIRST_BOOK, Store
from tallystick.operations.run_charges import ChargesRun, run_charges
from tallystick.repayments.model import ChargesMade
from tallystick.security.model import OPERATOR

app = typer.Typer(no_args_is_help=True, help="Charges: one debit of an account for all that is due on a day.")

app.command("file")(file)
app.command("result")(result)

Day = Annotated[dt.datetime, typer.Argument(formats=["%Y-%m-%d"], metavar="DAY", help="As in 2026-11-05.")]
_SHOWN = 20


@app.command()
def make(
    day: Day,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Judge the first 5,000 customers, answer, and keep nothing.")
    ] = False,
    book: Book = FIRST_BOOK,
) -> None:
    """Make the charges of a day; run it again whenever you like, each is made once."""

    async def work(store: Store) -> ChargesRun:
        if dry_run:
            fields = {"on": day.date().isoformat()}
            answer = await store.operations.run(OPERATOR, book, "charges.make", str(uuid7()), fields, dry_run=True)
            made = msgspec.json.decode(answer.body, type=ChargesMade)
            return ChargesRun(made.customers, made.made, made.totals, [])
        shown = (TextColumn("customers"), BarColumn(), TextColumn("{task.completed:,}"), TimeElapsedColumn())
        with Progress(*shown, console=complain, transient=True) as progress:
            task = progress.add_task("", total=None)
            return await run_charges(
                store.operations,
                OPERATOR,
                book,
                day.date(),
                lambda so_far: progress.update(task, completed=so_far.customers),
            )

    done = on_store(work)
    _say(done, "would be made" if dry_run else "made")
    for one in done.failed[:_SHOWN]:
        say(f"  {escape(one.customer)}: {escape(one.message)} ({one.code})", to=complain)
    if done.failed:
        complain.print(f"{len(done.failed):,} left out; run it again to try them again", highlight=False)
        raise typer.Exit(1)


@app.command("list")
def list_(
    day: Annotated[dt.datetime | None, typer.Option("--on", formats=["%Y-%m-%d"], metavar="DAY")] = None,
    customer: Annotated[str | None, typer.Option(help="Only this customer's.")] = None,
    book: Book = FIRST_BOOK,
) -> None:
    """List charges with what became of them."""
    fields = {"on": None if day is None else day.date().isoformat(), "customer": customer}
    on_store(lambda store: print_pages(store, book, "charges.list", fields, _charges))
    out.print(UNITS)


@app.command()
def day(
    customer: Annotated[str, typer.Argument(help="Whose account.")],
    chosen: Annotated[str, typer.Argument(metavar="DAY", help="1 to 28, last, or none to end the debits.")],
    bank_account: Annotated[str | None, typer.Option(help="An IBAN, or any other text.")] = None,
    country: Annotated[str | None, typer.Option(help="Whose bank holidays move the day, such as JP or DE-BY.")] = None,
    rule: Annotated[str, typer.Option(help="following, preceding or modified_following.")] = "following",
    cutoff_days: Annotated[int, typer.Option(min=0, max=28, help="So many days before a debit it can be changed.")] = 5,
    book: Book = FIRST_BOOK,
) -> None:  # fmt: skip
    """Let a customer choose the day on which the account is debited."""
    fields: dict[str, object] = {
        "customer": customer, "day": int(chosen) if chosen.isdecimal() else None if chosen == "none" else chosen,
        "bank_account": bank_account, "country": country, "rule": rule, "cutoff_days": cutoff_days,
    }  # fmt: skip

    async def work(store: Store) -> Any:  # noqa: ANN401 - an Agreement
        return await store.operations.call(OPERATOR, book, "collecting.choose_debit_day", str(uuid7()), fields)

    agreed = on_store(work)
    next_ = (
        "nothing is debited any more" if agreed.day is None else f"the next debit by it is on {agreed.next_debit_on}"
    )
    still = "" if agreed.still_on is None else f"; that of {agreed.still_on} stays as it was"
    say(f"agreed from {agreed.from_on}: {next_}{still}")


def _charges(items: list[Any]) -> Table:
    table = Table(box=None)
    for heading in ("debit on", "customer", "account", "attempt", "status", "error", "again on", "id"):
        table.add_column(heading, no_wrap=True)
    for heading in ("invoices", "amount", "taken"):
        table.add_column(heading, no_wrap=True, justify="right")
    for one in items:
        table.add_row(
            str(one.debit_on), escape(one.customer), escape(one.bank_account), str(one.attempt), one.status,
            one.error_kind or "", str(one.retry_on or ""), str(one.id), str(len(one.invoices)),
            f"{one.amount:,} {one.asset}", f"{one.taken:,}",
        )  # fmt: skip
    return table


def _say(made: ChargesRun, what: str) -> None:
    totals = ", ".join(f"{total:,} {asset}" for asset, total in sorted(made.totals.items())) or "nothing"
    say(f"{made.made:,} charges {what} for {made.customers:,} customers: {totals}")
