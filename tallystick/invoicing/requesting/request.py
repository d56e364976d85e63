"""Request: a product asks for invoices; each is judged by itself, and all that can be are made in one go."""

import uuid
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any

import msgspec
import numpy as np
import numpy.typing as npt

from tallystick.db.connect import SCHEMA
from tallystick.db.queries import Connection, queries_beside
from tallystick.errors import TallystickError
from tallystick.ids import id_of_content
from tallystick.invoicing.model import NumberKind, revenue_account
from tallystick.invoicing.number import lock_series
from tallystick.invoicing.requesting.accounts import find_accounts, require_usable
from tallystick.invoicing.requesting.errors import ReferenceTaken
from tallystick.invoicing.requesting.issue_requested import find_all_series, put_waiting_in_force
from tallystick.invoicing.requesting.judge import Judged, due_on, judge, require_total
from tallystick.invoicing.requesting.model import InvoiceWanted, LineWanted, RequestedInvoice
from tallystick.invoicing.requesting.tell_requested import find_told
from tallystick.invoicing.tax import write_taxes
from tallystick.ledger.accounts import Recorded
from tallystick.ledger.books import Book
from tallystick.ledger.errors import UnknownAsset
from tallystick.money import Asset
from tallystick.rating.exact import plain
from tallystick.taxes.apply import TaxTable, load_taxes, tax_whose
from tallystick.taxes.compute import TaxLine
from tallystick.taxes.model import InvoiceTax
from tallystick.wallets.draw import enter_to_spend

_queries = queries_beside(__file__)
_find_assets = _queries.tuples("find_assets")
_find_requests = _queries.tuples("find_requests")
_find_customers = _queries.tuples("find_customers")
_make_customers = _queries.run("make_customers")
_insert_invoices = _queries.run("insert_invoices")
_insert_requests = _queries.run("insert_requests")
_LINE = ("book_id", "invoice_id", "position", "product", "events", "quantity", "amount", "detail", "description",
         "unit_amount", "tax_category", "post_to")  # fmt: skip
_COMPARED = ("customer", "asset", "due_on", "terms_days", "zone", "series", "memo", "cost_rank")
_MOMENT = timedelta(microseconds=1)
_encode = msgspec.json.Encoder().encode


@dataclass(frozen=True, slots=True)
class _New:
    """A request that has no invoice yet, on its way to one."""

    invoice_id: uuid.UUID
    judged: Judged
    asset_id: int
    asset: Asset
    customer_id: int = 0
    total: int = 0
    taxes: Sequence[InvoiceTax] = ()


@dataclass(slots=True)
class _Answers:
    """What becomes of each request: why there is no invoice, or which it is."""

    refused: dict[int, TallystickError]
    ids: dict[int, uuid.UUID]
    known: set[uuid.UUID]


async def request_invoices(
    connection: Connection,
    book: Book,
    recorded: Recorded,
    message_hashes: npt.NDArray[np.void],
    wanted: Sequence[InvoiceWanted],
) -> list[RequestedInvoice | TallystickError]:
    """
    Make the invoices that are asked for and say of each what became of it; one that there is already stays as it is.

    A request that cannot be is refused by itself. One that is asked for again, with the same content, is the same
    invoice; if it was a draft and is to be issued now, it is.

    Raises:
        InvalidInput: together they are too much for one batch (``invalid_input``).
        SeriesOfOtherKind: a series counts credit notes (``invoicing.series_of_other_kind``).
        UniqueViolationError: somebody asked for the same meanwhile: to be run again.
        OrderLost: another transaction took of the same credits meanwhile.
    """
    book_id = recorded.book_id
    if any(one.issue for one in wanted):
        await enter_to_spend(connection, book_id)
        series = await find_all_series(connection, book_id, [(one.product, one.series) for one in wanted if one.issue])
        await lock_series(connection, book_id, NumberKind.INVOICE, series.values())
    answers = _Answers({}, {}, set())
    judged = await _judge_all(connection, book, recorded, wanted, answers)
    fresh = await _find_known(connection, book_id, judged, answers)
    fresh = await _tax_all(connection, recorded, await _require_accounts(connection, book_id, fresh, answers), answers)
    await _write(connection, recorded, list(fresh.values()))
    to_issue = list(dict.fromkeys(answers.ids[place] for place in answers.ids if wanted[place].issue))
    late = await put_waiting_in_force(connection, book.ledger, recorded, message_hashes, to_issue) if to_issue else {}
    told = await find_told(connection, book_id, list(set(answers.ids.values())), known=answers.known)
    answers.refused |= {place: late[one] for place, one in answers.ids.items() if one in late and wanted[place].issue}
    return [answers.refused.get(place) or told[answers.ids[place]] for place in range(len(wanted))]


