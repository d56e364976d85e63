"""Receipts are read far more often than issued: what was given once is given again from memory."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from tallystick.db.connect import StoreUnreachable
from tallystick.ids import uuid7
from tallystick.operations.run import Operations
from tallystick.operations.sealing import Sealing
from tallystick.receipts.prove import NotYetProvable, UnknownReceipt
from tallystick.security.authorise import OtherBook, ScopeMissing
from tallystick.security.model import OPERATOR, Principal
from tests.conftest import House
from tests.scenarios.paying import Shop, open_shop


@pytest_asyncio.fixture
async def shop(house: House, tmp_path: Path) -> AsyncIterator[Shop]:
    """Open a shop whose customer owes for three requests."""
    async with open_shop(house, tmp_path) as opened:
        yield opened


async def read(operations: Operations, receipt_id: str, principal: Principal = OPERATOR, book: str = "main") -> bytes:
    """Read a receipt's file."""
    return (await operations.run(principal, book, "receipts.get", "", {"receipt_id": receipt_id})).body


async def read_sealed(shop: Shop, receipt_id: str, directory: Path) -> bytes:
    """Have what was posted sealed, and read a receipt as soon as it can be proved."""
    sealing = asyncio.create_task(Sealing(shop.operations, directory / "keys", "test.example").run())
    try:
        async with asyncio.timeout(30):
            while True:
                with contextlib.suppress(NotYetProvable):
                    return await read(shop.operations, receipt_id)
                await asyncio.sleep(0.05)
    finally:
        sealing.cancel()
        await asyncio.gather(sealing, return_exceptions=True)


async def pay(shop: Shop) -> str:
    """Pay the invoice, and return the id of the receipt."""
    return str((await shop.post(await shop.start())).receipt_id)


async def test_a_receipt_that_was_given_is_given_without_the_store(shop: Shop, tmp_path: Path) -> None:
    """Once it was read it is there as it was, with no connection at all; what was not read is not."""
    receipt_id = await pay(shop)
    first = await read_sealed(shop, receipt_id, tmp_path)
    assert receipt_id.encode() in first
    another = Operations(shop.operations.pool, shop.operations.clock, shop.operations.table)
    assert await read(another, receipt_id) == first
    await shop.rest()
    await shop.operations.pool.close()
    assert await read(shop.operations, receipt_id) == first
    with pytest.raises(StoreUnreachable):
        await read(shop.operations, str(uuid7()))
    with pytest.raises(StoreUnreachable):
        await read(Operations(shop.operations.pool, shop.operations.clock, shop.operations.table), receipt_id)


async def test_only_who_may_read_receipts_gets_a_remembered_one(shop: Shop, tmp_path: Path) -> None:
    """Who asks is judged before anything is looked for: a key without the scope, or of another book, gets nothing."""
    receipt_id = await pay(shop)
    await read_sealed(shop, receipt_id, tmp_path)
    for principal in (
        Principal("none", "main", frozenset({"ledger:*", "payments:read"})),
        Principal("other", "other", frozenset({"*"})),
    ):
        with pytest.raises((ScopeMissing, OtherBook)):
            await read(shop.operations, receipt_id, principal)


async def test_a_refusal_is_not_remembered(shop: Shop, tmp_path: Path) -> None:
    """A receipt that is not there yet, or not provable yet, is had as soon as it is; another book still has none."""
    with pytest.raises(UnknownReceipt):
        await read(shop.operations, str(uuid7()))
    receipt_id = await pay(shop)
    with pytest.raises(NotYetProvable):
        await read(shop.operations, receipt_id)
    assert len(shop.operations.remembered) == 0
    await read_sealed(shop, receipt_id, tmp_path)
    assert len(shop.operations.remembered) == 1
