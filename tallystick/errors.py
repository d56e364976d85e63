"""
What can go wrong, and whether a retry can help.

    TallystickError
    ├── one subclass per thing that can go wrong, beside the verb that raises it
    └── each names a stable public ``code`` and one ``Kind`` of the closed set below

The docstring's first line is the message; ``{name}`` in it is filled from the details given.
Transports translate kinds, never single errors (``api/errors.py``).
"""

from enum import Enum
from typing import ClassVar


class Kind(Enum):
    """What a caller can do about an error; the closed set that transports translate."""

    INVALID = "invalid"
    UNAUTHENTICATED = "unauthenticated"
    FORBIDDEN = "forbidden"
    NOT_FOUND = "not_found"
    CONFLICT = "conflict"
    REFUSED = "refused"
    TOO_LARGE = "too_large"
    RATE_LIMITED = "rate_limited"
    UNAVAILABLE = "unavailable"
    INTERNAL = "internal"

    @property
    def retry_helps(self) -> bool:
        """Say whether the same request, sent again unchanged, may succeed later."""
        return self in {Kind.RATE_LIMITED, Kind.UNAVAILABLE}


class TallystickError(Exception):
    """Something went wrong."""

    code: ClassVar[str] = "internal"
    kind: ClassVar[Kind] = Kind.INTERNAL

    def __init__(self, *, field: str | None = None, **details: object) -> None:
        """Keep *field* (the path of the offending input, if one is to blame) and fill the message in."""
        self.field = field
        first_line = (type(self).__doc__ or "").strip().splitlines()[0]
        self.message = first_line.format_map(details)
        super().__init__(self.message)

    @classmethod
    def again(cls, message: str, field: str | None) -> "TallystickError":
        """Make the error that was answered before, in the words it was answered with."""
        error = cls.__new__(cls)
        error.field, error.message = field, message
        Exception.__init__(error, message)
        return error


class InvalidInput(TallystickError):
    """{rule}"""

    code = "invalid_input"
    kind = Kind.INVALID


def every_error() -> list[type[TallystickError]]:
    """Return every error class that is loaded, in order of code."""
    found: dict[str, type[TallystickError]] = {}
    waiting: list[type[TallystickError]] = [TallystickError]
    while waiting:
        error = waiting.pop()
        found.setdefault(error.code, error)
        waiting.extend(error.__subclasses__())
    return [found[code] for code in sorted(found)]
