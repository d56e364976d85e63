"""Witnesses: a real one over HTTP, asked by the worker that asks them; and all that can go wrong between the two."""

import asyncio
import contextlib
import datetime as dt
import hashlib
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path

import aiohttp
import asyncpg
import httpx
import pytest
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from tallystick.clock import FixedClock
from tallystick.errors import InvalidInput
from tallystick.ids import uuid7
from tallystick.ledger.log import checkpoint as checkpoints
from tallystick.ledger.log.cosignature import Cosigner, find_cosignatures
from tallystick.ledger.log.note import BadKey
from tallystick.ledger.log.proofs import consistency_proof, ranges_for_consistency
from tallystick.ledger.log.submission import StaleSize, Submission
from tallystick.ledger.read_log import NothingSealed, fetch_tiles, read_published_checkpoint
from tallystick.ledger.watching.ask_witness import WitnessAddress, parse_witnesses, submit
from tallystick.ledger.watching.witness import WitnessOffice, WitnessTaken, make_witness_app
from tallystick.operations.witnessing import Witnessing
from tests.conformance.conftest import listening
from tests.conftest import House
from tests.db.test_log_proofs import ORIGIN, SIGNER, seal_book

NOW = dt.datetime(2026, 11, 21, 12, tzinfo=dt.UTC)
COSIGNER = Cosigner.from_seed("witness.example/w1", bytes(range(1, 33)))


