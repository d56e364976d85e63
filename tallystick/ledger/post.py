"""Post: put a batch of transfers into the ledger, judging each; the one way money moves."""

from collections.abc import Sequence
from dataclasses import dataclass, field

import asyncpg
import numpy as np
import numpy.typing as npt

from tallystick.db.queries import Connection, queries_beside
from tallystick.db.retry import OrderLost
from tallystick.ledger.accounts import UNLIMITED_ABOVE, UNLIMITED_BELOW, Recorded, RememberedAccounts
from tallystick.ledger.errors import GroupFailed
from tallystick.ledger.find_known import Known, find_known, note_known, split_ids
from tallystick.ledger.judge_alone import TouchedAccounts, drawn_on, find_accounts, judge_alone, with_assets
from tallystick.ledger.judge_in_order import (
    Judging,
    LimitedAccount,
    Statuses,
    TargetElsewhere,
    find_repeats,
    judge_in_order,
)
from tallystick.ledger.model import (
    ENDS_HOLD,
    RELATES,
    USES_HOLD,
    Batch,
    Outcomes,
    Reason,
    Status,
    Transfers,
    microseconds,
)
from tallystick.ledger.relate import Related, Target, relate
from tallystick.ledger.remember_sums import RememberedSums
from tallystick.ledger.sum_changes import MAX_SUM, add_up, touch
from tallystick.ledger.write_batch import Details, ToWrite, write_batch

_queries = queries_beside(__file__)
_enter_ledger = _queries.tuples("enter_ledger")
_lock_limited = _queries.run("lock_limited")
_order_transaction = _queries.tuples("order_transaction")

_ORDERED = {"hold_use_once", "reversal_once"}
"""What only one of two transactions at once may write: the other is run again, and finds what the first one wrote."""
_REMEMBER_DUPLICATES = 32

LOOK_UP_FIRST = 256
"""Batches up to this size look their ids up before they are written; larger ones only after a duplicate was met."""

MAX_BATCH = 10_000


@dataclass(slots=True)
class Ledger:
    """A book's ledger as one process sees it; what it remembers is checked against the book's epoch each time."""

    book_id: int
    accounts: RememberedAccounts = field(default_factory=RememberedAccounts)
    sums: RememberedSums = field(default_factory=RememberedSums)
    ids_of_codes: dict[str, int] = field(default_factory=dict)
    """Account ids by code; a code never changes its id."""
    expecting_duplicates: int = 0
    """So many more large batches look their ids up before they are written, since duplicates were met lately."""


async def post(
    connection: Connection,
    ledger: Ledger,
    batch: Batch,
    recorded: Recorded,
    message_hashes: npt.NDArray[np.void],
    *,
    group: bool = False,
) -> Outcomes:
    """
    Append those transfers of *batch* that are in order, and say of each what became of it.

    One transaction posts at most one batch per book. *message_hashes* are the SHA-256 of the transaction's
    messages by place. Unlimited accounts are not locked; limited ones that it draws on are, in order of id.
    With *group*, all are posted or none.

    Raises:
        GroupFailed: with *group*, one was not in order (``ledger.group_failed``).
        BatchTooLarge: the amounts of one account overflow (``ledger.batch_too_large``).
        OrderLost: a limited account moved in a later transaction meanwhile, or another transaction used the same hold
            or reversed the same transfer; run the transaction again.
    """
    posted_at: dict[bytes, int] = {}
    while True:
        try:
            writing = await _prepare(connection, ledger, batch, recorded, posted_at)
            return await _judge_and_write(connection, writing, message_hashes, group=group)
        except TargetElsewhere as found:  # only the judging could tell, and nothing is written yet: begin anew with it
            posted_at[found.transfer_id] = found.place
        except asyncpg.UniqueViolationError as error:
            if error.constraint_name in _ORDERED:
                raise OrderLost from error
            raise


@dataclass(slots=True)
class _Writing:
    """A batch with what is known of it, on its way into the ledger."""

    ledger: Ledger
    recorded: Recorded
    batch: Batch
    """Its rows are complete; amounts that depend on the order are as they were asked for."""
    related: Related
    accounts: TouchedAccounts
    statuses: Statuses
    """What was found without looking at ids, balances and the order."""
    repeats: npt.NDArray[np.bool_]
    known: list[Known]
    """Of a small batch what the ledger has of its ids."""
    batch_id: int
    horizon: int
    limited: npt.NDArray[np.intp]
    """Which of *accounts* are limited and drawn on, and so locked."""

    @property
    def small(self) -> bool:
        """Say whether the ids were looked up already."""
        return len(self.batch) <= LOOK_UP_FIRST

    @property
    def to_write(self) -> ToWrite:
        """Return what is to be written of it."""
        return ToWrite(self.ledger.book_id, self.batch_id, self.recorded, self.batch, self.accounts.touched, self.small)


