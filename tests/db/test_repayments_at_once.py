"""Repayments beside each other and beside whatever else moves an invoice: nothing is paid twice, nothing is lost."""

import asyncio
import contextlib
import random
import sys
import uuid
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path

import asyncpg
import pytest
import pytest_asyncio

from tallystick.db import retry
from tallystick.db.embedded import EmbeddedServer
from tallystick.errors import TallystickError
from tallystick.ids import uuid7
from tallystick.invoicing.life.errors import InvoiceEnded, NothingOutstanding, SomethingPaid
from tallystick.ledger.model import Reason
from tallystick.operations import run
from tallystick.operations.rebuild import rebuild
from tallystick.payments.errors import StatementDiffers
from tallystick.rebuild.open_twin import made_database
from tallystick.security.model import SYSTEM
from tests.conftest import House, url_of
from tests.db.added_up import add_up_in_order
from tests.db.repaid import ADA, NOW, Till, make_repayments_of_every_kind, open_till

SEEDS = (20261122, 5)
"""They stand in the names of the tests."""
CUSTOMERS = ("ada", "bob", "eve")
TASKS, STEPS = 4, 14
REFUSALS = {
    "repayments.not_enough", "repayments.not_reversible", "repayments.nothing_to_repay", "store.busy",
}  # fmt: skip
"""What may be answered to one who is late."""


@pytest_asyncio.fixture
async def till(house: House) -> Till:
    """Give a book whose clock stands."""
    return open_till(house)


async def test_two_at_once_repay_no_more_than_is_owed(till: Till) -> None:
    """Ten times the half of an invoice: it is paid once, and the rest lies unallocated."""
    invoice = await till.owe(100)
    paid = await asyncio.gather(*(till.pay(50, f"r{number}") for number in range(10)))
    assert sum(at.amount for one in paid for at in one.allocations) == 100
    assert (await till.outstanding(invoice), await till.unallocated()) == ([0], 400)
    assert await till.status(invoice) == "paid"


async def test_the_same_money_at_once_is_received_once(till: Till) -> None:
    """Under several messages at the same time."""
    invoice = await till.owe(100)
    paid = await asyncio.gather(*(till.pay(60, "the same") for _ in range(6)))
    assert all(one == paid[0] for one in paid)
    assert (await till.outstanding(invoice), await till.unallocated()) == ([40], 0)


async def test_a_repayment_beside_a_credit_note_or_a_void(till: Till) -> None:
    """Whoever comes second finds what the first left; the customer's money and credit add up."""
    for ending in ("invoicing.void", "invoicing.write_off"):
        invoice = await till.owe(100, customer=ending[-4:])

        async def end(invoice: uuid.UUID = invoice, ending: str = ending) -> None:
            with contextlib.suppress(SomethingPaid, InvoiceEnded, NothingOutstanding):
                await till.do(ending, id=str(invoice), reason="changed its mind")

        paid, _ = await asyncio.gather(till.pay(100, customer=ending[-4:]), end())
        assert await till.outstanding(invoice) == [0]
        repaid = sum(one.amount for one in paid.allocations)
        assert repaid + await till.unallocated(ending[-4:]) == 100
        assert await till.status(invoice) in {"paid", "void", "written_off"}


async def be_busy(till: Till, chance: random.Random, paid: list[uuid.UUID]) -> None:
    """Owe, pay, allocate, refund, reverse, credit and decide, in any order; a refusal is as good an answer."""
    for _ in range(STEPS):
        who = chance.choice(CUSTOMERS)
        mine = {"customer": who, "asset": "USD"}
        try:
            match chance.choice(
                ["owe", "owe", "pay", "pay", "pay", "allocate", "refund", "reverse", "policy", "wallet"]
            ):
                case "owe":
                    product = chance.choice(["loans", "api"])
                    await till.owe(chance.randint(1, 300), product, f"2026-10-{chance.randint(10, 28)}", who)
                case "pay":
                    paid.append((await till.pay(chance.randint(1, 400), customer=who)).id)
                case "allocate":
                    await till.do("repayments.allocate", **mine)
                case "refund":
                    back = {"to_account": "outside", "reference": str(uuid.uuid4()), "reason": "asked"}
                    await till.do("repayments.refund", **mine, amount=chance.randint(1, 50), **back)
                case "reverse" if paid:
                    await till.do("repayments.reverse", id=chance.choice(paid), reason="returned")
                case "wallet":
                    await till.do("wallets.grant", id=uuid.uuid4(), **mine, amount=chance.randint(1, 90))
                    await till.do("repayments.from_wallet", **mine, reference=str(uuid.uuid4()))
                case _:
                    kinds = ["pro_rata", "highest_cost_first", "oldest_first"]
                    await till.do("repayments.set_policy", policy={"kind": chance.choice(kinds)}, customer=who)
        except TallystickError as error:
            if error.code not in REFUSALS:
                raise


