"""Files of banks: debits go out once, what the bank says is applied once, statements find their invoices."""

import asyncio
import sys
import tempfile
import xml.etree.ElementTree as ET
from pathlib import Path
from typing import Any

import asyncpg
import pytest
import pytest_asyncio

from tallystick.collecting.bank import read_results
from tallystick.collecting.bank.errors import UnreadableFile
from tallystick.db.embedded import EmbeddedServer
from tallystick.operations.bank_files import (
    ResultsReport,
    StatementReport,
    apply_results_file,
    import_statements,
    read_statements,
)
from tallystick.operations.rebuild import rebuild
from tallystick.rebuild.open_twin import made_database
from tallystick.security.model import OPERATOR
from tests.conftest import House, url_of
from tests.db.bank_files import CREDITOR, DAY, IBAN, charge_all, file_of, mt940, pain002, uuid_of
from tests.db.repaid import ADA, Till, open_till

NS = {"p": "urn:iso:std:iso:20022:tech:xsd:pain.008.001.08"}


@pytest_asyncio.fixture
async def till(house: House) -> Till:
    """Give a book that counts in euros."""
    opened = open_till(house)
    await opened.do("ledger.ensure_asset", asset="EUR", exponent=2)
    return opened


async def apply(till: Till, path: Path, content: bytes, *, dry_run: bool = False) -> ResultsReport:
    """Apply a file of results."""
    path.write_bytes(content)
    return await apply_results_file(till.operations, OPERATOR, "main", path, None, lambda *_: None, dry_run=dry_run)


async def import_(till: Till, path: Path, content: bytes, **fields: Any) -> list[StatementReport]:  # noqa: ANN401 - options
    """Import a file of statements."""
    path.write_bytes(content)
    return await import_statements(till.operations, OPERATOR, "main", read_statements(path), **fields)


async def number_of(till: Till, reference: str) -> str:
    """Return the printed number of an invoice."""
    return str((await till.do("invoicing.find", id=till.invoices[reference])).number)


async def test_the_charges_of_a_day_go_out_once(till: Till, tmp_path: Path) -> None:
    """Asked twice it is the same file, byte for byte; what is charged afterwards goes into one of its own."""
    charges = await charge_all(till, [300, 45, 1])
    written = await file_of(till, tmp_path / "debit.xml", creditor=CREDITOR)
    assert await file_of(till, tmp_path / "again.xml") == written
    root = ET.fromstring(written)  # noqa: S314 - we have just written it
    ends = {one.text for one in root.iterfind(".//p:EndToEndId", NS)}
    assert ends == {uuid_of(one).hex for one in charges}
    assert [one.text for one in root.iterfind(".//p:CtrlSum", NS)] == ["3.46", "3.46"]
    assert [one.text for one in root.iterfind(".//p:ReqdColltnDt", NS)] == [DAY]
    await till.owe(7, due_on=DAY, customer="late", asset="EUR")
    agreed = {"day": 5, "bank_account": IBAN, "country": "DE", "cutoff_days": 0}
    await till.do("collecting.choose_debit_day", customer="late", **agreed)
    await till.do("charges.make", on=DAY)
    second = await till.do("bank.take_file", on=DAY, asset="EUR")
    assert (second.number, second.charges, second.total) == (2, 1, 7)
    assert {one.status for one in (await till.do("charges.list", on=DAY)).items} == {"sent"}


async def test_a_file_needs_charges_and_a_creditor(till: Till) -> None:
    """Each refusal says what is missing; a file that was taken has its creditor for ever."""
    ask = {"on": DAY, "asset": "EUR"}
    assert (await till.refused("bank.take_file", **ask)).code == "bank.nothing_to_debit"
    await charge_all(till, [300])
    assert (await till.refused("bank.take_file", **ask)).code == "bank.no_creditor"
    wrong = {**CREDITOR, "iban": "DE02120300000000202052"}
    assert (await till.refused("bank.take_file", **ask, creditor=wrong)).field == "creditor.iban"
    await till.do("bank.take_file", **ask, creditor=CREDITOR)
    other = {**CREDITOR, "name": "Somebody else"}
    assert (await till.refused("bank.take_file", **ask, creditor=other)).code == "bank.file_differs"


