"""Number: gapless numbers, series by series, and which series a product's invoices and credit notes are of."""

from collections.abc import Iterable, Sequence

from tallystick.db.queries import Connection, queries_beside
from tallystick.errors import Kind, TallystickError
from tallystick.invoicing.model import NumberKind
from tallystick.ledger.accounts import Recorded

_queries = queries_beside(__file__)
_lock_series = _queries.value("lock_series")
_take_numbers = _queries.value("take_numbers")
_insert_series = _queries.run("insert_series")
_find_series = _queries.value("find_series")

EVERY_PRODUCT = ""
"""How the series of products is kept that have none of their own."""
DEFAULT_SERIES = {NumberKind.INVOICE: "INV", NumberKind.CREDIT_NOTE: "CN"}


class SeriesOfOtherKind(TallystickError):
    """The series {series} counts other things than a {wanted}; invoices and credit notes have series of their own."""

    code = "invoicing.series_of_other_kind"
    kind = Kind.CONFLICT


async def set_series(
    connection: Connection, recorded: Recorded, product: str | None, kind: NumberKind, series: str
) -> None:
    """
    Take the numbers of *kind* from *series* from now on: of a product, or of all that have no series of their own.

    Raises:
        SeriesOfOtherKind: it counts the other kind (``invoicing.series_of_other_kind``).
    """
    await lock_series(connection, recorded.book_id, kind, [series])
    await _insert_series(
        connection,
        recorded.book_id,
        EVERY_PRODUCT if product is None else product,
        kind,
        series,
        recorded.message_place,
        recorded.at,
    )


async def find_series(connection: Connection, book_id: int, product: str, kind: NumberKind) -> str:
    """Return the series that the next number of *kind* is of: the product's, that of every product, or the usual one."""
    found: str | None = await _find_series(connection, book_id, product, kind)
    return found or DEFAULT_SERIES[kind]


async def lock_series(connection: Connection, book_id: int, kind: NumberKind, series: Iterable[str]) -> None:
    """
    Let nobody else take numbers of *series* until the transaction ends.

    To be called before it is decided what gets a number. In order of name, so that two never wait for each other.

    Raises:
        SeriesOfOtherKind: one counts the other kind (``invoicing.series_of_other_kind``).
    """
    for one in sorted(set(series)):
        if await _lock_series(connection, book_id, one, kind) != kind:
            raise SeriesOfOtherKind(field="series", series=one, wanted=kind.replace("_", " "))


async def take_numbers(connection: Connection, book_id: int, series: Sequence[str]) -> list[int]:
    """
    Return the next number of each of *series*, which are locked, in their order.

    They are counted up in this same transaction, so one that is undone leaves no gap.
    """
    following: dict[str, int] = {}
    for one in sorted(set(series)):
        count = series.count(one)
        following[one] = await _take_numbers(connection, book_id, one, count) - count + 1
    numbers = []
    for one in series:
        numbers.append(following[one])
        following[one] += 1
    return numbers
