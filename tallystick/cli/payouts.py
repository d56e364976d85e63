"""`tallystick payout`: what providers paid out, line by line against the ledger; amounts in minor units."""

from collections.abc import Sequence
from typing import Annotated, Any
from uuid import UUID

import msgspec
import typer
from rich.markup import escape
from rich.table import Table

from tallystick.cli.console import UNITS, out, print_whole, say
from tallystick.cli.pages import print_pages
from tallystick.cli.run import Book, on_store
from tallystick.ids import uuid7
from tallystick.open_store import FIRST_BOOK, Store
from tallystick.operations.payouts import AskedFor
from tallystick.payments.payouts.model import (
    Balances,
    LikelyPartner,
    LineShown,
    Payout,
    Unreported,
)
from tallystick.security.model import OPERATOR

app = typer.Typer(no_args_is_help=True, help="Payouts: what providers paid out, line by line against the ledger.")
_PAGE = 500

Provider = Annotated[str | None, typer.Option(help="Only this provider's.")]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Say what it would come to, and keep nothing.")]
Line = Annotated[str, typer.Argument(help="Its id, as `unmatched` and `show` list it.")]


@app.command()
def read(provider: Provider = None, book: Book = FIRST_BOOK) -> None:
    """Have the server look through providers' lists of payouts now, not within the hour."""

    async def work(store: Store) -> AskedFor:
        fields = {"provider": provider}
        asked: AskedFor = await store.operations.call(OPERATOR, book, "payouts.read", str(uuid7()), fields)
        return asked

    names = on_store(work).providers
    said = f"asked for: {', '.join(names)}; what comes is in `tallystick payout list`"
    say(said if names else "nobody has to do with money of this book")


@app.command("list")
def list_(
    unmatched: Annotated[bool, typer.Option("--unmatched", help="Only those with lines that wait.")] = False,
    provider: Provider = None,
    book: Book = FIRST_BOOK,
) -> None:
    """List payouts, the newest first: what each came to, and how many of its lines were found."""
    fields = {"unmatched": unmatched, "provider": provider}
    listed = on_store(lambda store: print_pages(store, book, "payouts.list", fields, _payouts, _PAGE))
    out.print(UNITS if listed else "there is no such payout")


@app.command()
def show(
    payout: Annotated[UUID, typer.Argument(help="Our id of it, as `list` prints it.")],
    unmatched: Annotated[bool, typer.Option("--unmatched", help="Only lines that wait.")] = False,
    book: Book = FIRST_BOOK,
) -> None:
    """Show a payout's report: each line with what it is of ours, or why it waits and what it may be."""

    async def work(store: Store) -> Payout:
        found: Payout = await store.operations.call(OPERATOR, book, "payouts.find", "", {"id": str(payout)})
        print_whole(out, _payouts([found]))
        out.print()
        fields = {"id": str(payout), "unmatched": unmatched}
        await print_pages(store, book, "payouts.lines", fields, _lines, _PAGE)
        return found

    _sum_up(on_store(work))


@app.command()
def unmatched(book: Book = FIRST_BOOK) -> None:
    """List the lines of all payouts that wait, each with why and with the likeliest partners."""
    listed = on_store(lambda store: print_pages(store, book, "payouts.unmatched", {}, _lines, _PAGE))
    out.print(UNITS if listed else "no line waits")


@app.command()
def unreported(
    days: Annotated[int, typer.Option(help="It moved at least so many days ago.")] = 7,
    within: Annotated[int, typer.Option(help="And at most so many.")] = 180,
    provider: Provider = None,
    book: Book = FIRST_BOOK,
) -> None:
    """List payments, refunds and disputes of the book that no report has named, the oldest first."""
    fields = {"days": days, "within": within, "provider": provider}
    listed = on_store(lambda store: print_pages(store, book, "payouts.unreported", fields, _unreported, _PAGE))
    out.print(UNITS if listed else "nothing is unreported")


@app.command()
def balance(provider: Provider = None, book: Book = FIRST_BOOK) -> None:
    """Say where the money is that providers took: held by them, waiting to be matched, on its way, kept as fees."""

    async def work(store: Store) -> Balances:
        fields = {"provider": provider}
        found: Balances = await store.operations.call(OPERATOR, book, "payouts.balance", "", fields)
        return found

    table = _table(("provider", "asset"), "held", "unmatched", "not reported", "on its way", "fees")
    for one in on_store(work).items:
        amounts = (one.held, one.unmatched, one.unreported, one.on_the_way, one.fees)
        table.add_row(one.provider, one.asset, *(f"{amount:,}" for amount in amounts))
    print_whole(out, table)
    out.print("[dim]amounts in minor units; what is not reported yet is what the provider must say that it holds[/dim]")


@app.command()
def match(
    line: Line,
    partner: Annotated[
        str, typer.Argument(help="What it is: charge, refund, refund_failed, dispute, dispute_reversed, payout.")
    ],
    partner_id: Annotated[UUID, typer.Argument(help="Our id of that, as the partners are listed.")],
    difference_to: Annotated[str | None, typer.Option(help="The account for what the amounts differ by.")] = None,
    dry_run: DryRun = False,
    book: Book = FIRST_BOOK,
) -> None:
    """Say what a line is of ours."""
    fields = {"line": line, "partner": partner, "partner_id": str(partner_id), "difference_to": difference_to}
    _say(_do("payouts.match", fields, book, dry_run=dry_run), dry_run=dry_run)


