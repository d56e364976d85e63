"""The test clock: time is moved by hand where the server was started so, and nowhere else."""

import datetime as dt

import asyncpg
import pytest

from tallystick.clock import MovedClock
from tallystick.errors import TallystickError
from tallystick.ledger.books import open_book
from tallystick.operations.run import Operations
from tallystick.operations.table import TABLE
from tallystick.operations.test_clock import NoTestClock
from tallystick.settings import read_settings
from tests.conftest import House

NEW_YEAR = dt.datetime(2024, 1, 1, tzinfo=dt.UTC)


async def test_time_is_moved_forward_only(pool: asyncpg.Pool) -> None:
    """And stands where it was moved to, for whatever is asked for then."""
    async with pool.acquire() as connection:
        await open_book(connection, "main", NEW_YEAR)
    house = House(Operations(pool, MovedClock(NEW_YEAR), TABLE))
    moved = await house.do("clock.advance", to="2024-02-01T01:00:00+01:00")
    assert moved.now == house.operations.clock.now() == dt.datetime(2024, 2, 1, tzinfo=dt.UTC)
    with pytest.raises(TallystickError, match="only moved forward"):
        await house.do("clock.advance", to="2024-01-31T23:59:59Z")
    await house.do("ledger.ensure_asset", asset="EUR", exponent=2)
    assert house.operations.clock.now() == moved.now


async def test_the_machines_clock_is_not_moved(house: House) -> None:
    """Whoever tries is told how to start a server whose clock can be."""
    with pytest.raises(NoTestClock, match="TALLYSTICK_TEST_CLOCK"):
        await house.do("clock.advance", to="2999-01-01T00:00:00Z")


def test_the_setting_is_an_instant_with_its_zone() -> None:
    """Anything else is refused as the command line starts."""
    assert read_settings({"TALLYSTICK_TEST_CLOCK": "2024-01-01T01:00:00+01:00"}).test_clock == NEW_YEAR
    assert read_settings({}).test_clock is None
    for text in ("2024-01-01T00:00:00", "tomorrow"):
        with pytest.raises(ValueError, match="an instant with its zone"):
            read_settings({"TALLYSTICK_TEST_CLOCK": text})
