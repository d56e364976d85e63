"""The payouts' operations: reports are recorded, their lines found in the book, and what is not found is listed and booked."""

import datetime as dt
import uuid
from typing import Annotated, Literal

import msgspec

from tallystick.collecting.bank.enter import enter_to_settle
from tallystick.collecting.bank.model import read_entry_id
from tallystick.errors import InvalidInput
from tallystick.ids import uuid7
from tallystick.money import MAX_AMOUNT
from tallystick.operations.fields import AssetCode, Instant, PageSize
from tallystick.operations.model import Call, Input, Operation
from tallystick.operations.payments import ProviderName
from tallystick.operations.run import RESERVED, Operations
from tallystick.operations.work_queues import QueueWorker
from tallystick.payments.payouts.accounts import Books
from tallystick.payments.payouts.arrive import arrive, undo_arrival
from tallystick.payments.payouts.by_hand import LineOf, book_by_hand, match_by_hand, undo_by_hand
from tallystick.payments.payouts.find import (
    LAST,
    find_balances,
    find_payout,
    find_providers,
    find_recorded,
    page_lines,
    page_payouts,
    page_unmatched,
    page_unreported,
    read_cursor,
    read_time_cursor,
)
from tallystick.payments.payouts.match_lines import Looked, Pair, look, note
from tallystick.payments.payouts.model import (
    Balances,
    LineKind,
    LineShown,
    LinesPage,
    Payout,
    PayoutsPage,
    Recorded,
    ReportHead,
    ReportLine,
    Status,
    UnreportedPage,
    read_line_id,
    version_of,
)
from tallystick.payments.payouts.queue import list_jobs
from tallystick.payments.payouts.record import note_status, record
from tallystick.queues.enqueue import enqueue
from tallystick.security.model import SYSTEM, Principal

MOST_LINES = 2_000
"""So many lines of a report are kept, or looked at, in one transaction."""
MOST_OF_A_REPORT = 1_000_000
MOST_WORDS = 1_000
"""So long is the description of a line."""
_EARLIEST = dt.datetime(2000, 1, 1, tzinfo=dt.UTC)
_PRINTABLE = r"^[^\x00-\x1f\x7f]+$(?!\n)"
ProviderId = Annotated[str, msgspec.Meta(min_length=1, max_length=255, pattern=_PRINTABLE)]
_MOST_MOVED = 10**15
Moved = Annotated[int, msgspec.Meta(ge=-_MOST_MOVED, le=_MOST_MOVED)]
Position = Annotated[int, msgspec.Meta(ge=1, le=MOST_OF_A_REPORT)]
Days = Annotated[int, msgspec.Meta(ge=0, le=3660)]
LineId = Annotated[str, msgspec.Meta(max_length=50)]


class PayoutLineInput(Input, frozen=True):
    """A line of a report; minor units, above zero what the provider owes us for it. It adds ``amount - fee``."""

    id: ProviderId
    kind: LineKind
    amount: Moved
    occurred_at: Instant
    fee: Moved = 0
    transaction_id: ProviderId | None = None
    """The provider's id of the transaction that it belongs to."""
    refund_id: ProviderId | None = None
    dispute_id: ProviderId | None = None
    description: Annotated[str, msgspec.Meta(max_length=MOST_WORDS, pattern=r"^[^\x00]*$(?!\n)")] = ""


class RecordPayoutInput(Input, frozen=True):
    """The report of a payout, or the next lines of one that is long."""

    provider: ProviderName
    payout: ProviderId
    """The provider's id of the payout."""
    amount: Annotated[int, msgspec.Meta(ge=-MAX_AMOUNT, le=MAX_AMOUNT)]
    """Minor units; below zero when the provider collects from us."""
    currency: Annotated[str, msgspec.Meta(pattern=r"^[A-Z]{3}$(?!\n)")]
    arrives_on: dt.date
    status: Status
    lines: Annotated[list[PayoutLineInput], msgspec.Meta(max_length=MOST_LINES)]
    first: Position = 1
    """The position of the first of these lines."""
    of: Annotated[int, msgspec.Meta(ge=0, le=MOST_OF_A_REPORT)] | None = None
    """How many the report has; null: these."""
    version: Annotated[str, msgspec.Meta(pattern=r"^[0-9a-f]{64}$(?!\n)")] | None = None
    """Names all of its lines, the same with each part, such as a SHA-256 of them; null if these are all."""


class ReadPayoutsInput(Input, frozen=True):
    """Whose payouts to look for; null: those of all providers that have to do with the book's money."""

    provider: ProviderName | None = None


class AskedFor(msgspec.Struct, frozen=True):
    """Whose lists are looked through by whoever works beside this."""

    providers: list[str]


