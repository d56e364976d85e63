"""Each call to a provider fails twice over, nothing happened or it did; afterwards all who know of the payment agree."""

import asyncio
import uuid
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Any

import pytest
import pytest_asyncio

from tallystick.db.embedded import EmbeddedServer
from tallystick.db.queries import Connection
from tallystick.errors import TallystickError
from tallystick.ids import uuid7
from tallystick.journal.keep import IdReused
from tallystick.keyvalue.in_postgres import KeyValueInPostgres
from tallystick.keyvalue.model import KeyValue
from tallystick.ledger.accounts import Recorded
from tallystick.ledger.books import find_book
from tallystick.operations.rebuild import rebuild
from tallystick.operations.run import RESERVED
from tallystick.operations.work_queues import QueueWorker
from tallystick.payments import wake
from tallystick.payments.model import NextAction, PaymentOutput
from tallystick.payments.providers.protocol import Provider, ProviderRefused, ProviderTransaction, TransactionStatus
from tallystick.payments.providers.sandbox.change import Call
from tallystick.payments.providers.sandbox.faults import Fault, FaultKind
from tallystick.queues.enqueue import hasten
from tallystick.rebuild.open_twin import made_database
from tallystick.security.model import SYSTEM, Principal
from tests.conftest import House, url_of
from tests.scenarios.paying import LOST_ANSWERS, Shop, Till, open_shop_at

HALF_AN_HOUR = 31 * 60


@pytest_asyncio.fixture
async def shop(house: House, till: Till) -> AsyncIterator[Shop]:
    """Open a shop whose customer owes for three requests."""
    async with open_shop_at(house, till) as opened:
        opened.operations.resources[KeyValue] = KeyValueInPostgres(opened.operations.pool, opened.clock)
        yield opened


async def carry_until_known(shop: Shop, payment: PaymentOutput) -> str:
    """Let time pass and the worker work until what became of the payment is known, and return that."""
    for _ in range(12):
        status = await shop.status(payment)
        if status in {"settled", "failed"}:
            return status
        await shop.wait_and_work(60)
    return await shop.status(payment)


async def require_agreement(shop: Shop) -> None:
    """Hold provider, ledger, invoice and receipts against each other: what was taken is everywhere, and once."""
    taken = await shop.captured()
    invoice = await shop.reread()
    assert taken in {0, invoice.total}
    assert invoice.outstanding == invoice.total - taken
    receipts = (await shop.do("receipts.list")).items
    assert len(receipts) == (1 if taken else 0)
    if taken:
        assert (await shop.do("ledger.balance", account="providers/sandbox/USD")).balance == -taken
    left = await shop.operations.pool.fetchval("SELECT count(*) FROM job WHERE queue = 'payments'")
    assert left == 0


@pytest.mark.parametrize("kind", LOST_ANSWERS, ids=lambda kind: kind.value)
@pytest.mark.parametrize("call", [Call.CREATE, Call.CAPTURE], ids=lambda call: call.value)
async def test_a_call_that_fails_takes_the_money_once(shop: Shop, call: Call, kind: FaultKind) -> None:
    """The answer to create or capture is lost, and the two answers after it to whoever asks how it stands."""
    await shop.control.order([Fault(call, kind), Fault(Call.FIND, FaultKind.DROP_BEFORE), Fault(Call.FIND, kind)])
    payment = await shop.start()
    while payment.status == "started":
        await shop.wait_and_work(60)
        payment = await shop.reread_payment(payment)
    assert len(await shop.transactions()) == 1
    await shop.post(payment)
    assert await carry_until_known(shop, payment) == "settled"
    await require_agreement(shop)


@pytest.mark.parametrize("kind", LOST_ANSWERS, ids=lambda kind: kind.value)
async def test_a_lost_answer_to_cancel_ends_the_payment_once(shop: Shop, kind: FaultKind) -> None:
    """A payment that nobody completes is given up at the provider first, and fails only when that is known."""
    abandoned = await shop.start()
    await shop.control.order([Fault(Call.CANCEL, kind)])
    await shop.wait_and_work(HALF_AN_HOUR)
    assert await shop.status(abandoned) == "opened"
    assert await carry_until_known(shop, abandoned) == "failed"
    assert [one.status for one in await shop.transactions()] == [TransactionStatus.CANCELED]
    await require_agreement(shop)


