"""`tallystick up`: the server, with all that belongs to it."""

from dataclasses import replace
from pathlib import Path
from typing import Annotated

import typer

from tallystick import __version__
from tallystick.cli.console import out
from tallystick.cli.run import run, settings
from tallystick.main import Started
from tallystick.main import up as serve
from tallystick.open_store import FIRST_BOOK
from tallystick.payments.providers.registry import Providers
from tallystick.settings import Settings


def up(
    port: Annotated[
        int | None, typer.Option(min=0, max=65535, help="The port to listen on; 0 takes a free one.")
    ] = None,
    host: Annotated[str | None, typer.Option(help="The address to listen on.")] = None,
    data: Annotated[Path | None, typer.Option(help="The directory that holds everything.")] = None,
) -> None:
    """Serve REST on 127.0.0.1:8080, with everything that belongs to it; Ctrl-C ends it all."""
    chosen = settings()
    chosen = replace(
        chosen,
        port=chosen.port if port is None else port,
        host=host or chosen.host,
        data_directory=data or chosen.data_directory,
    )
    run(lambda: serve(chosen, lambda started: _say_started(chosen, started)))
    out.print("stopped; everything is on disk")


def _say_started(chosen: Settings, started: Started) -> None:
    out.print(f"[bold]Tallystick {__version__}[/bold] serves {started.address}", highlight=False)
    out.print(f"  data      {chosen.data_directory}", highlight=False)
    if started.store.server is None:
        out.print("  database  your PostgreSQL; the log's keys are in the data directory", highlight=False)
    out.print(f"  contract  {started.address}/openapi.json", highlight=False)
    if started.avro is not None:
        out.print(f"  avro      {started.avro}", highlight=False)
    if started.grpc is not None:
        out.print(f"  grpc      {started.grpc}", highlight=False)
    out.print(f"  payments  {_say_providers(started.store.operations.resources[Providers])}", highlight=False)
    if started.first_key is not None:
        out.print(f"\n  The first administrator's key of the book [bold]{FIRST_BOOK}[/bold], shown this once:")
        print(f"\n    {started.first_key}\n", flush=True)
        out.print("  Keep it safe. Try it, with the key as $KEY:", highlight=False)
        command = f'curl -H "Authorization: Bearer $KEY" {started.address}/v1/books/{FIRST_BOOK}/accounts'
        print(f"    {command}\n", flush=True)


def _say_providers(providers: Providers) -> str:
    """Say who takes payments."""
    if set(providers.by_name) == {"sandbox"}:
        return "the sandbox provider: no real money moves"
    return f"{', '.join(providers.by_name)}; {providers.default} where a payment names none"
