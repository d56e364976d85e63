"""Accounts, transfers, and what becomes of each transfer of a batch."""

import datetime as dt
import uuid
from dataclasses import dataclass
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

WHEN_RECORDED = -(2**63)
"""The ``effective_at`` of a transfer whose sender named none: it counts from when it was recorded."""

Transfers = npt.NDArray[np.void]
"""A batch of transfers: an array of ``COLUMNS``."""


class Reason(IntEnum):
    """Why money moves: the closed list of recipes. The numbers are in the log's leaves and never change."""

    TRANSFER = 1
    INVOICE_ISSUE = 2
    PAYMENT_SETTLE = 3


class Status(IntEnum):
    """
    What became of one transfer, in order of precedence: the first that applies is the answer.

    Whether its id is known is decided first, so that a repeat gets its first answer whatever else changed.
    """

    POSTED = 0
    KNOWN = 1
    ID_CONFLICT = 2
    AMOUNT_NOT_POSITIVE = 3
    SAME_ACCOUNT = 4
    UNKNOWN_DEBIT_ACCOUNT = 5
    UNKNOWN_CREDIT_ACCOUNT = 6
    ASSET_MISMATCH = 7
    DEBIT_ACCOUNT_CLOSED = 8
    CREDIT_ACCOUNT_CLOSED = 9
    LIMIT_EXCEEDED = 10

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


class Account(msgspec.Struct, frozen=True):
    """An account as it was opened; a bound of None does not limit."""

    account_id: int
    code: str
    asset: str
    min_balance: int | None
    max_balance: int | None
    opened_at: dt.datetime
    closed_at: dt.datetime | None


class Balance(msgspec.Struct, frozen=True):
    """The sums of an account in minor units; ``balance`` is credits less debits."""

    account: str
    asset: str
    debits: int
    credits: int
    balance: int


class PostedTransfer(msgspec.Struct, frozen=True):
    """One transfer as the ledger holds it; ``place`` is its place in the log, None until it is sealed."""

    transfer_id: uuid.UUID
    debit: str
    credit: str
    asset: str
    amount: int
    reason: str
    effective_at: dt.datetime
    recorded_at: dt.datetime
    place: int | None


def transfers(count: int) -> Transfers:
    """Make room for *count* transfers: all zero, each effective when recorded."""
    batch = np.zeros(count, dtype=COLUMNS)
    batch["effective_at"] = WHEN_RECORDED
    return batch


def microseconds(instant: dt.datetime) -> int:
    """Count microseconds since 1970 UTC, exactly."""
    since = instant - dt.datetime(1970, 1, 1, tzinfo=dt.UTC)
    return (since.days * 86_400 + since.seconds) * 1_000_000 + since.microseconds
