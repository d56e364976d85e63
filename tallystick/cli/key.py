"""`tallystick key`: API keys are made, listed, revoked."""

from typing import Annotated

import typer
from rich.markup import escape
from rich.table import Column, Table

from tallystick.cli.console import complain, out
from tallystick.cli.run import Book, on_store
from tallystick.ids import uuid7
from tallystick.open_store import FIRST_BOOK
from tallystick.operations.table import TABLE
from tallystick.security.keys import hash_of, make_key
from tallystick.security.model import OPERATOR

app = typer.Typer(no_args_is_help=True, help="API keys of a book.")


@app.command("create")
def create_key(
    name: Annotated[str, typer.Argument(help="What the key is for.")],
    scope: Annotated[list[str], typer.Option("--scope", "-s", help="Such as ledger:read, usage:*, or * for all.")],
    book: Book = FIRST_BOOK,
) -> None:
    """Make an API key; it is shown this once, and only its hash is kept."""
    known = {"*"} | {
        known for one in TABLE.values() if one.route for known in (one.scope, one.scope.split(":")[0] + ":*")
    }
    unknown = [one for one in scope if one not in known]
    if unknown:
        raise typer.BadParameter(f"{unknown[0]} is none of {', '.join(sorted(known))}", param_hint="--scope")
    key = make_key()
    fields = {"name": name, "scopes": scope, "sha256": hash_of(key).hex()}
    made = on_store(lambda store: store.operations.call(OPERATOR, book, "security.create_key", str(uuid7()), fields))
    complain.print(f"{name}, for {', '.join(made.scopes)}", highlight=False, markup=False)
    complain.print(f"  id   {made.key_id}", highlight=False)
    complain.print("  key  shown this once:", highlight=False)
    print(key)


@app.command("list")
def list_keys(book: Book = FIRST_BOOK) -> None:
    """List the book's API keys, revoked ones included."""
    keys = on_store(lambda store: store.operations.call(OPERATOR, book, "security.list_keys", "", {}))
    table = Table(Column("id", no_wrap=True, min_width=36), "name", "scopes", "state", box=None, pad_edge=False)
    for one in keys:
        state = "revoked" if one.revoked_at else "in force"
        table.add_row(str(one.key_id), escape(one.name), " ".join(one.scopes), state)
    out.print(table)


@app.command("revoke")
def revoke_key(key_id: str, book: Book = FIRST_BOOK) -> None:
    """Revoke an API key for good."""
    fields = {"key_id": key_id}
    key = on_store(lambda store: store.operations.call(OPERATOR, book, "security.revoke_key", str(uuid7()), fields))
    out.print(f"revoked {key.name}", highlight=False)
