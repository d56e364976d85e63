"""
Everything the sandbox holds, and what it has answered to which key; pure, and rebuilt from its own changes.

    create ──► created ──────capture──► captured ──refund──► pending ─► succeeded
       │          ▲                        ▲   │                └─────► failed
       ├──► action_required ──authenticate─┤   └──dispute──► open ─► won
       │          └─cancel─► canceled      │                   └───► lost
       └──► declined        processing ──complete
"""

import datetime as dt
import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TypeVar

import msgspec

from tallystick import canonical
from tallystick.clock import Clock, SystemClock
from tallystick.payments.providers.protocol import (
    CreateRequest,
    DisputeStatus,
    PayoutLine,
    PayoutLineKind,
    PayoutStatus,
    ProviderDispute,
    ProviderPayout,
    ProviderRefund,
    ProviderTransaction,
    RefundRequest,
    RefundStatus,
    TransactionStatus,
)
from tallystick.payments.providers.sandbox.balance import Balance, total
from tallystick.payments.providers.sandbox.change import (
    Call,
    CaptureRequest,
    Change,
    Event,
    Fate,
    Refusal,
    event_of,
)
from tallystick.payments.providers.sandbox.spoil import Flaw, spoil

DECLINED_MAILBOX = "declined"
"""A customer whose email starts so is declined when the transaction is created."""

CHALLENGED_MAILBOX = "challenged"
"""A customer whose email starts so must authenticate before the transaction is open."""

ANSWER_WITHIN = dt.timedelta(days=7)
"""How long a dispute takes evidence."""

ARRIVES_AFTER = dt.timedelta(days=2)
"""How long a payout is on its way to the bank."""

PAGE = 100
"""How many payouts one listing has at most."""

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
_AFTER_REFUND = {
    Fate.SUCCEED: RefundStatus.SUCCEEDED,
    Fate.DECLINE: RefundStatus.FAILED,
    Fate.ACT: RefundStatus.PENDING,
    Fate.WAIT: RefundStatus.PENDING,
}

_Kept = TypeVar("_Kept")


def _ignore(_change: Change) -> None:
    """Keep nothing: for a register that lives in memory alone."""


