"""
Work payouts: what providers paid out is read, recorded and found in the book.

    each hour, and on a webhook ──► look through the provider's list ──► what became of those that are known
                                                 └─► a job for each new one ──► read its report ──► payouts.record

A report that does not add up is not whole yet: nothing of it is kept, and it is read again later. What is nothing of ours yet
is looked for again each time the list is looked through, since a payment may be settled after its payout was reported.
"""

import asyncio
import contextlib
import datetime as dt
import uuid
from collections.abc import Sequence
from functools import partial

import msgspec
import structlog

from tallystick.db.connect import LOST_CONNECTION
from tallystick.db.queries import Connection
from tallystick.errors import TallystickError
from tallystick.ids import uuid7
from tallystick.ledger.books import list_books
from tallystick.operations.payouts import MOST_LINES, MOST_WORDS, FoundPartnersOutput, match_waiting
from tallystick.operations.run import RESERVED, Operations
from tallystick.operations.work_queues import QueueWorker
from tallystick.payments.disputes.queue import dispute_jobs
from tallystick.payments.late.find import find_failed
from tallystick.payments.late.queue import late_jobs
from tallystick.payments.payouts.errors import LineInOtherCurrency, ReportDiffers, ReportDoesNotAddUp
from tallystick.payments.payouts.model import ReportLine, version_of
from tallystick.payments.payouts.queue import (
    QUEUE,
    find_before,
    find_known,
    first_taken_at,
    list_jobs,
    payout_jobs,
    read_key,
)
from tallystick.payments.providers.protocol import PayoutLine, PayoutLineKind, Provider, ProviderPayout
from tallystick.payments.providers.registry import Providers
from tallystick.queues.enqueue import enqueue, finish, postpone
from tallystick.queues.model import Job, Outcome
from tallystick.security.model import SYSTEM

_log = structlog.get_logger()

EACH = dt.timedelta(hours=1)
"""So often the lists are looked through, whatever webhooks say: they can be lost."""
MAY_FAIL = dt.timedelta(days=30)
"""So long after a payout was recorded it is looked at whether its bank sent it back."""
_RETRY_SECONDS = 30.0


async def work_payouts(operations: Operations) -> None:
    """Have the lists of all providers looked through in every book, now and each hour, until cancelled."""
    while True:
        pause = EACH.total_seconds()
        try:
            await ask_for_lists(operations)
        except (*LOST_CONNECTION, TallystickError) as error:
            _log.warning("payouts wait", reason=str(error) or type(error).__name__)
            pause = _RETRY_SECONDS
        await asyncio.sleep(pause)


async def ask_for_lists(operations: Operations) -> None:
    """Have the lists of all providers looked through now, in every book."""
    jobs = list_jobs(sorted(operations.resources[Providers].by_name), operations.clock.now())

    async def ask(connection: Connection) -> None:
        for book in await list_books(connection):
            await enqueue(connection, book.book_id, jobs)

    await operations.work(ask)
    worker = operations.resources.get(QueueWorker)
    if worker is not None:
        worker.wake()


async def carry_payouts(operations: Operations, jobs: Sequence[Job]) -> Sequence[Outcome]:
    """
    Do what the jobs of the payouts' queue ask for, one after the other: a report may be large, and has time.

    What one trips over is nothing to the others.
    """
    outcomes = []
    for job in jobs:
        error: Exception | None = None
        try:
            await _carry(operations, job)
        except Exception as tripped_over:  # noqa: BLE001 - the worker tells it and tries the job again later
            error = tripped_over
        outcomes.append(Outcome(job, error))
        worker = operations.resources.get(QueueWorker)
        if worker is not None:
            worker.end(outcomes[-1])
    return outcomes


async def _carry(operations: Operations, job: Job) -> None:
    name, payout_id = read_key(job.key)
    provider = operations.resources[Providers].by_name.get(name)
    if provider is None:  # it is none that has a list, such as the stores where slips are paid
        await operations.work(lambda connection: finish(connection, job.book_id, QUEUE, [job.key]))
        return
    if payout_id is None:
        await _look_through(operations, job, provider)
        again = operations.clock.now() + EACH  # sooner if somebody asked for it meanwhile
        await operations.work(lambda connection: postpone(connection, job.book_id, QUEUE, [job.key], again))
        return
    with contextlib.suppress(ReportDiffers):  # told already; reading it again changes nothing
        await _read(operations, job, provider, payout_id)
    await operations.work(lambda connection: finish(connection, job.book_id, QUEUE, [job.key]))