class PayoutIdInput(Input, frozen=True):
    """Our id of a payout."""

    id: uuid.UUID


class FindRecordedInput(Input, frozen=True):
    """The provider's id of a payout."""

    provider: ProviderName
    payout: ProviderId


class FoundPartnersOutput(msgspec.Struct, frozen=True):
    """A payout, if it was recorded."""

    payout: Payout | None


class PayoutStatusInput(Input, frozen=True):
    """What became of a payout by its provider's word."""

    id: uuid.UUID
    status: Status


class PayoutsPageInput(Input, frozen=True):
    """A page of payouts, the newest first."""

    provider: ProviderName | None = None
    unmatched: bool = False
    """Only those with lines that wait."""
    after: Annotated[str, msgspec.Meta(pattern=r"^[0-9]{0,18}$(?!\n)")] = ""
    limit: PageSize = 100


class PayoutLinesInput(Input, frozen=True):
    """A page of the lines of a payout."""

    id: uuid.UUID
    unmatched: bool = False
    """Only those that wait."""
    after: Annotated[str, msgspec.Meta(pattern=r"^[0-9]{0,7}$(?!\n)")] = ""
    limit: PageSize = 100


class UnmatchedPageInput(Input, frozen=True):
    """A page of the lines that wait, of all payouts."""

    after: Annotated[str, msgspec.Meta(max_length=40)] = ""
    limit: PageSize = 100


class UnreportedPageInput(Input, frozen=True):
    """A page of what moved by our book and no report has named."""

    days: Days = 7
    """It moved at least so many days ago."""
    within: Days = 180
    """And at most so many."""
    provider: ProviderName | None = None
    after: Annotated[str, msgspec.Meta(max_length=80)] = ""
    limit: PageSize = 100


class PayoutBalanceInput(Input, frozen=True):
    """Whose money, in which asset; null: all."""

    provider: ProviderName | None = None
    asset: AssetCode | None = None


class MatchLineInput(Input, frozen=True):
    """A line, and what it is of ours."""

    line: LineId
    partner: Literal["charge", "refund", "refund_failed", "dispute", "dispute_reversed", "payout"]
    partner_id: uuid.UUID
    """Our id: of the payment, the refund, the dispute, or the payout that failed."""
    difference_to: Annotated[str, msgspec.Meta(min_length=1, max_length=255, pattern=_PRINTABLE)] | None = None
    """The account for what the amounts differ by."""


class BookLineInput(Input, frozen=True):
    """A line, and the account that it goes to."""

    line: LineId
    account: Annotated[str, msgspec.Meta(min_length=1, max_length=255, pattern=_PRINTABLE)] | None = None
    """Null: the provider's adjustments."""


class UndoLineInput(Input, frozen=True):
    """A line of which something was said by hand, and why that is taken back."""

    line: LineId
    reason: Annotated[str, msgspec.Meta(min_length=1, max_length=255, pattern=_PRINTABLE)]


class PayoutArrivedInput(Input, frozen=True):
    """A payout, and the entry of a bank statement that it is."""

    id: uuid.UUID
    entry: LineId
    """As `bank.entries` lists it: of the payout's amount; or of the same taken back, once the payout has failed."""


class UndoArrivalInput(Input, frozen=True):
    """A payout that was said to be an entry of a bank statement, and why that is taken back."""

    id: uuid.UUID
    reason: Annotated[str, msgspec.Meta(min_length=1, max_length=255, pattern=_PRINTABLE)]


class LookForPartnersInput(Input, frozen=True):
    """Which lines that wait to look at; of one payout, or of all."""

    id: uuid.UUID | None = None
    after: Annotated[str, msgspec.Meta(max_length=40)] = ""
    limit: Annotated[int, msgspec.Meta(ge=1, le=MOST_LINES)] = MOST_LINES


class NotePartnersInput(Input, frozen=True):
    """What lines are."""

    pairs: Annotated[list[Pair], msgspec.Meta(min_length=1, max_length=MOST_LINES)]


class NotedPartnersOutput(msgspec.Struct, frozen=True):
    """How many lines were not matched before."""

    noted: int


async def record_report(call: Call, request: RecordPayoutInput) -> Recorded:
    """Record the report of a payout, once; what its lines certainly are is found at once, and the rest waits."""
    lines = [
        ReportLine(one.id, one.kind, one.amount, one.fee, one.occurred_at, one.transaction_id, one.refund_id,
                   one.dispute_id, one.description)
        for one in request.lines
    ]  # fmt: skip
    of = len(lines) if request.of is None else request.of
    if request.version is None and of != len(lines):
        raise InvalidInput(field="version", rule="The parts of a report are held together by its version")
    version = request.version or version_of(lines)
    head = ReportHead(request.provider, request.payout, request.amount, request.currency, request.arrives_on, version)
    return await record(_books(call), head, request.status, lines, request.first, of)


