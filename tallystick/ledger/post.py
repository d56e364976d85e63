"""Post: put a batch of transfers into the ledger, judging each; the one way money moves."""

from dataclasses import dataclass, field
from typing import Any

import asyncpg
import numpy as np
import numpy.typing as npt

from tallystick.db.copy import BIGINT, INTEGER, SMALLINT, UUID, FixedTable, copy_in
from tallystick.db.queries import Connection, queries_beside
from tallystick.db.retry import OrderLost
from tallystick.ledger import encode_changes
from tallystick.ledger.accounts import UNLIMITED_ABOVE, UNLIMITED_BELOW, Recorded, RememberedAccounts
from tallystick.ledger.encode_leaf import ToSeal, hash_leaves
from tallystick.ledger.errors import GroupFailed
from tallystick.ledger.find_known import Known, find_known, note_known, split_ids
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
    NEVER,
    USES_HOLD,
    Batch,
    Outcomes,
    Reason,
    Status,
    Transfers,
    microseconds,
)
from tallystick.ledger.reading.date_changes import COLUMNS as DATED_COLUMNS
from tallystick.ledger.reading.date_changes import TABLE as DATED
from tallystick.ledger.reading.date_changes import date_changes
from tallystick.ledger.relate import Related, Target, relate
from tallystick.ledger.remember_sums import RememberedSums
from tallystick.ledger.sum_changes import MAX_SUM, Touched, add_up, require_sums_fit, sum_changes, touch

_queries = queries_beside(__file__)
_enter_ledger = _queries.tuples("enter_ledger")
_write_small = _queries.run("write_small")
_lock_limited = _queries.run("lock_limited")
_order_transaction = _queries.tuples("order_transaction")
_load_accounts = _queries.tuples("load_accounts")
_insert_batch = _queries.run("insert_batch")
_insert_references = _queries.run("insert_references")

TRANSFER = FixedTable(
    "transfer",
    {
        "batch_id": BIGINT,
        "debit_account_id": BIGINT,
        "credit_account_id": BIGINT,
        "amount": BIGINT,
        "effective_at": BIGINT,
        "transfer_id": UUID,
        "book_id": INTEGER,
        "position": SMALLINT,
        "asset_id": INTEGER,
        "message_place": SMALLINT,
        "reason": SMALLINT,
    },
)
_HOLD = FixedTable("hold", {"expires_at": BIGINT, "batch_id": BIGINT, "book_id": INTEGER, "position": SMALLINT})
_HOLD_USE = FixedTable(
    "hold_use",
    {"hold_id": UUID, "batch_id": BIGINT, "amount": BIGINT, "asked": BIGINT, "book_id": INTEGER, "nth": INTEGER,
     "position": SMALLINT, "ends": SMALLINT},
)  # fmt: skip
_REVERSAL = FixedTable("reversal", {"reversed_id": UUID, "batch_id": BIGINT, "book_id": INTEGER, "position": SMALLINT})
_SWEEP = FixedTable("sweep", {"asked": BIGINT, "batch_id": BIGINT, "book_id": INTEGER, "position": SMALLINT})

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
    accounts: "_Accounts"
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


async def _prepare(
    connection: Connection, ledger: Ledger, batch: Batch, recorded: Recorded, posted_at: dict[bytes, int]
) -> _Writing:
    """Find out all that can be known before the order, lock what must be, and take the place in the order."""
    entered = await _enter(connection, ledger, batch)
    related = await relate(connection, ledger.book_id, batch, posted_at)
    accounts = await _find_accounts(connection, ledger, touch(related.batch.rows), entered.epoch)
    batch = _with_assets(accounts, related.batch)
    statuses = _judge(accounts, batch, related.statuses, microseconds(recorded.at))
    limited = _drawn_on(accounts, batch, statuses == Status.POSTED)
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
    await _write(connection, writing, message_hashes, outcomes, details)
    return outcomes


async def _write_unless_known(
    connection: Connection, writing: _Writing, message_hashes: npt.NDArray[np.void], outcomes: Outcomes,
    details: "_Details",
) -> bool:  # fmt: skip
    """Write the whole batch; say whether that went well, or one of its ids was known and nothing is written."""
    savepoint = connection.transaction()
    await savepoint.start()
    try:
        await _write(connection, writing, message_hashes, outcomes, details)
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


