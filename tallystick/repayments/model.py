"""Repayments, what lies unallocated, agreements and charges: what the verbs answer with."""

import datetime as dt
import uuid
from dataclasses import dataclass
from typing import Literal

import msgspec

from tallystick.ids import id_of_content
from tallystick.repayments.allocate import Placed
from tallystick.repayments.debit_days import DayOfMonth
from tallystick.repayments.move_for_holidays import Rule
from tallystick.repayments.policy import Policy

WALLET = "wallet"
"""The channel of prepaid credit."""
BANK_DEBIT = "bank_debit"
"""The channel of charges."""


class PolicyInForce(msgspec.Struct, frozen=True):
    """By what money is placed, and who said so."""

    policy: Policy
    said_by: Literal["request", "customer", "book", "default"]


class Allocation(msgspec.Struct, frozen=True):
    """How much of some money repaid an invoice, and why that much."""

    invoice: uuid.UUID
    amount: int
    why: str
    transfer_id: uuid.UUID
    undone: int = 0
    """How much of it was taken off the invoice again."""


class Repayment(msgspec.Struct, frozen=True):
    """Money that a customer paid back; amounts are minor units of *asset*."""

    id: uuid.UUID
    customer: str
    asset: str
    amount: int
    channel: str
    reference: str
    received_on: dt.date
    from_account: str | None
    """The ledger account that it came from; null for prepaid credit."""
    policy: Policy
    """By which it was placed."""
    allocations: list[Allocation]
    unallocated: int
    """What of it no invoice took when it came; what lies unallocated now is told by customer."""
    reversed: bool
    transfer_id: uuid.UUID | None
    received_at: dt.datetime


class RepaymentsPage(msgspec.Struct, frozen=True):
    """Repayments in the order in which they came; ``next`` is the cursor of the page behind, null on the last."""

    items: list[Repayment]
    next: str | None


class RepaymentPreview(msgspec.Struct, frozen=True):
    """What would become of an amount; nothing was done."""

    customer: str
    asset: str
    amount: int
    policy: Policy
    said_by: str
    placed: list[Placed]
    """Each with the reason why it gets that much."""
    left_out: list[uuid.UUID]
    """The invoices that would get nothing, the oldest first."""
    unallocated: int
    """What would lie unallocated."""


class Unallocated(msgspec.Struct, frozen=True):
    """What lies unallocated for a customer: it came, and is on no invoice."""

    customer: str
    asset: str
    amount: int
    account: str


class UnallocatedPage(msgspec.Struct, frozen=True):
    """Customers with unallocated money; ``next`` is the cursor of the page behind, null on the last."""

    items: list[Unallocated]
    next: str | None


class Allocated(msgspec.Struct, frozen=True):
    """What became of money that lay unallocated."""

    customer: str
    asset: str
    policy: Policy
    allocations: list[Allocation]
    unallocated: int | None
    """What still lies there; null where nothing was placed, since others may be at it: `repayments.unallocated` tells then."""


class Returned(msgspec.Struct, frozen=True):
    """Money that went back, to the customer or to the bank."""

    id: uuid.UUID
    kind: Literal["refund", "reversal"]
    customer: str
    asset: str
    amount: int
    repayment: uuid.UUID | None
    """The repayment that was reversed; null for a refund."""
    to_account: str
    reference: str
    reason: str
    transfer_id: uuid.UUID
    reopened: dict[uuid.UUID, int]
    """By invoice what is owed again."""


class Agreement(msgspec.Struct, frozen=True):
    """When and where a customer is debited."""

    customer: str
    bank_account: str | None
    """Null: nothing is debited any more."""
    day: DayOfMonth | None
    country: str | None
    rule: Rule | None
    cutoff_days: int
    from_on: dt.date
    """It counts for debits from this day on."""
    next_debit_on: dt.date | None
    """The first debit by it."""
    still_on: dt.date | None
    """A debit by what was agreed before, which could not be changed any more."""


