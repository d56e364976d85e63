"""What `tallystick rate preview` shows of an answer."""

import pytest

from tallystick.cli.rate import show
from tallystick.operations.rating import AssetTotal, Preview
from tallystick.taxes.model import InvoiceTax


def test_a_preview_shows_the_taxes_of_a_customer(capsys: pytest.CaptureFixture[str]) -> None:
    """Each with its base, whether it is added or contained, and what is to be paid in the end."""
    added = InvoiceTax("AT", "standard", "VAT", "0.2", inclusive=False, base=1000, amount=200)
    inside = InvoiceTax("AT", "books", "VAT", "0.1", inclusive=True, base=100, amount=10)
    free = InvoiceTax(
        "AT", "c", "exempt", "0", inclusive=False, base=50, amount=0, treatment="exempt", reason="a school"
    )
    show(Preview([], [AssetTotal("USD", 2, 1160, [added, inside, free], 1360)]))
    shown = capsys.readouterr().out
    for said in (
        "total USD 11.60",
        "VAT: 0.2 of USD 10.00 = USD 2.00, added",
        "VAT: 0.1 of USD 1.00 = USD 0.10, contained",
        "exempt: 0 of USD 0.50 = USD 0.00, a school",
        "with taxes USD 13.60",
    ):
        assert said in shown


def test_a_preview_says_why_taxes_are_not_known(capsys: pytest.CaptureFixture[str]) -> None:
    """Nobody takes lines without their taxes for all that there is to pay."""
    show(Preview([], [AssetTotal("USD", 2, 500, problem="There is no rate for books.")]))
    assert "the taxes are not known: There is no rate for books." in capsys.readouterr().out
