"""Slips: the number with its check digits, and a barcode that says what it should."""

import datetime as dt
import io
import re
import uuid

import pytest
from barcode.charsets import code128  # type: ignore[import-untyped] # the library tells no types
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from tallystick.collecting.slips.draw_barcode import bars_of, data_of, draw_png, draw_svg
from tallystick.collecting.slips.number import number_of, printed, read_number
from tallystick.errors import InvalidInput
from tallystick.ids import uuid7

DAY = dt.date(2028, 2, 29)
NUMBER = number_of(uuid.UUID(int=1))
ids = st.integers(0, 2**128 - 1).map(lambda number: uuid.UUID(int=number))
START_C, FNC1 = 105, 102


def decode(bars: str) -> str:
    """Read bars by the table of Code 128: start C, FNC1, pairs of digits, the check symbol, stop."""
    assert (len(bars) - 13) % 11 == 0
    assert bars.endswith(code128.STOP + "11")
    symbols = [code128.CODES.index(bars[at : at + 11]) for at in range(0, len(bars) - 13, 11)]
    start, *values, check = symbols
    assert check == (start + sum(place * value for place, value in enumerate(values, 1))) % 103
    assert (start, values[0]) == (START_C, FNC1), "the start of GS1-128"
    return "".join(f"{value:02d}" for value in values[1:])


@given(ids)
def test_a_number_is_read_back_as_it_is_printed(slip_id: uuid.UUID) -> None:
    """With the spaces that people see."""
    number = number_of(slip_id)
    assert read_number(printed(number), "number") == number


@given(ids, st.integers(0, 17), st.integers(1, 9))
def test_a_digit_that_is_mistaken_is_noticed(slip_id: uuid.UUID, place: int, by: int) -> None:
    """Whichever it is."""
    number = number_of(slip_id)
    wrong = number[:place] + str((int(number[place]) + by) % 10) + number[place + 1 :]
    with pytest.raises(InvalidInput) as refused:
        read_number(wrong, "number")
    assert refused.value.field == "number"


@given(ids, st.integers(0, 16))
def test_two_digits_that_are_swapped_are_noticed(slip_id: uuid.UUID, place: int) -> None:
    """Unless they are the same."""
    number = number_of(slip_id)
    swapped = number[:place] + number[place + 1] + number[place] + number[place + 2 :]
    if swapped == number:
        assert read_number(swapped, "number") == number
    else:
        with pytest.raises(InvalidInput):
            read_number(swapped, "number")


def test_numbers_are_not_in_a_row() -> None:
    """Slips that were issued one after the other have numbers that say nothing of each other."""
    numbers = [int(number_of(uuid7())) for _ in range(2_000)]
    assert len(set(numbers)) == 2_000
    assert numbers != sorted(numbers)
    assert len({number // 10**16 for number in numbers}) > 90, "the first two digits are of every kind"


@pytest.mark.parametrize("text", ["", "1", "x" * 18, "1" * 17, "1" * 19, "²" * 18, "١" * 18, NUMBER[:-1] + "x"])
def test_what_is_no_number_is_refused(text: str) -> None:
    """It is not guessed at."""
    with pytest.raises(InvalidInput):
        read_number(text, "number")


@given(ids, st.dates(dt.date(2020, 1, 1), dt.date(9999, 12, 31)), st.integers(1, 999_999_999_999))
def test_the_bars_say_number_day_and_amount(slip_id: uuid.UUID, day: dt.date, amount: int) -> None:
    """Read back symbol by symbol, with the check symbol of Code 128."""
    number = number_of(slip_id)
    read = decode(bars_of(data_of(number, day, amount)))
    assert (read[:2], read[2:20], read[20:28], read[28:]) == ("91", number, f"{day:%Y%m%d}", f"{amount:012d}")


def test_the_picture_has_the_bars() -> None:
    """A line of dots through the PNG reads as the bars do; so do the rectangles of the SVG."""
    expected = data_of(NUMBER, DAY, 12_345)
    picture = Image.open(io.BytesIO(draw_png(NUMBER, DAY, 12_345))).convert("1")
    row = [picture.getpixel((x, picture.height // 4)) == 0 for x in range(picture.width)]
    first, last = row.index(True), len(row) - row[::-1].index(True)
    modules = bars_of(expected)
    wide = (last - first) / len(modules)
    assert "".join("01"[row[first + int((place + 0.5) * wide)]] for place in range(len(modules))) == modules
    assert first > 10 * wide - 8, "white beside the bars"
    svg = draw_svg(NUMBER, DAY, 12_345).decode()
    bars = re.findall(r'<rect x="([0-9.]+)mm" y="[0-9.]+mm" width="([0-9.]+)mm"', svg)
    read = ["0"] * len(modules)
    for x, width in bars:
        begin = (float(x) - 4.064) / 0.254
        for place in range(int(begin + 0.5), int(begin + float(width) / 0.254 + 0.5)):
            read[place] = "1"
    assert "".join(read) == modules


def test_the_same_slip_is_the_same_bytes() -> None:
    """And its number stands beneath, for who cannot scan it."""
    assert draw_svg(NUMBER, DAY, 1) == draw_svg(NUMBER, DAY, 1) != draw_svg(NUMBER, DAY, 2)
    assert draw_png(NUMBER, DAY, 1) == draw_png(NUMBER, DAY, 1) != draw_png(NUMBER, DAY, 2)
    assert printed(NUMBER) in draw_svg(NUMBER, DAY, 1).decode()
