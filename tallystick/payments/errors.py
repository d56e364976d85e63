"""What payments refuse."""

from tallystick.errors import Kind, TallystickError


class UnknownPayment(TallystickError):
    """There is no payment {payment} in this book."""

    code = "payments.unknown_payment"
    kind = Kind.NOT_FOUND


class NothingToPay(TallystickError):
    """Nothing is outstanding for {what}."""

    code = "payments.nothing_to_pay"
    kind = Kind.REFUSED


class PaymentUnderWay(TallystickError):
    """Payments under way cover the invoice but for {left} minor units; wait for them to end."""

    code = "payments.under_way"
    kind = Kind.REFUSED


class PaymentDiffers(TallystickError):
    """The {field_name} is another than the payment, or its invoice, has."""

    code = "payments.differs"
    kind = Kind.CONFLICT


class PaymentEnded(TallystickError):
    """The payment has failed ({reason}); start another."""

    code = "payments.ended"
    kind = Kind.REFUSED


class NotOpened(TallystickError):
    """The provider has not given this payment a transaction yet; try again."""

    code = "payments.not_opened"
    kind = Kind.UNAVAILABLE


class TransactionTaken(TallystickError):
    """The transaction {transaction} that the provider gave the payment is another payment's; an operator must see to it."""

    code = "payments.transaction_taken"
    kind = Kind.UNAVAILABLE


class AccountsUnusable(TallystickError):
    """The account {account} is missing, closed or limited, so the payment's money could not arrive; none was taken."""

    code = "payments.accounts_unusable"
    kind = Kind.UNAVAILABLE

    def __init__(self, *, account: str) -> None:
        """Keep which *account* it is."""
        self.account = account
        super().__init__(account=account)


class NotPosted(TallystickError):
    """The ledger does not take the payment's transfer ({status}); an operator must see to it."""

    code = "payments.not_posted"
    kind = Kind.UNAVAILABLE


class StatementDiffers(TallystickError):
    """What the message says of the payment is not, or no longer, what is kept of it; it is read and sent anew."""

    code = "payments.statement_differs"
    kind = Kind.UNAVAILABLE


class NotKnownYet(TallystickError):
    """The provider has not ended the transaction yet: it is {status}."""

    code = "payments.not_known_yet"
    kind = Kind.UNAVAILABLE
