"""Slips: issued, announced by stores, settled when the money comes; nothing is taken twice and nothing is lost."""

import asyncio
import datetime as dt
import sys
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from tallystick.collecting.bank.errors import UnreadableFile
from tallystick.db.embedded import EmbeddedServer
from tallystick.ids import uuid7
from tallystick.operations.rebuild import rebuild
from tallystick.operations.slip_files import COLUMNS, apply_slips_file
from tallystick.rebuild.open_twin import made_database
from tallystick.security.model import OPERATOR
from tests.conftest import House, url_of
from tests.db.repaid import ADA, NOW, Till, open_till


@pytest_asyncio.fixture
async def till(house: House) -> Till:
    """Give a book in which ada owes an invoice of 300."""
    opened = open_till(house)
    await opened.owe(300, reference="first")
    return opened


async def issue(till: Till, **fields: object) -> Any:  # noqa: ANN401 - a Slip
    """Issue a slip for the first invoice."""
    return await till.do("slips.issue", invoice=till.invoices["first"], **fields)


async def notify(till: Till, slip: Any, reference: str = "n-1", **fields: object) -> Any:  # noqa: ANN401 - a Slip
    """Let a store say that a slip was paid."""
    return await till.do("slips.notify", number=slip.number, reference=reference, **fields)


async def settle(till: Till, slip: Any, reference: str = "n-1", amount: int = 300) -> Any:  # noqa: ANN401 - a SettledItem
    """Let the money of a slip come."""
    lines = [{"number": slip.number, "reference": reference, "amount": amount}]
    (item,) = (await till.do("slips.settle", lines=lines)).items
    return item


async def find(till: Till, slip: Any) -> Any:  # noqa: ANN401 - a Slip
    """Return a slip as it stands."""
    return await till.do("slips.find", id=slip.id)


async def test_a_slip_is_announced_and_then_settled(till: Till) -> None:
    """The notice repays nothing; the money does."""
    slip = await issue(till)
    assert (slip.amount, slip.status, str(slip.expires_on), len(slip.number)) == (300, "open", "2026-10-31", 18)
    assert slip.barcode == f"91{slip.number}20261031000000000300"
    noticed = await notify(till, slip, store="corner shop")
    assert (noticed.status, noticed.announced, noticed.settled) == ("noticed", 300, 0)
    assert await till.outstanding(till.invoices["first"]) == [300]
    history = (await till.do("invoicing.history", id=till.invoices["first"])).items
    assert [one.amount for one in history if one.what == "announced"] == [300]
    item = await settle(till, slip)
    assert (item.status, item.allocated, item.unallocated) == ("settled", 300, 0)
    done = await find(till, slip)
    assert (done.status, done.announced, done.settled, done.notices[0].state) == ("settled", 0, 300, "settled")
    assert await till.status(till.invoices["first"]) == "paid"
    assert (await till.do("ledger.balance", account="providers/slip/USD")).balance == -300
    assert (await settle(till, slip)).status == "known"
    assert await till.unallocated() == 0


async def test_an_invoice_has_one_live_slip_unless_asked(till: Till) -> None:
    """And none at all once a store says that it was paid."""
    slip = await issue(till)
    refused = await till.refused("slips.issue", invoice=till.invoices["first"])
    assert (refused.code, str(slip.id) in refused.message) == ("slips.live_slip", True)
    another = await issue(till, another=True, amount=100)
    assert another.amount == 100
    await notify(till, slip)
    refused = await till.refused("slips.issue", invoice=till.invoices["first"], another=True)
    assert refused.code == "slips.announced"
    assert (await till.refused("slips.cancel", id=slip.id, reason="x")).code == "slips.announced"


async def test_a_slip_that_ended_makes_room(till: Till) -> None:
    """Cancelled, or expired by the calendar of its zone."""
    slip = await issue(till)
    assert (await till.do("slips.cancel", id=slip.id, reason="lost")).status == "cancelled"
    second = await issue(till, expires_on="2026-10-02", zone="Asia/Tokyo")
    till.clock.at = dt.datetime(2026, 10, 2, 14, 59, tzinfo=dt.UTC)
    assert (await find(till, second)).status == "open"
    till.clock.at = dt.datetime(2026, 10, 2, 15, 0, tzinfo=dt.UTC)
    assert (await find(till, second)).status == "expired"
    assert (await issue(till)).status == "open"


