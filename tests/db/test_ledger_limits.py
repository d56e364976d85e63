"""Limits under pressure: many write to the same limited accounts at once, and no instant of the order breaks a limit."""

import asyncio
import itertools
import random
import sys
from collections import Counter
from collections.abc import AsyncIterator
from functools import partial
from pathlib import Path

import asyncpg
import pytest

from tallystick.db.connect import open_pool
from tallystick.db.queries import Connection
from tallystick.ids import uuid7
from tallystick.journal.model import Message, message
from tallystick.ledger import remember_sums
from tallystick.ledger.accounts import NewAccount
from tallystick.ledger.model import Status, Transfers
from tests.db import drawing_process
from tests.db.posting import Ledgerful, open_ledger, post_and_keep
from tests.simulation.facts import load
from tests.simulation.model import Model

POOLS, TASKS, ROUNDS = 3, 3, 25
LIMITS: dict[str, tuple[int | None, int | None]] = {"purse": (0, None), "jar": (None, 90), "both": (-20, 60)}
_numbers = itertools.count(1)


@pytest.fixture
async def ledgers(database_url: str) -> AsyncIterator[list[Ledgerful]]:
    """Give the same book as several processes see it, each with a pool and a memory of its own."""
    pools = [await open_pool(database_url, size=TASKS + 2) for _ in range(POOLS)]
    first = await open_ledger(pools[0], "bank", "ada")
    await first.open(*(NewAccount(code, "USD", lowest, highest) for code, (lowest, highest) in LIMITS.items()))
    others = [await open_ledger(pool) for pool in pools[1:]]
    for other in others:
        other.accounts = first.accounts
    yield [first, *others]
    for pool in pools:
        await pool.close()


async def draw(
    ledger: Ledgerful, batch: Transfers, asked: Message, connection: Connection, *, ordered_early: bool
) -> list[Status]:
    """Post a batch; *ordered_early*, in a transaction that has its place in the order long before."""
    if ordered_early:
        await connection.execute("SELECT transaction_order()")
    return await post_and_keep(connection, ledger.book, batch, asked)


async def hammer(ledger: Ledgerful, chance: random.Random) -> list[Status]:
    """Post small batches over the limited accounts; some transactions have their place in the order long before."""
    statuses: list[Status] = []
    for _ in range(ROUNDS):
        codes = ["bank", "ada", *LIMITS]
        pairs = [chance.sample(codes, 2) for _ in range(chance.randint(1, 6))]
        rows = [(uuid7(), debit, credit, chance.randint(1, 40)) for debit, credit in pairs]
        batch = ledger.batch(rows)
        asked = message("main", f"hammer-{next(_numbers)}", "ledger.transfers", {})
        ordered_early = chance.random() < 0.5
        statuses += await ledger.transact(partial(draw, ledger, batch, asked, ordered_early=ordered_early))
    return statuses


async def test_no_limit_is_broken_at_any_instant_of_the_sealed_order(
    ledgers: list[Ledgerful], owner: asyncpg.Connection
) -> None:
    """Replaying the log in its order, every balance stays within its limits after every single transfer."""
    seed = random.randrange(2**32)
    print(f"seed {seed}")  # noqa: T201 - what to run again when it fails
    tasks = [
        hammer(ledger, random.Random(f"{seed}-{pool}-{task}"))
        for pool, ledger in enumerate(ledgers)
        for task in range(TASKS)
    ]
    statuses = list(itertools.chain.from_iterable(await asyncio.gather(*tasks)))
    assert {Status.POSTED, Status.LIMIT_EXCEEDED} == set(statuses)
    await ledgers[0].seal()
    rows = await owner.fetch(
        "SELECT debit_account_id, credit_account_id, amount FROM transfer JOIN sealed_batch USING (book_id, batch_id) "
        "ORDER BY first_place + position"
    )
    assert len(rows) == statuses.count(Status.POSTED)
    codes = {account_id: code for code, account_id in ledgers[0].accounts.items()}
    balances = dict.fromkeys(codes.values(), 0)
    for debit, credit, amount in rows:
        for code, change in ((codes[debit], -amount), (codes[credit], amount)):
            balances[code] += change
            lowest, highest = LIMITS.get(code, (None, None))
            assert change > 0 or lowest is None or balances[code] >= lowest
            assert change < 0 or highest is None or balances[code] <= highest
    for code, balance in balances.items():
        assert await ledgers[-1].balance(code) == balance
    assert (await ledgers[0].verify()).ok