async def audit(owner: asyncpg.Connection) -> None:
    """Hold repayments, allocations and returns against the ledger's own transfers, added up here."""
    balance = await add_up_in_order(owner)
    placed: dict[object, int] = defaultdict(int)
    undone: dict[object, int] = defaultdict(int)
    total: dict[object, int] = {}
    for row in await owner.fetch("SELECT transfer_id, invoice_id, amount FROM repayment_allocation"):
        placed[row["invoice_id"]] += row["amount"]
    for row in await owner.fetch(
        "SELECT invoice_id, allocation_undo.amount FROM allocation_undo "
        "JOIN repayment_allocation ON repayment_allocation.transfer_id = undone_id"
    ):
        undone[row["invoice_id"]] += row["amount"]
    for row in await owner.fetch("SELECT invoice_id, total FROM invoice JOIN invoice_issue USING (invoice_id)"):
        total[row["invoice_id"]] = row["total"]
    used: dict[object, int] = defaultdict(int)
    for row in await owner.fetch("SELECT invoice_id, amount FROM credit_use WHERE transfer_id NOT IN "
                                 "(SELECT transfer_id FROM repayment_allocation)"):  # fmt: skip
        used[row["invoice_id"]] += row["amount"]
    ended: dict[object, int] = defaultdict(int)
    for row in await owner.fetch(
        "SELECT account.code, amount FROM transfer JOIN account ON account.account_id = credit_account_id "
        "WHERE reason = ANY ($1::smallint[])", [Reason.PAYMENT_SETTLE, Reason.INVOICE_VOID, Reason.INVOICE_WRITE_OFF]
    ):  # fmt: skip
        ended[row["code"]] += row["amount"]
    taken_back: dict[object, int] = defaultdict(int)
    given = 0
    for row in await owner.fetch("SELECT invoice_id, total, applied FROM credit_note"):
        taken_back[row["invoice_id"]] += row["applied"]
        given += row["total"] - row["applied"]
    for invoice_id, asked in total.items():
        code = f"invoices/{invoice_id}/receivable"
        left = asked - placed[invoice_id] + undone[invoice_id] - used[invoice_id] - taken_back[invoice_id] - ended[code]
        assert balance[code] == -left
    came = await owner.fetchval("SELECT coalesce(sum(amount), 0) FROM repayment WHERE transfer_id IS NOT NULL")
    came += await owner.fetchval(  # what was paid by card for an invoice that had been paid otherwise meanwhile
        "SELECT coalesce(sum(transfer.amount), 0) FROM receipt JOIN transfer USING (book_id, transfer_id) "
        "JOIN account ON account.account_id = credit_account_id WHERE code LIKE '%/unallocated/%'"
    )
    went = await owner.fetchval("SELECT coalesce(sum(amount), 0) FROM repayment_return")
    on_invoices = await owner.fetchval(
        "SELECT coalesce(sum(amount), 0) FROM repayment_allocation WHERE transfer_id NOT IN (SELECT transfer_id FROM credit_use)"
    )
    lying = sum(amount for code, amount in balance.items() if "/unallocated/" in code)
    assert came + given - went == on_invoices - sum(undone.values()) + lying
    too_much = await owner.fetchval(
        "SELECT count(*) FROM repayment_allocation AS placed WHERE amount < (SELECT sum(amount) FROM allocation_undo "
        "WHERE undone_id = placed.transfer_id)"
    )
    assert not too_much, "more of an allocation was undone than it had placed"


@pytest.mark.parametrize("seed", SEEDS)
async def test_nothing_is_lost_whatever_happens_at_once(
    till: Till, house: House, owner: asyncpg.Connection, server: EmbeddedServer, seed: int
) -> None:
    """Each unit that came lies on an invoice, lies unallocated, or went back; and a rebuild comes out the same."""
    await till.do("ledger.open_account", account="outside", asset="USD")
    for who in CUSTOMERS:
        await till.owe(100, customer=who)
    paid: list[uuid.UUID] = []
    await asyncio.gather(*(be_busy(till, random.Random(f"{seed}/{task}"), paid) for task in range(TASKS)))
    await audit(owner)
    async with made_database(url_of(server, "postgres")) as url:
        found = await rebuild(house.operations, "main", url, lambda *_: None)
    assert found.difference is None, found.difference.message


