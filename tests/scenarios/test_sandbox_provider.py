"""The sandbox provider as it is: a process of its own, asked over HTTP, failing to order and killed at will."""

import asyncio
import contextlib
import json
import logging
import os
import resource
import signal
import socket
import ssl
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest

from tallystick.ids import uuid7
from tallystick.payments.providers.protocol import (
    CreateRequest,
    PaymentType,
    Provider,
    ProviderRefused,
    ProviderTransaction,
    ProviderUnreachable,
    TransactionStatus,
)
from tallystick.payments.providers.sandbox import process
from tallystick.payments.providers.sandbox.change import Call
from tallystick.payments.providers.sandbox.client import MAX_CONNECTIONS, SandboxProvider
from tallystick.payments.providers.sandbox.control import SandboxControl
from tallystick.payments.providers.sandbox.faults import Fault, FaultKind
from tallystick.payments.providers.sandbox.process import SandboxNotStarted, SandboxProcess

SECRET = "a-secret-of-the-tests"
PATIENCE = 0.3
"""Seconds that the impatient client waits; an ordered timeout hangs far longer."""

LOST = [kind for kind in FaultKind if kind.lost_before or kind.lost_after]
CAUSES = {"error": "HTTP 500", "timeout": "Timeout", "drop": "ServerDisconnectedError|ClientOSError"}
AUTHORISED = {"Authorization": f"Bearer {SECRET}"}


@pytest.fixture(scope="session")
async def sandbox(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[SandboxProcess]:
    """Serve one sandbox for the tests that leave it alive."""
    running = await process.start(tmp_path_factory.mktemp("sandbox") / "state", SECRET)
    yield running
    await running.stop()


@pytest.fixture
async def provider(sandbox: SandboxProcess) -> AsyncIterator[SandboxProvider]:
    """Reach it as the product does."""
    async with SandboxProvider(sandbox.url, SECRET) as client:
        yield client


@pytest.fixture
async def control(sandbox: SandboxProcess) -> AsyncIterator[SandboxControl]:
    """Reach its other door."""
    async with SandboxControl(sandbox.url, SECRET) as door:
        yield door


@pytest.fixture
async def raw(sandbox: SandboxProcess) -> AsyncIterator[httpx.AsyncClient]:
    """Reach it as a stranger could."""
    async with httpx.AsyncClient(
        base_url=sandbox.url, verify=ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT), trust_env=False
    ) as client:
        yield client


def order(reference: str | None = None, amount: int = 100, email: str = "ada@example.org") -> CreateRequest:
    """Ask for a payment in euros, under a reference of its own unless told."""
    return CreateRequest(reference or str(uuid7()), amount, "EUR", "ada", email, PaymentType.CREDIT)


async def captured_of(control: SandboxControl, reference: str) -> list[ProviderTransaction]:
    """Return what the sandbox holds for *reference*, seen from its own books."""
    return [one for one in (await control.holdings()).transactions if one.reference == reference]


async def test_a_payment_is_created_captured_and_found(provider: Provider) -> None:
    """The way of every day: open, take, look up by either name."""
    request = order(amount=1234)
    opened = await provider.create(request)
    assert (opened.status, opened.amount, opened.reference) == (TransactionStatus.CREATED, 1234, request.reference)
    taken = await provider.capture(opened.id, 1234, "EUR", "c-" + request.reference)
    assert taken.status is TransactionStatus.CAPTURED
    assert await provider.find(opened.id) == taken
    assert await provider.find_by_reference(request.reference) == taken


async def test_what_the_provider_does_not_know(provider: Provider) -> None:
    """No transaction of a reference is an answer; no transaction of an id is a refusal."""
    assert await provider.find_by_reference("never & heard?") is None
    for unknown in ("sbx_0", "../faults", "a/b?c"):
        with pytest.raises(ProviderUnreachable if "/" in unknown else ProviderRefused):
            await provider.find(unknown)


