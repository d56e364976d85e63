"""
Draw the barcode of a slip: GS1-128 with the number, the last day and the amount; the same bytes for the same slip.

    FNC1 │ 91 │ number, 18 digits │ last day, YYYYMMDD │ amount in minor units, 12 digits │ check symbol, stop
"""

import datetime as dt
import io
from typing import Any

from barcode.codex import Gs1_128  # type: ignore[import-untyped] # the library tells no types
from barcode.writer import ImageWriter, SVGWriter  # type: ignore[import-untyped] # as above

from tallystick.collecting.slips.number import printed

_IDENTIFIER = "91"
"""The application identifier of GS1 for what a company says for itself."""
MOST = 999_999_999_999
"""The largest amount that a barcode has room for, in minor units."""
_LOOKS: dict[str, Any] = {
    "module_width": 0.254, "module_height": 15, "quiet_zone": 4.064, "font_size": 9, "text_distance": 4, "margin_bottom": 3,
}  # fmt: skip
"""In millimetres, in whole dots: 0.254 are three of them, and beside the bars is the white of sixteen narrow ones."""


def data_of(number: str, expires_on: dt.date, amount: int) -> str:
    """Return what the bars say; all digits, so that each symbol holds two of them."""
    return f"{_IDENTIFIER}{number}{expires_on:%Y%m%d}{amount:012d}"


def bars_of(data: str) -> str:
    """Return the bars as modules of one width: 1 is black, 0 is white."""
    modules: str = Gs1_128(data, SVGWriter()).build()[0]
    return modules


def draw_svg(number: str, expires_on: dt.date, amount: int) -> bytes:
    """Draw the barcode with its number beneath, as SVG."""
    return _draw(SVGWriter(), number, data_of(number, expires_on, amount))


def draw_png(number: str, expires_on: dt.date, amount: int) -> bytes:
    """Draw the barcode with its number beneath, as PNG in black and white at 300 dots per inch."""
    image = _draw_image(number, data_of(number, expires_on, amount))
    written = io.BytesIO()
    image.save(written, "PNG", dpi=(300, 300))
    return written.getvalue()


def _draw(writer: SVGWriter, number: str, data: str) -> bytes:
    drawn: bytes = Gs1_128(data, writer).render(_LOOKS, printed(number))
    return drawn


def _draw_image(number: str, data: str) -> Any:  # noqa: ANN401 - an image of Pillow, which the writer does not tell
    return Gs1_128(data, ImageWriter(mode="1")).render({**_LOOKS, "dpi": 300}, printed(number))
