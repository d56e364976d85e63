"""Apply results: what a bank says of many debits, in major units, becomes the outcomes of charges."""

import datetime as dt
import uuid
from collections.abc import Sequence
from decimal import Decimal

import msgspec
import numpy as np
import numpy.typing as npt

from tallystick.collecting.bank.enter import enter_to_apply
from tallystick.collecting.bank.read_results import minor_units
from tallystick.db.queries import Connection, queries_beside
from tallystick.errors import InvalidInput
from tallystick.ledger.accounts import Recorded
from tallystick.ledger.post import Ledger
from tallystick.repayments.apply_outcomes import Arrival, Outcome, apply_outcomes
from tallystick.repayments.errors import UnknownCharge
from tallystick.repayments.model import OutcomeApplied, OutcomesApplied

_queries = queries_beside(__file__)
_find_exponents = _queries.tuples("find_exponents")
_DIGITS = 18


class ChargeResult(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What the bank says became of a charge."""

    charge: uuid.UUID
    amount: Decimal | None = None
    """Major units that were taken; null: all of it, or nothing if there is an error."""
    error_kind: str | None = None


async def apply_results(
    connection: Connection,
    ledger: Ledger,
    recorded: Recorded,
    message_hashes: npt.NDArray[np.void],
    results: Sequence[ChargeResult],
    received_on: dt.date,
) -> OutcomesApplied:
    """
    Apply what a bank says, each result for itself: one that cannot be applied is told, and the others are.

    Raises:
        InvalidInput: a charge is named twice, or the money moves more often than fits into one batch (``invalid_input``).
    """
    await enter_to_apply(connection, recorded.book_id)
    told = [one.charge for one in results if one.amount is not None]
    exponents = dict(await _find_exponents(connection, recorded.book_id, told)) if told else {}
    refused: dict[uuid.UUID, OutcomeApplied] = {}
    outcomes = []
    for one in results:
        try:
            outcomes.append(_outcome(one, exponents.get(one.charge)))
        except (UnknownCharge, InvalidInput) as error:
            refused[one.charge] = OutcomeApplied(one.charge, "refused", 0, 0, None, error.code, error.message)
    applied = await apply_outcomes(
        connection, ledger, recorded, message_hashes, outcomes, Arrival(None, received_on)
    )  # fmt: skip
    answers = refused | {one.charge: one for one in applied.items}
    return OutcomesApplied([answers[one.charge] for one in results])


def _outcome(one: ChargeResult, exponent: int | None) -> Outcome:
    if one.amount is None:
        return Outcome(one.charge, None, one.error_kind)
    if exponent is None:
        raise UnknownCharge(field="charge", charge=one.charge)
    if not one.amount.is_finite() or one.amount < 0 or one.amount.adjusted() > _DIGITS:
        raise InvalidInput(field="amount", rule=f"{one.amount} is no amount that a bank could take")
    try:
        return Outcome(one.charge, minor_units(one.amount, exponent), one.error_kind)
    except ValueError as error:
        raise InvalidInput(field="amount", rule=str(error)) from error
