"""Tax a subscription: make the invoice of what it is asked for on a date, with the taxes. Pure."""

import uuid

import msgspec

from tallystick import ids
from tallystick.invoicing.bill_subscription import bill_subscription, plan_on
from tallystick.invoicing.draft import MonthAway, TotalTooLarge
from tallystick.invoicing.prepare_bills import Due, Priced
from tallystick.invoicing.tax_draft import UNTAXABLE, Answered, TaxedBelowZero, tax_draft
from tallystick.invoicing.write_drafts import Draft, DraftLine
from tallystick.money import MAX_AMOUNT
from tallystick.periods import Period
from tallystick.rating.check_number import InvalidPrice
from tallystick.rating.rate import AmountTooLarge, InvalidQuantity, InvalidShare
from tallystick.subscriptions.billing import BookAsset
from tallystick.subscriptions.reconcile import Adjustment, Reconciled
from tallystick.subscriptions.wanted import Wanted
from tallystick.taxes.apply import TaxTable
from tallystick.taxes.keep_answers import KeptAnswers
from tallystick.wallets.allocate import Wallets

UNBILLABLE = (AmountTooLarge, InvalidQuantity, InvalidShare, InvalidPrice, TotalTooLarge, MonthAway, *UNTAXABLE)
"""What is wrong with one subscription alone."""


def tax_subscription(
    book: str, due: Due, priced: Priced, taxes: TaxTable, wallets: Wallets, answers: KeptAnswers | None = None
) -> tuple[Reconciled, Draft | None]:
    """
    Return what a subscription is to be asked for, and its invoice with the taxes; None where there is nothing on it.

    Where what is taken back was taxed higher than what is asked for, less is taken back: the rest is carried. *answers*
    are those of a tax engine; without them the rates of the book count.

    Raises:
        TallystickError: one of ``UNBILLABLE``.
    """
    version = plan_on(due, priced.plans)
    least, before = 0, wallets.taken
    while True:
        wallets.taken = dict(before)
        reconciled = bill_subscription(due, priced, wallets, least)
        if version is None:
            return reconciled, None
        asset = priced.assets[version.content.asset]
        draft = make_draft(book, due, reconciled, asset)
        if draft is None:
            return reconciled, None
        answered = None if answers is None else Answered(due.state.customer, asset.asset, answers)
        try:
            return reconciled, tax_draft(taxes, draft, version.plan, due.due_at, answered)
        except TaxedBelowZero as error:
            least -= error.total


def make_draft(book: str, due: Due, reconciled: Reconciled, asset: BookAsset) -> Draft | None:
    """
    Return the invoice of a subscription on a date; None where there is nothing on it.

    Raises:
        TotalTooLarge: it comes to more than there is (``invoicing.total_too_large``).
    """
    if not reconciled.new and not reconciled.adjustments:
        return None
    if reconciled.total > MAX_AMOUNT:
        raise TotalTooLarge(customer=due.state.customer, largest=MAX_AMOUNT, asset=asset.asset.code)
    covered = [one.period for one in reconciled.new] or [one.period for one in reconciled.adjustments]
    period = Period(min(one.start_at for one in covered), max(one.end_at for one in covered))
    invoice_id = ids.id_of_content(("subscription", book, due.state.id, due.due_at.isoformat(), asset.asset.code))
    lines = [_adjusting(one) for one in reconciled.adjustments]
    largest = max(range(len(reconciled.new)), key=lambda place: reconciled.new[place].amount, default=0)
    lines += [_asking(one, (invoice_id, len(lines) + largest)) for one in reconciled.new]
    return Draft(invoice_id, due.state.customer_id, asset.asset_id, reconciled.total, period, lines)


def _adjusting(one: Adjustment) -> DraftLine:
    billed = one.billed
    quantity = one.quantity if one.events or one.quantity else billed.quantity
    detail: dict[str, object] = {
        "model": "adjustment",
        "unit": "periods",
        "amount": one.amount,
        "adjusts": f"{billed.invoice_id}/{billed.position}",
        "explanation": one.explanation,
        **msgspec.to_builtins(one.given_back.detail()),
    }
    if billed.meter is not None:
        detail["covers_from"] = one.covers_from
    return DraftLine(
        billed.charge,
        billed.price_at,
        billed.meter,
        one.period,
        one.events,
        quantity,
        one.amount,
        detail,
        (billed.invoice_id, billed.position),
        product=billed.plan,
        credits=one.draws,
    )


def _asking(one: Wanted, largest: tuple[uuid.UUID, int]) -> DraftLine:
    """Return a line that asks; a maximum takes back, and names the line that most of it is of."""
    return DraftLine(
        one.charge,
        one.price_at,
        one.meter,
        one.period,
        one.events,
        one.quantity,
        one.amount,
        one.detail,
        largest if one.amount < 0 else None,
        product=one.plan,
        credits=one.draws,
    )
