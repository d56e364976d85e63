"""Events: the closed list of what others are told, each with its data."""

import datetime as dt
import uuid
from dataclasses import dataclass
from decimal import Decimal
from typing import Literal

import msgspec


class EventData(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True, omit_defaults=True):
    """What an event says: ids, amounts in minor units with their asset, instants. Nothing that names a person."""


class InvoiceData(EventData, frozen=True, kw_only=True):
    """An invoice as it stood when it was told."""

    invoice_id: uuid.UUID
    customer: str
    """The customer's reference, as the caller gave it."""
    product: str
    asset: str
    total: int
    """Minor units."""
    outstanding: int
    """Minor units still owed."""
    number: str | None = None
    """As it is printed; absent while it is a draft."""
    due_on: dt.date | None = None
    reason: str | None = None
    """Why it was voided, written off or opened again, where somebody said why."""


class PaymentData(EventData, frozen=True, kw_only=True):
    """A payment and what became of it."""

    payment_id: uuid.UUID
    invoice_id: uuid.UUID
    customer: str
    asset: str
    amount: int
    """Minor units."""
    provider: str
    transaction_id: str | None = None
    """The provider's id; absent when it never gave one."""
    receipt_id: uuid.UUID | None = None
    """Of a payment that succeeded."""
    reason: str | None = None
    """Of a payment that failed."""


class LateCaptureData(EventData, frozen=True, kw_only=True):
    """A payment that had failed, and whose money the provider took all the same."""

    payment_id: uuid.UUID
    invoice_id: uuid.UUID
    customer: str
    asset: str
    amount: int
    """Minor units, as the provider tells them."""
    provider: str
    transaction_id: str
    """The provider's id."""
    reason: str
    """Why the payment had failed."""


class PlacedAmount(EventData, frozen=True, kw_only=True):
    """How much of a repayment went to an invoice."""

    invoice_id: uuid.UUID
    amount: int
    """Minor units."""


class RepaymentData(EventData, frozen=True, kw_only=True):
    """Money that came in from a customer."""

    repayment_id: uuid.UUID
    customer: str
    asset: str
    amount: int
    """Minor units."""
    channel: str
    reference: str
    """The channel's own reference of the money."""
    unallocated: int
    """Minor units of it that no invoice took."""
    invoices: list[PlacedAmount]


class RefundData(EventData, frozen=True, kw_only=True):
    """Money that was given back to a customer."""

    refund_id: uuid.UUID
    customer: str
    asset: str
    amount: int
    """Minor units."""
    to_account: str
    """The ledger account that it went to."""
    reference: str
    reason: str


class PaymentRefundData(EventData, frozen=True, kw_only=True):
    """Money of a payment that was given back through its provider, or was to be."""

    refund_id: uuid.UUID
    payment_id: uuid.UUID
    invoice_id: uuid.UUID
    customer: str
    asset: str
    amount: int
    """Minor units."""
    provider: str
    provider_refund_id: str | None = None
    """The provider's id; absent when it never gave one."""
    reason: str
    """Why it was to be given back."""
    failure: str | None = None
    """Of a refund that failed: why, in the provider's words."""


class DisputeData(EventData, frozen=True, kw_only=True):
    """A payment whose money the customer's bank wants back."""

    dispute_id: uuid.UUID
    payment_id: uuid.UUID
    invoice_id: uuid.UUID
    customer: str
    asset: str
    amount: int
    """Minor units that the provider holds back."""
    provider: str
    provider_dispute_id: str
    reason: str
    """In the provider's words; may be empty."""
    answer_by: dt.datetime | None = None
    """Until when the provider takes evidence; absent when it does not say."""


class ChargeData(EventData, frozen=True, kw_only=True):
    """One charge on a customer's bank account that took nothing, or not all."""

    charge_id: uuid.UUID
    customer: str
    asset: str
    amount: int
    """Minor units asked for."""
    taken: int = 0
    """Minor units that were taken."""
    error_kind: str
    retry_on: dt.date | None = None
    """When it is tried again; absent: never."""
    invoices: list[uuid.UUID]


class BalanceData(EventData, frozen=True, kw_only=True):
    """A wallet that fell below its threshold."""

    customer: str
    asset: str
    balance: int
    """Minor units left."""
    threshold: int
    """Minor units."""


class SpendData(EventData, frozen=True, kw_only=True):
    """A customer's usage of a month that went beyond a rule's threshold."""

    rule: str
    kind: Literal["usage_quantity", "usage_amount"]
    customer: str
    window_start: dt.datetime
    window_end: dt.datetime
    value: Decimal
    """What it has come to: metered units, or minor units of the asset."""
    threshold: Decimal
    meter: str | None = None
    product: str | None = None
    asset: str | None = None
    explanation: str


