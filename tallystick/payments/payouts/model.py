"""Payouts as they are kept and shown."""

import datetime as dt
import hashlib
import re
import uuid
from collections.abc import Sequence
from typing import Literal

import msgspec

from tallystick.errors import InvalidInput
from tallystick.ids import id_of_content

_LINE = re.compile(r"([0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12})\.([1-9][0-9]{0,6})")

LineKind = Literal["charge", "refund", "refund_failed", "dispute", "dispute_reversed", "fee", "adjustment"]
PartnerKind = Literal["charge", "refund", "refund_failed", "dispute", "dispute_reversed", "line", "payout"]
"""What a line can be of ours; ``line`` is the same line in a payout that failed, ``payout`` one that came back."""
Status = Literal["pending", "paid", "failed"]


class ReportLine(msgspec.Struct, frozen=True, omit_defaults=True):
    """A line of a report; minor units, above zero what the provider owes us for it. It adds ``amount - fee``."""

    id: str
    kind: LineKind
    amount: int
    fee: int
    occurred_at: dt.datetime
    transaction_id: str | None = None
    refund_id: str | None = None
    dispute_id: str | None = None
    description: str = ""


class ReportHead(msgspec.Struct, frozen=True):
    """What a provider says of a payout beside its lines."""

    provider: str
    provider_id: str
    amount: int
    currency: str
    arrives_on: dt.date
    version: str
    """Names what the lines are: another version is another report."""

    @property
    def id(self) -> uuid.UUID:
        """Derive its id."""
        return id_of_content(("payout", self.provider, self.provider_id, self.version))


class LikelyPartner(msgspec.Struct, frozen=True):
    """What a line may be of ours."""

    kind: PartnerKind
    id: uuid.UUID
    amount: int
    """Minor units, with the sign that the line would have."""
    asset: str
    at: dt.datetime
    score: int
    """Of 100."""
    why: str


class LineShown(msgspec.Struct, frozen=True):
    """A line of a report with what became of it."""

    id: str
    payout_id: uuid.UUID
    payout: str
    """The provider's id of it."""
    provider: str
    asset: str
    line: ReportLine
    matched: str | None
    """Why; null: it is not."""
    partner: str | None
    """What it is of ours: ``charge`` and so on, or ``account`` where it was booked, or ``fee``."""
    partner_id: str | None
    """Its id; of an account its code."""
    by_hand: bool
    open: int
    """What it leaves open in the account of the provider; 0 once it is matched."""
    why_not: str | None
    """Why it is not matched; null: it is."""
    partners: list[LikelyPartner]
    """The likeliest first; of lines that are not matched."""


class LinesPage(msgspec.Struct, frozen=True):
    """Lines in their order; ``next`` is the cursor of the page behind, null on the last."""

    items: list[LineShown]
    next: str | None


class Payout(msgspec.Struct, frozen=True):
    """A payout; amounts in minor units of its asset."""

    id: uuid.UUID
    provider: str
    provider_id: str
    version: str
    """Names what its lines are."""
    asset: str
    amount: int
    status: Status
    arrives_on: dt.date
    arrived: bool
    """A bank statement has it."""
    fees: int
    """What the provider kept."""
    lines: int
    unmatched: int
    """So many of them are nothing of ours yet."""
    open: int
    """What those leave open in the account of the provider."""
    recorded_at: dt.datetime

    @property
    def matched(self) -> int:
        """Count the lines that are explained."""
        return self.lines - self.unmatched


class PayoutsPage(msgspec.Struct, frozen=True):
    """Payouts, the newest first; ``next`` is the cursor of the page behind, null on the last."""

    items: list[Payout]
    next: str | None


class Recorded(msgspec.Struct, frozen=True):
    """What was kept of a report."""

    payout_id: uuid.UUID
    lines: int
    """So many of it are kept by now."""
    whole: bool
    payout: Payout | None
    """Null until the report is whole."""


class Unreported(msgspec.Struct, frozen=True):
    """Money that moved at a provider by our book, and that no report has named yet."""

    kind: PartnerKind
    id: uuid.UUID
    provider: str
    provider_id: str
    amount: int
    asset: str
    at: dt.datetime


class UnreportedPage(msgspec.Struct, frozen=True):
    """The oldest first; ``next`` is the cursor of the page behind, null on the last."""

    items: list[Unreported]
    next: str | None


class ProviderBalance(msgspec.Struct, frozen=True):
    """Where the money is that a provider took, in minor units of one asset."""

    provider: str
    asset: str
    held: int
    """What the provider still has by the ledger."""
    unmatched: int
    """What lines leave open that are nothing of ours yet."""
    unreported: int
    """
    What the book has of the provider's money and no report has named yet: held and unmatched together.

    It is what the provider must say that it holds, before its fees; unless a line that waits is one of what is not named.
    """
    on_the_way: int
    """Paid out, and not on a bank statement yet."""
    fees: int
    """What the provider has kept in all."""


class Balances(msgspec.Struct, frozen=True):
    """One for each provider and asset."""

    items: list[ProviderBalance]


def version_of(lines: Sequence[ReportLine]) -> str:
    """Name the content of a whole report."""
    return hashlib.sha256(msgspec.json.encode(lines)).hexdigest()


def line_id(payout_id: uuid.UUID, position: int) -> str:
    """Write our id of a line."""
    return f"{payout_id}.{position}"


def read_line_id(text: str) -> tuple[uuid.UUID, int]:
    """
    Read our id of a line.

    Raises:
        InvalidInput: it is none (``invalid_input``).
    """
    found = _LINE.fullmatch(text)
    if found is None:
        raise InvalidInput(field="line", rule="A line's id is that of its payout, a full stop, and its position")
    return uuid.UUID(found[1]), int(found[2])
