"""
The Common and the Combined Log Format of Apache httpd, as nginx and others write them too.

    host ident user [17/May/2015:10:05:03 +0000] "GET /path HTTP/1.1" 200 203023 "referer" "agent"

Only host, time, request target, status and bytes are kept; the user's name, referer and agent are not.
"""

import datetime as dt
import re

from tallystick.usage.decode.decoded import Decoded, Malformed
from tallystick.usage.decode.line_ids import LineIds
from tallystick.usage.decode.open_file import Batch
from tallystick.usage.model import DEFAULT_TYPE, MAX_EVIDENCE, UsageEvent

_QUOTED = r'"[^"\\]*+(?:\\.[^"\\]*+)*+"'
_PREFIX = (
    r"(?!- )(\S{1,255}+) \S++ .*?\[([^\]]{26})\] "
    r'"(?:[A-Z]++ ([^" \\]++) HTTP/[0-9.]++|([^"\\]*+(?:\\.[^"\\]*+)*+))" '
    r"([1-9][0-9]{2}|-) ([0-9]{1,18}+|-)"
)
_COMMON = re.compile(_PREFIX + r"(?: .*+)?", re.ASCII)
_COMBINED = re.compile(_PREFIX + rf" {_QUOTED} {_QUOTED}(?: .*+)?", re.ASCII)

_PLAIN_PREFIX = (
    r"(?!- )(\S{1,255}+) \S++ [^\[]*+\[([^\]]{26})\] "
    r'"[A-Z]++ ([^ "]++) HTTP/[0-9.]++" ([1-9][0-9]{2}) ([0-9]{1,18}+)'
)
_PLAIN_COMMON = re.compile(_PLAIN_PREFIX + r"(?: .*+)?", re.ASCII)
_PLAIN_COMBINED = re.compile(_PLAIN_PREFIX + r' "[^"]*+" "[^"]*+"', re.ASCII)
"""The same for nearly every line, one without a backslash in it: quicker by half."""

_PARTS = [
    (re.compile(pattern, re.ASCII), reason)
    for pattern, reason in [
        (r"(?!- )\S{1,255}+ ", "no client address of 1 to 255 characters at its start"),
        (r"\S++ .*?\[", "no time in [brackets] after address, identity and user"),
        (r"[^\]]{26}\] ", "the time in [brackets] is not like 17/May/2015:10:05:03 +0000"),
        (rf"{_QUOTED} ", "no request in quotes after the time"),
        (r"(?:[1-9][0-9]{2}|-) ", "no status of three digits after the request"),
        (r"(?:[0-9]{1,18}+|-)(?= |\Z)", "no count of bytes after the status"),
        (rf" {_QUOTED}", "no referer in quotes after the bytes"),
        (rf" {_QUOTED}(?= |\Z)", "no agent in quotes after the referer"),
    ]
]

_TIME = re.compile(r"(\d\d)/([A-Z][a-z]{2})/(\d{4}):(\d\d):(\d\d):(\d\d) ([+-])(0\d|1[0-4])([0-5]\d)", re.ASCII)
_MONTHS = {
    name: number
    for number, name in enumerate(
        ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"], 1
    )
}
_SECONDS = {f"{second:02}": dt.timedelta(seconds=second) for second in range(61)}
"""With the leap second, which becomes the first of the next minute."""
_EARLIEST = dt.datetime(1970, 1, 1, tzinfo=dt.UTC)
_MINUTES_KEPT = 50_000