async def test_processes_that_hold_and_draw_at_once_never_overspend(
    ledgers: list[Ledgerful], database_url: str
) -> None:
    """
    Three processes move, hold, capture, release and sweep over the same four limited accounts, each with three tasks.

    Judged anew in the order of the log by a ledger that shares no code with this one, no transfer broke a limit that
    counts what is held, and no hold gave more than it had.
    """
    seed = random.randrange(2**32)
    print(f"seed {seed}")  # noqa: T201 - what to run again when it fails
    drawing = {code: limits for code, limits in drawing_process.ACCOUNTS.items() if code not in LIMITS}
    await ledgers[0].open(*(NewAccount(code, "USD", lowest, highest) for code, (lowest, highest) in drawing.items()))
    processes = [
        await asyncio.create_subprocess_exec(
            sys.executable, "-m", "tests.db.drawing_process", database_url, f"{seed}-{number}",
            stdout=asyncio.subprocess.PIPE, cwd=Path(__file__).parents[2],
        )
        for number in range(3)
    ]  # fmt: skip
    told = [(await process.communicate())[0].decode().split() for process in processes]
    assert [process.returncode for process in processes] == [0, 0, 0]
    statuses = Counter(itertools.chain.from_iterable(told))
    assert {"POSTED", "LIMIT_EXCEEDED", "HOLD_ENDED", "EXCEEDS_HOLD"} <= set(statuses), statuses
    await ledgers[0].seal()
    facts = await load(database_url)
    model = Model(facts.accounts)
    for transfer in facts.transfers:
        model.take(transfer)
    assert len(facts.transfers) == statuses["POSTED"]
    assert model.problems == []
    for account in facts.accounts.values():
        sums, found = model.sums[account.id], await ledgers[1].find(account.code)
        assert (found.balance, found.held, found.incoming) == (sums.balance, sums.held, sums.incoming)


async def test_a_hundred_draws_at_once_take_no_more_than_there_is(ledgers: list[Ledgerful]) -> None:
    """Of a hundred debits of one unit from a purse of thirty, sent at once, exactly thirty are posted."""
    await ledgers[0].move(("bank", "purse", 30))
    draws = [ledgers[number % POOLS].move(("purse", "ada", 1)) for number in range(100)]
    statuses = [status for (status,) in await asyncio.gather(*draws)]
    assert statuses.count(Status.POSTED) == 30
    assert await ledgers[1].balance("purse") == 0


async def test_a_transaction_ordered_earlier_that_comes_later_is_run_again(ledgers: list[Ledgerful]) -> None:
    """Who has an early place in the order but draws late may not overdraw an instant in between: it takes a later place."""
    first, second = ledgers[:2]
    await first.move(("bank", "purse", 10))
    orders: list[int] = []

    async def early(connection: Connection) -> list[Status]:
        orders.append(await connection.fetchval("SELECT transaction_order()"))
        if len(orders) == 1:
            assert await second.move(("purse", "ada", 4)) == [Status.POSTED]
        batch = first.batch([(uuid7(), "purse", "ada", 6)])
        return await post_and_keep(connection, first.book, batch, message("main", "early", "ledger.transfers", {}))

    assert await first.transact(early) == [Status.POSTED]
    assert len(orders) == 2
    assert await first.balance("purse") == 0


