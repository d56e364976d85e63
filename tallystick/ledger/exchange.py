"""
Exchange: an amount of one asset for an amount of another, as balanced legs that are posted together or not at all.

    the payer    ── sold ────────►  pool of the asset sold
    pool of the asset bought  ── bought ──►  the payee
                              ── the unit that rounding took ──►  the account named for it

The rate is a ratio of whole numbers and nothing is rounded but once: the pool gives the least whole amount that covers
the rate; the payee gets what is whole of it, and where the rate does not come out even the account named for rounding gets
the one unit that is left.
"""

import uuid
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from tallystick.db.queries import Connection, queries_beside
from tallystick.errors import Kind, TallystickError
from tallystick.ids import id_of_content
from tallystick.ledger.accounts import Recorded
from tallystick.ledger.errors import UnknownAccount
from tallystick.ledger.model import Batch, Reason, transfers
from tallystick.ledger.post import Ledger, post
from tallystick.ledger.resolve import UNKNOWN, resolve_accounts
from tallystick.money import MAX_AMOUNT

_queries = queries_beside(__file__)
_find_exchange = _queries.tuples("find_exchange")
_insert_exchange = _queries.run("insert_exchange")


class NothingBought(TallystickError):
    """At this rate the amount buys less than one minor unit."""

    code = "ledger.nothing_bought"
    kind = Kind.INVALID


class ExchangeExists(TallystickError):
    """The id belongs to an exchange with other content; take a new id for a new exchange."""

    code = "ledger.exchange_exists"
    kind = Kind.CONFLICT


class ExchangeTooLarge(TallystickError):
    """At this rate the amount buys more than 2^63 - 1 minor units."""

    code = "ledger.exchange_too_large"
    kind = Kind.INVALID


@dataclass(frozen=True, slots=True)
class Exchange:
    """What is exchanged: accounts by their codes, and the rate in minor units bought for minor units sold."""

    exchange_id: uuid.UUID
    payer: str
    sold_pool: str
    bought_pool: str
    payee: str
    rounding: str
    sold: int
    numerator: int
    denominator: int


@dataclass(frozen=True, slots=True)
class Exchanged:
    """What an exchange came to."""

    bought: int
    rounding: int
    """1 where the rate did not come out even, else 0."""
    sold_id: uuid.UUID
    bought_id: uuid.UUID
    rounding_id: uuid.UUID | None


def convert(sold: int, numerator: int, denominator: int) -> tuple[int, int]:
    """
    Return the whole amount that *sold* buys, and 1 where a part of a unit is left, else 0.

    Raises:
        NothingBought: it buys no whole unit (``ledger.nothing_bought``).
        ExchangeTooLarge: it buys more than an amount can be (``ledger.exchange_too_large``).
    """
    bought, left = divmod(sold * numerator, denominator)
    if bought == 0:
        raise NothingBought(field="amount")
    if bought + 1 > MAX_AMOUNT:
        raise ExchangeTooLarge(field="amount")
    return bought, int(left > 0)


async def exchange(
    connection: Connection, ledger: Ledger, recorded: Recorded, message_hashes: npt.NDArray[np.void], asked: Exchange
) -> Exchanged:
    """
    Post the legs of an exchange as one group, and keep the rate; one that was posted before comes to the same again.

    Raises:
        NothingBought, ExchangeTooLarge: what `convert` raises.
        ExchangeExists: there is one of this id with other content (``ledger.exchange_exists``).
        UnknownAccount: one of the accounts is not in the book (``ledger.unknown_account``).
        GroupFailed: a leg was refused, and so none was posted (``ledger.group_failed``).
    """
    done = await _find_done(connection, recorded.book_id, asked)
    if done is not None:
        return done
    bought, rounding = convert(asked.sold, asked.numerator, asked.denominator)
    legs = [
        ("sold", asked.payer, asked.sold_pool, asked.sold),
        ("bought", asked.bought_pool, asked.payee, bought),
        ("rounding", asked.bought_pool, asked.rounding, rounding),
    ][: 2 + rounding]
    codes = [code for _, debit, credit, _ in legs for code in (debit, credit)]
    accounts = await resolve_accounts(connection, ledger, codes)
    for code, account in zip(codes, accounts, strict=True):
        if account == UNKNOWN:
            raise UnknownAccount(field="account", account=code)
    ids = [id_of_content(("exchange", leg, str(asked.exchange_id))) for leg, *_ in legs]
    batch = transfers(len(legs))
    batch["transfer_id"] = [one.bytes for one in ids]
    batch["debit_account_id"], batch["credit_account_id"] = accounts[::2], accounts[1::2]
    batch["amount"] = [amount for *_, amount in legs]
    batch["message_place"] = recorded.message_place
    batch["reason"] = Reason.EXCHANGE
    await post(connection, ledger, Batch(batch), recorded, message_hashes, group=True)
    rounding_id = ids[2] if rounding else None
    await _insert_exchange(
        connection, recorded.book_id, asked.exchange_id, recorded.message_place, ids[0], ids[1], rounding_id,
        asked.numerator, asked.denominator, asked.sold, bought, rounding, recorded.at,
    )  # fmt: skip
    return Exchanged(bought, rounding, ids[0], ids[1], rounding_id)


async def _find_done(connection: Connection, book_id: int, asked: Exchange) -> Exchanged | None:
    """
    Return what the exchange came to when it was posted before, None when it was not.

    Raises:
        ExchangeExists: what was posted under its id was another one (``ledger.exchange_exists``).
    """
    rows = await _find_exchange(connection, book_id, asked.exchange_id)
    if not rows:
        return None
    *kept, rounding_account, bought, rounding, sold_id, bought_id, rounding_id = rows[0]
    same = [
        asked.payer,
        asked.sold_pool,
        asked.bought_pool,
        asked.payee,
        asked.sold,
        asked.numerator,
        asked.denominator,
    ]
    if kept != same or (rounding and rounding_account != asked.rounding):
        raise ExchangeExists(field="id")
    return Exchanged(bought, rounding, sold_id, bought_id, rounding_id)
