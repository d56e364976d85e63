"""
What is sent: a message for each number of each lane, out of the seed alone.

A lane is a row of messages that are sent one after the other; many lanes run side by side. What a message asks for
follows from the seed, the lane and the number, whatever was answered so far, so that a seed asks for the same again. Ids
do too: so a message can name a hold or a transfer of any lane without having seen it.
"""

import datetime as dt
import functools
import random
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

Item = dict[str, Any]

ACCOUNTS: dict[str, tuple[str, int | None, int | None]] = {
    "bank": ("USD", None, None),
    "fees": ("USD", None, None),
    **{f"purse/{number}": ("USD", 0, None) for number in range(4)},
    **{f"line/{number}": ("USD", -500, None) for number in range(2)},
    **{f"jar/{number}": ("USD", None, 400) for number in range(2)},
    "both": ("USD", -50, 300),
    "ebank": ("EUR", None, None),
    **{f"epurse/{number}": ("EUR", 0, None) for number in range(2)},
    "ejar": ("EUR", None, 300),
}
"""Asset, lowest and highest balance by code."""
NEVER_BELOW_ZERO = [code for code in ACCOUNTS if "purse" in code]
"""The accounts whose limits nobody changes."""
_DOLLARS = [code for code, (asset, _, _) in ACCOUNTS.items() if asset == "USD"]
_EUROS = [code for code, (asset, _, _) in ACCOUNTS.items() if asset == "EUR"]
_CHANGING = ["line/0", "line/1", "jar/1", "both"]

_FORMS = {
    "one": 60, "batch": 12, "group": 8, "large": 1, "open": 3, "close": 1, "limit": 2, "describe": 1, "expire": 4,
    "again": 6, "anew": 6, "conflict": 4, "reused": 2,
}  # fmt: skip
REPEATING = {"again", "anew", "conflict", "reused"}
"""The forms that take up an earlier message: the same, or the same under another key, or changed, or changed under its key."""
_KINDS = {"transfer": 34, "hold": 20, "capture": 22, "release": 6, "sweep": 10, "reversal": 8}
_REASONS = ["transfer", "deposit", "withdrawal", "payment", "fee", "interest", "refund", "adjustment", "opening"]
_DOORS = {
    "hold": "ledger.hold", "capture": "ledger.capture", "release": "ledger.release", "sweep": "ledger.sweep",
    "reversal": "ledger.reverse",
}  # fmt: skip
_BACK = 40
"""How far back a message looks for another to refer to."""


@dataclass(frozen=True, slots=True)
class Sent:
    """A message as it is sent."""

    key: str
    operation: str
    input: dict[str, Any]


@dataclass(frozen=True)
class Workload:
    """All messages of a seed; instants that they name lie around *begins_at*."""

    seed: int
    lanes: tuple[str, ...]
    begins_at: dt.datetime
    direct: bool = True
    """Whether messages are meant too that only the product's own workers send."""

    def message(self, lane: str, number: int) -> Sent:
        """Return the message *number* of *lane*."""
        return _message(self, lane, number)

    def opening(self) -> list[Sent]:
        """Return what is sent before all: it makes the assets and accounts."""
        assets = [
            Sent(f"asset-{code}", "ledger.ensure_asset", {"asset": code, "exponent": 2}) for code in ("USD", "EUR")
        ]
        return assets + [
            Sent(f"open-{code}", "ledger.open_account",
                 {"account": code, "asset": asset, "min_balance": lowest, "max_balance": highest})
            for code, (asset, lowest, highest) in ACCOUNTS.items()
        ]  # fmt: skip


def _chance(workload: Workload, *what: object) -> random.Random:
    return random.Random("/".join(str(part) for part in (workload.seed, *what)))


def _choose(chance: random.Random, weights: dict[str, int]) -> str:
    return chance.choices(list(weights), list(weights.values()))[0]


@functools.lru_cache(maxsize=100_000)
def _form(workload: Workload, lane: str, number: int) -> tuple[str, str, int]:
    """Return what kind of message it is, and which one it takes up if it does."""
    chance = _chance(workload, lane, number, "form")
    form = _choose(chance, _FORMS)
    if form not in REPEATING:
        return form, lane, number
    other, earlier = chance.choice(workload.lanes), number - chance.randint(1, 10)
    if earlier < 0 or _choose(_chance(workload, other, earlier, "form"), _FORMS) in {*REPEATING, "expire"}:
        return "one", lane, number
    return form, other, earlier


