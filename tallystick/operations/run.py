"""
Run: the only door for a change, and the only place where a transaction begins, commits or is rolled back.

    authorise ─ find the message ─┬─ kept before: its first answer again (or a conflict)
                                  └─ new: the verb, then the message with its answer, then commit
"""

import asyncio
import datetime as dt
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, TypeVar

import asyncpg
import msgspec
import numpy as np
import numpy.typing as npt

from tallystick.clock import Clock
from tallystick.db.connect import StoreBusy, StoreFull, StoreUnreachable, faults_told
from tallystick.db.queries import Connection
from tallystick.db.retry import RUN_AGAIN
from tallystick.errors import InvalidInput, Kind, TallystickError, every_error
from tallystick.flaw import require_whole_instants, worded
from tallystick.journal.keep import ToKeep, find_kept, keep, require_same
from tallystick.journal.model import Kept, Message, message
from tallystick.ledger.books import Book, find_book
from tallystick.operations.gather import MOST_WAITING, Gathering
from tallystick.operations.model import Answer, Call, Operation
from tallystick.operations.remember_answers import RememberedAnswers
from tallystick.security.authorise import authorise
from tallystick.security.model import SYSTEM, Principal

_Done = TypeVar("_Done")
_TRIES = 8
RESERVED = "tallystick:"
"""How the ids of the product's own messages begin, so that no caller's message can stand in their place."""
_LONGEST_ID = 255
KEPT_KINDS = {Kind.INVALID, Kind.NOT_FOUND, Kind.CONFLICT, Kind.REFUSED}
"""Refusals that are answers: the same message will get the same one. Others leave no trace and may be sent again."""

encoder = msgspec.json.Encoder(decimal_format="string")
"""Writes answers."""


class UnknownOperation(TallystickError):
    """There is no operation {operation}."""

    code = "unknown_operation"
    kind = Kind.NOT_FOUND


class KeptRefusal(TallystickError):
    """The message was refused before, by a version that had other words for it."""

    code = "journal.kept_refusal"
    kind = Kind.REFUSED


class IdNotAcceptable(TallystickError):
    """A message's id has 1 to 255 printable characters and does not begin with `tallystick:`."""

    code = "journal.id_not_acceptable"
    kind = Kind.INVALID


class _DryRun(Exception):
    """The verb went well and nothing shall be kept: rolls the transaction back, with the answer in hand."""

    def __init__(self, answer: bytes) -> None:
        """Carry the answer out of the transaction."""
        super().__init__()
        self.answer = answer


@dataclass(slots=True)
class _Waiting:
    """A message that waits to be run together with others."""

    message: Message
    principal: Principal
    input: Any
    answered: asyncio.Future[Answer]


