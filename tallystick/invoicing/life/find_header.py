"""Find the head of an invoice: what the verbs of its life decide by."""

import datetime as dt
import uuid
from dataclasses import dataclass

from tallystick.db.queries import Connection, queries_beside
from tallystick.invoicing.find import UnknownInvoice
from tallystick.invoicing.model import InvoiceStatus, Standing, printed_number, status_of

_queries = queries_beside(__file__)


@dataclass(frozen=True, slots=True)
class Header:
    """An invoice without its lines; amounts in minor units."""

    customer: str
    product: str
    asset: str
    asset_id: int
    customer_id: int
    series: str | None
    number: int | None
    account_id: int | None
    """Of what is owed; None while it is a draft."""
    total: int
    owed: int
    outstanding: int
    settled: int
    """What was paid, credited, voided or written off of it."""
    credited: int
    """What credit notes took back of it."""
    noted: str | None
    overdue: bool
    was_written_off: bool
    requested: bool
    """A product asked for it; otherwise it is of a period."""
    wanted_series: str | None
    """That the product asked for its number to be of."""
    period_end: dt.datetime | None

    @property
    def status(self) -> InvoiceStatus:
        """Return where it stands."""
        issued = self.account_id is not None
        return status_of(Standing(issued, self.owed, self.outstanding, self.noted, self.overdue))

    @property
    def printed(self) -> str | None:
        """Return its number as it is printed; None while it is a draft."""
        return None if self.series is None or self.number is None else printed_number(self.series, self.number)


_find_header = _queries.row("find_header", Header)


async def find_header(connection: Connection, book_id: int, invoice_id: uuid.UUID) -> Header:
    """
    Return the head of an invoice.

    Raises:
        UnknownInvoice: there is none (``invoicing.unknown_invoice``).
    """
    found = await _find_header(connection, book_id, invoice_id)
    if found is None:
        raise UnknownInvoice(field="id", invoice=invoice_id)
    return found
