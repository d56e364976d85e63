"""The repayments' operations: money comes in and is placed by a policy, lies unallocated, is given or fetched back."""

import datetime as dt
import uuid
from typing import Annotated, Literal

import msgspec

from tallystick.errors import InvalidInput
from tallystick.ledger.accounts import find_asset
from tallystick.money import MAX_AMOUNT
from tallystick.operations.fields import Amount, AssetCode, Code, PageSize, Reference
from tallystick.operations.model import Call, Input, Operation
from tallystick.repayments import find
from tallystick.repayments.agree import Choice, choose_debit_day, find_agreement
from tallystick.repayments.check_account import read_bank_account
from tallystick.repayments.debit_days import DebitDay
from tallystick.repayments.dues import NOW, enter_to_repay, enter_to_reverse
from tallystick.repayments.from_wallet import FromWallet, repay_from_wallet
from tallystick.repayments.model import (
    BANK_DEBIT,
    WALLET,
    Agreement,
    Allocated,
    PolicyInForce,
    Repayment,
    RepaymentPreview,
    RepaymentsPage,
    Returned,
    UnallocatedPage,
)
from tallystick.repayments.move_for_holidays import Rule
from tallystick.repayments.place_unallocated import Wanted, place_unallocated
from tallystick.repayments.policies import find_policies, require_policy, set_policy
from tallystick.repayments.policy import Policy
from tallystick.repayments.preview import preview
from tallystick.repayments.receive import Money, receive, require_owned
from tallystick.repayments.refund import NewRefund, refund
from tallystick.repayments.reverse import reverse

CustomerRef = Annotated[str, msgspec.Meta(min_length=1, max_length=255, pattern=r"^[^\x00]+$(?!\n)")]
Channel = Annotated[str, msgspec.Meta(pattern=r"^[a-z][a-z0-9_]{0,31}$(?!\n)")]
Invoices = Annotated[list[uuid.UUID], msgspec.Meta(min_length=1, max_length=1000)]
BankAccount = Annotated[str, msgspec.Meta(min_length=1, max_length=64, pattern=r"^[^\x00-\x1f\x7f]+$(?!\n)")]
Country = Annotated[str, msgspec.Meta(pattern=r"^[A-Z]{2}(-[A-Z0-9]{1,3})?$(?!\n)")]
ChosenDay = Annotated[int, msgspec.Meta(ge=1, le=28)] | Literal["last"]
_EARLIEST = dt.date(2000, 1, 1)
_ONE_DAY = dt.timedelta(days=1)
_RESERVED = {
    WALLET: "repayments.from_wallet",
    BANK_DEBIT: "charges.apply",
    "bank": "bank.match",
    "slip": "slips.settle",
}
"""Channels that have an operation of their own."""


class SetPolicyInput(Input, frozen=True):
    """By what money is placed from now on: a customer's, or for all who have none of their own."""

    policy: Policy | None
    """Null takes a customer's own away."""
    customer: CustomerRef | None = None


class PolicyOfInput(Input, frozen=True):
    """A customer."""

    customer: CustomerRef


class PreviewRepaymentInput(Input, frozen=True):
    """An amount to try a policy with; by default what lies unallocated, and the policy in force."""

    customer: CustomerRef
    asset: AssetCode
    amount: Amount | None = None
    policy: Policy | None = None
    invoices: Invoices | None = None
    """The only ones that may get something; null: all that are due."""


class ReceiveInput(Input, frozen=True):
    """Money that came from a customer, in minor units; of a channel each reference is received once."""

    customer: CustomerRef
    asset: AssetCode
    amount: Amount
    channel: Channel
    """How it came: ``bank_transfer``, ``cash``, or any name of yours."""
    reference: Reference
    received_on: dt.date | None = None
    """When the customer paid; null: today, in UTC."""
    from_account: Code | None = None
    """The ledger account that it comes from; null: what the channel has taken in, ``providers/<channel>/<asset>``."""
    policy: Policy | None = None
    """By which this money is placed; null: the one in force."""
    invoices: Invoices | None = None
    """The only ones that may get something; null: all that are due."""


