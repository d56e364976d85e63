"""Kinds of records: the one list of what messages make."""

from dataclasses import dataclass
from typing import NamedTuple


class Key(NamedTuple):
    """By which columns of its table a record is named; a part that its key does not take is null."""

    u: str = "NULL::uuid"
    a: str = "NULL::bigint"
    b: str = "NULL::bigint"
    t: str = "NULL::text"
    at: str = "NULL::timestamptz"


@dataclass(frozen=True, slots=True)
class Kind:
    """
    A kind of record, and the tables that its facts lie in.

    ``kinds.sql`` has the SQL: ``made`` finds those of a message by their key, or ``made_NAME`` where they have none here;
    ``told_NAME`` tells of one.
    """

    name: str
    table: str
    """Each of its rows is one record."""
    key: Key | None = None
    order: str = ""
    """In which order those of a message are told; that of the first part of the key if left out."""
    beside: tuple[str, ...] = ()
    """Tables that say more of the same records."""

    @property
    def first(self) -> str:
        """Return what those of a message are sorted by."""
        return self.order or next(part for part in self.key or () if not part.startswith("NULL"))


KINDS = (
    Kind("receipt", "receipt", Key(u="receipt_id")),
    Kind("repayment", "repayment", Key(u="repayment_id"), beside=("repayment_allocation",)),
    Kind("repayment_return", "repayment_return", Key(u="return_id"), beside=("allocation_undo",)),
    Kind("charge_outcome", "charge_outcome", Key(u="charge_id")),
    Kind("charge", "charge", Key(u="charge_id")),
    Kind("payment", "payment", Key(u="payment_id")),
    Kind("payment_step", "payment_step", Key(u="payment_id", t="step")),
    Kind("refund", "refund", Key(u="refund_id")),
    Kind("refund_step", "refund_step", Key(u="refund_id", t="step")),
    Kind("dispute", "dispute", Key(u="dispute_id")),
    Kind("dispute_end", "dispute_end", Key(u="dispute_id")),
    Kind("invoice", "invoice_issue", Key(u="invoice_id"), order="series, number"),
    Kind(
        "invoice_state",
        "invoice_state",
        Key(u="invoice_id", a="transaction_id", b="message_place::bigint", t="state"),
        order="invoice_id, state",
    ),
    Kind(
        "credit_note",
        "credit_note",
        Key(u="credit_note_id"),
        order="series, number",
        beside=("credit_note_line", "credit_note_tax"),
    ),
    Kind(
        "draft",
        "invoice",
        Key(u="invoice_id"),
        order="customer_id, product, asset_id",
        beside=("invoice_line", "invoice_request"),
    ),
    Kind(
        "debit_agreement",
        "debit_agreement",
        Key(a="transaction_id", b="message_place::bigint", t="customer_id::text"),
        order="customer_id",
    ),
    Kind("credit_use", "credit_use", Key(u="transfer_id")),
    Kind("credit_end", "credit_end", Key(u="grant_id")),
    Kind("credit_grant", "credit_grant", Key(u="grant_id")),
    Kind(
        "wallet_low",
        "wallet_low",
        Key(a="transaction_id", b="customer_id", t="asset_id::text"),
        order="customer_id, asset_id",
    ),
    Kind("event", "event", Key(u="event_id"), order="position"),
    Kind("tax_rate", "tax_rate", Key(a="transaction_id", b="message_place::bigint"), order="name"),
    Kind("tax_customer", "tax_customer", Key(a="transaction_id", b="message_place::bigint"), order="customer_id"),
    Kind("transfer", "transfer", beside=("transfer_reference", "hold", "hold_use", "sweep", "reversal")),
    Kind("subscription", "subscription", Key(t="subscription_id")),
    Kind(
        "subscription_revision",
        "subscription_revision",
        Key(a="revision::bigint", t="subscription_id"),
        order="subscription_id, revision",
    ),
    Kind(
        "subscription_bill", "subscription_bill", Key(t="subscription_id", at="due_at"), order="subscription_id, due_at"
    ),
    Kind("plan", "plan_version", Key(t="plan", at="effective_at"), order="plan, effective_at"),
    Kind("account", "account", Key(a="account_id")),
    Kind("account_limit", "account_limit", Key(a="account_id", b="transaction_id")),
    Kind("account_metadata", "account_metadata", Key(a="account_id", b="transaction_id")),
    Kind("account_closing", "account_closing", Key(a="account_id")),
    Kind("asset", "asset", Key(a="asset_id::bigint"), order="asset_id"),
    Kind("billing_zone", "billing_zone", Key(t="product")),
    Kind("price", "price", Key(t="product || '/' || charge", at="effective_at"), order="product, charge, effective_at"),
    Kind("meter", "meter", Key(t="code")),
    Kind("billable_rule", "billable_rule"),
    Kind("customer", "customer", Key(a="customer_id")),
    Kind("usage", "usage_event"),
    Kind("usage_correction", "usage_correction", Key(u="event_key", a="transaction_id", b="message_place::bigint")),
    Kind(
        "usage_conflict",
        "usage_conflict",
        Key(u="event_key", a="transaction_id", b="message_place::bigint", t="position::text"),
        order="position",
    ),
    Kind("usage_not_billable", "usage_not_billable"),
    Kind(
        "usage_month",
        "usage_month_event",
        Key(a="transaction_id", b="message_place::bigint", t="month || '/' || piece"),
        order="month, piece",
    ),
    Kind("usage_retention", "usage_retention"),
    Kind("key", "api_key", Key(u="key_id")),
    Kind("key_revocation", "api_key_revocation", Key(u="key_id")),
)
"""In the order in which they are told: what matters most to whoever asks comes first."""

