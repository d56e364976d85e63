"""Bill subscriptions until an instant from first to last: chunk by chunk, restartable at any point."""

import datetime as dt
from collections import Counter
from collections.abc import Callable
from typing import Any, Literal

import msgspec

from tallystick.ids import uuid7
from tallystick.invoicing.draft_subscriptions import SubscriptionsDrafted, SubscriptionSetAside
from tallystick.invoicing.issue_subscriptions import SubscriptionsIssued
from tallystick.operations.invoicing import DEFAULT_SERIES
from tallystick.operations.run import Operations, as_input
from tallystick.operations.subscriptions import MAX_SUBSCRIPTIONS
from tallystick.operations.wait_settled import wait_settled
from tallystick.security.model import Principal

Stage = Literal["drafting", "waiting", "issuing"]
Progress = Callable[[Stage, int], None]
"""Told after each chunk what is being done, and how many subscriptions, invoices or seconds of waiting so far."""


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


class RunTerms(msgspec.Struct, frozen=True, kw_only=True):
    """How subscriptions are billed."""

    series: str = DEFAULT_SERIES
    terms_days: int = 30
    draft_chunk: int = MAX_SUBSCRIPTIONS
    issue_chunk: int = 500
    patience: dt.timedelta = dt.timedelta(seconds=30)
    """How long a chunk waits for transactions that usage was recorded behind."""


STANDARD = RunTerms()


def _say_nothing(_stage: Stage, _done: int) -> None:
    """Keep progress to oneself."""


async def run_subscriptions(
    operations: Operations,
    principal: Principal,
    book: str,
    until: dt.datetime,
    terms: RunTerms = STANDARD,
    progress: Progress = _say_nothing,
) -> SubscriptionRun:
    """
    Draft and issue the invoices of every subscription on every date until then that it is due on.

    Each chunk is one transaction, and each does only what is not done: killed anywhere and run again, or run twice at
    once, each subscription has one invoice for each date.

    Raises:
        TallystickError: of ``subscriptions.draft`` and ``subscriptions.issue``; what was done before it stays done.
    """
    to_draft = {"until": until.isoformat(), "terms_days": terms.terms_days, "limit": terms.draft_chunk}
    to_issue = {"series": terms.series, "limit": terms.issue_chunk}
    as_input(operations.find("subscriptions.draft"), to_draft)
    as_input(operations.find("subscriptions.issue"), to_issue)

    drafted = await _draft_all(operations, principal, book, to_draft, terms.patience, progress)
    issued = await _issue_all(operations, principal, book, to_issue, progress)
    totals: Counter[str] = Counter()
    for chunk in issued:
        totals.update(chunk.totals)
    failed = {one.subscription: one for chunk in drafted for one in chunk.failed}
    return SubscriptionRun(
        until=until.isoformat(),
        subscriptions=sum(chunk.subscriptions for chunk in drafted),
        drafted=sum(chunk.drafted for chunk in drafted),
        issued=sum(chunk.issued for chunk in issued),
        failed=list(failed.values()),
        totals=dict(totals),
        first_number=next((chunk.first_number for chunk in issued if chunk.issued), None),
        last_number=next((chunk.last_number for chunk in reversed(issued) if chunk.issued), None),
    )


async def _draft_all(
    operations: Operations,
    principal: Principal,
    book: str,
    request: dict[str, Any],
    patience: dt.timedelta,
    progress: Progress,
) -> list[SubscriptionsDrafted]:
    chunks: list[SubscriptionsDrafted] = []
    after: str | None = ""
    while after is not None:
        chunk = await _draft_settled(operations, principal, book, {**request, "after": after}, patience, progress)
        chunks.append(chunk)
        progress("drafting", sum(one.subscriptions for one in chunks))
        if not chunk.unfinished:
            after = chunk.next
    return chunks


async def _draft_settled(
    operations: Operations,
    principal: Principal,
    book: str,
    request: dict[str, Any],
    patience: dt.timedelta,
    progress: Progress,
) -> SubscriptionsDrafted:
    """Draft a chunk once its usage is settled; when that takes longer than *patience*, let the error through."""
    drafted: SubscriptionsDrafted = await wait_settled(
        lambda: operations.call(principal, book, "subscriptions.draft", _fresh_key(), request),
        patience,
        lambda seconds: progress("waiting", seconds),
    )
    return drafted


async def _issue_all(
    operations: Operations, principal: Principal, book: str, request: dict[str, Any], progress: Progress
) -> list[SubscriptionsIssued]:
    chunks: list[SubscriptionsIssued] = []
    while not chunks or chunks[-1].more:
        chunk: SubscriptionsIssued = await operations.call(
            principal, book, "subscriptions.issue", _fresh_key(), request
        )
        chunks.append(chunk)
        progress("issuing", sum(one.issued for one in chunks))
    return chunks


def _fresh_key() -> str:
    """Make a message id of its own for each chunk: what is done once is guarded by the facts, not by the message."""
    return f"subscription-run-{uuid7()}"
