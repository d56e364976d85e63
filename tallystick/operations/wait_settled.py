"""Wait until usage is settled: drafting is refused while a transaction is open that usage was recorded behind."""

import asyncio
import datetime as dt
from collections.abc import Awaitable, Callable
from typing import TypeVar

from tallystick.invoicing.draft import UsageNotSettled

_Drafted = TypeVar("_Drafted")
_FIRST_PAUSE = dt.timedelta(milliseconds=50)
_LONGEST_PAUSE = dt.timedelta(seconds=2)


async def wait_settled(
    draft: Callable[[], Awaitable[_Drafted]], patience: dt.timedelta, tell: Callable[[int], None]
) -> _Drafted:
    """
    Draft once usage is settled, and return what came of it; *tell* is told for how many seconds it has waited so far.

    Raises:
        UsageNotSettled: it takes longer than *patience* (``invoicing.usage_not_settled``).
    """
    waited, pause = dt.timedelta(), _FIRST_PAUSE
    while True:
        try:
            return await draft()
        except UsageNotSettled:
            if waited >= patience:
                raise
            tell(waited // dt.timedelta(seconds=1))
            pause = min(pause, patience - waited)
            await asyncio.sleep(pause.total_seconds())
            waited, pause = waited + pause, min(2 * pause, _LONGEST_PAUSE)
