"""Apply outcomes: what the bank took goes to the invoices of each charge; what it did not is tried again, or not."""

import datetime as dt
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import msgspec
import numpy as np
import numpy.typing as npt

from tallystick.db.queries import Connection, queries_beside
from tallystick.errors import InvalidInput, TallystickError
from tallystick.invoicing.life.enter_to_decide import enter_to_decide
from tallystick.ledger.accounts import Recorded
from tallystick.ledger.post import MAX_BATCH, Ledger
from tallystick.ledger.read_in_order import Place
from tallystick.notify.tell import Told, tell
from tallystick.repayments.dues import enter_to_repay, require_earlier
from tallystick.repayments.errors import OutcomeDiffers, UnknownCharge
from tallystick.repayments.model import (
    BANK_DEBIT,
    RETRIES,
    OutcomeApplied,
    OutcomesApplied,
    Repayment,
    RetryPolicy,
    RetryRule,
)
from tallystick.repayments.move_for_holidays import Rule, bank_days_of, move_for_holidays
from tallystick.repayments.receive import Money, receive

_queries = queries_beside(__file__)
_enter_to_apply = _queries.run("enter_to_apply")
_find_charges = _queries.tuples("find_charges")
_find_charged = _queries.tuples("find_charged")
_insert_outcomes = _queries.run("insert_outcomes")
_insert_retry_policy = _queries.run("insert_retry_policy")
_find_retry_policy = _queries.value("find_retry_policy")


@dataclass(frozen=True, slots=True)
class Outcome:
    """What the bank says became of a charge."""

    charge_id: uuid.UUID
    taken: int | None
    """None: all that was asked for."""
    error_kind: str | None
    """Why it took less; None where it took all."""


class _Charge(NamedTuple):
    """A charge with its outcome, if it has one."""

    charge_id: uuid.UUID
    customer: str
    bank_account: str
    asset: str
    debit_on: dt.date
    amount: int
    attempt: int
    retry_of: uuid.UUID | None
    taken: int | None
    error_kind: str | None
    retry_on: dt.date | None
    repayment_id: uuid.UUID | None
    customer_id: int
    asset_id: int
    country: str
    applied_in: int | None
    """The transaction that applied its outcome."""
    allocated: int
    """What of the money is on its invoices."""
    sent: bool
    """It is in a file that the bank was given."""


@dataclass(frozen=True, slots=True)
class Arrival:
    """How the money of many charges arrives."""

    from_account: str | None
    """The ledger account that it comes from; None: what bank debits have brought."""
    received_on: dt.date


class _Applying(NamedTuple):
    """An outcome that is new, with its charge."""

    charge: _Charge
    taken: int
    error_kind: str | None
    retry_on: dt.date | None
    invoices: Mapping[uuid.UUID, int]


async def apply_outcomes(
    connection: Connection,
    ledger: Ledger,
    recorded: Recorded,
    message_hashes: npt.NDArray[np.void],
    outcomes: Sequence[Outcome],
    arrival: Arrival,
) -> OutcomesApplied:
    """
    Apply what the bank says of many charges, each for itself: one that cannot be applied is told, and the others are.

    What was taken of a charge is placed on its invoices, all of it where all was taken, else by the customer's policy; what
    they do not need any more lies unallocated. A charge has one outcome: the same again changes nothing.

    Raises:
        InvalidInput: a charge is named twice, or the money moves more often than fits into one batch (``invalid_input``).
        AccountUnusable: the account that it comes from cannot give it (``repayments.account_unusable``).
        OrderLost: another transaction repaid some of it meanwhile, and is ordered later.
    """
    await _enter_to_apply(connection, recorded.book_id)
    place = await enter_to_repay(connection, recorded.book_id)
    ids = [one.charge_id for one in outcomes]
    if len(set(ids)) < len(ids):
        raise InvalidInput(field="outcomes", rule="Each charge is named once")
    charges = {row[0]: _Charge._make(row) for row in await _find_charges(connection, recorded.book_id, ids)}
    answers: dict[uuid.UUID, OutcomeApplied] = {}
    fresh: list[Outcome] = []
    for one in outcomes:
        try:
            answered = _find_answer(one, charges.get(one.charge_id), place)
        except TallystickError as refused:
            answers[one.charge_id] = _refused(one, refused)
            continue
        if answered is None:
            fresh.append(one)
        else:
            answers[one.charge_id] = answered
    applying = await _prepare(connection, recorded.book_id, place, fresh, charges)
    repaid = await _receive(connection, ledger, recorded, message_hashes, place, applying, arrival)
    await _keep(connection, recorded, applying, repaid)
    await tell(connection, recorded, [_told(one) for one in applying if one.error_kind is not None])
    for applied, repayment in zip(applying, repaid, strict=True):
        allocated = repayment.amount - repayment.unallocated if repayment else 0
        id_ = applied.charge.charge_id
        answers[id_] = OutcomeApplied(id_, "applied", applied.taken, allocated, applied.retry_on)
    return OutcomesApplied([answers[one.charge_id] for one in outcomes])


