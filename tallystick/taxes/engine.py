"""
Tax engines: what one is asked and answers, and the only two ways in which asking one can fail.

    TallystickError
    ├── EngineUnreachable   nobody can say whether it answered: ask again, with the same reference
    └── EngineRefused       the engine itself said no

An engine is asked outside of any transaction, before the invoice is drafted, about lines that a preview gave. The reference
is derived from the whole question, so that asking again asks the same, whatever became of the first time, and an answer
fits only the lines that it was given for: usage that changes meanwhile has another reference and is asked about anew.
"""

import datetime as dt
import uuid
from importlib import import_module
from typing import Protocol

import msgspec

from tallystick import canonical
from tallystick.errors import Kind, TallystickError
from tallystick.ids import id_of_content
from tallystick.taxes.apply import TaxTable, tax_whose
from tallystick.taxes.compute import TaxLine
from tallystick.taxes.model import InvoiceTax, Treatment, Whose


class LineToAsk(msgspec.Struct, frozen=True):
    """One line of an invoice."""

    product: str
    charge: str
    category: str
    amount: int
    """In minor units; negative where it takes back."""


class TaxQuestion(msgspec.Struct, frozen=True):
    """What an engine is told: no name and no address, but where the customer is taxed and on what."""

    invoice_id: uuid.UUID
    customer: str
    jurisdiction: str
    treatment: Treatment
    reason: str | None
    asset: str
    exponent: int
    before: dt.datetime
    """What is in force right before it counts."""
    lines: list[LineToAsk]

    @property
    def reference(self) -> uuid.UUID:
        """Return the id of this very question, which is also the idempotency key."""
        return id_of_content(("tax.question", canonical.encode(self).decode()))


class TaxAnswer(msgspec.Struct, frozen=True):
    """What an engine says that the taxes of an invoice are."""

    reference: uuid.UUID
    """Of the question."""
    taxes: list[InvoiceTax]


class TaxEngine(Protocol):
    """Something that says what the taxes of an invoice are."""

    async def ask(self, question: TaxQuestion) -> TaxAnswer:
        """
        Answer a question; the same one always gets the same answer.

        Raises:
            EngineUnreachable: it gave no answer to rely on (``taxes.engine_unknown_outcome``).
            EngineRefused: it refused the question (``taxes.engine_refused``).
        """


class EngineUnreachable(TallystickError):
    """The tax engine gave no answer to rely on ({cause}); ask again."""

    code = "taxes.engine_unknown_outcome"
    kind = Kind.UNAVAILABLE


class EngineRefused(TallystickError):
    """The tax engine refused the question: {reason}"""

    code = "taxes.engine_refused"
    kind = Kind.REFUSED


class AnswerDoesNotFit(TallystickError):
    """The answer of the tax engine does not fit the question: {rule}."""

    code = "taxes.answer_does_not_fit"
    kind = Kind.REFUSED


class EngineNotFound(TallystickError):
    """There is no tax engine {name}: {reason}; name one as package.module:name."""

    code = "taxes.engine_not_found"
    kind = Kind.INVALID


def load_engine(name: str) -> TaxEngine:
    """
    Make the engine that *name*, a module and a callable in it, makes without arguments.

    Raises:
        EngineNotFound: there is none (``taxes.engine_not_found``).
    """
    module, _, attribute = name.partition(":")
    try:
        engine: TaxEngine = getattr(import_module(module), attribute)()
    except (ImportError, AttributeError, TypeError, ValueError) as error:
        raise EngineNotFound(name=name, reason=error) from error
    return engine


class TableEngine:
    """The engine that is built in: it answers from the rates of the book."""

    def __init__(self, table: TaxTable) -> None:
        """Answer from *table*."""
        self._table = table

    async def ask(self, question: TaxQuestion) -> TaxAnswer:
        """
        Answer from the rates in force.

        Raises:
            NoTaxRate: a category has none (``taxes.no_rate``).
        """
        whose = Whose(question.jurisdiction, question.treatment, question.reason)
        lines = [TaxLine(one.category, one.amount) for one in question.lines]
        taxed = tax_whose(self._table, whose, lines, question.before)
        return TaxAnswer(question.reference, taxed.taxes)


def require_fit(question: TaxQuestion, answer: TaxAnswer) -> int:
    """
    Hold an answer from outside against its question, and return what its taxes add to the lines.

    Raises:
        AnswerDoesNotFit: it answers another question, taxes a category that has no line, or contains more than the lines
            ask (``taxes.answer_does_not_fit``).
    """
    if answer.reference != question.reference:
        raise AnswerDoesNotFit(rule="it answers another one")
    asked: dict[str, int] = {}
    for line in question.lines:
        asked[line.category] = asked.get(line.category, 0) + line.amount
    for category in sorted({one.category for one in answer.taxes}):
        if category not in asked:
            raise AnswerDoesNotFit(rule=f"there is no line of the category {category}")
        contained = sum(one.amount for one in answer.taxes if one.category == category and one.inclusive)
        if abs(contained) > abs(asked[category]):
            raise AnswerDoesNotFit(rule=f"the lines of the category {category} cannot contain so much")
    if any(one.treatment != "taxed" and one.amount for one in answer.taxes):
        raise AnswerDoesNotFit(rule="a tax that is not asked for has an amount")
    return sum(one.amount for one in answer.taxes if not one.inclusive)
