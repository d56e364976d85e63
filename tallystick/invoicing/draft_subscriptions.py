"""
Draft subscriptions: write the invoices of a chunk of them, each on every date that it is billed on.

    take and lock ─ prepare (periods, prices, usage, what was billed) ─ bill ─ tax ─ write ─ draw credits ─ the next date
"""

import datetime as dt
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import msgspec
import numpy as np
import numpy.typing as npt

from tallystick.db.queries import Connection
from tallystick.errors import Kind, TallystickError
from tallystick.invoicing.bill_subscription import plan_on
from tallystick.invoicing.billing_period import fix_zone
from tallystick.invoicing.prepare_bills import Due, prepare
from tallystick.invoicing.tax_subscription import UNBILLABLE, tax_subscription
from tallystick.invoicing.write_drafts import Draft, write_drafts
from tallystick.ledger.accounts import Recorded
from tallystick.ledger.books import Book
from tallystick.subscriptions.billing import keep_bills, read_order, take, take_due, wake_ended
from tallystick.subscriptions.find import State, UnknownSubscription, find_states
from tallystick.subscriptions.model import Bill
from tallystick.subscriptions.revise import set_due
from tallystick.subscriptions.schedule import next_due
from tallystick.taxes.apply import load_taxes
from tallystick.taxes.engine import TaxQuestion
from tallystick.taxes.keep_answers import AnswerMissing, KeptAnswers, enter_to_use, find_answers_of
from tallystick.wallets.allocate import Wallets
from tallystick.wallets.draw import MOST_DRAWS, CoveredLine, cover_lines, enter_to_cover, find_wallets

LATE_FOR = dt.timedelta(days=100)
"""For how long usage that comes late is looked for by itself of a subscription that has ended; later, of those named."""
_MOST_DATES = 60
"""On how many dates one call bills each subscription; what is left is for the next."""


class UntilAhead(TallystickError):
    """Subscriptions are billed until {now} at the latest, which is the present; what comes later is not known yet."""

    code = "subscriptions.until_ahead"
    kind = Kind.REFUSED


@dataclass(frozen=True, slots=True)
class SubscriptionsOrder:
    """Which subscriptions to bill, until when and on which terms."""

    until: dt.datetime
    terms_days: int
    subscriptions: Sequence[str] | None
    """These; None: the next *limit* that are due."""
    after: str
    """Only those whose ids sort behind this one."""
    limit: int
    answered: bool = False
    """A tax engine's kept answers say what the taxes are, not the rates of the book; each is billed on one date alone."""


class SubscriptionSetAside(msgspec.Struct, frozen=True):
    """A subscription that could not be billed, and why; the next run tries again."""

    subscription: str
    code: str
    message: str


class OpenQuestion(msgspec.Struct, frozen=True):
    """What a tax engine has to be asked about the next invoice of a subscription."""

    subscription: str
    question: TaxQuestion


class SubscriptionsDrafted(msgspec.Struct, frozen=True):
    """What became of one chunk of subscriptions."""

    subscriptions: int
    """How many were due."""
    drafted: int
    """How many invoices were made."""
    nothing_due: int
    """On how many dates there was nothing to ask for."""
    failed: list[SubscriptionSetAside]
    totals: dict[str, int]
    """What the new invoices come to, in minor units by asset."""
    unfinished: bool
    """Some are due on more dates, or draw on more credits, than one call bills; call again."""
    next: str | None
    """The cursor of the chunk behind, null on the last."""
    questions: list[OpenQuestion] | msgspec.UnsetType = msgspec.UNSET
    """What a tax engine has to be asked before the rest can be drafted; left out where the rates of the book count."""


async def draft_subscriptions(
    connection: Connection,
    book: Book,
    recorded: Recorded,
    message_hashes: npt.NDArray[np.void],
    order: SubscriptionsOrder,
) -> SubscriptionsDrafted:
    """
    Write the invoices of the next subscriptions on every date until the order's that they are due on.

    One that has ended is billed once more where usage of before came in since.

    A subscription whose amounts are beyond what there is gets none and is named; the others do. Credits in units pay for
    usage before it is priced, and what they paid for usage that was taken back since returns. One that is named and not
    there is named, too.

    Raises:
        UntilAhead: the order is for a time that is still to come (``subscriptions.until_ahead``).
        UsageNotSettled: usage of theirs is behind an open transaction (``invoicing.usage_not_settled``).
        OtherZone: the plan is invoiced by another zone's days (``invoicing.other_zone``).
        OrderLost: another transaction took of the same credits meanwhile.
    """
    await enter_to_cover(connection, book.book_id)
    if order.answered:
        await enter_to_use(connection, book.book_id)
    if order.until > recorded.at:
        raise UntilAhead(field="until", now=recorded.at.isoformat())
    if not order.after:
        since = recorded.at - LATE_FOR
        await wake_ended(connection, book.book_id, order.until, since, order.subscriptions)
    if order.subscriptions is None:
        taken = await take_due(connection, book.book_id, order.until, order.after, order.limit)
    else:
        taken = await take(connection, book.book_id, order.subscriptions)
    # Once for all dates: done again, the message is told one place alone below which all had ended.
    through, present = await read_order(connection)
    failed = _unknown(order.subscriptions or (), taken)
    written: list[tuple[str, int]] = []
    nothing, waiting = 0, taken
    customers = {state.customer_id for state in await find_states(connection, book.book_id, taken)}
    wallets = await find_wallets(connection, recorded, sorted(customers), units=True)
    covered: list[CoveredLine] = []
    questions: list[OpenQuestion] = []
    put_off = False
    for _ in range(1 if order.answered else _MOST_DATES):
        states = [
            state for state in await find_states(connection, book.book_id, waiting) if _is_due(state, order.until)
        ]
        if not states:
            break
        room = MOST_DRAWS - sum(len(one.draws) for one in covered)
        done = await _draft_once(connection, book, recorded, states, order, _Given(wallets, room, through, present))
        failed += done.failed
        written += done.written
        covered += done.covered
        questions += done.questions
        nothing += done.nothing
        put_off = put_off or done.put_off
        waiting = done.billed
    else:
        states = [
            state for state in await find_states(connection, book.book_id, waiting) if _is_due(state, order.until)
        ]
    await cover_lines(connection, book.ledger, recorded, message_hashes, covered)
    totals: dict[str, int] = {}
    for asset, total in written:
        totals[asset] = totals.get(asset, 0) + total
    more = order.subscriptions is None and len(taken) == order.limit
    return SubscriptionsDrafted(
        subscriptions=len(taken),
        drafted=len(written),
        nothing_due=nothing,
        failed=failed,
        totals=totals,
        unfinished=bool(states) or put_off,
        next=taken[-1] if more else None,
        questions=questions if order.answered else msgspec.UNSET,
    )


