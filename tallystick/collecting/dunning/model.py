"""Reminders: what the verbs answer with."""

import datetime as dt
import uuid

import msgspec


class Reminder(msgspec.Struct, frozen=True):
    """That a customer was reminded of an invoice; amounts are minor units of *asset*."""

    invoice: uuid.UUID
    number: str
    level: int
    customer: str
    asset: str
    on: dt.date
    due_on: dt.date
    outstanding: int
    fee: int
    """What it costs; 0: nothing."""
    fee_days: int | None
    """For how many days of delay the fee was counted; null: it does not go by days."""
    fee_invoice: uuid.UUID | None
    """The invoice that asks for the fee; null until it is made."""


class RemindersPage(msgspec.Struct, frozen=True):
    """Reminders in the order in which they were made; ``next`` is the cursor of the page behind, null on the last."""

    items: list[Reminder]
    next: str | None


class DebtorsPage(msgspec.Struct, frozen=True):
    """Customers who are to be reminded; ``next`` is the cursor of the page behind, null on the last."""

    customers: list[str]
    next: str | None


class Reminded(msgspec.Struct, frozen=True):
    """What was made for a chunk of customers."""

    customers: int
    """How many of them were reminded."""
    reminders: int
    fees: dict[str, int]
    """What these come to, in minor units by asset; they are not asked for yet."""


class FeeToAsk(msgspec.Struct, frozen=True):
    """A fee that has no invoice yet."""

    invoice: uuid.UUID
    level: int
    customer: str


class FeesPage(msgspec.Struct, frozen=True):
    """Fees that have no invoice yet; ``next`` is the cursor of the page behind, null on the last."""

    items: list[FeeToAsk]
    next: str | None


class AskedFee(msgspec.Struct, frozen=True):
    """What became of one fee."""

    invoice: uuid.UUID
    level: int
    customer: str
    fee_invoice: uuid.UUID | None
    asset: str
    amount: int
    known: bool = False
    """It had been asked for before."""
    code: str | None = None
    """Why it was refused."""
    message: str | None = None


class AskedFees(msgspec.Struct, frozen=True):
    """What became of each fee, in order."""

    items: list[AskedFee]