@app.command("book")
def book_(
    line: Line,
    account: Annotated[str | None, typer.Argument(help="Where it goes; left out, the provider's adjustments.")] = None,
    dry_run: DryRun = False,
    book: Book = FIRST_BOOK,
) -> None:
    """Book what a line leaves open on an account."""
    _say(_do("payouts.book", {"line": line, "account": account}, book, dry_run=dry_run), dry_run=dry_run)


@app.command()
def undo(
    line: Line,
    reason: Annotated[str, typer.Argument(help="Why.")],
    dry_run: DryRun = False,
    book: Book = FIRST_BOOK,
) -> None:
    """Take back what was said of a line by hand: what moved for it moves back, and it waits again."""
    _say(_do("payouts.undo", {"line": line, "reason": reason}, book, dry_run=dry_run), dry_run=dry_run)


@app.command()
def arrive(
    payout: Annotated[UUID, typer.Argument(help="Our id of it.")],
    entry: Annotated[str, typer.Argument(help="The entry of a bank statement, as `tallystick bank entries` lists it.")],
    dry_run: DryRun = False,
    book: Book = FIRST_BOOK,
) -> None:
    """Say that an entry of a bank statement is a payout: its money is not on its way any more, the bank has it."""
    body = _do("payouts.arrive", {"id": str(payout), "entry": entry}, book, dry_run=dry_run)
    found = msgspec.json.decode(body, type=Payout)
    said = "would be" if dry_run else "is"
    say(f"{found.amount:,} {found.asset} of {found.provider} {said} on the statement")


@app.command("undo-arrival")
def undo_arrival(
    payout: Annotated[UUID, typer.Argument(help="Our id of it.")],
    reason: Annotated[str, typer.Argument(help="Why.")],
    dry_run: DryRun = False,
    book: Book = FIRST_BOOK,
) -> None:
    """Take back which entry of a bank statement a payout was last said to be: both can be said of another."""
    body = _do("payouts.undo_arrival", {"id": str(payout), "reason": reason}, book, dry_run=dry_run)
    found = msgspec.json.decode(body, type=Payout)
    said = "would be" if dry_run else "is"
    what = "back on its statement" if found.arrived else "on its way again"
    say(f"{found.amount:,} {found.asset} of {found.provider} {said} {what}")


def _do(operation: str, fields: dict[str, Any], book: str, *, dry_run: bool) -> bytes:
    async def work(store: Store) -> bytes:
        answer = await store.operations.run(OPERATOR, book, operation, str(uuid7()), fields, dry_run=dry_run)
        return answer.body

    return on_store(work)


def _say(body: bytes, *, dry_run: bool) -> None:
    one = msgspec.json.decode(body, type=LineShown)
    told = one.matched if one.matched is not None else f"it waits: {one.why_not}"
    before = "[dim]nothing is kept:[/dim] " if dry_run else ""
    say(f"{before}{one.line.amount:,} {one.asset} of {escape(one.line.id)}: {escape(told)}")


def _unreported(items: Sequence[Unreported]) -> Table:
    table = _table(("moved at", "what", "id", "provider", "its id"), "amount")
    for one in items:
        table.add_row(
            f"{one.at:%Y-%m-%d %H:%M}", one.kind, str(one.id), one.provider, escape(one.provider_id),
            f"{one.amount:,} {one.asset}",
        )  # fmt: skip
    return table


def _payouts(items: Sequence[Payout]) -> Table:
    table = _table(
        ("id", "provider", "its id", "status", "arrives on"), "amount", "fees", "matched", "unmatched", "open"
    )
    for one in items:
        status = f"{one.status}, at the bank" if one.arrived else one.status
        table.add_row(
            str(one.id), one.provider, escape(one.provider_id), status, str(one.arrives_on), f"{one.amount:,} {one.asset}",
            f"{one.fees:,}", f"{one.matched:,}", f"{one.unmatched:,}" if one.unmatched else "", f"{one.open:,}",
        )  # fmt: skip
    return table


def _lines(items: Sequence[LineShown]) -> Table:
    table = _table(("line", "kind", "the provider's ids"), "amount", "fee")
    table.add_column("is", no_wrap=True)
    for one in items:
        ids = [one.line.id, *(id_ for id_ in (one.line.transaction_id, one.line.refund_id, one.line.dispute_id) if id_)]
        table.add_row(
            one.id, one.line.kind, escape(" ".join(ids)), f"{one.line.amount:,} {one.asset}", f"{one.line.fee:,}",
            escape(_what(one)),
        )  # fmt: skip
        for partner in one.partners:
            table.add_row(
                "", "", "", f"{partner.amount:,} {partner.asset}", "", f"[dim]{escape(_partner(partner))}[/dim]"
            )
    return table


def _what(one: LineShown) -> str:
    if one.matched is None:
        return f"not matched: {one.why_not}"
    return (
        f"{one.partner} {one.partner_id}: {one.matched}"
        if one.partner_id
        else f"{one.partner or ''} {one.matched}".strip()
    )


def _partner(one: LikelyPartner) -> str:
    return f"perhaps {one.kind} {one.id} ({one.score}: {one.why})"


def _table(words: Sequence[str], *amounts: str) -> Table:
    table = Table(box=None)
    for heading in words:
        table.add_column(heading, no_wrap=True)
    for heading in amounts:
        table.add_column(heading, no_wrap=True, justify="right")
    return table


def _sum_up(one: Payout) -> None:
    say(
        f"\n[dim]{one.matched:,} of {one.lines:,} lines matched; {one.unmatched:,} wait, which leave {one.open:,} {one.asset} open;"
        " amounts in minor units[/dim]"
    )
