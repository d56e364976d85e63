"""Fields that are put together by hand are stored as what they say."""

import datetime as dt
import random
from decimal import Decimal

import asyncpg
import pytest

from tallystick.db.copy import copy_in, framed
from tallystick.db.encode_field import instant, numeric, text


def _numbers(chance: random.Random) -> list[Decimal]:
    """Return numbers of every length, with digits before and behind the point, and the odd ones."""
    odd = ["0", "-0", "0.00", "1E+3", "-1E-9", "9999", "10000", "0.0001", "0.00010", "10000.0001", "99990000", "-12.50"]
    made = [
        Decimal(
            (chance.randrange(2), tuple(chance.choices(range(10), k=chance.randrange(1, 45))), chance.randrange(-40, 6))
        )
        for _ in range(300)
    ]
    return [*map(Decimal, odd), *made]


async def test_what_is_encoded_by_hand_is_stored_as_it_is_written(owner: asyncpg.Connection) -> None:
    """Numbers with their decimals, text or none, instants to the microsecond."""
    seed = 7
    chance = random.Random(seed)
    numbers = _numbers(chance)
    start = dt.datetime(1970, 1, 1, tzinfo=dt.UTC)
    instants = [start + dt.timedelta(microseconds=chance.randrange(3 * 10**15)) for _ in numbers]
    texts = [chance.choice([None, "", "plain", "\N{EURO SIGN} \\ \t"]) for _ in numbers]
    await owner.execute("CREATE TABLE tallystick.written (place integer, number numeric, words text, at timestamptz)")
    rows = [
        (4).to_bytes(2, "big")
        + (4).to_bytes(4, "big")
        + place.to_bytes(4, "big")
        + numeric(n)
        + text(words)
        + instant(at)
        for place, (n, words, at) in enumerate(zip(numbers, texts, instants, strict=True))
    ]
    await copy_in(owner, "written", ("place", "number", "words", "at"), framed(b"".join(rows)))
    found = await owner.fetch("SELECT number::text, words, at FROM tallystick.written ORDER BY place")
    sent = await owner.fetch("SELECT number::text FROM unnest($1::numeric[]) AS number", numbers)
    assert [row[0] for row in found] == [row[0] for row in sent]
    assert [(row[1], row[2]) for row in found] == list(zip(texts, instants, strict=True))


def test_what_is_not_finite_is_not_encoded() -> None:
    """No column of ours holds such a number."""
    for odd in ("NaN", "Infinity"):
        with pytest.raises(ValueError, match="not finite"):
            numeric(Decimal(odd))
