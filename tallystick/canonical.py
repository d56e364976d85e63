"""Canonical JSON (RFC 8785, without floats): one text, and so one hash, for one content."""

import hashlib

import msgspec

_encoder = msgspec.json.Encoder(order="sorted", decimal_format="string")
_NO_FLOATS = {str, int, bool, type(None)}
"""Types of which no float can be a part: most of what there is, and so not worth a walk."""


def encode(content: object) -> bytes:
    """
    Write *content*, plain JSON or structs of the product, as canonical JSON in UTF-8.

    Takes no floats: money never is one, and their text differs between languages. Structs have none by
    their types; in plain containers each is looked for.

    Raises:
        TypeError: there is a float, or something JSON has no word for.
    """
    refuse_floats(content)
    return _encoder.encode(content)


def digest(content: object) -> bytes:
    """Return the SHA-256 of the canonical text, 32 bytes."""
    return hashlib.sha256(encode(content)).digest()


def refuse_floats(content: object) -> None:
    """
    Walk the plain containers of *content* and find no float in them.

    Raises:
        TypeError: there is one; the message says where.
    """
    waiting: list[tuple[str, object]] = [("$", content)]
    while waiting:
        where, value = waiting.pop()
        if isinstance(value, float):
            raise TypeError(f"{where} is a float; write an integer, or a decimal as a string")
        if isinstance(value, dict):
            waiting.extend((f"{where}.{key}", inner) for key, inner in value.items() if type(inner) not in _NO_FLOATS)
        elif isinstance(value, list | tuple):
            waiting.extend(
                (f"{where}[{place}]", inner) for place, inner in enumerate(value) if type(inner) not in _NO_FLOATS
            )
