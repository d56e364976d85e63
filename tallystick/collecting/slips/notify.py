"""Hear from stores: a slip was paid, though the money is not here yet; or it was not after all."""

import datetime as dt
from dataclasses import dataclass

from tallystick.collecting.slips.errors import NoticeEnded, ReferenceReused, UnknownNotice
from tallystick.collecting.slips.find import Found, day_in, find_slip, require_numbered
from tallystick.collecting.slips.issue import enter_to_slips
from tallystick.collecting.slips.model import Slip
from tallystick.db.queries import Connection, queries_beside
from tallystick.errors import InvalidInput
from tallystick.ledger.accounts import Recorded

_queries = queries_beside(__file__)
_find_references = _queries.tuples("find_references")
_insert_notice = _queries.run("insert_notice")
_insert_withdrawal = _queries.run("insert_withdrawal")
_CLOCKS_DIFFER = dt.timedelta(days=1)


@dataclass(frozen=True, slots=True)
class NoticeSaid:
    """What a store says."""

    number: str
    reference: str
    amount: int | None
    """None: what the slip asks for."""
    store: str | None
    paid_at: dt.datetime | None
    """None: now."""


async def hear_paid(connection: Connection, recorded: Recorded, said: NoticeSaid) -> Slip:
    """
    Keep that a store says that a slip was paid, once for each reference; nothing is repaid by it.

    It is kept whatever became of the slip: after its last day, with another amount, for the second time. Until it is
    settled or taken back, no slip is issued and no charge is made for its invoices.

    Raises:
        InvalidInput: the number is none, or the time is to come (``invalid_input``).
        UnknownSlip: no slip has the number (``slips.unknown_slip``).
        ReferenceReused: the reference is of another slip or amount (``slips.reference_reused``).
    """
    await enter_to_slips(connection, recorded.book_id)
    found = await require_numbered(connection, recorded.book_id, said.number, recorded.at)
    paid_at = recorded.at if said.paid_at is None else said.paid_at
    if not found.slip.issued_at - _CLOCKS_DIFFER <= paid_at <= recorded.at + _CLOCKS_DIFFER:
        raise InvalidInput(field="paid_at", rule="Expected a time between the issue of the slip and now")
    amount = found.slip.amount if said.amount is None else said.amount
    if await _is_known(connection, recorded.book_id, found, said.reference, amount):
        return found.slip
    late = day_in(found.slip.zone, paid_at) > found.slip.expires_on
    await _insert_notice(
        connection, recorded.book_id, said.reference, found.slip.id, amount, said.store, paid_at, late,
        recorded.message_place, recorded.at,
    )  # fmt: skip
    return (await find_slip(connection, recorded.book_id, found.slip.id, recorded.at)).slip


async def _is_known(connection: Connection, book_id: int, found: Found, reference: str, amount: int) -> bool:
    """Say whether the same notice came before; a settlement under the reference must be of the same slip."""
    known = False
    for _, slip_id, before, kind in await _find_references(connection, book_id, [reference]):
        if slip_id != found.slip.id:
            raise ReferenceReused(field="number", reference=reference)
        if kind == "notice":
            if before != amount:
                raise ReferenceReused(field="amount", reference=reference)
            known = True
    return known


async def withdraw_notice(connection: Connection, recorded: Recorded, reference: str, reason: str) -> Slip:
    """
    Keep that a store takes a notice back, once; the slip can be paid again, if its last day is not over.

    Raises:
        UnknownNotice: there is none (``slips.unknown_notice``).
        NoticeEnded: its money came (``slips.notice_ended``).
    """
    await enter_to_slips(connection, recorded.book_id)
    rows = await _find_references(connection, recorded.book_id, [reference])
    slip_ids = [row[1] for row in rows if row[3] == "notice"]
    if not slip_ids:
        raise UnknownNotice(field="reference", reference=reference)
    slip = (await find_slip(connection, recorded.book_id, slip_ids[0], recorded.at)).slip
    state = next(one.state for one in slip.notices if one.reference == reference)
    if state == "settled":
        raise NoticeEnded(field="reference", reference=reference, state=state)
    if state == "withdrawn":
        return slip
    await _insert_withdrawal(
        connection, recorded.book_id, reference, reason, recorded.message_place, recorded.at
    )  # fmt: skip
    return (await find_slip(connection, recorded.book_id, slip.id, recorded.at)).slip
