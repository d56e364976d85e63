"""Start the sandbox as a process of its own, and await that it serves."""

import asyncio
import contextlib
import os
import sys
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

import msgspec
import structlog

from tallystick.errors import Kind, TallystickError
from tallystick.payments.providers.sandbox.door import Door, leave_door, take_door_away

START_SECONDS = 20
STOP_SECONDS = 5
_RESTART_PAUSE_SECONDS = 0.2
_log = structlog.get_logger()


class SandboxNotStarted(TallystickError):
    """The sandbox payment provider did not start ({cause})."""

    code = "payments.sandbox_not_started"
    kind = Kind.UNAVAILABLE


class _Listening(msgspec.Struct):
    listening: str


@dataclass(frozen=True, slots=True)
class PlanFile:
    """What happens in a sandbox by itself: a seed, and a file of rates."""

    seed: int
    rates: Path


@dataclass(slots=True)
class SandboxProcess:
    """A sandbox that serves."""

    url: str
    process: asyncio.subprocess.Process
    _state: Path
    _secret: str = field(repr=False)
    _plan: PlanFile | None = None

    async def keep_alive(self) -> None:
        """
        Start it again, on the same port, whenever it ends by itself; runs until cancelled.

        Cancel it before `stop` or `kill`, or it takes those for such an end.
        """
        port = urlsplit(self.url).port or 0
        while True:
            status = await self.process.wait()
            await asyncio.sleep(_RESTART_PAUSE_SECONDS)
            _log.warning("the sandbox ended and is started again", status=status)
            with contextlib.suppress(SandboxNotStarted):  # it says why itself, and is tried again
                self.process = (await start(self._state, self._secret, port, self._plan)).process

    async def stop(self) -> None:
        """Let it finish what it is answering, and see it gone; harmless when it is gone already."""
        take_door_away(self._state)
        with contextlib.suppress(ProcessLookupError):
            self.process.terminate()
        try:
            await asyncio.wait_for(self.process.wait(), STOP_SECONDS)
        except TimeoutError:
            await self.kill()

    async def kill(self) -> None:
        """End it as a power cut would; what it answered is on disk."""
        with contextlib.suppress(ProcessLookupError):
            self.process.kill()
        await self.process.wait()


async def start(state: Path, secret: str, port: int = 0, plan: PlanFile | None = None) -> SandboxProcess:
    """
    Start a sandbox that remembers in *state*, and return once it serves; *plan* is what happens there by itself.

    It dies with the calling thread's process; Linux takes the death of the calling *thread* for that,
    so call this from one that lives on, such as the main one.

    Raises:
        SandboxNotStarted: it ended, or said nothing for too long; it says why on standard error.
    """
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        *("-m", "tallystick.payments.providers.sandbox"),
        *("--state", str(state), "--port", str(port), "--parent", str(os.getpid())),
        *(() if plan is None else ("--seed", str(plan.seed), "--rates", str(plan.rates))),
        env={**os.environ, "TALLYSTICK_PROVIDER_SECRET": secret},
        stdin=asyncio.subprocess.DEVNULL,
        start_new_session=True,  # a Ctrl-C in the terminal is for the parent, which then stops it
        stdout=asyncio.subprocess.PIPE,
    )
    try:
        url = await _announced(process)
        leave_door(state, Door(url, secret))
        return SandboxProcess(url, process, state, secret, plan)
    except BaseException:
        with contextlib.suppress(ProcessLookupError):
            process.kill()
        await process.wait()
        raise


async def _announced(process: asyncio.subprocess.Process) -> str:
    if process.stdout is None:
        raise SandboxNotStarted(cause="no pipe to read from")
    try:
        line = await asyncio.wait_for(process.stdout.readline(), START_SECONDS)
    except TimeoutError as silent:
        raise SandboxNotStarted(cause=f"silent for {START_SECONDS} s") from silent
    if not line:
        raise SandboxNotStarted(cause=f"exit status {await process.wait()}")
    return msgspec.json.decode(line, type=_Listening).listening
