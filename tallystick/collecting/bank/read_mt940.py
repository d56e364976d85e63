"""
Read MT940 (SWIFT customer statement): statements with their entries, amounts in minor units as integers.

The package ``mt-940`` takes entries apart, one at a time. What it would pass over in silence is found here: an entry without
a kind that the next one overwrites, amounts that are cut where a full stop is, balances without a currency, words of the
statement that it hangs on the last entry, a second account in one statement.
"""

import datetime as dt
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

import mt940
from mt940.models import Transactions
from mt940.tags import Tag

from tallystick.collecting.bank.errors import UnreadableFile
from tallystick.collecting.bank.model import Entry, StatementBalance, StatementHead
from tallystick.collecting.bank.read_results import minor_units, read_text
from tallystick.money import currency as currency_of

MOST_BYTES = 64 * 1024**2
_MOST_LINE = 2_000
_FIELD = re.compile(r":(?P<name>20|21|25|28C?|13D?|34F|6[02][FM]?|61|6[45]|86|90[CD]?|NS):(?P<rest>.*)")
"""What looks like another field is a part of the one before: a time of day in a wrapped text, for example."""
_OF_ENTRY = {"86", "NS"}
_SUFFIX = re.compile(r"(?P<account>.*[0-9])\s?(?P<currency>[A-Z]{3})")
_CUT = re.compile(r"[0-9.,]")
_CENTURY, _FEBRUARY = 80, 2
"""As SWIFT reads years of two digits."""
_WITHDRAWN = {
    "DEM": 2,
    "ATS": 2,
    "FRF": 2,
    "NLG": 2,
    "FIM": 2,
    "IEP": 2,
    "ITL": 0,
    "BEF": 0,
    "ESP": 0,
    "PTE": 0,
    "HRK": 2,
}
"""Of currencies that ISO 4217 has withdrawn: the decimals that statements have in them."""
_BALANCE = re.compile(
    r"^(?P<status>[DC])(?P<year>\d{2})(?P<month>\d{2})(?P<day>\d{2})(?P<currency>[A-Z]{3})?(?P<amount>[0-9]{1,18},?[0-9]{0,6})\s*$"
)


@dataclass(frozen=True, slots=True)
class Read:
    """A statement, or what there is of one."""

    line: int
    account: str
    number: str
    currency: str | None
    opening: StatementBalance | None
    closing: StatementBalance | None
    entries: list[Entry]
    told: list[str] = field(default_factory=list)
    """What is strange about it."""

    @property
    def head(self) -> StatementHead | None:
        """Return it as a statement that can be kept; None for a part of one, or for what the bank tells between statements."""
        if self.opening is None or self.closing is None or self.currency is None or not self.account:
            return None
        return StatementHead(self.account, self.currency, self.number, self.opening, self.closing)

    @property
    def difference(self) -> int | None:
        """Return by how much the closing balance is not what the entries make of the opening one; None: who knows."""
        if self.opening is None or self.closing is None:
            return None
        return self.closing.amount - self.opening.amount - sum(one.amount for one in self.entries)


def read_mt940(data: bytes, encoding: str | None = None, currency: str | None = None) -> list[Read]:
    """
    Read the statements in a file; *currency* is that of entries of which no balance says one.

    Raises:
        UnreadableFile: it is no MT940, or a field of it cannot be read (``bank.unreadable_file``).
    """
    if len(data) > MOST_BYTES:
        raise UnreadableFile(field="file", place="the file", rule=f"larger than {MOST_BYTES:,} bytes")
    lines = read_text(data, encoding).read().replace("\r\n", "\n").replace("\r", "\n").split("\n")
    for number, line in enumerate(lines, 1):
        if len(line) > _MOST_LINE:
            raise UnreadableFile(field="file", place=f"line {number}", rule=f"longer than {_MOST_LINE:,} characters")
    blocks = [one for one in (_Block(*block) for block in _split(lines)) if one.fields]
    if not blocks:
        rule = "no field such as :20: or :61: is in it; it is empty, or no MT940" if any(lines) else "it is empty"
        raise UnreadableFile(field="file", place="the file", rule=rule)
    return [_read(one, currency) for one in blocks]


