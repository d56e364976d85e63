# ruff: noqa: INP001 - docs/ is a folder of pages, no package of the product
"""What docs/reference/transfer-results.md says: every code a transfer can end with, and whether sending it again helps."""

from tallystick.api.errors import status_of
from tallystick.ledger.errors import TRANSFER_ERRORS, error_of
from tallystick.ledger.model import Status

NAME = "transfer-results.md"

HELP: dict[Status, str] = {
    Status.POSTED: "Done. The same again is answered the same.",
    Status.KNOWN: "Done before, by another message with the same transfer; `amount` is what it moved then.",
    Status.ID_CONFLICT: "No. The id is taken for ever; `field` names the first field that differs. Find out which of the two"
    " you meant; if this one, send it under a new id.",
    Status.AMOUNT_NOT_POSITIVE: "No. Send an amount of at least one minor unit.",
    Status.EXPIRES_TOO_EARLY: "No. Send an `expires_at` that lies ahead of the server's clock, or none.",
    Status.UNKNOWN_HOLD: "Once there is such a hold. It must have been posted before, or stand before it in the batch.",
    Status.UNKNOWN_TRANSFER: "Once there is such a transfer. It must have been posted before, or stand before it in the batch.",
    Status.NOT_REVERSIBLE: "No. Give back what is held by a release; an invoice or a payment has ways of its own.",
    Status.ALREADY_REVERSED: "No. It was reversed once, which is all. To move more, post a transfer.",
    Status.SAME_ACCOUNT: "No. Name two accounts.",
    Status.UNKNOWN_DEBIT_ACCOUNT: "Once the account is opened.",
    Status.UNKNOWN_CREDIT_ACCOUNT: "Once the account is opened.",
    Status.ASSET_MISMATCH: "No. Name accounts of one asset; between two assets, exchange.",
    Status.DEBIT_ACCOUNT_CLOSED: "No. A closed account stays closed; name another. A hold on it can still be released.",
    Status.CREDIT_ACCOUNT_CLOSED: "No. A closed account stays closed; name another. A hold for it can still be released.",
    Status.HOLD_ENDED: "No. It was captured in full, released, or expired. Hold anew.",
    Status.HOLD_EXPIRED: "No. Hold anew.",
    Status.EXCEEDS_HOLD: "With a smaller amount, or without one for all that is left.",
    Status.LIMIT_EXCEEDED: "Once the account has more room: after a deposit, a release, or a change of its limits. A sweep"
    " takes what there is.",
    Status.NOTHING_TO_MOVE: "Once there is something to sweep.",
}
"""By status whether a retry can help, and how."""


def transfer_results_page(note: str) -> str:
    """Write the page; *note* says that it is written."""
    rows = [_row(status) for status in Status]
    lines = [("", "code", "kind", "HTTP", "field", "does sending it again help?"), ("---",) * 6, *rows]
    table = "\n".join(f"| {' | '.join(str(cell) for cell in line)} |" for line in lines)
    parts = [
        "# What becomes of a transfer",
        note,
        (
            "Every transfer, hold, capture, release, sweep and reversal ends with one of these codes. They are checked in this\n"
            "order, and the first that applies is the answer; so a transfer that was posted is `ledger.known` when it comes\n"
            "again, whatever has become of its accounts since. The transfers of a batch are judged one after the other: each\n"
            "finds what those before it left, and a batch that is cut into smaller ones gets the same answers."
        ),
        (
            "In a batch each item has its `status`. A transfer that is sent alone and refused is a problem (RFC 9457) with the\n"
            "code, the HTTP status and the `field` below. In a group the first that is not done fails all, and the group's\n"
            "error, `ledger.group_failed`, names it."
        ),
        table,
        (
            "**How to send it again.** A refusal is kept with its message, so the same `Idempotency-Key` gets the same refusal.\n"
            "Where sending it again helps, send it under a new key. The transfer's own `id` may stay: an id is taken only by\n"
            "what was posted. When no answer came at all, or one of a kind that says `retry`, send the very same again, key and\n"
            "all: it is done once."
        ),
    ]
    return "\n\n".join(parts) + "\n"


def _row(status: Status) -> tuple[object, ...]:
    if status.done:
        return int(status), f"`{status.code}`", "", 200, "", HELP[status]
    error, field = error_of(status), TRANSFER_ERRORS[status][1]
    said = "the first that differs" if status is Status.ID_CONFLICT else f"`{field}`"
    return int(status), f"`{status.code}`", f"`{error.kind.value}`", status_of(error), said, HELP[status]
