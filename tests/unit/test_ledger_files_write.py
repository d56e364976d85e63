"""Writing files of transfers and of results: what is written can be read, and is there whole or not at all."""

import io
import json
import uuid
from pathlib import Path
from typing import Any

import fastavro
import numpy as np
import pyarrow as pa
import pyarrow.csv as pc
import pyarrow.parquet as pq
import pytest

from tallystick.ledger.files import Codes, Format, Posted, Results, open_transfers, write_results, write_transfers
from tallystick.ledger.files.avro_schema import CONTRACTS, avro_schema, schema_text
from tallystick.ledger.files.layout import TRANSFERS
from tallystick.ledger.files.model import ABSENT
from tests.unit.test_ledger_files_read import column, told

CONTRACTS_FOLDER = Path(__file__).parents[2] / "contracts"
every_format = pytest.mark.parametrize("format_", Format)
INSTANT = 1_767_225_600_000_001
WRITTEN_INSTANT = "2026-01-01T00:00:00.000001Z"


def posted(count: int = 3, first: int = 1) -> Posted:
    """Make some transfers as the ledger hands them out."""
    numbers = np.arange(first, first + count, dtype=np.int64)
    return Posted(
        ids=np.frombuffer(b"".join(uuid.UUID(int=number).bytes for number in numbers.tolist()), dtype="V16"),
        debits=Codes.of(f"customers/{number % 2}" for number in numbers.tolist()),
        credits=Codes.of(["sales, at home"] * count),
        assets=Codes.of(["USD"] * count),
        amounts=numbers * 10,
        reasons=Codes.of(["fee"] * count),
        references=["r" if number % 3 == 0 else None for number in numbers.tolist()],
        effective_at=np.full(count, INSTANT),
        recorded_at=np.full(count, -INSTANT),
        places=np.where(numbers % 2 == 0, ABSENT, numbers),
    )


def rows_of(path: Path, format_: Format) -> list[dict[str, Any]]:
    """Read a file without any code of ours."""
    if format_ is Format.AVRO:
        with path.open("rb") as file:
            return [dict(row) for row in fastavro.reader(file) if isinstance(row, dict)]
    if format_ is Format.CSV:
        text = {name: pa.string() for name in ("id", "effective_at", "recorded_at")}
        options = pc.ConvertOptions(column_types=text, strings_can_be_null=True, quoted_strings_can_be_null=True)
        return list(pc.read_csv(path, convert_options=options).to_pylist())
    if format_ is Format.PARQUET:
        return list(pq.read_table(path).to_pylist())
    opened = pa.ipc.open_file(str(path)) if format_ is Format.ARROW else pa.ipc.open_stream(str(path))
    return list(opened.read_all().to_pylist())


@every_format
def test_what_is_written_says_what_was_posted(tmp_path: Path, format_: Format) -> None:
    """Each value of each column, read by a library that does not know us."""
    path = tmp_path / "export"
    with write_transfers(path, format_) as file:
        file.write(posted(2))
        file.write(posted(1, first=3))
    rows = rows_of(path, format_)
    as_text = format_ is Format.CSV
    instant = WRITTEN_INSTANT if as_text else np.datetime64(INSTANT, "us").item()
    assert [str(row["id"]) for row in rows] == [str(uuid.UUID(int=number)) for number in (1, 2, 3)]
    assert [row["debit"] for row in rows] == ["customers/1", "customers/0", "customers/1"]
    assert {(row["credit"], row["asset"], row["reason"]) for row in rows} == {("sales, at home", "USD", "fee")}
    assert [row["amount"] for row in rows] == [10, 20, 30]
    assert [row["reference"] for row in rows] == [None, None, "r"]
    assert [row["place"] for row in rows] == [1, None, 3]
    assert {row["effective_at"] if as_text else row["effective_at"].replace(tzinfo=None) for row in rows} == {instant}
    assert list(rows[0]) == [column.name for column in TRANSFERS.columns]


@every_format
def test_an_export_can_be_imported(tmp_path: Path, format_: Format) -> None:
    """What only a ledger can give is passed over; all else comes back as it was."""
    path = tmp_path / "export"
    count = 20_000
    wanted = posted(count)
    with write_transfers(path, format_) as file:
        for first in range(1, count, 5000):
            file.write(posted(5000, first))
    with open_transfers(path) as read:
        blocks = list(read)
    assert told(blocks) == {}
    assert column(blocks, "ids") == [one.tobytes() for one in wanted.ids]
    assert column(blocks, "debits") == wanted.debits.texts()
    assert column(blocks, "references") == wanted.references
    assert np.concatenate([block.amounts for block in blocks]).tolist() == wanted.amounts.tolist()
    assert {instant for block in blocks for instant in column([block], "effective_at")} == {
        one.tobytes() for one in wanted.effective_at[:1]
    }


