"""The accounts that payouts move, and how money gets onto them."""

import uuid
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from tallystick.db.queries import Connection, queries_beside
from tallystick.invoicing.life.unallocated_account import ROOT, is_unallocated, unallocated_account
from tallystick.ledger.accounts import NewAccount, Recorded, open_accounts
from tallystick.ledger.errors import AccountExists, GroupFailed
from tallystick.ledger.model import Reason
from tallystick.ledger.post import Ledger
from tallystick.payments.payouts.errors import AccountUnusable
from tallystick.repayments.model import channel_account
from tallystick.repayments.receive import Row, post_rows

_queries = queries_beside(__file__)
_enter_payouts = _queries.run("enter_payouts")
_find_customer = _queries.value("find_customer")
_find_usable_account = _queries.value("find_usable_account")

BANK = "bank"
"""The channel that a bank statement tells of: what is on its account the bank has."""


@dataclass(frozen=True, slots=True)
class Move:
    """Money that goes from a credited account to a debited one; below zero the other way round, and nothing if it is none."""

    id: uuid.UUID
    debit: str
    credit: str
    amount: int
    reason: Reason


@dataclass(frozen=True, slots=True)
class Books:
    """Where payouts are kept and what they move is posted."""

    connection: Connection
    ledger: Ledger
    recorded: Recorded
    message_hashes: npt.NDArray[np.void]

    @property
    def book_id(self) -> int:
        """Return the book."""
        return self.recorded.book_id

    async def enter(self) -> None:
        """Let nobody else record payouts or say what lines are until the transaction ends; to be called before all else."""
        await _enter_payouts(self.connection, self.book_id)

    async def move(self, asset: str, moves: Sequence[Move]) -> list[uuid.UUID]:
        """
        Post what moves in one asset, and return the ids of the transfers; see `move_in`.

        Raises:
            AccountUnusable: an account is closed, limited or of another asset (``payouts.account_unusable``).
        """
        return await self.move_in([(asset, one) for one in moves])

    async def move_in(self, moves: Sequence[tuple[str, Move]]) -> list[uuid.UUID]:
        """
        Post what moves, each in its asset, as the transaction's one batch; accounts are opened when they are first needed.

        Raises:
            AccountUnusable: an account is closed, limited or of another asset (``payouts.account_unusable``).
        """
        real = [(asset, one) for asset, one in moves if one.amount]
        if not real:
            return []
        codes = sorted({(code, asset) for asset, one in real for code in (one.debit, one.credit)})
        try:
            opened = await open_accounts(self.connection, self.recorded, [_account(*one) for one in codes])
        except AccountExists as other:
            raise AccountUnusable(field="account", account=" or ".join(code for code, _ in codes)) from other
        ids = {one.code: one.account_id for one in opened}
        rows = [_row(one, ids[one.debit], ids[one.credit]) for _, one in real]
        await self.post(rows)
        return [row[0] for row in rows]

    async def post(self, rows: Sequence[Row]) -> None:
        """
        Post transfers between accounts that are there.

        Raises:
            AccountUnusable: one is closed (``payouts.account_unusable``).
        """
        try:
            await post_rows(self.connection, self.ledger, self.recorded, self.message_hashes, rows)
        except GroupFailed as failed:
            raise AccountUnusable(field="account", account=f"of a transfer ({failed.message})") from failed

    async def require_account(self, code: str, asset: str) -> None:
        """
        Find that an account is there to book on; that of a customer's unallocated money is opened when it is needed.

        Raises:
            AccountUnusable: it is not, or there is no such customer (``payouts.account_unusable``).
        """
        if is_unallocated(code):
            customer = code.removeprefix(f"{ROOT}/").removesuffix(f"/unallocated/{asset}")
            known = await _find_customer(self.connection, self.book_id, customer) is not None
            if not known or unallocated_account(customer, asset) != code:  # of a long ref the account has another code
                raise AccountUnusable(field="account", account=code)
            return
        if await _find_usable_account(self.connection, self.book_id, code, asset) is None:
            raise AccountUnusable(field="account", account=code)


def _account(code: str, asset: str) -> NewAccount:
    return NewAccount(code, asset, min_balance=0) if is_unallocated(code) else NewAccount(code, asset)


def _row(one: Move, debit: int, credit: int) -> Row:
    if one.amount < 0:
        debit, credit = credit, debit
    return one.id, debit, credit, abs(one.amount), one.reason


def held(provider: str, asset: str) -> str:
    """Return the account of what a provider took and has not paid out."""
    return channel_account(provider, asset)


def on_the_way(provider: str, asset: str) -> str:
    """Return the account of what a provider paid out and no bank statement has yet."""
    return f"payouts/{provider}/{asset}"


def fees(provider: str, asset: str) -> str:
    """Return the account of what a provider kept."""
    return f"fees/{provider}/{asset}"


def conversions(provider: str, asset: str) -> str:
    """Return the account through which a provider pays one asset out as another."""
    return f"conversions/{provider}/{asset}"


def adjustments(provider: str, asset: str) -> str:
    """Return the account of lines that are booked nowhere else."""
    return f"adjustments/{provider}/{asset}"


def bank(asset: str) -> str:
    """Return the account of what the bank has."""
    return channel_account(BANK, asset)
