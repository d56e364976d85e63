"""Statements of banks: what each bank does otherwise, re-created small; and what is no statement."""

import contextlib
import datetime as dt
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tallystick.collecting.bank.errors import UnreadableFile
from tallystick.collecting.bank.match import ids_in, judge, numbers_in
from tallystick.collecting.bank.model import Entry
from tallystick.collecting.bank.read_mt940 import Read, read_mt940
from tests.conftest import DATA

FILES = sorted((DATA / "mt940").glob("*/*.sta"))
NO_STATEMENT = {"invalid_statement.sta"}
ENTRIES = {"sepa_mt9401.sta": 97, "sepa_snippet.sta": 11, "mt940.sta": (16, 3), "raphaelm.sta": 9, "abnamro.sta": 10,
           "rabobank.sta": 5, "raiffeisen-cmi.sta": 7, "multiline.sta": 2, "sparkassen.sta": 1, "gv_codes.sta": 2}  # fmt: skip
"""How many there are, counted by hand where it matters."""


def one(*lines: str, opening: str = "C260101EUR100,00", closing: str | None = None) -> Read:
    """Read one statement with these lines in it."""
    text = [":20:X", ":25:1/2", ":28C:7/1", f":60F:{opening}", *lines]
    if closing:
        text.append(f":62F:{closing}")
    (read,) = read_mt940("\n".join(text).encode())
    return read


def entry(*lines: str) -> Entry:
    """Read the one entry in these lines."""
    (found,) = one(*lines).entries
    return found


def test_a_statement_adds_up() -> None:
    """Amounts are integers of minor units; what is missing is told."""
    lines = (":61:2601010102C12,5NTRFNONREF//B1", ":86:x", ":61:260102D2,NTRFNONREF", ":86:y")
    read = one(*lines, closing="C260102EUR110,50")
    assert [at.amount for at in read.entries] == [1250, -200]
    assert (read.difference, read.head is not None) == (0, True)
    assert one(*lines, closing="C260102EUR110,51").difference == 1
    assert (one(*lines).difference, one(*lines).head) == (None, None)


@pytest.mark.parametrize(
    ("mark", "amount", "reversal"), [("C", 100, False), ("D", -100, False), ("RC", -100, True), ("RD", 100, True)]
)
def test_a_reversal_goes_the_other_way(mark: str, amount: int, reversal: bool) -> None:  # noqa: FBT001 - a parameter of a test
    """What takes back a credit is a debit."""
    found = entry(f":61:260101{mark}1,00NTRFNONREF")
    assert (found.amount, found.reversal) == (amount, reversal)


def test_an_entry_without_a_kind_is_not_laid_over_the_next() -> None:
    """The package alone would lose the first one."""
    assert [at.amount for at in one(":61:260101C1,00", ":61:260101C2,00").entries] == [100, 200]


def test_words_of_the_statement_are_not_those_of_the_last_entry() -> None:
    """What stands behind the closing balance is of the statement as a whole."""
    read = one(":61:260101C1,00NTRFX", ":86:mine", ":62F:C260101EUR101,00", ":86:INV-000001 advert")
    assert read.entries[0].text == "mine"


def test_structured_words_are_taken_apart() -> None:
    """Whose account, whose name, what for; broken anywhere."""
    found = entry(":61:260101C1,00NTRFNONREF", ":86:166?00GUT?20EREF+AB?21C?22SVWZ+Rechnung INV-?2300", "0001?31DE89370400440532013000?32ADA", "?33 L")  # fmt: skip
    assert (found.account, found.name) == ("DE89370400440532013000", "ADA L")
    assert "ABC" in found.text
    assert list(numbers_in(found.text, ["INV"])) == [("INV", 1)]


def test_a_time_of_day_is_no_field() -> None:
    """A wrapped text begins a line with what looks like one."""
    read = one(":61:260101D1,00N024NONREF", ":86:106?00X?2012-09T16", ":26:37 Fo?25x", closing="C260101EUR99,00")
    assert (len(read.entries), read.difference) == (1, 0)