async def test_many_at_once_under_one_key_open_one_transaction(provider: Provider, control: SandboxControl) -> None:
    """Twenty workers that took the same message make one payment."""
    request = order()
    answers = await asyncio.gather(*(provider.create(request) for _ in range(20)))
    taken = await asyncio.gather(*(provider.capture(answers[0].id, 100, "EUR", "same") for _ in range(20)))
    assert len(set(answers)) == len(set(taken)) == 1
    assert await captured_of(control, request.reference) == [taken[0]]


async def test_a_key_of_any_characters_is_a_key(provider: Provider) -> None:
    """A line break in a reference makes no header of its own."""
    reference = f"räum\r\nAuthorization: no {uuid7()}"
    opened = await provider.create(order(reference))
    assert opened == await provider.create(order(reference))
    assert opened.reference == reference


async def test_other_content_under_the_same_key_is_no_word_on_the_payment(provider: Provider) -> None:
    """A conflict speaks of our keys, not of the money: what became of the payment must be asked."""
    request = order()
    await provider.create(request)
    with pytest.raises(ProviderUnreachable, match="HTTP 409"):
        await provider.create(order(request.reference, amount=101))


async def test_a_decline_is_an_answer(provider: Provider, control: SandboxControl) -> None:
    """A decline ordered at the capture, or sown in the email, is a status and not an error."""
    assert (await provider.create(order(email="declined@example.org"))).status is TransactionStatus.DECLINED
    opened = await provider.create(order())
    await control.order([Fault(Call.CAPTURE, FaultKind.DECLINE)])
    declined = await provider.capture(opened.id, 100, "EUR", opened.reference)
    assert (declined.status, declined.decline_code) == (TransactionStatus.DECLINED, "card_declined")
    assert await provider.capture(opened.id, 100, "EUR", opened.reference) == declined


@pytest.mark.parametrize("kind", LOST)
async def test_a_lost_creation(sandbox: SandboxProcess, control: SandboxControl, kind: FaultKind) -> None:
    """The caller cannot tell before from after; asking again with the same reference gives one transaction."""
    request = order()
    async with SandboxProvider(sandbox.url, SECRET, timeout=PATIENCE) as provider:
        await control.order([Fault(Call.CREATE, kind)])
        with pytest.raises(ProviderUnreachable, match=CAUSES[kind.value.split("_")[0]]):
            await provider.create(request)
        found = await provider.find_by_reference(request.reference)
        assert (found is not None) == (kind.lost_after is not None)
        again = await provider.create(request)
        assert found is None or found == again
    assert await captured_of(control, request.reference) == [again]


@pytest.mark.parametrize("kind", LOST)
async def test_a_lost_capture(sandbox: SandboxProcess, control: SandboxControl, kind: FaultKind) -> None:
    """Money whose taking was not heard of is taken once, whether it had been taken or not."""
    async with SandboxProvider(sandbox.url, SECRET, timeout=PATIENCE) as provider:
        opened = await provider.create(order())
        await control.order([Fault(Call.CAPTURE, kind)])
        with pytest.raises(ProviderUnreachable, match=CAUSES[kind.value.split("_")[0]]):
            await provider.capture(opened.id, 100, "EUR", "c" + opened.id)
        happened = (await provider.find(opened.id)).status is TransactionStatus.CAPTURED
        assert happened == (kind.lost_after is not None)
        before = (await control.holdings()).captured["EUR"] if happened else None
        taken = await provider.capture(opened.id, 100, "EUR", "c" + opened.id)
        assert taken.status is TransactionStatus.CAPTURED
        assert before in {None, (await control.holdings()).captured["EUR"]}