async def _prepare(
    connection: Connection, ledger: Ledger, batch: Batch, recorded: Recorded, posted_at: dict[bytes, int]
) -> _Writing:
    """Find out all that can be known before the order, lock what must be, and take the place in the order."""
    entered = await _enter(connection, ledger, batch)
    related = await relate(connection, ledger.book_id, batch, posted_at)
    accounts, ledger.accounts = await find_accounts(
        connection, ledger.book_id, ledger.accounts, touch(related.batch.rows), entered.epoch
    )
    batch = with_assets(accounts, related.batch)
    statuses = judge_alone(accounts, batch, related.statuses, microseconds(recorded.at))
    limited = drawn_on(accounts, batch, statuses == Status.POSTED)
    if len(limited):
        await _lock_limited(connection, ledger.book_id, accounts.ids[limited].tolist())
    batch_id, horizon = entered.batch_id, entered.horizon
    if batch_id is None:
        ((batch_id, horizon),) = await _order_transaction(connection)
    if related.newest > batch_id or accounts.newest > batch_id:  # what is ordered later is not there yet
        raise OrderLost
    repeats = find_repeats(batch.rows["transfer_id"].tolist())
    return _Writing(
        ledger, recorded, batch, related, accounts, statuses, repeats, entered.known, batch_id, horizon, limited
    )  # fmt: skip


async def _judge_and_write(
    connection: Connection, writing: _Writing, message_hashes: npt.NDArray[np.void], *, group: bool
) -> Outcomes:
    """
    Judge the batch and write what passed.

    A large one is written as if none of its ids were known, if it would pass whole; a repeat is met by the store then.
    """
    look_up = writing.small or writing.ledger.expecting_duplicates > 0
    if not (look_up or writing.statuses.any() or writing.repeats.any()):
        outcomes, details = await _judge_order(connection, writing)
        if not outcomes.statuses.any() and await _write_unless_known(
            connection, writing, message_hashes, outcomes, details
        ):
            return outcomes
    outcomes, details = await _judge_order(connection, writing, look_up=True)
    if group:
        _require_all(outcomes)
    await write_batch(connection, writing.to_write, message_hashes, outcomes, details)
    return outcomes


async def _write_unless_known(
    connection: Connection, writing: _Writing, message_hashes: npt.NDArray[np.void], outcomes: Outcomes,
    details: Details,
) -> bool:  # fmt: skip
    """Write the whole batch; say whether that went well, or one of its ids was known and nothing is written."""
    savepoint = connection.transaction()
    await savepoint.start()
    try:
        await write_batch(connection, writing.to_write, message_hashes, outcomes, details)
    except asyncpg.UniqueViolationError as error:
        if error.constraint_name != "transfer_once":
            raise
        await savepoint.rollback()
        return False
    return True


@dataclass(frozen=True, slots=True)
class _Entered:
    """What there is to know first, behind the book's gate."""

    epoch: int
    batch_id: int | None
    """The transaction's place in the order; None while limited accounts are still to be locked before it is taken."""
    horizon: int
    known: list[Known]


async def _enter(connection: Connection, ledger: Ledger, batch: Batch) -> _Entered:
    """
    Pass the book's gate; a small batch looks its ids up and takes its place in the order in the same round trip.

    The place is better taken when the limited accounts are locked: so not here if one is remembered to be touched.
    """
    small = len(batch) <= LOOK_UP_FIRST
    ids = split_ids(batch.rows["transfer_id"]) if small else []
    place = small and batch.related is None and not _touches_limited(ledger.accounts, batch.rows)
    rows = await _enter_ledger(connection, ledger.book_id, ids, place)
    epoch, batch_id, horizon = rows[0][:3]
    return _Entered(epoch, batch_id, horizon, [Known(*row[3:]) for row in rows if row[3] is not None])


