"""What the command line says, and how: on two consoles, and of an error one line."""

import contextlib
import os
import traceback
from collections.abc import Iterator
from pathlib import Path

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from tallystick.errors import TallystickError

_WHOLE = 4096
"""Columns for what must not be cut, and for what reads a pipe or a file: it breaks no lines and leaves nothing out."""
out = Console()
complain = Console(stderr=True)
for _console in (out, complain):
    if not _console.is_terminal and "COLUMNS" not in os.environ:
        _console.width = _WHOLE

_PACKAGE = Path(__file__).parents[1]
_UNREACHABLE = "store.unreachable"
"""By its code: the module that has the error loads the database's driver, which the list of commands does without."""


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
    told = error.code == _UNREACHABLE and str(cause)
    because = f" ({' '.join(str(cause).split())})" if told else ""
    line = f"[red]error:[/red] {escape(error.message + because)}{field} [dim]{error.code}[/dim]"
    complain.print(line, highlight=False, soft_wrap=True)


def print_whole(console: Console, table: Table) -> None:
    """Print *table* as wide as it is: a terminal that is narrower breaks its lines, and no number is left out."""
    wide = Console(file=console.file, width=_WHOLE, force_terminal=console.is_terminal)
    wide.print(table, highlight=False, soft_wrap=True)
