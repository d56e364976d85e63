"""Write small files that their owner alone may read."""

from pathlib import Path


def write_privately(path: Path, content: bytes) -> None:
    """Put *content* at *path* whole or not at all; nobody but the owner could read any of it meanwhile."""
    beside = path.with_name(f"{path.name}.new")
    beside.unlink(missing_ok=True)
    beside.touch(0o600)
    beside.write_bytes(content)
    beside.replace(path)
