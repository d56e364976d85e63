"""The breakdown by tax: lines without tax and one tax a rate, which add up to the total however the taxes were asked for."""

import datetime as dt
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tallystick.documents.break_down import break_down
from tallystick.documents.errors import NoElectronicInvoice
from tallystick.taxes.compute import TaxLine, compute
from tallystick.taxes.model import Rate, Rounding, Whose
from tests.unit.printed import JUNE, make_invoice, make_line, make_tax

RATES = st.builds(
    Rate,
    st.sampled_from(["VAT", "State", "County"]),
    st.sampled_from([Decimal(0), Decimal("0.0725"), Decimal("0.2"), Decimal("0.19")]),
    st.booleans(),
    st.just(value=False),
)
LINES = st.lists(st.tuples(st.sampled_from(["standard", "reduced"]), st.integers(-500, 10_000)), min_size=1, max_size=6)


@given(LINES, st.lists(RATES, min_size=1, max_size=2, unique_by=lambda rate: rate.name), st.booleans())
def test_lines_and_taxes_add_up_to_the_total(
    lines: list[tuple[str, int]],
    rates: list[Rate],
    by_line: bool,  # noqa: FBT001 - Hypothesis gives it
) -> None:
    """Whatever is contained or added, and however it was rounded, nothing is lost and nothing made up."""
    told = [TaxLine(*one) for one in lines]
    rounding = Rounding("line" if by_line else "invoice")
    taxed = compute(Whose("DE"), rounding, dict.fromkeys(("standard", "reduced"), rates), told)
    if any(tax.base + tax.amount == 0 and any(one.amount for one in told) for tax in taxed.taxes):
        return  # lines that cancel each other out have no base to divide
    invoice = make_invoice([make_line(amount) for _, amount in lines], taxed.taxes)
    broken = break_down(invoice, [category for category, _ in lines])
    assert sum(broken.nets) + sum(group.tax for group in broken.groups) == invoice.total
    for place, group in enumerate(broken.groups):
        own = [net for net, of in zip(broken.nets, broken.of_line, strict=True) if of == place]
        assert sum(own) == group.base


def test_taxes_on_one_base_become_one_of_the_rate_that_they_come_to() -> None:
    """A state's and a county's are one rate of VAT; one that is compound is taken of the other, too."""
    taxes = [make_tax(1500, 109, name="State", rate="0.0725"), make_tax(1500, 19, name="County", rate="0.0125")]
    (group,) = break_down(make_invoice([make_line(1500)], taxes), ["standard"]).groups
    assert (group.code, group.percent, group.base, group.tax) == ("S", Decimal("8.5"), 1500, 128)
    compound = [make_tax(1000, 100, name="A", rate="0.1"), make_tax(1100, 55, name="B", rate="0.05")]
    (group,) = break_down(make_invoice([make_line(1000)], compound), ["standard"]).groups
    assert (group.percent, group.base, group.tax) == (Decimal("15.5"), 1000, 155)


def test_why_there_is_no_tax_tells_the_category() -> None:
    """Nothing said, exempt, reverse charge, a rate of zero: four different things to a tax office."""
    codes = []
    for fields in (
        {"treatment": "exempt", "reason": "charity"},
        {"treatment": "reverse_charge", "reason": "Art. 196"},
        {},
    ):
        tax = make_tax(1000, 0, rate="0", **fields)
        (group,) = break_down(make_invoice([make_line(1000)], [tax]), ["standard"]).groups
        codes.append((group.code, group.reasons))
    assert codes == [("E", ["charity"]), ("AE", ["Art. 196"]), ("Z", [])]
    assert break_down(make_invoice([make_line(1000)]), ["standard"]).groups[0].code == "O"


def test_a_rate_that_changed_meanwhile_divides_the_lines_by_their_time() -> None:
    """Of what was over the old rate counted, of what is ahead the new one."""
    ahead = JUNE + dt.timedelta(days=30)
    lines = [make_line(500, period_start=JUNE, period_end=ahead), make_line(1000)]
    taxes = [make_tax(1000, 190), make_tax(500, 100, rate="0.2")]
    broken = break_down(make_invoice(lines, taxes), ["standard", "standard"])
    assert [(group.percent, group.base) for group in broken.groups] == [(Decimal(19), 1000), (Decimal(20), 500)]
    assert broken.of_line == [1, 0]


def test_a_line_that_no_tax_is_asked_for_stands_beside_the_others() -> None:
    """A product may tax one line of its invoice and not the next."""
    broken = break_down(make_invoice([make_line(1000), make_line(500)], [make_tax(1000, 190)]), ["standard", None])
    assert [(group.code, group.base) for group in broken.groups] == [("S", 1000), ("E", 500)]


def test_taxes_on_other_amounts_than_the_lines_are_refused() -> None:
    """An engine outside may tax something that no line says; EN 16931 has no way to tell that."""
    with pytest.raises(NoElectronicInvoice):
        break_down(make_invoice([make_line(1000)], [make_tax(900, 171)]), ["standard"])
