"""`tallystick account`: the chart of accounts, balances, histories and statements."""

import datetime as dt
from collections.abc import Mapping, Sequence
from typing import Annotated, Any

import typer
from rich.markup import escape
from rich.table import Table
from rich.tree import Tree

from tallystick.cli.amounts import read_assets
from tallystick.cli.console import out
from tallystick.cli.pages import PAGE, pages_of
from tallystick.cli.run import INSTANT_FORMS, Book, ask_of, in_utc, on_store, write_instant
from tallystick.money import Asset, Money
from tallystick.open_store import FIRST_BOOK, Store

app = typer.Typer(no_args_is_help=True, help="Accounts: the chart of them, balances, histories and statements.")

Instant = Annotated[
    dt.datetime | None,
    typer.Option(
        formats=INSTANT_FORMS,
        metavar="INSTANT",
        help="Such as 2026-11-01 or 2026-11-01T12:00:00Z; UTC if it has no zone.",
    ),
]
Effective = Annotated[bool, typer.Option("--effective", help="By effective instead of recorded time.")]
Account = Annotated[str, typer.Argument(help="Its code, such as customers/42/receivable.")]
_CHILDREN = 100


@app.command()
def tree(
    path: Annotated[str, typer.Argument(help="Where to begin; the roots if left out.")] = "",
    depth: Annotated[int, typer.Option(min=1, max=10, help="How many levels to draw.")] = 2,
    book: Book = FIRST_BOOK,
) -> None:
    """Draw the chart of accounts with the balances of each part rolled up by asset."""

    async def work(store: Store) -> Tree:
        drawn = Tree(f"[bold]{escape(path or book)}[/bold]")
        await _draw(store, book, path, depth, drawn)
        return drawn

    out.print(on_store(work), highlight=False)


async def _draw(store: Store, book: str, path: str, depth: int, into: Tree) -> None:
    """Add the children of *path*; of many the first hundred, and that there are more."""
    page = await ask_of(store, book, "ledger.tree", {"path": path, "limit": _CHILDREN})
    for child in page.children:
        assets = await read_assets(store, book, [one.asset for one in child.totals])
        totals = ", ".join(_total(one, assets[one.asset]) for one in child.totals)
        below = f" [dim]{child.below:,} below[/dim]" if child.below else ""
        branch = into.add(f"{escape(child.name)}  {totals}{below}")
        if child.below and depth > 1:
            await _draw(store, book, child.path, depth - 1, branch)
    if page.next is not None:
        into.add("[dim]and more[/dim]")


def _total(one: Any, asset: Asset) -> str:  # noqa: ANN401 - a part of what the operation answers
    held = f" ({Money(one.available, asset)} available)" if one.held else ""
    return f"{Money(one.balance, asset)}{held}"


@app.command()
def balance(account: Account, at: Instant = None, effective: Effective = False, book: Book = FIRST_BOOK) -> None:
    """Show the balance of an account, now or at an instant."""
    fields = {"account": account, "at": in_utc(at), "by": _by(effective=effective)}

    async def work(store: Store) -> tuple[Any, Asset]:
        found = await ask_of(store, book, "ledger.balance", fields)
        return found, (await read_assets(store, book, [found.asset]))[found.asset]

    found, asset = on_store(work)
    table = Table(show_header=False, box=None)
    table.add_column()
    table.add_column(justify="right")
    for name in ("balance", "held", "available", "incoming", "debits", "credits"):
        table.add_row(name, str(Money(getattr(found, name), asset)))
    out.print(table)


