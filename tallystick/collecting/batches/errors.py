"""What the records of runs refuse."""

from tallystick.errors import Kind, TallystickError


class UnknownRun(TallystickError):
    """There is no run {run} in this book."""

    code = "batches.unknown_run"
    kind = Kind.NOT_FOUND


class RunEnded(TallystickError):
    """The run {run} has come to its end; nothing is added to it."""

    code = "batches.ended"
    kind = Kind.REFUSED


class RunBegun(TallystickError):
    """The run {run} was begun as another one; take a new id for a new run."""

    code = "batches.begun"
    kind = Kind.CONFLICT
