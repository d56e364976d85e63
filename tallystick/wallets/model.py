"""Grants of credit, what is left of them, and what is taken."""

import datetime as dt
import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Literal, NamedTuple

import msgspec

from tallystick.ids import id_of_content
from tallystick.rating.exact import EXACT

GrantKind = Literal["paid", "promotional"]
Status = Literal["active", "used", "expired", "voided"]
ROOT = "wallets"
"""Where the accounts of wallets lie."""


class Grant(msgspec.Struct, frozen=True):
    """Credit given to a customer; amounts are minor units of *asset*."""

    id: uuid.UUID
    customer: str
    asset: str
    amount: int
    """What was granted."""
    balance: int
    """What is left of it: the balance of its ledger account."""
    priority: int
    """Lower is spent first."""
    kind: GrantKind
    expires_at: dt.datetime | None
    products: list[str] | None
    """The products that it may be spent on; null: any. So are charges and meters."""
    charges: list[str] | None
    meters: list[str] | None
    granted_at: dt.datetime
    account: str
    status: Status


@dataclass(frozen=True, slots=True)
class GrantLeft:
    """A grant with something left to be spent."""

    grant_id: uuid.UUID
    customer_id: int
    asset_id: int
    account_id: int
    left: int
    products: frozenset[str] | None
    charges: frozenset[str] | None
    meters: frozenset[str] | None

    def may_pay(self, product: str) -> bool:
        """Say whether it may be spent on *product*."""
        return self.products is None or product in self.products


class Draw(NamedTuple):
    """An amount that is taken of a grant."""

    grant: GrantLeft
    amount: int


class UnitDraw(NamedTuple):
    """Units that a grant pays for; both figures are below zero where they are given back to it."""

    grant: GrantLeft
    asset: str
    amount: int
    """In minor units of the asset."""
    quantity: Decimal
    """In metered units."""

    def part(self, amount: int) -> "UnitDraw":
        """Return what *amount* minor units of it are, exactly; an amount below zero gives so many back."""
        one = EXACT.divide(self.quantity, Decimal(self.amount))
        return self._replace(amount=amount, quantity=EXACT.multiply(one, Decimal(amount)))


@dataclass(frozen=True, slots=True)
class Unit:
    """What a unit of an asset pays for."""

    asset_id: int
    asset: str
    exponent: int
    meter: str
    units: Decimal
    """How many metered units a major unit of the asset pays for."""


class Covered(NamedTuple):
    """How much of a metered quantity is paid for by credits, and by which."""

    quantity: Decimal
    draws: Sequence[UnitDraw]


NOTHING = Covered(Decimal(0), ())


def account_of(customer_id: int, grant_id: uuid.UUID) -> str:
    """Return the code of a grant's ledger account."""
    return f"{wallet_of(customer_id)}/{grant_id}"


def wallet_of(customer_id: int) -> str:
    """Return the path that the accounts of a customer's grants lie below."""
    return f"{ROOT}/{customer_id}"


def funding_account(kind: str, asset: str) -> str:
    """Return the code of the account that grants of a kind come from."""
    return f"{ROOT}/{kind}/{asset}"


def used_account(asset: str) -> str:
    """Return the code of the account that units go to which paid for usage."""
    return f"{ROOT}/used/{asset}"


def expired_account(asset: str) -> str:
    """Return the code of the account that expired credit goes to."""
    return f"{ROOT}/expired/{asset}"


def grant_transfer(grant_id: uuid.UUID) -> uuid.UUID:
    """Derive the id of the transfer that fills a grant: there can be only one."""
    return id_of_content(("wallet.grant", str(grant_id)))


def use_transfer(grant_id: uuid.UUID, invoice_id: uuid.UUID, position: int | None) -> uuid.UUID:
    """Derive the id of the transfer by which a grant pays an invoice, or units of one of its lines."""
    return id_of_content(("wallet.use", str(grant_id), str(invoice_id), "" if position is None else str(position)))


def end_transfer(grant_id: uuid.UUID) -> uuid.UUID:
    """Derive the id of the transfer that takes away what is left of a grant."""
    return id_of_content(("wallet.end", str(grant_id)))
