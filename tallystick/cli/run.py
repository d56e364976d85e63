"""Run a command's work: on the store that is set, with errors as one line."""

import datetime as dt
import logging
import re
import sys
from collections.abc import Awaitable, Callable, Coroutine, Mapping
from typing import Annotated, Any, TypeVar
from urllib.parse import urlsplit

import msgspec
import structlog
import typer
import uvloop
from rich.markup import escape

from tallystick.cli.console import complain, say, tell_error
from tallystick.db.connect import faults_told
from tallystick.errors import TallystickError
from tallystick.ids import uuid7
from tallystick.open_store import Store, open_store
from tallystick.security.model import OPERATOR
from tallystick.settings import Settings, read_settings

Book = Annotated[str, typer.Option("--book", "-b", help="The book to work on.")]
InvoiceId = Annotated[
    str, typer.Argument(metavar="INVOICE", help="Its id, as `tallystick invoice list` shows it; not its number.")
]
Done = TypeVar("Done")
INSTANT_FORMS = ["%Y-%m-%d", "%Y-%m-%dT%H:%M:%S", "%Y-%m-%dT%H:%M:%S%z", "%Y-%m-%dT%H:%M:%S.%f%z"]
"""How an instant is written on the command line; without a zone it is one of UTC."""
_HOST = re.compile(r"(\[[0-9A-Fa-f:.%]+\]|[^\[\]:]*)(:[0-9]{0,5})?", re.ASCII)


def write_log() -> None:
    """Write the log to standard error; a traceback shows lines of code and never what stood in them: secrets, names."""
    processors = structlog.get_config()["processors"][:-1]
    renderer = structlog.dev.ConsoleRenderer(
        colors=sys.stderr.isatty(), exception_formatter=structlog.dev.plain_traceback
    )
    structlog.configure(processors=[*processors, renderer], logger_factory=structlog.PrintLoggerFactory(sys.stderr))


def run(work: Callable[[], Coroutine[Any, Any, Done]]) -> Done:
    """Run *work* to its end; an error becomes one line that says what to do, and exit code 1."""
    write_log()
    logging.getLogger("asyncpg").setLevel(logging.ERROR)  # that the database is away is told by whoever needs it
    try:
        return uvloop.run(work())
    except TallystickError as error:
        tell_error(error)
        raise typer.Exit(1) from error
    except KeyboardInterrupt:
        complain.print("stopped; what was done is kept, run it again to go on")
        raise typer.Exit(130) from None


def settings() -> Settings:
    """Read the settings; a bad one is an error of the command line."""
    try:
        chosen = read_settings()
    except ValueError as error:
        say(f"[red]error:[/red] {escape(str(error))}", to=complain)
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
        say(
            f"[red]error:[/red] {given_as} is not an address that can be read; in a user's name and password write "
            "/ as %2F, ? as %3F, # as %23, @ as %40, : as %3A and % as %25",
            to=complain,
        )
        raise typer.Exit(2)


def on_store(work: Callable[[Store], Awaitable[Done]]) -> Done:
    """Run *work* on the store that is set: the embedded one is started, or found running, for as long as it takes."""

    async def opened() -> Done:
        async with open_store(settings()) as store:
            with faults_told():
                return await work(store)

    return run(opened)


def ask(book: str, operation: str, fields: Mapping[str, object], *, dry_run: bool = False) -> Any:  # noqa: ANN401 - what the operation's table says it answers
    """Run an operation as the operator on the store that is set."""
    return on_store(lambda store: ask_of(store, book, operation, fields, dry_run=dry_run))


async def ask_of(
    store: Store, book: str, operation: str, fields: Mapping[str, object], *, dry_run: bool = False
) -> Any:  # noqa: ANN401 - as above
    """Run an operation as the operator, leaving out what is None; return the answer as the operation's output class."""
    given = {name: value for name, value in fields.items() if value is not None}
    answer = await store.operations.run(OPERATOR, book, operation, str(uuid7()), given, dry_run=dry_run)
    return msgspec.json.decode(answer.body, type=store.operations.find(operation).output)


def in_utc(at: dt.datetime | None) -> dt.datetime | None:
    """Take an instant without a zone as one of UTC."""
    return at.replace(tzinfo=dt.UTC) if at is not None and at.tzinfo is None else at


def write_instant(at: dt.datetime) -> str:
    """Write an instant to the second, in UTC."""
    return at.astimezone(dt.UTC).strftime("%Y-%m-%d %H:%M:%S")
