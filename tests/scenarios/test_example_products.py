"""The example products, each run as its users would: programs of their own, in front of a running server."""

import asyncio
import csv
import datetime as dt
import os
import subprocess
import sys
from collections import Counter
from collections.abc import AsyncIterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from examples import deferred_payment, small_loans
from tests.conformance.grpc_calling import Served, serving_grpc
from tests.scenarios.serving_up import SECONDS, Said

ROOT = Path(__file__).parents[2]
EXAMPLES = ROOT / "examples"
LOANS, PURCHASES = EXAMPLES / "data" / "loans.csv", EXAMPLES / "data" / "purchases.csv"
APRIL = "2026-04-01T00:00:00Z"
UNTIL = "2026-06-30"


@pytest_asyncio.fixture(scope="module")
async def served() -> AsyncIterator[Served]:
    """Serve, on the first of April 2026."""
    async with serving_grpc(TALLYSTICK_TEST_CLOCK=APRIL) as running:
        yield running


async def run(name: str, *arguments: object, key: str = "") -> Said:
    """Run an example to its end."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, str(EXAMPLES / name), *map(str, arguments), stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, env={**os.environ, "TALLYSTICK_KEY": key}, cwd=ROOT,
    )  # fmt: skip
    async with asyncio.timeout(SECONDS):
        out, err = await process.communicate()
    return Said(process.returncode or 0, out.decode(), err.decode())


async def deferred(served: Served, path: Path, month: str, *more: str) -> Said:
    """Ask for a month of deferred payment."""
    return await run("deferred_payment.py", path, month, "--server", served.address, *more, key=served.key)


async def loans(served: Served, path: Path, *more: str) -> Said:
    """Ask for the instalments of a loan book."""
    where = served.running.address
    return await run("small_loans.py", "ask", path, "--until", UNTIL, "--server", where, *more, key=served.key)


async def invoices_of(served: Served, product: str) -> dict[str, dict[str, Any]]:
    """Return the invoices of a product by their references."""
    found: dict[str, dict[str, Any]] = {}
    after: dict[str, str] = {}
    while True:
        answer = await served.rest.get("/invoices", params={"limit": "1000", **after})
        page = answer.json()
        assert answer.status_code == 200, answer.text
        found |= {one["reference"]: one for one in page["items"] if one["product"] == product}
        if page["next"] is None:
            return found
        after = {"after": page["next"]}


async def balance(served: Served, account: str) -> int:
    """Return the balance of an account."""
    answer = await served.rest.get("/balance", params={"account": account})
    assert answer.status_code == 200, answer.text
    found: int = answer.json()["balance"]
    return found


async def test_deferred_payment_asks_for_one_invoice_a_customer(served: Served) -> None:
    """Tried, asked for, and asked for again: the sums are those of the purchases, and each merchant has its part."""
    tried = await deferred(served, PURCHASES, "2026-03", "--dry-run")
    assert (tried.status, tried.out.count("would be made")) == (0, 5), tried
    assert await invoices_of(served, deferred_payment.PRODUCT) == {}
    made = await deferred(served, PURCHASES, "2026-03")
    assert (made.status, made.out.count(" made")) == (0, 5), made
    found = await invoices_of(served, deferred_payment.PRODUCT)
    assert {name: one["total"] for name, one in found.items()} == {
        "2026-03/ada": 10_440 + 300,
        "2026-03/bob": 6_240 + 300,
        "2026-03/chiyo": 72_385 + 869,
        "2026-03/dmitri": 6_599 + 300,
        "2026-03/elif": 12_000 + 300,
    }
    assert {one["due_on"] for one in found.values()} == {"2026-04-27"}
    assert await balance(served, "merchants/north-bakery") == 6_240 + 4_600
    assert await balance(served, f"revenue/{deferred_payment.PRODUCT}/USD") == 869 + 4 * 300
    assert "5 invoices, 1,097.33 USD; 0 refused" in made.out
    again = await deferred(served, PURCHASES, "2026-03")
    assert (again.status, again.out.count("known")) == (0, 5), again
    assert await invoices_of(served, deferred_payment.PRODUCT) == found


async def test_a_month_that_changed_is_refused_by_name(served: Served, tmp_path: Path) -> None:
    """A purchase that comes late does not change what was asked for, and the others get theirs."""
    path = tmp_path / "purchases.csv"
    rows = PURCHASES.read_text(encoding="utf-8")
    path.write_text(rows, encoding="utf-8")
    assert (await deferred(served, path, "2026-04")).status == 0
    late = "elif,2026-04-30,Book Cellar,Bookmark,1.00\nfay,2026-04-30,Book Cellar,Bookmark,1.00\n"
    path.write_text(rows + late, encoding="utf-8")
    said = await deferred(served, path, "2026-04")
    assert said.status == 1
    told = {line.split()[0]: line for line in said.out.splitlines()}
    assert "refused: invoicing.reference_taken lines" in told["2026-04/elif"]
    assert told["2026-04/fay"].endswith(" made")


async def test_small_loans_ask_for_every_instalment_that_is_due(served: Served, tmp_path: Path) -> None:
    """Cut off and run again: the same invoices; their lines are the plan's, and principal and interest lie where they belong."""
    book = list(small_loans.read_book(LOANS))
    due = [one for loan in book for one in small_loans.plan(loan) if "2026-04-01" <= str(one.due_on) <= UNTIL]
    early = {one.reference for loan in book for one in small_loans.plan(loan) if str(one.due_on) < "2026-04-01"}
    head, *rows = LOANS.read_text(encoding="utf-8").splitlines(keepends=True)
    half = tmp_path / "half.csv"
    half.write_text(head + "".join(rows[:5]), encoding="utf-8")
    first = await loans(served, half)
    assert "made" in first.out, first
    said = await loans(served, LOANS)
    assert (said.status, said.out.count("known")) == (1, first.out.count(" made")), said
    refused = {line.split()[0] for line in said.out.splitlines() if "refused: invoicing.due_before_issue" in line}
    assert refused == early
    found = await invoices_of(served, small_loans.PRODUCT)
    assert {name: one["total"] for name, one in found.items()} == {one.reference: one.total for one in due}
    assert {name: one["due_on"] for name, one in found.items()} == {one.reference: str(one.due_on) for one in due}
    assert {one["cost_rank"] for one in found.values()} == {str(loan.yearly_rate) for loan in book}
    assert await balance(served, small_loans.LENT) == sum(one.principal for one in due)
    assert await balance(served, small_loans.INTEREST) == sum(one.interest for one in due)
    assert await balance(served, f"revenue/{small_loans.PRODUCT}/USD") == sum(one.loan.fee for one in due)
    again = await loans(served, LOANS, "--since", "2026-04-01")
    assert (again.status, again.out.count("known")) == (0, len(due)), again
    assert await invoices_of(served, small_loans.PRODUCT) == found


