"""`tallystick account`: the chart of accounts, balances, histories and statements; amounts are in minor units."""

import datetime as dt
from collections.abc import Sequence
from typing import Annotated, Any

import typer
from rich.markup import escape
from rich.table import Table
from rich.tree import Tree

from tallystick.cli.run import Book, on_store, out
from tallystick.main import FIRST_BOOK, Store
from tallystick.security.model import OPERATOR

app = typer.Typer(no_args_is_help=True, help="Accounts: the chart of them, balances, histories and statements.")

_FORMS = ["%Y-%m-%d", "%Y-%m-%dT%H:%M:%S", "%Y-%m-%dT%H:%M:%S%z", "%Y-%m-%dT%H:%M:%S.%f%z"]
Instant = Annotated[
    dt.datetime | None,
    typer.Option(
        formats=_FORMS, metavar="INSTANT", help="Such as 2026-11-01 or 2026-11-01T12:00:00Z; UTC if it has no zone."
    ),
]
Effective = Annotated[bool, typer.Option("--effective", help="By effective instead of recorded time.")]
Account = Annotated[str, typer.Argument(help="Its code, such as customers/42/receivable.")]
_UNITS = "[dim]amounts in minor units[/dim]"
_PAGE = 1000
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
    out.print(_UNITS)


async def _draw(store: Store, book: str, path: str, depth: int, into: Tree) -> None:
    """Add the children of *path*; of many the first hundred, and that there are more."""
    page = await _ask(store, book, "ledger.tree", path=path, limit=_CHILDREN)
    for child in page.children:
        totals = ", ".join(_total(one) for one in child.totals)
        below = f" [dim]{child.below:,} below[/dim]" if child.below else ""
        branch = into.add(f"{escape(child.name)}  {totals}{below}")
        if child.below and depth > 1:
            await _draw(store, book, child.path, depth - 1, branch)
    if page.next is not None:
        into.add("[dim]and more[/dim]")


def _total(one: Any) -> str:  # noqa: ANN401 - a part of what the operation answers
    held = f" ({one.available:,} available)" if one.held else ""
    return f"{one.balance:,} {one.asset}{held}"


@app.command()
def balance(account: Account, at: Instant = None, effective: Effective = False, book: Book = FIRST_BOOK) -> None:
    """Show the balance of an account, now or at an instant."""
    found = _one(book, "ledger.balance", account=account, at=_aware(at), by=_by(effective=effective))
    table = Table(show_header=False, box=None)
    table.add_column()
    table.add_column(justify="right")
    for name in ("balance", "held", "available", "incoming", "debits", "credits"):
        table.add_row(name, f"{getattr(found, name):,} {found.asset}")
    out.print(table)
    out.print(_UNITS)


@app.command()
def history(
    account: Account,
    since: Instant = None,
    until: Instant = None,
    below: Annotated[bool, typer.Option("--below", help="With everything below it on the path.")] = False,
    last: Annotated[int | None, typer.Option(min=1, max=_PAGE, help="Only so many, the latest.")] = None,
    effective: Effective = False,
    book: Book = FIRST_BOOK,
) -> None:
    """List the transfers of an account or of all accounts below it, in order of time."""
    fields = {"account": account, "below": below, "since": _aware(since), "until": _aware(until)}
    fields["by"] = _by(effective=effective)

    async def work(store: Store) -> None:
        if last is not None:
            items = await _latest(store, book, last, fields)
            out.print(_entries(items), soft_wrap=True)
            return
        after: str | None = ""
        while after is not None:
            page = await _ask(store, book, "ledger.history", **fields, after=after, limit=_PAGE)
            if page.items:
                out.print(_entries(page.items), soft_wrap=True)
            after = page.next
        out.print(_UNITS)

    on_store(work)


async def _latest(store: Store, book: str, count: int, fields: dict[str, object]) -> list[Any]:
    items: list[Any] = []
    turn: dict[str, object] = {"last": True}
    while len(items) < count:
        page = await _ask(store, book, "ledger.history", **fields, **turn, limit=count - len(items))
        items = [*page.items, *items]
        if page.previous is None:
            break
        turn = {"before": page.previous}
    return items


@app.command()
def statement(
    account: Account,
    since: Annotated[dt.datetime, typer.Option(formats=_FORMS, metavar="INSTANT", help="Where the period begins.")],
    until: Annotated[dt.datetime, typer.Option(formats=_FORMS, metavar="INSTANT", help="Where it ends, not included.")],
    effective: Effective = False,
    book: Book = FIRST_BOOK,
) -> None:
    """Print the statement of an account: what it had, what came and went, what it has then."""
    fields = {"account": account, "since": _aware(since), "until": _aware(until), "by": _by(effective=effective)}

    async def work(store: Store) -> None:
        page = await _ask(store, book, "ledger.statement", **fields, limit=_PAGE)
        out.print(f"[bold]{escape(account)}[/bold] by {page.by} time, {page.asset}", highlight=False)
        out.print(_standing("opening", page.opening), highlight=False)
        if page.entries:
            out.print(_entries(page.entries), soft_wrap=True)
        while page.next is not None:
            page = await _ask(store, book, "ledger.statement", **fields, after=page.next, limit=_PAGE)
            out.print(_entries(page.entries), soft_wrap=True)
        out.print(f"credits {page.credits:,}, debits {page.debits:,}", highlight=False)
        out.print(_standing("closing", page.closing), highlight=False)
        out.print(_UNITS)

    on_store(work)


def _standing(name: str, one: Any) -> str:  # noqa: ANN401 - a part of what the operation answers
    held = f", {one.held:,} held, {one.available:,} available" if one.held else ""
    return f"{name} {_time(one.at)}  {one.balance:,}{held}"


def _entries(items: Sequence[Any]) -> Table:
    table = Table(box=None)
    for heading in ("effective", "reason", "from", "to"):
        table.add_column(heading, no_wrap=True)
    for heading in ("amount", "balance"):
        table.add_column(heading, no_wrap=True, justify="right")
    table.add_column("reference")
    for one in items:
        amount = f"{-one.amount if one.direction == 'debit' else one.amount:,}"
        shown = amount if one.effect == "posted" else f"{one.effect} {one.amount:,}"
        running = "" if one.balance is None else f"{one.balance:,}"
        table.add_row(_time(one.effective_at), one.reason, escape(one.debit), escape(one.credit), shown, running,
                      escape(one.reference or ""))  # fmt: skip
    return table


def _time(at: dt.datetime) -> str:
    return at.astimezone(dt.UTC).strftime("%Y-%m-%d %H:%M:%S")


def _aware(at: dt.datetime | None) -> dt.datetime | None:
    return at.replace(tzinfo=dt.UTC) if at is not None and at.tzinfo is None else at


def _by(*, effective: bool) -> str:
    return "effective" if effective else "recorded"


def _one(book: str, operation: str, **fields: object) -> Any:  # noqa: ANN401 - what the operation's table says it answers
    return on_store(lambda store: _ask(store, book, operation, **fields))


async def _ask(store: Store, book: str, operation: str, **fields: object) -> Any:  # noqa: ANN401 - as above
    return await store.operations.call(OPERATOR, book, operation, "", fields)
