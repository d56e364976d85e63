"""The subscriptions' operations: begin, change, pause, cancel, undo; find, preview; draft and issue what is due."""

from typing import Annotated, Literal

import msgspec

from tallystick.catalog.plans.model import PlanCode
from tallystick.errors import InvalidInput
from tallystick.invoicing import draft_subscriptions as drafting
from tallystick.invoicing import issue_subscriptions as issuing
from tallystick.invoicing.draft_subscriptions import SubscriptionsDrafted, SubscriptionsOrder
from tallystick.invoicing.issue_subscriptions import SubscriptionsIssued
from tallystick.invoicing.preview_subscription import PreviewInvoice, preview_subscription
from tallystick.operations.ask_taxes import PREVIEW_SECONDS, Look, ask_before
from tallystick.operations.fields import Instant, PageSize
from tallystick.operations.invoicing import MAX_ISSUES, MAX_TERMS_DAYS, CustomerRef, Series
from tallystick.operations.model import Call, Input, Operation
from tallystick.operations.run import Operations
from tallystick.security.model import SYSTEM, Principal
from tallystick.subscriptions import change as changing
from tallystick.subscriptions import find as finding
from tallystick.subscriptions import subscribe as subscribing
from tallystick.subscriptions.change import Change
from tallystick.subscriptions.find import State, find_state
from tallystick.subscriptions.model import Kind, Revision, Subscription, SubscriptionsPage
from tallystick.subscriptions.subscribe import MAX_ANCHOR_DAY
from tallystick.taxes.engine import TaxEngine, TaxQuestion
from tallystick.taxes.keep_answers import enter_to_use

