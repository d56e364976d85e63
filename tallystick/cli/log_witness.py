"""`tallystick log witness`: cosign the logs of others."""

from pathlib import Path
from typing import Annotated

import typer
import uvicorn

from tallystick.api.rest.serve import server_config
from tallystick.cli.console import out
from tallystick.cli.public_keys import read_public_keys
from tallystick.cli.run import run
from tallystick.clock import SystemClock
from tallystick.errors import InvalidInput
from tallystick.ledger.log.cosignature import Cosigner
from tallystick.ledger.log.note import Verifier
from tallystick.ledger.watching.witness import WitnessOffice, make_witness_app
from tallystick.ledger.write_whole import write_once


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
    for verifier in read_public_keys(log_keys, "--log"):
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
