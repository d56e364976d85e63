"""A monitor follows a log over HTTP: it lets honest growth pass, and no rewriting by whoever owns the database."""

import asyncio
import datetime as dt
import json
import stat
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path

import asyncpg
import pytest

from tallystick.api.rest.app import make_app
from tallystick.clock import FixedClock
from tallystick.errors import InvalidInput, TallystickError
from tallystick.ids import uuid7
from tallystick.ledger.log import checkpoint as checkpoints
from tallystick.ledger.log.checkpoint import Checkpoint
from tallystick.ledger.log.note import Signer
from tallystick.ledger.seal import lead, seal
from tallystick.ledger.watching.monitor import BadEvidence, LogAlarm, Monitor, Reading, What, follow, judge_evidence
from tallystick.ledger.watching.remote_log import LogUnreachable, RemoteLog
from tallystick.security.keys import hash_of, make_key
from tests.conformance.conftest import listening
from tests.conftest import House
from tests.db.test_log_proofs import ORIGIN, SIGNER, seal_book
from tests.scenarios.serving_up import Said, tallystick

NOW = dt.datetime(2026, 11, 21, 12, tzinfo=dt.UTC)
NEW_SIGNER = Signer.from_seed(ORIGIN, bytes(range(1, 33)))
STRANGER = Signer.from_seed(ORIGIN, bytes(32))


@dataclass(slots=True)
class Watched:
    """A book that is served, whose log somebody watches, and whose database somebody owns."""

    house: House
    owner: asyncpg.Connection
    url: str
    key: str
    state: Path

    async def grow(self, count: int = 3) -> None:
        """Post a batch and seal it."""
        rows = [{"id": str(uuid7()), "debit": "bank", "credit": "ada", "amount": 1 + at} for at in range(count)]
        await self.house.do("ledger.transfers", transfers=rows)
        await seal_book(self.house)

    async def look(self, reading: Reading = Reading.TILES, *signers: Signer) -> Checkpoint:
        """Look at the log once."""
        async with RemoteLog(self.url, api_key=self.key, pause=0.01, trust_env=False) as remote:
            verifiers = [one.verifier for one in signers or [SIGNER]]
            return await Monitor(remote, verifiers, self.state, FixedClock(NOW), reading).look()

    async def alarm(self, reading: Reading = Reading.TILES) -> What:
        """Look, and return what the alarm is about; the state must be as it was."""
        before = self.state.read_bytes()
        with pytest.raises(LogAlarm) as raised:
            await self.look(reading)
        assert self.state.read_bytes() == before
        return raised.value.what

    def evidence(self) -> Path:
        """Return the one file of evidence."""
        (found,) = self.state.parent.glob(f"{self.state.name}.*.json")
        return found

    async def rewrite(self, *statements: str) -> None:
        """Do what only the owner of the database can, with the guards out of the way."""
        for table in ("checkpoint", "sealed_batch", "batch", "transfer", "tile_root"):
            await self.owner.execute(f"ALTER TABLE {table} DISABLE TRIGGER ALL")
        for statement in statements:
            await self.owner.execute(statement)

    async def forge_first_leaf(self) -> None:
        """Change the first entry and its leaf hash, and forget every seal."""
        await self.rewrite(
            "UPDATE transfer SET amount = 1000000 WHERE position = 0 AND batch_id = (SELECT min(batch_id) FROM batch)",
            "UPDATE batch SET leaf_hashes = sha256('forged') || substring(leaf_hashes FROM 33) "
            "WHERE batch_id = (SELECT min(batch_id) FROM batch)",
            "DELETE FROM checkpoint", "DELETE FROM sealed_batch", "DELETE FROM tile_root",
        )  # fmt: skip


@pytest.fixture
async def watched(house: House, owner: asyncpg.Connection, tmp_path: Path) -> AsyncIterator[Watched]:
    """Serve the book ``main``, with a key for whoever watches its log."""
    for account in ("bank", "ada"):
        await house.do("ledger.open_account", account=account, asset="USD")
    key = make_key()
    await house.do("security.create_key", name="watcher", scopes=["ledger:read"], sha256=hash_of(key).hex())
    async with listening(make_app(house.operations)) as port:
        url = f"http://127.0.0.1:{port}/v1/books/main/log"
        yield Watched(house, owner, url, key, tmp_path / "main.checkpoint")


