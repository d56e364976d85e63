"""Check the bank account that a customer's money is taken from. Pure."""

import re

from tallystick.errors import InvalidInput

_IBAN = re.compile(r"[A-Z]{2}[0-9]{2}[A-Z0-9]{11,30}", re.ASCII)
_MODULUS = 97


def read_bank_account(text: str, field: str = "bank_account") -> str:
    """
    Return a bank account in the form it is kept in: an IBAN in capitals and without spaces, anything else as it is.

    What looks like an IBAN is one (ISO 13616), and its two check digits must fit.

    Raises:
        InvalidInput: they do not (``invalid_input``).
    """
    joined = text.replace(" ", "").upper()
    if _IBAN.fullmatch(joined) is None:
        return text
    digits = "".join(str(int(character, 36)) for character in joined[4:] + joined[:4])
    if int(digits) % _MODULUS != 1:
        raise InvalidInput(field=field, rule="The check digits of the IBAN do not fit: one of its characters is wrong")
    return joined
