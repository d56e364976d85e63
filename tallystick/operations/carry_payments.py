"""
Carry payments through: the one way from a payment that was kept to the end of it, in the hands of the queues' worker.

    started ──► provider: create ──► payments.open
    opened ───► its customer's time is over: provider: cancel ──► payments.expire
    submitted ► provider: capture ─► payments.settle (ledger and receipt) or payments.fail

Each call outside is made between two transactions and can be made again. Whoever takes a payment up that somebody may
have begun to tell the provider about asks first how it stands; what is not known is asked for again, later and later,
until it is.
"""

import asyncio
import contextlib
import datetime as dt
import uuid
from collections.abc import Awaitable, Callable, Collection, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple, cast

import asyncpg
import structlog
from msgspec.structs import replace

from tallystick.db.connect import LOST_CONNECTION
from tallystick.db.queries import Connection
from tallystick.errors import TallystickError
from tallystick.ids import uuid7
from tallystick.journal.keep import IdReused
from tallystick.ledger.books import find_book
from tallystick.operations.keep_sessions import keeping_sessions
from tallystick.operations.run import RESERVED, Operations
from tallystick.operations.settle_payments import PaymentStatement
from tallystick.operations.work_queues import QueueWorker
from tallystick.payments.errors import AccountsUnusable, NotKnownYet, StatementDiffers
from tallystick.payments.model import NextAction, Payment, PaymentOutput, PaymentStatus, as_output
from tallystick.payments.providers import protocol
from tallystick.payments.providers.protocol import (
    CreateRequest,
    Provider,
    ProviderRefused,
    ProviderTransaction,
    ProviderUnreachable,
    TransactionStatus,
)
from tallystick.payments.providers.registry import Providers
from tallystick.payments.sessions import Session
from tallystick.payments.step import SESSION, is_overdue
from tallystick.payments.trouble import Trouble, end_trouble, note_trouble
from tallystick.payments.wake import QUEUE
from tallystick.queues import enqueue as jobs_of
from tallystick.queues.model import Job, Outcome
from tallystick.security.model import SYSTEM, Principal

_log = structlog.get_logger()

_LONGEST_TEXT = 255
_TRIES = 3
"""How often a statement is read anew when the invoice moves between reading and settling."""
PATIENCE = 10.0
"""How long a request waits for what becomes of its payment, in seconds; then it is answered with what is known."""
_FORGOTTEN = dt.timedelta(hours=6)
"""How old a transaction is before a provider's word that it knows of none is taken for that; PayPal forgets in three hours."""


@dataclass(slots=True)
class Heard:
    """Who of this process waits for news of which payment."""

    waiting: dict[uuid.UUID, list["_Waiting"]] = field(default_factory=dict)

    def tell(self, output: PaymentOutput) -> None:
        """Tell those who wait for it; to whom has brought the payment further since it was looked at, it is no news."""
        for one in self.waiting.get(output.payment_id, ()):
            if _ORDER[output.status] >= _ORDER[one.status] and not one.heard.done():
                one.heard.set_result(output)

    async def wait(self, payment: PaymentOutput, worker: QueueWorker, book: str) -> PaymentOutput | None:
        """
        Wait until something is heard of a payment that has come as far as *payment*.

        None: another process has done it, or it takes longer than anybody waits.
        """
        loop = asyncio.get_running_loop()
        waiting = _Waiting(payment.status, loop.create_future())
        self.waiting.setdefault(payment.payment_id, []).append(waiting)
        ending = loop.call_later(PATIENCE, _give_up, waiting.heard)
        try:
            with worker.watched(book, QUEUE, str(payment.payment_id), waiting.heard):
                return await waiting.heard
        finally:
            ending.cancel()
            left = self.waiting[payment.payment_id]
            left.remove(waiting)
            if not left:
                del self.waiting[payment.payment_id]


class _Waiting(NamedTuple):
    """Somebody who waits for news of a payment, and how far it has come as they know."""

    status: str
    heard: "asyncio.Future[PaymentOutput | None]"


_ORDER = {status.value: place for place, status in enumerate(PaymentStatus)}


def _give_up(heard: "asyncio.Future[PaymentOutput | None]") -> None:
    if not heard.done():
        heard.set_result(None)


async def name_provider(operations: Operations, principal: Principal, book: str, name: str, request: Any) -> Any:  # noqa: ANN401 - the input, whichever operation's
    """
    Say in a start who takes the money, so that its message tells.

    Raises:
        UnknownProvider: this server has none of that name (``payments.unknown_provider``).
    """
    del principal, book, name
    providers: Providers | None = operations.resources.get(Providers)
    return request if providers is None else replace(request, provider=providers.find(request.provider).name)


