"""What dunning refuses."""

from tallystick.errors import Kind, TallystickError


class FeeBeyond(TallystickError):
    """The late fee is beyond {largest}, the largest amount there is; give the rule a cap."""

    code = "dunning.fee_beyond"
    kind = Kind.REFUSED


class UnknownReminder(TallystickError):
    """There is no reminder {level} of the invoice {invoice} with a fee."""

    code = "dunning.unknown_reminder"
    kind = Kind.NOT_FOUND
