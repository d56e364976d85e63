"""
A ledger of 10 million transfers: whether it slows down as it grows, and how fast it is read and verified then.

Two processes post batches of 8,192 over 10,000 accounts, recorded over months, while a third seals. Growth is the rate
of the last million against the first. Then single questions are asked over one connection, and everything is verified.
``BENCH_TRANSFERS`` sets another number.
"""

import os
import tempfile
from pathlib import Path

from bench.ledger_race import BATCH, ORIGIN, PROCESSES, SIGNER, Mix, race, seal_all
from bench.read_ledger import QUESTIONS, measure_reads, post_over_time
from bench.table import Report, Result
from bench.verify_ledger import measure_verify
from tallystick.db.embedded import serving

IDS = ("ledger_growth", "ledger_reads", "ledger_verify")
TRANSFERS = int(os.environ.get("BENCH_TRANSFERS", "10000000"))
_MILLION = 1_000_000


async def run(ids: set[str], report: Report) -> None:
    """Fill the ledger, then read and verify it."""
    mix = Mix(batches=-(-TRANSFERS // (PROCESSES * BATCH)))
    with tempfile.TemporaryDirectory(prefix="tallystick-bench-") as directory:
        async with serving(Path(directory)) as server:
            ends = await race(server, "growth", [*[post_over_time] * PROCESSES, seal_all], mix, keep=True)
            url = server.url.replace("/tallystick?", "/growth?")
            if "ledger_growth" in ids:
                first, last = _rates([at for batches in ends.batches for at in batches])
                beside: dict[str, float | int | str] = {
                    "first": first, "last": last, "transfers": mix.sent, "overall": mix.sent / max(ends.seconds),
                }  # fmt: skip
                report(Result("ledger_growth", last / first, "last/first million", beside))
            if "ledger_reads" in ids:
                found = await measure_reads(url, "bench")
                slowest = max(found[f"{name}_p99"] for name in QUESTIONS[:3])
                report(Result("ledger_reads", slowest, "ms p99", {**found, "transfers": mix.sent}))
            if "ledger_verify" in ids:
                report(await measure_verify(url, 1, [SIGNER.verifier], ORIGIN))


def _rates(ends: list[float]) -> tuple[float, float]:
    """Return at how many transfers a second the first million was posted, and the last."""
    ordered = sorted(ends)
    count = min(_MILLION // BATCH, len(ordered) // 2)
    return count * BATCH / ordered[count - 1], count * BATCH / (ordered[-1] - ordered[-1 - count])
