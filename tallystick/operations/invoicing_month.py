"""A month's invoices from first to last: chunk by chunk, restartable at any point."""

import datetime as dt
import uuid
from typing import Any, NamedTuple

import msgspec

from tallystick.collecting.batches.model import Failure
from tallystick.ids import uuid7
from tallystick.invoicing.model import Drafted, Issued, LateUsage, NextCustomer, SetAside
from tallystick.ledger.errors import AccountExists, GroupFailed
from tallystick.operations.ask_taxes import ask_taxes, tell_why
from tallystick.operations.catalog import DEFAULT_PRODUCT
from tallystick.operations.invoicing import MAX_DRAFTS
from tallystick.operations.isolate import LeftOut, Pace
from tallystick.operations.keep_run import KeptRun, begin_kept
from tallystick.operations.run import Operations, as_input
from tallystick.operations.run_chunks import Progress, RunTerms, run_chunks, say_nothing, together
from tallystick.operations.wait_settled import wait_settled
from tallystick.security.model import Principal
from tallystick.taxes.engine import TaxEngine


class MonthRun(msgspec.Struct, frozen=True):
    """What one run did; together with what earlier runs did, the month is complete."""

    month: str
    customers: int
    """How many have usage in the month."""
    drafted: int
    """How many invoices are new, and how many this run found drafted."""
    known: int
    adjustments: int
    """How many lines of the new invoices correct lines of earlier ones."""
    issued: int
    failed: list[SetAside]
    """The customers who could not be invoiced; the next run tries them again."""
    late_events: int
    """How many events of the month came after the invoices they belong on, and are on none yet."""
    totals: dict[str, int]
    """What this run issued, in minor units by asset."""
    first_number: str | None
    last_number: str | None


class MonthTerms(RunTerms, frozen=True, kw_only=True):
    """How a month is invoiced."""

    zone: str = "UTC"
    product: str = DEFAULT_PRODUCT
    draft_chunk: int = MAX_DRAFTS


STANDARD = MonthTerms()
_OF_ONE = (AccountExists, GroupFailed)
"""What is one customer's alone: an account of theirs stands in the way. All else is every customer's."""


async def run_month(
    operations: Operations,
    principal: Principal,
    book: str,
    month: str,
    terms: MonthTerms = STANDARD,
    progress: Progress = say_nothing,
) -> MonthRun:
    """
    Draft and issue the invoices of *month* for every customer with usage in it.

    Each chunk is one transaction, and each does only what is not done: killed anywhere and run again, or run
    twice at once, every customer has each invoice once. A customer who cannot be invoiced, whatever for, is left out and
    told, and the others go on. All terms are judged before anything is written. Where a tax engine is set, it is asked
    about each chunk before that is drafted, and its answers are kept.

    Raises:
        TallystickError: of ``invoicing.draft`` and ``invoicing.issue``; what was done before it stays done.
    """
    whose = {"month": month, "zone": terms.zone, "product": terms.product}
    to_draft = {**whose, "terms_days": terms.terms_days, "limit": terms.draft_chunk}
    if TaxEngine in operations.resources:
        to_draft["taxes"] = "answers"
    to_issue = {**whose, "series": terms.series, "limit": terms.issue_chunk}
    as_input(operations.find("invoicing.draft"), to_draft)
    as_input(operations.find("invoicing.issue"), to_issue)

    run = _Run(operations, principal, book, await begin_kept(operations, book, "invoices", f"{month} {terms.product}"))
    drafted = await _draft_all(run, to_draft, terms.patience, progress)
    issued, not_issued = await _issue_all(run, to_issue, progress)
    await run.kept.note({}, last=True)
    late: LateUsage = await operations.call(principal, book, "invoicing.late_usage", "", whose)
    numbered = together(issued)
    return MonthRun(
        month=month,
        customers=sum(chunk.customers for chunk in drafted),
        drafted=sum(chunk.drafted for chunk in drafted),
        known=sum(chunk.known for chunk in drafted),
        adjustments=sum(chunk.adjustments for chunk in drafted),
        issued=numbered.issued,
        failed=[*(one for chunk in drafted for one in chunk.failed), *not_issued],
        late_events=late.events,
        totals=numbered.totals,
        first_number=numbered.first_number,
        last_number=numbered.last_number,
    )


