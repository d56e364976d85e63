"""The test clock's operation: move the present of a server that was started on a clock of its own."""

import datetime as dt
from typing import TYPE_CHECKING, Annotated

import msgspec

from tallystick.clock import MovedClock
from tallystick.errors import InvalidInput, Kind, TallystickError
from tallystick.operations.model import Call, Input, Operation
from tallystick.security.model import Principal

if TYPE_CHECKING:
    from tallystick.operations.run import Operations


class NoTestClock(TallystickError):
    """The server goes by the machine's clock, which nobody moves; start it with TALLYSTICK_TEST_CLOCK to try time out."""

    code = "clock.no_test_clock"
    kind = Kind.REFUSED


class AdvanceInput(Input, frozen=True):
    """When it shall be."""

    to: Annotated[dt.datetime, msgspec.Meta(tz=True)]


class ClockAdvanced(msgspec.Struct, frozen=True):
    """When it is."""

    now: dt.datetime


async def advance(call: Call, request: AdvanceInput) -> ClockAdvanced:
    """
    Move the test clock of the server forward; whatever is asked for then is asked for at that instant.

    Refused unless the server was started with TALLYSTICK_TEST_CLOCK.
    """
    if request.to < call.at:
        raise InvalidInput(field="to", rule="a clock is only moved forward")
    return ClockAdvanced(request.to.astimezone(dt.UTC))


async def move(operations: "Operations", _principal: Principal, _book: str, wanted: ClockAdvanced) -> ClockAdvanced:
    """
    Move the clock, if there is one to be moved.

    Raises:
        NoTestClock: the server goes by the machine's (``clock.no_test_clock``).
    """
    if not isinstance(operations.clock, MovedClock):
        raise NoTestClock
    operations.clock.advance(max(wanted.now, operations.clock.now()))
    return ClockAdvanced(operations.clock.now())


OPERATIONS = [
    Operation("clock.advance", AdvanceInput, ClockAdvanced, "clock:write", "POST /clock", advance, then=move),
]
