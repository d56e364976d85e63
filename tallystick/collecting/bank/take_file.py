"""Take a file: the charges of a day are handed to the bank, each once; asked again, it is the same file."""

import datetime as dt
import uuid

import msgspec

from tallystick.collecting.bank.enter import enter_to_settle
from tallystick.collecting.bank.errors import FileDiffers, NoCreditor, NothingToDebit, UnknownFile
from tallystick.collecting.bank.model import BankFile, Creditor, Debit, DebitsPage
from tallystick.db.queries import Connection, queries_beside
from tallystick.ids import id_of_content
from tallystick.invoicing.model import printed_number
from tallystick.ledger.accounts import Recorded
from tallystick.ledger.model import Asset

_queries = queries_beside(__file__)
_find_unsent = _queries.tuples("find_unsent")
_insert_file = _queries.run("insert_file")
_send_charges = _queries.run("send_charges")
_find_newest_file = _queries.value("find_newest_file")
_find_last_creditor = _queries.value("find_last_creditor")
_find_files = _queries.tuples("find_files")
_page_debits = _queries.tuples("page_debits")
_BEFORE_ALL = uuid.UUID(int=0)


async def take_file(
    connection: Connection, recorded: Recorded, on: dt.date, asset: Asset, creditor: Creditor | None
) -> BankFile:
    """
    Hand all charges of a day and an asset to the bank that it does not have and has not answered, and return their file.

    Where there are none it is the file that was taken before. *creditor* is who collects; None: who did so last.

    Raises:
        NothingToDebit: there are no charges (``bank.nothing_to_debit``).
        NoCreditor: nobody has ever said who collects (``bank.no_creditor``).
        FileDiffers: the file was taken for another creditor (``bank.file_differs``).
    """
    await enter_to_settle(connection, recorded.book_id)
    newest: uuid.UUID | None = await _find_newest_file(connection, recorded.book_id, on, asset.asset_id)
    before = None if newest is None else await find_file(connection, recorded.book_id, newest)
    ((count, total),) = await _find_unsent(connection, recorded.book_id, on, asset.asset_id)
    if not count:
        if before is None:
            raise NothingToDebit(field="on", asset=asset.code, day=on)
        if creditor is not None and creditor != before.creditor:
            raise FileDiffers(field="creditor", day=on)
        return before
    chosen = creditor or await _last_creditor(connection, recorded.book_id)
    number = before.number + 1 if before else 1
    file_id = id_of_content(("bank.file", chosen.creditor_id, chosen.iban, on.isoformat(), asset.code, str(number)))
    await _insert_file(
        connection, recorded.book_id, file_id, on, asset.asset_id, number, count, total,
        msgspec.json.encode(chosen).decode(), recorded.message_place, recorded.at,
    )  # fmt: skip
    await _send_charges(connection, recorded.book_id, on, asset.asset_id, file_id)
    return await find_file(connection, recorded.book_id, file_id)


async def _last_creditor(connection: Connection, book_id: int) -> Creditor:
    written: str | None = await _find_last_creditor(connection, book_id)
    if written is None:
        raise NoCreditor(field="creditor")
    return msgspec.json.decode(written, type=Creditor)


async def find_file(connection: Connection, book_id: int, file_id: uuid.UUID) -> BankFile:
    """
    Return a file.

    Raises:
        UnknownFile: there is none (``bank.unknown_file``).
    """
    rows = await _find_files(connection, book_id, [file_id])
    if not rows:
        raise UnknownFile(field="id", file=file_id)
    id_, on, asset, exponent, number, charges, total, creditor, taken_at = rows[0]
    read = msgspec.json.decode(creditor, type=Creditor)
    return BankFile(id_, on, asset, exponent, number, charges, total, read, taken_at)


async def page_debits(
    connection: Connection, book_id: int, file_id: uuid.UUID, after: uuid.UUID | None, limit: int
) -> DebitsPage:
    """
    Return the debits of a file behind *after*, in order of their ids.

    Raises:
        UnknownFile: there is none (``bank.unknown_file``).
    """
    await find_file(connection, book_id, file_id)
    rows = await _page_debits(connection, book_id, file_id, after or _BEFORE_ALL, limit + 1)
    items = [
        Debit(
            charge, amount, account, customer, name,
            id_of_content(("mandate", customer, account)).hex, agreed_at.astimezone(dt.UTC).date(),
            " ".join(printed_number(*one) for one in zip(series or (), numbers or (), strict=True)),
        )
        for charge, amount, account, customer, name, agreed_at, series, numbers in rows[:limit]
    ]  # fmt: skip
    return DebitsPage(items, items[-1].charge if len(rows) > limit else None)
