"""Find customers whose events go beyond a rule."""

import datetime as dt
from decimal import Decimal

from tallystick.alerts.model import AlertTerms, Finding
from tallystick.db.queries import Connection, queries_beside

_queries = queries_beside(__file__)
_count_events = _queries.tuples("count_events")
_large_events = _queries.tuples("large_events")
_raised_since = _queries.tuples("raised_since")


async def find_raised(
    connection: Connection, book_id: int, rule: str, since: dt.datetime
) -> set[tuple[str, dt.datetime]]:
    """Return of whom, and from when, *rule* went off in windows that end at *since* or later."""
    return {(customer, start_at) for customer, start_at, _ in await _raised_since(connection, book_id, rule, since)}


async def find_events(
    connection: Connection, book_id: int, rule: str, terms: AlertTerms, since: dt.datetime
) -> list[Finding]:
    """
    Return who goes beyond *terms* by events told at *since* or later.

    A customer of whom the same rule went off within that time is not found again by a count. Of several large events of
    one customer and instant the largest is found.
    """
    types = list(terms.types)
    if terms.kind == "event_amount":
        rows = await _large_events(connection, book_id, since, types, terms.customer, terms.asset, terms.threshold)
        return [
            Finding(customer, at, at, Decimal(amount), terms.threshold,
                    f"{subject}: {type_} of {amount} minor units of {terms.asset}, more than {terms.threshold}")
            for customer, amount, at, type_, subject in rows
        ]  # fmt: skip
    raised = {customer for customer, _ in await find_raised(connection, book_id, rule, since)}
    rows = await _count_events(connection, book_id, since, types, terms.customer, terms.threshold)
    return [
        Finding(customer, first, last, Decimal(count), terms.threshold,
                f"{count} events of {', '.join(types)} within {terms.seconds} seconds, more than {terms.threshold}")
        for customer, count, first, last in rows if customer not in raised
    ]  # fmt: skip