@dataclass(slots=True)
class Faulty:
    """A witness behind a line that can be cut on the way back, or go silent."""

    app: ASGIApp
    lose_answer: bool = False
    free: asyncio.Event = field(default_factory=asyncio.Event)
    """While it is not set, every request hangs."""

    def __post_init__(self) -> None:
        """Begin without a fault."""
        self.free.set()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Do what is asked; what is answered may get lost."""
        await self.free.wait()

        async def lose(_: Message) -> None:
            """Say nothing."""

        await self.app(scope, receive, lose if self.lose_answer else send)
        if self.lose_answer:
            raise ConnectionAbortedError("the line is cut")


@dataclass(slots=True)
class Witnessed:
    """A book whose log a witness cosigns."""

    house: House
    office: WitnessOffice
    line: Faulty
    address: WitnessAddress
    client: aiohttp.ClientSession
    stranger: httpx.AsyncClient

    async def grow(self, count: int = 1) -> None:
        """Post and seal."""
        for _ in range(count):
            await self.house.do("ledger.transfer", id=str(uuid7()), debit="bank", credit="ada", amount=1)
        await seal_book(self.house)

    async def ask(self, seconds: float = 5.0) -> bool:
        """Ask the witness for what it has not cosigned."""
        return await Witnessing(self.house.operations, [self.address], seconds=seconds).ask_once(
            self.client, self.address
        )

    async def published(self, *, cosigned: bool = False) -> bytes:
        """Return the checkpoint that is served."""
        async with self.house.operations.pool.acquire() as connection:
            return await read_published_checkpoint(connection, 1, cosigned=cosigned)

    async def times(self) -> list[int]:
        """Return the times of the cosignatures that the served checkpoint carries."""
        return [one.time for one in find_cosignatures(await self.published(), [COSIGNER.witness])]

    async def submission(self, old: int, new: int) -> Submission:
        """Prove the newest checkpoint from *old*."""
        async with self.house.operations.pool.acquire() as connection:
            tiles = await fetch_tiles(connection, 1, ranges_for_consistency(old, new))
        note = (await self.published()).decode().split("— witness", maxsplit=1)[0]
        return Submission(old, tuple(consistency_proof(old, new, tiles)), note.encode())


@pytest.fixture
async def witnessed(house: House, tmp_path: Path) -> AsyncIterator[Witnessed]:
    """Serve a witness that knows the log of the book ``main``."""
    for account in ("bank", "ada"):
        await house.do("ledger.open_account", account=account, asset="USD")
    office = WitnessOffice(COSIGNER, {ORIGIN: [SIGNER.verifier]}, tmp_path / "witness", FixedClock(NOW))
    line = Faulty(make_witness_app(office))
    async with (
        listening(line) as port,
        aiohttp.ClientSession() as client,
        httpx.AsyncClient(timeout=5, trust_env=False) as stranger,
    ):
        address = WitnessAddress(f"http://127.0.0.1:{port}", COSIGNER.witness)
        yield Witnessed(house, office, line, address, client, stranger)


async def test_checkpoints_are_served_with_what_witnesses_said(witnessed: Witnessed) -> None:
    """The newest carries its cosignature once it is there; before that the newest cosigned one is to be had too."""
    assert await witnessed.ask()  # nothing to cosign is nothing wrong
    await witnessed.grow()
    with pytest.raises(NothingSealed):
        await witnessed.published(cosigned=True)
    assert await witnessed.times() == []
    assert await witnessed.ask()
    assert await witnessed.times() == [int(NOW.timestamp())]
    first = await witnessed.published()
    await witnessed.grow(3)
    assert await witnessed.times() == []
    assert await witnessed.published(cosigned=True) == first
    assert await witnessed.ask()
    note = await witnessed.published()
    assert await witnessed.times() == [int(NOW.timestamp())]
    assert checkpoints.verify(note, [SIGNER.verifier], ORIGIN).size == 4
    assert (await witnessed.house.do("ledger.checkpoint")).note.encode() == note


async def test_a_witness_that_is_down_has_done_nothing_and_is_asked_again(witnessed: Witnessed) -> None:
    """Failed, and nothing happened: nothing is kept, sealing goes on, and when it is back it cosigns the newest."""
    down = WitnessAddress("http://127.0.0.1:9", COSIGNER.witness)
    asking = Witnessing(witnessed.house.operations, [down])
    await witnessed.grow()
    assert not await asking.ask_once(witnessed.client, down)
    await witnessed.grow()
    assert await witnessed.times() == []
    assert witnessed.office.cosigned(hashlib.sha256(ORIGIN.encode()).hexdigest()) is None
    assert await witnessed.ask()
    assert len(await witnessed.times()) == 1


async def test_an_answer_that_is_lost_is_asked_for_again(witnessed: Witnessed) -> None:
    """Failed, but it happened: the witness knows more than we were told, says so, and cosigns from there on."""
    await witnessed.grow()
    assert await witnessed.ask()
    await witnessed.grow(2)
    witnessed.line.lose_answer = True
    assert not await witnessed.ask()
    assert await witnessed.times() == []
    seen = witnessed.office.cosigned(hashlib.sha256(ORIGIN.encode()).hexdigest())
    assert seen is not None
    assert checkpoints.verify(seen, [SIGNER.verifier], ORIGIN).size == 3
    witnessed.line.lose_answer = False
    assert await witnessed.ask()  # the same checkpoint again
    assert len(await witnessed.times()) == 1
    await witnessed.grow(2)
    witnessed.line.lose_answer = True
    assert not await witnessed.ask()
    await witnessed.grow(4)  # and another one by now
    witnessed.line.lose_answer = False
    assert await witnessed.ask()
    assert len(await witnessed.times()) == 1


async def test_a_witness_that_hangs_holds_nothing_up(witnessed: Witnessed) -> None:
    """While it is asked, batches are sealed; and it does not hang for ever."""
    witnessed.line.free.clear()
    await witnessed.grow()
    async with asyncio.timeout(10):
        asking = asyncio.create_task(witnessed.ask(seconds=1))
        for _ in range(5):
            await witnessed.grow()
        assert not asking.done()
        assert not await asking
    witnessed.line.free.set()
    assert await witnessed.ask()


async def test_the_worker_asks_by_itself(witnessed: Witnessed) -> None:
    """Beside the sealer, one witness silent: the other's cosignature arrives."""
    operations = witnessed.house.operations
    hanging = Faulty(witnessed.line.app)
    hanging.free.clear()
    async with listening(hanging) as port:
        silent = WitnessAddress(f"http://127.0.0.1:{port}", Cosigner.generate("silent.example").witness)
        witnessing = Witnessing(operations, [silent, witnessed.address], pause=0.02, seconds=1)
        await witnessed.grow()
        working = asyncio.create_task(witnessing.run())
        async with asyncio.timeout(10):
            while True:
                if await witnessed.times():
                    break
                await asyncio.sleep(0.02)
        working.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await working
        hanging.free.set()


