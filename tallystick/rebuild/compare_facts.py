"""Compare the facts: every row that a message made, with all of its columns, table by table."""

from collections.abc import Callable

import msgspec

from tallystick.db.queries import Connection, queries_beside
from tallystick.rebuild.model import Difference

_queries = queries_beside(__file__)
_TABLES = (
    "asset", "account", "account_closing", "account_limit", "account_metadata", "batch", "transfer",
    "transfer_reference", "hold", "hold_use", "reversal", "sweep", "net_change", "dated_change", "message_attachment",
    "billable_rule", "customer", "usage_correction", "usage_event", "usage_retention", "meter", "price", "plan_version", "subscription", "subscription_revision",
    "subscription_span", "billing_zone", "invoice", "invoice_request", "invoice_line", "invoice_series", "invoice_issue", "invoice_state", "credit_note",
    "credit_note_line", "credit_note_tax", "subscription_bill", "payment",
    "payment_step", "credit_unit", "credit_grant", "credit_use", "credit_end", "wallet_threshold", "wallet_low", "tax_rate",
    "tax_rounding", "tax_category", "tax_customer", "tax_answer", "invoice_tax", "party", "allocation_policy", "repayment", "repayment_allocation", "repayment_return", "allocation_undo",
    "debit_agreement", "charge_retry_policy", "charge", "charge_invoice", "charge_outcome",
    "bank_file", "charge_sent", "bank_statement", "bank_entry", "bank_match",
    "provider_event", "refund", "refund_step", "dispute", "dispute_end", "late_capture",
    "payout_report", "payout_line", "payout", "payout_step", "payout_match", "payout_match_undo", "payout_arrival_undo",
    "slip", "slip_invoice", "slip_notice", "slip_withdrawal", "slip_settlement", "slip_cancellation", "dunning_rules",
    "reminder", "batch_run", "batch_run_note", "receipt", "event", "webhook_endpoint", "alert_rule", "alert", "api_key", "api_key_revocation",
)  # fmt: skip
"""Those that the others rest upon come first: what differs first is then nearest to its cause."""
_FACTS = {table: _queries.text(f"facts_of_{table}") for table in _TABLES}
_AT_ONCE = 2_000


async def compare_facts(
    source: Connection, twin: Connection, book_id: int, bound: int, progress: Callable[[int, int], None]
) -> int:
    """
    Hold each fact of the twin below *bound* against the book's, and return how many there are.

    Messages are not among them: each was held against its own when it was done again. Both connections are inside of
    a transaction, since they read by cursor.

    Raises:
        Difference: a row is missing, is one too many, or has another value.
    """
    count = 0
    for done, (table, facts) in enumerate(_FACTS.items()):
        progress(done, len(_FACTS))
        mine, given = await twin.cursor(facts, book_id, bound), await source.cursor(facts, book_id, bound)
        while True:
            ours = [row[0] for row in await mine.fetch(_AT_ONCE)]
            theirs = [row[0] for row in await given.fetch(_AT_ONCE)]
            if ours != theirs:
                raise _difference(table, ours, theirs)
            if not ours:
                break
            count += len(ours)
    progress(len(_FACTS), len(_FACTS))
    return count


def _difference(table: str, ours: list[str], theirs: list[str]) -> Difference:
    """Name the first row that differs, and of a row that both have its first column."""
    both = min(len(ours), len(theirs))
    first = next((place for place in range(both) if ours[place] != theirs[place]), both)
    if first >= len(ours):
        return Difference(where=table, what=f"no message makes {theirs[first]}")
    if first >= len(theirs):
        return Difference(where=table, what=f"it lacks {ours[first]}")
    mine, given = msgspec.json.decode(ours[first]), msgspec.json.decode(theirs[first])
    columns = [name for name in mine if mine[name] != given[name]]
    told = ", ".join(f"{name} is {given[name]} and comes out as {mine[name]}" for name in columns)
    return Difference(where=f"{table} {theirs[first]}", what=told)
