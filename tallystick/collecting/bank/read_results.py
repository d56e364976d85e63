"""
Read results: what became of each debit, from pain.002.001.10 (ISO 20022) or from a plain CSV file.

Files come from outside: no DOCTYPE, no entities, no endless texts, one element at a time.
"""

import contextlib
import io
import itertools
import re
import uuid
import xml.etree.ElementTree as ET
from collections.abc import Iterable, Iterator
from decimal import Decimal, InvalidOperation
from pathlib import Path
from tempfile import SpooledTemporaryFile
from typing import IO, BinaryIO, Literal, NamedTuple, TypeAlias, cast

import msgspec

from tallystick.collecting.bank.errors import UnreadableFile
from tallystick.collecting.bank.reasons import error_kind_of
from tallystick.collecting.read_csv import CsvRow, read_csv
from tallystick.money import MAX_AMOUNT

MOST_BYTES = 1024**3
_MOST_LINE = 64 * 1024
_CHUNK = 1024 * 1024
_IN_MEMORY = 16 * 1024 * 1024
_AT_ONCE = 1_000
_NAMESPACE = re.compile(r"\{urn:iso:std:iso:20022:tech:xsd:pain\.002\.001\.[0-9]{2}\}")
_ENCODING = re.compile(rb"encoding\s*=\s*[\"']([^\"']*)")
_ENCODINGS = {b"utf-8", b"us-ascii", b"iso-8859-1", b"iso-8859-15", b"windows-1252"}
_HEX = re.compile(r"[0-9a-f]{32}")
_AMOUNT = re.compile(r"[0-9]{1,19}(\.[0-9]{1,18})?")
_TAKEN = {"ACSC", "ACCC"}
"""The money has arrived."""
_UNDER_WAY = {"RCVD", "PDNG", "ACTC", "ACCP", "ACSP", "ACWC", "ACFC"}
"""Nothing has happened yet that could not still be refused."""
_COLUMNS = ("charge", "status", "amount", "reason")


_Found: TypeAlias = tuple[str, ET.Element] | CsvRow


class Result(NamedTuple):
    """What the bank says of one debit."""

    place: str
    charge: uuid.UUID | None
    status: Literal["taken", "failed", "under_way", "bad"]
    amount: Decimal | None = None
    """Major units that were taken; None: all of it, or nothing."""
    error_kind: str | None = None
    why: str = ""
    """What is bad about it, or the bank's own code and words."""


_decoder = msgspec.msgpack.Decoder(list[Result])


@contextlib.contextmanager
def read_results(path: Path) -> Iterator[tuple[int, Iterator[Result]]]:
    """
    Read a file, XML or CSV, to its end, and lend how many results it has and the way through them.

    To its end first, so that nothing is applied of one that breaks off; what was read waits in a file of its own, so that
    it is understood once. A row that cannot be read is a result itself, which says why.

    Raises:
        UnreadableFile: the file cannot be read to its end (``bank.unreadable_file``).
    """
    with SpooledTemporaryFile(max_size=_IN_MEMORY) as kept:
        found = (_row(one) if isinstance(one, CsvRow) else _result_of(*one) for one in _find(path))
        count = 0
        while some := list(itertools.islice(found, _AT_ONCE)):
            with _room_for(kept, path):
                body = msgspec.msgpack.encode(some)
                kept.write(len(body).to_bytes(4, "big") + body)
            count += len(some)
        with _room_for(kept, path):
            kept.seek(0)
        yield count, _read_kept(kept)


@contextlib.contextmanager
def _room_for(kept: IO[bytes], path: Path) -> Iterator[None]:
    """Say it of the file that is read where there is no room to keep what was read of it."""
    try:
        yield
    except OSError as error:
        with contextlib.suppress(OSError):  # it tries to write the rest once more
            kept.close()
        rule = f"what was read of it can be kept nowhere: {error.strerror}; TMPDIR says where"
        raise UnreadableFile(field="file", place=path.name, rule=rule) from error


def _read_kept(kept: IO[bytes]) -> Iterator[Result]:
    while size := kept.read(4):
        yield from _decoder.decode(kept.read(int.from_bytes(size, "big")))


def _find(path: Path) -> Iterator[_Found]:
    """
    Go through what a file has of results, each with its place: cells of CSV, or an element that is let go of behind it.

    Raises:
        UnreadableFile: the file cannot be read to its end (``bank.unreadable_file``).
    """
    if path.stat().st_size > MOST_BYTES:
        raise UnreadableFile(field="file", place=str(path.name), rule=f"larger than {MOST_BYTES:,} bytes")
    with path.open("rb") as file:
        start = file.read(64).removeprefix(b"\xef\xbb\xbf").lstrip()
        if not start:
            raise UnreadableFile(field="file", place=path.name, rule="it is empty")
        file.seek(0)
        yield from _find_in_xml(file) if start.startswith(b"<") else read_csv(file, _COLUMNS)


