"""The world of a run: `tallystick up` with its PostgreSQL, the posters and a reader; and what befalls them."""

import asyncio
import contextlib
import os
import random
import re
import signal
import socket
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import asyncpg
import httpx
import msgspec

from tallystick.db.embedded import EmbeddedServer, shipped_binaries
from tests.scenarios.serving_up import KEY, command_of, environment, gone, parent_of, processes
from tests.simulation.plan import LANES, PROCESSES, Plan
from tests.simulation.poster import rest_door
from tests.simulation.workload import NEVER_BELOW_ZERO, Workload

ROOT = Path(__file__).parents[2]
_SECONDS = 60
"""How long anything may take on a machine that is busy with other things."""
FAULTS = ("poster", "freeze", "backend", "postmaster", "up")


def _free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port: int = listener.getsockname()[1]
        return port


@dataclass(slots=True)
class World:
    """Everything that runs, and how it is hurt; *chance* says when and what."""

    directory: Path
    seed: int
    chance: random.Random
    up: asyncio.subprocess.Process | None = None
    posters: dict[tuple[str, ...], asyncio.subprocess.Process] = field(default_factory=dict)
    befell: list[str] = field(default_factory=list)
    chance_of_reading: random.Random = field(default_factory=random.Random)
    notes: list[str] = field(default_factory=list)
    """The checkpoints that the reader saw."""
    problems: list[str] = field(default_factory=list)
    port: int = field(default_factory=_free_port)
    plan: Plan = field(init=False)

    @property
    def address(self) -> str:
        """Return where REST is."""
        return f"http://127.0.0.1:{self.port}"

    @property
    def data(self) -> Path:
        """Return the directory of `tallystick up`."""
        return self.directory / "data"

    @property
    def postgres(self) -> EmbeddedServer:
        """Return the embedded server as one who only attaches to it."""
        return EmbeddedServer(self.data, shipped_binaries())

    @property
    def client(self) -> httpx.AsyncClient:
        """Return a client of REST."""
        headers = {"authorization": f"Bearer {self.plan.key}"}
        return httpx.AsyncClient(base_url=f"{self.address}/v1/books/main", headers=headers, timeout=30, trust_env=False)

    async def begin(self, workload: Workload) -> None:
        """Start everything, and send what is sent before all."""
        await self.start_up()
        await self.await_up()
        await self.spare_the_disk()
        key = KEY.search((self.directory / "up.out").read_text())
        assert key is not None, "no first key"
        self.plan = Plan(str(self.directory), self.address, key[0], self.postgres.url, workload)
        (self.directory / "plan.json").write_bytes(msgspec.json.encode(self.plan))
        async with self.client as client:
            door = rest_door(client)
            for sent in workload.opening():
                reply = await door(sent)
                assert reply.answer is not None, reply
        for lanes in PROCESSES:
            await self.start_poster(lanes)
        async with asyncio.timeout(_SECONDS):
            while not all(self.plan.journal(lane).exists() for lane in LANES):  # noqa: ASYNC110 - they tell it by files only
                await asyncio.sleep(0.05)

    async def spare_the_disk(self) -> None:
        """Leave out fsync: a killed process loses nothing that the kernel has, and recovery need not flush everything."""
        connection = await asyncpg.connect(self.postgres.url)
        try:
            await connection.execute("ALTER SYSTEM SET fsync = off")
            await connection.execute("SELECT pg_reload_conf()")
        finally:
            await connection.close()

    async def start_up(self) -> None:
        """Start `tallystick up`."""
        homes = dict.fromkeys(("HOME", "XDG_DATA_HOME", "XDG_CACHE_HOME"), str(self.directory))
        with (self.directory / "up.out").open("ab") as out:
            self.up = await asyncio.create_subprocess_exec(
                sys.executable, "-m", "tests.simulation.jumping_up", f"{self.seed}/{len(self.befell)}", "up",
                "--port", str(self.port), env=environment(self.data, **homes), stdin=asyncio.subprocess.DEVNULL,
                stdout=out, stderr=out, start_new_session=True, cwd=ROOT,
            )  # fmt: skip

    async def await_up(self) -> None:
        """Await that it serves."""
        async with asyncio.timeout(_SECONDS), httpx.AsyncClient(trust_env=False) as client:
            while True:
                assert self.up is not None
                assert self.up.returncode is None, f"tallystick up ended:\n{(self.directory / 'up.out').read_text()}"
                with contextlib.suppress(httpx.TransportError):
                    if (await client.get(f"{self.address}/openapi.json")).status_code == httpx.codes.OK:
                        return
                await asyncio.sleep(0.05)

    async def start_poster(self, lanes: tuple[str, ...]) -> None:
        """Start the process of some lanes."""
        with (self.directory / "posters.out").open("ab") as out:
            self.posters[lanes] = await asyncio.create_subprocess_exec(
                sys.executable, "-m", "tests.simulation.poster", str(self.directory / "plan.json"), *lanes,
                env=environment(self.data), stdin=asyncio.subprocess.DEVNULL, stdout=out, stderr=out, cwd=ROOT,
                start_new_session=True,
            )  # fmt: skip

    async def hurt(self) -> None:
        """Let faults befall the world until cancelled, each after a while; the first of each kind comes early."""
        waiting = self.chance.sample(FAULTS, len(FAULTS))
        while True:
            await asyncio.sleep(self.chance.uniform(0.7, 1.8))
            fault = waiting.pop() if waiting else self.chance.choice(FAULTS)
            await asyncio.shield(asyncio.create_task(self.befall(fault)))  # half a fault would leave a process frozen

    async def befall(self, fault: str) -> None:
        """Let one fault happen."""
        self.befell.append(fault)
        lanes = self.chance.choice(PROCESSES)
        poster, choice = self.posters[lanes], self.chance.random()
        if fault == "poster":
            _kill(poster.pid)
            await poster.wait()
            await self.start_poster(lanes)
        elif fault == "freeze":
            os.kill(poster.pid, signal.SIGSTOP)
            await asyncio.sleep(0.3 + choice)
            os.kill(poster.pid, signal.SIGCONT)
        elif fault == "up":
            assert self.up is not None
            _kill(self.up.pid)
            await self.up.wait()
            await self.start_up()
            await self.await_up()
        elif (postmaster := self.postgres.process_id()) is not None:
            backends = sorted(one for one in processes() if parent_of(one) == postmaster)
            if fault == "postmaster" or not backends:
                _kill(postmaster)
            else:
                _kill(backends[int(choice * len(backends))])

    async def watch(self) -> None:
        """Read balances and checkpoints until cancelled; what may never be seen is a problem."""
        async with self.client as client:
            while True:
                await asyncio.sleep(0.05)
                with contextlib.suppress(httpx.TransportError):
                    await self._look(client)

    async def _look(self, client: httpx.AsyncClient) -> None:
        account = self.chance_of_reading.choice(NEVER_BELOW_ZERO)
        balance = await client.get("/balance", params={"account": account})
        if balance.status_code == httpx.codes.OK and balance.json()["available"] < 0:
            self.problems.append(f"a reader saw {balance.json()}")
        checkpoint = await client.get("/checkpoint")
        if checkpoint.status_code == httpx.codes.OK and checkpoint.json()["note"] not in self.notes[-1:]:
            self.notes.append(checkpoint.json()["note"])
        for answer in (balance, checkpoint):
            if answer.status_code not in {200, 404, 503}:
                self.problems.append(f"a reader was answered {answer.status_code}: {answer.text}")

    async def settle(self) -> None:
        """Let the posters finish what they sent."""
        await self.await_up()
        for poster in self.posters.values():
            with contextlib.suppress(ProcessLookupError):
                poster.send_signal(signal.SIGTERM)
        async with asyncio.timeout(_SECONDS):
            for lanes, poster in self.posters.items():
                if await poster.wait() not in {0, -signal.SIGTERM}:  # which is that it had not quite begun
                    self.problems.append(f"the poster of {lanes} ended with {poster.returncode}")

    async def balances(self) -> dict[str, dict[str, Any]]:
        """Return what the API says of each account."""
        async with self.client as client:
            found = {}
            after: str | None = ""
            while after is not None:
                page = (await client.get("/accounts", params={"after": after, "limit": 1000})).json()
                for account in page["items"]:
                    answer = await client.get("/balance", params={"account": account["code"]})
                    found[account["code"]] = answer.json()
                after = page["next"]
            return found

    async def verify(self) -> list[str]:
        """Let the product verify itself; return what it finds."""
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "tallystick.cli", "verify", "--processes", "1", env=environment(self.data),
            stdin=asyncio.subprocess.DEVNULL, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT, cwd=ROOT,
        )  # fmt: skip
        said = (await process.communicate())[0].decode()
        return [] if process.returncode == 0 else [f"tallystick verify: {said}"]

    async def newest_note(self) -> str:
        """Return the newest checkpoint."""
        async with self.client as client:
            note: str = (await client.get("/checkpoint")).json()["note"]
            return note

    async def end(self) -> None:
        """Stop what runs; what does not stop is killed."""
        for poster in self.posters.values():
            _kill(poster.pid)
            await poster.wait()
        if self.up is not None:
            with contextlib.suppress(ProcessLookupError):
                self.up.send_signal(signal.SIGTERM)
            try:
                async with asyncio.timeout(_SECONDS):
                    await self.up.wait()
            except TimeoutError:
                _kill(self.up.pid)
                await self.up.wait()
        data = str(self.data)
        left = {one for one in processes() if one != os.getpid() and data in command_of(one)}
        for one in left:
            _kill(one)
        await gone(left)

    def said(self) -> str:
        """Return what the processes said that was not meant for anyone: for who studies a failure."""
        out = (self.directory / "up.out").read_text() + (self.directory / "posters.out").read_text()
        return "\n".join(line for line in out.splitlines() if re.search(r"Error|Traceback|exception", line))


def _kill(process_id: int) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.kill(process_id, signal.SIGKILL)
