"""Issue: give a chunk of drafts their gapless numbers and put what they ask for into the ledger."""

import datetime as dt
import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from zoneinfo import ZoneInfo

import numpy as np
import numpy.typing as npt

from tallystick.db.queries import Connection, queries_beside
from tallystick.ids import id_of_content
from tallystick.invoicing.billing_period import require_zone
from tallystick.invoicing.find import require_cursor
from tallystick.invoicing.model import Issued, account_of, how_many_fit, printed_number, revenue_account
from tallystick.ledger.accounts import NewAccount, Recorded, open_accounts
from tallystick.ledger.model import Reason, Transfers, transfers
from tallystick.ledger.post import MAX_BATCH, Ledger
from tallystick.periods import Period
from tallystick.wallets.draw import PaidInvoice, enter_to_spend, find_wallets, pay_invoices
from tallystick.wallets.draw import how_many_fit as how_many_draws_fit
from tallystick.wallets.model import Draw

_queries = queries_beside(__file__)
_lock_series = _queries.run("lock_series")
_take_numbers = _queries.value("take_numbers")
_insert_issues = _queries.run("insert_issues")
_amounts_by_charge = _queries.tuples("amounts_by_charge")


@dataclass(frozen=True, slots=True)
class _Draft:
    """A draft that waits for its number."""

    invoice_id: uuid.UUID
    customer_id: int
    asset: str
    asset_id: int
    total: int
    terms_days: int


_page_drafts = _queries.rows("page_drafts", _Draft)
_find_drafts = _queries.rows("find_drafts", _Draft)


@dataclass(frozen=True, slots=True)
class IssueOrder:
    """Which drafts to issue, and under numbers of which series."""

    product: str
    period: Period
    zone: str
    series: str
    after: uuid.UUID | None
    """Those behind this invoice in order of customer; None: from the first."""
    limit: int
    drafts: Sequence[uuid.UUID] | None = None
    """These drafts of the product, whatever their period; None: those of the period."""


async def issue(
    connection: Connection,
    ledger: Ledger,
    recorded: Recorded,
    message_hashes: npt.NDArray[np.void],
    order: IssueOrder,
) -> Issued:
    """
    Issue the next *limit* drafts in order of customer, all or none.

    The series is locked before the drafts are chosen, so of two who issue at once the second sees what the first
    has issued; and since numbers are counted up in this same transaction, one that is undone leaves no gap.
    The chunk ends early where the amounts would not fit into one batch, or the credits that pay them.

    Raises:
        InvalidInput: the cursor is no invoice (``invalid_input``).
        OtherZone: the product is invoiced by another zone's months (``invoicing.other_zone``).
        AccountExists: somebody opened an account of these invoices, with other limits (``ledger.account_exists``).
        GroupFailed: somebody closed the revenue account (``ledger.group_failed``).
        OrderLost: another transaction took of the same credits meanwhile.
    """
    await enter_to_spend(connection, recorded.book_id)
    await require_zone(connection, recorded.book_id, order.product, order.zone)
    await require_cursor(connection, recorded.book_id, order.after)
    await _lock_series(connection, recorded.book_id, order.series)
    found = await _choose(connection, recorded.book_id, order)
    drafts = found[: how_many_fit([{one.asset_id: one.total} for one in found])]
    if not drafts:
        return Issued(0, {}, None, None, None)
    credits_ = await _draw_credits(connection, recorded, order.product, drafts)
    drafts = drafts[: how_many_draws_fit([1 + len(draws) for draws in credits_], MAX_BATCH)]
    last = await _take_numbers(connection, recorded.book_id, order.series, len(drafts))
    first = last - len(drafts) + 1
    accounts = await _open_accounts(connection, recorded, order.product, drafts)
    issuing = _issuing(recorded, drafts, accounts)
    paid = [
        PaidInvoice(one.invoice_id, account, draws)
        for one, account, draws in zip(drafts, accounts.receivable, credits_, strict=False)
        if draws
    ]
    await pay_invoices(connection, ledger, recorded, message_hashes, issuing, paid)
    issued_on = recorded.at.astimezone(ZoneInfo(order.zone)).date()
    more = len(drafts) < len(found) or len(found) == order.limit
    await _insert_issues(
        connection,
        recorded.book_id,
        order.series,
        recorded.message_place,
        recorded.at,
        [one.invoice_id for one in drafts],
        list(range(first, last + 1)),
        accounts.receivable,
        [_transfer_id(one) if one.total else None for one in drafts],
        [issued_on + dt.timedelta(days=one.terms_days) for one in drafts],
    )
    return Issued(
        issued=len(drafts),
        totals=_totals(drafts),
        first_number=printed_number(order.series, first),
        last_number=printed_number(order.series, last),
        next=uuid.UUID(bytes=drafts[-1].invoice_id.bytes) if more else None,
    )


