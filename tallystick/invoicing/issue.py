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
from tallystick.invoicing.life.note_states import note_states
from tallystick.invoicing.model import Issued, NumberKind, account_of, how_many_fit, printed_number, revenue_account
from tallystick.invoicing.number import find_series, lock_series, take_numbers
from tallystick.invoicing.pair import Pairing, pair, split_sides
from tallystick.ledger.accounts import NewAccount, Recorded, open_accounts
from tallystick.ledger.model import Reason, Transfers, transfers
from tallystick.ledger.post import MAX_BATCH, Ledger
from tallystick.notify.tell import Told, tell
from tallystick.periods import Period
from tallystick.wallets.draw import PaidInvoice, enter_to_spend, find_wallets, pay_invoices
from tallystick.wallets.draw import how_many_fit as how_many_draws_fit
from tallystick.wallets.model import Draw

_queries = queries_beside(__file__)
_insert_issues = _queries.run("insert_issues")
_insert_due = _queries.run("insert_due")
_refs_of_customers = _queries.tuples("refs_of_customers")
_amounts_by_charge = _queries.tuples("amounts_by_charge")


@dataclass(frozen=True, slots=True)
class _Draft:
    """A draft of a month that waits for its number."""

    invoice_id: uuid.UUID
    customer_id: int
    asset: str
    asset_id: int
    total: int
    terms_days: int


_page_drafts = _queries.rows("page_drafts", _Draft)
_find_drafts = _queries.rows("find_drafts", _Draft)


@dataclass(frozen=True, slots=True)
class Issuable:
    """A draft that is to be issued now, and on which terms."""

    invoice_id: uuid.UUID
    customer_id: int
    product: str
    asset: str
    asset_id: int
    total: int
    due_on: dt.date
    series: str
    credited: Sequence[tuple[str, int]]
    """The accounts that it credits, and with how much; debited where it is below zero. They come to the total."""


@dataclass(frozen=True, slots=True)
class IssueOrder:
    """Which drafts to issue, and under numbers of which series."""

    product: str
    period: Period
    zone: str
    series: str | None
    """None: the series that is set for the product."""
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
        SeriesOfOtherKind: the series counts credit notes (``invoicing.series_of_other_kind``).
        AccountExists: somebody opened an account of these invoices, with other limits (``ledger.account_exists``).
        GroupFailed: somebody closed the revenue account (``ledger.group_failed``).
        OrderLost: another transaction took of the same credits meanwhile.
    """
    await enter_to_spend(connection, recorded.book_id)
    await require_zone(connection, recorded.book_id, order.product, order.zone)
    await require_cursor(connection, recorded.book_id, order.after)
    series = order.series or await find_series(connection, recorded.book_id, order.product, NumberKind.INVOICE)
    await lock_series(connection, recorded.book_id, NumberKind.INVOICE, [series])
    found = await _choose(connection, recorded.book_id, order)
    drafts = found[: how_many_fit([{one.asset_id: one.total} for one in found])]
    if not drafts:
        return Issued(0, {}, None, None, None)
    issued_on = recorded.at.astimezone(ZoneInfo(order.zone)).date()
    issuable = [_issuable(one, order.product, series, issued_on) for one in drafts]
    draws = await draw_credits(connection, recorded, issuable)
    issuable = issuable[: how_many_draws_fit([1 + len(own) for own in draws], MAX_BATCH)]
    numbers = await put_in_force(connection, ledger, recorded, message_hashes, issuable, draws)
    more = len(issuable) < len(found) or len(found) == order.limit
    return Issued(
        issued=len(issuable),
        totals=_totals(issuable),
        first_number=numbers[0],
        last_number=numbers[-1],
        next=issuable[-1].invoice_id if more else None,
    )


async def next_to_issue(connection: Connection, book_id: int, order: IssueOrder) -> tuple[uuid.UUID, str] | None:
    """Return the draft that the next chunk begins with, and whose it is; None: none is left."""
    drafts = await _choose(connection, book_id, order)
    if not drafts:
        return None
    ((_, ref),) = await _refs_of_customers(connection, book_id, [drafts[0].customer_id])
    return drafts[0].invoice_id, ref


async def _choose(connection: Connection, book_id: int, order: IssueOrder) -> list[_Draft]:
    if order.drafts is not None:
        return await _find_drafts(connection, book_id, list(order.drafts), order.product, order.limit)
    return await _page_drafts(connection, book_id, order.period.start_at, order.product, order.after, order.limit)


def _issuable(draft: _Draft, product: str, series: str, issued_on: dt.date) -> Issuable:
    """Return the draft of a month with its terms: all of it is the product's revenue."""
    return Issuable(
        draft.invoice_id,
        draft.customer_id,
        product,
        draft.asset,
        draft.asset_id,
        draft.total,
        issued_on + dt.timedelta(days=draft.terms_days),
        series,
        [(revenue_account(product, draft.asset), draft.total)],
    )


