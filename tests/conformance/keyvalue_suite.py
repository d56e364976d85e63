"""
What every store of keys and values has to do.

An implementation's tests are a class that inherits `KeyValueSuite` and has the fixture ``kept``, which gives an empty store
with the clock that it goes by.
"""

import asyncio
import datetime as dt
import random
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

import pytest

from tallystick.clock import FixedClock
from tallystick.keyvalue.model import (
    LONGEST_LIFETIME,
    MOST_BYTES,
    Entry,
    KeyNotAcceptable,
    KeyValue,
    LifetimeNotAcceptable,
    ValueTooLarge,
)

MINUTE = dt.timedelta(minutes=1)
INSTANT = dt.timedelta(microseconds=1)


@dataclass(frozen=True, slots=True)
class KeptStore:
    """An empty store, and the clock that tells it what has expired."""

    store: KeyValue
    clock: FixedClock


def _every_call(store: KeyValue, bucket: str, key: str) -> list[Callable[[], Awaitable[object]]]:
    """Return every call that a key can be given to."""
    return [
        lambda: store.get(bucket, key),
        lambda: store.get_many(bucket, ["k", key]),
        lambda: store.put(bucket, key, b"", None),
        lambda: store.put_many(bucket, {"k": b"", key: b""}, None),
        lambda: store.create(bucket, key, b"", None),
        lambda: store.compare_and_set(bucket, key, 1, b"", None),
        lambda: store.delete(bucket, key),
    ]


