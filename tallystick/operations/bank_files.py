"""Files of banks, chunk by chunk: written, applied and imported so that each can be done again after a kill."""

import asyncio
import datetime as dt
import uuid
from collections import Counter, deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO

import msgspec

from tallystick.collecting.bank.errors import UnreadableFile
from tallystick.collecting.bank.model import (
    BankFile,
    DebitsPage,
    Imported,
    Settled,
    SettledChunk,
    StatementHead,
    entry_id,
)
from tallystick.collecting.bank.read_mt940 import MOST_BYTES, Read, read_mt940
from tallystick.collecting.bank.read_results import Result, read_results
from tallystick.collecting.bank.write_pain008 import Pain008
from tallystick.errors import InvalidInput, TallystickError
from tallystick.ids import uuid7
from tallystick.operations.bank import MOST_DEBITS, MOST_ENTRIES
from tallystick.operations.collect_rarely import collect_rarely
from tallystick.operations.find_arrivals import arrivals, find_waiting, let_arrive
from tallystick.operations.run import Operations
from tallystick.payments.payouts.errors import EntryNotOfPayout
from tallystick.repayments.model import OutcomeApplied, OutcomesApplied
from tallystick.security.model import Principal

_AT_ONCE = 2_000
"""So many results are applied in one transaction, or fewer if they have many invoices each."""
_CHUNKS_AT_ONCE = 3
"""So many transactions at once: while the store works on one, the next is got ready."""
_TOLD = 20
"""So many of the results that went wrong are told one by one."""


@dataclass(slots=True)
class ResultsReport:
    """What became of the results in a file."""

    results: int = 0
    counts: Counter[str] = field(default_factory=Counter)
    """By ``applied``, ``known``, ``refused``, ``under_way`` and ``bad``."""
    failed: Counter[str] = field(default_factory=Counter)
    """Of those that were applied, by kind of error."""
    told: list[str] = field(default_factory=list)
    """What went wrong, as far as it is told."""

    def tell(self, place: str, why: str) -> None:
        """Tell of a result that went wrong."""
        if len(self.told) < _TOLD:
            self.told.append(f"{place}: {why}")


@dataclass(slots=True)
class StatementReport:
    """What became of one statement in a file."""

    read: Read
    imported: int = 0
    """How many entries were new."""
    settled: list[Settled] = field(default_factory=list)
    left_out: str | None = None
    """Why nothing of it was kept."""


async def write_debits(
    operations: Operations,
    principal: Principal,
    book: str,
    file: BankFile,
    out: BinaryIO,
    progress: Callable[[int], None],
) -> None:
    """Write a file for the bank, page by page; *progress* is told how many debits are in it so far."""

    async def read(after: uuid.UUID | None) -> DebitsPage:
        fields = {"id": file.id, "after": after, "limit": MOST_DEBITS}
        page: DebitsPage = await operations.call(principal, book, "bank.debits", "", fields)
        return page

    writer = Pain008(file)
    out.write(writer.begin())
    written = 0
    reading: asyncio.Task[DebitsPage] | None = asyncio.create_task(read(None))
    try:
        while reading:
            page = await reading
            reading = asyncio.create_task(read(page.next)) if page.next else None  # while this one is written
            out.write(await asyncio.to_thread(writer.debits, page.items))
            written += len(page.items)
            progress(written)
    finally:
        await _give_up([reading] if reading else [])
    out.write(writer.end())


async def apply_results_file(
    operations: Operations,
    principal: Principal,
    book: str,
    path: Path,
    received_on: dt.date | None,
    progress: Callable[[int, int], None],
    *,
    dry_run: bool = False,
) -> ResultsReport:
    """
    Apply what a bank says in a file; *progress* is told how many of how many results are done.

    The file is read to its end before, so that nothing is applied of one that breaks off. Each charge has one outcome, so
    that the same file can be applied again, and after a kill goes on where it was.

    Raises:
        UnreadableFile: it cannot be read (``bank.unreadable_file``).
    """
    applying = _Applying(operations, principal, book, received_on, dry_run=dry_run)
    with read_results(path) as (count, results):
        return await _apply_all(applying, results, lambda done: progress(done, count))


async def _apply_all(
    applying: "_Applying", results: Iterable[Result], progress: Callable[[int], None]
) -> ResultsReport:
    report = ResultsReport()
    under_way: deque[tuple[list[Result], asyncio.Task[list[OutcomeApplied]]]] = deque()

    async def count_first() -> None:
        chunk, task = under_way[0]
        _count(report, chunk, await task)
        under_way.popleft()
        progress(report.results)

    with collect_rarely():
        try:
            for chunk in _chunks(results, report):
                while len(under_way) == _CHUNKS_AT_ONCE or _meets(chunk, [one for one, _ in under_way]):
                    await count_first()
                under_way.append((chunk, asyncio.create_task(applying.apply(chunk))))
            while under_way:
                await count_first()
        finally:
            await _give_up([task for _, task in under_way])
    return report


def _chunks(results: Iterable[Result], report: ResultsReport) -> Iterator[list[Result]]:
    """Cut results into chunks in which each charge is named once; those that say nothing of a charge are told."""
    chunk: dict[uuid.UUID, Result] = {}
    for one in results:
        if one.charge is None or one.status in {"bad", "under_way"}:
            report.results += 1
            report.counts[one.status] += 1
            if one.status == "bad":
                report.tell(one.place, one.why)
            continue
        if one.charge in chunk or len(chunk) == _AT_ONCE:
            yield [*chunk.values()]
            chunk = {}
        chunk[one.charge] = one
    if chunk:
        yield [*chunk.values()]