async def draw_credits(connection: Connection, recorded: Recorded, drafts: Sequence[Issuable]) -> list[list[Draw]]:
    """
    Return what pays each draft of the credits that its customer has in its asset, in the order of their spending.

    The transaction must have entered to spend.
    """
    wallets = await find_wallets(connection, recorded, sorted({one.customer_id for one in drafts if one.total}))
    if not wallets.grants:
        return [[] for _ in drafts]
    grants = [wallets.of(one.customer_id, one.asset_id, one.product) for one in drafts]
    bound = [one.invoice_id for one, own in zip(drafts, grants, strict=True) if any(grant.charges for grant in own)]
    charges: dict[uuid.UUID, dict[str, int]] = {}
    for invoice_id, charge, amount in await _amounts_by_charge(connection, recorded.book_id, bound) if bound else []:
        charges.setdefault(invoice_id, {})[charge] = amount
    return [
        wallets.pay(own, one.total, charges.get(one.invoice_id, {})) for one, own in zip(drafts, grants, strict=True)
    ]


async def put_in_force(
    connection: Connection,
    ledger: Ledger,
    recorded: Recorded,
    message_hashes: npt.NDArray[np.void],
    drafts: Sequence[Issuable],
    draws: Sequence[Sequence[Draw]],
) -> list[str]:
    """
    Give drafts their numbers and post them, all or none, with the credits that pay them; return the numbers printed.

    Their series must be locked. *draws* may be of more drafts than are issued.

    Raises:
        AccountExists: somebody opened an account of these invoices, with other limits (``ledger.account_exists``).
        GroupFailed: somebody closed an account that they credit (``ledger.group_failed``).
        OrderLost: another transaction took of the same credits meanwhile.
    """
    numbers = await take_numbers(connection, recorded.book_id, [one.series for one in drafts])
    accounts = await _open_accounts(connection, recorded, drafts)
    moves = [
        _pairings(one, receivable, accounts.credited) for one, receivable in zip(drafts, accounts.own, strict=True)
    ]
    paid = [
        PaidInvoice(one.invoice_id, account, own)
        for one, account, own in zip(drafts, accounts.own, draws, strict=False)
        if own
    ]
    issuing = _issuing(recorded, drafts, moves)
    await pay_invoices(connection, ledger, recorded, message_hashes, issuing, paid)
    await _insert_issues(
        connection,
        recorded.book_id,
        recorded.message_place,
        recorded.at,
        [one.invoice_id for one in drafts],
        [one.series for one in drafts],
        numbers,
        accounts.own,
        [_transfer_id(one, 0) if own else None for one, own in zip(drafts, moves, strict=True)],
        [one.due_on for one in drafts],
    )
    printed = [printed_number(one.series, number) for one, number in zip(drafts, numbers, strict=True)]
    await _tell_issued(connection, recorded, drafts, printed, draws)
    await _await_due(connection, recorded, drafts, {one.invoice_id for one in paid})
    return printed