def _split(lines: list[str]) -> Iterator[tuple[int, list[str]]]:
    """Go through the blocks that begin with ``:20:``, each with the number of its first line, and what is before them."""
    start = 0
    for number, line in enumerate([*lines, ":20:"]):
        if line.startswith(":20:") and number:
            yield start + 1, lines[start:number]
            start = number


@dataclass(frozen=True, slots=True)
class _Field:
    """A field of a statement."""

    line: int
    name: str
    value: str
    """With the lines behind the first."""

    @property
    def place(self) -> str:
        """Say where it stands."""
        return f"line {self.line}, :{self.name}:"


class _Block:
    """One statement, taken apart into fields."""

    def __init__(self, line: int, lines: list[str]) -> None:
        """Take the lines apart."""
        self.fields: list[_Field] = []
        self.line = line
        at = 0
        while at < len(lines):
            number, text = line + at, lines[at]
            if text.strip() == ":" and at + 1 < len(lines):  # the name of a field can be broken by the end of a line
                at += 1
                text = ":" + lines[at]
            at += 1
            found = _FIELD.fullmatch(text)
            if found:
                self.fields.append(_Field(number, found["name"], found["rest"]))
            elif self.fields and text.strip() not in {"", "-", "-}"}:
                last = self.fields[-1]
                self.fields[-1] = _Field(last.line, last.name, f"{last.value}\n{text}")

    def first(self, *names: str) -> _Field | None:
        """Return the first field of one of these names."""
        return next((one for one in self.fields if one.name in names), None)

    def last(self, *names: str) -> _Field | None:
        """Return the last field of one of these names."""
        return next((one for one in reversed(self.fields) if one.name in names), None)

    def entries(self) -> Iterator[list[_Field]]:
        """Go through the entries, each with what is said of it; what comes behind the closing balance is of the statement."""
        own: list[_Field] = []
        for one in self.fields:
            if one.name not in _OF_ENTRY:
                if own:
                    yield own
                own = [one] if one.name == "61" else []
            elif own:
                own.append(one)
        if own:
            yield own


def _read(block: _Block, currency: str | None) -> Read:
    account, suffix = _account(block)
    told = ["a second :25: was left out"] if sum(one.name == "25" for one in block.fields) > 1 else []
    opening, closing = _balance(block.first("60F", "60M", "60")), _balance(block.last("62F", "62M", "62"))
    said = [one[2] for one in (opening, closing) if one is not None and one[2]]
    own = (said[0] if said else None) or _floor(block) or suffix or currency
    if len(set(said)) > 1:
        rule = f"it opens in {said[0]} and closes in {said[1]}"
        raise UnreadableFile(field="file", place=f"statement of line {block.line}", rule=rule)
    number = block.first("28C", "28")
    return Read(
        block.line,
        account,
        number.value.strip()[:35] if number else "",
        own,
        _in_minor(block, opening, own),
        _in_minor(block, closing, own),
        [_entry(fields, own) for fields in block.entries()],
        told,
    )


def _account(block: _Block) -> tuple[str, str | None]:
    """Return an account and the currency that some banks write behind it."""
    found = block.first("25")
    text = " ".join(found.value.split())[:64] if found else ""
    parts = _SUFFIX.fullmatch(text)
    return (parts["account"], parts["currency"]) if parts else (text, None)


_Written = tuple[dt.date, Decimal, str | None]


def _balance(found: _Field | None) -> _Written | None:
    """Read a balance; some banks leave its currency out."""
    if found is None:
        return None
    parts = _BALANCE.match(found.value.partition("\n")[0])
    if parts is None:
        rule = f"{found.value[:40]!r} is no balance: D or C, a day, a currency, and an amount with a comma"
        raise UnreadableFile(field="file", place=found.place, rule=rule)
    amount = Decimal(parts["amount"].replace(",", "."))
    on = _date(found.place, *(int(parts[part]) for part in ("year", "month", "day")))
    return on, -amount if parts["status"] == "D" else amount, parts["currency"]


def _date(place: str, year: int, month: int, day: int) -> dt.date:
    """Read a day; some banks count thirty days in February."""
    year += 2000 if year < _CENTURY else 1900
    if month == _FEBRUARY and 28 < day <= 30:  # noqa: PLR2004 - its last day, or one that it does not have
        return dt.date(year, 3, 1) - dt.timedelta(days=1)
    try:
        return dt.date(year, month, day)
    except ValueError as error:
        raise UnreadableFile(field="file", place=place, rule=f"there is no day {year}-{month}-{day}") from error


