"""Columns of amounts: whole minor units, as numbers or as text."""

import re

import numpy as np
import pyarrow as pa

from tallystick.ledger.files.columns import is_text
from tallystick.ledger.files.model import Mask, Numbers, Rule
from tallystick.ledger.files.texts import Texts, absent_in, as_binary, read_texts, spread

LARGEST = 2**63 - 1
_SURELY_SMALL = 18
"""Every number of so many digits is below 2^63."""
_INTEGER = re.compile(rb"-?[0-9]+")


def read_amounts(array: pa.Array) -> tuple[Numbers, Mask, list[tuple[Mask, Rule]]]:
    """Read a column of amounts: the numbers, 0 where there is none; which are null; and the rows each rule refuses."""
    if is_text(array.type) or pa.types.is_null(array.type):
        return _read_texts(spread(as_binary(array)))
    absent = absent_in(array)
    numbers = np.asarray(array.fill_null(0) if array.null_count else array)
    too_large = numbers > LARGEST if numbers.dtype == np.uint64 else np.zeros(len(array), dtype=np.bool_)
    numbers = np.where(too_large, 0, numbers).astype(np.int64)
    return numbers, absent, [(too_large, Rule.SMALL_ENOUGH), (~absent & ~too_large & (numbers <= 0), Rule.POSITIVE)]


def _read_texts(array: pa.Array) -> tuple[Numbers, Mask, list[tuple[Mask, Rule]]]:
    texts = read_texts(array)
    if _all_digits(texts):
        numbers = np.asarray(array.cast(pa.string()).cast(pa.int64()))
        return numbers, texts.absent, [(numbers <= 0, Rule.POSITIVE)]
    numbers = np.zeros(len(array), dtype=np.int64)
    refused: dict[Rule, Mask] = {}
    for place in np.flatnonzero(~texts.absent).tolist():
        number = _read_one(texts.value(place))
        if isinstance(number, Rule):
            refused.setdefault(number, np.zeros(len(array), dtype=np.bool_))[place] = True
        else:
            numbers[place] = number
    return numbers, texts.absent, [(mask, rule) for rule, mask in refused.items()]


def _all_digits(texts: Texts) -> bool:
    """Say at a glance that all values are plain digits, and few enough."""
    if len(texts.starts) == 0 or texts.absent.any():
        return False
    lengths = texts.lengths
    if lengths.min() < 1 or lengths.max() > _SURELY_SMALL:
        return False
    data = texts.data[int(texts.starts[0]) : int(texts.ends[-1])]
    return bool(((data >= ord("0")) & (data <= ord("9"))).all())


def _read_one(text: bytes) -> int | Rule:
    if not _INTEGER.fullmatch(text):
        return Rule.INTEGER
    number = int(text)
    if number > LARGEST:
        return Rule.SMALL_ENOUGH
    return number if number > 0 else Rule.POSITIVE
