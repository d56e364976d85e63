"""The keys of the logs: one Ed25519 key per book, in a file that only the server may read."""

import contextlib
import os
from pathlib import Path

from tallystick.errors import Kind, TallystickError
from tallystick.ledger.books import require_book_name
from tallystick.ledger.log.note import Signer, Verifier, verify
from tallystick.ledger.read_log import KeptCheckpoint


class LogKeyLost(TallystickError):
    """The log {origin} was signed by another key than {path} holds; put the old key back, the log cannot go on without."""

    code = "ledger.log_key_lost"
    kind = Kind.REFUSED


def origin_of(prefix: str, book: str) -> str:
    """Return the name of the book's log, which stands in every checkpoint."""
    return f"{prefix}/{book}"


def load_or_make_key(directory: Path, prefix: str, book: str, newest: KeptCheckpoint | None) -> Signer:
    """
    Return the key that signs the book's log; for a log without a checkpoint yet, made now and on disk before it is used.

    Raises:
        LogKeyLost: the log was signed by another key, or by one that is not here any more (``ledger.log_key_lost``).
    """
    path = key_path(directory, book)
    if not path.exists():
        if newest is not None:
            raise LogKeyLost(origin=origin_of(prefix, book), path=path)
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        _write_once(path, Signer.generate(origin_of(prefix, book)).secret_text())
    signer = Signer.parse(path.read_text().strip())
    _require_own_log(signer, newest, path)
    public = path.with_suffix(".pub")
    if not public.exists():
        public.write_text(f"{signer.verifier}\n")
    return signer


def load_public_key(directory: Path, book: str) -> Verifier | None:
    """Return the public half of the book's key; None while it has none."""
    with contextlib.suppress(FileNotFoundError):
        return Verifier.parse(key_path(directory, book).with_suffix(".pub").read_text().strip())
    return None


def key_path(directory: Path, book: str) -> Path:
    """
    Return the file of the book's secret key.

    Raises:
        InvalidInput: no book can have this name, and no file shall (``invalid_input``).
    """
    require_book_name(book)
    return directory / f"{book}.key"


def _require_own_log(signer: Signer, newest: KeptCheckpoint | None, path: Path) -> None:
    """
    Refuse to go on with a log that another key has signed.

    Raises:
        LogKeyLost: its newest checkpoint is not signed by *signer* (``ledger.log_key_lost``).
    """
    if newest is None:
        return
    try:
        verify(newest.note.encode(), [signer.verifier])
    except TallystickError as error:
        raise LogKeyLost(origin=signer.verifier.name, path=path) from error


def _write_once(path: Path, secret: str) -> None:
    """Put the key in its place whole and on disk, unless another process was first."""
    making = path.with_name(f"{path.name}.{os.getpid()}")
    with os.fdopen(os.open(making, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="ascii") as file:
        file.write(f"{secret}\n")
        file.flush()
        os.fsync(file.fileno())
    with contextlib.suppress(FileExistsError):
        os.link(making, path)
    making.unlink()