class Register:
    """
    Every transaction, refund, dispute and payout, found by id, reference and key.

    A refusal takes no key and is not kept. The rules are ordered so that a create or a capture that was refused would
    be again; a refund may find more money left when a dispute was won meanwhile.
    """

    def __init__(
        self,
        changes: Iterable[Change] = (),
        keep: Callable[[Change], None] = _ignore,
        clock: Clock | None = None,
        customer_page: str = "http://127.0.0.1/customer/",
    ) -> None:
        """
        Start from *changes*, in the order in which they happened, and hand each new one to *keep*.

        *customer_page* followed by a transaction's token is where its customer does what is asked of them.
        """
        self.transactions: dict[str, ProviderTransaction] = {}
        self.refunds: dict[str, ProviderRefund] = {}
        self.disputes: dict[str, ProviderDispute] = {}
        self.payouts: dict[str, ProviderPayout] = {}
        self.balance = Balance()
        self.listeners: list[Callable[[Event], None]] = []
        """Each is called with every event that happens from now on, once its change was handed to *keep*."""
        self._keep = keep
        self._clock = clock or SystemClock()
        self._customer_page = customer_page
        self._by_reference: dict[str, str] = {}
        self._by_token: dict[str, str] = {}
        self._refund_by_reference: dict[str, str] = {}
        self._reports: dict[str, Change] = {}
        self._answers: dict[tuple[Call, str], tuple[str, ProviderTransaction]] = {}
        """What was asked under a key and what was answered first, by call and key."""
        self._refund_by_key: dict[str, tuple[str, str]] = {}
        """What was asked under a key, and the refund it made."""
        self._asked: set[str] = set()
        """The transactions whose capture waits for their customer."""
        self._captured_at: dict[str, dt.datetime] = {}
        self._gone: dict[str, int] = {}
        """How much of a transaction's money was refunded, or is disputed, by its id."""
        self._events: dict[str, Change] = {}
        self._read_before: set[str] = set()
        for change in changes:
            self._apply(change)

    # What a merchant asks for.

    def create(self, key: str, request: CreateRequest, fate: Fate = Fate.SUCCEED) -> ProviderTransaction:
        """
        Open a transaction, once for each reference, and return what was first answered under *key*.

        Raises:
            Refusal: the key was used for other content, or the reference under another key.
        """
        fingerprint = _fingerprint(msgspec.to_builtins(request))
        if (known := self._answered(Call.CREATE, key, fingerprint)) is not None:
            return known
        if request.reference in self._by_reference:
            raise Refusal(409, "reference_taken")
        opened = ProviderTransaction(
            id=f"sbx_{_token()}",
            token=f"tok_{_token()}",
            reference=request.reference,
            status=TransactionStatus.CREATED,
            amount=request.amount,
            currency=request.currency,
        )
        opened = self._moved(opened, _AFTER_CREATE[_fate_of(request.email, fate)])
        return self._transact(Call.CREATE, opened, key, fingerprint)

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
        fingerprint = _fingerprint({"transaction": transaction_id, **msgspec.to_builtins(request)})
        if (known := self._answered(Call.CAPTURE, key, fingerprint)) is not None:
            return known
        before = self.find(transaction_id)
        if (request.amount, request.currency) != (before.amount, before.currency):
            raise Refusal(422, "amount_differs")
        if before.status not in _UNDECIDED or transaction_id in self._asked:
            raise Refusal(409, f"already_{before.status.value}")
        waits = before.status is TransactionStatus.ACTION_REQUIRED
        after = before if waits else self._moved(before, _AFTER_CAPTURE[fate])
        return self._transact(Call.CAPTURE, after, key, fingerprint)

    def cancel(self, transaction_id: str) -> ProviderTransaction:
        """
        Give up a transaction of which nothing was taken; too late, return it as it stands.

        Raises:
            Refusal: there is none of this id.
        """
        before = self.find(transaction_id)
        if before.status not in _UNDECIDED:
            return before
        return self._transact(Call.CANCEL, self._moved(before, TransactionStatus.CANCELED))

    def refund(self, key: str, request: RefundRequest, fate: Fate = Fate.SUCCEED) -> ProviderRefund:
        """
        Give money of a captured transaction back, once for each reference, and return the refund as it stands.

        Raises:
            Refusal: the key was used for other content, or the reference under another key; the transaction is
                unknown, not captured, of another currency, or has less money left.
        """
        fingerprint = _fingerprint(msgspec.to_builtins(request))
        if (known_refund := self._refund_by_key.get(key)) is not None:
            _check_content(known_refund[0], fingerprint)
            return self.refunds[known_refund[1]]
        if request.reference in self._refund_by_reference:
            raise Refusal(409, "reference_taken")
        self._check_left(request.transaction_id, request.amount, request.currency)
        made = ProviderRefund(
            id=f"ref_{_token()}",
            reference=request.reference,
            transaction_id=request.transaction_id,
            status=_AFTER_REFUND[fate],
            amount=request.amount,
            currency=request.currency,
            failure="refund_declined" if fate is Fate.DECLINE else None,
        )
        self._happened(Change(Call.REFUND, key, fingerprint, None, *self._stamp(), refund=made))
        return made

    # What customers, their banks and the provider itself do.

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
        return self._transact(Call.AUTHENTICATE, after)

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
        return self._transact(Call.COMPLETE, self._moved(before, to))

    def decide_refund(self, refund_id: str, *, succeeded: bool) -> ProviderRefund:
        """
        Decide a refund that is pending: the customer's bank took it, or sent it back, which it can do later too.

        Raises:
            Refusal: the refund is unknown, or decided already.
        """
        before = self.find_refund_by_id(refund_id)
        sent_back_later = before.status is RefundStatus.SUCCEEDED and not succeeded
        if before.status is not RefundStatus.PENDING and not sent_back_later:
            raise Refusal(409, f"already_{before.status.value}")
        status = RefundStatus.SUCCEEDED if succeeded else RefundStatus.FAILED
        failure = None if succeeded else "sent_back_by_the_bank"
        after = msgspec.structs.replace(before, status=status, failure=failure)
        self._happened(Change(Call.DECIDE_REFUND, "", "", None, *self._stamp(), refund=after))
        return after

    def open_dispute(
        self, transaction_id: str, amount: int | None = None, reason: str = "fraudulent"
    ) -> ProviderDispute:
        """
        Let the customer's bank want *amount* back; None: all that is left.

        Raises:
            Refusal: the transaction is unknown, not captured, or has less money left.
        """
        paid = self.find(transaction_id)
        wanted = self.left(transaction_id) if amount is None else amount
        self._check_left(transaction_id, wanted, paid.currency)
        answer_by = self._clock.now() + ANSWER_WITHIN
        opened = ProviderDispute(
            f"dis_{_token()}", transaction_id, DisputeStatus.OPEN, wanted, paid.currency, reason, answer_by
        )
        self._happened(Change(Call.OPEN_DISPUTE, "", "", None, *self._stamp(), dispute=opened))
        return opened

    def decide_dispute(self, dispute_id: str, *, won: bool) -> ProviderDispute:
        """
        Decide a dispute: *won*, and the money is the merchant's again.

        Raises:
            Refusal: the dispute is unknown, or decided already.
        """
        before = self.find_dispute(dispute_id)
        if before.status is not DisputeStatus.OPEN:
            raise Refusal(409, f"already_{before.status.value}")
        after = msgspec.structs.replace(before, status=DisputeStatus.WON if won else DisputeStatus.LOST)
        self._happened(Change(Call.DECIDE_DISPUTE, "", "", None, *self._stamp(), dispute=after))
        return after

    def charge_fee(self, amount: int, currency: str, description: str = "monthly fee") -> PayoutLine:
        """Charge the merchant *amount*, which belongs to no transaction; below zero it is given back."""
        return self._add_line(Call.CHARGE_FEE, PayoutLineKind.FEE, -amount, currency, description)

    def adjust(self, amount: int, currency: str, description: str = "correction") -> PayoutLine:
        """Give the merchant *amount*, or take it when below zero, for a reason of the provider's own."""
        return self._add_line(Call.ADJUST, PayoutLineKind.ADJUSTMENT, amount, currency, description)

    def pay_out(self, currency: str, flaw: Flaw | None = None) -> ProviderPayout:
        """
        Pay out everything in *currency* that was not paid out so far; *flaw* is what is wrong with its report.

        Raises:
            Refusal: nothing waits for a payout, or nothing that the flaw could spoil.
        """
        waiting = self.balance.waiting(currency)
        if not waiting:
            raise Refusal(409, "nothing_to_pay_out")
        now = self._clock.now()
        report = spoil(waiting, flaw, now, _token())
        paid = ProviderPayout(
            id=f"pay_{_token()}",
            status=PayoutStatus.PAID,
            amount=total(report.lines),
            currency=currency,
            arrives_on=(now + ARRIVES_AFTER).date(),
        )
        happened = Change(Call.PAY_OUT, "", "", None, *self._stamp(), payout=paid, lines=report.lines)
        self._happened(msgspec.structs.replace(happened, held_back=report.held_back, left_out=report.left_out))
        return paid

    def fail_payout(self, payout_id: str) -> ProviderPayout:
        """
        Let the bank send a payout back; its money waits for the next one, as a line of its own.

        Raises:
            Refusal: the payout is unknown, or has failed already.
        """
        before = _known(self.payouts, payout_id, "payout")
        if before.status is PayoutStatus.FAILED:
            raise Refusal(409, "already_failed")
        line = self._line(PayoutLineKind.ADJUSTMENT, before.amount, before.currency, f"payout {payout_id} failed")
        after = msgspec.structs.replace(before, status=PayoutStatus.FAILED)
        self._happened(Change(Call.FAIL_PAYOUT, "", "", None, *self._stamp(), payout=after, lines=(line,)))
        return after

    # What there is.

    def find(self, transaction_id: str) -> ProviderTransaction:
        """
        Return a transaction as it stands.

        Raises:
            Refusal: there is none of this id.
        """
        return _known(self.transactions, transaction_id, "transaction")

    def find_by_reference(self, reference: str) -> ProviderTransaction | None:
        """Return the transaction opened for *reference*, or None."""
        found = self._by_reference.get(reference)
        return None if found is None else self.transactions[found]

    def find_by_token(self, token: str) -> ProviderTransaction:
        """
        Return the transaction that *token* was given out for.

        Raises:
            Refusal: there is none.
        """
        return self.find(self._by_token.get(token, ""))

    def find_refund(self, transaction_id: str, reference: str) -> ProviderRefund | None:
        """Return the refund made for *reference* of this transaction, or None."""
        found = self.refunds.get(self._refund_by_reference.get(reference, ""))
        return found if found is not None and found.transaction_id == transaction_id else None

    def find_refund_by_id(self, refund_id: str) -> ProviderRefund:
        """
        Return a refund as it stands.

        Raises:
            Refusal: there is none of this id.
        """
        return _known(self.refunds, refund_id, "refund")

    def find_dispute(self, dispute_id: str) -> ProviderDispute:
        """
        Return a dispute as it stands.

        Raises:
            Refusal: there is none of this id.
        """
        return _known(self.disputes, dispute_id, "dispute")

    def list_payouts(self, after: str | None = None) -> list[ProviderPayout]:
        """
        Return up to 100 payouts, oldest first, behind the payout *after*; None: from the first.

        Raises:
            Refusal: there is no payout *after*.
        """
        ids = list(self.payouts)
        if after is not None:
            _known(self.payouts, after, "payout")
        start = 0 if after is None else ids.index(after) + 1
        return [self.payouts[one] for one in ids[start : start + PAGE]]

    def read_payout(self, payout_id: str) -> tuple[ProviderPayout, Sequence[PayoutLine]]:
        """
        Return a payout with the lines of its report; lines that are held back are told from the second time on.

        Raises:
            Refusal: there is none of this id.
        """
        paid, made = _known(self.payouts, payout_id, "payout"), self._reports[payout_id]
        whole = payout_id in self._read_before
        self._read_before.add(payout_id)
        return paid, made.lines if whole else made.lines[: len(made.lines) - made.held_back]

    def paid_out_at(self, payout_id: str) -> dt.datetime:
        """Return when a payout that there is was made."""
        return self._reports[payout_id].at

    def find_event(self, event_id: str) -> Event:
        """
        Return an event again.

        Raises:
            Refusal: there is none of this id.
        """
        found = event_of(_known(self._events, event_id, "event"))
        if found is None:
            raise Refusal(404, "event_unknown")
        return found

    def left(self, transaction_id: str) -> int:
        """Return how much of a captured transaction was neither refunded nor is disputed; 0 of any other."""
        paid = self.find(transaction_id)
        if paid.status is not TransactionStatus.CAPTURED:
            return 0
        return paid.amount - self._gone.get(transaction_id, 0)

    def captured_at(self, transaction_id: str) -> dt.datetime | None:
        """Return when the money was taken; None if it was not."""
        return self._captured_at.get(transaction_id)

    def captured(self) -> Mapping[str, int]:
        """Return how much was captured in all, by currency."""
        totals: dict[str, int] = {}
        for transaction in self.transactions.values():
            if transaction.status is TransactionStatus.CAPTURED:
                totals[transaction.currency] = totals.get(transaction.currency, 0) + transaction.amount
        return totals

    # How it all comes about.

    def _answered(self, call: Call, key: str, fingerprint: str) -> ProviderTransaction | None:
        known = self._answers.get((call, key))
        if known is None:
            return None
        _check_content(known[0], fingerprint)
        return known[1]

    def _check_left(self, transaction_id: str, amount: int, currency: str) -> None:
        """Refuse to give back what was not taken, or was given back already."""
        paid = self.find(transaction_id)
        if paid.status is not TransactionStatus.CAPTURED:
            raise Refusal(422, "not_captured")
        if paid.currency != currency:
            raise Refusal(422, "currency_differs")
        if not 0 < amount <= self.left(transaction_id):
            raise Refusal(422, "more_than_is_left")

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

    def _transact(
        self, call: Call, transaction: ProviderTransaction, key: str = "", fingerprint: str = ""
    ) -> ProviderTransaction:
        self._happened(Change(call, key, fingerprint, transaction, *self._stamp()))
        return transaction

    def _stamp(self) -> tuple[str, dt.datetime]:
        """Return the id of a change that happens now, and the time."""
        return _token(), self._clock.now()

    def _add_line(self, call: Call, kind: PayoutLineKind, amount: int, currency: str, description: str) -> PayoutLine:
        line = self._line(kind, amount, currency, description)
        self._happened(Change(call, "", "", None, *self._stamp(), lines=(line,)))
        return line

    def _line(self, kind: PayoutLineKind, amount: int, currency: str, description: str) -> PayoutLine:
        now = self._clock.now()
        return PayoutLine(f"lin_{_token()}", kind, amount, 0, currency, now, description=description)

    def _happened(self, change: Change) -> None:
        self._apply(change)
        self._keep(change)
        if self.listeners and (event := event_of(change)) is not None:
            for listener in self.listeners:
                listener(event)

    def _apply(self, change: Change) -> None:
        """Make *change* part of what there is: the one way in, for what happens now and what is read from disk."""
        if change.transaction is not None:
            self._apply_transaction(change, change.transaction)
        if change.refund is not None:
            self._apply_refund(change, change.refund)
        if change.dispute is not None:
            self._apply_dispute(change.dispute)
        if change.payout is not None:
            self.payouts[change.payout.id] = change.payout
            if change.call is Call.PAY_OUT:
                self._reports[change.payout.id] = change
        if change.id and change.record is not None:
            self._events[f"evt_{change.id}"] = change
        self.balance.apply(change)

    def _apply_transaction(self, change: Change, transaction: ProviderTransaction) -> None:
        self.transactions[transaction.id] = transaction
        if change.key:
            self._answers[change.call, change.key] = change.fingerprint, transaction
        if change.call is Call.CREATE:
            self._by_reference[transaction.reference] = transaction.id
            self._by_token[transaction.token] = transaction.id
        if change.call is Call.CAPTURE and transaction.status is TransactionStatus.ACTION_REQUIRED:
            self._asked.add(transaction.id)
        if transaction.status is TransactionStatus.CAPTURED:
            self._captured_at[transaction.id] = change.at

    def _apply_refund(self, change: Change, refund: ProviderRefund) -> None:
        self.refunds[refund.id] = refund
        if change.key:
            self._refund_by_key[change.key] = change.fingerprint, refund.id
        self._refund_by_reference[refund.reference] = refund.id
        if change.call is Call.REFUND and refund.status is not RefundStatus.FAILED:
            self._take(refund.transaction_id, refund.amount)
        elif change.call is Call.DECIDE_REFUND and refund.status is RefundStatus.FAILED:
            self._take(refund.transaction_id, -refund.amount)

    def _apply_dispute(self, dispute: ProviderDispute) -> None:
        self.disputes[dispute.id] = dispute
        if dispute.status is DisputeStatus.OPEN:
            self._take(dispute.transaction_id, dispute.amount)
        elif dispute.status is DisputeStatus.WON:
            self._take(dispute.transaction_id, -dispute.amount)

    def _take(self, transaction_id: str, amount: int) -> None:
        self._gone[transaction_id] = self._gone.get(transaction_id, 0) + amount


def _fate_of(email: str, fate: Fate) -> Fate:
    """Return what a customer's mailbox asks for; *fate* if it asks for nothing."""
    mailbox = email.lower()
    if mailbox.startswith(DECLINED_MAILBOX):
        return Fate.DECLINE
    return Fate.ACT if mailbox.startswith(CHALLENGED_MAILBOX) else fate


def _token() -> str:
    return os.urandom(16).hex()


def _fingerprint(content: object) -> str:
    return canonical.digest(content).hex()


def _known(of: Mapping[str, _Kept], name: str, what: str) -> _Kept:
    found = of.get(name)
    if found is None:
        raise Refusal(404, f"{what}_unknown")
    return found


def _check_content(known: str, fingerprint: str) -> None:
    if known != fingerprint:
        raise Refusal(409, "key_used_for_other_content")
