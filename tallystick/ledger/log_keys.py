"""
The keys of the logs: Ed25519 keys, one after the other for each book, in files that only the server may read.

Which key signs is told by the facts in `log_key`; the secrets never leave their files:

    main.key  main.2.key  …   a secret each, made once and never written over
    main.pub                  the public half of each, the newest first: what is published

A change of keys is: the new secret on disk, then the fact. Whatever dies in between, the log goes on under the keys
that the facts name, and the next attempt takes up the secret that was left. Until the overlap that the fact states has
passed, the keys before sign too, so that whoever knows an old one alone can still verify new checkpoints.
"""

import datetime as dt
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from tallystick.db.queries import Connection, queries_beside
from tallystick.errors import Kind, TallystickError
from tallystick.ledger.books import require_book_name
from tallystick.ledger.log.note import Signer, Verifier, parse_keys, verify
from tallystick.ledger.read_log import KeptCheckpoint
from tallystick.ledger.write_whole import write_once, write_whole


class LogKeyLost(TallystickError):
    """The log {origin} was signed by another key than {path} holds; put the old key back, or see `tallystick log rotate --lost`."""

    code = "ledger.log_key_lost"
    kind = Kind.REFUSED


class LogKeyExists(TallystickError):
    """The log has another key {number} already; somebody else changes its keys at this moment."""

    code = "ledger.log_key_exists"
    kind = Kind.CONFLICT


@dataclass(frozen=True, slots=True)
class LogKey:
    """A key of a book's log, as the facts tell of it."""

    number: int
    """1 for the first."""
    verifier: str
    """Its public half in text form."""
    after_size: int
    """It has signed no checkpoint of so many leaves or fewer."""
    overlap_until: dt.datetime | None
    """Until then the keys before it sign as well; None of the first."""
    made_at: dt.datetime
    last_size: int | None
    """It has signed no checkpoint of more leaves; None while it signs."""


@dataclass(frozen=True, slots=True)
class Standing:
    """Who signs now, the newest key first; and who has come to the end of its overlap, which is not yet a fact."""

    signing: tuple[LogKey, ...]
    ending: tuple[LogKey, ...]


_queries = queries_beside(__file__)
list_log_keys = _queries.rows("list_log_keys", LogKey)
_insert_log_key = _queries.run("insert_log_key")
_end_log_keys = _queries.run("end_log_keys")


def standing(keys: Sequence[LogKey], at: dt.datetime) -> Standing:
    """Say which of a log's *keys*, in order of number, sign at *at*: the newest, and those whose overlap lasts."""
    signing: list[LogKey] = []
    ending: list[LogKey] = []
    until: dt.datetime | None = None
    for key in reversed(keys):
        if key.last_size is None:
            (signing if until is None or at < until else ending).append(key)
        if key.overlap_until is not None:
            until = key.overlap_until if until is None else min(until, key.overlap_until)
    return Standing(tuple(signing), tuple(ending))


async def add_log_key(
    connection: Connection, book_id: int, number: int, verifier: Verifier, overlap_until: dt.datetime | None, at: dt.datetime
) -> None:  # fmt: skip
    """
    Make it a fact that *verifier* is the log's key *number*, in force from the next checkpoint on; once is enough.

    Its secret must be on disk where the sealer finds it.

    Raises:
        LogKeyExists: another key has this number, or the one before it has none yet (``ledger.log_key_exists``).
    """
    before = await list_log_keys(connection, book_id)
    if len(before) == number - 1:
        await _insert_log_key(connection, book_id, number, str(verifier), overlap_until, at)
    keys = {key.number: key.verifier for key in await list_log_keys(connection, book_id)}
    if keys.get(number) != str(verifier):
        raise LogKeyExists(number=number)


async def end_log_keys(connection: Connection, book_id: int, keys: Sequence[LogKey], at: dt.datetime) -> None:
    """Make it a fact that *keys* sign no more; only the book's sealer may, before it signs anything without them."""
    await _end_log_keys(connection, book_id, [key.number for key in keys], at)


def origin_of(prefix: str, book: str) -> str:
    """Return the name of the book's log, which stands in every checkpoint."""
    return f"{prefix}/{book}"


