"""A run: customers pay while servers die, the provider misbehaves; then time passes, and the books are audited."""

import asyncio
import tempfile
import time
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

from tests.simulation.payments.audit import audit, until_known
from tests.simulation.payments.customers import Customers
from tests.simulation.payments.world import made_world

_KNOWN_SECONDS = 180
_JUMPS = 3
"""What is opened only after the first jump has half an hour of its own; and then there are answers that are lost."""


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
            for _ in range(_JUMPS):
                await world.go_on_later()
                if await until_known(world, _KNOWN_SECONDS):
                    break
            problems = await audit(world, customers)
            killed = world.killed
    seconds = time.monotonic() - began
    return Report(seed, len(customers.told), killed, seconds, customers.counts, problems)