class FromWalletInput(Input, frozen=True):
    """Prepaid credit that is to repay invoices; each reference does so once."""

    customer: CustomerRef
    asset: AssetCode
    reference: Reference
    amount: Amount | None = None
    """The most that is taken; null: as much as there is, and is due."""
    policy: Policy | None = None
    invoices: Invoices | None = None


class AllocateInput(Input, frozen=True):
    """What of a customer's unallocated money to place; all of it by default."""

    customer: CustomerRef
    asset: AssetCode
    amount: Amount | None = None
    policy: Policy | None = None
    invoices: Invoices | None = None


class RefundInput(Input, frozen=True):
    """Unallocated money that is given back; all of it by default. Each reference is refunded once."""

    customer: CustomerRef
    asset: AssetCode
    to_account: Code
    """The ledger account that it goes to."""
    reference: Reference
    reason: Reference
    amount: Amount | None = None


class ReverseRepaymentInput(Input, frozen=True):
    """A repayment that the bank fetched back, and why."""

    id: uuid.UUID
    reason: Reference


class RepaymentIdInput(Input, frozen=True):
    """The id of a repayment."""

    id: uuid.UUID


class RepaymentsPageInput(Input, frozen=True):
    """A page of repayments in the order in which they came, of one customer if named."""

    customer: CustomerRef | None = None
    after: Annotated[str, msgspec.Meta(max_length=30)] = ""
    limit: PageSize = 100


class UnallocatedInput(Input, frozen=True):
    """A page of what lies unallocated, or what does for one customer."""

    customer: CustomerRef | None = None
    after: Annotated[str, msgspec.Meta(pattern=r"^[0-9]{1,18}$(?!\n)")] = "0"
    limit: PageSize = 100


class ChooseDebitDayInput(Input, frozen=True):
    """The day of each month on which a bank account is debited; a day of null ends the debits."""

    customer: CustomerRef
    day: ChosenDay | None
    """1 to 28, which every month has, or ``last``."""
    bank_account: BankAccount | None = None
    """An IBAN, whose check digits must fit, or any other text."""
    country: Country | None = None
    """Whose bank holidays move the day: ``JP``, or a part of a country such as ``DE-BY``."""
    rule: Rule = Rule.FOLLOWING
    cutoff_days: Annotated[int, msgspec.Meta(ge=0, le=28)] = 5
    """So many days before a debit it can be changed for the last time."""


class DebitDayOfInput(Input, frozen=True):
    """A customer."""

    customer: CustomerRef


async def set_allocation_policy(call: Call, request: SetPolicyInput) -> PolicyInForce:
    """Say by which policy money is placed from now on, for a customer or for all who have none of their own."""
    if request.policy is None and request.customer is None:
        raise InvalidInput(field="policy", rule="The book has a policy; only a customer can have none")
    customer_id = None
    if request.customer is not None:
        customer_id = await find.require_customer(call.connection, call.book.book_id, request.customer)
    await set_policy(call.connection, call.recorded, customer_id, request.policy)
    if request.policy is not None:
        return PolicyInForce(request.policy, "book" if customer_id is None else "customer")
    found = await find_policies(call.connection, call.book.book_id, [customer_id or 0], NOW)
    return found[customer_id or 0]


async def find_policy(call: Call, request: PolicyOfInput) -> PolicyInForce:
    """Return the policy by which a customer's money is placed, and who said so."""
    customer_id = await find.require_customer(call.connection, call.book.book_id, request.customer)
    return (await find_policies(call.connection, call.book.book_id, [customer_id], NOW))[customer_id]


async def preview_repayment(call: Call, request: PreviewRepaymentInput) -> RepaymentPreview:
    """Try a policy on a customer without effect: what would go where, and why each invoice would get that much."""
    asset = await find_asset(call.connection, call.book.book_id, request.asset)
    return await preview(
        call.connection, call.book.book_id, request.customer, asset, request.amount, request.policy, request.invoices
    )