async def test_what_was_taken_after_all_is_settled_and_not_expired(shop: Shop) -> None:
    """The provider took the money though nobody asked to complete it: giving it up finds that out."""
    abandoned = await shop.start()
    total = shop.invoice.total
    await shop.provider.capture(abandoned.transaction_id, total, "USD", "somebody else")
    assert (await shop.captured(), (await shop.reread()).outstanding) == (total, total)
    await shop.wait_and_work(HALF_AN_HOUR)
    assert await shop.status(abandoned) == "settled"
    await require_agreement(shop)


@dataclass(slots=True)
class Forgetful:
    """A provider that has forgotten every transaction, as PayPal does some hours after, if none was captured."""

    name: str = "sandbox"

    async def cancel(self, _: str) -> ProviderTransaction:
        """Know of none."""
        raise ProviderRefused(reason="RESOURCE_NOT_FOUND")

    async def find(self, _: str) -> ProviderTransaction:
        """Know of none."""
        raise ProviderRefused(reason="RESOURCE_NOT_FOUND")


async def test_what_the_provider_has_forgotten_ends_if_nobody_asked_for_its_money(shop: Shop) -> None:
    """A payment that nobody completed is no longer in its invoice's way, hours after; until then a refusal proves nothing."""
    abandoned = await shop.start()
    own, shop.provider = shop.provider, Forgetful()
    await shop.wait_and_work(HALF_AN_HOUR)
    assert await shop.status(abandoned) == "opened"
    await shop.wait_and_work(6 * 3600)
    assert await shop.status(abandoned) == "failed"
    shop.provider = own
    again = await shop.start("again")
    assert (await shop.post(again, "again post")).status == "settled"
    await require_agreement(shop)


async def test_what_the_provider_has_forgotten_is_told_if_its_money_was_asked_for(
    shop: Shop, capsys: pytest.CaptureFixture[str]
) -> None:
    """Nobody knows whether it was taken: it waits for somebody to look, who finds it listed and in the log, and can end it."""
    await shop.control.order([Fault(Call.CAPTURE, FaultKind.DROP_BEFORE)])
    started = await shop.start()
    await shop.post(started)
    shop.provider = Forgetful()
    await shop.wait_and_work(24 * 3600)
    assert await shop.status(started) == "submitted"
    (stuck,) = (await shop.do("payments.stuck")).items
    assert (stuck.payment_id, stuck.code) == (started.payment_id, "payments.provider_refused")
    assert "a payment cannot go on" in capsys.readouterr().out
    fields = {"payment_id": str(started.payment_id), "reason": "PayPal's activity has none", "ends": "submitted"}
    assert (await shop.do("payments.fail", **fields)).status == "failed"
    await require_agreement(shop)


async def test_a_customer_hears_of_one_transaction_however_many_were_opened(shop: Shop) -> None:
    """Two workers can have opened one each, where a provider forgets; the one noted first is told, and its money taken."""
    started = await shop.start()
    other = {"payment_id": str(started.payment_id), "transaction_id": "another", "token": "of another"}
    again = await shop.operations.call(SYSTEM, "main", "payments.open", f"{RESERVED}open:again", other)
    assert (again.transaction_id, again.token) == (started.transaction_id, started.token)
    with pytest.raises(IdReused):
        await shop.operations.call(SYSTEM, "main", "payments.open", f"{RESERVED}open:{started.payment_id}", other)
    assert (await shop.post(started)).status == "settled"
    await require_agreement(shop)


@dataclass(slots=True)
class Leisurely:
    """The provider, whose first word on how a transaction stands takes until it is let go on."""

    provider: Provider
    asked: asyncio.Event = field(default_factory=asyncio.Event)
    going_on: asyncio.Event = field(default_factory=asyncio.Event)

    def __getattr__(self, name: str) -> Any:  # noqa: ANN401 - whatever else a provider does
        """Do all else as the provider does."""
        return getattr(self.provider, name)

    async def find(self, transaction_id: str) -> ProviderTransaction:
        """Tell how it stands now, later."""
        found = await self.provider.find(transaction_id)
        self.asked.set()
        await self.going_on.wait()
        return found


async def test_a_completion_is_not_answered_with_what_was_seen_before_it(shop: Shop) -> None:
    """A webhook can have a payment looked at while its customer completes it; the answer says what the completion brought."""
    started = await shop.start()
    await shop.until_let_go()
    provider = shop.provider = Leisurely(shop.provider)
    await shop.operations.work(lambda to: hasten(to, 1, wake.QUEUE, [str(started.payment_id)], shop.clock.now()))
    shop.operations.resources[QueueWorker].wake()
    async with asyncio.timeout(20):
        await provider.asked.wait()
    posting = asyncio.create_task(shop.post(started))
    async with asyncio.timeout(20):
        while await shop.status(started) != "submitted":  # noqa: ASYNC110 - it is a transaction that brings it about
            await asyncio.sleep(0.01)
    provider.going_on.set()
    assert (await posting).status == "settled"


