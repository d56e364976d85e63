"""`tallystick up` as a process: how it starts, what it takes, how it ends, and what a sudden end of its parts costs."""

import asyncio
import contextlib
import datetime as dt
import os
import signal
import socket
import subprocess
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import asyncpg
import httpx
import msgspec
import pytest
import pytest_asyncio

from tallystick.db.embedded import EmbeddedServer
from tallystick.errors import TallystickError
from tallystick.operations.work_queues import take_over
from tallystick.receipts.verify import verify_receipt
from tallystick.security.keys import hash_of, make_key
from tests.conftest import House, url_of
from tests.scenarios.paying import Died, open_shop
from tests.scenarios.serving_up import (
    KEY,
    SECONDS,
    Caller,
    Up,
    calling,
    gone,
    listening_addresses,
    own_directory,
    payment_of,
    port_is_free,
    port_of,
    starting,
    tallystick,
    transfer,
    up,
)

LOOPBACK = {"0100007F"}
AS_ROOT = os.geteuid() == 0


@dataclass(frozen=True, slots=True)
class Home:
    """A data directory that has been served from, and its first administrator's key."""

    data: Path
    key: str
    first_output: list[str]


@dataclass(slots=True)
class Stream:
    """Transfers that are sent one after the other on several connections, and what was acknowledged of them."""

    caller: Caller
    debit: str
    credit: str
    acknowledged: dict[str, dict[str, Any]] = field(default_factory=dict)
    sent: dict[str, dict[str, Any]] = field(default_factory=dict)
    refused: list[httpx.Response] = field(default_factory=list)
    _moved: asyncio.Event = field(default_factory=asyncio.Event)
    _tasks: list[asyncio.Task[None]] = field(default_factory=list)

    @contextlib.asynccontextmanager
    async def flowing(self, connections: int = 8) -> AsyncIterator["Stream"]:
        """Send for as long as the context lasts."""
        self._tasks = [asyncio.create_task(self._send()) for _ in range(connections)]
        try:
            yield self
        finally:
            for task in self._tasks:
                task.cancel()
            await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _send(self) -> None:
        while True:
            one = transfer(self.debit, self.credit)
            self.sent[one["id"]] = one
            try:
                answer = await self.caller.post("/transfers", **one)
            except httpx.TransportError:
                await asyncio.sleep(0.02)  # the server is away: it may not be hammered at
            else:
                self._note(one, answer)
                if answer.status_code != httpx.codes.OK:
                    await asyncio.sleep(0.02)
            self._moved.set()

    def _note(self, one: dict[str, Any], answer: httpx.Response) -> None:
        if answer.status_code == httpx.codes.OK:
            assert answer.json()["status"] == "ledger.posted", answer.text
            self.acknowledged[one["id"]] = one
        else:
            self.refused.append(answer)

    async def acknowledges(self, more: int) -> None:
        """Await that many acknowledgements more."""
        wanted = len(self.acknowledged) + more
        await self._until(lambda: len(self.acknowledged) >= wanted)

    async def is_refused(self) -> None:
        """Await a refusal."""
        await self._until(lambda: bool(self.refused))

    async def _until(self, good: Any) -> None:  # noqa: ANN401 - a question without arguments
        async with asyncio.timeout(SECONDS):
            while not good():
                self._moved.clear()
                await self._moved.wait()

    async def send_all_again(self, caller: Caller) -> None:
        """Send every message again, and hold each acknowledged one to have been known, and the balance to be exact."""
        for one in self.sent.values():
            again = await caller.insist("/transfers", "", **one)
            assert again.status_code == httpx.codes.OK, again.text
            if one["id"] in self.acknowledged:
                assert again.headers.get("idempotent-replayed") == "true", one
        assert (await caller.see("/balance", account=self.credit))["balance"] == len(self.sent)
        assert (await caller.see("/balance", account=self.debit))["balance"] == -len(self.sent)


