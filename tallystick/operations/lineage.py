"""The lineage operations: trace any id, and see what a message asked and made."""

import datetime as dt
from typing import Annotated, Any

import msgspec

from tallystick.lineage.model import Links, Trace
from tallystick.lineage.trace import FURTHER, MOST_DEPTH, find_message, records_of, trace
from tallystick.lineage.why.explain_event import explain_event
from tallystick.lineage.why.model import Why
from tallystick.operations.fields import PageSize
from tallystick.operations.model import Call, Input, Operation

Id = Annotated[str, msgspec.Meta(min_length=1, max_length=600, pattern=r"^[^\x00]+$(?!\n)")]
"""Long enough for a source and the id that it gave, with the slash between them."""
After = Annotated[int, msgspec.Meta(ge=0, le=2**31 - 1)]
PERSONAL = {"payments", "security"}
"""Rooms whose messages hold more than may be read there: who pays, and what the provider knows the payment by."""


class TraceInput(Input, frozen=True):
    """Any id, how many steps to go from it, and which page of what is next to it."""

    id: Id
    depth: Annotated[int, msgspec.Meta(ge=0, le=MOST_DEPTH)] = MOST_DEPTH
    limit: PageSize = FURTHER
    """How many of each kind; further along the way there are 20 at the most."""
    after: After = 0
    """How many of each kind to pass over: the `next` of the page before."""


class MessageInput(Input, frozen=True):
    """The key of a message, and which page of the records that it made."""

    key: Annotated[str, msgspec.Meta(min_length=1, max_length=255, pattern=r"^[^\x00]+$(?!\n)")]
    limit: PageSize = FURTHER
    """How many records of each kind."""
    after: After = 0
    """How many of each kind to pass over: the `next` of the page before."""


class MessageOutput(msgspec.Struct, frozen=True):
    """A message as it was kept: what was asked, by whom, when, what was answered, and what it made."""

    key: str
    id: str
    """Its place in the order of transactions."""
    operation: str
    by: str
    at: dt.datetime
    refused: bool
    sha256: str
    """Of the message as it was asked, in hex; the leaf of each transfer that it made contains it."""
    asked: Any
    """The message itself; null for who may not read it."""
    answer: Any
    """What it was answered; null for who may not read it."""
    scope: str
    """What a key must allow to be shown what was asked and answered."""
    records: list[Links]


class WhyInput(Input, frozen=True):
    """An event: its id with its source, its key, or both as ``SOURCE/ID``."""

    event: Id
    source: Annotated[str, msgspec.Meta(min_length=1, max_length=255, pattern=r"^[^\x00]+$(?!\n)")] | None = None


async def why(call: Call, request: WhyInput) -> Why:
    """
    Say where a usage event is and what came of it.

    Received when, by which door, message and principal; billable or not, and by which rule; amended or taken back; counted
    by which meters; rated in which lines, at which price, on which invoices; paid by what. Of one that was never seen it
    says what to look at.
    """
    return await explain_event(call.connection, call.book.book_id, request.event, request.source)


async def trace_id(call: Call, request: TraceInput) -> Trace:
    """
    Trace any id: what each record that it names came from, and what was made of it.

    An id may be a message's key, the id of a receipt, payment, invoice, transfer, usage event or API key, an invoice's
    number, a line as `INVOICE/LINE`, a usage event as `SOURCE/ID`, a place in the log as `place:N`, a provider's id of
    a payment, the code of an account, asset or meter, a customer, or a price as `PRODUCT/CHARGE@INSTANT`.
    """
    return await trace(
        call.connection, call.book.book_id, request.id, depth=request.depth, limit=request.limit, after=request.after
    )


async def read_message(call: Call, request: MessageInput) -> MessageOutput:
    """
    Return a message: what it asked, who sent it and when, what it was answered, and the records that it made.

    What was asked and answered, word for word, is shown to who may read the room of its operation (`ledger:read` for
    `ledger.transfer`); in payments and security, where it may hold more than can be read there, to who may do everything
    in the room (`payments:*`).
    """
    kept = await find_message(call.connection, call.book.book_id, request.key)
    scope = scope_of_content(kept.operation)
    shown = call.principal.holds(scope)
    return MessageOutput(
        key=kept.key,
        id=f"{kept.transaction_id}.{kept.place}",
        operation=kept.operation,
        by=kept.principal,
        at=kept.recorded_at,
        refused=kept.refused,
        sha256=kept.hash.hex(),
        asked=msgspec.Raw(kept.body) if shown else None,
        answer=msgspec.Raw(kept.answer) if shown else None,
        scope=scope,
        records=await records_of(call.connection, call.book.book_id, kept, limit=request.limit, after=request.after),
    )


def scope_of_content(operation: str) -> str:
    """Return the scope that shows what messages of *operation* asked, and were answered, word for word."""
    room = operation.partition(".")[0]
    return f"{room}:*" if room in PERSONAL else f"{room}:read"


OPERATIONS = [
    Operation("usage.why", WhyInput, Why, "ledger:read", "GET /usage/why", why, reads=True, snapshot=True),
    Operation("lineage.trace", TraceInput, Trace, "ledger:read", "GET /trace", trace_id, reads=True, snapshot=True),
    Operation(
        "lineage.message",
        MessageInput,
        MessageOutput,
        "ledger:read",
        "GET /messages/{key}",
        read_message,
        reads=True,
        snapshot=True,
    ),
]
