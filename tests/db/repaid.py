"""A book in which customers owe invoices of several products, for tests that pay them back."""

import datetime as dt
import itertools
import uuid
from dataclasses import dataclass, field
from typing import Any

import pytest

from tallystick.clock import FixedClock
from tallystick.errors import TallystickError
from tallystick.ids import uuid7
from tallystick.operations.run import Operations
from tallystick.security.model import OPERATOR
from tests.conftest import House

NOW = dt.datetime(2026, 10, 1, 9, tzinfo=dt.UTC)
ADA = "ada"
_numbers = itertools.count(1)


@dataclass(slots=True)
class Till:
    """A book whose clock is set by hand, with what customers owe."""

    operations: Operations
    clock: FixedClock
    invoices: dict[str, uuid.UUID] = field(default_factory=dict)
    """By the product's reference."""

    async def do(self, operation: str, key: str = "", /, **fields: object) -> Any:  # noqa: ANN401 - each operation has its own
        """Run an operation."""
        return await self.operations.call(OPERATOR, "main", operation, key or str(uuid7()), fields)

    async def owe(
        self, amount: int, product: str = "loans", due_on: str = "2026-11-01", customer: str = ADA, **fields: object
    ) -> uuid.UUID:
        """Let a customer owe an invoice."""
        reference = str(fields.pop("reference", f"owed-{next(_numbers)}"))
        made = await self.do(
            "invoicing.request", product=product, reference=reference, customer=customer, due_on=due_on,
            lines=[{"description": "what was bought", "amount": amount}], **{"asset": "USD", **fields},
        )  # fmt: skip
        self.invoices[reference] = made.id
        return uuid.UUID(str(made.id))

    async def pay(self, amount: int, reference: str = "", customer: str = ADA, **fields: object) -> Any:  # noqa: ANN401 - a Repayment
        """Let a customer pay money back."""
        return await self.do(
            "repayments.receive", customer=customer, amount=amount, reference=reference or f"paid-{next(_numbers)}",
            **{"asset": "USD", "channel": "bank_transfer", **fields},
        )  # fmt: skip

    async def outstanding(self, *invoices: uuid.UUID) -> list[int]:
        """Return what the ledger says is outstanding."""
        found = [await self.do("invoicing.find", id=one) for one in invoices]
        balances = [(await self.do("ledger.balance", account=one.account)).balance for one in found]
        assert balances == [-one.outstanding for one in found]
        return [one.outstanding for one in found]

    async def status(self, invoice: uuid.UUID) -> str:
        """Return where an invoice stands."""
        return str((await self.do("invoicing.find", id=invoice)).status)

    async def unallocated(self, customer: str = ADA, asset: str = "USD") -> int:
        """Return what lies unallocated for a customer."""
        items = (await self.do("repayments.unallocated", customer=customer)).items
        return sum(one.amount for one in items if one.asset == asset)

    async def refused(self, operation: str, **fields: object) -> TallystickError:
        """Return how an operation is refused."""
        with pytest.raises(TallystickError) as refused:
            await self.do(operation, **fields)
        return refused.value


def open_till(house: House) -> Till:
    """Set the clock of a house."""
    clock = FixedClock(NOW)
    return Till(Operations(house.operations.pool, clock, house.operations.table), clock)


async def make_repayments_of_every_kind(house: House) -> Till:
    """Let a customer repay by every channel, get some back, and be debited; one debit goes well and one does not."""
    till = open_till(house)
    cora = "cora"
    await till.do("ledger.open_account", account="house bank", asset="USD")
    await till.owe(500, due_on="2026-10-02", customer=cora)
    await till.do("repayments.set_policy", policy={"kind": "pro_rata"})
    await till.do("wallets.grant", id=uuid7(), customer=cora, asset="USD", amount=50)
    await till.do("repayments.from_wallet", "from-wallet", customer=cora, asset="USD", reference="w")
    paid = await till.pay(100, customer=cora)
    await till.do("repayments.reverse", "reverse", id=paid.id, reason="returned")
    await till.pay(460, customer=cora)
    back = {"to_account": "house bank", "reference": "r", "reason": "asked for it"}
    await till.do("repayments.refund", customer=cora, asset="USD", amount=5, **back)
    await till.do("charges.set_retry_policy", rules={"technical": {"times": 1}})
    account = {"bank_account": "DE89370400440532013000", "country": "DE", "cutoff_days": 0}
    await till.do("collecting.choose_debit_day", customer=cora, day=5, **account)
    for on, error in (("2026-10-05", None), ("2026-11-05", "technical")):
        await till.owe(200, due_on="2026-10-05" if error is None else "2026-11-05", customer=cora)
        await till.do("repayments.allocate", customer=cora, asset="USD")
        assert (await till.do("charges.make", on=on)).made == 1
        (charge,) = (await till.do("charges.list", on=on)).items
        await till.do("charges.apply", outcomes=[{"charge": str(charge.id), "error_kind": error}])
    return till
