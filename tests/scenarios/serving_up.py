"""`tallystick up` as its users have it: a process of its own, in one directory, spoken to over HTTP and by signals."""

import asyncio
import contextlib
import os
import re
import shutil
import signal
import socket
import sys
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx

from tallystick.ids import uuid7

KEY = re.compile(r"tsk_[\w-]{20,}")
SECONDS = 30
"""How long anything may take on a machine that is busy with other things."""
PERIOD = {"start_at": "2015-05-01T00:00:00Z", "end_at": "2015-06-01T00:00:00Z"}
_COMMAND = (sys.executable, "-m", "tallystick.cli")


@dataclass(frozen=True, slots=True)
class Said:
    """What a command answered with."""

    status: int
    out: str
    err: str

    def refusal(self) -> str:
        """Return the one line that tells what went wrong."""
        assert self.status not in {0, None}, self
        lines = self.err.splitlines()
        assert len(lines) == 1, self.err
        assert lines[0].startswith("error: "), self.err
        return lines[0]


@dataclass(slots=True)
class Up:
    """A running `tallystick up`."""

    data: Path
    elsewhere: Path
    """Where it runs and is at home: nothing may appear there."""
    process: asyncio.subprocess.Process
    address: str = ""
    lines: list[str] = field(default_factory=list)
    errors: list[str] = field(default_factory=list)
    _reading: "list[asyncio.Task[None]]" = field(default_factory=list)
    _heard: asyncio.Condition = field(default_factory=asyncio.Condition)

    async def hear(self, what: str) -> str:
        """Return the first line of output that *what* matches, once it is there."""
        async with asyncio.timeout(SECONDS), self._heard:
            while True:
                for line in self.lines:
                    if re.search(what, line):
                        return line
                assert self._reading, f"it ended; {self.errors}"
                await self._heard.wait()

    def listen(self) -> None:
        """Collect what it says until it ends."""
        assert self.process.stdout is not None
        assert self.process.stderr is not None
        streams = (self.process.stdout, self.lines), (self.process.stderr, self.errors)
        self._reading = [asyncio.create_task(self._collect(stream, lines)) for stream, lines in streams]

    async def _collect(self, stream: asyncio.StreamReader, lines: list[str]) -> None:
        async for line in stream:
            async with self._heard:
                lines.append(line.decode().rstrip())
                self._heard.notify_all()
        async with self._heard:
            self._reading = [task for task in self._reading if task is not asyncio.current_task()]
            self._heard.notify_all()

    async def ended(self) -> int:
        """Return its exit status, once it has ended and all that it said is here."""
        async with asyncio.timeout(SECONDS):
            status = await self.process.wait()
            async with self._heard:
                await self._heard.wait_for(lambda: not self._reading)
        return status

    async def stop(self) -> int:
        """Ask it to end, and return its exit status."""
        self.process.send_signal(signal.SIGTERM)
        return await self.ended()

    async def kill(self) -> None:
        """End it as a power cut would."""
        self.process.kill()
        await self.ended()

    def children(self) -> dict[str, int]:
        """Return the processes that it started, ``postgres`` and ``sandbox``."""
        found = {}
        for process_id in processes():
            if parent_of(process_id) == self.process.pid:
                command = command_of(process_id)
                found["sandbox" if "sandbox" in command else "postgres" if "postgres" in command else command] = (
                    process_id
                )
        return found

    def everything(self) -> set[int]:
        """Return every process that works in its directory or for it, itself included."""
        data = str(self.data)
        return {
            process_id
            for process_id in processes()
            if process_id != os.getpid() and (data in command_of(process_id) or _works_below(process_id, data))
        }


