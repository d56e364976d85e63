"""
What a payment provider does for us, and the only two ways in which a call to one can fail.

    TallystickError
    ├── ProviderUnreachable   nobody can say whether the provider acted: ask again, with the same key
    └── ProviderRefused       the provider itself said no: nothing was done
"""

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
    """How far a transaction has come; captured and declined are final."""

    CREATED = "created"
    CAPTURED = "captured"
    DECLINED = "declined"


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


class ProviderUnreachable(TallystickError):
    """The payment provider gave no answer to rely on ({cause}), so whether it acted is not known."""

    code = "payments.provider_unknown_outcome"
    kind = Kind.UNAVAILABLE


class ProviderRefused(TallystickError):
    """The payment provider refused the request: {reason}."""

    code = "payments.provider_refused"
    kind = Kind.REFUSED


class Provider(Protocol):
    """
    A payment provider.

    Every call may raise ProviderUnreachable or ProviderRefused and nothing else. A decline is neither: it is an
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
