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
    Kind("payment", "payment"),
    Kind("payment_step", "payment_step"),
    Kind("invoice", "invoice_issue"),
    Kind("draft", "invoice", ("invoice_line",)),
    Kind("credit_use", "credit_use"),
    Kind("credit_end", "credit_end"),
    Kind("credit_grant", "credit_grant"),
    Kind("wallet_low", "wallet_low"),
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
    "message": "it is what makes records",
    "credit_unit": "its message says all of it: which meter credits in an asset pay for",
    "wallet_threshold": "its message says all of it: below how much a wallet is low",
    "tax_rounding": "its message says all of it: how a jurisdiction rounds",
    "tax_answer": "its message says all of it: what an engine outside was asked and what it answered",
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
