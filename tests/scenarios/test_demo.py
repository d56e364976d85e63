"""The demo as a child process: on the real log, on small ones, and on what is none."""

import datetime as dt
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tallystick.usage.sample import write_sample
from tests.conftest import DATA

ROOT = Path(__file__).parents[2]
REAL = DATA / "apache_logs"
LARGE_SECONDS = 300
SMALL_SECONDS = 30


def _demo(directory: Path, file: Path, seconds: int = SMALL_SECONDS) -> tuple[int, str]:
    """Run the demo on *file* in *directory*, and return its exit code and all it said."""
    done = subprocess.run(
        [sys.executable, "-m", "tallystick.demo", str(file)], cwd=directory, timeout=seconds, check=False, text=True,
        env={**os.environ, "PYTHONPATH": str(ROOT), "COLUMNS": "200"}, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
    )  # fmt: skip
    return done.returncode, done.stdout


@pytest.mark.skipif(not REAL.exists(), reason="the real log is not on this machine")
def test_the_demo_on_the_real_log_gives_its_figures(tmp_path: Path) -> None:
    """Every figure that is known of the log comes out, and every receipt is verified."""
    code, said = _demo(tmp_path, REAL, LARGE_SECONDS)
    assert code == 0, said
    for expected in (
        "10,000 lines",
        "1 malformed",
        "line 8,899:",
        "9,170 accepted, 0 already known, of 1,681 customers",
        "2,746,963,047 bytes",
        "1,681 issued",
        "1,681 settled",
        "1,681 verified offline",
        "all receipts verified",
    ):
        assert expected in said


def test_the_demo_on_a_small_log(tmp_path: Path) -> None:
    """It ends with verified receipts; the month that is not over is left out, and that is said."""
    log = tmp_path / "access.log"
    write_sample(log, lines=60)
    now = dt.datetime.now(dt.UTC)
    with log.open("a") as file:
        file.write(f'192.0.2.1 - - [{now:%d/%b/%Y:%H:%M:%S} +0000] "GET /v1/a HTTP/1.1" 200 10 "-" "-"\n')
    code, said = _demo(tmp_path, log)
    assert code == 0, said
    assert "61 lines" in said
    assert f"{now:%Y-%m} skipped: a month is invoiced once it is over" in said
    assert "all receipts verified" in said
    assert list((tmp_path / "demo-output" / "receipts").glob("*.json"))


def test_the_demo_on_a_log_with_nothing_billable(tmp_path: Path) -> None:
    """It says that there is nothing to invoice rather than that something is wrong, and does not claim success."""
    log = tmp_path / "access.log"
    log.write_text('192.0.2.1 - - [17/May/2015:10:05:03 +0000] "GET /a HTTP/1.1" 404 10 "-" "-"\n')
    code, said = _demo(tmp_path, log)
    assert code == 1, said
    assert "there is nothing to invoice" in said
    assert "verified\n" not in said
    assert "Traceback" not in said


@pytest.mark.parametrize("file", ["absent.log", ".", "empty.log"])
def test_the_demo_of_what_cannot_be_read_is_told_on_a_line(tmp_path: Path, file: str) -> None:
    """A slip in DATA is one line that names it, and exit code 1."""
    (tmp_path / "empty.log").touch()
    code, said = _demo(tmp_path, Path(file))
    assert code == 1
    assert said.startswith("error: ")
    assert said.count("\n") == 1, said