async def test_bad_input_is_told_in_one_line(served: Served, tmp_path: Path) -> None:
    """The line of the file, the key that is missing or not good, the server that is not there."""
    path = tmp_path / "bad.csv"
    path.write_text("customer,date,merchant,description,amount\nada,2026-03-01,x,y,1.5\n", encoding="utf-8")
    book = tmp_path / "book.csv"
    book.write_text(LOANS.read_text(encoding="utf-8") + "L-1001,C-1,1.00,0.1,6,2026-01-01,0.00\n", encoding="utf-8")
    said = [
        (await deferred(served, path, "2026-03"), "line 2: '1.5' is no amount"),
        (await loans(served, book), "line 14: the loan L-1001 comes twice"),
        (await run("deferred_payment.py", PURCHASES, "2026-03"), "set TALLYSTICK_KEY"),
        (await run("deferred_payment.py", PURCHASES, "2026-03", "--server", served.address, key="x"), "UNAUTHENTICATED"),
        (await run("small_loans.py", "ask", LOANS, "--until", UNTIL, "--server", served.running.address, key="x"),
         "security.key_invalid"),
    ]  # fmt: skip
    for answer, told in said:
        assert told in answer.refusal()


def test_the_loan_book_is_what_its_seed_gives(capsys: pytest.CaptureFixture[str]) -> None:
    """Anyone can make it again."""
    small_loans.write_book(small_loans.make_book(7, 12))
    assert capsys.readouterr().out == LOANS.read_text(encoding="utf-8")


def test_every_plan_pays_its_loan_back() -> None:
    """Principal adds up to the loan, each instalment but the last is the annuity, and interest is that of its days."""
    for loan in small_loans.make_book(11, 300):
        plan = small_loans.plan(loan)
        assert sum(one.principal for one in plan) == loan.principal
        assert (len(plan), plan[-1].left) == (loan.months, 0)
        pays = small_loans.annuity(loan.principal, loan.yearly_rate, loan.months)
        assert {one.principal + one.interest for one in plan[:-1]} == {pays}
        assert abs(plan[-1].principal + plan[-1].interest - pays) < pays
        owed, since = loan.principal, loan.paid_out_on
        for one in plan:
            exact = owed * loan.yearly_rate * (one.due_on - since).days / 365
            assert abs(one.interest - exact) <= Decimal("0.5")
            owed, since = one.left, one.due_on


def test_days_that_a_month_has_not() -> None:
    """A loan paid out on the 31st is due on the last of shorter months, and on the 31st again after them."""
    day = dt.date(2026, 1, 31)
    assert [str(small_loans.months_later(day, one)) for one in (1, 2, 3, 13)] == [
        "2026-02-28", "2026-03-31", "2026-04-30", "2027-02-28",
    ]  # fmt: skip


def test_fees_go_by_the_table() -> None:
    """Up to each bound, and by a part beyond the last, rounded half to even."""
    asked = {cents: deferred_payment.fee_on(cents) for cents in (1, 5_000, 5_001, 20_000, 50_000, 50_001, 50_125)}
    assert asked == {1: 150, 5_000: 150, 5_001: 300, 20_000: 300, 50_000: 600, 50_001: 600, 50_125: 602}


def test_nothing_of_the_product_is_used_but_what_protoc_made() -> None:
    """Whoever writes a product needs no more than the contract."""
    for path in EXAMPLES.glob("*.py"):
        imported = [line for line in path.read_text(encoding="utf-8").splitlines() if "import" in line.split()]
        ours = [line for line in imported if line.startswith(("from tallystick", "import tallystick"))]
        assert all(line.startswith("from tallystick.api.grpc.generated") for line in ours), ours


def test_purchases_look_like_purchases() -> None:
    """The sample has months beside the one that is asked for, which stay out."""
    with PURCHASES.open(encoding="utf-8") as file:
        months = Counter(row["date"][:7] for row in csv.DictReader(file))
    assert months == {"2026-03": 10, "2026-02": 1, "2026-04": 1}
