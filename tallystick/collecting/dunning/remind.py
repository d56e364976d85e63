"""Remind: what is due by the rules becomes reminders, for a chunk of customers at a time."""

import datetime as dt
import uuid
from collections import Counter
from collections.abc import Sequence
from typing import NamedTuple

import msgspec

from tallystick.collecting.dunning.late_fee import NO_FEE, LateFee, late_fee
from tallystick.collecting.dunning.model import Reminded
from tallystick.collecting.dunning.rules import Rules, find_rules
from tallystick.db.queries import Connection, queries_beside
from tallystick.ledger.accounts import Recorded
from tallystick.ledger.post import Ledger
from tallystick.ledger.read_in_order import Place
from tallystick.money import Asset
from tallystick.repayments.dues import OpenInvoice, enter_to_repay, find_dues, lock_and_read
from tallystick.repayments.errors import UnknownCustomer
from tallystick.repayments.find import find_customers

_queries = queries_beside(__file__)
_enter_to_remind = _queries.run("enter_to_remind")
_list_assets = _queries.tuples("list_assets")
_find_reminded = _queries.tuples("find_reminded")
_find_coming = _queries.values("find_coming")
_insert_reminders = _queries.run("insert_reminders")


class Before(NamedTuple):
    """The reminders of an invoice that there are."""

    level: int
    """Of the newest; 0: there is none."""
    on: dt.date | None
    counted_to: dt.date | None
    """Up to which day a fee was counted by days."""


NEVER = Before(0, None, None)


class _Owed(NamedTuple):
    """An invoice that is to be reminded of, if it is still owed."""

    customer_id: int
    asset: Asset
    invoice: OpenInvoice
    level: int
    from_on: dt.date


def next_level(rules: Rules, due_on: dt.date, before: Before, on: dt.date) -> int | None:
    """
    Return which reminder is to be made on a day, the first being 1; None: none is. Pure.

    One is made at a time, so who was not reminded for long is not sent all reminders at once: between two lie as many days
    as the rules have between them.
    """
    level = before.level + 1
    if level > len(rules.levels):
        return None
    days = dt.timedelta(days=1)
    if on < due_on + rules.levels[level - 1].after_days * days:
        return None
    if before.on is not None and on < before.on + rules.gaps[level - 1] * days:
        return None
    return level


async def make_reminders(
    connection: Connection, ledger: Ledger, recorded: Recorded, on: dt.date, customers: Sequence[str]
) -> Reminded:
    """
    Make the reminders of a day for some customers, with what each costs; made again, they are there already.

    Left out is what a store says was paid by a slip, what the bank was asked to debit and has not answered, and what is
    repaid by now.

    Raises:
        UnknownCustomer: one is not known (``repayments.unknown_customer``).
        FeeBeyond: a fee is beyond the largest amount (``dunning.fee_beyond``).
        OrderLost: another transaction repaid some of it meanwhile, and is ordered later.
    """
    await _enter_to_remind(connection, recorded.book_id)
    place = await enter_to_repay(connection, recorded.book_id)
    rules = await find_rules(connection, recorded.book_id, place.place)
    ids = await _require_customers(connection, recorded.book_id, customers)
    owed = await _find_owed(connection, recorded.book_id, place, rules, on, ids)
    balances = await lock_and_read(connection, ledger, place, [one.invoice.account_id for one in owed])
    made = []
    for one in owed:
        outstanding = balances.outstanding(one.invoice.account_id)
        if outstanding:
            made.append((one, outstanding, _fee(rules, one, outstanding, on)))
    await _keep(connection, recorded, on, rules, made)
    fees: Counter[str] = Counter()
    for one, _, fee in made:
        if fee.amount:
            fees[one.asset.code] += fee.amount
    return Reminded(len({one.customer_id for one, _, _ in made}), len(made), dict(sorted(fees.items())))


async def _require_customers(connection: Connection, book_id: int, customers: Sequence[str]) -> list[int]:
    found = await find_customers(connection, book_id, customers)
    for at, ref in enumerate(customers):
        if ref not in found:
            raise UnknownCustomer(field=f"customers[{at}]", customer=ref)
    return list(found.values())


async def _find_owed(
    connection: Connection, book_id: int, place: Place, rules: Rules, on: dt.date, customer_ids: Sequence[int]
) -> list[_Owed]:
    """Return the invoices whose next reminder is to be made on the day."""
    until = rules.latest_due(on)
    if until is None:
        return []
    assets = {asset_id: Asset(code, exponent) for asset_id, code, exponent in await _list_assets(connection, book_id)}
    purses = [(customer_id, asset_id) for customer_id in customer_ids for asset_id in assets]
    dues = await find_dues(connection, book_id, purses, place.place, until)
    ids = [one.invoice_id for own in dues.values() for one in own]
    reminded = {row[0]: Before(*row[1:]) for row in await _find_reminded(connection, book_id, ids)} if ids else {}
    coming = {*await _find_coming(connection, book_id, ids, place.place)} if ids else set()
    owed = []
    for (customer_id, asset_id), own in dues.items():
        for one in own:
            before = reminded.get(one.invoice_id, NEVER)
            level = next_level(rules, one.due_on, before, on)
            if level is not None and one.invoice_id not in coming:
                owed.append(_Owed(customer_id, assets[asset_id], one, level, before.counted_to or one.due_on))
    return owed


def _fee(rules: Rules, one: _Owed, outstanding: int, on: dt.date) -> LateFee:
    """Return what a reminder costs; of a fee that is late itself, nothing."""
    if one.invoice.product == rules.fee_product:
        return NO_FEE
    return late_fee(rules.levels[one.level - 1].fee, outstanding, one.asset, one.from_on, on)


async def _keep(
    connection: Connection,
    recorded: Recorded,
    on: dt.date,
    rules: Rules,
    made: Sequence[tuple[_Owed, int, LateFee]],
) -> None:
    """Append reminders, with the terms that their fees are asked for with."""
    if not made:
        return
    terms = msgspec.json.encode({
        "product": rules.fee_product, "terms_days": rules.fee_terms_days, "tax_category": rules.fee_tax_category,
    }).decode()  # fmt: skip
    await _insert_reminders(
        connection,
        recorded.book_id,
        recorded.message_place,
        recorded.at,
        on,
        [one.invoice.invoice_id for one, _, _ in made],
        [one.level for one, _, _ in made],
        [one.customer_id for one, _, _ in made],
        [outstanding for _, outstanding, _ in made],
        [fee.amount for _, _, fee in made],
        [fee.days for _, _, fee in made],
        [terms if fee.amount else None for _, _, fee in made],
    )


FeeKey = tuple[uuid.UUID, int]
"""The invoice that is late, and the level of the reminder."""
