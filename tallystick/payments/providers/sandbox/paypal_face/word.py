"""How PayPal words what the sandbox's register holds; pure."""

import datetime as dt
from collections.abc import Iterable, Mapping
from decimal import Decimal, InvalidOperation
from typing import Any, Final

from tallystick.money import currency
from tallystick.payments.providers.protocol import (
    DisputeStatus,
    PayoutLine,
    PayoutLineKind,
    PayoutStatus,
    ProviderDispute,
    ProviderPayout,
    ProviderRefund,
    ProviderTransaction,
    RefundStatus,
    TransactionStatus,
)
from tallystick.payments.providers.sandbox.change import Refusal

WHOLE_ONLY: Final = ("HUF", "JPY", "TWD")

GIVEN_UP: Final = "Given up"

_PREFIX: Final = 3

_ORDER: Final = {
    TransactionStatus.CREATED: "APPROVED",
    TransactionStatus.ACTION_REQUIRED: "PAYER_ACTION_REQUIRED",
    TransactionStatus.CANCELED: "APPROVED",
}
_CAPTURE: Final = {
    TransactionStatus.CAPTURED: "COMPLETED",
    TransactionStatus.PROCESSING: "PENDING",
    TransactionStatus.DECLINED: "DECLINED",
}
_REFUND: Final = {
    RefundStatus.PENDING: "PENDING",
    RefundStatus.SUCCEEDED: "COMPLETED",
    RefundStatus.FAILED: "FAILED",
}
_OUTCOME: Final = {DisputeStatus.WON: "RESOLVED_SELLER_FAVOUR", DisputeStatus.LOST: "RESOLVED_BUYER_FAVOUR"}
_CODE: Final = {
    PayoutLineKind.CHARGE: "T0006",
    PayoutLineKind.REFUND: "T1107",
    PayoutLineKind.REFUND_FAILED: "T1100",
    PayoutLineKind.DISPUTE: "T1110",
    PayoutLineKind.DISPUTE_REVERSED: "T1111",
    PayoutLineKind.FEE: "T0100",
    PayoutLineKind.ADJUSTMENT: "T1200",
}
_RETURNED: Final = "T1101"
_WITHDRAWN: Final = "T0401"
_PAYOUT: Final = {PayoutStatus.PENDING: "P", PayoutStatus.PAID: "S", PayoutStatus.FAILED: "V"}


def to_paypal(own: str) -> str:
    """Write one of the sandbox's ids as PayPal writes its own: capitals and digits."""
    return own.replace("_", "", 1).upper()


def from_paypal(theirs: str) -> str:
    """Return the sandbox's id behind one that `to_paypal` wrote."""
    return f"{theirs[:_PREFIX]}_{theirs[_PREFIX:]}".lower()


def capture_of(own: str) -> str:
    """Name the capture of a transaction."""
    return f"CAP{own.partition('_')[2].upper()}"


def captured_by(theirs: str) -> str:
    """Return the transaction whose capture has a name."""
    return f"sbx_{theirs.removeprefix('CAP').lower()}"


def to_money(minor: int, code: str) -> dict[str, str]:
    """Write an amount."""
    exponent = currency(code).exponent
    value = Decimal(minor).scaleb(-exponent)
    return {"currency_code": code, "value": f"{value:.{0 if code in WHOLE_ONLY else exponent}f}"}


def from_money(value: str, code: str) -> int:
    """
    Read an amount.

    Raises:
        Refusal: it is none that PayPal would take.
    """
    try:
        minor = Decimal(value).scaleb(currency(code).exponent)
    except (ValueError, InvalidOperation):
        raise Refusal(400, "INVALID_PARAMETER_SYNTAX") from None
    if code in WHOLE_ONLY and "." in value:
        raise Refusal(422, "DECIMALS_NOT_SUPPORTED")
    if minor != minor.to_integral_value():
        raise Refusal(422, "DECIMAL_PRECISION")
    if minor <= 0:
        raise Refusal(422, "CANNOT_BE_ZERO_OR_NEGATIVE")
    return int(minor)


def order(paid: ProviderTransaction, refunds: Iterable[ProviderRefund], page: str) -> dict[str, Any]:
    """Word a transaction as an order; its customer approves it at *page*."""
    unit: dict[str, Any] = {
        "custom_id": paid.reference,
        "invoice_id": paid.reference,
        "amount": to_money(paid.amount, paid.currency),
        "payments": {"captures": captures(paid), "refunds": [refund(one) for one in refunds]},
    }
    if paid.status is TransactionStatus.CANCELED:
        unit["description"] = GIVEN_UP
    status = _ORDER.get(paid.status, "COMPLETED")
    links = [{"href": page, "rel": "payer-action", "method": "GET"}] if status == "PAYER_ACTION_REQUIRED" else []
    return {"id": to_paypal(paid.id), "intent": "CAPTURE", "status": status, "purchase_units": [unit], "links": links}


def captures(paid: ProviderTransaction) -> list[dict[str, Any]]:
    """Word what was captured of a transaction: nothing, or all of it."""
    status = _CAPTURE.get(paid.status)
    if status is None:
        return []
    worded = {
        "id": capture_of(paid.id),
        "status": status,
        "amount": to_money(paid.amount, paid.currency),
        "custom_id": paid.reference,
        "invoice_id": paid.reference,
        "supplementary_data": {"related_ids": {"order_id": to_paypal(paid.id)}},
    }
    return [worded]


