"""Accounts, transfers, and what becomes of each transfer of a batch."""

import datetime as dt
from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import IntEnum
from typing import NewType

import msgspec
import numpy as np
import numpy.typing as npt

AccountId = NewType("AccountId", int)

COLUMNS = np.dtype(
    [
        ("transfer_id", "V16"),
        ("debit_account_id", "<i8"),
        ("credit_account_id", "<i8"),
        ("amount", "<i8"),
        ("effective_at", "<i8"),
        ("asset_id", "<i4"),
        ("message_place", "<i4"),
        ("reason", "<i2"),
    ]
)
"""
One transfer of a batch.

``transfer_id`` is the 16 bytes of a UUID in network order; ``effective_at`` is microseconds since 1970 UTC or
``WHEN_RECORDED``;
``asset_id`` of 0 takes the debit account's asset; ``message_place`` is the place of its message in the transaction.
"""

NEVER = 2**63 - 1
"""The ``expires_at`` of a hold that does not expire."""

WHEN_RECORDED = -(2**63)
"""The ``effective_at`` of a transfer whose sender named none: it counts from when it was recorded."""

Transfers = npt.NDArray[np.void]
"""Transfers: an array of ``COLUMNS``."""
Instants = npt.NDArray[np.int64]
"""Microseconds since 1970 UTC."""


@dataclass(frozen=True, slots=True)
class Batch:
    """
    Transfers with what only some of them have, in columns of the same length; a column that none has is None.

    ``related`` is the 16 bytes of the transfer's id that a reversal undoes, or of the hold that is captured, released
    or expired, zeros elsewhere; ``expires_at`` counts for holds; a reference is empty where there is none. A transfer
    that relates to another takes its accounts and its asset from that one, whatever its row says.
    """

    rows: Transfers
    related: npt.NDArray[np.void] | None = None
    expires_at: Instants | None = None
    references: Sequence[str] | None = None

    def __len__(self) -> int:
        """Count the transfers."""
        return len(self.rows)

    def take(self, chosen: npt.NDArray[np.bool_]) -> "Batch":
        """Return those transfers of which *chosen* is true."""
        references = None
        if self.references is not None:
            references = [self.references[at] for at in np.flatnonzero(chosen).tolist()]
        return Batch(
            self.rows[chosen],
            None if self.related is None else self.related[chosen],
            None if self.expires_at is None else self.expires_at[chosen],
            references,
        )


class Reason(IntEnum):
    """
    Why money moves: the closed list of recipes. The numbers are in the log's leaves and never change.

    Those from 32 on are the callers' own to choose from, and mean nothing to the ledger.
    """

    TRANSFER = 1
    INVOICE_ISSUE = 2
    PAYMENT_SETTLE = 3
    SWEEP = 4
    REVERSAL = 5
    HOLD = 6
    CAPTURE = 7
    RELEASE = 8
    EXPIRE = 9
    EXCHANGE = 10
    CREDIT_GRANT = 11
    CREDIT_USE = 12
    CREDIT_EXPIRE = 13
    CREDIT_VOID = 14
    INVOICE_CREDIT = 15
    INVOICE_VOID = 16
    INVOICE_WRITE_OFF = 17
    REPAYMENT_RECEIVE = 18
    REPAYMENT_ALLOCATE = 19
    REPAYMENT_REFUND = 20
    CREDIT_RETURN = 21
    PAYMENT_REFUND = 22
    REFUND_SETTLE = 23
    REFUND_RELEASE = 24
    DISPUTE_OPEN = 25
    DISPUTE_WIN = 26
    DISPUTE_LOSE = 27
    PAYOUT = 28
    PROVIDER_FEE = 29
    PAYOUT_ADJUST = 30
    DEPOSIT = 32
    WITHDRAWAL = 33
    PAYMENT = 34
    FEE = 35
    INTEREST = 36
    REFUND = 37
    ADJUSTMENT = 38
    OPENING = 39


