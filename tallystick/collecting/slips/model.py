"""Slips: what the verbs answer with."""

import datetime as dt
import uuid
from typing import Literal

import msgspec

CHANNEL = "slip"
"""The channel of money that came by slips."""

SlipStatus = Literal["open", "noticed", "settled", "expired", "cancelled"]


class SlipPart(msgspec.Struct, frozen=True):
    """What a slip asks for an invoice."""

    invoice: uuid.UUID
    amount: int


class Notice(msgspec.Struct, frozen=True):
    """A store says that the slip was paid; the money is not here yet."""

    reference: str
    amount: int
    store: str | None
    paid_at: dt.datetime
    late: bool
    """It was paid after the slip had expired."""
    state: Literal["announced", "withdrawn", "settled"]
    noticed_at: dt.datetime


class Settlement(msgspec.Struct, frozen=True):
    """The money of a slip came."""

    reference: str
    amount: int
    paid_on: dt.date
    repayment: uuid.UUID
    unallocated: int
    """What of it no invoice took when it came: of a slip that was paid twice, the second amount."""
    settled_at: dt.datetime


class Slip(msgspec.Struct, frozen=True):
    """A slip that a customer pays at a store's counter; amounts are minor units of *asset*."""

    id: uuid.UUID
    number: str
    """18 digits, the last two of them check digits (ISO/IEC 7064 MOD 97-10)."""
    barcode: str
    """What the bars say: 91, the number, the last day as YYYYMMDD, and the amount in 12 digits (GS1-128)."""
    customer: str
    asset: str
    amount: int
    expires_on: dt.date
    """The last day on which it is paid."""
    zone: str
    status: SlipStatus
    announced: int
    """What stores say that they took and what has not come yet."""
    settled: int
    """What came."""
    invoices: list[SlipPart]
    notices: list[Notice]
    settlements: list[Settlement]
    issued_at: dt.datetime


class SlipsPage(msgspec.Struct, frozen=True):
    """Slips in the order in which they were issued; ``next`` is the cursor of the page behind, null on the last."""

    items: list[Slip]
    next: uuid.UUID | None


class SettledItem(msgspec.Struct, frozen=True):
    """What became of one line of a settlement."""

    reference: str
    status: Literal["settled", "known", "refused"]
    """Known: the same came before."""
    slip: uuid.UUID | None = None
    repayment: uuid.UUID | None = None
    allocated: int = 0
    unallocated: int = 0
    code: str | None = None
    """Why it was refused."""
    message: str | None = None
    field: str | None = None


class SettledSlips(msgspec.Struct, frozen=True):
    """What became of each line, in order."""

    items: list[SettledItem]