def _find_in_xml(file: BinaryIO) -> Iterator[_Found]:
    _refuse_dangerous(file)
    parser: ET.XMLPullParser[ET.Element] = ET.XMLPullParser(["start", "end"])
    reader = _Pain002()
    ended = False
    try:
        while not ended:
            chunk = file.read(_CHUNK)
            ended = not chunk
            parser.close() if ended else parser.feed(chunk)
            yield from reader.take(cast("Iterable[tuple[str, ET.Element]]", parser.read_events()))
    except ET.ParseError as error:
        line, column = error.position
        rule = f"no well-formed XML: {str(error).partition(':')[0]}"
        raise UnreadableFile(field="file", place=f"line {line}, column {column + 1}", rule=rule) from error
    except (LookupError, ValueError) as error:
        raise UnreadableFile(field="file", place="line 1", rule="an encoding that XML does not have") from error
    reader.end()


def _refuse_dangerous(file: BinaryIO) -> None:
    """
    Refuse a file that declares a document type or entities, or has text without end.

    Raises:
        UnreadableFile: it does (``bank.unreadable_file``).
    """
    declared = _ENCODING.search(file.read(256).partition(b"?>")[0])
    file.seek(0)
    if declared and declared[1].lower() not in _ENCODINGS:  # in some others the marks below have other bytes
        raise UnreadableFile(field="file", place="line 1", rule="in an encoding other than UTF-8 or Latin-1")
    line, since, tail = 1, 0, b""
    while chunk := file.read(_CHUNK):
        seen = tail + chunk
        for mark in (b"<!DOCTYPE", b"<!ENTITY"):
            if mark in seen.upper():
                place = f"line {line + seen[: seen.upper().index(mark)].count(10) - tail.count(10)}"
                raise UnreadableFile(field="file", place=place, rule="no document type or entity may be declared")
        if b"\0" in chunk:
            place = f"line {line + chunk[: chunk.index(0)].count(10)}"
            raise UnreadableFile(field="file", place=place, rule="binary, or in an encoding other than UTF-8")
        parts = chunk.split(b"<")
        longest = max(since + len(parts[0]), *(len(part) for part in parts[1:]), 0)
        if longest > _MOST_LINE:
            raise UnreadableFile(field="file", place=f"line {line}", rule=f"a text of over {_MOST_LINE:,} bytes")
        since = since + len(chunk) if len(parts) == 1 else len(parts[-1])
        line += chunk.count(10)
        tail = chunk[-16:]
    file.seek(0)


class _Pain002:
    """Picks the results out of the elements as they end."""

    def __init__(self) -> None:
        """Begin before the first element."""
        self._path: list[ET.Element] = []
        self._count = 0
        self._told: int | None = None
        self._group = ""

    def take(self, events: Iterable[tuple[str, ET.Element]]) -> Iterator[tuple[str, ET.Element]]:
        """Take events; an element that ended is let go of."""
        path = self._path
        for event, element in events:
            tag = element.tag
            if event == "start":
                if not path:
                    _require_document(tag)
                path.append(element)
                continue
            path.pop()
            if tag.endswith("}TxInfAndSts"):
                self._count += 1
                yield f"TxInfAndSts {self._count}", element
                if path:
                    path[-1].remove(element)
            elif tag.endswith("}OrgnlGrpInfAndSts"):
                self._group = _texts(element).get("GrpSts", "")
                self._told = sum(_counts(element))
            elif tag.endswith("}OrgnlPmtInfAndSts") and path:
                path[-1].remove(element)

    def end(self) -> None:
        """
        Find at the end that the file has what it says.

        Raises:
            UnreadableFile: it says nothing of single debits, or of another number of them (``bank.unreadable_file``).
        """
        if not self._count:
            rule = f"it says nothing of single debits{f', only {self._group} of all' if self._group else ''}"
            raise UnreadableFile(field="file", place="OrgnlGrpInfAndSts", rule=rule)
        if self._told and self._told != self._count:
            rule = f"NbOfTxsPerSts comes to {self._told}, and there are {self._count} TxInfAndSts"
            raise UnreadableFile(field="file", place="OrgnlGrpInfAndSts", rule=rule)


def _counts(group: ET.Element) -> Iterator[int]:
    for one in group.iter():
        if one.tag.endswith("}DtldNbOfTxs") and (one.text or "").strip().isdecimal():
            yield int((one.text or "0").strip()[:15])


