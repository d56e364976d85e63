"""Find the one character that PostgreSQL keeps in no text."""

NUL = "a text cannot hold the character U+0000"
"""The rule that a text with one breaks."""


def find_nul(path: str, value: object) -> str | None:
    """Return where in *value*, which stands at *path*, a text or a name holds a NUL; None if none does."""
    if isinstance(value, str):
        return path if "\0" in value else None
    inner: list[tuple[str, object]] = []
    if isinstance(value, dict):
        if any("\0" in str(name) for name in value):
            return path
        inner = [(f"{path}.{name}", one) for name, one in value.items()]
    elif isinstance(value, list | tuple):
        inner = [(f"{path}[{place}]", one) for place, one in enumerate(value)]
    return next((found for at, one in inner if (found := find_nul(at, one)) is not None), None)