@pytest.mark.parametrize("succeeded", [True, False])
async def test_a_customer_who_must_authenticate_is_told_where(shop: Shop, *, succeeded: bool) -> None:
    """The answer says what to do next; when it is done the payment goes on by itself, and until then takes nothing."""
    await shop.control.order([Fault(Call.CAPTURE, FaultKind.ACTION)])
    started = await shop.start()
    asked = await shop.post(started)
    assert (asked.status, asked.next_action) == ("submitted", NextAction.AUTHENTICATE)
    assert asked.action_url
    session = await shop.do("payments.session", transaction_id=started.transaction_id)
    assert (session.status, session.action_url, session.amount) == ("submitted", asked.action_url, started.amount)
    await shop.wait_and_work(60)
    assert (await shop.status(started), await shop.captured()) == ("submitted", 0)
    await shop.control.authenticate(started.transaction_id, succeeded=succeeded)
    assert await carry_until_known(shop, started) == ("settled" if succeeded else "failed")
    session = await shop.do("payments.session", transaction_id=started.transaction_id)
    assert (session.token, session.action_url) == (None, None)
    await require_agreement(shop)


async def test_a_customer_who_never_authenticates_ends_known(shop: Shop) -> None:
    """Half an hour after it was asked for, the provider gives it up, and the invoice can be paid anew."""
    await shop.control.order([Fault(Call.CAPTURE, FaultKind.ACTION)])
    started = await shop.start()
    await shop.post(started)
    await shop.wait_and_work(HALF_AN_HOUR)
    assert await carry_until_known(shop, started) == "failed"
    await require_agreement(shop)
    await shop.post(await shop.start("again"), "post again")
    assert await shop.captured() == shop.invoice.total


async def test_what_the_provider_decides_later_is_waited_for(shop: Shop) -> None:
    """A capture that is processing is answered as such, and settles when the provider says so; a webhook makes it soon."""
    await shop.control.order([Fault(Call.CAPTURE, FaultKind.WAIT)])
    started = await shop.start()
    asked = await shop.post(started)
    assert (asked.status, asked.next_action) == ("submitted", NextAction.WAIT)
    for _ in range(8):
        await shop.wait_and_work(15 * 60)
    assert await shop.status(started) == "submitted"
    await shop.control.complete(started.transaction_id, succeeded=True)
    pool, worker = shop.operations.pool, shop.operations.resources[QueueWorker]

    async def hear(connection: Connection) -> None:
        recorded = Recorded((await find_book(connection, "main")).book_id, 0, shop.clock.now())
        await wake.wake(connection, recorded, [started.payment_id])

    await shop.operations.work(hear)
    worker.wake()
    assert await worker.settled("main", "payments", str(started.payment_id), 5)
    assert await shop.status(started) == "settled"
    assert await pool.fetchval("SELECT count(*) FROM payment_trouble") == 0
    await require_agreement(shop)


async def test_a_session_shows_what_the_customer_needs(shop: Shop) -> None:
    """By the provider's transaction: what is paid and with which token; without its session it is shown all the same."""
    started = await shop.start()
    shown = await shop.do("payments.session", transaction_id=started.transaction_id)
    assert (shown.payment_id, shown.token, shown.status) == (started.payment_id, started.token, "opened")
    kept = await shop.operations.pool.fetchval("SELECT count(*) FROM kept_value")
    assert kept == 1
    await shop.operations.pool.execute("DELETE FROM kept_value")
    assert await shop.do("payments.session", transaction_id=started.transaction_id) == shown
    with pytest.raises(TallystickError) as unknown:
        await shop.do("payments.session", transaction_id="nonsense")
    assert (unknown.value.code, unknown.value.field) == ("payments.unknown_payment", "transaction_id")


async def test_who_may_only_read_is_not_told_what_completes_a_payment(shop: Shop) -> None:
    """The token is for those who may complete a payment: by a key that only reads, neither payment nor session has it."""
    started = await shop.start()
    reader = Principal("reader", "main", frozenset({"payments:read"}))
    for operation, fields in (
        ("payments.find", {"payment_id": str(started.payment_id)}),
        ("payments.session", {"transaction_id": started.transaction_id}),
    ):
        assert (await shop.operations.call(reader, "main", operation, "", fields)).token is None, operation
        assert (await shop.do(operation, **fields)).token == started.token


