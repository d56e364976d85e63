"""
Rebuild: do every kept message of a book again, in an empty database, and hold all that comes out against what is stored.

    transaction by transaction, at its instant and its place in the order ─ the same verbs ─ the same answers?
    then the logs, leaf by leaf and root by root ─ then every fact
"""

import hashlib
import uuid
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import msgspec

from tallystick.db.queries import Connection
from tallystick.db.retry import RUN_AGAIN
from tallystick.errors import TallystickError
from tallystick.ids import uuid7
from tallystick.journal.attach import read_attachment
from tallystick.journal.keep import ToKeep, keep
from tallystick.journal.model import Kept, Message
from tallystick.ledger.accounts import RememberedAccounts
from tallystick.ledger.books import Book, find_book
from tallystick.ledger.post import Ledger
from tallystick.operations.import_batch import IMPORT_BATCH, ImportBatchInput
from tallystick.operations.model import Call, Operation
from tallystick.operations.run import KEPT_KINDS, Operations, as_input, as_message, as_refused, do, encoder, hashes_of
from tallystick.rebuild.compare_facts import compare_facts
from tallystick.rebuild.compare_log import compare_logs
from tallystick.rebuild.model import Difference, Rebuilt
from tallystick.rebuild.open_twin import find_opening, open_twin, raise_numbers, tell_place
from tallystick.rebuild.read_messages import count_messages, find_bound, read_transactions
from tallystick.rebuild.see_less import SeenSums
from tallystick.rebuild.take_usage import (
    find_drafts_beside_others,
    find_horizon,
    require_attached,
    take_customers,
    take_months,
    take_usage,
)
from tallystick.security.model import EVERYTHING, Principal

RECORD_USAGE = "usage.record"
MAKE_USAGE = {RECORD_USAGE, "usage.amend", "usage.void"}
MOVE_MONTHS = {f"usage.{step}_month" for step in ("detach", "attach", "drop")} | {
    "usage.note_export",
    "usage.note_restore",
}
"""Not done again, since the twin keeps all months: what they said is taken as it stands."""
DRAFTING = {"invoicing.draft", "subscriptions.draft"}

Progress = Callable[[str, int, int], None]
"""Hears what is being done, how much of it is done, and how much there is."""


class _Body(msgspec.Struct):
    """What a message's body says."""

    operation: str
    input: msgspec.Raw


class _Attached(msgspec.Struct):
    """What the body of a message with an attachment says instead of it."""

    attachment: str
    rows: int


class _Answered(msgspec.Struct):
    """What the answer to a message says for which an id was made up, in the first of these fields that it has."""

    refund_id: uuid.UUID | None = None
    payment_id: uuid.UUID | None = None
    endpoint_id: uuid.UUID | None = None
    id: uuid.UUID | None = None


class _OtherwiseHere(Exception):
    """A message that was refused is done here: rolls back what it did."""


async def rebuild(source: Operations, name: str, url: str, progress: Progress, *, kept: bool = False) -> Rebuilt:
    """
    Make the book *name* anew in the empty database at *url*, and say whether it came out the same.

    The book may be in use meanwhile: what is recorded after the beginning is left out on both sides. No message
    is carried on outside of the store, so nobody is asked for money again. The twin that is *kept* can be served.

    Raises:
        UnknownBook: there is none of that name (``ledger.unknown_book``).
        MonthsAway: some of its usage is not attached (``rebuild.months_away``).
        TwinNotEmpty: there is a book in the database already (``rebuild.not_empty``).
    """
    async with source.pool.acquire() as reading:
        book = await find_book(reading, name)
        await require_attached(reading, book.book_id)
        bound: int = await find_bound(reading)
        async with open_twin(url, book, await find_opening(reading, book)) as pool:
            twin = Operations(pool, source.clock, source.table)
            async with pool.acquire() as writing:
                sums = SeenSums()
                ledger = Ledger(book.book_id, sums=sums)
                replay = _Replay(source, twin, reading, writing, Book(book.book_id, book.name, ledger), sums)
                try:
                    await replay.run(bound, progress)
                    await replay.compare(bound, progress)
                except Difference as difference:
                    replay.rebuilt.difference = difference
    if kept:
        await raise_numbers(url, bound)
    return replay.rebuilt


