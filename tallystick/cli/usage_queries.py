"""`tallystick usage totals`, `check-totals` and `export`: what meters read, whether it adds up, and files of it."""

import datetime as dt
import re
from pathlib import Path
from typing import Annotated, get_args
from zoneinfo import ZoneInfo

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

from tallystick.cli.console import complain, out, print_whole
from tallystick.cli.ledger import read_instant
from tallystick.cli.pages import pages_of
from tallystick.cli.run import Book, on_store
from tallystick.errors import InvalidInput
from tallystick.ledger.books import find_book
from tallystick.open_store import FIRST_BOOK, Store
from tallystick.operations.export_usage import export_usage
from tallystick.operations.usage_queries import EventsInput, TotalsInput
from tallystick.operations.work_totals import fold_behind
from tallystick.periods import Period, iana_zones, month
from tallystick.security.model import OPERATOR
from tallystick.usage.export.model import Format, format_of
from tallystick.usage.totals.ask import CUSTOMER
from tallystick.usage.totals.buckets import Per
from tallystick.usage.totals.check import Difference, check_month, months_with_usage
from tallystick.usage.totals.read import Total

_MONTH = re.compile(r"\d{4}-\d{2}", re.ASCII)

Since = Annotated[
    str, typer.Option("--from", help="From this instant or month on, as in 2026-01-31T00:00:00Z or 2026-01.")
]
Until = Annotated[
    str | None, typer.Option("--until", help="Up to this instant, or the end of this month; that of --from by default.")
]
Meter = Annotated[str | None, typer.Option(help="The meter to read.")]
Type = Annotated[str | None, typer.Option("--type", help="Instead of a meter: events of this type, counted.")]
Quantity = Annotated[str | None, typer.Option(help="With --type: this quantity of theirs, added up.")]
Customer = Annotated[str | None, typer.Option(help="Only the usage of this one.")]
Where = Annotated[
    list[str] | None, typer.Option(metavar="DIMENSION:VALUE", help="Only events like that; may be given again.")
]
GroupBy = Annotated[
    list[str] | None, typer.Option(metavar="DIMENSION", help="Tell apart by this dimension, or by customer.")
]
PerOption = Annotated[str, typer.Option("--per", help=f"One of {', '.join(get_args(Per))}.")]
Zone = Annotated[str, typer.Option(help="Whose hours, days and months: an IANA name.")]


def totals(  # noqa: PLR0913, PLR0917 - a command has as many options as it has
    since: Since,
    until: Until = None,
    meter: Meter = None,
    type_: Type = None,
    quantity: Quantity = None,
    customer: Customer = None,
    where: Where = None,
    group_by: GroupBy = None,
    per: PerOption = "none",
    zone: Zone = "UTC",
    book: Book = FIRST_BOOK,
) -> None:
    """Show what a meter reads, per hour, day or month of a time zone, or in all."""
    asked = _totals_input(since, until, meter, type_, quantity, customer, where, group_by, per, zone)
    found: list[Total] = []
    fields = {name: getattr(asked, name) for name in asked.__struct_fields__}

    async def work(store: Store) -> None:
        async for page in pages_of(store, book, "usage.totals", fields):
            found.extend(page.items)

    on_store(work)
    _show_totals(out, found, asked)


def check_totals(book: Book = FIRST_BOOK) -> None:
    """Bring the totals up to date, compare them with the single events, and name the first bucket that differs; then exit with 1."""

    async def work(store: Store) -> tuple[Difference | None, int, int]:
        operations = store.operations
        async with operations.pool.acquire() as connection:
            book_id = (await find_book(connection, book)).book_id
        await fold_behind(operations, book_id)
        async with operations.pool.acquire() as connection:
            months = await months_with_usage(connection, book_id)
            attached = [one.starts_on for one in months if one.attached]
            with _bar() as progress:
                bar = progress.add_task("months", total=len(attached))
                for starts_on in attached:
                    async with operations.begin(connection, "repeatable_read"):
                        difference = await check_month(connection, book_id, starts_on)
                    if difference is not None:
                        return difference, len(attached), len(months) - len(attached)
                    progress.advance(bar)
            return None, len(attached), len(months) - len(attached)

    difference, compared, left = on_store(work)
    if left:
        _say(out, f"{left:,} months have left the store: their totals stay as they were, and are compared with nothing")
    if difference is None:
        _say(out, f"{compared:,} months: the totals are what the events add up to")
        return
    whose = "everybody's hour" if difference.customer is None else f"the day of {difference.customer}"
    what = f"{difference.type} {difference.quantity or 'events'} {difference.dimensions or ''}".strip()
    _say(complain, f"{whose} from {difference.starts_at.isoformat()}, {what}: the totals say {difference.kept.events:,} events, "
                   f"sum {difference.kept.sum:f}, max {difference.kept.max}; the events add up to {difference.raw.events:,}, "
                   f"sum {difference.raw.sum:f}, max {difference.raw.max}")  # fmt: skip
    raise typer.Exit(1)