async def test_what_is_ordered_later_is_not_there_to_be_spent(ledgers: list[Ledgerful]) -> None:
    """A deposit with a later place in the order does not cover a debit with an earlier one."""
    first, second = ledgers[:2]

    async def early(connection: Connection) -> list[Status]:
        await connection.execute("SELECT transaction_order()")
        assert await second.move(("bank", "purse", 10)) == [Status.POSTED]
        batch = first.batch([(uuid7(), "purse", "ada", 6)])
        return await post_and_keep(connection, first.book, batch, message("main", "spend", "ledger.transfers", {}))

    assert await first.transact(early) == [Status.LIMIT_EXCEEDED]


async def test_a_wider_limit_is_not_in_force_before_its_place(ledgers: list[Ledgerful]) -> None:
    """Who has an early place may not draw on a credit line granted at a later one: it takes a place behind it."""
    first, second = ledgers[:2]
    orders: list[int] = []

    async def early(connection: Connection) -> list[Status]:
        orders.append(await connection.fetchval("SELECT transaction_order()"))
        if len(orders) == 1:
            await second.limit("purse", -100, None)
        batch = first.batch([(uuid7(), "purse", "ada", 6)])
        return await post_and_keep(connection, first.book, batch, message("main", "wider", "ledger.transfers", {}))

    answer = await first.transact(early)
    assert (answer, len(orders)) in [([Status.POSTED], 2), ([Status.LIMIT_EXCEEDED], 1)]


async def test_an_account_is_not_used_before_the_place_where_it_was_opened(ledgers: list[Ledgerful]) -> None:
    """Who has an early place and uses an account that was opened at a later one takes a place behind the opening."""
    first, second = ledgers[:2]
    orders: list[int] = []

    async def early(connection: Connection) -> list[Status]:
        orders.append(await connection.fetchval("SELECT transaction_order()"))
        if len(orders) == 1:
            await second.open(NewAccount("new", "USD"))
            first.accounts.update(second.accounts)
        batch = first.batch([(uuid7(), "bank", "new", 6)])
        return await post_and_keep(connection, first.book, batch, message("main", "opened", "ledger.transfers", {}))

    assert await first.transact(early) == [Status.POSTED]
    assert len(orders) == 2


async def test_forgetting_pages_disturbs_nobody_who_is_reading_them(
    ledgers: list[Ledgerful], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A process that remembers too many pages of balances forgets them while others judge by them, harmlessly."""
    ledger = ledgers[0]
    codes = [f"customers/{number}" for number in range(64)]
    await ledger.open(*(NewAccount(code, "USD", min_balance=0) for code in codes))
    monkeypatch.setattr(remember_sums, "_MOST_PAGES", 1)

    async def move(code: str) -> list[Status]:
        return await ledger.move(("bank", code, 5)) + await ledger.move((code, "ada", 3), (code, "ada", 3))

    answers = await asyncio.gather(*(move(code) for code in codes))
    assert answers == [[Status.POSTED, Status.POSTED, Status.LIMIT_EXCEEDED]] * len(codes)


async def test_limits_hold_whatever_isolation_the_database_is_set_to(
    database_url: str, owner: asyncpg.Connection
) -> None:
    """An operator's PostgreSQL may default to REPEATABLE READ, under which a balance would be read from before the lock."""
    name = await owner.fetchval("SELECT current_database()")
    await owner.execute(f"ALTER DATABASE {name} SET default_transaction_isolation = 'repeatable read'")
    pool = await open_pool(database_url, size=6)
    try:
        ledger = await open_ledger(pool, "bank", "ada")
        await ledger.open(NewAccount("purse", "USD", min_balance=0))
        await ledger.move(("bank", "purse", 10))
        await asyncio.gather(*(ledger.move(("purse", "ada", 10)) for _ in range(5)))
        assert await ledger.balance("purse") == 0
    finally:
        await pool.close()
