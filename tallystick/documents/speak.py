"""Speak amounts, quantities and days in the language of whoever reads them."""

import datetime as dt
import re
from dataclasses import dataclass, field
from decimal import Context, Decimal, localcontext

import iso4217
from babel import Locale
from babel.dates import format_date
from babel.numbers import NumberPattern, format_currency, format_decimal, parse_pattern

from tallystick.money import Asset, Money

_WIDE = Context(prec=320)
"""Our own, so that no digit of a rate is lost."""
_FRACTION = re.compile(r"0\.0+")
_MOST_DIGITS = 24
_BREAK_AFTER = re.compile(r"(\S{22})(?=\S)")
_BREAK = "\N{ZERO WIDTH SPACE}"
_NARROW, _NO_BREAK = "\N{NARROW NO-BREAK SPACE}", "\N{NO-BREAK SPACE}"


@dataclass(frozen=True, slots=True)
class Speech:
    """One language, and the asset that amounts are in."""

    language: str
    asset: Asset
    locale: Locale = field(init=False)
    currency: bool = field(init=False)
    _fixed: NumberPattern = field(init=False)
    _exact: NumberPattern = field(init=False)

    def __post_init__(self) -> None:
        """Prepare the patterns once."""
        locale = Locale(self.language)
        pattern = _FRACTION.sub("0", locale.currency_formats["standard"].pattern)
        digits = self.asset.exponent
        fixed = "0." + "0" * digits if digits else "0"
        exact = (fixed if digits else "0.") + "#" * _MOST_DIGITS
        known = _is_currency(self.asset.code)
        if not known:
            pattern = "#,##0\N{NO-BREAK SPACE}¤"
        for name, value in (
            ("locale", locale),
            ("currency", known),
            ("_fixed", parse_pattern(_with_fraction(pattern, fixed))),
            ("_exact", parse_pattern(_with_fraction(pattern, exact))),
        ):
            object.__setattr__(self, name, value)

    def amount(self, minor: int) -> str:
        """Say an amount in minor units: ``€1,234.50``."""
        return self._say(Money(minor, self.asset).major, self._fixed)

    def rate(self, text: str) -> str:
        """Say what one unit costs, in as many digits as it has; a number without an end stays a fraction."""
        return text if "/" in text else self._say(Decimal(text), self._exact)

    def minor(self, text: str) -> str:
        """Say what one unit costs, given in minor units and parts of one."""
        if "/" in text:
            return text
        with localcontext(_WIDE):
            major = Decimal(text).scaleb(-self.asset.exponent)
        return self._say(major, self._exact)

    def number(self, text: str) -> str:
        """Say a quantity."""
        if "/" in text:
            return text
        with localcontext(_WIDE):
            said = format_decimal(Decimal(text), locale=self.locale, decimal_quantization=False)
        return said.replace(_NARROW, _NO_BREAK)

    def percent(self, rate: str) -> str:
        """Say a rate such as ``0.19`` in hundredths."""
        with localcontext(_WIDE):
            hundredths = (Decimal(rate) * 100).normalize()
        return f"{self.number(f'{hundredths:f}')}{_NO_BREAK if self.language in {'de', 'fr'} else ''}%"

    def day(self, day: dt.date) -> str:
        """Say a day in words that cannot be misread."""
        return format_date(day, "long", locale=self.locale).replace(_NARROW, _NO_BREAK)

    def span(self, first: dt.date, last: dt.date) -> str:
        """Say from which day to which."""
        if first == last:
            return format_date(first, "medium", locale=self.locale)
        ends = [format_date(one, "medium", locale=self.locale) for one in (first, last)]
        return " \N{EN DASH} ".join(ends).replace(_NARROW, _NO_BREAK)

    def country(self, code: str) -> str:
        """Say the name of a country."""
        name: str = self.locale.territories.get(code, code)
        return name

    def _say(self, major: Decimal, pattern: NumberPattern) -> str:
        with localcontext(_WIDE):
            said = format_currency(
                major, self.asset.code, pattern, locale=self.locale, currency_digits=False, decimal_quantization=False
            )
        return said.replace(_NARROW, _NO_BREAK)


def breakable(text: str) -> str:
    """Let a word that no column is wide enough for go on in the next line."""
    return _BREAK_AFTER.sub(rf"\1{_BREAK}", text)


def _with_fraction(pattern: str, fraction: str) -> str:
    return ";".join(re.sub(r"0(?=[^0]*$)", fraction, part, count=1) for part in pattern.split(";"))


def _is_currency(code: str) -> bool:
    try:
        iso4217.Currency(code)
    except ValueError:
        return False
    return True