async def test_honest_growth_passes(watched: Watched) -> None:
    """Across the bounds of tiles, with entries read and without, the last checkpoint is kept each time."""
    sizes = []
    for count, reading in (
        (1, Reading.TILES), (2, Reading.ENTRIES), (253, Reading.TILES), (1, Reading.ENTRIES), (300, Reading.ENTRIES),
        (5, Reading.WHOLE), (255, Reading.TILES), (1, Reading.WHOLE),
    ):  # fmt: skip
        await watched.grow(count)
        found = await watched.look(reading)
        assert await watched.look(reading) == found
        assert checkpoints.verify(watched.state.read_bytes(), [SIGNER.verifier], ORIGIN) == found
        sizes.append(found.size)
    assert sizes == [1, 3, 256, 257, 557, 562, 817, 818]
    assert list(watched.state.parent.iterdir()) == [watched.state]


async def test_a_change_of_keys_passes_for_holders_of_either(watched: Watched) -> None:
    """Both sign during the overlap; afterwards the old key alone is not enough, and that is an alarm."""

    async def seal_with(*signers: Signer) -> None:
        await watched.house.do("ledger.transfer", id=str(uuid7()), debit="bank", credit="ada", amount=1)
        async with watched.house.operations.pool.acquire() as connection, connection.transaction():
            sealer = await lead(connection, 1, ORIGIN, signers)
            assert sealer is not None
            assert await seal(connection, sealer, NOW) is not None
            await connection.execute("SELECT pg_advisory_unlock_all()")

    await watched.grow()
    assert (await watched.look(Reading.TILES, SIGNER)).size == 3
    await seal_with(NEW_SIGNER, SIGNER)
    assert (await watched.look(Reading.TILES, SIGNER)).size == 4
    assert (await watched.look(Reading.TILES, NEW_SIGNER)).size == 4
    await seal_with(NEW_SIGNER)
    assert (await watched.look(Reading.TILES, NEW_SIGNER, SIGNER)).size == 5
    await seal_with(NEW_SIGNER)
    assert await watched.alarm() is What.BAD_CHECKPOINT


async def test_a_log_that_was_cut_off_is_noticed(watched: Watched) -> None:
    """Smaller than it was, or empty."""
    await watched.grow()
    await watched.grow()
    await watched.look()
    last = "(SELECT max(batch_id) FROM batch)"
    await watched.rewrite(
        "DELETE FROM checkpoint WHERE size = 6",
        f"DELETE FROM sealed_batch WHERE batch_id = {last}",
        f"DELETE FROM batch WHERE batch_id = {last}",
    )
    assert await watched.alarm() is What.SHRUNK
    await watched.rewrite("DELETE FROM checkpoint")
    assert await watched.alarm() is What.SHRUNK


async def test_a_log_cut_off_and_sealed_anew_is_proved_to_be_forked(watched: Watched) -> None:
    """At the same size with other content: two signatures that contradict each other, which anyone can check."""
    await watched.grow()
    await watched.look()
    await watched.forge_first_leaf()
    await seal_book(watched.house)
    assert await watched.alarm() is What.FORKED
    assert await watched.alarm() is What.FORKED
    assert judge_evidence(watched.evidence().read_bytes(), [SIGNER.verifier]) is What.FORKED


@pytest.mark.parametrize(("before", "after"), [(3, 2), (4, 1), (1, 7), (256, 3), (300, 300), (511, 2)])
async def test_a_log_rewritten_and_grown_is_proved_to_be_rewritten(watched: Watched, before: int, after: int) -> None:
    """However it grew since: what it signed now begins otherwise than what it signed then, which anyone can check."""
    await watched.grow(before)
    await watched.look()
    await watched.forge_first_leaf()
    await watched.grow(after)
    assert await watched.alarm() is What.REWRITTEN
    file = watched.evidence().read_bytes()
    assert judge_evidence(file, [SIGNER.verifier]) is What.REWRITTEN
    with pytest.raises(TallystickError):
        judge_evidence(file, [STRANGER.verifier])


async def test_evidence_that_is_made_up_proves_nothing(watched: Watched) -> None:
    """Without two signatures of the log that contradict each other nobody needs to believe it."""
    await watched.grow()
    known = (await watched.house.do("ledger.checkpoint")).note
    await watched.look()
    await watched.forge_first_leaf()
    await watched.grow()
    assert await watched.alarm() is What.REWRITTEN
    good = json.loads(watched.evidence().read_bytes())
    forged = checkpoints.sign(Checkpoint(ORIGIN, 3, bytes(32)), [STRANGER]).decode()
    changes: list[dict[str, object]] = [
        {"found": known}, {"known": good["found"]}, {"root_within": None}, {"hashes": []}, {"known": None},
        {"known": forged}, {"root_within": good["hashes"][0]}, {"root_within": "?"}, {"found": 7},
    ]  # fmt: skip
    for change in changes:
        with pytest.raises(TallystickError):
            judge_evidence(json.dumps(good | change).encode(), [SIGNER.verifier])
    with pytest.raises(BadEvidence):
        judge_evidence(b"{}", [SIGNER.verifier])