async def read_now(call: Call, request: ReadPayoutsInput) -> AskedFor:
    """Have the lists of payouts looked through now, where a server or a worker runs; what is new is recorded then."""
    providers = await find_providers(call.connection, call.book.book_id, request.provider)
    await enqueue(call.connection, call.book.book_id, list_jobs(providers, call.at))
    return AskedFor(providers)


async def wake_worker(operations: Operations, principal: Principal, book: str, output: AskedFor) -> AskedFor:
    """Have the worker of this process, if it has one, look at once."""
    del principal, book
    worker = operations.resources.get(QueueWorker)
    if worker is not None:
        worker.wake()
    return output


async def match_recorded(operations: Operations, principal: Principal, book: str, output: Recorded) -> Recorded:
    """Find what the lines of a report are, once it is whole; safe to run any number of times."""
    if output.payout is None or not output.payout.unmatched:
        return output
    await match_waiting(operations, book, output.payout_id)
    found: Payout = await operations.call(SYSTEM, book, "payouts.find", "", {"id": str(output.payout_id)})
    del principal
    return Recorded(output.payout_id, output.lines, output.whole, found)


async def match_waiting(operations: Operations, book: str, payout_id: uuid.UUID | None = None) -> int:
    """Look at the lines that wait, of a payout or of all, and note what is certain; return how many that was."""
    noted = 0
    after: str | None = ""
    while after is not None:
        fields = {"id": None if payout_id is None else str(payout_id), "after": after}
        looked: Looked = await operations.call(SYSTEM, book, "payouts.look", "", fields)
        if looked.pairs:
            # A new id each time: a pair is noted once whatever the message that says it.
            pairs = {"pairs": msgspec.to_builtins(looked.pairs)}
            done: NotedPartnersOutput = await operations.call(
                SYSTEM, book, "payouts.note", f"{RESERVED}payout-lines:{uuid7()}", pairs
            )
            noted += done.noted
        after = looked.next
    return noted


async def look_at_lines(call: Call, request: LookForPartnersInput) -> Looked:
    """Return what is certain of lines that wait."""
    return await look(call.connection, call.book.book_id, read_cursor(request.after), request.limit, request.id)


async def note_lines(call: Call, request: NotePartnersInput) -> NotedPartnersOutput:
    """Note what lines are, each once."""
    return NotedPartnersOutput(await note(_books(call), request.pairs))


async def set_status(call: Call, request: PayoutStatusInput) -> Payout:
    """Note what became of a payout; one that failed puts its money back."""
    return await note_status(_books(call), request.id, request.status)


async def find(call: Call, request: PayoutIdInput) -> Payout:
    """Return a payout as it stands."""
    return await find_payout(call.connection, call.book.book_id, request.id)


async def find_by_provider(call: Call, request: FindRecordedInput) -> FoundPartnersOutput:
    """Return the payout that a provider knows by an id, if it was recorded."""
    return FoundPartnersOutput(
        await find_recorded(call.connection, call.book.book_id, request.provider, request.payout)
    )


async def list_payouts(call: Call, request: PayoutsPageInput) -> PayoutsPage:
    """Return a page of payouts, the newest first, with how many lines of each wait."""
    before = int(request.after) if request.after else LAST
    return await page_payouts(
        call.connection, call.book.book_id, before, request.limit, request.provider, unmatched=request.unmatched
    )


async def list_lines(call: Call, request: PayoutLinesInput) -> LinesPage:
    """Return a page of the lines of a payout: what each is, or why it waits and what it may be."""
    after = int(request.after or 0)
    return await page_lines(
        call.connection, call.book.book_id, request.id, after, request.limit, unmatched=request.unmatched
    )


async def list_unmatched(call: Call, request: UnmatchedPageInput) -> LinesPage:
    """Return a page of the lines that wait, of all payouts, each with why and with the likeliest partners."""
    return await page_unmatched(call.connection, call.book.book_id, read_cursor(request.after), request.limit)


async def list_unreported(call: Call, request: UnreportedPageInput) -> UnreportedPage:
    """Return a page of payments, refunds and disputes of our book that no report has named in some days."""
    until = call.at - dt.timedelta(days=request.days)
    since = max(call.at - dt.timedelta(days=request.within), _EARLIEST)
    after = read_time_cursor(request.after)
    return await page_unreported(
        call.connection, call.book.book_id, since, until, request.provider, after, request.limit
    )