class FraudData(EventData, frozen=True, kw_only=True):
    """What a rule finds suspicious; a person should look, nothing was stopped."""

    rule: str
    kind: str
    customer: str
    window_start: dt.datetime
    window_end: dt.datetime
    value: Decimal
    """What was found: a count, metered units, or minor units of the asset."""
    threshold: Decimal
    """What it is beyond."""
    asset: str | None = None
    meter: str | None = None
    explanation: str
    """The rule and its numbers in a sentence."""


class EndpointData(EventData, frozen=True, kw_only=True):
    """An endpoint that is sent nothing any more."""

    endpoint_id: uuid.UUID
    reason: str
    failing_since: dt.datetime | None = None
    """Where it was disabled for failing: since when nothing it was sent went well."""


class TestData(EventData, frozen=True, kw_only=True):
    """A try-out of one endpoint."""

    endpoint_id: uuid.UUID


@dataclass(frozen=True, slots=True)
class EventType:
    """One kind of event."""

    name: str
    data: type[EventData]
    subject: str
    """What its events are about; those of one subject arrive in the order in which they were told."""
    when: str


_INVOICE, _PAYMENT, _CUSTOMER = "invoice/<id>", "payment/<id>", "customer/<reference>"

EVENT_TYPES: dict[str, EventType] = {
    one.name: one
    for one in (
        EventType("invoice.issued", InvoiceData, _INVOICE, "it got its number and is owed"),
        EventType("invoice.due", InvoiceData, _INVOICE, "its due date has come, and something is outstanding"),
        EventType("invoice.partly_paid", InvoiceData, _INVOICE, "a part of it was paid"),
        EventType("invoice.paid", InvoiceData, _INVOICE, "nothing is outstanding any more"),
        EventType("invoice.overdue", InvoiceData, _INVOICE, "its due date has gone by, and something is outstanding"),
        EventType("invoice.void", InvoiceData, _INVOICE, "it was voided: nobody owes it"),
        EventType("invoice.written_off", InvoiceData, _INVOICE, "what is outstanding was given up"),
        EventType("invoice.reopened", InvoiceData, _INVOICE, "what had paid it was taken back"),
        EventType("payment.succeeded", PaymentData, _PAYMENT, "the money was taken and is in the ledger"),
        EventType("payment.failed", PaymentData, _PAYMENT, "no money was taken, and none will be"),
        EventType(
            "payment.captured_late",
            LateCaptureData,
            _PAYMENT,
            "it had failed, and the provider took its money all the same; a person has to say where it goes",
        ),
        EventType("payment.refunded", PaymentRefundData, _PAYMENT, "the provider gave money of it back"),
        EventType(
            "refund.failed",
            PaymentRefundData,
            _PAYMENT,
            "the provider does not give it back; it lies where it was taken from",
        ),
        EventType(
            "dispute.opened",
            DisputeData,
            _PAYMENT,
            "the customer's bank wants the money back, and the provider holds it",
        ),
        EventType("dispute.won", DisputeData, _PAYMENT, "the money is ours again"),
        EventType("dispute.lost", DisputeData, _PAYMENT, "the money is the customer's again"),
        EventType("repayment.received", RepaymentData, _CUSTOMER, "money came in by any channel"),
        EventType("repayment.refunded", RefundData, _CUSTOMER, "what lay unallocated was given back"),
        EventType("charge.failed", ChargeData, _CUSTOMER, "the bank took nothing, or not all"),
        EventType("balance.low", BalanceData, _CUSTOMER, "a wallet fell below its threshold"),
        EventType("spend.threshold", SpendData, _CUSTOMER, "usage of a month went beyond a rule's threshold"),
        EventType("fraud.suspected", FraudData, _CUSTOMER, "a rule finds something suspicious"),
        EventType("endpoint.disabled", EndpointData, "endpoint/<id>", "an endpoint is sent nothing any more"),
        EventType("webhook.test", TestData, "endpoint/<id>", "somebody tries an endpoint out; told to that one alone"),
    )
}
"""Everything that others are told of."""


@dataclass(frozen=True, slots=True)
class Told:
    """An event on its way into the outbox."""

    type: str
    """One of `EVENT_TYPES`."""
    subject: str
    """What it is about, such as ``invoice/<id>``."""
    data: dict[str, object]
    """The fields of the type's data."""
