"""Reading files of transfers: every format gives the same rows, and a bad row costs itself alone."""

import gzip
import io
import subprocess
import sys
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any

import fastavro
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tallystick.errors import TallystickError
from tallystick.ledger.files import Block, Format, Kind, Rule, open_transfers
from tallystick.ledger.files.model import NEVER
from tallystick.ledger.model import WHEN_RECORDED

Write = Callable[[Path, pa.Table], None]
IDS = [uuid.UUID(int=number << 64 | 7) for number in range(1, 5)]
RAW = [one.bytes for one in IDS]


def write_avro(path: Path, table: pa.Table) -> None:
    """Write text, bytes and numbers as Avro has them, nulls allowed."""
    names = {pa.string(): "string", pa.binary(): "bytes", pa.int64(): "long"}
    micros = {"type": "long", "logicalType": "timestamp-micros"}
    kinds = {**names, pa.timestamp("us", tz="UTC"): micros, pa.binary(16): {"type": "fixed", "name": "Id", "size": 16}}
    fields = [{"name": field.name, "type": ["null", kinds[field.type]]} for field in table.schema]
    with path.open("wb") as file:
        fastavro.writer(file, {"type": "record", "name": "T", "fields": fields}, table.to_pylist(), codec="deflate")


def write_arrow(path: Path, table: pa.Table) -> None:
    """Write Arrow's file format in batches of three rows, compressed."""
    options = pa.ipc.IpcWriteOptions(compression="zstd")
    with pa.ipc.new_file(str(path), table.schema, options=options) as writer:
        writer.write_table(table, max_chunksize=3)


def write_stream(path: Path, table: pa.Table) -> None:
    """Write Arrow's stream."""
    with pa.ipc.new_stream(str(path), table.schema) as writer:
        writer.write_table(table)


def write_csv(path: Path, table: pa.Table) -> None:
    """Write CSV, ids as text."""
    cells = [[_cell(value) for value in column.to_pylist()] for column in table.itercolumns()]
    lines = [b",".join(row) for row in [[name.encode() for name in table.column_names], *zip(*cells, strict=True)]]
    path.write_bytes(b"".join(line + b"\n" for line in lines))


def _cell(value: object) -> bytes:
    if value is None:
        return b""
    text = value if isinstance(value, bytes) else str(value).encode()
    return b'"' + text.replace(b'"', b'""') + b'"' if b"," in text else text


def write_parquet(path: Path, table: pa.Table) -> None:
    """Write Parquet in row groups of three rows."""
    pq.write_table(table, path, row_group_size=3)


WRITERS: dict[Format, Write] = {
    Format.AVRO: write_avro,
    Format.PARQUET: write_parquet,
    Format.ARROW: write_arrow,
    Format.ARROW_STREAM: write_stream,
    Format.CSV: write_csv,
}
every_format = pytest.mark.parametrize("format_", WRITERS)


def table_of(**columns: Any) -> pa.Table:  # noqa: ANN401 - whatever Arrow takes for a column
    """Make four rows: the columns a file must have, and others in their place or beside them."""
    rows = {
        "id": [str(one) for one in IDS],
        "debit": ["a", "b", "a", "c"],
        "credit": ["c", "c", "c", "a"],
        "amount": pa.array([1, 2, 3, 2**63 - 1], pa.int64()),
    }
    wanted = {name: column for name, column in (rows | columns).items() if column is not None}
    return pa.table(wanted)


def read(path: Path) -> list[Block]:
    """Read the file at *path* to its end."""
    with open_transfers(path) as file:
        return list(file)


def told(blocks: list[Block]) -> dict[int, tuple[str, str]]:
    """Return, by row of the file, the field and the rule of each refusal."""
    return {
        block.first_row + one.place: (one.field, one.rule)
        for block in blocks
        for one in block.refused
        if block.bad[one.place]
    }


def column(blocks: list[Block], name: str) -> list[Any]:
    """Write one column of all blocks out."""
    values: list[Any] = []
    for block in blocks:
        held = getattr(block, name)
        values += (
            held.texts() if hasattr(held, "texts") else [getattr(one, "tobytes", lambda o=one: o)() for one in held]
        )
    return values


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Return where a test's file goes; its name says nothing of a format."""
    return tmp_path / "transfers"


