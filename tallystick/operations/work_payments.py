"""The payments' worker: finishes what somebody began and left, by asking the provider how it stands."""

import asyncio
import traceback
import uuid

import structlog

from tallystick.db.connect import LOST_CONNECTION
from tallystick.errors import TallystickError
from tallystick.ids import uuid7
from tallystick.operations.carry_payments import advance
from tallystick.operations.run import RESERVED, Operations
from tallystick.payments.model import PaymentStatus
from tallystick.payments.step import claim_jobs, is_overdue, release_jobs
from tallystick.security.model import SYSTEM

_log = structlog.get_logger()
_MOST = 10
"""So many are carried on at once: few enough for a slow provider to be done with all before their leases end."""


async def work_payments(operations: Operations, *, pause: float = 1.0) -> None:
    """Carry on the payments whose lease has run out, until cancelled; any number of workers share them."""
    while True:
        try:
            done = await work_payments_once(operations)
        except (*LOST_CONNECTION, TallystickError) as error:
            _log.warning("payments wait", reason=str(error) or type(error).__name__)
            done = 0
        if not done:
            await asyncio.sleep(pause)


async def take_over_payments(operations: Operations) -> None:
    """
    End the leases that an earlier process left, so that its payments are carried on at once.

    Only for a process that has the store to itself; where others work beside it, their leases stand.
    """
    now = operations.clock.now()
    await operations.work(lambda connection: release_jobs(connection, now))


async def work_payments_once(operations: Operations) -> int:
    """Carry on, side by side, those payments whose lease has run out now; return how many there were."""
    now = operations.clock.now()
    jobs = await operations.work(lambda connection: claim_jobs(connection, now, _MOST))
    await asyncio.gather(*(_carry_on_alone(operations, *job) for job in jobs))
    return len(jobs)


async def _carry_on_alone(operations: Operations, book: str, payment_id: uuid.UUID, attempts: int) -> None:
    """Carry a payment on; whatever it trips over is told, and is nothing to the others."""
    try:
        await carry_on(operations, book, payment_id)
    except TallystickError as error:
        _log.warning("payment waits", payment=str(payment_id), attempts=attempts, code=error.code)
    except Exception as error:  # noqa: BLE001 - one payment's fault must not end the round of the others
        # Neither the text nor the frames' values: a customer's data may be in them.
        where = traceback.extract_tb(error.__traceback__)[-1]
        _log.error(
            "payment waits",
            payment=str(payment_id),
            attempts=attempts,
            error=type(error).__name__,
            at=f"{where.filename}:{where.lineno}",
        )


async def carry_on(operations: Operations, book: str, payment_id: uuid.UUID) -> None:
    """Carry a payment on that was claimed; one that was opened meanwhile has its customer's time before it."""
    fields = {"payment_id": str(payment_id)}
    payment = await operations.call(SYSTEM, book, "payments.find_whole", "", fields)
    if is_overdue(payment, operations.clock.now()):
        # A new id each time: what it does hangs on the moment, and it does it once whatever its id.
        await operations.call(SYSTEM, book, "payments.expire", f"{RESERVED}expire:{payment_id}:{uuid7()}", fields)
    elif payment.status != PaymentStatus.OPENED.value:
        await advance(operations, book, payment_id, ask_first=True)
