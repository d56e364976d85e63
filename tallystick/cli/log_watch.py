"""`tallystick log monitor` and `judge`: eyes on the logs of others."""

import os
import re
import sys
from pathlib import Path
from typing import Annotated
from urllib.parse import urlsplit

import typer
from rich.markup import escape

from tallystick.cli.console import complain, out, say
from tallystick.cli.public_keys import read_public_keys
from tallystick.cli.run import run, settings
from tallystick.clock import SystemClock
from tallystick.errors import InvalidInput, TallystickError
from tallystick.ledger.log.checkpoint import Checkpoint
from tallystick.ledger.log.note import Verifier
from tallystick.ledger.log_keys import load_public_keys
from tallystick.ledger.watching.monitor import LogAlarm, Monitor, Reading, follow, judge_evidence
from tallystick.ledger.watching.remote_log import LogUnreachable, RemoteLog
from tallystick.open_store import keys_directory

ALARM, UNREACHABLE = 3, 4
"""The exit codes of `monitor --once`: the log is not what it was; the log could not be read."""
_BOOK = re.compile(r"/v1/books/([a-z][a-z0-9-]{0,62})/log/?", re.ASCII)

Keys = Annotated[list[str] | None, typer.Option("--key", help="A public key of the log, or the file that holds them.")]


def monitor(
    url: Annotated[str, typer.Argument(help="The log's address, as in http://…/v1/books/main/log.")],
    key: Keys = None,
    state: Annotated[Path | None, typer.Option(help="The file that keeps the last good checkpoint.")] = None,
    once: Annotated[bool, typer.Option("--once", help="Look once: 0 is well, 3 an alarm, 4 that it was away.")] = False,
    every: Annotated[int, typer.Option(min=1, help="Seconds between two looks.")] = 60,
    read: Annotated[Reading, typer.Option(help="How much: the tiles that show growth, new entries, or all.")] = Reading.TILES,
    api_key: Annotated[
        str | None, typer.Option(help="The key to show; TALLYSTICK_API_KEY by default, which no list of processes shows.")
    ] = None,
) -> None:  # fmt: skip
    """Follow a log, and raise an alarm when it is not what it was."""
    verifiers = _verifiers(key, url)
    file = state or settings().data_directory / "monitor" / f"{verifiers[0].name.replace('/', '_')}.checkpoint"

    async def work() -> int:
        shown = api_key or os.environ.get("TALLYSTICK_API_KEY")
        async with RemoteLog(url, api_key=shown) as remote:
            following = Monitor(remote, verifiers, file, SystemClock(), read)
            if once:
                return await _look_once(following)
            await follow(following, every, _tell)
        return 0

    status = run(work)
    if status:
        raise typer.Exit(status)


def judge(file: Annotated[Path, typer.Argument(help="Evidence that `monitor` kept.")], key: Keys = None) -> None:
    """Say what a file of evidence proves against a log by its signatures alone."""
    verifiers = _verifiers(key, "")
    try:
        found = judge_evidence(file.read_bytes(), verifiers)
    except OSError as error:
        raise InvalidInput(field="FILE", rule=f"{file} cannot be read: {error.strerror}") from error
    out.print(f"proven: {verifiers[0].name} was {found.value}", highlight=False)


def _verifiers(keys: list[str] | None, url: str) -> list[Verifier]:
    """
    Return the log's keys: those given, or of a book whose log is kept here those that are published.

    Raises:
        InvalidInput: there are none (``invalid_input``).
    """
    if keys:
        return read_public_keys(keys, "--key")
    book = _BOOK.fullmatch(urlsplit(url).path)
    found = [] if book is None else load_public_keys(keys_directory(settings()), book[1])
    if not found:
        raise InvalidInput(field="--key", rule="Name the log's public key, as its owner handed it to you")
    return found


async def _look_once(following: Monitor) -> int:
    try:
        _tell(await following.look())
    except LogAlarm as alarm:
        _tell(alarm)
        return ALARM
    except LogUnreachable as away:
        _tell(away)
        return UNREACHABLE
    return 0


def _tell(outcome: Checkpoint | TallystickError) -> None:
    """Say on a line how it stands."""
    match outcome:
        case Checkpoint():
            out.print(
                f"[green]✓[/green] {outcome.origin}: {outcome.size:,} leaves, as before and signed", highlight=False
            )
        case LogUnreachable():
            say(f"[yellow]…[/yellow] {escape(outcome.message)}", to=complain)
        case _:
            say(f"[red]✗ {escape(outcome.message)}[/red]", to=complain)
    sys.stdout.flush()