async def test_a_customers_invoices_go_on_one_slip(till: Till) -> None:
    """Those that have a slip of their own are left out."""
    await issue(till)
    second, third = await till.owe(50), await till.owe(20, product="api")
    slip = await till.do("slips.issue", customer=ADA, asset="USD")
    assert (slip.amount, {one.invoice: one.amount for one in slip.invoices}) == (70, {second: 50, third: 20})
    await settle(till, slip, amount=70)
    assert await till.outstanding(till.invoices["first"], second, third) == [300, 0, 0]
    refused = await till.refused("slips.issue", customer=ADA, asset="USD")
    assert refused.code == "slips.live_slip"


async def test_a_notice_that_is_taken_back_lets_the_slip_be_paid(till: Till) -> None:
    """By whomever; taken back twice it is taken back once, and a settled one is not."""
    slip = await issue(till)
    await notify(till, slip)
    withdrawn = await till.do("slips.withdraw", reference="n-1", reason="voided at the till")
    assert (withdrawn.status, withdrawn.notices[0].state) == ("open", "withdrawn")
    again = await till.do("slips.withdraw", reference="n-1", reason="voided at the till")
    assert again == withdrawn
    await notify(till, slip, "n-2")
    await settle(till, slip, "n-2")
    refused = await till.refused("slips.withdraw", reference="n-2", reason="x")
    assert refused.code == "slips.notice_ended"


async def test_money_comes_without_a_notice(till: Till) -> None:
    """The notice that comes behind it changes nothing."""
    slip = await issue(till)
    await settle(till, slip)
    late = await notify(till, slip)
    assert (late.status, late.announced, late.notices[0].state) == ("settled", 0, "settled")


async def test_a_slip_paid_after_its_last_day_is_money_all_the_same(till: Till) -> None:
    """It is noticed as late, and repays the invoice."""
    slip = await issue(till, expires_on="2026-10-05")
    till.clock.at = NOW + dt.timedelta(days=9)
    noticed = await notify(till, slip)
    assert (noticed.status, noticed.notices[0].late) == ("noticed", True)
    in_time = await notify(till, slip, "n-2", paid_at="2026-10-05T23:59:59Z")
    assert [one.late for one in in_time.notices] == [True, False]
    assert (await settle(till, slip)).allocated == 300


async def test_paid_at_two_stores_the_second_lies_unallocated(till: Till) -> None:
    """And is seen on the slip."""
    slip = await issue(till)
    await notify(till, slip, "one", store="one")
    noticed = await notify(till, slip, "two", store="two")
    assert noticed.announced == 600
    assert (await settle(till, slip, "one")).unallocated == 0
    assert (await settle(till, slip, "two")).unallocated == 300
    done = await find(till, slip)
    assert (done.settled, [one.unallocated for one in done.settlements]) == (600, [0, 300])
    assert await till.unallocated() == 300


async def test_amounts_that_differ_are_what_came(till: Till) -> None:
    """Less leaves something owed, more lies unallocated; other invoices are not touched by it."""
    other = await till.owe(70)
    slip = await issue(till)
    noticed = await notify(till, slip, amount=290)
    assert (noticed.announced, noticed.amount) == (290, 300)
    await settle(till, slip, amount=280)
    assert await till.outstanding(till.invoices["first"], other) == [20, 70]
    second = await issue(till)
    item = await settle(till, second, "n-9", amount=25)
    assert (second.amount, item.allocated, item.unallocated) == (20, 20, 5)
    assert await till.outstanding(other) == [70]


