"""Some rows in Arrow's columns become a block: every value judged, and a bad row never spoils its neighbours."""

from collections.abc import Iterator

import numpy as np
import pyarrow as pa

from tallystick.ledger.files.amounts import read_amounts
from tallystick.ledger.files.instants import read_instants
from tallystick.ledger.files.model import (
    ABSENT,
    BLOCK_ROWS,
    NEVER,
    Block,
    Codes,
    Ids,
    Kind,
    Kinds,
    Mask,
    Numbers,
    Refusal,
    Rule,
)
from tallystick.ledger.files.texts import read_codes, read_references
from tallystick.ledger.files.uuids import read_uuids
from tallystick.ledger.model import WHEN_RECORDED

_KINDS = {kind.name.lower(): kind for kind in Kind}
_OPENS = (Kind.TRANSFER, Kind.SWEEP, Kind.HOLD)
"""The kinds that name two accounts; the others name a hold or a transfer and take the accounts from there."""


def take_blocks(batch: pa.RecordBatch, first_row: int, broken: Mask | None = None) -> Iterator[Block]:
    """
    Cut *batch*, whose columns ``check_schema`` let pass, into blocks and judge each of its rows.

    *broken* are rows that were not even rows: they are refused whatever stands in them.
    """
    for start in range(0, batch.num_rows, BLOCK_ROWS):
        piece = batch.slice(start, BLOCK_ROWS)
        yield _Rows(piece, broken[start : start + BLOCK_ROWS] if broken is not None else None).block(first_row + start)


class _Rows:
    """The rows of one block while they are judged."""

    def __init__(self, batch: pa.RecordBatch, broken: Mask | None) -> None:
        self._batch = batch
        self._count = batch.num_rows
        self._names = frozenset(batch.schema.names)
        self._bad: Mask = np.zeros(self._count, dtype=np.bool_)
        self._refused: list[Refusal] = []
        if broken is not None:
            self._refuse(broken, "", Rule.CELLS)

    def block(self, first_row: int) -> Block:
        """Judge column by column; of what is wrong with a row the first is told."""
        ids = self._uuids("id", self._everywhere())
        kinds = self._kinds()
        opens = self._of(kinds, *_OPENS)
        debits, credits_ = self._codes("debit", opens), self._codes("credit", opens)
        amounts = self._amounts(kinds, opens)
        assets = self._optional_codes("asset", opens)
        reasons = self._optional_codes("reason", self._of(kinds, Kind.TRANSFER))
        references, effective_at = self._references(), self._instants("effective_at", WHEN_RECORDED)
        related = self._related(kinds)
        expires_at = self._instants("expires_at", NEVER, self._of(kinds, Kind.HOLD))
        self._refused.sort(key=lambda refusal: refusal.place)
        return Block(
            first_row=first_row,
            ids=ids,
            debits=debits,
            credits=credits_,
            amounts=amounts,
            assets=assets,
            reasons=reasons,
            references=references,
            effective_at=effective_at,
            kinds=kinds,
            related=related,
            expires_at=expires_at,
            bad=self._bad,
            refused=self._refused,
        )

    def _refuse(self, where: Mask, field: str, rule: Rule) -> None:
        new = where & ~self._bad
        if new.any():
            self._bad |= new
            self._refused += [Refusal(place, field, rule.value) for place in np.flatnonzero(new).tolist()]

    def _hold_to_kind(self, field: str, absent: Mask, needs: Mask | None, may: Mask | None = None) -> None:
        """Refuse the rows that lack a field they need, and those that have one they may not have."""
        if needs is not None:
            self._refuse(absent & needs, field, Rule.GIVEN)
        if may is not None:
            self._refuse(~absent & ~may, field, Rule.NOT_GIVEN)

    def _everywhere(self) -> Mask:
        return np.ones(self._count, dtype=np.bool_)

    def _of(self, kinds: Kinds | None, *wanted: Kind) -> Mask:
        """Say which rows are of the kinds *wanted*."""
        if kinds is None:
            return np.full(self._count, Kind.TRANSFER in wanted)
        return np.isin(kinds, wanted)

    def _uuids(self, field: str, needs: Mask, may: Mask | None = None) -> Ids:
        if field not in self._names:
            self._hold_to_kind(field, self._everywhere(), needs)
            return np.zeros(self._count, dtype="V16")
        ids, absent, wrong = read_uuids(self._batch.column(field))
        self._hold_to_kind(field, absent, needs, may)
        self._refuse(wrong, field, Rule.UUID)
        return ids

    def _kinds(self) -> Kinds | None:
        """Read what each row asks for; where nothing is said, a transfer."""
        if "kind" not in self._names:
            return None
        codes = self._read_codes("kind")
        numbers = np.array([_KINDS.get(name, ABSENT) for name in codes.distinct] + [Kind.TRANSFER], dtype=np.int8)
        kinds = numbers[codes.index]
        self._refuse(kinds == ABSENT, "kind", Rule.KIND)
        kinds[kinds == ABSENT] = Kind.TRANSFER
        return kinds

    def _read_codes(self, field: str) -> Codes:
        codes, wrong = read_codes(self._batch.column(field))
        for where, rule in wrong:
            self._refuse(where, field, rule)
        return codes

    def _codes(self, field: str, needs: Mask) -> Codes:
        """Read what the kinds in *needs* must give and others may not."""
        if field not in self._names:
            self._refuse(needs, field, Rule.GIVEN)
            return Codes([], np.full(self._count, ABSENT, dtype=np.int32))
        codes = self._read_codes(field)
        self._hold_to_kind(field, codes.index == ABSENT, needs, needs)
        return codes

    def _optional_codes(self, field: str, may: Mask) -> Codes | None:
        if field not in self._names:
            return None
        codes = self._read_codes(field)
        self._hold_to_kind(field, codes.index == ABSENT, None, may)
        return codes

    def _amounts(self, kinds: Kinds | None, needs: Mask) -> Numbers:
        if "amount" not in self._names:
            self._refuse(needs, "amount", Rule.GIVEN)
            return np.zeros(self._count, dtype=np.int64)
        amounts, absent, wrong = read_amounts(self._batch.column("amount"))
        self._hold_to_kind("amount", absent, needs, needs | self._of(kinds, Kind.CAPTURE))
        for where, rule in wrong:
            self._refuse(where, "amount", rule)
        return amounts

    def _references(self) -> list[str | None] | None:
        if "reference" not in self._names:
            return None
        references, wrong = read_references(self._batch.column("reference"))
        for where, rule in wrong:
            self._refuse(where, "reference", rule)
        return references

    def _instants(self, field: str, otherwise: int, may: Mask | None = None) -> Numbers | None:
        if field not in self._names:
            return None
        instants, absent, wrong = read_instants(self._batch.column(field))
        self._hold_to_kind(field, absent, None, may)
        for where, rule in wrong:
            self._refuse(where, field, rule)
        instants = instants.copy()
        instants[absent] = otherwise
        return instants

    def _related(self, kinds: Kinds | None) -> Ids | None:
        """Read the hold or the transfer that a row is about; no kind has both."""
        if kinds is None and not self._names & {"hold", "reverses"}:
            return None
        of_holds, reversals = self._of(kinds, Kind.CAPTURE, Kind.RELEASE), self._of(kinds, Kind.REVERSAL)
        related = self._uuids("hold", of_holds, of_holds)
        reversed_ = self._uuids("reverses", reversals, reversals)
        related[reversals] = reversed_[reversals]
        return related
