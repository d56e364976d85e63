"""
Which currencies Stripe counts as we do.

Both count in minor units, but not always in the same: Stripe's are ISO 4217's with exceptions. Where they differ the
currency is refused, since an amount that is read in the wrong unit is a hundred times too large or too small.
Source: Stripe's documentation, "Supported currencies", zero-decimal and three-decimal currencies, special cases.
"""

from tallystick.money import currency as iso_currency
from tallystick.payments.providers.protocol import ProviderRefused

_WITHOUT_DECIMALS = frozenset(
    {"BIF", "CLP", "DJF", "GNF", "JPY", "KMF", "KRW", "MGA", "PYG", "RWF", "VND", "VUV", "XAF", "XOF", "XPF"}
)
_WITH_THREE_DECIMALS = frozenset({"BHD", "JOD", "KWD", "OMR", "TND"})
_TEN = 10


def to_stripe(amount: int, currency: str) -> str:
    """
    Return the currency as Stripe writes it, for an amount that means the same to Stripe as to us.

    Raises:
        ProviderRefused: Stripe counts *currency* in other units, or takes no such *amount* of it
            (``payments.provider_refused``).
    """
    _require_same_units(currency)
    if currency in _WITH_THREE_DECIMALS and amount % _TEN:
        raise ProviderRefused(reason=f"Stripe takes amounts in {currency} only if their last digit is 0")
    return currency.lower()


def from_stripe(currency: str) -> str:
    """
    Return the currency as we write it, for amounts that mean the same to us as to Stripe.

    Raises:
        ProviderRefused: Stripe counts *currency* in other units (``payments.provider_refused``).
    """
    ours = currency.upper()
    _require_same_units(ours)
    return ours


def counts_alike(currency: str) -> bool:
    """Say whether Stripe counts a currency, in letters as we write it, in the units of ISO 4217."""
    try:
        return iso_currency(currency).exponent == _exponent_of_stripe(currency)
    except ValueError:
        return False


def _require_same_units(currency: str) -> None:
    if not counts_alike(currency):
        raise ProviderRefused(reason=f"Stripe counts {currency[:3]} in other units than ISO 4217, or not at all")


def _exponent_of_stripe(currency: str) -> int:
    """Return how many decimals Stripe counts; ISK and UGX have two there, since they once had."""
    if currency in _WITHOUT_DECIMALS:
        return 0
    return 3 if currency in _WITH_THREE_DECIMALS else 2
