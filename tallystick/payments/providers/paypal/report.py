"""
Payouts, and what each is made of.

PayPal pays out by withdrawals from a balance, and has no report of one. So a payout's report is what moved in its
currency since the withdrawal before it. Where a withdrawal leaves something behind, one line more tells what stayed,
and one of the next report that it was there: the balances after both withdrawals say how much.
"""

import asyncio
import datetime as dt
from collections import OrderedDict
from collections.abc import Sequence
from typing import Final
from urllib.parse import quote

import msgspec

from tallystick.clock import Clock
from tallystick.payments.providers.paypal.answers import Capture, Disputes, Movement, decode, to_instant
from tallystick.payments.providers.paypal.call import PayPalCall, check, failure_of
from tallystick.payments.providers.paypal.find_movements import AS_FAR_BACK, LONGEST, Search, windows
from tallystick.payments.providers.paypal.read_movement import (
    is_payout,
    kind_of,
    line_of,
    payout_id_of,
    payout_of,
    taken_apart,
)
from tallystick.payments.providers.protocol import (
    PayoutLine,
    PayoutLineKind,
    ProviderPayout,
    ProviderRefused,
    ProviderUnreachable,
)

PAGE: Final = 100
"""How many payouts one listing has at most."""

_AT_ONCE: Final = 8
_MOST_REMEMBERED: Final = 50_000
_INSTANT: Final = dt.timedelta(microseconds=1)
_DISPUTED: Final = {PayoutLineKind.DISPUTE, PayoutLineKind.DISPUTE_REVERSED}


