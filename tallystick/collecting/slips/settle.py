"""Settle: the money of slips came, and repays their invoices; each line for itself."""

import datetime as dt
import uuid
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from tallystick.collecting.slips.errors import ReferenceReused, UnknownSlip
from tallystick.collecting.slips.find import Found, find_numbered, find_slips
from tallystick.collecting.slips.issue import enter_to_slips
from tallystick.collecting.slips.model import CHANNEL, SettledItem, SettledSlips
from tallystick.collecting.slips.number import read_number
from tallystick.db.queries import Connection, queries_beside
from tallystick.errors import InvalidInput, TallystickError
from tallystick.ledger.accounts import Recorded
from tallystick.ledger.post import Ledger
from tallystick.money import MAX_AMOUNT
from tallystick.repayments.dues import enter_to_repay
from tallystick.repayments.find import find_repayments
from tallystick.repayments.model import Repayment, repayment_id_of
from tallystick.repayments.receive import Money, receive

_queries = queries_beside(__file__)
_find_references = _queries.tuples("find_references")
_insert_settlements = _queries.run("insert_settlements")


@dataclass(frozen=True, slots=True)
class LineSaid:
    """A line of what a settlement says."""

    number: str
    reference: str
    amount: int
    paid_on: dt.date


@dataclass(frozen=True, slots=True)
class _Coming:
    """A line that is new, with its slip."""

    line: LineSaid
    found: Found


async def settle_slips(
    connection: Connection,
    ledger: Ledger,
    recorded: Recorded,
    message_hashes: npt.NDArray[np.void],
    lines: Sequence[LineSaid],
    from_account: str | None,
) -> SettledSlips:
    """
    Receive the money of slips, each reference once; a line that cannot be is told by itself, and the others are settled.

    It repays the invoices of the slip, whether it was announced or not, whatever became of the slip and however much it
    is; what they do not need any more lies unallocated.

    Raises:
        AccountUnusable: the account that it comes from cannot give it (``repayments.account_unusable``).
        OrderLost: another transaction repaid some of it meanwhile, and is ordered later.
    """
    await enter_to_slips(connection, recorded.book_id)
    place = await enter_to_repay(connection, recorded.book_id)
    coming, refused, known = await _judge_all(connection, recorded, lines)
    money = [_money(one, from_account) for one in coming.values()]
    received = await receive(connection, ledger, recorded, message_hashes, place, money) if money else []
    await _insert_settlements(
        connection,
        recorded.book_id,
        recorded.message_place,
        recorded.at,
        [one.line.reference for one in coming.values()],
        [one.found.slip.id for one in coming.values()],
        [one.line.amount for one in coming.values()],
        [one.line.paid_on for one in coming.values()],
        [one.id for one in received],
    )
    repaid = dict(zip(coming, received, strict=True))
    before = await _find_before(connection, recorded.book_id, lines, known)
    return SettledSlips([
        refused[at] if at in refused
        else _item(line.reference, "settled", coming[at].found.slip.id, repaid[at]) if at in coming
        else _item(line.reference, "known", known[at], before[line.reference])
        for at, line in enumerate(lines)
    ])  # fmt: skip


async def _judge_all(
    connection: Connection, recorded: Recorded, lines: Sequence[LineSaid]
) -> tuple[dict[int, _Coming], dict[int, SettledItem], dict[int, uuid.UUID]]:
    """Return by place which lines are new, which cannot be, and which came before."""
    refused: dict[int, SettledItem] = {}
    numbers: dict[int, str] = {}
    for at, line in enumerate(lines):
        try:
            numbers[at] = read_number(line.number, f"lines[{at}].number")
        except TallystickError as error:
            refused[at] = _refused(line, error)
    ids = await find_numbered(connection, recorded.book_id, numbers.values())
    slips = {one.slip.id: one for one in await find_slips(
        connection, recorded.book_id, sorted(set(ids.values())), recorded.at
    )}  # fmt: skip
    said: dict[str, tuple[uuid.UUID, int | None]] = {}
    for reference, slip_id, amount, kind in await _find_references(
        connection, recorded.book_id, sorted({line.reference for line in lines})
    ):
        said[reference] = (slip_id, amount if kind == "settlement" else None)
    coming: dict[int, _Coming] = {}
    known: dict[int, uuid.UUID] = {}
    taken: set[str] = set()
    for at, number in numbers.items():
        line = lines[at]
        try:
            if line.reference in taken:
                raise InvalidInput(field=f"lines[{at}].reference", rule="Each reference stands in one line")
            taken.add(line.reference)
            came_before = _came_before(line, f"lines[{at}]", ids.get(number), said.get(line.reference))
        except TallystickError as error:
            refused[at] = _refused(line, error)
            continue
        if came_before:
            known[at] = ids[number]
        else:
            coming[at] = _Coming(line, slips[ids[number]])
    return coming, refused, known


def _came_before(
    line: LineSaid, field: str, slip_id: uuid.UUID | None, said: tuple[uuid.UUID, int | None] | None
) -> bool:
    """Say whether the same line was settled before; *said* is what its reference is of, with the amount that came."""
    if slip_id is None:
        raise UnknownSlip(field=f"{field}.number", slip=line.number)
    if said is None:
        return False
    if said[0] != slip_id:
        raise ReferenceReused(field=f"{field}.number", reference=line.reference)
    if said[1] not in {None, line.amount}:
        raise ReferenceReused(field=f"{field}.amount", reference=line.reference)
    return said[1] is not None


def _money(one: _Coming, from_account: str | None) -> Money:
    slip = one.found.slip
    return Money(
        one.found.customer_id, slip.customer, one.found.asset_id, slip.asset, one.line.amount, CHANNEL, one.line.reference,
        one.line.paid_on, from_account, None, {part.invoice: MAX_AMOUNT for part in slip.invoices},
    )  # fmt: skip


async def _find_before(
    connection: Connection, book_id: int, lines: Sequence[LineSaid], known: dict[int, uuid.UUID]
) -> dict[str, Repayment]:
    ids = [repayment_id_of(CHANNEL, lines[at].reference) for at in known]
    return {one.reference: one for one in await find_repayments(connection, book_id, ids)} if ids else {}


def _item(reference: str, status: str, slip: uuid.UUID, repayment: Repayment) -> SettledItem:
    allocated = repayment.amount - repayment.unallocated
    return SettledItem(reference, status, slip, repayment.id, allocated, repayment.unallocated)  # type: ignore[arg-type] # one of the three


def _refused(line: LineSaid, error: TallystickError) -> SettledItem:
    return SettledItem(line.reference, "refused", code=error.code, message=error.message, field=error.field)
