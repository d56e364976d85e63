"""What is known of subscriptions that are to be billed, and what is kept of it once they were."""

import datetime as dt
import uuid
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from tallystick.catalog.define_meter import find_meter
from tallystick.catalog.model import Meter
from tallystick.db.queries import Connection, queries_beside
from tallystick.ledger.accounts import Recorded
from tallystick.money import Asset
from tallystick.periods import Period
from tallystick.subscriptions.find import State
from tallystick.subscriptions.model import Bill, Span
from tallystick.subscriptions.reconcile import Billed
from tallystick.subscriptions.revise import set_due
from tallystick.subscriptions.schedule import periods_from

_queries = queries_beside(__file__)
_take_due = _queries.values("take_due")
_lock_due = _queries.values("lock_due")
_changed_from = _queries.tuples("changed_from")
_late_from = _queries.tuples("late_from")
_find_billed = _queries.tuples("find_billed")
_insert_bills = _queries.run("insert_bills")
_find_assets = _queries.tuples("find_assets")
_insert_waiting = _queries.run("insert_waiting")
_first_waiting = _queries.value("first_waiting")
_page_waiting = _queries.values("page_waiting")
_end_waiting = _queries.run("end_waiting")
_read_horizon = _queries.tuples("read_horizon")
_ended_with_late = _queries.tuples("ended_with_late")


@dataclass(frozen=True, slots=True)
class BookAsset:
    """An asset and its number in the book."""

    asset_id: int
    asset: Asset


async def take_due(connection: Connection, book_id: int, until: dt.datetime, after: str, limit: int) -> list[str]:
    """Return the next subscriptions that are to be billed by *until*, in order of id; nobody else bills them meanwhile."""
    return await _take_due(connection, book_id, until, after, limit)


async def take(connection: Connection, book_id: int, subscription_ids: Sequence[str]) -> list[str]:
    """Return those of the subscriptions that exist, in order of id; nobody else bills or changes them meanwhile."""
    return await _lock_due(connection, book_id, list(subscription_ids))


async def wake_ended(
    connection: Connection, book_id: int, until: dt.datetime, since: dt.datetime, named: Sequence[str] | None
) -> None:
    """
    Let those that have ended be billed once more by *until* of which usage came in since they were billed last.

    They are looked for among the *named*; None: among all that were billed last *since* then.
    """
    asked = until, since
    found = await _ended_with_late(connection, book_id, named, *asked)
    if not found:
        return
    locked = await take(connection, book_id, [subscription_id for subscription_id, _ in found])
    # Whoever billed one meanwhile has taken up what came in.
    await set_due(connection, book_id, dict(await _ended_with_late(connection, book_id, locked, *asked)))


async def looked_at_from(
    connection: Connection, book_id: int, states: Sequence[State], through: int
) -> dict[str, dt.datetime]:
    """
    Return for each subscription where the first billing period begins that is looked at when it is billed.

    That is where it was billed last; or earlier, where something was carried, where it was changed since, or where usage
    of before came in since.
    """
    billed = [(state, state.bill) for state in states if state.bill is not None]
    found = {state.id: state.start_at for state in states} | {state.id: bill.due_at for state, bill in billed}
    changed = await _changed_from(
        connection, book_id, [state.id for state, _ in billed], [bill.revision for _, bill in billed]
    )
    late = await _late_from(
        connection,
        book_id,
        [state.id for state, _ in billed],
        [state.customer_id for state, _ in billed],
        [bill.due_at for _, bill in billed],
        [bill.usage_through for _, bill in billed],
        through,
    )
    carried = [(state.id, bill.carried_from) for state, bill in billed]
    spans = {state.id: state.spans for state in states}
    for subscription_id, instant in [*changed, *late, *carried]:
        if instant is not None:
            begins = _begins(spans[subscription_id], instant)
            found[subscription_id] = min(found[subscription_id], begins)
    return {state.id: max(found[state.id], state.start_at) for state in states}


def _begins(spans: Sequence[Span], instant: dt.datetime) -> dt.datetime:
    """
    Return where the period begins that something before *instant* may be in.

    Where a subscription was cut off, what it was billed before reaches over the cut; so the period before it counts.
    """
    before = instant - dt.timedelta.resolution
    period = next(periods_from(spans, before), None)
    return before if period is None else min(period.period.start_at, before)


async def find_billed(connection: Connection, book_id: int, from_: dict[str, dt.datetime]) -> dict[str, list[Billed]]:
    """Return the lines that each subscription was billed for time from those instants on, in order of invoice."""
    found: dict[str, list[Billed]] = {subscription_id: [] for subscription_id in from_}
    for row in await _find_billed(connection, book_id, list(from_), list(from_.values())):
        subscription_id, invoice_id, position, plan, charge, price_at, meter, start_at, end_at = row[:9]
        events, quantity, amount, adjusts_invoice, adjusts_position, explanation, reaches, covered = row[9:]
        adjusts = None if adjusts_invoice is None else (adjusts_invoice, adjusts_position)
        found[subscription_id].append(
            Billed(
                invoice_id,
                position,
                plan,
                charge,
                price_at,
                meter,
                Period(start_at, end_at),
                events,
                quantity,
                amount,
                adjusts,
                explanation or "",
                reaches,
                covered,
            )
        )
    return found


async def keep_bills(
    connection: Connection, recorded: Recorded, bills: Sequence[tuple[str, Bill]], through: int
) -> None:
    """Keep what subscriptions were billed, each at its date once; their invoices wait for their numbers from here on."""
    await _insert_bills(
        connection,
        recorded.book_id,
        [subscription_id for subscription_id, _ in bills],
        [bill.due_at for _, bill in bills],
        [bill.revision for _, bill in bills],
        [bill.invoice_id for _, bill in bills],
        [bill.carried for _, bill in bills],
        [bill.carried_from for _, bill in bills],
        through,
        recorded.message_place,
        recorded.at,
    )
    await _insert_waiting(
        connection, recorded.book_id, [bill.invoice_id for _, bill in bills if bill.invoice_id is not None]
    )


async def find_assets(connection: Connection, book_id: int, codes: Iterable[str]) -> dict[str, BookAsset]:
    """Return the assets of those codes."""
    rows = await _find_assets(connection, book_id, sorted(set(codes)))
    return {code: BookAsset(asset_id, Asset(code, exponent)) for asset_id, code, exponent in rows}


async def find_meters(connection: Connection, book_id: int, codes: Iterable[str]) -> dict[str, Meter]:
    """Return the meters of those codes."""
    return {code: await find_meter(connection, book_id, code) for code in sorted(set(codes))}


async def first_waiting(connection: Connection, book_id: int) -> str | None:
    """Return a plan that drafts wait for their numbers under; None once there are none."""
    plan: str | None = await _first_waiting(connection, book_id)
    return plan


async def page_waiting(connection: Connection, book_id: int, plan: str, limit: int) -> list[uuid.UUID]:
    """Return the first drafts of a plan that wait, those of the earliest periods."""
    return await _page_waiting(connection, book_id, plan, limit)


async def end_waiting(connection: Connection, book_id: int, plan: str, invoice_ids: Sequence[uuid.UUID]) -> None:
    """Take those off the list that have their numbers, or are void and never get one."""
    await _end_waiting(connection, book_id, plan, list(invoice_ids))


async def read_order(connection: Connection) -> tuple[int, int]:
    """Return below which transaction all have ended, and the present one."""
    ((through, present),) = await _read_horizon(connection)
    return through, present
