"""`tallystick dispute`: payments whose money a customer's bank wants back; amounts are in minor units of its asset."""

from typing import Annotated, Any

import typer
from rich.markup import escape
from rich.table import Table

from tallystick.cli.console import UNITS, out, say
from tallystick.cli.pages import print_pages
from tallystick.cli.run import Book, ask, on_store, write_instant
from tallystick.open_store import FIRST_BOOK

app = typer.Typer(no_args_is_help=True, help="Disputes: payments whose money the customer's bank wants back.")


@app.command("list")
def list_(
    payment: Annotated[str | None, typer.Option(help="Only this payment's.")] = None,
    status: Annotated[str | None, typer.Option(help="Only those: open, won, lost.")] = None,
    book: Book = FIRST_BOOK,
) -> None:
    """List disputes in the order in which they were noted."""
    fields = {"payment_id": payment, "status": status}
    listed = on_store(lambda store: print_pages(store, book, "disputes.list", fields, _disputes))
    out.print(UNITS if listed else "there is no such dispute")


@app.command()
def show(
    dispute: Annotated[str, typer.Argument(metavar="DISPUTE", help="Its id.")], book: Book = FIRST_BOOK
) -> None:  # fmt: skip
    """Show a dispute as it stands."""
    found = ask(book, "disputes.find", {"dispute_id": dispute})
    lines = [
        f"dispute {found.dispute_id}: {found.status}",
        f"{found.amount:,} {found.asset} that {escape(found.customer)} paid by payment {found.payment_id}",
        f"because: {escape(found.reason or 'no reason given')}",
        f"at {escape(found.provider)}: {escape(found.provider_dispute_id)}",
        f"noted at {write_instant(found.opened_at)}",
    ]
    if found.answer_by is not None:
        lines.append(f"answer by {write_instant(found.answer_by)}")
    if found.ended_at is not None:
        lines.append(f"decided at {write_instant(found.ended_at)}")
    say(*lines, UNITS)


def _disputes(items: list[Any]) -> Table:
    table = Table(box=None)
    for heading in ("noted", "customer", "status", "reason", "answer by", "id"):
        table.add_column(heading, no_wrap=True)
    table.add_column("amount", no_wrap=True, justify="right")
    for one in items:
        table.add_row(
            write_instant(one.opened_at), escape(one.customer), one.status, escape(one.reason),
            "" if one.answer_by is None else write_instant(one.answer_by), str(one.dispute_id),
            f"{one.amount:,} {one.asset}",
        )  # fmt: skip
    return table
