"""What callers may say of time, and where pages begin."""

import pytest

from tallystick.errors import TallystickError
from tallystick.ids import uuid7
from tests.conftest import House


async def test_an_instant_without_a_zone_is_refused_by_name(house: House) -> None:
    """A transfer whose effective_at has no zone is bad input, not a failure of ours."""
    for account in ("a", "b"):
        await house.do("ledger.open_account", account=account, asset="USD")
    with pytest.raises(TallystickError) as refused:
        await house.do(
            "ledger.transfer", id=str(uuid7()), debit="a", credit="b", amount=1, effective_at="2015-06-02T10:00:00"
        )
    assert refused.value.field == "effective_at"


@pytest.mark.parametrize("instant", ["9999-12-31T23:59:59-23:59", "9999-01-01T00:00:00Z", "0001-01-01T00:00:00+14:00"])
async def test_an_instant_that_no_calendar_has_is_refused(house: House, instant: str) -> None:
    """What could be written and never be read again is not written."""
    for account in ("a", "b"):
        await house.do("ledger.open_account", account=account, asset="USD")
    with pytest.raises(TallystickError) as refused:
        await house.do("ledger.transfer", id=str(uuid7()), debit="a", credit="b", amount=1, effective_at=instant)
    assert (refused.value.code, refused.value.field) == ("invalid_input", "effective_at")
    assert not (await house.do("ledger.history", account="a")).items


@pytest.mark.parametrize("cursor", ["99999999999999999999.1", "1.99999999999", "-1.0", "1", "x.y", "1.0.0"])
async def test_a_cursor_that_no_page_gave_is_refused(house: House, cursor: str) -> None:
    """A cursor that no page gave is bad input."""
    await house.do("ledger.open_account", account="a", asset="USD")
    with pytest.raises(TallystickError) as refused:
        await house.do("ledger.history", account="a", after=cursor)
    assert (refused.value.code, refused.value.field) == ("invalid_input", "after")
