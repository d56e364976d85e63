"""Record: a payout's report is kept, part by part, and counts as one once it is whole and adds up."""

import uuid
from collections.abc import Sequence
from typing import Any, NamedTuple

from tallystick.db.queries import queries_beside
from tallystick.errors import InvalidInput
from tallystick.ids import id_of_content
from tallystick.ledger.accounts import find_asset
from tallystick.ledger.model import Reason
from tallystick.ledger.read_in_order import take_place
from tallystick.money import MAX_AMOUNT
from tallystick.payments.payouts.accounts import Books, Move, fees, held, on_the_way
from tallystick.payments.payouts.errors import ReportDiffers, ReportDoesNotAddUp, UnknownPayout
from tallystick.payments.payouts.find import find_payout
from tallystick.payments.payouts.keep_matches import Found, keep_matches
from tallystick.payments.payouts.model import Payout, Recorded, ReportHead, ReportLine, Status
from tallystick.repayments.dues import require_earlier

_queries = queries_beside(__file__)
_insert_report = _queries.run("insert_report")
_find_report = _queries.tuples("find_report")
_find_recorded = _queries.tuples("find_recorded")
_insert_lines = _queries.run("insert_lines")
_find_lines = _queries.tuples("find_lines")
_count_lines = _queries.value("count_lines")
_sum_lines = _queries.tuples("sum_lines")
_sum_fees = _queries.value("sum_fees")
_find_repeats = _queries.tuples("find_repeats")
_find_waiting_again = _queries.tuples("find_waiting_again")
_insert_payout = _queries.run("insert_payout")
_insert_step = _queries.run("insert_step")
_find_steps = _queries.values("find_steps")
_open_lines = _queries.run("open_lines")


class _Repeat(NamedTuple):
    """A line that an earlier payout has too."""

    position: int
    amount: int
    fee: int
    kind: str
    payout_id: Any
    of_position: int
    of_payout: str
    failed: bool
    """The earlier payout failed, and this is the first to tell the line anew."""

    @property
    def counted(self) -> int:
        """Return the fee that was counted where the line stood first."""
        return self.fee - (self.amount if self.kind == "fee" else 0)


async def record(
    books: Books, head: ReportHead, status: Status, lines: Sequence[ReportLine], first: int, of: int
) -> Recorded:
    """
    Keep the lines of a report from position *first* on, of *of* that it has; with the last one it counts.

    What was kept stays as it is: the same again changes nothing but the payout's status. Once it counts, the payout is on its
    way to the bank, the fees are the provider's, and each other line waits to be found in the book.

    Raises:
        ReportDiffers: the payout was recorded with other lines, or another amount (``payouts.report_differs``).
        ReportDoesNotAddUp: the lines do not come to the amount; nothing of this part is kept (``payouts.does_not_add_up``).
        InvalidInput: there are more lines than it has, or a line comes twice (``invalid_input``).
        UnknownAsset: the book does not count in its currency (``ledger.unknown_asset``).
    """
    await books.enter()
    asset = await find_asset(books.connection, books.book_id, head.currency)
    if first + len(lines) - 1 > of:
        raise InvalidInput(field="of", rule=f"These are lines {first} to {first + len(lines) - 1}")
    known = await _find_recorded(books.connection, books.book_id, head.provider, head.provider_id)
    if known:
        require_earlier(known[0][1], await take_place(books.connection))
        await _require_same(books, known[0][0], head, lines, first, of)
        await note_status(books, head.id, status)
        return Recorded(head.id, of, whole=True, payout=await find_payout(books.connection, books.book_id, head.id))
    await _insert_report(
        books.connection, books.book_id, head.id, head.provider, head.provider_id, head.version, asset.asset_id,
        head.amount, head.arrives_on, of, books.recorded.message_place, books.recorded.at,
    )  # fmt: skip
    await _require_same(books, head.id, head, lines, first, of)
    kept = {row[0] for row in await _kept(books, head.id, first, len(lines))}
    await _keep(books, head.id, [(at, one) for at, one in enumerate(lines, first) if at not in kept])
    count = int(await _count_lines(books.connection, books.book_id, head.id))
    if count < of:
        return Recorded(head.id, count, whole=False, payout=None)
    ((total, different, moved),) = await _sum_lines(books.connection, books.book_id, head.id)
    if different != of:
        raise InvalidInput(field="lines", rule="A line stands in a report once")
    if moved > MAX_AMOUNT:
        raise InvalidInput(field="lines", rule=f"The lines of a report move no more than {MAX_AMOUNT}")
    if total != head.amount:
        raise ReportDoesNotAddUp(field="lines", sum=int(total), amount=head.amount)
    await _count(books, head, status)
    return Recorded(head.id, of, whole=True, payout=await find_payout(books.connection, books.book_id, head.id))


async def _kept(books: Books, payout_id: uuid.UUID, first: int, count: int) -> list[tuple[int, ReportLine]]:
    rows = await _find_lines(books.connection, books.book_id, payout_id, first, first + count - 1)
    return [(row[0], ReportLine(*row[1:])) for row in rows]