async def receive_money(call: Call, request: ReceiveInput) -> Repayment:
    """Receive money from a customer and repay invoices with it, once; what none takes lies unallocated."""
    if request.channel in _RESERVED:
        rule = f"{_RESERVED[request.channel]} is what repays by this channel"
        raise InvalidInput(field="channel", rule=rule)
    today = call.at.date()
    received_on = request.received_on or today
    if not _EARLIEST <= received_on <= today + _ONE_DAY:
        raise InvalidInput(field="received_on", rule=f"Expected a day from {_EARLIEST} to tomorrow")
    place = await enter_to_repay(call.connection, call.book.book_id)
    customer_id = await find.require_customer(call.connection, call.book.book_id, request.customer)
    asset = await find_asset(call.connection, call.book.book_id, request.asset)
    policy = await _policy_of(call, request.policy)
    invoices = request.invoices
    await require_owned(call.connection, call.book.book_id, (customer_id, asset.asset_id), invoices or (), place.place)
    money = Money(
        customer_id, request.customer, asset.asset_id, asset.code, request.amount, request.channel, request.reference,
        received_on, request.from_account, policy, None if invoices is None else dict.fromkeys(invoices, MAX_AMOUNT),
    )  # fmt: skip
    return (await receive(call.connection, call.book.ledger, call.recorded, call.message_hashes, place, [money]))[0]


async def pay_from_wallet(call: Call, request: FromWalletInput) -> Repayment:
    """Repay invoices with a customer's prepaid credit, once; no more is taken than they need."""
    place = await enter_to_repay(call.connection, call.book.book_id)
    customer_id = await find.require_customer(call.connection, call.book.book_id, request.customer)
    asset = await find_asset(call.connection, call.book.book_id, request.asset)
    wanted = FromWallet(
        customer_id, request.customer, asset, request.amount, request.reference,
        await _policy_of(call, request.policy), request.invoices,
    )  # fmt: skip
    return await repay_from_wallet(call.connection, call.book.ledger, call.recorded, call.message_hashes, place, wanted)


async def allocate_unallocated(call: Call, request: AllocateInput) -> Allocated:
    """Repay invoices with what lies unallocated for a customer."""
    place = await enter_to_repay(call.connection, call.book.book_id)
    customer_id = await find.require_customer(call.connection, call.book.book_id, request.customer)
    asset = await find_asset(call.connection, call.book.book_id, request.asset)
    wanted = Wanted(
        customer_id, request.customer, asset, request.amount, await _policy_of(call, request.policy), request.invoices
    )
    return await place_unallocated(call.connection, call.book.ledger, call.recorded, call.message_hashes, place, wanted)


async def refund_unallocated(call: Call, request: RefundInput) -> Returned:
    """Give a customer back what lies unallocated, once."""
    place = await enter_to_repay(call.connection, call.book.book_id)
    customer_id = await find.require_customer(call.connection, call.book.book_id, request.customer)
    asset = await find_asset(call.connection, call.book.book_id, request.asset)
    wanted = NewRefund(
        customer_id, request.customer, asset, request.amount, request.to_account, request.reference, request.reason
    )
    return await refund(call.connection, call.book.ledger, call.recorded, call.message_hashes, place, wanted)


async def reverse_repayment(call: Call, request: ReverseRepaymentInput) -> Returned:
    """Take back a repayment that the bank fetched back, once; what it had repaid is owed again."""
    place = await enter_to_reverse(call.connection, call.book.book_id)
    return await reverse(
        call.connection, call.book.ledger, call.recorded, call.message_hashes, place, request.id, request.reason
    )


async def find_repayment(call: Call, request: RepaymentIdInput) -> Repayment:
    """Return a repayment with the invoices that it repaid, and why each got that much."""
    return await find.find_repayment(call.connection, call.book.book_id, request.id)


async def list_repayments(call: Call, request: RepaymentsPageInput) -> RepaymentsPage:
    """Return a page of repayments in the order in which they came."""
    customer_id = None
    if request.customer is not None:
        customer_id = await find.require_customer(call.connection, call.book.book_id, request.customer)
    return await find.page_repayments(call.connection, call.book.book_id, customer_id, request.after, request.limit)


