"""The ledger against a small model of it: whatever Hypothesis thinks of, both say the same."""

import asyncio
import copy
import itertools
import random
from collections import Counter
from dataclasses import dataclass, field, replace

import asyncpg
import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule, run_state_machine_as_test

from tallystick.db.connect import open_pool
from tallystick.db.embedded import EmbeddedServer
from tallystick.ledger.accounts import NewAccount
from tallystick.ledger.errors import GroupFailed
from tallystick.ledger.model import Outcomes, Status
from tallystick.ledger.post import LOOK_UP_FIRST
from tests.conftest import TEMPLATE, url_of
from tests.db.posting import open_ledger
from tests.db.tables import Table

_numbers = itertools.count(1)
ACCOUNTS: dict[str, tuple[int | None, int | None]] = {
    "bank": (None, None), "ada": (None, None), "purse": (0, None), "line": (-20, None), "jar": (None, 25),
    "both": (-5, 15),
}  # fmt: skip
"""Lowest and highest balance by code."""


@dataclass(frozen=True)
class Asked:
    """A transfer of any kind; of a *kind* that relates to another, *other* is the name of that one."""

    name: str
    kind: str
    debit: str = ""
    credit: str = ""
    amount: int = 0
    other: str = ""
    until: int | None = None
    reference: str = ""

    def words(self) -> list[str]:
        """Write it as a line of a table."""
        more = [] if self.until is None else [f"until={self.until}"]
        more += [f"reference={self.reference}"] if self.reference else []
        if self.other:
            return [self.name, self.kind, self.other, *([str(self.amount)] if self.amount else []), *more]
        return [self.name, self.kind, self.debit, self.credit, str(self.amount), *more]


@dataclass
class Sums:
    """An account of the model."""

    lowest: int | None
    highest: int | None
    closed: bool = False
    balance: int = 0
    held: int = 0
    incoming: int = 0


@dataclass
class Posted:
    """A transfer of the model, with its accounts and what it moved; of a hold, what is left."""

    asked: Asked
    debit: str
    credit: str
    amount: int
    left: int = 0
    ended: bool = False
    reversed: bool = False


@dataclass
class SmallLedger:
    """What the ledger does, one transfer after the other, in few words."""

    accounts: dict[str, Sums]
    posted: dict[str, Posted] = field(default_factory=dict)
    at: int = 0

    def take(self, asked: Asked) -> tuple[str, int]:
        """Judge a transfer and do it; return its status and the amount."""
        if asked.name in self.posted:
            first = self.posted[asked.name]
            return ("known", first.amount) if first.asked == asked else ("id_conflict", 0)
        if asked.amount < (0 if asked.other else 1):
            return "amount_not_positive", 0
        if asked.kind == "hold" and asked.until is not None and asked.until <= self.at:
            return "expires_too_early", 0
        other = self.posted.get(asked.other)
        status = self._judge_relation(asked, other) if asked.other else None
        if status is not None:
            return status, 0
        debit, credit = self._sides(asked, other)
        status = self._judge_accounts(asked, debit, credit) or self._judge_use(asked, other)
        if status is not None:
            return status, 0
        return self._move(asked, other, debit, credit)

    def _judge_relation(self, asked: Asked, other: Posted | None) -> str | None:
        if asked.kind != "reverse":
            return None if other is not None and other.asked.kind == "hold" else "unknown_hold"
        if other is None:
            return "unknown_transfer"
        if other.asked.kind not in {"transfer", "sweep", "capture"}:
            return "not_reversible"
        return "already_reversed" if other.reversed else None

    def _sides(self, asked: Asked, other: Posted | None) -> tuple[str, str]:
        if other is None or not asked.other:
            return asked.debit, asked.credit
        return (other.credit, other.debit) if asked.kind == "reverse" else (other.debit, other.credit)

    def _judge_accounts(self, asked: Asked, debit: str, credit: str) -> str | None:
        if debit == credit:
            return "same_account"
        for side, code in (("debit", debit), ("credit", credit)):
            if code not in self.accounts:
                return f"unknown_{side}_account"
        for side, code in (("debit", debit), ("credit", credit)):
            if self.accounts[code].closed and asked.kind not in {"release", "expire"}:
                return f"{side}_account_closed"
        return None

    def _judge_use(self, asked: Asked, hold: Posted | None) -> str | None:
        if asked.kind not in {"capture", "release", "expire"} or hold is None:
            return None
        expired = hold.asked.until is not None and hold.asked.until <= self.at
        if hold.ended:
            return "hold_ended"
        if asked.kind == "capture" and expired:
            return "hold_expired"
        if asked.kind == "expire" and not expired:
            return "expires_too_early"
        return "exceeds_hold" if asked.amount > hold.left else None

    def _move(self, asked: Asked, other: Posted | None, debit: str, credit: str) -> tuple[str, int]:
        falls, rises = self.accounts[debit], self.accounts[credit]
        amount = asked.amount
        if asked.kind in {"capture", "release", "expire"} and other is not None:
            amount = asked.amount or other.left
            self._use(asked, other, falls, rises, amount)
        else:
            room = [falls.balance - falls.held - falls.lowest] if falls.lowest is not None else []
            room += [rises.highest - rises.balance - rises.incoming] if rises.highest is not None else []
            if asked.kind == "reverse" and other is not None:
                amount = other.amount
            if asked.kind == "sweep":
                amount = min([amount, *room])
                if amount <= 0:
                    return "nothing_to_move", 0
            elif any(amount > one for one in room):
                return "limit_exceeded", 0
            if asked.kind == "hold":
                falls.held += amount
                rises.incoming += amount
            else:
                falls.balance -= amount
                rises.balance += amount
            if asked.kind == "reverse" and other is not None:
                other.reversed = True
        self.posted[asked.name] = Posted(asked, debit, credit, amount, left=amount)
        return "posted", amount

    @staticmethod
    def _use(asked: Asked, hold: Posted, falls: Sums, rises: Sums, amount: int) -> None:
        falls.held -= amount
        rises.incoming -= amount
        if asked.kind == "capture":
            falls.balance -= amount
            rises.balance += amount
        hold.left -= amount
        hold.ended = asked.kind != "capture" or hold.left == 0


