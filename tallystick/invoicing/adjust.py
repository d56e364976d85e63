"""Adjust: lines of the next invoice for what has changed of lines that were billed before."""

from collections.abc import Mapping, Sequence

import msgspec

from tallystick.invoicing.find_changes import Change, meter_of
from tallystick.invoicing.write_drafts import DraftLine
from tallystick.money import Asset, Money
from tallystick.periods import Period
from tallystick.rating.exact import plain, spoken
from tallystick.rating.model import Line


class Figures(msgspec.Struct, frozen=True):
    """What a line says, or said together with what adjusted it before."""

    events: int
    quantity: str
    amount: int


class AdjustmentDetail(msgspec.Struct, frozen=True, omit_defaults=True):
    """How an adjustment came about."""

    model: str
    unit: str
    asset: str
    explanation: str
    invoice: str
    """The number of the invoice whose line is corrected; its id while it has none."""
    covers_from: int
    """It covers what was ordered from here on, up to how far its invoice reaches into usage."""
    late: int
    """How many events came after the line was made, or was adjusted last."""
    amended: int
    voided: int
    before: Figures
    now: Figures
    rated: Line | None
    """How what is used now is rated; null: nothing is."""
    carried_over: int | None = None
    """What is left for the next invoice, since this one has no more to take it from."""
    returned: str | None = None
    """How many units that credits had paid for are given back to them."""
    credits: Sequence[Mapping[str, object]] = msgspec.field(default_factory=list)
    """To which; the figures are below zero."""
    not_returned: Sequence[Mapping[str, object]] = msgspec.field(default_factory=list)
    """What cannot be given back, and why."""


def settle(changes: Sequence[Change], room: int) -> list[DraftLine]:
    """
    Make lines of *changes* for an invoice whose other lines come to *room*; together they never fall below zero.

    What cannot be given back yet is said to be carried over.
    """
    room = max(room + sum(change.amount for change in changes if change.amount > 0), 0)
    lines = []
    for change in changes:
        amount = max(change.amount, -room) if change.amount < 0 else change.amount
        room += min(amount, 0)
        lines.append(_late_line(change) if change.adjusts is None else _adjusting_line(change, amount))
    return lines


def _late_line(change: Change) -> DraftLine:
    """Make the line that the window would have had."""
    assert change.rated is not None  # noqa: S101 - a window without a line changes when it gets one
    span = change.window.period
    explanation = f"came late, for {_days(span)}: {change.rated.explanation}"
    return DraftLine(
        change.window.charge,
        change.window.effective_at,
        meter_of(change.window).code,
        span,
        change.now.events,
        change.now.quantity,
        change.rated.amount,
        msgspec.structs.replace(change.rated, explanation=explanation),
    )


def _adjusting_line(change: Change, amount: int) -> DraftLine:
    meter, window = meter_of(change.window), change.window
    carried = change.amount - amount
    late, amended, voided = change.reasons
    back = change.given_back.detail()
    detail = AdjustmentDetail(
        model="adjustment",
        unit=meter.name,
        asset=window.asset.code,
        explanation=_explain(change, amount),
        invoice=change.invoice,
        covers_from=change.covers_from,
        late=late,
        amended=amended,
        voided=voided,
        before=Figures(change.before.events, plain(change.before.quantity), change.billed),
        now=Figures(change.now.events, plain(change.now.quantity), change.billed + change.amount),
        rated=change.rated,
        carried_over=carried or None,
        returned=back.returned,
        credits=back.credits,
        not_returned=back.not_returned,
    )
    return DraftLine(
        window.charge,
        window.effective_at,
        meter.code,
        window.period,
        change.now.events - change.before.events,
        change.now.quantity - change.before.quantity,
        amount,
        detail,
        change.adjusts,
        credits=change.given_back.draws,
    )


def _explain(change: Change, amount: int) -> str:
    """Say which invoice is corrected, why, from what to what, and what is left for the next one."""
    asset, unit = change.window.asset, meter_of(change.window).name
    late, amended, voided = change.reasons
    why = [
        text
        for count, text in (
            (late, f"{late:,} came late"),
            (amended, f"{amended:,} {'was' if amended == 1 else 'were'} amended"),
            (voided, f"{voided:,} {'was' if voided == 1 else 'were'} taken back"),
        )
        if count
    ]
    because = f" ({', '.join(why)})" if why else ""
    text = (
        f"{change.invoice}, {_days(change.window.period)}: {spoken(change.now.quantity)} {unit} "
        f"instead of {spoken(change.before.quantity)}{because}, {_money(change.billed + change.amount, asset)} "
        f"instead of {_money(change.billed, asset)}{change.given_back.explanation(unit)}"
    )
    left = change.amount - amount
    return f"{text}; {_money(left, asset)} are carried over to the next invoice" if left else text


def _money(minor: int, asset: Asset) -> str:
    return f"{Money(minor, asset).major:,.{asset.exponent}f} {asset.code}"


def _days(span: Period) -> str:
    return f"{span.start_at:%Y-%m-%d} to {span.end_at:%Y-%m-%d}"