async def carry_through(
    operations: Operations, principal: Principal, book: str, output: PaymentOutput
) -> PaymentOutput:
    """
    Wait for what becomes of a payment, and return it; never a guess: what is not known in time is answered as it stands.

    In a process without a worker, such as the command line, nothing is carried here: one beside the server does it.
    """
    del principal
    worker: QueueWorker | None = operations.resources.get(QueueWorker)
    if worker is None or PaymentStatus(output.status) in _RESTING:
        return await _find(operations, book, output.payment_id)
    told = await _wait(operations, worker, book, output)
    if told is None:  # nobody was at it: the message came before, or somebody else has done it
        told = await _find(operations, book, output.payment_id)
        if PaymentStatus(told.status) not in _RESTING:
            await operations.work(lambda to: _hasten(to, book, output.payment_id, operations.clock.now()))
            told = await _wait(operations, worker, book, told) or told
    return told


async def carry_again(
    operations: Operations, principal: Principal, book: str, output: PaymentOutput
) -> PaymentOutput:  # fmt: skip
    """Return what became of a payment whose message was answered before, waiting only while it is under way."""
    now = await _find(operations, book, output.payment_id)
    return now if PaymentStatus(now.status) in _RESTING else await carry_through(operations, principal, book, now)


async def _wait(
    operations: Operations, worker: QueueWorker, book: str, output: PaymentOutput
) -> PaymentOutput | None:  # fmt: skip
    """Wait until a payment that is due was carried on; None if it was not, or not by this process."""
    worker.wake()
    return await heard_of(operations).wait(output, worker, book)


async def _hasten(connection: Connection, book: str, payment_id: uuid.UUID, at: dt.datetime) -> None:
    """Have a payment carried on now, however often that went wrong."""
    book_id = (await find_book(connection, book)).book_id
    await jobs_of.hasten(connection, book_id, QUEUE, [str(payment_id)], at)


async def _find(operations: Operations, book: str, payment_id: uuid.UUID) -> PaymentOutput:
    fields = {"payment_id": str(payment_id)}
    return cast("PaymentOutput", await operations.call(SYSTEM, book, "payments.find", "", fields))


_RESTING = {PaymentStatus.OPENED, PaymentStatus.SETTLED, PaymentStatus.FAILED}


def heard_of(operations: Operations) -> Heard:
    """Return what this process heard of payments."""
    heard: Heard = operations.resources.setdefault(Heard, Heard())
    return heard


async def carry_payments(operations: Operations, jobs: Sequence[Job]) -> list[Outcome]:
    """Take payments as far as they go: each side by side with the others, and done with as soon as it is."""
    books: dict[str, list[Job]] = {}
    for job in jobs:
        books.setdefault(job.book, []).append(job)
    return [
        one for each in await asyncio.gather(*(_carry(operations, *book) for book in books.items())) for one in each
    ]


async def _carry(operations: Operations, book: str, jobs: Sequence[Job]) -> list[Outcome]:
    ids = [job.key for job in jobs]
    whole: list[Payment] = await operations.call(SYSTEM, book, "payments.find_whole", "", {"payment_ids": ids})
    submitted = [str(one.payment_id) for one in whole if one.status == PaymentStatus.SUBMITTED.value]
    statements: list[PaymentStatement] = []
    if submitted:
        fields = {"payment_ids": submitted}
        statements = await operations.call(SYSTEM, book, "payments.statements", "", fields)
    said = dict(zip(submitted, statements, strict=True))
    payments = {str(one.payment_id): one for one in whole}
    carrying = [_Carrying(operations, job, payments[job.key], said.get(job.key)) for job in jobs if job.key in payments]
    return list(await asyncio.gather(*(_carry_alone(one) for one in carrying)))


async def _carry_alone(one: "_Carrying") -> Outcome:
    """Carry a payment on; what is in its way is kept for people to see, and nothing to the others."""
    operations, payment_id = one.operations, one.payment.payment_id
    error: Exception | None = None
    try:
        output = await one.advance()
    except Exception as tripped:  # noqa: BLE001 - one payment's fault must not end the others
        error = tripped
        output = as_output(one.payment)
        await _note_trouble(one, tripped)
    else:
        if one.job.attempts > 1:
            await _keep_trouble(operations, lambda to: end_trouble(to, one.job.book_id, [payment_id]))
    outcome = Outcome(one.job, error)
    # Whoever completes it while it is looked at still waits for what that brings, and not for what was there before.
    if not one.payment.status == output.status == PaymentStatus.OPENED.value:
        heard_of(operations).tell(output)
    worker: QueueWorker | None = operations.resources.get(QueueWorker)
    if worker is not None:
        worker.end(outcome)
    return outcome


