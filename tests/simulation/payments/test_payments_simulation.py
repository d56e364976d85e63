"""Payments under fire, short: what a seeded run over a few hundred payments has to leave behind."""

import random

from tests.simulation.payments.simulate import simulate

SEED = random.randrange(2**32)
PAYMENTS = 100


async def test_every_payment_ends_known_and_takes_its_money_once() -> None:
    """Servers are killed and answers lost: provider, ledger, invoices and receipts agree, and no payment is left open."""
    print(f"again: make simulate-payments SEED={SEED} PAYMENTS={PAYMENTS}")  # noqa: T201 - what to run when it fails
    report = await simulate(SEED, PAYMENTS)
    assert not report.problems, "\n".join([report.line(), *report.problems])
    assert report.payments >= PAYMENTS