@dataclass(slots=True)
class Operations:
    """The operations table with the store it works on; one per process."""

    pool: asyncpg.Pool
    clock: Clock
    table: Mapping[str, Operation]
    resources: dict[type, Any] = field(default_factory=dict)
    """What continuations reach for outside the store, by type: the payment provider."""
    remembered: RememberedAnswers = field(default_factory=RememberedAnswers)
    """Answers that last (`Operation.lasts`), of this process."""
    _books: dict[str, Book] = field(default_factory=dict)
    _gatherings: dict[tuple[str, str], Gathering[_Waiting]] = field(default_factory=dict)
    _tasks: set[asyncio.Task[None]] = field(default_factory=set)

    async def run(
        self, principal: Principal, book: str, name: str, key: str, input_: object, *, dry_run: bool = False
    ) -> Answer:
        """
        Do *name* on *book* once, however often the message *key* comes, and return the answer.

        *input_* is JSON, as bytes or as the builtin values it stands for. A refusal is kept like any answer and raised
        again for the same message. With *dry_run* everything is judged and nothing kept.

        Raises:
            TallystickError: of the operation, or that it was not allowed, or ``journal.id_reused``,
                ``store.unreachable``, ``store.busy``, ``store.full``.
        """
        operation = self.find(name)
        authorise(principal, operation.scope, book)
        request = as_input(operation, input_)
        if operation.before is not None:
            request = await operation.before(self, principal, book, name, request)
        if operation.reads:
            answer = await self._read(principal, book, operation, request)
        else:
            answer = await self._change(principal, book, operation, key, request, dry_run=dry_run)
        then = (operation.again if answer.replayed else None) or operation.then
        if then is None or dry_run:
            return answer
        value = msgspec.json.decode(answer.body, type=operation.output)
        return Answer(encoder.encode(await then(self, principal, book, value)), answer.replayed)

    async def _change(
        self, principal: Principal, book: str, operation: Operation, key: str, request: object, *, dry_run: bool
    ) -> Answer:
        _require_acceptable(key, principal)
        asked = as_message(book, key, operation, request)
        if operation.together is not None and not dry_run:
            return await self._run_together(principal, book, operation, asked, request)
        return await self._run_alone(principal, book, operation, asked, request, dry_run=dry_run)

    async def call(self, principal: Principal, book: str, name: str, key: str, input_: object) -> Any:  # noqa: ANN401 - the table says it
        """Run and return the answer as the operation's output class, for callers in the same process."""
        answer = await self.run(principal, book, name, key, input_)
        return msgspec.json.decode(answer.body, type=self.find(name).output)

    async def work(self, verb: Callable[[Connection], Awaitable[_Done]]) -> _Done:
        """
        Run *verb* in a transaction of its own, for the product's workers: leases of jobs and the sealing of the log.

        Not for what a caller asked for: that is a message, and goes through `run`.
        """
        async with self.pool.acquire() as connection, self.begin(connection):
            return await verb(connection)

    def begin(
        self, connection: Connection, isolation: Literal["read_committed", "repeatable_read"] = "read_committed"
    ) -> asyncpg.transaction.Transaction:
        """Begin a transaction on a connection that a worker holds; as a context, it commits or rolls back at its end."""
        return connection.transaction(isolation=isolation)

    def find(self, name: str) -> Operation:
        """
        Return the operation *name*.

        Raises:
            UnknownOperation: the table has none (``unknown_operation``).
        """
        if name not in self.table:
            raise UnknownOperation(operation=name)
        return self.table[name]

    async def _read(self, principal: Principal, book: str, operation: Operation, request: Any) -> Answer:  # noqa: ANN401 - the operation's input
        asked = (book, operation.name, request) if operation.lasts else None
        body = None if asked is None else self.remembered.find(asked)
        if body is None:
            body = encoder.encode(await self._read_anew(principal, book, operation, request))
            if asked is not None:
                self.remembered.keep(asked, body)
        return Answer(body, replayed=False)

    async def _read_anew(self, principal: Principal, book: str, operation: Operation, request: object) -> object:
        with faults_told():
            async with self.pool.acquire() as connection:
                call = Call(connection, await self._book(connection, book), principal, self.clock.now(), _NO_HASHES)
                if not operation.snapshot:
                    return await do(operation, call, request)
                async with self.begin(connection, "repeatable_read"):
                    return await do(operation, call, request)

    async def _run_alone(
        self, principal: Principal, book: str, operation: Operation, asked: Message, request: object, *, dry_run: bool
    ) -> Answer:
        for attempt in range(_TRIES):
            try:
                with faults_told():
                    return await self._transact(principal, book, operation, asked, request, dry_run=dry_run)
            except RUN_AGAIN:
                await asyncio.sleep(0.005 * attempt)
        raise StoreBusy

    async def _transact(
        self, principal: Principal, book: str, operation: Operation, asked: Message, request: object, *, dry_run: bool
    ) -> Answer:
        """Run one message in one transaction; a refusal is kept in a transaction of its own, after the rollback."""
        async with self.pool.acquire() as connection:
            at = self.clock.now()
            found = await self._book(connection, book)
            try:
                async with connection.transaction():
                    kept = (await find_kept(connection, found.book_id, [asked])).get(asked.key)
                    if kept is None:
                        call = Call(connection, found, principal, at, hashes_of([asked]))
                        answer = encoder.encode(await do(operation, call, request))
                        if dry_run:
                            raise _DryRun(answer)  # noqa: TRY301 - leaving the block by it is what rolls back
                        outcome = ToKeep(0, asked, principal.name, refused=False, answer=answer)
                        await keep(connection, found.book_id, [outcome], at)
                        return Answer(answer, replayed=False)
            except _DryRun as judged:
                return Answer(judged.answer, replayed=False)
            except TallystickError as error:
                if error.kind in KEPT_KINDS and not dry_run:
                    async with connection.transaction():
                        await keep(connection, found.book_id, [as_refused(0, asked, principal, error)], at)
                raise
        return _replay(kept, asked)

    async def _run_together(
        self, principal: Principal, book: str, operation: Operation, asked: Message, request: object
    ) -> Answer:
        gathering = self._gatherings.setdefault((book, operation.name), Gathering())
        if len(gathering.waiting) >= MOST_WAITING:
            raise StoreBusy
        answered: asyncio.Future[Answer] = asyncio.get_running_loop().create_future()
        gathering.waiting.append(_Waiting(asked, principal, request, answered))
        self._begin_gathered(book, operation, gathering)
        return await answered

    def _begin_gathered(self, book: str, operation: Operation, gathering: Gathering[_Waiting]) -> None:
        """Begin a transaction of what waits, if it is time for one."""
        taken = gathering.take()
        if taken:
            gathering.transactions += 1
            gathering.under_way += len(taken)
            task = asyncio.create_task(self._work_off(book, operation, gathering, taken))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def _work_off(
        self, book: str, operation: Operation, gathering: Gathering[_Waiting], taken: Sequence[_Waiting]
    ) -> None:
        """Run what was taken, and see to what came to wait meanwhile."""
        try:
            await self._answer_all(book, operation, taken)
        finally:
            gathering.transactions -= 1
            gathering.under_way -= len(taken)
        self._begin_gathered(book, operation, gathering)

    async def _answer_all(self, book: str, operation: Operation, taken: Sequence[_Waiting]) -> None:
        """
        Run all in one transaction; when that fails, each in its own, so that none suffers for another.

        When the store is away all are told so at once.
        """
        outcomes: Sequence[Answer | BaseException]
        try:
            with faults_told():
                outcomes = await self._transact_together(book, operation, taken)
        except (StoreUnreachable, StoreFull) as fault:
            outcomes = [fault] * len(taken)
        except Exception:  # noqa: BLE001 - whatever it is, each is told by itself what is wrong with it
            outcomes = [await self._outcome_alone(book, operation, one) for one in taken]
        for one, outcome in zip(taken, outcomes, strict=True):
            _answer(one.answered, outcome)

    async def _outcome_alone(self, book: str, operation: Operation, one: _Waiting) -> Answer | BaseException:
        try:
            return await self._run_alone(one.principal, book, operation, one.message, one.input, dry_run=False)
        except Exception as error:  # noqa: BLE001 - whatever it is, the one who waits must hear of it
            return error

    async def _transact_together(
        self, book: str, operation: Operation, taken: Sequence[_Waiting]
    ) -> list[Answer | BaseException]:
        """Run many messages in one transaction and say what became of each."""
        async with self.pool.acquire() as connection:
            at = self.clock.now()
            found = await self._book(connection, book)
            async with connection.transaction():
                kept = await find_kept(connection, found.book_id, [one.message for one in taken])
                fresh = _first_of_each_key([one for one in taken if one.message.key not in kept])
                outcomes: list[ToKeep] = []
                values: Sequence[object] = ()
                if fresh and operation.together is not None:
                    call = Call(connection, found, fresh[0].principal, at, hashes_of([one.message for one in fresh]))
                    values = await operation.together(call, [one.input for one in fresh])
                    outcomes = [
                        _outcome(place, one, value)
                        for place, (one, value) in enumerate(zip(fresh, values, strict=True))
                    ]
                    await keep(connection, found.book_id, outcomes, at)
        answers: dict[int, Answer | BaseException] = {
            id(one): value if isinstance(value, TallystickError) else Answer(outcome.answer, replayed=False)
            for one, value, outcome in zip(fresh, values, outcomes, strict=True)
        }
        if len(answers) < len(taken):  # some were kept before, or came twice
            kept |= {one.message.key: _just_kept(one, at) for one in outcomes}
            answers |= {
                id(one): _replay_or_error(kept[one.message.key], one.message) for one in taken if id(one) not in answers
            }
        return [answers[id(one)] for one in taken]

    async def _book(self, connection: Connection, name: str) -> Book:
        if name not in self._books:
            self._books[name] = await find_book(connection, name)
        return self._books[name]


