"""Files that are cut short, that lie about their size, or that are no files of transfers at all."""

import gzip
import io
import json
import random
import resource
import subprocess
import sys
import zlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tallystick.errors import TallystickError
from tallystick.ledger.files import Block, Format, Refusal, open_transfers
from tests.unit.test_ledger_files_read import HEADER, LINE, WRITERS, every_format, table_of, told

ROWS = 6000
MEBIBYTE = 1 << 20


def many(count: int = ROWS) -> pa.Table:
    """Make many rows, no two alike."""
    numbers = np.arange(1, count + 1)
    return pa.table({
        "id": pa.array([f"00000000-0000-7000-8000-{number:012x}" for number in numbers.tolist()]),
        "debit": pa.array([f"customers/{number % 997}" for number in numbers.tolist()]),
        "credit": pa.array(["sales"] * count),
        "amount": pa.array(numbers, pa.int64()),
    })  # fmt: skip


def read_until(path: Path) -> tuple[list[Block], TallystickError | None]:
    """Read as much of a file as can be read, and return what ended it."""
    blocks: list[Block] = []
    try:
        with open_transfers(path) as file:
            for block in file:
                blocks.append(block)  # noqa: PERF402 - what came before an error is looked at
    except TallystickError as error:
        return blocks, error
    return blocks, None


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Return where a test's file goes."""
    return tmp_path / "transfers"


@pytest.mark.parametrize("format_", [Format.AVRO, Format.ARROW, Format.ARROW_STREAM, Format.CSV])
def test_of_a_file_cut_short_the_rows_before_the_cut_are_handed_out(path: Path, format_: Format) -> None:
    """What arrived is read, exactly; then it is told after which row nothing could be."""
    table = many()
    WRITERS[format_](path, pa.Table.from_batches(table.to_batches(max_chunksize=1000)))
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) * 5 // 6])
    blocks, error = read_until(path)
    read = sum(len(block) for block in blocks)
    amounts = [amount for block in blocks for amount in block.amounts.tolist()]
    assert error is not None
    assert error.code == "ledger.damaged_file"
    assert f"after row {read}:" in error.message
    assert 0.5 * ROWS < read < ROWS
    assert amounts == list(range(1, read + 1))
    assert told(blocks) == {}


def test_a_parquet_file_cut_short_has_no_index_and_so_no_rows(path: Path) -> None:
    """Parquet tells what is in it at its end."""
    WRITERS[Format.PARQUET](path, table_of())
    path.write_bytes(path.read_bytes()[:-20])
    with pytest.raises(TallystickError, match="after row 0") as refused:
        open_transfers(path)
    assert refused.value.code == "ledger.damaged_file"


@pytest.mark.parametrize("seed", [20_261_122])
@every_format
def test_no_damage_crashes_a_reader(path: Path, format_: Format, seed: int) -> None:
    """Whichever bytes are changed, a file is read, refused by row, or refused by an error of ours."""
    chance = random.Random(seed)
    WRITERS[format_](path, table_of(reference=["x", None, "y", "z"], debit=pa.array(["a", "b", "a", "c"])))
    whole = path.read_bytes()
    for _ in range(120):
        damaged = bytearray(whole)
        for _ in range(chance.randrange(1, 4)):
            damaged[chance.randrange(len(damaged))] = chance.randrange(256)
        path.write_bytes(damaged[: chance.randrange(1, len(damaged) + 1)] if chance.random() < 0.2 else damaged)
        blocks, error = read_until(path)
        assert error is None or error.kind.value in {"invalid", "too_large"}
        for block in blocks:
            assert len(block.debits.index) == len(block.amounts) == len(block)
            assert {one.place for one in block.refused} == set(np.flatnonzero(block.bad).tolist())


def varint(number: int) -> bytes:
    """Write a number as Avro does."""
    number, out = number << 1, b""
    while number > 0x7F:
        out += bytes([number & 0x7F | 0x80])
        number >>= 7
    return out + bytes([number])


