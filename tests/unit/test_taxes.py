"""Taxes: exact until each is rounded once, and parts that add up to the whole."""

from decimal import Decimal
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tallystick.errors import TallystickError
from tallystick.taxes.compute import Taxed, TaxLine, compute
from tallystick.taxes.model import Mode, Rate, Rounding, Scope, Whose
from tallystick.taxes.round_tax import round_tax, split_tax

AUSTRIA = Whose("AT")
amounts = st.integers(-(10**12), 10**12)
rate_texts = st.decimals(0, 10, places=4, allow_nan=False)
scopes: st.SearchStrategy[Scope] = st.sampled_from(["line", "invoice"])
modes: st.SearchStrategy[Mode] = st.sampled_from(["half_up", "half_even", "up", "down"])
roundings = st.builds(Rounding, scopes, modes)


def vat(rate: str, *, inclusive: bool = False, name: str = "VAT", compound: bool = False) -> Rate:
    """Return a rate."""
    return Rate(name, Decimal(rate), inclusive, compound)


def tax(lines: list[int], *rates: Rate, rounding: Rounding = Rounding(), whose: Whose = AUSTRIA) -> Taxed:  # noqa: B008 - it never changes
    """Tax lines of the category standard."""
    return compute(whose, rounding, {"standard": rates}, [TaxLine("standard", one) for one in lines])


@pytest.mark.parametrize(
    ("amount", "mode", "expected"),
    [
        ("2.5", "half_up", 3), ("2.5", "half_even", 2), ("3.5", "half_even", 4), ("2.1", "up", 3), ("2.9", "down", 2),
        ("-2.5", "half_up", -3), ("-2.5", "half_even", -2), ("-2.1", "up", -3), ("-2.9", "down", -2), ("0", "up", 0),
    ],
)  # fmt: skip
def test_each_mode_rounds_as_it_is_called(amount: str, mode: Mode, expected: int) -> None:
    """What is taken back is the mirror of what was asked for."""
    assert round_tax(Fraction(amount), mode) == expected


def test_an_exclusive_tax_is_added_and_an_inclusive_one_contained() -> None:
    """Twenty per cent of 100.00 are 20.00 on top; in 120.00 they are 20.00 of it."""
    on_top = tax([10_000], vat("0.20"))
    assert (on_top.exclusive, [(one.base, one.amount) for one in on_top.taxes]) == (2_000, [(10_000, 2_000)])
    inside = tax([12_000], vat("0.20", inclusive=True))
    assert (inside.exclusive, [(one.base, one.amount) for one in inside.taxes]) == (0, [(10_000, 2_000)])


def test_lines_rounded_one_by_one_may_differ_from_the_whole() -> None:
    """Three times 0.5 of a cent: three cents by line, two by invoice, split back as one, one and none."""
    lines, rate = [5, 5, 5], vat("0.1")
    by_line = tax(lines, rate, rounding=Rounding("line", "half_up"))
    whole = tax(lines, rate, rounding=Rounding("invoice", "half_up"))
    assert (by_line.exclusive, by_line.parts) == (3, [[1, 1, 1]])
    assert (whole.exclusive, whole.parts) == (2, [[1, 1, 0]])


def test_rates_of_state_and_county_add_up() -> None:
    """Both of the same base; one that is compound, of the base and both."""
    taxed = tax([10_000], vat("0.0725", name="State"), vat("0.01", name="County"), vat("0.10", name="On top", compound=True))  # fmt: skip
    assert [(one.name, one.base, one.amount) for one in taxed.taxes] == [
        ("State", 10_000, 725), ("County", 10_000, 100), ("On top", 10_825, 1_083),
    ]  # fmt: skip
    assert taxed.exclusive == 1_908


def test_a_rate_of_zero_is_not_an_exemption() -> None:
    """Zero-rated is a tax of nothing; exempt is no tax, with the reason; reverse charge is the customer's to pay."""
    zero = tax([100], vat("0")).taxes
    exempt = tax([100], vat("0.20"), whose=Whose("AT", "exempt", "charity")).taxes
    reverse = tax([100], vat("0.20"), whose=Whose("AT", "reverse_charge", "Art. 196")).taxes
    assert [(one.treatment, one.name, one.amount, one.base, one.reason) for one in (*zero, *exempt, *reverse)] == [
        ("taxed", "VAT", 0, 100, None),
        ("exempt", "exempt", 0, 100, "charity"),
        ("reverse_charge", "reverse charge", 0, 100, "Art. 196"),
    ]


