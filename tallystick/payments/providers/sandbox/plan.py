"""
What happens by itself: a seed and rates decide the fate of every call and webhook, and what comes after; pure.

Each draw is a hash of the seed, of what is drawn for and of the payment's reference, so the same seed gives the same
fates to the same references, whatever the order in which they come.
"""

import hashlib
from collections import Counter
from collections.abc import Iterator, Mapping
from decimal import Decimal
from enum import Enum
from pathlib import Path
from typing import Annotated, TypeVar

import msgspec

from tallystick.payments.providers.sandbox.change import Call
from tallystick.payments.providers.sandbox.faults import FaultKind, Twist
from tallystick.payments.providers.sandbox.spoil import Flaw

Rate = Decimal
"""How many of all, from 0 to 1, such as ``0.02``."""

_NEVER = Decimal(0)
_DRAW_BYTES = 8
_Drawn = TypeVar("_Drawn", bound=Enum)


class Rates(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How often what happens; nothing does unless told."""

    calls: Mapping[Call, Mapping[FaultKind, Rate]] = {}
    """Of each call; one that is lost is asked again, and its fate drawn again."""
    webhooks: Mapping[Twist, Rate] = {}
    authentications_failed: Rate = _NEVER
    """Of the customers that must authenticate, how many cannot."""
    captures_declined_later: Rate = _NEVER
    """Of the captures that are processing."""
    refunds_failed_later: Rate = _NEVER
    """Of the refunds that are pending."""
    disputes: Rate = _NEVER
    """Of the captured transactions."""
    disputes_won: Rate = Decimal("0.5")
    decided_after_ms: Annotated[int, msgspec.Meta(ge=0)] = 0
    """How long a customer or a bank takes over each of these."""
    payout_every: Annotated[int, msgspec.Meta(ge=1)] | None = None
    """How many captures of a currency one payout waits for; None: payouts are made on order alone."""
    flaws: Mapping[Flaw, Rate] = {}
    """Of the payouts made by themselves."""

    def __post_init__(self) -> None:
        """
        Find that the rates go together.

        Raises:
            ValueError: one is not from 0 to 1, those of one call add up to more than 1, or something cannot happen
                to a call.
        """
        for call, kinds in self.calls.items():
            for kind in kinds:
                if not kind.strikes(call):
                    raise ValueError(f"calls.{call.value}: no {kind.value} of a {call.value}")
        for where, rates in self._exclusive():
            if not all(rate.is_finite() and 0 <= rate <= 1 for rate in rates):
                raise ValueError(f"{where}: a rate is a number from 0 to 1")
            if sum(rates) > 1:
                raise ValueError(f"{where}: the rates add up to more than 1")

    def _exclusive(self) -> Iterator[tuple[str, list[Decimal]]]:
        """Yield where rates stand of which one thing alone can happen."""
        for call, kinds in self.calls.items():
            yield f"calls.{call.value}", list(kinds.values())
        yield "webhooks", list(self.webhooks.values())
        yield "flaws", list(self.flaws.values())
        for name in self.__struct_fields__:
            if isinstance(rate := getattr(self, name), Decimal):
                yield name, [rate]


class RatesUnusable(Exception):
    """The file of rates cannot be used; the text says why."""


def read_rates(path: Path) -> Rates:
    """
    Read rates from a JSON file.

    Raises:
        RatesUnusable: it cannot be read, or names what there is not; the text names field and rule.
    """
    try:
        return msgspec.json.decode(path.read_bytes(), type=Rates)
    except OSError as unreadable:
        raise RatesUnusable(f"{path}: {unreadable.strerror}") from unreadable
    except (msgspec.DecodeError, UnicodeDecodeError) as wrong:
        raise RatesUnusable(f"{path}: {wrong}") from wrong


class Plan:
    """A seed and rates; remembers how often each reference was drawn for, so a repeated call is drawn anew."""

    def __init__(self, seed: int = 0, rates: Rates | None = None) -> None:
        """Decide by *seed* and *rates*; without rates nothing happens by itself."""
        self.seed = seed
        self.rates = rates
        self._drawn: Counter[tuple[str, str]] = Counter()

    def fault(self, call: Call, reference: str) -> FaultKind | None:
        """Return what happens to this asking of *call* for *reference*."""
        if self.rates is None or (kinds := self.rates.calls.get(call)) is None:
            return None
        return self._choose(f"call.{call.value}", reference, kinds)

    def twist(self, subject: str) -> Twist | None:
        """Return what happens to the next webhook about *subject*, a reference."""
        return None if self.rates is None else self._choose("webhook", subject, self.rates.webhooks)

    def flaw(self, subject: str) -> Flaw | None:
        """Return what is wrong with the next report of *subject*, a currency."""
        return None if self.rates is None else self._choose("flaw", subject, self.rates.flaws)

    def strikes(self, what: str, reference: str, rate: Decimal) -> bool:
        """Say whether *what*, which happens to *rate* of all, happens to *reference*; always the same."""
        return self._draw(what, reference, 0) < rate

    def _choose(self, what: str, reference: str, rates: Mapping[_Drawn, Decimal]) -> _Drawn | None:
        if not rates:
            return None
        turn = self._drawn[what, reference]
        self._drawn[what, reference] += 1
        drawn = self._draw(what, reference, turn)
        for chosen in sorted(rates, key=lambda one: str(one.value)):
            if drawn < rates[chosen]:
                return chosen
            drawn -= rates[chosen]
        return None

    def _draw(self, what: str, reference: str, turn: int) -> Decimal:
        """Return a number from 0 up to 1, evenly spread."""
        text = f"{self.seed}\0{what}\0{reference}\0{turn}"
        drawn = hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=_DRAW_BYTES).digest()
        return Decimal(int.from_bytes(drawn)) / Decimal(1 << 8 * _DRAW_BYTES)
