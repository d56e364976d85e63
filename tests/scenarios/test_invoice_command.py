"""`tallystick invoice run` as a child process: what it says, and with which exit code."""

import asyncio
import os
import sys
from pathlib import Path

import pytest

from tests.conftest import House
from tests.db.priced_usage import ask, meter_requests, price, use

ODD = {"id": "odd", "customer": "mallory", "at": "2015-05-03T00:00:00Z", "quantities": {"bytes": "9" * 30}}


@pytest.fixture
def environment(database_url: str, tmp_path: Path) -> dict[str, str]:
    """Point the command line at this test's database."""
    return {**os.environ, "TALLYSTICK_POSTGRES_URL": database_url, "TALLYSTICK_DATA": str(tmp_path)}


async def _invoice_run(environment: dict[str, str], *options: str) -> tuple[int | None, str]:
    child = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "tallystick.cli", "invoice", "run", "2015-05", *options, env=environment,
        cwd=Path(__file__).parents[2], stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT,
    )  # fmt: skip
    said, _ = await asyncio.wait_for(child.communicate(), 60)
    return child.returncode, said.decode()


async def test_invoice_run_names_who_is_set_aside_and_what_is_late(house: House, environment: dict[str, str]) -> None:
    """The exit code is 3 while somebody could not be invoiced; the others have their invoices."""
    await meter_requests(house)
    await price(house, "1.00", charge="traffic", meter="bytes")
    await use(house, [("bob", "2015-05-02T00:00:00Z")])
    assert (await ask(house, "usage.record", source="s", events=[ODD])).accepted == 1
    code, said = await _invoice_run(environment)
    assert code == 3, said
    assert "1 invoices issued" in said
    assert "mallory: " in said
    assert "rating.amount_too_large" in said
    await use(house, [("bob", "2015-05-02T00:00:00Z")] * 2)
    code, said = await _invoice_run(environment)
    assert code == 3, said
    assert "2 events came after their invoices and are on none yet" in said


async def test_invoice_run_refuses_bad_terms_by_field(house: House, environment: dict[str, str]) -> None:
    """A slip in the terms is one line, exit code 1, and leaves nothing behind that could not be issued."""
    await meter_requests(house)
    await price(house, "1.00")
    await use(house, [("bob", "2015-05-02T00:00:00Z")])
    code, said = await _invoice_run(environment, "--terms", "10000000")
    assert (code, "terms_days" in said, "Traceback" in said) == (1, True, False), said
    code, said = await _invoice_run(environment)
    assert (code, "1 invoices issued" in said) == (0, True), said
