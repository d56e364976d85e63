"""Columns of text, looked at by their bytes: none is trusted to be UTF-8, and none is long."""

import re
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from tallystick.ledger.files.columns import is_text
from tallystick.ledger.files.model import ABSENT, Codes, Mask, Places, Rule

MOST_CHARACTERS = 255
MOST_BYTES = 4 * MOST_CHARACTERS
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f]")
_FEW = 4
"""A dictionary this many times the size of a block is searched for what the block uses; a larger one is not."""

_INLINE = 12
"""A view of so many bytes or fewer holds them itself (Arrow's columnar format, variable-size binary view)."""

_AS_BYTES = {
    pa.string(): pa.binary(),
    pa.large_string(): pa.large_binary(),
    pa.string_view(): pa.binary_view(),
}

Bytes = npt.NDArray[np.uint8]
Offsets = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Texts:
    """A column of bytes: value *i* is ``data[starts[i]:ends[i]]``; of no value more than ``MOST_BYTES`` is wanted."""

    data: Bytes
    starts: Offsets
    ends: Offsets
    absent: Mask

    @property
    def lengths(self) -> Offsets:
        """Return the length of each value in bytes."""
        return self.ends - self.starts

    def value(self, place: int) -> bytes:
        """Return one value, or as much of it as could be of use."""
        start = int(self.starts[place])
        return self.data[start : min(int(self.ends[place]), start + MOST_BYTES + 1)].tobytes()


def absent_in(array: pa.Array) -> Mask:
    """Say which values of *array* are null."""
    if array.null_count == 0:
        return np.zeros(len(array), dtype=np.bool_)
    return np.asarray(array.is_null(), dtype=np.bool_)


def as_binary(array: pa.Array) -> pa.Array:
    """
    Turn a column of text into one of bytes: plain, or a dictionary of plain ones. Nothing is expanded.

    A view may stand for more bytes than the file has, so what is too long to be of use is cut to one byte more than that.
    """
    if isinstance(array.type, pa.BaseExtensionType):
        array = array.storage
    if pa.types.is_null(array.type):
        return pa.nulls(len(array), pa.binary())
    if isinstance(array, pa.DictionaryArray):
        return pa.DictionaryArray.from_arrays(array.indices, as_binary(array.dictionary))
    if array.type in _AS_BYTES:
        array = array.view(_AS_BYTES[array.type])
    return _cut_views(array) if pa.types.is_binary_view(array.type) else array


def trusted(array: pa.Array) -> pa.Array:
    """
    Check that a column's offsets, indices and views stay within it, and see text as bytes, which may be any.

    Raises:
        ArrowInvalid: they do not.
    """
    if isinstance(array.type, pa.BaseExtensionType):
        array = array.storage
    if isinstance(array, pa.DictionaryArray):
        array = pa.DictionaryArray.from_arrays(array.indices, trusted(array.dictionary))
    elif array.type in _AS_BYTES:
        array = array.view(_AS_BYTES[array.type])
    array.validate(full=True)
    return array


def read_texts(array: pa.Array) -> Texts:
    """Look at a column that is not a dictionary, without copying."""
    array = as_binary(array)
    width = np.int64 if pa.types.is_large_binary(array.type) else np.int32
    _, offsets, data = array.buffers()
    absent = absent_in(array)
    if offsets is None or len(array) == 0:
        nothing = np.zeros(len(array), dtype=np.int64)
        return Texts(np.zeros(0, dtype=np.uint8), nothing, nothing, absent)
    first = np.frombuffer(offsets, dtype=width)[array.offset : array.offset + len(array) + 1].astype(np.int64)
    held = np.zeros(0, dtype=np.uint8) if data is None else np.frombuffer(data, dtype=np.uint8)
    return Texts(held, first[:-1], first[1:], absent)


def spread(array: pa.Array) -> pa.Array:
    """
    Write a dictionary of texts or of 16-byte values out, value by value; other columns come back as they are.

    A value that is too long to be of use becomes one that is still too long, so that no more than a block's worth of
    short values is made.
    """
    if isinstance(array.type, pa.BaseExtensionType):
        array = array.storage
    if not isinstance(array, pa.DictionaryArray):
        return array
    if not is_text(array.type):
        return array.dictionary_decode()
    array, dictionary = used_only(array), as_binary(array.dictionary)
    array = pa.DictionaryArray.from_arrays(array.indices, _shortened(as_binary(array.dictionary), dictionary.type))
    return array.dictionary_decode()


def read_codes(array: pa.Array) -> tuple[Codes, list[tuple[Mask, Rule]]]:
    """Read a column whose texts repeat: the distinct ones, each judged once, and the rows that each rule refuses."""
    array = as_binary(array)
    array = used_only(array) if isinstance(array, pa.DictionaryArray) else array.dictionary_encode()
    indices = array.indices
    index: Places = np.asarray(indices.fill_null(0) if indices.null_count else indices).astype(np.int32)
    index[absent_in(indices)] = ABSENT
    distinct, wrong = _read_distinct(array.dictionary)
    if not wrong:
        return Codes(distinct, index), []
    lookup = np.full(len(distinct) + 1, ABSENT, dtype=np.int32)
    rules = list(dict.fromkeys(wrong.values()))
    for place, rule in wrong.items():
        lookup[place] = rules.index(rule)
    verdicts = lookup[index]
    return Codes(distinct, index), [(verdicts == number, rule) for number, rule in enumerate(rules)]


