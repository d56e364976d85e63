"""Tell a file's format from its first lines, and where they leave it open from its name."""

import re
from enum import StrEnum
from pathlib import Path
from typing import ClassVar

from tallystick.errors import Kind, TallystickError
from tallystick.usage.decode.combined_log import looks_combined, looks_common
from tallystick.usage.decode.csv import looks_like_header
from tallystick.usage.decode.open_file import HEAD

LINES_LOOKED_AT = 100
_CLOUDEVENT = re.compile(r'"specversion"\s*:')


class Format(StrEnum):
    """The formats of usage files; the closed set."""

    COMBINED = "combined"
    COMMON = "common"
    CSV = "csv"
    JSON_LINES = "json-lines"
    CLOUDEVENTS = "cloudevents"
    PARQUET = "parquet"
    AVRO = "avro"


BINARY = {Format.PARQUET, Format.AVRO}
"""Those that are no text; their first bytes say which."""
_MAGIC = {b"PAR1": Format.PARQUET, b"Obj\x01": Format.AVRO}


class UnknownFormat(TallystickError):
    """Cannot tell the format of {name}: {why}; name one of combined, common, csv, json-lines, cloudevents, parquet, avro."""

    code: ClassVar[str] = "usage.unknown_format"
    kind: ClassVar[Kind] = Kind.INVALID


def named_format(name: str) -> Format:
    """
    Return the format that a caller named.

    Raises:
        UnknownFormat: usage.unknown_format.
    """
    try:
        return Format(name)
    except ValueError as error:
        raise UnknownFormat(field="format", name="the file", why=f"{name!r} is not a format") from error


def detect_binary(path: Path) -> Format | None:
    """Tell the format of a file that is no text from its first bytes; None if it may be text, or cannot be read."""
    if not path.is_file():  # a pipe would have to be waited for
        return None
    try:
        with path.open("rb") as file:
            return _MAGIC.get(file.read(4))
    except OSError:
        return None


def detect_format(head: bytes, name: str) -> Format:
    """
    Tell the format of the file called *name* whose text starts with *head*.

    Raises:
        UnknownFormat: usage.unknown_format; none of the first lines is of a format known here.
    """
    lines = _first_lines(head)
    start = lines[0].lstrip() if lines else ""
    if start.startswith("["):
        return Format.CLOUDEVENTS
    if start.startswith("{"):
        return Format.CLOUDEVENTS if _CLOUDEVENT.search("\n".join(lines)) else Format.JSON_LINES
    if any(looks_combined(line) for line in lines):
        return Format.COMBINED
    if any(looks_common(line) for line in lines):
        return Format.COMMON
    if lines and (looks_like_header(start) or name.lower().removesuffix(".gz").endswith(".csv")):
        return Format.CSV
    raise UnknownFormat(field="format", name=name, why="none of its first lines is of a format known here")


def _first_lines(head: bytes) -> list[str]:
    """Return the first lines that are not blank; the last one only if *head* shows all of it."""
    lines = head.decode(errors="replace").split("\n")
    if len(head) >= HEAD - 3:
        lines = lines[:-1] or lines
    return [line.removesuffix("\r") for line in lines if line.strip()][:LINES_LOOKED_AT]
