"""Money of a payment that went back in every way there is, noted as if a provider had told of it."""

from tallystick.ids import uuid7
from tallystick.security.model import SYSTEM
from tests.conftest import House


async def give_back_in_every_way(house: House) -> None:
    """Refund a part of the book's one payment and have it come back, and dispute another and lose it."""
    async with house.operations.pool.acquire() as connection:
        paid_id = await connection.fetchval("SELECT payment_id::text FROM payment")
    paid = await house.do("payments.find", payment_id=paid_id)
    fields = {"payment_id": str(paid.payment_id), "take_from": "invoice", "amount": 5, "reason": "by mistake"}
    refund = await house.do("payments.refund", **fields)
    noted = {"refund_id": str(refund.refund_id), "provider_refund_id": "re_1"}
    for status in ("pending", "succeeded"):
        await say(house, "refunds.note", **noted, status=status)
    await say(house, "refunds.note", **noted, status="failed", failure="no such account")
    dispute = {"provider": "sandbox", "provider_dispute_id": "dp_1", "transaction_id": paid.transaction_id}
    for status in ("open", "lost"):
        await say(house, "disputes.note", **dispute, status=status, amount=7, currency=paid.asset)


async def say(house: House, operation: str, /, **fields: object) -> None:
    """Note something as a worker does."""
    await house.operations.call(SYSTEM, "main", operation, str(uuid7()), fields)
