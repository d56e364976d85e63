"""`tallystick slip`: slips that customers pay at a store's counter."""

import datetime as dt
from pathlib import Path
from typing import Annotated

import typer
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

from tallystick.cli.amounts import read_amounts
from tallystick.cli.console import UNITS, complain, out, say
from tallystick.cli.pages import print_pages
from tallystick.cli.run import Book, on_store
from tallystick.collecting.slips.draw_barcode import draw_png, draw_svg
from tallystick.collecting.slips.model import SettledSlips, Slip
from tallystick.collecting.slips.number import printed
from tallystick.errors import InvalidInput
from tallystick.ids import uuid7
from tallystick.money import Money
from tallystick.open_store import FIRST_BOOK, Store
from tallystick.operations.slip_files import COLUMNS, SlipsReport, apply_slips_file
from tallystick.security.model import OPERATOR

app = typer.Typer(no_args_is_help=True, help="Slips: paid at a store's counter, announced first and settled later.")
_DRAW = {".svg": draw_svg, ".png": draw_png}
Amount = Annotated[int | None, typer.Option(help="Minor units; left out: all of it.")]
Reference = Annotated[str, typer.Argument(help="The store's own id of it; each counts once.")]
Number = Annotated[str, typer.Argument(help="The number of the slip.")]


@app.command()
def issue(
    invoice: Annotated[str, typer.Argument(help="The id of the invoice.")],
    file: Annotated[
        Path | None, typer.Option("--out", "-o", help="Where to write the barcode: a name that ends in .svg or .png.")
    ] = None,
    amount: Amount = None,
    expires: Annotated[
        dt.datetime | None,
        typer.Option(formats=["%Y-%m-%d"], metavar="DAY", help="The last day; left out: 30 days from today."),
    ] = None,
    zone: Annotated[str, typer.Option(help="Whose calendar the last day is of, such as Asia/Tokyo.")] = "UTC",
    another: Annotated[
        bool, typer.Option("--another", help="Though the invoice has a slip that can still be paid.")
    ] = False,
    book: Book = FIRST_BOOK,
) -> None:
    """Issue a slip for an invoice, and write its barcode to a file."""
    fields = {
        "invoice": invoice, "amount": amount, "zone": zone, "another": another,
        "expires_on": None if expires is None else expires.date().isoformat(),
    }  # fmt: skip

    async def work(store: Store) -> tuple[Slip, Money]:
        _require_writable(file)
        slip: Slip = await store.operations.call(OPERATOR, book, "slips.issue", str(uuid7()), fields)
        (money,) = await read_amounts(store, book, {slip.asset: slip.amount})
        return slip, money

    slip, money = on_store(work)
    say(f"slip {printed(slip.number)}: {money}, until {slip.expires_on} {slip.zone}")
    if file is not None:
        content = _DRAW[file.suffix](slip.number, slip.expires_on, slip.amount)
        file.write_bytes(content)
        out.print(f"barcode in {file}", highlight=False, markup=False, soft_wrap=True)


@app.command()
def notify(
    number: Number,
    reference: Reference,
    amount: Amount = None,
    store_name: Annotated[str | None, typer.Option("--store", help="Which store says so.")] = None,
    book: Book = FIRST_BOOK,
) -> None:
    """Keep that a store says that a slip was paid; the money is not here yet."""
    _do("slips.notify", {"number": number, "reference": reference, "amount": amount, "store": store_name}, book)


@app.command()
def withdraw(
    reference: Reference,
    reason: Annotated[str, typer.Option(help="Why.")],
    book: Book = FIRST_BOOK,
) -> None:
    """Keep that a store takes a notice back."""
    _do("slips.withdraw", {"reference": reference, "reason": reason}, book)


@app.command()
def cancel(
    slip: Annotated[str, typer.Argument(help="The id of the slip.")],
    reason: Annotated[str, typer.Option(help="Why.")],
    book: Book = FIRST_BOOK,
) -> None:
    """Cancel a slip: it is not to be paid any more."""
    _do("slips.cancel", {"id": slip, "reason": reason}, book)


