"""The charges' operations: all that is due on a day becomes one debit of an account; what became of it is applied."""

import datetime as dt
import uuid
from typing import Annotated

import msgspec

from tallystick.errors import InvalidInput
from tallystick.money import MAX_AMOUNT
from tallystick.operations.fields import Code, PageSize
from tallystick.operations.model import Call, Input, NothingInput, Operation
from tallystick.operations.repayments import CustomerRef
from tallystick.repayments.apply_outcomes import Arrival, Outcome, apply_outcomes, find_retry_policy, set_retry_policy
from tallystick.repayments.charge import make_charges, page_chargeable, read_cursor
from tallystick.repayments.dues import NOW
from tallystick.repayments.find import require_customer
from tallystick.repayments.find_charges import find_charge, page_charges
from tallystick.repayments.model import (
    Charge,
    ChargeablePage,
    ChargesMade,
    ChargesPage,
    OutcomesApplied,
    RetryPolicy,
    RetryRule,
)

MOST_CUSTOMERS = 5_000
"""For so many customers charges are made in one transaction."""
MOST_OUTCOMES = 5_000
"""So many outcomes are applied in one transaction, if they have few invoices each."""
_MOST_TIMES, _MOST_DAYS = 20, 90

ErrorKind = Annotated[str, msgspec.Meta(pattern=r"^[a-z][a-z0-9_]{0,62}$(?!\n)")]


class RetryRuleInput(Input, frozen=True):
    """What is done about charges that failed for one kind of reason."""

    times: Annotated[int, msgspec.Meta(ge=0, le=_MOST_TIMES)]
    """How many attempts follow the first; 0: none."""
    after_days: Annotated[int, msgspec.Meta(ge=1, le=_MOST_DAYS)] = 1
    """How many days after the attempt that failed; moved behind days that banks are closed on."""


class SetRetryPolicyInput(Input, frozen=True):
    """By kind of error what is done about charges that fail; a kind that is not named is not tried again."""

    rules: Annotated[dict[ErrorKind, RetryRuleInput], msgspec.Meta(max_length=100)]


class MakeChargesInput(Input, frozen=True):
    """A day, and the chunk of customers to make its charges for."""

    on: dt.date
    after: str = "0"
    """The cursor of the chunk before."""
    limit: Annotated[int, msgspec.Meta(ge=1, le=MOST_CUSTOMERS)] = MOST_CUSTOMERS


class ChargeableInput(Input, frozen=True):
    """A chunk of customers."""

    after: str = "0"
    """The cursor of the chunk before."""
    limit: Annotated[int, msgspec.Meta(ge=1, le=MOST_CUSTOMERS)] = MOST_CUSTOMERS


class OutcomeInput(Input, frozen=True):
    """What the bank says became of a charge."""

    charge: uuid.UUID
    taken: Annotated[int, msgspec.Meta(ge=0, le=MAX_AMOUNT)] | None = None
    """Minor units; null: all that was asked for, or nothing if there is an error."""
    error_kind: ErrorKind | None = None
    """Why it took less: ``insufficient_funds``, ``account_closed``, ``technical``, ``refused`` or a name of yours."""


class ApplyOutcomesInput(Input, frozen=True):
    """What the bank says became of charges."""

    outcomes: Annotated[list[OutcomeInput], msgspec.Meta(min_length=1, max_length=MOST_OUTCOMES)]
    from_account: Code | None = None
    """The ledger account that the money comes from; null: ``providers/bank_debit/<asset>``."""
    received_on: dt.date | None = None
    """When the bank took it; null: today, in UTC."""


class ChargeIdInput(Input, frozen=True):
    """The id of a charge."""

    id: uuid.UUID


class ChargesPageInput(Input, frozen=True):
    """A page of charges in order of their days, of one day or one customer if given."""

    on: dt.date | None = None
    customer: CustomerRef | None = None
    after: uuid.UUID | None = None
    limit: PageSize = 100


async def set_policy(call: Call, request: SetRetryPolicyInput) -> RetryPolicy:
    """Say by kind of error when charges that fail are tried again."""
    policy = RetryPolicy({kind: RetryRule(one.times, one.after_days) for kind, one in sorted(request.rules.items())})
    await set_retry_policy(call.connection, call.recorded, policy)
    return policy


async def find_policy(call: Call, _: NothingInput) -> RetryPolicy:
    """Return by kind of error when charges that fail are tried again."""
    return await find_retry_policy(call.connection, call.book.book_id, NOW)


async def make(call: Call, request: MakeChargesInput) -> ChargesMade:
    """Make the charges of a day for a chunk of customers: one for all that is due; made again, they are made once."""
    return await make_charges(
        call.connection, call.book.ledger, call.recorded, request.on, read_cursor(request.after), request.limit
    )


async def list_chargeable(call: Call, request: ChargeableInput) -> ChargeablePage:
    """Return the customers that a chunk of `charges.make` looks at, so that each can be done alone."""
    return await page_chargeable(call.connection, call.book.book_id, read_cursor(request.after), request.limit)


async def apply(call: Call, request: ApplyOutcomesInput) -> OutcomesApplied:
    """Apply what the bank says of charges to each of their invoices; each charge has one outcome, for ever."""
    today = call.at.date()
    received_on = request.received_on or today
    if not today - dt.timedelta(days=3660) <= received_on <= today + dt.timedelta(days=1):
        raise InvalidInput(field="received_on", rule="Expected a day of the last ten years, or tomorrow at the latest")
    outcomes = [Outcome(one.charge, one.taken, one.error_kind) for one in request.outcomes]
    return await apply_outcomes(
        call.connection, call.book.ledger, call.recorded, call.message_hashes, outcomes,
        Arrival(request.from_account, received_on),
    )  # fmt: skip


async def find(call: Call, request: ChargeIdInput) -> Charge:
    """Return a charge with what became of it and of each of its invoices."""
    return await find_charge(call.connection, call.book.book_id, request.id)


async def list_charges(call: Call, request: ChargesPageInput) -> ChargesPage:
    """Return a page of charges in order of their days."""
    customer_id = None
    if request.customer is not None:
        customer_id = await require_customer(call.connection, call.book.book_id, request.customer)
    return await page_charges(call.connection, call.book.book_id, request.on, customer_id, request.after, request.limit)


_WRITE, _READ = "charges:write", "charges:read"
OPERATIONS = [
    Operation(
        "charges.set_retry_policy", SetRetryPolicyInput, RetryPolicy, _WRITE, "POST /charges/retry-policy", set_policy
    ),
    Operation(
        "charges.retry_policy", NothingInput, RetryPolicy, _READ, "GET /charges/retry-policy", find_policy, reads=True
    ),
    Operation("charges.make", MakeChargesInput, ChargesMade, _WRITE, "POST /charges", make),
    Operation(
        "charges.list_customers", ChargeableInput, ChargeablePage, _READ, "GET /charges/customers", list_chargeable,
        reads=True,
    ),
    Operation("charges.apply", ApplyOutcomesInput, OutcomesApplied, _WRITE, "POST /charges/outcomes", apply),
    Operation("charges.find", ChargeIdInput, Charge, _READ, "GET /charges/{id}", find, reads=True),
    Operation(
        "charges.list", ChargesPageInput, ChargesPage, _READ, "GET /charges", list_charges, reads=True, snapshot=True
    ),
]  # fmt: skip