async def _judge_all(
    connection: Connection, book: Book, recorded: Recorded, wanted: Sequence[InvoiceWanted], answers: _Answers
) -> dict[int, _New]:
    """Judge each request by itself, by its place."""
    codes = sorted({one.asset for one in wanted})
    assets = {code: (asset_id, Asset(code, exponent))
              for code, asset_id, exponent in await _find_assets(connection, book.book_id, codes)}  # fmt: skip
    found: dict[int, _New] = {}
    for place, one in enumerate(wanted):
        try:
            if one.asset not in assets:
                raise UnknownAsset(field="asset", asset=one.asset)
            asset_id, asset = assets[one.asset]
            judged = judge(one, asset)
            if one.issue or one.due_on is not None:
                due_on(one.due_on, one.terms_days, one.zone, recorded.at)
        except TallystickError as error:
            answers.refused[place] = error
            continue
        invoice_id = id_of_content(("invoice.request", book.name, one.product, one.reference))
        found[place] = _New(invoice_id, judged, asset_id, asset)
    return found


async def _find_known(
    connection: Connection, book_id: int, judged: Mapping[int, _New], answers: _Answers
) -> dict[int, _New]:
    """Answer those that were asked for before, and the second of two that are the same; return the others."""
    keys = sorted({(one.judged.wanted.product, one.judged.wanted.reference) for one in judged.values()})
    columns = [list(column) for column in zip(*keys, strict=True)] if keys else [[], []]
    rows = await _find_requests(connection, book_id, *columns) if keys else []
    there = {(row[0], row[1]): row for row in rows}
    fresh: dict[int, _New] = {}
    first: dict[tuple[str, str], _New] = {}
    for place, one in judged.items():
        wanted = one.judged.wanted
        key = (wanted.product, wanted.reference)
        if key in there:
            row = there[key]
            invoice_id = row[3]
            if bytes(row[2]) != one.judged.content:
                answers.refused[place] = _taken(wanted, invoice_id, row[4:])
                continue
            answers.known.add(invoice_id)
        elif key in first:
            invoice_id = first[key].invoice_id
            if first[key].judged.content != one.judged.content:
                answers.refused[place] = ReferenceTaken(
                    field="reference", reference=key[1], product=key[0], invoice=invoice_id, differs="something"
                )
                continue
        else:
            invoice_id = one.invoice_id
            first[key] = fresh[place] = one
        answers.ids[place] = invoice_id
    return fresh


def _taken(wanted: InvoiceWanted, invoice_id: uuid.UUID, there: tuple[Any, ...]) -> ReferenceTaken:
    """Name what differs of a request under a reference that is taken."""
    differs = next(
        (name for name, value in zip(_COMPARED, there, strict=True) if getattr(wanted, name) != value), "lines"
    )
    return ReferenceTaken(
        field=differs, reference=wanted.reference, product=wanted.product, invoice=invoice_id, differs=differs
    )


async def _require_accounts(
    connection: Connection, book_id: int, fresh: dict[int, _New], answers: _Answers
) -> dict[int, _New]:
    """Leave out those whose lines credit accounts which they cannot."""
    accounts = await find_accounts(connection, book_id, _codes(fresh.values()))
    usable = dict(fresh)
    for place, one in fresh.items():
        wanted = one.judged.wanted
        try:
            require_usable(accounts, wanted.lines, wanted.asset, revenue_account(wanted.product, wanted.asset))
        except TallystickError as error:
            _refuse(answers, usable, place, error)
    return usable


def _codes(fresh: Iterable[_New]) -> set[str]:
    return {
        line.post_to or revenue_account(one.judged.wanted.product, one.judged.wanted.asset)
        for one in fresh
        for line in one.judged.wanted.lines
    }