@dataclass(frozen=True, slots=True)
class Caller:
    """The holder of a key, who speaks HTTP to a book."""

    client: httpx.AsyncClient
    book: str = "main"

    async def get(self, path: str, **query: object) -> httpx.Response:
        """Read."""
        return await self.client.get(
            f"/v1/books/{self.book}{path}", params={name: str(one) for name, one in query.items()}
        )

    async def post(self, path: str, key: str = "", /, **fields: object) -> httpx.Response:
        """Change."""
        headers = {"idempotency-key": key} if key else {}
        return await self.client.post(f"/v1/books/{self.book}{path}", json=fields, headers=headers)

    async def do(self, path: str, key: str = "", /, **fields: object) -> Any:  # noqa: ANN401 - each operation has its own
        """Change, and return what was answered; it must have gone well."""
        answer = await self.post(path, key, **fields)
        assert answer.status_code == 200, answer.text
        return answer.json()

    async def see(self, path: str, **query: object) -> Any:  # noqa: ANN401 - each operation has its own
        """Read, and return what was answered; it must have gone well."""
        answer = await self.get(path, **query)
        assert answer.status_code == 200, answer.text
        return answer.json()

    async def insist(self, path: str, key: str, /, **fields: object) -> httpx.Response:
        """Send the same message again until it is answered, as long as the server says that this helps."""
        async with asyncio.timeout(SECONDS):
            while True:
                with contextlib.suppress(httpx.TransportError):
                    answer = await self.post(path, key, **fields)
                    if answer.status_code != httpx.codes.SERVICE_UNAVAILABLE:
                        return answer
                await asyncio.sleep(0.02)  # as Retry-After asks, if sooner

    async def await_(self, path: str, good: Callable[[Any], bool], **query: object) -> Any:  # noqa: ANN401 - see above
        """Read until what is answered is *good*."""
        async with asyncio.timeout(SECONDS):
            while True:
                answer = await self.get(path, **query)
                if answer.status_code == httpx.codes.OK and good(answer.json()):
                    return answer.json()
                await asyncio.sleep(0.02)

    async def open_accounts(self, *codes: str) -> None:
        """Open accounts in dollars that nothing limits."""
        await self.do("/assets", asset="USD", exponent=2)
        for code in codes:
            await self.do("/accounts", account=code, asset="USD")

    async def bill(self, customers: list[str]) -> dict[str, Any]:
        """Give each customer three requests in May 2015 at 25 cents, and return the issued invoices by customer."""
        await self.do("/assets", asset="USD", exponent=2)
        await self.do("/meters", code="requests", name="requests", event_type="http.request", aggregation="count")
        price = {"model": "per_unit", "rate": "0.25"}
        await self.do("/prices", charge="requests", effective_at=PERIOD["start_at"], name="Requests", meter="requests",
                      asset="USD", price=price)  # fmt: skip
        events = [
            {
                "id": f"{customer}-{day}",
                "customer": customer,
                "at": f"2015-05-{day}T10:00:00Z",
                "status": 200,
                "resource": "/a",
            }
            for customer in customers
            for day in (10, 11, 12)
        ]
        recorded = await self.do("/usage/events", source="gateway", events=events)
        assert recorded["accepted"] == len(events), recorded
        await self.do("/invoices/draft", month="2015-05", customers=customers)
        await self.do("/invoices/issue", month="2015-05")
        page = await self.see("/invoices", limit=1000)
        found = {invoice["customer"]: invoice for invoice in page["items"] if invoice["customer"] in customers}
        assert len(found) == len(customers)
        return found


def payment_of(invoice: dict[str, Any]) -> dict[str, Any]:
    """Return what the customer's browser sends to pay the invoice."""
    return {
        "user": invoice["customer"],
        "email": "ada@example.com",
        "timestamp": "2015-06-02T10:00:00Z",
        "payment_type": "credit",
    }


def transfer(debit: str, credit: str, amount: int = 1) -> dict[str, Any]:
    """Write a transfer with an id of its own."""
    return {"id": str(uuid7()), "debit": debit, "credit": credit, "amount": amount}


@contextlib.contextmanager
def own_directory() -> Iterator[Path]:
    """Give a directory that the server's unprivileged user can enter."""
    directory = Path(tempfile.mkdtemp(prefix="tallystick-up-"))
    directory.chmod(0o755)
    try:
        yield directory
    finally:
        shutil.rmtree(directory)


@contextlib.asynccontextmanager
async def up(data: Path, **settings: str) -> AsyncIterator[Up]:
    """Run `tallystick up` on a free port, and await that it serves; what is left of it at the end is killed."""
    async with starting(data, **settings) as running:
        running.address = (await running.hear(" serves http")).split()[-1]
        yield running


