"""A month run with a tax engine outside: asked before drafting, its answers kept, and what becomes of a lost one."""

import uuid
from collections.abc import Callable, Sequence
from typing import Any

import asyncpg
import msgspec
import pytest

from tallystick.db.embedded import EmbeddedServer
from tallystick.errors import TallystickError
from tallystick.operations.invoicing_month import MonthRun, MonthTerms, run_month
from tallystick.security.model import OPERATOR
from tallystick.settings import read_settings
from tallystick.taxes.engine import EngineNotFound, EngineUnreachable, TaxAnswer, TaxEngine, TaxQuestion, load_engine
from tallystick.taxes.model import InvoiceTax
from tests.conftest import House
from tests.db.priced_usage import ask, meter_requests, price, refusal_of, use_in_may
from tests.db.test_rebuild import rebuilt, said

ADA, LONG_AGO = "customer-003", "2010-01-01T00:00:00Z"


class Outside:
    """An engine of somebody else's: a tenth on everything, answered once a reference; its line may break."""

    def __init__(self) -> None:
        """Begin with nothing asked."""
        self.kept: dict[uuid.UUID, TaxAnswer] = {}
        self.asked = 0
        self.down = self.loses_answer = False
        self.percent = 10
        self.rate = "0.1"
        self.before_answer: Callable[[], Any] | None = None

    async def ask(self, question: TaxQuestion) -> TaxAnswer:
        """Answer, or break before or behind the answer."""
        self.asked += 1
        if self.down:
            raise EngineUnreachable(cause="connection refused")
        if self.before_answer is not None:
            await self.before_answer()
        base = sum(line.amount for line in question.lines)
        amount = base * self.percent // 100
        tax = InvoiceTax(question.jurisdiction, "standard", "GST", self.rate, inclusive=False, base=base, amount=amount)
        answer = self.kept.setdefault(question.reference, TaxAnswer(question.reference, [tax]))
        if self.loses_answer:
            raise ConnectionResetError
        return answer


@pytest.fixture
async def shop(house: House) -> House:
    """Give a shop where customer n made n requests in May at 1.00 each, and Ada, the third, is taxed."""
    await meter_requests(house)
    await price(house, "1")
    await use_in_may(house, 3)
    await ask(house, "taxes.set_rate", jurisdiction="AU", name="GST", rate="0.5", effective_at=LONG_AGO)
    await ask(house, "taxes.set_customer", customer=ADA, jurisdiction="AU", effective_at=LONG_AGO)
    return house


@pytest.fixture
def engine(shop: House) -> Outside:
    """Give the shop an engine outside."""
    outside = Outside()
    shop.operations.resources[TaxEngine] = outside
    return outside


async def run_may(house: House) -> MonthRun:
    """Draft and issue May, two customers at a time."""
    return await run_month(house.operations, OPERATOR, "main", "2015-05", MonthTerms(draft_chunk=2))


async def taxes_of(house: House) -> dict[str, tuple[int, Sequence[int]]]:
    """Return the total and the taxes of each customer's invoice."""
    items = (await ask(house, "invoicing.list")).items
    return {one.customer: (one.total, [tax.amount for tax in one.taxes]) for one in items}


async def test_what_the_engine_says_stands_on_the_invoice(shop: House, engine: Outside) -> None:
    """Only who is taxed is asked about, once; the rates of the book do not count, and a second run asks nothing."""
    assert (await run_may(shop)).failed == []
    assert await taxes_of(shop) == {"customer-001": (100, []), "customer-002": (200, []), ADA: (330, [30])}
    again = await run_may(shop)
    assert (again.drafted, again.failed, engine.asked) == (0, [], 1)


async def test_an_engine_that_was_not_reached_sets_its_customers_aside_and_nothing_happened(
    shop: House, engine: Outside, owner: asyncpg.Connection
) -> None:
    """The others are invoiced; the next run asks again and makes the rest."""
    engine.down = True
    first = await run_may(shop)
    assert [(one.customer, one.code) for one in first.failed] == [(ADA, "taxes.engine_unknown_outcome")]
    assert (engine.kept, await owner.fetchval("SELECT count(*) FROM tax_answer")) == ({}, 0)
    assert sorted(await taxes_of(shop)) == ["customer-001", "customer-002"]
    engine.down = False
    second = await run_may(shop)
    assert (second.drafted, second.issued, second.failed) == (1, 1, [])
    assert (await taxes_of(shop))[ADA] == (330, [30])


async def test_an_answer_that_got_lost_is_the_same_when_it_is_asked_for_again(
    shop: House, engine: Outside, owner: asyncpg.Connection
) -> None:
    """The engine did answer: the repeat has the same reference, and gets what was said first."""
    engine.loses_answer = True
    first = await run_may(shop)
    assert [(one.customer, one.code) for one in first.failed] == [(ADA, "taxes.engine_unknown_outcome")]
    assert (len(engine.kept), await owner.fetchval("SELECT count(*) FROM tax_answer")) == (1, 0)
    engine.loses_answer, engine.percent = False, 20
    assert (await run_may(shop)).failed == []
    assert (await taxes_of(shop))[ADA] == (330, [30])
    assert list(engine.kept) == [await owner.fetchval("SELECT reference FROM tax_answer")]


async def test_an_answer_that_cannot_be_kept_costs_its_own_customer_alone(shop: House, engine: Outside) -> None:
    """The others are invoiced, and the run says what is wrong with it."""
    await ask(shop, "taxes.set_customer", customer="customer-001", jurisdiction="AU", effective_at=LONG_AGO)
    await ask(shop, "taxes.set_customer", customer="customer-002", jurisdiction="AU", effective_at=LONG_AGO)

    async def spoil() -> None:
        engine.rate = "-1" if engine.asked == 1 else "0.1"

    engine.before_answer = spoil
    done = await run_may(shop)
    assert [(one.customer, one.code) for one in done.failed] == [("customer-001", "invalid_input")]
    assert await taxes_of(shop) == {"customer-002": (220, [20]), ADA: (330, [30])}


