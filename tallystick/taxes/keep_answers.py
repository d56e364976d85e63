"""Keep answers of a tax engine as facts, each under the reference of its question, and find them for drafts."""

import datetime as dt
import uuid
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

import msgspec

from tallystick.db.queries import Connection, queries_beside
from tallystick.errors import Kind, TallystickError
from tallystick.ledger.accounts import Recorded
from tallystick.taxes.engine import TaxAnswer, TaxQuestion, require_fit
from tallystick.taxes.errors import UnknownTaxCustomer
from tallystick.taxes.model import InvoiceTax

_queries = queries_beside(__file__)
_enter_to_keep = _queries.run("enter_to_keep")
_enter_to_use = _queries.run("enter_to_use")
_find_customers = _queries.tuples("find_customers")
_insert_answer = _queries.run("insert_answer")
_find_answer = _queries.value("find_answer")
_answers_of_customers = _queries.tuples("answers_of_customers")
_MOMENT = dt.timedelta(microseconds=1)


class AnswerExists(TallystickError):
    """The tax engine gave another answer to the same question before; the first one is kept."""

    code = "taxes.answer_exists"
    kind = Kind.CONFLICT


class AnswerMissing(TallystickError):
    """No answer of the tax engine is kept for what this invoice would ask; run again to ask it."""

    code = "taxes.answer_missing"
    kind = Kind.REFUSED
    questions: Sequence[TaxQuestion] = ()
    """What the engine must be asked."""


class AnswerStale(AnswerMissing):
    """What the tax engine answered was about other lines than this invoice would have by now; run again to ask it."""

    code = "taxes.answer_stale"


@dataclass(frozen=True, slots=True)
class KeptAnswers:
    """Answers of an engine about the invoices of some customers."""

    taxes: Mapping[uuid.UUID, list[InvoiceTax]] = field(default_factory=dict)
    """By the reference of the question."""
    invoices: frozenset[uuid.UUID] = frozenset()
    """Those that something was answered about."""


def missing(questions: Sequence[TaxQuestion], answers: KeptAnswers) -> AnswerMissing:
    """Say that questions are open: nothing was answered, or about other lines."""
    error = AnswerStale() if any(one.invoice_id in answers.invoices for one in questions) else AnswerMissing()
    error.questions = questions
    return error


async def keep_answers(
    connection: Connection, recorded: Recorded, answered: Sequence[tuple[TaxQuestion, list[InvoiceTax]]]
) -> int:
    """
    Keep answers, or find them kept with the same content; return how many there are.

    Raises:
        AnswerDoesNotFit: one does not fit its question (``taxes.answer_does_not_fit``).
        UnknownTaxCustomer: one is about nobody (``taxes.unknown_customer``).
        AnswerExists: the same question had another answer (``taxes.answer_exists``).
    """
    # Before this transaction takes its place in the order: a draft under way has then an earlier one, and sees none of it.
    await _enter_to_keep(connection, recorded.book_id)
    refs = sorted({question.customer for question, _ in answered})
    customers = {ref: customer_id for customer_id, ref in await _find_customers(connection, recorded.book_id, refs)}
    for place, (question, taxes) in enumerate(answered):
        require_fit(question, TaxAnswer(question.reference, taxes))
        if question.customer not in customers:
            raise UnknownTaxCustomer(field=f"answers[{place}].question.customer", customer=question.customer)
        text = msgspec.json.encode(taxes).decode()
        await _insert_answer(
            connection, recorded.book_id, question.reference, question.invoice_id, customers[question.customer],
            question.before, text, recorded.message_place, recorded.at,
        )  # fmt: skip
        kept = await _find_answer(connection, recorded.book_id, question.reference)
        if msgspec.json.decode(kept, type=list[InvoiceTax]) != taxes:
            raise AnswerExists(field=f"answers[{place}].taxes")
    return len(answered)


async def enter_to_use(connection: Connection, book_id: int) -> None:
    """Let nobody keep answers until the transaction ends; to be called before it takes its place in the order."""
    await _enter_to_use(connection, book_id)


async def find_answers(
    connection: Connection, book_id: int, customer_ids: Sequence[int], on: dt.datetime, below: int
) -> KeptAnswers:
    """Return what an engine answered about invoices of the date *on*, as of a place in the order."""
    return await find_answers_of(connection, book_id, customer_ids, [on], below)


async def find_answers_of(
    connection: Connection, book_id: int, customer_ids: Sequence[int], dates: Iterable[dt.datetime], below: int
) -> KeptAnswers:
    """Return what an engine answered about invoices of any of the dates, as of a place in the order."""
    before = sorted({moment for on in dates for moment in (on, on + _MOMENT)})
    rows = await _answers_of_customers(connection, book_id, list(customer_ids), before, below)
    taxes = {reference: msgspec.json.decode(text, type=list[InvoiceTax]) for reference, _, text in rows}
    return KeptAnswers(taxes, frozenset(invoice_id for _, invoice_id, _ in rows))
