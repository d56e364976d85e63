"""Match: which line of a report is what of ours, with how much certainty and why. Pure."""

import datetime as dt
import uuid
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher

from tallystick.payments.payouts.model import LikelyPartner, LineKind, PartnerKind

_ALIKE = 0.8
"""From this likeness on, of 1, an id may be another one that somebody mistyped or cut off."""
_MOST = 5
_PARTNERS_OF: dict[LineKind, tuple[PartnerKind, ...]] = {
    "charge": ("charge",),
    "refund": ("refund",),
    "refund_failed": ("refund_failed",),
    "dispute": ("dispute",),
    "dispute_reversed": ("dispute_reversed",),
    "adjustment": ("payout",),
    "fee": (),
}
_NOUNS = {
    "charge": "payment",
    "refund": "refund",
    "refund_failed": "refund that failed",
    "dispute": "dispute",
    "dispute_reversed": "dispute that was won",
    "payout": "payout that failed",
    "line": "line",
}

_A_WEEKEND = 3
"""So many days may lie between what was paid and what was told of it."""
_SHORTEST_ALIKE = 6
"""Ids of fewer characters are alike by chance."""


@dataclass(frozen=True, slots=True)
class Line:
    """A line that is nothing of ours yet."""

    position: int
    id: str
    kind: LineKind
    amount: int
    fee: int
    asset: str
    occurred_at: dt.datetime
    transaction_id: str | None = None
    refund_id: str | None = None
    dispute_id: str | None = None
    description: str = ""
    repeats: str | None = None
    """The payout that has had this very line before."""

    @property
    def names(self) -> list[str]:
        """Return the provider's ids of what the line is; only where it has none of its own, that of its transaction."""
        own: dict[LineKind, str | None] = {
            "refund": self.refund_id, "refund_failed": self.refund_id,
            "dispute": self.dispute_id, "dispute_reversed": self.dispute_id,
        }  # fmt: skip
        if self.kind == "adjustment":
            said = [self.transaction_id, self.refund_id, *self.description.split()[:20]]
        else:
            said = [own.get(self.kind) or self.transaction_id]
        return [one for one in said if one]


@dataclass(frozen=True, slots=True)
class Candidate:
    """What moves the account of a provider, by our book."""

    kind: PartnerKind
    id: uuid.UUID
    transaction_id: str
    """The provider's."""
    own_id: str | None
    """The provider's id of a refund, a dispute or a payout; None of a charge, or while it is not known."""
    amount: int
    """With the sign that the line would have."""
    asset: str
    at: dt.datetime
    moved: bool
    """The ledger has it."""
    state: str
    """How far it has come, for people."""
    taken: str | None = None
    """The line that it is matched with."""


@dataclass(frozen=True, slots=True)
class Judged:
    """What a line is."""

    line: Line
    certain: Candidate | None
    """What it is, so that nobody has to be asked."""
    why: str
    """Why it is that; or why it is nothing of ours yet."""


def match(lines: Sequence[Line], candidates: Iterable[Candidate]) -> list[Judged]:
    """
    Judge lines one after the other; what is certainly one line's is no other's.

    Certain is: the provider's id is the same, and the amount, and the asset; it has moved, and no line has it. A refund that
    names only its transaction is the oldest of the transaction's refunds with this amount.
    """
    by_name: dict[tuple[str, str], list[Candidate]] = {}
    pool = sorted(candidates, key=lambda one: (one.at, one.id.int))
    for one in pool:
        for name in {one.transaction_id, one.own_id} - {None}:
            by_name.setdefault((one.kind, str(name)), []).append(one)
    taken: dict[tuple[str, uuid.UUID], str] = {}
    judged = []
    for line in lines:
        found = _certain(line, by_name, taken)
        if found is not None:
            taken[found.kind, found.id] = line.id
            judged.append(Judged(line, found, why_certain(line, found)))
        else:
            judged.append(Judged(line, None, _why_not(line, by_name, taken)))
    return judged


def _certain(
    line: Line, by_name: dict[tuple[str, str], list[Candidate]], taken: dict[tuple[str, uuid.UUID], str]
) -> Candidate | None:
    if line.repeats is not None:
        return None
    for one in _named(line, by_name):
        free = one.taken is None and (one.kind, one.id) not in taken
        if free and one.moved and fits(line, one):
            return one
    return None


def fits(line: Line, one: Candidate) -> bool:
    """Say whether a line moves exactly what a partner moved: then nothing is left open between them."""
    return (line.amount, line.asset) == (one.amount, one.asset)


def _named(line: Line, by_name: dict[tuple[str, str], list[Candidate]]) -> list[Candidate]:
    """Return what the line names: by the id of the thing itself, or if it has none, of its transaction."""
    return [one for name in line.names for kind in _PARTNERS_OF[line.kind] for one in by_name.get((kind, name), ())]


def why_certain(line: Line, one: Candidate) -> str:
    """Say why a line is certainly that."""
    named = "same id" if (one.own_id or one.transaction_id) in line.names else "same transaction"
    return f"the {_NOUNS[one.kind]}: {named}, same amount" + (", same day" if _days(line, one) == 0 else "")


