"""The preview of a price over REST: a read that has a body."""

from tests.conformance.conftest import Rest

TIERS = {"model": "graduated", "tiers": [{"up_to": "1000", "rate": "0.01"}, {"up_to": None, "rate": "0.005"}]}


async def test_a_price_is_previewed_by_a_body(rest: Rest) -> None:
    """The same body twice is the same answer, with no key and no trace of it."""
    given = {"price": TIERS, "asset": "EUR", "unit": "requests", "quantities": [{"quantity": "1001"}]}
    first, second = await rest.post("/rating/preview", **given), await rest.post("/rating/preview", **given)
    assert (first.status_code, first.json()) == (200, second.json())
    assert "idempotency-key" not in first.headers
    (line,) = first.json()["lines"]
    assert [one["amount"] for one in line["line"]["details"]] == ["10", "0.005"]
    assert first.json()["totals"] == [{"asset": "EUR", "exponent": 2, "amount": 1000}]


async def test_a_slip_in_the_body_is_named(rest: Rest) -> None:
    """What is wrong deep in a price or a quantity is a problem with its path; the next body is read as before."""
    for body, field in (
        (
            b'{"price": {"model": "per_unit", "rate": 0.1}, "asset": "EUR", "quantities": [{"quantity": 1}]}',
            "price.rate",
        ),
        (b'{"price": {"model": "dynamic"}, "asset": "EUR", "quantities": [{"quantity": 1e400}]}', None),
        (
            b'{"price": {"model": "dynamic"}, "asset": "EUR", "quantities": [{"quantity": "NaN"}]}',
            "quantities[0].quantity",
        ),
        (
            b'{"price": {"model": "dynamic"}, "asset": "EUR", "quantities": [{"quantity": 1.5}]}',
            "quantities[0].quantity",
        ),
        (b'{"price": {"model": "dynamic", "model": "flat"}, "asset": "EUR"}', "model"),
    ):
        answer = await rest.send("/rating/preview", body, content_type="application/json")
        assert answer.status_code == 400, answer.text
        assert field is None or answer.json()["field"] == field
    assert (
        await rest.post("/rating/preview", price=TIERS, asset="EUR", quantities=[{"quantity": 1}])
    ).status_code == 200


async def test_whoever_may_not_read_invoices_may_not_preview_them(rest: Rest) -> None:
    """The scope is that of reading invoices."""
    key = await rest.new_key("usage:write")
    answer = await rest.client.post(
        "/v1/books/main/rating/preview", json={}, headers={"authorization": f"Bearer {key.key}"}
    )
    assert (answer.status_code, answer.json()["code"]) == (403, "security.scope_missing")
