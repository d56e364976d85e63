"""The columns that are written, in order: of an export of transfers, and of the results of an import."""

from dataclasses import dataclass
from enum import Enum

from tallystick.ledger.files.model import ABSENT, Codes, Ids, Mask, Numbers, Posted, Results


class Stored(Enum):
    """What a column holds, before a format has its say."""

    UUID = "uuid"
    TEXT = "text"
    LONG = "long"
    INSTANT = "instant"


@dataclass(frozen=True, slots=True)
class Column:
    """A column that is written."""

    name: str
    stored: Stored
    doc: str
    may_lack: bool = False


@dataclass(frozen=True, slots=True)
class Layout:
    """A kind of file that is written."""

    record: str
    doc: str
    columns: tuple[Column, ...]


@dataclass(frozen=True, slots=True)
class Uuids:
    """A column of UUIDs to be written."""

    ids: Ids
    absent: Mask | None = None


@dataclass(frozen=True, slots=True)
class Longs:
    """A column of whole numbers to be written."""

    numbers: Numbers
    absent: Mask | None = None


@dataclass(frozen=True, slots=True)
class Instants:
    """A column of instants to be written."""

    microseconds: Numbers


Values = Uuids | Longs | Instants | Codes | list[str | None]

TRANSFERS = Layout(
    "Transfer",
    "One transfer of a ledger. A file of these can be imported: recorded_at and place are then passed over, "
    "and whatever may be null may be left out of the schema.",
    (
        Column("id", Stored.UUID, "The transfer's id. An import may also give it as fixed of 16 bytes."),
        Column("debit", Stored.TEXT, "The code of the account debited."),
        Column("credit", Stored.TEXT, "The code of the account credited."),
        Column("asset", Stored.TEXT, "The asset that both accounts are counted in.", may_lack=True),
        Column("amount", Stored.LONG, "Minor units of the asset, at least 1."),
        Column("reason", Stored.TEXT, "Why money moves.", may_lack=True),
        Column("reference", Stored.TEXT, "The sender's own reference, 1 to 255 characters.", may_lack=True),
        Column("effective_at", Stored.INSTANT, "When it counts from; null: from when it is recorded.", may_lack=True),
        Column("recorded_at", Stored.INSTANT, "When the ledger recorded it.", may_lack=True),
        Column("place", Stored.LONG, "Its place in the log, from 0; null while it is not sealed.", may_lack=True),
    ),
)

RESULTS = Layout(
    "TransferResult",
    "What became of one row of an imported file.",
    (
        Column("row", Stored.LONG, "The row's number in the file, from 1; a header is no row."),
        Column("id", Stored.UUID, "The transfer's id; null where the row had none that could be read.", may_lack=True),
        Column("status", Stored.TEXT, "The stable code of what became of it."),
        Column("amount", Stored.LONG, "Minor units moved or held."),
        Column("field", Stored.TEXT, "The field at fault, null where none is.", may_lack=True),
    ),
)


def columns_of(block: Posted | Results) -> dict[str, Values]:
    """Return the columns of *block* by name."""
    if isinstance(block, Results):
        return {
            "row": Longs(block.rows),
            "id": Uuids(block.ids, ~block.has_id),
            "status": block.statuses,
            "amount": Longs(block.amounts),
            "field": block.fields,
        }
    return {
        "id": Uuids(block.ids),
        "debit": block.debits,
        "credit": block.credits,
        "asset": block.assets,
        "amount": Longs(block.amounts),
        "reason": block.reasons,
        "reference": block.references,
        "effective_at": Instants(block.effective_at),
        "recorded_at": Instants(block.recorded_at),
        "place": Longs(block.places, block.places == ABSENT),
    }
