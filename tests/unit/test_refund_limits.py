"""How much can be given back, how a refund may go on, and when it is asked about: pure."""

import datetime as dt
import itertools
import uuid

from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from tallystick.payments.disputes.queue import key_of, read_key
from tallystick.payments.refunds.limit import GivenBack, left_in_all, left_on_invoice
from tallystick.payments.refunds.model import Refund, RefundStanding
from tallystick.payments.refunds.queue import LOOKED_AT_AGAIN, next_look

NOON = dt.datetime(2015, 6, 2, 12, tzinfo=dt.UTC)
REFUND = Refund(
    uuid.UUID(int=1), uuid.UUID(int=2), uuid.UUID(int=3), "ada", "sandbox", "sbx_1", 100, "USD", "invoice", "r",
    "requested", None, None, NOON, None,
)  # fmt: skip
AMOUNTS = st.integers(1, 500)
STEPS = st.lists(st.tuples(st.sampled_from(["invoice", "unallocated", "dispute"]), AMOUNTS), max_size=30)


@given(taken=AMOUNTS, steps=STEPS, on_invoice=st.booleans())
def test_never_more_goes_back_than_was_taken(
    taken: int, steps: list[tuple[str, int]], *, on_invoice: bool
) -> None:  # fmt: skip
    """Whatever is asked for in which order, what is let through fits; a dispute, which nobody asks us about, always is."""
    given_back: list[GivenBack] = []
    paid = taken if on_invoice else 0
    for source, amount in steps:
        left = left_on_invoice(paid, given_back) if source == "invoice" else left_in_all(taken, given_back)
        assert 0 <= left <= taken
        if source == "dispute" or amount <= left:
            given_back.append(GivenBack(amount, source))
    refunded = sum(one.amount for one in given_back if one.take_from != "dispute")
    assert refunded <= taken
    assert sum(one.amount for one in given_back if one.take_from == "invoice") <= paid


def test_a_dispute_beyond_what_is_left_leaves_nothing() -> None:
    """The provider may hold back more than we think is left: then nothing can be given back, and no less than nothing."""
    given_back = [GivenBack(60, "invoice"), GivenBack(75, "dispute")]
    assert (left_in_all(75, given_back), left_on_invoice(75, given_back)) == (0, 0)


def test_a_refund_never_goes_back() -> None:
    """Requested, pending, succeeded, failed: any later one may follow, and none before it."""
    order = list(RefundStanding)
    for before, after in itertools.product(order, order):
        assert before.may_become(after) is (order.index(after) > order.index(before))


def test_one_that_waits_is_asked_about_less_and_less_often() -> None:
    """After ten seconds first, then each time after as long again, and at least four times a day."""
    waited = [(next_look(REFUND, NOON + dt.timedelta(seconds=s)) or NOON) - NOON for s in (0, 10, 60, 3600, 86_400)]
    assert [one.total_seconds() for one in waited] == [10, 20, 120, 7200, 86_400 + 6 * 3600]


def test_one_that_ended_is_asked_about_once_more_or_never() -> None:
    """A day after it succeeded, since money can come back; one that failed is over."""
    succeeded = replace(REFUND, status="succeeded", ended_at=NOON)
    assert next_look(succeeded, NOON) == NOON + LOOKED_AT_AGAIN
    assert next_look(succeeded, NOON + LOOKED_AT_AGAIN) is None
    assert next_look(replace(REFUND, status="failed", ended_at=NOON), NOON) is None


@given(st.text(min_size=1))
def test_a_job_names_its_dispute_whatever_is_in_it(dispute_id: str) -> None:
    """The provider's id may have anything in it."""
    assert read_key(key_of("sandbox", dispute_id)) == ("sandbox", dispute_id)
