"""Messages that arrive together are gathered into transactions; none of them starves, and none suffers for another."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import pytest

from tallystick.clock import SystemClock
from tallystick.operations.model import Answer, Call, Input, Operation
from tallystick.operations.run import Operations
from tallystick.security.model import OPERATOR
from tests.conftest import House


class Said(Input, frozen=True):
    """A word."""

    word: str


@dataclass
class Echo:
    """An operation that gives words back, one transaction after another as they are let go."""

    begun: "asyncio.Queue[tuple[list[str], asyncio.Event]]" = field(default_factory=asyncio.Queue)

    async def together(self, call: Call, requests: Sequence[Any]) -> Sequence[object]:
        """Give each its word back."""
        assert len(call.message_hashes) == len(requests)
        let_go = asyncio.Event()
        self.begun.put_nowait(([one.word for one in requests], let_go))
        await let_go.wait()
        return [one.word for one in requests]

    async def next(self) -> tuple[list[str], asyncio.Event]:
        """Wait for the next transaction."""
        return await asyncio.wait_for(self.begun.get(), 5)

    async def none_begins(self) -> bool:
        """Say whether no more begins although the loop went round; what begins asks the store first."""
        try:
            await asyncio.wait_for(self.begun.get(), 0.05)
        except TimeoutError:
            return True
        return False


@dataclass
class Asking:
    """Whoever says words, each under its own key."""

    operations: Operations

    def say(self, *words: str) -> list["asyncio.Task[Answer]"]:
        """Say them at once."""
        return [
            asyncio.create_task(self.operations.run(OPERATOR, "main", "test.echo", f"say {word}", {"word": word}))
            for word in words
        ]


@pytest.fixture
def echo() -> Echo:
    """Return the operation's hand."""
    return Echo()


@pytest.fixture
def asking(house: House, echo: Echo) -> Asking:
    """Return who asks for the operation, on a fresh database."""
    operation = Operation("test.echo", Said, str, "ledger:write", "", together=echo.together)
    return Asking(Operations(house.operations.pool, SystemClock(), {operation.name: operation}))


async def _answers(said: Sequence["asyncio.Task[Answer]"]) -> list[bytes]:
    async with asyncio.timeout(5):
        return [answer.body for answer in await asyncio.gather(*said)]


async def test_a_second_transaction_begins_when_as_many_wait_as_are_under_way(asking: Asking, echo: Echo) -> None:
    """Fewer wait until the first is done, and then go at once; a third never begins beside two."""
    said = asking.say("a")
    words, first = await echo.next()
    assert words == ["a"]
    said += asking.say("b")
    words, second = await echo.next()
    assert words == ["b"]
    said += asking.say("c", "d", "e")
    assert await echo.none_begins()
    first.set()  # beside the one of b, three are enough
    words, third = await echo.next()
    assert words == ["c", "d", "e"]
    second.set()
    said += asking.say("f", "g")
    assert await echo.none_begins()  # two are too few beside three
    third.set()
    words, fourth = await echo.next()
    assert words == ["f", "g"]
    fourth.set()
    assert await _answers(said) == [f'"{word}"'.encode() for word in "abcdefg"]


@pytest.mark.parametrize("waiting", [1, 2, 2500])
async def test_none_starves_when_no_more_come(asking: Asking, echo: Echo, waiting: int) -> None:
    """However many wait behind a transaction of two, all are answered though nobody comes to push them."""
    said = asking.say("first")
    _, first = await echo.next()
    words = [str(nth) for nth in range(waiting)]
    said += asking.say(*words)
    await asyncio.sleep(0)
    first.set()
    ran: list[str] = []
    while len(ran) < waiting:
        some, let_go = await echo.next()
        assert len(some) <= 1000
        ran += some
        let_go.set()
    assert await _answers(said) == [f'"{word}"'.encode() for word in ("first", *words)]
    assert sorted(ran) == sorted(words)


async def test_whoever_stops_waiting_breaks_no_other(asking: Asking, echo: Echo) -> None:
    """Given up while it is under way or while it waits, a message is run once, and the others get their answers."""
    said = asking.say("a", "b", "c")
    words, first = await echo.next()
    said += asking.say(*"defgh"[: len(words) - 1] or "d")
    await asyncio.sleep(0)
    said[0].cancel()
    said[-1].cancel()
    first.set()
    ran = words
    while len(ran) < len(said):
        some, let_go = await echo.next()
        ran = ran + some
        let_go.set()
    assert await _answers(said[1:-1]) == [f'"{word}"'.encode() for word in "abcdefgh"[1 : len(said) - 1]]
    for one in (said[0], said[-1]):
        with pytest.raises(asyncio.CancelledError):
            await one
    assert sorted(ran) == list("abcdefgh"[: len(said)])
    again = asking.say("a", "abcdefgh"[len(said) - 1])
    async with asyncio.timeout(5):
        assert [(await one).replayed for one in again] == [True, True]
