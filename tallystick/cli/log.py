"""`tallystick log`: checkpoints, proofs and keys of the log that proves every transfer; and eyes on the logs of others."""

import datetime as dt
import os
import re
import sys
from pathlib import Path
from typing import Annotated
from urllib.parse import urlsplit

import msgspec
import typer
import uvicorn
from rich.markup import escape

from tallystick.api.rest.serve import server_config
from tallystick.cli.run import Book, complain, on_store, out, run, settings
from tallystick.clock import SystemClock
from tallystick.errors import InvalidInput, TallystickError
from tallystick.ledger.log.checkpoint import Checkpoint
from tallystick.ledger.log.cosignature import Cosigner
from tallystick.ledger.log.note import Verifier, parse_keys
from tallystick.ledger.log_keys import load_public_keys
from tallystick.ledger.watching.monitor import LogAlarm, Monitor, Reading, follow, judge_evidence
from tallystick.ledger.watching.remote_log import LogUnreachable, RemoteLog
from tallystick.ledger.watching.witness import WitnessOffice, make_witness_app
from tallystick.ledger.write_whole import write_once
from tallystick.main import FIRST_BOOK, Store, keys_directory
from tallystick.operations.rotate_log_key import Rotated, rotate_log_key
from tallystick.security.model import OPERATOR

app = typer.Typer(no_args_is_help=True, help="The log that proves every transfer.")

ALARM, UNREACHABLE = 3, 4
"""The exit codes of `monitor --once`: the log is not what it was; the log could not be read."""
_BOOK = re.compile(r"/v1/books/([a-z][a-z0-9-]{0,62})/log/?", re.ASCII)

Keys = Annotated[list[str] | None, typer.Option("--key", help="A public key of the log, or the file that holds them.")]


@app.command("key")
def log_key(book: Book = FIRST_BOOK) -> None:
    """Print the public keys of the book's log, which verify receipts: the newest first, one a line."""
    found = load_public_keys(keys_directory(settings()), book)
    if not found:
        complain.print(
            f"[red]error:[/red] the log of {book} has no key yet; it is made when `tallystick up` first runs"
        )
        raise typer.Exit(1)
    for key in found:
        print(key, flush=True)
    if len(found) > 1:
        _describe_keys(book)


def _describe_keys(book: str) -> None:
    """Say of each key, beside the keys themselves, which checkpoints it signed."""
    keys = on_store(lambda store: store.operations.call(OPERATOR, book, "ledger.log_keys", "", {}))
    for at, key in reversed(list(enumerate(keys))):
        until = "on" if key.last_size is None else f"to {key.last_size:,}"
        newest = "the newest, " if key is keys[-1] else ""
        overlap = keys[at + 1].overlap_until if at + 1 < len(keys) and key.last_size is None else None
        ends = f", until {overlap:%Y-%m-%d %H:%M} UTC" if overlap else ""
        short = "+".join(key.key.split("+")[:2])
        said = f"  {short}: {newest}signs checkpoints from {key.after_size + 1:,} leaves {until}{ends}"
        complain.print(said, highlight=False, soft_wrap=True)


@app.command("rotate")
def rotate(
    book: Book = FIRST_BOOK,
    overlap_days: Annotated[int, typer.Option("--overlap", min=0, help="For so many days the old key signs too.")] = 30,
    lost: Annotated[bool, typer.Option("--lost", help="The old key is lost: go on without it, from now on.")] = False,
) -> None:
    """Give the log a new key, which signs from the next checkpoint on."""
    directory = keys_directory(settings())

    async def work(store: Store) -> Rotated:
        return await rotate_log_key(store.operations, directory, book, dt.timedelta(days=overlap_days), lost=lost)

    made = on_store(work)
    if lost or not overlap_days:
        complain.print("the new key signs alone from the next checkpoint on; hand it to everybody who verifies:")
    else:
        until = f"{made.overlap_until:%Y-%m-%d %H:%M} UTC"
        complain.print(
            f"the new key signs from the next checkpoint on, the old one beside it until {until};", highlight=False
        )
        complain.print("hand the new one to everybody who verifies before then:", highlight=False)
    print(made.verifier)


@app.command("checkpoint")
def checkpoint(book: Book = FIRST_BOOK) -> None:
    """Print the newest signed checkpoint."""
    found = on_store(lambda store: store.operations.call(OPERATOR, book, "ledger.checkpoint", "", {}))
    print(found.note, end="")