@every_format
def test_every_format_gives_the_same_rows(path: Path, format_: Format) -> None:
    """Which format a file has makes no difference to what is read of it."""
    texts = ["2026-01-01T00:00:00Z", None, "1969-12-31T23:59:59.999999Z", "2026-06-01T12:00:00+02:00"]
    table = table_of(
        asset=["USD", None, "EUR", "USD"],
        reason=pa.array([None, "fee", None, "payment"]),
        reference=["r1", "ü" * 255, None, "r,4"],
        effective_at=texts,
    )
    WRITERS[format_](path, table)
    with open_transfers(path) as file:
        blocks = list(file)
        assert file.format is format_
        assert file.rows_total == (4 if format_ is Format.PARQUET else None)
        assert file.bytes_read == (0 if format_ is Format.PARQUET else file.size) or format_ is Format.ARROW
    assert told(blocks) == {}
    assert column(blocks, "ids") == RAW
    assert column(blocks, "debits") == ["a", "b", "a", "c"]
    assert column(blocks, "credits") == ["c", "c", "c", "a"]
    assert np.concatenate([block.amounts for block in blocks]).tolist() == [1, 2, 3, 2**63 - 1]
    assert column(blocks, "assets") == ["USD", None, "EUR", "USD"]
    assert column(blocks, "reasons") == [None, "fee", None, "payment"]
    assert column(blocks, "references") == ["r1", "ü" * 255, None, "r,4"]
    instants = np.concatenate([block.effective_at for block in blocks if block.effective_at is not None]).tolist()
    assert instants == [1_767_225_600_000_000, WHEN_RECORDED, -1, 1_780_308_000_000_000]
    assert blocks[0].kinds is None
    assert blocks[0].related is None


@every_format
def test_a_bad_row_is_refused_by_row_and_spoils_no_neighbour(path: Path, format_: Format) -> None:
    """The row before and the row after stand as if it were not there, whatever the format."""
    table = table_of(debit=["a", "b\x01", "", "c"], amount=[1, 2, 3, -4])
    WRITERS[format_](path, table)
    blocks = read(path)
    empty = Rule.GIVEN if format_ is Format.CSV else Rule.LENGTH
    assert told(blocks) == {2: ("debit", Rule.PRINTABLE), 3: ("debit", empty), 4: ("amount", Rule.POSITIVE)}
    assert column(blocks, "debits")[0] == "a"
    assert sum(len(block) for block in blocks) == 4


@every_format
@pytest.mark.parametrize(
    ("name", "value", "rule"),
    [
        ("id", b"00000000-0000-0001-0000-00000000000g", Rule.UUID),
        ("id", b"0000000000000001000000000000000700", Rule.UUID),
        ("id", b"000000000-000-0001-0000-000000000007", Rule.UUID),
        ("id", b"\xff" * 36, Rule.UUID),
        ("id", b"x" * 3000, Rule.UUID),
        ("id", None, Rule.GIVEN),
        ("debit", None, Rule.GIVEN),
        ("credit", b"\xff", Rule.UTF8),
        ("credit", b"x" * 256, Rule.LENGTH),
        ("credit", "é".encode() * 256, Rule.LENGTH),
        ("credit", b"x" * 100_000, Rule.LENGTH),
        ("debit", b"a\x7fb", Rule.PRINTABLE),
        ("debit", "a\u0085b".encode(), Rule.PRINTABLE),
        ("asset", b"\x00", Rule.PRINTABLE),
        ("reference", b"\xc3", Rule.UTF8),
        ("reference", b"y" * 1021, Rule.LENGTH),
        ("amount", b"1.0", Rule.INTEGER),
        ("amount", b"0x1F", Rule.INTEGER),
        ("amount", b" 1", Rule.INTEGER),
        ("amount", b"1e3", Rule.INTEGER),
        ("amount", b"0", Rule.POSITIVE),
        ("amount", b"-5", Rule.POSITIVE),
        ("amount", b"9223372036854775808", Rule.SMALL_ENOUGH),
        ("amount", b"9" * 1000, Rule.SMALL_ENOUGH),
        ("amount", None, Rule.GIVEN),
        ("effective_at", b"2026-01-01T00:00:00", Rule.INSTANT),
        ("effective_at", b"2026-02-30T00:00:00Z", Rule.INSTANT),
        ("effective_at", b"2026-01-01", Rule.INSTANT),
        ("effective_at", b"1767225600", Rule.INSTANT),
        ("effective_at", b"9999-01-01T00:00:00Z", Rule.CALENDAR),
        ("effective_at", b"2026-01-01T00:00:00.0000001Z", Rule.MICROSECONDS),
    ],
)
def test_each_rule_is_told_by_row_and_field(
    path: Path, format_: Format, name: str, value: bytes | None, rule: Rule
) -> None:
    """For whoever wrote the file: which row, which field, and what it must keep."""
    good: dict[str, list[bytes | None]] = {
        "id": [str(one).encode() for one in IDS],
        "amount": [b"1", b"22", b"333", b"4444"],
        "effective_at": [b"2026-01-01T00:00:00Z"] * 4,
    }
    column_ = list(good.get(name, [b"x", b"y", b"z", b"x"]))
    column_[2] = value
    WRITERS[format_](path, table_of(**{name: pa.array(column_, pa.binary())}))
    assert told(read(path)) == {3: (name, rule)}


