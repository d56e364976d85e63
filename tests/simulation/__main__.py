"""Roam: run after run with new seeds, as long as told; or one seed again. ``python -m tests.simulation --help``."""

import argparse
import asyncio
import random
import sys
import time

from tests.simulation.simulate import simulate

_ROUND = 25.0


def main() -> int:
    """Run, print a line for each seed, and end with 1 at the first that has problems."""
    options = argparse.ArgumentParser(prog="simulate", description=__doc__)
    options.add_argument("--seconds", type=float, default=60, help="how long to roam")
    options.add_argument("--seed", type=int, help="run this one, once")
    options.add_argument("--round", type=float, default=_ROUND, help="how many seconds of faults a seed has")
    chosen = options.parse_args()
    until = time.monotonic() + chosen.seconds
    while True:
        seed = random.randrange(2**32) if chosen.seed is None else chosen.seed
        report = asyncio.run(simulate(seed, chosen.round))
        left = max(0, until - time.monotonic())
        _tell(f"{report.line()} ({left:.0f} s to go)", *(f"  {problem}" for problem in report.problems[:40]))
        if report.problems:
            _tell(f"again: make simulate SEED={seed}")
            return 1
        if chosen.seed is not None or not left:
            return 0


def _tell(*lines: str) -> None:
    sys.stdout.write("".join(f"{line}\n" for line in lines))
    sys.stdout.flush()


if __name__ == "__main__":
    raise SystemExit(main())
