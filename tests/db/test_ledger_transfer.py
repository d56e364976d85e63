"""Transfers through the one door."""

import pytest

from tallystick.errors import TallystickError
from tallystick.ids import id_of_content, uuid7
from tests.conftest import House


async def test_a_transfer_moves_minor_units_between_two_accounts(house: House) -> None:
    """What leaves one account arrives on the other."""
    for account in ("bank", "ada"):
        await house.do("ledger.open_account", account=account, asset="USD")
    await house.do("ledger.transfer", id=str(uuid7()), debit="bank", credit="ada", amount=250)
    assert (await house.do("ledger.balance", account="ada")).balance == 250
    assert (await house.do("ledger.balance", account="bank")).balance == -250


async def test_a_message_is_done_once(house: House) -> None:
    """The same message again gets its first answer, and another under its id a conflict."""
    for account in ("bank", "ada"):
        await house.do("ledger.open_account", account=account, asset="USD")
    transfer = {"id": str(uuid7()), "debit": "bank", "credit": "ada", "amount": 5}
    first = await house.do("ledger.transfer", "once", **transfer)
    assert await house.do("ledger.transfer", "once", **transfer) == first
    with pytest.raises(TallystickError) as refused:
        await house.do("ledger.transfer", "once", **{**transfer, "amount": 6})
    assert refused.value.code == "journal.id_reused"
    assert (await house.do("ledger.balance", account="ada")).balance == 5


async def test_a_refusal_is_an_answer_too(house: House) -> None:
    """The same message gets its first refusal again, word for word, even when it would go well by now."""
    opening = {"account": "ada", "asset": "EUR"}
    with pytest.raises(TallystickError) as first:
        await house.do("ledger.open_account", "open", **opening)
    await house.do("ledger.ensure_asset", asset="EUR", exponent=2)
    with pytest.raises(TallystickError) as again:
        await house.do("ledger.open_account", "open", **opening)
    assert (again.value.code, again.value.field, str(again.value)) == (
        first.value.code, first.value.field, str(first.value),
    )  # fmt: skip
    assert (await house.do("ledger.open_account", **opening)).code == "ada"


async def test_nobody_takes_the_id_of_a_transfer_that_the_product_will_make(house: House) -> None:
    """Ids that follow from content can be foreseen, so callers may not use that kind; nor that kind of account."""
    for account in ("bank", "ada"):
        await house.do("ledger.open_account", account=account, asset="USD")
    foreseen = str(id_of_content(["payment.settle", str(uuid7())]))
    transfer = {"id": foreseen, "debit": "bank", "credit": "ada", "amount": 5}
    for operation, fields in (("ledger.transfer", transfer), ("ledger.transfers", {"transfers": [transfer]})):
        with pytest.raises(TallystickError) as refused:
            await house.do(operation, **fields)
        assert refused.value.code == "invalid_input"
    for account in ("providers/sandbox/USD", "unallocated/USD", "revenue/api/USD", "invoices/1/receivable"):
        with pytest.raises(TallystickError) as refused:
            await house.do("ledger.open_account", account=account, asset="USD")
        assert refused.value.code == "ledger.own_account"


async def test_the_ids_of_the_products_own_messages_are_reserved(house: House) -> None:
    """A caller cannot put a message where one of the product's own will be."""
    with pytest.raises(TallystickError) as refused:
        await house.do("ledger.ensure_asset", "tallystick:settle:1", asset="EUR", exponent=2)
    assert (refused.value.code, refused.value.field) == ("journal.id_not_acceptable", "id")