@pytest_asyncio.fixture(scope="module")
async def home() -> AsyncIterator[Home]:
    """Return a data directory after its first start."""
    with own_directory() as directory:
        async with up(directory / "data") as first:
            found = KEY.search(await first.hear(KEY.pattern))
            assert found is not None
            assert await first.stop() == 0
        yield Home(directory / "data", found[0], first.lines)


@pytest_asyncio.fixture(scope="module")
async def running(home: Home) -> AsyncIterator[Up]:
    """Return a server on that directory, for tests that leave it running."""
    async with up(home.data) as second:
        yield second


@pytest.fixture
def directory() -> Iterator[Path]:
    """Return an empty directory that the server's own user can enter."""
    with own_directory() as empty:
        yield empty


async def test_the_first_start_shows_the_key_once_and_no_later_one_does(home: Home, running: Up) -> None:
    """The first administrator's key is printed by the first start, one time, and never again."""
    assert sum(home.key in line for line in home.first_output) == 1
    assert len(KEY.findall("\n".join(home.first_output))) == 1
    await running.hear("payments")
    async with calling(running, home.key) as caller:
        await caller.see("/accounts")
    assert KEY.findall("\n".join(running.lines + running.errors)) == []


async def test_it_keeps_to_one_directory_and_listens_on_loopback_alone(home: Home, running: Up) -> None:
    """Nothing is written outside the data directory, and only 127.0.0.1 is listened on."""
    assert running.address.startswith("http://127.0.0.1:")
    assert set(running.children()) == {"postgres", "sandbox"}
    assert listening_addresses(running.everything()) == LOOPBACK
    assert list(running.elsewhere.iterdir()) == []
    assert home.data.stat().st_mode & 0o066 == 0
    assert all(path.stat().st_mode & 0o077 == 0 for path in (home.data / "keys", home.data / "postgres"))


async def test_usage_becomes_a_verified_receipt_over_http(home: Home, running: Up) -> None:
    """Usage, prices, an invoice, its payment and its receipt: each through HTTP, and the receipt proves itself."""
    async with calling(running, home.key) as caller:
        invoice = (await caller.bill(["ada"]))["ada"]
        assert (invoice["total"], invoice["outstanding"], invoice["status"]) == (75, 75, "issued")
        request = payment_of(invoice)
        started = await caller.do("/payments/start", "start-ada", **request, invoice_id=invoice["id"])
        assert (started["status"], started["amount"]) == ("opened", 75)
        paid = {**request, "transaction_id": started["transaction_id"], "amount": 75}
        posted = await caller.do("/payments/post", "post-ada", **paid)
        assert posted["status"] == "settled"
        assert (await caller.do("/payments/post", "post-ada", **paid))["receipt_id"] == posted["receipt_id"]
        assert (await caller.see(f"/invoices/{invoice['id']}"))["outstanding"] == 0
        await caller.await_(f"/receipts/{posted['receipt_id']}", lambda _: True)
        receipt = (await caller.get(f"/receipts/{posted['receipt_id']}")).content
    public = await tallystick("log", "key", data=home.data)
    verified = verify_receipt(receipt, public.out)
    assert verified.statement["payment"]["amount"] == 75
    assert receipt.count(b'"amount": 75') > 1
    with pytest.raises(TallystickError):
        verify_receipt(receipt.replace(b'"amount": 75', b'"amount": 76'), public.out)


async def test_only_a_good_key_with_the_scope_for_the_book_is_let_in(home: Home, running: Up) -> None:
    """A key that is absent, made up, revoked, of another book or without the scope is refused, and told why."""
    async with calling(running, home.key) as owner:
        opened = await tallystick("book", "create", "other", data=home.data)
        of_other = KEY.findall(opened.out)[0]
        reader, revoked = make_key(), make_key()
        await owner.do("/keys", name="reader", scopes=["ledger:read"], sha256=hash_of(reader).hex())
        made = await owner.do("/keys", name="revoked", scopes=["*"], sha256=hash_of(revoked).hex())
        await owner.do(f"/keys/{made['key_id']}/revoke")
        refusals = {}
        for name, key in (
            ("none", ""),
            ("made up", make_key()),
            ("revoked", revoked),
            ("other", of_other),
            ("reader", reader),
        ):
            async with calling(running, key) as caller:
                refused = await caller.post("/assets", asset="EUR", exponent=2)
                refusals[name] = refused.status_code, refused.json()["code"]
                if name == "reader":
                    assert (await caller.get("/accounts")).status_code == 200
    assert refusals == {
        "none": (401, "security.key_missing"),
        "made up": (401, "security.key_invalid"),
        "revoked": (401, "security.key_invalid"),
        "other": (403, "security.other_book"),
        "reader": (403, "security.scope_missing"),
    }


