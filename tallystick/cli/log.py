"""`tallystick log`: the key of the log that proves every transfer."""

import typer

from tallystick.cli.run import Book, complain, settings
from tallystick.ledger.log_keys import load_public_key
from tallystick.main import FIRST_BOOK, keys_directory

app = typer.Typer(no_args_is_help=True, help="The log that proves every transfer.")


@app.command("key")
def log_key(book: Book = FIRST_BOOK) -> None:
    """Print the public key of the book's log, which verifies receipts."""
    found = load_public_key(keys_directory(settings()), book)
    if found is None:
        complain.print(
            f"[red]error:[/red] the log of {book} has no key yet; it is made when `tallystick up` first runs"
        )
        raise typer.Exit(1)
    print(found)
