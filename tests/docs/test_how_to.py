"""The how-to pages run, each on a database or a PostgreSQL of its own."""

import os
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tallystick.db.embedded import EmbeddedServer, shipped_binaries
from tests.docs.runnable import BIN, ROOT, free_port, missing_lines, open_directory, run_steps, steps_of
from tests.docs.warm_commands import warm_commands
from tests.installed_avsc import installed_avsc

HOW_TO = ROOT / "docs" / "how-to"


@pytest.fixture(scope="module")
def warm(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Give the directory of a ``tallystick`` that is loaded already."""
    with warm_commands(tmp_path_factory.mktemp("warm")) as directory:
        yield directory


@pytest.mark.parametrize(
    "page",
    [
        "ask-for-invoices-by-grpc.md",
        "balances-and-statements.md",
        "credit-and-void.md",
        "debit-by-bank-file.md",
        "handle-disputes.md",
        "holds.md",
        "import-transfers.md",
        "import-usage.md",
        "invoice-documents.md",
        "keys-and-scopes.md",
        "late-and-corrected-usage.md",
        "prepaid-credits.md",
        "preview-a-price.md",
        "one-charge-for-many-invoices.md",
        "query-and-export-usage.md",
        "rebuild.md",
        "receive-webhooks.md",
        "reconcile-payouts.md",
        "repay-invoices.md",
        "refund-a-payment.md",
        "request-an-invoice.md",
        "send-usage-by-avro.md",
        "send-usage.md",
        "slips-and-reminders.md",
        "subscriptions.md",
        "take-payments.md",
        "take-payments-with-paypal.md",
        "take-payments-with-stripe.md",
        "taxes.md",
        "trace.md",
        "try-payments-that-fail.md",
        "usage-months.md",
    ],
)
def test_a_how_to_prints_what_it_says(page: str, database_url: str, warm: Path) -> None:
    """
    Whoever follows the page on an empty store sees what it shows.

    The store is there before, so that no command starts and stops one: that is what the tutorial does.
    """
    with open_directory() as directory:
        text = (HOW_TO / page).read_text("utf-8")
        environment = {
            "TALLYSTICK_DATA": str(directory / "data"),
            "TALLYSTICK_POSTGRES_URL": database_url,
            "TALLYSTICK_PORT": str(free_port()),
            "CONTRACTS": str(ROOT / "contracts"),
            "NODE_PATH": str(installed_avsc() / "node_modules") if "require('avsc')" in text else "",
            "PATH": f"{warm}:{BIN}:{os.environ.get('PATH', '')}",
        }
        _require_runs(f"```sh\ntallystick book create main\n```\n{text}", directory, environment)


def test_a_postgresql_of_ones_own_is_used_as_the_page_says() -> None:
    """A separate PostgreSQL, reached over TCP: prepared by its owner, used by a login that can rewrite nothing."""
    with open_directory() as directory, _postgresql(directory) as (address, binaries):
        text = (HOW_TO / "own-postgres.md").read_text("utf-8")
        assert "db.example.com" in text
        environment = {"TALLYSTICK_DATA": str(directory / "data"), "PGPATH": str(binaries)}
        _require_runs(
            f"```sh\nPATH=$PGPATH:$PATH\n```\n{text.replace('db.example.com', address)}", directory, environment
        )
        assert not (directory / "data" / "postgres").exists()


def _require_runs(text: str, directory: Path, environment: dict[str, str]) -> None:
    steps = steps_of(text)
    ran = run_steps(steps, directory, environment)
    assert ran.status == 0, "".join(ran.printed)[-4000:]
    for step, output in zip(steps, ran.printed, strict=True):
        missing = missing_lines(step.expected, output)
        assert not missing, f"{step.commands}\nprinted\n{output}\nand not {missing}"


@contextmanager
def _postgresql(directory: Path) -> Iterator[tuple[str, Path]]:
    """Run a PostgreSQL that Tallystick does not know as its own; give its address and its programs."""
    port = free_port()
    made = EmbeddedServer(directory / "elsewhere", shipped_binaries())
    made._prepare_directory()
    made._initialise()
    with subprocess.Popen(
        [
            made.binaries / "postgres",
            "-D",
            made._cluster,
            "-k",
            made.socket_directory,
            "-p",
            str(port),
            "-c",
            "fsync=off",
        ],
        cwd=made.directory,
        stderr=subprocess.DEVNULL,
        **made._identity(),
    ) as process:
        try:
            _await_ready(made.binaries / "pg_isready", port)
            yield f"127.0.0.1:{port}", made.binaries
        finally:
            process.terminate()


def _await_ready(pg_isready: Path, port: int) -> None:
    deadline = time.monotonic() + 30
    while subprocess.run([pg_isready, "-q", "-h", "127.0.0.1", "-p", str(port)], check=False).returncode:
        assert time.monotonic() < deadline