async def test_who_is_stuck_and_why_is_listed(shop: Shop) -> None:
    """What is in a payment's way is to be seen, with how often it was tried, until it is out of the way."""
    await shop.control.order([Fault(Call.CREATE, FaultKind.ERROR_BEFORE), Fault(Call.FIND, FaultKind.ERROR_BEFORE)])
    started = await shop.start()
    await shop.wait_and_work(1)
    (stuck,) = (await shop.do("payments.stuck")).items
    assert (stuck.payment_id, stuck.code, stuck.tries) == (
        started.payment_id,
        "payments.provider_unknown_outcome",
        2,
    )
    await shop.wait_and_work(2)
    assert (await shop.do("payments.stuck")).items == []
    listed = (await shop.do("payments.list", status="opened", user=shop.invoice.customer)).items
    assert [one.payment_id for one in listed] == [started.payment_id]
    assert (await shop.do("payments.list", status="settled")).items == []
    history = await shop.do("payments.history", payment_id=str(started.payment_id))
    assert [one.step for one in history.steps] == ["started", "opened"]


async def test_a_provider_that_is_not_there_is_refused_by_name(shop: Shop) -> None:
    """A start can name who takes the money; one that this server does not have is refused, and nothing is kept."""
    with pytest.raises(TallystickError) as refused:
        await shop.do("payments.start", **shop.request, provider="elsewhere")
    assert (refused.value.code, refused.value.field) == ("payments.unknown_provider", "provider")
    named = await shop.do("payments.start", **shop.request, provider="sandbox")
    assert named.status == "opened"


@dataclass(slots=True)
class Beside:
    """Transactions side by side with those of payments."""

    shop: Shop
    repaid: int = 0

    async def repay(self) -> None:
        """Repay a cent of what is owed, over another channel."""
        await self.shop.do(
            "repayments.receive",
            customer=self.shop.invoice.customer,
            asset="USD",
            amount=1,
            channel="cash",
            reference=str(uuid7()),
        )
        self.repaid += 1

    async def pay(self) -> None:
        """Pay all that is left, or be told that there is nothing to pay just now."""
        try:
            started = await self.shop.do("payments.start", **self.shop.request)
        except TallystickError as error:
            assert error.code in {"payments.nothing_to_pay", "payments.under_way"}  # noqa: PT017 - either is right here
            return
        fields = {**self.shop.request, "transaction_id": started.transaction_id, "amount": started.amount}
        await self.shop.do("payments.post", **fields)


async def test_payments_beside_repayments_come_out_the_same_anew(shop: Shop, server: EmbeddedServer) -> None:
    """Whatever moves an invoice while payments of it start and settle, the kept messages make the same book again."""
    beside = Beside(shop)
    for _ in range(3):
        await asyncio.gather(*(beside.repay() for _ in range(6)), *(beside.pay() for _ in range(3)))
    async with made_database(url_of(server, "postgres")) as url:
        rebuilt = await rebuild(shop.operations, "main", url, lambda *_: None)
    assert rebuilt.difference is None, rebuilt.difference.message
    invoice = await shop.reread()
    unallocated = (await shop.do("repayments.unallocated", customer=invoice.customer)).items
    lies = sum(one.amount for one in unallocated)
    assert await shop.captured() + beside.repaid == invoice.total - invoice.outstanding + lies


async def test_an_old_receipt_for_money_that_was_pooled_is_settled_as_it_was(shop: Shop) -> None:
    """A settlement that credits all customers' common account is one of earlier times; it still comes out as it said."""
    started = await shop.start()
    await shop.control.order([Fault(Call.CAPTURE, FaultKind.DROP_AFTER)])
    await shop.post(started)
    await shop.rest()
    await shop.do("ledger.open_account", account="bank", asset="USD")
    transfer = {"debit": "bank", "credit": shop.invoice.account, "amount": started.amount}
    await shop.do("ledger.transfer", id=str(uuid.uuid4()), **transfer)
    key = f"account:{started.payment_id}"
    await shop.do("payments.open_account_beyond", key, payment_id=str(started.payment_id))
    (said,) = await shop.do("payments.statements", payment_ids=[str(started.payment_id)])
    pooled = await shop.operations.pool.fetchval("SELECT account_id FROM account WHERE code = 'unallocated/USD'")
    statement = {
        **said.statement,
        "transfer": {
            **said.statement["transfer"],
            "credit_account_id": pooled,
            "credit_account": "unallocated/USD",
        },
    }
    done = await shop.do("payments.settle", payment_id=str(started.payment_id), statement=statement)
    assert done.status == "settled"
    assert (await shop.do("ledger.balance", account="unallocated/USD")).balance == started.amount
