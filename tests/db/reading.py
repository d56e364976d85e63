"""A ledger with a past: random transfers at random instants, and what its balances must be, counted one by one."""

import datetime as dt
import random
import uuid
from dataclasses import dataclass, field

import numpy as np

from tallystick.db.queries import Connection
from tallystick.ids import uuid7
from tallystick.ledger.accounts import Recorded
from tallystick.ledger.model import Batch, Reason, Transfers, microseconds, transfers
from tallystick.ledger.post import post
from tests.db.posting import NOW, Ledgerful

SECOND = dt.timedelta(seconds=1)
_HASH = np.frombuffer(bytes(32), "V32")


@dataclass(frozen=True, slots=True)
class Told:
    """What was posted, as its sender would tell it."""

    transfer_id: uuid.UUID
    debit: str
    credit: str
    amount: int
    recorded_at: dt.datetime
    effective_at: dt.datetime | None

    def counts_at(self, by: str) -> dt.datetime:
        """Return from when it counts by that time, while recorded times only rise."""
        return self.effective_at or self.recorded_at if by == "effective" else self.recorded_at

    def moves(self, account: str) -> int:
        """Return what it adds to the balance of an account."""
        return self.amount * ((self.credit == account) - (self.debit == account))


@dataclass(slots=True)
class Past:
    """Posts to a ledger at instants that rise, and remembers what."""

    ledger: Ledgerful
    chance: random.Random
    now: dt.datetime = NOW
    told: list[Told] = field(default_factory=list)

    async def post(self, *rows: tuple[str, str, int, dt.datetime | None]) -> list[Told]:
        """Post one batch: debit, credit, amount, effective time or None."""
        batch = self.ledger.batch([(uuid7(), *row[:3]) for row in rows])
        told = []
        for at, (debit, credit, amount, effective_at) in enumerate(rows):
            if effective_at is not None:
                batch["effective_at"][at] = microseconds(effective_at)
            transfer_id = uuid.UUID(bytes=bytes(batch["transfer_id"][at]))
            told.append(Told(transfer_id, debit, credit, amount, self.now, effective_at))
        await self.post_batch(Batch(batch))
        self.told += told
        return told

    async def post_batch(self, batch: Batch) -> None:
        """Post a batch as recorded now."""

        async def verb(connection: Connection) -> None:
            recorded = Recorded(self.ledger.book.book_id, 0, self.now)
            outcomes = await post(connection, self.ledger.book.ledger, batch, recorded, _HASH)
            assert not outcomes.statuses.any()

        await self.ledger.transact(verb)

    async def post_some(self, codes: list[str], batches: int, *, dated: float, seal_each: int = 7) -> None:
        """Post random batches a second or so apart; the part *dated* has effective times, mostly in the past."""
        for number in range(batches):
            rows = []
            for _ in range(self.chance.randint(1, 6)):
                debit, credit = self.chance.sample(codes, 2)
                shift = dt.timedelta(seconds=self.chance.randint(-3 * batches, batches // 4))
                effective_at = self.now + shift if self.chance.random() < dated else None
                rows.append((debit, credit, self.chance.randint(1, 1000), effective_at))
            await self.post(*rows)
            if number % seal_each == seal_each - 1:
                await self.ledger.seal()
            self.now += SECOND * self.chance.choice([0, 1, 1, 2])

    def balance(self, account: str, before: dt.datetime | None, by: str) -> int:
        """Add up what counts before an instant."""
        return sum(one.moves(account) for one in self.told if before is None or one.counts_at(by) < before)

    def history(self, account: str, since: dt.datetime, until: dt.datetime, by: str) -> list[Told]:
        """Return the transfers that touch an account and count in a period, in order of time, then as posted."""
        touching = [one for one in self.told if account in {one.debit, one.credit}]
        within = [one for one in touching if since <= one.counts_at(by) < until]
        return sorted(within, key=lambda one: one.counts_at(by)) if by == "effective" else within


def rows_of(ledger: Ledgerful, count: int, reason: Reason) -> Transfers:
    """Make room for transfers of a reason from ``bank`` to ``ada``."""
    rows = transfers(count)
    rows["transfer_id"] = [uuid7().bytes for _ in range(count)]
    rows["debit_account_id"], rows["credit_account_id"] = ledger.accounts["bank"], ledger.accounts["ada"]
    rows["amount"], rows["reason"] = 1, reason
    return rows
