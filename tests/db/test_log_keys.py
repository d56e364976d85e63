"""A book whose log key is lost waits for it; the other books are sealed."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path

from tallystick.errors import TallystickError
from tallystick.ids import uuid7
from tallystick.ledger.books import open_book
from tallystick.ledger.log_keys import key_path
from tallystick.operations.sealing import Sealing
from tallystick.security.model import OPERATOR
from tests.conftest import House


async def post_one(house: House, book: str) -> None:
    """Post a transfer in *book*."""
    for operation, fields in (
        ("ledger.ensure_asset", {"asset": "USD", "exponent": 2}),
        ("ledger.open_account", {"account": "a", "asset": "USD"}),
        ("ledger.open_account", {"account": "b", "asset": "USD"}),
        ("ledger.transfer", {"id": str(uuid7()), "debit": "a", "credit": "b", "amount": 1}),
    ):
        await house.operations.call(OPERATOR, book, operation, str(uuid7()), fields)


@asynccontextmanager
async def sealing(house: House, keys: Path) -> AsyncIterator[None]:
    """Seal while the context lasts."""
    task = asyncio.create_task(Sealing(house.operations, keys, "localhost/tallystick").run())
    try:
        yield
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


async def await_checkpoint(house: House, book: str) -> int:
    """Wait for the book's checkpoint, and return its size."""
    async with asyncio.timeout(10):
        while True:
            try:
                found = await house.operations.call(OPERATOR, book, "ledger.checkpoint", "", {})
            except TallystickError:
                await asyncio.sleep(0.02)
            else:
                return int(found.size)


async def test_a_lost_key_stops_its_own_log_alone(house: House, tmp_path: Path) -> None:
    """The public key of the one stays what verifies its receipts; the other gets its checkpoints."""
    await house.operations.work(lambda connection: open_book(connection, "second", house.operations.clock.now()))
    await post_one(house, "main")
    async with sealing(house, tmp_path):
        assert await await_checkpoint(house, "main") == 1
    public = key_path(tmp_path, "main").with_suffix(".pub").read_text()
    key_path(tmp_path, "main").unlink()
    await post_one(house, "second")
    await post_one(house, "main")
    async with sealing(house, tmp_path):
        assert await await_checkpoint(house, "second") == 1
        assert await await_checkpoint(house, "main") == 1
    assert key_path(tmp_path, "main").with_suffix(".pub").read_text() == public
