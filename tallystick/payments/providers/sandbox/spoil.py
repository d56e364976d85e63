"""What may be wrong with a payout's report, on order; pure."""

import datetime as dt
from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum

import msgspec

from tallystick.payments.providers.protocol import PayoutLine, PayoutLineKind
from tallystick.payments.providers.sandbox.change import Refusal

_STRANGE_AMOUNT = 777


class Flaw(Enum):
    """What is wrong; but for a late line the report adds up to the payout all the same."""

    WRONG_LINE = "wrong_line"
    """One line is of another amount than what happened."""
    MISSING_LINE = "missing_line"
    """Something that happened is in no report, and its money in no payout."""
    UNKNOWN_LINE = "unknown_line"
    """One line tells of a charge that nobody made."""
    LATE_LINE = "late_line"
    """When the report is read for the first time its last line is not there yet."""


@dataclass(frozen=True, slots=True)
class Report:
    """The lines that a payout tells of, and what is not right about them."""

    lines: tuple[PayoutLine, ...]
    held_back: int = 0
    left_out: tuple[str, ...] = ()


def spoil(waiting: Sequence[PayoutLine], flaw: Flaw | None, now: dt.datetime, token: str) -> Report:
    """
    Make the report of a payout of the lines *waiting*, at least one; *token* names what must be made up.

    Raises:
        Refusal: a line must be left out, and there is one only.
    """
    lines = tuple(waiting)
    which = next((place for place, line in enumerate(lines) if line.kind is PayoutLineKind.CHARGE), 0)
    chosen, others = lines[which], (*lines[:which], *lines[which + 1 :])
    match flaw:
        case None:
            return Report(lines)
        case Flaw.WRONG_LINE:
            wrong = msgspec.structs.replace(chosen, amount=chosen.amount + 1)
            return Report((*lines[:which], wrong, *lines[which + 1 :]))
        case Flaw.MISSING_LINE:
            if not others:
                raise Refusal(409, "nothing_to_pay_out_without_the_line")
            return Report(others, left_out=(chosen.id,))
        case Flaw.UNKNOWN_LINE:
            strange = PayoutLine(
                id=f"lin_{token}",
                kind=PayoutLineKind.CHARGE,
                amount=_STRANGE_AMOUNT,
                fee=0,
                currency=chosen.currency,
                occurred_at=now,
                transaction_id=f"sbx_{token}",
            )
            return Report((*lines, strange))
        case Flaw.LATE_LINE:
            return Report(lines, held_back=1)
