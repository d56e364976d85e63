"""Whoever reads how receipts are verified can write a verifier: here is one, held against what the product issues."""

import asyncio
from pathlib import Path

import pytest

from tallystick.errors import TallystickError
from tallystick.ledger.log_keys import load_public_key
from tallystick.operations.run import Operations
from tallystick.operations.sealing import Sealing
from tallystick.security.model import OPERATOR
from tests.conftest import House
from tests.docs.second_verifier import verify
from tests.scenarios.paying import open_shop
from tests.unit.test_receipt_verify import ANOTHER_KEY, GOOD, KEY


async def test_a_verifier_written_from_the_page_accepts_a_receipt(house: House, tmp_path: Path) -> None:
    """A receipt of a payment that was really made holds, and says who paid how much for what."""
    async with open_shop(house, tmp_path) as shop:
        done = await shop.post(await shop.start())
        sealing = asyncio.create_task(Sealing(shop.operations, tmp_path / "keys", "example.test").run())
        try:
            file = await _fetch(shop.operations, str(done.receipt_id))
        finally:
            sealing.cancel()
            await asyncio.gather(sealing, return_exceptions=True)
    statement = verify(file, str(load_public_key(tmp_path / "keys", "main")))
    assert statement["payment"]["amount"] == done.amount
    assert statement["invoice"]["number"] == shop.invoice.number


def test_it_refuses_another_key() -> None:
    """A key of the same name and another secret is not the log's."""
    assert verify(GOOD, KEY)["payment"]["user"] == "ada"
    with pytest.raises(ValueError, match="signature"):
        verify(GOOD, ANOTHER_KEY)


def test_it_refuses_every_changed_byte() -> None:
    """The page's claim that no byte is free holds for a second implementation too."""
    accepted = [place for place in range(len(GOOD)) if _accepts(_with_changed_byte(place))]
    assert accepted == []


def _with_changed_byte(place: int) -> bytes:
    return GOOD[:place] + bytes([GOOD[place] ^ 1]) + GOOD[place + 1 :]


def _accepts(file: bytes) -> bool:
    try:
        verify(file, KEY)
    except Exception:  # noqa: BLE001 - whatever it trips over, it has not accepted
        return False
    return True


async def _fetch(operations: Operations, receipt_id: str) -> bytes:
    async with asyncio.timeout(10):
        while True:
            try:
                return (await operations.run(OPERATOR, "main", "receipts.get", "", {"receipt_id": receipt_id})).body
            except TallystickError as error:
                if not error.kind.retry_helps:
                    raise
                await asyncio.sleep(0.02)
