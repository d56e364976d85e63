"""PayPal as a payment provider: orders, captures, refunds, disputes, payouts and webhooks."""

import time
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import quote

import msgspec

from tallystick.clock import Clock, SystemClock
from tallystick.ids import uuid7
from tallystick.payments.providers.closing import Closing
from tallystick.payments.providers.paypal.account import PayPalAccount
from tallystick.payments.providers.paypal.amount import to_value
from tallystick.payments.providers.paypal.answers import Dispute, Order, Refund, decode
from tallystick.payments.providers.paypal.authorize import Authorization
from tallystick.payments.providers.paypal.call import PayPalCall, check, failure_of, issue_of, key_of
from tallystick.payments.providers.paypal.check_webhook import check_webhook
from tallystick.payments.providers.paypal.connection import Connection
from tallystick.payments.providers.paypal.find_certificate import Certificates
from tallystick.payments.providers.paypal.read_dispute import dispute_of
from tallystick.payments.providers.paypal.read_event import read_event
from tallystick.payments.providers.paypal.read_order import (
    GIVEN_UP,
    approval_of,
    refund_of,
    taken_of,
    transaction_of,
)
from tallystick.payments.providers.paypal.report import Report
from tallystick.payments.providers.protocol import (
    CreateRequest,
    PayoutLine,
    ProviderDispute,
    ProviderEvent,
    ProviderPayout,
    ProviderRefund,
    ProviderRefused,
    ProviderTransaction,
    ProviderUnreachable,
    RefundRequest,
    TransactionStatus,
    WebhookNotGenuine,
)

LONGEST_REFERENCE: Final = 127
"""What PayPal keeps of a name of ours."""

_MOST_REMEMBERED: Final = 10_000
_ORDERS: Final = "/v2/checkout/orders"

_DECLINES: Final = frozenset(
    {
        "COMPLIANCE_VIOLATION",
        "DECLINED_DUE_TO_RELATED_TXN",
        "INSTRUMENT_DECLINED",
        "MAX_NUMBER_OF_PAYMENT_ATTEMPTS_EXCEEDED",
        "PAYEE_BLOCKED_TRANSACTION",
        "PAYER_ACCOUNT_LOCKED_OR_CLOSED",
        "PAYER_ACCOUNT_RESTRICTED",
        "PAYER_CANNOT_PAY",
        "PAYMENT_DENIED",
        "REDIRECT_PAYER_FOR_ALTERNATE_FUNDING",
        "TRANSACTION_BLOCKED_BY_PAYEE",
        "TRANSACTION_LIMIT_EXCEEDED",
        "TRANSACTION_RECEIVING_LIMIT_EXCEEDED",
        "TRANSACTION_REFUSED",
    }
)
"""The refusals to capture that speak of the customer's money, and are a decline."""

_NOT_APPROVED_YET: Final = frozenset({"ORDER_NOT_APPROVED", "PAYER_ACTION_REQUIRED"})
_STANDS_OTHERWISE: Final = _NOT_APPROVED_YET | {"ORDER_ALREADY_CAPTURED"}
"""The refusals to capture that only say: look how the order stands."""

_WAITING: Final = frozenset({TransactionStatus.CREATED, TransactionStatus.ACTION_REQUIRED})


@dataclass(frozen=True, slots=True)
class _Opened:
    """An order that this process asked for: what it sent, and the first answer once there is one."""

    body: bytes
    answer: ProviderTransaction | None = None


