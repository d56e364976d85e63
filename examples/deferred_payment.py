"""
Deferred payment: customers buy now and pay once a month. A product of its own, and a client of Tallystick by gRPC.

    purchases of a month ── by customer ── monthly fee by a table ── one invoice for each customer

Tallystick is told what is owed and in which words; what a purchase is, and what the fee goes by, it never learns.

Run it again whenever you like, also after it was cut off: an invoice is known by its reference, ``2026-03/ada``, and is
made once. A month that has changed since it was asked for is refused by name, and nothing of it is asked for twice.

    export TALLYSTICK_KEY=tsk_…
    python examples/deferred_payment.py examples/data/purchases.csv 2026-03 --server 127.0.0.1:50051 --dry-run
"""

import argparse
import csv
import datetime as dt
import itertools
import json
import os
import re
import sys
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from decimal import ROUND_HALF_EVEN, Decimal
from pathlib import Path

import grpc

from tallystick.api.grpc.generated import tallystick_pb2 as tallystick
from tallystick.api.grpc.generated.tallystick_pb2_grpc import InvoicesStub

PRODUCT = "deferred-payment"
ASSET = "USD"
FEES = ((5_000, 150), (20_000, 300), (50_000, 600))
"""The monthly fee: who bought for up to so many cents pays so many."""
FEE_BEYOND = Decimal("0.012")
"""Above the table, this part of what was bought."""
DUE_DAY = 27
"""Of the month that follows."""
AT_ONCE = 200
"""How many invoices one call asks for. Few enough that a call cut off costs little."""
SECONDS = 60
AGAIN = {
    "methodConfig": [
        {
            "name": [{"service": "tallystick.v1.Invoices"}],
            "retryPolicy": {
                "maxAttempts": 5,
                "initialBackoff": "0.2s",
                "maxBackoff": "5s",
                "backoffMultiplier": 2,
                "retryableStatusCodes": ["UNAVAILABLE"],
            },
        }
    ]
}
"""What the library sends again by itself. That is safe here, since a reference is asked for once."""


@dataclass(frozen=True, slots=True)
class Purchase:
    """Something that a customer bought."""

    customer: str
    bought_on: dt.date
    merchant: str
    description: str
    cents: int


def main() -> int:
    """Ask for the invoices of a month; return 1 if one was refused."""
    asked = _arguments()
    key = os.environ.get("TALLYSTICK_KEY")
    if not key:
        return _complain("set TALLYSTICK_KEY to a key with the scope invoicing:write")
    try:
        purchases = [one for one in read_purchases(asked.purchases) if f"{one.bought_on:%Y-%m}" == asked.month]
    except (OSError, ValueError) as error:
        return _complain(str(error))
    invoices = [invoice_of(asked.month, customer, bought) for customer, bought in by_customer(purchases)]
    options = [("grpc.service_config", json.dumps(AGAIN))]
    try:
        with grpc.insecure_channel(asked.server, options=options) as channel:
            return _ask(InvoicesStub(channel), asked, invoices, (("authorization", f"Bearer {key}"),))
    except grpc.RpcError as error:
        return _complain(f"{error.code().name}: {error.details()}; run it again, what was asked for is kept")


def read_purchases(path: Path) -> Iterator[Purchase]:
    """
    Read purchases from CSV with the columns customer, date, merchant, description and amount, in dollars.

    Raises:
        ValueError: a row cannot be read; the line is named.
    """
    with path.open(encoding="utf-8", newline="") as file:
        for line, row in enumerate(csv.DictReader(file), start=2):
            try:
                yield Purchase(
                    row["customer"],
                    dt.date.fromisoformat(row["date"]),
                    row["merchant"],
                    row["description"],
                    _cents(row["amount"]),
                )
            except (KeyError, TypeError, ValueError) as error:
                raise ValueError(f"{path}, line {line}: {error}") from error


def by_customer(purchases: Iterable[Purchase]) -> Iterator[tuple[str, list[Purchase]]]:
    """Yield the purchases of each customer, in an order that is the same in every run."""

    def customer_of(one: Purchase) -> str:
        return one.customer

    for customer, bought in itertools.groupby(sorted(purchases, key=customer_of), customer_of):
        yield customer, sorted(bought, key=lambda one: (one.bought_on, one.merchant, one.description, one.cents))