def _meets(chunk: Sequence[Result], under_way: Sequence[Sequence[Result]]) -> bool:
    """Say whether a charge is named again that is being applied: what the file says of it first counts."""
    named = {one.charge for one in chunk}
    return any(one.charge in named for other in under_way for one in other)


async def _give_up(tasks: Sequence[asyncio.Task[Any]]) -> None:
    """Stop what is under way, which then was not done, and wait for it."""
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


@dataclass(frozen=True, slots=True)
class _Applying:
    """How chunks of results are applied."""

    operations: Operations
    principal: Principal
    book: str
    received_on: dt.date | None
    dry_run: bool

    async def apply(self, chunk: Sequence[Result]) -> list[OutcomeApplied]:
        """Apply a chunk in one transaction; or, where their invoices are too many for one, its halves."""
        results = [{"charge": one.charge, "amount": one.amount, "error_kind": one.error_kind} for one in chunk]
        fields = msgspec.json.encode({"results": results, "received_on": self.received_on})
        try:
            answer = await self.operations.run(
                self.principal, self.book, "bank.apply_results", str(uuid7()), fields, dry_run=self.dry_run
            )
        except InvalidInput as error:
            if error.field != "outcomes" or len(chunk) == 1:
                raise
        else:
            return msgspec.json.decode(answer.body, type=OutcomesApplied).items
        half = len(chunk) // 2
        return await self.apply(chunk[:half]) + await self.apply(chunk[half:])


def _count(report: ResultsReport, chunk: Sequence[Result], became: Sequence[OutcomeApplied]) -> None:
    """Count what became of a chunk."""
    for one, applied in zip(chunk, became, strict=True):
        report.results += 1
        report.counts[applied.status] += 1
        if applied.status == "refused":
            report.tell(one.place, applied.message or "refused")
        elif applied.status == "applied" and one.error_kind:
            report.failed[one.error_kind] += 1


def read_statements(path: Path, encoding: str | None = None, currency: str | None = None) -> list[Read]:
    """
    Read the statements in a file.

    Raises:
        UnreadableFile: it is no MT940, or too large (``bank.unreadable_file``).
    """
    if path.stat().st_size > MOST_BYTES:
        raise UnreadableFile(field="file", place=path.name, rule=f"larger than {MOST_BYTES:,} bytes")
    return read_mt940(path.read_bytes(), encoding, currency)


async def import_statements(
    operations: Operations,
    principal: Principal,
    book: str,
    read: Iterable[Read],
    *,
    accept_difference: bool = False,
) -> list[StatementReport]:
    """
    Keep statements, and settle what is certain; statement by statement, of which one that cannot be kept stops no other.

    Done again, it keeps what is new, and settles what was not.
    """
    reports = []
    for one in read:
        report = StatementReport(one)
        reports.append(report)
        head = one.head
        if head is None:
            report.left_out = (
                "no statement with an account, an opening and a closing balance; the same entries come with one"
            )
            continue
        if one.difference and not accept_difference:
            report.left_out = f"it does not add up: {one.difference} minor units are missing in its entries"
            continue
        try:
            statement = await _import(operations, principal, book, one, head, report, accept_difference)
            await _settle(operations, principal, book, statement, report)
            await _settle_payouts(operations, principal, book, statement, report)
        except TallystickError as error:
            if error.kind.retry_helps:
                raise
            report.left_out = error.message
    return reports


async def _import(
    operations: Operations, principal: Principal, book: str, read: Read, head: StatementHead, report: StatementReport,
    accept_difference: bool,  # noqa: FBT001 - a fact that is handed on
) -> uuid.UUID:  # fmt: skip
    """Keep the entries of a statement, chunk by chunk, and return its id."""
    statement = head.id
    own = msgspec.to_builtins(head)
    for first in range(0, max(len(read.entries), 1), MOST_ENTRIES):
        entries = read.entries[first : first + MOST_ENTRIES]
        fields = {
            **own, "entries": msgspec.to_builtins(entries), "first": first + 1, "of": len(read.entries),
            "accept_difference": accept_difference,
        }  # fmt: skip
        kept: Imported = await operations.call(principal, book, "bank.import", str(uuid7()), fields)
        statement = kept.statement
        report.imported += kept.new
    return statement


async def _settle(
    operations: Operations, principal: Principal, book: str, statement: uuid.UUID, report: StatementReport
) -> None:
    for what in ("charges", "credits", "returns"):
        after: int | None = 0
        while after is not None:
            fields = {"statement": str(statement), "what": what, "after": after}
            chunk: SettledChunk = await operations.call(principal, book, "bank.settle", str(uuid7()), fields)
            report.settled += chunk.items
            after = chunk.next


async def _settle_payouts(
    operations: Operations, principal: Principal, book: str, statement: uuid.UUID, report: StatementReport
) -> None:
    """Let entries that certainly are payouts of providers be those; what they are already, they stay."""
    head = report.read.head
    settled = {one.entry for one in report.settled}
    entries = [(at, one) for at, one in enumerate(report.read.entries, 1) if entry_id(statement, at) not in settled]
    if head is None or not entries:
        return
    waiting = await find_waiting(operations, principal, book, head.opening.on)
    for one in arrivals(entries, head.currency, waiting):
        entry = entry_id(statement, one.position)
        try:
            await let_arrive(operations, principal, book, one, entry)
        except EntryNotOfPayout:
            continue
        report.settled.append(Settled(entry, "payout", one.payout.amount, one.why))
