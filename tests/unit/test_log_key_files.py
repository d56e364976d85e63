"""The files of the logs' keys."""

from pathlib import Path

import pytest

from tallystick.clock import SystemClock
from tallystick.errors import InvalidInput
from tallystick.ledger.log import checkpoint as checkpoints
from tallystick.ledger.log.checkpoint import Checkpoint
from tallystick.ledger.log.note import Signer
from tallystick.ledger.log_keys import LogKeyLost, key_path, load_or_make_key, load_public_key
from tallystick.ledger.read_log import KeptCheckpoint


def sealed_by(signer: Signer) -> KeptCheckpoint:
    """Return a checkpoint that *signer* made."""
    note = checkpoints.sign(Checkpoint(signer.verifier.name, 1, bytes(32)), [signer])
    return KeptCheckpoint(1, bytes(32), 1, note.decode(), SystemClock().now())


def test_a_key_is_made_once(tmp_path: Path) -> None:
    """The next start finds the key of the first, in a file that nobody else may read."""
    made = load_or_make_key(tmp_path, "example.test", "main", None)
    assert load_or_make_key(tmp_path, "example.test", "main", sealed_by(made)).secret_text() == made.secret_text()
    assert key_path(tmp_path, "main").stat().st_mode & 0o077 == 0
    assert str(load_public_key(tmp_path, "main")) == str(made.verifier)


def test_a_log_goes_on_under_its_own_key_alone(tmp_path: Path) -> None:
    """With the key lost or another in its place nothing is signed, and what verifies the receipts handed out stays."""
    made = load_or_make_key(tmp_path, "example.test", "main", None)
    newest = sealed_by(made)
    key_path(tmp_path, "main").unlink()
    with pytest.raises(LogKeyLost):
        load_or_make_key(tmp_path, "example.test", "main", newest)
    key_path(tmp_path, "main").write_text(Signer.generate("example.test/main").secret_text())
    with pytest.raises(LogKeyLost):
        load_or_make_key(tmp_path, "example.test", "main", newest)
    assert str(load_public_key(tmp_path, "main")) == str(made.verifier)


@pytest.mark.parametrize("book", ["../main", "", "a/b", "x" * 64, "Main", "ä"])
def test_no_file_has_a_name_that_no_book_can_have(tmp_path: Path, book: str) -> None:
    """A book's name never leads out of the directory of the keys."""
    with pytest.raises(InvalidInput):
        key_path(tmp_path, book)
