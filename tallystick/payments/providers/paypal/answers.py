"""What PayPal answers, as far as we go by it; whatever else it says is passed over."""

import datetime as dt
from typing import TypeVar

import msgspec

from tallystick.payments.providers.paypal.amount import to_minor
from tallystick.payments.providers.protocol import ProviderUnreachable

_Answer = TypeVar("_Answer")


class Amount(msgspec.Struct, frozen=True):
    """An amount in PayPal's own writing."""

    currency_code: str
    value: str

    @property
    def minor(self) -> int:
        """Return it in minor units by ISO 4217."""
        return to_minor(self.value, self.currency_code)

    def equals(self, other: "Amount") -> bool:
        """Say whether it is as much as *other*, however both are written: 12.3 is 12.30."""
        return (self.currency_code, self.minor) == (other.currency_code, other.minor)


class Link(msgspec.Struct, frozen=True):
    """Where to go on from an answer."""

    href: str
    rel: str


class StatusDetails(msgspec.Struct, frozen=True):
    """Why something has the status that it has."""

    reason: str | None = None


class RelatedIds(msgspec.Struct, frozen=True):
    """What a capture belongs to."""

    order_id: str | None = None


class SupplementaryData(msgspec.Struct, frozen=True):
    """What PayPal adds."""

    related_ids: RelatedIds = RelatedIds()


class Capture(msgspec.Struct, frozen=True):
    """The taking of an order's money."""

    id: str
    status: str
    amount: Amount | None = None
    status_details: StatusDetails = StatusDetails()
    supplementary_data: SupplementaryData = SupplementaryData()


class Refund(msgspec.Struct, frozen=True):
    """Money of a capture that went back."""

    id: str
    status: str
    amount: Amount | None = None
    custom_id: str | None = None
    status_details: StatusDetails = StatusDetails()


class Payments(msgspec.Struct, frozen=True):
    """What became of a purchase unit."""

    captures: list[Capture] = []
    refunds: list[Refund] = []


class PurchaseUnit(msgspec.Struct, frozen=True):
    """What is paid for; our orders have one each."""

    amount: Amount
    custom_id: str | None = None
    invoice_id: str | None = None
    description: str | None = None
    payments: Payments = Payments()


class Order(msgspec.Struct, frozen=True):
    """An order, and how far it has come."""

    id: str
    status: str
    purchase_units: list[PurchaseUnit]
    links: list[Link] = []

    @property
    def unit(self) -> PurchaseUnit:
        """
        Return the one purchase unit.

        Raises:
            ProviderUnreachable: it has none or several, so it is none of ours.
        """
        if len(self.purchase_units) != 1:
            raise ProviderUnreachable(cause="the answer is about an order that is none of ours")
        return self.purchase_units[0]


class DisputedTransaction(msgspec.Struct, frozen=True):
    """The capture that a dispute is about."""

    seller_transaction_id: str


class DisputeOutcome(msgspec.Struct, frozen=True):
    """How a dispute was decided."""

    outcome_code: str = "NONE"


class Dispute(msgspec.Struct, frozen=True):
    """A dispute, and how far it has come."""

    dispute_id: str
    status: str
    disputed_transactions: list[DisputedTransaction]
    dispute_amount: Amount
    reason: str = ""
    dispute_outcome: DisputeOutcome = DisputeOutcome()
    seller_response_due_date: str | None = None


class DisputeSummary(msgspec.Struct, frozen=True):
    """A dispute in a list of them."""

    dispute_id: str
    create_time: str | None = None


class Disputes(msgspec.Struct, frozen=True):
    """The disputes of a transaction, latest first."""

    items: list[DisputeSummary] = []


class Movement(msgspec.Struct, frozen=True):
    """One movement of the account's money, as the transaction search tells it."""

    transaction_id: str
    transaction_event_code: str
    transaction_status: str
    transaction_initiation_date: str
    transaction_amount: Amount
    fee_amount: Amount | None = None
    """Below zero what PayPal keeps."""
    ending_balance: Amount | None = None
    """The balance in this currency after it; PayPal tells it only when the question has no filter."""
    paypal_reference_id: str | None = None
    paypal_reference_id_type: str | None = None
    invoice_id: str | None = None

    @property
    def at(self) -> dt.datetime:
        """Return when it began, in UTC."""
        return to_instant(self.transaction_initiation_date)


class TransactionDetail(msgspec.Struct, frozen=True):
    """What the transaction search tells of a movement."""

    transaction_info: Movement


class SearchPage(msgspec.Struct, frozen=True):
    """A page of the transaction search."""

    transaction_details: list[TransactionDetail] = []
    total_pages: int = 1
    last_refreshed_datetime: str | None = None
    """Up to when the search knows everything."""


def decode(content: bytes, kind: type[_Answer]) -> _Answer:
    """
    Read an answer.

    Raises:
        ProviderUnreachable: it is not what PayPal answers, so nothing can be said (``payments.provider_unknown_outcome``).
    """
    try:
        return msgspec.json.decode(content, type=kind)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as unreadable:
        raise ProviderUnreachable(cause="the answer cannot be read") from unreadable


def to_instant(text: str) -> dt.datetime:
    """
    Read an instant, with or without a colon in its offset; PayPal writes both.

    Raises:
        ProviderUnreachable: it is none, so the answer cannot be relied on.
    """
    try:
        instant = dt.datetime.fromisoformat(text)
        if instant.tzinfo is not None:
            return instant.astimezone(dt.UTC)
    except (ValueError, OverflowError):  # of the year 1 or 9999, it may be in none of UTC's
        pass
    raise ProviderUnreachable(cause="the answer has a time that cannot be read")