async def test_what_the_bank_says_is_applied_to_each_charge(till: Till, tmp_path: Path) -> None:
    """Each code has its kind, an unknown one its own; the same file again changes nothing."""
    charges = await charge_all(till, [300, 45, 20, 10, 5])
    ids = [uuid_of(one) for one in charges]
    content = pain002([
        (ids[0], "ACSC", None), (ids[1], "RJCT", "AM04"), (ids[2], "RJCT", "AC04"), (ids[3], "RJCT", "ZZ99"),
        (ids[4], "ACSP", None), ("0" * 32, "ACSC", None), ("nonsense", "ACSC", None),
    ])  # fmt: skip
    tried = await apply(till, tmp_path / "r.xml", content, dry_run=True)
    assert (tried.counts["applied"], (await till.do("charges.find", id=ids[0])).status) == (4, "made")
    report = await apply(till, tmp_path / "r.xml", content)
    assert dict(report.counts) == {"applied": 4, "under_way": 1, "refused": 1, "bad": 1}
    assert dict(report.failed) == {"insufficient_funds": 1, "account_closed": 1, "code_zz99": 1}
    found = [await till.do("charges.find", id=one) for one in ids]
    assert [(one.status, one.error_kind) for one in found] == [
        ("succeeded", None), ("failed", "insufficient_funds"), ("failed", "account_closed"), ("failed", "code_zz99"),
        ("made", None),
    ]  # fmt: skip
    again = await apply(till, tmp_path / "r.xml", content)
    assert dict(again.counts) == {"known": 4, "under_way": 1, "refused": 1, "bad": 1}


async def test_a_plain_file_has_amounts_in_major_units(till: Till, tmp_path: Path) -> None:
    """A bad row is told by its line, and the others are applied."""
    ids = [uuid_of(one) for one in await charge_all(till, [300, 45, 20, 10])]
    rows = [f"{ids[0]},taken,3.00,", f"{ids[1]},failed,,AM04", f"{ids[2]},failed,0.15,insufficient_funds",
            f'{ids[3]},taken,"0,10",', f"{ids[3]},taken,-1,", f"{ids[3]},taken,0.101,", f"{ids[3]},taken,9.99,", "x,taken,,", "a,b"]  # fmt: skip
    report = await apply(till, tmp_path / "r.csv", "\n".join(["charge,status,amount,reason", *rows]).encode())
    assert (report.counts["applied"], report.counts["bad"], report.counts["refused"]) == (3, 4, 2)
    assert {one.partition(":")[0] for one in report.told} == {f"line {at}" for at in range(5, 11)}
    found = [await till.do("charges.find", id=one) for one in ids]
    assert [(one.status, one.taken) for one in found] == [
        ("succeeded", 300),
        ("failed", 0),
        ("partly", 15),
        ("made", 0),
    ]


@pytest.mark.parametrize(
    ("content", "place", "rule"),
    [
        (b"", "r", "empty"),
        (b"<Document", "line 1", "well-formed"),
        (pain002([("0" * 32, "ACSC", None)])[:-30], "line 3", "well-formed"),
        (b'<!DOCTYPE x [<!ENTITY a "aa">]><Document/>', "line 1", "entity"),
        (b"\n\n<!doctype x><Document/>", "line 3", "entity"),
        (b'<?xml version="1.0" encoding="cp037"?><Document/>', "line 1", "encoding"),
        (b"<Document/>", "line 1", "pain.002"),
        (pain002([]), "OrgnlGrpInfAndSts", "single debits"),
        (pain002([("0" * 32, "ACSC", None)], told=2), "OrgnlGrpInfAndSts", "comes to 2"),
        (pain002([("0" * 32, "ACSC", None)]).decode().encode("utf-16"), "line 1", ""),
        (b"<a>" + b"x" * 100_000, "line 1", "65,536"),
        (b"charge,status\n", "line 1", "columns"),
        (b"charge,status,amount,reason\n\xff\xfe\n", "line 2", "UTF-8"),
        (b"charge,status,amount,reason\n" + b"x" * 100_000, "line 2", "longer"),
    ],
)
async def test_a_file_that_cannot_be_read_says_where(
    till: Till, tmp_path: Path, content: bytes, place: str, rule: str
) -> None:
    """And nothing of it is applied."""
    with pytest.raises(UnreadableFile) as refused:
        await apply(till, tmp_path / "r", content)
    assert place in refused.value.message
    assert rule in refused.value.message


