"""The driver has a class of ids of its own; this is why nobody here turns them into plain ones."""

import pickle
import uuid

import asyncpg
import msgspec

from tallystick import canonical
from tallystick.ids import id_of_content

PLAIN = uuid.UUID("019ab0e0-0000-7000-8000-000000000001")
NEXT = uuid.UUID("019ab0e0-0000-7000-8000-000000000002")


class _Holder(msgspec.Struct, frozen=True):
    """Something with an id."""

    id: uuid.UUID


async def test_an_id_that_the_driver_read_is_as_good_as_a_plain_one(pool: asyncpg.Pool) -> None:
    """It is the same key, sorts, is written and is sent as a plain one is; so a copy would only cost time."""
    read = await pool.fetchval("SELECT $1::uuid", PLAIN)
    assert isinstance(read, uuid.UUID)
    assert (read, hash(read), str(read), repr(read), read.bytes) == (
        PLAIN,
        hash(PLAIN),
        str(PLAIN),
        repr(PLAIN),
        PLAIN.bytes,
    )
    assert {PLAIN: "found"}[read] == {read: "found"}[PLAIN] == "found"
    assert sorted([NEXT, read]) == [PLAIN, NEXT]
    assert sorted([await pool.fetchval("SELECT $1::uuid", NEXT), PLAIN]) == [PLAIN, NEXT]
    held, plainly = _Holder(read), _Holder(PLAIN)
    assert (held, hash(held)) == (plainly, hash(plainly))
    for write in (msgspec.json.encode, msgspec.msgpack.encode, msgspec.to_builtins, canonical.encode):
        assert write({"id": held}) == write({"id": plainly})
    assert msgspec.json.encode({read: [read]}) == msgspec.json.encode({PLAIN: [PLAIN]})
    assert msgspec.convert({"id": read}, _Holder) == plainly
    assert id_of_content([str(read)]) == id_of_content([str(PLAIN)])
    assert pickle.loads(pickle.dumps(read)) == PLAIN, "it goes to other processes, too"  # noqa: S301 - what we wrote ourselves
    assert await pool.fetchval("SELECT $1::uuid", read) == PLAIN
