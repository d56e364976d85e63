"""
Reasons: what the codes of banks mean to the retry policy.

The codes are ISO 20022's ExternalStatusReason1Code and the rulebooks' for returns; one that is not here is a kind of its own.
"""

import re

KINDS = {
    "AM04": "insufficient_funds",
    "AM14": "insufficient_funds",
    "AC04": "account_closed",
    "AC07": "account_closed",
    "AC01": "wrong_account",
    "AC02": "wrong_account",
    "AC03": "wrong_account",
    "AC13": "wrong_account",
    "BE01": "wrong_account",
    "AC06": "account_blocked",
    "AG01": "account_blocked",
    "MD01": "no_mandate",
    "MD02": "no_mandate",
    "MD16": "no_mandate",
    "MD17": "no_mandate",
    "MD06": "refused",
    "MS02": "refused",
    "MS03": "refused",
    "SL01": "refused",
    "MD07": "died",
    "RR01": "not_allowed",
    "RR02": "not_allowed",
    "RR03": "not_allowed",
    "RR04": "not_allowed",
    "AG02": "technical",
    "AM05": "duplicate",
    "DT01": "technical",
    "ED05": "technical",
    "FF01": "technical",
    "FF05": "technical",
    "RC01": "technical",
    "TM01": "technical",
    "TS01": "technical",
    "CNOR": "technical",
    "DNOR": "technical",
}


def error_kind_of(code: str | None) -> str:
    """Return the kind of error: by the table, else ``code_`` and the code itself, which the retry policy can name."""
    if code is None or not code.strip():
        return "unexplained"
    found = KINDS.get(code.strip().upper())
    return found or "code_" + re.sub(r"[^a-z0-9]+", "_", code.strip().lower())[:57]
