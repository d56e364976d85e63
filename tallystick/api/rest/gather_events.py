"""
Gather: single usage events that arrive together go into the store as one message, and each caller gets its own answer.

A message costs its transaction however few events it carries, so those that arrive while others are being stored wait
for the next. Events of different callers or books never share one: a message has one sender.
"""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field

import msgspec

from tallystick.db.connect import StoreBusy, StoreFull, StoreUnreachable
from tallystick.ids import uuid7
from tallystick.operations.gather import MOST_WAITING, Gathering
from tallystick.operations.run import Operations
from tallystick.operations.usage import RecordedItem, RecordOutput
from tallystick.security.model import Principal
from tallystick.usage.accept import Status
from tallystick.usage.columns import EventColumns, columns_of
from tallystick.usage.model import UsageEvent

DOOR = "cloudevents"
"""How the store is told the way that events came in; also the source of those that name none, which none here do."""
_FAULTS = (StoreUnreachable, StoreBusy, StoreFull)
"""What has nothing to do with any one event: to try each alone would only hit the same wall once for each."""
_answers = msgspec.json.Decoder(RecordOutput)


@dataclass(frozen=True, slots=True)
class _Waiting:
    """An event that waits to be stored with others."""

    event: UsageEvent
    answered: "asyncio.Future[RecordedItem]"


@dataclass(slots=True)
class EventGatherer:
    """What gathers the single events of all callers of one process."""

    operations: Operations
    _queues: dict[tuple[Principal, str], Gathering[_Waiting]] = field(default_factory=dict)
    _tasks: "set[asyncio.Task[None]]" = field(default_factory=set)

    async def record(self, principal: Principal, book: str, event: UsageEvent) -> RecordedItem:
        """
        Store *event* with those that arrive with it, and say what became of it once that is sure.

        Raises:
            StoreBusy: too many wait already (``store.busy``).
            TallystickError: of ``usage.record``.
        """
        caller = principal, book
        queue = self._queues.get(caller)
        if queue is None:
            queue = self._queues[caller] = Gathering()
        if len(queue.waiting) >= MOST_WAITING:
            raise StoreBusy
        answered: asyncio.Future[RecordedItem] = asyncio.get_running_loop().create_future()
        queue.waiting.append(_Waiting(event, answered))
        self._begin(caller, queue)
        return await answered

    def _begin(self, caller: tuple[Principal, str], queue: Gathering[_Waiting]) -> None:
        """Begin a message of what waits, if it is time for one."""
        taken = queue.take()
        if taken:
            queue.transactions += 1
            queue.under_way += len(taken)
            task = asyncio.create_task(self._work_off(caller, queue, taken))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)
        elif not queue.transactions:
            self._queues.pop(caller, None)

    async def _work_off(
        self, caller: tuple[Principal, str], queue: Gathering[_Waiting], taken: Sequence[_Waiting]
    ) -> None:
        """Store what was taken, answer each, and see to what came to wait meanwhile."""
        try:
            outcomes = await self._outcomes(*caller, [one.event for one in taken])
            for one, outcome in zip(taken, outcomes, strict=True):
                _answer(one.answered, outcome)
        finally:
            queue.transactions -= 1
            queue.under_way -= len(taken)
        self._begin(caller, queue)

    async def _outcomes(
        self, principal: Principal, book: str, events: Sequence[UsageEvent]
    ) -> Sequence[RecordedItem | BaseException]:
        """Store all as one message; when that fails, each as its own, so that none suffers for another."""
        try:
            return items_of(await record(self.operations, principal, book, columns_of(DOOR, events)), len(events))
        except _FAULTS as fault:
            return [fault] * len(events)
        except Exception as error:  # noqa: BLE001 - whatever it is, each is told by itself what is wrong with it
            if len(events) == 1:
                return [error]
            return [(await self._outcomes(principal, book, [event]))[0] for event in events]


async def record(
    operations: Operations,
    principal: Principal,
    book: str,
    events: EventColumns,
    *,
    dry_run: bool = False,
) -> RecordOutput:
    """
    Record *events*, whose ids make them known again, as one message with an id made up.

    Raises:
        TallystickError: of ``usage.record``.
    """
    fields = {"source": DOOR, "events": events, "door": DOOR}
    answer = await operations.run(principal, book, "usage.record", f"{DOOR}:{uuid7()}", fields, dry_run=dry_run)
    return _answers.decode(answer.body)


def items_of(answer: RecordOutput, count: int) -> list[RecordedItem]:
    """Return what became of each of *count* events; the answer names only those that were not accepted."""
    items = [RecordedItem(place, Status.ACCEPTED) for place in range(count)]
    for item in answer.items:
        items[item.item] = item
    return items


def _answer(answered: "asyncio.Future[RecordedItem]", outcome: RecordedItem | BaseException) -> None:
    if answered.cancelled():
        return
    if isinstance(outcome, BaseException):
        answered.set_exception(outcome)
    else:
        answered.set_result(outcome)
