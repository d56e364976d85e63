"""What disputes refuse."""

from tallystick.errors import Kind, TallystickError


class UnknownDispute(TallystickError):
    """There is no dispute {dispute} in this book."""

    code = "disputes.unknown_dispute"
    kind = Kind.NOT_FOUND


class DisputeTooEarly(TallystickError):
    """The payment that the dispute is about is not settled in this book; it waits until that is."""

    code = "disputes.too_early"
    kind = Kind.UNAVAILABLE


class DisputeDecided(TallystickError):
    """The dispute was {status}, and the provider says now that it is {said}; an operator must see to it."""

    code = "disputes.decided"
    kind = Kind.CONFLICT


class DisputeDiffers(TallystickError):
    """The provider tells another {what} of the dispute than is kept; an operator must see to it."""

    code = "disputes.differs"
    kind = Kind.UNAVAILABLE
