"""The audit: provider, payments, ledger, invoices and receipts are read as they lie, and have to tell the same story."""

import asyncio
import contextlib
import datetime as dt
from collections import Counter
from collections.abc import Iterable
from typing import Any

import asyncpg

from tallystick.payments.providers.sandbox.control import Holdings
from tests.simulation.payments.audit_back import hold_back_against_provider, read_back
from tests.simulation.payments.customers import Customers
from tests.simulation.payments.world import TOTAL, World

PAYMENT_SETTLE = 3
_LEFT_SOON = "SELECT count(*) FROM tallystick.job WHERE due_at <= now() + $1"
_SOON = 16 * 60
"""The longest that a payment waits between two tries, and a little."""
_READ = """
SELECT payment.payment_id::text AS id, payment.invoice_id::text AS invoice, user_ref, payment.amount,
       (SELECT array_agg(step ORDER BY at, step) FROM tallystick.payment_step AS step
        WHERE step.payment_id = payment.payment_id) AS steps,
       (SELECT provider_id FROM tallystick.payment_step AS step
        WHERE step.payment_id = payment.payment_id AND step.step = 'opened') AS provider_id,
       (SELECT reason FROM tallystick.payment_step AS step
        WHERE step.payment_id = payment.payment_id AND step.step = 'failed') AS reason,
       (SELECT array_agg(receipt_id::text) FROM tallystick.receipt
        WHERE receipt.payment_id = payment.payment_id) AS receipts,
       (SELECT array_agg(ARRAY[debit.code, credit.code, transfer.amount::text])
        FROM tallystick.receipt JOIN tallystick.transfer USING (book_id, transfer_id)
        JOIN tallystick.account AS debit ON debit.account_id = debit_account_id
        JOIN tallystick.account AS credit ON credit.account_id = credit_account_id
        WHERE receipt.payment_id = payment.payment_id) AS transfers
FROM tallystick.payment
"""
_SETTLED_BY_TRANSFERS = """
SELECT count(*), coalesce(sum(transfer.amount), 0)::bigint FROM tallystick.transfer
JOIN tallystick.account ON account_id = debit_account_id
WHERE account.code = 'providers/sandbox/USD' AND transfer.reason = $1
"""
_PAID_IN = """
SELECT account.code, sum(transfer.amount)::bigint FROM tallystick.transfer
JOIN tallystick.account ON account_id = credit_account_id WHERE transfer.reason = $1 GROUP BY 1
"""
_STATES = """
SELECT invoice_id::text, (SELECT state FROM tallystick.invoice_state AS noted WHERE noted.invoice_id = issued.invoice_id
                          ORDER BY transaction_id DESC LIMIT 1)
FROM tallystick.invoice_issue AS issued
"""


async def until_known(world: World, seconds: float) -> None:
    """Wait until nothing is left to be done soon about anything; the audit names what is left."""
    connection = await asyncpg.connect(world.database)
    try:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                while await connection.fetchval(_LEFT_SOON, dt.timedelta(seconds=world.ahead + _SOON)):  # noqa: ASYNC110 - it is another process that does it
                    await asyncio.sleep(0.2)
    finally:
        await connection.close()


async def audit(world: World, customers: Customers) -> list[str]:
    """Return all that does not agree; empty when every payment ended known, and took its money once or not at all."""
    connection = await asyncpg.connect(world.database)
    try:
        payments = [dict(row) for row in await connection.fetch(_READ)]
        count, moved = (await connection.fetch(_SETTLED_BY_TRANSFERS, PAYMENT_SETTLE))[0]
        paid_in = dict(map(tuple, await connection.fetch(_PAID_IN, PAYMENT_SETTLE)))
        states = dict(map(tuple, await connection.fetch(_STATES)))
        back = await read_back(connection)
    finally:
        await connection.close()
    holdings = await world.control.holdings()
    problems = [*customers.problems]
    problems += _hold_against_provider(payments, holdings)
    problems += [problem for payment in payments for problem in _hold_against_itself(payment)]
    problems += _hold_against_told(payments, customers)
    settled = [one for one in payments if "settled" in (one["steps"] or ())]
    taken = sum(one["amount"] for one in settled)
    if (count, moved) != (len(settled), taken):
        problems.append(f"{len(settled)} payments of {taken} settled, the ledger moved {count} of {moved}")
    problems += _hold_against_invoices(settled, paid_in, states, back.off_invoices)
    problems += hold_back_against_provider(back, holdings, customers)
    return problems


