"""
The transactions of the sandbox, and how much of each one's money is left; pure.

    create ──► created ──────capture──► captured
       │          ▲                        ▲
       ├──► action_required ──authenticate─┤
       │          └─cancel─► canceled      │
       └──► declined        processing ──complete
"""

import datetime as dt
from collections.abc import Mapping

import msgspec

from tallystick.payments.providers.protocol import CreateRequest, ProviderTransaction, TransactionStatus
from tallystick.payments.providers.sandbox.answers import Answers, fingerprint_of
from tallystick.payments.providers.sandbox.change import Call, CaptureRequest, Change, Fate, Refusal, known
from tallystick.payments.providers.sandbox.history import History, new_token

DECLINED_MAILBOX = "declined"
"""A customer whose email starts so is declined when the transaction is created."""

CHALLENGED_MAILBOX = "challenged"
"""A customer whose email starts so must authenticate before the transaction is open."""

_UNDECIDED = {TransactionStatus.CREATED, TransactionStatus.ACTION_REQUIRED}
_AFTER_CREATE = {
    Fate.SUCCEED: TransactionStatus.CREATED,
    Fate.DECLINE: TransactionStatus.DECLINED,
    Fate.ACT: TransactionStatus.ACTION_REQUIRED,
    Fate.WAIT: TransactionStatus.CREATED,
}
_AFTER_CAPTURE = {
    Fate.SUCCEED: TransactionStatus.CAPTURED,
    Fate.DECLINE: TransactionStatus.DECLINED,
    Fate.ACT: TransactionStatus.ACTION_REQUIRED,
    Fate.WAIT: TransactionStatus.PROCESSING,
}