async def tamper_leaf(watched: Watched) -> None:
    """Change a leaf hash, and nothing else."""
    await watched.rewrite(
        "UPDATE batch SET leaf_hashes = sha256('forged') || substring(leaf_hashes FROM 33) "
        "WHERE batch_id = (SELECT min(batch_id) FROM batch)"
    )


async def tamper_tile_root(watched: Watched) -> None:
    """Change the hash that stands for the first 256 leaves."""
    await watched.rewrite("UPDATE tile_root SET hash = sha256('forged') WHERE place = 0")


async def tamper_row(watched: Watched) -> None:
    """Change a transfer, and nothing else."""
    await watched.rewrite("UPDATE transfer SET amount = amount + 1 WHERE position = 0")


async def tamper_message(watched: Watched) -> None:
    """Change the hash of a message."""
    await watched.owner.execute("ALTER TABLE message DISABLE TRIGGER ALL")
    await watched.owner.execute("UPDATE message SET hash = sha256('forged') WHERE operation = 'ledger.transfers'")


async def drop_row(watched: Watched) -> None:
    """Delete a transfer."""
    await watched.rewrite("DELETE FROM transfer WHERE position = 0")


async def drop_batch(watched: Watched) -> None:
    """Delete the hashes of a batch."""
    await watched.rewrite("DELETE FROM batch WHERE batch_id = (SELECT min(batch_id) FROM batch)")


Tamper = Callable[[Watched], Awaitable[None]]


@pytest.mark.parametrize(
    ("tamper", "reading", "expected"),
    [
        (tamper_leaf, Reading.WHOLE, {What.ENTRY_DIFFERS}),
        (tamper_tile_root, Reading.TILES, {What.TILES_DIFFER, What.REWRITTEN}),  # one that starts anew believes it
        (tamper_tile_root, Reading.WHOLE, {What.TILES_DIFFER}),
        (tamper_row, Reading.WHOLE, {What.ENTRY_DIFFERS}),
        (tamper_message, Reading.WHOLE, {What.ENTRY_DIFFERS}),
        (drop_row, Reading.WHOLE, {What.MISSING}),
        (drop_batch, Reading.WHOLE, {What.MISSING}),
    ],
)
async def test_what_is_served_is_held_against_what_is_signed(
    watched: Watched, tamper: Tamper, reading: Reading, expected: set[What]
) -> None:
    """Whatever of the log the owner of the database changes behind the sealer's back, a reading of all of it finds."""
    await watched.grow(300)
    await watched.grow(300)
    await watched.look(Reading.ENTRIES)
    await tamper(watched)
    if reading is Reading.TILES:
        await watched.grow(3)
    assert await watched.alarm(reading) in expected
    if reading is Reading.WHOLE:
        with pytest.raises(BadEvidence):  # a server's bytes are not signed: this is testimony, not proof
            judge_evidence(watched.evidence().read_bytes(), [SIGNER.verifier])


async def test_new_entries_are_held_against_their_leaves(watched: Watched) -> None:
    """With entries read, a row that was changed between posting and the next look is found."""
    await watched.grow(5)
    await watched.look(Reading.ENTRIES)
    await watched.grow(5)
    await watched.rewrite(
        "UPDATE transfer SET amount = amount + 1 WHERE position = 2 AND batch_id = (SELECT max(batch_id) FROM batch)"
    )
    assert await watched.alarm(Reading.ENTRIES) is What.ENTRY_DIFFERS
    shown = json.loads(watched.evidence().read_bytes())
    assert shown["entry"]["place"] == "7"
    assert (await watched.look(Reading.TILES)).size == 10


async def test_a_leaf_that_was_changed_is_found_at_the_next_growth_beside_it(watched: Watched) -> None:
    """The tiles that show growth are held against the signed root, so none of them can be another."""
    await watched.grow(3)
    await watched.look()
    async with watched.house.operations.pool.acquire() as connection, connection.transaction():
        sealer = await lead(connection, 1, ORIGIN, [SIGNER])
        assert sealer is not None
        await tamper_leaf(watched)
        row = {"id": str(uuid7()), "debit": "bank", "credit": "ada", "amount": 1}
        await watched.house.do("ledger.transfers", transfers=[row])
        assert await seal(connection, sealer, NOW) is not None
        await connection.execute("SELECT pg_advisory_unlock_all()")
    assert await watched.alarm() is What.TILES_DIFFER


