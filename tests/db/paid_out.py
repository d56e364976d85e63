"""A book that takes payments at a provider, and reports of payouts made by hand, for tests that hold one against the other."""

import datetime as dt
import itertools
import uuid
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import msgspec

from tallystick.clock import FixedClock
from tallystick.ids import uuid7
from tallystick.ledger.errors import UnknownAccount
from tallystick.operations.run import Operations
from tallystick.security.model import SYSTEM
from tests.conftest import House
from tests.db.repaid import Till

NOW = dt.datetime(2026, 10, 1, 9, tzinfo=dt.UTC)
PROVIDER = "sandbox"
_numbers = itertools.count(1)


@dataclass(slots=True)
class Desk(Till):
    """A till whose customers pay at a provider, that says what it pays out."""

    payments: dict[str, uuid.UUID] = field(default_factory=dict)
    """By the provider's transaction."""

    async def carry(self, operation: str, **fields: object) -> Any:  # noqa: ANN401 - each operation has its own
        """Run an operation as the product's own workers do."""
        return await self.operations.call(SYSTEM, "main", operation, str(uuid7()), fields)

    async def take(self, amount: int, transaction: str = "", asset: str = "USD", *, settle: bool = True) -> str:
        """Let a customer pay an invoice at the provider; return the provider's transaction."""
        transaction = transaction or f"tra_{next(_numbers):08d}"
        invoice = await self.owe(amount, asset=asset)
        request = {"user": "ada", "email": "ada@example.com", "timestamp": NOW.isoformat(), "payment_type": "credit"}
        payment = await self.do("payments.start", **request, invoice_id=str(invoice))
        payment_id = str(payment.payment_id)
        await self.carry("payments.open", payment_id=payment_id, transaction_id=transaction, token="")
        await self.do("payments.post", **request, transaction_id=transaction, amount=amount)
        self.payments[transaction] = payment.payment_id
        if settle:
            await self.settle(transaction)
        return transaction

    async def settle(self, transaction: str) -> None:
        """Let the book have the money of a payment."""
        payment_id = str(self.payments[transaction])
        (said,) = await self.operations.call(SYSTEM, "main", "payments.statements", "", {"payment_ids": [payment_id]})
        await self.carry("payments.settle", payment_id=payment_id, statement=said.statement)

    async def refund(self, transaction: str, amount: int, refund_id: str, status: str = "succeeded") -> uuid.UUID:
        """Give a part of a payment back, which the provider says stands like this."""
        asked = await self.do(
            "payments.refund", payment_id=str(self.payments[transaction]), amount=amount, take_from="invoice",
            reason="damaged",
        )  # fmt: skip
        failure = {"failure": "account closed"} if status == "failed" else {}
        await self.carry(
            "refunds.note", refund_id=str(asked.refund_id), status=status, provider_refund_id=refund_id, **failure
        )
        return uuid.UUID(str(asked.refund_id))

    async def dispute(self, transaction: str, amount: int, dispute: str, status: str) -> None:
        """Let the provider say how a dispute of a payment stands."""
        await self.carry(
            "disputes.note", provider=PROVIDER, provider_dispute_id=dispute, transaction_id=transaction, status=status,
            amount=amount, currency="USD",
        )  # fmt: skip

    async def enter_statement(self, *amounts: int) -> list[str]:
        """Let the bank tell of movements on its account; return the ids of the entries."""
        said = [{"value_on": "2026-10-05", "amount": one} for one in amounts]
        opening, closing = {"on": "2026-10-05", "amount": 0}, {"on": "2026-10-05", "amount": sum(amounts)}
        number = str(next(_numbers))
        kept = await self.do(
            "bank.import",
            account="house",
            currency="USD",
            number=number,
            opening=opening,
            closing=closing,
            entries=said,
        )
        return [f"{kept.statement}.{at}" for at in range(1, len(amounts) + 1)]

    async def record(self, lines: Sequence[dict[str, Any]], payout: str = "po_1", /, **fields: object) -> Any:  # noqa: ANN401 - a Recorded
        """Record the report of a payout, whose amount is that of its lines if it is not told."""
        amount = sum(one["amount"] - one.get("fee", 0) for one in lines)
        return await self.do("payouts.record", **self.report(lines, payout, **{"amount": amount, **fields}))

    def report(self, lines: Sequence[dict[str, Any]], payout: str = "po_1", /, **fields: object) -> dict[str, Any]:
        """Write a report."""
        said = {"currency": "USD", "arrives_on": "2026-10-03", "status": "paid", "provider": PROVIDER}
        return {**said, "payout": payout, "lines": list(lines), **fields}

    async def unmatched(self) -> list[Any]:
        """Return the lines that wait."""
        return list((await self.do("payouts.unmatched")).items)

    async def balance(self, code: str) -> int:
        """Return what is on an account, credits less debits; nothing if there is none."""
        try:
            return int((await self.do("ledger.balance", account=code)).balance)
        except UnknownAccount:
            return 0

    async def money(self, asset: str = "USD") -> tuple[int, int, int]:
        """Return what the provider holds, what is on its way to the bank and what was kept, by the ledger."""
        codes = [f"{name}/{PROVIDER}/{asset}" for name in ("providers", "payouts", "fees")]
        held, way, kept = [-await self.balance(code) for code in codes]
        return held, way, kept


def open_desk(house: House) -> Desk:
    """Set the clock of a house."""
    clock = FixedClock(NOW)
    return Desk(Operations(house.operations.pool, clock, house.operations.table), clock)


def line(kind: str, amount: int, fee: int = 0, **fields: object) -> dict[str, Any]:
    """Write a line of a report."""
    said = {"id": f"lin_{next(_numbers):06d}", "occurred_at": NOW.isoformat(), "kind": kind, "amount": amount}
    return {**said, "fee": fee, **fields}


def charge(transaction: str, amount: int, fee: int = 0, **fields: object) -> dict[str, Any]:
    """Write the line of a charge."""
    return line("charge", amount, fee, transaction_id=transaction, **fields)


def plain(value: object) -> Any:  # noqa: ANN401 - JSON
    """Return what an answer says as JSON would."""
    return msgspec.to_builtins(value)
