"""The alerts' worker: holds what was recorded against the rules, and raises what goes beyond one."""

import asyncio
import datetime as dt
from collections.abc import AsyncIterator
from decimal import Decimal

import structlog

from tallystick.alerts.find_events import find_events, find_raised
from tallystick.alerts.model import AlertTerms, Finding, Rule
from tallystick.alerts.set_rule import list_rules
from tallystick.errors import TallystickError
from tallystick.ids import id_of_content
from tallystick.operations.alerts import RaiseOutput
from tallystick.operations.run import RESERVED, Operations, encoder
from tallystick.operations.work_books import work_books
from tallystick.security.model import SYSTEM

_log = structlog.get_logger()
USAGE_EVERY = 60.0
"""Seconds between two readings of the totals, at least; events are looked at more often."""
_REST = 9
"""A reading is followed by a rest of so many times what it took, so that rules cost one part in ten of a connection."""
MOST_RAISED = 1000
"""So many alerts of a rule are raised in one look; the rest waits for the next."""
_LOOK_BACK = dt.timedelta(minutes=10)
"""How far back single events are looked at: a transaction may become visible some time after it told."""
_FURTHEST = dt.timedelta(days=1)
"""A window that can still be found ended no longer ago: those of usage end later than now, those of events a while ago."""
_PAGE = 1000
_DAY = dt.timedelta(days=1)


async def work_alerts(operations: Operations) -> None:
    """Hold every book against its rules, until cancelled."""
    events_from: dict[str, float] = {}
    usage_from: dict[str, float] = {}
    time = asyncio.get_running_loop().time

    async def look(book_id: int, name: str) -> None:
        begun = time()
        usage = usage_from.get(name, begun) <= begun
        if not usage and events_from.get(name, begun) > begun:
            return
        try:
            await raise_alerts(operations, name, book_id, usage=usage)
        finally:
            took = time() - begun
            if usage:
                usage_from[name] = begun + took + max(USAGE_EVERY, _REST * took)
            else:
                events_from[name] = begun + took + _REST * took

    await work_books(operations, lambda book: look(book.book_id, book.name), "rules are not held")


async def raise_alerts(operations: Operations, book: str, book_id: int, *, usage: bool = True) -> int:
    """Raise what goes beyond the rules of a book by now, and return how many alerts were news."""
    rules = await operations.work(lambda connection: list_rules(connection, book_id))
    raised = 0
    for rule in rules:
        if not rule.active or (rule.terms.kind.startswith("usage_") and not usage):
            continue
        try:
            raised += await _hold(operations, book, book_id, rule)
        except TallystickError as error:  # of one rule: its meter is gone, or its price is missing
            _log.error("a rule is not held", book=book, rule=rule.rule, reason=error.message)
    return raised


async def _hold(operations: Operations, book: str, book_id: int, rule: Rule) -> int:
    """Raise what goes beyond one rule and did not before, up to so many."""
    since = operations.clock.now() - _FURTHEST
    known = await operations.work(lambda connection: find_raised(connection, book_id, rule.rule, since))
    raised = 0
    async for found in _find(operations, book, book_id, rule):
        if (found.customer, found.window_start) not in known:
            raised += await _raise(operations, book, rule, found)
            if raised >= MOST_RAISED:
                break
    return raised


async def _raise(operations: Operations, book: str, rule: Rule, found: Finding) -> bool:
    asked = encoder.encode({"rule": rule.rule, "terms": rule.terms, "found": found})
    key = f"{RESERVED}alert:{id_of_content(('alert', asked.decode()))}"
    made: RaiseOutput = await operations.call(SYSTEM, book, "alerts.raise", key, asked)
    return made.raised


async def _find(operations: Operations, book: str, book_id: int, rule: Rule) -> AsyncIterator[Finding]:
    at, terms = operations.clock.now(), rule.terms
    if terms.kind in {"event_count", "event_amount"}:
        since = at - (dt.timedelta(seconds=terms.seconds) if terms.kind == "event_count" else _LOOK_BACK)
        for one in await operations.work(
            lambda connection: find_events(connection, book_id, rule.rule, terms, max(since, rule.set_at))
        ):
            yield one
        return
    today = at.astimezone(dt.UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    month = today.replace(day=1)
    next_month = (month + 32 * _DAY).replace(day=1)
    if terms.kind == "usage_amount":
        async for one in _amount(operations, book, terms, month, next_month):
            yield one
    elif terms.kind == "usage_quantity":
        async for customer, quantity in _totals(operations, book, terms, month, next_month):
            if quantity > terms.threshold:
                said = f"{quantity} of {terms.meter} since {month:%Y-%m-%d}, more than {terms.threshold}"
                yield Finding(customer, month, next_month, quantity, terms.threshold, said)
    else:
        async for one in _spikes(operations, book, terms, today):
            yield one


async def _amount(
    operations: Operations, book: str, terms: AlertTerms, start_at: dt.datetime, end_at: dt.datetime
) -> AsyncIterator[Finding]:
    """Rate the month of the customer as an invoice would now."""
    asked = {"customer": terms.customer, "product": terms.product, "start_at": start_at.isoformat(),
             "end_at": end_at.isoformat()}  # fmt: skip
    preview = await operations.call(SYSTEM, book, "rating.preview", "", asked)
    for total in preview.totals:
        if total.asset == terms.asset and total.amount > terms.threshold:
            said = f"{total.amount} minor units of {terms.asset} since {start_at:%Y-%m-%d}, more than {terms.threshold}"
            yield Finding(str(terms.customer), start_at, end_at, Decimal(total.amount), terms.threshold, said)


async def _spikes(operations: Operations, book: str, terms: AlertTerms, today: dt.datetime) -> AsyncIterator[Finding]:
    """Hold each customer's day so far against the average of the days before; who had nothing then has no average."""
    days = {customer: quantity async for customer, quantity in _totals(operations, book, terms, today, today + _DAY)}
    if not any(quantity > terms.at_least for quantity in days.values()):
        return
    async for customer, before in _totals(operations, book, terms, today - terms.days * _DAY, today):
        quantity = days.get(customer, Decimal(0))
        bound = before / terms.days * terms.threshold
        if before and quantity > max(bound, terms.at_least):
            said = (f"{quantity} of {terms.meter} on {today:%Y-%m-%d}, more than {terms.threshold} times the average of "
                    f"{terms.days} days before, {before / terms.days:f}")  # fmt: skip
            yield Finding(customer, today, today + _DAY, quantity, bound, said)


async def _totals(
    operations: Operations, book: str, terms: AlertTerms, start_at: dt.datetime, end_at: dt.datetime
) -> AsyncIterator[tuple[str, Decimal]]:
    """Read the meter by customer, page by page."""
    asked: dict[str, object] = {"meter": terms.meter, "start_at": start_at.isoformat(), "end_at": end_at.isoformat(),
                                "limit": _PAGE}  # fmt: skip
    if terms.customer is not None:
        asked["customer"] = terms.customer
    else:
        asked["group_by"] = ["customer"]
    while True:
        page = await operations.call(SYSTEM, book, "usage.totals", "", asked)
        for one in page.items:
            yield one.customer or str(terms.customer), Decimal(one.quantity)
        if page.next is None:
            return
        asked["after"] = page.next
