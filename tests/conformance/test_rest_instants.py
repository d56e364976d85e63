"""Instants that no calendar has are told by REST as what they are."""

import pytest

from tests.conformance.conftest import Rest
from tests.db.priced_usage import MAY


@pytest.mark.parametrize(
    ("path", "query"),
    [
        ("/usage/summary", {"start_at": "0001-01-01T00:00:00+14:00", "end_at": MAY}),
        ("/usage/events", {"customer": "alice", "end_at": "9999-12-31T23:59:59-14:00"}),
        ("/prices", {"after": "a/b/0001-01-01T00:00:00+14:00"}),
        ("/balance", {"account": "ada", "at": "0001-01-01T00:00:00+14:00"}),
        ("/invoices", {"month": "2015-05", "zone": "\u00e9"}),
        ("/invoices", {"month": "2015-05", "zone": "x" * 5000}),
    ],
)
async def test_an_instant_outside_the_calendar_is_the_callers_fault(
    rest: Rest,
    path: str,
    query: dict[str, str],
) -> None:
    """Never a failure of the server."""
    assert (await rest.get(path, **query)).status_code == 400


async def test_a_price_from_outside_the_calendar_is_the_callers_fault(rest: Rest) -> None:
    """The same of a change."""
    answer = await rest.post(
        "/prices", charge="c", effective_at="0001-01-01T00:00:00+14:00", name="n", asset="USD",
        price={"model": "flat", "amount": "1"},
    )  # fmt: skip
    assert answer.status_code == 400, answer.text
