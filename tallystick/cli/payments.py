"""`tallystick payment`: payments through providers; amounts are in minor units of their asset."""

import datetime as dt
import uuid
from collections.abc import Sequence
from typing import Annotated, Any

import typer
from rich.markup import escape
from rich.table import Table

from tallystick.cli.console import out, print_whole
from tallystick.cli.run import Book, on_store
from tallystick.open_store import FIRST_BOOK, Store
from tallystick.security.model import OPERATOR

app = typer.Typer(no_args_is_help=True, help="Payments: what was taken through a provider, and what is in the way.")

Payment = Annotated[uuid.UUID, typer.Argument(help="The payment's id.")]
_UNITS = "[dim]amounts in minor units[/dim]"
_PAGE = 1000


@app.command("list")
def list_(
    user: Annotated[str | None, typer.Option(help="Only this customer's.")] = None,
    invoice: Annotated[uuid.UUID | None, typer.Option(help="Only of this invoice.")] = None,
    status: Annotated[
        str | None, typer.Option(help="Only those that are started, opened, submitted, settled or failed.")
    ] = None,
    book: Book = FIRST_BOOK,
) -> None:
    """List payments, the newest first."""

    async def work(store: Store) -> int:
        fields: dict[str, object] = {"user": user, "status": status, "limit": _PAGE}
        fields |= {} if invoice is None else {"invoice_id": str(invoice)}
        listed = 0
        while True:
            page = await store.operations.call(OPERATOR, book, "payments.list", "", fields)
            listed += len(page.items)
            if page.items:
                print_whole(out, _table(page.items))
            if page.next is None:
                return listed
            fields["after"] = str(page.next)

    out.print(_UNITS if on_store(work) else "there is no such payment")


@app.command()
def show(payment: Payment, book: Book = FIRST_BOOK) -> None:
    """Show a payment with its steps, when each was taken, and how long after the one before."""

    async def work(store: Store) -> None:
        found = await store.operations.call(OPERATOR, book, "payments.history", "", {"payment_id": str(payment)})
        print_whole(out, _table([found.payment]))
        steps = Table(box=None, pad_edge=False)
        for heading in ("step", "at", "after", ""):
            steps.add_column(heading, justify="right" if heading == "after" else "left")
        before: dt.datetime | None = None
        for one in found.steps:
            after = "" if before is None else str(one.at - before)
            note = one.reason or one.transaction_id or ""
            steps.add_row(one.step, f"{one.at:%Y-%m-%d %H:%M:%S.%f}", after, escape(note))
            before = one.at
        print_whole(out, steps)

    on_store(work)
    out.print(_UNITS)


@app.command()
def stuck(book: Book = FIRST_BOOK) -> None:
    """List payments that did not go on when they were last tried, and why; they are tried again and again."""

    async def work(store: Store) -> None:
        fields: dict[str, object] = {"limit": _PAGE}
        found = Table(box=None, pad_edge=False)
        for heading in ("payment", "tries", "since", "last tried", "why"):
            found.add_column(heading, justify="right" if heading == "tries" else "left", no_wrap=heading != "why")
        while True:
            page = await store.operations.call(OPERATOR, book, "payments.stuck", "", fields)
            for one in page.items:
                found.add_row(
                    str(one.payment_id), f"{one.tries}", f"{one.since:%Y-%m-%d %H:%M:%S}",
                    f"{one.last_tried_at:%Y-%m-%d %H:%M:%S}", f"{escape(one.message)} [dim]{one.code}[/dim]",
                )  # fmt: skip
            if page.next is None:
                break
            fields["after"] = str(page.next)
        if found.row_count:
            print_whole(out, found)
        else:
            out.print("no payment is stuck")

    on_store(work)


def _table(payments: Sequence[Any]) -> Table:
    table = Table(box=None, pad_edge=False)
    for heading in ("payment", "started", "customer", "amount", "provider", "status", ""):
        table.add_column(heading, justify="right" if heading == "amount" else "left", no_wrap=True)
    for one in payments:
        table.add_row(
            str(one.payment_id), f"{one.started_at:%Y-%m-%d %H:%M:%S}", escape(one.user), f"{one.amount:,} {one.asset}",
            one.provider, one.status, escape(one.reason or ""),
        )  # fmt: skip
    return table
