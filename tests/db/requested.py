"""Requests for invoices, for tests: the least that one needs, and what differs."""

from typing import Any

import pytest

from tallystick.errors import TallystickError
from tallystick.ids import uuid7
from tests.conftest import House

LINE = {"description": "Fee", "amount": 1_000}


def wanted(reference: str = "loan-1", **fields: object) -> dict[str, Any]:
    """Return a request: one line of 10.00, due in 30 days, of the customer ada."""
    asked: dict[str, Any] = {"product": "loans", "reference": reference, "customer": "ada", "asset": "USD",
                             "lines": [LINE], "terms_days": 30}  # fmt: skip
    return {key: value for key, value in (asked | fields).items() if value is not None}


async def request(house: House, reference: str = "loan-1", **fields: object) -> Any:  # noqa: ANN401 - what the operation answers
    """Ask for an invoice."""
    return await house.do("invoicing.request", **wanted(reference, **fields))


async def pay(house: House, invoice_id: object, amount: int) -> None:
    """Pay a part of an invoice by a plain transfer, which nobody notes."""
    await house.do("ledger.open_account", account="bank", asset="USD")
    invoice = await house.do("invoicing.find", id=invoice_id)
    await house.do("ledger.transfer", id=str(uuid7()), debit="bank", credit=invoice.account, amount=amount)


async def refused(house: House, operation: str, /, **fields: object) -> tuple[str, str | None]:
    """Return code and field of a refusal."""
    with pytest.raises(TallystickError) as error:
        await house.do(operation, **fields)
    return error.value.code, error.value.field


async def make_invoice_of_every_kind(house: House) -> None:
    """Let a product ask for an invoice, take a part of it back, and give up the rest."""
    told = await request(house, customer="zoe", product="fees")
    await house.do("invoicing.credit", id=told.id, reference="c", reason="x", lines=[{"line": 0, "amount": 1}])
    await house.do("invoicing.write_off", id=told.id, reason="gone")
