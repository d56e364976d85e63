"""
Explain an event: received when and how, billable or not and by which rule, rated in which line, on which invoice, paid by what.

    its key ─ every message that said something under it ─ its meters ─ lines ─ invoices ─ payments ─ receipts
"""

import datetime as dt
import uuid
from collections import defaultdict
from collections.abc import Sequence
from typing import Any

import msgspec

from tallystick.db.queries import Connection, queries_beside
from tallystick.ids import id_of_content
from tallystick.invoicing.find import find_invoices
from tallystick.invoicing.model import Invoice
from tallystick.lineage.read_id import read_id
from tallystick.lineage.why.model import Arrival, Correction, CountedBy, MonthStep, PaidBy, RatedIn, Why
from tallystick.usage.billable import BillableRule

_queries = queries_beside(__file__)
_find_known = _queries.tuples("find_known")
_event_rows = _queries.tuples("event_rows")
_corrections_of = _queries.tuples("corrections_of")
_conflicts_of = _queries.tuples("conflicts_of")
_refusals_of = _queries.tuples("refusals_of")
_meters_of = _queries.tuples("meters_of")
_lines_of = _queries.tuples("lines_of")
_payments_of = _queries.tuples("payments_of")
_months_of = _queries.tuples("months_of")
_invoiced_month = _queries.value("invoiced_month")
_priced_meters = _queries.values("priced_meters")

_HTTP = "http"
NEVER_SEEN = [
    "Events are told apart by source and id: is this the source that sent it, and the id letter for letter?",
    "Was its message answered? Only what was answered is kept; the answer names by place what was refused, and why.",
    "An event that was refused as invalid, or that was in conflict within its own message, leaves nothing: send it again.",
    "Is it in this book?",
]


async def explain_event(connection: Connection, book_id: int, event: str, source: str | None) -> Why:
    """
    Say where the event is; *source* None: *event* is its key, or is written as ``SOURCE/ID``.

    Raises:
        InvalidInput: it is no text that can be stored (``invalid_input``).
    """
    keys = [id_of_content([source, event])] if source is not None else read_id(event).event_keys
    refusals = await _refusals_of(connection, book_id, keys)
    known = await _find_known(connection, book_id, keys)
    if not known:
        return _unstored(event, source, refusals)
    key, customer, at, away = known[0]
    rows = await _event_rows(connection, book_id, key)
    corrections = [Correction(*row) for row in await _corrections_of(connection, book_id, key)]
    void = any(one.kind == "void" for one in corrections)
    newest = next((row for row in reversed(rows) if row[0] > 0), None)
    conflicts = await _conflicts_of(connection, book_id, key)
    meters = [] if newest is None or void else await _find_meters(connection, book_id, newest)
    lines = await _find_lines(connection, book_id, key, away=away)
    return Why(
        asked=event,
        key=key,
        standing="void" if void else "accepted",
        source=source if newest is None else newest[2],
        id=(event if source is not None else None) if newest is None else newest[3],
        customer=customer,
        at=at,
        type=None if newest is None else newest[1],
        quantities=None if newest is None else msgspec.json.decode(newest[4]),
        dimensions=None if newest is None or newest[5] is None else msgspec.json.decode(newest[5]),
        attached=not away,
        months=[MonthStep(*row) for row in await _months_of(connection, book_id, at)],
        arrivals=_arrivals(rows, refusals, conflicts),
        corrections=corrections,
        meters=meters,
        lines=lines,
        hints=_away(at) if away else [] if lines or void else await _hints(connection, book_id, key, at, meters),
    )


def _unstored(event: str, source: str | None, refusals: Sequence[tuple[Any, ...]]) -> Why:
    """Say of an event that is not stored whether it was judged."""
    hints = NEVER_SEEN
    if refusals:
        hints = ["It was judged and not stored. Sent again it is judged by the rule that is in force then."]
    return Why(
        asked=event,
        key=refusals[0][0] if refusals else None,
        standing="not_billable" if refusals else "never_seen",
        source=source,
        id=event if source is not None else None,
        customer=None,
        at=None,
        type=None,
        quantities=None,
        dimensions=None,
        attached=True,
        months=[],
        arrivals=_arrivals([], refusals, []),
        corrections=[],
        meters=[],
        lines=[],
        hints=hints,
    )


