"""
What a movement of PayPal's is, by its T-code, and which of them are payouts.

The first two digits are the group, and it alone says enough wherever PayPal adds codes to it.
"""

import datetime as dt
import re
from typing import Final

from tallystick.payments.providers.paypal.answers import Movement
from tallystick.payments.providers.protocol import (
    PayoutLine,
    PayoutLineKind,
    PayoutStatus,
    ProviderPayout,
    ProviderRefused,
)

_PAYOUT_GROUP: Final = "T04"
"""Withdrawals to the bank, made by hand or swept by PayPal."""

_RECEIVED_GROUP: Final = "T00"
_FEE_GROUP: Final = "T01"

_OF_CODE: Final = {
    "T1107": PayoutLineKind.REFUND,
    "T1108": PayoutLineKind.FEE,  # a fee given back
    "T1109": PayoutLineKind.FEE,
    "T1106": PayoutLineKind.DISPUTE,  # a payment that PayPal itself took back
    "T1110": PayoutLineKind.DISPUTE,  # held while a dispute is open
    "T1111": PayoutLineKind.DISPUTE_REVERSED,
    "T1201": PayoutLineKind.DISPUTE,  # a chargeback of a card
    "T1202": PayoutLineKind.DISPUTE_REVERSED,
    "T1205": PayoutLineKind.DISPUTE_REVERSED,
    "T1208": PayoutLineKind.DISPUTE_REVERSED,
}
"""What is neither here nor in a group above is an adjustment, and somebody looks at it."""

_MONEY_IN: Final = {PayoutLineKind.CHARGE, PayoutLineKind.DISPUTE_REVERSED}
_MONEY_OUT: Final = {PayoutLineKind.REFUND, PayoutLineKind.DISPUTE}

_STATUS: Final = {"S": PayoutStatus.PAID, "P": PayoutStatus.PENDING, "V": PayoutStatus.FAILED, "D": PayoutStatus.FAILED}

_TIME: Final = "%Y%m%dT%H%M%S.%f"
_PAYOUT_ID: Final = re.compile(r"(?P<at>[0-9]{8}T[0-9]{6}\.[0-9]{6})_(?P<id>[A-Za-z0-9]{1,64})", re.ASCII)


def is_payout(movement: Movement) -> bool:
    """Say whether *movement* is money on its way to our bank, or from there."""
    return movement.transaction_event_code.startswith(_PAYOUT_GROUP)


def payout_id_of(movement: Movement) -> str:
    """
    Name a payout by its time and its id.

    PayPal finds a movement again only by when it was: its ids alone are looked up in 31 days at a time.
    """
    return f"{movement.at:{_TIME}}_{movement.transaction_id}"


def taken_apart(payout_id: str) -> tuple[dt.datetime, str]:
    """
    Return the time and PayPal's id that a payout is named by.

    Raises:
        ProviderRefused: it is none of the names that we give (``payments.provider_refused``).
    """
    parts = _PAYOUT_ID.fullmatch(payout_id)
    if parts is None:
        raise ProviderRefused(reason="there is no such payout")
    try:
        at = dt.datetime.strptime(f"{parts['at']}+0000", f"{_TIME}%z")
    except ValueError:
        raise ProviderRefused(reason="there is no such payout") from None
    return at, parts["id"]


def payout_of(movement: Movement) -> ProviderPayout:
    """
    Return the payout that a withdrawal is; PayPal does not tell when it arrives, so the day it left stands for that.

    Raises:
        ProviderUnreachable: its amount or time cannot be read.
    """
    return ProviderPayout(
        id=payout_id_of(movement),
        status=_STATUS.get(movement.transaction_status, PayoutStatus.PENDING),
        amount=-movement.transaction_amount.minor,
        currency=movement.transaction_amount.currency_code,
        arrives_on=movement.at.date(),
    )


def kind_of(movement: Movement) -> PayoutLineKind:
    """Return what kind of line *movement* makes; one whose money goes the wrong way for it is an adjustment."""
    code, amount = movement.transaction_event_code, movement.transaction_amount.minor
    if code.startswith(_FEE_GROUP):
        return PayoutLineKind.FEE
    received = code.startswith(_RECEIVED_GROUP)
    kind = PayoutLineKind.CHARGE if received else _OF_CODE.get(code, PayoutLineKind.ADJUSTMENT)
    wrong_way = (kind in _MONEY_IN and amount < 0) or (kind in _MONEY_OUT and amount > 0)
    return PayoutLineKind.ADJUSTMENT if wrong_way else kind


def line_of(movement: Movement, transaction_id: str | None, dispute_id: str | None, about: str) -> PayoutLine:
    """
    Return the line of a report that *movement* makes; *about* is what there is to say beside its code.

    Raises:
        ProviderUnreachable: its amount or time cannot be read.
    """
    kind, gross = kind_of(movement), movement.transaction_amount.minor
    kept = 0 if movement.fee_amount is None else -movement.fee_amount.minor
    fee_only = kind is PayoutLineKind.FEE
    return PayoutLine(
        id=f"{movement.transaction_id}.{movement.transaction_event_code}",
        kind=kind,
        amount=0 if fee_only else gross,
        fee=kept - gross if fee_only else kept,
        currency=movement.transaction_amount.currency_code,
        occurred_at=movement.at,
        transaction_id=transaction_id,
        refund_id=movement.transaction_id if kind is PayoutLineKind.REFUND else None,
        dispute_id=dispute_id,
        description=f"{movement.transaction_event_code} {about}".strip(),
    )
