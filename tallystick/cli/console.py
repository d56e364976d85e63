"""What the command line says, and how: on two consoles, and of an error one line."""

import contextlib
import os
import traceback
from collections.abc import Iterator
from pathlib import Path

import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table
from rich.text import Text

from tallystick.cli.blocks import as_blocks
from tallystick.errors import TallystickError

_WHOLE = 4096
"""Columns for what must not be cut, and for what reads a pipe or a file: it breaks no lines and leaves nothing out."""
out = Console()
complain = Console(stderr=True)
for _console in (out, complain):
    if not _console.is_terminal and "COLUMNS" not in os.environ:
        _console.width = _WHOLE

UNITS = "[dim]amounts in minor units[/dim]"
"""Said below what tells amounts as the ledger has them."""

_PACKAGE = Path(__file__).parents[1]
_UNREACHABLE = "store.unreachable"
"""By its code: the module that has the error loads the database's driver, which the list of commands does without."""


@contextlib.contextmanager
def faults_on_one_line() -> Iterator[None]:
    """
    Tell whatever escapes on one line, with exit code 1, or 2 where the command line is wrong.

    Of what nobody foresaw only its kind and its place in the program are told: its words, like the values of its
    variables, may hold secrets.
    """
    try:
        yield
    except TallystickError as error:
        tell_error(error)
        raise SystemExit(1) from None
    except typer.TyperException as error:
        _tell_usage(error)
        raise SystemExit(error.exit_code) from None
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
    told = error.code == _UNREACHABLE and str(cause)
    because = f" ({' '.join(str(cause).split())})" if told else ""
    line = f"[red]error:[/red] {escape(error.message + because)}{field} [dim]{error.code}[/dim]"
    complain.print(line, highlight=False, soft_wrap=True)


def _tell_usage(error: typer.TyperException) -> None:
    """Say on one line what is wrong with the command line, and where its help is; nothing where that was shown."""
    message = " ".join(error.format_message().split()).removesuffix(".")
    context: typer.Context | None = getattr(error, "ctx", None)
    see = "" if context is None else f" (see {context.command_path} --help)"
    if message:  # it is empty where no arguments are a question for help
        say(f"[red]error:[/red] {escape(message + see)}", to=complain)


def say(*lines: str, to: Console = out) -> None:
    """Print each line as it is: none is broken, and nothing in it is painted but by its own markup."""
    for line in lines:
        to.print(line, highlight=False, soft_wrap=True)


def print_whole(console: Console, table: Table) -> None:
    """
    Print *table* as wide as it is, with no number left out.

    On a terminal that is narrower its rows stand one below the other, each a block.
    """
    wide = Console(file=console.file, width=_WHOLE, force_terminal=console.is_terminal)
    lines: list[Table | Text] = [table]
    if console.is_terminal and wide.measure(table).maximum > console.width:
        lines = list(as_blocks(table))
    for line in lines:
        wide.print(line, highlight=False, soft_wrap=True)
