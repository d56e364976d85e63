"""`tallystick rate`: what a price asks for, shown part by part and kept nowhere."""

import sys
from pathlib import Path
from typing import Annotated, Any

import msgspec
import typer
from rich import box
from rich.markup import escape
from rich.table import Table

from tallystick.cli.console import out, say
from tallystick.cli.run import Book, on_store
from tallystick.errors import InvalidInput
from tallystick.money import Asset, Money
from tallystick.open_store import FIRST_BOOK, Store
from tallystick.operations.rating import AssetTotal, Preview, PreviewedLine
from tallystick.rating.model import Detail, Line
from tallystick.security.model import OPERATOR

app = typer.Typer(no_args_is_help=True, help="Rating: what a price makes of usage.")

_WORDS = {
    "flat": "flat fee",
    "tier_fee": "tier fee",
    "percent": "percentage",
    "amount": "amounts of the events",
    "transaction_fee": "per transaction",
    "transaction_minimum": "raised to the minimum",
    "transaction_maximum": "cut to the maximum",
    "free_transactions": "free transactions",
    "discount_units": "units discounted",
    "maximum_spend": "cut to the maximum",
    "minimum_spend": "raised to the minimum",
}


@app.callback()
def rate() -> None:
    """Rating: what a price makes of usage."""


@app.command()
def preview(  # noqa: PLR0913, PLR0917 - each is an option of the command line
    price: Annotated[
        str | None, typer.Option(metavar="FILE", help="The price as JSON; - reads standard input.")
    ] = None,
    quantity: Annotated[str | None, typer.Option(help="How much was used, such as 1234.5.")] = None,
    asset: Annotated[str | None, typer.Option(help="What the price is in: USD, or an asset of the book.")] = None,
    unit: Annotated[str, typer.Option(help="What is counted, in the plural.")] = "units",
    events: Annotated[int | None, typer.Option(help="How many events the quantity came in.")] = None,
    transactions: Annotated[
        str | None, typer.Option(help="The quantity of each in order of time, as in 5,10,0.50.")
    ] = None,
    share: Annotated[str | None, typer.Option(help="The share of a period that it is for, as in 10/31.")] = None,
    customer: Annotated[str | None, typer.Option(help="Rate the stored usage of this customer instead.")] = None,
    product: Annotated[str | None, typer.Option(help="The product whose prices are in force.")] = None,
    start_at: Annotated[str | None, typer.Option("--from", help="Such as 2015-05-01T00:00:00Z.")] = None,
    end_at: Annotated[str | None, typer.Option("--to", help="Up to, and without, this instant.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the answer as JSON.")] = False,
    book: Book = FIRST_BOOK,
) -> None:
    """
    Show what a price asks for a quantity, or what a customer's usage of a period would be invoiced as.

    Each line is told part by part, with its total; nothing is kept.
    """
    given = {"asset": asset, "customer": customer, "product": product, "start_at": start_at, "end_at": end_at}
    request: dict[str, Any] = {name: value for name, value in given.items() if value is not None}

    async def work(store: Store) -> Preview:
        if price is not None:
            request["price"], request["unit"] = read_price_file(price), unit
        each = None if transactions is None else transactions.split(",")
        told = {"quantity": quantity, "events": events, "transactions": each, "share": share}
        if given_quantity := {name: value for name, value in told.items() if value is not None}:
            request["quantities"] = [given_quantity]
        found: Preview = await store.operations.call(OPERATOR, book, "rating.preview", "", request)
        return found

    answer = on_store(work)
    if as_json:
        print(msgspec.json.format(msgspec.json.encode(answer), indent=2).decode())
        return
    show(answer)


def read_price_file(name: str) -> object:
    """
    Read the JSON of a price; its numbers are looked at later.

    Raises:
        InvalidInput: there is no such file, or it holds no JSON object (``invalid_input``).
    """
    try:
        content = sys.stdin.buffer.read() if name == "-" else Path(name).read_bytes()
        return msgspec.json.decode(content, type=dict[str, Any])
    except OSError as error:
        raise InvalidInput(field="--price", rule=f"{name} cannot be read: {error.strerror}") from error
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise InvalidInput(field="--price", rule=f"{name} is no price in JSON: {error}") from error


def show(answer: Preview) -> None:
    """Show the lines part by part, and their totals."""
    exponents = {total.asset: total.exponent for total in answer.totals}
    for one in answer.lines:
        _show_line(one, Asset(one.line.asset, exponents[one.line.asset]))
    if not answer.lines:
        out.print("nothing was used in that period that has a price")
    for total in answer.totals:
        _show_total(total, alone=len(answer.lines) == 1)


def _show_total(total: AssetTotal, *, alone: bool) -> None:
    """Show what the lines of an asset come to, unless there is one alone, and their taxes."""
    asset = Asset(total.asset, total.exponent)
    if not alone or total.taxes or total.problem is not None:
        out.print(f"total {Money(total.amount, asset)}", highlight=False)
    for tax in total.taxes:
        how = tax.reason or ("contained" if tax.inclusive else "added")
        of = f"{tax.rate} of {Money(tax.base, asset)}"
        out.print(f"  {escape(tax.name)}: {of} = {Money(tax.amount, asset)}, {escape(how)}", highlight=False)
    if total.with_taxes is not None:
        out.print(f"with taxes [bold]{Money(total.with_taxes, asset)}[/bold]", highlight=False)
    if total.problem is not None:
        out.print(f"the taxes are not known: {escape(total.problem)}", highlight=False)


def _show_line(one: PreviewedLine, asset: Asset) -> None:
    line = one.line
    out.print(f"[bold]{escape(one.name or line.model)}[/bold]", highlight=False)
    if one.period_start is not None and one.period_end is not None:
        out.print(f"  {one.period_start:%Y-%m-%d %H:%M} to {one.period_end:%Y-%m-%d %H:%M} UTC", highlight=False)
    table = Table("part", box=box.SIMPLE_HEAD, pad_edge=True)
    for column in ("quantity", "rate", f"amount, {asset.code}"):
        table.add_column(column, justify="right")
    for detail in line.details:
        table.add_row(_part(detail, line), detail.quantity, detail.rate, detail.amount)
    if line.details:
        out.print(table)
    say(f"  {escape(line.explanation)}")
    out.print(f"  [bold]{Money(line.amount, asset)}[/bold]", highlight=False)


def _part(detail: Detail, line: Line) -> str:
    """Name a part of a line."""
    if detail.part == "tier" or (detail.part == "percent" and detail.tier is not None):
        return f"above {detail.above}" + (f", up to {detail.up_to}" if detail.up_to else "")
    if detail.part == "units":
        return escape(line.priced_unit)
    if detail.part == "package":
        return f"packages of {detail.size}"
    return _WORDS.get(detail.part, detail.part)