def test_numbers_and_instants_in_their_own_types_are_judged_too(path: Path) -> None:
    """A column of numbers or timestamps is read as it is, and each value is held to its rule."""
    day = 86_400_000_000_000
    table = table_of(
        amount=pa.array([1, 2**63, 3, None], pa.uint64()),
        effective_at=pa.array([day, 1000, 1001, day], pa.timestamp("ns", tz="Europe/Berlin")),
    )
    write_parquet(path, table)
    blocks = read(path)
    assert told(blocks) == {
        2: ("amount", Rule.SMALL_ENOUGH),
        3: ("effective_at", Rule.MICROSECONDS),
        4: ("amount", Rule.GIVEN),
    }
    instants = np.concatenate([block.effective_at for block in blocks if block.effective_at is not None])
    assert instants[:2].tolist() == [86_400_000_000, 1]


def test_long_views_are_refused_and_short_ones_read(path: Path) -> None:
    """A view may be of any length; one that is too long costs its own row."""
    references = pa.array(["short", "x" * 5000, "long enough to stand elsewhere", None], pa.string_view())
    write_stream(path, table_of(reference=references, debit=references))
    blocks = read(path)
    assert told(blocks) == {2: ("debit", Rule.LENGTH), 4: ("debit", Rule.GIVEN)}
    assert column(blocks, "references")[::2] == ["short", "long enough to stand elsewhere"]


@pytest.mark.parametrize("unit", ["s", "ms", "us"])
def test_an_instant_out_of_the_calendar_is_refused_in_every_unit(path: Path, unit: str) -> None:
    """What no calendar has cannot overflow into what one has."""
    table = table_of(effective_at=pa.array([0, 2**63 - 1, -(2**63), None], pa.timestamp(unit, tz="UTC")))
    write_stream(path, table)
    assert told(read(path)) == {2: ("effective_at", Rule.CALENDAR), 3: ("effective_at", Rule.CALENDAR)}


@pytest.mark.parametrize(
    "ids",
    [
        pa.array(RAW, pa.binary(16)),
        pa.ExtensionArray.from_storage(pa.uuid(), pa.array(RAW, pa.binary(16))),
        pa.array([str(one).upper() for one in IDS]),
        pa.array([str(one) for one in IDS], pa.large_string()),
        pa.array([str(one) for one in IDS], pa.string_view()),
        pa.array([str(one) for one in IDS]).dictionary_encode(),
        pa.array(RAW, pa.binary(16)).dictionary_encode(),
    ],
    ids=str,
)
def test_an_id_may_be_written_in_many_ways(path: Path, ids: pa.Array) -> None:
    """Text in either case, 16 bytes, Arrow's UUID, plain or as a dictionary: the same ids."""
    write_stream(path, table_of(id=ids))
    assert column(read(path), "ids") == RAW


