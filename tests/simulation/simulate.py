"""One run: a seed, a world, faults for a while, and the audit."""

import asyncio
import contextlib
import datetime as dt
import random
import shutil
import tempfile
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import asyncpg

from tests.simulation.audit import Audit, Story, read_answered
from tests.simulation.facts import Facts, load
from tests.simulation.plan import LANES
from tests.simulation.workload import Workload
from tests.simulation.world import World

_SEALED_SECONDS = 60


@dataclass(frozen=True, slots=True)
class Report:
    """What came of a run."""

    seed: int
    messages: int
    transfers: int
    statuses: Counter[str]
    """What callers were answered, by code."""
    faults: list[str]
    problems: list[str]
    story: Story

    def line(self) -> str:
        """Tell it in one line."""
        found = f"{len(self.problems)} PROBLEMS" if self.problems else "the audit finds nothing"
        faults = ", ".join(f"{count} {fault}" for fault, count in sorted(Counter(self.faults).items()))
        return f"seed {self.seed}: {self.messages} messages, {self.transfers} transfers, killed: {faults}; {found}"


async def simulate(seed: int, seconds: float) -> Report:
    """Run the world of *seed* for *seconds* and audit it; a run with problems leaves its directory for study."""
    directory = Path(tempfile.mkdtemp(prefix=f"tallystick-simulation-{seed}-"))
    directory.chmod(0o755)
    world = World(directory, seed, random.Random(f"{seed}/faults"))
    try:
        report = await _run(world, seed, seconds)
    except BaseException:
        await world.end()
        raise
    await world.end()
    if report.problems:
        report.problems.append(f"what is left of it lies in {directory}")
    else:
        shutil.rmtree(directory)
    return report


async def _run(world: World, seed: int, seconds: float) -> Report:
    await world.begin(Workload(seed, LANES, dt.datetime.now(dt.UTC)))
    watching = asyncio.create_task(world.watch())
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            await world.hurt()
    await world.settle()
    watching.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await watching
    facts, balances = await _read_at_rest(world)
    world.problems += await world.verify()
    answered, faults = read_answered((lane, world.plan.journal(lane)) for lane in LANES)
    public_key = (world.data / "keys" / "main.pub").read_text().split()[0]
    story = Story(facts, answered, world.notes, balances, public_key)
    problems = [*faults, *world.problems, *Audit(story).run()]
    statuses = Counter(status for one in answered for status in _statuses(one.answer, one.code))
    return Report(seed, len(answered), len(facts.transfers), statuses, world.befell, problems, story)


def _statuses(answer: str | None, code: str | None) -> list[str]:
    """Return the codes of an answer."""
    if answer is None:
        return [code or ""]
    return [part.split('"', 1)[0] for part in answer.split('"status":"')[1:]]


async def _read_at_rest(world: World) -> tuple[Facts, dict[str, dict[str, Any]]]:
    """Read facts, balances and the newest checkpoint of one state: holds go on expiring, so until nothing came between."""
    async with asyncio.timeout(_SEALED_SECONDS):
        while True:
            await _await_sealed(world.plan.url)
            before = await load(world.plan.url)
            balances, note = await world.balances(), await world.newest_note()
            facts = await load(world.plan.url)
            if len(facts.transfers) == len(before.transfers):
                world.notes.append(note)
                return facts, balances


async def _await_sealed(url: str) -> None:
    """Await that all that was posted stands in the log."""
    async with asyncio.timeout(_SEALED_SECONDS):
        while True:
            with contextlib.suppress(OSError, asyncpg.PostgresError):
                connection = await asyncpg.connect(url, server_settings={"search_path": "tallystick"})
                unsealed = await connection.fetchval(
                    "SELECT count(*) FROM batch LEFT JOIN sealed_batch USING (book_id, batch_id) WHERE first_place IS NULL"
                )
                await connection.close()
                if not unsealed:
                    return
            await asyncio.sleep(0.1)