SubscriptionId = Annotated[str, msgspec.Meta(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.:-]{0,127}$(?!\n)")]
Quantity = Annotated[int, msgspec.Meta(ge=0, le=1_000_000_000)]
When = Literal["now", "period_end"]
Follow = Literal["newest", "pinned"]
MAX_SUBSCRIPTIONS = 500
"""How many subscriptions one transaction bills."""


class _Previewed(Input, frozen=True, kw_only=True):
    """Something that is answered with the invoice that comes next."""

    taxes: Literal["answers"] | msgspec.UnsetType = msgspec.UNSET
    """Say ``answers`` where a tax engine was asked and its answers kept; a server that has an engine does so by itself."""


class SubscribeInput(_Previewed, frozen=True):
    """A customer, made if new, and the plan that they subscribe to."""

    id: SubscriptionId
    customer: CustomerRef
    plan: PlanCode
    start_at: Instant
    """May be in the past, and in the future."""
    quantity: Quantity = 1
    """What charges with ``per_quantity`` are multiplied by: seats."""
    end_at: Instant | None = None
    zone: str | None = None
    """An IANA name; the plan's zone if left out."""
    anchor_day: Annotated[int, msgspec.Meta(ge=1, le=MAX_ANCHOR_DAY)] | None = None
    """The day of the month that billing periods begin on, where not the day of the start."""
    follow: Follow = "newest"
    """Whether new versions of the plan count from the next period on, or the version at the start for good."""


class _FromWhen(_Previewed, frozen=True):
    """A subscription, and from when something is to change: an instant, or at once, or as the period ends."""

    id: SubscriptionId
    when: When = "now"
    at: Instant | None = None
    """An instant in place of ``when``, also in the past: what was billed is corrected on the next invoice."""


class ChangeInput(_FromWhen, frozen=True):
    """Another quantity, another plan, or both."""

    quantity: Quantity | None = None
    plan: PlanCode | None = None
    follow: Follow = "newest"
    """Of another plan: whether its new versions count, or the version as the change takes effect for good."""


class PauseInput(_FromWhen, frozen=True):
    """No flat charges from then on; usage is still asked for."""

    resume_at: Instant | None = None
    """When it goes on by itself."""


class ResumeInput(_FromWhen, frozen=True):
    """The flat charges are due again from then on."""


class CancelInput(_FromWhen, frozen=True):
    """The subscription ends then; what was paid in advance for later is given back."""


class OneSubscriptionInput(Input, frozen=True):
    """The id of a subscription."""

    id: SubscriptionId


class PreviewedSubscriptionInput(_Previewed, frozen=True):
    """The id of a subscription."""

    id: SubscriptionId


class SubscriptionsPageInput(Input, frozen=True):
    """A page of subscriptions in order of id, of one customer if named."""

    customer: CustomerRef | None = None
    after: Annotated[str, msgspec.Meta(max_length=255, pattern=r"^[^\x00]*$(?!\n)")] = ""
    limit: PageSize = 100


class DraftSubscriptionsInput(Input, frozen=True):
    """Bill what is due until an instant: of the subscriptions named, or of the next ones behind the cursor."""

    until: Instant
    """Not ahead of the present."""
    terms_days: Annotated[int, msgspec.Meta(ge=0, le=MAX_TERMS_DAYS)] = 30
    """How many days after their issue the invoices are due."""
    subscriptions: Annotated[list[SubscriptionId], msgspec.Meta(min_length=1, max_length=MAX_SUBSCRIPTIONS)] | None = (
        None
    )
    after: Annotated[str, msgspec.Meta(max_length=255, pattern=r"^[^\x00]*$(?!\n)")] = ""
    limit: Annotated[int, msgspec.Meta(ge=1, le=MAX_SUBSCRIPTIONS)] = MAX_SUBSCRIPTIONS
    taxes: Literal["answers"] | msgspec.UnsetType = msgspec.UNSET
    """Say ``answers`` where a tax engine was asked and its answers kept; each is then billed on one date a call."""


class IssueSubscriptionsInput(Input, frozen=True):
    """Issue the next drafts of subscriptions."""

    series: Series | None = None
    limit: Annotated[int, msgspec.Meta(ge=1, le=MAX_ISSUES)] = 500


class Changed(msgspec.Struct, frozen=True):
    """A subscription as it is after a change, and the invoice that it would get next: what the change costs."""

    subscription: Subscription
    next_invoice: PreviewInvoice


class RevisionsOutput(msgspec.Struct, frozen=True):
    """Every change of a subscription, the first one first."""

    items: list[Revision]


async def subscribe(call: Call, request: SubscribeInput) -> Changed:
    """Begin a subscription; the same again is the same."""
    await _enter(call, request)
    order = subscribing.Order(
        request.id,
        request.customer,
        request.plan,
        request.quantity,
        request.start_at,
        request.end_at,
        request.zone,
        request.anchor_day,
        request.follow == "pinned",
    )
    return await _changed(call, request, await subscribing.subscribe(call.connection, call.recorded, order))


async def change(call: Call, request: ChangeInput) -> Changed:
    """
    Change the quantity, the plan, or both, from an instant on.

    A dry run says what the change would cost: the lines, prorated, that the next invoice would have.
    """
    if request.plan is None and request.quantity is None:
        raise InvalidInput(field="quantity", rule="a change names a quantity, a plan, or both")
    await _enter(call, request)
    kind = Kind.QUANTITY if request.plan is None else Kind.PLAN
    pinned = request.follow == "pinned"
    wanted = Change(request.id, _at(request), kind, quantity=request.quantity, plan=request.plan, pinned=pinned)
    return await _changed(call, request, await changing.change(call.connection, call.recorded, wanted))


async def pause(call: Call, request: PauseInput) -> Changed:
    """Pause a subscription: its flat charges are not due until it is resumed."""
    await _enter(call, request)
    wanted = Change(request.id, _at(request), Kind.PAUSE, resume_at=request.resume_at)
    return await _changed(call, request, await changing.change(call.connection, call.recorded, wanted))


async def resume(call: Call, request: ResumeInput) -> Changed:
    """Resume a subscription that is paused."""
    await _enter(call, request)
    wanted = Change(request.id, _at(request), Kind.RESUME)
    return await _changed(call, request, await changing.change(call.connection, call.recorded, wanted))


async def cancel(call: Call, request: CancelInput) -> Changed:
    """Cancel a subscription, at once or as its billing period ends."""
    await _enter(call, request)
    wanted = Change(request.id, _at(request), Kind.CANCEL)
    return await _changed(call, request, await changing.change(call.connection, call.recorded, wanted))


async def undo(call: Call, request: PreviewedSubscriptionInput) -> Changed:
    """Undo the newest change of a subscription, as long as it has not taken effect."""
    await _enter(call, request)
    return await _changed(call, request, await changing.undo(call.connection, call.recorded, request.id))


async def find(call: Call, request: OneSubscriptionInput) -> Subscription:
    """Return a subscription with its schedule."""
    return finding.told(await find_state(call.connection, call.book.book_id, request.id), call.at)


async def list_subscriptions(call: Call, request: SubscriptionsPageInput) -> SubscriptionsPage:
    """Return a page of subscriptions in order of id."""
    return await finding.page_subscriptions(
        call.connection, call.book.book_id, request.customer, request.after, request.limit, call.at
    )


async def list_revisions(call: Call, request: OneSubscriptionInput) -> RevisionsOutput:
    """Return every change of a subscription."""
    await find_state(call.connection, call.book.book_id, request.id)
    return RevisionsOutput(await finding.list_revisions(call.connection, call.book.book_id, request.id))


async def preview(call: Call, request: PreviewedSubscriptionInput) -> PreviewInvoice:
    """Return what the next invoice of a subscription would be, by all that is known now."""
    state = await find_state(call.connection, call.book.book_id, request.id)
    return await preview_subscription(call.connection, call.recorded, state, answered=request.taxes == "answers")


async def draft(call: Call, request: DraftSubscriptionsInput) -> SubscriptionsDrafted:
    """Draft the invoices of a chunk of subscriptions on every date until then that they are due on."""
    order = SubscriptionsOrder(
        request.until,
        request.terms_days,
        request.subscriptions,
        request.after,
        request.limit,
        answered=request.taxes == "answers",
    )
    return await drafting.draft_subscriptions(call.connection, call.book, call.recorded, call.message_hashes, order)


async def issue(call: Call, request: IssueSubscriptionsInput) -> SubscriptionsIssued:
    """Issue a chunk of the drafts of subscriptions under gapless numbers and post what they ask for."""
    return await issuing.issue_subscriptions(
        call.connection, call.book.ledger, call.recorded, call.message_hashes, request.series, request.limit
    )


def _at(request: _FromWhen) -> changing.At:
    if request.at is None:
        return request.when
    if request.when != "now":
        raise InvalidInput(field="when", rule="give either an instant or when, not both")
    return request.at


async def _enter(call: Call, request: _Previewed) -> None:
    """Let nobody keep answers of an engine meanwhile, where they count."""
    if request.taxes == "answers":
        await enter_to_use(call.connection, call.book.book_id)


async def _changed(call: Call, request: _Previewed, state: State) -> Changed:
    next_invoice = await preview_subscription(
        call.connection, call.recorded, state, answered=request.taxes == "answers"
    )
    return Changed(finding.told(state, call.at), next_invoice)


async def ask_engine(
    operations: Operations, principal: Principal, book: str, name: str, request: _Previewed
) -> _Previewed:
    """Ask the tax engine, where there is one, what the next invoice would have to know; say that its answers count."""
    if TaxEngine not in operations.resources or request.taxes == "answers":
        return request
    told = msgspec.structs.replace(request, taxes="answers")
    look = Look(name, msgspec.to_builtins(told), _questions, PREVIEW_SECONDS, SYSTEM)
    await ask_before(operations, principal, book, look)
    return told


def _questions(shown: Changed | PreviewInvoice) -> list[tuple[str, TaxQuestion]]:
    found = (shown.next_invoice if isinstance(shown, Changed) else shown).questions
    return [] if found is msgspec.UNSET else [(str(one.reference), one) for one in found]


_WRITE, _READ = "subscriptions:write", "subscriptions:read"
OPERATIONS = [
    Operation(
        "subscriptions.subscribe", SubscribeInput, Changed, _WRITE, "POST /subscriptions", subscribe, before=ask_engine
    ),
    Operation(
        "subscriptions.change",
        ChangeInput,
        Changed,
        _WRITE,
        "POST /subscriptions/{id}/change",
        change,
        before=ask_engine,
    ),
    Operation(
        "subscriptions.pause", PauseInput, Changed, _WRITE, "POST /subscriptions/{id}/pause", pause, before=ask_engine
    ),
    Operation(
        "subscriptions.resume",
        ResumeInput,
        Changed,
        _WRITE,
        "POST /subscriptions/{id}/resume",
        resume,
        before=ask_engine,
    ),
    Operation(
        "subscriptions.cancel",
        CancelInput,
        Changed,
        _WRITE,
        "POST /subscriptions/{id}/cancel",
        cancel,
        before=ask_engine,
    ),
    Operation(
        "subscriptions.undo",
        PreviewedSubscriptionInput,
        Changed,
        _WRITE,
        "POST /subscriptions/{id}/undo",
        undo,
        before=ask_engine,
    ),
    Operation(
        "subscriptions.find", OneSubscriptionInput, Subscription, _READ, "GET /subscriptions/{id}", find, reads=True
    ),
    Operation(
        "subscriptions.list",
        SubscriptionsPageInput,
        SubscriptionsPage,
        _READ,
        "GET /subscriptions",
        list_subscriptions,
        reads=True,
    ),
    Operation(
        "subscriptions.revisions",
        OneSubscriptionInput,
        RevisionsOutput,
        _READ,
        "GET /subscriptions/{id}/revisions",
        list_revisions,
        reads=True,
    ),
    Operation(
        "subscriptions.preview",
        PreviewedSubscriptionInput,
        PreviewInvoice,
        _READ,
        "GET /subscriptions/{id}/preview",
        preview,
        before=ask_engine,
        reads=True,
        snapshot=True,
    ),
    Operation(
        "subscriptions.draft",
        DraftSubscriptionsInput,
        SubscriptionsDrafted,
        "invoicing:write",
        "POST /subscriptions/draft",
        draft,
    ),
    Operation(
        "subscriptions.issue",
        IssueSubscriptionsInput,
        SubscriptionsIssued,
        "invoicing:write",
        "POST /subscriptions/issue",
        issue,
    ),
]
