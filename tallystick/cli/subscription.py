"""`tallystick plan` and `tallystick subscription`: what is subscribed to, by whom, and what it is billed."""

import datetime as dt
from typing import Annotated
from zoneinfo import ZoneInfo

import msgspec
import typer
from rich.markup import escape
from rich.table import Table

from tallystick.cli.amounts import read_amounts
from tallystick.cli.console import complain, out, say
from tallystick.cli.follow_run import follow_run, tell_issued
from tallystick.cli.pages import pages_of
from tallystick.cli.run import Book, ask, on_store
from tallystick.ids import uuid7
from tallystick.invoicing.preview_subscription import PreviewInvoice
from tallystick.money import Asset, Money
from tallystick.open_store import FIRST_BOOK, Store
from tallystick.operations.run import encoder
from tallystick.operations.run_chunks import RunTerms
from tallystick.operations.subscription_run import SubscriptionRun, run_subscriptions
from tallystick.operations.subscriptions import Changed
from tallystick.security.model import OPERATOR
from tallystick.subscriptions.model import Subscription

plans = typer.Typer(no_args_is_help=True, help="Plans: what a subscription costs, in versions that never change.")
app = typer.Typer(no_args_is_help=True, help="Subscriptions: begin, change, pause, cancel, and bill what is due.")

Id = Annotated[str, typer.Argument(help="The id of the subscription.")]
When = Annotated[str, typer.Option("--when", help="now, or period_end.")]
At = Annotated[str | None, typer.Option("--at", help="An instant with its zone, in place of --when.")]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Say what it would cost, and keep nothing.")]


@plans.command("set")
def set_(
    plan: Annotated[str, typer.Argument(help="The code of the plan.")],
    effective_at: Annotated[str, typer.Argument(help="From when: an instant with its zone.")],
    content: Annotated[
        typer.FileBinaryRead, typer.Argument(metavar="FILE", help="What it says, as JSON; - reads standard input.")
    ],
    book: Book = FIRST_BOOK,
) -> None:
    """Set a version of a plan; subscriptions that follow it are billed by it from their next period on."""
    fields = {"plan": plan, "effective_at": effective_at, "content": msgspec.Raw(content.read())}
    body = msgspec.json.encode(fields)

    async def work(store: Store) -> bytes:
        return (await store.operations.run(OPERATOR, book, "plans.set_version", str(uuid7()), body)).body

    print(msgspec.json.format(on_store(work), indent=2).decode())


@plans.command("show")
def show_plan(
    plan: Annotated[str, typer.Argument(help="The code of the plan.")],
    at: Annotated[str | None, typer.Option(help="As it is at an instant; in its newest version by default.")] = None,
    book: Book = FIRST_BOOK,
) -> None:
    """Show a plan as JSON, with the charges of the plans that it extends."""
    print(msgspec.json.format(encoder.encode(ask(book, "plans.find", {"plan": plan, "at": at})), indent=2).decode())


@plans.command("list")
def list_plans(book: Book = FIRST_BOOK) -> None:
    """List the versions of all plans."""
    table = Table("plan", "from", "name", "billed", "phases", box=None)

    async def work(store: Store) -> None:
        async for page in pages_of(store, book, "plans.list", {}):
            for one in page.items:
                content = one.content
                billed = f"{content.interval.count} {content.interval.unit}, {content.billing}, {content.asset}"
                phases = ", ".join(phase.name for phase in one.phases)
                table.add_row(one.plan, _shown(one.effective_at, content.zone), escape(content.name), billed, phases)

    on_store(work)
    out.print(table)


