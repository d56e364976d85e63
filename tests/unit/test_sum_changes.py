"""What a batch adds to each account: as adding it up by hand would."""

from collections import defaultdict

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tallystick.ledger.errors import BatchTooLarge
from tallystick.ledger.model import Reason, Transfers, transfers
from tallystick.ledger.sum_changes import HELD, MAX_SUM, PAGE_BITS, NetChanges, require_sums_fit, sum_changes, touch
from tallystick.money import MAX_AMOUNT

Move = tuple[int, int, int, Reason]

accounts = st.integers(1, 70)
moves = st.tuples(accounts, accounts, st.integers(1, 2**40), st.sampled_from(Reason)).filter(
    lambda one: one[0] != one[1]
)
batches = st.lists(moves, min_size=1, max_size=60)


def rows_of(moved: list[Move]) -> Transfers:
    """Make the rows of a batch."""
    rows = transfers(len(moved))
    for at, (debit, credit, amount, reason) in enumerate(moved):
        rows[at]["debit_account_id"], rows[at]["credit_account_id"] = debit, credit
        rows[at]["amount"], rows[at]["reason"] = amount, reason
    return rows


def entries(changes: NetChanges) -> dict[tuple[int, bool], tuple[int, int]]:
    """Read net changes back: debits and credits by account and whether they are held."""
    found = {}
    for page, start, end in zip(changes.pages, changes.firsts[:-1], changes.firsts[1:], strict=True):
        slots = changes.slots[start:end].tolist()
        assert slots == sorted(set(slots)), "the slots of a page ascend"
        for at, slot in enumerate(slots, start):
            account = (int(page) << PAGE_BITS) + slot % HELD
            found[account, slot >= HELD] = (int(changes.debits[at]), int(changes.credits[at]))
    return found


@given(batches)
def test_the_sums_are_those_of_adding_up_one_by_one(moved: list[Move]) -> None:
    """Posted and held apart, by account; what was touched has an entry even where it comes to nothing."""
    expected: dict[tuple[int, bool], list[int]] = defaultdict(lambda: [0, 0])
    for debit, credit, amount, reason in moved:
        if reason not in {Reason.HOLD, Reason.RELEASE, Reason.EXPIRE}:
            expected[debit, False][0] += amount
            expected[credit, False][1] += amount
        if reason in {Reason.HOLD, Reason.CAPTURE, Reason.RELEASE, Reason.EXPIRE}:
            held = amount if reason == Reason.HOLD else -amount
            expected[debit, True][0] += held
            expected[credit, True][1] += held
    rows = rows_of(moved)
    changes = sum_changes(rows, touch(rows))
    assert entries(changes) == {where: tuple(both) for where, both in expected.items()}
    assert np.all(np.diff(changes.pages) > 0), "the pages ascend"


@given(batches)
def test_the_positions_are_the_transfers_that_touch_each_account(moved: list[Move]) -> None:
    """In order of account and then of place, and the highest bit begins the next account."""
    expected: dict[int, list[int]] = defaultdict(list)
    for at, (debit, credit, _, _) in enumerate(moved):
        expected[debit].append(at)
        expected[credit].append(at)
    rows = rows_of(moved)
    changes = sum_changes(rows, touch(rows))
    found: list[list[int]] = []
    for word in changes.positions.tolist():
        if word & 0x8000:
            found.append([])
        found[-1].append(word & 0x7FFF)
    assert found == [expected[account] for account in sorted(expected)]
    pages = [sum(len(expected[one]) for one in expected if one >> PAGE_BITS == page) for page in changes.pages.tolist()]
    assert np.diff(changes.first_positions).tolist() == pages


def test_an_account_that_cannot_be_is_the_one_that_is_none() -> None:
    """Ids below zero or beyond what an account can have are all taken for 0, which no account has."""
    rows = rows_of([(1, 2, 5, Reason.TRANSFER)])
    rows["debit_account_id"], rows["credit_account_id"] = -5, 2**60
    assert touch(rows).accounts.tolist() == [0]


@pytest.mark.parametrize(("amounts", "fits"), [([MAX_SUM], True), ([MAX_SUM - 1, 1], True), ([MAX_AMOUNT, 1], False)])
def test_sums_of_64_bits_fit_and_larger_ones_are_refused(amounts: list[int], *, fits: bool) -> None:
    """The bound is exact, on either side."""
    for turned in (False, True):
        sides = (1, 2) if not turned else (2, 1)
        rows = rows_of([(*sides, amount, Reason.TRANSFER) for amount in amounts])
        if fits:
            require_sums_fit(rows)
        else:
            with pytest.raises(BatchTooLarge):
                require_sums_fit(rows)
