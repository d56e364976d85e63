"""Issue subscriptions: give the drafts of subscriptions their numbers, plan by plan."""

import datetime as dt

import msgspec
import numpy as np
import numpy.typing as npt

from tallystick.catalog.plans.find_plan import find_plan
from tallystick.db.queries import Connection
from tallystick.invoicing.issue import IssueOrder, issue
from tallystick.ledger.accounts import Recorded
from tallystick.ledger.post import Ledger
from tallystick.periods import Period
from tallystick.subscriptions.billing import end_waiting, first_waiting, page_waiting

_ANY_PERIOD = Period(dt.datetime(1970, 1, 1, tzinfo=dt.UTC), dt.datetime(9999, 1, 1, tzinfo=dt.UTC))


class SubscriptionsIssued(msgspec.Struct, frozen=True):
    """What became of one chunk of drafts, all of one plan."""

    issued: int
    totals: dict[str, int]
    """What was issued now, in minor units by asset."""
    first_number: str | None
    last_number: str | None
    more: bool
    """Further drafts wait; call again."""


async def issue_subscriptions(
    connection: Connection,
    ledger: Ledger,
    recorded: Recorded,
    message_hashes: npt.NDArray[np.void],
    series: str | None,
    limit: int,
) -> SubscriptionsIssued:
    """
    Issue the next drafts of one plan, *limit* at the most, all or none.

    Raises:
        AccountExists: somebody opened an account of these invoices, with other limits (``ledger.account_exists``).
        GroupFailed: somebody closed a revenue account (``ledger.group_failed``).
    """
    plan = await first_waiting(connection, recorded.book_id)
    if plan is None:
        return SubscriptionsIssued(0, {}, None, None, more=False)
    waiting = await page_waiting(connection, recorded.book_id, plan, limit)
    version = await find_plan(connection, recorded.book_id, plan, None)
    order = IssueOrder(plan, _ANY_PERIOD, version.content.zone, series, None, limit, drafts=waiting)
    done = await issue(connection, ledger, recorded, message_hashes, order)
    await end_waiting(connection, recorded.book_id, plan, waiting)
    more = await first_waiting(connection, recorded.book_id) is not None
    return SubscriptionsIssued(done.issued, done.totals, done.first_number, done.last_number, more=more)