@app.command()
def start(  # noqa: PLR0913, PLR0917 - each option of a command is a parameter of its function
    id_: Id,
    customer: Annotated[str, typer.Argument(help="Who subscribes; made if new.")],
    plan: Annotated[str, typer.Argument(help="The code of the plan.")],
    start_at: Annotated[str, typer.Option("--start", help="From when: an instant with its zone.")],
    end_at: Annotated[str | None, typer.Option("--end", help="Until when.")] = None,
    quantity: Annotated[int, typer.Option(help="How many: seats.")] = 1,
    dry_run: DryRun = False,
    book: Book = FIRST_BOOK,
) -> None:
    """
    Begin a subscription, and show what it would be billed next.

    With a zone, a day of the month, or a version of the plan of its own: `tallystick do subscriptions.subscribe`.
    """
    fields = {
        "id": id_,
        "customer": customer,
        "plan": plan,
        "start_at": start_at,
        "end_at": end_at,
        "quantity": quantity,
    }
    _tell_changed(ask(book, "subscriptions.subscribe", fields, dry_run=dry_run), dry_run=dry_run)


@app.command()
def change(
    id_: Id,
    quantity: Annotated[int | None, typer.Option(help="How many from then on.")] = None,
    plan: Annotated[str | None, typer.Option(help="Which plan from then on.")] = None,
    when: When = "now",
    at: At = None,
    dry_run: DryRun = False,
    book: Book = FIRST_BOOK,
) -> None:
    """Change quantity or plan, and show what that makes of the next invoice."""
    fields = {"id": id_, "quantity": quantity, "plan": plan, "when": when, "at": at}
    _tell_changed(ask(book, "subscriptions.change", fields, dry_run=dry_run), dry_run=dry_run)


@app.command()
def pause(
    id_: Id,
    when: When = "now",
    at: At = None,
    resume_at: Annotated[str | None, typer.Option(help="When it goes on by itself.")] = None,
    dry_run: DryRun = False,
    book: Book = FIRST_BOOK,
) -> None:
    """Pause a subscription: no flat charges until it is resumed."""
    fields = {"id": id_, "when": when, "at": at, "resume_at": resume_at}
    _tell_changed(ask(book, "subscriptions.pause", fields, dry_run=dry_run), dry_run=dry_run)


@app.command()
def resume(id_: Id, when: When = "now", at: At = None, dry_run: DryRun = False, book: Book = FIRST_BOOK) -> None:
    """Resume a subscription that is paused."""
    fields = {"id": id_, "when": when, "at": at}
    _tell_changed(ask(book, "subscriptions.resume", fields, dry_run=dry_run), dry_run=dry_run)


@app.command()
def cancel(id_: Id, when: When = "now", at: At = None, dry_run: DryRun = False, book: Book = FIRST_BOOK) -> None:
    """Cancel a subscription, at once or as its billing period ends."""
    fields = {"id": id_, "when": when, "at": at}
    _tell_changed(ask(book, "subscriptions.cancel", fields, dry_run=dry_run), dry_run=dry_run)


@app.command()
def undo(id_: Id, dry_run: DryRun = False, book: Book = FIRST_BOOK) -> None:
    """Undo the newest change, as long as it has not taken effect."""
    _tell_changed(ask(book, "subscriptions.undo", {"id": id_}, dry_run=dry_run), dry_run=dry_run)


@app.command()
def show(id_: Id, book: Book = FIRST_BOOK) -> None:
    """Show a subscription with its schedule."""
    _tell(ask(book, "subscriptions.find", {"id": id_}))


@app.command()
def preview(id_: Id, book: Book = FIRST_BOOK) -> None:
    """Show what the next invoice would be, by all that is known now."""
    zone = ask(book, "subscriptions.find", {"id": id_}).zone
    _tell_invoice(ask(book, "subscriptions.preview", {"id": id_}), zone)


@app.command("list")
def list_subscriptions(
    customer: Annotated[str | None, typer.Option(help="Only those of this customer.")] = None, book: Book = FIRST_BOOK
) -> None:
    """List subscriptions in order of id."""
    table = Table("id", "customer", "status", "plan", "quantity", "billed next", box=None)

    async def work(store: Store) -> None:
        async for page in pages_of(store, book, "subscriptions.list", {"customer": customer}):
            for one in page.items:
                last = one.spans[-1] if one.spans else None
                plan, quantity = (last.plan, str(last.quantity)) if last else ("", "0")
                due = _shown(one.next_due_at, one.zone) or "never"
                table.add_row(one.id, escape(one.customer), one.status, plan, quantity, due)

    on_store(work)
    out.print(table)