@every_format
def test_results_say_what_became_of_each_row(tmp_path: Path, format_: Format) -> None:
    """A row whose id could not be read has none in the results."""
    path = tmp_path / "results"
    block = Results(
        rows=np.array([7, 8]),
        ids=np.frombuffer(uuid.UUID(int=5).bytes + bytes(16), dtype="V16"),
        has_id=np.array([True, False]),
        statuses=Codes.of(["ledger.posted", "invalid_input"]),
        amounts=np.array([100, 0]),
        fields=Codes.of([None, "id"]),
    )
    with write_results(path, format_) as file:
        file.write(block)
    rows = [{**row, "id": None if row["id"] is None else str(row["id"])} for row in rows_of(path, format_)]
    assert rows == [
        {"row": 7, "id": str(uuid.UUID(int=5)), "status": "ledger.posted", "amount": 100, "field": None},
        {"row": 8, "id": None, "status": "invalid_input", "amount": 0, "field": "id"},
    ]


@every_format
def test_a_file_of_no_transfers_is_whole(tmp_path: Path, format_: Format) -> None:
    """An empty export has its columns and can be read."""
    path = tmp_path / "export"
    with write_transfers(path, format_):
        pass
    assert rows_of(path, format_) == []
    with open_transfers(path) as read:
        assert list(read) == []


@every_format
def test_a_file_has_its_name_when_it_is_complete(tmp_path: Path, format_: Format) -> None:
    """Until then an older one keeps it; and if the writing fails nothing new is left."""
    path = tmp_path / "export"
    path.write_text("older")
    failing = write_transfers(path, format_)
    with pytest.raises(ZeroDivisionError), failing as file:  # noqa: PT012 - both are what is tested
        file.write(posted())
        assert path.read_text() == "older"
        raise ZeroDivisionError
    assert [one.name for one in tmp_path.iterdir()] == ["export"]
    assert path.read_text() == "older"
    with write_transfers(path, format_) as file:
        file.write(posted())
    assert [one.name for one in tmp_path.iterdir()] == ["export"]
    assert len(rows_of(path, format_)) == 3


@every_format
def test_a_stream_gets_the_same_bytes_and_stays_open(tmp_path: Path, format_: Format) -> None:
    """An export goes over a network as it goes to a file."""
    stream = io.BytesIO()
    with write_transfers(stream, format_) as file:
        file.write(posted())
    assert not stream.closed
    path = tmp_path / "received"
    path.write_bytes(stream.getvalue())
    assert len(rows_of(path, format_)) == 3


@pytest.mark.parametrize("name", CONTRACTS)
def test_the_schema_in_contracts_is_the_one_that_is_written(name: str) -> None:
    """Who reads our files can rely on the file in contracts/."""
    held = (CONTRACTS_FOLDER / name).read_text(encoding="utf-8")
    assert held == schema_text(CONTRACTS[name]), "run: python -m tallystick.ledger.files.avro_schema"


def test_an_avro_file_carries_the_schema_of_the_contract() -> None:
    """The writer puts into the file what contracts/transfers.avsc says, documentation included."""
    stream = io.BytesIO()
    with write_transfers(stream, Format.AVRO) as file:
        file.write(posted())
    stream.seek(0)
    metadata = fastavro.reader(stream).metadata
    written = json.loads(metadata["avro.schema"])
    assert written == avro_schema(TRANSFERS) == json.loads((CONTRACTS_FOLDER / "transfers.avsc").read_text())


def test_every_number_is_written_as_avro_has_it(tmp_path: Path) -> None:
    """From the smallest to the largest, at each length that a number can have."""
    path = tmp_path / "numbers"
    edges = [2**power + by for power in range(63) for by in (-1, 0)] + [2**63 - 1]
    numbers = np.array([*edges, *(-edge for edge in edges), -(2**63)], dtype=np.int64)
    count = len(numbers)
    none = Codes.of(["x"] * count)
    block = Results(numbers, np.zeros(count, dtype="V16"), np.zeros(count, dtype=np.bool_), none, numbers, none)
    with write_results(path, Format.AVRO) as file:
        file.write(block)
    assert [row["row"] for row in rows_of(path, Format.AVRO)] == numbers.tolist()
