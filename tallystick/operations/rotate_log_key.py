"""Change the key of a book's log: the new secret on disk first, then the fact that it signs."""

import datetime as dt
from dataclasses import dataclass
from pathlib import Path

from tallystick.errors import Kind, TallystickError
from tallystick.ledger.books import find_book
from tallystick.ledger.log.note import Verifier
from tallystick.ledger.log_keys import (
    LogKey,
    LogKeyExists,
    LogKeyLost,
    add_log_key,
    key_path,
    list_log_keys,
    load_key,
    make_key,
    publish_keys,
)
from tallystick.operations.run import Operations


class NoLogKey(TallystickError):
    """The log of {book} has no key yet; it is made when `tallystick up` first runs."""

    code = "ledger.no_log_key"
    kind = Kind.NOT_FOUND


@dataclass(frozen=True, slots=True)
class Rotated:
    """The log's new key, and until when the ones before it sign as well."""

    number: int
    verifier: Verifier
    overlap_until: dt.datetime


async def rotate_log_key(
    operations: Operations, directory: Path, book: str, overlap: dt.timedelta, *, lost: bool = False
) -> Rotated:
    """
    Give the book's log a new key, which signs from the next checkpoint on; for *overlap* the keys before it sign too.

    Killed at any point it leaves a log that goes on, and can be run again. Unless the newest key is *lost* it must be
    in *directory*: so a new one is not made where no sealer would find it.

    Raises:
        UnknownBook: there is no such book (``ledger.unknown_book``).
        NoLogKey: the log has not begun (``ledger.no_log_key``).
        LogKeyLost: the newest key is not in *directory* (``ledger.log_key_lost``).
        LogKeyExists: somebody else was first, with another key (``ledger.log_key_exists``).
    """
    async with operations.pool.acquire() as connection:
        book_id = (await find_book(connection, book)).book_id
        keys = await list_log_keys(connection, book_id)
    if not keys:
        raise NoLogKey(book=book)
    newest, origin = keys[-1], Verifier.parse(keys[-1].verifier).name
    if not lost:
        _require_here(directory, book, newest, origin)
    number = newest.number + 1
    signer = make_key(directory, origin, book, number)
    if signer.verifier.name != origin:
        raise LogKeyExists(number=number)
    at = operations.clock.now()
    until = at if lost else at + overlap
    await operations.work(
        lambda connection: add_log_key(connection, book_id, number, signer.verifier, until, at),
    )
    publish_keys(directory, book, [signer])
    return Rotated(number, signer.verifier, until)


def _require_here(directory: Path, book: str, newest: LogKey, origin: str) -> None:
    signer = load_key(directory, book, newest.number)
    if signer is None or str(signer.verifier) != newest.verifier:
        raise LogKeyLost(origin=origin, path=key_path(directory, book, newest.number))
