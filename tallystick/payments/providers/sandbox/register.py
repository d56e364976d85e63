"""The sandbox's transactions, and what it has answered to which key; pure, and rebuilt from its own changes."""

import secrets
from collections.abc import Iterable, Mapping
from enum import Enum

import msgspec

from tallystick import canonical
from tallystick.payments.providers.protocol import (
    Amount,
    CreateRequest,
    CurrencyCode,
    ProviderTransaction,
    TransactionStatus,
)

DECLINED_MAILBOX = "declined"
"""A customer whose email starts so is declined when the transaction is created."""


class Call(Enum):
    """What the sandbox can be asked; a key belongs to one of the first two."""

    CREATE = "create"
    CAPTURE = "capture"
    FIND = "find"


class CaptureRequest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What must be taken: exactly what the transaction was created for."""

    amount: Amount
    currency: CurrencyCode


class Change(msgspec.Struct, frozen=True):
    """One thing that happened: the key it happened under, what was asked, and the transaction after it."""

    call: Call
    key: str
    fingerprint: str
    """SHA-256 of what was asked, so that neither user nor email need be kept."""
    transaction: ProviderTransaction


class Refusal(Exception):
    """The sandbox says no, and nothing has changed."""

    def __init__(self, status: int, reason: str) -> None:
        """Answer HTTP *status* with *reason*."""
        self.status = status
        self.reason = reason
        super().__init__(reason)


class Register:
    """
    Every transaction, found by id, reference and key.

    A refusal takes no key and is not kept: the rules are ordered so that the same request would be refused again.
    """

    def __init__(self, changes: Iterable[Change] = ()) -> None:
        """Start from *changes*, in the order in which they happened."""
        self.transactions: dict[str, ProviderTransaction] = {}
        self._by_reference: dict[str, str] = {}
        self._answers: dict[tuple[Call, str], Change] = {}
        for change in changes:
            self._apply(change)

    def create(self, key: str, request: CreateRequest, *, decline: bool = False) -> tuple[ProviderTransaction, bool]:
        """
        Open a transaction and return it; False beside it if the key was answered before.

        Raises:
            Refusal: the key was used for other content, or the reference under another key.
        """
        fingerprint = _fingerprint(msgspec.to_builtins(request))
        if (known := self._answered(Call.CREATE, key, fingerprint)) is not None:
            return known, False
        if request.reference in self._by_reference:
            raise Refusal(409, "reference_taken")
        declined = decline or request.email.lower().startswith(DECLINED_MAILBOX)
        opened = ProviderTransaction(
            id=f"sbx_{secrets.token_hex(16)}",
            token=f"tok_{secrets.token_hex(16)}",
            reference=request.reference,
            status=TransactionStatus.DECLINED if declined else TransactionStatus.CREATED,
            amount=request.amount,
            currency=request.currency,
            decline_code="card_declined" if declined else None,
        )
        return self._apply(Change(Call.CREATE, key, fingerprint, opened)), True

    def capture(
        self, key: str, transaction_id: str, request: CaptureRequest, *, decline: bool = False
    ) -> tuple[ProviderTransaction, bool]:
        """
        Take the money of a transaction and return it; False beside it if the key was answered before.

        Raises:
            Refusal: the key was used for other content; the transaction is unknown, of another amount or
                currency, captured already or declined.
        """
        fingerprint = _fingerprint({"transaction": transaction_id, **msgspec.to_builtins(request)})
        if (known := self._answered(Call.CAPTURE, key, fingerprint)) is not None:
            return known, False
        before = self.find(transaction_id)
        if (request.amount, request.currency) != (before.amount, before.currency):
            raise Refusal(422, "amount_differs")
        if before.status is not TransactionStatus.CREATED:
            raise Refusal(409, f"already_{before.status.value}")
        after = msgspec.structs.replace(
            before,
            status=TransactionStatus.DECLINED if decline else TransactionStatus.CAPTURED,
            decline_code="card_declined" if decline else None,
        )
        return self._apply(Change(Call.CAPTURE, key, fingerprint, after)), True

    def find(self, transaction_id: str) -> ProviderTransaction:
        """
        Return a transaction as it stands.

        Raises:
            Refusal: there is none of this id.
        """
        found = self.transactions.get(transaction_id)
        if found is None:
            raise Refusal(404, "transaction_unknown")
        return found

    def find_by_reference(self, reference: str) -> ProviderTransaction | None:
        """Return the transaction opened for *reference*, or None."""
        found = self._by_reference.get(reference)
        return None if found is None else self.transactions[found]

    def change_under(self, call: Call, key: str) -> Change:
        """Return the change that happened under *key*, which must exist."""
        return self._answers[call, key]

    def captured(self) -> Mapping[str, int]:
        """Return how much was captured in all, by currency."""
        totals: dict[str, int] = {}
        for transaction in self.transactions.values():
            if transaction.status is TransactionStatus.CAPTURED:
                totals[transaction.currency] = totals.get(transaction.currency, 0) + transaction.amount
        return totals

    def _answered(self, call: Call, key: str, fingerprint: str) -> ProviderTransaction | None:
        known = self._answers.get((call, key))
        if known is None:
            return None
        if known.fingerprint != fingerprint:
            raise Refusal(409, "key_used_for_other_content")
        return known.transaction

    def _apply(self, change: Change) -> ProviderTransaction:
        transaction = change.transaction
        self.transactions[transaction.id] = transaction
        self._by_reference[transaction.reference] = transaction.id
        self._answers[change.call, change.key] = change
        return transaction


def _fingerprint(content: object) -> str:
    return canonical.digest(content).hex()
