"""
What a payment provider does for us, and the only two ways in which a call to one can fail.

    TallystickError
    ├── ProviderUnreachable   nobody can say whether the provider acted: ask again, with the same key
    └── ProviderRefused       the provider itself said no: nothing was done
"""

import datetime as dt
from collections.abc import Mapping, Sequence
from enum import Enum
from typing import Annotated, Protocol

import msgspec

from tallystick.errors import Kind, TallystickError
from tallystick.money import MAX_AMOUNT

Amount = Annotated[int, msgspec.Meta(gt=0, le=MAX_AMOUNT)]
"""Minor units of a currency; a payment of nothing is none."""

CurrencyCode = Annotated[str, msgspec.Meta(pattern=r"\A[A-Z]{3}\Z")]
"""A currency of ISO 4217: providers move money, not an operator's own units."""

Name = Annotated[str, msgspec.Meta(min_length=1, max_length=255)]
"""Text that names somebody or something, and is never empty."""


class PaymentType(Enum):
    """What the customer pays with."""

    CREDIT = "credit"
    DEBIT = "debit"


class TransactionStatus(Enum):
    """How far a transaction has come; captured, declined and canceled are final."""

    CREATED = "created"
    """Open; no money has moved, and none will before it is asked for."""
    ACTION_REQUIRED = "action_required"
    """The customer has something to do first, such as 3-D Secure, at ``action_url``."""
    PROCESSING = "processing"
    """Asked for; whether the money comes is known later, perhaps in days."""
    CAPTURED = "captured"
    DECLINED = "declined"
    CANCELED = "canceled"
    """Given up before any money was taken; none will be."""


class RefundStatus(Enum):
    """How far a refund has come; succeeded and failed are final."""

    PENDING = "pending"
    SUCCEEDED = "succeeded"
    FAILED = "failed"


class DisputeStatus(Enum):
    """How far a dispute has come; won and lost are final."""

    OPEN = "open"
    """The provider holds the money back until it is decided."""
    WON = "won"
    """The money is ours again."""
    LOST = "lost"
    """The money is the customer's again."""


class PayoutStatus(Enum):
    """How far a payout has come; paid and failed are final."""

    PENDING = "pending"
    PAID = "paid"
    FAILED = "failed"


class PayoutLineKind(Enum):
    """What a line of a payout's report tells of."""

    CHARGE = "charge"
    REFUND = "refund"
    REFUND_FAILED = "refund_failed"
    DISPUTE = "dispute"
    DISPUTE_REVERSED = "dispute_reversed"
    FEE = "fee"
    ADJUSTMENT = "adjustment"


class EventKind(Enum):
    """What a webhook is about."""

    TRANSACTION = "transaction"
    REFUND = "refund"
    DISPUTE = "dispute"
    PAYOUT = "payout"
    OTHER = "other"
    """Nothing that payments go by; it is kept and nothing follows."""


class CreateRequest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What a provider is told to open a transaction."""

    reference: Name
    """Our own id of the payment, which is also the idempotency key: one reference, one transaction."""
    amount: Amount
    currency: CurrencyCode
    user: Name
    email: Name
    payment_type: PaymentType

    def __repr__(self) -> str:
        """Leave the person out: what is printed may end in a log."""
        return f"CreateRequest(reference={self.reference!r}, amount={self.amount}, currency={self.currency!r})"


class ProviderTransaction(msgspec.Struct, frozen=True):
    """A transaction as the provider told it to us, at the moment of that answer."""

    id: Name
    token: str
    """What the customer's own device shows the provider to complete the payment."""
    reference: Name
    status: TransactionStatus
    amount: Amount
    currency: CurrencyCode
    decline_code: str | None = None
    """Why the customer's bank said no, in the provider's words; None unless declined."""
    action_url: str | None = None
    """Where the customer does what is asked of them; None unless action is required."""


class RefundRequest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Money of a captured transaction to give back: all of it, or a part."""

    reference: Name
    """Our own id of the refund, which is also the idempotency key: one reference, one refund."""
    transaction_id: Name
    amount: Amount
    currency: CurrencyCode


class ProviderRefund(msgspec.Struct, frozen=True):
    """A refund as the provider told it."""

    id: Name
    reference: Name
    transaction_id: Name
    status: RefundStatus
    amount: Amount
    currency: CurrencyCode
    failure: str | None = None
    """Why it failed, in the provider's words; None unless it did."""


class ProviderDispute(msgspec.Struct, frozen=True):
    """A dispute as the provider told it: the customer's bank wants the money of a transaction back."""

    id: Name
    transaction_id: Name
    status: DisputeStatus
    amount: Amount
    """What is held back while it is open, and gone when it is lost."""
    currency: CurrencyCode
    reason: str = ""
    """In the provider's words."""
    answer_by: dt.datetime | None = None
    """Until when the provider takes evidence; None if it does not say."""