@app.command("run")
def run_(
    until: Annotated[str | None, typer.Option(help="An instant with its zone; the present by default.")] = None,
    series: Annotated[
        str | None, typer.Option(help="The series that the numbers are of; else the one that is set.")
    ] = None,
    terms: Annotated[int, typer.Option(help="Days from issue to due date.")] = 30,
    book: Book = FIRST_BOOK,
) -> None:
    """
    Bill every subscription that is due. Killed anywhere and run again, each has one invoice for each of its dates.

    Subscriptions that cannot be billed are named and the rest are; the exit code is then 3.
    """
    chosen = RunTerms(series=series, terms_days=terms)
    given = None if until is None else _instant(until)

    async def work(store: Store) -> tuple[SubscriptionRun, list[Money]]:
        with follow_run(chosen.patience) as tick:
            present = store.operations.clock.now()
            done = await run_subscriptions(store.operations, OPERATOR, book, given or present, chosen, tick)
        return done, await read_amounts(store, book, done.totals)

    done, amounts = on_store(work)
    out.print(f"{done.subscriptions:,} subscriptions due, {done.issued:,} invoices issued", highlight=False)
    tell_issued(done, amounts)
    if done.failed:
        complain.print(f"{len(done.failed):,} could not be billed; the next run tries again:", highlight=False)
        for one in done.failed:
            line = f"  {escape(one.subscription)}: {escape(one.message)} [dim]{one.code}[/dim]"
            say(line, to=complain)
        raise typer.Exit(3)


def _instant(text: str) -> dt.datetime:
    try:
        found = dt.datetime.fromisoformat(text)
    except ValueError:
        found = None
    if found is None or found.tzinfo is None:
        complain.print("[red]error:[/red] an instant is written as 2024-02-01T00:00:00Z")
        raise typer.Exit(2)
    return found


def _shown(instant: dt.datetime | None, zone: str) -> str:
    """Write an instant as calendar and clock of *zone* show it."""
    return "" if instant is None else instant.astimezone(ZoneInfo(zone)).strftime("%Y-%m-%d %H:%M")


def _tell_changed(changed: Changed, *, dry_run: bool) -> None:
    _tell(changed.subscription)
    _tell_invoice(changed.next_invoice, changed.subscription.zone)
    if dry_run:
        out.print("tried out: nothing of it is kept", highlight=False)


def _tell(one: Subscription) -> None:
    end = "" if one.end_at is None else f", ends {_shown(one.end_at, one.zone)}"
    out.print(f"[bold]{one.id}[/bold] of {escape(one.customer)}: {one.status}{end}", highlight=False)
    table = Table("from", "to", "plan", "phase", "quantity", "", box=None)
    for span in one.spans:
        note = "paused" if span.paused else ""
        start, end = _shown(span.start_at, one.zone), _shown(span.end_at, one.zone)
        table.add_row(start, end, span.plan, span.phase, str(span.quantity), note)
    out.print(table)
    if one.credit:
        out.print(f"{one.credit:,} minor units are left to give back", highlight=False)


def _tell_invoice(invoice: PreviewInvoice, zone: str) -> None:
    if invoice.due_at is None:
        out.print("it is not billed again", highlight=False)
        return
    if invoice.problem is not None:
        out.print(f"next invoice: it cannot be made, since {escape(invoice.problem)}", highlight=False)
        return
    asset = Asset(invoice.asset or "", invoice.exponent or 0)
    out.print(f"next invoice on {_shown(invoice.due_at, zone)}: {Money(invoice.total, asset)}", highlight=False)
    table = Table("charge", "from", "to", "how", "amount", box=None)
    for line in invoice.lines:
        span = (_shown(line.period_start, zone), _shown(line.period_end, zone))
        table.add_row(f"{line.plan} {line.charge}", *span, line.explanation, str(Money(line.amount, asset)))
    for tax in invoice.taxes:
        table.add_row(tax.name, "", "", f"{tax.rate} of {Money(tax.base, asset)}", str(Money(tax.amount, asset)))
    if invoice.lines:
        out.print(table)
