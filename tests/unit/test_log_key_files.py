"""The files of the logs' keys, and who signs when."""

import datetime as dt
from pathlib import Path

import pytest

from tallystick.clock import SystemClock
from tallystick.errors import InvalidInput
from tallystick.ledger.log import checkpoint as checkpoints
from tallystick.ledger.log.checkpoint import Checkpoint
from tallystick.ledger.log.note import Signer
from tallystick.ledger.log_keys import (
    LogKey,
    LogKeyLost,
    key_path,
    load_or_make_key,
    load_public_key,
    load_public_keys,
    load_signers,
    make_key,
    publish_keys,
    standing,
)
from tallystick.ledger.read_log import KeptCheckpoint

ORIGIN = "example.test/main"
START = dt.datetime(2026, 11, 1, tzinfo=dt.UTC)


def day(number: int) -> dt.datetime:
    """Return the start of a day."""
    return START + dt.timedelta(days=number)


def fact(
    number: int, signer: Signer | None = None, until: dt.datetime | None = None, last: int | None = None
) -> LogKey:
    """Return what the store tells of a key."""
    verifier = "" if signer is None else str(signer.verifier)
    return LogKey(number, verifier, 0, until, START, last)


def sealed_by(signer: Signer) -> KeptCheckpoint:
    """Return a checkpoint that *signer* made."""
    note = checkpoints.sign(Checkpoint(signer.verifier.name, 1, bytes(32)), [signer])
    return KeptCheckpoint(1, bytes(32), 1, note.decode(), SystemClock().now())


def test_a_key_is_made_once(tmp_path: Path) -> None:
    """The next start finds the key of the first, in a file that nobody else may read."""
    made = load_or_make_key(tmp_path, "example.test", "main", None)
    assert load_or_make_key(tmp_path, "example.test", "main", sealed_by(made)).secret_text() == made.secret_text()
    assert make_key(tmp_path, "another", "main", 1).secret_text() == made.secret_text()
    assert key_path(tmp_path, "main").stat().st_mode & 0o077 == 0
    assert [path.name for path in tmp_path.iterdir()] == ["main.key"]


def test_a_log_goes_on_under_its_own_key_alone(tmp_path: Path) -> None:
    """With the key lost or another in its place nothing is signed, and what verifies the receipts handed out stays."""
    made = load_or_make_key(tmp_path, "example.test", "main", None)
    newest = sealed_by(made)
    assert load_signers(tmp_path, "main", [fact(1, made)], [fact(1, made)], newest)[0].verifier == made.verifier
    key_path(tmp_path, "main").unlink()
    with pytest.raises(LogKeyLost):
        load_or_make_key(tmp_path, "example.test", "main", newest)
    key_path(tmp_path, "main").write_text(Signer.generate(ORIGIN).secret_text())
    with pytest.raises(LogKeyLost):
        load_or_make_key(tmp_path, "example.test", "main", newest)
    with pytest.raises(LogKeyLost):
        load_signers(tmp_path, "main", [fact(1, made)], [fact(1, made)], newest)
    assert load_public_key(tmp_path, "main") == made.verifier


def test_a_row_that_names_a_strangers_key_brings_it_nowhere(tmp_path: Path) -> None:
    """Whoever can write to the database can neither have us sign with another key nor publish one."""
    made = load_or_make_key(tmp_path, "example.test", "main", None)
    stranger = Signer.generate(ORIGIN)
    keys = [fact(1, made), fact(2, stranger, START)]
    with pytest.raises(LogKeyLost):
        load_signers(tmp_path, "main", keys, keys[1:], sealed_by(made))
    assert stranger.verifier not in load_public_keys(tmp_path, "main")
    with pytest.raises(LogKeyLost):  # nor go on with a log that it has signed alone
        load_signers(tmp_path, "main", keys[:1], keys[:1], sealed_by(stranger))


def test_published_keys_stay_published(tmp_path: Path) -> None:
    """The newest stands first, the older ones behind it, those whose secrets are gone too, and none twice."""
    first, second = make_key(tmp_path, ORIGIN, "main", 1), make_key(tmp_path, ORIGIN, "main", 2)
    publish_keys(tmp_path, "main", [first])
    publish_keys(tmp_path, "main", [second])
    publish_keys(tmp_path, "main", [second])
    assert load_public_keys(tmp_path, "main") == [second.verifier, first.verifier]
    assert load_public_key(tmp_path, "main") == second.verifier
    assert load_public_keys(tmp_path, "other") == []


def test_who_signs_when() -> None:
    """The newest key signs; an older one until the overlap ends that any later key set; one that ended never again."""
    keys = [fact(1), fact(2, until=day(10)), fact(3, until=day(20))]
    ended = [fact(1, last=5), *keys[1:]]
    for rows, at, signing, ending in (
        (keys[:1], day(0), [1], []),
        (keys[:2], day(9), [2, 1], []),
        (keys[:2], day(10), [2], [1]),
        (keys, day(9), [3, 2, 1], []),
        (keys, day(15), [3, 2], [1]),
        (keys, day(30), [3], [2, 1]),
        (ended, day(9), [3, 2], []),
        ([keys[0], keys[1], fact(3, until=day(5))], day(7), [3], [2, 1]),
    ):
        found = standing(rows, at)
        assert [key.number for key in found.signing] == signing
        assert [key.number for key in found.ending] == ending


@pytest.mark.parametrize("book", ["../main", "", "a/b", "x" * 64, "Main", "ä"])
def test_no_file_has_a_name_that_no_book_can_have(tmp_path: Path, book: str) -> None:
    """A book's name never leads out of the directory of the keys."""
    with pytest.raises(InvalidInput):
        key_path(tmp_path, book)
