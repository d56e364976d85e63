"""The exchange between assets, as an operation."""

import uuid
from typing import Annotated

import msgspec

from tallystick.ledger.exchange import Exchange
from tallystick.ledger.exchange import exchange as post_exchange
from tallystick.money import MAX_AMOUNT
from tallystick.operations.fields import Amount, Code
from tallystick.operations.ledger import require_callers_id
from tallystick.operations.model import Call, Input, Operation

Ratio = Annotated[int, msgspec.Meta(ge=1, le=MAX_AMOUNT)]


class ExchangeInput(Input, frozen=True):
    """
    An amount to be sold for another asset at a rate, which is a ratio of whole numbers in minor units.

    At 0.9231 euros for a dollar, both of two decimal digits, the numerator is 9231 and the denominator 10000.
    """

    id: uuid.UUID
    payer: Code
    """The account that pays, in the asset sold."""
    sold_pool: Code
    """The account that takes what is sold."""
    bought_pool: Code
    """The account that gives what is bought, in the other asset."""
    payee: Code
    """The account that gets it."""
    rounding: Code
    """The account, in the asset bought, that gets the one minor unit by which the rate does not come out even."""
    amount: Amount
    """Minor units sold."""
    numerator: Ratio
    denominator: Ratio

    def __post_init__(self) -> None:
        """Find that the id is the caller's own."""
        require_callers_id(self.id)


class ExchangeOutput(msgspec.Struct, frozen=True):
    """What an exchange came to; the transfers can be found by their ids."""

    id: uuid.UUID
    sold: int
    bought: int
    rounding: int
    """What the account named for it got: 0 or 1 minor unit."""
    sold_transfer: uuid.UUID
    bought_transfer: uuid.UUID
    rounding_transfer: uuid.UUID | None


async def exchange(call: Call, request: ExchangeInput) -> ExchangeOutput:
    """Exchange an amount of one asset for another at a rate that is kept; both legs are posted or none."""
    asked = Exchange(
        request.id, request.payer, request.sold_pool, request.bought_pool, request.payee, request.rounding,
        request.amount, request.numerator, request.denominator,
    )  # fmt: skip
    done = await post_exchange(call.connection, call.book.ledger, call.recorded, call.message_hashes, asked)
    return ExchangeOutput(
        request.id, request.amount, done.bought, done.rounding, done.sold_id, done.bought_id, done.rounding_id
    )


OPERATIONS = [
    Operation("ledger.exchange", ExchangeInput, ExchangeOutput, "ledger:write", "POST /exchanges", exchange),
]
