"""`tallystick invoice request`, `void`, `credit`, `write-off`, `history`, `list` and `overdue`."""

import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Annotated, Any

import msgspec
import typer
from rich.markup import escape
from rich.table import Column, Table

from tallystick.cli.console import complain, out, say
from tallystick.cli.run import Book, InvoiceId, on_store
from tallystick.errors import InvalidInput
from tallystick.ids import uuid7
from tallystick.invoicing.model import InvoiceStatus
from tallystick.money import Asset, Money
from tallystick.open_store import FIRST_BOOK, Store
from tallystick.operations.invoice_requests import MAX_LINES, MAX_REQUESTS
from tallystick.operations.overdue_run import run_overdue
from tallystick.security.model import OPERATOR

Reason = Annotated[str, typer.Option("--reason", help="Why, as it is kept.")]
SET_ASIDE = 3
"""The exit code when some of many could not be done."""


def request(
    file: Annotated[Path, typer.Argument(help="JSON: one request, or a list of them; - reads standard input.")],
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Judge them, tell, and keep nothing.")] = False,
    book: Book = FIRST_BOOK,
) -> None:
    """
    Ask for invoices as a product does, from a file. The same file again makes nothing twice.

    Requests that cannot be are named and the others are made; the exit code is then 3.
    """
    text = sys.stdin.buffer.read() if str(file) == "-" else _read(file)
    given = _parse(text)
    if isinstance(given, dict):
        told = on_store(lambda store: _run(store, book, "invoicing.request", given, dry_run=dry_run))
        _tell_requested(msgspec.json.decode(told))
        return
    many: list[Any] = given

    async def work(store: Store) -> list[dict[str, Any]]:
        items: list[dict[str, Any]] = []
        for chunk in _chunks(many):
            answer = await _run(store, book, "invoicing.request_many", {"invoices": chunk}, dry_run=dry_run)
            items += msgspec.json.decode(answer)["items"]
        return items

    items = on_store(work)
    for place, item in enumerate(items):
        if item["invoice"] is not None:
            _tell_requested(item["invoice"])
        else:
            where = f"[{place}]" + (f".{item['field']}" if item["field"] else "")
            say(escape(f"{where}: {item['message']} ({item['code']})"), to=complain)
    if any(item["invoice"] is None for item in items):
        raise typer.Exit(SET_ASIDE)


def void(invoice_id: InvoiceId, reason: Reason, book: Book = FIRST_BOOK) -> None:
    """Void an invoice of which nothing is paid; its number stays given."""
    _end(book, "invoicing.void", {"id": invoice_id, "reason": reason})


def write_off(invoice_id: InvoiceId, reason: Reason, book: Book = FIRST_BOOK) -> None:
    """Give up what is outstanding on an invoice."""
    _end(book, "invoicing.write_off", {"id": invoice_id, "reason": reason})


def credit(
    invoice_id: InvoiceId,
    reason: Reason,
    reference: Annotated[str, typer.Option(help="Your own id of the credit note; asked again, it is the same one.")],
    line: Annotated[
        int | None, typer.Option(help="The line that is taken back, the first being 0; else all are.")
    ] = None,
    amount: Annotated[
        int | None, typer.Option(help="How much of the line, in minor units; else all that is left.")
    ] = None,
    book: Book = FIRST_BOOK,
) -> None:
    """Take back an invoice, or a line of it, by a credit note."""
    if amount is not None and line is None:
        raise typer.BadParameter("say which --line the amount is of", param_hint="--amount")
    lines = None if line is None else [{"line": line, "amount": amount}]
    asked = {"id": invoice_id, "reference": reference, "reason": reason, "lines": lines}
    note = _do(book, "invoicing.credit", asked)
    asset = _asset_of(book, note.invoice)
    out.print(f"[bold]{note.number}[/bold] for {note.invoice_number}: {Money(note.total, asset)}", highlight=False)
    if note.unallocated:
        out.print(f"  {Money(note.unallocated, asset)} of it is the customer's, unallocated", highlight=False)


def history(invoice_id: InvoiceId, book: Book = FIRST_BOOK) -> None:
    """Show every fact of an invoice with its time."""
    asset = _asset_of(book, invoice_id)
    table = Table(
        *(Column(name, no_wrap=True) for name in ("when", "what", "amount", "owed then")),
        Column("by", overflow="fold"),
        box=None,
    )
    for one in _do(book, "invoicing.history", {"id": invoice_id}).items:
        amount = "" if one.amount is None else str(Money(one.amount, asset))
        owed = "" if one.outstanding is None else str(Money(one.outstanding, asset))
        what = " ".join(filter(None, (one.what.replace("_", " "), one.number, one.account, one.reason)))
        table.add_row(f"{one.at:%Y-%m-%d %H:%M:%S}", escape(what), amount, owed, escape(one.message or ""))
    out.print(table)


