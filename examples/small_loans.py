"""
Small loans: equal instalments, interest by the day. A product of its own, and a client of Tallystick by REST.

    loan book ── plan of each loan ── the instalments due until a day ── one invoice for each instalment

- The instalment is that of an annuity: principal * r / (1 - (1 + r)^-months), r being a twelfth of the yearly rate, rounded
  up to the cent, once.
- The interest in it is actual/365: what is still owed * yearly rate * days since the last instalment / 365, exact in
  Decimal, rounded half to even to the cent, once.
- The rest of it is principal; the last instalment takes whatever is left, so that the principal of all is the loan.

Tallystick is told what is owed, in which words, and what the debt costs a year, which is what "highest cost first" goes by;
what a loan is it never learns. The principal credits the account of what is lent out, the interest one of its own.

Run it again whenever you like, also after it was cut off: an instalment is known by its reference, ``L-1001/03``.

    export TALLYSTICK_KEY=tsk_…
    python examples/small_loans.py plan examples/data/loans.csv L-1001
    python examples/small_loans.py ask examples/data/loans.csv --since 2026-04-01 --until 2026-06-30 --dry-run
    python examples/small_loans.py make-book --seed 7 --loans 12        (how examples/data/loans.csv was made)
"""

import argparse
import calendar
import csv
import datetime as dt
import os
import random
import re
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from decimal import ROUND_HALF_EVEN, ROUND_UP, Decimal, localcontext
from pathlib import Path
from typing import Any

import httpx

PRODUCT = "small-loans"
ASSET = "USD"
LENT, INTEREST = "loans/principal", "loans/interest"
"""The accounts that principal and interest credit; the fee credits the revenue of the product."""
COLUMNS = ("loan", "customer", "principal", "yearly_rate", "months", "paid_out_on", "fee")
AT_ONCE = 200
"""How many invoices one message asks for."""
TRIES = 5
SECONDS = 60
MOST_MONTHS = 120
EXACT = 60
"""Digits, so that a rounding to the cent is the only one."""


@dataclass(frozen=True, slots=True)
class Loan:
    """A loan as the book has it; amounts in cents."""

    loan: str
    customer: str
    principal: int
    yearly_rate: Decimal
    months: int
    paid_out_on: dt.date
    fee: int
    """Of each instalment."""


@dataclass(frozen=True, slots=True)
class Instalment:
    """What a customer owes on a day for a loan, in cents."""

    loan: Loan
    number: int
    due_on: dt.date
    principal: int
    interest: int
    left: int
    """Principal that is still owed behind it."""

    @property
    def reference(self) -> str:
        """Return what it is known by."""
        return f"{self.loan.loan}/{self.number:02d}"

    @property
    def total(self) -> int:
        """Return all that is owed."""
        return self.principal + self.interest + self.loan.fee


def main() -> int:
    """Do what the command line says; return 1 if something was refused."""
    asked = _arguments()
    try:
        if asked.do == "make-book":
            write_book(make_book(asked.seed, asked.loans))
            return 0
        loans = list(read_book(asked.book_of_loans))
        if asked.do == "plan":
            return _print_plan([one for one in loans if one.loan == asked.loan])
        return _ask(asked, loans)
    except (OSError, ValueError) as error:
        return _complain(str(error))
    except httpx.HTTPError as error:
        return _complain(f"{error!r}; run it again, what was asked for is kept")


def read_book(path: Path) -> Iterator[Loan]:
    """
    Read loans from CSV with the columns of COLUMNS; principal and fee in dollars, the rate as a part: 0.149.

    Raises:
        ValueError: a row cannot be read, or comes twice; the line is named.
    """
    seen: set[str] = set()
    with path.open(encoding="utf-8", newline="") as file:
        for line, row in enumerate(csv.DictReader(file), start=2):
            try:
                loan = _read_loan(row)
            except (KeyError, TypeError, ValueError) as error:
                raise ValueError(f"{path}, line {line}: {error}") from error
            if loan.loan in seen:
                raise ValueError(f"{path}, line {line}: the loan {loan.loan} comes twice")
            seen.add(loan.loan)
            yield loan


def plan(loan: Loan) -> list[Instalment]:
    """Return every instalment of a loan; their principal adds up to it."""
    left, since = loan.principal, loan.paid_out_on
    pays = annuity(loan.principal, loan.yearly_rate, loan.months)
    made = []
    for number in range(1, loan.months + 1):
        due_on = months_later(loan.paid_out_on, number)
        interest = interest_on(left, loan.yearly_rate, (due_on - since).days)
        principal = left if number == loan.months else min(left, max(0, pays - interest))
        left, since = left - principal, due_on
        made.append(Instalment(loan, number, due_on, principal, interest, left))
    return made


