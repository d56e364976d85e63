"""`tallystick tax`: rates, and what they make of an amount."""

import datetime as dt
from typing import Annotated, Any

import typer
from rich.markup import escape
from rich.table import Table

from tallystick.cli.run import Book, on_store, out
from tallystick.ids import uuid7
from tallystick.main import FIRST_BOOK, Store
from tallystick.security.model import OPERATOR

app = typer.Typer(no_args_is_help=True, help="Taxes: rates by jurisdiction and category, and what they come to.")

Jurisdiction = Annotated[str, typer.Argument(help="A country and parts of it: AT, US-CA.")]
_FORMS = ["%Y-%m-%d", "%Y-%m-%dT%H:%M:%S", "%Y-%m-%dT%H:%M:%S%z"]


@app.command("set-rate")
def set_rate(  # noqa: PLR0913, PLR0917 - a command has as many options as it has
    jurisdiction: Jurisdiction,
    name: Annotated[str, typer.Argument(help="As invoices print it: VAT.")],
    rate: Annotated[str, typer.Argument(help="Of the base, such as 0.20; none ends the tax.")],
    effective: Annotated[dt.datetime, typer.Option(formats=_FORMS, metavar="INSTANT", help="From when on.")],
    category: Annotated[str, typer.Option(help="The product category.")] = "standard",
    inclusive: Annotated[bool, typer.Option("--inclusive", help="Prices contain it.")] = False,
    compound: Annotated[bool, typer.Option("--compound", help="Of the base and the taxes that are not.")] = False,
    book: Book = FIRST_BOOK,
) -> None:
    """Set a tax of a jurisdiction from an instant on."""
    at = effective.replace(tzinfo=dt.UTC) if effective.tzinfo is None else effective
    fields = {
        "jurisdiction": jurisdiction,
        "name": name,
        "rate": None if rate == "none" else rate,
        "effective_at": at.isoformat(),
        "category": category,
        "inclusive": inclusive,
        "compound": compound,
    }
    found = _ask(book, "taxes.set_rate", str(uuid7()), fields)
    out.print(f"{found.jurisdiction} {found.category} {escape(found.name)}: {found.rate or 'no more'}", highlight=False)


@app.command()
def rates(
    jurisdiction: Annotated[str | None, typer.Argument(help="Of which jurisdiction; of all if left out.")] = None,
    book: Book = FIRST_BOOK,
) -> None:
    """List every version of every rate."""
    table = Table(box=None)
    for heading in ("jurisdiction", "category", "name", "from", "rate", ""):
        table.add_column(heading, no_wrap=True)
    for one in _ask(book, "taxes.rates", "", {"jurisdiction": jurisdiction}).items:
        said = ", ".join(word for word, true in (("inclusive", one.inclusive), ("compound", one.compound)) if true)
        table.add_row(one.jurisdiction, one.category, escape(one.name), f"{one.effective_at:%Y-%m-%d}", one.rate or "none", said)  # fmt: skip
    out.print(table)


@app.command()
def preview(
    jurisdiction: Jurisdiction,
    amounts: Annotated[list[int], typer.Argument(help="What the lines come to, in minor units.")],
    category: Annotated[str, typer.Option(help="The product category of all of them.")] = "standard",
    book: Book = FIRST_BOOK,
) -> None:
    """Show the taxes of amounts without keeping anything."""
    lines = [{"amount": one, "category": category} for one in amounts]
    found = _ask(book, "taxes.preview", "", {"jurisdiction": jurisdiction, "lines": lines})
    for one in found.taxes:
        how = "contained" if one.inclusive else "added"
        out.print(f"{escape(one.name)} {one.rate} of {one.base:,}: {one.amount:,} {how}", highlight=False)
    out.print(f"subtotal {found.subtotal:,}, total {found.total:,}", highlight=False)
    out.print("[dim]amounts in minor units[/dim]")


def _ask(book: str, operation: str, key: str, fields: dict[str, Any]) -> Any:  # noqa: ANN401 - what the operation's table says it answers
    async def work(store: Store) -> Any:  # noqa: ANN401 - as above
        return await store.operations.call(OPERATOR, book, operation, key, fields)

    return on_store(work)
