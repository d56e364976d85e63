"""`tallystick sandbox`: the sandbox that runs here does what is ordered of it."""

import asyncio
import contextlib
import shlex
import sys
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

from tallystick.payments.providers.protocol import RefundRequest, TransactionStatus
from tallystick.payments.providers.sandbox import process
from tallystick.payments.providers.sandbox.change import Call
from tallystick.payments.providers.sandbox.client import SandboxProvider
from tallystick.payments.providers.sandbox.faults import Fault, FaultKind
from tests.scenarios.sandboxed import SECRET, doors, order
from tests.scenarios.serving_up import environment, tallystick

_PROGRAM = """
import shlex, sys
from tallystick.cli.sandbox import app
for line in sys.stdin:
    try:
        app(shlex.split(line))
    except SystemExit as done:
        print(f"status {done.code}", flush=True)
"""


@dataclass
class Commands:
    """A process in which one command is run after the other, since loading takes longer than any of them."""

    process: asyncio.subprocess.Process

    async def run(self, *arguments: str) -> tuple[int, str]:
        """Run a command; return its status, and what it said on both streams."""
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write(f"{shlex.join(arguments)}\n".encode())
        said = ""
        async with asyncio.timeout(20):
            while not said.splitlines()[-1:] or not said.splitlines()[-1].startswith("status "):
                line = (await self.process.stdout.readline()).decode()
                assert line, said
                said += line
        *lines, status = said.splitlines(keepends=True)
        return int(status.split()[1]), "".join(lines)


@contextlib.asynccontextmanager
async def commands(data: Path, **settings: str) -> AsyncIterator[Commands]:
    """Run commands on *data*."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", _PROGRAM),
        env=environment(data, **settings),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    try:
        yield Commands(process)
    finally:
        process.kill()
        await process.communicate()


async def test_each_command_does_what_it_says(tmp_path: Path) -> None:
    """A payment is challenged, decided, disputed, given back and paid out by hand, and the list shows all of it."""
    async with doors(tmp_path / "sandbox.jsonl") as sandbox, commands(tmp_path) as line:

        async def do(*arguments: str) -> str:
            status, said = await line.run(*arguments)
            assert status == 0, said
            return said

        assert "capture: action, 2 times" in await do("fault", "capture", "action", "--times", "2")
        asked, refused = await sandbox.pay(reference="p-1"), await sandbox.pay(reference="p-2")
        assert asked.status is refused.status is TransactionStatus.ACTION_REQUIRED
        assert await do("authenticate", "p-1") == "captured\n"
        assert await do("authenticate", refused.id, "--fail") == "declined\n"
        await sandbox.control.order([Fault(Call.CAPTURE, FaultKind.WAIT), Fault(Call.REFUND, FaultKind.WAIT)])
        await sandbox.pay(reference="p-3")
        assert await do("complete", "p-3") == "captured\n"
        pending = await sandbox.provider.refund(RefundRequest("r-1", asked.id, 100, "EUR"))
        assert await do("decide-refund", pending.id, "--fail") == "failed\n"
        disputed = await do("dispute", "p-1", "--amount", "300")
        assert disputed.endswith(": 300 minor units of EUR\n")
        assert await do("decide-dispute", disputed.split(":", maxsplit=1)[0], "lost") == "lost\n"
        assert "-20 minor units" in await do("fee", "20", "EUR")
        paid_out = await do("pay-out", "EUR", "--flaw", "late_line")
        assert "webhook: late" in await do("twist", "late")
        assert await do("webhooks", "http://127.0.0.1:1/hook") == "webhooks go to http://127.0.0.1:1/hook\n"
        assert await do("webhooks") == "webhooks go to nobody\n"
        assert "nothing waits" in await do("forget")
        listed = await do("list")
        for shown in ("p-1", "p-2", "p-3", "captured", "declined", "refund", "dispute", paid_out.split(":")[0]):
            assert shown in listed


async def test_the_sandbox_is_found_by_whoever_may_read_its_directory(tmp_path: Path) -> None:
    """Address and secret lie beside the state for its owner's eyes, and go when it is stopped."""
    state = tmp_path / "sandbox.jsonl"
    beside = tmp_path / "sandbox.jsonl.door"
    async with doors(state):
        assert beside.stat().st_mode & 0o777 == 0o600
    assert not beside.exists()
    said = await tallystick("sandbox", "list", data=tmp_path)
    assert (said.status, "payments.sandbox_not_running" in said.err) == (1, True)


async def test_a_sandbox_elsewhere_is_reached_by_its_settings(tmp_path: Path) -> None:
    """With an address and a secret set, that one is meant; what it refuses or does not have is told on one line."""
    running = await process.start(tmp_path / "elsewhere", SECRET)
    settings = {"TALLYSTICK_PROVIDER_URL": running.url, "TALLYSTICK_PROVIDER_SECRET": SECRET}

    async with commands(tmp_path, **settings) as line, SandboxProvider(running.url, SECRET) as provider:

        async def fail(*arguments: str) -> str:
            status, said = await line.run(*arguments)
            assert (status, said.count("\n")) == (1, 1), said
            return said

        await provider.create(order("p-9"))
        assert "p-9" in (await line.run("list"))[1]
        assert "no decline of a find" in await fail("fault", "find", "decline")
        assert "no such payment" in await fail("dispute", "p-10")
        assert "not_captured" in await fail("dispute", "p-9")
        assert "nothing_to_pay_out" in await fail("pay-out", "EUR")
        assert "to this machine alone" in await fail("webhooks", "http://example.org/hook")
        await running.stop()
        assert "payments.sandbox_unreachable" in await fail("list")
