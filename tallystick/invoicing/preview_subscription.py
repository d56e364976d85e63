"""Preview a subscription: what its next invoice would be, by all that is known now; nothing is kept."""

import datetime as dt

import msgspec

from tallystick.db.queries import Connection
from tallystick.invoicing.bill_subscription import plan_on
from tallystick.invoicing.prepare_bills import Due, prepare
from tallystick.invoicing.tax_subscription import UNBILLABLE, tax_subscription
from tallystick.ledger.accounts import Recorded, find_asset
from tallystick.subscriptions.billing import read_order
from tallystick.subscriptions.find import State
from tallystick.subscriptions.reconcile import Reconciled
from tallystick.taxes.apply import UNTAXED, load_taxes
from tallystick.taxes.engine import TaxQuestion
from tallystick.taxes.keep_answers import AnswerMissing, find_answers_of
from tallystick.taxes.model import InvoiceTax
from tallystick.wallets.draw import find_wallets


class PreviewLine(msgspec.Struct, frozen=True):
    """A line that the invoice would have."""

    plan: str
    charge: str
    period_start: dt.datetime
    period_end: dt.datetime
    quantity: str
    amount: int
    """In minor units; negative where something is given back."""
    explanation: str
    adjusts: str | None
    """The invoice and the position of the line that is corrected."""


class PreviewInvoice(msgspec.Struct, frozen=True):
    """The next invoice of a subscription, as far as it is known now."""

    due_at: dt.datetime | None
    """When it would be made; null: never."""
    asset: str | None
    total: int
    """
    The lines, and the taxes that are added to them, in minor units.

    What credits in units pay for is not in the lines; what credits in a currency pay is not taken off.
    """
    credit: int
    """What would be left to give back, in minor units."""
    lines: list[PreviewLine]
    taxes: list[InvoiceTax] = []
    problem: str | None = None
    """Why it could not be made, if it could not; where only the taxes are not known, the lines are there."""
    exponent: int | None = None
    """How many decimal digits a major unit of the asset has."""
    questions: list[TaxQuestion] | msgspec.UnsetType = msgspec.UNSET
    """What a tax engine has to be asked before the taxes are known; left out where the rates of the book count."""


async def preview_subscription(
    connection: Connection, recorded: Recorded, state: State, *, answered: bool = False
) -> PreviewInvoice:
    """
    Return the invoice that the subscription would get on the next date that it is billed on.

    *answered*: the taxes are those that a tax engine outside answered, not those of the rates of the book.
    """
    if state.due_at is None:
        return PreviewInvoice(None, None, 0, 0 if state.bill is None else state.bill.carried, [])
    due = Due(state, state.due_at)
    through, present = await read_order(connection)
    priced = await prepare(connection, recorded.book_id, [due], recorded.at, through, None)
    taxes = await load_taxes(connection, recorded.book_id, [state.customer_id])
    wallets = await find_wallets(connection, recorded, [state.customer_id], units=True)
    version = plan_on(due, priced.plans)
    asset = None if version is None else version.content.asset
    answers = None
    if answered:
        answers = await find_answers_of(connection, recorded.book_id, [state.customer_id], [due.due_at], present)
    problem, questions = None, msgspec.UNSET if answers is None else list[TaxQuestion]()
    try:
        try:
            reconciled, draft = tax_subscription("", due, priced, taxes, wallets, answers)
        except AnswerMissing as error:
            problem, questions = error.message, list(error.questions)
            reconciled, draft = tax_subscription("", due, priced, UNTAXED, wallets)
    except UNBILLABLE as error:
        return PreviewInvoice(due.due_at, asset, 0, 0, [], problem=error.message, questions=questions)
    exponent = None if asset is None else (await find_asset(connection, recorded.book_id, asset)).exponent
    total, asked = (0, []) if draft is None else (draft.total, list(draft.taxes))
    return PreviewInvoice(
        due.due_at, asset, total, reconciled.carried, _lines(reconciled), asked, problem, exponent, questions
    )


def _lines(reconciled: Reconciled) -> list[PreviewLine]:
    lines = [
        PreviewLine(
            one.billed.plan,
            one.billed.charge,
            one.period.start_at,
            one.period.end_at,
            str(one.quantity),
            one.amount,
            one.explanation,
            f"{one.billed.invoice_id}/{one.billed.position}",
        )
        for one in reconciled.adjustments
    ]
    return lines + [
        PreviewLine(
            one.plan,
            one.charge,
            one.period.start_at,
            one.period.end_at,
            str(one.quantity),
            one.amount,
            one.explanation,
            None,
        )
        for one in reconciled.new
    ]
