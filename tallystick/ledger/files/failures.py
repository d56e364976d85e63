"""How Arrow says that it cannot go on reading a file."""

import pyarrow as pa

FAILURES = (OSError, pa.ArrowException, UnicodeDecodeError, OverflowError)
"""A file that is damaged makes Arrow raise one of these; names in it that are no UTF-8 among them."""

_LONGEST = 200


def why(error: BaseException) -> str:
    """Say in one line what Arrow found."""
    return (str(error).splitlines() or [type(error).__name__])[0][:_LONGEST]