def _arrivals(
    rows: Sequence[tuple[Any, ...]], refusals: Sequence[tuple[Any, ...]], conflicts: Sequence[tuple[Any, ...]]
) -> list[Arrival]:
    """Return what came in under the key, in order of time."""
    found = [_refused(*row[1:]) for row in refusals]
    if rows:
        at, message, by, door = rows[0][6:]
        found.append(Arrival("accepted", at, _door(message, door), message, by))
    for field, _, at, message, by, door in conflicts:
        said = f"differs in {field}" if field else "differs"
        found.append(Arrival("conflict", at, _door(message, door), message, by, said))
    return sorted(found, key=lambda one: (one.at is None, one.at))


def _refused(
    reason: str, at: dt.datetime, message: str | None, by: str | None, door: str | None, rule: str | None
) -> Arrival:
    said = BillableRule() if rule is None else msgspec.json.decode(rule)
    return Arrival("not_billable", at, _door(message, door), message, by, reason, msgspec.to_builtins(said))


def _door(message: str | None, door: str | None) -> str | None:
    """Return the way in; who came by HTTP does not say so."""
    return None if message is None else door or _HTTP


async def _find_meters(connection: Connection, book_id: int, newest: tuple[Any, ...]) -> list[CountedBy]:
    quantities = msgspec.json.decode(newest[4])
    rows = await _meters_of(connection, book_id, newest[1], newest[4], newest[5] or "{}")
    return [
        CountedBy(code, name, aggregation, None if quantity is None else str(quantities[quantity]))
        for code, name, aggregation, quantity in rows
    ]


async def _find_lines(connection: Connection, book_id: int, key: uuid.UUID, *, away: bool) -> list[RatedIn]:
    found = await _lines_of(connection, book_id, key, away)
    ids = list(dict.fromkeys(invoice_id for invoice_id, _ in found))
    invoices = {one.id: one for one in await find_invoices(connection, book_id, ids)}
    paid: dict[uuid.UUID, list[PaidBy]] = defaultdict(list)
    for invoice_id, payment_id, amount, provider, step, started_at, receipt_id, issued_at in await _payments_of(
        connection, book_id, ids
    ):
        paid[invoice_id].append(
            PaidBy(payment_id, amount, provider, step or "started", started_at, receipt_id, issued_at)
        )
    return [_rated(invoices[one], position, paid) for one, position in found]


def _rated(invoice: Invoice, position: int, paid: dict[uuid.UUID, list[PaidBy]]) -> RatedIn:
    line = invoice.lines[position]
    return RatedIn(
        invoice=invoice.id,
        number=invoice.number,
        status=invoice.status,
        line=position,
        charge=line.charge or "",  # what counts usage has a charge, and a version of it
        name=line.name,
        product=invoice.product,
        price_at=line.price_at or invoice.drafted_at,
        amount=line.amount,
        asset=invoice.asset,
        exponent=invoice.exponent,
        explanation=line.explanation,
        adjusts=None if line.adjusts is None else f"{line.adjusts.invoice}/{line.adjusts.line}",
        payments=paid.get(invoice.id, []),
    )


def _away(at: dt.datetime) -> list[str]:
    return [f"{at:%Y-%m} is not attached: the lines are those that cover its instant. Attach the month to see more."]


async def _hints(
    connection: Connection, book_id: int, key: uuid.UUID, at: dt.datetime, meters: Sequence[CountedBy]
) -> list[str]:
    """Say what to look at where an event is on no invoice."""
    if not meters:
        return ["No meter counts it: see `catalog.list_meters` for its type, its quantities and its dimensions."]
    if not await _priced_meters(connection, book_id, [one.code for one in meters], at):
        return ["No price in force at its instant names a meter that counts it."]
    if await _invoiced_month(connection, book_id, key):
        return [
            "It came after the invoice of its period; if that comes to something else by now, the next invoice adjusts it."
        ]
    return [
        f"Its period is not invoiced yet: `tallystick invoice run {at:%Y-%m}`, or the customer's subscription, does it."
    ]
