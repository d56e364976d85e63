"""The refunds of the sandbox; pure: made ──► pending ──► succeeded or failed, and a bank can send one back later."""

import msgspec

from tallystick.payments.providers.protocol import ProviderRefund, RefundRequest, RefundStatus
from tallystick.payments.providers.sandbox.answers import Answers, fingerprint_of
from tallystick.payments.providers.sandbox.change import Call, Change, Fate, Refusal, known
from tallystick.payments.providers.sandbox.history import History, new_token
from tallystick.payments.providers.sandbox.transactions import Transactions

_AFTER_REFUND = {
    Fate.SUCCEED: RefundStatus.SUCCEEDED,
    Fate.DECLINE: RefundStatus.FAILED,
    Fate.ACT: RefundStatus.PENDING,
    Fate.WAIT: RefundStatus.PENDING,
}


class Refunds:
    """Every refund, found by id, reference and key."""

    def __init__(self, history: History, transactions: Transactions) -> None:
        """Start with none; each gives money of *transactions* back."""
        self.by_id: dict[str, ProviderRefund] = {}
        self._history = history
        self._transactions = transactions
        self._by_reference: dict[str, str] = {}
        self._answers: Answers[str] = Answers()
        """The refund that was made under a key: asked again, it is told as it stands."""

    def make(self, key: str, request: RefundRequest, fate: Fate = Fate.SUCCEED) -> ProviderRefund:
        """
        Give money of a captured transaction back, once for each reference, and return the refund as it stands.

        Raises:
            Refusal: the key was used for other content, or the reference under another key; the transaction is
                unknown, not captured, of another currency, or has less money left.
        """
        fingerprint = fingerprint_of(msgspec.to_builtins(request))
        if (answered := self._answers.find(Call.REFUND, key, fingerprint)) is not None:
            return self.by_id[answered]
        if request.reference in self._by_reference:
            raise Refusal(409, "reference_taken")
        self._transactions.check_left(request.transaction_id, request.amount, request.currency)
        made = ProviderRefund(
            id=f"ref_{new_token()}",
            reference=request.reference,
            transaction_id=request.transaction_id,
            status=_AFTER_REFUND[fate],
            amount=request.amount,
            currency=request.currency,
            failure="refund_declined" if fate is Fate.DECLINE else None,
        )
        self._history.happened(Change(Call.REFUND, key, fingerprint, refund=made))
        return made

    def decide(self, refund_id: str, *, succeeded: bool) -> ProviderRefund:
        """
        Decide a refund that is pending: the customer's bank took it, or sent it back, which it can do later too.

        Raises:
            Refusal: the refund is unknown, or decided already.
        """
        before = self.find(refund_id)
        sent_back_later = before.status is RefundStatus.SUCCEEDED and not succeeded
        if before.status is not RefundStatus.PENDING and not sent_back_later:
            raise Refusal(409, f"already_{before.status.value}")
        status = RefundStatus.SUCCEEDED if succeeded else RefundStatus.FAILED
        failure = None if succeeded else "sent_back_by_the_bank"
        after = msgspec.structs.replace(before, status=status, failure=failure)
        self._history.happened(Change(Call.DECIDE_REFUND, refund=after))
        return after

    def find(self, refund_id: str) -> ProviderRefund:
        """
        Return a refund as it stands.

        Raises:
            Refusal: there is none of this id.
        """
        return known(self.by_id, refund_id, "refund")

    def find_by_reference(self, transaction_id: str, reference: str) -> ProviderRefund | None:
        """Return the refund made for *reference* of this transaction, or None."""
        found = self.by_id.get(self._by_reference.get(reference, ""))
        return found if found is not None and found.transaction_id == transaction_id else None

    def of_transaction(self, transaction_id: str) -> list[ProviderRefund]:
        """Return every refund of a transaction, oldest first."""
        return [refund for refund in self.by_id.values() if refund.transaction_id == transaction_id]

    def learn(self, change: Change) -> None:
        """Make *change* part of what there is."""
        refund = change.refund
        if refund is None:
            return
        self.by_id[refund.id] = refund
        self._answers.keep(change, refund.id)
        self._by_reference[refund.reference] = refund.id
        if change.call is Call.REFUND and refund.status is not RefundStatus.FAILED:
            self._transactions.take(refund.transaction_id, refund.amount)
        elif change.call is Call.DECIDE_REFUND and refund.status is RefundStatus.FAILED:
            self._transactions.take(refund.transaction_id, -refund.amount)