async def show_balances(call: Call, request: PayoutBalanceInput) -> Balances:
    """Return where the money is that providers took: held by them, on its way to the bank, kept as fees."""
    return await find_balances(call.connection, call.book.book_id, request.provider, request.asset)


async def match_line(call: Call, request: MatchLineInput) -> LineShown:
    """Let a line be a payment, a refund, a dispute or a payout that failed; differences go where it is said."""
    line = LineOf(*read_line_id(request.line))
    await match_by_hand(_books(call), line, request.partner, request.partner_id, request.difference_to)
    return await _shown(call, line)


async def book_line(call: Call, request: BookLineInput) -> LineShown:
    """Book what a line leaves open on an account."""
    line = LineOf(*read_line_id(request.line))
    await book_by_hand(_books(call), line, request.account)
    return await _shown(call, line)


async def undo_line(call: Call, request: UndoLineInput) -> LineShown:
    """Take back what was said of a line by hand; what moved for it moves back, and it waits again."""
    line = LineOf(*read_line_id(request.line))
    await undo_by_hand(_books(call), line, request.reason)
    return await _shown(call, line)


async def arrive_at_bank(call: Call, request: PayoutArrivedInput) -> Payout:
    """Let an entry of a bank statement be a payout: its money is not on its way any more, the bank has it."""
    statement, position = read_entry_id(request.entry)
    await enter_to_settle(call.connection, call.book.book_id)
    return await arrive(_books(call), request.id, statement, position)


async def take_arrival_back(call: Call, request: UndoArrivalInput) -> Payout:
    """Take back which entry of a bank statement a payout is: it is on its way again, and the entry can be said to be another."""
    await enter_to_settle(call.connection, call.book.book_id)
    return await undo_arrival(_books(call), request.id, request.reason)


async def _shown(call: Call, line: LineOf) -> LineShown:
    page = await page_lines(call.connection, call.book.book_id, line.payout_id, line.position - 1, 1, unmatched=False)
    return page.items[0]


def _books(call: Call) -> Books:
    return Books(call.connection, call.book.ledger, call.recorded, call.message_hashes)


_WRITE, _READ, _CARRY, _INTERNAL = "payouts:write", "payouts:read", "payments:carry", ""
OPERATIONS = [
    Operation(
        "payouts.record", RecordPayoutInput, Recorded, _WRITE, "POST /payouts", record_report, then=match_recorded
    ),
    Operation("payouts.list", PayoutsPageInput, PayoutsPage, _READ, "GET /payouts", list_payouts, reads=True, snapshot=True),
    Operation(
        "payouts.unmatched", UnmatchedPageInput, LinesPage, _READ, "GET /payouts/unmatched", list_unmatched, reads=True,
        snapshot=True,
    ),
    Operation(
        "payouts.unreported", UnreportedPageInput, UnreportedPage, _READ, "GET /payouts/unreported", list_unreported,
        reads=True,
    ),
    Operation(
        "payouts.balance", PayoutBalanceInput, Balances, _READ, "GET /payouts/balance", show_balances, reads=True,
        snapshot=True,
    ),
    Operation("payouts.read", ReadPayoutsInput, AskedFor, _WRITE, "POST /payouts/read", read_now, then=wake_worker),
    Operation("payouts.match", MatchLineInput, LineShown, _WRITE, "POST /payouts/matches", match_line),
    Operation("payouts.book", BookLineInput, LineShown, _WRITE, "POST /payouts/bookings", book_line),
    Operation("payouts.undo", UndoLineInput, LineShown, _WRITE, "POST /payouts/undo", undo_line),
    Operation("payouts.arrive", PayoutArrivedInput, Payout, _WRITE, "POST /payouts/arrivals", arrive_at_bank),
    Operation(
        "payouts.undo_arrival", UndoArrivalInput, Payout, _WRITE, "POST /payouts/arrivals/undo", take_arrival_back
    ),
    Operation("payouts.find", PayoutIdInput, Payout, _READ, "GET /payouts/{id}", find, reads=True),
    Operation(
        "payouts.lines", PayoutLinesInput, LinesPage, _READ, "GET /payouts/{id}/lines", list_lines, reads=True, snapshot=True
    ),
    Operation(
        "payouts.find_recorded", FindRecordedInput, FoundPartnersOutput, _CARRY, _INTERNAL, find_by_provider, reads=True,
        snapshot=True,
    ),
    Operation("payouts.look", LookForPartnersInput, Looked, _CARRY, _INTERNAL, look_at_lines, reads=True, snapshot=True),
    Operation("payouts.note", NotePartnersInput, NotedPartnersOutput, _CARRY, _INTERNAL, note_lines),
    Operation("payouts.status", PayoutStatusInput, Payout, _CARRY, _INTERNAL, set_status),
]  # fmt: skip
