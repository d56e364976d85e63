"""Wait until usage is settled: drafts and months that leave wait for open transactions that usage was recorded behind."""

import asyncio
import datetime as dt
from collections.abc import Awaitable, Callable
from typing import TypeVar

from tallystick.invoicing.draft import UsageNotSettled
from tallystick.usage.totals.require_folded import MonthNotFolded

_Done = TypeVar("_Done")
_FIRST_PAUSE = dt.timedelta(milliseconds=50)
_LONGEST_PAUSE = dt.timedelta(seconds=2)


async def wait_settled(
    verb: Callable[[], Awaitable[_Done]], patience: dt.timedelta, tell: Callable[[int], None]
) -> _Done:
    """
    Do *verb* once usage is settled, and return what came of it; *tell* is told for how many seconds it has waited so far.

    Raises:
        UsageNotSettled, MonthNotFolded: it takes longer than *patience* (``invoicing.usage_not_settled``,
            ``usage.month_not_folded``).
    """
    waited, pause = dt.timedelta(), _FIRST_PAUSE
    while True:
        try:
            return await verb()
        except (UsageNotSettled, MonthNotFolded):
            if waited >= patience:
                raise
            tell(waited // dt.timedelta(seconds=1))
            pause = min(pause, patience - waited)
            await asyncio.sleep(pause.total_seconds())
            waited, pause = waited + pause, min(2 * pause, _LONGEST_PAUSE)