async def test_commands_work_beside_it_and_a_second_one_is_refused(home: Home, running: Up) -> None:
    """A command finds the running store and uses it; a second server on the directory is told who has it."""
    async with calling(running, home.key) as caller:
        await caller.open_accounts("beside/from", "beside/to")
        await caller.do("/transfers", **transfer("beside/from", "beside/to", 12))
        balance, second = await asyncio.gather(
            tallystick("do", "ledger.balance", '{"account": "beside/to"}', data=home.data),
            tallystick("up", "--port", "0", data=home.data),
        )
        assert msgspec.json.decode(balance.out)["balance"] == 12
        assert str(running.process.pid) in second.refusal()
        assert second.refusal().endswith("store.directory_in_use")
        assert (await caller.see("/balance", account="beside/to"))["balance"] == 12


async def test_postgres_may_be_killed_under_it(home: Home, running: Up) -> None:
    """Without its database it answers 503 and when to come again, gets the database back, and has lost nothing."""
    async with calling(running, home.key) as caller:
        await caller.open_accounts("crash/from", "crash/to")
        async with Stream(caller, "crash/from", "crash/to").flowing() as stream:
            await stream.acknowledges(30)
            first = running.children()["postgres"]
            os.kill(first, signal.SIGKILL)
            await stream.is_refused()
            await stream.acknowledges(30)
        refused = stream.refused[0]
        assert (refused.status_code, refused.json()["code"], refused.headers["retry-after"]) == (
            503,
            "store.unreachable",
            "1",
        )
        assert {one.json()["code"] for one in stream.refused} == {"store.unreachable"}
        await stream.send_all_again(caller)
        last = list(stream.acknowledged)[-1]
        await caller.await_(f"/transfers/{last}", lambda found: found["place"] is not None)
        assert running.children()["postgres"] != first
        assert "Traceback" not in "\n".join(running.errors)


async def test_the_sandbox_may_be_killed_under_it(home: Home, running: Up) -> None:
    """While its payment provider is gone a payment waits; it comes back where it was, and the money is taken once."""
    async with calling(running, home.key) as caller:
        invoice = (await caller.bill(["bereft"]))["bereft"]
        started = await caller.do("/payments/start", "start-bereft", **payment_of(invoice), invoice_id=invoice["id"])
        first = running.children()["sandbox"]
        address = listening_addresses({first})
        os.kill(first, signal.SIGKILL)
        await gone({first})
        post = {**payment_of(invoice), "transaction_id": started["transaction_id"], "amount": started["amount"]}
        async with asyncio.timeout(SECONDS):
            posted = await caller.do("/payments/post", "post-bereft", **post)
            while posted["status"] == "submitted":
                await asyncio.sleep(0.05)  # as a customer presses the button again
                posted = await caller.do("/payments/post", "post-bereft", **post)
        assert posted["status"] == "settled"
        second = running.children()["sandbox"]
        assert second != first
        assert listening_addresses({second}) == address
        assert captures_of(home.data, [posted]) == [1]
        assert "Traceback" not in "\n".join(running.errors)


async def test_sigterm_ends_it_and_a_command_alone_serves_itself(home: Home, running: Up) -> None:
    """Told to end, it leaves nothing; a command then starts the database for as long as it takes, and leaves nothing too."""
    assert await running.stop() == 0
    assert running.everything() == set()
    assert port_is_free(port_of(running.address))
    assert running.lines[-1] == "stopped; everything is on disk"
    alone = await tallystick("do", "ledger.balance", '{"account": "beside/to"}', data=home.data)
    assert msgspec.json.decode(alone.out)["balance"] == 12
    assert running.everything() == set()


