"""The disputes of the sandbox; pure: open ──► won or lost."""

import datetime as dt

import msgspec

from tallystick.payments.providers.protocol import DisputeStatus, ProviderDispute
from tallystick.payments.providers.sandbox.change import Call, Change, Refusal, known
from tallystick.payments.providers.sandbox.history import History, new_token
from tallystick.payments.providers.sandbox.transactions import Transactions

ANSWER_WITHIN = dt.timedelta(days=7)
"""How long a dispute takes evidence."""


class Disputes:
    """Every dispute, found by id."""

    def __init__(self, history: History, transactions: Transactions) -> None:
        """Start with none; each wants money of *transactions* back."""
        self.by_id: dict[str, ProviderDispute] = {}
        self._history = history
        self._transactions = transactions

    def open(self, transaction_id: str, amount: int | None = None, reason: str = "fraudulent") -> ProviderDispute:
        """
        Let the customer's bank want *amount* back; None: all that is left.

        Raises:
            Refusal: the transaction is unknown, not captured, or has less money left.
        """
        paid = self._transactions.find(transaction_id)
        wanted = self._transactions.left(transaction_id) if amount is None else amount
        self._transactions.check_left(transaction_id, wanted, paid.currency)
        answer_by = self._history.clock.now() + ANSWER_WITHIN
        opened = ProviderDispute(
            f"dis_{new_token()}", transaction_id, DisputeStatus.OPEN, wanted, paid.currency, reason, answer_by
        )
        self._history.happened(Change(Call.OPEN_DISPUTE, dispute=opened))
        return opened

    def decide(self, dispute_id: str, *, won: bool) -> ProviderDispute:
        """
        Decide a dispute: *won*, and the money is the merchant's again.

        Raises:
            Refusal: the dispute is unknown, or decided already.
        """
        before = self.find(dispute_id)
        if before.status is not DisputeStatus.OPEN:
            raise Refusal(409, f"already_{before.status.value}")
        after = msgspec.structs.replace(before, status=DisputeStatus.WON if won else DisputeStatus.LOST)
        self._history.happened(Change(Call.DECIDE_DISPUTE, dispute=after))
        return after

    def find(self, dispute_id: str) -> ProviderDispute:
        """
        Return a dispute as it stands.

        Raises:
            Refusal: there is none of this id.
        """
        return known(self.by_id, dispute_id, "dispute")

    def of_transaction(self, transaction_id: str) -> list[ProviderDispute]:
        """Return every dispute of a transaction, oldest first."""
        return [dispute for dispute in self.by_id.values() if dispute.transaction_id == transaction_id]

    def learn(self, change: Change) -> None:
        """Make *change* part of what there is."""
        dispute = change.dispute
        if dispute is None:
            return
        self.by_id[dispute.id] = dispute
        if dispute.status is DisputeStatus.OPEN:
            self._transactions.take(dispute.transaction_id, dispute.amount)
        elif dispute.status is DisputeStatus.WON:
            self._transactions.take(dispute.transaction_id, -dispute.amount)