def avro_header(codec: str) -> bytes:
    """Write the header of a container file with the least of columns."""
    fields = [{"name": name, "type": "string"} for name in ("id", "debit", "credit")]
    schema = json.dumps({"type": "record", "name": "T", "fields": [*fields, {"name": "amount", "type": "long"}]})
    pairs = [(b"avro.schema", schema.encode()), (b"avro.codec", codec.encode())]
    entries = b"".join(varint(len(part)) + part for pair in pairs for part in pair)
    return b"Obj\x01" + varint(2) + entries + b"\0" + bytes(16)


def deflated(count: int) -> bytes:
    """Compress *count* zeros, which takes a thousandth of their number."""
    squeeze = zlib.compressobj(9, wbits=-15)
    return b"".join([squeeze.compress(bytes(MEBIBYTE)) for _ in range(count // MEBIBYTE)] + [squeeze.flush()])


@pytest.mark.parametrize(
    ("codec", "content"),
    [
        ("deflate", lambda: deflated(1 << 27)),
        ("snappy", lambda: b"\xff\xff\xff\xff\x07" + bytes(64)),
        ("zstandard", lambda: pa.compress(bytes(1 << 27), "zstd", asbytes=True)),
    ],
)
def test_an_avro_block_that_would_become_too_large_is_refused(
    path: Path, codec: str, content: Callable[[], bytes]
) -> None:
    """A few kilobytes cannot become a hundred megabytes."""
    data = content()
    path.write_bytes(avro_header(codec) + varint(1) + varint(len(data)) + data + bytes(16))
    blocks, error = read_until(path)
    assert blocks == []
    assert error is not None
    assert error.code == "ledger.piece_too_large"


@pytest.mark.parametrize("codec", ["snappy", "zstandard"])
def test_a_block_in_a_codec_that_avro_borrowed_is_read(path: Path, codec: str) -> None:
    """Snappy has its checksum behind it, Zstandard has its own; both are held against what came out."""
    row = varint(36) + b"00000000-0000-7000-8000-000000000001" + varint(1) + b"a" + varint(1) + b"b" + varint(300)
    rows = row * 500
    data = pa.compress(rows, codec.replace("zstandard", "zstd"), asbytes=True)
    if codec == "snappy":
        data += zlib.crc32(rows).to_bytes(4, "big")
    whole = avro_header(codec) + varint(500) + varint(len(data)) + data + bytes(16)
    path.write_bytes(whole)
    blocks, error = read_until(path)
    assert error is None
    assert [amount for block in blocks for amount in block.amounts.tolist()] == [300] * 500
    path.write_bytes(whole.replace(data, data[:-1] + b"\0"))
    blocks, error = read_until(path)
    assert codec == "zstandard" or (error is not None and not blocks)


@pytest.mark.parametrize(("count", "size"), [(1 << 40, 10), (1, 1 << 40), (5, 0)])
def test_an_avro_block_is_not_believed_about_its_rows(path: Path, count: int, size: int) -> None:
    """A block that says it has a million million rows has those that are in it."""
    path.write_bytes(avro_header("null") + varint(count) + varint(size) + bytes(min(size, 100)) + bytes(16))
    blocks, error = read_until(path)
    assert error is not None
    assert error.code in {"ledger.damaged_file", "ledger.piece_too_large"}
    assert sum(len(block) for block in blocks) == (2 if size == 10 else 0)


def test_a_footer_that_contradicts_itself_does_not_end_the_process(path: Path) -> None:
    """Arrow ends the process when it is asked about a column whose level histogram has a wrong length; it is not asked."""
    WRITERS[Format.PARQUET](path, table_of(reference=["x", None, "y", "z"]))
    whole = path.read_bytes()
    length = int.from_bytes(whole[-8:-4], "little")
    begin = len(whole) - 8 - length
    for place in range(begin, len(whole) - 8, 3):
        damaged = bytearray(whole)
        damaged[place] ^= 0x10
        path.write_bytes(damaged)
        _, error = read_until(path)
        assert error is None or error.code.startswith("ledger.")


def test_a_parquet_page_that_is_too_large_is_refused(path: Path) -> None:
    """Its header is read before it is; Arrow would allocate whatever it says."""
    large = pa.array(["x" * (80 * MEBIBYTE), "y", "y", "y"])
    pq.write_table(table_of(reference=large), path, use_dictionary=False, compression="zstd")
    blocks, error = read_until(path)
    assert blocks == []
    assert error is not None
    assert (error.code, "reference" in error.message) == ("ledger.piece_too_large", True)


def test_a_long_text_in_a_parquet_dictionary_is_not_written_out_for_every_row(path: Path) -> None:
    """Rows that name one text of a megabyte would be a megabyte each."""
    rows = 100
    table = many(rows).append_column("reference", pa.array(["x" * MEBIBYTE] * rows))
    pq.write_table(table, path, compression="zstd")
    _, error = read_until(path)
    assert error is not None
    assert error.code == "ledger.piece_too_large"
    codes = many(rows).set_column(1, "debit", pa.array(["x" * MEBIBYTE] * rows))
    pq.write_table(codes, path, compression="zstd")
    blocks, error = read_until(path)
    assert error is None
    assert len(told(blocks)) == rows


@pytest.mark.parametrize("format_", [Format.ARROW, Format.ARROW_STREAM])
def test_an_arrow_batch_that_would_become_too_large_is_refused(path: Path, format_: Format) -> None:
    """Its buffers say what they become before they do."""
    large = pa.array(["x" * (300 * MEBIBYTE), "y", "y", "y"])
    options = pa.ipc.IpcWriteOptions(compression="zstd")
    table = table_of(reference=large)
    make = pa.ipc.new_file if format_ is Format.ARROW else pa.ipc.new_stream
    with make(str(path), table.schema, options=options) as writer:
        writer.write_table(table)
    assert path.stat().st_size < MEBIBYTE
    _, error = read_until(path)
    assert error is not None
    assert (error.code, error.kind.value) == ("ledger.piece_too_large", "too_large")


def test_views_and_dictionaries_of_one_long_text_are_not_written_out(path: Path) -> None:
    """A thousand views of one megabyte are a thousand refused rows, and still one megabyte."""
    rows = 1000
    text = pa.array(["x" * MEBIBYTE])
    views = pa.DictionaryArray.from_arrays(pa.array([0] * rows, pa.int32()), text)
    table = many(rows).append_column("reference", views)
    WRITERS[Format.ARROW_STREAM](path, table)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    blocks, error = read_until(path)
    assert error is None
    assert {field for field, _ in told(blocks).values()} == {"reference"}
    assert len(told(blocks)) == rows
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 200 * 1024


def test_indices_that_point_outside_are_refused(path: Path) -> None:
    """An index is not followed before it was held against the dictionary."""
    wrong = pa.DictionaryArray.from_arrays(pa.array([0, 1, 77, 0], pa.int32()), pa.array(["a", "b"]), safe=False)
    with pa.ipc.new_stream(str(path), table_of(debit=wrong).schema) as writer:
        writer.write_table(table_of(debit=wrong))
    _, error = read_until(path)
    assert error is not None
    assert error.code == "ledger.damaged_file"


def test_a_line_of_csv_without_end_is_refused(path: Path) -> None:
    """Two hundred megabytes without a line break, a fifth of one when compressed, are not kept in memory."""
    path.write_bytes(gzip.compress(HEADER + LINE + b"x" * (200 * MEBIBYTE), 1))
    blocks, error = read_until(path)
    assert error is not None
    assert (error.code, len(blocks)) == ("ledger.piece_too_large", 0)


def test_gzip_cut_short_gives_its_rows_and_then_the_damage(path: Path) -> None:
    """What could be decompressed is read."""
    packed = gzip.compress(HEADER + LINE * 50_000)
    path.write_bytes(packed[:-6])
    blocks, error = read_until(path)
    assert error is not None
    assert error.code == "ledger.damaged_file"
    assert sum(len(block) for block in blocks) > 0
    assert f"after row {sum(len(block) for block in blocks)}:" in error.message


@pytest.mark.parametrize(
    ("data", "code"),
    [
        (b"", "ledger.unknown_format"),
        (b"\0\0\0\0", "ledger.unknown_format"),
        (b"\x89PNG\r\n\x1a\n", "ledger.unknown_format"),
        (b"PARE" + bytes(100), "ledger.unknown_format"),
        (b"PAR1", "ledger.damaged_file"),
        (b"ARROW1\0\0", "ledger.damaged_file"),
        (b"\xff\xff\xff\xff", "ledger.damaged_file"),
        (b"\xff\xff\xff\xff\xff\xff\xff\x7f", "ledger.piece_too_large"),
        (b"Obj\x01", "ledger.damaged_file"),
        (b"Obj\x01" + b"\xff" * 20, "ledger.damaged_file"),
        (b"\x1f\x8b", "ledger.damaged_file"),
        (b"hello\n", "ledger.unknown_columns"),
        (b"id,id,debit,credit,amount\n", "ledger.column_twice"),
        (b'"id,debit\n', "ledger.damaged_file"),
        (b"[" * 100_000, "ledger.unknown_columns"),
    ],
)
def test_what_is_no_file_of_transfers_says_so(path: Path, data: bytes, code: str) -> None:
    """Not one of them is an error of ours that nobody thought of."""
    path.write_bytes(data)
    with pytest.raises(TallystickError) as refused:
        open_transfers(path)
    assert refused.value.code == code


def test_a_file_is_what_its_bytes_say(path: Path) -> None:
    """Neither its name nor its sender is believed against them."""
    WRITERS[Format.PARQUET](path, table_of())
    with pytest.raises(TallystickError) as refused:
        open_transfers(path, Format.CSV)
    assert refused.value.code == "ledger.other_format"
    with open_transfers(path, Format.PARQUET) as file:
        assert file.format is Format.PARQUET


def test_what_is_not_a_regular_file_is_not_waited_for(tmp_path: Path) -> None:
    """A folder, or nothing, cannot be read."""
    for where in (tmp_path, tmp_path / "absent"):
        with pytest.raises(TallystickError) as refused:
            open_transfers(where)
        assert refused.value.code == "ledger.unreadable_file"


def test_a_refusal_has_the_place_in_its_block(path: Path) -> None:
    """The number in the file is the block's first row and the place in it."""
    path.write_bytes(HEADER + LINE * 8192 + LINE.replace(b",5", b",x") + LINE)
    blocks, error = read_until(path)
    assert error is None
    assert [block.first_row for block in blocks] == [1, 8193]
    assert blocks[1].refused == [Refusal(0, "amount", "must be an integer")]


@pytest.mark.parametrize("format_", [Format.PARQUET, Format.CSV])
def test_memory_does_not_grow_with_the_file(tmp_path: Path, format_: Format) -> None:
    """Four times the rows, in one row group, are read in about the same memory."""
    peaks = []
    for rows in (40_000, 160_000):
        path = tmp_path / str(rows)
        table = many(rows)
        if format_ is Format.PARQUET:
            pq.write_table(table, path, row_group_size=rows)
        else:
            WRITERS[format_](path, table)
        script = (
            "import sys; from pathlib import Path; from tallystick.ledger.files import open_transfers\n"
            "from tests.peak_memory import peak_kib\n"
            "rows = sum(len(block) for block in open_transfers(Path(sys.argv[1])))\n"
            "print(rows, peak_kib())"
        )
        done = subprocess.run([sys.executable, "-c", script, path], check=True, capture_output=True, text=True)
        read, peak = map(int, done.stdout.split())
        assert read == rows
        peaks.append(peak)
    assert peaks[1] - peaks[0] < 24 * 1024, f"peaks in KiB: {peaks}"


def test_a_stream_stays_its_owners() -> None:
    """Who hands a stream in closes it."""
    stream = io.BytesIO(HEADER + LINE)
    with open_transfers(stream) as file:
        assert sum(len(block) for block in file) == 1
    assert not stream.closed
