"""
A process that sends the messages of some lanes: ``python -m tests.simulation.poster PLAN LANE…``.

Each lane sends one message after the other, and each until it is answered. What it sends and what it is answered goes into
a file of the lane before it goes on; so whoever is killed and started again goes on where it was, with the message whose
answer it may have lost. SIGTERM ends it behind the messages under way.
"""

import asyncio
import contextlib
import json
import signal
import sys
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import asyncpg
import httpx
import msgspec

from tallystick.db.connect import LOST_CONNECTION, open_pool
from tallystick.errors import Kind, TallystickError
from tallystick.operations.run import Operations
from tallystick.operations.table import TABLE
from tallystick.security.model import OPERATOR
from tests.simulation.clocks import JumpingClock
from tests.simulation.plan import Plan
from tests.simulation.workload import Sent

_PAUSE = 0.05
_MOST_FAULTS = 5


class Unanswered(Exception):
    """Whether it was done is not known: it is to be sent again."""


@dataclass(frozen=True, slots=True)
class Reply:
    """What a message was answered: the answer itself, or the code of a refusal with the field."""

    answer: str | None
    code: str | None = None
    field: str | None = None


Door = Callable[[Sent], Awaitable[Reply]]
"""Sends a message and returns what was answered; raises `Unanswered` when it is not known."""


@dataclass(slots=True)
class Journal:
    """The file of a lane."""

    path: Path

    def resume(self) -> int:
        """Return the number of the first message that was not answered; a line that a kill cut off is cut away."""
        if not self.path.exists():
            return 0
        text = self.path.read_bytes()
        whole = text[: text.rfind(b"\n") + 1]
        if whole != text:
            self.path.write_bytes(whole)
        answered = [line["number"] for line in map(json.loads, whole.splitlines()) if "code" in line]
        return max(answered, default=-1) + 1

    def write(self, **line: object) -> None:
        """Append a line, in the hands of the kernel when this returns."""
        with self.path.open("ab") as file:
            file.write(json.dumps(line).encode() + b"\n")


async def send(journal: Journal, number: int, sent: Sent, door: Door) -> None:
    """Send a message until it is answered."""
    faults = 0
    while faults < _MOST_FAULTS:
        journal.write(number=number, sent=True)
        try:
            reply = await door(sent)
        except Unanswered:
            await asyncio.sleep(_PAUSE)
            continue
        except Exception as fault:  # noqa: BLE001 - whatever it is, it should not have been, and the auditor tells
            journal.write(number=number, fault=repr(fault), key=sent.key)
            faults += 1
            await asyncio.sleep(_PAUSE)
            continue
        journal.write(
            number=number, key=sent.key, operation=sent.operation, input=sent.input, answer=reply.answer,
            code=reply.code, field=reply.field,
        )  # fmt: skip
        return


def direct_door(operations: Operations) -> Door:
    """Go by the operations of this process, on the database itself."""

    async def door(sent: Sent) -> Reply:
        try:
            answer = await operations.run(OPERATOR, "main", sent.operation, sent.key, sent.input)
        except TallystickError as error:
            if error.kind is Kind.UNAVAILABLE:
                raise Unanswered from error
            return Reply(None, error.code, error.field)
        return Reply(answer.body.decode())

    return door


def rest_door(client: httpx.AsyncClient) -> Door:
    """Go by REST."""
    routes = {name: operation.route.split() for name, operation in TABLE.items() if operation.route}

    async def door(sent: Sent) -> Reply:
        method, path = routes[sent.operation]
        fields = dict(sent.input)
        for name in [name for name in fields if f"{{{name}}}" in path]:
            path = path.replace(f"{{{name}}}", str(fields.pop(name)))
        try:
            reply = await client.request(method, path, json=fields, headers={"idempotency-key": sent.key})
        except httpx.TransportError as lost:
            raise Unanswered from lost
        if reply.status_code == httpx.codes.OK:
            return Reply(reply.text)
        problem: dict[str, Any] = reply.json()
        if reply.status_code == httpx.codes.SERVICE_UNAVAILABLE:
            raise Unanswered(problem["code"])
        assert reply.status_code < httpx.codes.INTERNAL_SERVER_ERROR, reply.text
        return Reply(None, problem["code"], problem.get("field"))

    return door


async def run_lane(plan: Plan, lane: str, door: Door, stop: asyncio.Event) -> None:
    """Send the messages of a lane from where it was, until *stop*."""
    journal = Journal(plan.journal(lane))
    number = journal.resume()
    while not stop.is_set():
        await send(journal, number, plan.workload.message(lane, number), door)
        number += 1


async def _open_pool(url: str) -> asyncpg.Pool:
    """Open a pool as soon as the database is there."""
    while True:
        try:
            return await open_pool(url, size=6)
        except (TallystickError, asyncpg.PostgresError, *LOST_CONNECTION):
            await asyncio.sleep(_PAUSE)


async def main(plan: Plan, lanes: list[str]) -> None:
    """Run the lanes side by side, each by the door that its name says."""
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    async with contextlib.AsyncExitStack() as stack:
        doors: dict[str, Door] = {}
        if any(lane.startswith("direct") for lane in lanes):
            pool = await _open_pool(plan.url)
            stack.callback(pool.terminate)
            clock = JumpingClock(f"{plan.workload.seed}/{lanes[0]}")
            doors["direct"] = direct_door(Operations(pool, clock, TABLE))
        if any(lane.startswith("rest") for lane in lanes):
            client = httpx.AsyncClient(
                base_url=f"{plan.address}/v1/books/main", headers={"authorization": f"Bearer {plan.key}"}, timeout=30,
                trust_env=False,
            )  # fmt: skip
            doors["rest"] = rest_door(await stack.enter_async_context(client))
        await asyncio.gather(*(run_lane(plan, lane, doors[lane.partition("-")[0]], stop) for lane in lanes))


if __name__ == "__main__":
    asyncio.run(main(msgspec.json.decode(Path(sys.argv[1]).read_bytes(), type=Plan), sys.argv[2:]))