async def test_what_is_announced_is_not_charged(till: Till) -> None:
    """Until the notice is taken back."""
    account = {"bank_account": "DE89370400440532013000", "country": "DE", "cutoff_days": 0}
    await till.do("collecting.choose_debit_day", customer=ADA, day=5, **account)
    slip = await issue(till)
    await notify(till, slip)
    assert (await till.do("charges.make", on="2026-11-05")).made == 0
    await till.do("slips.withdraw", reference="n-1", reason="void")
    assert (await till.do("charges.make", on="2026-11-05")).totals == {"USD": 300}


async def test_two_at_once_issue_one_slip(till: Till) -> None:
    """The other one is told which; a settlement that comes twice at once is received once."""
    wanted = {"invoice": till.invoices["first"]}
    outcomes = await asyncio.gather(*(till.do("slips.issue", **wanted) for _ in range(4)), return_exceptions=True)
    assert sorted(getattr(one, "code", "issued") for one in outcomes) == ["issued", *["slips.live_slip"] * 3]
    ((slip,),) = [(await till.do("slips.list")).items]
    settled = await asyncio.gather(*(settle(till, slip) for _ in range(4)))
    assert sorted(one.status for one in settled) == ["known"] * 3 + ["settled"]
    assert (await till.outstanding(till.invoices["first"]), await till.unallocated()) == ([0], 0)


async def test_one_bad_line_does_not_stop_the_others(till: Till) -> None:
    """Each is answered by itself."""
    slip = await issue(till)
    other = await till.do("slips.issue", invoice=await till.owe(10, customer="bob"))
    await settle(till, other, "taken", 10)
    line = {"number": slip.number, "reference": "a", "amount": 300}
    wrong = slip.number[:-1] + str((int(slip.number[-1]) + 1) % 10)
    lines = [
        {**line, "number": wrong}, {**line, "number": "000000000000000098", "reference": "b"}, {**line, "reference": "taken"},
        line, line,
    ]  # fmt: skip
    items = (await till.do("slips.settle", lines=lines)).items
    assert [(one.status, one.code, one.field) for one in items] == [
        ("refused", "invalid_input", "lines[0].number"), ("refused", "slips.unknown_slip", "lines[1].number"),
        ("refused", "slips.reference_reused", "lines[2].number"), ("settled", None, None),
        ("refused", "invalid_input", "lines[4].reference"),
    ]  # fmt: skip
    assert (await settle(till, other, "taken", 11)).field == "lines[0].amount"
    assert await till.outstanding(till.invoices["first"]) == [0]


BAD: list[tuple[str, dict[str, object], str]] = [
    ("slips.issue", {}, "customer"), ("slips.issue", {"customer": ADA}, "asset"),
    ("slips.issue", {"customer": "nobody", "asset": "USD"}, "customer"),
    ("slips.issue", {"customer": ADA, "asset": "XXX"}, "asset"),
    ("slips.issue", {"invoice": str(uuid7())}, "invoice"), ("slips.issue", {"invoice": "x"}, "invoice"),
    ("slips.issue", {"invoice": "FIRST", "customer": ADA}, "invoice"),
    ("slips.issue", {"invoice": "FIRST", "amount": 0}, "amount"), ("slips.issue", {"invoice": "FIRST", "amount": 301}, "amount"),
    ("slips.issue", {"invoice": "FIRST", "amount": 1.5}, "amount"),
    ("slips.issue", {"invoice": "FIRST", "expires_on": "2026-09-30"}, "expires_on"),
    ("slips.issue", {"invoice": "FIRST", "expires_on": "2026-02-30"}, "expires_on"),
    ("slips.issue", {"invoice": "FIRST", "expires_on": "2099-01-01"}, "expires_on"),
    ("slips.issue", {"invoice": "FIRST", "zone": "Mars"}, "zone"), ("slips.issue", {"invoice": "FIRST", "colour": 1}, "colour"),
    ("slips.notify", {"number": "1" * 18, "reference": "r"}, "number"), ("slips.notify", {"number": "1", "reference": "r"}, "number"),
    ("slips.notify", {"number": "NUMBER", "reference": ""}, "reference"),
    ("slips.notify", {"number": "NUMBER", "reference": "a\x00"}, "reference"),
    ("slips.notify", {"number": "NUMBER", "reference": "r", "amount": -1}, "amount"),
    ("slips.notify", {"number": "NUMBER", "reference": "r", "paid_at": "2099-01-01T00:00:00Z"}, "paid_at"),
    ("slips.notify", {"number": "NUMBER", "reference": "r", "paid_at": "2026-10-01T00:00:00"}, "paid_at"),
    ("slips.withdraw", {"reference": "never", "reason": "x"}, "reference"),
    ("slips.settle", {"lines": []}, "lines"),
    ("slips.settle", {"lines": [{"number": "NUMBER", "reference": "r", "amount": 0}]}, "lines[0].amount"),
    ("slips.settle", {"lines": [{"number": "NUMBER", "reference": "r", "amount": 1, "paid_on": "2099-01-01"}]}, "lines[0].paid_on"),
    ("slips.settle", {"lines": [{"number": "NUMBER", "reference": "r", "amount": 1}], "from_account": "none"}, "from_account"),
    ("slips.find", {"id": str(uuid7())}, "id"), ("slips.cancel", {"id": str(uuid7()), "reason": "x"}, "id"),
    ("slips.cancel", {"id": str(uuid7()), "reason": ""}, "reason"), ("slips.list", {"after": str(uuid7())}, "after"),
]  # fmt: skip