def test_codes_may_be_a_dictionary_of_which_little_is_used(path: Path) -> None:
    """A block names the codes it uses, however many the file's dictionary has."""
    names = pa.array([f"account-{number}" for number in range(100_000)])
    debits = pa.DictionaryArray.from_arrays(pa.array([7, None, 99_999, 7], pa.int32()), names)
    write_stream(path, table_of(debit=debits))
    (block,) = read(path)
    assert block.debits.texts() == ["account-7", None, "account-99999", "account-7"]
    assert len(block.debits.distinct) <= 3
    assert told([block]) == {2: ("debit", Rule.GIVEN)}


def test_each_kind_has_the_fields_it_needs_and_no_others(path: Path) -> None:
    """A capture names its hold and maybe an amount, a transfer two accounts; a row that mixes them up is refused."""
    one = str(IDS[0])
    rows: list[tuple[dict[str, object], tuple[str, str] | None]] = [
        ({"debit": "a", "credit": "b", "amount": 1}, None),
        ({"kind": "sweep", "debit": "a", "credit": "b", "amount": 1}, None),
        ({"kind": "hold", "debit": "a", "credit": "b", "amount": 1, "expires_at": "2026-01-01T00:00:00Z"}, None),
        ({"kind": "capture", "hold": one}, None),
        ({"kind": "capture", "hold": one, "amount": 5}, None),
        ({"kind": "release", "hold": one}, None),
        ({"kind": "reversal", "reverses": one}, None),
        ({"kind": "exchange", "debit": "a", "credit": "b", "amount": 1}, ("kind", Rule.KIND)),
        ({"kind": "capture"}, ("hold", Rule.GIVEN)),
        ({"kind": "capture", "hold": one, "debit": "a"}, ("debit", Rule.NOT_GIVEN)),
        ({"kind": "release", "hold": one, "amount": 1}, ("amount", Rule.NOT_GIVEN)),
        ({"kind": "reversal", "hold": one, "reverses": one}, ("hold", Rule.NOT_GIVEN)),
        ({"kind": "reversal", "reverses": "x"}, ("reverses", Rule.UUID)),
        ({"debit": "a", "credit": "b", "amount": 1, "reverses": one}, ("reverses", Rule.NOT_GIVEN)),
        ({"kind": "sweep", "debit": "a", "credit": "b", "amount": 1, "reason": "fee"}, ("reason", Rule.NOT_GIVEN)),
        (
            {"debit": "a", "credit": "b", "amount": 1, "expires_at": "2026-01-01T00:00:00Z"},
            ("expires_at", Rule.NOT_GIVEN),
        ),
        ({"kind": "hold", "debit": "a", "credit": "b"}, ("amount", Rule.GIVEN)),
    ]
    names = ["kind", "debit", "credit", "amount", "hold", "reverses", "reason", "expires_at"]
    columns: dict[str, Any] = {name: [row.get(name) for row, _ in rows] for name in names}
    write_parquet(path, pa.table({"id": [str(uuid.UUID(int=number)) for number in range(len(rows))], **columns}))
    blocks = read(path)
    assert told(blocks) == {place + 1: refusal for place, (_, refusal) in enumerate(rows) if refusal is not None}
    kinds = np.concatenate([block.kinds for block in blocks if block.kinds is not None])[:7].tolist()
    assert [Kind(number) for number in kinds] == [
        Kind.TRANSFER, Kind.SWEEP, Kind.HOLD, Kind.CAPTURE, Kind.CAPTURE, Kind.RELEASE, Kind.REVERSAL,
    ]  # fmt: skip
    assert column(blocks, "related")[3:7] == [RAW[0]] * 4
    expiries = np.concatenate([block.expires_at for block in blocks if block.expires_at is not None]).tolist()
    assert expiries[1:3] == [NEVER, 1_767_225_600_000_000]


@every_format
def test_unknown_columns_are_refused_by_name(path: Path, format_: Format) -> None:
    """A column that nobody would read is a misspelt one, so the file is refused before any row of it."""
    WRITERS[format_](path, table_of(efective_at=["x"] * 4))
    with pytest.raises(TallystickError, match="efective_at") as refused:
        open_transfers(path)
    assert refused.value.code == "ledger.unknown_columns"


@every_format
def test_missing_columns_are_refused_by_name(path: Path, format_: Format) -> None:
    """What every row would lack is told once."""
    WRITERS[format_](path, table_of(debit=None, amount=None))
    with pytest.raises(TallystickError, match="debit, amount") as refused:
        open_transfers(path)
    assert refused.value.code == "ledger.missing_columns"


