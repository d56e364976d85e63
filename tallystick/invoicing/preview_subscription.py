"""Preview a subscription: what its next invoice would be, by all that is known now; nothing is kept."""

import datetime as dt

import msgspec

from tallystick.db.queries import Connection
from tallystick.invoicing.draft_subscriptions import UNBILLABLE, Due, plan_on, prepare, taxed
from tallystick.ledger.accounts import find_asset
from tallystick.subscriptions.billing import read_order
from tallystick.subscriptions.find import State
from tallystick.taxes.apply import load_taxes
from tallystick.taxes.model import InvoiceTax
from tallystick.wallets.allocate import Wallets


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
    """The lines, and the taxes that are added to them, in minor units; what credits pay of it is not taken off."""
    credit: int
    """What would be left to give back, in minor units."""
    lines: list[PreviewLine]
    taxes: list[InvoiceTax] = []
    problem: str | None = None
    """Why it could not be made, if it could not."""
    exponent: int | None = None
    """How many decimal digits a major unit of the asset has."""


async def preview_subscription(connection: Connection, book_id: int, state: State) -> PreviewInvoice:
    """Return the invoice that the subscription would get on the next date that it is billed on."""
    if state.due_at is None:
        return PreviewInvoice(None, None, 0, 0 if state.bill is None else state.bill.carried, [])
    due = Due(state, state.due_at)
    through, _ = await read_order(connection)
    priced = await prepare(connection, book_id, [due], through, None)
    taxes = await load_taxes(connection, book_id, [state.customer_id])
    version = plan_on(due, priced.plans)
    asset = None if version is None else version.content.asset
    try:
        reconciled, draft = taxed("", due, priced, taxes, Wallets({}))
    except UNBILLABLE as error:
        return PreviewInvoice(due.due_at, asset, 0, 0, [], problem=error.message)
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
    lines += [
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
    exponent = None if asset is None else (await find_asset(connection, book_id, asset)).exponent
    total, asked = (0, []) if draft is None else (draft.total, list(draft.taxes))
    return PreviewInvoice(due.due_at, asset, total, reconciled.carried, lines, asked, exponent=exponent)