def _touches_limited(accounts: RememberedAccounts, rows: Transfers) -> bool:
    """Say whether an account is limited, as far as is remembered."""
    if not accounts.any_limited or not len(accounts.ids):
        return False
    both = np.concatenate([rows["debit_account_id"], rows["credit_account_id"]])
    at = accounts.places(both)
    limited = (accounts.lowest[at] != UNLIMITED_BELOW) | (accounts.highest[at] != UNLIMITED_ABOVE)
    return bool((limited & (accounts.ids[at] == both)).any())


async def _judge_order(connection: Connection, writing: _Writing, *, look_up: bool = False) -> tuple[Outcomes, Details]:
    """Judge what depends on the order and on balances, and with *look_up* before all else whether an id is known."""
    batch, related, at = writing.batch, writing.related, microseconds(writing.recorded.at)
    outcomes = Outcomes(writing.statuses.copy(), batch.rows["amount"].copy())
    if look_up:
        await _note_known(connection, writing, outcomes)
    if len(related.places):
        related.judge_alone(outcomes.amounts, outcomes.statuses, at)
    bounds: dict[int, LimitedAccount] = {}
    if len(writing.limited):
        bounds = await _find_bounds(connection, writing, outcomes)
    in_question = _find_in_question(writing, outcomes, bounds)
    targets = related.take_targets(in_question)
    if in_question.any():
        judge_in_order(Judging(batch, targets, at, outcomes, bounds), np.flatnonzero(in_question))
    return outcomes, Details(_asked(batch), *_count_uses(related, in_question, targets, outcomes))


async def _note_known(connection: Connection, writing: _Writing, outcomes: Outcomes) -> None:
    """
    Answer the transfers whose ids the ledger has; of a large batch remember for the next ones whether there were any.

    Raises:
        OrderLost: what others of the batch relate to, and was in no ledger when they looked, another transaction posted.
    """
    ledger, batch = writing.ledger, writing.batch
    known = writing.known if writing.small else await find_known(connection, ledger.book_id, batch)
    await note_known(connection, ledger.book_id, batch, outcomes, known)
    if not writing.small:
        ledger.expecting_duplicates = _REMEMBER_DUPLICATES if known else max(0, ledger.expecting_duplicates - 1)
    within = writing.related.targets["within"]
    if known and np.isin(outcomes.statuses[within[within >= 0]], (Status.KNOWN, Status.ID_CONFLICT)).any():
        raise OrderLost


def _find_in_question(
    writing: _Writing, outcomes: Outcomes, bounds: dict[int, LimitedAccount]
) -> npt.NDArray[np.bool_]:
    """Say of which transfers the answer depends on the order, or changes what another's depends on."""
    statuses, touched = outcomes.statuses, writing.accounts.touched
    asked = writing.repeats | (writing.batch.rows["reason"] == Reason.SWEEP)
    asked[writing.related.places[~writing.related.alone]] = True
    if bounds:
        bounded = np.isin(touched.accounts, np.fromiter(bounds, np.int64, len(bounds)))
        asked |= (bounded[touched.debits] | bounded[touched.credits]) & (statuses == Status.POSTED)
    in_question: npt.NDArray[np.bool_] = asked & (statuses != Status.KNOWN) & (statuses != Status.ID_CONFLICT)
    return in_question


def _asked(batch: Batch) -> npt.NDArray[np.int64] | None:
    """Return what sweeps and captures ask for, before they are given what there is; None where there are none."""
    asking = np.isin(batch.rows["reason"], (Reason.SWEEP, Reason.CAPTURE))
    return np.where(asking, batch.rows["amount"], 0) if asking.any() else None