async def _judge_order(
    connection: Connection, writing: _Writing, *, look_up: bool = False
) -> tuple[Outcomes, "_Details"]:
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
    return outcomes, _Details(_asked(batch), *_count_uses(related, in_question, targets, outcomes))


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


@dataclass(frozen=True, slots=True)
class _Details:
    """What only some transfers have, found while the batch was judged; each column as long as the batch, or None."""

    asked: npt.NDArray[np.int64] | None
    nth: npt.NDArray[np.int64]
    """Which of the uses of its hold it is."""
    ends: npt.NDArray[np.int64]
    """1 for the use that ends its hold."""

    def take(self, chosen: npt.NDArray[np.bool_]) -> "_Details":
        return _Details(None if self.asked is None else self.asked[chosen], self.nth[chosen], self.ends[chosen])


async def _write(
    connection: Connection, writing: _Writing, message_hashes: npt.NDArray[np.void], outcomes: Outcomes,
    details: _Details,
) -> None:  # fmt: skip
    """Write what is to be posted, with the amounts it came to."""
    posted = outcomes.statuses == Status.POSTED
    if not posted.any():
        return
    whole = writing.batch
    batch = Batch(whole.rows.copy(), whole.related, whole.expires_at, whole.references)
    batch.rows["amount"] = outcomes.amounts
    touched = writing.accounts.touched
    if not posted.all():
        batch, details = batch.take(posted), details.take(posted)
        touched = touch(batch.rows)
    book_id, recorded, rows = writing.ledger.book_id, writing.recorded, batch.rows
    require_sums_fit(rows)
    changes = sum_changes(rows, touched)
    leaves = hash_leaves(ToSeal(book_id, batch, details.asked, microseconds(recorded.at), message_hashes))
    sealed = (book_id, writing.batch_id, len(batch), recorded.at, leaves, changes.pages.tobytes())
    if writing.small:
        await _write_small(connection, *sealed, *_columns_of(rows), *encode_changes.columns_of(changes))
    else:
        columns: dict[str, npt.ArrayLike] = {name: rows[name] for name in COPIED}
        columns |= {"batch_id": writing.batch_id, "book_id": book_id, "position": np.arange(len(batch))}
        await copy_in(connection, TRANSFER.name, TRANSFER.columns, TRANSFER.encode(len(batch), columns))
        encoded = encode_changes.encode_changes(book_id, writing.batch_id, changes)
        await copy_in(connection, encode_changes.TABLE, encode_changes.COLUMNS, encoded)
        await _insert_batch(connection, *sealed)
    if (dated := date_changes(book_id, writing.batch_id, rows, touched)) is not None:
        await copy_in(connection, DATED, DATED_COLUMNS, dated)
    await _write_details(connection, writing, batch, details)


def _columns_of(rows: Transfers) -> list[list[Any]]:
    """Return the columns of few transfers as the parameters of one statement, which spares the round trips of copying."""
    return [split_ids(rows["transfer_id"]), *(rows[name].tolist() for name in COPIED[1:])]


async def _write_details(connection: Connection, writing: _Writing, batch: Batch, details: _Details) -> None:
    """Write what only some transfers have, each a fact of its own."""
    reasons = np.ascontiguousarray(batch.rows["reason"])
    same: dict[str, npt.ArrayLike] = {"batch_id": writing.batch_id, "book_id": writing.ledger.book_id}
    if (holds := np.flatnonzero(reasons == Reason.HOLD)).size:
        expires_at = NEVER if batch.expires_at is None else batch.expires_at[holds]
        await _copy(connection, _HOLD, holds, same | {"expires_at": expires_at})
    if (sweeps := np.flatnonzero(reasons == Reason.SWEEP)).size and details.asked is not None:
        await _copy(connection, _SWEEP, sweeps, same | {"asked": details.asked[sweeps]})
    if batch.related is not None:
        if (reversals := np.flatnonzero(reasons == Reason.REVERSAL)).size:
            await _copy(connection, _REVERSAL, reversals, same | {"reversed_id": batch.related[reversals]})
        if (uses := np.flatnonzero(np.isin(reasons, USES_HOLD))).size:
            columns: dict[str, npt.ArrayLike] = {
                "hold_id": batch.related[uses],
                "amount": batch.rows["amount"][uses],
                "asked": 0 if details.asked is None else details.asked[uses],
                "nth": details.nth[uses],
                "ends": details.ends[uses],
            }
            await _copy(connection, _HOLD_USE, uses, same | columns)
    if batch.references is not None:
        said = [(place, reference) for place, reference in enumerate(batch.references) if reference]
        if said:
            places, references = zip(*said, strict=True)
            await _insert_references(connection, same["book_id"], same["batch_id"], places, references)


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


