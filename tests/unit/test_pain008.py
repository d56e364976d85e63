"""A file of debits: the elements of pain.008.001.08 in the schema's order, sums that are right, letters that banks take."""

import datetime as dt
import uuid
import xml.etree.ElementTree as ET
from pathlib import Path

import msgspec
import pytest
import sepaxml  # type: ignore[import-untyped]  # the library tells no types
from hypothesis import given
from hypothesis import strategies as st
from lxml import etree  # type: ignore[import-untyped]  # the library tells no types

from tallystick.collecting.bank.errors import UnreadableFile
from tallystick.collecting.bank.model import BankFile, Creditor, Debit
from tallystick.collecting.bank.reasons import KINDS, error_kind_of
from tallystick.collecting.bank.write_pain008 import NAMESPACE, Pain008, plain_text, write_amount
from tallystick.errors import InvalidInput

ALLOWED = set("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789/-?:().,'+ ")
PMT_INF = ["PmtInfId", "PmtMtd", "BtchBookg", "NbOfTxs", "CtrlSum", "PmtTpInf", "ReqdColltnDt", "Cdtr", "CdtrAcct",
           "CdtrAgt", "ChrgBr", "CdtrSchmeId"]  # fmt: skip
TX = ["PmtId", "InstdAmt", "DrctDbtTx", "DbtrAgt", "Dbtr", "DbtrAcct", "RmtInf"]
"""Those of the schema's elements that are written, in its order."""


def debit(amount: int, name: str = "Ada", account: str = "DE89370400440532013000") -> Debit:
    """Make up a debit."""
    return Debit(uuid.uuid4(), amount, account, "ada", name, "f" * 32, dt.date(2026, 1, 2), "INV-000001 INV-000002")


def file_of(debits: list[Debit], asset: str = "EUR", charges: int | None = None, total: int | None = None) -> BankFile:
    """Make up a file of debits."""
    return BankFile(
        uuid.UUID(int=7), dt.date(2026, 11, 27), asset, 2, 1, len(debits) if charges is None else charges,
        sum(one.amount for one in debits) if total is None else total,
        Creditor("Müller & Söhne <GmbH>", "DE02120300000000202051", "DE98ZZZ09999999999"),
        dt.datetime(2026, 11, 20, 8, tzinfo=dt.UTC),
    )  # fmt: skip


def written(debits: list[Debit], file: BankFile | None = None) -> bytes:
    """Write a file."""
    writer = Pain008(file or file_of(debits))
    return writer.begin() + b"".join(writer.debits([one]) for one in debits) + writer.end()


def names(element: ET.Element) -> list[str]:
    """Return what is in an element, in order."""
    return [one.tag.removeprefix(f"{{{NAMESPACE}}}") for one in element]


def test_elements_stand_in_the_schemas_order() -> None:
    """A bank's validator refuses a file whose elements are swapped."""
    root = ET.fromstring(written([debit(100), debit(5)]))  # noqa: S314 - we have just written it
    assert root.tag == f"{{{NAMESPACE}}}Document"
    (initiation,) = root
    assert names(initiation) == ["GrpHdr", "PmtInf"]
    assert names(initiation[0]) == ["MsgId", "CreDtTm", "NbOfTxs", "CtrlSum", "InitgPty"]
    assert names(initiation[1]) == [*PMT_INF, "DrctDbtTxInf", "DrctDbtTxInf"]
    assert all(names(one) == TX for one in initiation[1][len(PMT_INF) :])


SCHEMA = Path(str(sepaxml.__file__)).with_name("schemas") / "pain.008.001.08.xsd"
"""The official one, as a package for this format carries it."""


@pytest.mark.parametrize("bic", [None, "COBADEFFXXX"])
@pytest.mark.parametrize("asset", ["EUR", "JPY"])
def test_a_file_is_valid_by_the_official_schema(bic: str | None, asset: str) -> None:
    """Whatever the names and accounts are."""
    debits = [debit(100), debit(5, "Ада & Söhne", "branch 12/4567"), debit(7, "", "x" * 64)]
    file = file_of(debits, asset)
    file = msgspec.structs.replace(file, creditor=msgspec.structs.replace(file.creditor, bic=bic))
    official = etree.XMLSchema(etree.parse(str(SCHEMA)))
    official.assertValid(etree.fromstring(written(debits, file)))