@app.command()
def history(
    account: Account,
    since: Instant = None,
    until: Instant = None,
    below: Annotated[bool, typer.Option("--below", help="With everything below it on the path.")] = False,
    last: Annotated[int | None, typer.Option(min=1, max=PAGE, help="Only so many, the latest.")] = None,
    effective: Effective = False,
    book: Book = FIRST_BOOK,
) -> None:
    """List the transfers of an account or of all accounts below it, in order of time."""
    fields = {"account": account, "below": below, "since": in_utc(since), "until": in_utc(until)}
    fields["by"] = _by(effective=effective)

    async def work(store: Store) -> None:
        if last is not None:
            items = await _latest(store, book, last, fields)
            out.print(await _entries(store, book, items), soft_wrap=True)
            return
        async for page in pages_of(store, book, "ledger.history", fields):
            if page.items:
                out.print(await _entries(store, book, page.items), soft_wrap=True)

    on_store(work)


async def _latest(store: Store, book: str, count: int, fields: dict[str, object]) -> list[Any]:
    items: list[Any] = []
    turn: dict[str, object] = {"last": True}
    while len(items) < count:
        page = await ask_of(store, book, "ledger.history", {**fields, **turn, "limit": count - len(items)})
        items = [*page.items, *items]
        if page.previous is None:
            break
        turn = {"before": page.previous}
    return items


@app.command()
def statement(
    account: Account,
    since: Annotated[
        dt.datetime, typer.Option(formats=INSTANT_FORMS, metavar="INSTANT", help="Where the period begins.")
    ],
    until: Annotated[
        dt.datetime, typer.Option(formats=INSTANT_FORMS, metavar="INSTANT", help="Where it ends, not included.")
    ],
    effective: Effective = False,
    book: Book = FIRST_BOOK,
) -> None:
    """Print the statement of an account: what it had, what came and went, what it has then."""
    fields = {"account": account, "since": in_utc(since), "until": in_utc(until), "by": _by(effective=effective)}

    async def work(store: Store) -> None:
        page = await ask_of(store, book, "ledger.statement", {**fields, "limit": PAGE})
        out.print(f"[bold]{escape(account)}[/bold] by {page.by} time, {page.asset}", highlight=False)
        asset = (await read_assets(store, book, [page.asset]))[page.asset]
        out.print(_standing("opening", page.opening, asset), highlight=False)
        if page.entries:
            out.print(await _entries(store, book, page.entries), soft_wrap=True)
        while page.next is not None:
            page = await ask_of(store, book, "ledger.statement", {**fields, "after": page.next, "limit": PAGE})
            out.print(await _entries(store, book, page.entries), soft_wrap=True)
        out.print(f"credits {Money(page.credits, asset)}, debits {Money(page.debits, asset)}", highlight=False)
        out.print(_standing("closing", page.closing, asset), highlight=False)

    on_store(work)


def _standing(name: str, one: Any, asset: Asset) -> str:  # noqa: ANN401 - a part of what the operation answers
    held = f", {Money(one.held, asset)} held, {Money(one.available, asset)} available" if one.held else ""
    return f"{name} {write_instant(one.at)}  {Money(one.balance, asset)}{held}"


async def _entries(store: Store, book: str, items: Sequence[Any]) -> Table:
    return _table(items, await read_assets(store, book, [one.asset for one in items]))


def _table(items: Sequence[Any], assets: Mapping[str, Asset]) -> Table:
    table = Table(box=None)
    for heading in ("effective", "reason", "from", "to"):
        table.add_column(heading, no_wrap=True)
    for heading in ("amount", "balance"):
        table.add_column(heading, no_wrap=True, justify="right")
    table.add_column("reference")
    for one in items:
        asset = assets[one.asset]
        amount = Money(-one.amount if one.direction == "debit" else one.amount, asset)
        shown = str(amount) if one.effect == "posted" else f"{one.effect} {Money(one.amount, asset)}"
        running = "" if one.balance is None else str(Money(one.balance, asset))
        table.add_row(write_instant(one.effective_at), one.reason, escape(one.debit), escape(one.credit), shown, running,
                      escape(one.reference or ""))  # fmt: skip
    return table


def _by(*, effective: bool) -> str:
    return "effective" if effective else "recorded"