class CombinedLog:
    """Reads access logs; *combined* tells whether each line must have referer and agent."""

    def __init__(self, *, combined: bool, ids: LineIds) -> None:
        """
        Start a file.

        In a combined log a line without them was cut short, perhaps in the middle of its bytes; it is malformed.
        """
        self._combined = combined
        self._ids = ids
        self._minutes: dict[str, dt.datetime] = {}

    def decode(self, batch: Batch) -> Decoded:
        """Read the lines of *batch*; one loop, kept free of calls because each line passes here."""
        decoded = Decoded()
        keep, event, minutes, seconds = decoded.events.append, UsageEvent, self._minutes, _SECONDS
        plain = (_PLAIN_COMBINED if self._combined else _PLAIN_COMMON).fullmatch
        for place, (line, identifier) in enumerate(zip(batch.lines, self._ids.of(batch.lines), strict=True)):
            try:
                text = line.decode()
                found = plain(text)
                if found is None or "\\" in text:
                    self._decode_unusual(decoded, batch.first + place, text, identifier)
                    continue
                host, stamp, target, status, size = found.groups()
                minute = minutes.get(stamp[:17] + stamp[20:]) or self._minute(stamp)
                at = minute + seconds[stamp[18:20]]
            except (ValueError, KeyError, OverflowError) as error:
                decoded.malformed.append(Malformed(batch.first + place, _why(error)))
                continue
            keep(event(identifier, host, DEFAULT_TYPE, at, {"bytes": int(size)}, int(status), target))
        return decoded

    def _decode_unusual(self, decoded: Decoded, number: int, text: str, identifier: str) -> None:
        """
        Read a line by the whole grammar: escapes, odd requests, ``-`` for status or bytes; or note why it does not fit.

        Raises:
            ValueError, KeyError, OverflowError: its time is none.
        """
        found = (_COMBINED if self._combined else _COMMON).fullmatch(text)
        if found is None:
            self._explain(decoded, number, text)
            return
        host, stamp, target, request, status, size = found.groups()
        decoded.events.append(
            UsageEvent(
                id=identifier,
                customer=host,
                type=DEFAULT_TYPE,
                at=self._minute(stamp) + _SECONDS[stamp[18:20]],
                quantities={"bytes": 0 if size == "-" else int(size)},
                status=0 if status == "-" else int(status),
                resource=target if target is not None else _target(request),
            )
        )

    def _minute(self, stamp: str) -> dt.datetime:
        """Return the beginning of the minute of *stamp*, in UTC, and keep it: neighbours share it."""
        found = _TIME.fullmatch(stamp)
        if found is None:
            raise ValueError(f"the time is not like 17/May/2015:10:05:03 +0000, but {stamp!r}")
        day, month, year, hour, minute, _, sign, zone_hours, zone_minutes = found.groups()
        offset = dt.timedelta(hours=int(zone_hours), minutes=int(zone_minutes))
        local = dt.datetime(int(year), _MONTHS[month], int(day), int(hour), int(minute), tzinfo=dt.UTC)
        if len(self._minutes) >= _MINUTES_KEPT:
            self._minutes.clear()
        utc = local + offset if sign == "-" else local - offset
        if utc < _EARLIEST:
            raise ValueError("the time must lie in the years 1970 to 9999")
        self._minutes[stamp[:17] + stamp[20:]] = utc
        return utc

    def _explain(self, decoded: Decoded, number: int, text: str) -> None:
        """Note why a line does not fit, or that it is blank."""
        if not text.strip():
            decoded.skipped += 1
            return
        place = 0
        for pattern, reason in _PARTS if self._combined else _PARTS[:-2]:
            found = pattern.match(text, place)
            if found is None:
                decoded.malformed.append(Malformed(number, reason))
                return
            place = found.end()
        decoded.malformed.append(Malformed(number, "it is not in the log format"))


def looks_combined(line: str) -> bool:
    """Say whether *line* is a whole line of a combined log."""
    return _COMBINED.fullmatch(line) is not None


def looks_common(line: str) -> bool:
    """Say whether *line* is a whole line of a common log (or of a combined one)."""
    return _COMMON.fullmatch(line) is not None


def _target(request: str) -> str:
    """Return the target out of an unusual request line; all of it if there is none to be found."""
    _, space, rest = request.partition(" ")
    target, version, _ = rest.rpartition(" HTTP/")
    if not space:
        return request[:MAX_EVIDENCE]
    return (target if version else rest)[:MAX_EVIDENCE]


def _why(error: Exception) -> str:
    if isinstance(error, UnicodeDecodeError):
        return f"the line is not UTF-8 (byte {error.start + 1})"
    if isinstance(error, ValueError) and str(error).startswith("the time"):
        return str(error)
    return f"the time is not one of the calendar ({error})"
