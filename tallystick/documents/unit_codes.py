"""Codes of units, as UN/ECE Recommendation 20 gives them."""

ONE = "C62"
"""A unit that is counted; what every name means that is not below."""
_CODES = {
    "AD": ("byte", "bytes", "b"),
    "2P": ("kb", "kilobyte", "kilobytes"),
    "4L": ("mb", "megabyte", "megabytes"),
    "E34": ("gb", "gigabyte", "gigabytes"),
    "E35": ("tb", "terabyte", "terabytes"),
    "C26": ("ms", "millisecond", "milliseconds"),
    "SEC": ("s", "sec", "second", "seconds"),
    "MIN": ("min", "minute", "minutes"),
    "HUR": ("h", "hour", "hours"),
    "DAY": ("d", "day", "days"),
    "WEE": ("week", "weeks"),
    "MON": ("month", "months"),
    "ANN": ("year", "years"),
    "KWH": ("kwh", "kilowatt hour", "kilowatt hours"),
    "MTR": ("m", "meter", "meters", "metre", "metres"),
    "KMT": ("km", "kilometer", "kilometers", "kilometre", "kilometres"),
    "KGM": ("kg", "kilogram", "kilograms"),
    "LTR": ("l", "liter", "liters", "litre", "litres"),
    "H87": ("piece", "pieces"),
}
_BY_NAME = {name: code for code, names in _CODES.items() for name in names}


def unit_code(name: str) -> str:
    """Return the code of a unit by what it is called."""
    return _BY_NAME.get(name.strip().lower(), ONE)