def _floor(block: _Block) -> str | None:
    found = block.first("34F")
    return found.value[:3] if found and re.fullmatch(r"[A-Z]{3}", found.value[:3]) else None


def _exponent(place: str, own: str | None) -> int:
    if own is None:
        raise UnreadableFile(field="file", place=place, rule="nothing says its currency; name the one that it is in")
    if own in _WITHDRAWN:
        return _WITHDRAWN[own]
    try:
        return currency_of(own).exponent
    except ValueError as error:
        raise UnreadableFile(field="file", place=place, rule=f"ISO 4217 knows no currency {own}") from error


def _in_minor(block: _Block, written: _Written | None, own: str | None) -> StatementBalance | None:
    if written is None:
        return None
    place = f"balance in the statement of line {block.line}"
    return StatementBalance(written[0], _minor(place, written[1], own))


def _minor(place: str, amount: Decimal, own: str | None) -> int:
    exponent = _exponent(place, own)
    try:
        return minor_units(amount, exponent)
    except ValueError as error:
        raise UnreadableFile(field="file", place=place, rule=str(error)) from error


def _entry(fields: list[_Field], own: str | None) -> Entry:
    """Read an entry by the package, by itself, so that none is laid over another one."""
    first = fields[0]
    found = _take_apart(first, "\n".join(f":{one.name}:{one.value}" for one in fields))
    reference = found.get("customer_reference") or ""
    if not found.get("id") and _CUT.match(reference):
        rule = "an amount has at most 15 characters, and a comma before decimals"
        raise UnreadableFile(field="file", place=first.place, rule=rule)
    amount = _minor(first.place, found["amount"].amount, own)
    if amount == 0:
        raise UnreadableFile(field="file", place=first.place, rule="an entry of nothing")
    entered = found.get("entry_date")
    return Entry(
        value_on=_plain_date(found["date"]),
        amount=amount,
        booked_on=_plain_date(entered) if isinstance(entered, dt.date) else None,
        reversal=str(found.get("status")).upper().startswith("R"),
        code=(found.get("id") or "").strip(),
        reference=_one_line(reference, 64),
        bank_reference=_one_line(found.get("bank_reference"), 64),
        text=_words(found),
        account=_one_line(found.get("applicant_iban"), 64).replace(" ", ""),
        name=_one_line(found.get("applicant_name"), 140),
    )


def _take_apart(first: _Field, text: str) -> dict[str, Any]:
    def keep_words(_: Transactions, __: Tag, fields: dict[str, Any], *___: object) -> dict[str, Any]:
        return {**fields, "words": fields["transaction_details"]}

    processors: Any = {**Transactions.DEFAULT_PROCESSORS, "pre_transaction_details": [keep_words]}
    transactions = Transactions(processors, options=mt940.Options.all())
    try:
        (found,) = transactions.parse(text)
    except RuntimeError as error:  # the package has no error of its own
        rule = f"{first.value[:60]!r} is no entry: day, D or C, amount with a comma, kind, reference"
        raise UnreadableFile(field="file", place=first.place, rule=rule) from error
    except (ArithmeticError, ValueError, LookupError, TypeError, AttributeError) as error:
        raise UnreadableFile(field="file", place=first.place, rule=f"it cannot be read: {str(error)[:80]}") from error
    data: dict[str, Any] = found.data
    return data


def _words(found: dict[str, Any]) -> str:
    """Return what an entry is for: the purpose where the bank marks it, else all that it says."""
    parts = [
        found.get(name)
        for name in ("end_to_end_reference", "purpose", "additional_purpose", "extra_details", "non_swift_text")
    ]
    if not any(parts[:3]):
        parts.append(str(found.get("words") or "").replace("\n", ""))
    return " ".join(_one_line(one, 2_000) for one in parts if one)[:2_000]


def _one_line(text: str | None, most: int) -> str:
    plain = "".join(one if one.isprintable() else " " for one in text or "")
    return " ".join(plain.split())[:most]


def _plain_date(one: dt.date) -> dt.date:
    """Return a day as the standard library's; the package has a class of its own."""
    return dt.date(one.year, one.month, one.day)