def test_the_end_of_a_year_is_within_an_entry() -> None:
    """Booked in January, valued in December."""
    found = entry(":61:2512310102C1,00NTRFX")
    assert (found.value_on, found.booked_on) == (dt.date(2025, 12, 31), dt.date(2026, 1, 2))


def test_february_has_thirty_days_for_some_banks() -> None:
    """It is its last day."""
    assert entry(":61:260230C1,00NTRFX").value_on == dt.date(2026, 2, 28)
    assert one(opening="C240230EUR1,00").opening == one(opening="C240229EUR1,00").opening


def test_a_balance_without_a_currency_has_the_other_ones() -> None:
    """The package alone would take the first digits for it."""
    read = one(":61:260101C105000,00S051", opening="C260101EUR0,00", closing="C260101105000,00")
    assert (read.closing, read.difference) == (read.closing, 0)
    assert read.currency == "EUR"


@pytest.mark.parametrize(
    ("currency", "amount", "minor"),
    [("JPY", "1200,", 1200), ("KWD", "1,234", 1234), ("EUR", ",5", 50), ("DEM", "1,10", 110)],
)
def test_minor_units_are_those_of_the_currency(currency: str, amount: str, minor: int) -> None:
    """Also of one that is withdrawn."""
    read = one(f":61:260101C{amount}NTRFX", opening=f"C260101{currency}0,")
    assert read.entries[0].amount == minor


def test_several_statements_in_a_file_are_several() -> None:
    """With the same number, and told apart by their balances; each has its own account."""
    block = ":20:X\n:25:{}\n:28C:0\n:60F:C260101EUR1,00\n:62F:C260101EUR1,00\n-\n"
    reads = read_mt940((block.format("1") + block.format("2EUR")).encode())
    assert [at.account for at in reads] == ["1", "2"]
    assert len({at.head.id for at in reads if at.head}) == 2


def test_a_second_account_in_a_statement_is_told() -> None:
    """The first one counts."""
    read = one(":61:260101C1,00NTRFX", ":25:166?00GUTSCHRIFT")
    assert (read.account, read.told) == ("1/2", ["a second :25: was left out"])


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "cp1252", "cp852"])
def test_letters_of_older_programs_are_read(encoding: str) -> None:
    """UTF-8, else Windows-1252, else the one that is named."""
    text = ":20:X\n:25:1\n:60F:C260101EUR0,\n:61:260101C1,00NTRFX\n:86:für Österreich\n"
    (read,) = read_mt940(text.encode(encoding), encoding if encoding == "cp852" else None)
    assert read.entries[0].text == "für Österreich"


@pytest.mark.parametrize(
    ("content", "place", "rule"),
    [
        (b"", "the file", "empty"),
        (b"hello\nworld", "the file", "no MT940"),
        (b"\x89PNG\x00\x00", "line 1", "binary"),
        (":20:X".encode("utf-16"), "line 1", "binary"),
        (b":20:X\n:86:" + b"x" * 100_000, "line 2", "longer"),
        (b":20:X\n:25:1\n:60F:C260101EUR1,00\n:61:nonsense\n", "line 4, :61:", "no entry"),
        (b":20:X\n:60F:C261301EUR1,00\n", "line 2, :60F:", "no day"),
        (b":20:X\n:60F:C260101EUR1.00\n", "line 2, :60F:", "no balance"),
        (b":20:X\n:60F:X260101EUR1,00\n", "line 2, :60F:", "no balance"),
        (b":20:X\n:60F:C260101XQQ1,00\n", "", "ISO 4217"),
        (b":20:X\n:60F:C260101EUR1,001\n", "", "decimals"),
        (b":20:X\n:60F:C260101EUR1,00\n:62F:C260101USD1,00\n", "line 1", "closes in USD"),
        (b":20:X\n:61:260101C1,00NTRFX\n", "line 2, :61:", "currency"),
        (b":20:X\n:60F:C260101EUR1,00\n:61:260101C12.50NTRFX\n", "line 3, :61:", "comma"),
        (b":20:X\n:60F:C260101EUR1,00\n:61:260101C1234567890123456,00NTRFX\n", "line 3, :61:", "at most 15"),
        (b":20:X\n:60F:C260101EUR1,00\n:61:260101C1,2,3NTRFX\n", "line 3, :61:", "cannot be read"),
        (b":20:X\n:60F:C260101EUR1,00\n:61:261301C1,00NTRFX\n", "line 3, :61:", ""),
        (b":20:X\n:60F:C260101EUR1,00\n:61:260101C0,00NTRFX\n", "line 3, :61:", "nothing"),
        (b":20:X\n:60F:C260101EUR1,00\n:61:260101C-1,00NTRFX\n", "line 3, :61:", "no entry"),
    ],
)
def test_what_cannot_be_read_says_where(content: bytes, place: str, rule: str) -> None:
    """The line and the field, and what is wrong about it."""
    with pytest.raises(UnreadableFile) as refused:
        read_mt940(content)
    assert place in refused.value.message
    assert rule in refused.value.message