async def _note_trouble(one: "_Carrying", error: Exception) -> None:
    """Keep what is in a payment's way; what somebody has to look at is an error in the log."""
    known = isinstance(error, TallystickError)
    code = error.code if isinstance(error, TallystickError) else "internal"
    if not _may_pass(one.payment, error):
        _log.error("a payment cannot go on", payment=str(one.payment.payment_id), status=one.payment.status, code=code)
    # Of an error that is none of ours the name alone: a customer's data may be in its text.
    trouble = Trouble(one.payment.payment_id, code, str(error) if known else type(error).__name__)
    at = one.operations.clock.now()
    await _keep_trouble(one.operations, lambda to: note_trouble(to, one.job.book_id, at, [trouble]))


async def _keep_trouble(operations: Operations, verb: Callable[[Connection], Awaitable[None]]) -> None:
    """Keep what is in a payment's way, or that nothing is; a store that is away then is no reason to begin all of them anew."""
    with contextlib.suppress(*LOST_CONNECTION, asyncpg.PostgresError):
        await operations.work(verb)


def _may_pass(payment: Payment, error: Exception) -> bool:
    """Say whether what is in a payment's way may be gone at the next try, with nobody's help."""
    if isinstance(error, ProviderRefused):
        # Whoever does not know of money that was asked for may never again: the transaction is gone, or the account another.
        return payment.status != PaymentStatus.SUBMITTED.value
    return isinstance(error, ProviderUnreachable | NotKnownYet)