@contextlib.asynccontextmanager
async def starting(data: Path, **settings: str) -> AsyncIterator[Up]:
    """Run `tallystick up` on a free port; what is left of it at the end is killed."""
    elsewhere = data.parent / "elsewhere"
    elsewhere.mkdir(exist_ok=True)
    homes = dict.fromkeys(("HOME", "XDG_DATA_HOME", "XDG_CACHE_HOME", "TMPDIR"), str(elsewhere))
    process = await asyncio.create_subprocess_exec(
        *_COMMAND, "up", "--port", "0", env=environment(data, **homes, **settings), stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE, start_new_session=True, cwd=elsewhere,
    )  # fmt: skip
    running = Up(data, elsewhere, process)
    running.listen()
    try:
        yield running
    finally:
        with contextlib.suppress(ProcessLookupError):
            process.kill()
        await running.ended()
        await gone(running.everything())


async def tallystick(*arguments: str, data: Path, **settings: str) -> Said:
    """Run a command to its end."""
    process = await asyncio.create_subprocess_exec(
        *_COMMAND, *arguments, env=environment(data, **settings), stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE, start_new_session=True,
    )  # fmt: skip
    try:
        async with asyncio.timeout(SECONDS):
            out, err = await process.communicate()
    except TimeoutError:
        process.kill()
        await process.wait()
        raise
    return Said(await process.wait(), out.decode(), err.decode())


@contextlib.asynccontextmanager
async def calling(running: Up, key: str, book: str = "main") -> AsyncIterator[Caller]:
    """Call the server with *key*."""
    headers = {"authorization": f"Bearer {key}"} if key else {}
    async with httpx.AsyncClient(base_url=running.address, headers=headers, timeout=SECONDS, trust_env=False) as client:
        yield Caller(client, book)


def environment(data: Path, **settings: str) -> dict[str, str]:
    """Return this process's environment with no settings but these."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("TALLYSTICK_")}
    kept.pop("PYTHONDONTWRITEBYTECODE", None)  # or each of the many starts would compile everything anew
    return {
        **kept,
        "TALLYSTICK_DATA": str(data),
        "COLUMNS": "80",
        "NO_COLOR": "1",
        **settings,
    }


def port_of(address: str) -> int:
    """Return the port in an address."""
    return int(address.rpartition(":")[2])


def port_is_free(port: int) -> bool:
    """Say whether a server could listen there now."""
    with socket.socket() as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True


async def gone(process_ids: set[int]) -> None:
    """Await the end of processes, whoever's they are: the kernel tells."""
    async with asyncio.timeout(SECONDS):
        await asyncio.gather(*(_end_of(process_id) for process_id in process_ids))


def _end_of(process_id: int) -> Awaitable[None]:
    ended: asyncio.Future[None] = asyncio.get_running_loop().create_future()
    try:
        descriptor = os.pidfd_open(process_id)
    except ProcessLookupError:
        ended.set_result(None)
        return ended

    def tell() -> None:
        loop.remove_reader(descriptor)
        os.close(descriptor)
        if not ended.done():
            ended.set_result(None)

    loop = asyncio.get_running_loop()
    loop.add_reader(descriptor, tell)
    return ended


def processes() -> list[int]:
    """Return the ids of all processes."""
    return [int(entry.name) for entry in Path("/proc").iterdir() if entry.name.isdecimal()]


def command_of(process_id: int) -> str:
    """Return the command line of a process, empty when it is gone."""
    with contextlib.suppress(OSError):
        return Path(f"/proc/{process_id}/cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
    return ""


def parent_of(process_id: int) -> int | None:
    """Return who started a process, None when it is gone."""
    with contextlib.suppress(OSError):
        return int(Path(f"/proc/{process_id}/stat").read_text().rpartition(")")[2].split()[1])
    return None


def listening_addresses(process_ids: set[int]) -> set[str]:
    """Return the addresses, in the kernel's hexadecimal, on which the processes take TCP connections."""
    sockets = {_socket_of(link) for process_id in process_ids for link in Path(f"/proc/{process_id}/fd").iterdir()}
    found = set()
    for table in ("tcp", "tcp6"):
        for line in Path(f"/proc/net/{table}").read_text().splitlines()[1:]:
            columns = line.split()
            if columns[3] == "0A" and columns[9] in sockets:
                found.add(columns[1].partition(":")[0])
    return found


def _socket_of(link: Path) -> str:
    with contextlib.suppress(OSError):
        return str(link.readlink()).removeprefix("socket:[").removesuffix("]")
    return ""


def _works_below(process_id: int, directory: str) -> bool:
    with contextlib.suppress(OSError):
        return str(Path(f"/proc/{process_id}/cwd").readlink()).startswith(directory)
    return False