@pytest.mark.parametrize(
    "wrong",
    [
        {"amount": pa.array([1.0, 2.0, 3.0, 4.0])},
        {"debit": pa.array([["a"], ["b"], [], None])},
        {"id": pa.array([1, 2, 3, 4])},
        {"effective_at": pa.array([1, 2, 3, 4], pa.int64())},
        {"effective_at": pa.array([1, 2, 3, 4], pa.timestamp("us"))},
        {"reference": pa.array([{"a": 1}] * 4)},
    ],
    ids=lambda wrong: str(next(iter(wrong.values())).type),
)
@pytest.mark.parametrize("format_", [Format.PARQUET, Format.ARROW_STREAM])
def test_a_column_of_a_type_that_says_too_little_is_refused(
    path: Path, format_: Format, wrong: dict[str, pa.Array]
) -> None:
    """A number has no unit, a local time no zone, a float no exactness; a nested value is none at all."""
    WRITERS[format_](path, table_of(**wrong))
    with pytest.raises(TallystickError) as refused:
        open_transfers(path)
    assert (refused.value.code, refused.value.field) == ("ledger.column_type", next(iter(wrong)))


@every_format
def test_a_file_of_no_rows_is_a_file(path: Path, format_: Format) -> None:
    """Nothing is read of it and nothing is wrong with it."""
    WRITERS[format_](path, table_of().slice(0, 0))
    assert read(path) == []


@every_format
def test_a_stream_that_is_read_once_gives_what_a_file_gives(path: Path, format_: Format) -> None:
    """A body that arrives over a network can neither be measured nor read again."""
    WRITERS[format_](path, table_of())

    class Once(io.RawIOBase):
        def __init__(self, data: bytes) -> None:
            self._data = io.BytesIO(data)

        def read(self, count: int = -1) -> bytes:
            return self._data.read(min(count, 7) if count >= 0 else 7)

    with open_transfers(Once(path.read_bytes())) as file:  # type: ignore[arg-type]  # what a stream must have is read()
        assert column(list(file), "ids") == RAW
        assert file.size is None


@pytest.mark.parametrize("codec", ["null", "deflate", "bzip2", "xz"])
def test_avro_in_each_codec_of_its_own(path: Path, codec: str) -> None:
    """Whoever writes the file chooses the codec."""
    schema = {"type": "record", "name": "T", "fields": [
        {"name": "id", "type": {"type": "string", "logicalType": "uuid"}},
        {"name": "debit", "type": {"type": "enum", "name": "E", "symbols": ["a", "b"]}},
        {"name": "credit", "type": {"type": "string", "avro.java.string": "String"}},
        {"name": "amount", "type": ["long", "null"]},
        {"name": "place", "type": "int"},
    ]}  # fmt: skip
    rows = [{"id": one, "debit": "ab"[n % 2], "credit": "c", "amount": n + 1, "place": 9} for n, one in enumerate(IDS)]
    with path.open("wb") as file:
        fastavro.writer(file, schema, rows, codec=codec)
    blocks = read(path)
    assert told(blocks) == {}
    assert (column(blocks, "ids"), column(blocks, "debits")) == (RAW, ["a", "b", "a", "b"])


def test_many_small_avro_blocks_become_few_large_ones(path: Path) -> None:
    """What is posted at once does not depend on how the file was cut."""
    schema = {"type": "record", "name": "T", "fields": [
        {"name": "place", "type": "long"},
        {"name": "id", "type": "string"}, {"name": "debit", "type": "string"},
        {"name": "credit", "type": "string"}, {"name": "amount", "type": "long"},
    ]}  # fmt: skip
    amounts = [1, 63, 64, 127, 128, 8191, 8192, 2**31, 2**63 - 1] * 1000
    rows = [
        {"place": n, "id": str(uuid.UUID(int=n)), "debit": "d" * (n % 200 + 1), "credit": "c", "amount": amount}
        for n, amount in enumerate(amounts)
    ]
    with path.open("wb") as file:
        fastavro.writer(file, schema, rows, sync_interval=500)
    blocks = read(path)
    assert [len(block) for block in blocks] == [8192, 808]
    assert np.concatenate([block.amounts for block in blocks]).tolist() == amounts
    assert column(blocks, "debits") == [row["debit"] for row in rows]