@given(st.text(st.sampled_from(":0123456789CDEUR,.NF?+-/ \n"), max_size=300))
def test_nothing_but_our_own_error_comes_of_noise(text: str) -> None:
    """Whatever stands in a file, it is read or refused by name."""
    with contextlib.suppress(UnreadableFile):
        reads = read_mt940(f":20:X\n:25:1\n:60F:C260101EUR1,00\n:61:{text}".encode())
        assert all(type(at.amount) is int and at.amount != 0 for read in reads for at in read.entries)


@pytest.mark.skipif(not FILES, reason="needs the statements beside the project")
@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_statements_of_real_banks_are_read(path: Path) -> None:
    """Every one of them, to entries in minor units; where the package finds so many, so many are there."""
    if path.name in NO_STATEMENT:
        with pytest.raises(UnreadableFile):
            read_mt940(path.read_bytes())
        return
    reads = read_mt940(path.read_bytes(), currency="EUR")
    entries = [at for read in reads for at in read.entries]
    assert all(type(at.amount) is int and at.amount != 0 for at in entries)
    expected = ENTRIES.get(path.name, path.read_bytes().count(b"\n:61:") + path.read_bytes().startswith(b":61:"))
    assert len(entries) in (expected if isinstance(expected, tuple) else (expected,))
    if path.name == "sepa_mt9401.sta":
        assert {read.difference for read in reads} == {0}


def test_ids_are_found_however_a_bank_breaks_them() -> None:
    """With blanks, hyphens, and letters of other words beside them."""
    charge = "56b0fad6586d8fd392df5b8f957dcbe5"
    for text in (
        charge,
        f"EREF+{charge[:20]} {charge[20:]}",
        "56B0FAD6-586D-8FD3-92DF-5B8F957DCBE5 x",
        f"abe {charge}ab",
    ):
        assert charge in {id_.hex for id_ in ids_in(text)}
    assert ids_in("nothing of that kind") == []


@pytest.mark.parametrize(
    ("text", "found"),
    [("INV-000012", [12]), ("inv 12", [12]), ("Rechnung INV000012.", [12]), ("INV-0000 12", [0, 12]), ("XINV-12", []),
     ("INV-000012 und INV-000013", [12, 13]), ("12", []), ("A-INV-7 INVOICE 9", [7])],
)  # fmt: skip
def test_numbers_are_found_as_people_write_them(text: str, found: list[int]) -> None:
    """With separators lost, and not as a part of other words; what does not exist is left out later."""
    assert {number for _, number in numbers_in(text, ["INV"])} >= {number for number in found if number}
    if not found:
        assert list(numbers_in(text, ["INV"])) == []


def test_nothing_open_is_for_nobody() -> None:
    """An entry without any candidate is not certain."""
    assert (judge(100, []).score, judge(100, []).certain, judge(100, []).partners()) == (0, False, [])
