"""What an operator can set: environment variables that start with TALLYSTICK_, each with a safe default."""

import datetime as dt
import ipaddress
import os
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path


def default_data_directory() -> Path:
    """Return where data is kept when nobody says: /var/lib for root, the user's data home otherwise."""
    if os.geteuid() == 0:
        return Path("/var/lib/tallystick")
    home = os.environ.get("XDG_DATA_HOME") or Path.home() / ".local" / "share"
    return Path(home) / "tallystick"


@dataclass(frozen=True, slots=True)
class Settings:
    """Everything that is set from outside."""

    data_directory: Path = field(default_factory=default_data_directory)
    """TALLYSTICK_DATA: the one directory that holds the embedded database, keys and locks."""
    postgres_url: str | None = None
    """TALLYSTICK_POSTGRES_URL: a PostgreSQL 18 of your own; None starts the embedded one."""
    postgres_binaries: Path | None = None
    """TALLYSTICK_POSTGRES_BIN: the directory of another PostgreSQL 18's binaries for the embedded server."""
    host: str = "127.0.0.1"
    """TALLYSTICK_HOST: the address REST listens on; loopback unless told."""
    port: int = 8080
    """TALLYSTICK_PORT: the port REST listens on."""
    log_origin: str = "localhost/tallystick"
    """TALLYSTICK_LOG_ORIGIN: the name before the book's in checkpoints, unique in the world once receipts leave the house."""
    most_import_bytes: int = 8 * 1024**3
    """TALLYSTICK_MOST_IMPORT_BYTES: how large a file of transfers REST takes; it lies in the system's temporary directory."""
    avro_port: int | None = None
    """TALLYSTICK_AVRO_PORT: the port for Avro RPC over plain sockets; none: it is offered over HTTP alone."""
    avro_host: str = "127.0.0.1"
    """TALLYSTICK_AVRO_HOST: the address that port is on; loopback unless told, since keys cross it in the clear."""
    avro_connections: int = 256
    """TALLYSTICK_AVRO_CONNECTIONS: how many clients may be connected there at once."""
    grpc_port: int | None = None
    """TALLYSTICK_GRPC_PORT: the port for gRPC; none: it is not offered."""
    grpc_host: str = "127.0.0.1"
    """TALLYSTICK_GRPC_HOST: the address that port is on; loopback unless told, since keys cross it in the clear."""
    most_call_bytes: int = 8 * 1024**2
    """TALLYSTICK_MOST_CALL_BYTES: how large a call may be, of Avro RPC, over HTTP and over sockets, and of gRPC."""
    witnesses: str = ""
    """TALLYSTICK_WITNESSES: who cosigns the logs: an address, a space and the witness's public key each, commas between."""
    provider_url: str | None = None
    """TALLYSTICK_PROVIDER_URL: the payment provider's base address; None starts the sandbox provider beside the server."""
    provider_secret: str | None = None
    """TALLYSTICK_PROVIDER_SECRET: the secret the provider knows us by; never logged."""
    tax_engine: str | None = None
    """TALLYSTICK_TAX_ENGINE: what says the taxes of invoices, as package.module:name; None: the rates of the book."""
    templates: Path | None = None
    """TALLYSTICK_TEMPLATES: a directory with an invoice.typ of your own, and what it uses: pictures, fonts; None: ours."""
    webhook_allow: str = ""
    """TALLYSTICK_WEBHOOK_ALLOW: networks of your own that webhooks may go to, by http too, as 127.0.0.1/32,10.1.0.0/16."""
    test_clock: dt.datetime | None = None
    """TALLYSTICK_TEST_CLOCK: the instant that it shall be, until it is moved; for trying out, on books without real money."""


def read_settings(environment: dict[str, str] | None = None) -> Settings:
    """
    Read the settings from *environment* (the process's own when None); what is absent keeps its default.

    Raises:
        ValueError: a port is none, or a number is none.
    """
    given = dict(os.environ) if environment is None else environment
    values: dict[str, object] = {}
    for name, (key, convert) in VARIABLES.items():
        if given.get(name):
            try:
                values[key] = convert(given[name])
            except ValueError as error:
                raise ValueError(f"{name} is {given[name]!r}; it must be {error}") from error
    return Settings(**values)  # type: ignore[arg-type]  # VARIABLES pairs each field with its own converter


def _port(text: str) -> int:
    if not text.isdecimal() or int(text) >= 2**16:
        raise ValueError("a number from 0 to 65535")
    return int(text)


def _bytes(text: str) -> int:
    if not text.isdecimal() or not int(text):
        raise ValueError("a number of bytes, at least 1")
    return int(text)


def _count(text: str) -> int:
    if not text.isdecimal() or not int(text):
        raise ValueError("a number, at least 1")
    return int(text)


def _templates(text: str) -> Path:
    if not (Path(text) / "invoice.typ").is_file():
        raise ValueError("a directory with a file invoice.typ in it")
    return Path(text)


def _networks(text: str) -> str:
    for one in text.split(","):
        try:
            ipaddress.ip_network(one.strip())
        except ValueError:
            raise ValueError("networks such as 127.0.0.1/32,10.1.0.0/16") from None
    return text


def _instant(text: str) -> dt.datetime:
    try:
        instant = dt.datetime.fromisoformat(text)
    except ValueError:
        instant = None
    if instant is None or instant.tzinfo is None:
        raise ValueError("an instant with its zone, such as 2024-01-01T00:00:00Z")
    return instant.astimezone(dt.UTC)


VARIABLES: dict[str, tuple[str, Callable[[str], object]]] = {
    "TALLYSTICK_DATA": ("data_directory", Path),
    "TALLYSTICK_POSTGRES_URL": ("postgres_url", str),
    "TALLYSTICK_POSTGRES_BIN": ("postgres_binaries", Path),
    "TALLYSTICK_HOST": ("host", str),
    "TALLYSTICK_PORT": ("port", _port),
    "TALLYSTICK_LOG_ORIGIN": ("log_origin", str),
    "TALLYSTICK_MOST_IMPORT_BYTES": ("most_import_bytes", _bytes),
    "TALLYSTICK_AVRO_PORT": ("avro_port", _port),
    "TALLYSTICK_AVRO_HOST": ("avro_host", str),
    "TALLYSTICK_AVRO_CONNECTIONS": ("avro_connections", _count),
    "TALLYSTICK_GRPC_PORT": ("grpc_port", _port),
    "TALLYSTICK_GRPC_HOST": ("grpc_host", str),
    "TALLYSTICK_MOST_CALL_BYTES": ("most_call_bytes", _bytes),
    "TALLYSTICK_WITNESSES": ("witnesses", str),
    "TALLYSTICK_PROVIDER_URL": ("provider_url", str),
    "TALLYSTICK_PROVIDER_SECRET": ("provider_secret", str),
    "TALLYSTICK_TAX_ENGINE": ("tax_engine", str),
    "TALLYSTICK_TEMPLATES": ("templates", _templates),
    "TALLYSTICK_WEBHOOK_ALLOW": ("webhook_allow", _networks),
    "TALLYSTICK_TEST_CLOCK": ("test_clock", _instant),
}
"""Each variable, the field it sets, and what turns its text into the value."""