NO_RECORDS = {
    "allocation_policy": "its message says all of it: by what money is placed on invoices",
    "slip": "its message says all of it: a slip asks for invoices, and its money is a repayment",
    "slip_notice": "its message says all of it: what a store says",
    "slip_withdrawal": "its message says all of it: what a store takes back",
    "slip_settlement": "its repayment is the record of it",
    "slip_cancellation": "its message says all of it: which slip is not to be paid any more",
    "dunning_rules": "its message says all of it: who is reminded when, and what being late costs",
    "reminder": "its message says all of it: who was reminded of what; a late fee is an invoice",
    "batch_run": "its message says all of it: which run began",
    "batch_run_note": "its message says all of it: what a chunk of a run came to",
    "bank_file": "its message says all of it: which day's charges a bank was given",
    "bank_statement": "its message says all of it: what a bank told",
    "bank_entry": "its message says all of it: what a bank told",
    "bank_match": "its repayment, or what took that back, is the record of it",
    "provider_event": "its message says all of it: what a provider told by webhook",
    "late_capture": "it is told as an event: the money of a payment that had failed is in no account",
    "payout_report": "its message says all of it: what a provider told of a payout",
    "payout_line": "its message says all of it: what a provider told of a payout",
    "payout": "its transfers are the record of it: what is on its way to the bank, and the fees",
    "payout_step": "its message says all of it: what became of a payout; what moved is a transfer",
    "payout_match": "what a line was found to be is a record already, and what moved for it a transfer",
    "payout_match_undo": "what moved back is a transfer, and its message says why",
    "payout_arrival_undo": "what moved back is a transfer, and its message says why",
    "charge_retry_policy": "its message says all of it: when a charge that failed is tried again",
    "message": "it is what makes records",
    "invoice_series": "its message says all of it: which series numbers are of",
    "credit_unit": "its message says all of it: which meter credits in an asset pay for",
    "alert_rule": "its message says all of it: what others are told of when it goes beyond what",
    "alert": "it is told as an event",
    "webhook_endpoint": "its message says all of it: who is told of what",
    "wallet_threshold": "its message says all of it: below how much a wallet is low",
    "tax_rounding": "its message says all of it: how a jurisdiction rounds",
    "tax_answer": "its message says all of it: what an engine outside was asked and what it answered",
    "party": "its message says all of it, and what people are called stands in no list of records",
    "tax_category": "its message says all of it: the category of a product or a charge",
    "message_attachment": "it is a part of its message",
    "exchange": "it is told by its legs, which are transfers, and by its message, which says the rate",
    "batch": "it repeats the transfers of a transaction, for the log",
    "net_change": "it repeats the transfers of a transaction, by account",
    "dated_change": "it repeats the transfers of a transaction, by account and the time they count from",
    "balance_snapshot": "it repeats net changes, added up",
    "sealed_batch": "the log gives a transaction's transfers their places; no message does",
}
"""Tables that name a transaction and hold no records of messages, each with the reason."""