ENDS_HOLD = (Reason.RELEASE, Reason.EXPIRE)
"""What is left of the hold is free again."""
USES_HOLD = (Reason.CAPTURE, *ENDS_HOLD)
RELATES = (Reason.REVERSAL, *USES_HOLD)
"""The transfers that relate to one before them."""
HOLDS_ONLY = (Reason.HOLD, *ENDS_HOLD)
"""The transfers that post nothing: they only hold an amount, or free it."""
REVERSIBLE = (Reason.TRANSFER, Reason.SWEEP, Reason.CAPTURE, Reason.EXCHANGE, *(
    Reason.DEPOSIT, Reason.WITHDRAWAL, Reason.PAYMENT, Reason.FEE, Reason.INTEREST, Reason.REFUND, Reason.ADJUSTMENT,
    Reason.OPENING,
))  # fmt: skip
"""What a caller may undo; an invoice and a payment have ways of their own."""


class Status(IntEnum):
    """
    What became of one transfer, in order of precedence: the first that applies is the answer.

    Whether its id is known is decided first, so that a repeat gets its first answer whatever else changed.
    """

    POSTED = 0
    KNOWN = 1
    ID_CONFLICT = 2
    AMOUNT_NOT_POSITIVE = 3
    EXPIRES_TOO_EARLY = 4
    UNKNOWN_HOLD = 5
    UNKNOWN_TRANSFER = 6
    NOT_REVERSIBLE = 7
    ALREADY_REVERSED = 8
    SAME_ACCOUNT = 9
    UNKNOWN_DEBIT_ACCOUNT = 10
    UNKNOWN_CREDIT_ACCOUNT = 11
    ASSET_MISMATCH = 12
    DEBIT_ACCOUNT_CLOSED = 13
    CREDIT_ACCOUNT_CLOSED = 14
    HOLD_ENDED = 15
    HOLD_EXPIRED = 16
    EXCEEDS_HOLD = 17
    LIMIT_EXCEEDED = 18
    NOTHING_TO_MOVE = 19

    @property
    def code(self) -> str:
        """Return the stable public code."""
        return f"ledger.{self.name.lower()}"

    @property
    def done(self) -> bool:
        """Say whether the transfer is in the ledger."""
        return self in {Status.POSTED, Status.KNOWN}


@dataclass(frozen=True, slots=True)
class Asset:
    """What an account is counted in."""

    asset_id: int
    code: str
    exponent: int


@dataclass(frozen=True, slots=True)
class Outcomes:
    """What became of a batch, transfer by transfer."""

    statuses: npt.NDArray[np.uint8]
    amounts: npt.NDArray[np.int64]
    """What moved, was held or freed; of a transfer that was refused, what it asked for."""
    differs: dict[int, str] = field(default_factory=dict)
    """By place of a transfer whose id belongs to another one: the field that differs."""


class Account(msgspec.Struct, frozen=True):
    """An account as it is now; a bound of None does not limit."""

    account_id: int
    code: str
    asset: str
    min_balance: int | None
    max_balance: int | None
    opened_at: dt.datetime
    closed_at: dt.datetime | None
    metadata: dict[str, str] = {}


class Balance(msgspec.Struct, frozen=True):
    """
    The sums of an account in minor units.

    ``balance`` is credits less debits; ``held`` is what holds keep from being debited, ``incoming`` what they will
    credit if captured, and ``available`` the balance less what is held.
    """

    account: str
    asset: str
    debits: int
    credits: int
    balance: int
    held: int
    incoming: int
    available: int


def transfers(count: int) -> Transfers:
    """Make room for *count* transfers: all zero, each effective when recorded."""
    batch = np.zeros(count, dtype=COLUMNS)
    batch["effective_at"] = WHEN_RECORDED
    return batch


def microseconds(instant: dt.datetime) -> int:
    """Count microseconds since 1970 UTC, exactly."""
    since = instant - dt.datetime(1970, 1, 1, tzinfo=dt.UTC)
    return (since.days * 86_400 + since.seconds) * 1_000_000 + since.microseconds
