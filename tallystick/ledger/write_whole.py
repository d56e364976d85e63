"""Write a file whole: whoever reads it, and whenever power fails, it is the old one or the new one."""

import contextlib
import os
from pathlib import Path


def write_whole(path: Path, content: bytes, mode: int = 0o644) -> None:
    """Put *content* in the place of what is there, on disk when this returns; missing directories are made."""
    path.parent.mkdir(parents=True, exist_ok=True)
    _write_beside(path, content, mode).replace(path)
    _sync(path.parent)


def write_once(path: Path, content: bytes, mode: int = 0o600) -> None:
    """Put *content* there, on disk when this returns, unless something is there already, which then stays."""
    making = _write_beside(path, content, mode)
    with contextlib.suppress(FileExistsError):
        os.link(making, path)
    making.unlink()
    _sync(path.parent)


def _write_beside(path: Path, content: bytes, mode: int) -> Path:
    making = path.with_name(f"{path.name}.{os.getpid()}")
    making.unlink(missing_ok=True)
    with os.fdopen(os.open(making, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode), "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    return making


def _sync(directory: Path) -> None:
    """Make the names in *directory* as durable as what they name."""
    descriptor = os.open(directory, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
