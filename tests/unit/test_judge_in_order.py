"""Limits and repeats: the edges, without a database."""

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tallystick.ledger.accounts import UNLIMITED_ABOVE, UNLIMITED_BELOW
from tallystick.ledger.judge_in_order import LimitedAccount, find_repeats
from tallystick.ledger.model import Status
from tallystick.money import MAX_AMOUNT


@pytest.mark.parametrize(
    ("lowest", "down", "amount", "may"),
    [
        (0, 10, 10, True), (0, 10, 11, False), (-5, 0, 5, True), (-5, 0, 6, False), (0, -3, 1, False),
        (-MAX_AMOUNT, 0, MAX_AMOUNT, True), (-MAX_AMOUNT, -1, MAX_AMOUNT, False),
        (UNLIMITED_BELOW, -(2**70), MAX_AMOUNT, True),
    ],
)  # fmt: skip
def test_an_account_may_fall_to_its_limit_and_no_further(lowest: int, down: int, amount: int, *, may: bool) -> None:
    """The limit itself is allowed, one below is not, and what is not limited falls however far."""
    assert LimitedAccount(lowest, UNLIMITED_ABOVE, down, 0).may_fall(amount) is may


@pytest.mark.parametrize(
    ("highest", "up", "amount", "may"),
    [
        (10, 0, 10, True), (10, 0, 11, False), (0, -5, 5, True), (0, 3, 1, False), (MAX_AMOUNT - 1, 0, MAX_AMOUNT, False),
        (UNLIMITED_ABOVE, 2**70, MAX_AMOUNT, True),
    ],
)  # fmt: skip
def test_an_account_may_rise_to_its_limit_and_no_further(highest: int, up: int, amount: int, *, may: bool) -> None:
    """The same on the other side."""
    assert LimitedAccount(UNLIMITED_BELOW, highest, 0, up).may_rise(amount) is may


@given(st.lists(st.binary(min_size=1, max_size=1), max_size=30))
def test_a_repeat_is_whatever_is_there_more_than_once(ids: list[bytes]) -> None:
    """The first of several is a repeat like the others: what becomes of them depends on each other."""
    assert find_repeats(ids).tolist() == [Counter(ids)[one] > 1 for one in ids]


def test_statuses_keep_their_numbers() -> None:
    """The order of the numbers is the order of precedence: a new one has its place, and a test for it."""
    assert [status.name.lower() for status in Status] == [
        "posted", "known", "id_conflict", "amount_not_positive", "expires_too_early", "unknown_hold", "unknown_transfer",
        "not_reversible", "already_reversed", "same_account", "unknown_debit_account", "unknown_credit_account",
        "asset_mismatch", "debit_account_closed", "credit_account_closed", "hold_ended", "hold_expired", "exceeds_hold",
        "limit_exceeded", "nothing_to_move",
    ]  # fmt: skip
    assert [status.value for status in Status] == list(range(len(Status)))
