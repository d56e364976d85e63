"""Read an id: all that a text may name."""

import datetime as dt
import re
import uuid
from typing import NamedTuple

from tallystick.errors import InvalidInput
from tallystick.ids import id_of_content

_UUID = r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}"
_RECORD = re.compile(rf"(?P<id>{_UUID})(?:/(?P<line>[0-9]{{1,9}}))?", re.ASCII | re.IGNORECASE)
_NUMBER = re.compile(r"(?P<series>[A-Z][A-Z0-9-]{0,15})-(?P<number>[0-9]{1,18})(?:/(?P<line>[0-9]{1,9}))?", re.ASCII)
_LOG_PLACE = re.compile(r"place:(?P<place>[0-9]{1,18})", re.ASCII)
_MESSAGE = re.compile(r"(?P<transaction>[0-9]{1,18})\.(?P<place>[0-9]{1,9})", re.ASCII)
_PRICE = re.compile(r"[^/@]+/[^/@]+@(?P<at>\S+)")
_MOST_SPLITS = 64
"""A source and an event's id may both have slashes, so each may be the one between them; so many are tried."""


class Wanted(NamedTuple):
    """What a text may name, in the order in which the query takes it; None where the text is no such thing."""

    text: str
    record_id: uuid.UUID | None
    log_place: int | None
    transaction_id: int | None
    message_place: int | None
    series: str | None
    number: int | None
    line: int | None
    event_keys: list[uuid.UUID]
    price_at: dt.datetime | None


def read_id(text: str) -> Wanted:
    """
    Take an id apart in every way in which it can be one.

    Raises:
        InvalidInput: it is no text that can be stored (``invalid_input``).
    """
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise InvalidInput(field="id", rule="Expected UTF-8") from error
    record, number = _RECORD.fullmatch(text), _NUMBER.fullmatch(text)
    place, message = _LOG_PLACE.fullmatch(text), _MESSAGE.fullmatch(text)
    line = (record and record["line"]) or (number and number["line"])
    return Wanted(
        text,
        uuid.UUID(record["id"]) if record else None,
        int(place["place"]) if place else None,
        int(message["transaction"]) if message else None,
        int(message["place"]) if message else None,
        number["series"] if number else None,
        int(number["number"]) if number else None,
        int(line) if line else None,
        _event_keys(text, record),
        _price_at(text),
    )


def _event_keys(text: str, record: re.Match[str] | None) -> list[uuid.UUID]:
    """Derive what an event is stored under that the text names as ``SOURCE/ID``, or take the text for it."""
    slashes = [at for at, character in enumerate(text) if character == "/"][:_MOST_SPLITS]
    keys = [id_of_content([text[:at], text[at + 1 :]]) for at in slashes]
    return [*keys, uuid.UUID(record["id"])] if record and record["line"] is None else keys


def _price_at(text: str) -> dt.datetime | None:
    found = _PRICE.fullmatch(text)
    if found is None:
        return None
    try:
        at = dt.datetime.fromisoformat(found["at"])
    except ValueError:
        return None
    return at if at.tzinfo is not None else None
