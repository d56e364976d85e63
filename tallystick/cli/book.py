"""`tallystick book`: books are opened."""

import typer

from tallystick.cli.console import complain
from tallystick.cli.run import on_store
from tallystick.open_store import ensure_book

app = typer.Typer(no_args_is_help=True, help="Books: each the ledger of one legal entity.")


@app.command("create")
def create_book(name: str) -> None:
    """Open a book and make its first administrator's key."""
    key = on_store(lambda store: ensure_book(store.operations, name))
    complain.print(f"the book {name} is open" if key else f"the book {name} was open before", highlight=False)
    if key:
        complain.print("its first administrator's key, shown this once:")
        print(key)