async def test_a_stranger_at_the_logs_address_is_noticed(watched: Watched) -> None:
    """A checkpoint signed by nobody known is an alarm at first contact already."""
    await watched.grow()
    with pytest.raises(LogAlarm) as raised:
        await watched.look(Reading.TILES, STRANGER)
    assert raised.value.what is What.BAD_CHECKPOINT
    assert not watched.state.exists()
    assert watched.evidence().exists()


async def test_a_log_that_is_away_is_no_alarm(watched: Watched, tmp_path: Path) -> None:
    """Not there, not allowed, nothing sealed yet: it is said, and nothing is kept or lost."""
    with pytest.raises(LogUnreachable, match="nothing is sealed"):
        await watched.look()
    await watched.grow()
    found = await watched.look()
    for url, key in ((watched.url, "tsk_wrong"), ("http://127.0.0.1:9/log", watched.key), ("http://[", watched.key),
                     (watched.url.replace("main", "other"), watched.key)):  # fmt: skip
        async with RemoteLog(url, api_key=key, pause=0.01, trust_env=False) as remote:
            monitor = Monitor(remote, [SIGNER.verifier], watched.state, FixedClock(NOW))
            with pytest.raises(LogUnreachable):
                await monitor.look()
    assert await watched.look() == found
    assert list(tmp_path.glob("*.json")) == []


async def test_a_monitor_follows_and_waits_longer_while_the_log_is_away(watched: Watched) -> None:
    """It goes on after every outcome, alarms included."""
    await watched.grow()
    told: list[str] = []
    enough = asyncio.Event()

    def tell(outcome: Checkpoint | LogAlarm | LogUnreachable) -> None:
        told.append(type(outcome).__name__)
        if len(told) >= 3:
            enough.set()

    async with RemoteLog(watched.url, api_key=watched.key, pause=0.01, trust_env=False) as remote:
        monitor = Monitor(remote, [SIGNER.verifier], watched.state, FixedClock(NOW))
        following = asyncio.create_task(follow(monitor, 0.01, tell))
        async with asyncio.timeout(10):
            await enough.wait()
            await watched.forge_first_leaf()
            await seal_book(watched.house)
            told.clear()
            enough.clear()
            await enough.wait()
        following.cancel()
        await asyncio.gather(following, return_exceptions=True)
    assert told[-1] == "LogAlarm"


async def test_a_state_of_another_log_is_not_taken(watched: Watched) -> None:
    """Whoever mixes two files up is told so, and it is no alarm; nor are keys of two logs one log's."""
    await watched.grow()
    watched.state.write_bytes(checkpoints.sign(Checkpoint("another/log", 1, bytes(32)), [STRANGER]))
    with pytest.raises(InvalidInput):
        await watched.look()
    watched.state.write_text("nonsense")
    with pytest.raises(InvalidInput):
        await watched.look()
    with pytest.raises(InvalidInput):
        await watched.look(Reading.TILES, SIGNER, Signer.generate("another/log"))


async def test_the_command_says_by_its_status_how_it_stands(watched: Watched, tmp_path: Path) -> None:
    """0 is well, 3 an alarm, 4 that it was away; the evidence is judged by a command too."""
    data = tmp_path / "elsewhere"

    async def monitor(url: str = watched.url, key: str = str(SIGNER.verifier)) -> Said:
        return await tallystick("log", "monitor", url, "--key", key, "--state", str(watched.state), "--once",
                                data=data, TALLYSTICK_API_KEY=watched.key)  # fmt: skip

    await watched.grow()
    well = await monitor()
    assert (well.status, well.err) == (0, "")
    assert "3 leaves" in well.out
    away = await monitor("http://127.0.0.1:9/log")
    assert away.status == 4
    await watched.forge_first_leaf()
    await watched.grow()
    alarm = await monitor()
    assert alarm.status == 3
    assert "ALARM" in alarm.err
    assert str(watched.evidence()) in alarm.err.replace("\n", "")
    (tmp_path / "log.pub").write_text(f"{NEW_SIGNER.verifier}\n{SIGNER.verifier}\n")
    judged = await tallystick("log", "judge", str(watched.evidence()), "--key", str(tmp_path / "log.pub"), data=data)
    assert (judged.status, judged.out.strip()) == (0, f"proven: {ORIGIN} was rewritten")
    assert (await monitor(key="nonsense")).status == 1
    assert not data.exists()
    assert stat.S_ISREG(watched.state.stat().st_mode)