def fee_on(cents: int) -> int:
    """Return the monthly fee for purchases of so many cents."""
    for up_to, fee in FEES:
        if cents <= up_to:
            return fee
    return int((FEE_BEYOND * cents).quantize(Decimal(1), ROUND_HALF_EVEN))


def invoice_of(month: str, customer: str, bought: Sequence[Purchase]) -> tallystick.InvoiceRequest:
    """
    Write the invoice of a customer.

    What was bought is owed on to the merchants, so each line credits the account of its merchant. The fee is ours: it
    credits what a line credits that says nothing, the revenue of the product.
    """
    lines = [
        tallystick.LineRequest(
            description=f"{one.bought_on}, {one.merchant}: {one.description}",
            amount=one.cents,
            post_to=f"merchants/{re.sub(r'[^a-z0-9]+', '-', one.merchant.lower())}",
        )
        for one in bought
    ]
    fee = fee_on(sum(one.cents for one in bought))
    lines.append(tallystick.LineRequest(description="Monthly fee", amount=fee))
    year, number = (int(part) for part in month.split("-"))
    due_on = dt.date(year + number // 12, number % 12 + 1, DUE_DAY)
    return tallystick.InvoiceRequest(
        product=PRODUCT,
        reference=f"{month}/{customer}",
        customer=customer,
        asset=ASSET,
        lines=lines,
        due_on=due_on.isoformat(),
        memo=f"Your purchases of {month}",
    )


def _ask(
    invoices_of: InvoicesStub,
    asked: argparse.Namespace,
    invoices: Sequence[tallystick.InvoiceRequest],
    metadata: tuple[tuple[str, str], ...],
) -> int:
    """Ask for the invoices, so many at once, print what became of each, and return 1 if one was refused."""
    _print_row("reference", "bought", "fee", "asked", "invoice")
    refused = total = 0
    for start in range(0, len(invoices), AT_ONCE):
        chunk = invoices[start : start + AT_ONCE]
        request = tallystick.RequestInvoicesRequest(book=asked.book, dry_run=asked.dry_run, invoices=chunk)
        answer = invoices_of.RequestInvoices(request, metadata=metadata, timeout=SECONDS)
        for invoice, outcome in zip(chunk, answer.items, strict=True):
            *bought, fee = (line.amount for line in invoice.lines)
            told = _told(outcome, dry_run=asked.dry_run)
            _print_row(invoice.reference, _dollars(sum(bought)), _dollars(fee), _dollars(sum(bought) + fee), told)
            if outcome.HasField("invoice"):
                total += outcome.invoice.total
            else:
                refused += 1
    print(f"{len(invoices) - refused} invoices, {_dollars(total)} {ASSET}; {refused} refused")
    return 1 if refused else 0


def _told(outcome: tallystick.RequestOutcome, *, dry_run: bool) -> str:
    if not outcome.HasField("invoice"):
        return f"refused: {outcome.code} {outcome.field}: {outcome.message}"
    if outcome.invoice.known:
        return f"{outcome.invoice.number} known"
    return "would be made" if dry_run else f"{outcome.invoice.number} made"


def _cents(text: str) -> int:
    if not re.fullmatch(r"[0-9]{1,9}\.[0-9]{2}", text):
        raise ValueError(f"{text!r} is no amount; write dollars and cents: 12.50")
    return int(text.replace(".", ""))


def _dollars(cents: int) -> str:
    return f"{cents // 100:,}.{cents % 100:02d}"


def _print_row(reference: str, bought: str, fee: str, asked: str, told: str) -> None:
    print(f"{reference:<16} {bought:>12} {fee:>10} {asked:>12}  {told}")


def _complain(text: str) -> int:
    print(f"error: {text}", file=sys.stderr)
    return 1


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description="Ask for one invoice for each customer who bought something in a month."
    )
    parser.add_argument("purchases", type=Path, help="CSV: customer, date, merchant, description, amount")
    parser.add_argument("month", type=_month, help="as 2026-03")
    parser.add_argument("--server", default="127.0.0.1:50051", help="where gRPC is spoken")
    parser.add_argument("--book", default="main")
    parser.add_argument("--dry-run", action="store_true", help="let the server judge, and keep nothing")
    return parser.parse_args()


def _month(text: str) -> str:
    if not re.fullmatch(r"[0-9]{4}-(0[1-9]|1[0-2])", text):
        raise argparse.ArgumentTypeError("write a month as 2026-03")
    return text


if __name__ == "__main__":
    sys.exit(main())