class PayPalProvider(Closing):
    """
    PayPal, reached at its address.

    A transaction is an order of Orders v2. The customer approves it at PayPal, by the link that is its token; then it is
    captured, at most once whatever the keys, because PayPal captures no order twice.
    """

    name = "paypal"

    def __init__(self, account: PayPalAccount, clock: Clock | None = None, timeout: float = 10.0) -> None:
        """Reach *account*; an exchange has *timeout* seconds from first to last."""
        clock = clock or SystemClock()
        self._account = account
        self._clock = clock
        self._connection = Connection(timeout)
        self._call = PayPalCall(account, self._connection, Authorization(account, self._connection, time.monotonic))
        self._certificates = Certificates(account.certificates, self._connection, clock)
        self._report = Report(self._call, clock)
        self._opened: OrderedDict[str, _Opened] = OrderedDict()

    async def close(self) -> None:
        """Close the connections."""
        await self._connection.close()

    async def create(self, request: CreateRequest) -> ProviderTransaction:
        """
        Open an order, once for each reference: PayPal answers the same key with the same order for six hours.

        After that a repeat is another order, and still no money is taken twice: of an order whose answer was lost nobody
        has the link, and nobody captures what nobody knows of. Neither user nor email is sent: PayPal knows its customer.

        Raises:
            ProviderUnreachable: whether it is open is not known (``payments.provider_unknown_outcome``).
            ProviderRefused: it is not, or PayPal does not take the amount (``payments.provider_refused``).
        """
        body = self._body_of(request)
        opened = self._opened.get(request.reference) or _Opened(body)
        if opened.body != body:
            raise ProviderRefused(reason="the reference was used for another payment")
        if opened.answer is not None:
            return opened.answer
        self._remember(request.reference, opened)
        try:
            return await self._open(request.reference, body, (request.amount, request.currency))
        except ProviderRefused:
            self._opened.pop(request.reference, None)
            raise

    async def capture(
        self, transaction_id: str, amount: int, currency: str, idempotency_key: str
    ) -> ProviderTransaction:
        """
        Take the money of an order that its customer has approved; of one not approved yet, say where that is done.

        The order is looked at first: PayPal takes all of an order and asks for no amount, and knows nothing of what we
        have given up.

        Raises:
            ProviderUnreachable: whether it is taken is not known (``payments.provider_unknown_outcome``).
            ProviderRefused: this request did not take it (``payments.provider_refused``).
        """
        standing = await self.find(transaction_id)
        if (standing.amount, standing.currency) != (amount, currency):
            raise ProviderRefused(reason="amount_differs")
        if standing.status is not TransactionStatus.CREATED:
            return standing
        path = f"{_path_of(transaction_id)}/capture"
        reply = await self._call.post(path, {}, idempotency_key)
        if issue_of(reply) in _NOT_APPROVED_YET and await self._is_approved(transaction_id):
            # It may repeat what was so when it first saw the key; and it captures an order once, whatever the keys.
            reply = await self._call.post(path, {}, f"{idempotency_key}:{uuid7()}")
        issue = issue_of(reply)
        if issue in _STANDS_OTHERWISE:
            return await self._look_again(transaction_id)
        if issue in _DECLINES:
            return await self._declined(transaction_id, issue)
        taken = transaction_of(decode(check(reply), Order))
        if (taken.id, taken.amount, taken.currency) != (transaction_id, amount, currency):
            raise ProviderUnreachable(cause="the answer is about another payment")
        return taken

    async def find(self, transaction_id: str) -> ProviderTransaction:
        """
        Return an order as it stands.

        Raises:
            ProviderUnreachable: no answer (``payments.provider_unknown_outcome``).
            ProviderRefused: there is none of this id, or none any more (``payments.provider_refused``).
        """
        return transaction_of(await self._order(transaction_id))

    async def find_by_reference(self, reference: str) -> ProviderTransaction | None:
        """
        Return the order that this process asked for under *reference*; None of any other.

        PayPal cannot be asked by a name of ours. What it can be told is the same request with the same key, and it
        answers with the same order, if there is one; if there is none it opens the one that was asked for, which
        *create* would do next. Another process does not know the request, and must *create* to find out.

        Raises:
            ProviderUnreachable: no answer (``payments.provider_unknown_outcome``).
            ProviderRefused: the question was refused (``payments.provider_refused``).
        """
        opened = self._opened.get(reference)
        if opened is None:
            return None
        answer = opened.answer or await self._open(reference, opened.body, None)
        return await self.find(answer.id)

    async def cancel(self, transaction_id: str) -> ProviderTransaction:
        """
        Give up an order that was not captured: mark it, so that none of our processes captures it from now on.

        PayPal cancels no order, and forgets one that is not captured some hours after. Until then its customer may
        approve it, and nothing follows. Whoever calls this must know of no capture that is under way.

        Raises:
            ProviderUnreachable: whether it is given up is not known (``payments.provider_unknown_outcome``).
            ProviderRefused: there is none of this id (``payments.provider_refused``).
        """
        standing = await self.find(transaction_id)
        if standing.status not in _WAITING:
            return standing
        mark = {
            "op": "add",
            "path": f"/purchase_units/@reference_id=='{key_of(standing.reference)}'/description",
            "value": GIVEN_UP,
        }
        failure = failure_of(await self._call.patch(_path_of(transaction_id), [mark]))
        found = await self.find(transaction_id)
        if failure is None or found.status not in _WAITING:
            return found
        if isinstance(failure, ProviderRefused) and found.status is TransactionStatus.ACTION_REQUIRED:
            # It takes no mark, and nobody can have captured it, since its customer has not approved it.
            return msgspec.structs.replace(found, status=TransactionStatus.CANCELED, action_url=None)
        raise failure

    async def refund(self, request: RefundRequest) -> ProviderRefund:
        """
        Give money of a captured order back, once for each reference.

        The order is asked first for a refund of this reference, so that once stays once when PayPal has forgotten the key.

        Raises:
            ProviderUnreachable: whether it is made is not known (``payments.provider_unknown_outcome``).
            ProviderRefused: it is not (``payments.provider_refused``).
        """
        order = await self._order(request.transaction_id)
        if (made := _made_for(order, request.reference)) is not None:
            return made
        taken = taken_of(order)
        if taken is None:
            raise ProviderRefused(reason="nothing was captured")
        body = {
            "amount": {"currency_code": request.currency, "value": to_value(request.amount, request.currency)},
            "custom_id": key_of(request.reference),
        }
        path = f"/v2/payments/captures/{quote(taken.id, safe='')}/refund"
        reply = await self._call.post(path, body, request.reference)
        refund = refund_of(order, decode(check(reply), Refund), request.reference)
        if (refund.amount, refund.currency) != (request.amount, request.currency):
            raise ProviderUnreachable(cause="the answer is about another refund")
        return refund

    async def find_refund(self, transaction_id: str, reference: str) -> ProviderRefund | None:
        """
        Return the refund made for *reference*, or None if there is none yet.

        Raises:
            ProviderUnreachable: no answer (``payments.provider_unknown_outcome``).
            ProviderRefused: there is no such order (``payments.provider_refused``).
        """
        return _made_for(await self._order(transaction_id), reference)

    async def find_dispute(self, dispute_id: str) -> ProviderDispute:
        """
        Return a dispute as it stands.

        Raises:
            ProviderUnreachable: no answer (``payments.provider_unknown_outcome``).
            ProviderRefused: there is none of this id (``payments.provider_refused``).
        """
        reply = await self._call.get(f"/v1/customer/disputes/{quote(dispute_id, safe='')}")
        dispute = decode(check(reply), Dispute)
        if dispute.dispute_id != dispute_id or not dispute.disputed_transactions:
            raise ProviderUnreachable(cause="the answer is about another dispute")
        capture_id = dispute.disputed_transactions[0].seller_transaction_id
        return dispute_of(dispute, await self._report.order_of(capture_id))

    async def list_payouts(self, after: str | None) -> Sequence[ProviderPayout]:
        """
        Return up to 100 withdrawals to the bank, oldest first, behind *after*; None: from three years ago.

        Raises:
            ProviderUnreachable: no answer (``payments.provider_unknown_outcome``).
            ProviderRefused: there is no payout *after*, or the account may not search (``payments.provider_refused``).
        """
        return await self._report.list_payouts(after)

    async def read_payout(self, payout_id: str) -> tuple[ProviderPayout, Sequence[PayoutLine]]:
        """
        Return a withdrawal, and what moved in its currency since the one before.

        Raises:
            ProviderUnreachable: no answer (``payments.provider_unknown_outcome``).
            ProviderRefused: there is none of this id, or the account may not search (``payments.provider_refused``).
        """
        return await self._report.read_payout(payout_id)

    async def read_webhook(self, headers: Mapping[str, str], body: bytes) -> ProviderEvent:
        """
        Return what a webhook says, once its certificate and signature have shown it to be PayPal's.

        Raises:
            WebhookNotGenuine: they do not, or it is too old, or we know of no webhook (``payments.webhook_not_genuine``).
            ProviderUnreachable: the certificate could not be fetched (``payments.provider_unknown_outcome``).
        """
        webhook_id = self._account.webhook_id
        if not webhook_id:
            raise WebhookNotGenuine(reason="no webhook of PayPal's is set up here")
        await check_webhook(headers, body, webhook_id, self._certificates, self._clock)
        return read_event(body)

    def _body_of(self, request: CreateRequest) -> bytes:
        if len(request.reference) > LONGEST_REFERENCE:
            raise ProviderRefused(reason=f"PayPal keeps {LONGEST_REFERENCE} characters of a reference")
        context: dict[str, Any] = {"shipping_preference": "NO_SHIPPING", "user_action": "PAY_NOW"}
        if self._account.return_url is not None:
            context |= {"return_url": self._account.return_url, "cancel_url": self._account.return_url}
        unit = {
            "reference_id": key_of(request.reference),
            "custom_id": request.reference,
            "invoice_id": request.reference,
            "amount": {"currency_code": request.currency, "value": to_value(request.amount, request.currency)},
        }
        return msgspec.json.encode({"intent": "CAPTURE", "purchase_units": [unit], "application_context": context})

    async def _open(self, reference: str, body: bytes, expected: tuple[int, str] | None) -> ProviderTransaction:
        order = decode(check(await self._call.post(_ORDERS, msgspec.Raw(body), reference)), Order)
        opened = transaction_of(order)
        if opened.reference != reference:
            raise ProviderUnreachable(cause="the answer is about another payment")
        if expected is not None and (opened.amount, opened.currency) != expected:
            raise ProviderRefused(reason="the reference was used for another payment")
        approval = approval_of(order)
        if approval is None:
            raise ProviderUnreachable(cause="the answer has no link for the customer")
        # As it was when it was opened: PayPal answers a repeat with the order of now.
        first = msgspec.structs.replace(
            opened, token=approval, status=TransactionStatus.CREATED, decline_code=None, action_url=None
        )
        self._remember(reference, _Opened(body, first))
        return first

    def _remember(self, reference: str, opened: _Opened) -> None:
        self._opened[reference] = opened
        self._opened.move_to_end(reference)
        if len(self._opened) > _MOST_REMEMBERED:
            self._opened.popitem(last=False)

    async def _order(self, transaction_id: str) -> Order:
        order = decode(check(await self._call.get(_path_of(transaction_id))), Order)
        if order.id != transaction_id:
            raise ProviderUnreachable(cause="the answer is about another payment")
        return order

    async def _is_approved(self, transaction_id: str) -> bool:
        return (await self.find(transaction_id)).status is TransactionStatus.CREATED

    async def _look_again(self, transaction_id: str) -> ProviderTransaction:
        """Return how an order stands that could not be captured; one that could after all is not known yet."""
        standing = await self.find(transaction_id)
        if standing.status is TransactionStatus.CREATED:
            raise ProviderUnreachable(cause="it says that the order cannot be captured, and that it can")
        return standing

    async def _declined(self, transaction_id: str, issue: str | None) -> ProviderTransaction:
        standing = await self.find(transaction_id)
        if standing.status not in _WAITING:
            return standing
        return msgspec.structs.replace(standing, status=TransactionStatus.DECLINED, decline_code=issue, action_url=None)


def _path_of(transaction_id: str) -> str:
    return f"{_ORDERS}/{quote(transaction_id, safe='')}"


def _made_for(order: Order, reference: str) -> ProviderRefund | None:
    """Return the refund of *order* that was made for *reference*, or None."""
    mark = key_of(reference)
    found = next((refund for refund in order.unit.payments.refunds if refund.custom_id == mark), None)
    return None if found is None else refund_of(order, found, reference)
