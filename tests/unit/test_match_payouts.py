"""Matching lines of a report: certain only where nobody has to be asked, and otherwise ranked with reasons."""

import datetime as dt
import uuid
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tallystick.payments.payouts.match import Candidate, Line, fits, likeliest, match

NOW = dt.datetime(2026, 10, 1, 9, tzinfo=dt.UTC)


def line(**said: Any) -> Line:  # noqa: ANN401 - whatever a test says otherwise
    """Write the line of a charge of 500 USD with a fee of 10."""
    plain = {
        "position": 1, "id": "lin_1", "kind": "charge", "amount": 500, "fee": 10, "asset": "USD", "occurred_at": NOW,
        "transaction_id": "tra_abcdefgh",
    }  # fmt: skip
    return Line(**{**plain, **said})


def ours(number: int = 1, **said: Any) -> Candidate:  # noqa: ANN401 - see above
    """Write the payment that such a line is, or another one."""
    plain = {
        "kind": "charge", "id": uuid.UUID(int=number), "transaction_id": "tra_abcdefgh", "own_id": None, "amount": 500,
        "asset": "USD", "at": NOW, "moved": True, "state": "settled",
    }  # fmt: skip
    return Candidate(**{**plain, **said})


DAY = dt.timedelta(days=1)


@pytest.mark.parametrize(
    ("said", "has", "certain", "why", "reasons"),
    [
        ({}, {}, True, "the payment: same id, same amount, same day", "same id, same amount, same day"),
        ({}, {"at": NOW - DAY}, True, "the payment: same id, same amount", "same id, same amount, 1 day apart"),
        ({}, {"amount": 490}, False, "the payment is of another amount: 490 USD, which differs by the fee",
         "same id, amount differs by the fee: 490 USD, same day"),
        ({}, {"amount": 470}, False, "the payment is of another amount: 470 USD",
         "same id, amount differs: 470 USD, same day"),
        ({}, {"asset": "EUR"}, False, "the payment is in another asset: 500 EUR",
         "same id, currency differs: 500 EUR, same day"),
        ({}, {"moved": False, "state": "failed"}, False, "our book does not have the money: the payment is failed",
         "same id, same amount, same day, it is failed, so our book has no money of it"),
        ({}, {"taken": "x.7"}, False, "the payment is matched with the line x.7 already",
         "same id, same amount, same day, matched with the line x.7 already"),
        ({"transaction_id": "tra_abcdefgi"}, {}, False, "no payment of ours has the id tra_abcdefgi",
         "id nearly alike, same amount, same day"),
        ({"transaction_id": "tra_abcdef"}, {}, False, "no payment of ours has the id tra_abcdef",
         "id nearly alike, same amount, same day"),
        ({"transaction_id": "tra_zzzzzzzz"}, {}, False, "no payment of ours has the id tra_zzzzzzzz",
         "same amount, same day"),
        ({"transaction_id": "tra_zzzzzzzz"}, {"amount": 510}, False, "no payment of ours has the id tra_zzzzzzzz",
         "amount differs by the fee: 510 USD, same day"),
        ({"transaction_id": None}, {"at": NOW - 30 * DAY}, False, "it names nothing", "same amount"),
        ({"transaction_id": "tra_zzzzzzzz"}, {"amount": 77}, False, "no payment of ours has the id tra_zzzzzzzz", None),
        ({"transaction_id": "tra_zzzzzzzz"}, {"asset": "EUR"}, False, "no payment of ours has the id tra_zzzzzzzz", None),
        ({"kind": "refund"}, {}, False, "no refund of ours has the id tra_abcdefgh", None),
        ({"repeats": "po_1"}, {}, False, "this very line is in the payout po_1 already", "same id, same amount, same day"),
        ({"kind": "adjustment", "transaction_id": None, "description": "payout po_7 failed"},
         {"kind": "payout", "transaction_id": "po_7", "own_id": "po_7"}, True,
         "the payout that failed: same id, same amount, same day", "same id, same amount, same day"),
        ({"kind": "adjustment", "transaction_id": None, "description": "bank error"},
         {"kind": "payout", "transaction_id": "po_7", "own_id": "po_7"}, False,
         "an adjustment that names no payout that failed", "same amount, same day"),
    ],
)  # fmt: skip
def test_a_line_says_what_it_is_or_why_not(
    said: dict[str, Any], has: dict[str, Any], *, certain: bool, why: str, reasons: str | None
) -> None:
    """One line and one thing of ours: certain or not, why, and what is said of it as a partner."""
    (judged,) = match([line(**said)], [ours(**has)])
    assert (judged.certain is not None, judged.why) == (certain, why)
    (partners,) = likeliest([line(**said)], [ours(**has)])
    assert [one.why for one in partners] == ([] if reasons is None else [reasons])