def annuity(principal: int, yearly_rate: Decimal, months: int) -> int:
    """Return the cents that, paid each month, pay a loan back with its interest."""
    with localcontext(prec=EXACT):
        rate = yearly_rate / 12
        exact = principal * rate / (1 - (1 + rate) ** -months) if rate else Decimal(principal) / months
        return int(exact.quantize(Decimal(1), ROUND_UP))


def interest_on(cents: int, yearly_rate: Decimal, days: int) -> int:
    """Return the interest on so many cents for so many days, actual/365, rounded once."""
    with localcontext(prec=EXACT):
        return int((cents * yearly_rate * days / 365).quantize(Decimal(1), ROUND_HALF_EVEN))


def months_later(day: dt.date, months: int) -> dt.date:
    """Return the same day so many months later, or the last of a month that is too short for it."""
    year, month = divmod(day.year * 12 + day.month - 1 + months, 12)
    return dt.date(year, month + 1, min(day.day, calendar.monthrange(year, month + 1)[1]))


def make_book(seed: int, count: int) -> Iterator[Loan]:
    """Make loans up that look like real ones: the same for a seed, today and in ten years."""
    chance = random.Random(seed)  # noqa: S311 - repeatable chance is what is wanted
    for number in range(1, count + 1):
        months = chance.choice((6, 12, 12, 18, 24, 24, 36))
        dearer = 40 - months  # small and short loans cost more
        yield Loan(
            loan=f"L-{1000 + number}",
            customer=f"C-{chance.randrange(10_000, 100_000)}",
            principal=chance.choice((500, 750, 1_000, 1_500, 2_000, 3_000, 5_000)) * 100 + chance.randrange(10) * 1_000,
            yearly_rate=Decimal(chance.randrange(59, 169) + dearer) / 1_000,
            months=months,
            paid_out_on=dt.date(2026, 1, 1) + dt.timedelta(days=chance.randrange(59)),
            fee=chance.choice((0, 100, 150)),
        )


def write_book(loans: Iterator[Loan]) -> None:
    """Print loans as CSV."""
    rows = csv.writer(sys.stdout, lineterminator="\n")
    rows.writerow(COLUMNS)
    for one in loans:
        rows.writerow(
            (
                one.loan,
                one.customer,
                _plain(one.principal),
                one.yearly_rate,
                one.months,
                one.paid_out_on,
                _plain(one.fee),
            )
        )


def invoice_of(instalment: Instalment) -> dict[str, Any]:
    """Write the invoice of an instalment."""
    loan = instalment.loan
    title = f"Loan {loan.loan}, instalment {instalment.number} of {loan.months}"
    lines = [
        {"description": f"{title}: principal", "amount": instalment.principal, "post_to": LENT},
        {
            "description": f"{title}: interest at {loan.yearly_rate:%}",
            "amount": instalment.interest,
            "post_to": INTEREST,
        },
        {"description": f"{title}: fee", "amount": loan.fee},
    ]
    return {
        "product": PRODUCT,
        "reference": instalment.reference,
        "customer": loan.customer,
        "asset": ASSET,
        "due_on": instalment.due_on.isoformat(),
        "cost_rank": str(loan.yearly_rate),
        "lines": [line for line in lines if line["amount"]],
    }


def _ask(asked: argparse.Namespace, loans: Sequence[Loan]) -> int:
    """
    Ask for the invoices of what is due from a day until another, print what became of each; return 1 if one was refused.

    What was due before today is refused: no invoice is due before its issue.
    """
    key = os.environ.get("TALLYSTICK_KEY")
    if not key:
        return _complain("set TALLYSTICK_KEY to a key with the scope invoicing:write")
    due = [one for loan in loans for one in plan(loan) if asked.since <= one.due_on <= asked.until and one.total]
    due.sort(key=lambda one: (one.due_on, one.reference))
    _print_row("reference", "due on", ["principal", "interest", "fee", "asked"], "invoice")
    refused = total = 0
    headers = {"authorization": f"Bearer {key}"}
    with httpx.Client(base_url=asked.server, headers=headers, timeout=SECONDS, trust_env=False) as client:
        for start in range(0, len(due), AT_ONCE):
            chunk = due[start : start + AT_ONCE]
            for one, outcome in zip(chunk, _send(client, asked, chunk), strict=True):
                amounts = [_dollars(cents) for cents in (one.principal, one.interest, one.loan.fee, one.total)]
                _print_row(one.reference, one.due_on.isoformat(), amounts, _told(outcome, dry_run=asked.dry_run))
                total += outcome["invoice"]["total"] if outcome["invoice"] else 0
                refused += outcome["invoice"] is None
    print(f"{len(due) - refused} invoices, {_dollars(total)} {ASSET}; {refused} refused")
    return 1 if refused else 0


