"""`tallystick repayment`: money that customers paid back; amounts are in minor units of its asset."""

import datetime as dt
from collections.abc import Mapping
from typing import Annotated, Any

import msgspec
import typer
from rich.markup import escape
from rich.table import Table

from tallystick.cli.console import UNITS, complain, out, print_whole, say
from tallystick.cli.pages import pages_of, print_pages
from tallystick.cli.run import Book, on_store
from tallystick.ids import uuid7
from tallystick.open_store import FIRST_BOOK, Store
from tallystick.security.model import OPERATOR

app = typer.Typer(no_args_is_help=True, help="Repayments: received, placed on invoices by a policy, given back.")

Customer = Annotated[str, typer.Argument(help="Who paid.")]
Asset = Annotated[str, typer.Argument(help="Its currency.")]
Amount = Annotated[int, typer.Argument(min=1, help="Minor units: 250 USD are 2.50.")]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Say what would go where and why, and keep nothing.")]
PolicyOption = Annotated[
    str | None,
    typer.Option("--policy", metavar="KIND or JSON", help="Such as pro_rata; the one in force if left out."),
]


@app.command()
def receive(  # noqa: PLR0913, PLR0917 - a command has as many options as it has
    customer: Customer,
    amount: Amount,
    asset: Asset,
    channel: Annotated[str, typer.Option(help="How it came: bank_transfer, cash, slip, or a name of yours.")],
    reference: Annotated[str, typer.Option(help="The channel's own reference; each is received once.")],
    policy: PolicyOption = None,
    on: Annotated[
        dt.datetime | None, typer.Option("--on", formats=["%Y-%m-%d"], metavar="DAY", help="When the customer paid.")
    ] = None,
    from_account: Annotated[str | None, typer.Option(help="The ledger account that it comes from.")] = None,
    dry_run: DryRun = False,
    book: Book = FIRST_BOOK,
) -> None:
    """Receive money from a customer and repay invoices with it."""
    fields = {
        "customer": customer,
        "amount": amount,
        "asset": asset,
        "channel": channel,
        "reference": reference,
        "received_on": None if on is None else on.date().isoformat(),
        "from_account": from_account,
        "policy": _read_policy(policy),
    }
    made = _ask(book, "repayments.receive", fields, dry_run=dry_run)
    _show([(one.invoice, one.amount, one.why) for one in made.allocations])
    what = "would be received" if dry_run else "received"
    say(f"{what}: {made.id}, {made.amount:,} {made.asset} of {escape(made.customer)}, {made.unallocated:,} unallocated")


@app.command()
def preview(
    customer: Customer,
    amount: Amount,
    asset: Asset,
    policy: PolicyOption = None,
    book: Book = FIRST_BOOK,
) -> None:
    """Try a policy on a customer: what would go where, and why; nothing is kept."""
    fields = {"customer": customer, "amount": amount, "asset": asset, "policy": _read_policy(policy)}
    tried = _ask(book, "repayments.preview", fields)
    table = Table(box=None)
    for heading in ("invoice", "product", "due", "outstanding", "gets", "why"):
        table.add_column(heading, no_wrap=True, justify="right" if heading in {"outstanding", "gets"} else "left")
    for one in tried.placed:
        table.add_row(
            one.number, one.product, str(one.due_on), f"{one.outstanding:,}", f"{one.amount:,}", escape(one.why)
        )
    print_whole(out, table)
    kind = msgspec.to_builtins(tried.policy)["kind"]
    left = f"{len(tried.left_out)} invoices get nothing, {tried.unallocated:,} {tried.asset} would lie unallocated"
    say(f"{kind}, as the {tried.said_by} says; {left}")
    out.print(UNITS)


@app.command()
def allocate(
    customer: Customer, asset: Asset, policy: PolicyOption = None, dry_run: DryRun = False, book: Book = FIRST_BOOK
) -> None:
    """Repay invoices with what lies unallocated for a customer."""
    fields = {"customer": customer, "asset": asset, "policy": _read_policy(policy)}
    made = _ask(book, "repayments.allocate", fields, dry_run=dry_run)
    _show([(one.invoice, one.amount, one.why) for one in made.allocations])
    left = "nothing was placed" if made.unallocated is None else f"{made.unallocated:,} {made.asset} unallocated"
    out.print(left, highlight=False)


