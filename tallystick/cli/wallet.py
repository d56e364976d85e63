"""`tallystick wallet`: prepaid credit; amounts are in minor units of its asset."""

import datetime as dt
from typing import Annotated, Any

import msgspec
import typer
from rich.markup import escape
from rich.table import Table

from tallystick.cli.run import Book, on_store, out, print_whole
from tallystick.ids import uuid7
from tallystick.main import FIRST_BOOK, Store
from tallystick.security.model import OPERATOR

app = typer.Typer(no_args_is_help=True, help="Prepaid credit: granted, spent by invoices, expired, voided.")

Customer = Annotated[str, typer.Argument(help="Whose wallet.")]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Judge it, answer, and keep nothing.")]
_FORMS = ["%Y-%m-%d", "%Y-%m-%dT%H:%M:%S", "%Y-%m-%dT%H:%M:%S%z"]
_UNITS = "[dim]amounts in minor units[/dim]"
_PAGE = 1000


@app.command()
def grant(  # noqa: PLR0913, PLR0917 - a command has as many options as it has
    customer: Customer,
    amount: Annotated[int, typer.Argument(min=1, help="Minor units: 250 USD are 2.50.")],
    asset: Annotated[str, typer.Argument(help="A currency, or a unit of your own.")],
    promotional: Annotated[bool, typer.Option("--promotional", help="Given, not paid for.")] = False,
    priority: Annotated[int, typer.Option(min=0, max=1000, help="Lower is spent first.")] = 100,
    expires: Annotated[
        dt.datetime | None, typer.Option(formats=_FORMS, metavar="INSTANT", help="UTC if it has no zone.")
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
        "expires_at": None if expires is None else _aware(expires).isoformat(),
    }
    _say(_change(book, "wallets.grant", fields, dry_run=dry_run), "would be granted" if dry_run else "granted")


@app.command()
def void(
    grant_id: Annotated[str, typer.Argument(metavar="GRANT", help="The grant's id.")],
    reason: Annotated[str, typer.Option(help="Why what is left is taken back.")],
    dry_run: DryRun = False,
    book: Book = FIRST_BOOK,
) -> None:
    """Take back what is left of a grant."""
    fields: dict[str, object] = {"id": grant_id, "reason": reason}
    _say(_change(book, "wallets.void", fields, dry_run=dry_run), "would be voided" if dry_run else "voided")


@app.command()
def balance(
    customer: Customer,
    ended: Annotated[bool, typer.Option("--ended", help="With the grants that have ended.")] = False,
    book: Book = FIRST_BOOK,
) -> None:
    """Show what a customer has, grant by grant in the order in which it is spent, and what expires next."""

    async def work(store: Store) -> Any:  # noqa: ANN401 - what the operation's table says it answers
        return await store.operations.call(
            OPERATOR, book, "wallets.balance", "", {"customer": customer, "ended": ended}
        )

    for part in on_store(work).assets:
        next_ = part.expiring
        soon = f", {next_.amount:,} of it until {_time(next_.at)}" if next_ else ""
        out.print(f"[bold]{part.balance:,} {part.asset}[/bold]{soon}", highlight=False)
        table = Table(box=None)
        for heading in ("grant", "kind", "priority", "until", "status"):
            table.add_column(heading, no_wrap=True)
        for heading in ("granted", "left"):
            table.add_column(heading, no_wrap=True, justify="right")
        for one in part.grants:
            until = "" if one.expires_at is None else _time(one.expires_at)
            table.add_row(str(one.id), one.kind, str(one.priority), until, one.status, f"{one.amount:,}", f"{one.balance:,}")  # fmt: skip
        print_whole(out, table)
    out.print(_UNITS)


@app.command()
def history(customer: Customer, book: Book = FIRST_BOOK) -> None:
    """List what came to a customer's wallet and went, as the ledger has it."""

    async def work(store: Store) -> None:
        after: str | None = ""
        while after is not None:
            fields = {"customer": customer, "after": after, "limit": _PAGE}
            page = await store.operations.call(OPERATOR, book, "wallets.history", "", fields)
            if page.items:
                print_whole(out, _entries(page.items))
            after = page.next

    on_store(work)
    out.print(_UNITS)


def _entries(items: list[Any]) -> Table:
    table = Table(box=None)
    for heading in ("at", "reason", "grant", "paid"):
        table.add_column(heading, no_wrap=True)
    table.add_column("amount", no_wrap=True, justify="right")
    for one in items:
        line = "" if one.line is None else f"/{one.line}"
        paid = "" if one.invoice is None else f"{one.invoice}{line}"
        table.add_row(_time(one.at), one.reason, str(one.grant), paid, f"{one.amount:,} {one.asset}")
    return table


def _change(book: str, operation: str, fields: dict[str, object], *, dry_run: bool) -> dict[str, Any]:
    """Run a change, or try it out, and return its answer as JSON has it."""

    async def work(store: Store) -> bytes:
        answer = await store.operations.run(OPERATOR, book, operation, str(uuid7()), fields, dry_run=dry_run)
        return answer.body

    answered: dict[str, Any] = msgspec.json.decode(on_store(work))
    return answered


def _say(one: dict[str, Any], what: str) -> None:
    out.print(
        f"{what}: {one['id']}, {one['amount']:,} {one['asset']} for {escape(one['customer'])}, {one['balance']:,} left",
        highlight=False,
        soft_wrap=True,
    )


def _time(at: dt.datetime) -> str:
    return at.astimezone(dt.UTC).strftime("%Y-%m-%d %H:%M:%S")


def _aware(at: dt.datetime) -> dt.datetime:
    return at.replace(tzinfo=dt.UTC) if at.tzinfo is None else at