async def test_usage_that_comes_while_the_engine_is_asked_makes_another_question(shop: House, engine: Outside) -> None:
    """What was answered about other lines is not used: the next look, or the next run, asks about those there are."""

    async def use_more() -> None:
        engine.before_answer = None
        late = {"id": "late", "customer": ADA, "at": "2015-05-09T00:00:00Z", "status": 200, "resource": "/v1/search"}
        assert (await ask(shop, "usage.record", source="shop", events=[late])).accepted == 1

    engine.before_answer = use_more
    assert (await run_may(shop)).failed == []
    assert (await taxes_of(shop))[ADA] == (440, [40])
    assert len(engine.kept) == 2


async def test_a_draft_without_an_answer_names_the_question(shop: House) -> None:
    """Whoever drafts by hand asks the engine and keeps what it says; an answer about other lines is stale."""
    request = {"month": "2015-05", "taxes": "answers", "customers": [ADA]}
    drafted = await ask(shop, "invoicing.draft", **request)
    assert [one.code for one in drafted.failed] == ["taxes.answer_missing"]
    (question,) = drafted.questions
    other = msgspec.structs.replace(
        question, lines=[msgspec.structs.replace(question.lines[0], amount=question.lines[0].amount + 1)]
    )
    for asked, code in ((other, "taxes.answer_stale"), (question, None)):
        answers = [{"question": msgspec.to_builtins(asked), "taxes": []}]
        assert (await ask(shop, "taxes.keep_answers", answers=answers)).kept == 1
        assert (await ask(shop, "taxes.keep_answers", answers=answers)).kept == 1
        found = await ask(shop, "invoicing.draft", **request)
        assert [one.code for one in found.failed] == ([] if code is None else [code])
    assert (await taxes_of(shop))[ADA] == (300, [])


@pytest.mark.parametrize(
    ("changed", "code", "field"),
    [
        ({"category": "books"}, "taxes.answer_does_not_fit", None),
        ({"amount": 1, "treatment": "exempt", "reason": "x", "rate": "0"}, "taxes.answer_does_not_fit", None),
        ({"treatment": "exempt"}, "invalid_input", "answers[0].taxes[0].reason"),
        ({"treatment": "exempt", "reason": "x"}, "invalid_input", "answers[0].taxes[0].rate"),
        ({"rate": "-1"}, "invalid_input", "answers[0].taxes[0].rate"),
        ({"amount": 10**19}, "invalid_input", "answers[0].taxes[0].amount"),
        ({"inclusive": True, "amount": 301}, "taxes.answer_does_not_fit", None),
    ],
)
async def test_an_answer_that_makes_no_sense_is_not_kept(
    shop: House, changed: dict[str, object], code: str, field: str | None, owner: asyncpg.Connection
) -> None:
    """Nothing of it can come to stand on an invoice."""
    (question,) = (await ask(shop, "invoicing.draft", month="2015-05", taxes="answers")).questions
    tax = {"jurisdiction": "AU", "category": "standard", "name": "GST", "rate": "0.1", "inclusive": False, "base": 300,
           "amount": 30} | changed  # fmt: skip
    answers = [{"question": msgspec.to_builtins(question), "taxes": [tax]}]
    assert await refusal_of(shop, "taxes.keep_answers", answers=answers) == (code, field)
    assert await owner.fetchval("SELECT count(*) FROM tax_answer") == 0


async def test_a_book_with_kept_answers_comes_out_the_same(
    shop: House, engine: Outside, server: EmbeddedServer
) -> None:
    """Done again, its drafts use the answers that were kept, those set aside are again, and no engine is asked."""
    engine.down = True
    await run_may(shop)
    engine.down = False
    assert (await run_may(shop)).failed == []
    asked, engine.down = engine.asked, True
    assert said(await rebuilt(shop, server)) == ""
    assert engine.asked == asked


async def test_the_same_question_has_one_answer(shop: House) -> None:
    """Another one is a conflict, and who nobody knows is refused."""
    (question,) = (await ask(shop, "invoicing.draft", month="2015-05", taxes="answers")).questions
    asked = msgspec.to_builtins(question)
    tax = {"jurisdiction": "AU", "category": "standard", "name": "GST", "rate": "0.1", "inclusive": False, "base": 300,
           "amount": 30}  # fmt: skip
    await ask(shop, "taxes.keep_answers", answers=[{"question": asked, "taxes": [tax]}])
    refused = await refusal_of(shop, "taxes.keep_answers", answers=[{"question": asked, "taxes": []}])
    assert refused == ("taxes.answer_exists", "answers[0].taxes")
    nobody = [{"question": asked | {"customer": "nobody"}, "taxes": []}]
    refused = await refusal_of(shop, "taxes.keep_answers", answers=nobody)
    assert refused == ("taxes.unknown_customer", "answers[0].question.customer")


def test_an_engine_is_named_by_a_setting() -> None:
    """None by default; one that is not there is told before anything is served."""
    assert read_settings({}).tax_engine is None
    named = read_settings({"TALLYSTICK_TAX_ENGINE": "tests.scenarios.test_tax_engine:Outside"}).tax_engine
    assert isinstance(load_engine(str(named)), Outside)
    for wrong in ("tests.scenarios.nothing:Outside", "tests.scenarios.test_tax_engine:Nothing", "tests", ""):
        with pytest.raises(EngineNotFound) as refused:
            load_engine(wrong)
        assert isinstance(refused.value, TallystickError)
