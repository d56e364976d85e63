"""What can happen in the sandbox: one record for each thing that did, from which everything else is rebuilt."""

import datetime as dt
from collections.abc import Mapping
from enum import Enum
from typing import TypeVar

import msgspec

from tallystick.clock import UTC
from tallystick.payments.providers.protocol import (
    Amount,
    CurrencyCode,
    EventKind,
    PayoutLine,
    ProviderDispute,
    ProviderPayout,
    ProviderRefund,
    ProviderTransaction,
)

_Kept = TypeVar("_Kept")

UNTOLD = dt.datetime(1970, 1, 1, tzinfo=UTC)
"""When something happened of which the file does not tell the time, since it was written before times were kept."""


class Call(Enum):
    """What the sandbox can be asked; a key belongs to one of create, capture and refund."""

    CREATE = "create"
    CAPTURE = "capture"
    CANCEL = "cancel"
    REFUND = "refund"
    FIND = "find"
    FIND_REFUND = "find_refund"
    FIND_DISPUTE = "find_dispute"
    LIST_PAYOUTS = "list_payouts"
    READ_PAYOUT = "read_payout"
    AUTHENTICATE = "authenticate"
    COMPLETE = "complete"
    DECIDE_REFUND = "decide_refund"
    OPEN_DISPUTE = "open_dispute"
    DECIDE_DISPUTE = "decide_dispute"
    CHARGE_FEE = "charge_fee"
    ADJUST = "adjust"
    PAY_OUT = "pay_out"
    FAIL_PAYOUT = "fail_payout"


class Fate(Enum):
    """What becomes of a create, a capture or a refund that is well formed."""

    SUCCEED = "succeed"
    DECLINE = "decline"
    """A transaction is declined, a refund fails."""
    ACT = "act"
    """The customer must do something first; not of a refund."""
    WAIT = "wait"
    """It is decided later: a capture is processing, a refund pending; not of a create."""


class CaptureRequest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What must be taken: exactly what the transaction was created for."""

    amount: Amount
    currency: CurrencyCode


Record = ProviderTransaction | ProviderRefund | ProviderDispute | ProviderPayout
"""What a change leaves behind."""


class Change(msgspec.Struct, frozen=True, omit_defaults=True):
    """One thing that happened: the key it happened under, what was asked, and what it left behind."""

    call: Call
    key: str = ""
    fingerprint: str = ""
    """SHA-256 of what was asked, so that neither user nor email need be kept."""
    transaction: ProviderTransaction | None = None
    """The transaction after it; None if it changed none."""
    id: str = ""
    """Unique for ever; empty in files that are older than this field."""
    at: dt.datetime = UNTOLD
    refund: ProviderRefund | None = None
    dispute: ProviderDispute | None = None
    payout: ProviderPayout | None = None
    lines: tuple[PayoutLine, ...] = ()
    """Of a payout: its report. Of a fee or an adjustment: the line that it will be in a report."""
    held_back: int = 0
    """How many of the report's lines its first reading lacks."""
    left_out: tuple[str, ...] = ()
    """The lines that the payout took and that no report will ever tell of."""

    @property
    def record(self) -> Record | None:
        """Return what it left behind; None for a fee or an adjustment."""
        return self.transaction or self.refund or self.dispute or self.payout


class Event(msgspec.Struct, frozen=True):
    """Something that a webhook tells of."""

    id: str
    kind: EventKind
    type: str
    """Such as ``transaction.captured``: the kind, and the status that was come to."""
    subject: str
    transaction_id: str | None
    at: dt.datetime
    record: Record
    """As it stood then."""


class Refusal(Exception):
    """The sandbox says no, and nothing has changed."""

    def __init__(self, status: int, reason: str) -> None:
        """Answer HTTP *status* with *reason*."""
        self.status = status
        self.reason = reason
        super().__init__(reason)


def known(of: Mapping[str, _Kept], name: str, what: str) -> _Kept:
    """
    Return what goes by *name*; *what* is the word for it.

    Raises:
        Refusal: there is none.
    """
    found = of.get(name)
    if found is None:
        raise Refusal(404, f"{what}_unknown")
    return found


def event_of(change: Change) -> Event | None:
    """Return what webhooks tell of *change*; None if nobody is told of it."""
    record = change.record
    match record:
        case None:
            return None
        case ProviderTransaction():
            kind, transaction_id = EventKind.TRANSACTION, record.id
        case ProviderRefund():
            kind, transaction_id = EventKind.REFUND, record.transaction_id
        case ProviderDispute():
            kind, transaction_id = EventKind.DISPUTE, record.transaction_id
        case _:
            kind, transaction_id = EventKind.PAYOUT, ""
    what = f"{kind.value}.{record.status.value}"
    return Event(f"evt_{change.id or record.id}", kind, what, record.id, transaction_id or None, change.at, record)