def _unknown(named: Sequence[str], taken: Sequence[str]) -> list[SubscriptionSetAside]:
    """Set those aside that were named and are not there."""
    return [
        SubscriptionSetAside(one, UnknownSubscription.code, UnknownSubscription(subscription=one).message)
        for one in sorted({*named} - {*taken})
    ]


def _is_due(state: State, until: dt.datetime) -> bool:
    return state.due_at is not None and state.due_at <= until


class _Given(NamedTuple):
    """What all dates of one call have in common."""

    wallets: Wallets
    room: int
    """How many draws on the wallets fit in."""
    through: int
    """Below which transaction all have ended."""
    present: int


@dataclass(slots=True)
class _Once:
    """What became of subscriptions on one date of each."""

    failed: list[SubscriptionSetAside] = field(default_factory=list)
    written: list[tuple[str, int]] = field(default_factory=list)
    covered: list[CoveredLine] = field(default_factory=list)
    questions: list[OpenQuestion] = field(default_factory=list)
    nothing: int = 0
    put_off: bool = False
    """Somebody is left for the next call, which has room for what they draw."""
    billed: list[str] = field(default_factory=list)


async def _draft_once(
    connection: Connection,
    book: Book,
    recorded: Recorded,
    states: Sequence[State],
    order: SubscriptionsOrder,
    given: _Given,
) -> _Once:
    """Bill each of the subscriptions on the one date that comes next."""
    wallets, room, through, present = given
    dues = [Due(state, state.due_at) for state in states if state.due_at is not None]
    priced = await prepare(connection, book.book_id, dues, recorded.at, through, present)
    customers = sorted({due.state.customer_id for due in dues})
    taxes = await load_taxes(connection, book.book_id, customers)
    answers: KeptAnswers | None = None
    if order.answered:
        answers = await find_answers_of(connection, book.book_id, customers, [due.due_at for due in dues], present)
    once = _Once()
    drafts: dict[str, list[Draft]] = {}
    bills: list[tuple[str, Bill]] = []
    zones: dict[str, str] = {}
    for due in dues:
        version = plan_on(due, priced.plans)
        before = dict(wallets.taken)
        try:
            reconciled, draft = tax_subscription(book.name, due, priced, taxes, wallets, answers)
        except UNBILLABLE as error:
            once.failed.append(SubscriptionSetAside(due.state.id, error.code, error.message))
            if isinstance(error, AnswerMissing):
                once.questions += [OpenQuestion(due.state.id, one) for one in error.questions]
            wallets.taken = before
            continue
        draws = 0 if draft is None else sum(len(line.credits) for line in draft.lines)
        if draws > room and room < MOST_DRAWS:
            once.put_off, wallets.taken = True, before
            continue
        room -= draws
        if draft is None or version is None:
            once.nothing += 1
        else:
            drafts.setdefault(version.plan, []).append(draft)
            zones[version.plan] = version.content.zone
            once.written.append((version.content.asset, draft.total))
        invoice_id = None if draft is None else draft.invoice_id
        revision = due.state.newest.revision
        bill = Bill(due.due_at, revision, invoice_id, reconciled.carried, reconciled.carried_from, through)
        bills.append((due.state.id, bill))
        once.billed.append(due.state.id)
    for plan in sorted(drafts):
        await fix_zone(connection, recorded, plan, zones[plan])
        new = await write_drafts(connection, recorded, plan, order.terms_days, through, drafts[plan])
        once.covered += [
            CoveredLine(one.invoice_id, position, line.credits)
            for one in new
            for position, line in enumerate(one.lines)
            if line.credits
        ]
    await keep_bills(connection, recorded, bills, through)
    billed = set(once.billed)
    await set_due(
        connection,
        recorded.book_id,
        {due.state.id: next_due(due.state.spans, due.due_at) for due in dues if due.state.id in billed},
    )
    return once
