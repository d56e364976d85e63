"""localstripe, which somebody else wrote to speak as Stripe does, as a process of its own that listens on loopback."""

import asyncio
import contextlib
import hashlib
import subprocess
import sys
import tempfile
from collections.abc import AsyncIterator
from pathlib import Path

ROOT = Path(__file__).parents[1]
HOME = ROOT / "tests" / "localstripe"
START_SECONDS = 20


def installed_localstripe() -> Path:
    """Return a Python that has localstripe, pinned by its hash; installed once, and again when the pin changes."""
    pinned = HOME / "requirements.txt"
    cache = ROOT / ".cache" / f"localstripe-{hashlib.sha256(pinned.read_bytes()).hexdigest()[:12]}"
    if not cache.exists():
        install(pinned, cache)
    return cache / "bin" / "python"


def install(pinned: Path, cache: Path) -> None:
    """Make the virtual environment *cache* with what is *pinned* in it; it shares nothing with ours."""
    cache.parent.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory(dir=cache.parent) as made:
        environment = Path(made) / "environment"
        uv = Path(sys.executable).with_name("uv")
        commands: tuple[list[str | Path], ...] = (
            [uv, "venv", "--quiet", "--python", sys.executable, environment],
            # What builds it is pinned too.
            [uv, "pip", "install", "--quiet", "--require-hashes", "-r", pinned, "-b", pinned, "--python", environment],
        )
        for command in commands:
            ran = subprocess.run(command, capture_output=True, text=True, check=False)
            assert ran.returncode == 0, ran.stderr[-1000:]
        if not cache.exists():
            environment.rename(cache)


@contextlib.asynccontextmanager
async def running_localstripe() -> AsyncIterator[str]:
    """Run it, with nothing in it, and give its address."""
    process = await asyncio.create_subprocess_exec(
        *(installed_localstripe(), HOME / "launch.py"),
        stdin=asyncio.subprocess.PIPE,  # it ends when this is closed, so it does not outlive us
        stdout=asyncio.subprocess.PIPE,
    )
    assert process.stdout is not None
    try:
        yield (await asyncio.wait_for(process.stdout.readline(), START_SECONDS)).decode().strip()
    finally:
        with contextlib.suppress(ProcessLookupError):
            process.terminate()
        await process.wait()
