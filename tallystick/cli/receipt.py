"""`tallystick receipt`: receipts are fetched, and verified offline."""

import errno
import sys
from pathlib import Path
from typing import Annotated

import typer
from rich.markup import escape

from tallystick.cli.console import complain, say
from tallystick.cli.run import Book, on_store
from tallystick.errors import InvalidInput, TallystickError
from tallystick.money import Asset, Money
from tallystick.open_store import FIRST_BOOK, Store
from tallystick.receipts.verify import verify_receipt
from tallystick.security.model import OPERATOR

app = typer.Typer(no_args_is_help=True, help="Receipts: fetch them, and verify them offline.")


@app.command("get")
def get_receipt(
    receipt_id: str,
    book: Book = FIRST_BOOK,
    output: Annotated[Path | None, typer.Option("--output", "-o", help="The file to write.")] = None,
) -> None:
    """Fetch a receipt as the file that its holder keeps."""

    async def work(store: Store) -> bytes:
        return (await store.operations.run(OPERATOR, book, "receipts.get", "", {"receipt_id": receipt_id})).body

    file = on_store(work)
    if output is None:
        sys.stdout.buffer.write(file)
    else:
        try:
            output.write_bytes(file)
        except OSError as error:
            raise InvalidInput(field="--output", rule=f"{output} cannot be written: {error.strerror}") from error


@app.command("verify")
def check_receipt(
    files: Annotated[list[Path], typer.Argument(help="Receipts, as they were handed out.")],
    key: Annotated[str, typer.Option(help="The log's public key, or the file that holds it.")],
) -> None:
    """Verify receipts offline: no server, no database, nothing but the file and the log's public key."""
    public = _read_key(key)
    failed = 0
    for file in files:
        failed += not _check_one(file, public)
    if failed:
        raise typer.Exit(1)


def _read_key(key: str) -> str:
    """
    Return the key that *key* is, or that the file of this name holds.

    Raises:
        InvalidInput: it is neither, or the file cannot be read as text (``invalid_input``).
    """
    try:
        return Path(key).read_text()
    except UnicodeDecodeError as error:
        raise InvalidInput(field="--key", rule=f"{key} is not a text file") from error
    except OSError as error:
        if error.errno in {errno.ENOENT, errno.ENOTDIR, errno.ENAMETOOLONG}:
            if "+" in key:
                return key
            raise InvalidInput(field="--key", rule=f"{key[:100]} is neither a file nor a public key") from error
        raise InvalidInput(field="--key", rule=f"{key} cannot be read: {error.strerror}") from error


def _check_one(file: Path, public: str) -> bool:
    try:
        verified = verify_receipt(file.read_bytes(), public)
    except (TallystickError, OSError) as error:
        say(f"[red]✗[/red] {escape(str(file))}: {escape(str(error))}", to=complain)
        return False
    payment, invoice = verified.statement["payment"], verified.statement["invoice"]
    amount = Money(payment["amount"], Asset(invoice["asset"], invoice["exponent"]))
    say(
        f"[green]✓[/green] {escape(file.name)}: {escape(payment['user'])} paid {amount} for invoice "
        f"{invoice['number']}; place {verified.place:,} of {verified.size:,} in the log"
    )
    return True
