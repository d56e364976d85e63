"""Write minor units as PayPal's decimal strings, and read them back, exactly."""

import re
from decimal import Decimal
from functools import lru_cache
from typing import Final

from tallystick.money import Asset, currency
from tallystick.payments.providers.protocol import ProviderRefused, ProviderUnreachable

WITHOUT_DECIMALS: Final = frozenset({"HUF", "JPY", "TWD"})
"""The currencies of which PayPal moves whole units only, whatever ISO 4217 says."""

_MOST_DECIMALS: Final = 2
_VALUE: Final = re.compile(r"-?[0-9]{1,18}(\.[0-9]{1,3})?", re.ASCII)


def to_value(amount: int, code: str) -> str:
    """
    Write *amount* minor units the way PayPal takes them, as in ``12.30`` or, of yen, ``1230``.

    Raises:
        ProviderRefused: PayPal has no such currency, or takes no such fraction of it (``payments.provider_refused``).
    """
    try:
        asset = _currency(code)
    except ValueError:
        raise ProviderRefused(reason=f"{code} is no currency that PayPal could take") from None
    places = 0 if code in WITHOUT_DECIMALS else min(asset.exponent, _MOST_DECIMALS)
    units, rest = divmod(amount, 10 ** (asset.exponent - places))
    if rest:
        raise ProviderRefused(reason=f"PayPal takes {code} with {places} decimals at most, and this amount has more")
    return f"{Decimal(units).scaleb(-places):.{places}f}"


def to_minor(value: str, code: str) -> int:
    """
    Read what PayPal wrote, as minor units by ISO 4217.

    Raises:
        ProviderUnreachable: it is no amount of that currency, so the answer cannot be relied on.
    """
    try:
        exponent = _currency(code).exponent
    except ValueError:
        exponent = None
    minor = Decimal(value).scaleb(exponent) if exponent is not None and _VALUE.fullmatch(value) else None
    if minor is None or minor != minor.to_integral_value():
        raise ProviderUnreachable(cause="the answer has an amount that cannot be read")
    return int(minor)


@lru_cache(maxsize=256)
def _currency(code: str) -> Asset:
    return currency(code)
