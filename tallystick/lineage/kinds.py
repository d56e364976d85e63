"""Kinds of records: the one list of what messages make."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Kind:
    """
    A kind of record, and the tables that its facts lie in.

    ``kinds.sql`` has the SQL: ``made_NAME`` finds those of a message and ``told_NAME`` tells of one.
    """

    name: str
    table: str
    """Each of its rows is one record."""
    beside: tuple[str, ...] = ()
    """Tables that say more of the same records."""


KINDS = (
    Kind("receipt", "receipt"),
    Kind("repayment", "repayment", ("repayment_allocation",)),
    Kind("repayment_return", "repayment_return", ("allocation_undo",)),
    Kind("charge_outcome", "charge_outcome"),
    Kind("charge", "charge"),
    Kind("payment", "payment"),
    Kind("payment_step", "payment_step"),
    Kind("refund", "refund"),
    Kind("refund_step", "refund_step"),
    Kind("dispute", "dispute"),
    Kind("dispute_end", "dispute_end"),
    Kind("invoice", "invoice_issue"),
    Kind("invoice_state", "invoice_state"),
    Kind("credit_note", "credit_note", ("credit_note_line", "credit_note_tax")),
    Kind("draft", "invoice", ("invoice_line", "invoice_request")),
    Kind("debit_agreement", "debit_agreement"),
    Kind("credit_use", "credit_use"),
    Kind("credit_end", "credit_end"),
    Kind("credit_grant", "credit_grant"),
    Kind("wallet_low", "wallet_low"),
    Kind("event", "event"),
    Kind("tax_rate", "tax_rate"),
    Kind("tax_customer", "tax_customer"),
    Kind("transfer", "transfer", ("transfer_reference", "hold", "hold_use", "sweep", "reversal")),
    Kind("subscription", "subscription"),
    Kind("subscription_revision", "subscription_revision"),
    Kind("subscription_bill", "subscription_bill"),
    Kind("plan", "plan_version"),
    Kind("account", "account"),
    Kind("account_limit", "account_limit"),
    Kind("account_metadata", "account_metadata"),
    Kind("account_closing", "account_closing"),
    Kind("asset", "asset"),
    Kind("billing_zone", "billing_zone"),
    Kind("price", "price"),
    Kind("meter", "meter"),
    Kind("billable_rule", "billable_rule"),
    Kind("customer", "customer"),
    Kind("usage", "usage_event"),
    Kind("usage_correction", "usage_correction"),
    Kind("usage_conflict", "usage_conflict"),
    Kind("usage_not_billable", "usage_not_billable"),
    Kind("usage_month", "usage_month_event"),
    Kind("usage_retention", "usage_retention"),
    Kind("key", "api_key"),
    Kind("key_revocation", "api_key_revocation"),
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
    "payout_report": "its message says all of it: what a provider told of a payout",
    "payout_line": "its message says all of it: what a provider told of a payout",
    "payout": "its transfers are the record of it: what is on its way to the bank, and the fees",
    "payout_step": "its message says all of it: what became of a payout; what moved is a transfer",
    "payout_match": "what a line was found to be is a record already, and what moved for it a transfer",
    "payout_match_undo": "what moved back is a transfer, and its message says why",
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