async def _look_through(operations: Operations, job: Job, provider: Provider) -> None:
    """
    Have each new payout on a provider's list read, note what became of the others, and look again at the lines that wait.

    A book that never had to do with the provider's money has no payouts of it either, nor any from before it had.
    """
    name, book_id, at = provider.name, job.book_id, operations.clock.now()
    since = await operations.work(lambda connection: first_taken_at(connection, book_id, name))
    if since is None:
        return
    after = await operations.work(lambda connection: find_before(connection, book_id, name, at - MAY_FAIL))
    while listed := await provider.list_payouts(after):
        ids = [one.id for one in listed]
        known = await operations.work(partial(find_known, book_id=book_id, provider=name, payouts=ids))
        for one in listed:
            if one.id in known and known[one.id][1] not in {one.status.value, "failed"}:
                await _note_status(operations, job.book, known[one.id][0], one)
        fresh = [(name, one.id) for one in listed if one.id not in known and one.arrives_on >= since.date()]
        await operations.work(partial(enqueue, book_id=book_id, jobs=payout_jobs(fresh, at)))
        after = ids[-1]
    worker = operations.resources.get(QueueWorker)
    if worker is not None:
        worker.wake()
    await match_waiting(operations, job.book)


async def _read(operations: Operations, job: Job, provider: Provider, payout_id: str) -> None:
    """
    Read a payout and record what is new of it.

    A dispute that it names is looked at, and a charge of a payment that had failed: webhooks can be lost.

    Raises:
        ProviderUnreachable: it could not be read (``payments.provider_unknown_outcome``).
        ReportDoesNotAddUp: the report is not whole yet (``payouts.does_not_add_up``).
        ReportDiffers: it was recorded otherwise (``payouts.report_differs``).
    """
    book, at = job.book, operations.clock.now()
    told, report = await provider.read_payout(payout_id)
    lines = [_line(told, one) for one in report]
    await operations.work(lambda connection: _look_at_named(connection, job.book_id, provider.name, report, at))
    version = version_of(lines)
    found: FoundPartnersOutput = await operations.call(
        SYSTEM, book, "payouts.find_recorded", "", {"provider": provider.name, "payout": payout_id}
    )
    if found.payout is None:
        _require_whole(told, lines)
        await _record(operations, book, provider.name, told, lines, version)
        return
    if (found.payout.version, found.payout.amount) != (version, told.amount):
        _log.error("a payout's report has changed", book=book, provider=provider.name, payout=payout_id)
        raise ReportDiffers(field="lines", payout=payout_id, what="another version of its lines")
    if found.payout.status != told.status.value:
        await _note_status(operations, book, found.payout.id, told)


async def _look_at_named(
    connection: Connection, book_id: int, provider: str, report: Sequence[PayoutLine], at: dt.datetime
) -> None:
    """Have looked at what a report names, and nobody may have told of."""
    disputed = sorted({(provider, one.dispute_id) for one in report if one.dispute_id is not None})
    charged = {one.transaction_id for one in report if one.kind is PayoutLineKind.CHARGE}
    failed = await find_failed(connection, book_id, [(provider, one) for one in charged if one is not None])
    await enqueue(connection, book_id, [*dispute_jobs(disputed, at), *late_jobs(failed, at)])


def _line(told: ProviderPayout, one: PayoutLine) -> ReportLine:
    if one.currency != told.currency:
        raise LineInOtherCurrency(field="currency", line=one.id, currency=one.currency, payout=told.currency)
    words = one.description.replace("\x00", "")[:MOST_WORDS]  # whatever else is wrong with a line refuses the report
    return ReportLine(
        one.id, one.kind.value, one.amount, one.fee, one.occurred_at, one.transaction_id, one.refund_id,
        one.dispute_id, words,
    )  # fmt: skip


def _require_whole(told: ProviderPayout, lines: Sequence[ReportLine]) -> None:
    total = sum(one.amount - one.fee for one in lines)
    if total != told.amount:
        raise ReportDoesNotAddUp(field="lines", sum=total, amount=told.amount)


async def _record(
    operations: Operations, book: str, provider: str, told: ProviderPayout, lines: Sequence[ReportLine], version: str
) -> None:
    """Record a report, part by part; a part that was recorded before a kill stays as it is."""
    head = {
        "provider": provider, "payout": told.id, "amount": told.amount, "currency": told.currency,
        "arrives_on": told.arrives_on.isoformat(), "status": told.status.value, "of": len(lines), "version": version,
    }  # fmt: skip
    for first in range(0, max(len(lines), 1), MOST_LINES):
        part = msgspec.to_builtins(lines[first : first + MOST_LINES])
        # A new id each time: what is kept of a report hangs on what it says, whatever the message's id.
        key = f"{RESERVED}payout:{uuid7()}"
        await operations.call(SYSTEM, book, "payouts.record", key, {**head, "first": first + 1, "lines": part})


async def _note_status(operations: Operations, book: str, payout_id: uuid.UUID, told: ProviderPayout) -> None:
    fields = {"id": str(payout_id), "status": told.status.value}
    await operations.call(SYSTEM, book, "payouts.status", f"{RESERVED}payout-status:{uuid7()}", fields)