def export(  # noqa: PLR0913, PLR0917 - a command has as many options as it has
    file: Annotated[Path, typer.Option("--out", help="The file to write; its ending tells the format.")],
    since: Since,
    until: Until = None,
    format_: Annotated[
        Format | None, typer.Option("--format", help="Where the file's ending does not tell it.")
    ] = None,
    meter: Meter = None,
    type_: Type = None,
    quantity: Quantity = None,
    customer: Customer = None,
    where: Where = None,
    group_by: GroupBy = None,
    per: PerOption = "none",
    zone: Zone = "UTC",
    events: Annotated[bool, typer.Option("--events", help="The events themselves, not what they add up to.")] = False,
    force: Annotated[bool, typer.Option("--force", help="Write over a file that is there.")] = False,
    book: Book = FIRST_BOOK,
) -> None:
    """Write what `usage totals` shows, or with --events the events behind it, to a file of Parquet, Arrow or CSV."""
    chosen = format_ or format_of(file, "--format")
    if file.exists() and not force:
        raise InvalidInput(field="--out", rule=f"{file} is there already; name another, or write over it with --force")
    if not file.parent.is_dir():
        raise InvalidInput(field="--out", rule=f"there is no directory {file.parent}")
    asked: EventsInput | TotalsInput
    if events:
        if meter or quantity or group_by or per != "none":
            raise InvalidInput(field="--events", rule="events are chosen by --type, --customer, --where and the period")
        period = read_span(since, until, zone)
        asked = EventsInput(
            customer=customer, type=type_, where=where or [], start_at=period.start_at, end_at=period.end_at
        )
    else:
        asked = _totals_input(since, until, meter, type_, quantity, customer, where, group_by, per, zone)

    async def work(store: Store) -> int:
        with _bar() as progress:
            bar = progress.add_task("export", total=None)
            return await export_usage(
                store.operations, OPERATOR, book, file, chosen, asked,
                progress=lambda done, total: progress.update(bar, completed=done, total=total),
            )  # fmt: skip

    written = on_store(work)
    _say(out, f"{written:,} rows in {file}")


def read_span(since: str, until: str | None, zone: str) -> Period:
    """
    Read where a period begins and ends: instants with their zones, or months of *zone*.

    Raises:
        InvalidInput: one is neither, or it ends before it starts (``invalid_input``).
    """
    start = _read_end("--from", since, zone)
    end = start if until is None else _read_end("--until", until, zone)
    if until is None and isinstance(start, dt.datetime):
        raise InvalidInput(field="--until", rule="name the end of the period, unless --from is a month")
    start_at = start.start_at if isinstance(start, Period) else start
    end_at = end.end_at if isinstance(end, Period) else end
    if end_at <= start_at:
        raise InvalidInput(field="--until", rule="a period must end after it starts")
    return Period(start_at, end_at)


def _read_end(option: str, text: str, zone: str) -> Period | dt.datetime:
    if _MONTH.fullmatch(text):
        try:
            return month(text, zone)
        except (ValueError, OverflowError, LookupError, OSError) as error:
            if zone not in iana_zones():
                rule = f"{zone!r} is no zone; write an IANA name such as UTC or Europe/Vienna"
                raise InvalidInput(field="--zone", rule=rule) from error
            raise InvalidInput(field=option, rule=f"{text} is no month of the years 1 to 9999") from error
    instant = read_instant(option, text)
    if instant is None:
        raise InvalidInput(field=option, rule="name an instant or a month")
    return instant


def _totals_input(  # noqa: PLR0913, PLR0917 - one for each option
    since: str,
    until: str | None,
    meter: str | None,
    type_: str | None,
    quantity: str | None,
    customer: str | None,
    where: list[str] | None,
    group_by: list[str] | None,
    per: str,
    zone: str,
) -> TotalsInput:
    for one in get_args(Per):
        if one == per:
            period = read_span(since, until, zone)
            return TotalsInput(
                start_at=period.start_at, end_at=period.end_at, meter=meter, type=type_, quantity=quantity,
                customer=customer, where=where or [], group_by=group_by or [], per=one, zone=zone,
            )  # fmt: skip
    raise InvalidInput(field="--per", rule=f"{per!r} is none of {', '.join(get_args(Per))}")


def _show_totals(console: Console, found: list[Total], asked: TotalsInput) -> None:
    table = Table(box=None, pad_edge=False)
    names = [name for name in asked.group_by if name != CUSTOMER]
    for heading in ("from", "until", *([CUSTOMER] if CUSTOMER in asked.group_by else []), *names):
        table.add_column(heading, no_wrap=True)
    for heading in ("events", "quantity"):
        table.add_column(heading, no_wrap=True, justify="right")
    zone = ZoneInfo(asked.zone)
    for one in found:
        customer = [one.customer or ""] if CUSTOMER in asked.group_by else []
        told_apart = [one.dimensions.get(name) or "" for name in names]
        table.add_row(
            one.start_at.astimezone(zone).isoformat(" "),
            one.end_at.astimezone(zone).isoformat(" "),
            *customer,
            *told_apart,
            f"{one.events:,}",
            one.quantity,
        )
    if found:
        print_whole(console, table)
    else:
        _say(console, "no usage")


def _bar() -> Progress:
    terminal = Console(stderr=True)
    columns = [TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn()]
    return Progress(*columns, console=terminal, disable=not terminal.is_terminal, transient=True)


def _say(console: Console, text: str) -> None:
    console.print(text, highlight=False, markup=False, soft_wrap=True)