@dataclass(slots=True)
class _Carrying:
    """A payment in the hands of a worker."""

    operations: Operations
    job: Job
    payment: Payment
    statement: PaymentStatement | None
    """What its receipt would say, read when it was taken up; None while nobody asked to complete it."""

    async def advance(self) -> PaymentOutput:
        """
        Make the next call to the provider and note its outcome.

        Raises:
            ProviderUnreachable, ProviderRefused, NotKnownYet: what became of it is not known yet.
            TallystickError: what became of it could not be noted.
        """
        match PaymentStatus(self.payment.status):
            case PaymentStatus.STARTED:
                return await self._create()
            case PaymentStatus.OPENED if is_overdue(self.payment, self.operations.clock.now()):
                return await self._give_up()
            case PaymentStatus.OPENED:
                return await self._look()
            case PaymentStatus.SUBMITTED:
                return await self._capture()
            case PaymentStatus.SETTLED | PaymentStatus.FAILED:
                await self.operations.work(lambda to: jobs_of.finish(to, self.job.book_id, QUEUE, [self.job.key]))
                return as_output(self.payment)

    def _is_first(self, asked_at: dt.datetime | None) -> bool:
        """Say whether nobody can have told the provider yet what this is about."""
        return self.job.attempts == 1 and self.job.due_at == asked_at

    @property
    def _provider(self) -> Provider:
        """Return who takes the payment's money; UnknownProvider if this process does not reach them."""
        providers: Providers = self.operations.resources[Providers]
        return providers.find(self.payment.provider)

    @property
    def _transaction_id(self) -> str:
        return cast("str", self.payment.transaction_id)

    async def _create(self) -> PaymentOutput:
        reference = str(self.payment.payment_id)
        first = self._is_first(self.payment.started_at)
        found = None if first else await self._provider.find_by_reference(reference)
        if found is None:
            request = CreateRequest(
                reference=reference,
                amount=self.payment.amount,
                currency=self.payment.asset,
                user=self.payment.user,
                email=self.payment.email,
                payment_type=protocol.PaymentType(self.payment.payment_type),
            )
            try:
                found = await self._provider.create(request)
            except ProviderRefused as refused:
                return await self._fail(refused.message)
        self._require_same(found)
        if found.status in _NOTHING_TAKEN:
            return await self._fail(_reason(found))
        fields = {"payment_id": reference, "transaction_id": found.id, "token": found.token}
        opened, _ = await asyncio.gather(
            self._note("open", fields, set(PaymentStatus) - {PaymentStatus.STARTED}), self._keep_session(found)
        )
        # Where another worker was sooner, with another transaction, what was found is none of this payment's.
        return _with_action(opened, found) if opened.transaction_id == found.id else opened

    async def _keep_session(self, found: ProviderTransaction) -> None:
        """Keep what the customer's screen needs while they complete the payment."""
        payment = self.payment
        session = Session(
            payment.payment_id, payment.user, payment.amount, payment.asset, payment.provider, found.token,
            found.action_url,
        )  # fmt: skip
        await keeping_sessions(self.operations).keep(self.job.book, found.id, session)

    async def _look(self) -> PaymentOutput:
        """Ask how a transaction stands that its customer has yet to complete: somebody said that there is news."""
        found = self._require_same(await self._provider.find(self._transaction_id))
        if found.status is TransactionStatus.CAPTURED or found.status in _NOTHING_TAKEN:
            return await self._end(found)
        due_at = cast("dt.datetime", self.payment.opened_at) + SESSION
        await self.operations.work(lambda to: jobs_of.postpone(to, self.job.book_id, QUEUE, [self.job.key], due_at))
        return _with_action(as_output(self.payment), found)

    async def _give_up(self) -> PaymentOutput:
        """
        Have the provider give up what its customer did not complete in time; what it took after all is settled.

        What the provider has forgotten is given up without it, if nobody ever asked it for the money.
        """
        try:
            found = self._require_same(await self._provider.cancel(self._transaction_id))
        except ProviderRefused:
            if not await self._is_forgotten():
                raise
            return await self._expire()
        if found.status is not TransactionStatus.CANCELED:
            return await self._end(found)
        if self.payment.status == PaymentStatus.SUBMITTED.value:
            return await self._fail("expired")
        return await self._expire()

    async def _is_forgotten(self) -> bool:
        """
        Say whether the provider knows no more of a transaction that nobody asked to complete, long after it was opened.

        That long, so that a worker which asks in the name of another account for an hour ends nothing.
        """
        opened = self.payment.opened_at if self.payment.status == PaymentStatus.OPENED.value else None
        if opened is None or self.operations.clock.now() < opened + _FORGOTTEN:
            return False
        try:
            self._require_same(await self._provider.find(self._transaction_id))
        except ProviderRefused:
            return True
        return False

    async def _expire(self) -> PaymentOutput:
        """Fail what its customer did not complete in time."""
        # A new id each time: what it does hangs on the moment, and it does it once whatever its id.
        key = f"{RESERVED}expire:{self.payment.payment_id}:{uuid7()}"
        fields = {"payment_id": str(self.payment.payment_id)}
        return cast("PaymentOutput", await self.operations.call(SYSTEM, self.job.book, "payments.expire", key, fields))

    async def _capture(self) -> PaymentOutput:
        """
        Have the money taken, once what its receipt will say is known and its accounts can take it.

        A refusal ends nothing: it may be about another request of ours, or come from a provider that never heard of
        the transaction. It proves nothing about money.
        """
        first = self._is_first(self.payment.submitted_at)
        found = None if first else self._require_same(await self._provider.find(self._transaction_id))
        if found is None or found.status is TransactionStatus.CREATED:
            await self._require_statement()
            found = await self._take(asked=found is not None)
        if found.status in _WAITING and self._is_late():
            return await self._give_up()
        if found.status in _ACTIONS:
            if found.status is TransactionStatus.ACTION_REQUIRED:
                await self._keep_session(found)
            return _with_action(as_output(self.payment), found)
        return await self._end(found)

    async def _take(self, *, asked: bool) -> ProviderTransaction:
        """
        Ask for the money, and return how the transaction stands then.

        The same key gets the first answer again, which may be from before the customer did what was *asked* of them: then
        it is asked for under another key. The provider takes it once, whatever the keys.
        """
        key = f"capture:{self.payment.payment_id}"
        try:
            found = await self._capture_by(key)
            if asked and found.status in _ACTIONS:
                found = self._require_same(await self._provider.find(self._transaction_id))
                if found.status is TransactionStatus.CREATED:
                    found = await self._capture_by(f"{key}:{uuid7()}")
        except ProviderRefused:
            found = await self._provider.find(self._transaction_id)
        return self._require_same(found)

    async def _capture_by(self, key: str) -> ProviderTransaction:
        return self._require_same(
            await self._provider.capture(self._transaction_id, self.payment.amount, self.payment.asset, key)
        )

    def _is_late(self) -> bool:
        """Say whether the customer had all the time there is to do what the provider asks of them."""
        submitted = cast("dt.datetime", self.payment.submitted_at)
        return submitted + SESSION <= self.operations.clock.now()

    async def _end(self, found: ProviderTransaction) -> PaymentOutput:
        """Settle what was taken, fail what was not and never will be; what is open still is asked for again."""
        if found.status is TransactionStatus.CAPTURED:
            return await self._settle()
        if found.status in _NOTHING_TAKEN:
            return await self._fail(_reason(found))
        raise NotKnownYet(status=found.status.value)

    async def _settle(self) -> PaymentOutput:
        """Settle; when the invoice has moved since the statement was read, with another."""
        payment_id = str(self.payment.payment_id)
        for _ in range(_TRIES):
            fields = {"payment_id": payment_id, "statement": await self._require_statement()}
            try:
                return await self._note("settle", fields, {PaymentStatus.SETTLED})
            except StatementDiffers:
                self.statement = None
        raise StatementDiffers

    async def _require_statement(self) -> dict[str, Any]:
        """
        Return what the receipt will say, with the account opened that only the customer's own money would open.

        Raises:
            AccountsUnusable: the money could not arrive (``payments.accounts_unusable``).
        """
        statement = self.statement or await self._read_statement()
        if statement.missing:
            key = f"{RESERVED}account:{self.payment.payment_id}"
            fields = {"payment_id": str(self.payment.payment_id)}
            await self.operations.call(SYSTEM, self.job.book, "payments.open_account_beyond", key, fields)
            statement = await self._read_statement()
        self.statement = statement
        if statement.statement is None:
            raise AccountsUnusable(account=statement.unusable or "")
        return statement.statement

    async def _read_statement(self) -> PaymentStatement:
        fields = {"payment_ids": [str(self.payment.payment_id)]}
        read: list[PaymentStatement] = await self.operations.call(
            SYSTEM, self.job.book, "payments.statements", "", fields
        )
        return read[0]

    async def _fail(self, reason: str) -> PaymentOutput:
        status = self.payment.status
        fields = {"payment_id": str(self.payment.payment_id), "reason": printable(reason), "ends": status}
        beyond = set(PaymentStatus) - {PaymentStatus(status)}
        return await self._note("fail", fields, beyond, f":{status}")

    async def _note(
        self, step_name: str, fields: dict[str, Any], reached: Collection[PaymentStatus], suffix: str = ""
    ) -> PaymentOutput:
        """
        Send a worker's message; where it was sent before with other content, look what became of the payment.

        Raises:
            IdReused: the payment has not *reached* what the message was to bring about (``journal.id_reused``).
        """
        key = f"{RESERVED}{step_name}:{self.payment.payment_id}{suffix}"
        try:
            said = await self.operations.call(SYSTEM, self.job.book, f"payments.{step_name}", key, fields)
        except IdReused:
            find_fields = {"payment_id": str(self.payment.payment_id)}
            said = await self.operations.call(SYSTEM, self.job.book, "payments.find", "", find_fields)
            if PaymentStatus(said.status) not in reached:
                raise
        return cast("PaymentOutput", said)

    def _require_same(self, found: ProviderTransaction) -> ProviderTransaction:
        """
        Find a transaction to be the payment's, whatever the provider answered.

        Raises:
            ProviderUnreachable: it is about other money, so that nothing is known of this payment.
        """
        payment = self.payment
        ours = (str(payment.payment_id), payment.amount, payment.asset, payment.transaction_id or found.id)
        if (found.reference, found.amount, found.currency, found.id) != ours:
            raise ProviderUnreachable(cause="it tells of another transaction")
        return found


_NOTHING_TAKEN = {TransactionStatus.DECLINED, TransactionStatus.CANCELED}
_WAITING = {TransactionStatus.CREATED, TransactionStatus.ACTION_REQUIRED}
"""Where it is the customer's turn, or ours again."""
_ACTIONS = {
    TransactionStatus.ACTION_REQUIRED: NextAction.AUTHENTICATE,
    TransactionStatus.PROCESSING: NextAction.WAIT,
}


def _with_action(output: PaymentOutput, found: ProviderTransaction) -> PaymentOutput:
    """Say what has to happen next, as the provider told it."""
    return replace(output, next_action=_ACTIONS.get(found.status), action_url=found.action_url)


def _reason(transaction: ProviderTransaction) -> str:
    if transaction.status is TransactionStatus.CANCELED:
        return "canceled"
    return f"declined: {transaction.decline_code or 'no reason given'}"


def printable(reason: str) -> str:
    """Write a provider's reason so that it fits on one line of ours, whatever is in it."""
    line = "".join(character if character.isprintable() else " " for character in reason)
    return " ".join(line.split())[:_LONGEST_TEXT].strip() or "no reason given"
