"""The dunning of a day for everybody, chunk by chunk: each customer alone, restartable at any point."""

import datetime as dt
import uuid
from collections import Counter
from collections.abc import Callable, Sequence
from typing import Literal

import msgspec

from tallystick.collecting.batches.model import Failure
from tallystick.collecting.dunning.model import AskedFees, DebtorsPage, FeesPage, FeeToAsk, Reminded
from tallystick.ids import uuid7
from tallystick.operations.dunning import MOST_CUSTOMERS, MOST_FEES
from tallystick.operations.isolate import isolate
from tallystick.operations.keep_run import KeptRun, begin_kept
from tallystick.operations.overdue_run import run_overdue
from tallystick.operations.run import Operations
from tallystick.security.model import Principal

Stage = Literal["looking what is overdue", "reminding", "asking for fees"]
Progress = Callable[[Stage, int], None]
"""Told what is being done, and for how many customers or fees it is done so far."""


class DunningRun(msgspec.Struct, frozen=True):
    """What one run did; together with what earlier runs did, the day is complete."""

    id: uuid.UUID | None
    """Under which it is kept; None: nothing was."""
    on: dt.date
    due: int
    overdue: int
    customers: int
    """How many were reminded."""
    reminders: int
    fees: int
    """How many late fees were asked for."""
    totals: dict[str, int]
    """What these come to, in minor units by asset."""
    failed: list[Failure]
    """The customers who were left out; the next run tries them again."""


def _say_nothing(_stage: Stage, _done: int) -> None:
    """Keep progress to oneself."""


async def run_dunning(
    operations: Operations,
    principal: Principal,
    book: str,
    on: dt.date,
    progress: Progress = _say_nothing,
    chunk: int = MOST_CUSTOMERS,
) -> DunningRun:
    """
    Note what is overdue, make the reminders of a day and ask for their fees.

    A customer who cannot be reminded is left out and told, and the others go on. Killed anywhere and run again, or run
    twice at once, each reminder and each fee is made once.

    Raises:
        InvalidInput: the day is to come, or none (``invalid_input``); nothing is kept.
        TallystickError: of ``invoicing.list_due``, or the store is away; what was done before stays done.
    """
    # A day that none can be is refused before a run begins.
    await _find_debtors(operations, principal, book, on, "0", 1)
    kept = await begin_kept(operations, book, "dunning", on.isoformat())
    progress("looking what is overdue", 0)
    marked = await run_overdue(operations, principal, book)
    await kept.note({"due": marked.due, "overdue": marked.overdue}, marked.failed)
    reminded, failed = await _remind_all(operations, principal, book, on, (kept, progress, chunk))
    totals, fees, more_failed = await _ask_all(operations, principal, book, (kept, progress))
    await kept.note({}, last=True)
    return DunningRun(
        kept.id, on, marked.due, marked.overdue, sum(one.customers for one in reminded),
        sum(one.reminders for one in reminded), fees, totals, marked.failed + failed + more_failed,
    )  # fmt: skip


async def try_dunning(operations: Operations, principal: Principal, book: str, on: dt.date) -> DunningRun:
    """Say what a run would do; nothing is kept."""

    async def remind(customers: Sequence[str]) -> Reminded:
        fields = {"on": on.isoformat(), "customers": list(customers)}
        answer = await operations.run(principal, book, "dunning.remind", str(uuid7()), fields, dry_run=True)
        return msgspec.json.decode(answer.body, type=Reminded)

    reminded: list[Reminded] = []
    failed: list[Failure] = []
    after: str | None = "0"
    while after is not None:
        page = await _find_debtors(operations, principal, book, on, after, MOST_CUSTOMERS)
        if page.customers:
            done, left_out = await isolate(remind, page.customers)
            reminded += done
            failed += [Failure(customer, *why) for customer, why in left_out]
        after = page.next
    totals: Counter[str] = Counter()
    for one in reminded:
        totals.update(one.fees)
    return DunningRun(
        None, on, 0, 0, sum(one.customers for one in reminded), sum(one.reminders for one in reminded), 0,
        dict(sorted(totals.items())), failed,
    )  # fmt: skip


async def _remind_all(
    operations: Operations, principal: Principal, book: str, on: dt.date, how: tuple[KeptRun, Progress, int]
) -> tuple[list[Reminded], list[Failure]]:
    """Make the reminders of all customers who are to have one."""
    kept, progress, chunk = how

    async def remind(customers: Sequence[str]) -> Reminded:
        fields = {"on": on.isoformat(), "customers": list(customers)}
        reminded: Reminded = await operations.call(principal, book, "dunning.remind", str(uuid7()), fields)
        return reminded

    reminded: list[Reminded] = []
    failed: list[Failure] = []
    after: str | None = "0"
    while after is not None:
        page = await _find_debtors(operations, principal, book, on, after, chunk)
        if page.customers:
            done, left_out = await isolate(remind, page.customers)
            failures = [Failure(customer, *why) for customer, why in left_out]
            reminded += done
            failed += failures
            counts = {"reminded": sum(one.customers for one in done), "reminders": sum(one.reminders for one in done)}
            await kept.note(counts, failures)
            progress("reminding", sum(one.customers for one in reminded))
        after = page.next
    return reminded, failed


async def _find_debtors(
    operations: Operations, principal: Principal, book: str, on: dt.date, after: str, limit: int
) -> DebtorsPage:
    fields = {"on": on.isoformat(), "after": after, "limit": limit}
    page: DebtorsPage = await operations.call(principal, book, "dunning.list_debtors", "", fields)
    return page


async def _ask_all(
    operations: Operations, principal: Principal, book: str, how: tuple[KeptRun, Progress]
) -> tuple[dict[str, int], int, list[Failure]]:
    """Ask for all fees that have no invoice yet, of whatever run."""
    kept, progress = how

    async def ask(fees: Sequence[FeeToAsk]) -> AskedFees:
        fields = {"fees": [{"invoice": one.invoice, "level": one.level} for one in fees]}
        asked: AskedFees = await operations.call(principal, book, "dunning.ask_fees", str(uuid7()), fields)
        return asked

    totals: Counter[str] = Counter()
    count = 0
    failed: list[Failure] = []
    after: str | None = ""
    while after is not None:
        page: FeesPage = await operations.call(
            principal, book, "dunning.list_fees", "", {"after": after, "limit": MOST_FEES}
        )
        if page.items:
            done, left_out = await isolate(ask, page.items)
            items = [one for each in done for one in each.items]
            failures = [Failure(fee.customer, *why) for fee, why in left_out]
            failures += [Failure(one.customer, one.code, one.message or "") for one in items if one.code is not None]
            made = [one for one in items if one.code is None and not one.known]
            for one in made:
                totals[one.asset] += one.amount
            count += len(made)
            failed += failures
            await kept.note({"fees": len(made)}, failures)
            progress("asking for fees", count)
        after = page.next
    return dict(sorted(totals.items())), count, failed