async def require_the_same_anew(house: House, server: EmbeddedServer) -> None:
    """Rebuild the book from its messages, and find nothing that differs."""
    async with made_database(url_of(server, "postgres")) as url:
        found = await rebuild(house.operations, "main", url, lambda *_: None)
    assert found.difference is None, found.difference.message


@pytest.fixture
def no_deadlock(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let a deadlock be an error instead of a reason to run again."""
    calm = tuple(error for error in retry.RUN_AGAIN if error is not asyncpg.DeadlockDetectedError)
    monkeypatch.setattr(run, "RUN_AGAIN", calm)


async def pay_by_card(till: Till, invoice: uuid.UUID, customer: str) -> None:
    """Carry a payment through as the workers do, with a provider that takes the money at once."""
    fields = {"user": customer, "email": "who@example.com", "timestamp": NOW.isoformat(), "payment_type": "credit"}
    started = await till.do("payments.start", **fields, invoice_id=str(invoice))
    named, provider_id = {"payment_id": str(started.payment_id)}, f"card-{started.payment_id}"
    call, key = till.operations.call, f"tallystick:test:{started.payment_id}"
    await call(SYSTEM, "main", "payments.open", f"{key}:open", {**named, "transaction_id": provider_id, "token": "t"})
    await till.do("payments.post", **fields, transaction_id=provider_id, amount=started.amount)
    for attempt in range(20):
        (read,) = await call(SYSTEM, "main", "payments.statements", "", {"payment_ids": [str(started.payment_id)]})
        if read.missing:
            await call(SYSTEM, "main", "payments.open_account_beyond", f"{key}:account", named)
            continue
        with contextlib.suppress(StatementDiffers):
            settling = {**named, "statement": read.statement}
            await call(SYSTEM, "main", "payments.settle", f"{key}:settle:{attempt}", settling)
            return
    raise AssertionError("the invoice never stands still")


MOVES = ("pay", "pay", "credit", "credit", "end", "reverse", "reverse", "allocate")


async def move_everything(
    till: Till, chance: random.Random, owed: list[uuid.UUID], paid: list[uuid.UUID], moves: Sequence[str]
) -> None:
    """Whatever moves the money of an invoice, each beside the others; a refusal is as good an answer."""
    invoice = chance.choice(owed)
    try:
        match chance.choice(moves):
            case "card":
                await pay_by_card(till, invoice, ADA)
            case "pay":
                paid.append((await till.pay(chance.randint(1, 300))).id)
            case "credit":
                lines = [{"line": 0, "amount": chance.randint(1, 60)}]
                await till.do("invoicing.credit", id=invoice, reference=str(uuid.uuid4()), reason="x", lines=lines)
            case "end":
                await till.do(chance.choice(["invoicing.void", "invoicing.write_off"]), id=invoice, reason="x")
            case "reverse" if paid:
                await till.do("repayments.reverse", id=chance.choice(paid), reason="returned")
            case _:
                await till.do("repayments.allocate", customer=ADA, asset="USD")
    except TallystickError as error:
        if error.code not in REFUSALS and not error.code.startswith(("payments.", "invoicing.")):
            raise


@pytest.mark.usefixtures("no_deadlock")
@pytest.mark.parametrize("seed", SEEDS)
async def test_repayments_beside_payments_and_credit_notes(till: Till, owner: asyncpg.Connection, seed: int) -> None:
    """On the same invoices: nothing is paid twice, and none waits for the other in a circle."""
    await move_at_once(till, seed, ("card", "card", *MOVES))
    await audit(owner)


@pytest.mark.usefixtures("no_deadlock")
@pytest.mark.parametrize("seed", SEEDS)
async def test_repayments_beside_credit_notes_and_ends_come_out_the_same_anew(
    till: Till, owner: asyncpg.Connection, server: EmbeddedServer, house: House, seed: int
) -> None:
    """Each was judged by how the invoice stood at its place in the order, whoever was at it beside."""
    await move_at_once(till, seed, MOVES)
    await audit(owner)
    await require_the_same_anew(house, server)


async def move_at_once(till: Till, seed: int, moves: Sequence[str]) -> None:
    """Let some tasks move the same few invoices, each by its own chance."""
    owed = [await till.owe(100 + place) for place in range(4)]
    paid: list[uuid.UUID] = []

    async def one_after_the_other(task: int) -> None:
        chance = random.Random(f"{seed}/{task}")
        for _ in range(10):
            await move_everything(till, chance, owed, paid, moves)

    await asyncio.gather(*(one_after_the_other(task) for task in range(TASKS)))


async def test_two_reversals_at_once_undo_nothing_twice(
    till: Till, house: House, owner: asyncpg.Connection, server: EmbeddedServer
) -> None:
    """What was repaid of the rest of both is undone once, and what is missing is told."""
    await till.owe(1)  # makes the customer known
    first, second = await till.pay(61), await till.pay(60)
    invoice = await till.owe(100)
    await till.do("repayments.allocate", customer=ADA, asset="USD")
    await asyncio.gather(*(till.do("repayments.reverse", id=one.id, reason="returned") for one in (first, second)))
    assert (await till.outstanding(invoice), await till.unallocated()) == ([100], 0)
    await audit(owner)
    await require_the_same_anew(house, server)


async def test_what_is_opened_again_is_seen_by_all_that_come_after(
    till: Till, house: House, owner: asyncpg.Connection, server: EmbeddedServer
) -> None:
    """A reversal beside repayments and charges: whoever is ordered behind it finds the invoice open."""
    for _ in range(6):
        await till.owe(100)
        paid = await till.pay(100)
        await asyncio.gather(
            till.do("repayments.reverse", id=paid.id, reason="returned"),
            *(till.pay(30) for _ in range(4)),
            till.do("repayments.allocate", customer=ADA, asset="USD"),
        )
    await audit(owner)
    await require_the_same_anew(house, server)


async def test_the_same_at_once_is_done_by_the_first_in_the_order(
    till: Till, house: House, server: EmbeddedServer
) -> None:
    """Money, refunds, reversals, credit and outcomes, each under several messages: one does it, all are told the same."""
    await till.do("ledger.open_account", account="outside", asset="USD")
    mine = {"customer": ADA, "asset": "USD"}
    await till.owe(70, due_on="2026-10-05")
    account = {"bank_account": "somewhere", "country": "DE", "cutoff_days": 0}
    await till.do("collecting.choose_debit_day", customer=ADA, day=5, **account)
    assert (await till.do("charges.make", on="2026-10-05")).made == 1
    (charge,) = (await till.do("charges.list", on="2026-10-05")).items
    outcomes = [{"charge": str(charge.id)}]
    for place in range(3):
        await till.owe(120)
        await asyncio.gather(*(till.pay(900, f"m-{place}") for _ in range(6)))
        back = {"to_account": "outside", "reference": f"r-{place}", "reason": "asked"}
        refunds = (till.do("repayments.refund", **mine, **back) for _ in range(6))
        assert len({one.amount for one in await asyncio.gather(*refunds)}) == 1
        await till.owe(30)
        await till.do("wallets.grant", id=uuid7(), **mine, amount=9)
        await asyncio.gather(
            *(till.do("repayments.from_wallet", **mine, amount=9, reference=f"w-{place}") for _ in range(3)),
            *(till.do("charges.apply", outcomes=outcomes) for _ in range(3)),
        )
        paid = await till.pay(5)
        await asyncio.gather(*(till.do("repayments.reverse", id=paid.id, reason="x") for _ in range(6)))
    await require_the_same_anew(house, server)


async def test_repayments_of_every_kind_are_rebuilt(house: House, server: EmbeddedServer) -> None:
    """Repayments, reversals, refunds, policies, agreements, charges and their outcomes: the same again."""
    await make_repayments_of_every_kind(house)
    async with made_database(url_of(server, "postgres")) as url:
        found = await rebuild(house.operations, "main", url, lambda *_: None)
    assert found.difference is None, found.difference.message


@pytest.mark.parametrize("beside", ["before the answer", "right away"])
async def test_a_killed_process_loses_no_repayment(till: Till, database_url: str, beside: str) -> None:
    """Killed in the middle and sent again, the same message repays once."""
    invoice = await till.owe(100)
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "tests.db.repaying_process", database_url,
        cwd=Path(__file__).parents[2], stdout=asyncio.subprocess.PIPE,
    )  # fmt: skip
    assert process.stdout is not None
    assert await process.stdout.readline() == b"repaying\n"
    if beside == "before the answer":
        await process.stdout.readline()
    process.kill()
    await process.wait()
    for number in range(20):
        await till.do(
            "repayments.receive", f"killed-message-{number}", customer=ADA, asset="USD", amount=7, channel="cash",
            reference=f"killed-{number}",
        )  # fmt: skip
    assert (await till.outstanding(invoice), await till.unallocated()) == ([0], 40)
    assert len((await till.do("repayments.list")).items) == 20