async def test_more_results_than_fit_into_memory_wait_in_a_file(
    till: Till, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """They come back as they were read; where there is no room for them it is said, and nothing is applied."""
    ids = [uuid_of(one) for one in await charge_all(till, [300, 45, 20])]
    rows = [f"{ids[0]},taken,3.00,", f"{ids[1]},failed,,AM04", "x,taken,,", f"{ids[2]},taken,,"]
    content = "\n".join(["charge,status,amount,reason", *rows]).encode()
    monkeypatch.setattr(read_results, "_IN_MEMORY", 1)
    monkeypatch.setattr(read_results, "_AT_ONCE", 3)
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "missing"))
    with pytest.raises(UnreadableFile, match="TMPDIR"):
        await apply(till, tmp_path / "r.csv", content)
    assert {(await till.do("charges.find", id=one)).status for one in ids} == {"made"}
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    report = await apply(till, tmp_path / "r.csv", content)
    assert (dict(report.counts), dict(report.failed)) == ({"applied": 3, "bad": 1}, {"insufficient_funds": 1})
    assert [(await till.do("charges.find", id=one)).taken for one in ids] == [300, 0, 20]
    assert [one.name for one in tmp_path.iterdir()] == ["r.csv"]


async def test_a_kill_in_the_middle_of_results_loses_none(till: Till, database_url: str, tmp_path: Path) -> None:
    """Applied again, each charge has the outcome that the file says, once."""
    charges = await charge_all(till, [100 + nth for nth in range(30)])
    path = tmp_path / "r.xml"
    path.write_bytes(pain002([(uuid_of(one), "ACSC", None) for one in charges]))
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "tests.db.results_process", database_url, str(path),
        cwd=Path(__file__).parents[2], stdout=asyncio.subprocess.PIPE,
    )  # fmt: skip
    assert process.stdout is not None
    for _ in range(4):
        assert await process.stdout.readline() == b"applied\n"
    process.kill()
    await process.wait()
    done = [one.status for one in (await till.do("charges.list", on=DAY, limit=1000)).items]
    assert 0 < done.count("succeeded") < len(done), done
    report = await apply(till, path, path.read_bytes())
    assert report.counts["known"] == done.count("succeeded")
    assert report.counts["applied"] == done.count("made")
    assert (await till.do("ledger.balance", account="providers/bank_debit/EUR")).balance == -sum(
        one.amount for one in charges
    )


async def test_a_statement_repays_what_is_certain(till: Till, tmp_path: Path) -> None:
    """By number and amount, or by the customer's account and amount; the rest waits with its likeliest invoices."""
    await till.owe(1250, reference="named", asset="EUR")
    await till.owe(999, reference="guessed", asset="EUR", customer="bob")
    await till.owe(400, reference="account", asset="EUR", customer="cora")
    agreed = {"day": 5, "bank_account": IBAN, "country": "DE"}
    await till.do("collecting.choose_debit_day", customer="cora", **agreed)
    number = await number_of(till, "named")
    content = mt940(
        [(1250, "", f"Rechnung {number} danke"), (999, "", "ohne Angabe"), (400, IBAN, "hallo"), (-5, "", "fee")]
    )
    (report,) = await import_(till, tmp_path / "s.sta", content)
    assert (report.left_out, report.imported) == (None, 4)
    assert [(one.kind, one.amount) for one in report.settled] == [("invoice", 1250), ("invoice", 400)]
    named, guessed, account = (till.invoices[one] for one in ("named", "guessed", "account"))
    assert await till.outstanding(named, guessed, account) == [0, 999, 0]
    waiting = (await till.do("bank.entries", unmatched=True)).items
    assert [(one.entry.amount, [at.invoice for at in one.partners]) for one in waiting] == [(999, [guessed]), (-5, [])]
    repayment = await till.do("bank.match", entry=waiting[0].id, invoice=guessed)
    assert (repayment.channel, [one.amount for one in repayment.allocations]) == ("bank", [999])
    assert (await till.refused("bank.match", entry=waiting[0].id, invoice=str(named))).code == "bank.entry_matched"
    assert [one.entry.amount for one in (await till.do("bank.entries", unmatched=True)).items] == [-5]