def _require_document(tag: str) -> None:
    if not (tag.endswith("}Document") and _NAMESPACE.match(tag)):
        rule = "a pain.002.001 begins with Document of urn:iso:std:iso:20022:tech:xsd:pain.002.001"
        raise UnreadableFile(field="file", place="line 1", rule=rule)


def _result_of(place: str, element: ET.Element) -> Result:
    texts = _texts(element)
    status = texts.get("TxSts", "").upper()
    charge = read_charge(texts.get("OrgnlEndToEndId", ""))
    if charge is None:
        return Result(place, None, "bad", why="OrgnlEndToEndId is no charge of ours")
    if status in _TAKEN:
        return Result(place, charge, "taken")
    if status in _UNDER_WAY:
        return Result(place, charge, "under_way", why=status)
    if status in {"RJCT", "CANC"}:
        code = _reason(element)
        return Result(place, charge, "failed", error_kind=error_kind_of(code), why=code or "no reason")
    return Result(place, charge, "bad", why=f"TxSts {status[:10]!r} is none that has a meaning here")


def _texts(element: ET.Element) -> dict[str, str]:
    """Return the text of the first element of each name."""
    found: dict[str, str] = {}
    for one in element.iter():
        found.setdefault(one.tag.rpartition("}")[2], (one.text or "").strip())
    return found


def _reason(element: ET.Element) -> str | None:
    for one in element.iter():
        if one.tag.endswith("}Rsn"):
            texts = _texts(one)
            return texts.get("Cd") or texts.get("Prtry")
    return None


def read_charge(text: str) -> uuid.UUID | None:
    """Read the id of a charge as it stands in files, with or without hyphens; None if it is none."""
    plain = text.strip().replace("-", "").lower()
    return uuid.UUID(plain) if _HEX.fullmatch(plain) else None


def _row(row: CsvRow) -> Result:
    place, cells = row.place, row.cells
    if row.bad is not None:
        return Result(place, None, "bad", why=row.bad)
    charge = read_charge(cells["charge"])
    status = cells["status"].lower()
    if charge is None:
        return Result(place, None, "bad", why=f"{cells['charge'][:40]!r} is no id of a charge")
    if status not in {"taken", "failed"}:
        return Result(place, charge, "bad", why="status is taken or failed")
    amount = None
    if cells["amount"]:
        try:
            amount = read_amount(cells["amount"])
        except ValueError as error:
            return Result(place, charge, "bad", why=str(error))
    if status == "taken" and not cells["reason"]:
        return Result(place, charge, "taken", amount)
    kind = cells["reason"].lower()
    known = re.fullmatch(r"[a-z][a-z0-9_]{2,62}", kind) and not re.fullmatch(r"[a-z]{2}[0-9]{2}|[a-z]{4}", kind)
    return Result(place, charge, status, amount, kind if known else error_kind_of(kind), cells["reason"])  # type: ignore[arg-type]  # one of the two that it was held against


def read_amount(text: str) -> Decimal:
    """
    Read an amount in major units, with a full stop before the decimals.

    Raises:
        ValueError: it is none; a comma could be either, so it is refused.
    """
    if _AMOUNT.fullmatch(text) is None:
        raise ValueError(f"amount {text[:40]!r}: expected digits, and a full stop before decimals, as in 12.50")
    try:
        return Decimal(text)
    except InvalidOperation as error:
        raise ValueError(f"amount {text[:40]!r} is no number") from error


def minor_units(amount: Decimal, exponent: int) -> int:
    """
    Return an amount in minor units.

    Raises:
        ValueError: it has more decimals than the currency, or is too large.
    """
    scaled = amount.scaleb(exponent)
    if scaled != scaled.to_integral_value():
        raise ValueError(f"{amount} has more than the {exponent} decimals of its currency")
    if abs(scaled) > MAX_AMOUNT:
        raise ValueError(f"{amount} is too large")
    return int(scaled)


def read_text(data: bytes, encoding: str | None) -> io.StringIO:
    """
    Read a text of a bank: UTF-8, or what older programs write (Windows-1252), unless *encoding* is said.

    Raises:
        UnreadableFile: it is binary, or not in *encoding* (``bank.unreadable_file``).
    """
    if b"\0" in data:
        place = f"line {1 + data[: data.index(0)].count(10)}"
        raise UnreadableFile(field="file", place=place, rule="binary, or in an encoding that has to be named")
    place = "the file"
    for name in [encoding] if encoding else ["utf-8-sig", "cp1252", "latin-1"]:
        try:
            return io.StringIO(data.decode(name))
        except UnicodeDecodeError as error:
            place = f"line {1 + data[: error.start].count(10)}"
        except LookupError as error:
            raise UnreadableFile(field="encoding", place="encoding", rule=f"{name} is none that is known") from error
    raise UnreadableFile(field="file", place=place, rule=f"it is not {encoding}")