async def _copy(
    connection: Connection, table: FixedTable, positions: npt.NDArray[np.intp], columns: dict[str, Any]
) -> None:
    encoded = table.encode(len(positions), columns | {"position": positions})
    await copy_in(connection, table.name, table.columns, encoded)


COPIED = ("transfer_id", "debit_account_id", "credit_account_id", "amount", "effective_at", "asset_id",
          "message_place", "reason")  # fmt: skip


@dataclass(frozen=True, slots=True)
class _Accounts:
    """What there is to know of the accounts that a batch touches, as columns beside ``touched.accounts``."""

    touched: Touched
    known: npt.NDArray[np.bool_]
    """Which of them are in the book; what the other columns say of those that are not means nothing."""
    assets: npt.NDArray[np.int32]
    lowest: npt.NDArray[np.int64]
    highest: npt.NDArray[np.int64]
    closed: npt.NDArray[np.bool_]
    newest: int
    """The newest transaction that opened or changed one of them."""

    @property
    def ids(self) -> npt.NDArray[np.int64]:
        return self.touched.accounts


async def _find_accounts(connection: Connection, ledger: Ledger, touched: Touched, epoch: int) -> _Accounts:
    """
    Return what there is to know of the accounts touched: as of the book's epoch, the new ones looked up.

    An account that this very transaction opened is not remembered beyond it, since it may yet be rolled back.
    """
    accounts = ledger.accounts if ledger.accounts.epoch == epoch else RememberedAccounts(epoch)
    missing = accounts.missing(touched.accounts)
    found = await _load_accounts(connection, ledger.book_id, missing.tolist()) if len(missing) else []
    ledger.accounts = accounts.with_rows([row[:-1] for row in found if row[-1]])
    return _take(ledger.accounts.with_rows([row[:-1] for row in found if not row[-1]]), touched)


def _take(accounts: RememberedAccounts, touched: Touched) -> _Accounts:
    """Take the accounts touched out of those remembered."""
    if not len(accounts.ids):
        accounts = accounts.with_rows([(0, 0, None, None, False, 0)])  # no account has this id
    at = accounts.places(touched.accounts)
    return _Accounts(
        touched,
        accounts.ids[at] == touched.accounts,
        accounts.assets[at],
        accounts.lowest[at],
        accounts.highest[at],
        accounts.closed[at],
        int(np.where(accounts.ids[at] == touched.accounts, accounts.since[at], 0).max(initial=0)),
    )


def _with_assets(accounts: _Accounts, batch: Batch) -> Batch:
    """Give each transfer that names no asset its debit account's; the rows are copied, so that they can be completed."""
    rows = batch.rows.copy()
    unnamed = rows["asset_id"] == 0
    if unnamed.any():
        rows["asset_id"] = np.where(unnamed, accounts.assets[accounts.touched.debits], rows["asset_id"])
    return Batch(rows, batch.related, batch.expires_at, batch.references)