async def test_a_statement_imported_twice_adds_nothing(till: Till, tmp_path: Path) -> None:
    """The same file; and one that says something else of the same statement is refused."""
    await till.owe(1250, reference="one", asset="EUR")
    text = f"Rechnung {await number_of(till, 'one')}"
    await import_(till, tmp_path / "s.sta", mt940([(1250, "", text)]))
    (again,) = await import_(till, tmp_path / "s.sta", mt940([(1250, "", text)]))
    assert (again.imported, again.settled) == (0, [])
    assert len((await till.do("repayments.list")).items) == 1
    (other,) = await import_(till, tmp_path / "s.sta", mt940([(1250, "", "something else")]))
    assert "another text" in str(other.left_out)
    (longer,) = await import_(till, tmp_path / "s.sta", mt940([(1000, "", text), (250, "", text)]))
    assert longer.left_out is not None
    assert len((await till.do("bank.entries")).items) == 1


STOPPED = """
CREATE FUNCTION stop() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE 'stopped'; END $$;
CREATE TRIGGER stop BEFORE INSERT ON bank_match FOR EACH STATEMENT EXECUTE FUNCTION stop()
"""


async def test_what_was_kept_and_not_settled_is_settled_by_the_next_import(
    till: Till, owner: asyncpg.Connection, tmp_path: Path
) -> None:
    """The import broke off behind the entries: nothing is repaid yet, and the same file does the rest, once."""
    invoice = await till.owe(1250, reference="one", asset="EUR")
    content = mt940([(1250, "", f"Rechnung {await number_of(till, 'one')}")])
    await owner.execute(STOPPED)
    with pytest.raises(asyncpg.PostgresError, match="stopped"):
        await import_(till, tmp_path / "s.sta", content)
    assert len((await till.do("bank.entries", unmatched=True)).items) == 1
    assert await till.outstanding(invoice) == [1250]
    await owner.execute("DROP TRIGGER stop ON bank_match")
    (report,) = await import_(till, tmp_path / "s.sta", content)
    assert (report.imported, [one.kind for one in report.settled]) == (0, ["invoice"])
    assert await till.outstanding(invoice) == [0]


async def test_one_invoice_is_not_certain_twice(till: Till, tmp_path: Path) -> None:
    """Two who pay the same in one statement: the second waits for a person."""
    await till.owe(1250, reference="one", asset="EUR")
    text = f"Rechnung {await number_of(till, 'one')}"
    (report,) = await import_(till, tmp_path / "s.sta", mt940([(1250, "", text), (1250, "", text)]))
    assert len(report.settled) == 1
    assert len((await till.do("bank.entries", unmatched=True)).items) == 1


async def test_a_collected_charge_and_the_sum_of_a_file_repay_nothing_twice(till: Till, tmp_path: Path) -> None:
    """What the result file said is known; what it did not is applied; a sum is that of its file."""
    charges = await charge_all(till, [300, 45])
    file = await till.do("bank.take_file", on=DAY, asset="EUR", creditor=CREDITOR)
    first, second = (uuid_of(one) for one in charges)
    await apply(till, tmp_path / "r.xml", pain002([(first, "ACSC", None)]))
    content = mt940([(300, "", first.hex), (45, "", second.hex), (345, "", file.id.hex)])
    (report,) = await import_(till, tmp_path / "s.sta", content)
    assert [one.kind for one in report.settled] == ["charge", "charge", "file"]
    assert len((await till.do("repayments.list")).items) == 2
    assert (await till.do("charges.find", id=second)).status == "succeeded"


