"""`tallystick migrate`: a database of the operator's own is prepared."""

from typing import Annotated

import typer

from tallystick.cli.console import complain, out
from tallystick.cli.run import require_address, run, settings
from tallystick.open_store import prepare


def migrate(
    url: Annotated[str | None, typer.Option(help="The database; TALLYSTICK_POSTGRES_URL by default.")] = None,
) -> None:
    """Prepare a PostgreSQL 18 of your own for this version; run it again whenever you like."""
    target = url or settings().postgres_url
    if target is None:
        complain.print("[red]error:[/red] name a database with --url or TALLYSTICK_POSTGRES_URL")
        raise typer.Exit(2)
    require_address(target, "the database's address")
    applied = run(lambda: prepare(target))
    for name in applied:
        out.print(f"applied {name}", highlight=False)
    out.print("the database is up to date")