class Report:
    """The payouts of one account."""

    def __init__(self, call: PayPalCall, clock: Clock) -> None:
        """Ask by *call*."""
        self._call = call
        self._clock = clock
        self._search = Search(call)
        self._order_of: OrderedDict[str, str] = OrderedDict()
        """The order of each capture that was looked up; it never changes."""

    async def list_payouts(self, after: str | None) -> list[ProviderPayout]:
        """
        Return up to 100 payouts, oldest first, behind *after*; those that PayPal may not show whole yet are left out.

        Raises:
            ProviderUnreachable: there is no answer to rely on (``payments.provider_unknown_outcome``).
            ProviderRefused: there is no payout *after*, or the account may not search (``payments.provider_refused``).
        """
        now = self._clock.now()
        until = await self._search.known_until(now)
        start = now - AS_FAR_BACK if after is None else max(taken_apart(after)[0], now - AS_FAR_BACK)
        found: list[ProviderPayout] = []
        for window in windows(start, until):
            movements = await self._search.find_movements(*window)
            found += [payout_of(each) for each in movements if is_payout(each) and _behind(each, after)]
            if len(found) >= PAGE:
                break
        return found[:PAGE]

    async def read_payout(self, payout_id: str) -> tuple[ProviderPayout, Sequence[PayoutLine]]:
        """
        Return a payout and its lines.

        Raises:
            ProviderUnreachable: there is no answer to rely on (``payments.provider_unknown_outcome``).
            ProviderRefused: there is no such payout, or the account may not search (``payments.provider_refused``).
        """
        at, transaction_id = taken_apart(payout_id)
        made = await self._search.find_with_balance(at, transaction_id)
        if made is None or not is_payout(made) or payout_id_of(made) != payout_id:
            raise ProviderRefused(reason="there is no such payout")
        before, movements = await self._since_the_last(made)
        gate = asyncio.Semaphore(_AT_ONCE)
        lines = list(await asyncio.gather(*(self._line(each, gate) for each in movements)))
        lines += _own_fee(made)
        lines += await self._carried(before, made)
        return payout_of(made), lines

    async def order_of(self, capture_id: str) -> str:
        """
        Return the order that a capture belongs to; the capture itself where it belongs to none.

        Raises:
            ProviderUnreachable: there is no answer to rely on (``payments.provider_unknown_outcome``).
        """
        if (known := self._order_of.get(capture_id)) is not None:
            return known
        reply = await self._call.get(f"/v2/payments/captures/{quote(capture_id, safe='')}")
        failure = failure_of(reply)
        if isinstance(failure, ProviderUnreachable):
            raise failure
        if failure is not None:  # a payment that came some other way than by our orders
            return capture_id
        order_id = decode(reply.content, Capture).supplementary_data.related_ids.order_id or capture_id
        self._order_of[capture_id] = order_id
        if len(self._order_of) > _MOST_REMEMBERED:
            self._order_of.popitem(last=False)
        return order_id

    async def _since_the_last(self, made: Movement) -> tuple[Movement | None, list[Movement]]:
        """Return the payout before *made* in its currency, if there is one, and what moved between them."""
        currency = made.transaction_amount.currency_code
        between: list[Movement] = []
        for start, end in reversed(windows(made.at - AS_FAR_BACK, made.at + _INSTANT)):
            movements = await self._search.find_movements(start, end)
            same = [each for each in movements if each.transaction_amount.currency_code == currency]
            for each in reversed(same):
                if not is_payout(each):
                    between.append(each)
                elif each.transaction_id != made.transaction_id:
                    return each, between[::-1]
        return None, between[::-1]

    async def _line(self, movement: Movement, gate: asyncio.Semaphore) -> PayoutLine:
        async with gate:
            kind = kind_of(movement)
            transaction_id = await self._transaction_of(movement, kind)
            dispute_id = await self._dispute_of(movement) if kind in _DISPUTED else None
            about = await self._returned(movement) if kind is PayoutLineKind.ADJUSTMENT else ""
        return line_of(movement, transaction_id, dispute_id, about)

    async def _transaction_of(self, movement: Movement, kind: PayoutLineKind) -> str | None:
        if kind is PayoutLineKind.CHARGE:
            if movement.paypal_reference_id_type == "ODR" and movement.paypal_reference_id:
                return movement.paypal_reference_id
            return await self.order_of(movement.transaction_id)
        if kind is PayoutLineKind.REFUND or kind in _DISPUTED:
            capture_id = _reference(movement)
            return None if capture_id is None else await self.order_of(capture_id)
        return None

    async def _dispute_of(self, movement: Movement) -> str | None:
        """Return the dispute that *movement* is about: the latest of its capture that there was; its row names none."""
        if (capture_id := _reference(movement)) is None:
            return None
        reply = await self._call.get("/v1/customer/disputes", {"disputed_transaction_id": capture_id})
        disputes = decode(check(reply), Disputes).items
        before = (one for one in disputes if one.create_time is None or to_instant(one.create_time) <= movement.at)
        return next((one.dispute_id for one in before), None)

    async def _returned(self, movement: Movement) -> str:
        """Return our name of the payout that *movement* gives back; empty if it gives none back."""
        if (reference := _reference(movement)) is None or movement.transaction_amount.minor <= 0:
            return ""
        earlier = await self._search.find_movements(movement.at - LONGEST, movement.at + _INSTANT)
        names = [payout_id_of(each) for each in earlier if each.transaction_id == reference and is_payout(each)]
        return f"gives back {names[0]}" if names else ""

    async def _carried(self, before: Movement | None, made: Movement) -> list[PayoutLine]:
        """Tell what was there before and what stayed behind, as far as PayPal tells the balances."""
        if before is not None:
            before = await self._search.find_with_balance(before.at, before.transaction_id)
        opening = 0 if before is None else _balance(before)
        closing = _balance(made)
        if opening is None or closing is None or opening == closing:
            return []  # without the balances the lines add up by themselves, or somebody has to look
        line = PayoutLine(
            id=f"{made.transaction_id}.carried",
            kind=PayoutLineKind.ADJUSTMENT,
            amount=opening - closing,
            fee=0,
            currency=made.transaction_amount.currency_code,
            occurred_at=made.at,
            description=f"stayed with PayPal; {opening} before, {closing} after, in minor units",
        )
        return [line]


def _behind(movement: Movement, after: str | None) -> bool:
    return after is None or payout_id_of(movement) > after


def _reference(movement: Movement) -> str | None:
    """Return the movement that this one follows from."""
    return movement.paypal_reference_id if movement.paypal_reference_id_type == "TXN" else None


def _balance(movement: Movement) -> int | None:
    return None if movement.ending_balance is None else movement.ending_balance.minor


def _own_fee(made: Movement) -> list[PayoutLine]:
    """Return what PayPal kept for the withdrawal itself."""
    if made.fee_amount is None or made.fee_amount.minor == 0:
        return []
    line = line_of(made, None, None, "")
    return [msgspec.structs.replace(line, id=f"{line.id}.fee", kind=PayoutLineKind.FEE, amount=0)]