async def test_bad_input_about_slips_is_refused(till: Till) -> None:
    """It names the field, and nothing is kept."""
    live = await till.do("slips.issue", invoice=await till.owe(10, customer="bob"))

    def fill(value: object) -> object:
        if isinstance(value, list):
            return [{key: fill(one) for key, one in each.items()} for each in value]
        return {"FIRST": str(till.invoices["first"]), "NUMBER": live.number}.get(str(value), value)

    for operation, fields, field in BAD:
        error = await till.refused(operation, **{key: fill(value) for key, value in fields.items()})
        assert (operation, fields, error.field) == (operation, fields, field), error.message
    (slip,) = (await till.do("slips.list")).items
    assert (slip.status, slip.notices, slip.settlements) == ("open", [], [])


async def test_the_channel_of_slips_has_its_own_operation(till: Till) -> None:
    """Nobody receives money of a slip past its slip."""
    refused = await till.refused(
        "repayments.receive", customer=ADA, asset="USD", amount=1, channel="slip", reference="x"
    )
    assert (refused.code, refused.field) == ("invalid_input", "channel")


async def test_a_reference_of_another_notice_is_refused(till: Till) -> None:
    """The same notice again is the same; another slip or amount is not."""
    slip = await issue(till)
    first = await notify(till, slip)
    assert (await notify(till, slip)).notices == first.notices
    assert (await till.refused("slips.notify", number=slip.number, reference="n-1", amount=1)).field == "amount"
    other = await till.do("slips.issue", invoice=await till.owe(10, customer="bob"))
    assert (await till.refused("slips.notify", number=other.number, reference="n-1")).field == "number"


async def make_slips_of_every_kind(till: Till) -> None:
    """Issue, cancel, announce, take back and settle."""
    slip = await issue(till)
    await till.do("slips.cancel", id=slip.id, reason="lost")
    slip = await issue(till)
    await notify(till, slip)
    await till.do("slips.withdraw", reference="n-1", reason="void")
    await notify(till, slip, "n-2", amount=200)
    await settle(till, slip, "n-2", 200)


async def test_slips_are_rebuilt(till: Till, server: EmbeddedServer) -> None:
    """With the numbers that were made up for them."""
    await make_slips_of_every_kind(till)
    async with made_database(url_of(server, "postgres")) as url:
        found = await rebuild(till.operations, "main", url, lambda *_: None)
    assert found.difference is None, found.difference.message


def write_file(path: Path, *rows: str) -> Path:
    """Write a file of a store."""
    path.write_text("\n".join([",".join(COLUMNS), *rows]) + "\n")
    return path