def refund(made: ProviderRefund) -> dict[str, Any]:
    """Word a refund."""
    worded: dict[str, Any] = {
        "id": to_paypal(made.id),
        "status": _REFUND[made.status],
        "amount": to_money(made.amount, made.currency),
        "custom_id": made.reference,
        "links": [{"href": f"/v2/payments/captures/{capture_of(made.transaction_id)}", "rel": "up", "method": "GET"}],
    }
    return worded | ({"status_details": {"reason": "ECHECK"}} if made.status is RefundStatus.FAILED else {})


def dispute(opened: ProviderDispute) -> dict[str, Any]:
    """Word a dispute."""
    decided = _OUTCOME.get(opened.status)
    worded: dict[str, Any] = {
        "dispute_id": to_paypal(opened.id),
        "disputed_transactions": [{"seller_transaction_id": capture_of(opened.transaction_id)}],
        "reason": opened.reason.upper(),
        "status": "RESOLVED" if decided else "WAITING_FOR_SELLER_RESPONSE",
        "dispute_amount": to_money(opened.amount, opened.currency),
    }
    if decided:
        worded["dispute_outcome"] = {"outcome_code": decided}
    if opened.answer_by is not None:
        worded["seller_response_due_date"] = opened.answer_by.isoformat()
    return worded


def movement(line: PayoutLine) -> dict[str, Any]:
    """Word a line of a report as a movement of the account."""
    theirs, code, gross, kept = to_paypal(line.id), _CODE[line.kind], line.amount, line.fee
    reference: dict[str, str] = {}
    match line.kind:
        case PayoutLineKind.CHARGE:
            theirs = capture_of(line.transaction_id or line.id)
        case PayoutLineKind.REFUND:
            theirs, reference = to_paypal(line.refund_id or line.id), _follows(line)
        case PayoutLineKind.FEE:
            gross, kept = line.amount - line.fee, 0
        case PayoutLineKind.ADJUSTMENT if "pay_" in line.description:
            returned = next(word for word in line.description.split() if word.startswith("pay_"))
            code, reference = _RETURNED, {"paypal_reference_id": to_paypal(returned), "paypal_reference_id_type": "TXN"}
        case PayoutLineKind.DISPUTE | PayoutLineKind.DISPUTE_REVERSED | PayoutLineKind.REFUND_FAILED:
            reference = _follows(line)
    fee = {"fee_amount": to_money(-kept, line.currency)} if kept else {}
    return {**_moved(theirs, code, "S", line.occurred_at, gross, line.currency), **fee, **reference}


def withdrawal(paid: ProviderPayout, at: dt.datetime, *, with_balance: bool) -> dict[str, Any]:
    """Word a payout as a movement of the account; the sandbox pays out all there is, so nothing is left."""
    worded = _moved(to_paypal(paid.id), _WITHDRAWN, _PAYOUT[paid.status], at, -paid.amount, paid.currency)
    return worded | ({"ending_balance": to_money(0, paid.currency)} if with_balance else {})


def wrong(refusal: Refusal) -> tuple[int, Mapping[str, Any]]:
    """Word a refusal: the status, and what PayPal writes beside it."""
    known = {
        "transaction_unknown": (404, "INVALID_RESOURCE_ID"),
        "refund_unknown": (404, "INVALID_RESOURCE_ID"),
        "dispute_unknown": (404, "INVALID_RESOURCE_ID"),
        "already_captured": (422, "ORDER_ALREADY_CAPTURED"),
        "already_processing": (422, "ORDER_ALREADY_CAPTURED"),
        "already_declined": (422, "INSTRUMENT_DECLINED"),
        "already_canceled": (422, "ORDER_COMPLETED_OR_VOIDED"),
        "already_action_required": (422, "PAYER_ACTION_REQUIRED"),
        "more_than_is_left": (422, "REFUND_AMOUNT_EXCEEDED"),
        "currency_differs": (422, "REFUND_CAPTURE_CURRENCY_MISMATCH"),
    }
    status, issue = known.get(refusal.reason, (refusal.status, refusal.reason))
    name = {400: "INVALID_REQUEST", 404: "RESOURCE_NOT_FOUND", 409: "RESOURCE_CONFLICT"}.get(
        status, "UNPROCESSABLE_ENTITY"
    )
    return status, {"name": name, "message": "The requested action was not done.", "details": [{"issue": issue}]}


def _follows(line: PayoutLine) -> dict[str, str]:
    if line.transaction_id is None:
        return {}
    return {"paypal_reference_id": capture_of(line.transaction_id), "paypal_reference_id_type": "TXN"}


def _moved(theirs: str, code: str, status: str, at: dt.datetime, amount: int, code_of_currency: str) -> dict[str, Any]:
    return {
        "transaction_id": theirs,
        "transaction_event_code": code,
        "transaction_status": status,
        "transaction_initiation_date": f"{at:%Y-%m-%dT%H:%M:%S.%f%z}",
        "transaction_amount": to_money(amount, code_of_currency),
    }
