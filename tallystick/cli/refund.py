"""`tallystick refund`: money of payments that goes back to customers; amounts are in minor units of its asset."""

from typing import Annotated, Any

import typer
from rich.markup import escape
from rich.table import Table

from tallystick.cli.console import UNITS, out, say
from tallystick.cli.pages import print_pages
from tallystick.cli.run import Book, ask, on_store, write_instant
from tallystick.open_store import FIRST_BOOK

app = typer.Typer(no_args_is_help=True, help="Refunds: money of payments that goes back the way it came.")


@app.command()
def request(
    payment: Annotated[str, typer.Argument(metavar="PAYMENT", help="Its id.")],
    reason: Annotated[str, typer.Option(help="Why it is given back.")],
    amount: Annotated[int | None, typer.Option(min=1, help="Minor units; all that can be, if left out.")] = None,
    *,
    from_invoice: Annotated[
        bool, typer.Option("--from-invoice", help="Take it off the invoice, which is then owed again.")
    ] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what would be given back, and keep nothing.")] = False,
    book: Book = FIRST_BOOK,
) -> None:
    """Give money of a payment back through its provider: what lies unallocated for the customer, or the invoice's."""
    fields = {
        "payment_id": payment,
        "reason": reason,
        "amount": amount,
        "take_from": "invoice" if from_invoice else "unallocated",
    }
    made = ask(book, "payments.refund", fields, dry_run=dry_run)
    source = "the invoice" if made.take_from == "invoice" else "what lay unallocated"
    what = "would be asked for" if dry_run else made.status
    say(f"{what}: {made.refund_id}, {made.amount:,} {made.asset} to {escape(made.customer)}, from {source}")
    out.print(UNITS)


@app.command("list")
def list_(
    payment: Annotated[str | None, typer.Option(help="Only this payment's.")] = None,
    status: Annotated[str | None, typer.Option(help="Only those: requested, pending, succeeded, failed.")] = None,
    book: Book = FIRST_BOOK,
) -> None:
    """List refunds in the order in which they were asked for."""
    fields = {"payment_id": payment, "status": status}
    listed = on_store(lambda store: print_pages(store, book, "refunds.list", fields, _refunds))
    out.print(UNITS if listed else "there is no such refund")


@app.command()
def show(
    refund: Annotated[str, typer.Argument(metavar="REFUND", help="Its id.")], book: Book = FIRST_BOOK
) -> None:  # fmt: skip
    """Show a refund as it stands."""
    found = ask(book, "refunds.find", {"refund_id": refund})
    lines = [
        f"refund {found.refund_id}: {found.status}",
        f"{found.amount:,} {found.asset} to {escape(found.customer)}, of payment {found.payment_id}",
        f"from {'the invoice ' + str(found.invoice_id) if found.take_from == 'invoice' else 'what lay unallocated'}",
        f"because: {escape(found.reason)}",
        f"at {escape(found.provider)}: {escape(found.provider_refund_id or 'not known yet')}",
        f"asked for at {write_instant(found.requested_at)}",
    ]
    if found.ended_at is not None:
        lines.append(f"ended at {write_instant(found.ended_at)}")
    if found.failure is not None:
        lines.append(f"failed: {escape(found.failure)}")
    say(*lines, UNITS)


def _refunds(items: list[Any]) -> Table:
    table = Table(box=None)
    for heading in ("requested", "customer", "status", "from", "id"):
        table.add_column(heading, no_wrap=True)
    table.add_column("amount", no_wrap=True, justify="right")
    for one in items:
        table.add_row(
            write_instant(one.requested_at), escape(one.customer), one.status, one.take_from, str(one.refund_id),
            f"{one.amount:,} {one.asset}",
        )  # fmt: skip
    return table
