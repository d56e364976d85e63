"""Documents that run: their ```sh blocks as one script, their ```text blocks as what it must print."""

import os
import re
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
BIN = ROOT / ".venv" / "bin"
_BLOCK = re.compile(r"^```(?P<kind>sh|text)\n(?P<text>.*?)^```$", re.MULTILINE | re.DOTALL)
_MARK = "--- block {number} ends ---"
_SECONDS = 120
_SECONDS_TO_END = 30


@dataclass(frozen=True, slots=True)
class Step:
    """A block of commands, and the lines that it must print among others, in order."""

    commands: str
    expected: list[str]


@dataclass(frozen=True, slots=True)
class Ran:
    """What became of a document's script: its exit status, and what each step printed."""

    status: int
    printed: list[str]


def steps_of(document: str) -> list[Step]:
    """Take the document apart."""
    steps: list[Step] = []
    for block in _BLOCK.finditer(document):
        if block["kind"] == "sh":
            steps.append(Step(block["text"], []))
        else:
            steps[-1].expected.extend(line for line in block["text"].splitlines() if line.strip())
    return steps


def run_steps(steps: list[Step], directory: Path, environment: dict[str, str] | None = None) -> Ran:
    """Run the steps in one bash that stops at the first failure; whatever it leaves running is ended."""
    marked = [f"{step.commands}\necho; echo '{_MARK.format(number=number)}'\n" for number, step in enumerate(steps)]
    process = subprocess.Popen(
        ["bash", "-euo", "pipefail", "-c", "".join(marked)],
        cwd=directory,
        env={**_clean_environment(), **(environment or {})},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        start_new_session=True,
        text=True,
    )
    try:
        output, _ = process.communicate(timeout=_SECONDS)
    finally:
        _end_session(process.pid)
    return Ran(process.returncode, _cut(output, len(steps)))


def missing_lines(expected: list[str], printed: str) -> list[str]:
    """Return the lines that were not printed in this order; ``…`` stands for anything, and width for nothing."""
    rest = _words(printed)
    missing = []
    for line in expected:
        pattern = r".*?".join(re.escape(_words(part)) for part in line.split("…"))
        found = re.search(pattern, rest, re.DOTALL)
        if found is None:
            missing.append(line)
        else:
            rest = rest[found.end() :]
    return missing


@contextmanager
def open_directory() -> Iterator[Path]:
    """Make a directory that also the user whom the database runs as can enter."""
    with tempfile.TemporaryDirectory(prefix="tallystick-docs-") as name:
        Path(name).chmod(0o755)
        (Path(name) / ".venv").symlink_to(ROOT / ".venv")
        yield Path(name)


def free_port() -> int:
    """Find a port that nobody listens on now."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


def _clean_environment() -> dict[str, str]:
    """Return ours without what would lead the product to another directory or database."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("TALLYSTICK_")}
    kept.pop("PYTHONDONTWRITEBYTECODE", None)  # or each of the many commands would compile everything anew
    return {**kept, "PATH": f"{BIN}:{kept.get('PATH', '')}", "COLUMNS": "200"}


def _cut(output: str, count: int) -> list[str]:
    """Divide what was printed at the marks; a step that was not reached printed nothing."""
    printed = []
    for number in range(count):
        own, _, output = output.partition(_MARK.format(number=number))
        printed.append(own)
    return printed


def _words(text: str) -> str:
    return " ".join(text.split())


def _end_session(leader: int) -> None:
    """End what a document left running, and see that it does end."""
    for number in (signal.SIGTERM, signal.SIGKILL):
        try:
            os.killpg(leader, number)
        except ProcessLookupError:
            return
        if _is_gone(leader, _SECONDS_TO_END):
            assert number == signal.SIGTERM, "what the document started does not end when it is told to"
            return


def _is_gone(leader: int, seconds: int) -> bool:
    """Wait until no process of the session is left; they are nobody's children, so that nothing tells when they end."""
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        try:
            os.killpg(leader, 0)
        except ProcessLookupError:
            return True
        time.sleep(0.05)
    return False
