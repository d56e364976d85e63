"""
Ask a tax engine outside about the invoices of a chunk, before they are drafted.

    what would be asked (a draft that is not kept) ─ the engine ─ its answers kept ─ the draft, which uses them

Each call outside is made between transactions, under the reference of its question, and can be made again. What got no
answer sets its customer aside; the next run asks it again.
"""

import asyncio
from collections.abc import Sequence
from typing import Any

import msgspec

from tallystick.errors import TallystickError
from tallystick.ids import uuid7
from tallystick.invoicing.model import Drafted, SetAside
from tallystick.operations.run import KEPT_KINDS, Operations
from tallystick.operations.taxes import MAX_ANSWERS
from tallystick.security.model import Principal
from tallystick.taxes.engine import EngineUnreachable, TaxAnswer, TaxEngine, TaxQuestion, require_fit
from tallystick.taxes.keep_answers import AnswerMissing, AnswerStale

MOST_SECONDS = 30
"""How long an engine may take for one answer."""
_AT_ONCE = 8
_ROUNDS = 3
"""How often a chunk is looked at: with the taxes known, less may be given back, which is another question."""
_OPEN = {AnswerMissing.code, AnswerStale.code}


async def ask_taxes(
    operations: Operations, principal: Principal, book: str, request: dict[str, Any], engine: TaxEngine
) -> dict[str, TallystickError]:
    """
    Ask *engine* all that drafting *request* would have to know, and keep its answers; return who got none, and why.

    Raises:
        TallystickError: of ``invoicing.draft`` and ``taxes.keep_answers``.
    """
    failed: dict[str, TallystickError] = {}
    for _ in range(_ROUNDS):
        judged = await operations.run(principal, book, "invoicing.draft", _fresh_key(), request, dry_run=True)
        found = msgspec.json.decode(judged.body, type=Drafted).questions
        open_ = [] if found is msgspec.UNSET else [one for one in found if one.customer not in failed]
        if not open_:
            break
        for start in range(0, len(open_), MAX_ANSWERS):
            failed |= await _ask_some(operations, principal, book, open_[start : start + MAX_ANSWERS], engine)
    return failed


def tell_why(drafted: Drafted, failed: dict[str, TallystickError]) -> Drafted:
    """Say of customers who were set aside for want of an answer why there is none, where that is known."""
    told = [
        SetAside(one.customer, failed[one.customer].code, failed[one.customer].message)
        if one.code in _OPEN and one.customer in failed
        else one
        for one in drafted.failed
    ]
    return msgspec.structs.replace(drafted, failed=told)


async def _ask_some(
    operations: Operations, principal: Principal, book: str, questions: Sequence[TaxQuestion], engine: TaxEngine
) -> dict[str, TallystickError]:
    places = asyncio.Semaphore(_AT_ONCE)
    outcomes = await asyncio.gather(*(_ask(engine, one, places) for one in questions))
    asked = list(zip(questions, outcomes, strict=True))
    answered = [(question, outcome) for question, outcome in asked if isinstance(outcome, TaxAnswer)]
    failed = {question.customer: outcome for question, outcome in asked if isinstance(outcome, TallystickError)}
    return failed | await _keep(operations, principal, book, answered)


async def _keep(
    operations: Operations, principal: Principal, book: str, answered: Sequence[tuple[TaxQuestion, TaxAnswer]]
) -> dict[str, TallystickError]:
    """Keep all answers as one message, or if one is refused, by halves: it costs its own customer alone."""
    if not answered:
        return {}
    answers = [
        {"question": msgspec.to_builtins(question), "taxes": msgspec.to_builtins(answer.taxes)}
        for question, answer in answered
    ]
    try:
        await operations.call(principal, book, "taxes.keep_answers", _fresh_key(), {"answers": answers})
    except TallystickError as error:
        if error.kind not in KEPT_KINDS:
            raise
        if len(answered) == 1:
            return {answered[0][0].customer: error}
        half = len(answered) // 2
        first = await _keep(operations, principal, book, answered[:half])
        return first | await _keep(operations, principal, book, answered[half:])
    return {}


async def _ask(engine: TaxEngine, question: TaxQuestion, places: asyncio.Semaphore) -> TaxAnswer | TallystickError:
    """Ask one question, and hold the answer against it."""
    async with places:
        try:
            async with asyncio.timeout(MOST_SECONDS):
                answer = await engine.ask(question)
            require_fit(question, answer)
        except TallystickError as error:
            return error
        except Exception as error:  # noqa: BLE001 - whatever an engine trips over, nobody knows whether it answered
            return EngineUnreachable(cause=type(error).__name__)
    return answer


def _fresh_key() -> str:
    """Make a message id of its own: what is asked once is guarded by the kept answers, not by the message."""
    return f"tax-answers-{uuid7()}"
