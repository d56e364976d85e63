"""`tallystick payment`: payments through providers; amounts are in minor units of their asset."""

import datetime as dt
import uuid
from collections.abc import Sequence
from typing import Annotated, Any

import typer
from rich.markup import escape
from rich.table import Table

from tallystick.cli.console import UNITS, out, print_whole, say
from tallystick.cli.pages import pages_of, print_pages
from tallystick.cli.run import Book, ask_of, on_store
from tallystick.open_store import FIRST_BOOK, Store
from tallystick.security.model import OPERATOR

app = typer.Typer(no_args_is_help=True, help="Payments: what was taken through a provider, and what is in the way.")

Payment = Annotated[uuid.UUID, typer.Argument(help="The payment's id.")]


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
    fields = {"user": user, "status": status, "invoice_id": None if invoice is None else str(invoice)}
    listed = on_store(lambda store: print_pages(store, book, "payments.list", fields, _table))
    out.print(UNITS if listed else "there is no such payment")


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
    out.print(UNITS)


@app.command()
def stuck(book: Book = FIRST_BOOK) -> None:
    """List payments that did not go on when they were last tried, and why; they are tried again and again."""

    async def work(store: Store) -> None:
        found = Table(box=None, pad_edge=False)
        for heading in ("payment", "tries", "since", "last tried", "why"):
            found.add_column(heading, justify="right" if heading == "tries" else "left", no_wrap=heading != "why")
        async for page in pages_of(store, book, "payments.stuck", {}):
            for one in page.items:
                found.add_row(
                    str(one.payment_id), f"{one.tries}", f"{one.since:%Y-%m-%d %H:%M:%S}",
                    f"{one.last_tried_at:%Y-%m-%d %H:%M:%S}", f"{escape(one.message)} [dim]{one.code}[/dim]",
                )  # fmt: skip
        if found.row_count:
            print_whole(out, found)
        else:
            out.print("no payment is stuck")
        if (await ask_of(store, book, "payments.late", {"limit": 1})).items:
            say("money was taken for payments that had failed: `tallystick payment late`")

    on_store(work)


@app.command()
def late(
    all_: Annotated[bool, typer.Option("--all", help="Those too that somebody has seen to in a payout.")] = False,
    book: Book = FIRST_BOOK,
) -> None:
    """List payments that had failed, and whose money the provider took all the same; no account has it."""
    listed = on_store(lambda store: print_pages(store, book, "payments.late", {"all": all_}, _late))
    out.print(UNITS if listed else "no payment was taken late")


def _late(payments: Sequence[Any]) -> Table:
    table = Table(box=None, pad_edge=False)
    for heading in ("payment", "noted", "customer", "amount", "provider", "its id", "had failed"):
        table.add_column(heading, justify="right" if heading == "amount" else "left", no_wrap=True)
    for one in payments:
        table.add_row(
            str(one.payment_id), f"{one.noted_at:%Y-%m-%d %H:%M:%S}", escape(one.customer),
            f"{one.amount:,} {one.asset}", one.provider, escape(one.transaction_id), escape(one.reason),
        )  # fmt: skip
    return table


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