class Transactions:
    """Every transaction, found by id, reference, token and key."""

    def __init__(self, history: History, customer_page: str) -> None:
        """Start with none; *customer_page* followed by a transaction's token is where its customer acts."""
        self.by_id: dict[str, ProviderTransaction] = {}
        self._history = history
        self._customer_page = customer_page
        self._by_reference: dict[str, str] = {}
        self._by_token: dict[str, str] = {}
        self._answers: Answers[ProviderTransaction] = Answers()
        self._asked: set[str] = set()
        """Those whose capture waits for their customer."""
        self._captured_at: dict[str, dt.datetime] = {}
        self._gone: dict[str, int] = {}
        """How much of a transaction's money was refunded, or is disputed, by its id."""

    # What a merchant asks for.

    def create(self, key: str, request: CreateRequest, fate: Fate = Fate.SUCCEED) -> ProviderTransaction:
        """
        Open a transaction, once for each reference, and return what was first answered under *key*.

        Raises:
            Refusal: the key was used for other content, or the reference under another key.
        """
        fingerprint = fingerprint_of(msgspec.to_builtins(request))
        if (answered := self._answers.find(Call.CREATE, key, fingerprint)) is not None:
            return answered
        if request.reference in self._by_reference:
            raise Refusal(409, "reference_taken")
        opened = ProviderTransaction(
            id=f"sbx_{new_token()}",
            token=f"tok_{new_token()}",
            reference=request.reference,
            status=TransactionStatus.CREATED,
            amount=request.amount,
            currency=request.currency,
        )
        opened = self._moved(opened, _AFTER_CREATE[_fate_of(request.email, fate)])
        return self._happened(Call.CREATE, opened, key, fingerprint)

    def capture(
        self, key: str, transaction_id: str, request: CaptureRequest, fate: Fate = Fate.SUCCEED
    ) -> ProviderTransaction:
        """
        Take the money of a transaction, and return what was first answered under *key*.

        While its customer has still something to do the answer says so, and the money is taken once that is done.

        Raises:
            Refusal: the key was used for other content; the transaction is unknown, of another amount or
                currency, or asked for, declined or canceled already.
        """
        fingerprint = fingerprint_of({"transaction": transaction_id, **msgspec.to_builtins(request)})
        if (answered := self._answers.find(Call.CAPTURE, key, fingerprint)) is not None:
            return answered
        before = self.find(transaction_id)
        if (request.amount, request.currency) != (before.amount, before.currency):
            raise Refusal(422, "amount_differs")
        if before.status not in _UNDECIDED or transaction_id in self._asked:
            raise Refusal(409, f"already_{before.status.value}")
        waits = before.status is TransactionStatus.ACTION_REQUIRED
        after = before if waits else self._moved(before, _AFTER_CAPTURE[fate])
        return self._happened(Call.CAPTURE, after, key, fingerprint)

    def cancel(self, transaction_id: str) -> ProviderTransaction:
        """
        Give up a transaction of which nothing was taken; too late, return it as it stands.

        Raises:
            Refusal: there is none of this id.
        """
        before = self.find(transaction_id)
        if before.status not in _UNDECIDED:
            return before
        return self._happened(Call.CANCEL, self._moved(before, TransactionStatus.CANCELED))

    # What customers and their banks do.

    def authenticate(self, transaction_id: str, *, succeeded: bool) -> ProviderTransaction:
        """
        Note that the customer did what was asked of them, or could not; a capture that waits for it happens.

        Raises:
            Refusal: the transaction is unknown, or nothing is asked of its customer.
        """
        before = self.find(transaction_id)
        if before.status is not TransactionStatus.ACTION_REQUIRED:
            raise Refusal(409, f"already_{before.status.value}")
        if not succeeded:
            after = self._moved(before, TransactionStatus.DECLINED, "authentication_failed")
        elif transaction_id in self._asked:
            after = self._moved(before, TransactionStatus.CAPTURED)
        else:
            after = self._moved(before, TransactionStatus.CREATED)
        return self._happened(Call.AUTHENTICATE, after)

    def complete(self, transaction_id: str, *, succeeded: bool) -> ProviderTransaction:
        """
        Decide a transaction that is processing: captured or declined.

        Raises:
            Refusal: the transaction is unknown, or not processing.
        """
        before = self.find(transaction_id)
        if before.status is not TransactionStatus.PROCESSING:
            raise Refusal(409, f"already_{before.status.value}")
        to = TransactionStatus.CAPTURED if succeeded else TransactionStatus.DECLINED
        return self._happened(Call.COMPLETE, self._moved(before, to))

    # What there is.

    def find(self, transaction_id: str) -> ProviderTransaction:
        """
        Return a transaction as it stands.

        Raises:
            Refusal: there is none of this id.
        """
        return known(self.by_id, transaction_id, "transaction")

    def find_by_reference(self, reference: str) -> ProviderTransaction | None:
        """Return the transaction opened for *reference*, or None."""
        found = self._by_reference.get(reference)
        return None if found is None else self.by_id[found]

    def find_by_token(self, token: str) -> ProviderTransaction:
        """
        Return the transaction that *token* was given out for.

        Raises:
            Refusal: there is none.
        """
        return self.find(self._by_token.get(token, ""))

    def left(self, transaction_id: str) -> int:
        """Return how much of a captured transaction was neither refunded nor is disputed; 0 of any other."""
        paid = self.find(transaction_id)
        if paid.status is not TransactionStatus.CAPTURED:
            return 0
        return paid.amount - self._gone.get(transaction_id, 0)

    def check_left(self, transaction_id: str, amount: int, currency: str) -> None:
        """
        Refuse to give back what was not taken, or was given back already.

        Raises:
            Refusal: the transaction is unknown, not captured, of another currency, or has less money left.
        """
        paid = self.find(transaction_id)
        if paid.status is not TransactionStatus.CAPTURED:
            raise Refusal(422, "not_captured")
        if paid.currency != currency:
            raise Refusal(422, "currency_differs")
        if not 0 < amount <= self.left(transaction_id):
            raise Refusal(422, "more_than_is_left")

    def captured_at(self, transaction_id: str) -> dt.datetime | None:
        """Return when the money was taken; None if it was not."""
        return self._captured_at.get(transaction_id)

    def captured(self) -> Mapping[str, int]:
        """Return how much was captured in all, by currency."""
        totals: dict[str, int] = {}
        for transaction in self.by_id.values():
            if transaction.status is TransactionStatus.CAPTURED:
                totals[transaction.currency] = totals.get(transaction.currency, 0) + transaction.amount
        return totals

    # How it all comes about.

    def learn(self, change: Change) -> None:
        """Make *change* part of what there is."""
        transaction = change.transaction
        if transaction is None:
            return
        self.by_id[transaction.id] = transaction
        self._answers.keep(change, transaction)
        if change.call is Call.CREATE:
            self._by_reference[transaction.reference] = transaction.id
            self._by_token[transaction.token] = transaction.id
        if change.call is Call.CAPTURE and transaction.status is TransactionStatus.ACTION_REQUIRED:
            self._asked.add(transaction.id)
        if transaction.status is TransactionStatus.CAPTURED:
            self._captured_at[transaction.id] = change.at

    def take(self, transaction_id: str, amount: int) -> None:
        """Learn that *amount* was given back or is disputed; below zero, that it is the merchant's again."""
        self._gone[transaction_id] = self._gone.get(transaction_id, 0) + amount

    def _moved(
        self, before: ProviderTransaction, status: TransactionStatus, decline_code: str = "card_declined"
    ) -> ProviderTransaction:
        """Return *before* with another status and what belongs to it."""
        asks = status is TransactionStatus.ACTION_REQUIRED
        return msgspec.structs.replace(
            before,
            status=status,
            decline_code=decline_code if status is TransactionStatus.DECLINED else None,
            action_url=f"{self._customer_page}{before.token}" if asks else None,
        )

    def _happened(
        self, call: Call, after: ProviderTransaction, key: str = "", fingerprint: str = ""
    ) -> ProviderTransaction:
        self._history.happened(Change(call, key, fingerprint, after))
        return after


def _fate_of(email: str, fate: Fate) -> Fate:
    """Return what a customer's mailbox asks for; *fate* if it asks for nothing."""
    mailbox = email.lower()
    if mailbox.startswith(DECLINED_MAILBOX):
        return Fate.DECLINE
    return Fate.ACT if mailbox.startswith(CHALLENGED_MAILBOX) else fate