class KeyValueSuite:
    """The promises of `KeyValue`, one test each."""

    async def test_what_is_put_is_found_as_it_was(self, kept: KeptStore) -> None:
        """Any bytes come back, none at all and the most that are allowed too; what was not put is not there."""
        for value in (b"", b"\x00\xff", "½".encode(), random.Random(1).randbytes(MOST_BYTES)):
            revision = await kept.store.put("b", "k", value, None)
            assert await kept.store.get("b", "k") == Entry(value, revision)
        assert await kept.store.get("b", "other") is None

    async def test_buckets_know_nothing_of_each_other(self, kept: KeptStore) -> None:
        """The same key in two buckets is two keys, whatever the names look like put together."""
        await kept.store.put("a", "b/c", b"1", None)
        await kept.store.put("a/b", "c", b"2", None)
        assert (await kept.store.get_many("a", ["b/c", "c"])).keys() == {"b/c"}
        assert await kept.store.delete("a", "b/c")
        assert await kept.store.get("a/b", "c") is not None

    async def test_many_are_put_and_found_at_once(self, kept: KeptStore) -> None:
        """Those that are there are answered, each with its own revision; of none there is nothing to say."""
        values = {f"k{number}": str(number).encode() for number in range(500)}
        revisions = await kept.store.put_many("b", values, MINUTE)
        found = await kept.store.get_many("b", [*values, "k500"])
        assert found == {key: Entry(value, revisions[key]) for key, value in values.items()}
        assert len(set(revisions.values())) == len(values)
        assert await kept.store.get_many("b", []) == {}
        assert await kept.store.put_many("b", {}, MINUTE) == {}

    async def test_a_put_takes_the_place_of_what_was_there(self, kept: KeptStore) -> None:
        """The newest writing counts, its lifetime too: a longer one, a shorter one, or none."""
        await kept.store.put("b", "k", b"1", MINUTE)
        await kept.store.put("b", "k", b"2", None)
        kept.clock.at += 2 * MINUTE
        assert (await kept.store.get("b", "k") or Entry(b"", 0)).value == b"2"
        await kept.store.put("b", "k", b"3", MINUTE)
        kept.clock.at += MINUTE
        assert await kept.store.get("b", "k") is None

    async def test_what_has_expired_is_absent_at_once(self, kept: KeptStore) -> None:
        """At the very instant, in every call: it is not found, not deleted, not compared with, and can be created again."""
        revision = await kept.store.put("b", "k", b"1", MINUTE)
        kept.clock.at += MINUTE - INSTANT
        assert await kept.store.get("b", "k") == Entry(b"1", revision)
        assert await kept.store.create("b", "k", b"2", MINUTE) is None
        kept.clock.at += INSTANT
        assert await kept.store.get("b", "k") is None
        assert await kept.store.get_many("b", ["k"]) == {}
        assert await kept.store.compare_and_set("b", "k", revision, b"2", MINUTE) is None
        assert not await kept.store.delete("b", "k", revision)
        assert await kept.store.create("b", "k", b"3", MINUTE) is not None
        assert (await kept.store.get("b", "k") or Entry(b"", 0)).value == b"3"

    async def test_an_expired_value_is_deleted_as_if_it_were_not_there(self, kept: KeptStore) -> None:
        """Whoever deletes what is over is told that there was nothing, and there is nothing afterwards."""
        await kept.store.put("b", "k", b"1", MINUTE)
        kept.clock.at += MINUTE
        assert not await kept.store.delete("b", "k")
        assert await kept.store.get("b", "k") is None

    async def test_what_is_there_is_not_created(self, kept: KeptStore) -> None:
        """The first stays as it is, its lifetime too."""
        revision = await kept.store.create("b", "k", b"1", MINUTE)
        assert await kept.store.create("b", "k", b"2", None) is None
        assert revision is not None
        assert await kept.store.get("b", "k") == Entry(b"1", revision)
        kept.clock.at += MINUTE
        assert await kept.store.get("b", "k") is None

    async def test_one_of_many_creates(self, kept: KeptStore) -> None:
        """However many want to be the first, one is."""
        made = await asyncio.gather(*(kept.store.create("b", "k", str(one).encode(), MINUTE) for one in range(20)))
        first = [number for number, revision in enumerate(made) if revision is not None]
        assert len(first) == 1
        assert (await kept.store.get("b", "k") or Entry(b"", 0)).value == str(first[0]).encode()

    async def test_one_of_many_creates_what_has_expired(self, kept: KeptStore) -> None:
        """What is left behind by somebody whose time is over is taken over by one."""
        await kept.store.put("b", "k", b"old", MINUTE)
        kept.clock.at += MINUTE
        made = await asyncio.gather(*(kept.store.create("b", "k", b"new", MINUTE) for _ in range(20)))
        assert sum(revision is not None for revision in made) == 1

    async def test_a_value_is_set_if_nobody_was_faster(self, kept: KeptStore) -> None:
        """The revision that was read must be the one that is there; each writing makes a new one."""
        first = await kept.store.put("b", "k", b"1", MINUTE)
        second = await kept.store.compare_and_set("b", "k", first, b"2", MINUTE)
        assert second is not None
        assert second != first
        assert await kept.store.compare_and_set("b", "k", first, b"3", MINUTE) is None
        assert await kept.store.compare_and_set("b", "absent", first, b"3", MINUTE) is None
        assert await kept.store.get("b", "k") == Entry(b"2", second)

    async def test_setting_begins_a_new_lifetime(self, kept: KeptStore) -> None:
        """What is set lives from then on, however short the rest of the old time was."""
        revision = await kept.store.put("b", "k", b"1", MINUTE)
        kept.clock.at += MINUTE - INSTANT
        assert await kept.store.compare_and_set("b", "k", revision, b"2", MINUTE) is not None
        kept.clock.at += MINUTE - INSTANT
        assert await kept.store.get("b", "k") is not None
        kept.clock.at += INSTANT
        assert await kept.store.get("b", "k") is None

    async def test_many_count_together_and_none_is_lost(self, kept: KeptStore) -> None:
        """Twenty who add one by compare-and-set, again until it works, come to twenty."""
        await kept.store.put("b", "count", b"0", None)

        async def add_one() -> None:
            while True:
                found = await kept.store.get("b", "count")
                assert found is not None
                more = str(int(found.value) + 1).encode()
                if await kept.store.compare_and_set("b", "count", found.revision, more, None) is not None:
                    return

        await asyncio.gather(*(add_one() for _ in range(20)))
        assert (await kept.store.get("b", "count") or Entry(b"", 0)).value == b"20"

    async def test_a_revision_never_comes_again(self, kept: KeptStore) -> None:
        """Deleted, expired or put anew: whoever still has an old revision sets and deletes nothing by it."""
        seen = {await kept.store.put("b", "k", b"same", MINUTE)}
        for _ in range(3):
            await kept.store.delete("b", "k")
            seen.add(await kept.store.put("b", "k", b"same", MINUTE))
            kept.clock.at += MINUTE
            seen.add(await kept.store.create("b", "k", b"same", MINUTE) or 0)
        assert len(seen) == 7
        assert min(seen) > 0
        (newest,) = (await kept.store.get_many("b", ["k"])).values()
        for revision in seen - {newest.revision}:
            assert await kept.store.compare_and_set("b", "k", revision, b"wrong", MINUTE) is None
            assert not await kept.store.delete("b", "k", revision)
        assert await kept.store.get("b", "k") == newest

    async def test_what_is_deleted_is_gone(self, kept: KeptStore) -> None:
        """Deleting says whether there was something; with a revision it deletes that writing and no newer one."""
        first = await kept.store.put("b", "k", b"1", None)
        second = await kept.store.put("b", "k", b"2", None)
        assert not await kept.store.delete("b", "k", first)
        assert await kept.store.delete("b", "k", second)
        assert await kept.store.get("b", "k") is None
        assert not await kept.store.delete("b", "k")

    async def test_what_is_too_large_is_refused_whole(self, kept: KeptStore) -> None:
        """A byte too many is refused by every call that writes, and of many none is kept then."""
        large = bytes(MOST_BYTES + 1)
        revision = await kept.store.put("b", "k", b"1", None)
        for writing in (
            lambda: kept.store.put("b", "k", large, None),
            lambda: kept.store.put_many("b", {"k": b"2", "l": large}, None),
            lambda: kept.store.create("b", "l", large, None),
            lambda: kept.store.compare_and_set("b", "k", revision, large, None),
        ):
            with pytest.raises(ValueTooLarge):
                await writing()
        assert await kept.store.get_many("b", ["k", "l"]) == {"k": Entry(b"1", revision)}

    @pytest.mark.parametrize("name", ["", "x" * 256, "a\x00b", "a\nb", "\ud800"])
    async def test_a_name_that_is_none_is_refused(self, kept: KeptStore, name: str) -> None:
        """Empty, too long, or with what nobody can see, as bucket and as key, in every call."""
        for bucket, key, field in ((name, "k", "bucket"), ("b", name, "key")):
            for calling in _every_call(kept.store, bucket, key):
                with pytest.raises(KeyNotAcceptable) as refused:
                    await calling()
                assert refused.value.field == field
        assert await kept.store.get("b", "k") is None

    async def test_the_longest_names_are_names(self, kept: KeptStore) -> None:
        """255 characters of any script, in the bucket and in the key."""
        revision = await kept.store.put("é" * 255, "漢" * 255, b"1", MINUTE)
        assert await kept.store.get("é" * 255, "漢" * 255) == Entry(b"1", revision)

    @pytest.mark.parametrize("lifetime", [dt.timedelta(), -INSTANT, LONGEST_LIFETIME + INSTANT, dt.timedelta.max])
    async def test_a_lifetime_that_is_none_is_refused(self, kept: KeptStore, lifetime: dt.timedelta) -> None:
        """Nothing, less than nothing, and more than ten years."""
        for writing in (
            lambda: kept.store.put("b", "k", b"", lifetime),
            lambda: kept.store.put_many("b", {"k": b""}, lifetime),
            lambda: kept.store.create("b", "k", b"", lifetime),
            lambda: kept.store.compare_and_set("b", "k", 1, b"", lifetime),
        ):
            with pytest.raises(LifetimeNotAcceptable):
                await writing()
        assert await kept.store.get("b", "k") is None

    async def test_a_revision_that_never_was_matches_nothing(self, kept: KeptStore) -> None:
        """Zero and below are no revisions, and neither is one of another key."""
        await kept.store.put("b", "k", b"1", None)
        other = await kept.store.put("b", "l", b"1", None)
        for revision in (0, -1, other, (1 << 63) - 1):
            assert await kept.store.compare_and_set("b", "k", revision, b"2", None) is None
            assert not await kept.store.delete("b", "k", revision)