@functools.lru_cache(maxsize=100_000)
def _kinds(workload: Workload, lane: str, number: int) -> tuple[tuple[str, str], ...]:
    """Return kind and id of each item of a message that takes up no other."""
    form, _, _ = _form(workload, lane, number)
    chance = _chance(workload, lane, number, "kinds")
    count = {"one": 1, "batch": chance.randint(2, 12), "group": chance.randint(2, 5), "large": chance.randint(257, 300)}
    return tuple((_choose(chance, _KINDS), _id(chance, 7 if place % 2 else 4)) for place in range(count.get(form, 0)))


@functools.lru_cache(maxsize=20_000)
def _message(workload: Workload, lane: str, number: int) -> Sent:
    form, other, earlier = _form(workload, lane, number)
    key, chance = f"{lane}-{number}", _chance(workload, lane, number, "content")
    if form in REPEATING:
        source = _message(workload, other, earlier)
        if form == "again":
            return source
        content = source.input if form == "anew" else _changed(chance, source)
        return Sent(source.key if form == "reused" else key, source.operation, content)
    if form in _ADMINISTERING:
        return _ADMINISTERING[form](workload, lane, number, chance)
    kinds = _kinds(workload, lane, number)
    items = [_item(workload, chance, lane, number, place, *one) for place, one in enumerate(kinds)]
    if form == "one":
        return _single(chance, key, items[0])
    return Sent(key, "ledger.transfers", {"transfers": items, "group": form == "group"})


def _single(chance: random.Random, key: str, item: Item) -> Sent:
    """Send one item by the door of its kind, or by the one that is open to all."""
    kind = item.get("kind", "transfer")
    if kind == "transfer" or chance.random() < 0.5:
        return Sent(key, "ledger.transfer", item)
    return Sent(key, _DOORS[kind], {name: value for name, value in item.items() if name != "kind"})


def _changed(chance: random.Random, source: Sent) -> dict[str, Any]:
    """Change one item in something that tells it from its first version."""
    if "transfers" not in source.input:
        return _changed_item(source.input) if "id" in source.input else source.input
    items = list(source.input["transfers"])
    place = chance.randrange(len(items))
    items[place] = _changed_item(items[place])
    return {**source.input, "transfers": items}


def _changed_item(item: Item) -> Item:
    if "amount" in item:
        return {**item, "amount": item["amount"] + 1}
    return {**item, "reference": "changed"}


def _item(
    workload: Workload, chance: random.Random, lane: str, number: int, place: int, kind: str, transfer_id: str
) -> Item:
    item: Item = {"id": transfer_id}
    if kind != "transfer" or chance.random() < 0.1:
        item["kind"] = kind
    if kind in {"transfer", "sweep", "hold"}:
        item |= _moving(workload, chance, kind, lane, number)
    elif kind == "reversal":
        item["reverses"] = _refer(workload, chance, lane, number, place, {"transfer", "sweep", "capture", "hold"})
    else:
        item["hold"] = _refer(workload, chance, lane, number, place, {"hold"})
        if kind == "capture" and chance.random() < 0.7:
            item["amount"] = chance.randint(1, 40)
    if chance.random() < 0.15:
        item["reference"] = f"order {chance.randrange(1000)} · ä"
    if kind != "release" and chance.random() < 0.1:
        item["effective_at"] = _instant(workload, chance.randint(-86_400, 86_400))
    return item


def _moving(workload: Workload, chance: random.Random, kind: str, lane: str, number: int) -> Item:
    codes = _DOLLARS if chance.random() < 0.8 else _EUROS
    debit, credit = chance.sample(codes, 2)
    if chance.random() < 0.1:
        credit = _shop(workload, chance, lane, number)
    elif chance.random() < 0.02:
        credit = chance.choice([debit, "nobody", "ebank", "bank"])
    if chance.random() < 0.3:
        debit = "bank" if codes is _DOLLARS else "ebank"  # or the purses would stay empty
    moving: Item = {"debit": debit, "credit": credit, "amount": chance.randint(1, 60)}
    if chance.random() < 0.1:
        moving["asset"] = "USD" if codes is _DOLLARS else "EUR"
    if kind == "transfer" and chance.random() < 0.3:
        moving["reason"] = chance.choice(_REASONS)
    if kind == "hold" and chance.random() < 0.7:
        moving["expires_at"] = _instant(workload, chance.choice([2, 5, 8, 15, 30, 4000]) + chance.random())
    return moving


