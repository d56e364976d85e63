"""What the sandbox owes its merchant: a line for each movement of money, until a payout takes it; pure."""

from collections.abc import Iterable
from typing import Final

import msgspec

from tallystick.payments.providers.protocol import (
    DisputeStatus,
    PayoutLine,
    PayoutLineKind,
    ProviderDispute,
    ProviderRefund,
    ProviderTransaction,
    RefundStatus,
    TransactionStatus,
)
from tallystick.payments.providers.sandbox.change import Call, Change

FEE_BASIS_POINTS: Final = 140
FEE_FIXED: Final = 25
"""What a charge costs in minor units beside its basis points, never more than the charge."""

DISPUTE_FEE: Final = 1500
"""What a dispute costs while it is open and when it is lost, in minor units."""

_WHOLE = 10_000


def fee_of(amount: int) -> int:
    """Return what the sandbox keeps of a charge, rounded half up."""
    return min(amount, (amount * FEE_BASIS_POINTS + _WHOLE // 2) // _WHOLE + FEE_FIXED)


class Balance:
    """The lines that no payout has taken yet, by currency, in the order in which they came to be."""

    def __init__(self) -> None:
        """Owe nothing."""
        self._lines: dict[str, dict[str, PayoutLine]] = {}

    def waiting(self, currency: str) -> list[PayoutLine]:
        """Return the lines in *currency* that the next payout takes."""
        return list(self._lines.get(currency, {}).values())

    def owed(self) -> dict[str, int]:
        """Return what is owed by currency, after fees; below zero what the merchant owes."""
        return {currency: total(lines.values()) for currency, lines in self._lines.items() if lines}

    def apply(self, change: Change) -> None:
        """Add the line that *change* makes, or let go of those that it pays out."""
        if change.call is Call.PAY_OUT and change.payout is not None:
            waiting = self._lines.get(change.payout.currency, {})
            for taken in (*(line.id for line in change.lines), *change.left_out):
                waiting.pop(taken, None)
        elif (line := line_of(change)) is not None:
            self._lines.setdefault(line.currency, {})[line.id] = line


def total(lines: Iterable[PayoutLine]) -> int:
    """Return what *lines* add up to, after fees."""
    return sum(line.amount - line.fee for line in lines)


def line_of(change: Change) -> PayoutLine | None:
    """Return the line that *change* will be in the next payout's report; None if it moves no money."""
    match change:
        case Change(transaction=ProviderTransaction(status=TransactionStatus.CAPTURED) as taken):
            fee = fee_of(taken.amount)
            return _line(change, PayoutLineKind.CHARGE, taken.amount, fee, taken.currency, transaction_id=taken.id)
        case Change(refund=ProviderRefund() as refund):
            return _line_of_refund(change, refund)
        case Change(dispute=ProviderDispute() as dispute):
            return _line_of_dispute(change, dispute)
        case Change(call=Call.CHARGE_FEE | Call.ADJUST | Call.FAIL_PAYOUT, lines=(line,)):
            return line
        case _:
            return None


def _line_of_refund(change: Change, refund: ProviderRefund) -> PayoutLine | None:
    """Take the money when the refund is made, and give it back when it fails after that."""
    if change.call is Call.REFUND:
        if refund.status is RefundStatus.FAILED:
            return None
        kind, amount = PayoutLineKind.REFUND, -refund.amount
    elif refund.status is RefundStatus.FAILED:
        kind, amount = PayoutLineKind.REFUND_FAILED, refund.amount
    else:
        return None
    line = _line(change, kind, amount, 0, refund.currency, transaction_id=refund.transaction_id)
    return msgspec.structs.replace(line, refund_id=refund.id)


def _line_of_dispute(change: Change, dispute: ProviderDispute) -> PayoutLine | None:
    """Hold the money and a fee back while it is open, and give both back when it is won."""
    if dispute.status is DisputeStatus.LOST:
        return None
    won = dispute.status is DisputeStatus.WON
    kind = PayoutLineKind.DISPUTE_REVERSED if won else PayoutLineKind.DISPUTE
    amount, fee = (dispute.amount, -DISPUTE_FEE) if won else (-dispute.amount, DISPUTE_FEE)
    line = _line(change, kind, amount, fee, dispute.currency, transaction_id=dispute.transaction_id)
    return msgspec.structs.replace(line, dispute_id=dispute.id)


def _line(
    change: Change, kind: PayoutLineKind, amount: int, fee: int, currency: str, *, transaction_id: str | None
) -> PayoutLine:
    own = change.id or transaction_id
    return PayoutLine(f"lin_{own}", kind, amount, fee, currency, change.at, transaction_id=transaction_id)
