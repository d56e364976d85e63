"""
Reading the ledger: a balance now, a balance at a past instant, a page of history, each from one connection.

The ledger is filled first as a busy one is: batches of 8,192 over 10,000 accounts from two processes, sealed by a third,
recorded over hours of ledger time. Then each question is asked of random accounts and instants, one after the other.
"""

import datetime as dt
import time
from collections.abc import Awaitable, Callable
from multiprocessing.synchronize import Barrier

import numpy as np

from bench.ledger_race import NOW, Task, make_batch, require
from tallystick.db.connect import open_pool
from tallystick.db.queries import Connection
from tallystick.journal.keep import ToKeep, keep
from tallystick.journal.model import message
from tallystick.ledger.accounts import Recorded
from tallystick.ledger.books import find_book
from tallystick.ledger.post import Ledger, post
from tallystick.ledger.reading.account_tree import list_children
from tallystick.ledger.reading.balance import find_balance
from tallystick.ledger.reading.history import Asked, Turn, page_history
from tallystick.ledger.reading.statement import state

ASKED = 1_000
"""How often each question is asked."""
ASKED_WIDE = 20
WARM_UP = 100
PAGE = 100
BETWEEN = dt.timedelta(seconds=30)
"""So much of the ledger's time lies between two batches of a process."""


async def post_over_time(task: Task, barrier: Barrier) -> list[float]:
    """Post batches that are recorded over hours; return when each was done."""
    pool = await open_pool(task.url, size=1)
    ledger = Ledger(task.book_id)
    chance, begin = np.random.default_rng(task.number), time.time_ns() // 1_000_000
    done: list[float] = []
    async with pool.acquire() as connection:
        barrier.wait()
        for at in range(task.mix.batches):
            batch = make_batch(task, chance, begin, at)
            recorded = Recorded(task.book_id, 0, NOW + at * BETWEEN)
            asked = message("bench", f"{task.number}-{at}", "ledger.transfers", {"batch": at})
            async with connection.transaction():
                outcomes = await post(connection, ledger, batch, recorded, np.frombuffer(asked.hash, "V32"))
                kept = ToKeep(0, asked, "bench", refused=False, answer=b"{}")
                await keep(connection, task.book_id, [kept], recorded.at)
            require(not outcomes.statuses.any())
            done.append(time.monotonic())
    await pool.close()
    return done


QUESTIONS = ("balance", "balance_at", "history", "history_back", "balance_effective", "statement")
"""What is asked; the first three are the figure."""
WIDE = ("history_below", "tree")
"""What is asked of all accounts at once."""


async def measure_reads(url: str, book: str) -> dict[str, float]:
    """Ask each question of the ledger at *url*; return p50 and p99 of each in milliseconds."""
    pool = await open_pool(url, size=1)
    chance = np.random.default_rng(1)
    async with pool.acquire() as connection:
        asking = await _Asking.of(connection, book, chance)
        found: dict[str, float] = {}
        for name in QUESTIONS:
            question = getattr(asking, name)
            for _ in range(WARM_UP):
                await question()
            took = sorted([await _time(question) for _ in range(ASKED)])
            found[f"{name}_p50"], found[f"{name}_p99"] = took[ASKED // 2], took[ASKED * 99 // 100]
        for name in WIDE:
            took = sorted([await _time(getattr(asking, name)) for _ in range(ASKED_WIDE)])
            found[f"{name}_p50"] = took[ASKED_WIDE // 2]
    await pool.close()
    return found


async def _time(question: Callable[[], Awaitable[object]]) -> float:
    begin = time.perf_counter()
    await question()
    return (time.perf_counter() - begin) * 1000


class _Asking:
    """Asks questions about random accounts of a book at random instants."""

    def __init__(
        self, connection: Connection, ledger: Ledger, codes: list[str], period: tuple[dt.datetime, dt.datetime],
        chance: np.random.Generator,
    ) -> None:  # fmt: skip
        self.connection, self.ledger, self.codes, self.period, self.chance = connection, ledger, codes, period, chance

    @classmethod
    async def of(cls, connection: Connection, book: str, chance: np.random.Generator) -> "_Asking":
        """Look up which accounts there are, and from when to when the ledger goes."""
        found = await find_book(connection, book)
        codes = [row[0] for row in await connection.fetch(
            "SELECT code FROM account WHERE book_id = $1 ORDER BY account_id", found.book_id)]  # fmt: skip
        ends = [await connection.fetchval(query, found.book_id) for query in (
            "SELECT min(settled_at) FROM sealed_batch WHERE book_id = $1",
            "SELECT max(settled_at) FROM sealed_batch WHERE book_id = $1")]  # fmt: skip
        return cls(connection, Ledger(found.book_id), codes, (ends[0], ends[1]), chance)

    def code(self) -> str:
        """Pick an account."""
        return self.codes[int(self.chance.integers(len(self.codes)))]

    def at(self) -> dt.datetime:
        """Pick an instant."""
        first, last = self.period
        return first + (last - first) * float(self.chance.random())

    async def balance(self) -> None:
        """Ask for a balance now."""
        await find_balance(self.connection, self.ledger, self.code())

    async def balance_at(self) -> None:
        """Ask for a balance at a past instant."""
        await find_balance(self.connection, self.ledger, self.code(), self.at())

    async def balance_effective(self) -> None:
        """Ask for a balance at a past instant by effective time."""
        await find_balance(self.connection, self.ledger, self.code(), self.at(), "effective")

    async def history(self) -> None:
        """Ask for a page from a past instant on."""
        since = self.period[0] + (self.at() - self.period[0]) / 2  # so that a whole page lies behind it
        asked = Asked(self.code(), since=since)
        page = await page_history(self.connection, self.ledger.book_id, asked, Turn(limit=PAGE))
        require(len(page.items) == PAGE)

    async def history_back(self) -> None:
        """Ask for the last page."""
        page = await page_history(self.connection, self.ledger.book_id, Asked(self.code()), Turn(last=True, limit=PAGE))
        require(len(page.items) == PAGE)

    async def history_below(self) -> None:
        """Ask for a page of everything there is from a past instant on."""
        asked = Asked("account", below=True, since=self.at())
        await page_history(self.connection, self.ledger.book_id, asked, Turn(limit=PAGE))

    async def statement(self) -> None:
        """Ask for a statement."""
        since = self.at()
        asked = Asked(self.code(), since=since, until=since + dt.timedelta(hours=1))
        await state(self.connection, self.ledger.book_id, asked, since, since + dt.timedelta(hours=1), Turn(limit=PAGE))

    async def tree(self) -> None:
        """Ask for the roots of the chart of accounts, with everything rolled up."""
        await list_children(self.connection, self.ledger.book_id, "", "", 100)
