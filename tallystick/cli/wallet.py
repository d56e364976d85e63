"""`tallystick wallet`: prepaid credit."""

import datetime as dt
from typing import Annotated, Any

import typer
from rich.markup import escape
from rich.table import Table

from tallystick.cli.amounts import read_assets
from tallystick.cli.console import out, print_whole, say
from tallystick.cli.pages import pages_of
from tallystick.cli.run import INSTANT_FORMS, Book, ask_of, in_utc, on_store, write_instant
from tallystick.ids import uuid7
from tallystick.money import Asset, Money
from tallystick.open_store import FIRST_BOOK, Store

app = typer.Typer(no_args_is_help=True, help="Prepaid credit: granted, spent by invoices, expired, voided.")

Customer = Annotated[str, typer.Argument(help="Whose wallet.")]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Judge it, answer, and keep nothing.")]


@app.command(context_settings={"ignore_unknown_options": True})  # or -5 would be an option, and not an amount
def grant(  # noqa: PLR0913, PLR0917 - a command has as many options as it has
    customer: Customer,
    amount: Annotated[int, typer.Argument(min=1, help="Minor units: 250 USD are 2.50.")],
    asset: Annotated[str, typer.Argument(help="A currency, or a unit of your own.")],
    promotional: Annotated[bool, typer.Option("--promotional", help="Given, not paid for.")] = False,
    priority: Annotated[int, typer.Option(min=0, max=1000, help="Lower is spent first.")] = 100,
    expires: Annotated[
        dt.datetime | None, typer.Option(formats=INSTANT_FORMS, metavar="INSTANT", help="UTC if it has no zone.")
    ] = None,
    grant_id: Annotated[str | None, typer.Option("--id", help="The grant's id; the same id is granted once.")] = None,
    dry_run: DryRun = False,
    book: Book = FIRST_BOOK,
) -> None:
    """Grant a customer credit."""
    fields: dict[str, object] = {
        "id": grant_id or str(uuid7()),
        "customer": customer,
        "asset": asset,
        "amount": amount,
        "kind": "promotional" if promotional else "paid",
        "priority": priority,
        "expires_at": in_utc(expires),
    }
    _change(book, "wallets.grant", fields, "granted", dry_run=dry_run)


@app.command()
def void(
    grant_id: Annotated[str, typer.Argument(metavar="GRANT", help="The grant's id.")],
    reason: Annotated[str, typer.Option(help="Why what is left is taken back.")],
    dry_run: DryRun = False,
    book: Book = FIRST_BOOK,
) -> None:
    """Take back what is left of a grant."""
    fields: dict[str, object] = {"id": grant_id, "reason": reason}
    _change(book, "wallets.void", fields, "voided", dry_run=dry_run)


@app.command()
def balance(
    customer: Customer,
    ended: Annotated[bool, typer.Option("--ended", help="With the grants that have ended.")] = False,
    book: Book = FIRST_BOOK,
) -> None:
    """Show what a customer has, grant by grant in the order in which it is spent, and what expires next."""

    async def work(store: Store) -> tuple[Any, dict[str, Asset]]:
        found = await ask_of(store, book, "wallets.balance", {"customer": customer, "ended": ended})
        return found, await read_assets(store, book, [part.asset for part in found.assets])

    found, assets = on_store(work)
    for part in found.assets:
        asset = assets[part.asset]
        next_ = part.expiring
        soon = f", {Money(next_.amount, asset)} of it until {write_instant(next_.at)}" if next_ else ""
        out.print(f"[bold]{Money(part.balance, asset)}[/bold]{soon}", highlight=False)
        table = Table(box=None)
        for heading in ("grant", "kind", "priority", "until", "status"):
            table.add_column(heading, no_wrap=True)
        for heading in ("granted", "left"):
            table.add_column(heading, no_wrap=True, justify="right")
        for one in part.grants:
            until = "" if one.expires_at is None else write_instant(one.expires_at)
            amounts = (str(Money(amount, asset)) for amount in (one.amount, one.balance))
            table.add_row(str(one.id), one.kind, str(one.priority), until, one.status, *amounts)
        print_whole(out, table)


@app.command()
def history(customer: Customer, book: Book = FIRST_BOOK) -> None:
    """List what came to a customer's wallet and went, as the ledger has it."""

    async def work(store: Store) -> None:
        async for page in pages_of(store, book, "wallets.history", {"customer": customer}):
            if page.items:
                assets = await read_assets(store, book, [one.asset for one in page.items])
                print_whole(out, _entries(page.items, assets))

    on_store(work)


def _entries(items: list[Any], assets: dict[str, Asset]) -> Table:
    table = Table(box=None)
    for heading in ("at", "reason", "grant", "paid"):
        table.add_column(heading, no_wrap=True)
    table.add_column("amount", no_wrap=True, justify="right")
    for one in items:
        line = "" if one.line is None else f"/{one.line}"
        paid = "" if one.invoice is None else f"{one.invoice}{line}"
        amount = Money(one.amount, assets[one.asset])
        table.add_row(write_instant(one.at), one.reason, str(one.grant), paid, str(amount))
    return table


def _change(book: str, operation: str, fields: dict[str, object], what: str, *, dry_run: bool) -> None:
    """Make a change, or try it out, and say what became of the grant."""

    async def work(store: Store) -> tuple[Any, Asset]:
        one = await ask_of(store, book, operation, fields, dry_run=dry_run)
        return one, (await read_assets(store, book, [one.asset]))[one.asset]

    one, asset = on_store(work)
    say(
        f"{'would be ' if dry_run else ''}{what}: {one.id}, {Money(one.amount, asset)} for {escape(one.customer)}, "
        f"{Money(one.balance, asset)} left"
    )