@dataclass(slots=True)
class _Replay:
    """One book on its way into its twin."""

    source: Operations
    twin: Operations
    reading: Connection
    writing: Connection
    book: Book
    """The twin's: what is remembered of it is of the twin."""
    sums: SeenSums
    """Its ledger's."""
    rebuilt: Rebuilt = field(default_factory=Rebuilt)

    async def run(self, bound: int, progress: Progress) -> None:
        """
        Do every message below *bound* again.

        Raises:
            Difference: one cannot be done, or is answered otherwise.
        """
        total = await count_messages(self.reading, self.book.book_id, bound)
        async for transaction in self._in_order_of_doing(bound):
            try:
                await self._do_again(transaction)
            except RUN_AGAIN as lost:
                raise _differs(transaction[0], f"at its place in the order it cannot be done ({lost!r})") from lost
            self.rebuilt.messages += len(transaction)
            progress("messages", self.rebuilt.messages, total)

    async def _in_order_of_doing(self, bound: int) -> AsyncIterator[list[Kept]]:
        """Give the transactions in their order, but usage that a draft behind it did not see after that draft."""
        drafts = deque(await find_drafts_beside_others(self.reading, self.book.book_id, bound))
        late: deque[list[Kept]] = deque()
        async for transaction in read_transactions(self.reading, self.book.book_id, bound):
            place = transaction[0].transaction_id
            while drafts and drafts[0][1] < place:
                drafts.popleft()
                while late:
                    yield late.popleft()
            unseen = bool(drafts) and drafts[0][0] <= place < drafts[0][1]
            if unseen and transaction[0].operation in MAKE_USAGE:
                late.append(transaction)
            else:
                yield transaction
        for transaction in late:
            yield transaction

    async def compare(self, bound: int, progress: Progress) -> None:
        """
        Hold the twin's log and facts below *bound* against the book's.

        Raises:
            Difference: the first thing that is not the same.
        """
        book_id = self.book.book_id
        async with (
            self.source.begin(self.reading, "repeatable_read"),
            self.twin.begin(self.writing, "repeatable_read"),
        ):
            self.rebuilt.log = await compare_logs(self.reading, self.writing, book_id, bound)
            await compare_facts(
                self.reading, self.writing, book_id, bound, lambda done, total: progress("tables", done, total)
            )

    async def _do_again(self, transaction: Sequence[Kept]) -> None:
        """Do the messages of one transaction again, at their place and instant."""
        for place, kept in enumerate(transaction):
            self._require_whole(kept, place, transaction[0])
        first, *others = transaction
        if first.operation == RECORD_USAGE:
            await self._take_usage(first)
        elif not others and first.refused:
            await self._refuse_again(first)
        elif first.operation in MOVE_MONTHS:
            await self._take_months(first)
        elif self._operation(first).together is not None:
            await self._do_as_seen(transaction, self._do_together)
        else:
            await self._do_as_seen(transaction, self._do_alone)

    def _require_whole(self, kept: Kept, place: int, first: Kept) -> None:
        """Find the body to be what was hashed, and the message to stand where it can be."""
        if hashlib.sha256(kept.body).digest() != kept.hash:
            raise _differs(kept, "its body is not what its hash was made of")
        if (kept.place, kept.operation, kept.recorded_at) != (place, first.operation, first.recorded_at):
            raise _differs(kept, f"it does not belong into the transaction {kept.transaction_id} with {first.key}")
        if place and self._operation(kept).together is None:
            raise _differs(kept, f"a transaction does one {kept.operation}, and not several")

    def _operation(self, kept: Kept) -> Operation:
        if kept.operation not in self.twin.table:
            raise _differs(kept, f"this version has no operation {kept.operation}")
        return self.twin.table[kept.operation]

    async def _take_usage(self, kept: Kept) -> None:
        """Take what a message of usage made as it is stored."""
        async with self.twin.begin(self.writing):
            await tell_place(self.writing, kept.transaction_id, kept.transaction_id)
            if not kept.refused:
                taken = await take_usage(self.reading, self.writing, self.book.book_id, kept)
                self.rebuilt.usage_events += taken.events
                self.rebuilt.customers += taken.customers
            await self._keep([kept])

    async def _take_months(self, kept: Kept) -> None:
        """Take what a message said of months of usage as it stands."""
        async with self.twin.begin(self.writing):
            await tell_place(self.writing, kept.transaction_id, kept.transaction_id)
            await take_months(self.reading, self.writing, self.book.book_id, kept)
            await self._keep([kept])

    async def _do_as_seen(
        self, transaction: Sequence[Kept], do_again: Callable[[Sequence[Kept]], Awaitable[None]]
    ) -> None:
        """
        Do messages again, seeing all that is ordered before them; if that is not the same, some of it less.

        Raises:
            Difference: however it is seen, they come out otherwise.
        """
        self.sums.drawn.clear()
        try:
            await do_again(transaction)
        except Difference as difference:
            await self._do_seeing_less(transaction, do_again, difference)

    async def _do_seeing_less(
        self, transaction: Sequence[Kept], do_again: Callable[[Sequence[Kept]], Awaitable[None]], difference: Difference
    ) -> None:
        place = transaction[0].transaction_id
        for hidden in await self.sums.find_views(self.writing, self.book.book_id, place):
            self._forget()
            self.sums.hidden = hidden
            try:
                await do_again(transaction)
            except Difference:
                continue
            else:
                self.rebuilt.judged_beside += 1
                return
            finally:
                self.sums.hidden = frozenset()
        raise difference

    def _forget(self) -> None:
        """Forget what is remembered of accounts: some of it may have been rolled back."""
        self.book.ledger.accounts, self.book.ledger.ids_of_codes = RememberedAccounts(), {}

    async def _do_alone(self, transaction: Sequence[Kept]) -> None:
        """Do one message again that was done."""
        (kept,) = transaction
        operation, request = self._operation(kept), await self._request(kept)
        horizon = kept.transaction_id
        if kept.operation in DRAFTING:
            horizon = await find_horizon(self.reading, self.book.book_id, kept)
        try:
            async with self.twin.begin(self.writing):
                await tell_place(self.writing, kept.transaction_id, horizon)
                await take_customers(self.reading, self.writing, self.book.book_id, kept)
                answer = encoder.encode(await do(operation, self._call([kept]), request))
                _require_answer(kept, answer)
                await self._keep([kept])
        except Difference:
            raise
        except TallystickError as error:
            raise _differs(kept, f"it was done, and is refused now: {error.message}") from error

    async def _do_together(self, transaction: Sequence[Kept]) -> None:
        """Do messages again that were gathered in one transaction."""
        operation = self._operation(transaction[0])
        together: Callable[[Call, Sequence[Any]], Awaitable[Sequence[object]]] | None = operation.together
        requests = [await self._request(kept) for kept in transaction]
        async with self.twin.begin(self.writing):
            await tell_place(self.writing, transaction[0].transaction_id, transaction[0].transaction_id)
            values = await together(self._call(transaction), requests) if together is not None else []
            for kept, value in zip(transaction, values, strict=True):
                _require_outcome(kept, _outcome(kept, value))
            await self._keep(transaction)

    async def _refuse_again(self, kept: Kept) -> None:
        """
        Judge a message again that was refused alone, and keep it so.

        It was judged a moment before it was kept, under a place of its own, and another may have come in between. What
        is refused changes nothing, so one that would be done here is counted and told, and is no difference.
        """
        operation, request = self._operation(kept), await self._request(kept)
        try:
            async with self.twin.begin(self.writing):
                await tell_place(self.writing, kept.transaction_id, kept.transaction_id)
                await do(operation, self._call([kept]), request)
                raise _OtherwiseHere  # noqa: TRY301 - leaving the block by it is what rolls back
        except (_OtherwiseHere, *RUN_AGAIN):
            self.rebuilt.judged_elsewhere.append(kept.key)
        except TallystickError as error:
            if error.kind not in KEPT_KINDS or _outcome(kept, error).answer != kept.answer:
                self.rebuilt.judged_elsewhere.append(kept.key)
        self._forget()
        async with self.twin.begin(self.writing):
            await tell_place(self.writing, kept.transaction_id, kept.transaction_id)
            await self._keep([kept])

    async def _request(self, kept: Kept) -> Any:  # noqa: ANN401 - each operation has its own
        """
        Read a message's input as its operation takes it.

        Raises:
            Difference: this version reads it as another message, or not at all.
        """
        operation, body = self._operation(kept), msgspec.json.decode(kept.body, type=_Body)
        try:
            if kept.operation == IMPORT_BATCH:
                request: Any = await self._with_attachment(kept, bytes(body.input))
            else:
                request = as_input(operation, bytes(body.input))
            asked = as_message(self.book.name, kept.key, operation, request)
        except TallystickError as error:
            raise _differs(kept, f"it cannot be read: {error.message}") from error
        if asked.hash != kept.hash:
            raise _differs(kept, "read and written again it is another message")
        return request

    async def _with_attachment(self, kept: Kept, said: bytes) -> ImportBatchInput:
        named = msgspec.json.decode(said, type=_Attached)
        columns = await read_attachment(
            self.reading, self.book.book_id, kept.transaction_id, kept.place, named.attachment
        )
        return ImportBatchInput(rows=named.rows, columns=columns)

    def _call(self, transaction: Sequence[Kept]) -> Call:
        """Make the call that the messages were: at their instant, by who sent them, whose rights were found then."""
        first = transaction[0]
        principal = Principal(first.principal, self.book.name, frozenset({EVERYTHING}))
        hashes = hashes_of([_message(kept) for kept in transaction])
        return Call(
            self.writing, self.book, principal, first.recorded_at, hashes, new_id=lambda: _made_up_id(first),
            new_id_at=lambda place: _made_up_id(transaction[place]),
        )  # fmt: skip

    async def _keep(self, transaction: Sequence[Kept]) -> None:
        outcomes = [
            ToKeep(kept.place, _message(kept), kept.principal, refused=kept.refused, answer=kept.answer)
            for kept in transaction
        ]
        await keep(self.writing, self.book.book_id, outcomes, transaction[0].recorded_at)