def _refer(workload: Workload, chance: random.Random, lane: str, number: int, place: int, kinds: set[str]) -> str:
    """Return the id of an item of one of *kinds*: of this message or of one not long before, of any lane."""
    own = [one for kind, one in _kinds(workload, lane, number)[:place] if kind in kinds]
    if own and chance.random() < 0.4:
        return chance.choice(own)
    for _ in range(30):
        other = lane if chance.random() < 0.5 else chance.choice(workload.lanes)
        earlier = number - chance.randint(1, _BACK)
        if earlier < 0:
            continue
        if found := [one for kind, one in _kinds(workload, other, earlier) if kind in kinds]:
            return chance.choice(found)
    return _id(chance, 4)


def _id(chance: random.Random, version: int) -> str:
    """Make a UUID that is chance all over; Python 3.11 knows of no version 7."""
    return str(uuid.UUID(int=uuid.UUID(int=chance.getrandbits(128), version=4).int & ~(0xF << 76) | version << 76))


def _shop(workload: Workload, chance: random.Random, lane: str, number: int) -> str:
    """Return an account that was opened not long before, if there is one."""
    for _ in range(20):
        other, earlier = chance.choice(workload.lanes), number - chance.randint(1, _BACK)
        if earlier >= 0 and _form(workload, other, earlier)[0] == "open":
            return f"shop/{other}/{earlier}"
    return "fees"


def _instant(workload: Workload, seconds: float) -> str:
    return (workload.begins_at + dt.timedelta(seconds=seconds)).isoformat().replace("+00:00", "Z")


def _open(workload: Workload, lane: str, number: int, chance: random.Random) -> Sent:
    bounds = chance.choice([(None, None), (0, None), (None, 100)])
    fields: dict[str, Any] = {
        "account": f"shop/{lane}/{number}",
        "asset": "USD",
        "min_balance": bounds[0],
        "max_balance": bounds[1],
    }
    if chance.random() < 0.3:
        fields["metadata"] = {"owner": lane}
    return Sent(f"{lane}-{number}", "ledger.open_account", fields)


def _close(workload: Workload, lane: str, number: int, chance: random.Random) -> Sent:
    code = _shop(workload, chance, lane, number)
    return Sent(f"{lane}-{number}", "ledger.close_account", {"account": "nobody" if code == "fees" else code})


def _limit(workload: Workload, lane: str, number: int, chance: random.Random) -> Sent:
    code = chance.choice(_CHANGING) if chance.random() < 0.8 else _shop(workload, chance, lane, number)
    lowest, highest = chance.choice([None, 0, -50, -500]), chance.choice([None, 0, 200, 400])
    if code == "fees" or (lowest, highest) == (0, 0):
        code, lowest, highest = "both", -50, 300
    fields = {"account": code, "min_balance": lowest, "max_balance": highest}
    return Sent(f"{lane}-{number}", "ledger.limit_account", fields)


def _describe(workload: Workload, lane: str, number: int, chance: random.Random) -> Sent:
    fields = {"account": chance.choice(_DOLLARS), "metadata": {"said": f"{lane} {number}"}}
    return Sent(f"{lane}-{number}", "ledger.describe_account", fields)


def _expire(workload: Workload, lane: str, number: int, chance: random.Random) -> Sent:
    if not workload.direct or not lane.startswith("direct"):
        return _describe(workload, lane, number, chance)
    holds = {_refer(workload, chance, lane, number, 0, {"hold"}) for _ in range(chance.randint(1, 8))}
    return Sent(f"{lane}-{number}", "ledger.expire_holds", {"holds": sorted(holds)})


_Making = Callable[[Workload, str, int, random.Random], Sent]
_ADMINISTERING: dict[str, _Making] = {
    "open": _open, "close": _close, "limit": _limit, "describe": _describe, "expire": _expire,
}  # fmt: skip