class ProviderPayout(msgspec.Struct, frozen=True):
    """Money that the provider pays out to our bank account."""

    id: Name
    status: PayoutStatus
    amount: int
    """Minor units; below zero when the provider collects from us."""
    currency: CurrencyCode
    arrives_on: dt.date


class PayoutLine(msgspec.Struct, frozen=True):
    """One line of a payout's report; amounts in minor units, above zero what the provider owes us for it."""

    id: Name
    """The provider's id of the line, unique for ever."""
    kind: PayoutLineKind
    amount: int
    """Before the fee."""
    fee: int
    """What the provider keeps of it; below zero when it gives a fee back. The line adds ``amount - fee``."""
    currency: CurrencyCode
    occurred_at: dt.datetime
    transaction_id: str | None = None
    """The transaction that it belongs to, as `Provider.create` named it; None if to none."""
    refund_id: str | None = None
    dispute_id: str | None = None
    description: str = ""


class ProviderEvent(msgspec.Struct, frozen=True):
    """
    What a genuine webhook says: look at this.

    It is a hint and never the truth: events come twice, late and in any order, so the provider is asked how things stand.
    """

    id: Name
    """The provider's id of the event; the same event has the same id however often it is sent."""
    kind: EventKind
    type: Name
    """What the provider calls it."""
    subject: Name
    """The provider's id of the transaction, refund, dispute or payout."""
    transaction_id: str | None
    """The transaction that it belongs to, as `Provider.create` named it; None if the event does not tell."""
    occurred_at: dt.datetime


class ProviderUnreachable(TallystickError):
    """The payment provider gave no answer to rely on ({cause}), so whether it acted is not known."""

    code = "payments.provider_unknown_outcome"
    kind = Kind.UNAVAILABLE


class ProviderRefused(TallystickError):
    """The payment provider refused the request: {reason}."""

    code = "payments.provider_refused"
    kind = Kind.REFUSED


class WebhookNotGenuine(TallystickError):
    """The message was not signed by the payment provider, or not recently: {reason}."""

    code = "payments.webhook_not_genuine"
    kind = Kind.UNAUTHENTICATED


class Provider(Protocol):
    """
    A payment provider.

    Every call may raise ProviderUnreachable or ProviderRefused and nothing else (`read_webhook` has an error of its own). A decline is neither: it is an
    answer, a transaction whose status says so. After ProviderUnreachable the same call with the same key is
    always safe, and is answered as it would have been the first time. None is called inside a database transaction.
    """

    @property
    def name(self) -> str:
        """Return the word that payments keep to say whose transaction it is."""
        ...

    async def create(self, request: CreateRequest) -> ProviderTransaction:
        """
        Open a transaction, once for each reference, and take no money yet.

        Asked again, it gives the first answer, even if the transaction has moved on since: *find* tells the present.
        """
        ...

    async def capture(
        self, transaction_id: str, amount: int, currency: str, idempotency_key: str
    ) -> ProviderTransaction:
        """Take the money of a transaction, all of it and at most once whatever the keys; same key, first answer."""
        ...

    async def find(self, transaction_id: str) -> ProviderTransaction:
        """Return a transaction as it stands; one that the provider does not know is refused."""
        ...

    async def find_by_reference(self, reference: str) -> ProviderTransaction | None:
        """
        Return the transaction opened for *reference*, or None if there is none yet.

        None does not say that none will be: a request of ours may still be under way.
        """
        ...

    async def cancel(self, transaction_id: str) -> ProviderTransaction:
        """Give up a transaction of which nothing was taken; asked again, or too late, it tells how the transaction stands."""
        ...

    async def refund(self, request: RefundRequest) -> ProviderRefund:
        """Give money of a captured transaction back, once for each reference; asked again, it tells how that refund stands."""
        ...

    async def find_refund(self, transaction_id: str, reference: str) -> ProviderRefund | None:
        """Return the refund made for *reference*, or None if there is none yet; None does not say that none will be."""
        ...

    async def find_dispute(self, dispute_id: str) -> ProviderDispute:
        """Return a dispute as it stands; one that the provider does not know is refused."""
        ...

    async def list_payouts(self, after: str | None) -> Sequence[ProviderPayout]:
        """Return up to 100 payouts, oldest first, behind the payout *after*; None: from the first."""
        ...

    async def read_payout(self, payout_id: str) -> tuple[ProviderPayout, Sequence[PayoutLine]]:
        """Return a payout with every line of its report; the lines add up to its amount, or the report is not whole yet."""
        ...

    async def read_webhook(self, headers: Mapping[str, str], body: bytes) -> ProviderEvent:
        """
        Return what a webhook says, once it has proved to be the provider's; *headers* have names in lower case.

        Raises:
            WebhookNotGenuine: its signature is missing, wrong or too old (``payments.webhook_not_genuine``).
            ProviderUnreachable: what is needed to check it could not be fetched.
        """
        ...