def _judge(accounts: _Accounts, batch: Batch, statuses: npt.NDArray[np.uint8], at: int) -> npt.NDArray[np.uint8]:
    """Judge all that needs neither a balance nor the order; the lowest status that applies wins."""
    rows, debit, credit = batch.rows, accounts.touched.debits, accounts.touched.credits
    reasons = np.ascontiguousarray(rows["reason"])

    def refuse(where: npt.NDArray[np.bool_], status: Status) -> None:
        statuses[where & ((statuses == Status.POSTED) | (statuses > status))] = status

    least = np.where(reasons == Reason.CAPTURE, 0, 1)
    least[np.isin(reasons, (*ENDS_HOLD, Reason.REVERSAL))] = -(2**63)  # what they move is not theirs to say
    refuse(rows["amount"] < least, Status.AMOUNT_NOT_POSITIVE)
    if batch.expires_at is not None:
        refuse((reasons == Reason.HOLD) & (batch.expires_at <= at), Status.EXPIRES_TOO_EARLY)
    both = rows["debit_account_id"], rows["credit_account_id"]
    refuse((both[0] == both[1]) & (both[0] != 0), Status.SAME_ACCOUNT)  # 0 is nobody's: two unknown ones may differ
    refuse(~accounts.known[debit], Status.UNKNOWN_DEBIT_ACCOUNT)
    refuse(~accounts.known[credit], Status.UNKNOWN_CREDIT_ACCOUNT)
    refuse(accounts.assets[debit] != rows["asset_id"], Status.ASSET_MISMATCH)
    refuse(accounts.assets[credit] != rows["asset_id"], Status.ASSET_MISMATCH)
    moving = ~np.isin(reasons, ENDS_HOLD)  # a hold can be given up whatever became of its accounts
    refuse(accounts.closed[debit] & moving, Status.DEBIT_ACCOUNT_CLOSED)
    refuse(accounts.closed[credit] & moving, Status.CREDIT_ACCOUNT_CLOSED)
    return statuses


def _drawn_on(accounts: _Accounts, batch: Batch, posted: npt.NDArray[np.bool_]) -> npt.NDArray[np.intp]:
    """
    Return the places of the limited accounts, ascending, that what is to be posted moves towards their limit.

    A capture takes what is held already, and a release gives back: neither moves an account towards its limit.
    """
    lowered, raised = np.zeros(len(accounts.ids), np.bool_), np.zeros(len(accounts.ids), np.bool_)
    drawing = posted & ~np.isin(batch.rows["reason"], USES_HOLD)
    lowered[accounts.touched.debits[drawing]] = True
    raised[accounts.touched.credits[drawing]] = True
    towards_lowest = lowered & (accounts.lowest != UNLIMITED_BELOW)
    return np.flatnonzero(towards_lowest | (raised & (accounts.highest != UNLIMITED_ABOVE)))


async def _find_bounds(connection: Connection, writing: _Writing, outcomes: Outcomes) -> dict[int, LimitedAccount]:
    """
    Return those of the limited accounts, which are locked, that the batch could take beyond their limit.

    A balance counts what is ordered before this transaction and nothing else, so the limits hold at every
    instant of the sealed order. Had a later-ordered transaction drawn on one already, it judged without us.
    An account that could bear all that is drawn on it, without anything that goes the other way, needs no judging.
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
    falls, rises = _sum_drawn(accounts.touched, writing.batch, outcomes, places)
    columns = zip(limited, lowest, highest, before.down, before.up, falls, rises, strict=True)
    return {
        account: LimitedAccount(least, most, down, up)
        for account, least, most, down, up, fall, rise in columns
        if (least != UNLIMITED_BELOW and down - fall < least) or (most != UNLIMITED_ABOVE and up + rise > most)
    }


def _sum_drawn(
    touched: Touched, batch: Batch, outcomes: Outcomes, places: npt.NDArray[np.intp]
) -> tuple[list[int], list[int]]:
    """Add up what the batch would take from, and bring to, the accounts at *places* if it were posted as it is."""
    rows = batch.rows
    drawing = (outcomes.statuses == Status.POSTED) & ~np.isin(rows["reason"], USES_HOLD)
    amounts = np.where(drawing, rows["amount"], 0)
    if int(amounts.max()) * len(batch) > MAX_SUM:  # a sum might not fit
        return [MAX_SUM] * len(places), [MAX_SUM] * len(places)
    falls, rises = add_up(amounts, touched.debits, touched.credits, len(touched.accounts))
    return falls[places].tolist(), rises[places].tolist()


def _require_all(outcomes: Outcomes) -> None:
    for item, status in enumerate(outcomes.statuses.tolist()):
        if not Status(status).done:
            raise GroupFailed(field=f"transfers[{item}]", item=item, status=Status(status).code)
