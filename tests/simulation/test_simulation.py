"""The simulation, short: one seed, some faults, one audit; and that the auditor would have found what it looks for."""

import datetime as dt
import random
from collections.abc import Callable
from copy import deepcopy
from dataclasses import replace
from typing import Any

import pytest

from tests.simulation.audit import Audit, Story
from tests.simulation.clocks import JumpingClock
from tests.simulation.facts import Facts
from tests.simulation.merkle import Tree
from tests.simulation.plan import LANES
from tests.simulation.simulate import Report, simulate
from tests.simulation.workload import Workload

SECONDS = 6.0
SEED = random.randrange(2**32)


@pytest.fixture(scope="module")
async def report() -> Report:
    """Run the world once, for this module."""
    print(f"again: make simulate SEED={SEED}")  # noqa: T201 - what to run again when it fails
    return await simulate(SEED, SECONDS)


async def test_the_world_is_hurt_and_the_books_are_right(report: Report) -> None:
    """Whatever was killed: what was acknowledged is there once, limits and holds were kept, and the log proves it."""
    assert not report.problems, "\n".join([f"make simulate SEED={SEED}", *report.problems])
    assert report.faults
    assert report.transfers
    assert {"ledger.posted", "ledger.known"} <= set(report.statuses), report.statuses


def _drop(facts: Facts) -> None:
    """Lose a transfer from the middle of the log, and close the gap."""
    at = len(facts.transfers) // 2
    lost = facts.transfers.pop(at)
    facts.batches[lost.batch_id] -= 1
    for place, one in enumerate(facts.transfers):
        one.place = place


def _double(facts: Facts) -> None:
    """Post a transfer twice."""
    first = facts.transfers[0]
    facts.transfers.append(replace(first, place=len(facts.transfers), position=facts.batches[first.batch_id]))


def _change_amount(facts: Facts) -> None:
    facts.transfers[3].amount += 1


def _forget_message(facts: Facts) -> None:
    facts.messages.pop(next(key for key, one in facts.messages.items() if one.operation == "ledger.transfers"))


def _swap(facts: Facts) -> None:
    """Put the last two batches of the log the other way round."""
    last = facts.transfers[-1].batch_id
    behind = [one for one in facts.transfers if one.batch_id == last]
    facts.transfers[:] = [*behind, *(one for one in facts.transfers if one.batch_id != last)]
    for place, one in enumerate(facts.transfers):
        one.place = place


def _tighten(facts: Facts) -> None:
    """Have had no overdraft on the account that everything comes from."""
    bank = next(account for account in facts.accounts.values() if account.code == "bank")
    bank.limits = [(bank.opened, 0, None)]


def _close(facts: Facts) -> None:
    """Have closed an account before everything."""
    bank = next(account for account in facts.accounts.values() if account.code == "bank")
    bank.closed = bank.opened


def _expire(facts: Facts) -> None:
    """Have let every hold expire before it was used."""
    for one in facts.transfers:
        if one.expires_at is not None:
            one.expires_at = one.recorded_at + 1


def _rewrite_answer(facts: Facts) -> None:
    key = next(key for key, one in facts.messages.items() if b"ledger.posted" in one.answer)
    facts.messages[key].answer = facts.messages[key].answer.replace(b"ledger.posted", b"ledger.known ")


TAMPERINGS: list[tuple[Callable[[Facts], None], str]] = [
    (_drop, "is not a beginning of the log"),
    (_double, "it is there twice"),
    (_change_amount, "is not the hash of what it says"),
    (_forget_message, "is not kept"),
    (_swap, "stands behind batch"),
    (_tighten, "and may not fall below 0"),
    (_close, "was closed before"),
    (_expire, "is not the hash of what it says"),
    (_rewrite_answer, "is kept"),
]


@pytest.mark.parametrize(("tamper", "told"), TAMPERINGS, ids=lambda one: getattr(one, "__name__", ""))
async def test_the_auditor_finds_what_was_tampered_with(
    report: Report, tamper: Callable[[Facts], None], told: str
) -> None:
    """An auditor that finds nothing proves nothing, unless it is shown to find."""
    story = replace(report.story, facts=deepcopy(report.story.facts))
    tamper(story.facts)
    found = Audit(story).run()
    assert any(told in problem for problem in found), found[:5]


async def test_the_auditor_finds_a_wrong_balance_and_a_lost_answer(report: Report) -> None:
    """What the API says and what callers were told is looked at too."""
    balances: dict[str, Any] = deepcopy(report.story.balances)
    balances["bank"]["held"] += 1
    assert any("the balance of bank" in problem for problem in Audit(replace(report.story, balances=balances)).run())
    told = [one for one in report.story.answered if one.answer is not None]
    answered = [*report.story.answered, replace(told[0], key="never sent")]
    assert any("is not kept" in problem for problem in Audit(replace(report.story, answered=answered)).run())


def test_the_story_is_told_by_nobody_else() -> None:
    """A story has all that the audit looks at: a new field is looked at or goes."""
    assert set(Story.__slots__) == {"facts", "answered", "notes", "balances", "public_key"}


def test_a_seed_asks_for_the_same_again() -> None:
    """Two workloads of one seed send the same, wherever one begins to read."""
    begins_at = dt.datetime(2026, 1, 1, tzinfo=dt.UTC)
    first, second = (Workload(7, LANES, begins_at) for _ in range(2))
    for lane in LANES[:3]:
        forth = [first.message(lane, number) for number in range(60)]
        back = [second.message(lane, number) for number in reversed(range(60))]
        assert forth == back[::-1]
    assert Workload(8, LANES, begins_at).message(LANES[0], 5) != first.message(LANES[0], 5)


def test_the_clock_jumps() -> None:
    """The clock is not the machine's: it shows other offsets in other turns."""
    offsets = set()
    for seed in range(40):
        offset = JumpingClock(seed).now() - dt.datetime.now(dt.UTC)
        offsets.add(round(offset.total_seconds()))
    assert len(offsets) > 2


def test_the_auditors_tree_is_the_one_of_the_standard() -> None:
    """The roots of the first trees are those that RFC 6962's own reference publishes."""
    tree = Tree()
    assert tree.root().hex() == "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
    for leaf in (b"", b"\x00", b"\x10"):
        tree.append(leaf)
    assert tree.root().hex() == "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77"
