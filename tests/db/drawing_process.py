"""
A process that draws on limited accounts: ``python -m tests.db.drawing_process URL SEED`` on accounts, with all there is.

``python -m tests.db.drawing_process URL 2024-02-01T00:00:00+00:00`` bills the subscriptions of ``main`` until then, which
draws on wallets. It tells each chunk when it is committed, and goes on when it is told a line.
"""

import asyncio
import datetime as dt
import random
import sys

from tallystick.clock import FixedClock
from tallystick.db.connect import open_pool
from tallystick.ledger.model import Status
from tallystick.operations.run import Operations
from tallystick.operations.subscription_run import run_subscriptions
from tallystick.operations.table import TABLE
from tallystick.security.model import OPERATOR
from tests.db.posting import Ledgerful, open_ledger
from tests.db.tables import Table

ACCOUNTS = {"purse": (0, None), "line": (-60, None), "jar": (None, 90), "both": (-20, 60)}
"""The limited accounts, with lowest and highest balance; ``bank`` and ``ada`` are not limited."""
TASKS, ROUNDS = 3, 30
_CODES = ["bank", "bank", "ada", *ACCOUNTS]


def rows(chance: random.Random, holds: list[str], names: str) -> list[list[str]]:
    """Make a small batch; *holds* are those that were sent, and what is held now is added to them."""
    made = []
    for place in range(chance.randint(1, 6)):
        name, kind = f"{names}{place}", chance.choice(["move", "move", "hold", "hold", "sweep", "use", "use"])
        if kind == "use" and holds:
            use = chance.choice(["capture", "capture", "release"])
            more = [str(chance.randint(1, 30))] if use == "capture" and chance.random() < 0.7 else []
            made.append([name, use, chance.choice(holds[-12:]), *more])
            continue
        debit, credit = chance.sample(_CODES, 2)
        if debit == credit:
            continue
        words = [] if kind in {"move", "use"} else [kind]
        made.append([name, *words, debit, credit, str(chance.randint(1, 40))])
        if kind == "hold":
            holds.append(name)
    return made or [[f"{names}0", "bank", "purse", "5"]]


async def draw(ledger: Ledgerful, chance: random.Random, name: str) -> None:
    """Post batch after batch, and tell the statuses."""
    table, holds = Table(ledger), list[str]()
    for number in range(ROUNDS):
        outcomes = await ledger.judge(table.batch(rows(chance, holds, f"{name}-{number}-")))
        sys.stdout.write("".join(f"{Status(status).name}\n" for status in outcomes.statuses.tolist()))


def _tell(stage: str, done: int) -> None:
    """Say what is committed, and wait."""
    sys.stdout.write(f"{stage} {done}\n")
    sys.stdout.flush()
    sys.stdin.readline()


async def bill(url: str, until: dt.datetime) -> None:
    """Bill all that is due."""
    pool = await open_pool(url, size=1)
    await run_subscriptions(Operations(pool, FixedClock(until), TABLE), OPERATOR, "main", until, progress=_tell)
    await pool.close()


async def main(url: str, seed: str) -> None:
    """Draw with several tasks at once."""
    pool = await open_pool(url, size=TASKS)
    ledger = await open_ledger(pool)
    async with pool.acquire() as connection:
        found = await connection.fetch("SELECT code, account_id FROM account")
    ledger.accounts = {row["code"]: row["account_id"] for row in found}
    await asyncio.gather(*(draw(ledger, random.Random(f"{seed}/{task}"), f"{seed}-{task}") for task in range(TASKS)))
    await pool.close()


if __name__ == "__main__":
    asyncio.run(
        bill(sys.argv[1], dt.datetime.fromisoformat(sys.argv[2])) if ":" in sys.argv[2] else main(*sys.argv[1:3])
    )
