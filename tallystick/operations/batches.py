"""The operations of runs over all customers: what they came to is kept chunk by chunk, and can be listed."""

import uuid
from typing import Annotated

import msgspec

from tallystick.collecting.batches.find import find_run, page_runs
from tallystick.collecting.batches.keep import begin_run, note_run
from tallystick.collecting.batches.model import BatchRun, BatchRunsPage, Failure
from tallystick.money import MAX_AMOUNT
from tallystick.operations.fields import PageSize, Reference
from tallystick.operations.model import Call, Input, Operation
from tallystick.operations.repayments import CustomerRef

MOST_FAILURES = 5_000
RunKind = Annotated[str, msgspec.Meta(pattern=r"^[a-z][a-z0-9_]{0,31}$(?!\n)")]
Counted = Annotated[int, msgspec.Meta(ge=0, le=MAX_AMOUNT)]
CountName = Annotated[str, msgspec.Meta(min_length=1, max_length=64)]
WhyText = Annotated[str, msgspec.Meta(max_length=2_000, pattern=r"^[^\x00]*$(?!\n)")]


class BeginRunInput(Input, frozen=True):
    """A run that begins, under an id of its own."""

    id: uuid.UUID
    kind: RunKind
    """``dunning``, ``invoices``, ``subscriptions``, ``charges``, or any name of yours."""
    of: Reference
    """The day or month that it is for."""


class FailureInput(Input, frozen=True):
    """Who was left out, and why."""

    customer: CustomerRef
    """Or the subscription, of a run that bills subscriptions."""
    code: Reference
    message: WhyText


class NoteRunInput(Input, frozen=True):
    """What a chunk of a run came to."""

    id: uuid.UUID
    counts: Annotated[dict[CountName, Counted], msgspec.Meta(max_length=100)]
    """What it did, by the name of what is counted."""
    failures: Annotated[list[FailureInput], msgspec.Meta(max_length=MOST_FAILURES)] = msgspec.field(
        default_factory=list
    )
    last: bool = False
    """The run has come to its end."""


class RunIdInput(Input, frozen=True):
    """The id of a run."""

    id: uuid.UUID


class RunsPageInput(Input, frozen=True):
    """A page of runs, of one kind if given."""

    kind: RunKind | None = None
    after: uuid.UUID | None = None
    limit: PageSize = 100


class RunNoted(msgspec.Struct, frozen=True):
    """The run that it was noted of."""

    id: uuid.UUID


async def begin(call: Call, request: BeginRunInput) -> RunNoted:
    """Keep that a run over all customers begins."""
    await begin_run(call.connection, call.recorded, request.id, request.kind, request.of)
    return RunNoted(request.id)


async def note(call: Call, request: NoteRunInput) -> RunNoted:
    """Keep what a chunk of a run came to, and who was left out."""
    failures = [Failure(one.customer, one.code, one.message) for one in request.failures]
    await note_run(call.connection, call.recorded, request.id, request.counts, failures, last=request.last)
    return RunNoted(request.id)


async def find(call: Call, request: RunIdInput) -> BatchRun:
    """Return a run with what it came to, and who was left out and why."""
    return await find_run(call.connection, call.book.book_id, request.id)


async def list_runs(call: Call, request: RunsPageInput) -> BatchRunsPage:
    """Return a page of runs, the newest first."""
    return await page_runs(call.connection, call.book.book_id, request.kind, request.after, request.limit)


_WRITE, _READ = "batches:write", "batches:read"
OPERATIONS = [
    Operation("batches.begin", BeginRunInput, RunNoted, _WRITE, "POST /batches", begin),
    Operation("batches.note", NoteRunInput, RunNoted, _WRITE, "POST /batches/{id}/notes", note),
    Operation("batches.find", RunIdInput, BatchRun, _READ, "GET /batches/{id}", find, reads=True, snapshot=True),
    Operation("batches.list", RunsPageInput, BatchRunsPage, _READ, "GET /batches", list_runs, reads=True, snapshot=True),
]  # fmt: skip