_CODES = ["bank", "bank", *ACCOUNTS, "purse", "jar", "late", "nobody"]
_KINDS = {"transfer": 6, "hold": 6, "sweep": 2, "capture": 6, "release": 1, "expire": 1, "reverse": 3}
seeds = st.integers(0, 2**32 - 1)
"""What a batch is made from: drawn field by field, too few of its transfers would have to do with each other."""


def draw(chance: random.Random, posted: list[Asked], beside: list[Asked]) -> Asked:
    """
    Make a transfer of any kind, most often a new one, and most often about one that it may be about.

    That is *posted*, or *beside* it: before it in the same batch. Only what is posted is ever expired.
    """
    kind = chance.choices(list(_KINDS), list(_KINDS.values()))[0]
    there = posted if kind == "expire" else posted + beside
    name = chance.choice(there).name if there and chance.random() < 0.1 else f"T{next(_numbers)}"
    reference = chance.choice(["", "", "", "x"])
    if kind in {"transfer", "hold", "sweep"}:
        amount = chance.choice([1, 2, 3, 5, 8, 13, 21]) if chance.random() < 0.95 else chance.choice([0, -1])
        until = chance.choice([None, None, 0, 5, 10]) if kind == "hold" else None
        debit = chance.choice(_CODES)
        credit = chance.choice(_CODES if debit in ACCOUNTS else [*ACCOUNTS])  # one that is unknown is enough
        return Asked(name, kind, debit, credit, amount, "", until, reference)
    wanted = {"transfer", "sweep", "capture"} if kind == "reverse" else {"hold"}
    fit = [one for one in there if one.kind in wanted][-4:]
    if kind != "expire" and chance.random() < 0.1:
        fit = there
    if kind == "expire" and not fit:
        kind = "release"
    amount = chance.choice([0, 1, 2, 3, 8]) if kind == "capture" else 0
    return Asked(name, kind, amount=amount, other=chance.choice(fit).name if fit else "nothing", reference=reference)