HEADER = b"id,debit,credit,amount\n"
LINE = str(IDS[0]).encode() + b",a,b,5\n"


@pytest.mark.parametrize("pack", [bytes, gzip.compress, lambda data: pa.compress(data, "zstd", asbytes=True)])
@pytest.mark.parametrize("line_break", [b"\n", b"\r\n"])
def test_csv_may_be_compressed_and_may_come_from_windows(
    path: Path, pack: Callable[[bytes], bytes], line_break: bytes
) -> None:
    """Line breaks, a byte order mark, blank lines, quotes and compression change nothing."""
    quoted = b'"' + str(IDS[1]).encode() + b'","x, ""y""",b,"6"\n'
    text = b"\xef\xbb\xbf" + HEADER + LINE + b"\n" + quoted
    path.write_bytes(pack(text.replace(b"\n", line_break)))
    blocks = read(path)
    assert told(blocks) == {}
    assert column(blocks, "debits") == ["a", 'x, "y"']
    assert column(blocks, "ids") == RAW[:2]


@pytest.mark.parametrize(
    "bad",
    [
        b"x,y\n",
        b"x,y,z,1,2,3\n",
        b'x,"never closed,b,5\n',
        b'x,a"b,"c,5\n',
        b'x,5" pipe,b,5\n',
        b"x,a\rb,c,5\n",
    ],
)
def test_a_line_of_csv_that_is_no_row_takes_no_other_with_it(path: Path, bad: bytes) -> None:
    """A quote that is never closed would swallow what follows; a row is a line, so it swallows nothing."""
    path.write_bytes(HEADER + LINE + bad + b"\n" + LINE + bad + LINE)
    blocks = read(path)
    assert set(told(blocks)) == {2, 4}
    assert [block.amounts[~block.bad].tolist() for block in blocks] == [[5, 5, 5]]


def test_a_last_line_without_its_line_break_is_not_believed(path: Path) -> None:
    """5 may be the beginning of 5000, so what is cut there is told and not posted."""
    path.write_bytes(HEADER + LINE + LINE.rstrip())
    with open_transfers(path) as file, pytest.raises(TallystickError, match="after row 1") as refused:
        assert [len(block) for block in iterate(file)] == [1]
    assert refused.value.code == "ledger.damaged_file"


def iterate(blocks: Any) -> list[Block]:  # noqa: ANN401 - anything that gives blocks
    """Collect blocks."""
    return list(blocks)


def test_blocks_of_csv_are_full_whatever_the_pieces(path: Path) -> None:
    """Rows are numbered through, and none is lost where one piece ends and the next begins."""
    count = 20_000
    lines = [f"{uuid.UUID(int=n)},{'a' * (n % 90 + 1)},b,{n + 1}\n" for n in range(count)]
    path.write_text(HEADER.decode() + "".join(lines))
    blocks = read(path)
    assert [(block.first_row, len(block)) for block in blocks] == [(1, 8192), (8193, 8192), (16385, 3616)]
    assert np.concatenate([block.amounts for block in blocks]).tolist() == list(range(1, count + 1))


@given(st.lists(st.binary(max_size=12), min_size=1, max_size=30))
@settings(max_examples=60, deadline=None)
def test_every_line_of_csv_is_a_row_or_a_refusal(lines: list[bytes]) -> None:
    """Whatever bytes a file has, each line that is not blank is accounted for once, in its place."""
    clean = [line.replace(b"\n", b"").removesuffix(b"\r") for line in lines]
    text = HEADER + b"".join(line + b"\n" + LINE for line in clean)
    with open_transfers(io.BytesIO(text)) as file:
        blocks = list(file)
    expected = [good for line in clean for good in ([False, True] if line else [True])]
    assert [not bad for block in blocks for bad in block.bad.tolist()] == expected


def test_nothing_of_arrow_is_loaded_before_a_file_is_opened() -> None:
    """The command line starts without the third of a second that Arrow takes."""
    script = "import sys, tallystick.ledger.files; sys.exit('pyarrow' in sys.modules)"
    subprocess.run([sys.executable, "-c", script], check=True)
