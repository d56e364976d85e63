"""What an operator can set: environment variables that start with TALLYSTICK_, each with a safe default."""

import datetime as dt
import ipaddress
import os
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit


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
    postgres_url: str | None = field(default=None, repr=False)
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
    """TALLYSTICK_PROVIDER_URL: the base address of a sandbox provider that runs already; None starts one beside the server."""
    provider_secret: str | None = field(default=None, repr=False)
    """TALLYSTICK_PROVIDER_SECRET: the secret that sandbox knows us by; never logged."""
    sandbox: bool = False
    """TALLYSTICK_SANDBOX: yes has the sandbox provider beside the server also where a real one is set."""
    default_provider: str | None = None
    """TALLYSTICK_DEFAULT_PROVIDER: which takes payments that name none; None: the first of stripe, paypal, sandbox there is."""
    stripe_secret: str | None = field(default=None, repr=False)
    """TALLYSTICK_STRIPE_SECRET: the secret key of the Stripe account; never logged; None: payments do not go to Stripe."""
    stripe_webhook_secrets: str = field(default="", repr=False)
    """TALLYSTICK_STRIPE_WEBHOOK_SECRETS: what Stripe signs webhooks with, commas between: one for each endpoint, old and new."""
    stripe_url: str | None = None
    """TALLYSTICK_STRIPE_URL: what speaks as Stripe instead, for tests; None: Stripe."""
    paypal_client_id: str | None = field(default=None, repr=False)
    """TALLYSTICK_PAYPAL_CLIENT_ID: the client id of the PayPal app; None: payments do not go to PayPal."""
    paypal_secret: str | None = field(default=None, repr=False)
    """TALLYSTICK_PAYPAL_SECRET: the secret of the PayPal app; never logged."""
    paypal_webhook_id: str | None = None
    """TALLYSTICK_PAYPAL_WEBHOOK_ID: the id that PayPal gave our webhook; None: no webhook of PayPal's is believed."""
    paypal_url: str = "https://api-m.paypal.com"
    """TALLYSTICK_PAYPAL_URL: live, sandbox (PayPal's own, where no money is real), or the address of what speaks as PayPal."""
    paypal_return_url: str | None = None
    """TALLYSTICK_PAYPAL_RETURN_URL: the page of yours that PayPal sends customers back to, once they approved or gave up."""
    paypal_test_anchors: Path | None = None
    """TALLYSTICK_PAYPAL_TEST_ANCHORS: a PEM file of authorities to believe webhooks by, for tests at an address of your own."""
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


def _yes(text: str) -> bool:
    if text not in {"yes", "no"}:
        raise ValueError("yes or no")
    return text == "yes"


def _secret(text: str) -> str:
    """Return a secret without what was pasted around it; blanks alone would be taken for none, and money for play money."""
    if not text.strip():
        raise ValueError("a secret, or not set at all")
    return text.strip()


def _address(text: str) -> str:
    if not text.startswith(("http://", "https://")):
        raise ValueError("an address that begins with https:// or http://")
    return text.rstrip("/")


def _private_address(text: str) -> str:
    """Return an address that a secret can be sent to: nobody in between can read it."""
    parts = urlsplit(text)
    plain = parts.scheme == "http" and parts.hostname in {"127.0.0.1", "::1", "localhost"}
    if not (parts.hostname and (plain or parts.scheme == "https")) or "@" in parts.netloc:
        raise ValueError("an address that begins with https://, or with http:// on this machine")
    return text.rstrip("/")


_PAYPAL_BY_NAME = {"live": "https://api-m.paypal.com", "sandbox": "https://api-m.sandbox.paypal.com"}


def _paypal(text: str) -> str:
    address = _PAYPAL_BY_NAME.get(text, text).rstrip("/")
    parts = urlsplit(address)
    plain = parts.scheme == "http" and parts.hostname in {"127.0.0.1", "localhost"}
    if not (parts.hostname and (plain or parts.scheme == "https")) or "@" in parts.netloc:
        raise ValueError("live, sandbox, or an address that begins with https://")
    return address


def _file(text: str) -> Path:
    if not Path(text).is_file():
        raise ValueError("a file that is there")
    return Path(text)


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
    "TALLYSTICK_SANDBOX": ("sandbox", _yes),
    "TALLYSTICK_DEFAULT_PROVIDER": ("default_provider", str),
    "TALLYSTICK_STRIPE_SECRET": ("stripe_secret", _secret),
    "TALLYSTICK_STRIPE_WEBHOOK_SECRETS": ("stripe_webhook_secrets", str),
    "TALLYSTICK_STRIPE_URL": ("stripe_url", _private_address),
    "TALLYSTICK_PAYPAL_CLIENT_ID": ("paypal_client_id", str.strip),
    "TALLYSTICK_PAYPAL_SECRET": ("paypal_secret", str.strip),
    "TALLYSTICK_PAYPAL_WEBHOOK_ID": ("paypal_webhook_id", str.strip),
    "TALLYSTICK_PAYPAL_URL": ("paypal_url", _paypal),
    "TALLYSTICK_PAYPAL_RETURN_URL": ("paypal_return_url", _address),
    "TALLYSTICK_PAYPAL_TEST_ANCHORS": ("paypal_test_anchors", _file),
    "TALLYSTICK_TAX_ENGINE": ("tax_engine", str),
    "TALLYSTICK_TEMPLATES": ("templates", _templates),
    "TALLYSTICK_WEBHOOK_ALLOW": ("webhook_allow", _networks),
    "TALLYSTICK_TEST_CLOCK": ("test_clock", _instant),
}
"""Each variable, the field it sets, and what turns its text into the value."""
