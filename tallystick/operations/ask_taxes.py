"""
Ask a tax engine outside about invoices, before they are drafted or shown.

    what would be asked (a look that keeps nothing) ─ the engine ─ its answers kept ─ the draft, which uses them

Each call outside is made between transactions, under the reference of its question, and can be made again. What got no
answer sets its customer, or its subscription, aside; the next run asks it again.
"""

import asyncio
import contextlib
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

import msgspec

from tallystick.errors import TallystickError
from tallystick.ids import uuid7
from tallystick.invoicing.draft_subscriptions import SubscriptionsDrafted
from tallystick.invoicing.model import Drafted
from tallystick.operations.run import KEPT_KINDS, Operations
from tallystick.operations.taxes import MAX_ANSWERS
from tallystick.security.model import Principal
from tallystick.taxes.engine import EngineUnreachable, TaxAnswer, TaxEngine, TaxQuestion, require_fit
from tallystick.taxes.keep_answers import AnswerMissing, AnswerStale

MOST_SECONDS = 30
"""How long an engine may take for one answer that an invoice waits for."""
PREVIEW_SECONDS = 5
"""How long for one that a preview waits for."""
_AT_ONCE = 8
_ROUNDS = 3
"""How often a chunk is looked at: with the taxes known, less may be given back, which is another question."""
_OPEN = {AnswerMissing.code, AnswerStale.code}

Failed = dict[str, TallystickError]
"""Who got no answer, and why."""
_Drafted = TypeVar("_Drafted", Drafted, SubscriptionsDrafted)


@dataclass(frozen=True, slots=True)
class Look:
    """An operation that tells what an engine has to be asked, and how it tells it."""

    operation: str
    request: dict[str, Any]
    questions: Callable[[Any], Iterable[tuple[str, TaxQuestion]]]
    """Takes them from the output, each with who fails without its answer."""
    seconds: int = MOST_SECONDS
    keeper: Principal | None = None
    """Who keeps the answers; None: who looks."""


async def ask_taxes(
    operations: Operations, principal: Principal, book: str, request: dict[str, Any], engine: TaxEngine
) -> Failed:
    """
    Ask *engine* all that drafting *request* would have to know, and keep its answers; return who got none, and why.

    Raises:
        TallystickError: of ``invoicing.draft`` and ``taxes.keep_answers``.
    """
    return await ask_for(operations, principal, book, Look("invoicing.draft", request, _of_months), engine)


async def ask_taxes_of_subscriptions(
    operations: Operations, principal: Principal, book: str, request: dict[str, Any], engine: TaxEngine
) -> Failed:
    """
    Ask *engine* all that drafting subscriptions would have to know, and keep its answers; return which got none, and why.

    Raises:
        TallystickError: of ``subscriptions.draft`` and ``taxes.keep_answers``.
    """
    return await ask_for(operations, principal, book, Look("subscriptions.draft", request, _of_subscriptions), engine)


async def ask_before(operations: Operations, principal: Principal, book: str, look: Look) -> None:
    """
    Ask the engine, if there is one, what a preview would have to know, and keep its answers.

    Whatever goes wrong is told by the preview itself: what is wrong with its input, or that there is no answer.
    """
    engine: TaxEngine | None = operations.resources.get(TaxEngine)
    if engine is not None:
        with contextlib.suppress(TallystickError):
            await ask_for(operations, principal, book, look, engine)


async def ask_for(operations: Operations, principal: Principal, book: str, look: Look, engine: TaxEngine) -> Failed:
    """
    Look, ask *engine* what is open, keep its answers, and look again; return who got none, and why.

    Raises:
        TallystickError: of the look and of ``taxes.keep_answers``.
    """
    failed: Failed = {}
    for _ in range(_ROUNDS):
        judged = await operations.run(principal, book, look.operation, _fresh_key(), look.request, dry_run=True)
        found = look.questions(msgspec.json.decode(judged.body, type=operations.find(look.operation).output))
        open_ = [(who, question) for who, question in found if who not in failed]
        if not open_:
            break
        for start in range(0, len(open_), MAX_ANSWERS):
            some = open_[start : start + MAX_ANSWERS]
            answered, without = await _ask_some(some, engine, look.seconds)
            failed |= without | await _keep(operations, look.keeper or principal, book, answered)
    return failed


def tell_why(drafted: _Drafted, failed: Failed) -> _Drafted:
    """Say of what was set aside for want of an answer why there is none, where that is known."""
    told = [
        msgspec.structs.replace(one, code=failed[who].code, message=failed[who].message)
        if one.code in _OPEN and (who := _who(one)) in failed
        else one
        for one in drafted.failed
    ]
    return msgspec.structs.replace(drafted, failed=told)


def _who(set_aside: msgspec.Struct) -> str:
    """Return the customer, or the subscription, that was set aside: its first field."""
    return str(getattr(set_aside, set_aside.__struct_fields__[0]))


def _of_months(drafted: Drafted) -> Iterable[tuple[str, TaxQuestion]]:
    found = drafted.questions
    return [] if found is msgspec.UNSET else [(one.customer, one) for one in found]


def _of_subscriptions(drafted: SubscriptionsDrafted) -> Iterable[tuple[str, TaxQuestion]]:
    found = drafted.questions
    return [] if found is msgspec.UNSET else [(one.subscription, one.question) for one in found]


_Asked = tuple[str, TaxQuestion, TaxAnswer]


async def _ask_some(
    open_: Sequence[tuple[str, TaxQuestion]], engine: TaxEngine, seconds: int
) -> tuple[list[_Asked], Failed]:
    places = asyncio.Semaphore(_AT_ONCE)
    outcomes = await asyncio.gather(*(_ask(engine, question, places, seconds) for _, question in open_))
    asked = [(who, question, outcome) for (who, question), outcome in zip(open_, outcomes, strict=True)]
    answered = [(who, question, outcome) for who, question, outcome in asked if isinstance(outcome, TaxAnswer)]
    return answered, {who: outcome for who, _, outcome in asked if isinstance(outcome, TallystickError)}


async def _keep(operations: Operations, principal: Principal, book: str, answered: Sequence[_Asked]) -> Failed:
    """Keep all answers as one message, or if one is refused, by halves: it costs its own invoice alone."""
    if not answered:
        return {}
    answers = [
        {"question": msgspec.to_builtins(question), "taxes": msgspec.to_builtins(answer.taxes)}
        for _, question, answer in answered
    ]
    try:
        await operations.call(principal, book, "taxes.keep_answers", _fresh_key(), {"answers": answers})
    except TallystickError as error:
        if error.kind not in KEPT_KINDS:
            raise
        if len(answered) == 1:
            return {answered[0][0]: error}
        half = len(answered) // 2
        first = await _keep(operations, principal, book, answered[:half])
        return first | await _keep(operations, principal, book, answered[half:])
    return {}


async def _ask(
    engine: TaxEngine, question: TaxQuestion, places: asyncio.Semaphore, seconds: int
) -> TaxAnswer | TallystickError:
    """Ask one question, and hold the answer against it."""
    async with places:
        try:
            async with asyncio.timeout(seconds):
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