@pytest.mark.parametrize("kind", LOST)
async def test_a_lost_look_up(sandbox: SandboxProcess, control: SandboxControl, kind: FaultKind) -> None:
    """A look-up that fails says nothing, rather than that there is nothing."""
    async with SandboxProvider(sandbox.url, SECRET, timeout=PATIENCE) as provider:
        opened = await provider.create(order())
        # aiohttp itself asks a look-up again, once, when a connection that it had kept turns out to be cut.
        await control.order([Fault(Call.FIND, kind)] * 4)
        with pytest.raises(ProviderUnreachable):
            await provider.find(opened.id)
        with pytest.raises(ProviderUnreachable):
            await provider.find_by_reference(opened.reference)
        await control.forget()
        assert await provider.find(opened.id) == opened


@pytest.mark.parametrize("shown", [{}, {"Authorization": "Bearer wrong"}, {"Authorization": SECRET}])
@pytest.mark.parametrize("path", ["/v1/transactions", "/v1/faults", "/elsewhere"])
async def test_without_the_secret_nothing_is_told(raw: httpx.AsyncClient, path: str, shown: dict[str, str]) -> None:
    """Whoever else runs on the machine learns nothing, not even which paths there are."""
    answer = await raw.post(path, headers=shown, content=b"{}")
    assert (answer.status_code, answer.json()) == (401, {"reason": "secret_not_accepted"})


async def test_a_wrong_secret_of_ours_refuses_no_payment(sandbox: SandboxProcess) -> None:
    """A mistake in the settings must not mark customers' payments as refused."""
    async with SandboxProvider(sandbox.url, "wrong") as provider:
        with pytest.raises(ProviderUnreachable, match="HTTP 401"):
            await provider.create(order())


GOOD = {"reference": "x", "amount": 1, "currency": "EUR", "user": "u", "email": "e@x", "payment_type": "debit"}


@pytest.mark.parametrize(
    ("body", "status", "reason"),
    [
        (json.dumps(GOOD | {"amount": 0}), 422, "$.amount"),
        (json.dumps(GOOD | {"amount": -1}), 422, "$.amount"),
        (json.dumps(GOOD | {"amount": 2**63}), 422, "$.amount"),
        (json.dumps(GOOD | {"amount": 1.0}), 422, "$.amount"),
        (json.dumps(GOOD | {"currency": "eur"}), 422, "$.currency"),
        (json.dumps(GOOD | {"payment_type": "gold"}), 422, "$.payment_type"),
        (json.dumps(GOOD | {"reference": ""}), 422, "$.reference"),
        (json.dumps(GOOD | {"extra": 1}), 422, "extra"),
        ("{", 400, "not JSON"),
        (b'{"reference": "\xff"}', 400, "not JSON"),
        (b" " * 100_000, 413, "65536 bytes"),
    ],
)
async def test_bad_input_is_refused_by_field_and_rule(
    raw: httpx.AsyncClient, body: str | bytes, status: int, reason: str
) -> None:
    """Whatever is wrong with a request, the answer says where, and nothing is opened."""
    answer = await raw.post("/v1/transactions", headers=AUTHORISED | {"Idempotency-Key": "bad"}, content=body)
    assert answer.status_code == status
    assert reason in answer.json()["reason"]
    found = await raw.get("/v1/transactions", headers=AUTHORISED, params={"reference": "x"})
    assert found.json() == {"transactions": []}


@pytest.mark.parametrize("key", [None, "", "k" * 256])
async def test_a_change_needs_a_key(raw: httpx.AsyncClient, key: str | None) -> None:
    """Without a key a repeated request could not be told from a second one, so there must be one."""
    headers = AUTHORISED if key is None else AUTHORISED | {"Idempotency-Key": key}
    answer = await raw.post("/v1/transactions", headers=headers, json=GOOD)
    assert answer.status_code == 400
    assert "Idempotency-Key" in answer.json()["reason"]


async def test_nobody_at_the_address(tmp_path: Path) -> None:
    """A provider that is down is an unknown outcome like any other."""
    running = await process.start(tmp_path / "state", SECRET)
    await running.stop()
    async with SandboxProvider(running.url, SECRET) as provider:
        with pytest.raises(ProviderUnreachable, match="ClientConnectorError"):
            await provider.create(order())


