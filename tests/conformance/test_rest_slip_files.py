"""Barcodes of slips over HTTP: the right types, the same bytes, and refusals that say why."""

import uuid

from tallystick.collecting.slips.draw_barcode import draw_png, draw_svg
from tests.conformance.conftest import Rest
from tests.db.requested import request


async def test_a_barcode_comes_as_it_is_drawn(rest: Rest) -> None:
    """As SVG and as PNG; who has it already is told that it is the same."""
    invoice = await request(rest.house)
    issued = await rest.post("/slips", invoice=str(invoice.id))
    assert issued.status_code == 200
    slip = await rest.house.do("slips.find", id=issued.json()["id"])
    for what, media, draw in (("svg", "image/svg+xml", draw_svg), ("png", "image/png", draw_png)):
        got = await rest.client.get(f"/v1/books/main/slips/{slip.id}/barcode.{what}")
        assert (got.status_code, got.headers["content-type"]) == (200, media)
        assert got.content == draw(slip.number, slip.expires_on, slip.amount)
        assert got.headers["content-disposition"] == f'inline; filename="slip-{slip.number}.{what}"'
        tag = {"if-none-match": got.headers["etag"]}
        assert (await rest.client.get(f"/v1/books/main/slips/{slip.id}/barcode.{what}", headers=tag)).status_code == 304


async def test_what_is_no_barcode_is_refused(rest: Rest) -> None:
    """An unknown slip, an id that is none, another form, another method."""
    unknown = f"/v1/books/main/slips/{uuid.uuid4()}/barcode"
    absent = await rest.client.get(f"{unknown}.svg")
    assert (absent.status_code, absent.json()["code"], absent.json()["field"]) == (404, "slips.unknown_slip", "id")
    bad = await rest.client.get(f"/v1/books/main/slips/{'-' * 36}/barcode.svg")
    assert (bad.status_code, bad.json()["field"]) == (400, "id")
    assert (await rest.client.get(f"{unknown}.gif")).status_code == 404
    assert (await rest.client.post(f"{unknown}.svg")).status_code == 405
