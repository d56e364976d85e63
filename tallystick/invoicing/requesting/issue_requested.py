"""Issue drafts that products asked for: numbers, and one batch of postings for all of them."""

import datetime as dt
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from tallystick.db.queries import Connection, queries_beside
from tallystick.errors import InvalidInput, TallystickError
from tallystick.invoicing.find import UnknownInvoice
from tallystick.invoicing.issue import Issuable, draw_credits, put_in_force
from tallystick.invoicing.model import NumberKind, how_many_fit
from tallystick.invoicing.number import find_series, lock_series
from tallystick.invoicing.postings import find_postings
from tallystick.invoicing.requesting.judge import due_on
from tallystick.invoicing.requesting.model import RequestedInvoice
from tallystick.invoicing.requesting.tell_requested import find_told
from tallystick.ledger.accounts import Recorded
from tallystick.ledger.post import MAX_BATCH, Ledger
from tallystick.wallets.draw import enter_to_spend

_queries = queries_beside(__file__)


@dataclass(frozen=True, slots=True)
class _Waiting:
    """A draft that a product asked for."""

    invoice_id: uuid.UUID
    customer_id: int
    product: str
    asset: str
    asset_id: int
    total: int
    due_on: dt.date | None
    terms_days: int | None
    zone: str
    series: str | None


_find_waiting = _queries.rows("find_waiting", _Waiting)


async def issue_requested(
    connection: Connection,
    ledger: Ledger,
    recorded: Recorded,
    message_hashes: npt.NDArray[np.void],
    invoice_ids: Sequence[uuid.UUID],
) -> list[RequestedInvoice | TallystickError]:
    """
    Issue those of the drafts that can be, and say of each what became of it; one that is issued already stays as it is.

    Raises:
        SeriesOfOtherKind: a series counts credit notes (``invoicing.series_of_other_kind``).
        OrderLost: another transaction took of the same credits meanwhile.
    """
    await enter_to_spend(connection, recorded.book_id)
    ids = list(dict.fromkeys(invoice_ids))
    waiting = await _find_waiting(connection, recorded.book_id, ids)
    series = await find_all_series(connection, recorded.book_id, [(one.product, one.series) for one in waiting])
    await lock_series(connection, recorded.book_id, NumberKind.INVOICE, series.values())
    before = {one.id for one in (await find_told(connection, recorded.book_id, ids)).values() if one.number}
    refused = await put_waiting_in_force(connection, ledger, recorded, message_hashes, ids)
    told = await find_told(connection, recorded.book_id, ids, known=before)
    return [
        refused.get(one) or told.get(one) or UnknownInvoice(field=f"invoices[{place}]", invoice=one)
        for place, one in enumerate(invoice_ids)
    ]


async def put_waiting_in_force(
    connection: Connection,
    ledger: Ledger,
    recorded: Recorded,
    message_hashes: npt.NDArray[np.void],
    invoice_ids: Sequence[uuid.UUID],
) -> dict[uuid.UUID, TallystickError]:
    """
    Issue those of the invoices that are drafts which a product asked for; return why others of them cannot be.

    The transaction must have entered to spend, and their series must be locked.

    Raises:
        InvalidInput: together they are too much for one batch (``invalid_input``).
        OrderLost: another transaction took of the same credits meanwhile.
    """
    waiting = await _find_waiting(connection, recorded.book_id, list(invoice_ids))
    if not waiting:
        return {}
    series = await find_all_series(connection, recorded.book_id, [(one.product, one.series) for one in waiting])
    postings = await find_postings(connection, recorded.book_id, [one.invoice_id for one in waiting])
    drafts, refused = _on_their_terms(waiting, series, postings, recorded.at)
    if not drafts:
        return refused
    draws = await draw_credits(connection, recorded, drafts)
    moves = sum(len(one.credited) + len(own) for one, own in zip(drafts, draws, strict=True))
    if moves > MAX_BATCH or how_many_fit([{one.asset_id: one.total} for one in drafts]) < len(drafts):
        raise InvalidInput(rule="together they move more than one batch can; send fewer of them at once")
    await put_in_force(connection, ledger, recorded, message_hashes, drafts, draws)
    return refused


async def find_all_series(
    connection: Connection, book_id: int, wanted: Sequence[tuple[str, str | None]]
) -> dict[tuple[str, str | None], str]:
    """Return the series of each product, or the one that it asks for."""
    return {
        (product, series): series or await find_series(connection, book_id, product, NumberKind.INVOICE)
        for product, series in sorted(set(wanted), key=str)
    }


def _on_their_terms(
    waiting: Sequence[_Waiting],
    series: Mapping[tuple[str, str | None], str],
    postings: Mapping[uuid.UUID, Sequence[tuple[str, int]]],
    at: dt.datetime,
) -> tuple[list[Issuable], dict[uuid.UUID, TallystickError]]:
    """Return the drafts that can be issued at an instant, and why the others cannot."""
    drafts: list[Issuable] = []
    refused: dict[uuid.UUID, TallystickError] = {}
    for one in waiting:
        invoice_id = one.invoice_id
        try:
            day = due_on(one.due_on, one.terms_days, one.zone, at)
        except TallystickError as error:
            refused[invoice_id] = error
            continue
        drafts.append(
            Issuable(
                invoice_id, one.customer_id, one.product, one.asset, one.asset_id, one.total, day,
                series[one.product, one.series], postings[invoice_id],
            )
        )  # fmt: skip
    return drafts, refused