@pytest.mark.parametrize("way", ["SIGINT", "SIGINT to all"])  # `Up.stop` sends SIGTERM
async def test_a_signal_ends_everything_it_started(home: Home, way: str) -> None:
    """Ctrl-C in a terminal, or a signal to it alone: it ends well, says no more, and leaves no process and no port."""
    async with up(home.data) as running:
        started = running.everything()
        assert len(started) > 2
        match way:
            case "SIGINT to all":
                os.killpg(running.process.pid, signal.SIGINT)
            case _:
                running.process.send_signal(signal.SIGINT)
        assert await running.ended() == 0
        assert running.everything() == set()
        assert port_is_free(port_of(running.address))
        assert running.lines[-1] == "stopped; everything is on disk"
        assert running.errors == []


async def test_ctrl_c_while_it_starts_ends_it_as_well(directory: Path) -> None:
    """A signal while the database is still being made stops the start, and leaves nothing running."""
    async with starting(directory / "data") as running:
        async with asyncio.timeout(SECONDS):
            while not (directory / "data" / "lock").exists():  # noqa: ASYNC110 - nothing tells of a file
                await asyncio.sleep(0.005)
        os.killpg(running.process.pid, signal.SIGINT)
        assert await running.ended() == 0
        assert running.everything() == set()
        assert running.lines == ["stopped; everything is on disk"]
        assert running.errors == []


async def test_a_start_takes_over_calls_to_the_provider_and_leaves_customers_their_time(
    house: House, directory: Path
) -> None:
    """The leases of a dead process end with the next start; a customer who has not completed the payment keeps the time."""
    async with open_shop(house, directory) as shop:
        started = await shop.start()
        await take_over(shop.operations)
        due_at = await shop.due_at()
        assert due_at == shop.clock.at + dt.timedelta(minutes=30)
        with contextlib.suppress(Died):
            async with shop.process_that_dies(("payments.settle", "before")) as worker:
                await shop.post(started)
                await worker.work_once()
        await shop.work()
        assert (await shop.do("payments.find", payment_id=str(started.payment_id))).status == "settled"
        assert await shop.captured() == started.amount


async def test_a_kill_loses_nothing_that_was_acknowledged(home: Home) -> None:
    """
    Killed amid transfers and payments, it takes its servers with it, and the next start makes everything good.

    Each acknowledged transfer is there once, each payment is settled once, and one whose customer has gone is
    finished without anybody asking.
    """
    customers = [f"killed-{number}" for number in range(7)]
    async with up(home.data) as running, calling(running, home.key) as caller:
        await caller.open_accounts("kill/from", "kill/to")
        invoices = await caller.bill(customers)
        left = invoices.pop(customers[-1])
        started = await caller.do("/payments/start", "start-left", **payment_of(left), invoice_id=left["id"])
        async with Stream(caller, "kill/from", "kill/to").flowing() as stream:
            paying = [asyncio.create_task(pay(caller, invoice)) for invoice in invoices.values()]
            await asyncio.wait(paying, return_when=asyncio.FIRST_COMPLETED)
            os.kill(running.children()["sandbox"], signal.SIGKILL)
            post = {**payment_of(left), "transaction_id": started["transaction_id"], "amount": 75}
            unknown = await caller.do("/payments/post", "post-left", **post)
            assert unknown["status"] in {"submitted", "settled"}  # settled: the sandbox was back while this waited
            await stream.acknowledges(30)
            everything = running.everything()
            await running.kill()
            await gone(everything)
        await asyncio.gather(*paying, return_exceptions=True)
    async with up(home.data) as again, calling(again, home.key) as caller:
        await caller.await_(f"/payments/{started['payment_id']}", lambda payment: payment["status"] == "settled")
        await stream.send_all_again(caller)
        settled = await asyncio.gather(*(pay(caller, invoice) for invoice in invoices.values()))
        assert {payment["status"] for payment in settled} == {"settled"}
        assert {(await caller.see(f"/invoices/{one['id']}"))["outstanding"] for one in [left, *invoices.values()]} == {
            0
        }
        receipts = await caller.see("/receipts", limit=1000)
        assert len({one["payment_id"] for one in receipts["items"]}) == len(receipts["items"])
        assert captures_of(home.data, [started, *settled]) == [1] * len(customers)
        verified = await tallystick("verify", data=home.data)
        assert verified.status == 0, verified