@app.command("prove")
def prove(
    transfer_id: str,
    book: Book = FIRST_BOOK,
    output: Annotated[Path | None, typer.Option("--output", "-o", help="The file to write.")] = None,
) -> None:
    """Print the proof that a transfer is in the log (C2SP tlog-proof)."""
    found = on_store(
        lambda store: store.operations.call(OPERATOR, book, "ledger.prove_transfer", "", {"id": transfer_id})
    )
    complain.print(
        f"the entry at place {found.place:,} of {found.size:,}, in hexadecimal: {found.leaf}", highlight=False,
        soft_wrap=True,
    )  # fmt: skip
    if output is None:
        print(found.proof, end="")
        return
    try:
        output.write_text(found.proof)
    except OSError as error:
        raise InvalidInput(field="--output", rule=f"{output} cannot be written: {error.strerror}") from error


@app.command("consistency")
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


@app.command("monitor")
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


@app.command("judge")
def judge(file: Annotated[Path, typer.Argument(help="Evidence that `monitor` kept.")], key: Keys = None) -> None:
    """Say what a file of evidence proves against a log by its signatures alone."""
    verifiers = _verifiers(key, "")
    try:
        found = judge_evidence(file.read_bytes(), verifiers)
    except OSError as error:
        raise InvalidInput(field="FILE", rule=f"{file} cannot be read: {error.strerror}") from error
    out.print(f"proven: {verifiers[0].name} was {found.value}", highlight=False)


@app.command("witness")
def witness(
    name: Annotated[str, typer.Option(help="The witness's name, such as witness.example/w1.")],
    log_keys: Annotated[list[str], typer.Option("--log", help="A public key of a log to witness, or a file of them.")],
    directory: Annotated[Path, typer.Option("--directory", help="Where it keeps its key and what it has seen.")],
    listen: Annotated[str, typer.Option(help="Address and port.")] = "127.0.0.1:8090",
) -> None:
    """Be a witness (C2SP tlog-witness): cosign the checkpoints of others' logs, and never two that contradict each other."""
    host, _, port = listen.rpartition(":")
    if not port.isdecimal():
        raise InvalidInput(field="--listen", rule="Expected an address and a port, as in 127.0.0.1:8090")
    logs: dict[str, list[Verifier]] = {}
    for verifier in _read_keys(log_keys, "--log"):
        logs.setdefault(verifier.name, []).append(verifier)
    directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    write_once(directory / "witness.key", f"{Cosigner.generate(name).secret_text()}\n".encode())
    cosigner = Cosigner.parse((directory / "witness.key").read_text().strip())
    office = WitnessOffice(cosigner, logs, directory, SystemClock())
    with office.holding():
        out.print(f"witness of {len(logs)} logs on http://{listen}; its public key:", highlight=False)
        print(cosigner.witness, flush=True)
        config = server_config(make_witness_app(office), host=host.strip("[]"), port=int(port))
        run(uvicorn.Server(config).serve)


def _verifiers(keys: list[str] | None, url: str) -> list[Verifier]:
    """
    Return the log's keys: those given, or of a book whose log is kept here those that are published.

    Raises:
        InvalidInput: there are none (``invalid_input``).
    """
    if keys:
        return _read_keys(keys, "--key")
    book = _BOOK.fullmatch(urlsplit(url).path)
    found = [] if book is None else load_public_keys(keys_directory(settings()), book[1])
    if not found:
        raise InvalidInput(field="--key", rule="Name the log's public key, as its owner handed it to you")
    return found


def _read_keys(keys: list[str], field: str) -> list[Verifier]:
    found: list[Verifier] = []
    for key in keys:
        try:
            text = key if "+" in key and "\n" not in key and not Path(key).is_file() else Path(key).read_text()
        except (OSError, UnicodeDecodeError) as error:
            raise InvalidInput(field=field, rule=f"{key[:100]} is neither a public key nor a file of them") from error
        found += parse_keys(text)
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
            complain.print(f"[yellow]…[/yellow] {escape(outcome.message)}", highlight=False, soft_wrap=True)
        case _:
            complain.print(f"[red]✗ {escape(outcome.message)}[/red]", highlight=False, soft_wrap=True)
    sys.stdout.flush()