async def test_a_returned_debit_is_owed_again(till: Till, tmp_path: Path) -> None:
    """The bank fetches back what it had collected: the repayment is reversed, once."""
    (charge,) = await charge_all(till, [300])
    await apply(till, tmp_path / "r.xml", pain002([(uuid_of(charge), "ACSC", None)]))
    (invoice,) = (one.invoice for one in charge.invoices)
    assert await till.outstanding(invoice) == [0]
    content = mt940([(-300, "", f"{uuid_of(charge).hex} MS02")])
    (report,) = await import_(till, tmp_path / "s.sta", content)
    assert [one.kind for one in report.settled] == ["return"]
    assert await till.outstanding(invoice) == [300]
    (again,) = await import_(till, tmp_path / "s.sta", content)
    assert again.settled == []


async def test_a_statement_that_does_not_add_up_is_left_out(till: Till, tmp_path: Path) -> None:
    """Unless somebody accepts it; a currency that the book does not count in is refused too."""
    content = mt940([(1250, "", "x")]).replace(b":62F:C261005EUR1012,50", b":62F:C261005EUR1013,50")
    (report,) = await import_(till, tmp_path / "s.sta", content)
    assert report.left_out == "it does not add up: 100 minor units are missing in its entries"
    assert (await till.do("bank.entries")).items == []
    (report,) = await import_(till, tmp_path / "s.sta", content, accept_difference=True)
    assert (report.left_out, report.imported) == (None, 1)
    (report,) = await import_(till, tmp_path / "s.sta", mt940([(1, "", "x")], currency="CHF"))
    assert "CHF" in str(report.left_out)
    assert len((await till.do("bank.entries")).items) == 1


async def test_money_cannot_be_matched_to_what_it_is_not_for(till: Till, tmp_path: Path) -> None:
    """No entry, an entry by which money went, an invoice in another asset."""
    invoice = str(await till.owe(10, asset="USD"))
    await import_(till, tmp_path / "s.sta", mt940([(10, "", "x"), (-5, "", "y")]))
    came, went = (one.id for one in (await till.do("bank.entries")).items)
    assert (await till.refused("bank.match", entry="x", invoice=invoice)).field == "entry"
    assert (await till.refused("bank.match", entry=came[:-1] + "9", invoice=invoice)).code == "bank.unknown_entry"
    assert (await till.refused("bank.match", entry=went, invoice=invoice)).code == "bank.not_matchable"
    assert (await till.refused("bank.match", entry=came, invoice=invoice)).code == "bank.not_matchable"
    assert (await till.do("repayments.list", customer=ADA)).items == []


async def test_files_and_statements_are_rebuilt(
    till: Till, house: House, server: EmbeddedServer, tmp_path: Path
) -> None:
    """From the messages alone: files, results, statements, matches by rule and by hand, a return."""
    charges = await charge_all(till, [300, 45])
    file = await till.do("bank.take_file", on=DAY, asset="EUR", creditor=CREDITOR)
    first, second = (uuid_of(one) for one in charges)
    await apply(till, tmp_path / "r.xml", pain002([(first, "ACSC", None)]))
    await till.owe(1250, reference="named", asset="EUR")
    await till.owe(999, reference="guessed", asset="EUR", customer="bob")
    text = f"Rechnung {await number_of(till, 'named')}"
    entries = [(300, "", file.id.hex), (45, "", second.hex), (1250, "", text), (999, "", "?"), (-300, "", first.hex)]
    (report,) = await import_(till, tmp_path / "s.sta", mt940(entries))
    assert [one.kind for one in report.settled] == ["file", "charge", "invoice", "return"]
    (waiting,) = (await till.do("bank.entries", unmatched=True)).items
    await till.do("bank.match", entry=waiting.id, invoice=str(till.invoices["guessed"]))
    async with made_database(url_of(server, "postgres")) as url:
        rebuilt = await rebuild(house.operations, "main", url, lambda *_: None)
    assert rebuilt.difference is None, rebuilt.difference.message