async def pay(caller: Caller, invoice: dict[str, Any]) -> dict[str, Any]:
    """Pay as a customer whose browser sends the same two messages again until each is answered."""
    request = payment_of(invoice)
    started = await caller.insist("/payments/start", f"start-{invoice['id']}", **request, invoice_id=invoice["id"])
    opened = await caller.await_(
        f"/payments/{started.json()['payment_id']}", lambda payment: payment["status"] != "started"
    )
    post = {**request, "transaction_id": opened["transaction_id"], "amount": opened["amount"]}
    posted = await caller.insist("/payments/post", f"post-{invoice['id']}", **post)
    settled: dict[str, Any] = await caller.await_(
        f"/payments/{posted.json()['payment_id']}", lambda payment: payment["status"] != "submitted"
    )
    return settled


def captures_of(data: Path, payments: list[dict[str, Any]]) -> list[int]:
    """Count how often the provider took the money of each payment, by its own book."""
    changes = [msgspec.json.decode(line) for line in (data / "sandbox.jsonl").read_bytes().splitlines()]
    return [sum(1 for change in changes if takes_money(change, payment["transaction_id"])) for payment in payments]


def takes_money(change: dict[str, Any], transaction_id: str) -> bool:
    """Say whether a line of the provider's book is the capture of the transaction."""
    return "captured" in str(change) and transaction_id in str(change)


