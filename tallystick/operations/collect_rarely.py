"""Collect rarely: what makes and drops rows by the ten thousand is not stopped every few hundred to look for cycles."""

import contextlib
import gc
from collections.abc import Iterator

_EVERY = 100_000
"""So many containers more than before are made between two looks; nothing of ours is in a cycle for long."""


@contextlib.contextmanager
def collect_rarely() -> Iterator[None]:
    """
    Let the interpreter look for cycles seldom while the context lasts: a fifth of what a batch would cost otherwise.

    It is a setting of the process, put back at the end as it was found.
    """
    before = gc.get_threshold()
    gc.set_threshold(_EVERY, *before[1:])
    try:
        yield
    finally:
        gc.set_threshold(*before)