@dataclass(frozen=True, slots=True)
class ChargedInvoice:
    """An invoice in a charge."""

    charge_id: uuid.UUID
    invoice_id: uuid.UUID
    amount: int


class ChargePart(msgspec.Struct, frozen=True):
    """What a charge asks for an invoice, and what became of it."""

    invoice: uuid.UUID
    amount: int
    repaid: int
    """Of the money that was taken."""


class Charge(msgspec.Struct, frozen=True):
    """One debit for all that was due; amounts are minor units of *asset*."""

    id: uuid.UUID
    customer: str
    bank_account: str
    asset: str
    debit_on: dt.date
    amount: int
    attempt: int
    retry_of: uuid.UUID | None
    status: Literal["made", "sent", "succeeded", "partly", "failed"]
    """Sent: it is in a file for the bank, which has not said what became of it."""
    taken: int
    error_kind: str | None
    retry_on: dt.date | None
    """When it is tried again; null: not by itself."""
    repayment: uuid.UUID | None
    invoices: list[ChargePart]


class ChargesPage(msgspec.Struct, frozen=True):
    """Charges of a day; ``next`` is the cursor of the page behind, null on the last."""

    items: list[Charge]
    next: uuid.UUID | None


class ChargesMade(msgspec.Struct, frozen=True):
    """What became of one chunk of customers."""

    customers: int
    """How many agreements were looked at."""
    made: int
    """How many charges are new."""
    totals: dict[str, int]
    """What the new ones ask for, in minor units by asset."""
    next: str | None
    """The cursor of the chunk behind, null on the last."""


class Chargeable(msgspec.Struct, frozen=True):
    """A customer whom `charges.make` looks at: alone, if asked to go on behind *after* with a limit of 1."""

    customer: str
    after: str


class ChargeablePage(msgspec.Struct, frozen=True):
    """Customers in the order in which charges are made for them; ``next`` is the cursor behind, null on the last page."""

    items: list[Chargeable]
    next: str | None


class RetryRule(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What is done about charges that failed for one kind of reason."""

    times: int
    """How many attempts follow the first; 0: none."""
    after_days: int = 1
    """How many days after the attempt that failed; moved behind days that banks are closed on."""


class RetryPolicy(msgspec.Struct, frozen=True):
    """By kind of error what is done about it; a kind that is not named is not tried again."""

    rules: dict[str, RetryRule]


RETRIES = RetryPolicy({
    "insufficient_funds": RetryRule(times=2, after_days=5),
    "technical": RetryRule(times=3, after_days=1),
    "account_closed": RetryRule(times=0),
    "refused": RetryRule(times=0),
})  # fmt: skip
"""What counts where nobody has said otherwise."""


class OutcomeApplied(msgspec.Struct, frozen=True):
    """What became of one outcome that was reported."""

    charge: uuid.UUID
    status: Literal["applied", "known", "refused"]
    """Known: the same was applied before."""
    taken: int
    allocated: int
    """What of it is on the charge's invoices."""
    retry_on: dt.date | None
    code: str | None = None
    """Why it was refused."""
    message: str | None = None


class OutcomesApplied(msgspec.Struct, frozen=True):
    """What became of each outcome, in order."""

    items: list[OutcomeApplied]


def repayment_id_of(channel: str, reference: str) -> uuid.UUID:
    """Derive the id of a repayment: there can be only one of a reference within its channel."""
    return id_of_content(("repayment", channel, reference))


def charge_id_of(customer: str, bank_account: str, asset: str, debit_on: dt.date) -> uuid.UUID:
    """Derive the id of a charge: there can be only one a day for a customer's account."""
    return id_of_content(("charge", customer, bank_account, asset, debit_on.isoformat()))


def channel_account(channel: str, asset: str) -> str:
    """Return the account of what a channel has taken in and not handed on yet, as providers have theirs."""
    return f"providers/{channel}/{asset}"