async def test_an_answer_that_drips_is_late() -> None:
    """One byte now and then keeps no worker waiting beyond its time, and is no answer."""
    hung_up = asyncio.Event()

    async def drip(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n")
        with contextlib.suppress(ConnectionError):
            while not reader.at_eof():
                writer.write(b" ")
                await writer.drain()
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(reader.read(1), 0.05)
        hung_up.set()
        writer.close()

    async with await asyncio.start_server(drip, "127.0.0.1", 0) as server:
        url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        async with SandboxProvider(url, SECRET, timeout=PATIENCE) as provider:
            with pytest.raises(ProviderUnreachable, match="Timeout"):
                await provider.find("t")
        await asyncio.wait_for(hung_up.wait(), 5)


@pytest.mark.parametrize(
    ("status", "body", "cause"),
    [
        ("200 OK", b"<html>", "cannot be read"),
        ("200 OK", b'{"id":"t"}', "cannot be read"),
        ("200 OK", b'{"id":"\xff"}', "cannot be read"),
        (
            "200 OK",
            b'{"id":"other","token":"","reference":"r","status":"captured","amount":100,"currency":"EUR"}',
            "about another payment",
        ),
        ("302 Found", b"", "HTTP 302"),
        ("404 Not Found", b"<html>a proxy's page</html>", "HTTP 404"),
        ("503 Service Unavailable", b'{"reason":"busy"}', "HTTP 503"),
    ],
)
async def test_an_answer_that_is_none(status: str, body: bytes, cause: str) -> None:
    """What is not the provider's word about this payment is an unknown outcome, for every call."""

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(f"HTTP/1.1 {status}\r\nConnection: close\r\nContent-Length: {len(body)}\r\n\r\n".encode() + body)
        await writer.drain()
        await reader.read()
        writer.close()

    async with await asyncio.start_server(answer, "127.0.0.1", 0) as server:
        url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        async with SandboxProvider(url, SECRET) as provider:
            for asked in (provider.create(order()), provider.capture("t", 100, "EUR", "k"), provider.find("t")):
                with pytest.raises(ProviderUnreachable, match=cause):
                    await asked


async def test_an_answer_without_end_is_none(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever answers with more than any answer has cannot fill our memory, and is hung up on."""
    monkeypatch.setattr("tallystick.payments.providers.sandbox.client.MAX_ANSWER_BYTES", 100_000)
    hung_up = asyncio.Event()

    async def pour(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
        with contextlib.suppress(ConnectionError):
            while True:
                writer.write(b"1000\r\n" + b" " * 0x1000 + b"\r\n")
                await writer.drain()
        hung_up.set()
        writer.close()

    async with await asyncio.start_server(pour, "127.0.0.1", 0) as server:
        url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        async with SandboxProvider(url, SECRET) as provider:
            with pytest.raises(ProviderUnreachable, match="too large"):
                await provider.find("t")
            await asyncio.wait_for(hung_up.wait(), 5)


async def test_connections_are_bounded_and_others_wait_their_turn() -> None:
    """A provider that is slow holds so many connections of ours and no more; whoever waits is answered after them."""
    connected, answered = 0, 0
    full = asyncio.Event()

    async def dawdle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal connected, answered
        connected += 1
        if connected == MAX_CONNECTIONS:
            full.set()
        with contextlib.suppress(asyncio.IncompleteReadError):
            while True:
                await reader.readuntil(b"\r\n\r\n")
                await full.wait()
                answered += 1
                writer.write(b"HTTP/1.1 503 Busy\r\nContent-Length: 0\r\n\r\n")
        writer.close()

    async with await asyncio.start_server(dawdle, "127.0.0.1", 0) as server:
        url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        async with SandboxProvider(url, SECRET) as provider:
            asked = (provider.find("t") for _ in range(MAX_CONNECTIONS + 20))
            outcomes = await asyncio.gather(*asked, return_exceptions=True)
    assert all(isinstance(outcome, ProviderUnreachable) for outcome in outcomes)
    assert (connected, answered) == (MAX_CONNECTIONS, MAX_CONNECTIONS + 20)


async def test_a_proxy_of_the_environment_is_not_asked(
    sandbox: SandboxProcess, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is on this machine is reached directly, and the secret is shown to nobody on the way."""
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")
    monkeypatch.setenv("NO_PROXY", "")
    async with SandboxProvider(sandbox.url, SECRET) as provider:
        assert await provider.find_by_reference("never heard") is None


async def test_neither_secret_nor_email_is_logged(provider: SandboxProvider, caplog: pytest.LogCaptureFixture) -> None:
    """With every library talking at its loudest, what must not be told is not."""
    with caplog.at_level(logging.DEBUG):
        logging.getLogger("aiohttp.client").debug("whatever is said is heard here")
        opened = await provider.create(order())
        with pytest.raises(ProviderRefused):
            await provider.capture(opened.id, 1, "EUR", "k")
    assert caplog.text
    assert SECRET not in caplog.text
    assert "example.org" not in caplog.text
    assert SECRET not in repr(vars(provider))


async def test_a_restart_loses_nothing_and_answers_the_same(tmp_path: Path) -> None:
    """Killed between two requests, the sandbox remembers transactions, keys and captures."""
    state = tmp_path / "state"
    first = await process.start(state, SECRET)
    async with SandboxProvider(first.url, SECRET) as provider:
        opened, other = await provider.create(order("p-1")), await provider.create(order("p-2"))
        taken = await provider.capture(opened.id, 100, "EUR", "c-1")
    await first.kill()
    with state.open("ab") as file:
        file.write(b'{"call":"capture","key":"torn by the ki')
    second = await process.start(state, SECRET)
    async with SandboxProvider(second.url, SECRET) as provider:
        assert await provider.create(order("p-1")) == opened
        assert await provider.capture(opened.id, 100, "EUR", "c-1") == taken
        assert [await provider.find(one.id) for one in (opened, other)] == [taken, other]
        with pytest.raises(ProviderUnreachable, match="HTTP 409"):
            await provider.capture(opened.id, 100, "EUR", "c-2")
        with pytest.raises(ProviderUnreachable, match="HTTP 409"):
            await provider.create(order("p-1", amount=7))
    await second.stop()


async def test_a_kill_amid_many_payments_takes_each_once(tmp_path: Path) -> None:
    """Killed under load, then asked everything again: answered ones are unchanged, and each is taken once."""
    count, state = 100, tmp_path / "state"
    first = await process.start(state, SECRET)
    enough = asyncio.Event()
    opened: dict[str, ProviderTransaction] = {}
    taken: dict[str, ProviderTransaction] = {}

    async def pay(provider: Provider, reference: str) -> None:
        one = await provider.create(order(reference))
        assert opened.setdefault(reference, one) == one
        done = await provider.capture(one.id, 100, "EUR", f"c-{reference}")
        assert taken.setdefault(reference, done) == done
        if len(taken) == count // 5:
            enough.set()

    references = [f"p-{number}" for number in range(count)]
    async with SandboxProvider(first.url, SECRET) as provider:
        everybody = asyncio.gather(*(pay(provider, one) for one in references), return_exceptions=True)
        await enough.wait()
        await first.kill()
        outcomes = await everybody
    lost = [outcome for outcome in outcomes if outcome is not None]
    assert lost, "the kill came too late to hurt anybody"
    assert all(isinstance(outcome, ProviderUnreachable) for outcome in lost)

    second = await process.start(state, SECRET)
    async with SandboxProvider(second.url, SECRET) as provider, SandboxControl(second.url, SECRET) as control:
        await asyncio.gather(*(pay(provider, one) for one in references))
        holdings = await control.holdings()
    await second.stop()
    assert sorted(one.reference for one in holdings.transactions) == sorted(references)
    assert holdings.captured == {"EUR": 100 * count}


async def test_a_full_disk_stops_the_sandbox_and_loses_nothing(tmp_path: Path) -> None:
    """What cannot be written is not answered, and after the restart it has not happened."""
    state = tmp_path / "state"
    first = await process.start(state, SECRET)
    async with SandboxProvider(first.url, SECRET) as provider:
        opened = await provider.create(order("p-1"))
        # A file may not grow: to the process, what a full disk is. Some bytes still fit, so the line is torn.
        most = state.stat().st_size + 20
        resource.prlimit(first.process.pid, resource.RLIMIT_FSIZE, (most, most))
        with pytest.raises(ProviderUnreachable):
            await provider.capture(opened.id, 100, "EUR", "c-1")
    assert await asyncio.wait_for(first.process.wait(), 5) == os.EX_IOERR
    second = await process.start(state, SECRET)
    async with SandboxProvider(second.url, SECRET) as provider:
        assert await provider.find(opened.id) == opened
        assert (await provider.capture(opened.id, 100, "EUR", "c-1")).status is TransactionStatus.CAPTURED
    await second.stop()


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="only Linux tells a child of its parent's death")
async def test_the_sandbox_dies_with_its_parent(tmp_path: Path) -> None:
    """A server that is killed leaves no provider behind to hold the port and the state file."""
    program = (
        "import asyncio, pathlib, sys, time\n"
        "from tallystick.payments.providers.sandbox.process import start\n"
        f"running = asyncio.run(start(pathlib.Path(sys.argv[1]), {SECRET!r}))\n"
        "print(running.process.pid, flush=True)\n"
        "time.sleep(60)\n"
    )
    parent = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", program, str(tmp_path / "state")), stdout=asyncio.subprocess.PIPE
    )
    assert parent.stdout is not None
    child = os.pidfd_open(int(await asyncio.wait_for(parent.stdout.readline(), 10)))
    gone = asyncio.Event()
    asyncio.get_running_loop().add_reader(child, gone.set)
    parent.send_signal(signal.SIGKILL)
    await parent.wait()
    await asyncio.wait_for(gone.wait(), 5)
    asyncio.get_running_loop().remove_reader(child)
    os.close(child)


