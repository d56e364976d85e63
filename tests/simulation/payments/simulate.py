"""A run: customers pay while servers die, the provider misbehaves; then time passes, and the books are audited."""

import asyncio
import tempfile
import time
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

from tests.simulation.payments.audit import audit, until_known
from tests.simulation.payments.customers import Customers
from tests.simulation.payments.world import LATER, made_world

_KNOWN_SECONDS = 180
_DAY = 25 * 60 * 60
"""What is opened only after the first jump has half an hour of its own; refunds and disputes are looked at a day later."""


@dataclass(frozen=True, slots=True)
class Report:
    """What came of a run."""

    seed: int
    payments: int
    """Of which somebody was told."""
    killed: int
    seconds: float
    counts: Counter[str]
    problems: list[str]

    def line(self) -> str:
        """Say it in a line."""
        verdict = "the books agree" if not self.problems else f"{len(self.problems)} problems"
        said = ", ".join(f"{what} {count}" for what, count in self.counts.most_common())
        return (
            f"seed {self.seed}: {self.payments} payments, {self.killed} kills, {self.seconds:.0f} s: {verdict} ({said})"
        )


async def simulate(seed: int, payments: int) -> Report:
    """Have as many customers pay as that, by *seed*, and audit."""
    began = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="tallystick-payments-") as name:
        Path(name).chmod(0o755)  # PostgreSQL may run as somebody else, who has to get in
        async with made_world(Path(name), seed, payments) as world:
            customers = Customers(world, seed)
            hurting = asyncio.create_task(world.hurt())
            await customers.pay_all()
            hurting.cancel()
            (error,) = await asyncio.gather(hurting, return_exceptions=True)
            if not isinstance(error, asyncio.CancelledError):
                raise RuntimeError("the world could not be hurt") from error  # noqa: TRY004 - it says what happened
            for ahead in (LATER, _DAY):
                await world.go_on_later(ahead)
                await until_known(world, _KNOWN_SECONDS)
            await world.pay_out()
            await world.go_on_later(_DAY)
            await until_known(world, _KNOWN_SECONDS)
            await world.look_at_payouts()  # for lines of disputes that were heard of from the report that has them
            await until_known(world, _KNOWN_SECONDS)
            customers.counts |= await world.count()
            problems = await audit(world, customers)
            killed = world.killed
    seconds = time.monotonic() - began
    return Report(seed, len(customers.told), killed, seconds, customers.counts, problems)
