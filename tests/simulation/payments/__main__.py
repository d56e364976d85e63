"""Have many pay while everything fails, and audit: ``python -m tests.simulation.payments --payments 10000 --seed 1``."""

import argparse
import asyncio
import random
import sys

from tests.simulation.payments.simulate import simulate


def main() -> int:
    """Run, tell what came of it, and end with 1 if the books do not agree."""
    options = argparse.ArgumentParser(prog="simulate-payments", description=__doc__)
    options.add_argument("--payments", type=int, default=10_000, help="how many invoices are to be paid")
    options.add_argument("--seed", type=int, help="decides what goes wrong at the provider, and who is killed when")
    chosen = options.parse_args()
    seed = random.randrange(2**32) if chosen.seed is None else chosen.seed
    report = asyncio.run(simulate(seed, chosen.payments))
    lines = [report.line(), *(f"  {problem}" for problem in report.problems[:40])]
    if report.problems:
        lines.append(f"again: make simulate-payments SEED={seed} PAYMENTS={chosen.payments}")
    sys.stdout.write("".join(f"{line}\n" for line in lines))
    return 1 if report.problems else 0


if __name__ == "__main__":
    raise SystemExit(main())