class LedgerMachine(RuleBasedStateMachine):
    """A book of its own, and the model beside it."""

    pool: asyncpg.Pool
    runner: asyncio.Runner

    @initialize()
    def begin(self) -> None:
        """Open the book with its accounts."""
        ledger = self.runner.run(open_ledger(self.pool, "filler", "drain", name=f"book-{next(_numbers)}"))
        self.table, self.model = Table(ledger), SmallLedger({})
        self.open(ACCOUNTS)

    def open(self, wanted: dict[str, tuple[int | None, int | None]]) -> None:
        """Open accounts in both."""
        opened = [NewAccount(code, "USD", lowest, highest) for code, (lowest, highest) in wanted.items()]
        self.runner.run(self.table.ledger.open(*opened))
        self.model.accounts |= {
            code: Sums(*limits) for code, limits in wanted.items() if code not in self.model.accounts
        }

    @rule(seed=seeds, beside=st.sampled_from([0, 0, 0, LOOK_UP_FIRST + 1]))
    def post(self, seed: int, beside: int) -> None:
        """Post a batch; a large one goes another way."""
        items = self.draw(seed, 30)
        outcomes = self._post(items, beside, group=False)
        assert self._told(outcomes, beside) == [self.model.take(one) for one in items]

    @rule(seed=seeds, beside=st.sampled_from([0, 0, 0, LOOK_UP_FIRST + 1]))
    def post_group(self, seed: int, beside: int) -> None:
        """Post a group: whole or not at all."""
        items = self.draw(seed, 4)
        after = copy.deepcopy(self.model)
        expected = [after.take(one) for one in items]
        failed = [place for place, (status, _) in enumerate(expected) if status not in {"posted", "known"}]
        if failed:
            with pytest.raises(GroupFailed) as refused:
                self._post(items, beside, group=True)
            assert refused.value.field == f"transfers[{failed[0] + beside}]"
            assert f"ledger.{expected[failed[0]][0]}" in refused.value.message
        else:
            assert self._told(self._post(items, beside, group=True), beside) == expected
            self.model = after

    @rule(seed=seeds)
    def post_again(self, seed: int) -> None:
        """Post what was posted before, and another under its name."""
        if self.model.posted:
            before = random.Random(seed).choice([*self.model.posted.values()]).asked
            changed = replace(self.draw(seed, 1)[0], name=before.name)
            outcomes = self._post([before, changed], 0, group=False)
            assert self._told(outcomes, 0) == [self.model.take(before), self.model.take(changed)]

    @rule(code=st.sampled_from(["ada", "purse", "both", "late"]), later=st.booleans())
    def close(self, code: str, *, later: bool) -> None:
        """Close an account, seldom."""
        account = self.model.accounts.get(code)
        if later and account is not None and not account.closed:
            self.runner.run(self.table.ledger.close(code))
            account.closed = True

    @rule(lowest=st.sampled_from([None, 0, None]), highest=st.sampled_from([None, 30]))
    def open_late(self, lowest: int | None, highest: int | None) -> None:
        """Open an account that transfers may have named already."""
        if "late" not in self.model.accounts:
            self.open({"late": (lowest, highest)})

    @rule(
        code=st.sampled_from([*ACCOUNTS]),
        lowest=st.sampled_from([None, 0, -5, -20]),
        highest=st.sampled_from([None, 0, 25]),
    )
    def limit(self, code: str, lowest: int | None, highest: int | None) -> None:
        """Give an account other limits."""
        account = self.model.accounts[code]
        if not account.closed:
            self.runner.run(self.table.ledger.limit(code, lowest, highest))
            account.lowest, account.highest = lowest, highest

    @rule(at=st.sampled_from([-3, 0, 4, 5, 9, 10, 60]))
    def set_clock(self, at: int) -> None:
        """Put the clock forward or back."""
        self.model.at = at
        self.runner.run(self.table.play(f"clock {at}"))

    @rule()
    def seal(self) -> None:
        """Seal what is posted."""
        self.runner.run(self.table.ledger.seal())

    @invariant()
    def balances_are_the_models(self) -> None:
        """Every account has in the ledger what it has in the model."""
        for code, sums in self.model.accounts.items():
            found = self.runner.run(self.table.ledger.find(code))
            assert (code, found.balance, found.held, found.incoming) == (code, sums.balance, sums.held, sums.incoming)

    def draw(self, seed: int, most: int) -> list[Asked]:
        """Make a batch of at most so many."""
        chance = random.Random(seed)
        posted = [one.asked for one in self.model.posted.values()]
        made: list[Asked] = []
        for _ in range(chance.randint((most + 2) // 3, most)):
            made.append(draw(chance, posted, made))
        return made

    def teardown(self) -> None:
        """Verify what is left."""
        if hasattr(self, "table"):
            self.seal()
            found = self.runner.run(self.table.ledger.verify())
            assert found.ok, found.findings

    def _post(self, items: list[Asked], beside: int, *, group: bool) -> Outcomes:
        fillers = [["-", "filler", "drain", "1"]] * beside
        return self.runner.run(
            self.table.ledger.judge(self.table.batch([*fillers, *(one.words() for one in items)]), group=group)
        )

    @staticmethod
    def _told(outcomes: Outcomes, beside: int) -> list[tuple[str, int]]:
        """Return status and amount of each; the amount of what was refused says nothing."""
        statuses = [Status(one) for one in outcomes.statuses[beside:].tolist()]
        told = zip(statuses, outcomes.amounts[beside:].tolist(), strict=True)
        return [(status.name.lower(), amount if status.done else 0) for status, amount in told]


async def _as_superuser(server: EmbeddedServer, statement: str) -> None:
    connection = await asyncpg.connect(url_of(server, "postgres"))
    try:
        await connection.execute(statement)
    finally:
        await connection.close()


def test_the_ledger_does_what_its_model_does(server: EmbeddedServer) -> None:
    """Whatever is posted in whatever order, statuses, amounts and balances are those of a ledger in plain dicts."""
    chosen = settings(
        max_examples=20, stateful_step_count=12, print_blob=True, deadline=None, phases=[Phase.generate],
        suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.filter_too_much],
    )  # fmt: skip
    with asyncio.Runner(loop_factory=asyncio.new_event_loop) as runner:
        runner.run(_as_superuser(server, f"CREATE DATABASE machine TEMPLATE {TEMPLATE} STRATEGY FILE_COPY"))
        pool = runner.run(open_pool(url_of(server, "machine"), size=2))
        try:
            machine = type("LedgerMachine", (LedgerMachine,), {"pool": pool, "runner": runner})
            run_state_machine_as_test(machine, settings=chosen)
        finally:
            runner.run(pool.close())
            runner.run(_as_superuser(server, "DROP DATABASE machine WITH (FORCE)"))


@pytest.mark.parametrize("seed", [1, 2])
async def test_what_comes_first_may_be_drawn_in_the_same_batch(pool: asyncpg.Pool, seed: int) -> None:
    """Fresh accounts get and give in one batch, in any order: each transfer is judged as if it came alone."""
    chance = random.Random(seed)
    ledger = await open_ledger(pool, "bank")
    limits: dict[str, tuple[int | None, int | None]] = {"purse": (0, None), "other": (0, None), "both": (-3, 12)}
    trials = [{f"{code}-{trial}": bounds for code, bounds in limits.items()} for trial in range(150)]
    await ledger.open(*(NewAccount(code, "USD", *bounds) for own in trials for code, bounds in own.items()))
    table, statuses = Table(ledger), Counter[str]()
    for trial, own in enumerate(trials):
        model = SmallLedger({"bank": Sums(None, None), **{code: Sums(*bounds) for code, bounds in own.items()}})
        items: list[Asked] = []
        for _ in range(chance.randint(2, 8)):
            debit, credit = chance.sample(["bank", "bank", *own], 2)
            if debit != credit:
                kind = chance.choice(["transfer"] * 5 + ["hold"])
                items.append(Asked(f"{trial}-{len(items)}", kind, debit, credit, chance.randint(1, 12)))
        if items and chance.random() < 0.5:  # it comes again, and moves nothing
            again = chance.randrange(len(items))
            items.insert(again + 1, items[again])
        outcomes = await ledger.judge(table.batch([one.words() for one in items]))
        found = [Status(one).name.lower() for one in outcomes.statuses.tolist()]
        assert (trial, found) == (trial, [model.take(one)[0] for one in items]), items
        statuses.update(found)
    assert statuses["limit_exceeded"] > 100
    assert statuses["posted"] > 200
