"""The audit of what went back and what was paid out: refunds, disputes and payouts, at the provider and in the books."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import asyncpg

from tallystick.payments.providers.protocol import DisputeStatus, PayoutStatus
from tallystick.payments.providers.sandbox.control import Holdings
from tests.simulation.payments.customers import Customers

_REFUNDS = """
SELECT refund_id::text AS id, payment_id::text AS payment, invoice_id::text AS invoice, refund.amount,
       (SELECT array_agg(step ORDER BY step = 'pending' DESC, step = 'succeeded' DESC) FROM tallystick.refund_step AS step
        WHERE step.refund_id = refund.refund_id) AS steps
FROM tallystick.refund JOIN tallystick.payment USING (book_id, payment_id)
"""
_DISPUTES = """
SELECT provider_id AS id, payment_id::text AS payment, amount,
       coalesce((SELECT outcome FROM tallystick.dispute_end AS ended WHERE ended.dispute_id = dispute.dispute_id), 'open')
FROM tallystick.dispute
"""
_BALANCES = """
SELECT account.code, sum(CASE WHEN account_id = credit_account_id THEN amount ELSE -amount END)::bigint
FROM tallystick.transfer JOIN tallystick.account ON account_id IN (debit_account_id, credit_account_id) GROUP BY 1
"""
_PAYOUTS = "SELECT provider_id FROM tallystick.payout"
_OPEN = "SELECT count(*) FROM tallystick.payout_open"


@dataclass(frozen=True, slots=True)
class Back:
    """What the books have of money that went back, and of payouts."""

    refunds: list[dict[str, Any]]
    disputes: dict[str, tuple[str, int, str]]
    """By the provider's id: the payment, the amount, how it stands."""
    balances: dict[str, int]
    payouts: list[str]
    open_lines: int

    @property
    def off_invoices(self) -> Counter[str]:
        """Return how much went back of each invoice."""
        off: Counter[str] = Counter()
        for one in self.refunds:
            if _standing(one) != "failed":
                off[one["invoice"]] += one["amount"]
        return off


async def read_back(connection: asyncpg.Connection) -> Back:
    """Read it as it lies."""
    refunds = [dict(row) for row in await connection.fetch(_REFUNDS)]
    disputes = {row[0]: (row[1], row[2], row[3]) for row in await connection.fetch(_DISPUTES)}
    balances = dict(map(tuple, await connection.fetch(_BALANCES)))
    payouts = [row[0] for row in await connection.fetch(_PAYOUTS)]
    return Back(refunds, disputes, balances, payouts, await connection.fetchval(_OPEN))


def hold_back_against_provider(back: Back, holdings: Holdings, customers: Customers) -> list[str]:
    """Find that each refund, dispute and payout is at the provider what it is in the books, and the ledger has them all."""
    problems = [f"refund {one} was told, and is gone" for one in customers.refunds_told.keys() - _ids(back.refunds)]
    problems += _hold_refunds(back, holdings)
    said = {one.id: (one.amount, one.status.value) for one in holdings.disputes}
    kept = {id_: (amount, status) for id_, (_, amount, status) in back.disputes.items()}
    problems += [f"dispute {one}: {said.get(one)} at the provider, {kept.get(one)} here" for one in said.keys() | kept.keys() if said.get(one) != kept.get(one)]  # fmt: skip
    problems += _hold_limits(back, holdings)
    paid = {one.id: one.amount for one in holdings.payouts}
    if sorted(paid) != sorted(back.payouts):
        problems.append(f"{len(paid)} payouts at the provider, {len(back.payouts)} here")
    problems += [f"{back.open_lines} lines of payouts are nothing of ours"] if back.open_lines else []
    sent = sum(one.amount for one in holdings.payouts if one.status is not PayoutStatus.FAILED)
    expected = {
        "refunds/sandbox/USD": 0,
        "disputes/sandbox/USD": -sum(one.amount for one in holdings.disputes if one.status is DisputeStatus.OPEN),
        "losses/disputes/USD": -sum(one.amount for one in holdings.disputes if one.status is DisputeStatus.LOST),
        "providers/sandbox/USD": -holdings.owed.get("USD", 0),
        "payouts/sandbox/USD": -sent,
    }
    for account, balance in expected.items():
        if back.balances.get(account, 0) != balance:
            problems.append(f"{account} has {back.balances.get(account, 0)}, and by the provider {balance}")
    return problems


def _ids(rows: Iterable[dict[str, Any]]) -> set[str]:
    return {one["id"] for one in rows}


def _standing(refund: dict[str, Any]) -> str:
    return str((refund["steps"] or ["requested"])[-1])


def _hold_refunds(back: Back, holdings: Holdings) -> list[str]:
    """Find each refund ended, and at the provider once and the same."""
    problems = []
    references = Counter(one.reference for one in holdings.refunds)
    problems += [f"refund {reference} was made {many} times" for reference, many in references.items() if many > 1]
    made = {one.reference: one for one in holdings.refunds}
    for refund in back.refunds:
        found, standing = made.pop(refund["id"], None), _standing(refund)
        status = "failed" if found is None else found.status.value
        if standing != status:
            problems.append(f"refund {refund['id']} {standing}, and the provider says {found and status}")
        if found is not None and found.amount != refund["amount"]:
            problems.append(f"refund {refund['id']} is of {refund['amount']}, the provider made it {found.amount}")
    return problems + [f"the provider gave back {reference}, and nobody here" for reference in made]


def _hold_limits(back: Back, holdings: Holdings) -> list[str]:
    """Find that of no payment more went back than was taken."""
    gone: Counter[str] = Counter()
    for refund in back.refunds:
        gone[refund["payment"]] += refund["amount"] if _standing(refund) != "failed" else 0
    for payment, amount, status in back.disputes.values():
        gone[payment] += amount if status != "won" else 0
    taken = {one.reference: one.amount for one in holdings.transactions}
    return [f"of payment {one} {many} went back" for one, many in gone.items() if many > taken.get(one, 0)]