@app.command()
def settle(
    number: Number,
    reference: Reference,
    amount: Annotated[int, typer.Argument(help="What came, in minor units.")],
    book: Book = FIRST_BOOK,
) -> None:
    """Receive the money of a slip; it repays the slip's invoices."""
    fields = {"lines": [{"number": number, "reference": reference, "amount": amount}]}

    async def work(store: Store) -> SettledSlips:
        settled: SettledSlips = await store.operations.call(OPERATOR, book, "slips.settle", str(uuid7()), fields)
        return settled

    (item,) = on_store(work).items
    if item.status == "refused":
        out.print(f"[red]refused:[/red] {escape(item.message or '')} [dim]{item.code}[/dim]", highlight=False)
        raise typer.Exit(1)
    out.print(
        f"{item.status}: {item.allocated:,} repaid, {item.unallocated:,} unallocated, in minor units", highlight=False
    )


@app.command("apply")
def apply_(
    path: Annotated[
        Path, typer.Argument(metavar="FILE", exists=True, dir_okay=False, help=f"CSV: {', '.join(COLUMNS)}.")
    ],
    book: Book = FIRST_BOOK,
) -> None:
    """Do what stores say in a file: notices, what they take back, and the money; apply it again whenever you like."""

    async def work(store: Store) -> SlipsReport:
        shown = (TextColumn("rows"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
        with Progress(*shown, console=complain, transient=True) as bar:
            task = bar.add_task("", total=None)
            return await apply_slips_file(
                store.operations, OPERATOR, book, path,
                lambda done, total: bar.update(task, completed=done, total=total),
            )  # fmt: skip

    report = on_store(work)
    counts = ", ".join(f"{count:,} {what}" for what, count in sorted(report.counts.items())) or "nothing"
    say(f"{report.rows:,} rows: {counts}")
    for one in report.told:
        complain.print(one, highlight=False, markup=False, soft_wrap=True)
    if report.counts["refused"]:
        raise typer.Exit(1)


@app.command("list")
def list_(
    customer: Annotated[str | None, typer.Option(help="Only this customer's.")] = None,
    invoice: Annotated[str | None, typer.Option(help="Only those for this invoice.")] = None,
    book: Book = FIRST_BOOK,
) -> None:
    """List slips with what was heard of them."""
    fields = {"customer": customer, "invoice": invoice}
    on_store(lambda store: print_pages(store, book, "slips.list", fields, _table))
    out.print(UNITS)


def _do(operation: str, fields: dict[str, object], book: str) -> None:
    """Do something about one slip, and say where it stands."""

    async def work(store: Store) -> Slip:
        slip: Slip = await store.operations.call(OPERATOR, book, operation, str(uuid7()), fields)
        return slip

    slip = on_store(work)
    say(
        f"slip {printed(slip.number)} is {slip.status}: {slip.announced:,} announced, {slip.settled:,} settled, "
        "in minor units"
    )


def _table(items: list[Slip]) -> Table:
    table = Table(box=None)
    for heading in ("number", "customer", "status", "until"):
        table.add_column(heading, no_wrap=True)
    for heading in ("amount", "announced", "settled"):
        table.add_column(heading, no_wrap=True, justify="right")
    for one in items:
        table.add_row(
            printed(one.number), escape(one.customer), one.status, str(one.expires_on), f"{one.amount:,} {one.asset}",
            f"{one.announced:,}", f"{one.settled:,}",
        )  # fmt: skip
    return table


def _require_writable(file: Path | None) -> None:
    """
    Refuse a file whose name does not say what it is, that is there already, and a directory that is not.

    Raises:
        InvalidInput: it is so (``invalid_input``).
    """
    if file is None:
        return
    if file.suffix not in _DRAW:
        raise InvalidInput(field="--out", rule=f"{file} ends in neither .svg nor .png")
    if file.exists():
        raise InvalidInput(field="--out", rule=f"{file} is there already; name another")
    if not file.parent.is_dir():
        raise InvalidInput(field="--out", rule=f"there is no directory {file.parent}")
