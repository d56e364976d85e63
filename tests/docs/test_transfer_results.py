"""The page on what becomes of a transfer: every code, in the order in which they are checked, with what to do about it."""

import re

from docs.generate import PAGES
from docs.transfer_results import HELP, NAME, transfer_results_page
from tallystick.ledger.errors import TRANSFER_ERRORS
from tallystick.ledger.model import Status

_PAGE = (PAGES / NAME).read_text(encoding="utf-8")


def test_the_page_is_the_one_that_is_written() -> None:
    """What the program says of each code is what the page says."""
    note = next(line for line in _PAGE.splitlines() if line.startswith("<!--"))
    assert transfer_results_page(note) == _PAGE, "run: python -m docs.generate"


def test_every_status_is_told_in_order_of_precedence() -> None:
    """A new status has its row, at its place, with an answer to whether a retry helps."""
    assert re.findall(r"^\| \d+ \| `(ledger\.\w+)` \|", _PAGE, re.MULTILINE) == [status.code for status in Status]
    assert set(HELP) == set(Status)


def test_every_status_that_is_not_done_is_an_error_of_its_code() -> None:
    """Alone, a refused transfer is the error whose code its status has; what is done is none."""
    assert set(TRANSFER_ERRORS) == {status for status in Status if not status.done}
    assert {status.code for status in TRANSFER_ERRORS} == {error.code for error, _ in TRANSFER_ERRORS.values()}
    assert all(error.code == status.code for status, (error, _) in TRANSFER_ERRORS.items())


def test_what_a_kind_says_of_a_retry_holds_for_the_same_message() -> None:
    """No refusal of a transfer is of a kind that asks for the very same again: each is kept, and would come again."""
    assert not [status for status, (error, _) in TRANSFER_ERRORS.items() if error.kind.retry_helps]
