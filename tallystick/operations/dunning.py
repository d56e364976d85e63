"""The operations of dunning: rules as data, reminders, and the fees of being late."""

import datetime as dt
import uuid
from typing import Annotated

import msgspec

from tallystick.collecting.dunning import find
from tallystick.collecting.dunning.ask_fees import ask_fees
from tallystick.collecting.dunning.model import AskedFees, DebtorsPage, FeesPage, Reminded, RemindersPage
from tallystick.collecting.dunning.remind import make_reminders
from tallystick.collecting.dunning.rules import Rules, find_rules, set_rules
from tallystick.errors import InvalidInput
from tallystick.operations.fields import PageSize
from tallystick.operations.model import Call, Input, NothingInput, Operation
from tallystick.operations.repayments import CustomerRef
from tallystick.repayments.charge import read_cursor
from tallystick.repayments.dues import NOW

MOST_CUSTOMERS = 1_000
"""So many customers are reminded in one transaction."""
MOST_FEES = 500
"""So many fees are asked for in one transaction."""
_EARLIEST = dt.date(2000, 1, 1)
_ONE_DAY = dt.timedelta(days=1)


class SetRulesInput(Input, frozen=True):
    """Who is reminded when, and what being late costs, from now on."""

    rules: Rules


class DebtorsInput(Input, frozen=True):
    """A day, and a page of the customers who are to be reminded on it."""

    on: dt.date
    after: str = "0"
    limit: PageSize = MOST_CUSTOMERS


class RemindInput(Input, frozen=True):
    """A day, and customers whose reminders of it are to be made."""

    on: dt.date
    customers: Annotated[list[CustomerRef], msgspec.Meta(min_length=1, max_length=MOST_CUSTOMERS)]


class FeesInput(Input, frozen=True):
    """A page of fees that have no invoice yet."""

    after: Annotated[str, msgspec.Meta(max_length=50)] = ""
    limit: PageSize = MOST_FEES


class FeeInput(Input, frozen=True):
    """A fee: the invoice that is late, and the level of the reminder."""

    invoice: uuid.UUID
    level: Annotated[int, msgspec.Meta(ge=1, le=20)]


class AskFeesInput(Input, frozen=True):
    """Fees to ask for."""

    fees: Annotated[list[FeeInput], msgspec.Meta(min_length=1, max_length=MOST_FEES)]


class RemindersInput(Input, frozen=True):
    """A page of reminders, of one customer or invoice if given."""

    customer: CustomerRef | None = None
    invoice: uuid.UUID | None = None
    after: Annotated[str, msgspec.Meta(max_length=50)] = ""
    limit: PageSize = 100


async def set_dunning_rules(call: Call, request: SetRulesInput) -> Rules:
    """Say who is reminded when, and what being late costs; reminders that were made stay as they are."""
    await set_rules(call.connection, call.recorded, request.rules)
    return request.rules


async def rules(call: Call, _: NothingInput) -> Rules:
    """Return who is reminded when, and what being late costs."""
    return await find_rules(call.connection, call.book.book_id, NOW)


async def debtors(call: Call, request: DebtorsInput) -> DebtorsPage:
    """Return customers who are to be reminded on a day, for `dunning.remind`."""
    _require_day(call, request.on)
    return await find.page_debtors(
        call.connection, call.book.book_id, request.on, read_cursor(request.after), request.limit
    )


async def remind(call: Call, request: RemindInput) -> Reminded:
    """
    Make the reminders of a day for some customers, each once, with what it costs.

    One reminder of an invoice is made at a time. What a store says was paid is left out, until its notice is taken back.
    """
    _require_day(call, request.on)
    return await make_reminders(call.connection, call.book.ledger, call.recorded, request.on, request.customers)


async def list_fees(call: Call, request: FeesInput) -> FeesPage:
    """Return late fees that have no invoice yet, for `dunning.ask_fees`."""
    return await find.page_fees(call.connection, call.book.book_id, request.after, request.limit)


async def ask(call: Call, request: AskFeesInput) -> AskedFees:
    """Ask for late fees: each becomes an invoice of its own, once; one that cannot be is told, and the others are made."""
    keys = [(one.invoice, one.level) for one in request.fees]
    return await ask_fees(call.connection, call.book, call.recorded, call.message_hashes, keys)


async def list_reminders(call: Call, request: RemindersInput) -> RemindersPage:
    """Return a page of reminders by invoice and level."""
    wanted = find.Wanted(request.customer, request.invoice)
    return await find.page_reminders(call.connection, call.book.book_id, wanted, request.after, request.limit)


def _require_day(call: Call, on: dt.date) -> None:
    if not _EARLIEST <= on <= call.at.date() + _ONE_DAY:
        raise InvalidInput(field="on", rule=f"Expected a day from {_EARLIEST} to tomorrow")


_WRITE, _READ = "dunning:write", "dunning:read"
OPERATIONS = [
    Operation("dunning.set_rules", SetRulesInput, Rules, _WRITE, "POST /dunning/rules", set_dunning_rules),
    Operation("dunning.rules", NothingInput, Rules, _READ, "GET /dunning/rules", rules, reads=True),
    Operation("dunning.list_debtors", DebtorsInput, DebtorsPage, _READ, "GET /dunning/debtors", debtors, reads=True),
    Operation("dunning.remind", RemindInput, Reminded, _WRITE, "POST /dunning/reminders", remind),
    Operation("dunning.list_fees", FeesInput, FeesPage, _READ, "GET /dunning/fees", list_fees, reads=True),
    Operation("dunning.ask_fees", AskFeesInput, AskedFees, _WRITE, "POST /dunning/fees", ask),
    Operation(
        "dunning.list", RemindersInput, RemindersPage, _READ, "GET /dunning/reminders", list_reminders, reads=True
    ),
]
