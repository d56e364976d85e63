"""What an operator can set: environment variables that start with TALLYSTICK_, each with a safe default."""

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
    witnesses: str = ""
    """TALLYSTICK_WITNESSES: who cosigns the logs: an address, a space and the witness's public key each, commas between."""
    provider_url: str | None = None
    """TALLYSTICK_PROVIDER_URL: the payment provider's base address; None starts the sandbox provider beside the server."""
    provider_secret: str | None = None
    """TALLYSTICK_PROVIDER_SECRET: the secret the provider knows us by; never logged."""


def read_settings(environment: dict[str, str] | None = None) -> Settings:
    """
    Read the settings from *environment* (the process's own when None); what is absent keeps its default.

    Raises:
        ValueError: TALLYSTICK_PORT is not a port, or TALLYSTICK_MOST_IMPORT_BYTES no number.
    """
    given = dict(os.environ) if environment is None else environment
    values: dict[str, object] = {}
    for name, (key, convert) in VARIABLES.items():
        if given.get(name):
            values[key] = convert(given[name])
    return Settings(**values)  # type: ignore[arg-type]  # VARIABLES pairs each field with its own converter


def _port(text: str) -> int:
    if not text.isdecimal() or int(text) >= 2**16:
        raise ValueError(f"TALLYSTICK_PORT is {text!r}; it must be a number from 0 to 65535")
    return int(text)


def _bytes(text: str) -> int:
    if not text.isdecimal() or not int(text):
        raise ValueError(f"TALLYSTICK_MOST_IMPORT_BYTES is {text!r}; it must be a number of bytes, at least 1")
    return int(text)


VARIABLES: dict[str, tuple[str, Callable[[str], object]]] = {
    "TALLYSTICK_DATA": ("data_directory", Path),
    "TALLYSTICK_POSTGRES_URL": ("postgres_url", str),
    "TALLYSTICK_POSTGRES_BIN": ("postgres_binaries", Path),
    "TALLYSTICK_HOST": ("host", str),
    "TALLYSTICK_PORT": ("port", _port),
    "TALLYSTICK_LOG_ORIGIN": ("log_origin", str),
    "TALLYSTICK_MOST_IMPORT_BYTES": ("most_import_bytes", _bytes),
    "TALLYSTICK_WITNESSES": ("witnesses", str),
    "TALLYSTICK_PROVIDER_URL": ("provider_url", str),
    "TALLYSTICK_PROVIDER_SECRET": ("provider_secret", str),
}
"""Each variable, the field it sets, and what turns its text into the value."""
