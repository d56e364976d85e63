"""
Bill a subscription: what it is to be asked for on a date, as the difference to what it was. Pure.

Every bill looks at whole billing periods: what they should come to by the newest revision, the prices and the usage, less
what stands on invoices for them. So what is new, what was changed after it was paid in advance, and usage that came late
all come about in one way; and nothing is asked for twice.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from decimal import Decimal
from fractions import Fraction

import msgspec

from tallystick.catalog.plans.model import MAXIMUM, MINIMUM, PlanVersion
from tallystick.invoicing.add_unused import NOTHING_USED, none_of
from tallystick.invoicing.cover_usage import UsageCovered, cover_usage
from tallystick.invoicing.keep_billed import Window, keep_billed, window_of
from tallystick.invoicing.prepare_bills import Due, Priced
from tallystick.money import Asset, Money
from tallystick.periods import BillingPeriod
from tallystick.rating.exact import EXACT
from tallystick.rating.rate import asks_at_zero, needs, rate
from tallystick.rating.read_price import read_price
from tallystick.subscriptions.reconcile import Reconciled, balances_of, reconcile
from tallystick.subscriptions.wanted import Plans, Run, Usage, Wanted, flat_lines, limit_share, major, usage_charges
from tallystick.usage.aggregate import Aggregate
from tallystick.wallets.allocate import Wallets
from tallystick.wallets.explain import explain_covered
from tallystick.wallets.model import NOTHING, Covered


def bill_subscription(due: Due, priced: Priced, wallets: Wallets, least: int = 0) -> Reconciled:
    """
    Return what a subscription is to be asked for on its date; what *wallets* cover of it is taken of them.

    No more is given back than leaves *least*.

    Raises:
        MonthAway: usage that it needs is not attached (``invoicing.month_away``).
        AmountTooLarge, InvalidQuantity, InvalidShare, InvalidPrice: of rating.
    """
    version = plan_on(due, priced.plans)
    if version is None:
        return Reconciled([], [])
    asset = priced.assets[version.content.asset].asset
    bill = due.state.bill
    kept = keep_billed(due.usage(), due.billed, None if bill is None else bill.due_at, priced.away)
    read = {
        window: (usage, reading)
        for usage in due.usage()
        if (window := window_of(usage)) not in kept
        and (reading := priced.reading(usage, due.state.customer_id)) is not None
    }
    covered = _cover(due, priced, wallets, kept, read)
    by_window = dict(zip(_coverable(read), covered.lines, strict=True))
    wanted: list[Wanted] = []
    for one, runs in due.runs:
        ended = one.period.end_at <= due.due_at
        for run in runs:
            lines = list(flat_lines(run, one, asset, ended=ended))
            if ended:
                for usage in usage_charges(run, one):
                    window = window_of(usage)
                    if window in kept:
                        lines += [line] if (line := kept[window]) else []
                    elif window in read:
                        lines.append(_usage_line(due, priced, *read[window], by_window.get(window, NOTHING), asset))
                    else:
                        lines += _unused_lines(priced, usage, limit_share(run, one), asset)
                lines += _limits(run, one, lines, asset)
            wanted += lines
    return reconcile(wanted, due.billed, asset, least, covered.given_back)


def plan_on(due: Due, plans: Plans) -> PlanVersion | None:
    """
    Return the plan that is billed on a date, in its newest version: the one in force, or the last one there was.

    None: it never was on any that it was asked for anything by.
    """
    named = [span.plan for span in due.state.spans if span.start_at <= due.due_at] or [one.plan for one in due.billed]
    return plans[named[-1]][-1] if named else None


_Read = Mapping[Window, tuple[Usage, Aggregate]]


def _coverable(read: _Read) -> list[Window]:
    """Leave out where a price judges each transaction: a quantity less what is covered would be that of none."""
    return [window for window, (usage, _) in read.items() if needs(read_price(usage.given.price)) != "transactions"]


def _cover(
    due: Due, priced: Priced, wallets: Wallets, kept: Mapping[Window, Wanted | None], read: _Read
) -> UsageCovered:
    unpriced = [_unpriced(*read[window], priced) for window in _coverable(read)]
    return cover_usage(
        wallets,
        due.state.customer_id,
        unpriced,
        balances_of(due.billed),
        priced.uses,
        lambda balance: window_of(balance.billed) in kept,
    )


def _unpriced(usage: Usage, read: Aggregate, priced: Priced) -> Wanted:
    return Wanted(
        usage.version.plan,
        usage.charge,
        usage.version.effective_at,
        priced.meters[usage.given.meter or ""].code,
        usage.period,
        read.quantity,
        read.events,
        0,
        {},
        "",
        usage.billing_start,
    )


def _usage_line(due: Due, priced: Priced, usage: Usage, read: Aggregate, covered: Covered, asset: Asset) -> Wanted:
    meter = priced.meters[usage.given.meter or ""]
    each = priced.transactions.get((meter.code, usage.period), {}).get(due.state.customer_id)
    rest = EXACT.subtract(read.quantity, covered.quantity) if covered.quantity else read.quantity
    line = rate(read_price(usage.given.price), rest, asset, meter.name, events=read.events, transactions=each)
    detail = msgspec.to_builtins(explain_covered(line, covered))
    return replace(
        _unpriced(usage, read, priced),
        amount=line.amount,
        detail=detail,
        explanation=str(detail["explanation"]),
        draws=covered.draws,
    )


def _unused_lines(priced: Priced, usage: Usage, share: Fraction, asset: Asset) -> Iterable[Wanted]:
    """Return what a charge asks for that nothing was used of: what its price fixes, for the time that was not paused."""
    price = read_price(usage.given.price)
    if not share or not asks_at_zero(price):
        return
    unpriced = _unpriced(usage, NOTHING_USED, priced)
    unit = priced.meters[usage.given.meter or ""].name
    line = rate(price, NOTHING_USED.quantity, asset, unit, share=share, events=0, transactions=none_of(NOTHING_USED))
    yield replace(unpriced, amount=line.amount, detail=msgspec.to_builtins(line), explanation=line.explanation)


def _limits(run: Run, one: BillingPeriod, lines: Sequence[Wanted], asset: Asset) -> Iterable[Wanted]:
    """Return the line that lifts a period to its minimum, or takes back what is above its maximum."""
    phase = run.version.phase(run.phase)
    share = limit_share(run, one)
    asked = sum(line.amount for line in lines)
    for code, limit in ((MINIMUM, phase.minimum), (MAXIMUM, phase.maximum)):
        if limit is None:
            continue
        bound = Money.from_fraction(Fraction(limit) * share, asset).minor
        amount = max(bound - asked, 0) if code == MINIMUM else min(bound - asked, 0)
        if not amount:
            continue
        explanation = f"{code} of {major(bound, asset)}, with {major(asked, asset)} asked for otherwise"
        detail = {"model": "flat", "unit": "periods", "amount": amount, "explanation": explanation}
        charge = run.version.charge_code(run.phase, code)
        yield Wanted(
            run.version.plan, charge, run.version.effective_at, None, run.period, Decimal(1), 0, amount, detail,
            explanation, one.period.start_at,
        )  # fmt: skip