def _made_up_id(kept: Kept) -> uuid.UUID:
    """Return the id that was made up, as the answer tells it; another for a message that was refused."""
    if kept.refused:
        return uuid7()
    answered = msgspec.json.decode(kept.answer, type=_Answered)
    return answered.refund_id or answered.payment_id or answered.endpoint_id or answered.id or uuid7()


def _message(kept: Kept) -> Message:
    return Message(kept.key, kept.operation, kept.body, kept.hash)


def _outcome(kept: Kept, value: object) -> ToKeep:
    """Write what became of a message now as it is kept."""
    asked = _message(kept)
    if isinstance(value, TallystickError):
        return as_refused(kept.place, asked, Principal(kept.principal, None, frozenset()), value)
    return ToKeep(kept.place, asked, kept.principal, refused=False, answer=encoder.encode(value))


def _require_outcome(kept: Kept, outcome: ToKeep) -> None:
    if kept.refused != outcome.refused:
        was, now = ("refused", "done") if kept.refused else ("done", "refused")
        raise _differs(kept, f"it was {was}, and is {now} now: {outcome.answer.decode()}")
    _require_answer(kept, outcome.answer)


def _require_answer(kept: Kept, answer: bytes) -> None:
    if kept.answer != answer:
        raise _differs(kept, f"it was answered {_told(kept.answer)}, and is answered {_told(answer)} now")


def _told(answer: bytes) -> str:
    most = 500
    text = answer.decode()
    return text if len(text) <= most else text[:most] + " …"


def _differs(kept: Kept, what: str) -> Difference:
    return Difference(where=f"message {kept.key}", what=what)