def test_categories_are_taxed_each_at_its_own_rate() -> None:
    """Parts stand at the places of the lines they are of."""
    lines = [TaxLine("standard", 1_000), TaxLine("books", 1_000), TaxLine("standard", 50)]
    taxed = compute(AUSTRIA, Rounding(), {"standard": [vat("0.20")], "books": [vat("0.10")]}, lines)
    assert [(one.category, one.base, one.amount) for one in taxed.taxes] == [("books", 1_000, 100), ("standard", 1_050, 210)]  # fmt: skip
    assert taxed.parts == [[0, 100, 0], [200, 0, 10]]


def test_a_category_without_a_rate_is_refused() -> None:
    """Nothing is left untaxed in silence."""
    with pytest.raises(TallystickError) as refused:
        compute(AUSTRIA, Rounding(), {"books": [vat("0.1")]}, [TaxLine("standard", 1)])
    assert refused.value.code == "taxes.no_rate"


def test_a_tax_beyond_every_amount_is_refused() -> None:
    """Ten times the largest amount cannot be asked for."""
    with pytest.raises(TallystickError) as refused:
        tax([2**63 - 1], vat("10"))
    assert refused.value.code == "taxes.amount_too_large"


@given(st.lists(amounts, min_size=1, max_size=8), st.lists(rate_texts, min_size=1, max_size=3), roundings)
def test_what_is_inclusive_adds_back_exactly(lines: list[int], texts: list[Decimal], rounding: Rounding) -> None:
    """Base and taxes are what the lines ask, to the last minor unit."""
    rates = [vat(str(text), inclusive=True, name=str(place)) for place, text in enumerate(texts)]
    taxed = tax(lines, *rates, rounding=rounding)
    assert taxed.exclusive == 0
    assert {one.base + sum(each.amount for each in taxed.taxes) for one in taxed.taxes} == {sum(lines)}


@given(
    st.lists(amounts, min_size=1, max_size=8), st.lists(rate_texts, min_size=1, max_size=3), roundings, st.booleans()
)
def test_parts_add_up_and_are_less_than_a_unit_off(
    lines: list[int],
    texts: list[Decimal],
    rounding: Rounding,
    inclusive: bool,  # noqa: FBT001 - Hypothesis gives it by place
) -> None:
    """Each part is within one minor unit of its exact share, and the parts of a tax are its amount."""
    rates = [vat(str(text), inclusive=inclusive, name=str(place)) for place, text in enumerate(texts)]
    taxed = tax(lines, *rates, rounding=rounding)
    contained = 1 + (sum(map(Fraction, texts)) if inclusive else 0)
    for one, parts, text in zip(taxed.taxes, taxed.parts, texts, strict=True):
        assert sum(parts) == one.amount
        assert all(abs(part - line * Fraction(text) / contained) < 1 for part, line in zip(parts, lines, strict=True))


@given(st.lists(amounts, min_size=1, max_size=8), rate_texts, roundings)
def test_taking_back_takes_back_what_was_asked(lines: list[int], text: Decimal, rounding: Rounding) -> None:
    """The tax of the mirrored lines is the mirrored tax."""
    there, back = (tax([sign * one for one in lines], vat(str(text)), rounding=rounding).exclusive for sign in (1, -1))
    assert there == -back


@given(st.lists(st.fractions(-1000, 1000, max_denominator=97), min_size=1, max_size=9), modes)
def test_a_split_adds_back(shares: list[Fraction], mode: Mode) -> None:
    """Whatever was rounded how."""
    total = round_tax(sum(shares, Fraction(0)), mode)
    parts = split_tax(total, shares)
    assert sum(parts) == total
    assert all(abs(part - share) < 1 for part, share in zip(parts, shares, strict=True))
