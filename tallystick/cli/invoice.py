"""`tallystick invoice`: a month's invoices, issued and shown."""

from importlib import import_module
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.markup import escape
from rich.table import Table

from tallystick.cli.amounts import read_amounts
from tallystick.cli.console import complain, out, say
from tallystick.cli.follow_run import follow_run, tell_issued
from tallystick.cli.invoice_life import COMMANDS
from tallystick.cli.run import Book, InvoiceId, on_store
from tallystick.money import Asset, Money
from tallystick.open_store import FIRST_BOOK, Store
from tallystick.operations.invoicing_month import MonthRun, MonthTerms, run_month
from tallystick.security.model import OPERATOR

app = typer.Typer(no_args_is_help=True, help="Invoices: a month for every customer, gapless and once.")
for _name, _command in COMMANDS.items():
    app.command(_name)(_command)


@app.command("run")
def run_(
    month: Annotated[str, typer.Argument(help="Such as 2015-05.")],
    zone: Annotated[str, typer.Option(help="The time zone whose month it is.")] = "UTC",
    series: Annotated[
        str | None, typer.Option(help="The series that the numbers are of; else the one that is set.")
    ] = None,
    terms: Annotated[int, typer.Option(help="Days from issue to due date.")] = 30,
    book: Book = FIRST_BOOK,
) -> None:
    """
    Draft and issue the invoices of a month. Killed anywhere and run again, every customer has exactly one.

    Customers who cannot be invoiced are named and the rest are; the exit code is then 3.
    """
    chosen = MonthTerms(zone=zone, series=series, terms_days=terms)

    async def work(store: Store) -> tuple[MonthRun, list[Money]]:
        with follow_run(chosen.patience) as tick:
            done = await run_month(store.operations, OPERATOR, book, month, chosen, tick)
        return done, await read_amounts(store, book, done.totals)

    done, amounts = on_store(work)
    out.print(f"{done.month}: {done.customers:,} customers, {done.issued:,} invoices issued", highlight=False)
    tell_issued(done, amounts)
    if done.adjustments:
        out.print(f"  {done.adjustments:,} lines adjust earlier invoices", highlight=False)
    if done.late_events:
        out.print(f"  {done.late_events:,} events came after their invoices and are on none yet", highlight=False)
    if done.failed:
        tell_set_aside(done)
        raise typer.Exit(3)


def tell_set_aside(done: MonthRun) -> None:
    """Name the customers who could not be invoiced, and why."""
    complain.print(f"{len(done.failed):,} customers could not be invoiced; the next run tries again:", highlight=False)
    for one in done.failed:
        line = f"  {escape(one.customer)}: {escape(one.message)} [dim]{one.code}[/dim]"
        say(line, to=complain)


@app.command()
def show(invoice_id: InvoiceId, book: Book = FIRST_BOOK) -> None:
    """Show an invoice with its lines, each explained."""

    async def work(store: Store) -> Any:  # noqa: ANN401 - what the operation's table says it answers
        return await store.operations.call(OPERATOR, book, "invoicing.find", "", {"id": invoice_id})

    invoice = on_store(work)
    asset = Asset(invoice.asset, invoice.exponent)
    out.print(f"[bold]{invoice.number or 'draft'}[/bold] for {invoice.customer}: {invoice.status}", highlight=False)
    table = Table("charge", "how", "amount", box=None)
    for line in invoice.lines:
        table.add_row(line.name, line.explanation, str(Money(line.amount, asset)))
    out.print(table)
    for one in invoice.taxes:
        how = "contained" if one.inclusive else "added"
        why = (
            f"{one.treatment.replace('_', ' ')}: {one.reason}"
            if one.reason
            else f"{one.rate} of {Money(one.base, asset)}"
        )
        out.print(f"{escape(one.name)} ({escape(why)}): {Money(one.amount, asset)} {how}", highlight=False)
    paid = f", credits applied {Money(invoice.credits_applied, asset)}" if invoice.credits_applied else ""
    told = f"subtotal {Money(invoice.subtotal, asset)}, " if invoice.taxes else ""
    out.print(
        f"{told}total {Money(invoice.total, asset)}{paid}, outstanding {Money(invoice.outstanding, asset)}",
        highlight=False,
    )


OutFile = Annotated[Path, typer.Option("-o", "--out", help="The file to write.")]
Force = Annotated[bool, typer.Option("--force", help="Write over a file that is there.")]
CreditNote = Annotated[bool, typer.Option("--credit-note", help="The id is that of a credit note.")]


@app.command()
def pdf(
    invoice_id: InvoiceId, file: OutFile, force: Force = False, credit_note: CreditNote = False, book: Book = FIRST_BOOK
) -> None:
    """Write an invoice as PDF/A-3, with its electronic invoice (EN 16931) attached."""
    _files().write_pdf(_asked(invoice_id, credit_note, book), file, force=force)


@app.command()
def xml(
    invoice_id: InvoiceId,
    file: OutFile,
    force: Force = False,
    rules: Annotated[
        Path | None, typer.Option(help="Hold it to the official rules in this XSLT; exit with 1 if it breaks one.")
    ] = None,
    credit_note: CreditNote = False,
    book: Book = FIRST_BOOK,
) -> None:
    """Write the electronic invoice alone: EN 16931 as Cross Industry Invoice."""
    _files().write_xml(_asked(invoice_id, credit_note, book), file, rules, force=force)


def _asked(document_id: str, credit_note: bool, book: str) -> tuple[str, str, str]:
    return book, document_id, "credit_note" if credit_note else "invoice"


def _files() -> Any:  # noqa: ANN401 - a module
    """Import what renders documents when one is asked for: fonts and formats take longer to load than most commands to run."""
    return import_module("tallystick.cli.invoice_files")
