"""`tallystick log` on a server that runs: proofs, a change of keys under way, and a witness of its own."""

import asyncio
import contextlib
import os
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import httpx

from tallystick.ledger.log import checkpoint as checkpoints
from tallystick.ledger.log import tlog_proof
from tallystick.ledger.log.cosignature import Witness, find_cosignatures
from tallystick.ledger.log.note import Verifier, decode_base64, parse_keys
from tallystick.ledger.log.note import parse as parse_note
from tallystick.ledger.log.proofs import verify_consistency
from tallystick.ledger.log.tree import leaf_hash
from tests.scenarios.serving_up import (
    KEY,
    SECONDS,
    Caller,
    Up,
    calling,
    environment,
    own_directory,
    tallystick,
    transfer,
    up,
)


async def first_key(running: Up) -> str:
    """Return the key that the first start shows."""
    found = KEY.search(await running.hear(KEY.pattern))
    assert found is not None
    return found[0]


async def grow(caller: Caller) -> tuple[str, int]:
    """Post a transfer, and return its id and the size of the log that has it."""
    sent = transfer("bank", "ada")
    await caller.do("/transfers", **sent)
    proof = await caller.await_(f"/transfers/{sent['id']}/proof", lambda _: True)
    return sent["id"], int(proof["size"])


async def test_proofs_and_a_change_of_keys_beside_a_running_server() -> None:
    """What the commands print verifies with nothing but the published keys, before, during and after the change."""
    with own_directory() as directory:
        data = directory / "data"
        async with up(data) as running, calling(running, await first_key(running)) as caller:
            await caller.open_accounts("bank", "ada")
            first_id, first_size = await grow(caller)
            said = await tallystick("log", "key", data=data)
            old = Verifier.parse(said.out.strip())
            rotated = await tallystick("log", "rotate", "--overlap", "7", data=data)
            assert rotated.status == 0, rotated
            new = Verifier.parse(rotated.out.strip())
            async with asyncio.timeout(SECONDS):
                while True:
                    _, size = await grow(caller)
                    note = (await caller.get("/log/checkpoint")).content
                    if new.key_id in {line.key_id for line in parse_note(note).signatures}:
                        break
            for verifier in (old, new):
                assert checkpoints.verify(note, [verifier], old.name).size >= size
            keys = await tallystick("log", "key", data=data)
            assert keys.out.splitlines() == [str(new), str(old)]
            assert f"{new.key_id.hex()}: the newest, signs" in keys.err
            proved = await tallystick("log", "prove", first_id, data=data)
            leaf = bytes.fromhex(proved.err.split()[-1])
            shown = tlog_proof.verify(proved.out.encode(), leaf_hash(leaf), [old], old.name)
            assert (shown.index, shown.size) == (0, first_size)
            grown = await caller.see("/checkpoint/consistency", **{"from": first_size})
            older, newer = (
                checkpoints.verify(grown[one]["note"].encode(), [old], old.name) for one in ("older", "newer")
            )
            hashes = [decode_base64(one) for one in grown["hashes"]]
            verify_consistency(older.size, newer.size, older.root, newer.root, hashes)
            printed = await tallystick("log", "consistency", str(first_size), str(newer.size), data=data)
            assert printed.status == 0
            assert httpx.Response(200, text=printed.out).json() == await caller.see(
                "/checkpoint/consistency", **{"from": first_size, "to": newer.size}
            )
            watched = await tallystick(
                "log", "monitor", f"{running.address}/v1/books/main/log", "--once", "--read", "whole", data=data,
                TALLYSTICK_API_KEY=str(caller.client.headers["authorization"]).removeprefix("Bearer "),
            )  # fmt: skip
            assert (watched.status, watched.err) == (0, ""), watched
            assert (data / "monitor").is_dir()
        checkpoint = await tallystick("log", "checkpoint", data=data)
        assert checkpoints.verify(checkpoint.out.encode(), [new], old.name).size >= newer.size


@contextlib.asynccontextmanager
async def witnessing(directory: Path, log: Path) -> AsyncIterator[tuple[str, str]]:
    """Run a witness, and give its address and public key."""
    port = "18" + str(os.getpid() % 1000).zfill(3)
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "tallystick.cli", "log", "witness", "--name", "witness.example/w1", "--log", str(log),
        "--directory", str(directory), "--listen", f"127.0.0.1:{port}", env=environment(directory),
        stdin=asyncio.subprocess.DEVNULL, stdout=asyncio.subprocess.PIPE,
    )  # fmt: skip
    assert process.stdout is not None
    try:
        async with asyncio.timeout(SECONDS):
            await process.stdout.readline()
            key = (await process.stdout.readline()).decode().strip()
        yield f"http://127.0.0.1:{port}", key
    finally:
        process.terminate()
        await process.wait()


async def test_a_witness_is_a_command(tmp_path: Path) -> None:
    """It says its key, answers as the protocol says, and keeps key and memory where it is told."""
    log = tmp_path / "log.pub"
    log.write_text(f"{Verifier('log.example/main', bytes(32))}\n")
    keys = set()
    for _ in range(2):
        async with witnessing(tmp_path / "witness", log) as (url, key), httpx.AsyncClient(trust_env=False) as client:
            keys.add(key)
            async with asyncio.timeout(SECONDS):
                while True:
                    with contextlib.suppress(httpx.TransportError):
                        answer = await client.post(f"{url}/add-checkpoint", content=b"hello")
                        break
                    await asyncio.sleep(0.05)
            assert answer.status_code == 400
    assert len(keys) == 1
    assert keys.pop().startswith("witness.example/w1+")
    assert (tmp_path / "witness" / "witness.key").stat().st_mode & 0o077 == 0


async def test_a_server_has_its_log_witnessed() -> None:
    """Witness and server are each started as the page says, and the checkpoint that is served carries both signatures."""
    with own_directory() as directory:
        data, log = directory / "data", directory / "log.pub"
        async with up(data):
            async with asyncio.timeout(SECONDS):
                while not (data / "keys" / "main.pub").exists():  # noqa: ASYNC110 - made by another process
                    await asyncio.sleep(0.02)
        log.write_text((data / "keys" / "main.pub").read_text())
        made = await tallystick("key", "create", "reader", "--scope", "ledger:*", data=data)
        async with (
            witnessing(directory / "witness", log) as (url, key),
            up(data, TALLYSTICK_WITNESSES=f"{url} {key}") as running,
            calling(running, made.out.strip()) as caller,
        ):
            await caller.open_accounts("bank", "ada")
            await grow(caller)
            async with asyncio.timeout(SECONDS):
                while True:
                    answer = await caller.get("/log/checkpoint/cosigned")
                    if answer.status_code == httpx.codes.OK:
                        break
                    await asyncio.sleep(0.05)
            assert find_cosignatures(answer.content, [Witness.parse(key)])
            assert (
                checkpoints.verify(answer.content, parse_keys(log.read_text()), "localhost/tallystick/main").size == 1
            )