@pytest.mark.parametrize(
    ("arguments", "secret", "said"),
    [
        (["--state", "{here}/state"], "", "TALLYSTICK_PROVIDER_SECRET is not set"),
        (["--state", "{here}/none/state"], SECRET, "No such file or directory"),
        (["--state", "{here}/damaged"], SECRET, "line 1 is damaged"),
        (["--state", "{here}/state", "--port", "{taken}"], SECRET, "Address already in use"),
        (["--state", "{here}/state", "--port", "70000"], SECRET, "port 70000"),
        (["--state", "{here}/state", "--parent", "1073741824"], SECRET, "is gone"),
    ],
)
async def test_a_sandbox_that_cannot_start_says_why(
    tmp_path: Path, arguments: list[str], secret: str, said: str
) -> None:
    """One sentence on standard error, an exit status that is not 0, and no word of serving."""
    (tmp_path / "damaged").write_text("what is this\n")
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        told = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "tallystick.payments.providers.sandbox"),
            *(word.format(here=tmp_path, taken=port) for word in arguments),
            env={**os.environ, "TALLYSTICK_PROVIDER_SECRET": secret},
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
        out, error = await asyncio.wait_for(told.communicate(), 10)
    assert told.returncode == 1
    assert (out, error.count(b"\n")) == (b"", 1)
    assert said in error.decode()


async def test_a_second_sandbox_on_the_same_file_is_refused(tmp_path: Path) -> None:
    """Whoever starts it learns that it did not start."""
    first = await process.start(tmp_path / "state", SECRET)
    with pytest.raises(SandboxNotStarted, match="exit status 1"):
        await process.start(tmp_path / "state", SECRET)
    await first.stop()