def as_input(operation: Operation, input_: object) -> Any:  # noqa: ANN401 - the operation says which class
    """
    Read *input_* as the operation's input class.

    Raises:
        InvalidInput: a field is missing, unknown, or breaks its rule (``invalid_input``).
    """
    try:
        if isinstance(input_, bytes):
            request = msgspec.json.decode(input_, type=operation.input)
        else:
            request = msgspec.convert(input_, operation.input)
        require_whole_instants(input_, operation.input)
    except msgspec.ValidationError as error:
        raise worded(error, operation.input) from error
    except msgspec.DecodeError as error:
        raise InvalidInput(rule=f"The body is not JSON: {error}") from error
    except RecursionError as error:
        raise InvalidInput(rule="The body is nested too deeply") from error
    except UnicodeDecodeError as error:
        raise InvalidInput(rule=f"The body is not UTF-8: byte {error.start} does not fit") from error
    return request


def _require_acceptable(key: str, principal: Principal) -> None:
    if not 1 <= len(key) <= _LONGEST_ID or not key.isprintable():
        raise IdNotAcceptable(field="id")
    if key.startswith(RESERVED) and principal is not SYSTEM:
        raise IdNotAcceptable(field="id")


def as_message(book: str, key: str, operation: Operation, request: object) -> Message:
    """
    Write the message that asks for *operation* with *request*, in the form it is kept in.

    Raises:
        InvalidInput: there is a float in it (``invalid_input``).
    """
    try:
        return message(book, key, operation.name, request if operation.kept is None else operation.kept(request))
    except TypeError as error:  # a float in a part of the input that has no type of its own
        raise InvalidInput(rule=str(error)) from error


