"""
Reasons: what the codes of banks mean to the retry policy.

The codes are of ISO 20022's external lists (ExternalStatusReason1Code, ExternalReturnReason1Code); one that is not here is a
kind of its own.
"""

import re

KINDS = {
    "AM04": "insufficient_funds",
    "AM14": "beyond_limit",
    "AC04": "account_closed",
    "AC05": "account_closed",
    "AC17": "account_closed",
    "AC01": "wrong_account",
    "AC02": "wrong_account",
    "AC13": "wrong_account",
    "BE01": "wrong_account",
    "AC06": "account_blocked",
    "AG01": "account_blocked",
    "AC03": "creditor_account",
    "AC07": "creditor_account",
    "AC14": "creditor_account",
    "MD01": "no_mandate",
    "MD02": "no_mandate",
    "AG07": "refused",
    "CUST": "refused",
    "MD06": "refused",
    "MS02": "refused",
    "MS03": "refused",
    "SL01": "refused",
    "MD07": "died",
    "AG03": "not_allowed",
    "MD05": "not_allowed",
    "RR01": "not_allowed",
    "RR02": "not_allowed",
    "RR03": "not_allowed",
    "RR04": "not_allowed",
    "AM05": "duplicate",
    "AG02": "technical",
    "DT01": "technical",
    "ED05": "technical",
    "FF01": "technical",
    "FF05": "technical",
    "RC01": "technical",
    "TM01": "technical",
    "CNOR": "technical",
    "DNOR": "technical",
}
"""`creditor_account` is ours that is wrong, not the customer's: trying again helps when that is mended."""


def error_kind_of(code: str | None) -> str:
    """Return the kind of error: by the table, else ``code_`` and the code itself, which the retry policy can name."""
    if code is None or not code.strip():
        return "unexplained"
    found = KINDS.get(code.strip().upper())
    return found or "code_" + re.sub(r"[^a-z0-9]+", "_", code.strip().lower())[:57]
