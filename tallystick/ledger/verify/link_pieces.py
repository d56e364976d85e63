"""Link pieces: what depends on the pieces before one, put together in order: the tree, the sums, the limits."""

from dataclasses import dataclass, field

import numpy as np

from tallystick.ledger.findings import Findings
from tallystick.ledger.log.tree import Frontier
from tallystick.ledger.sum_changes import HELD, PAGE_BITS
from tallystick.ledger.verify.check_piece import PieceChecker
from tallystick.ledger.verify.check_snapshots import name_snapshot
from tallystick.ledger.verify.model import SLOTS, Checked, Claims, Exact, Numbers

_SAFE = 2**61


@dataclass(slots=True)
class Sums:
    """What is debited and credited so far on every slot of every page: 32 bytes an account."""

    accounts: int
    """How many there are; the ids begin at 1 and have no gaps, so what goes beyond belongs to none."""
    debits: Exact = field(default_factory=lambda: np.zeros(0, np.int64))
    credits: Exact = field(default_factory=lambda: np.zeros(0, np.int64))
    _most: int = 0
    """No sum is further from nothing than this."""

    def add(self, places: Numbers, debits: Exact, credits_: Exact) -> None:
        """Add to places, which are distinct."""
        if not len(places):
            return
        within = (places >= 0) & (places < ((self.accounts >> PAGE_BITS) + 1) * SLOTS)
        if not within.all():  # accounts that do not exist: their transfers have been named
            places, debits, credits_ = places[within], debits[within], credits_[within]
        self._most += max((int(np.abs(one).max()) for one in (debits, credits_) if len(one)), default=0)
        if self._most >= _SAFE and self.debits.dtype != object:
            self.debits, self.credits = self.debits.astype(object), self.credits.astype(object)
        self._reach(int(places.max()) + 1 if len(places) else 0)
        self.debits[places] += debits
        self.credits[places] += credits_

    def at(self, places: Numbers) -> tuple[Exact, Exact]:
        """Return the sums at places, nothing for those that were never touched."""
        if not len(self.debits):
            nothing = np.zeros(places.shape, np.int64)
            return nothing, nothing
        within = (places >= 0) & (places < len(self.debits))
        found = np.where(within, places, 0)
        return np.where(within, self.debits[found], 0), np.where(within, self.credits[found], 0)

    def _reach(self, size: int) -> None:
        if size > len(self.debits):
            more = np.zeros(max(size, min(2 * len(self.debits), 2**24)) - len(self.debits), self.debits.dtype)
            self.debits, self.credits = np.concatenate([self.debits, more]), np.concatenate([self.credits, more])


@dataclass(slots=True)
class Chain:
    """The pieces linked so far."""

    checker: PieceChecker
    frontier: Frontier
    sums: Sums
    findings: Findings = field(default_factory=Findings)
    batches: int = 0
    transfers: int = 0
    messages: int = 0
    net_changes: int = 0
    checkpoints: int = 0

    async def link(self, checked: Checked) -> None:
        """
        Take the next piece.

        One that did not begin with the very tree that the piece before it ended with is checked again, on that one: so
        no false tile can pass for the beginning of a piece, nor make all that is behind it look wrong.
        """
        if checked.begun_with != (self.frontier.size, self.frontier.root()):
            checked = await self.checker.check(checked.piece, self.frontier.copy())
        await self._check_limits(checked)
        if checked.claims is not None:
            _check_claims(checked.findings, checked.claims, self.sums)
        self.sums.add(checked.places, checked.debits, checked.credits)
        self.frontier = checked.frontier
        self.findings.take(checked.findings)
        self.batches += checked.batches
        self.transfers += checked.transfers
        self.messages += checked.messages
        self.net_changes += checked.net_changes
        self.checkpoints += checked.checkpoints

    async def _check_limits(self, checked: Checked) -> None:
        slack = checked.slack
        if slack is None:
            return
        posted = (slack.accounts >> PAGE_BITS) * SLOTS + (slack.accounts & HELD - 1)
        debits, credits_ = self.sums.at(posted)
        held_debits, held_credits = self.sums.at(posted + HELD)
        down, up = credits_ - debits - held_debits, credits_ - debits + held_credits
        exceeding = np.flatnonzero((slack.down + down < 0) | (slack.up - up < 0))
        if len(exceeding):
            starts = {int(slack.accounts[at]): (int(down[at]), -int(up[at])) for at in exceeding.tolist()}
            await self.checker.name_exceeding(checked, starts)


def _check_claims(findings: Findings, claims: Claims, sums: Sums) -> None:
    """Hold what snapshots say there was before the piece against what there was."""
    places = claims.pages[:, None] * SLOTS + np.arange(SLOTS)
    right = np.stack(sums.at(places), axis=-1) + claims.added
    false = np.flatnonzero((right != claims.stored).any(axis=(1, 2)))
    for at in false.tolist():
        slot = int(np.flatnonzero((right[at] != claims.stored[at]).any(axis=1))[0])
        page, batch_id = int(claims.pages[at]), int(claims.batch_ids[at])
        what = f"account {(page << PAGE_BITS) + slot % HELD}" + (", held" if slot >= HELD else "")
        said, must = tuple(claims.stored[at, slot].tolist()), tuple(right[at, slot].tolist())
        message = f"{what}: debits and credits must be {must} and are {said}"
        findings.add("balance_snapshot", name_snapshot(page, batch_id), message, batch_id=batch_id)
