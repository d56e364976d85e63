"""Tax engines: the one that is built in answers like any other, and answers from outside are held to the question."""

import datetime as dt
import uuid
from decimal import Decimal

import msgspec
import pytest

from tallystick.taxes.apply import TaxTable
from tallystick.taxes.engine import (
    AnswerDoesNotFit,
    EngineUnreachable,
    LineToAsk,
    TableEngine,
    TaxAnswer,
    TaxEngine,
    TaxQuestion,
    require_fit,
)
from tallystick.taxes.model import InvoiceTax, Rate

LONG_AGO, NOW = dt.datetime(2010, 1, 1, tzinfo=dt.UTC), dt.datetime(2026, 1, 1, tzinfo=dt.UTC)
TABLE = TaxTable(
    rates={("AT", "standard"): [[(LONG_AGO, Rate("VAT", Decimal("0.20"), inclusive=False, compound=False))]]}
)
QUESTION = TaxQuestion(
    uuid.UUID(int=1), "ada", "AT", "taxed", None, "EUR", 2, NOW, [LineToAsk("api", "requests", "standard", 1_000)]
)


class _Outside:
    """An engine of somebody else's, which counts what it is asked, and may lose its answers."""

    def __init__(self) -> None:
        """Begin with nothing asked."""
        self.kept: dict[uuid.UUID, TaxAnswer] = {}
        self.down = self.loses_answer = False

    async def ask(self, question: TaxQuestion) -> TaxAnswer:
        """Answer once for each reference."""
        if self.down:
            raise EngineUnreachable(cause="connection refused")
        answer = self.kept.setdefault(question.reference, await TableEngine(TABLE).ask(question))
        if self.loses_answer:
            self.loses_answer = False
            raise EngineUnreachable(cause="connection reset")
        return answer


async def test_the_built_in_engine_answers_from_the_table() -> None:
    """As the drafts do."""
    engine: TaxEngine = TableEngine(TABLE)
    answer = await engine.ask(QUESTION)
    assert [(one.base, one.amount) for one in answer.taxes] == [(1_000, 200)]
    assert require_fit(QUESTION, answer) == 200


async def test_an_engine_that_was_not_reached_has_done_nothing() -> None:
    """Asked again when it is there, it answers."""
    engine = _Outside()
    engine.down = True
    with pytest.raises(EngineUnreachable):
        await engine.ask(QUESTION)
    assert engine.kept == {}
    engine.down = False
    assert require_fit(QUESTION, await engine.ask(QUESTION)) == 200


async def test_an_answer_that_got_lost_is_asked_for_again_under_the_same_reference() -> None:
    """The engine knows the question, and has answered it once."""
    engine = _Outside()
    engine.loses_answer = True
    with pytest.raises(EngineUnreachable):
        await engine.ask(QUESTION)
    assert require_fit(QUESTION, await engine.ask(QUESTION)) == 200
    assert list(engine.kept) == [QUESTION.reference]


def test_a_question_that_differs_has_another_reference() -> None:
    """An answer fits only the lines that it was given for."""
    more = msgspec.structs.replace(QUESTION, lines=[LineToAsk("api", "requests", "standard", 1_001)])
    assert more.reference != QUESTION.reference
    assert msgspec.structs.replace(QUESTION).reference == QUESTION.reference


@pytest.mark.parametrize(
    ("tax", "reference"),
    [
        (InvoiceTax("AT", "standard", "VAT", "0.2", inclusive=False, base=1_000, amount=200), uuid.UUID(int=9)),
        (InvoiceTax("AT", "books", "VAT", "0.2", inclusive=False, base=1_000, amount=200), QUESTION.reference),
        (InvoiceTax("AT", "standard", "VAT", "0.2", inclusive=True, base=-1, amount=1_001), QUESTION.reference),
        (
            InvoiceTax("AT", "standard", "exempt", "0", inclusive=False, base=1_000, amount=1, treatment="exempt", reason="x"),
            QUESTION.reference,
        ),
    ],
)  # fmt: skip
def test_an_answer_that_does_not_fit_is_refused(tax: InvoiceTax, reference: uuid.UUID) -> None:
    """Of another question, of a category that nobody asked about, of more than there is."""
    with pytest.raises(AnswerDoesNotFit):
        require_fit(QUESTION, TaxAnswer(reference, [tax]))
