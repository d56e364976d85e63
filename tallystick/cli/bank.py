"""`tallystick bank`: statements of bank accounts come in, and their entries find their invoices; amounts in minor units."""

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated
from uuid import UUID

import typer
from rich.markup import escape
from rich.table import Table

from tallystick.cli.charge_files import require_file
from tallystick.cli.console import UNITS, out, say
from tallystick.cli.pages import print_pages
from tallystick.cli.run import Book, on_store
from tallystick.collecting.bank.model import EntryShown
from tallystick.ids import uuid7
from tallystick.open_store import FIRST_BOOK, Store
from tallystick.operations.bank_files import StatementReport, import_statements, read_statements
from tallystick.repayments.model import Repayment
from tallystick.security.model import OPERATOR

app = typer.Typer(no_args_is_help=True, help="The bank: statements come in, and their entries find their invoices.")
_PAGE = 500
_SHOWN = 60


@app.command("import")
def import_(
    file: Annotated[Path, typer.Argument(help="MT940.")],
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Read it, say what is in it, and keep nothing.")] = False,
    encoding: Annotated[str | None, typer.Option(help="If it is neither UTF-8 nor Windows-1252.")] = None,
    currency: Annotated[str | None, typer.Option(help="If no balance in it says one.")] = None,
    accept_difference: Annotated[
        bool, typer.Option("--accept-difference", help="Keep statements though they do not add up.")
    ] = False,
    book: Book = FIRST_BOOK,
) -> None:
    """
    Import statements: what is certain repays invoices, the rest waits; doing it again adds nothing twice.

    Statements that cannot be kept are named and left out; the exit code is then 3.
    """
    require_file(file)

    async def work(store: Store) -> list[StatementReport]:
        read = read_statements(file, encoding, currency)
        if dry_run:
            return [StatementReport(one) for one in read]
        return await import_statements(store.operations, OPERATOR, book, read, accept_difference=accept_difference)

    reports = on_store(work)
    for one in reports:
        _say(one, dry_run=dry_run)
    if any(one.left_out for one in reports):
        raise typer.Exit(3)


@app.command()
def entries(
    unmatched: Annotated[bool, typer.Option("--unmatched", help="Only those that wait for a person.")] = False,
    book: Book = FIRST_BOOK,
) -> None:
    """List entries of statements; those that are not matched with the likeliest invoices."""
    on_store(lambda store: print_pages(store, book, "bank.entries", {"unmatched": unmatched}, _entries, _PAGE))
    out.print(UNITS)


@app.command()
def match(
    entry: Annotated[str, typer.Argument(help="Its id.")],
    invoice: Annotated[UUID, typer.Argument(help="That it is for.")],
    book: Book = FIRST_BOOK,
) -> None:
    """Let an entry repay an invoice; what it does not need lies unallocated."""

    async def work(store: Store) -> Repayment:
        fields = {"entry": entry, "invoice": str(invoice)}
        done: Repayment = await store.operations.call(OPERATOR, book, "bank.match", str(uuid7()), fields)
        return done

    made = on_store(work)
    placed = sum(one.amount for one in made.allocations)
    say(
        f"{made.amount:,} {made.asset} of {escape(made.customer)}: {placed:,} on the invoice, {made.unallocated:,} unallocated"
    )


def _say(one: StatementReport, *, dry_run: bool) -> None:
    read = one.read
    lines = [
        f"line {read.line}: {read.account or 'no account'} {read.number}: {len(read.entries):,} entries, {read.currency}"
    ]
    lines += [f"  {told}" for told in read.told]
    if read.difference:
        lines.append(f"  it does not add up: {read.difference:,} minor units are missing in its entries")
    if one.left_out:
        lines.append(f"  left out: {one.left_out}")
    elif not dry_run:
        lines.append(f"  {one.imported:,} new, {len(one.settled):,} settled")
        lines += [f"  {done.amount:,}: {done.why}" for done in one.settled[:_SHOWN]]
    out.print("\n".join(lines), markup=False, highlight=False, soft_wrap=True)


def _entries(items: Sequence[EntryShown]) -> Table:
    table = Table(box=None)
    for heading in ("entry", "value on"):
        table.add_column(heading, no_wrap=True)
    table.add_column("amount", no_wrap=True, justify="right")
    for heading in ("from", "text", "for"):
        table.add_column(heading, no_wrap=True)
    for one in items:
        partners = ", ".join(f"{at.number} {at.invoice} of {at.customer} ({at.score}: {at.why})" for at in one.partners)
        table.add_row(
            one.id, str(one.entry.value_on), f"{one.entry.amount:,} {one.asset}",
            escape(one.entry.name or one.entry.account), escape(one.entry.text[:_SHOWN]),
            escape(one.matched or (f"perhaps {partners}" if partners else "")),
        )  # fmt: skip
    return table