async def test_a_port_that_is_taken_is_named(directory: Path) -> None:
    """When something else listens there, one line says so and what to do, and nothing is left, not even a directory."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        said = await tallystick("up", "--port", str(port), data=directory / "data")
    assert f"127.0.0.1:{port}" in said.refusal()
    assert "TALLYSTICK_PORT" in said.refusal()
    assert said.refusal().endswith("up.port_taken")
    assert not (directory / "data").exists()


async def test_it_works_on_a_postgresql_of_ones_own(server: EmbeddedServer, directory: Path) -> None:
    """One that is not prepared is refused with what to run; once `tallystick migrate` has, it serves from it."""
    url = url_of(server, "postgres")
    owner = await asyncpg.connect(url)
    await owner.execute("CREATE DATABASE ones_own")
    data, settings = directory / "data", {"TALLYSTICK_POSTGRES_URL": url_of(server, "ones_own")}
    try:
        unprepared = await tallystick("up", "--port", "0", data=data, **settings)
        assert "tallystick migrate" in unprepared.refusal()
        prepared = await tallystick("migrate", data=data, **settings)
        assert (prepared.status, prepared.out.splitlines()[-1]) == (0, "the database is up to date")
        async with up(data, **settings) as running:
            key = KEY.findall(await running.hear(KEY.pattern))[0]
            async with calling(running, key) as caller:
                await caller.open_accounts("a", "b")
                posted = transfer("a", "b")
                await caller.do("/transfers", **posted)
                await caller.await_(f"/transfers/{posted['id']}", lambda found: found["place"] is not None)
            assert "postgres" not in running.children()
            assert await running.stop() == 0
        assert server.process_id() is not None
    finally:
        await owner.execute("DROP DATABASE ones_own WITH (FORCE)")
        await owner.close()


async def test_a_database_that_cannot_be_had_is_an_error_of_one_line(server: EmbeddedServer, directory: Path) -> None:
    """Nobody there, no such database, not an address at all: each is told on one line."""
    data = directory / "data"
    nobody, missing, nonsense = await asyncio.gather(
        tallystick(
            "up", "--port", "0", data=data, TALLYSTICK_POSTGRES_URL="postgresql://postgres@127.0.0.1:1/tallystick"
        ),
        tallystick("up", "--port", "0", data=data, TALLYSTICK_POSTGRES_URL=url_of(server, "no_such_database")),
        tallystick("migrate", data=data, TALLYSTICK_POSTGRES_URL="nonsense"),
    )
    assert "onnect" in nobody.refusal()
    assert nobody.refusal().endswith("store.unreachable")
    assert '"no_such_database" does not exist' in missing.refusal()
    assert "invalid DSN" in nonsense.refusal()


@contextlib.contextmanager
def small_disk(directory: Path, size: str) -> Iterator[Path]:
    """Mount a disk of a given size, where that is allowed."""
    disk = directory / "disk"
    disk.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", f"size={size},mode=755", "tmpfs", disk], check=False, capture_output=True
    )
    if mounted.returncode:
        pytest.skip(f"no small disk can be mounted here: {mounted.stderr.decode().strip()}")
    try:
        yield disk
    finally:
        subprocess.run(["umount", disk], check=True)


def resize(disk: Path, size: str) -> None:
    """Give the disk another size."""
    subprocess.run(["mount", "-o", f"remount,size={size}", disk], check=True)


async def test_a_full_disk_stops_it_and_room_lets_it_go_on(directory: Path) -> None:
    """Without room it does not start, or takes nothing more; with room it goes on, and what it acknowledged is there."""
    with small_disk(directory, "20m") as disk:
        refused = await tallystick("up", "--port", "0", data=disk / "data")
        assert "space" in refused.refusal()
        resize(disk, "200m")
        async with up(disk / "data") as running:
            key = KEY.findall(await running.hear(KEY.pattern))[0]
            async with calling(running, key) as caller:
                await caller.open_accounts("full/from", "full/to")
                async with Stream(caller, "full/from", "full/to").flowing() as stream:
                    await stream.acknowledges(20)
                    fill(disk / "ballast")
                    await stream.is_refused()
                    (disk / "ballast").unlink()
                    await stream.acknowledges(20)
                assert {one.json()["code"] for one in stream.refused} <= {"store.full", "store.unreachable"}
                await stream.send_all_again(caller)
                verified = await tallystick("verify", data=disk / "data")
                assert verified.status == 0, verified
            assert await running.stop() == 0


def fill(ballast: Path) -> None:
    """Write until the disk takes no more."""
    with ballast.open("wb", buffering=0) as file, contextlib.suppress(OSError):
        while file.write(b"0" * 2**16):
            pass


async def test_bad_settings_and_directories_are_told_on_one_line(directory: Path) -> None:
    """A port that is none, a directory that is a file, or is to lie in one: each is refused with what to mend."""
    file = directory / "file"
    file.touch()
    port, on_file, below_file = await asyncio.gather(
        tallystick("up", data=directory / "data", TALLYSTICK_PORT="abc"),
        tallystick("up", "--port", "0", data=file),
        tallystick("up", "--port", "0", data=file / "data"),
    )
    assert "TALLYSTICK_PORT is 'abc'" in port.refusal()
    for said in (on_file, below_file):
        assert said.refusal().endswith("store.directory_unusable")
        assert "TALLYSTICK_DATA" in said.refusal()
    assert file.read_bytes() == b""
    assert not (directory / "data").exists()


@pytest.mark.skipif(not AS_ROOT, reason="only root starts the server as another user")
async def test_root_is_told_when_the_servers_user_cannot_enter(directory: Path) -> None:
    """Below a directory that is closed to others, root learns who needs to enter, and nothing is left running."""
    closed = directory / "closed"
    closed.mkdir(mode=0o700)
    said = await tallystick("up", "--port", "0", data=closed / "data")
    assert said.refusal().endswith("store.directory_out_of_reach")


@pytest.mark.skipif(AS_ROOT, reason="nothing is closed to root")
async def test_a_directory_without_permission_is_told(directory: Path) -> None:
    """Where its user may not write, it says so."""
    directory.chmod(0o500)
    said = await tallystick("up", "--port", "0", data=directory / "data")
    directory.chmod(0o700)
    assert "Permission denied" in said.refusal()
