"""A connection that is lost while the transaction commits."""

import asyncpg
import pytest

from tallystick.db.connect import StoreUnreachable
from tallystick.ids import uuid7
from tests.conftest import House


async def test_a_lost_commit_is_not_told_as_nothing_changed(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    """When the connection dies as the commit is answered, nobody may say that nothing was changed."""
    for account in ("a", "b"):
        await house.do("ledger.open_account", account=account, asset="USD")
    transfer_id = str(uuid7())
    original = asyncpg.transaction.Transaction.__aexit__

    async def cut(self: asyncpg.transaction.Transaction, *arguments: object) -> None:
        await original(self, *arguments)
        raise asyncpg.ConnectionDoesNotExistError("connection was closed in the middle of operation")

    monkeypatch.setattr(asyncpg.transaction.Transaction, "__aexit__", cut)
    with pytest.raises(StoreUnreachable) as told:
        await house.do("ledger.transfer", id=transfer_id, debit="a", credit="b", amount=1)
    monkeypatch.undo()
    assert (await house.do("ledger.find_transfer", id=transfer_id)).amount == 1
    assert "nothing was changed" not in told.value.message