def _send(client: httpx.Client, asked: argparse.Namespace, chunk: Sequence[Instalment]) -> list[dict[str, Any]]:
    """
    Ask for invoices and return what became of each.

    Where there is no answer, or one that says that a retry helps, the same is sent again: a reference is asked for once.

    Raises:
        ValueError: the server refuses the whole message.
    """
    path = f"/v1/books/{asked.book}/invoices/request-many"
    query = {"dry_run": "true"} if asked.dry_run else {}
    body = {"invoices": [invoice_of(one) for one in chunk]}
    for attempt in range(1, TRIES + 1):
        last = attempt == TRIES
        try:
            answer = client.post(path, params=query, json=body)
        except httpx.TransportError:
            if last:
                raise
        else:
            if answer.is_success:
                items: list[dict[str, Any]] = answer.json()["items"]
                return items
            problem = answer.json()
            if last or not problem["retry"]:
                raise ValueError(f"{problem['code']}: {problem['detail']}")
        time.sleep(0.2 * 2**attempt)
    raise AssertionError  # the last attempt returns or raises


def _told(outcome: dict[str, Any], *, dry_run: bool) -> str:
    invoice = outcome["invoice"]
    if invoice is None:
        return f"refused: {outcome['code']} {outcome['field']}: {outcome['message']}"
    if invoice["known"]:
        return f"{invoice['number']} known"
    return "would be made" if dry_run else f"{invoice['number']} made"


def _print_plan(loans: Sequence[Loan]) -> int:
    if not loans:
        return _complain("there is no such loan in the book")
    _print_row("reference", "due on", ["principal", "interest", "fee", "owed"], "left")
    made = plan(loans[0])
    for one in made:
        amounts = [_dollars(cents) for cents in (one.principal, one.interest, one.loan.fee, one.total)]
        _print_row(one.reference, one.due_on.isoformat(), amounts, _dollars(one.left))
    principal, interest = sum(one.principal for one in made), sum(one.interest for one in made)
    print(f"principal {_dollars(principal)}, interest {_dollars(interest)}")
    return 0


def _read_loan(row: dict[str, str]) -> Loan:
    loan = Loan(
        row["loan"],
        row["customer"],
        _cents(row["principal"]),
        _rate(row["yearly_rate"]),
        int(row["months"]),
        dt.date.fromisoformat(row["paid_out_on"]),
        _cents(row["fee"]),
    )
    if not loan.loan or not loan.customer or not loan.principal or not 1 <= loan.months <= MOST_MONTHS:
        raise ValueError(f"a loan has a name, a customer, a principal, and 1 to {MOST_MONTHS} months")
    return loan


def _rate(text: str) -> Decimal:
    if not re.fullmatch(r"[0-9](\.[0-9]{1,6})?", text):
        raise ValueError(f"{text!r} is no yearly rate; write it as a part: 0.149")
    return Decimal(text)


def _cents(text: str) -> int:
    if not re.fullmatch(r"[0-9]{1,9}\.[0-9]{2}", text):
        raise ValueError(f"{text!r} is no amount; write dollars and cents: 12.50")
    return int(text.replace(".", ""))


def _plain(cents: int) -> str:
    return f"{cents // 100}.{cents % 100:02d}"


def _dollars(cents: int) -> str:
    return f"{cents // 100:,}.{cents % 100:02d}"


def _print_row(reference: str, due_on: str, amounts: Sequence[str], told: str) -> None:
    print(f"{reference:<10} {due_on:<10} {' '.join(f'{one:>11}' for one in amounts)}  {told}")


def _complain(text: str) -> int:
    print(f"error: {text}", file=sys.stderr)
    return 1


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Ask for the invoices of instalments that are due.")
    what = parser.add_subparsers(dest="do", required=True)
    ask = what.add_parser("ask", help="ask for what is due until a day")
    ask.add_argument("book_of_loans", type=Path, metavar="LOANS.csv")
    ask.add_argument(
        "--since", type=dt.date.fromisoformat, default=dt.date.min, help="only what is due from this day on"
    )
    ask.add_argument("--until", type=dt.date.fromisoformat, required=True, help="as 2026-06-30")
    ask.add_argument("--server", default="http://127.0.0.1:8080", help="where REST is spoken")
    ask.add_argument("--book", default="main")
    ask.add_argument("--dry-run", action="store_true", help="let the server judge, and keep nothing")
    shown = what.add_parser("plan", help="show every instalment of a loan")
    shown.add_argument("book_of_loans", type=Path, metavar="LOANS.csv")
    shown.add_argument("loan")
    made = what.add_parser("make-book", help="make a loan book up")
    made.add_argument("--seed", type=int, default=7)
    made.add_argument("--loans", type=int, default=12)
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