async def test_a_log_that_was_rewritten_is_not_cosigned(witnessed: Witnessed, owner: asyncpg.Connection) -> None:
    """Cut off and sealed anew it is smaller, then other: the witness never signs both, and says what it knows."""
    await witnessed.grow(5)
    assert await witnessed.ask()
    for table in ("cosignature", "checkpoint", "sealed_batch", "batch", "transfer"):
        await owner.execute(f"ALTER TABLE {table} DISABLE TRIGGER append_only")
        await owner.execute(f"ALTER TABLE {table} DISABLE TRIGGER ALL")
        await owner.execute(f"DELETE FROM {table}")
    await witnessed.grow(2)
    assert not await witnessed.ask()
    assert await witnessed.times() == []
    await witnessed.grow(4)
    assert not await witnessed.ask()
    assert await witnessed.times() == []
    seen = witnessed.office.cosigned(hashlib.sha256(ORIGIN.encode()).hexdigest())
    assert seen is not None
    assert checkpoints.verify(seen, [SIGNER.verifier], ORIGIN).size == 5


async def test_of_two_submissions_at_once_the_later_one_starts_from_the_earlier(witnessed: Witnessed) -> None:
    """Both prove growth from the same size: one is cosigned, the other told the size by then, and none rolls back."""
    await witnessed.grow(2)
    small = await witnessed.submission(0, 2)
    await witnessed.grow(2)
    large = await witnessed.submission(0, 4)
    outcomes = await asyncio.gather(
        *(submit(witnessed.client, witnessed.address, one) for one in (small, large)), return_exceptions=True
    )
    refused = [one for one in outcomes if isinstance(one, BaseException)]
    assert len(refused) == 1
    assert isinstance(refused[0], StaleSize)
    assert refused[0].size in {2, 4}


async def test_a_witness_speaks_as_the_protocol_says(witnessed: Witnessed) -> None:
    """Each refusal has its status; what it cosigned is to be had by the hash of the log's name."""

    async def status(body: bytes) -> int:
        return (await witnessed.stranger.post(f"{witnessed.address.url}/add-checkpoint", content=body)).status_code

    await witnessed.grow(3)
    path = f"{witnessed.address.url}/{hashlib.sha256(ORIGIN.encode()).hexdigest()}/checkpoint"
    assert (await witnessed.stranger.get(path)).status_code == 404
    good = bytes(await witnessed.submission(0, 3))
    assert await status(b"hello") == 400
    assert await status(good.replace(ORIGIN.encode(), b"other.example/log")) == 404
    assert await status(good.replace(b"\n3\n", b"\n4\n")) == 403
    assert await status(good.replace(b"old 0\n", b"old 0\n" + b"A" * 43 + b"=\n")) == 422
    assert await status(good.replace(b"old 0\n", b"old 9\n")) == 400
    stale = await witnessed.stranger.post(
        f"{witnessed.address.url}/add-checkpoint", content=good.replace(b"old 0", b"old 2")
    )
    assert (stale.status_code, stale.text, stale.headers["content-type"]) == (409, "0\n", "text/x.tlog.size")
    assert await status(b"x" * 300_000) == 413
    assert await status(good) == 200
    cosigned = (await witnessed.stranger.get(path)).content
    assert checkpoints.verify(cosigned, [SIGNER.verifier], ORIGIN).size == 3
    assert len(find_cosignatures(cosigned, [COSIGNER.witness])) == 1


async def test_a_witness_remembers_when_it_is_started_again(witnessed: Witnessed) -> None:
    """It is as good as its memory, which is on disk before anybody is answered, and one process's at a time."""
    await witnessed.grow(3)
    assert await witnessed.ask()
    again = WitnessOffice(COSIGNER, witnessed.office.logs, witnessed.office.directory, FixedClock(NOW))
    with pytest.raises(StaleSize) as stale:
        await again.add_checkpoint(bytes(await witnessed.submission(0, 3)))
    assert stale.value.size == 3
    with witnessed.office.holding(), pytest.raises(WitnessTaken), again.holding():
        pytest.fail("two hold the same memory")


def test_witnesses_are_set_by_address_and_key() -> None:
    """Any number of them; what is malformed is told by name."""
    key = str(COSIGNER.witness)
    assert parse_witnesses("") == ()
    assert parse_witnesses(f"https://a.example/ {key}, http://b.example {key}") == (
        WitnessAddress("https://a.example", COSIGNER.witness),
        WitnessAddress("http://b.example", COSIGNER.witness),
    )
    for text, error in ((key, InvalidInput), ("https://a.example", InvalidInput), (f"ftp://a {key}", InvalidInput),
                        (f"https://a {SIGNER.verifier}", BadKey)):  # fmt: skip
        with pytest.raises(error):
            parse_witnesses(text)
