"""`tallystick tax`: rates, and what they make of an amount."""

import datetime as dt
from typing import Annotated, Any

import typer
from rich.markup import escape
from rich.table import Table

from tallystick.cli.amounts import read_assets
from tallystick.cli.console import UNITS, out
from tallystick.cli.run import INSTANT_FORMS, Book, ask, ask_of, in_utc, on_store
from tallystick.money import Asset, Money
from tallystick.open_store import FIRST_BOOK, Store

app = typer.Typer(no_args_is_help=True, help="Taxes: rates by jurisdiction and category, and what they come to.")

Jurisdiction = Annotated[str, typer.Argument(help="A country and parts of it: AT, US-CA.")]


@app.command("set-rate")
def set_rate(  # noqa: PLR0913, PLR0917 - a command has as many options as it has
    jurisdiction: Jurisdiction,
    name: Annotated[str, typer.Argument(help="As invoices print it: VAT.")],
    rate: Annotated[str, typer.Argument(help="Of the base, such as 0.20; none ends the tax.")],
    effective: Annotated[dt.datetime, typer.Option(formats=INSTANT_FORMS, metavar="INSTANT", help="From when on.")],
    category: Annotated[str, typer.Option(help="The product category.")] = "standard",
    inclusive: Annotated[bool, typer.Option("--inclusive", help="Prices contain it.")] = False,
    compound: Annotated[bool, typer.Option("--compound", help="Of the base and the taxes that are not.")] = False,
    book: Book = FIRST_BOOK,
) -> None:
    """Set a tax of a jurisdiction from an instant on."""
    fields = {
        "jurisdiction": jurisdiction,
        "name": name,
        "rate": None if rate == "none" else rate,
        "effective_at": in_utc(effective),
        "category": category,
        "inclusive": inclusive,
        "compound": compound,
    }
    found = ask(book, "taxes.set_rate", fields)
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
    for one in ask(book, "taxes.rates", {"jurisdiction": jurisdiction}).items:
        said = ", ".join(word for word, true in (("inclusive", one.inclusive), ("compound", one.compound)) if true)
        table.add_row(one.jurisdiction, one.category, escape(one.name), f"{one.effective_at:%Y-%m-%d}", one.rate or "none", said)  # fmt: skip
    out.print(table)


@app.command()
def preview(
    jurisdiction: Jurisdiction,
    amounts: Annotated[list[int], typer.Argument(help="What the lines come to, in minor units.")],
    category: Annotated[str, typer.Option(help="The product category of all of them.")] = "standard",
    asset: Annotated[str | None, typer.Option(help="What they are in; shown in minor units if left out.")] = None,
    book: Book = FIRST_BOOK,
) -> None:
    """Show the taxes of amounts without keeping anything."""
    lines = [{"amount": one, "category": category} for one in amounts]
    fields = {"jurisdiction": jurisdiction, "lines": lines}

    async def work(store: Store) -> tuple[Any, Asset | None]:
        found = await ask_of(store, book, "taxes.preview", fields)
        return found, None if asset is None else (await read_assets(store, book, [asset]))[asset]

    found, of_asset = on_store(work)

    def shown(amount: int) -> str:
        return f"{amount:,}" if of_asset is None else str(Money(amount, of_asset))

    for one in found.taxes:
        how = "contained" if one.inclusive else "added"
        out.print(f"{escape(one.name)} {one.rate} of {shown(one.base)}: {shown(one.amount)} {how}", highlight=False)
    out.print(f"subtotal {shown(found.subtotal)}, total {shown(found.total)}", highlight=False)
    if of_asset is None:
        out.print(UNITS)
