"""A month's invoices from first to last: chunk by chunk, restartable at any point."""

import datetime as dt
from typing import Any

import msgspec

from tallystick.collecting.batches.model import Failure
from tallystick.ids import uuid7
from tallystick.invoicing.model import Drafted, Issued, LateUsage, SetAside
from tallystick.operations.ask_taxes import ask_taxes, tell_why
from tallystick.operations.catalog import DEFAULT_PRODUCT
from tallystick.operations.invoicing import MAX_DRAFTS
from tallystick.operations.keep_run import begin_kept
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
    twice at once, every customer has each invoice once. All terms are judged before anything is written. Where a tax
    engine is set, it is asked about each chunk before that is drafted, and its answers are kept.

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

    kept = await begin_kept(operations, book, "invoices", f"{month} {terms.product}")
    drafted = await _draft_all(operations, principal, book, to_draft, terms.patience, progress)
    failures = [Failure(one.customer, one.code, one.message) for chunk in drafted for one in chunk.failed]
    await kept.note({"drafted": sum(chunk.drafted for chunk in drafted)}, failures)
    issued = await _issue_all(operations, principal, book, to_issue, progress)
    await kept.note({"issued": sum(chunk.issued for chunk in issued)}, last=True)
    late: LateUsage = await operations.call(principal, book, "invoicing.late_usage", "", whose)
    numbered = together(issued)
    return MonthRun(
        month=month,
        customers=sum(chunk.customers for chunk in drafted),
        drafted=sum(chunk.drafted for chunk in drafted),
        known=sum(chunk.known for chunk in drafted),
        adjustments=sum(chunk.adjustments for chunk in drafted),
        issued=numbered.issued,
        failed=[one for chunk in drafted for one in chunk.failed],
        late_events=late.events,
        totals=numbered.totals,
        first_number=numbered.first_number,
        last_number=numbered.last_number,
    )


async def _draft_all(
    operations: Operations,
    principal: Principal,
    book: str,
    request: dict[str, Any],
    patience: dt.timedelta,
    progress: Progress,
) -> list[Drafted]:
    async def draft(before: Drafted | None) -> Drafted:
        given = {**request, "after": "0" if before is None else before.next}
        drafted: Drafted = await wait_settled(
            lambda: _draft_taxed(operations, principal, book, given),
            patience,
            lambda seconds: progress("waiting", seconds),
        )
        return drafted

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


async def _issue_all(
    operations: Operations, principal: Principal, book: str, request: dict[str, Any], progress: Progress
) -> list[Issued]:
    async def issue(before: Issued | None) -> Issued:
        given = {**request, "after": None if before is None else before.next}
        chunk: Issued = await operations.call(principal, book, "invoicing.issue", _fresh_key(), given)
        return chunk

    return await run_chunks(
        issue,
        lambda chunk: chunk.next is not None,
        lambda chunks: progress("issuing", sum(one.issued for one in chunks)),
    )


def _fresh_key() -> str:
    """Make a message id of its own for each chunk: what is done once is guarded by the facts, not by the message."""
    return f"invoicing-month-{uuid7()}"
