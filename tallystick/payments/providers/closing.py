"""Closing: what holds connections to a provider lets go of them where its context ends."""

from abc import ABC, abstractmethod
from types import TracebackType
from typing import Self


class Closing(ABC):
    """A provider whose connections are closed at the end of its context."""

    async def __aenter__(self) -> Self:
        """Return itself."""
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close."""
        await self.close()

    @abstractmethod
    async def close(self) -> None:
        """Close the connections."""