def test_sums_and_ids_are_right() -> None:
    """Both heads count and add up all debits; every id is short enough."""
    debits = [debit(1), debit(99), debit(12_345)]
    root = ET.fromstring(written(debits))  # noqa: S314 - we have just written it
    of = {"p": NAMESPACE}
    assert [one.text for one in root.iterfind(".//p:NbOfTxs", of)] == ["3", "3"]
    assert [one.text for one in root.iterfind(".//p:CtrlSum", of)] == ["124.45", "124.45"]
    assert [one.text for one in root.iterfind(".//p:InstdAmt", of)] == ["0.01", "0.99", "123.45"]
    for name in ("MsgId", "PmtInfId", "EndToEndId", "MndtId"):
        assert all(len(one.text or "") in range(1, 36) for one in root.iterfind(f".//p:{name}", of))
    assert [one.text for one in root.iterfind(".//p:EndToEndId", of)] == [one.charge.hex for one in debits]


def test_the_same_facts_are_the_same_bytes() -> None:
    """Whatever the size of the pages in which they are read."""
    debits = [debit(nth + 1) for nth in range(5)]
    file = file_of(debits)
    other = Pain008(file)
    assert written(debits, file) == other.begin() + other.debits(debits[:2]) + other.debits(debits[2:]) + other.end()


@pytest.mark.parametrize(("charges", "total"), [(3, None), (None, 106)])
def test_a_file_that_is_not_what_its_head_says_is_none(charges: int | None, total: int | None) -> None:
    """A debit that is missing or one too many is found before the bank finds it."""
    debits = [debit(100), debit(5)]
    with pytest.raises(UnreadableFile):
        written(debits, file_of(debits, charges=charges, total=total))


def test_only_currencies_are_debited() -> None:
    """No bank knows a unit of one's own."""
    with pytest.raises(InvalidInput):
        Pain008(file_of([debit(1)], asset="CREDITS"))


@pytest.mark.parametrize(
    ("minor", "exponent", "text"), [(1, 2, "0.01"), (100, 2, "1.00"), (7, 0, "7"), (1234, 3, "1.234"), (5, 3, "0.005")]
)
def test_amounts_are_exact(minor: int, exponent: int, text: str) -> None:
    """As many decimals as the currency has."""
    assert write_amount(minor, exponent) == text


@pytest.mark.parametrize(
    ("text", "plain"),
    [("Müller & Söhne", "Muller + Sohne"), ("Straße", "Strasse"), ("Łódź Æther", "Lodz AEther"), ("a//b/", "a/b"),
     ("  a \n b ", "a b"), ("山田", "nobody"), ("山田 Taro", ".. Taro"), ("<script>", ".script."), ("\x00", "nobody"), ("", "nobody")],
)  # fmt: skip
def test_letters_are_those_that_banks_take(text: str, plain: str) -> None:
    """Marks are left out; what has no likeness is a full stop; of a name without any likeness something else is left."""
    assert plain_text(text, 70, "nobody") == plain


@given(st.text(max_size=200), st.integers(1, 70))
def test_no_text_breaks_a_file(text: str, most: int) -> None:
    """Whatever a customer is called."""
    plain = plain_text(text, most, "x")
    assert 1 <= len(plain) <= most
    assert set(plain) <= ALLOWED
    ET.fromstring(written([debit(1, text or "x", account=text[:64] or "x")]))  # noqa: S314 - we have just written it


def test_an_unknown_code_is_a_kind_of_its_own() -> None:
    """So that a retry policy can name it; a known one is what the table says."""
    assert [error_kind_of(one) for one in ("AM04", " am04 ", "MD01", "AC01", "ZZ99", None, "")] == [
        "insufficient_funds", "insufficient_funds", "no_mandate", "wrong_account", "code_zz99", "unexplained", "unexplained",
    ]  # fmt: skip
    assert all(kind.replace("_", "").isalpha() for kind in KINDS.values())


def test_whose_account_is_wrong_is_told_apart() -> None:
    """That of the customer, who has to name another one, or ours, which no customer can mend."""
    assert [error_kind_of(one) for one in ("AC02", "AC05", "AC03", "AC07")] == [
        "wrong_account", "account_closed", "creditor_account", "creditor_account",
    ]  # fmt: skip
