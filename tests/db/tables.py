"""
Ledgers told as tables of plain text: what is asked, and behind the arrow what becomes of it.

::

    T1 bank ada 100                  → posted
    T1 bank ada 101                  → id_conflict amount
    H1 hold purse ada 10 until=+60   → posted
    C1 capture H1 4                  → posted 4
    C2 capture H1                    → posted 6
    R1 release H1                    → hold_ended
    X1 expire H1                     → hold_ended
    S1 sweep purse ada 50            → posted 20
    V1 reverse T1                    → posted 100
    balance ada 100

Lines with an arrow that follow each other are one batch; a blank line ends it. Behind the status may stand the amount
or the field that is said. The other lines are steps of their own: ``balance``, ``held``, ``incoming`` and ``available``
look at an account, ``close`` closes it, ``limit purse -100 none`` gives it other limits, and ``clock +60`` puts the clock
so many seconds behind the table's beginning, from which ``until`` counts too.
"""

import datetime as dt
import itertools
import re
import uuid
from collections.abc import Sequence
from dataclasses import dataclass, field

import asyncpg
import numpy as np

from tallystick.ids import uuid7
from tallystick.ledger.accounts import NewAccount
from tallystick.ledger.model import NEVER, Batch, Outcomes, Reason, Status, microseconds
from tests.db.posting import NOW, Ledgerful, open_ledger

ASSETS = {"USD": 1, "EUR": 2}
_RELATING = {"capture": Reason.CAPTURE, "release": Reason.RELEASE, "expire": Reason.EXPIRE, "reverse": Reason.REVERSAL}
_MOVING = {"hold": Reason.HOLD, "sweep": Reason.SWEEP, "transfer": Reason.TRANSFER}
_ARROW = " → "


@dataclass(slots=True)
class Table:
    """A table that is played on a ledger; its names of transfers stand for ids of its own."""

    ledger: Ledgerful
    ids: dict[str, uuid.UUID] = field(default_factory=dict)

    async def play(self, text: str, *, group: bool = False, one_by_one: bool = False, beside: int = 0) -> None:
        """
        Do what a table says and find what it says of it.

        With *one_by_one* each transfer is a batch. *beside* so many others, of no account that the table looks at,
        stand before and behind those of each batch, so that it is a large one.
        """
        for paragraph in re.split(r"\n\s*\n", text.strip()):
            lines = [line.strip() for line in paragraph.splitlines()]
            for arrow, several in itertools.groupby(lines, lambda line: _ARROW in line):
                if not arrow:
                    for line in several:
                        await self._step(*line.split())
                elif one_by_one:
                    for line in several:
                        await self._post([line], group=group, beside=beside)
                else:
                    await self._post(list(several), group=group, beside=beside)

    async def _post(self, lines: Sequence[str], *, group: bool, beside: int) -> None:
        asked = [line.split(_ARROW) for line in lines]
        batch = self.batch([["-", "filler", "drain", "1"]] * beside + [one.split() for one, _ in asked])
        outcomes = await self.ledger.judge(batch, group=group)
        assert set(outcomes.statuses[:beside].tolist()) <= {Status.POSTED}
        told = [f"{line}{_ARROW}{_say(outcomes, beside + at, expected)}" for at, (line, expected) in enumerate(asked)]
        assert told == [f"{line}{_ARROW}{' '.join(expected.split())}" for line, expected in asked]

    def batch(self, rows: Sequence[Sequence[str]]) -> Batch:
        """Read rows of words such as ``T1 bank ada 100``."""
        read = [self._read(*row) for row in rows]
        batch = self.ledger.batch([(one.transfer_id, one.debit, one.credit, one.amount) for one in read])
        batch["reason"] = [one.reason for one in read]
        batch["asset_id"] = [one.asset for one in read]
        for at, one in enumerate(read):
            if one.effective is not None:
                batch["effective_at"][at] = one.effective
        related = np.frombuffer(b"".join(one.related for one in read), "V16")
        expiries = np.array([one.expires_at for one in read], np.int64)
        return Batch(
            batch,
            related if any(one.related != bytes(16) for one in read) else None,
            expiries if (expiries != NEVER).any() else None,
            [one.reference for one in read] if any(one.reference for one in read) else None,
        )

    def _read(self, name: str, *words: str) -> "_Row":
        positional = [word for word in words if "=" not in word]
        more = dict(word.split("=", 1) for word in words if "=" in word)
        kind = positional.pop(0) if positional[0] in {*_RELATING, *_MOVING} else "transfer"
        row = _Row(self._id(name), _RELATING.get(kind) or _MOVING[kind])
        if kind in _RELATING:
            row.related = self._id(positional[0]).bytes
            row.amount = int(positional[1]) if len(positional) > 1 else 0
        else:
            row.debit, row.credit, row.amount = positional[0], positional[1], int(positional[2])
        if "reason" in more:
            row.reason = Reason[more["reason"].upper()]
        if "asset" in more:
            row.asset = ASSETS.get(more["asset"], -1)
        if "until" in more:
            row.expires_at = microseconds(NOW + dt.timedelta(seconds=int(more["until"])))
        row.effective = int(more["effective"]) if "effective" in more else None
        row.reference = more.get("reference", "")
        return row

    def _id(self, name: str) -> uuid.UUID:
        return uuid7() if name == "-" else self.ids.setdefault(name, uuid7())

    async def _step(self, step: str, *words: str) -> None:
        if step == "clock":
            self.ledger.at = NOW + dt.timedelta(seconds=int(words[0]))
        elif step == "close":
            await self.ledger.close(words[0])
        elif step == "limit":
            lowest, highest = (None if word == "none" else int(word) for word in words[1:])
            await self.ledger.limit(words[0], lowest, highest)
        else:
            code, expected = words
            found = getattr(await self.ledger.find(code), step)
            assert f"{step} {code} {found}" == f"{step} {code} {expected}"


@dataclass(slots=True)
class _Row:
    """A transfer as a table tells it."""

    transfer_id: uuid.UUID
    reason: Reason
    debit: str = ""
    credit: str = ""
    amount: int = 0
    asset: int = 0
    related: bytes = bytes(16)
    expires_at: int = NEVER
    effective: int | None = None
    reference: str = ""


def _say(outcomes: Outcomes, at: int, expected: str) -> str:
    """Say of a transfer as much as was expected to be said."""
    said = Status(outcomes.statuses[at]).name.lower()
    if len(expected.split()) == 1:
        return said
    if said == "id_conflict":
        return f"{said} {outcomes.differs[at]}"
    return f"{said} {outcomes.amounts[at]}"


async def open_every_sort(pool: asyncpg.Pool) -> Ledgerful:
    """Open a book with accounts of every sort; ``gone`` and ``left`` are closed, ``euros`` is of another asset."""
    opened = await open_ledger(pool, "bank", "ada", "bob", "gone", "left", "filler", "drain")
    await opened.open(
        NewAccount("euros", "EUR"),
        NewAccount("purse", "USD", min_balance=0),
        NewAccount("credit", "USD", min_balance=-100),
        NewAccount("jar", "USD", max_balance=50),
        NewAccount("both", "USD", min_balance=0, max_balance=50),
    )
    await opened.close("gone")
    await opened.close("left")
    return opened
