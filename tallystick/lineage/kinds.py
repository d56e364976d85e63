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
    Kind("transfer", "transfer", ("transfer_reference", "hold", "hold_use", "sweep", "reversal")),
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
    Kind("key", "api_key"),
    Kind("key_revocation", "api_key_revocation"),
)
"""In the order in which they are told: what matters most to whoever asks comes first."""

NO_RECORDS = {
    "message": "it is what makes records",
    "message_attachment": "it is a part of its message",
    "exchange": "it is told by its legs, which are transfers, and by its message, which says the rate",
    "batch": "it repeats the transfers of a transaction, for the log",
    "net_change": "it repeats the transfers of a transaction, by account",
    "dated_change": "it repeats the transfers of a transaction, by account and the time they count from",
    "balance_snapshot": "it repeats net changes, added up",
    "sealed_batch": "the log gives a transaction's transfers their places; no message does",
}
"""Tables that name a transaction and hold no records of messages, each with the reason."""
