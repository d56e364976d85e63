"""`tallystick log key` and `rotate`: the keys that sign a book's log."""

import datetime as dt
from typing import Annotated

import typer

from tallystick.cli.console import complain, say
from tallystick.cli.run import Book, on_store, settings
from tallystick.ledger.log_keys import load_public_keys
from tallystick.open_store import FIRST_BOOK, Store, keys_directory
from tallystick.operations.rotate_log_key import Rotated, rotate_log_key
from tallystick.security.model import OPERATOR


def log_key(book: Book = FIRST_BOOK) -> None:
    """Print the public keys of the book's log, which verify receipts: the newest first, one a line."""
    found = load_public_keys(keys_directory(settings()), book)
    if not found:
        complain.print(
            f"[red]error:[/red] the log of {book} has no key yet; it is made when `tallystick up` first runs"
        )
        raise typer.Exit(1)
    for key in found:
        print(key, flush=True)
    if len(found) > 1:
        _describe_keys(book)


def _describe_keys(book: str) -> None:
    """Say of each key, beside the keys themselves, which checkpoints it signed."""
    keys = on_store(lambda store: store.operations.call(OPERATOR, book, "ledger.log_keys", "", {}))
    for at, key in reversed(list(enumerate(keys))):
        until = "on" if key.last_size is None else f"to {key.last_size:,}"
        newest = "the newest, " if key is keys[-1] else ""
        overlap = keys[at + 1].overlap_until if at + 1 < len(keys) and key.last_size is None else None
        ends = f", until {overlap:%Y-%m-%d %H:%M} UTC" if overlap else ""
        short = "+".join(key.key.split("+")[:2])
        said = f"  {short}: {newest}signs checkpoints from {key.after_size + 1:,} leaves {until}{ends}"
        say(said, to=complain)


def rotate(
    book: Book = FIRST_BOOK,
    overlap_days: Annotated[int, typer.Option("--overlap", min=0, help="For so many days the old key signs too.")] = 30,
    lost: Annotated[bool, typer.Option("--lost", help="The old key is lost: go on without it, from now on.")] = False,
) -> None:
    """Give the log a new key, which signs from the next checkpoint on."""
    directory = keys_directory(settings())

    async def work(store: Store) -> Rotated:
        return await rotate_log_key(store.operations, directory, book, dt.timedelta(days=overlap_days), lost=lost)

    made = on_store(work)
    if lost or not overlap_days:
        complain.print("the new key signs alone from the next checkpoint on; hand it to everybody who verifies:")
    else:
        until = f"{made.overlap_until:%Y-%m-%d %H:%M} UTC"
        complain.print(
            f"the new key signs from the next checkpoint on, the old one beside it until {until};", highlight=False
        )
        complain.print("hand the new one to everybody who verifies before then:", highlight=False)
    print(made.verifier)