@app.command()
def unallocated(book: Book = FIRST_BOOK) -> None:
    """List what lies unallocated, customer by customer."""

    async def work(store: Store) -> None:
        async for page in pages_of(store, book, "repayments.unallocated", {}):
            for one in page.items:
                say(f"{one.amount:,} {one.asset}  {escape(one.customer)}")

    on_store(work)
    out.print(UNITS)


@app.command("list")
def list_(
    customer: Annotated[str | None, typer.Option(help="Only this customer's.")] = None, book: Book = FIRST_BOOK
) -> None:
    """List repayments in the order in which they came."""
    on_store(lambda store: print_pages(store, book, "repayments.list", {"customer": customer}, _repayments))
    out.print(UNITS)


@app.command()
def refund(  # noqa: PLR0913, PLR0917 - a command has as many options as it has
    customer: Customer,
    asset: Asset,
    to_account: Annotated[str, typer.Option("--to", help="The ledger account that it goes to.")],
    reference: Annotated[str, typer.Option(help="Each is refunded once.")],
    reason: Annotated[str, typer.Option(help="Why it is given back.")],
    amount: Annotated[int | None, typer.Option(min=1, help="Minor units; all if left out.")] = None,
    dry_run: DryRun = False,
    book: Book = FIRST_BOOK,
) -> None:  # fmt: skip
    """Give a customer back what lies unallocated."""
    fields = {"customer": customer, "asset": asset, "to_account": to_account, "reference": reference, "reason": reason,
              "amount": amount}  # fmt: skip
    made = _ask(book, "repayments.refund", fields, dry_run=dry_run)
    what = "would be given back" if dry_run else "given back"
    say(f"{what}: {made.amount:,} {made.asset} to {escape(made.to_account)}")


@app.command()
def reverse(
    repayment: Annotated[str, typer.Argument(metavar="REPAYMENT", help="Its id.")],
    reason: Annotated[str, typer.Option(help="Why the bank fetched it back.")],
    dry_run: DryRun = False,
    book: Book = FIRST_BOOK,
) -> None:
    """Take back a repayment that the bank fetched back: what it had repaid is owed again."""
    made = _ask(book, "repayments.reverse", {"id": repayment, "reason": reason}, dry_run=dry_run)
    _show([(invoice, amount, "is owed again") for invoice, amount in made.reopened.items()])
    what = "would be reversed" if dry_run else "reversed"
    say(f"{what}: {made.amount:,} {made.asset} to {escape(made.to_account)}")


def _show(placed: list[tuple[Any, int, str]]) -> None:
    """Print which invoice gets how much, and why."""
    if placed:
        table = Table(box=None)
        table.add_column("invoice", no_wrap=True)
        table.add_column("amount", no_wrap=True, justify="right")
        table.add_column("why", no_wrap=True)
        for invoice, amount, why in placed:
            table.add_row(str(invoice), f"{amount:,}", escape(why))
        print_whole(out, table)


def _repayments(items: list[Any]) -> Table:
    table = Table(box=None)
    for heading in ("received", "customer", "channel", "reference", "id"):
        table.add_column(heading, no_wrap=True)
    for heading in ("amount", "unallocated"):
        table.add_column(heading, no_wrap=True, justify="right")
    for one in items:
        reference = f"{one.reference} (reversed)" if one.reversed else one.reference
        table.add_row(
            str(one.received_on), escape(one.customer), one.channel, escape(reference), str(one.id),
            f"{one.amount:,} {one.asset}", f"{one.unallocated:,}",
        )  # fmt: skip
    return table


def _read_policy(text: str | None) -> Any:  # noqa: ANN401 - JSON
    """Read a policy: the name of a kind that needs nothing else, or JSON."""
    if text is None or not text.startswith("{"):
        return None if text is None else {"kind": text}
    try:
        return msgspec.json.decode(text)
    except msgspec.DecodeError as error:
        complain.print("[red]error:[/red] --policy is the name of a kind, or JSON", highlight=False)
        raise typer.Exit(2) from error


def _ask(book: str, operation: str, fields: Mapping[str, object], *, dry_run: bool = False) -> Any:  # noqa: ANN401 - what the operation's table says it answers
    """Run an operation as the operator, leaving out what is not given."""
    given = {name: value for name, value in fields.items() if value is not None}

    async def work(store: Store) -> Any:  # noqa: ANN401 - see above
        answer = await store.operations.run(OPERATOR, book, operation, str(uuid7()), given, dry_run=dry_run)
        return msgspec.json.decode(answer.body, type=store.operations.find(operation).output)

    return on_store(work)
