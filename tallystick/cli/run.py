"""What every command of the command line stands on: the store it works on, and errors as one line."""

import contextlib
import logging
import os
import re
import sys
import traceback
from collections.abc import Awaitable, Callable, Coroutine, Iterator
from pathlib import Path
from typing import Annotated, Any, TypeVar
from urllib.parse import urlsplit

import structlog
import typer
import uvloop
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from tallystick.db.connect import StoreUnreachable
from tallystick.errors import TallystickError
from tallystick.main import Store, open_store
from tallystick.settings import Settings, read_settings

_WHOLE = 4096
"""Columns for what must not be cut, and for what reads a pipe or a file: it breaks no lines and leaves nothing out."""
out = Console()
complain = Console(stderr=True)
for _console in (out, complain):
    if not _console.is_terminal and "COLUMNS" not in os.environ:
        _console.width = _WHOLE

Book = Annotated[str, typer.Option("--book", "-b", help="The book to work on.")]
Done = TypeVar("Done")
_HOST = re.compile(r"(\[[0-9A-Fa-f:.%]+\]|[^\[\]:]*)(:[0-9]{0,5})?", re.ASCII)
_PACKAGE = Path(__file__).parents[1]


def run(work: Callable[[], Coroutine[Any, Any, Done]]) -> Done:
    """Run *work* to its end; an error becomes one line that says what to do, and exit code 1."""
    structlog.configure(logger_factory=structlog.PrintLoggerFactory(sys.stderr))
    logging.getLogger("asyncpg").setLevel(logging.ERROR)  # that the database is away is told by whoever needs it
    try:
        return uvloop.run(work())
    except TallystickError as error:
        tell_error(error)
        raise typer.Exit(1) from error
    except KeyboardInterrupt:
        complain.print("stopped; what was done is kept, run it again to go on")
        raise typer.Exit(130) from None


@contextlib.contextmanager
def faults_on_one_line() -> Iterator[None]:
    """
    Tell whatever escapes on one line, with exit code 1.

    Of what nobody foresaw only its kind and its place in the program are told: its words, like the values of its
    variables, may hold secrets.
    """
    try:
        yield
    except TallystickError as error:
        tell_error(error)
        raise SystemExit(1) from None
    except Exception as error:  # noqa: BLE001 - the operator gets a line to report, and no secret is shown
        frames = [
            frame for frame in traceback.extract_tb(error.__traceback__) if _PACKAGE in Path(frame.filename).parents
        ]
        at = f" at {Path(frames[-1].filename).relative_to(_PACKAGE.parent)}:{frames[-1].lineno}" if frames else ""
        why = f"{type(error).__name__}{at}"
        complain.print(
            f"[red]error:[/red] this went wrong inside: {why} [dim]internal[/dim]", highlight=False, soft_wrap=True
        )
        raise SystemExit(1) from None


def tell_error(error: TallystickError) -> None:
    """Say on one line what went wrong, which input is to blame, and what the system or PostgreSQL said, if it did."""
    field = f" [dim]({escape(error.field)})[/dim]" if error.field else ""
    cause = error.__cause__
    told = isinstance(error, StoreUnreachable) and str(cause)
    because = f" ({' '.join(str(cause).split())})" if told else ""
    line = f"[red]error:[/red] {escape(error.message + because)}{field} [dim]{error.code}[/dim]"
    complain.print(line, highlight=False, soft_wrap=True)


def print_whole(console: Console, table: Table) -> None:
    """Print *table* as wide as it is: a terminal that is narrower breaks its lines, and no number is left out."""
    wide = Console(file=console.file, width=_WHOLE, force_terminal=console.is_terminal)
    wide.print(table, highlight=False, soft_wrap=True)


def settings() -> Settings:
    """Read the settings; a bad one is an error of the command line."""
    try:
        chosen = read_settings()
    except ValueError as error:
        complain.print(f"[red]error:[/red] {escape(str(error))}", highlight=False, soft_wrap=True)
        raise typer.Exit(2) from error
    if chosen.postgres_url is not None:
        require_address(chosen.postgres_url, "TALLYSTICK_POSTGRES_URL")
    return chosen


def require_address(url: str, given_as: str) -> None:
    """Find that a database's address can be taken apart; one that cannot is told by name and not shown: it has a password."""
    try:
        parts = urlsplit(url)
        hosts = parts.netloc.rpartition("@")[2].split(",")
        clear = all(_HOST.fullmatch(host) for host in hosts) and "@" not in parts.path + parts.fragment
    except ValueError:
        clear = False
    if not clear:
        complain.print(
            f"[red]error:[/red] {given_as} is not an address that can be read; in a user's name and password write "
            "/ as %2F, ? as %3F, # as %23, @ as %40, : as %3A and % as %25", highlight=False, soft_wrap=True
        )  # fmt: skip
        raise typer.Exit(2)


def on_store(work: Callable[[Store], Awaitable[Done]]) -> Done:
    """Run *work* on the store that is set: the embedded one is started, or found running, for as long as it takes."""

    async def opened() -> Done:
        async with open_store(settings()) as store:
            return await work(store)

    return run(opened)