async def _require_same(
    books: Books, kept_id: uuid.UUID, head: ReportHead, lines: Sequence[ReportLine], first: int, of: int
) -> None:
    """
    Find that what comes again is what was kept, and name what differs; banks' working days may move its arrival.

    Raises:
        ReportDiffers: it is not (``payouts.report_differs``).
    """
    ((_, _, version, currency, _, amount, _, count),) = await _find_report(books.connection, books.book_id, kept_id)
    if (currency, amount) != (head.currency, head.amount):
        said = f"{head.amount:,} {head.currency} instead of {amount:,} {currency}"
        raise ReportDiffers(field="amount", payout=head.provider_id, what=said)
    if count != of:
        raise ReportDiffers(field="of", payout=head.provider_id, what=f"{of:,} lines instead of {count:,}")
    said_lines = dict(enumerate(lines, first))
    for at, kept in await _kept(books, kept_id, first, len(lines)):
        if said_lines[at] != kept:
            what = next(
                name for name in ReportLine.__struct_fields__ if getattr(kept, name) != getattr(said_lines[at], name)
            )
            raise ReportDiffers(
                field=f"lines[{at - first}].{what}", payout=head.provider_id, what=f"line {at} has another {what}"
            )
    if version != head.version:
        raise ReportDiffers(field="version", payout=head.provider_id, what="another version of its lines")


async def _keep(books: Books, payout_id: uuid.UUID, fresh: Sequence[tuple[int, ReportLine]]) -> None:
    own = [one for _, one in fresh]
    if own:
        await _insert_lines(
            books.connection, books.book_id, payout_id, books.recorded.message_place,
            [at for at, _ in fresh], [one.id for one in own], [one.kind for one in own], [one.amount for one in own],
            [one.fee for one in own], [one.occurred_at for one in own], [one.transaction_id for one in own],
            [one.refund_id for one in own], [one.dispute_id for one in own], [one.description for one in own],
        )  # fmt: skip


async def _count(books: Books, head: ReportHead, status: Status) -> None:
    """Let a whole report count: what is paid out and what is kept move, and what is left to find waits."""
    repeats = [_Repeat(*row) for row in await _find_repeats(books.connection, books.book_id, head.id, head.provider)]
    kept = int(await _sum_fees(books.connection, books.book_id, head.id)) - sum(one.counted for one in repeats)
    await _insert_payout(
        books.connection, books.book_id, head.id, head.provider, head.provider_id, kept,
        books.recorded.message_place, books.recorded.at,
    )  # fmt: skip
    again = [one for one in repeats if one.failed or status == "failed"]
    await _open_lines(
        books.connection, books.book_id, head.id, [one.position for one in repeats], [one.position for one in again]
    )
    found = [_found_again(head, one) for one in again]
    await keep_matches(books, head.id, found)
    own = held(head.provider, head.currency)
    moves = [
        _on_its_way(head, Reason.PAYOUT),
        Move(_moved("fees", head.id), fees(head.provider, head.currency), own, kept, Reason.PROVIDER_FEE),
    ]
    if status == "failed":
        moves.append(_back(head))
    if status != "pending":
        await _insert_status(books, head.id, status)
    await books.move(head.currency, moves)


def _found_again(head: ReportHead, one: _Repeat) -> Found:
    """Let a line be what an earlier payout told before it failed; or, where that one stands, what its own failure put back."""
    failed_id, at, failed = head.id, one.position, head.provider_id
    if one.failed:
        failed_id, at, failed = one.payout_id, one.of_position, one.of_payout
    return Found(
        one.position, "line", failed_id, one.amount - one.fee, f"the line {at} of the payout {failed}, which failed"
    )


async def _match_again(books: Books, head: ReportHead) -> None:
    """Let what other payouts told before a payout was known to have failed be its lines, each once; else what it told again."""
    of_payouts: dict[uuid.UUID, list[Found]] = {}
    for payout_id, position, left, of_position in await _find_waiting_again(books.connection, books.book_id, head.id):
        why = f"the line {of_position} of the payout {head.provider_id}, which failed"
        of_payouts.setdefault(payout_id, []).append(Found(position, "line", head.id, left, why))
    for payout_id, found in of_payouts.items():
        await keep_matches(books, payout_id, found)


def _moved(what: str, payout_id: uuid.UUID) -> uuid.UUID:
    """Derive the id of a transfer, of which a payout has one of each."""
    return id_of_content(("payout", what, str(payout_id)))


def _on_its_way(head: ReportHead, reason: Reason) -> Move:
    way, own = on_the_way(head.provider, head.currency), held(head.provider, head.currency)
    return Move(_moved("out", head.id), way, own, head.amount, reason)


def _back(head: ReportHead) -> Move:
    way, own = on_the_way(head.provider, head.currency), held(head.provider, head.currency)
    return Move(_moved("back", head.id), own, way, head.amount, Reason.PAYOUT)


async def _insert_status(books: Books, payout_id: uuid.UUID, status: str) -> None:
    await _insert_step(
        books.connection, books.book_id, payout_id, status, None, None, books.recorded.message_place, books.recorded.at
    )


async def note_status(books: Books, payout_id: uuid.UUID, status: Status) -> Payout:
    """
    Note what became of a payout; one that failed puts its money back. What failed stays failed.

    Raises:
        UnknownPayout: none with this id was recorded (``payouts.unknown_payout``).
    """
    await books.enter()
    payout = await find_payout(books.connection, books.book_id, payout_id)
    steps = await _find_steps(books.connection, books.book_id, payout_id)
    if status == "pending" or status in steps or "failed" in steps:
        return payout
    await _insert_status(books, payout_id, status)
    if status == "failed":
        report = await _find_report(books.connection, books.book_id, payout_id)
        if not report:
            raise UnknownPayout(field="payout_id", payout=payout_id)
        provider, provider_id, version, currency, _, amount, arrives_on, _ = report[0]
        head = ReportHead(provider, provider_id, amount, currency, arrives_on, version)
        await _match_again(books, head)
        await books.move(currency, [_back(head)])
    return await find_payout(books.connection, books.book_id, payout_id)