class _Run(NamedTuple):
    """Who runs a month where, and where it is kept what it came to."""

    operations: Operations
    principal: Principal
    book: str
    kept: KeptRun

    async def next(self, operation: str, request: dict[str, Any]) -> NextCustomer:
        """Return whom the next chunk begins with."""
        found: NextCustomer = await self.operations.call(self.principal, self.book, operation, "", request)
        return found


async def _draft_all(run: _Run, request: dict[str, Any], patience: dt.timedelta, progress: Progress) -> list[Drafted]:
    pace = Pace(request["limit"], _OF_ONE)

    async def draft(before: Drafted | None) -> Drafted:
        given = {**request, "after": "0" if before is None else before.next}

        async def some(limit: int) -> Drafted:
            drafted: Drafted = await wait_settled(
                lambda: _draft_taxed(run.operations, run.principal, run.book, {**given, "limit": limit}),
                patience,
                lambda seconds: progress("waiting", seconds),
            )
            return drafted

        done = await pace.do_some(some)
        if isinstance(done, LeftOut):
            who = await run.next("invoicing.next_to_draft", given)
            aside = _aside(who, done)
            done = Drafted(1, 0, 0, aside, {}, 0, who.cursor) if aside else await some(1)
        await run.kept.note({"drafted": done.drafted}, map(_failure, done.failed))
        return done

    return await run_chunks(
        draft,
        lambda chunk: chunk.next is not None,
        lambda chunks: progress("drafting", sum(one.customers for one in chunks)),
    )


async def _draft_taxed(operations: Operations, principal: Principal, book: str, request: dict[str, Any]) -> Drafted:
    """Draft a chunk, with the answers of a tax engine where there is one."""
    engine: TaxEngine | None = operations.resources.get(TaxEngine)
    failed = {} if engine is None else await ask_taxes(operations, principal, book, request, engine)
    drafted: Drafted = await operations.call(principal, book, "invoicing.draft", _fresh_key(), request)
    return tell_why(drafted, failed)


async def _issue_all(run: _Run, request: dict[str, Any], progress: Progress) -> tuple[list[Issued], list[SetAside]]:
    not_issued: list[SetAside] = []
    pace = Pace(request["limit"], _OF_ONE)

    async def issue(before: Issued | None) -> Issued:
        given = {**request, "after": None if before is None else before.next}

        async def some(limit: int) -> Issued:
            fields = {**given, "limit": limit}
            issued: Issued = await run.operations.call(run.principal, run.book, "invoicing.issue", _fresh_key(), fields)
            return issued

        done = await pace.do_some(some)
        aside: list[SetAside] = []
        if isinstance(done, LeftOut):
            who = await run.next("invoicing.next_to_issue", given)
            aside = _aside(who, done)
            done = Issued(0, {}, None, None, uuid.UUID(who.cursor)) if who.cursor else await some(1)
        not_issued.extend(aside)
        await run.kept.note({"issued": done.issued}, map(_failure, aside))
        return done

    chunks = await run_chunks(
        issue,
        lambda chunk: chunk.next is not None,
        lambda chunks: progress("issuing", sum(one.issued for one in chunks)),
    )
    return chunks, not_issued


def _aside(who: NextCustomer, why: LeftOut) -> list[SetAside]:
    """Set the customer aside who stands in the way; nobody does who was invoiced by another run meanwhile."""
    return [] if who.customer is None else [SetAside(who.customer, *why)]


def _failure(one: SetAside) -> Failure:
    return Failure(one.customer, one.code, one.message)


def _fresh_key() -> str:
    """Make a message id of its own for each chunk: what is done once is guarded by the facts, not by the message."""
    return f"invoicing-month-{uuid7()}"