async def test_a_file_of_a_store_is_done_row_by_row(till: Till, tmp_path: Path) -> None:
    """Notices, what is taken back, and the money; what is refused is told and stops no other, and again it adds nothing."""
    slip = await issue(till)
    at = NOW.isoformat()
    path = write_file(
        tmp_path / "slips.csv",
        f"notice,{slip.number},n-1,,{at},Shop 7,",
        "withdrawal,,n-1,,,,paid by mistake",
        f"notice,{slip.number},n-2,300,{at},,",
        f"settlement,{slip.number},n-2,300,{NOW.date()},,",
        f"settlement,{slip.number},n-3,3.00,,,",
        f"settlement,{'9' * 18},n-4,300,,,",
        f"notice,{slip.number},n-5,,{NOW.date()},,",
        "rumour,,n-6,,,,",
        "notice,n-7",
    )
    seen: list[tuple[int, int]] = []
    report = await apply_slips_file(till.operations, OPERATOR, "main", path, lambda *far: seen.append(far))
    assert (report.rows, dict(report.counts)) == (9, {"announced": 2, "withdrawn": 1, "settled": 1, "refused": 5})
    assert seen[-1] == (9, 9)
    assert [one.partition(":")[0] for one in sorted(report.told)] == [f"line {number}" for number in (10, 6, 7, 8, 9)]
    assert await till.outstanding(till.invoices["first"]) == [0]
    again = await apply_slips_file(till.operations, OPERATOR, "main", path, lambda *_: None)
    assert (again.counts["known"], again.counts["refused"]) == (1, 5)
    assert (await find(till, slip)).settled == 300


@pytest.mark.parametrize("steps", [4, 14])
async def test_a_kill_in_the_middle_of_a_stores_file_loses_and_doubles_nothing(
    till: Till, database_url: str, tmp_path: Path, steps: int
) -> None:
    """Killed among notices, among what is taken back or among settlements: applied again, all is there once."""
    slips = [await till.do("slips.issue", invoice=await till.owe(100 + nth, customer=f"c{nth}")) for nth in range(8)]
    rows = [f"notice,{one.number},n-{nth},,,," for nth, one in enumerate(slips)]
    rows += [f"withdrawal,,n-{nth},,,,paid by mistake" for nth in range(2)]
    rows += [f"settlement,{one.number},n-{nth},{one.amount},,," for nth, one in enumerate(slips) if nth > 1]
    path = write_file(tmp_path / "slips.csv", *rows)
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "tests.db.slips_process", database_url, str(path),
        cwd=Path(__file__).parents[2], stdout=asyncio.subprocess.PIPE,
    )  # fmt: skip
    assert process.stdout is not None
    for _ in range(steps):
        await process.stdout.readline()
    process.kill()
    await process.wait()
    report = await apply_slips_file(till.operations, OPERATOR, "main", path, lambda *_: None)
    assert (report.rows, report.counts["refused"]) == (16, 0)
    after = [await find(till, one) for one in slips]
    assert [one.status for one in after] == ["open"] * 2 + ["settled"] * 6
    assert [(len(one.notices), len(one.settlements)) for one in after] == [(1, 0)] * 2 + [(1, 1)] * 6
    assert (await till.do("ledger.balance", account="providers/slip/USD")).balance == -sum(
        one.amount for one in slips[2:]
    )


async def test_a_file_of_a_store_that_breaks_off_does_nothing(till: Till, tmp_path: Path) -> None:
    """It is read to its end before; the error says where."""
    slip = await issue(till)
    path = write_file(tmp_path / "slips.csv", f"notice,{slip.number},n-1,,,,")
    path.write_bytes(path.read_bytes() + b"notice,\xff\n")
    with pytest.raises(UnreadableFile) as refused:
        await apply_slips_file(till.operations, OPERATOR, "main", path, lambda *_: None)
    assert "line 3" in refused.value.message
    assert (await find(till, slip)).notices == []
    path.write_text("number,amount\n")
    with pytest.raises(UnreadableFile):
        await apply_slips_file(till.operations, OPERATOR, "main", path, lambda *_: None)
