"""Asking usage: what meters read per bucket, whether the totals are what the events add up to, and the events."""

import datetime as dt
from typing import Annotated

import msgspec

from tallystick.catalog.declared import declared_dimensions
from tallystick.db.queries import Connection
from tallystick.errors import InvalidInput
from tallystick.operations.catalog import CatalogCode
from tallystick.operations.fields import Instant, PageSize
from tallystick.operations.model import Call, Input, Operation
from tallystick.operations.usage import Text
from tallystick.periods import Period
from tallystick.usage import query
from tallystick.usage.archive.model import written
from tallystick.usage.query import EventsPage, Selection, Summary
from tallystick.usage.totals import check
from tallystick.usage.totals.ask import Question, ask, read_where
from tallystick.usage.totals.buckets import Per
from tallystick.usage.totals.check import Difference
from tallystick.usage.totals.read import TotalsPage, read_totals
from tallystick.usage.totals.require_there import months_away, require_attached

Where = Annotated[
    list[Annotated[str, msgspec.Meta(max_length=512, pattern=r"^[^\x00]*$(?!\n)")]], msgspec.Meta(max_length=100)
]
"""``dimension:value`` each; several of one dimension let through any of their values."""
GroupBy = Annotated[list[Text], msgspec.Meta(max_length=17)]
Cursor = Annotated[str, msgspec.Meta(max_length=32_768, pattern=r"^[^\x00]*$(?!\n)")]


class TotalsInput(Input, frozen=True):
    """
    Readings of usage over a half-open period, cut into hours, days or months of a time zone.

    Of a meter, or else of a type of events: counted, or one of their quantities added up.
    """

    start_at: Instant
    end_at: Instant
    meter: CatalogCode | None = None
    type: Text | None = None
    quantity: Text | None = None
    customer: Text | None = None
    where: Where = msgspec.field(default_factory=list)
    group_by: GroupBy = msgspec.field(default_factory=list)
    """Dimensions that the meter declares to group by, and ``customer``."""
    per: Per = "none"
    zone: Text = "UTC"
    after: Cursor = ""
    limit: PageSize = 100


class SummaryInput(Input, frozen=True):
    """A half-open period; of one customer or of all; and the quantity to add up."""

    start_at: Instant
    end_at: Instant
    customer: Text | None = None
    quantity: Text | None = None


class EventsInput(Input, frozen=True):
    """A page of events by customer and time, within a half-open period; of one customer, or of all."""

    customer: Text | None = None
    type: Text | None = None
    where: Where = msgspec.field(default_factory=list)
    """With a type."""
    start_at: Instant = dt.datetime(1, 1, 3, tzinfo=dt.UTC)
    end_at: Instant = dt.datetime(9999, 1, 1, tzinfo=dt.UTC)
    after: Cursor = ""
    limit: PageSize = 100


class CheckInput(Input, frozen=True):
    """The month of UTC whose totals are checked, as 2015-05; all months, if left out."""

    month: Annotated[str, msgspec.Meta(pattern=r"^[0-9]{4}-(0[1-9]|1[0-2])$(?!\n)")] | None = None


class CheckOutput(msgspec.Struct, frozen=True):
    """What was compared, and the first bucket that differs, null if none does."""

    months: int
    left: int
    """Months whose events have left the store: their totals stay what they were, and are compared with nothing."""
    difference: Difference | None


async def read(call: Call, request: TotalsInput) -> TotalsPage:
    """
    Return a page of what a meter reads per hour, day, month or in all, of a customer, of each or of everyone together.

    Readings equal those of the single events at this moment, corrections included; empty ones are left out. A month
    whose events have left the store counts with its totals.
    """
    wanted = await ask(call.connection, call.book.book_id, read_question(request))
    return await read_totals(call.connection, call.book.book_id, wanted, request.after, request.limit)


def read_question(request: TotalsInput) -> Question:
    """
    Return what an input asks for.

    Raises:
        InvalidInput: the period ends before it starts (``invalid_input``).
    """
    return Question(
        read_period(request.start_at, request.end_at), request.meter, request.type, request.quantity, request.customer,
        request.where, request.group_by, request.per, request.zone,
    )  # fmt: skip


async def summarise(call: Call, request: SummaryInput) -> Summary:
    """Count the events of a period, all of whose months are attached, and add up one of their quantities."""
    period = read_period(request.start_at, request.end_at)
    await require_attached(call.connection, call.book.book_id, period)
    return await query.summarise(
        call.connection, call.book.book_id, period, customer=request.customer, quantity=request.quantity
    )


async def list_events(call: Call, request: EventsInput) -> EventsPage:
    """Return a page of events as they are in force, by customer and time, and name the months whose events are away."""
    selection = await select(call.connection, call.book.book_id, request)
    page = await query.page_events(
        call.connection, call.book.book_id, selection, after=request.after, limit=request.limit
    )
    away = await months_away(call.connection, call.book.book_id, selection.period)
    return msgspec.structs.replace(page, months_away=[written(month) for month in away])


async def select(connection: Connection, book_id: int, request: EventsInput) -> Selection:
    """
    Return which events an input asks for.

    Raises:
        InvalidInput: the period ends before it starts, or a filter is none (``invalid_input``).
    """
    if request.where and request.type is None:
        raise InvalidInput(field="type", rule="dimensions are those of a type of events: name it")
    filters: dict[str, list[str]] = {}
    if request.where:
        declared = await declared_dimensions(connection, book_id)
        filters = read_where(request.where, declared.get(request.type or "", frozenset()))
    return Selection(read_period(request.start_at, request.end_at), request.customer, request.type, filters)


async def check_totals(call: Call, request: CheckInput) -> CheckOutput:
    """Compare the totals of usage with what the single events add up to, and name the first bucket that differs."""
    months = await check.months_with_usage(call.connection, call.book.book_id)
    if request.month is not None:
        months = [one for one in months if f"{one.starts_on:%Y-%m}" == request.month]
    compared, left = 0, 0
    for month in months:
        if not month.attached:
            left += 1
            continue
        compared += 1
        difference = await check.check_month(call.connection, call.book.book_id, month.starts_on)
        if difference is not None:
            return CheckOutput(compared, left, difference)
    return CheckOutput(compared, left, None)


def read_period(start_at: dt.datetime, end_at: dt.datetime) -> Period:
    """
    Return the period between two instants.

    Raises:
        InvalidInput: it ends before it starts (``invalid_input``).
    """
    if end_at <= start_at:
        raise InvalidInput(field="end_at", rule="a period must end after it starts")
    try:
        return Period(start_at.astimezone(dt.UTC), end_at.astimezone(dt.UTC))
    except OverflowError as error:
        raise InvalidInput(field="start_at", rule="a period lies in the years 1 to 9998") from error


OPERATIONS = [
    Operation("usage.summary", SummaryInput, Summary, "usage:read", "GET /usage/summary", summarise, reads=True),
    Operation("usage.list_events", EventsInput, EventsPage, "usage:read", "GET /usage/events", list_events, reads=True),
    Operation(
        "usage.totals", TotalsInput, TotalsPage, "usage:read", "GET /usage/totals", read, reads=True, snapshot=True
    ),
    Operation(
        "usage.check_totals",
        CheckInput,
        CheckOutput,
        "usage:read",
        "GET /usage/totals/check",
        check_totals,
        reads=True,
        snapshot=True,
    ),
]