def read_references(array: pa.Array) -> tuple[list[str | None], list[tuple[Mask, Rule]]]:
    """Read a column whose texts are mostly different: each one, and the rows that each rule refuses."""
    values = spread(as_binary(array))
    texts, wrong = _read_distinct(values)
    absent = absent_in(values)
    rows: list[str | None] = list(texts)
    for place in np.flatnonzero(absent).tolist():
        rows[place] = None
    refused: dict[Rule, Mask] = {}
    for place, rule in wrong.items():
        if not absent[place]:
            refused.setdefault(rule, np.zeros(len(rows), dtype=np.bool_))[place] = True
    return rows, [(mask, rule) for rule, mask in refused.items()]


def used_only(array: pa.DictionaryArray) -> pa.DictionaryArray:
    """Leave out of a dictionary what none of its rows uses."""
    absent = absent_in(array.indices)
    places = np.asarray(array.indices.fill_null(0) if array.indices.null_count else array.indices).astype(np.int64)
    size = len(array.dictionary)
    if size == 0:
        return array
    if size <= _FEW * len(array):
        used = np.zeros(size, dtype=np.bool_)
        used[places[~absent]] = True
        kept = np.flatnonzero(used)
        renumbered = (np.cumsum(used) - 1)[places]
    else:
        kept, renumbered = np.unique(places, return_inverse=True)
    dictionary = array.dictionary.take(pa.array(kept))
    absent |= absent_in(dictionary)[renumbered] if dictionary.null_count else False
    indices = pa.array(renumbered.astype(np.int32), mask=absent if absent.any() else None)
    return pa.DictionaryArray.from_arrays(indices, dictionary)


def _read_distinct(values: pa.Array) -> tuple[list[str], dict[int, Rule]]:
    """Turn bytes into text; a value that is none, or that no code may be, becomes empty and is named with its rule."""
    texts = read_texts(values)
    if _all_good(texts):
        try:
            decoded = values.cast(pa.large_string() if pa.types.is_large_binary(values.type) else pa.string())
        except pa.ArrowInvalid:
            pass
        else:
            return decoded.to_numpy(zero_copy_only=False).tolist(), {}
    read: list[str] = []
    wrong: dict[int, Rule] = {}
    for place in range(len(values)):
        text, rule = _judge(texts.value(place))
        read.append(text)
        if rule is not None and not texts.absent[place]:
            wrong[place] = rule
    return read, wrong


def _all_good(texts: Texts) -> bool:
    """Say at a glance that all values have a fit length and nothing below the letters."""
    if len(texts.starts) == 0 or texts.absent.any():
        return len(texts.starts) == 0
    lengths = texts.lengths
    if lengths.min() < 1 or lengths.max() > MOST_CHARACTERS:
        return False
    data = texts.data[int(texts.starts[0]) : int(texts.ends[-1])]
    return not bool(((data < ord(" ")) | (data == 0x7F) | (data == 0xC2)).any())  # noqa: PLR2004 - DEL, and what C1 starts with


def _judge(value: bytes) -> tuple[str, Rule | None]:
    """Return the text of *value*, and what it breaks."""
    if not 1 <= len(value) <= MOST_BYTES:
        return "", Rule.LENGTH
    try:
        text = value.decode()
    except UnicodeDecodeError:
        return "", Rule.UTF8
    if len(text) > MOST_CHARACTERS:
        return "", Rule.LENGTH
    if _CONTROL.search(text):
        return "", Rule.PRINTABLE
    return text, None


def _shortened(values: pa.Array, kind: pa.DataType) -> pa.Array:
    """Cut what is too long to be of use."""
    if len(values) == 0 or read_texts(values).lengths.max() <= MOST_BYTES:
        return values
    return pc.binary_slice(values, 0, MOST_BYTES + 1).cast(kind)


def _cut_views(array: pa.Array) -> pa.Array:
    """Copy views into plain bytes, each cut to what could be of use."""
    _, views, *data = array.buffers()
    fields = np.frombuffer(views, dtype=np.int32).reshape(-1, 4)[array.offset : array.offset + len(array)]
    if int(fields[:, 0].max(initial=0)) <= MOST_BYTES:
        return array.cast(pa.binary())
    raw = memoryview(views)[16 * array.offset :]
    buffers = [memoryview(one) for one in data]
    absent = absent_in(array)
    values: list[bytes | None] = []
    for place, (length, _, buffer, offset) in enumerate(fields.tolist()):
        if absent[place]:
            values.append(None)
        elif length <= _INLINE:
            values.append(bytes(raw[16 * place + 4 : 16 * place + 4 + length]))
        else:
            values.append(bytes(buffers[buffer][offset : offset + min(length, MOST_BYTES + 1)]))
    return pa.array(values, pa.binary())
