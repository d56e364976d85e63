"""API keys: none may more than whoever made it, and none stands for two."""

import pytest

from tallystick.clock import SystemClock
from tallystick.errors import TallystickError
from tallystick.ledger.books import open_book
from tallystick.security.keys import authenticate, hash_of, make_key
from tallystick.security.model import OPERATOR, Principal
from tests.conftest import House


async def test_a_key_cannot_make_one_that_may_more(house: House) -> None:
    """Least privilege: who administers keys hands out no scope beyond its own."""
    clerk = Principal("key:clerk", "main", frozenset({"security:admin"}))
    with pytest.raises(TallystickError) as refused:
        await house.operations.call(
            clerk, "main", "security.create_key", "k", {"name": "n", "scopes": ["*"], "sha256": "00" * 32}
        )
    assert refused.value.code == "security.scope_missing"


async def test_a_key_belongs_to_one_book(house: House) -> None:
    """Whoever learned the hash of another book's key cannot register it in its own, nor revoke it there."""
    key, at = make_key(), SystemClock().now()
    fields = {"name": "n", "scopes": ["*"], "sha256": hash_of(key).hex()}
    await house.do("security.create_key", **fields)
    await house.operations.work(lambda connection: open_book(connection, "other", at))
    with pytest.raises(TallystickError) as refused:
        await house.operations.call(OPERATOR, "other", "security.create_key", "k1", fields)
    assert refused.value.code == "security.key_exists"
    async with house.operations.pool.acquire() as connection:
        assert (await authenticate(connection, key, SystemClock().now())).book == "main"


async def test_a_key_registered_twice_is_a_conflict(house: House) -> None:
    """Not `store.busy`, which says that trying again helps."""
    await house.do("security.create_key", "k1", name="n", scopes=["*"], sha256="11" * 32)
    with pytest.raises(TallystickError) as refused:
        await house.do("security.create_key", "k2", name="n", scopes=["*"], sha256="11" * 32)
    assert refused.value.code == "security.key_exists"
