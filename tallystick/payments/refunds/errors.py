"""What refunds refuse."""

from tallystick.errors import Kind, TallystickError


class UnknownRefund(TallystickError):
    """There is no refund {refund} in this book."""

    code = "refunds.unknown_refund"
    kind = Kind.NOT_FOUND


class NotSettled(TallystickError):
    """The payment is {status}: nothing was taken yet that could be given back; try again when it is settled."""

    code = "refunds.not_settled"
    kind = Kind.UNAVAILABLE


class NothingTaken(TallystickError):
    """The payment has failed: nothing was taken that could be given back."""

    code = "refunds.nothing_taken"
    kind = Kind.REFUSED


class TooMuch(TallystickError):
    """Of the payment {left} {asset} in minor units can still be given back{where}."""

    code = "refunds.too_much"
    kind = Kind.REFUSED


class RefundEnded(TallystickError):
    """The refund has {status}, and the provider says now that it is {said}; an operator must see to it."""

    code = "refunds.ended"
    kind = Kind.CONFLICT


class RefundDiffers(TallystickError):
    """The provider tells another {what} of the refund than was asked for; an operator must see to it."""

    code = "refunds.differs"
    kind = Kind.UNAVAILABLE


class RefundUnsure(TallystickError):
    """The provider refused the refund, and an earlier request of ours may still be under way; it is asked again."""

    code = "refunds.unsure"
    kind = Kind.UNAVAILABLE