async def _choose(connection: Connection, book_id: int, order: IssueOrder) -> list[_Draft]:
    if order.drafts is not None:
        return await _find_drafts(connection, book_id, list(order.drafts), order.product, order.limit)
    return await _page_drafts(connection, book_id, order.period.start_at, order.product, order.after, order.limit)


async def _draw_credits(
    connection: Connection, recorded: Recorded, product: str, drafts: list[_Draft]
) -> list[list[Draw]]:
    """Return what pays each draft of the credits that its customer has in its asset, in the order of their spending."""
    wallets = await find_wallets(connection, recorded, sorted({one.customer_id for one in drafts if one.total}))
    if not wallets.grants:
        return [[] for _ in drafts]
    grants = [wallets.of(one.customer_id, one.asset_id, product) for one in drafts]
    bound = [one.invoice_id for one, own in zip(drafts, grants, strict=True) if any(grant.charges for grant in own)]
    charges: dict[uuid.UUID, dict[str, int]] = {}
    for invoice_id, charge, amount in await _amounts_by_charge(connection, recorded.book_id, bound) if bound else []:
        charges.setdefault(invoice_id, {})[charge] = amount
    return [
        wallets.pay(own, one.total, charges.get(one.invoice_id, {})) for one, own in zip(drafts, grants, strict=True)
    ]


@dataclass(frozen=True, slots=True)
class _Accounts:
    """The accounts that drafts are issued on."""

    receivable: list[int]
    """Beside the drafts."""
    revenue: dict[str, int]
    """By asset."""


async def _open_accounts(
    connection: Connection, recorded: Recorded, product: str, drafts: list[_Draft]
) -> _Accounts:  # fmt: skip
    """Open each invoice's account, and where they earn."""
    assets = sorted({one.asset for one in drafts})
    # Debits lower a balance: at most zero means that nobody can pay more than is owed.
    wanted = [NewAccount(account_of(one.invoice_id), one.asset, max_balance=0) for one in drafts]
    wanted += [NewAccount(revenue_account(product, asset), asset) for asset in assets]
    opened = [account.account_id for account in await open_accounts(connection, recorded, wanted)]
    return _Accounts(opened[: len(drafts)], dict(zip(assets, opened[len(drafts) :], strict=True)))


def _issuing(recorded: Recorded, drafts: list[_Draft], accounts: _Accounts) -> Transfers:
    """Return the transfers that debit each invoice's account with its total; a total of zero moves nothing."""
    owing = [(one, account) for one, account in zip(drafts, accounts.receivable, strict=True) if one.total]
    batch = transfers(len(owing))
    if owing:
        batch["transfer_id"] = [_transfer_id(one).bytes for one, _ in owing]
        batch["debit_account_id"] = [account for _, account in owing]
        batch["credit_account_id"] = [accounts.revenue[one.asset] for one, _ in owing]
        batch["amount"] = [one.total for one, _ in owing]
        batch["asset_id"] = [one.asset_id for one, _ in owing]
        batch["message_place"] = recorded.message_place
        batch["reason"] = Reason.INVOICE_ISSUE
    return batch


def _transfer_id(draft: _Draft) -> uuid.UUID:
    """Derive the id of the transfer that issues an invoice: there can be only one."""
    return id_of_content(("invoice.issue", str(draft.invoice_id)))


def _totals(drafts: list[_Draft]) -> dict[str, int]:
    totals: dict[str, int] = {}
    for one in drafts:
        totals[one.asset] = totals.get(one.asset, 0) + one.total
    return totals
