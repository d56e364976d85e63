"""What fields of several rooms' inputs take."""

import datetime as dt
from typing import Annotated

import msgspec

from tallystick.money import MAX_AMOUNT

Code = Annotated[str, msgspec.Meta(min_length=1, max_length=255, pattern=r"^[^\x00-\x1f\x7f]+$(?!\n)")]
"""An account's code: a path such as ``customers/42/receivable``."""
AssetCode = Annotated[str, msgspec.Meta(pattern=r"^[A-Z][A-Z0-9_]{0,31}$(?!\n)")]
Amount = Annotated[int, msgspec.Meta(ge=1, le=MAX_AMOUNT)]
"""In minor units."""
Instant = Annotated[dt.datetime, msgspec.Meta(tz=True)]
Reference = Annotated[str, msgspec.Meta(min_length=1, max_length=255, pattern=r"^[^\x00-\x1f\x7f]+$(?!\n)")]
Metadata = Annotated[
    dict[Annotated[str, msgspec.Meta(min_length=1, max_length=64)], Annotated[str, msgspec.Meta(max_length=512)]],
    msgspec.Meta(max_length=50),
]
PageSize = Annotated[int, msgspec.Meta(ge=1, le=1000)]
"""How many a page has at most."""