async def _tell_issued(
    connection: Connection,
    recorded: Recorded,
    drafts: Sequence[Issuable],
    printed: Sequence[str],
    draws: Sequence[Sequence[Draw]],
) -> None:
    """Tell of all of them in one go."""
    refs = dict(await _refs_of_customers(connection, recorded.book_id, sorted({one.customer_id for one in drafts})))
    await tell(
        connection,
        recorded,
        [
            Told(
                "invoice.issued",
                f"invoice/{one.invoice_id}",
                {
                    "invoice_id": one.invoice_id,
                    "customer": refs[one.customer_id],
                    "product": one.product,
                    "asset": one.asset,
                    "total": one.total,
                    "outstanding": one.total - sum(draw.amount for draw in own),
                    "number": number,
                    "due_on": one.due_on,
                },
            )
            for one, number, own in zip(drafts, printed, draws, strict=False)
        ],
    )


async def _await_due(
    connection: Connection, recorded: Recorded, drafts: Sequence[Issuable], paid: set[uuid.UUID]
) -> None:
    """Keep until when each is to be paid; of those that credits paid, or that come to nothing, note it."""
    owing = [one for one in drafts if one.total]
    if owing:
        columns = ([getattr(one, name) for one in owing] for name in ("invoice_id", "customer_id", "due_on"))
        await _insert_due(connection, recorded.book_id, *columns)
    settled = [one.invoice_id for one in drafts if not one.total or one.invoice_id in paid]
    if settled:
        await note_states(connection, recorded, settled)


@dataclass(frozen=True, slots=True)
class _Accounts:
    """The accounts that drafts are issued on."""

    own: list[int]
    """What is owed of each, beside the drafts."""
    credited: dict[str, int]
    """By code."""


async def _open_accounts(connection: Connection, recorded: Recorded, drafts: Sequence[Issuable]) -> _Accounts:
    """Open each invoice's account, and those that they credit."""
    codes = sorted({(code, one.asset) for one in drafts for code, _ in one.credited})
    # Debits lower a balance: at most zero means that nobody can pay more than is owed.
    wanted = [NewAccount(account_of(one.invoice_id), one.asset, max_balance=0) for one in drafts]
    wanted += [NewAccount(code, asset) for code, asset in codes]
    opened = [account.account_id for account in await open_accounts(connection, recorded, wanted)]
    return _Accounts(opened[: len(drafts)], dict(zip((code for code, _ in codes), opened[len(drafts) :], strict=True)))


def _pairings(draft: Issuable, receivable: int, accounts: dict[str, int]) -> list[Pairing]:
    """Return what moves: the receivable is debited with the total; a total of zero from one account moves nothing."""
    debits, credits_ = split_sides({accounts[code]: amount for code, amount in draft.credited})
    return pair([(receivable, draft.total), *debits] if draft.total else debits, credits_)


def _issuing(recorded: Recorded, drafts: Sequence[Issuable], moves: Sequence[Sequence[Pairing]]) -> Transfers:
    """Return the transfers that issue drafts."""
    rows = [
        (one, place, each) for one, own in zip(drafts, moves, strict=True) for place, each in enumerate(own)
    ]  # fmt: skip
    batch = transfers(len(rows))
    if rows:
        batch["transfer_id"] = [_transfer_id(one, place).bytes for one, place, _ in rows]
        batch["debit_account_id"] = [each.debit for _, _, each in rows]
        batch["credit_account_id"] = [each.credit for _, _, each in rows]
        batch["amount"] = [each.amount for _, _, each in rows]
        batch["asset_id"] = [one.asset_id for one, _, _ in rows]
        batch["message_place"] = recorded.message_place
        batch["reason"] = Reason.INVOICE_ISSUE
    return batch


def _transfer_id(draft: Issuable, place: int) -> uuid.UUID:
    """Derive the id of a transfer that issues an invoice: there can be only one at each place."""
    parts = ("invoice.issue", str(draft.invoice_id))
    return id_of_content(parts if not place else (*parts, str(place)))


def _totals(drafts: Sequence[Issuable]) -> dict[str, int]:
    totals: dict[str, int] = {}
    for one in drafts:
        totals[one.asset] = totals.get(one.asset, 0) + one.total
    return totals