def list_invoices(
    status: Annotated[
        InvoiceStatus | None, typer.Option("--status", "--state", help="Only those that stand so.")
    ] = None,
    customer: Annotated[str | None, typer.Option(help="Only this customer's.")] = None,
    limit: Annotated[int, typer.Option(min=1, max=1000, help="How many at the most.")] = 50,
    book: Book = FIRST_BOOK,
) -> None:
    """List invoices: number, customer, status, what is owed and when it is due."""
    asked = {"status": status, "customer": customer, "limit": limit}
    page = _do(book, "invoicing.list", asked)
    whole = ("number", "customer", "product", "status", "due", "total", "outstanding")
    table = Table(*(Column(name, no_wrap=True) for name in whole), Column("id", overflow="fold"), box=None)
    for one in page.items:
        asset = Asset(one.asset, one.exponent)
        table.add_row(
            one.number or "", escape(one.customer), one.product, one.status,
            "" if one.due_on is None else str(one.due_on), str(Money(one.total, asset)), str(Money(one.outstanding, asset)),
            str(one.id),
        )  # fmt: skip
    out.print(table)
    if page.next is not None:
        complain.print("there are more", highlight=False)


def overdue(book: Book = FIRST_BOOK) -> None:
    """
    Note which invoices fall due today and which are overdue; run it again whenever you like, each is noted once.

    Those that cannot be noted are named and the others are; the exit code is then 3.
    """
    done = on_store(lambda store: run_overdue(store.operations, OPERATOR, book))
    out.print(f"{done.due:,} fall due today, {done.overdue:,} are newly overdue", highlight=False)
    for one in done.failed:
        complain.print(f"{one.customer}: {one.message} {one.code}", highlight=False, markup=False, soft_wrap=True)
    if done.failed:
        raise typer.Exit(SET_ASIDE)


COMMANDS: dict[str, Callable[..., None]] = {
    "request": request,
    "list": list_invoices,
    "history": history,
    "void": void,
    "credit": credit,
    "write-off": write_off,
    "overdue": overdue,
}
"""By their names below `tallystick invoice`."""


def _read(file: Path) -> bytes:
    try:
        return file.read_bytes()
    except OSError as error:
        raise typer.BadParameter(f"{file}: {error.strerror}", param_hint="FILE") from error


def _parse(text: bytes) -> dict[str, Any] | list[Any]:
    try:
        return msgspec.json.decode(text, type=dict[str, Any] | list[Any])
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise typer.BadParameter(f"not JSON with a request or a list of them: {error}", param_hint="FILE") from error


def _chunks(given: Sequence[Any]) -> Iterator[list[Any]]:
    """Cut a list into messages that are not too large."""
    chunk: list[Any] = []
    lines = 0
    for one in given:
        count = len(one.get("lines", ())) if isinstance(one, dict) and isinstance(one.get("lines"), list) else 0
        if chunk and (len(chunk) == MAX_REQUESTS or lines + count > MAX_LINES):
            yield chunk
            chunk, lines = [], 0
        chunk.append(one)
        lines += count
    if not chunk:
        raise InvalidInput(field="invoices", rule="there is no request in the file")
    yield chunk


async def _run(store: Store, book: str, operation: str, asked: dict[str, Any], *, dry_run: bool) -> bytes:
    answer = await store.operations.run(OPERATOR, book, operation, f"cli-{uuid7()}", asked, dry_run=dry_run)
    return answer.body


def _do(book: str, operation: str, asked: dict[str, Any]) -> Any:  # noqa: ANN401 - what the operation's table says it answers
    given = {name: value for name, value in asked.items() if value is not None}

    async def work(store: Store) -> Any:  # noqa: ANN401 - as above
        return await store.operations.call(OPERATOR, book, operation, f"cli-{uuid7()}", given)

    return on_store(work)


def _end(book: str, operation: str, asked: dict[str, Any]) -> None:
    ended = _do(book, operation, asked)
    asset = _asset_of(book, ended.id)
    told = ended.status.replace("_", " ")
    out.print(f"[bold]{ended.number or 'draft'}[/bold] is {told}: {Money(ended.amount, asset)}", highlight=False)


def _asset_of(book: str, invoice_id: object) -> Asset:
    invoice = _do(book, "invoicing.find", {"id": str(invoice_id)})
    return Asset(invoice.asset, invoice.exponent)


def _tell_requested(invoice: dict[str, Any]) -> None:
    known = ", known before" if invoice["known"] else ""
    line = f"[bold]{invoice['number'] or 'draft'}[/bold] {escape(invoice['reference'])} for {escape(invoice['customer'])}: "
    out.print(
        f"{line}{invoice['total']} minor units of {invoice['asset']}{known}  [dim]{invoice['id']}[/dim]",
        highlight=False,
    )
