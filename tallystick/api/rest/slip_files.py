"""
Barcodes of slips as files over HTTP.

    GET  …/slips/ID/barcode.svg   who is it ─ may it ─ what the slip says ─ a thread draws ─ bytes, with their tag
"""

import asyncio
import hashlib
import re

from tallystick.api.rest.reply import Headers, Reply
from tallystick.collecting.slips.draw_barcode import draw_png, draw_svg
from tallystick.collecting.slips.model import Slip
from tallystick.operations.run import Operations
from tallystick.security.model import Principal

SLIP_FILE = re.compile(
    r"/v1/books/(?P<book>[a-z][a-z0-9-]{0,62})/slips/(?P<id>[0-9a-fA-F-]{36})/barcode\.(?P<what>svg|png)", re.ASCII
)
FIND_SLIP = "slips.find"
SCOPE = "slips:read"
_DRAW = {"svg": draw_svg, "png": draw_png}
_MEDIA = {"svg": b"image/svg+xml", "png": b"image/png"}


async def answer_barcode(
    operations: Operations, principal: Principal, file: re.Match[str], asked: list[tuple[bytes, bytes]]
) -> Reply:
    """
    Return the barcode that a path names, or that the one that the caller has is still the same.

    Raises:
        TallystickError: of ``slips.find``.
    """
    slip: Slip = await operations.call(principal, file["book"], FIND_SLIP, "", {"id": file["id"]})
    content = await asyncio.to_thread(_DRAW[file["what"]], slip.number, slip.expires_on, slip.amount)
    tag = b'"%s"' % hashlib.sha256(content).hexdigest()[:32].encode()
    headers: Headers = [
        (b"content-type", _MEDIA[file["what"]]), (b"cache-control", b"private, no-cache"), (b"etag", tag),
    ]  # fmt: skip
    known = [value for name, value in asked if name == b"if-none-match"]
    if any(one.strip().removeprefix(b"W/") in {tag, b"*"} for value in known for one in value.split(b",")):
        return Reply(304, headers, b"")
    name = f'inline; filename="slip-{slip.number}.{file["what"]}"'
    return Reply(200, [*headers, (b"content-disposition", name.encode())], content)
