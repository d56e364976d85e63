"""`tallystick do` and `operations`: any operation of the table, and the list of them."""

import os
import sys
from typing import Annotated

import msgspec
import typer
from rich.markup import escape
from rich.padding import Padding

from tallystick.cli.console import out, say
from tallystick.cli.run import Book, on_store
from tallystick.ids import uuid7
from tallystick.open_store import FIRST_BOOK, Store
from tallystick.operations.table import TABLE
from tallystick.security.model import OPERATOR


def operations() -> None:
    """List every operation: what `do` runs here, REST and the other doors elsewhere."""
    for one in TABLE.values():
        if one.route:
            say(f"[bold]{one.name}[/bold]  {escape(one.route)}  [dim]{one.scope}[/dim]")
            out.print(Padding(one.summary, (0, 0, 0, 2), expand=False), highlight=False)


def do(
    operation: Annotated[str, typer.Argument(help="Its name, as `tallystick operations` lists it.")],
    input_: Annotated[str, typer.Argument(metavar="JSON", help="Its input; - reads standard input.")] = "{}",
    of_book: Book = FIRST_BOOK,
    message_id: Annotated[str | None, typer.Option("--key", help="The message's id; the same id is done once.")] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Judge it, answer, and keep nothing.")] = False,
) -> None:
    """Run any operation as the operator and print its answer as JSON."""
    text = sys.stdin.buffer.read() if input_ == "-" else os.fsencode(input_)

    async def work(store: Store) -> bytes:
        message = message_id or str(uuid7())
        answer = await store.operations.run(OPERATOR, of_book, operation, message, text, dry_run=dry_run)
        return answer.body

    print(msgspec.json.format(on_store(work), indent=2).decode())