async def _tax_all(
    connection: Connection, recorded: Recorded, fresh: dict[int, _New], answers: _Answers
) -> dict[int, _New]:
    """Give each its customer, made if new, its taxes and its total; and leave out those that cannot have them."""
    refs = sorted({one.judged.wanted.customer for one in fresh.values()})
    customers = await _ensure_customers(connection, recorded, refs)
    categorised = [
        customers[one.judged.wanted.customer]
        for one in fresh.values()
        if any(line.tax_category is not None for line in one.judged.wanted.lines)
    ]
    table = await load_taxes(connection, recorded.book_id, sorted(set(categorised)))
    taxed: dict[int, _New] = dict(fresh)
    for place, one in fresh.items():
        wanted = one.judged.wanted
        customer_id = customers[wanted.customer]
        try:
            taxes, added = _tax(table, customer_id, one.judged, recorded)
            total = one.judged.subtotal + added
            require_total(total)
        except TallystickError as error:
            _refuse(answers, taxed, place, error)
            continue
        taxed[place] = replace(one, customer_id=customer_id, total=total, taxes=taxes)
    return taxed


def _refuse(answers: _Answers, left: dict[int, _New], place: int, error: TallystickError) -> None:
    """Refuse a request, and whoever asked for the same within the batch."""
    gone = left.pop(place).invoice_id
    for other in [at for at, invoice_id in answers.ids.items() if invoice_id == gone]:
        del answers.ids[other]
        answers.refused[other] = error


def _tax(
    table: TaxTable, customer_id: int, judged: Judged, recorded: Recorded
) -> tuple[list[InvoiceTax], int]:  # fmt: skip
    """Return the taxes of the lines that have a category, by the rates in force now, and what they add."""
    whose = table.whose(customer_id, recorded.at + _MOMENT)
    lines = [
        TaxLine(line.tax_category, amount)
        for line, amount in zip(judged.wanted.lines, judged.amounts, strict=True)
        if line.tax_category is not None
    ]
    if whose is None or not lines:
        return [], 0
    taxed = tax_whose(table, whose, lines, recorded.at + _MOMENT)
    return taxed.taxes, taxed.exclusive


async def _ensure_customers(connection: Connection, recorded: Recorded, refs: Sequence[str]) -> dict[str, int]:
    """Return the numbers of customers; who is new is made."""
    if not refs:
        return {}
    found: dict[str, int] = dict(await _find_customers(connection, recorded.book_id, refs))
    new = [ref for ref in refs if ref not in found]
    if new:
        await _make_customers(connection, recorded.book_id, recorded.message_place, recorded.at, new)
        found.update(dict(await _find_customers(connection, recorded.book_id, new)))
    return found


async def _write(connection: Connection, recorded: Recorded, fresh: Sequence[_New]) -> None:
    """Write drafts with their lines and taxes."""
    if not fresh:
        return
    wanted = [one.judged.wanted for one in fresh]
    ids, same = [one.invoice_id for one in fresh], (recorded.book_id, recorded.message_place, recorded.at)
    await _insert_invoices(
        connection,
        *same,
        ids,
        [one.customer_id for one in fresh],
        [one.product for one in wanted],
        [one.asset_id for one in fresh],
        [one.total for one in fresh],
        [one.terms_days for one in wanted],
    )
    await _insert_requests(
        connection,
        *same,
        ids,
        [one.product for one in wanted],
        [one.reference for one in wanted],
        [one.zone for one in wanted],
        [one.due_on for one in wanted],
        [one.series for one in wanted],
        [one.memo for one in wanted],
        [one.cost_rank for one in wanted],
        [one.judged.content for one in fresh],
    )
    rows = [
        (recorded.book_id, one.invoice_id, position, one.judged.wanted.product, 0, line.quantity, amount,
         _detail(line, one.asset), line.description, line.unit_amount, line.tax_category, line.post_to)
        for one in fresh
        for position, (line, amount) in enumerate(zip(one.judged.wanted.lines, one.judged.amounts, strict=True))
    ]  # fmt: skip
    await connection.copy_records_to_table("invoice_line", schema_name=SCHEMA, columns=_LINE, records=rows)
    await write_taxes(connection, recorded.book_id, [(one.invoice_id, one.taxes) for one in fresh if one.taxes])


def _detail(line: LineWanted, asset: Asset) -> str:
    """Say how the amount of a line comes about, for people."""
    said = ""
    if line.unit_amount is not None:
        said = f"{plain(line.quantity)} at {asset.code} {plain(line.unit_amount.scaleb(-asset.exponent))}"
    return _encode({"unit": "", "explanation": said}).decode()
