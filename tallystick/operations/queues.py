"""The queues' operation: how much waits, for whoever looks after the server."""

import msgspec

from tallystick.operations.model import Call, NothingInput, Operation
from tallystick.queues.list_queues import QueueState, list_queues


class QueuesOutput(msgspec.Struct, frozen=True):
    """The queues that have jobs, by name."""

    items: list[QueueState]


async def show_queues(call: Call, request: NothingInput) -> QueuesOutput:
    """Return how much is still to be done outside, by queue: what is due, being worked on, waiting, and failing."""
    del request
    return QueuesOutput(await list_queues(call.connection, call.book.book_id, call.at))


OPERATIONS = [
    Operation("queues.list", NothingInput, QueuesOutput, "queues:read", "GET /queues", show_queues, reads=True),
]
