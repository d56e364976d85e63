"""Read the words that documents are written in: a file for each language, all with the same names."""

from functools import cache
from pathlib import Path

import msgspec

_FOLDER = Path(__file__).with_name("words")

Words = dict[str, str]
"""The fixed words of a document by name; ``{name}`` in one is filled in."""


@cache
def read_words(language: str) -> Words:
    """Return the words of one of ``LANGUAGES``."""
    return msgspec.json.decode((_FOLDER / f"{language}.json").read_bytes(), type=Words)
