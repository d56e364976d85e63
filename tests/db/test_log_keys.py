"""The keys of the logs at work: made, lost, changed; and a sealer that goes on whatever dies in between."""

import asyncio
import datetime as dt
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import asyncpg
import pytest

from tallystick.clock import FixedClock
from tallystick.errors import TallystickError
from tallystick.ids import uuid7
from tallystick.ledger.books import open_book
from tallystick.ledger.log import checkpoint as checkpoints
from tallystick.ledger.log.note import Signer, Verifier
from tallystick.ledger.log.note import parse as parse_note
from tallystick.ledger.log_keys import LogKeyExists, LogKeyLost, key_path, load_public_keys, make_key
from tallystick.operations import rotate_log_key as rotating
from tallystick.operations.rotate_log_key import NoLogKey, rotate_log_key
from tallystick.operations.run import Operations
from tallystick.operations.sealing import Sealing
from tallystick.security.model import OPERATOR
from tests.conftest import House


async def post_one(house: House, book: str) -> None:
    """Post a transfer in *book*."""
    for operation, fields in (
        ("ledger.ensure_asset", {"asset": "USD", "exponent": 2}),
        ("ledger.open_account", {"account": "a", "asset": "USD"}),
        ("ledger.open_account", {"account": "b", "asset": "USD"}),
        ("ledger.transfer", {"id": str(uuid7()), "debit": "a", "credit": "b", "amount": 1}),
    ):
        await house.operations.call(OPERATOR, book, operation, str(uuid7()), fields)


@asynccontextmanager
async def sealing(house: House, keys: Path) -> AsyncIterator[None]:
    """Seal while the context lasts."""
    task = asyncio.create_task(Sealing(house.operations, keys, "localhost/tallystick").run())
    try:
        yield
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


async def await_checkpoint(house: House, book: str, least: int = 1) -> int:
    """Wait for a checkpoint of the book with so many leaves at *least*, and return its size."""
    async with asyncio.timeout(10):
        while True:
            try:
                found = await house.operations.call(OPERATOR, book, "ledger.checkpoint", "", {})
            except TallystickError:
                found = None
            if found is not None and found.size >= least:
                return int(found.size)
            await asyncio.sleep(0.02)


async def test_a_lost_key_stops_its_own_log_alone(house: House, tmp_path: Path) -> None:
    """The public key of the one stays what verifies its receipts; the other gets its checkpoints."""
    await house.operations.work(lambda connection: open_book(connection, "second", house.operations.clock.now()))
    await post_one(house, "main")
    async with sealing(house, tmp_path):
        assert await await_checkpoint(house, "main") == 1
    public = key_path(tmp_path, "main").with_suffix(".pub").read_text()
    key_path(tmp_path, "main").unlink()
    await post_one(house, "second")
    await post_one(house, "main")
    async with sealing(house, tmp_path):
        assert await await_checkpoint(house, "second") == 1
        assert await await_checkpoint(house, "main") == 1
    assert key_path(tmp_path, "main").with_suffix(".pub").read_text() == public


ORIGIN = "localhost/tallystick/main"
DAY = dt.timedelta(days=1)


@pytest.fixture
def clock() -> FixedClock:
    """Return a clock to be set."""
    return FixedClock(dt.datetime(2026, 11, 1, tzinfo=dt.UTC))


@pytest.fixture
def timed(house: House, clock: FixedClock) -> House:
    """Return the house by that clock."""
    return House(Operations(house.operations.pool, clock, house.operations.table))


async def seal_one_more(house: House, keys: Path) -> bytes:
    """Post one more transfer, have a new sealer seal it, and return the checkpoint."""
    if not (await house.do("ledger.list_accounts")).items:
        await post_one(house, "main")
        size = 1
    else:
        size = (await house.do("ledger.checkpoint")).size + 1
        await house.do("ledger.transfer", id=str(uuid7()), debit="a", credit="b", amount=1)
    async with sealing(house, keys):
        await await_checkpoint(house, "main", size)
    return str((await house.do("ledger.checkpoint")).note).encode()


def signers_of(note: bytes) -> list[bytes]:
    """Return the ids of the keys that signed, in order."""
    return [line.key_id for line in parse_note(note).signatures]