def test_the_likeliest_comes_first() -> None:
    """The same id goes before one nearly alike, that before an equal amount, that before one that differs by the fee; what is taken goes last."""
    candidates = [
        ours(1, transaction_id="tra_11111111", amount=490),
        ours(2, transaction_id="tra_22222222", taken="x.1"),
        ours(3, transaction_id="tra_33333333"),
        ours(4, amount=470),
        ours(5, transaction_id="tra_abcdefgi"),
    ]
    (partners,) = likeliest([line()], candidates)
    assert [one.id.int for one in partners] == [4, 5, 3, 1, 2]
    assert [one.score for one in partners] == sorted((one.score for one in partners), reverse=True)


def test_a_refund_that_names_only_its_transaction_is_the_oldest_of_its_amount() -> None:
    """Two refunds of a transaction are alike: the lines take one each, the oldest first; a third line finds none."""
    refund = {"kind": "refund", "amount": -100}
    candidates = [
        ours(2, own_id="ref_2", at=NOW, **refund),
        ours(1, own_id="ref_1", at=NOW - DAY, **refund),
        ours(3, own_id="ref_3", at=NOW, kind="refund", amount=-200),
    ]
    lines = [line(position=at, id=f"lin_{at}", fee=0, **refund) for at in (1, 2, 3)]
    judged = match(lines, candidates)
    assert [None if one.certain is None else one.certain.id.int for one in judged] == [1, 2, None]
    assert judged[2].why == "the refund is matched with the line lin_1 already"


_IDS = st.sampled_from(["tra_abcdefgh", "tra_abcdefgi", "tra_b", None])
_AMOUNTS = st.sampled_from([500, 490, -500])
_KINDS = st.sampled_from(["charge", "refund", "dispute", "dispute_reversed", "refund_failed", "adjustment", "fee"])
_LINES = st.lists(
    st.builds(line, kind=_KINDS, amount=_AMOUNTS, transaction_id=_IDS, refund_id=_IDS, asset=st.sampled_from(["USD", "EUR"])),
    max_size=8,
)  # fmt: skip
_OURS = st.lists(
    st.builds(
        ours, st.integers(1, 20), kind=st.sampled_from(["charge", "refund", "dispute", "payout"]), amount=_AMOUNTS,
        transaction_id=_IDS.filter(bool), own_id=_IDS, moved=st.booleans(), taken=st.sampled_from([None, None, "x.1"]),
    ),
    max_size=8, unique_by=lambda one: (one.kind, one.id),
)  # fmt: skip


@given(_LINES, _OURS)
def test_what_is_certain_is_one_lines_alone_and_moves_exactly_what_the_line_does(
    lines: list[Line], candidates: list[Candidate]
) -> None:
    """Whatever the lines and the book say: nothing is taken twice, and nothing that does not fit is ever certain."""
    judged = match(lines, candidates)
    assert [one.line for one in judged] == lines
    certain = [one for one in judged if one.certain is not None]
    assert len({(one.certain.kind, one.certain.id) for one in certain if one.certain}) == len(certain)
    for one in certain:
        assert one.certain is not None
        assert fits(one.line, one.certain)
        assert one.certain.moved
        assert one.certain.taken is None
    for partners in likeliest(lines, candidates):
        assert len(partners) <= 5
        assert all(one.score > 0 and one.why for one in partners)