def load_or_make_key(directory: Path, prefix: str, book: str, newest: KeptCheckpoint | None) -> Signer:
    """
    Return the first key of the book's log; for a log without a checkpoint yet, made now and on disk before it is used.

    Raises:
        LogKeyLost: the log was signed by another key, or by one that is not here any more (``ledger.log_key_lost``).
    """
    signer = load_key(directory, book, 1)
    if signer is None:
        if newest is not None:
            raise LogKeyLost(origin=origin_of(prefix, book), path=key_path(directory, book))
        signer = make_key(directory, origin_of(prefix, book), book, 1)
    _require_own_log([signer.verifier], newest, signer.verifier.name, key_path(directory, book))
    return signer


def load_signers(
    directory: Path, book: str, keys: Sequence[LogKey], signing: Sequence[LogKey], newest: KeptCheckpoint | None
) -> tuple[Signer, ...]:
    """
    Return the secrets of those *keys* of the book's log that are *signing*, in their order, and publish all that are here.

    Raises:
        LogKeyLost: one is not here or is another, or none of *keys* signed the newest checkpoint
            (``ledger.log_key_lost``).
    """
    here = {key.number: load_key(directory, book, key.number) for key in keys}
    signers: list[Signer] = []
    for key in signing:
        signer = here[key.number]
        if signer is None or str(signer.verifier) != key.verifier:
            origin = Verifier.parse(key.verifier).name
            raise LogKeyLost(origin=origin, path=key_path(directory, book, key.number))
        signers.append(signer)
    _require_own_log(
        [Verifier.parse(key.verifier) for key in keys], newest, signers[0].verifier.name, key_path(directory, book)
    )
    known = {key.verifier for key in keys}
    newest_first = [here[number] for number in sorted(here, reverse=True)]
    publish_keys(directory, book, [one for one in newest_first if one is not None and str(one.verifier) in known])
    return tuple(signers)


def load_key(directory: Path, book: str, number: int) -> Signer | None:
    """Return a secret key of the book's log; None when it is not here."""
    try:
        return Signer.parse(key_path(directory, book, number).read_text().strip())
    except FileNotFoundError:
        return None


def make_key(directory: Path, origin: str, book: str, number: int) -> Signer:
    """Return a secret key of the book's log, which is called *origin*: the one that is here, or else a new one, on disk."""
    path = key_path(directory, book, number)
    if not path.exists():
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        write_once(path, f"{Signer.generate(origin).secret_text()}\n".encode())
    return Signer.parse(path.read_text().strip())


def publish_keys(directory: Path, book: str, signers: Sequence[Signer]) -> None:
    """
    Write the public halves of *signers* to the file that is published, before those that stand there already.

    Only what was made here gets there: a row in the database that names a stranger's key does not.
    """
    lines = [str(signer.verifier) for signer in signers]
    found = [str(verifier) for verifier in load_public_keys(directory, book)]
    whole = [*lines, *(line for line in found if line not in lines)]
    if whole != found:
        write_whole(public_path(directory, book), "".join(f"{line}\n" for line in whole).encode())


def load_public_keys(directory: Path, book: str) -> list[Verifier]:
    """Return the public halves of the book's keys, the newest first; none while it has no key."""
    try:
        text = public_path(directory, book).read_text()
    except FileNotFoundError:
        return []
    return parse_keys(text)


def load_public_key(directory: Path, book: str) -> Verifier | None:
    """Return the public half of the book's newest key; None while it has none."""
    return next(iter(load_public_keys(directory, book)), None)


def key_path(directory: Path, book: str, number: int = 1) -> Path:
    """
    Return the file of a secret key of the book's log.

    Raises:
        InvalidInput: no book can have this name, and no file shall (``invalid_input``).
    """
    require_book_name(book)
    return directory / (f"{book}.key" if number == 1 else f"{book}.{number}.key")


def public_path(directory: Path, book: str) -> Path:
    """
    Return the file of the book's public keys.

    Raises:
        InvalidInput: no book can have this name, and no file shall (``invalid_input``).
    """
    return key_path(directory, book).with_suffix(".pub")


def _require_own_log(verifiers: Sequence[Verifier], newest: KeptCheckpoint | None, origin: str, path: Path) -> None:
    """
    Refuse to go on with a log that another key has signed.

    Raises:
        LogKeyLost: its newest checkpoint is signed by none of *verifiers* (``ledger.log_key_lost``).
    """
    if newest is None:
        return
    try:
        verify(newest.note.encode(), verifiers)
    except TallystickError as error:
        raise LogKeyLost(origin=origin, path=path) from error
