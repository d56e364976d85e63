"""`tallystick log checkpoint`, `prove` and `consistency`: what proves a book's transfers to others."""

from pathlib import Path
from typing import Annotated

import msgspec
import typer

from tallystick.cli.console import complain, say
from tallystick.cli.run import Book, on_store
from tallystick.errors import InvalidInput
from tallystick.open_store import FIRST_BOOK, Store
from tallystick.security.model import OPERATOR


def checkpoint(book: Book = FIRST_BOOK) -> None:
    """Print the newest signed checkpoint."""
    found = on_store(lambda store: store.operations.call(OPERATOR, book, "ledger.checkpoint", "", {}))
    print(found.note, end="")


def prove(
    transfer_id: str,
    book: Book = FIRST_BOOK,
    output: Annotated[Path | None, typer.Option("--output", "-o", help="The file to write.")] = None,
) -> None:
    """Print the proof that a transfer is in the log (C2SP tlog-proof)."""
    found = on_store(
        lambda store: store.operations.call(OPERATOR, book, "ledger.prove_transfer", "", {"id": transfer_id})
    )
    say(f"the entry at place {found.place:,} of {found.size:,}, in hexadecimal: {found.leaf}", to=complain)
    if output is None:
        print(found.proof, end="")
        return
    try:
        output.write_text(found.proof)
    except OSError as error:
        raise InvalidInput(field="--output", rule=f"{output} cannot be written: {error.strerror}") from error


def consistency(
    from_: Annotated[int, typer.Argument(metavar="FROM", min=1, help="The size of the older checkpoint.")],
    to: Annotated[int | None, typer.Argument(min=1, help="The size of the newer one; the newest by default.")] = None,
    book: Book = FIRST_BOOK,
) -> None:
    """Print two checkpoints, and the hashes that show the newer to continue the older, as JSON."""
    fields = {"from": from_, "to": to}

    async def work(store: Store) -> bytes:
        return (await store.operations.run(OPERATOR, book, "ledger.prove_consistency", "", fields)).body

    print(msgspec.json.format(on_store(work), indent=2).decode())
