"""The command line: `tallystick up` and all that an operator does beside it."""

import sys

import typer

from tallystick.cli.console import faults_on_one_line
from tallystick.cli.listed import Listed, ListedCommands


class Commands(ListedCommands):
    """All there are."""

    listed = (
        Listed("up", "up:up", "Serve REST on 127.0.0.1:8080, with everything that belongs to it; Ctrl-C ends it all."),
        Listed("migrate", "migrate:migrate", "Prepare a PostgreSQL 18 of your own for this version; run it again whenever you like."),
        Listed("operations", "do:operations", "List every operation: what `do` runs here, REST and the other doors elsewhere."),
        Listed("do", "do:do", "Run any operation as the operator and print its answer as JSON."),
        Listed("trace", "trace:trace", "Draw what a record came from and what was made of it, from any id: with amounts, times, places and senders."),
        Listed("rebuild", "rebuild:rebuild", "Make a book anew from its messages alone, and name the first thing that does not come out the same; then exit with 1."),
        Listed("verify", "verify:verify", "Recompute the whole ledger and its log, and name every row that was changed behind its back; then exit with 1."),
        Listed("account", "account:app", "Accounts: the chart of them, balances, histories and statements."),
        Listed("usage", "usage:app", "Usage: billable events, each counted once."),
        Listed("rate", "rate:app", "Rating: what a price makes of usage."),
        Listed("invoice", "invoice:app", "Invoices: a month for every customer, gapless and once."),
        Listed("payment", "payments:app", "Payments: what was taken through a provider, and what is in the way."),
        Listed("repayment", "repayment:app", "Repayments: received, placed on invoices by a policy, given back."),
        Listed("charge", "charge:app", "Charges: one debit of an account for all that is due on a day."),
        Listed("bank", "bank:app", "The bank: statements come in, and their entries find their invoices."),
        Listed("payout", "payouts:app", "Payouts: what providers paid out, line by line against the ledger."),
        Listed("slip", "slip:app", "Slips: paid at a store's counter, announced first and settled later."),
        Listed("dunning", "dunning:app", "Dunning: reminders and late fees of a day, by rules."),
        Listed("batch", "batch:app", "Batches: what runs over all customers came to."),
        Listed("refund", "refund:app", "Refunds: money of payments that goes back the way it came."),
        Listed("dispute", "dispute:app", "Disputes: payments whose money the customer's bank wants back."),
        Listed("receipt", "receipt:app", "Receipts: fetch them, and verify them offline."),
        Listed("wallet", "wallet:app", "Prepaid credit: granted, spent by invoices, expired, voided."),
        Listed("tax", "tax:app", "Taxes: rates by jurisdiction and category, and what they come to."),
        Listed("ledger", "ledger:app", "The ledger: files of transfers go in and come out."),
        Listed("webhook", "webhook:app", "Webhooks: others are told of what happens, signed and at least once."),
        Listed("sandbox", "sandbox:app", "The sandbox: have payments fail, wait, be disputed and paid out, at will."),
        Listed("log", "log:app", "The log that proves every transfer."),
        Listed("key", "key:app", "API keys of a book."),
        Listed("book", "book:app", "Books: each the ledger of one legal entity."),
        Listed("plan", "subscription:plans", "Plans: what a subscription costs, in versions that never change."),
        Listed("subscription", "subscription:app", "Subscriptions: begin, change, pause, cancel, and bill what is due."),
    )  # fmt: skip


app = typer.Typer(cls=Commands, no_args_is_help=True, add_completion=False, rich_markup_mode="markdown",
                  pretty_exceptions_show_locals=False)  # keys and secrets are among them  # fmt: skip


@app.callback()
def tallystick() -> None:
    """Usage goes in, verified receipts come out."""


def main() -> None:
    """Run the command line."""
    with faults_on_one_line():
        sys.exit(app(standalone_mode=False))  # or its own errors would come as boxes of five lines


if __name__ == "__main__":
    main()