def _find_answer(outcome: Outcome, charge: _Charge | None, place: Place) -> OutcomeApplied | None:
    """
    Return the answer where the same outcome was applied before, None where it is new.

    Raises:
        UnknownCharge: there is no such charge (``charges.unknown_charge``).
        InvalidInput: the amount or the error does not go with the charge (``invalid_input``).
        OutcomeDiffers: it had another outcome (``charges.outcome_differs``).
        OrderLost: a transaction that is ordered later applied one.
    """
    if charge is None:
        raise UnknownCharge(field="charge", charge=outcome.charge_id)
    taken = _taken(outcome, charge)
    if charge.taken is None or charge.applied_in is None:
        return None
    require_earlier(charge.applied_in, place)
    if (charge.taken, charge.error_kind) != (taken, outcome.error_kind):
        raise OutcomeDiffers(field="taken" if charge.taken != taken else "error_kind", charge=outcome.charge_id)
    return OutcomeApplied(outcome.charge_id, "known", taken, charge.allocated, charge.retry_on)


def _taken(outcome: Outcome, charge: _Charge) -> int:
    """
    Return what was taken; None in the outcome is all of it without an error, and nothing with one.

    Raises:
        InvalidInput: it does not go with the charge (``invalid_input``).
    """
    whole = charge.amount if outcome.error_kind is None else 0
    taken = whole if outcome.taken is None else outcome.taken
    if taken > charge.amount:
        raise InvalidInput(field="taken", rule=f"At most what was asked for is taken: {charge.amount}")
    if (taken < charge.amount) != (outcome.error_kind is not None):
        raise InvalidInput(field="error_kind", rule="It says why less was taken than asked for, and nothing else")
    return taken


async def _prepare(
    connection: Connection, book_id: int, place: Place, fresh: Sequence[Outcome], charges: Mapping[uuid.UUID, _Charge]
) -> list[_Applying]:
    invoices: dict[uuid.UUID, dict[uuid.UUID, int]] = {one.charge_id: {} for one in fresh}
    for charge_id, invoice_id, amount in await _find_charged(connection, book_id, list(invoices)) if fresh else []:
        invoices[charge_id][invoice_id] = amount
    transfers = sum(1 + len(own) for own in invoices.values())
    if transfers > MAX_BATCH:
        raise InvalidInput(
            field="outcomes", rule=f"With their invoices they are {transfers}; at most {MAX_BATCH} at once"
        )
    policy = await find_retry_policy(connection, book_id, place.place)
    return [
        _Applying(
            charge := charges[one.charge_id],
            _taken(one, charge),
            one.error_kind,
            None if one.error_kind is None else _retry_on(charge, one.error_kind, policy),
            invoices[one.charge_id],
        )
        for one in fresh
    ]


def _retry_on(charge: _Charge, error_kind: str, policy: RetryPolicy) -> dt.date | None:
    """Return the day on which a charge is tried again, None if it is not."""
    rule = policy.rules.get(error_kind, RetryRule(0))
    if charge.attempt > rule.times:
        return None
    wanted = charge.debit_on + dt.timedelta(days=rule.after_days)
    return move_for_holidays(wanted, Rule.FOLLOWING, bank_days_of(charge.country))


async def _receive(
    connection: Connection,
    ledger: Ledger,
    recorded: Recorded,
    message_hashes: npt.NDArray[np.void],
    place: Place,
    applying: Sequence[_Applying],
    arrival: Arrival,
) -> list[Repayment | None]:
    """Receive what was taken of each charge; None for one of which nothing was."""
    money = [
        Money(
            one.charge.customer_id,
            one.charge.customer,
            one.charge.asset_id,
            one.charge.asset,
            one.taken,
            BANK_DEBIT,
            str(one.charge.charge_id),
            arrival.received_on,
            arrival.from_account,
            invoices=one.invoices,
        )
        for one in applying
        if one.taken
    ]
    received = iter(await receive(connection, ledger, recorded, message_hashes, place, money))
    return [next(received) if one.taken else None for one in applying]


async def _keep(
    connection: Connection, recorded: Recorded, applying: Sequence[_Applying], repaid: Sequence[Repayment | None]
) -> None:
    if applying:
        await _insert_outcomes(
            connection,
            recorded.book_id,
            recorded.message_place,
            recorded.at,
            [one.charge.charge_id for one in applying],
            [one.taken for one in applying],
            [one.error_kind for one in applying],
            [one.retry_on for one in applying],
            [repayment.id if repayment else None for repayment in repaid],
        )


def _refused(outcome: Outcome, error: TallystickError) -> OutcomeApplied:
    return OutcomeApplied(outcome.charge_id, "refused", 0, 0, None, error.code, error.message)


def _told(one: _Applying) -> Told:
    charge = one.charge
    return Told(
        "charge.failed",
        f"customer/{charge.customer}",
        {
            "charge_id": charge.charge_id,
            "customer": charge.customer,
            "asset": charge.asset,
            "amount": charge.amount,
            "taken": one.taken,
            "error_kind": one.error_kind,
            "retry_on": one.retry_on,
            "invoices": sorted(one.invoices),
        },
    )


async def set_retry_policy(connection: Connection, recorded: Recorded, policy: RetryPolicy) -> None:
    """Let a policy say from now on what is done about charges that fail."""
    await enter_to_decide(connection, recorded.book_id)
    rules = msgspec.json.encode(policy.rules).decode()
    await _insert_retry_policy(connection, recorded.book_id, rules, recorded.message_place, recorded.at)


async def find_retry_policy(connection: Connection, book_id: int, place: int) -> RetryPolicy:
    """Return what is done about charges that fail, as of a place in the order."""
    rules: str | None = await _find_retry_policy(connection, book_id, place)
    return RETRIES if rules is None else RetryPolicy(msgspec.json.decode(rules, type=dict[str, RetryRule]))
