"""Patterns for request targets: ``*`` stands for any run of characters, ``?`` for one, everything else for itself."""

from dataclasses import dataclass

LONGEST = 200


@dataclass(frozen=True, slots=True)
class Pattern:
    """
    A pattern, taken apart at its stars.

    Each part is looked for once, from left to right, the first place where it stands being as good as any: matching
    never goes back, so its work grows with the text's length alone, whatever the text is.
    """

    start: str
    middle: tuple[str, ...]
    end: str | None
    """None: the pattern has no star, and is all in *start*."""

    def matches(self, text: str) -> bool:
        """Say whether the whole of *text* fits."""
        if self.end is None:
            return len(text) == len(self.start) and _fits(self.start, text)
        place, stop = len(self.start), len(text) - len(self.end)
        if stop < place or not _fits(self.start, text[:place]) or not _fits(self.end, text[stop:]):
            return False
        for part in self.middle:
            found = text.find(part, place, stop)
            if found < 0:
                return False
            place = found + len(part)
        return True


def read_pattern(text: str) -> Pattern:
    """
    Take a pattern apart.

    Raises:
        ValueError: it cannot be used, for the reason that follows its name.
    """
    if not 1 <= len(text) <= LONGEST:
        raise ValueError(f"must have from 1 to {LONGEST} characters")
    if "\0" in text:
        raise ValueError("must not contain a NUL")
    start, *parts = text.split("*")
    if not parts:
        return Pattern(start, (), None)
    *middle, end = parts
    if any("?" in part for part in middle):
        raise ValueError("must not have a ? between two *: such a part could not be found in bounded time")
    return Pattern(start, tuple(filter(None, middle)), end)


def _fits(part: str, text: str) -> bool:
    """Compare *part* with as much text, character by character only where it has a ``?``."""
    if "?" not in part:
        return part == text
    return all(wanted in ("?", found) for wanted, found in zip(part, text, strict=True))
