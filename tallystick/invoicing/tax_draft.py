"""Tax a draft: add the taxes of its lines to it, those ahead of its date by what is in force then."""

import datetime as dt
from dataclasses import dataclass, replace

from tallystick.errors import Kind, TallystickError
from tallystick.invoicing.write_drafts import Draft
from tallystick.money import MAX_AMOUNT, Asset
from tallystick.taxes.apply import ChargeLine, TaxTable, tax_lines
from tallystick.taxes.engine import LineToAsk, TaxQuestion
from tallystick.taxes.errors import NoTaxRate, TaxTooLarge
from tallystick.taxes.keep_answers import AnswerMissing, KeptAnswers, missing
from tallystick.taxes.model import InvoiceTax

_MOMENT = dt.timedelta(microseconds=1)


class TaxedBelowZero(TallystickError):
    """With their taxes the lines come to {total}, below zero: what is taken back was taxed higher than what is asked for."""

    code = "invoicing.taxed_below_zero"
    kind = Kind.REFUSED

    def __init__(self, *, total: int) -> None:
        """Keep *total*, so that whoever takes back can take back less."""
        super().__init__(total=total)
        self.total = total


class TaxedTotalTooLarge(TallystickError):
    """With their taxes the lines come to more than {largest} minor units."""

    code = "invoicing.taxed_total_too_large"
    kind = Kind.REFUSED


UNTAXABLE = (NoTaxRate, TaxTooLarge, TaxedBelowZero, TaxedTotalTooLarge, AnswerMissing)
"""What is wrong with one invoice alone."""


@dataclass(frozen=True, slots=True)
class Answered:
    """That an engine outside says what the taxes are, and what it said."""

    customer: str
    asset: Asset
    answers: KeptAnswers


def tax_draft(table: TaxTable, draft: Draft, product: str, on: dt.datetime, answered: Answered | None = None) -> Draft:
    """
    Return *draft*, an invoice of *product*, with its taxes: those of the rates, or where it is given, of an engine.

    Of what was over on the date *on* the rates count that were in force right before it, of all else those of the date.

    Raises:
        NoTaxRate: a line's category has no rate in force (``taxes.no_rate``).
        TaxTooLarge: a tax is beyond what can be asked for (``taxes.amount_too_large``).
        TaxedBelowZero: the taxes make the total negative (``invoicing.taxed_below_zero``).
        TaxedTotalTooLarge: they make it too large (``invoicing.taxed_total_too_large``).
        AnswerMissing, AnswerStale: the engine has not said them yet (``taxes.answer_…``).
    """
    if not table.customers:
        return draft
    lines = [
        (line.period.end_at <= on, ChargeLine(line.product or product, line.charge, line.amount))
        for line in draft.lines
    ]
    over, ahead = [line for is_over, line in lines if is_over], [line for is_over, line in lines if not is_over]
    if answered is None:
        taxes, exclusive = tax_lines(table, draft.customer_id, over, on)
        more, more_exclusive = tax_lines(table, draft.customer_id, ahead, on + _MOMENT)
        return _add(draft, [*taxes, *more], exclusive + more_exclusive)
    questions = [
        one
        for some, before in ((over, on), (ahead, on + _MOMENT))
        for one in _ask(table, draft, some, before, answered)
    ]
    if any(one.reference not in answered.answers.taxes for one in questions):
        raise missing(questions, answered.answers)
    said = [tax for one in questions for tax in answered.answers.taxes[one.reference]]
    return _add(draft, said, sum(tax.amount for tax in said if not tax.inclusive))


def _ask(
    table: TaxTable, draft: Draft, lines: list[ChargeLine], before: dt.datetime, answered: Answered
) -> list[TaxQuestion]:
    """Return what an engine is to be asked about some lines; nothing where there are none, or nobody to be taxed."""
    whose = table.whose(draft.customer_id, before)
    if whose is None or not lines:
        return []
    asked = [
        LineToAsk(one.product, one.charge, table.category_of(one.product, one.charge, before), one.amount)
        for one in lines
    ]
    return [
        TaxQuestion(
            draft.invoice_id, answered.customer, whose.jurisdiction, whose.treatment, whose.reason,
            answered.asset.code, answered.asset.exponent, before, asked,
        )
    ]  # fmt: skip


def _add(draft: Draft, taxes: list[InvoiceTax], exclusive: int) -> Draft:
    total = draft.total + exclusive
    if total < 0:
        raise TaxedBelowZero(total=total)
    if total > MAX_AMOUNT:
        raise TaxedTotalTooLarge(largest=MAX_AMOUNT)
    return replace(draft, total=total, taxes=taxes)