async def do(operation: Operation, call: Call, request: object) -> object:
    """
    Do what one message asks for and return its answer, in the transaction under way.

    Raises:
        TallystickError: of the verb; the transaction is to be rolled back.
    """
    if operation.together is None:
        return await operation.verb(call, request) if operation.verb is not None else None
    value = (await operation.together(call, [request]))[0]
    if isinstance(value, TallystickError):
        raise value
    return value


def _first_of_each_key(taken: Sequence[_Waiting]) -> list[_Waiting]:
    return list({one.message.key: one for one in reversed(taken)}.values())[::-1]


def _outcome(place: int, one: _Waiting, value: object) -> ToKeep:
    if isinstance(value, TallystickError):
        return as_refused(place, one.message, one.principal, value)
    return ToKeep(place, one.message, one.principal.name, refused=False, answer=encoder.encode(value))


def as_refused(place: int, asked: Message, principal: Principal, error: TallystickError) -> ToKeep:
    """Write a refusal as it is kept."""
    answer = encoder.encode({"code": error.code, "message": error.message, "field": error.field})
    return ToKeep(place, asked, principal.name, refused=True, answer=answer)


def _just_kept(one: ToKeep, at: dt.datetime) -> Kept:
    """Make of a message that was kept just now what finding it would make of it; where it stands is not looked at."""
    asked = one.message
    return Kept(
        0, one.place, asked.key, asked.operation, one.principal, asked.hash, asked.body, one.refused, one.answer, at
    )


def _replay(kept: Kept, asked: Message) -> Answer:
    """Return the first answer again, or raise the first refusal again."""
    require_same(kept, asked)
    if not kept.refused:
        return Answer(kept.answer, replayed=True)
    refusal = msgspec.json.decode(kept.answer)
    classes = {error.code: error for error in every_error()}
    raise classes.get(refusal["code"], KeptRefusal).again(refusal["message"], refusal["field"])


def _replay_or_error(kept: Kept, asked: Message) -> Answer | BaseException:
    try:
        return _replay(kept, asked)
    except TallystickError as error:
        return error


def _answer(answered: "asyncio.Future[Answer]", outcome: Answer | BaseException) -> None:
    if answered.cancelled():
        return
    if isinstance(outcome, BaseException):
        answered.set_exception(outcome)
    else:
        answered.set_result(outcome)


def hashes_of(messages: Sequence[Message]) -> npt.NDArray[np.void]:
    """Return the hashes of messages, by place."""
    return np.frombuffer(b"".join(one.hash for one in messages), dtype="V32")


_NO_HASHES = np.empty(0, dtype="V32")