def require_verified(note: bytes, *verifiers: Verifier) -> None:
    """Find that the holder of each of *verifiers* alone accepts the checkpoint."""
    for verifier in verifiers:
        assert checkpoints.verify(note, [verifier], ORIGIN).origin == ORIGIN


async def known_keys(house: House) -> list[tuple[int, int, int | None]]:
    """Return number, after_size and last_size of each key."""
    return [(key.number, key.after_size, key.last_size) for key in await house.do("ledger.log_keys")]


async def test_a_key_is_changed_with_an_overlap(timed: House, clock: FixedClock, tmp_path: Path) -> None:
    """Both keys sign until the overlap is over, so holders of either verify; then the new one alone does."""
    first = await seal_one_more(timed, tmp_path)
    old = load_public_keys(tmp_path, "main")[0]
    made = await rotate_log_key(timed.operations, tmp_path, "main", 7 * DAY)
    assert (made.number, made.overlap_until) == (2, clock.at + 7 * DAY)
    both = await seal_one_more(timed, tmp_path)
    assert signers_of(both) == [made.verifier.key_id, old.key_id]
    require_verified(both, old, made.verifier)
    clock.at += 7 * DAY
    alone = await seal_one_more(timed, tmp_path)
    assert signers_of(alone) == [made.verifier.key_id]
    require_verified(alone, made.verifier)
    require_verified(first, old)
    assert await known_keys(timed) == [(1, 0, 2), (2, 1, None)]
    assert load_public_keys(tmp_path, "main") == [made.verifier, old]
    clock.at -= 7 * DAY  # a clock that is put back brings no key back
    assert signers_of(await seal_one_more(timed, tmp_path)) == [made.verifier.key_id]


async def test_a_running_sealer_takes_the_new_key_up(house: House, tmp_path: Path) -> None:
    """Nothing needs to be started again, and nothing is sealed without the promised signatures after a second or two."""
    await seal_one_more(house, tmp_path)
    old = load_public_keys(tmp_path, "main")[0]
    async with sealing(house, tmp_path), asyncio.timeout(20):
        made = await rotate_log_key(house.operations, tmp_path, "main", DAY)
        while True:
            await house.do("ledger.transfer", id=str(uuid7()), debit="a", credit="b", amount=1)
            note = (await house.do("ledger.checkpoint")).note.encode()
            if signers_of(note) == [made.verifier.key_id, old.key_id]:
                break
            await asyncio.sleep(0.02)
        again = await rotate_log_key(house.operations, tmp_path, "main", 0 * DAY)
        while signers_of((await house.do("ledger.checkpoint")).note.encode()) != [again.verifier.key_id]:
            await house.do("ledger.transfer", id=str(uuid7()), debit="a", credit="b", amount=1)
            await asyncio.sleep(0.02)
    ends = [(number, last) for number, _, last in await known_keys(house)]
    assert ends[2] == (3, None)
    assert ends[0][1] == ends[1][1]


class Killed(BaseException):
    """The process died here."""


def steps_of_a_rotation() -> Iterable[str]:
    """Name the steps between which it can die."""
    return ("make_key", "add_log_key", "publish_keys")


@pytest.mark.parametrize("step", steps_of_a_rotation())
@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
async def test_a_rotation_killed_anywhere_leaves_a_log_that_goes_on(
    house: House, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, step: str, *, after: bool
) -> None:
    """Before or after each of its steps: the log is sealed and verified on, and the rotation can be run again."""
    await seal_one_more(house, tmp_path)
    old = load_public_keys(tmp_path, "main")[0]
    done = getattr(rotating, step)

    def dying(*arguments: object) -> object:
        if after:
            outcome = done(*arguments)
            if asyncio.iscoroutine(outcome):
                return _await_and_die(outcome)
        raise Killed

    with monkeypatch.context() as patch:
        patch.setattr(rotating, step, dying)
        with pytest.raises(Killed):
            await rotate_log_key(house.operations, tmp_path, "main", DAY)
    require_verified(await seal_one_more(house, tmp_path), old)
    made = await rotate_log_key(house.operations, tmp_path, "main", DAY)
    require_verified(await seal_one_more(house, tmp_path), old, made.verifier)
    assert made.verifier in load_public_keys(tmp_path, "main")
    assert len(await known_keys(house)) == made.number