def _count_uses(
    related: Related, in_question: npt.NDArray[np.bool_], targets: dict[bytes, Target], outcomes: Outcomes
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """
    Return the number that each use of a hold has among all of its uses, and whether it ends the hold.

    Of those judged in order the holds know how often they were used when the batch is done: they are counted back.
    """
    nth, ends = np.zeros(len(in_question), np.int64), np.zeros(len(in_question), np.int64)
    places = related.places
    if not len(places):
        return nth, ends
    nth[places] = related.targets["uses"] + 1
    gives_up = np.isin(related.batch.rows["reason"][places], ENDS_HOLD)
    used_up = related.targets["used"] + outcomes.amounts[places] == related.targets["amount"]
    ends[places] = gives_up | used_up
    left: dict[bytes, int] = {}
    judged = in_question[places] & (outcomes.statuses[places] == Status.POSTED)
    for at in reversed(np.flatnonzero(judged).tolist()):
        one = related.ids[at]
        ends[places[at]] = one not in left and targets[one].ended
        left.setdefault(one, targets[one].uses)
        nth[places[at]] = left[one]
        left[one] -= 1
    return nth, ends


async def _find_bounds(connection: Connection, writing: _Writing, outcomes: Outcomes) -> dict[int, LimitedAccount]:
    """
    Return those of the limited accounts, which are locked, that the batch could take beyond their limit.

    A balance counts what is ordered before this transaction and nothing else, so the limits hold at every
    instant of the sealed order. Had a later-ordered transaction drawn on one already, it judged without us.
    An account that could bear all that is drawn on it, without anything that goes the other way but what surely comes to it
    before the first drawing, needs no judging.
    """
    accounts, places, ledger = writing.accounts, writing.limited, writing.ledger
    limited = accounts.ids[places].tolist()
    lowest, highest = accounts.lowest[places].tolist(), accounts.highest[places].tolist()
    before = await ledger.sums.find_before(connection, ledger.book_id, limited, writing.batch_id, writing.horizon)
    for account, least, most in zip(limited, lowest, highest, strict=True):
        if (account in before.lowered_later and least != UNLIMITED_BELOW) or (
            account in before.raised_later and most != UNLIMITED_ABOVE
        ):
            raise OrderLost
    drawn = _sum_drawn(writing, outcomes)
    columns = zip(limited, places.tolist(), lowest, highest, before.down, before.up, strict=True)
    bounds = {
        account: (at, LimitedAccount(least, most, down, up))
        for account, at, least, most, down, up in columns
        if (least != UNLIMITED_BELOW and down - drawn.falls[at] < least)
        or (most != UNLIMITED_ABOVE and up + drawn.rises[at] > most)
    }
    first = drawn.find_first(writing, outcomes, [at for at, _ in bounds.values()]) if bounds else []
    return {
        account: bound
        for (account, (at, bound)), comes in zip(bounds.items(), first, strict=True)
        if bound.highest != UNLIMITED_ABOVE or bound.down + comes - drawn.falls[at] < bound.lowest
    }


@dataclass(frozen=True, slots=True)
class _Drawn:
    """What a batch would take from accounts, and bring to them, if it were posted as it is; by their place in it."""

    falls: list[int]
    rises: list[int]
    fit: bool
    """False: a sum might not fit, so each counts as the largest."""

    def find_first(self, writing: _Writing, outcomes: Outcomes, bounded: Sequence[int]) -> list[int]:
        """
        Return what comes to each of the *bounded* accounts before the first transfer that draws on it, in their order.

        It is certain only where nothing about it is in question: it is a plain one that comes from no bounded account.
        """
        if not self.fit:
            return [0] * len(bounded)
        rows, touched = writing.batch.rows, writing.accounts.touched
        posted, place = outcomes.statuses == Status.POSTED, np.arange(len(rows))
        drawn_first = np.full(len(touched.accounts), len(rows))
        np.minimum.at(drawn_first, touched.debits[posted], place[posted])
        plain = posted & ~writing.repeats & ~np.isin(rows["reason"], (Reason.HOLD, Reason.SWEEP, *RELATES))
        certain = plain & ~np.isin(touched.debits, bounded) & (place < drawn_first[touched.credits])
        comes = np.zeros(len(touched.accounts), np.int64)
        np.add.at(comes, touched.credits[certain], rows["amount"][certain])
        first: list[int] = comes[np.asarray(bounded)].tolist()
        return first


def _sum_drawn(writing: _Writing, outcomes: Outcomes) -> _Drawn:
    rows, touched = writing.batch.rows, writing.accounts.touched
    drawing = (outcomes.statuses == Status.POSTED) & ~np.isin(rows["reason"], USES_HOLD)
    amounts = np.where(drawing, rows["amount"], 0)
    count = len(touched.accounts)
    if int(amounts.max()) * len(rows) > MAX_SUM:
        return _Drawn([MAX_SUM] * count, [MAX_SUM] * count, fit=False)
    falls, rises = add_up(amounts, touched.debits, touched.credits, count)
    return _Drawn(falls.tolist(), rises.tolist(), fit=True)


def _require_all(outcomes: Outcomes) -> None:
    for item, status in enumerate(outcomes.statuses.tolist()):
        if not Status(status).done:
            raise GroupFailed(field=f"transfers[{item}]", item=item, status=Status(status).code)
