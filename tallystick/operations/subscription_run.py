"""Bill subscriptions until an instant from first to last: chunk by chunk, restartable at any point."""

import datetime as dt
from typing import Any

import msgspec

from tallystick.collecting.batches.model import Failure
from tallystick.ids import uuid7
from tallystick.invoicing.draft_subscriptions import SubscriptionsDrafted, SubscriptionSetAside
from tallystick.invoicing.issue_subscriptions import SubscriptionsIssued
from tallystick.operations.ask_taxes import ask_taxes_of_subscriptions, tell_why
from tallystick.operations.keep_run import KeptRun, begin_kept
from tallystick.operations.run import Operations, as_input
from tallystick.operations.run_chunks import Progress, RunTerms, run_chunks, say_nothing, together
from tallystick.operations.wait_settled import wait_settled
from tallystick.security.model import Principal
from tallystick.taxes.engine import TaxEngine


class SubscriptionRun(msgspec.Struct, frozen=True):
    """What one run did; together with what earlier runs did, everything until then is billed."""

    until: str
    subscriptions: int
    """How many were due."""
    drafted: int
    issued: int
    failed: list[SubscriptionSetAside]
    """The subscriptions that could not be billed; the next run tries them again."""
    totals: dict[str, int]
    """What this run issued, in minor units by asset."""
    first_number: str | None
    last_number: str | None


STANDARD = RunTerms()


async def run_subscriptions(
    operations: Operations,
    principal: Principal,
    book: str,
    until: dt.datetime,
    terms: RunTerms = STANDARD,
    progress: Progress = say_nothing,
) -> SubscriptionRun:
    """
    Draft and issue the invoices of every subscription on every date until then that it is due on.

    Each chunk is one transaction, and each does only what is not done: killed anywhere and run again, or run twice at
    once, each subscription has one invoice for each date. Where a tax engine is set, it is asked about each chunk before that
    is drafted, date by date, and its answers are kept.

    Raises:
        TallystickError: of ``subscriptions.draft`` and ``subscriptions.issue``; what was done before it stays done.
    """
    to_draft = {"until": until.isoformat(), "terms_days": terms.terms_days, "limit": terms.draft_chunk}
    if TaxEngine in operations.resources:
        to_draft["taxes"] = "answers"
    to_issue = {"series": terms.series, "limit": terms.issue_chunk}
    as_input(operations.find("subscriptions.draft"), to_draft)
    as_input(operations.find("subscriptions.issue"), to_issue)

    kept = await begin_kept(operations, book, "subscriptions", until.isoformat())
    drafted = await _draft_all(operations, principal, book, to_draft, terms.patience, progress, kept)
    issued = await _issue_all(operations, principal, book, to_issue, progress, kept)
    await kept.note({}, last=True)
    numbered = together(issued)
    # A chunk that was not finished was done again: what failed of it failed again, or did not.
    failed = {one.subscription: one for chunk in drafted if not chunk.unfinished for one in chunk.failed}
    begun = [
        chunk for before, chunk in zip([None, *drafted], drafted, strict=False) if not before or not before.unfinished
    ]
    return SubscriptionRun(
        until=until.isoformat(),
        subscriptions=sum(chunk.subscriptions for chunk in begun),
        drafted=sum(chunk.drafted for chunk in drafted),
        issued=numbered.issued,
        failed=list(failed.values()),
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
    kept: KeptRun,
) -> list[SubscriptionsDrafted]:
    after = ""

    async def draft(before: SubscriptionsDrafted | None) -> SubscriptionsDrafted:
        nonlocal after
        if before is not None and not before.unfinished:
            after = before.next or ""
        given = {**request, "after": after}
        drafted: SubscriptionsDrafted = await wait_settled(
            lambda: _draft_taxed(operations, principal, book, given),
            patience,
            lambda seconds: progress("waiting", seconds),
        )
        # A chunk that is not finished is done again, and then says who fails.
        failed = [] if drafted.unfinished else drafted.failed
        await kept.note(
            {"drafted": drafted.drafted}, [Failure(one.subscription, one.code, one.message) for one in failed]
        )
        return drafted

    return await run_chunks(
        draft,
        lambda chunk: chunk.unfinished or chunk.next is not None,
        lambda chunks: progress("drafting", sum(one.subscriptions for one in chunks)),
    )


async def _draft_taxed(
    operations: Operations, principal: Principal, book: str, request: dict[str, Any]
) -> SubscriptionsDrafted:
    """Draft a chunk, with the answers of a tax engine where there is one."""
    engine: TaxEngine | None = operations.resources.get(TaxEngine)
    failed = {} if engine is None else await ask_taxes_of_subscriptions(operations, principal, book, request, engine)
    drafted: SubscriptionsDrafted = await operations.call(principal, book, "subscriptions.draft", _fresh_key(), request)
    return tell_why(drafted, failed)


async def _issue_all(
    operations: Operations,
    principal: Principal,
    book: str,
    request: dict[str, Any],
    progress: Progress,
    kept: KeptRun,
) -> list[SubscriptionsIssued]:
    async def issue(_: SubscriptionsIssued | None) -> SubscriptionsIssued:
        chunk: SubscriptionsIssued = await operations.call(
            principal, book, "subscriptions.issue", _fresh_key(), request
        )
        await kept.note({"issued": chunk.issued})
        return chunk

    return await run_chunks(
        issue, lambda chunk: chunk.more, lambda chunks: progress("issuing", sum(one.issued for one in chunks))
    )


def _fresh_key() -> str:
    """Make a message id of its own for each chunk: what is done once is guarded by the facts, not by the message."""
    return f"subscription-run-{uuid7()}"
