"""Do something once for all who ask for it at the same time."""

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any, Generic, TypeVar

from tallystick.payments.providers.protocol import ProviderUnreachable

_Result = TypeVar("_Result")


class UnderWay(Generic[_Result]):
    """
    What is being done just now, by what it is for.

    Whoever comes while it is done waits for the same, and hears of the same failure: nobody stands in a line behind others
    who each wait their full time in vain.
    """

    def __init__(self, most: int) -> None:
        """Do *most* things at once."""
        self._most = most
        self._tasks: dict[str, asyncio.Task[_Result]] = {}

    async def join(self, key: str, begin: Callable[[], Coroutine[Any, Any, _Result]]) -> _Result:
        """
        Return what *begin* gives, begun once for all who ask for *key* meanwhile.

        Raises:
            ProviderUnreachable: as many others as may be are under way (``payments.provider_unknown_outcome``).
        """
        task = self._tasks.get(key)
        if task is None:
            if len(self._tasks) >= self._most:
                raise ProviderUnreachable(cause="too much is asked of PayPal at once")
            task = self._tasks[key] = asyncio.create_task(begin())
            task.add_done_callback(lambda done: self._end(key, done))
        # One who gives up waiting does not take it away from the others.
        return await asyncio.shield(task)

    def _end(self, key: str, task: "asyncio.Task[_Result]") -> None:
        self._tasks.pop(key, None)
        if not task.cancelled():
            task.exception()  # seen here, so that nobody is told that nobody saw it when all have gone
