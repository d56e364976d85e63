"""What late captures refuse."""

from tallystick.errors import Kind, TallystickError


class NotFailed(TallystickError):
    """The payment is {status}: what was taken of it is not late."""

    code = "payments.not_failed"
    kind = Kind.REFUSED
