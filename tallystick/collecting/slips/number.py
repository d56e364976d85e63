"""The number of a slip: 16 digits that nobody can guess, and two by which a slip of the pen is noticed; pure."""

import hashlib
import uuid

from tallystick.errors import InvalidInput

DIGITS = 18
_DRAWN = 16
_MODULUS = 97


def number_of(slip_id: uuid.UUID) -> str:
    """
    Derive a slip's number from its id, whose 62 random bits (RFC 9562 §5.7) make it one that cannot be guessed.

    Numbers are not in a row: who knows one knows none of the others.
    """
    digest = hashlib.sha256(b"tallystick.slip\0" + slip_id.bytes).digest()
    drawn = f"{int.from_bytes(digest, 'big') % 10**_DRAWN:0{_DRAWN}d}"
    return drawn + check_digits(drawn)


def check_digits(drawn: str) -> str:
    """
    Return the two check digits of ISO/IEC 7064 MOD 97-10.

    They notice every digit that is mistaken and every two that are swapped.
    """
    return f"{_MODULUS + 1 - int(drawn) * 100 % _MODULUS:02d}"


def read_number(text: str, field: str) -> str:
    """
    Read a number as people write it, with spaces or hyphens between its digits.

    Raises:
        InvalidInput: it is none, or its check digits do not fit (``invalid_input``).
    """
    digits = text.replace(" ", "").replace("-", "")
    if len(digits) != DIGITS or not (digits.isascii() and digits.isdecimal()):
        raise InvalidInput(field=field, rule=f"A slip's number has {DIGITS} digits")
    if int(digits) % _MODULUS != 1:
        raise InvalidInput(field=field, rule="The check digits of the number do not fit: a digit of it is wrong")
    return digits


def printed(number: str) -> str:
    """Return it as people read it, in groups."""
    return " ".join(number[at : at + 4] for at in range(0, _DRAWN, 4)) + f" {number[_DRAWN:]}"