def _why_not(
    line: Line, by_name: dict[tuple[str, str], list[Candidate]], taken: dict[tuple[str, uuid.UUID], str]
) -> str:
    """Say why a line is nothing of ours, after what it names."""
    if line.repeats is not None:
        return f"this very line is in the payout {line.repeats} already"
    nouns = " or ".join(_NOUNS[kind] for kind in _PARTNERS_OF[line.kind])
    named = _named(line, by_name)
    if not named:
        if line.kind == "adjustment":
            return "an adjustment that names no payout that failed"
        return f"no {nouns} of ours has the id {line.names[0]}" if line.names else "it names nothing"
    return _why_not_that(line, named[0], taken)


def _why_not_that(line: Line, one: Candidate, taken: dict[tuple[str, uuid.UUID], str]) -> str:
    holder = one.taken or taken.get((one.kind, one.id))
    if one.asset != line.asset:
        return f"the {_NOUNS[one.kind]} is in another asset: {_amount(one)}"
    if one.amount != line.amount:
        return f"the {_NOUNS[one.kind]} is of another amount: {_amount(one)}{_fee_said(line, one)}"
    if not one.moved:
        return f"our book does not have the money: the {_NOUNS[one.kind]} is {one.state}"
    return f"the {_NOUNS[one.kind]} is matched with the line {holder} already"


def likeliest(lines: Sequence[Line], candidates: Iterable[Candidate]) -> list[list[LikelyPartner]]:
    """
    Rank what each line may be: the same id first, then amounts and days; what has nothing in common is left out.

    Only what a line names, or what has its amount before or after the fee, is held against it: a page of lines has thousands
    of candidates.
    """
    by_trait: dict[tuple[str, str | int], list[Candidate]] = {}
    for one in candidates:
        traits: set[str | int] = {one.transaction_id, one.own_id or one.transaction_id, one.amount}
        for trait in traits:
            by_trait.setdefault((one.kind, trait), []).append(one)
    return [_rank(line, by_trait) for line in lines]


def _rank(line: Line, by_trait: dict[tuple[str, str | int], list[Candidate]]) -> list[LikelyPartner]:
    traits = {
        line.amount,
        line.amount - line.fee,
        line.amount + line.fee,
        *line.names,
        line.transaction_id or line.amount,
    }
    near = {
        (one.kind, one.id): one
        for kind in _PARTNERS_OF[line.kind]
        for trait in traits
        for one in by_trait.get((kind, trait), ())
    }
    found = [_partner(line, one) for one in near.values()]
    likely = sorted((one for one in found if one.score > 0), key=lambda one: (-one.score, one.at, one.id.int))
    return likely[:_MOST]


def _partner(line: Line, one: Candidate) -> LikelyPartner:
    """Add up what speaks for a partner, and say against it what is to be known before it is taken."""
    score, whys = _same_name(line, one)
    more, amounts = _same_amount(line, one)
    score += more
    whys += amounts
    days = _days(line, one)
    if score > 0 and days == 0:
        score, whys = score + 10, [*whys, "same day"]
    elif score > 0 and days <= _A_WEEKEND:
        score, whys = score + 5, [*whys, f"{days} day{'s' if days > 1 else ''} apart"]
    if not one.moved:
        score, whys = score // 2, [*whys, f"it is {one.state}, so our book has no money of it"]
    if one.taken is not None:
        score, whys = score // 4, [*whys, f"matched with the line {one.taken} already"]
    return LikelyPartner(one.kind, one.id, one.amount, one.asset, one.at, score, ", ".join(whys))


def _same_name(line: Line, one: Candidate) -> tuple[int, list[str]]:
    """Weigh ids: the thing's own, its transaction's, or one that is nearly alike."""
    if (one.own_id or one.transaction_id) in line.names:
        return 50, ["same id"]
    if line.transaction_id is not None and line.transaction_id == one.transaction_id:
        return 35, ["same transaction"]
    if any(_alike(said, one.own_id or one.transaction_id) for said in line.names):
        return 20, ["id nearly alike"]
    return 0, []


def _alike(said: str, known: str) -> bool:
    """Say whether two ids differ in a few characters, or one is the other cut off; what all ids begin with counts for nothing."""
    said, known = said.casefold(), known.casefold()
    said, known = said.rsplit("_", 1)[-1], known.rsplit("_", 1)[-1]
    if min(len(said), len(known)) < _SHORTEST_ALIKE:
        return False
    if said.startswith(known) or known.startswith(said):
        return True
    return SequenceMatcher(None, said, known, autojunk=False).ratio() >= _ALIKE


def _same_amount(line: Line, one: Candidate) -> tuple[int, list[str]]:
    """Weigh amounts; those of another asset cannot be held against each other."""
    if one.asset != line.asset:
        return -5, [f"currency differs: {_amount(one)}"]
    if one.amount == line.amount:
        return 30, ["same amount"]
    if line.fee and one.amount in {line.amount - line.fee, line.amount + line.fee}:
        return 15, [f"amount differs by the fee: {_amount(one)}"]
    return 0, [f"amount differs: {_amount(one)}"]


def _fee_said(line: Line, one: Candidate) -> str:
    return ", which differs by the fee" if line.fee and abs(one.amount - line.amount) == abs(line.fee) else ""


def _days(line: Line, one: Candidate) -> int:
    return abs((line.occurred_at.astimezone(dt.UTC).date() - one.at.astimezone(dt.UTC).date()).days)


def _amount(one: Candidate) -> str:
    return f"{one.amount:,} {one.asset}"
