"""Which currencies Stripe counts as we do, and what becomes of the others."""

import pytest

from tallystick.payments.providers.protocol import ProviderRefused
from tallystick.payments.providers.stripe.currencies import from_stripe, to_stripe


@pytest.mark.parametrize(("amount", "currency"), [(1, "USD"), (1099, "EUR"), (5, "JPY"), (7, "KRW"), (1230, "KWD")])
def test_an_amount_that_means_the_same_to_both_is_passed_on(amount: int, currency: str) -> None:
    """Cents are cents and yen are yen: the number stays, and the letters are small."""
    assert to_stripe(amount, currency) == currency.lower()
    assert from_stripe(currency.lower()) == currency


@pytest.mark.parametrize("currency", ["ISK", "UGX", "MGA", "UYI", "CLF", "IQD", "LYD"])
def test_a_currency_that_stripe_counts_otherwise_is_refused_both_ways(currency: str) -> None:
    """Of krónur Stripe counts hundredths that ISO does not know: read as ours, an amount would be a hundredfold."""
    with pytest.raises(ProviderRefused, match=currency):
        to_stripe(100, currency)
    with pytest.raises(ProviderRefused, match=currency):
        from_stripe(currency.lower())


@pytest.mark.parametrize("unknown", ["XXX", "XAU", "ZZZ", "", "eurocents", "ß"])
def test_what_is_no_currency_is_refused(unknown: str) -> None:
    """Gold has no minor unit, and what ISO does not know is none of ours."""
    with pytest.raises(ProviderRefused):
        from_stripe(unknown)


def test_thousandths_are_taken_in_tens() -> None:
    """Stripe takes three-decimal currencies only with a last digit of 0; any other is refused before it is asked."""
    assert to_stripe(10, "BHD") == "bhd"
    with pytest.raises(ProviderRefused, match="last digit"):
        to_stripe(11, "BHD")