def _hold_against_provider(payments: Iterable[dict[str, Any]], holdings: Holdings) -> list[str]:
    """Find each payment to be what its one transaction is."""
    problems = []
    references = Counter(one.reference for one in holdings.transactions)
    problems += [f"{reference} has {many} transactions" for reference, many in references.items() if many > 1]
    by_reference = {one.reference: one for one in holdings.transactions}
    for payment in payments:
        found = by_reference.pop(payment["id"], None)
        status = None if found is None else found.status.value
        steps = payment["steps"] or []
        if "settled" in steps and status != "captured":
            problems.append(f"payment {payment['id']} settled, and the provider says {status}")
        if "failed" in steps and status not in {None, "declined", "canceled"}:
            problems.append(f"payment {payment['id']} failed ({payment['reason']}), and the provider says {status}")
        if found is not None and found.amount != payment["amount"]:
            problems.append(f"payment {payment['id']} is of {payment['amount']}, the provider has {found.amount}")
        if found is not None and payment["provider_id"] not in {None, found.id}:
            problems.append(f"payment {payment['id']} knows another transaction than the provider")
    problems += [f"the provider has {reference}, and nobody here" for reference in by_reference]
    return problems


def _hold_against_itself(payment: dict[str, Any]) -> list[str]:
    """Find a payment to have ended once, with one receipt and one transfer if its money was taken."""
    steps = payment["steps"] or []
    ends = [step for step in steps if step in {"settled", "failed"}]
    if len(ends) != 1:
        return [f"payment {payment['id']} came to {steps}"]
    if ends == ["failed"]:
        return [f"payment {payment['id']} failed, and has a receipt"] if payment["receipts"] else []
    problems = []
    if len(payment["receipts"] or ()) != 1:
        problems.append(f"payment {payment['id']} has the receipts {payment['receipts']}")
    receivable, beyond = f"invoices/{payment['invoice']}/receivable", f"customers/{payment['user_ref']}/unallocated/USD"
    match payment["transfers"]:
        case [["providers/sandbox/USD", credit, amount]] if int(amount) == payment["amount"]:
            if credit not in {receivable, beyond}:
                problems.append(f"payment {payment['id']} went to {credit}")
        case other:
            problems.append(f"payment {payment['id']} moved {other}")
    return problems


def _hold_against_told(payments: Iterable[dict[str, Any]], customers: Customers) -> list[str]:
    """Find that nobody was told of an end that did not come, and no payment is gone that somebody was told of."""
    problems = []
    by_id = {payment["id"]: payment for payment in payments}
    for payment_id, told in customers.told.items():
        payment = by_id.get(payment_id)
        if payment is None:
            problems.append(f"payment {payment_id} was told, and is gone")
        elif told["status"] in {"settled", "failed"} and told["status"] not in (payment["steps"] or ()):
            problems.append(f"payment {payment_id} was told {told['status']}, and came to {payment['steps']}")
    return problems


def _hold_against_invoices(
    settled: Iterable[dict[str, Any]], paid_in: dict[str, int], states: dict[str, str | None], off: Counter[str]
) -> list[str]:
    """Find each invoice paid once, or owed whole; what went back of it is owed again."""
    problems = []
    paying = Counter(payment["invoice"] for payment in settled)
    for invoice, state in states.items():
        came = paid_in.get(f"invoices/{invoice}/receivable", 0)
        if came != min(paying[invoice], 1) * TOTAL or (state == "paid") != (came - off[invoice] == TOTAL):
            said = f"{paying[invoice]} payments settled, {came} came, {off[invoice]} went back, its state is {state}"
            problems.append(f"invoice {invoice}: {said}")
        if paying[invoice] > 1:
            problems.append(f"invoice {invoice} was paid {paying[invoice]} times")
    return problems