async def _await_and_die(work: object) -> None:
    await work  # type: ignore[misc]  # a coroutine, as its caller found
    raise Killed


async def test_a_lost_key_is_gone_on_without_when_the_operator_says_so(house: House, tmp_path: Path) -> None:
    """Only on that word: the new key then signs alone, and checkpoints of the old one still verify with its public half."""
    first = await seal_one_more(house, tmp_path)
    old = load_public_keys(tmp_path, "main")[0]
    key_path(tmp_path, "main").unlink()
    with pytest.raises(LogKeyLost):
        await rotate_log_key(house.operations, tmp_path, "main", DAY)
    made = await rotate_log_key(house.operations, tmp_path, "main", DAY, lost=True)
    assert signers_of(await seal_one_more(house, tmp_path)) == [made.verifier.key_id]
    require_verified(first, old)
    assert load_public_keys(tmp_path, "main") == [made.verifier, old]


async def test_a_key_is_not_changed_from_where_no_sealer_finds_it(house: House, tmp_path: Path) -> None:
    """In another directory than the sealer's, or before the log has a key, nothing is changed."""
    with pytest.raises(NoLogKey):
        await rotate_log_key(house.operations, tmp_path, "main", DAY)
    await seal_one_more(house, tmp_path)
    with pytest.raises(LogKeyLost):
        await rotate_log_key(house.operations, tmp_path / "elsewhere", "main", DAY)
    assert len(await known_keys(house)) == 1
    make_key(tmp_path, "another/log", "main", 2)
    with pytest.raises(LogKeyExists):
        await rotate_log_key(house.operations, tmp_path, "main", DAY)


async def test_two_rotations_at_once_make_one_key_each_or_the_same(house: House, tmp_path: Path) -> None:
    """Whoever is second finds the key of the first on disk: the facts and the files tell of the same keys."""
    await seal_one_more(house, tmp_path)
    made = await asyncio.gather(
        *(rotate_log_key(house.operations, tmp_path, "main", DAY) for _ in range(3)), return_exceptions=True
    )
    refused = [one for one in made if isinstance(one, BaseException)]
    assert all(isinstance(one, LogKeyExists) for one in refused)
    keys = await house.do("ledger.log_keys")
    assert [key.key for key in reversed(keys)] == [str(one) for one in load_public_keys(tmp_path, "main")]
    note = await seal_one_more(house, tmp_path)
    require_verified(note, *load_public_keys(tmp_path, "main"))


async def test_a_log_from_before_keys_were_facts_goes_on(
    house: House, owner: asyncpg.Connection, tmp_path: Path
) -> None:
    """The key that signed it becomes the first."""
    await seal_one_more(house, tmp_path)
    await owner.execute("ALTER TABLE log_key DISABLE TRIGGER append_only")
    await owner.execute("DELETE FROM log_key")
    await seal_one_more(house, tmp_path)
    assert await known_keys(house) == [(1, 0, None)]
    assert Signer.parse(key_path(tmp_path, "main").read_text().strip()).verifier.name == ORIGIN


@pytest.mark.parametrize("change", ["UPDATE batch SET leaf_hashes = sha256(leaf_hashes)", "DELETE FROM batch"])
async def test_nothing_is_signed_on_top_of_a_tree_that_was_changed(
    house: House, owner: asyncpg.Connection, tmp_path: Path, change: str
) -> None:
    """A sealer that starts on stored hashes that are not those it signed would sign a fork, and refuses."""
    await seal_one_more(house, tmp_path)
    await owner.execute("ALTER TABLE batch DISABLE TRIGGER ALL")
    await owner.execute(change)
    await house.do("ledger.transfer", id=str(uuid7()), debit="a", credit="b", amount=1)
    sealer = Sealing(house.operations, tmp_path, "localhost/tallystick")
    task = asyncio.create_task(sealer.run())
    async with asyncio.timeout(10):
        while True:
            if sealer._told:
                break
            await asyncio.sleep(0.02)
    task.cancel()
    with suppress(asyncio.CancelledError):
        await task
    assert (await house.do("ledger.checkpoint")).size == 1
