"""Files of stores: what they announce, take back and pay for slips, row by row; each row counts once."""

import datetime as dt
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

from tallystick.collecting.bank.errors import UnreadableFile
from tallystick.collecting.read_csv import CsvRow, read_csv
from tallystick.collecting.slips.model import SettledSlips, Slip
from tallystick.errors import TallystickError
from tallystick.ids import uuid7
from tallystick.operations.run import KEPT_KINDS, Operations
from tallystick.security.model import Principal

_Answer = TypeVar("_Answer")
COLUMNS = ("kind", "number", "reference", "amount", "paid", "store", "reason")
MOST_BYTES = 256 * 1024**2
_AT_ONCE = 1_000
"""So many settlements are received in one transaction."""
_TOLD = 20
_DONE = {"notice": "announced", "withdrawal": "withdrawn", "settlement": "settled"}


@dataclass(slots=True)
class SlipsReport:
    """What became of the rows in a file."""

    rows: int = 0
    counts: Counter[str] = field(default_factory=Counter)
    """By ``announced``, ``withdrawn``, ``settled``, ``known`` and ``refused``; known: the same money came before."""
    told: list[str] = field(default_factory=list)
    """What was refused and why, as far as it is told."""

    def refuse(self, place: str, why: str) -> None:
        """Count a row that nothing came of."""
        self.rows += 1
        self.counts["refused"] += 1
        if len(self.told) < _TOLD:
            self.told.append(f"{place}: {why}")

    def count(self, what: str) -> None:
        """Count a row that something came of."""
        self.rows += 1
        self.counts[what] += 1


async def apply_slips_file(
    operations: Operations, principal: Principal, book: str, path: Path, progress: Callable[[int, int], None]
) -> SlipsReport:
    """
    Do what stores say in a file, in its order; *progress* is told how many of how many rows are done.

    The file is read to its end before, so that nothing is done of one that breaks off. Each reference counts once, so that
    the same file can be applied again, and after a kill goes on where it was; a row that is refused stops no other.

    Raises:
        UnreadableFile: it cannot be read to its end (``bank.unreadable_file``).
    """
    count = sum(1 for _ in _read(path))
    applying = _Applying(operations, principal, book, SlipsReport())
    waiting: list[CsvRow] = []
    for row in _read(path):
        settles = row.cells.get("kind", "").lower() == "settlement"
        if waiting and (not settles or len(waiting) == _AT_ONCE):
            await applying.settle(waiting)
            waiting = []
        if settles:
            waiting.append(row)
        else:
            await applying.hear(row)
        progress(applying.report.rows, count)
    if waiting:
        await applying.settle(waiting)
        progress(applying.report.rows, count)
    return applying.report


def _read(path: Path) -> Iterator[CsvRow]:
    if path.stat().st_size > MOST_BYTES:
        raise UnreadableFile(field="file", place=path.name, rule=f"larger than {MOST_BYTES:,} bytes")
    with path.open("rb") as file:
        yield from read_csv(file, COLUMNS)


@dataclass(frozen=True, slots=True)
class _Applying:
    """Where rows are done, and what became of them by now."""

    operations: Operations
    principal: Principal
    book: str
    report: SlipsReport

    async def hear(self, row: CsvRow) -> None:
        """Do a notice, or take one back."""
        if row.bad is not None:
            self.report.refuse(row.place, row.bad)
            return
        try:
            kind, operation, fields = _message(row.cells)
            await self._do(operation, fields, Slip)
        except ValueError as error:
            self.report.refuse(row.place, str(error))
        except TallystickError as error:
            if error.kind not in KEPT_KINDS:
                raise
            self.report.refuse(row.place, error.message)
        else:
            self.report.count(_DONE[kind])

    async def settle(self, rows: list[CsvRow]) -> None:
        """Receive the money of many slips in one transaction; or, where one of them makes it fail, row by row."""
        lines = self._read_lines(rows)
        if not lines:
            return
        fields: dict[str, object] = {"lines": [line for _, line in lines]}
        try:
            done = await self._do("slips.settle", fields, SettledSlips)
        except TallystickError as error:
            if error.kind not in KEPT_KINDS:
                raise
            if len(lines) == 1:
                self.report.refuse(lines[0][0].place, error.message)
                return
            for row, _ in lines:
                await self.settle([row])
            return
        for (row, _), item in zip(lines, done.items, strict=True):
            if item.status == "refused":
                self.report.refuse(row.place, item.message or "refused")
            else:
                self.report.count(item.status)

    def _read_lines(self, rows: list[CsvRow]) -> list[tuple[CsvRow, dict[str, object]]]:
        """Return the rows that can be read, with their lines; the others are refused."""
        lines = []
        for row in rows:
            try:
                lines.append((row, _line(row.cells)))
            except ValueError as error:
                self.report.refuse(row.place, str(error))
        return lines

    async def _do(self, operation: str, fields: dict[str, object], _: type[_Answer]) -> _Answer:
        answer: _Answer = await self.operations.call(self.principal, self.book, operation, str(uuid7()), fields)
        return answer


def _message(cells: dict[str, str]) -> tuple[str, str, dict[str, object]]:
    """
    Return what a row asks for.

    Raises:
        ValueError: it can be read as nothing.
    """
    kind = cells["kind"].lower()
    if kind == "notice":
        return kind, "slips.notify", {
            "number": cells["number"], "reference": cells["reference"], "store": cells["store"] or None,
            "amount": _amount(cells["amount"]) if cells["amount"] else None,
            "paid_at": _instant(cells["paid"]) if cells["paid"] else None,
        }  # fmt: skip
    if kind == "withdrawal":
        return kind, "slips.withdraw", {"reference": cells["reference"], "reason": cells["reason"]}
    raise ValueError(f"kind {kind[:40]!r}: expected notice, withdrawal or settlement")


def _line(cells: dict[str, str]) -> dict[str, object]:
    """
    Return a line of a settlement.

    Raises:
        ValueError: the amount or the day is none.
    """
    line: dict[str, object] = {
        "number": cells["number"], "reference": cells["reference"], "amount": _amount(cells["amount"]),
    }  # fmt: skip
    if cells["paid"]:
        try:
            line["paid_on"] = dt.date.fromisoformat(cells["paid"]).isoformat()
        except ValueError as error:
            raise ValueError(f"paid {cells['paid'][:40]!r}: expected a day, as in 2026-11-05") from error
    return line


def _amount(text: str) -> int:
    if not (text.isascii() and text.isdecimal() and len(text) < 20):  # noqa: PLR2004 - as many digits as an amount has
        raise ValueError(f"amount {text[:40]!r}: expected minor units, digits alone")
    return int(text)


def _instant(text: str) -> str:
    try:
        at = dt.datetime.fromisoformat(text)
    except ValueError as error:
        raise ValueError(f"paid {text[:40]!r}: expected an instant, as in 2026-11-05T09:30:00+09:00") from error
    if at.tzinfo is None:
        raise ValueError(f"paid {text[:40]!r}: an instant needs its zone, as in 2026-11-05T09:30:00+09:00")
    return at.isoformat()