async def list_unallocated(call: Call, request: UnallocatedInput) -> UnallocatedPage:
    """Return a page of customers with the money that lies unallocated for them."""
    if request.customer is not None:
        await find.require_customer(call.connection, call.book.book_id, request.customer)
    return await find.page_unallocated(
        call.connection, call.book.book_id, request.customer, int(request.after), request.limit
    )


async def choose_day(call: Call, request: ChooseDebitDayInput) -> Agreement:
    """Let a customer choose when and where money is debited; a debit within the cut-off stays as it was."""
    customer_id = await find.require_customer(call.connection, call.book.book_id, request.customer)
    return await choose_debit_day(
        call.connection, call.recorded, customer_id, request.customer, _choice(request), request.cutoff_days
    )


async def find_day(call: Call, request: DebitDayOfInput) -> Agreement:
    """Return when and where a customer is debited next."""
    customer_id = await find.require_customer(call.connection, call.book.book_id, request.customer)
    return await find_agreement(call.connection, call.book.book_id, customer_id, request.customer, call.at.date())


def _choice(request: ChooseDebitDayInput) -> Choice | None:
    if request.day is None:
        return None
    if request.bank_account is None or request.country is None:
        field = "bank_account" if request.bank_account is None else "country"
        raise InvalidInput(field=field, rule="A debit day goes with a bank account and the country of its holidays")
    account = read_bank_account(request.bank_account)
    return Choice(account, DebitDay(request.day, request.country, request.rule))


async def _policy_of(call: Call, policy: Policy | None) -> PolicyInForce | None:
    if policy is None:
        return None
    await require_policy(call.connection, call.book.book_id, policy)
    return PolicyInForce(policy, "request")


_WRITE, _READ = "repayments:write", "repayments:read"
OPERATIONS = [
    Operation(
        "repayments.set_policy", SetPolicyInput, PolicyInForce, _WRITE, "POST /repayments/policy",
        set_allocation_policy,
    ),
    Operation(
        "repayments.policy", PolicyOfInput, PolicyInForce, _READ, "GET /repayments/policy", find_policy, reads=True
    ),
    Operation(
        "repayments.preview", PreviewRepaymentInput, RepaymentPreview, _READ, "POST /repayments/preview", preview_repayment,
        reads=True, snapshot=True,
    ),
    Operation("repayments.receive", ReceiveInput, Repayment, _WRITE, "POST /repayments", receive_money),
    Operation(
        "repayments.from_wallet", FromWalletInput, Repayment, _WRITE, "POST /repayments/from-wallet", pay_from_wallet
    ),
    Operation(
        "repayments.allocate", AllocateInput, Allocated, _WRITE, "POST /repayments/allocate", allocate_unallocated
    ),
    Operation("repayments.refund", RefundInput, Returned, _WRITE, "POST /repayments/refund", refund_unallocated),
    Operation("repayments.reverse", ReverseRepaymentInput, Returned, _WRITE, "POST /repayments/{id}/reverse", reverse_repayment),
    Operation(
        "repayments.unallocated", UnallocatedInput, UnallocatedPage, _READ, "GET /repayments/unallocated",
        list_unallocated, reads=True, snapshot=True,
    ),
    Operation("repayments.find", RepaymentIdInput, Repayment, _READ, "GET /repayments/{id}", find_repayment, reads=True),
    Operation(
        "repayments.list", RepaymentsPageInput, RepaymentsPage, _READ, "GET /repayments", list_repayments,
        reads=True, snapshot=True,
    ),
    Operation(
        "collecting.choose_debit_day", ChooseDebitDayInput, Agreement, "collecting:write", "POST /debit-day", choose_day
    ),
    Operation(
        "collecting.debit_day", DebitDayOfInput, Agreement, "collecting:read", "GET /debit-day", find_day, reads=True
    ),
]  # fmt: skip
