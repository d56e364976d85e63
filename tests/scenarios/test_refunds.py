"""Money is given back exactly once and never more than was taken, whatever fails between customer, house and provider."""

import asyncio
import datetime as dt
import random
import uuid
from collections.abc import AsyncIterator

import asyncpg
import pytest
import pytest_asyncio
from msgspec.structs import replace
from structlog.testing import capture_logs

from tallystick.db.embedded import EmbeddedServer
from tallystick.db.queries import Connection
from tallystick.errors import TallystickError
from tallystick.ledger.accounts import Recorded, close_account
from tallystick.ledger.verify import verify
from tallystick.payments.model import PaymentOutput
from tallystick.payments.providers.protocol import Provider, ProviderRefund, RefundRequest
from tallystick.payments.providers.sandbox.change import Call
from tallystick.payments.providers.sandbox.faults import Fault, FaultKind
from tallystick.payments.refunds.unanswered import find_unanswered
from tallystick.receipts.prove import prove_receipt
from tallystick.security.model import OPERATOR, SYSTEM
from tests.conftest import House
from tests.db.added_up import add_up_in_order
from tests.db.posting import ORIGIN, SIGNER
from tests.db.test_rebuild import seal_book
from tests.db.test_repayments_at_once import no_deadlock, require_the_same_anew
from tests.scenarios.giving_back import Counter, open_counter
from tests.scenarios.paying import LOST_ANSWERS, Till

__all__ = ["no_deadlock"]


@pytest_asyncio.fixture
async def counter(house: House, till: Till) -> AsyncIterator[Counter]:
    """Open a shop whose customer owes for three requests, and which can give back what they pay."""
    async with open_counter(house, till) as opened:
        yield opened


async def test_money_taken_off_the_invoice_is_owed_again(counter: Counter) -> None:
    """A refund from the invoice goes back through the provider, and the invoice is open again by as much."""
    paid = await counter.pay()
    refund = await counter.refund(paid, amount=50)
    assert (refund.status, refund.amount, refund.take_from) == ("succeeded", 50, "invoice")
    assert refund.provider_refund_id
    invoice = await counter.shop.reread()
    assert invoice.outstanding == 50
    assert await counter.told() == ["payment.refunded"]
    await counter.require_agreement()


async def test_what_a_credit_note_left_over_is_given_back_and_the_invoice_stays_paid(counter: Counter) -> None:
    """After a credit note on a paid invoice the customer has money; given back, nothing is owed and nothing is left."""
    paid = await counter.pay()
    await credit(counter, 75)
    refund = await counter.refund(paid, take_from="unallocated")
    assert (refund.status, refund.amount) == ("succeeded", 75)
    assert (await counter.shop.reread()).outstanding == 0
    assert await counter.lies_unallocated() == 0
    await counter.require_agreement()


async def test_no_more_is_given_back_from_the_customers_money_than_there_is(counter: Counter) -> None:
    """Without a credit note nothing lies unallocated; with a small one, as much as that."""
    paid = await counter.pay()
    with pytest.raises(TallystickError, match="0 USD") as refused:
        await counter.refund(paid, take_from="unallocated")
    assert (refused.value.code, refused.value.field) == ("refunds.too_much", "amount")
    await credit(counter, 20)
    with pytest.raises(TallystickError, match="20 USD"):
        await counter.refund(paid, "more", take_from="unallocated", amount=21)
    assert (await counter.refund(paid, "all of it", take_from="unallocated")).amount == 20
    await counter.require_agreement()


async def test_a_second_click_is_the_same_refund(counter: Counter) -> None:
    """The same message three times, also at once, is one refund at the provider and in the ledger."""
    paid = await counter.pay()
    made = await asyncio.gather(*(counter.refund(paid, amount=30) for _ in range(3)))
    assert len({one.refund_id for one in made}) == 1
    assert [one.amount for one in await counter.refunds_made()] == [30]
    await counter.require_agreement()


async def test_never_more_than_was_taken(counter: Counter) -> None:
    """Refunds of a payment together never exceed it: not in one, not in two, and not in ten at once."""
    paid = await counter.pay()
    with pytest.raises(TallystickError, match="75 USD") as refused:
        await counter.refund(paid, "too much", amount=76)
    assert refused.value.code == "refunds.too_much"
    tried = await asyncio.gather(
        *(counter.refund(paid, f"at once {nth}", amount=20) for nth in range(10)), return_exceptions=True
    )
    assert sum(not isinstance(one, BaseException) for one in tried) == 3
    assert {one.code for one in tried if isinstance(one, TallystickError)} == {"refunds.too_much"}
    assert (await counter.refund(paid, "the rest")).amount == 15
    with pytest.raises(TallystickError, match="0 USD"):
        await counter.refund(paid, "one more")
    assert sum(one.amount for one in await counter.refunds_made()) == 75
    assert (await counter.shop.reread()).outstanding == 75
    await counter.require_agreement()


async def test_what_a_dispute_holds_back_is_not_given_back_too(counter: Counter) -> None:
    """While the bank wants 50 of 75 back, 25 can be refunded; once it is won, the rest."""
    paid = await counter.pay()
    dispute = await counter.shop.control.open_dispute(str(paid.transaction_id), 50)
    await counter.hear("dispute", dispute.id)
    with pytest.raises(TallystickError, match="25 USD"):
        await counter.refund(paid, "too much", amount=26)
    assert (await counter.refund(paid, "what is left")).amount == 25
    await counter.shop.control.decide_dispute(dispute.id, won=True)
    await counter.hear("dispute", dispute.id)
    assert (await counter.refund(paid, "the rest")).amount == 50
    await counter.require_agreement()


async def test_a_lost_answer_to_a_refund_is_found_out(counter: Counter) -> None:
    """Whether the provider acted or not before the answer was lost, it is asked, and gives the money back once."""
    paid = await counter.pay()
    for kind in LOST_ANSWERS:
        await counter.shop.control.order([Fault(Call.REFUND, kind)])
        asked = await counter.refund(paid, kind.value, amount=10)
        assert asked.status == "requested", kind
        assert await counter.balance("refunds/sandbox/USD") == 10
        await counter.shop.wait_and_work()
        assert (await counter.reread(asked)).status == "succeeded", kind
    assert [one.amount for one in await counter.refunds_made()] == [10] * 6
    await counter.require_agreement()


async def test_a_lost_answer_to_the_question_is_asked_for_again(counter: Counter) -> None:
    """A provider that does not answer is asked until it does; meanwhile the refund has neither succeeded nor failed."""
    paid = await counter.pay()
    drops = [FaultKind.DROP_BEFORE, FaultKind.DROP_AFTER]  # of which the client asks again by itself, now and then
    silences = [kind for kind in LOST_ANSWERS if kind not in drops]
    lost = [Fault(Call.REFUND, FaultKind.DROP_AFTER), *(Fault(Call.FIND_REFUND, kind) for kind in [*silences, *drops])]
    await counter.shop.control.order(lost)
    asked = await counter.refund(paid, amount=40)
    for _ in silences:
        await counter.shop.wait_and_work()
        assert (await counter.reread(asked)).status == "requested"
    for _ in [*drops, "and one that is answered"]:
        await counter.shop.wait_and_work()
    assert (await counter.reread(asked)).status == "succeeded"
    await counter.require_agreement()


STEPS = [(step, when) for step in ("payments.refund", "refunds.find", "refunds.note") for when in ("before", "after")]


async def test_a_death_at_any_step_gives_back_once(counter: Counter) -> None:
    """The process dies just before or after each step; the next one and a second click make it whole."""
    paid = await counter.pay()
    for step, when in STEPS:
        async with counter.process_that_dies((step, when)) as worker:
            await counter.refund(paid, f"{step} {when}", amount=10)
            await worker.work_once()
        await counter.shop.work()
        assert (await counter.refund(paid, f"{step} {when}", amount=10)).status == "succeeded", (step, when)
    assert [one.amount for one in await counter.refunds_made()] == [10] * len(STEPS)
    assert await counter.told() == ["payment.refunded"] * len(STEPS)
    await counter.require_agreement()


async def test_a_refund_that_fails_goes_back_where_it_was(counter: Counter) -> None:
    """What the provider does not give back is on the invoice again, is told, and can be asked for anew."""
    paid = await counter.pay()
    await counter.shop.control.order([Fault(Call.REFUND, FaultKind.DECLINE)])
    failed = await counter.refund(paid, amount=40)
    assert (failed.status, failed.failure) == ("failed", "refund_declined")
    assert (await counter.shop.reread()).outstanding == 0
    assert await counter.told() == ["refund.failed"]
    await counter.require_agreement()
    assert (await counter.refund(paid, "again")).amount == 75
    await counter.require_agreement()


async def test_a_refund_that_the_provider_refuses_fails(counter: Counter) -> None:
    """A dispute that nobody told us of took the money at the provider: it refuses, and the customer keeps what was theirs."""
    paid = await counter.pay()
    await credit(counter, 75)
    dispute = await counter.shop.control.open_dispute(str(paid.transaction_id))
    refused = await counter.refund(paid, take_from="unallocated")
    assert refused.status == "failed"
    assert "refused" in refused.failure
    assert await counter.lies_unallocated() == 75
    await counter.hear("dispute", dispute.id)
    await counter.require_agreement()


async def test_a_refusal_beside_a_call_of_another_worker_is_not_believed_at_once(
    counter: Counter, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever looked before the other asked, was asleep then, and is refused, does not take that for the end of the refund."""
    paid = await counter.pay()
    await counter.shop.control.order([Fault(Call.REFUND, FaultKind.DROP_BEFORE)])
    asked = await counter.refund(paid)
    await counter.shop.control.open_dispute(str(paid.transaction_id))
    looks: list[uuid.UUID] = []

    async def look_early(connection: Connection, book_id: int, refund_id: uuid.UUID) -> dt.datetime | None:
        looks.append(refund_id)
        return None if len(looks) == 1 else await find_unanswered(connection, book_id, refund_id)

    monkeypatch.setattr("tallystick.operations.carry_refunds.find_unanswered", look_early)
    await counter.shop.wait_and_work(2 * 60)
    assert (await counter.reread(asked)).status == "requested"
    assert looks


async def test_a_refusal_behind_a_lost_answer_is_not_believed_at_once(counter: Counter) -> None:
    """While the last call may still be under way, a refusal proves nothing; ten minutes after that call it counts."""
    paid = await counter.pay()
    await counter.shop.control.order([Fault(Call.REFUND, FaultKind.DROP_BEFORE)] * 2)
    asked = await counter.refund(paid)
    await counter.shop.wait_and_work(20 * 60)
    await counter.shop.control.open_dispute(str(paid.transaction_id))
    for _ in range(2):
        await counter.shop.wait_and_work(2 * 60)
        assert (await counter.reread(asked)).status == "requested"
    await counter.shop.wait_and_work(7 * 60)
    assert (await counter.reread(asked)).status == "failed"


@pytest.mark.parametrize("heard", [True, False])
async def test_a_pending_refund_is_looked_at_until_it_ends(counter: Counter, *, heard: bool) -> None:
    """Some take days: a webhook says when to look, and without one it is looked at anyway."""
    paid = await counter.pay()
    for status, owed in (("succeeded", 30), ("failed", 30)):
        await counter.shop.control.order([Fault(Call.REFUND, FaultKind.WAIT)])
        pending = await counter.refund(paid, status, amount=30)
        assert pending.status == "pending"
        await counter.shop.wait_and_work()
        assert (await counter.reread(pending)).status == "pending"
        await counter.shop.control.decide_refund(pending.provider_refund_id, succeeded=status == "succeeded")
        if heard:
            await counter.hear("refund", pending.provider_refund_id)
        else:
            await counter.shop.wait_and_work(60 * 60)
        assert (await counter.reread(pending)).status == status
        assert (await counter.shop.reread()).outstanding == owed
        await counter.require_agreement()


@pytest.mark.parametrize("heard", [True, False])
async def test_a_refund_that_comes_back_later_is_put_back(counter: Counter, *, heard: bool) -> None:
    """The customer's account is closed and the bank returns it: the money is where it was, and both ways are told."""
    paid = await counter.pay()
    refund = await counter.refund(paid, amount=40)
    assert refund.status == "succeeded"
    await counter.shop.control.decide_refund(refund.provider_refund_id, succeeded=False)
    if heard:
        await counter.hear("refund", refund.provider_refund_id)
    else:
        await counter.shop.wait_and_work(25 * 60 * 60)
    came_back = await counter.reread(refund)
    assert (came_back.status, came_back.failure) == ("failed", "sent_back_by_the_bank")
    assert (await counter.shop.reread()).outstanding == 0
    assert await counter.told() == ["payment.refunded", "refund.failed"]
    await counter.require_agreement()
    assert (await counter.refund(paid, "again")).amount == 75


async def test_what_does_not_fit_on_the_invoice_any_more_is_the_customers(counter: Counter) -> None:
    """The invoice was paid otherwise before the refund failed: the money lies unallocated for the customer."""
    paid = await counter.pay()
    await counter.shop.control.order([Fault(Call.REFUND, FaultKind.WAIT)])
    pending = await counter.refund(paid, amount=40)
    await counter.shop.do(
        "repayments.receive",
        customer=counter.shop.invoice.customer,
        asset="USD",
        amount=30,
        channel="cash",
        reference="till 1",
    )
    await counter.shop.control.decide_refund(pending.provider_refund_id, succeeded=False)
    await counter.hear("refund", pending.provider_refund_id)
    assert (await counter.shop.reread()).outstanding == 0
    assert await counter.lies_unallocated() == 30
    await counter.require_agreement()


async def test_a_receipt_stays_as_it_was_issued(counter: Counter) -> None:
    """What a receipt says was so when it was issued: not a byte of it changes when the money goes back."""
    paid = await counter.pay()
    house = House(counter.shop.operations)
    assert paid.receipt_id is not None
    await seal_book(house)
    async with counter.shop.operations.pool.acquire() as connection:
        before = await prove_receipt(connection, 1, paid.receipt_id)
        await counter.refund(paid)
        await seal_book(house)
        assert await prove_receipt(connection, 1, paid.receipt_id) == before


BAD: list[tuple[dict[str, object], str, str]] = [
    ({"payment_id": "01890a5d-ac96-774b-bcce-b302099a8057"}, "payments.unknown_payment", "payment_id"),
    ({"payment_id": "nonsense"}, "invalid_input", "payment_id"),
    ({"amount": 0}, "invalid_input", "amount"),
    ({"amount": -1}, "invalid_input", "amount"),
    ({"amount": 10**19}, "invalid_input", "amount"),
    ({"amount": "7.5"}, "invalid_input", "amount"),
    ({"amount": 10**18}, "refunds.too_much", "amount"),
    ({"take_from": "bank"}, "invalid_input", "take_from"),
    ({"reason": ""}, "invalid_input", "reason"),
    ({"reason": "a\nb"}, "invalid_input", "reason"),
    ({"reason": "x" * 256}, "invalid_input", "reason"),
    ({"to": "eve"}, "invalid_input", "to"),
]


async def test_a_bad_refund_is_refused(counter: Counter) -> None:
    """Each is told which field is wrong, nothing is kept, and the provider hears nothing."""
    paid = await counter.pay()
    fields: dict[str, object] = {"payment_id": str(paid.payment_id), "reason": "r", "take_from": "invoice"}
    for changed, code, field in BAD:
        with pytest.raises(TallystickError) as refused:
            await counter.shop.do("payments.refund", **fields | changed)
        assert (refused.value.code, (refused.value.field or "").strip("`")) == (code, field)
    assert await counter.refunds_made() == []
    assert (await counter.shop.do("refunds.list")).items == []


async def test_what_was_not_taken_is_not_given_back(counter: Counter) -> None:
    """A payment under way may be tried again later, under the same message; one that failed has nothing to give."""
    started = await counter.shop.start()
    with pytest.raises(TallystickError) as refused:
        await counter.refund(started)
    assert refused.value.code == "refunds.not_settled"
    await counter.shop.post(started)
    assert (await counter.refund(started)).status == "succeeded"


async def test_a_payment_that_failed_has_nothing_to_give_back(counter: Counter) -> None:
    """A decline took nothing."""
    await counter.shop.control.order([Fault(Call.CAPTURE, FaultKind.DECLINE)])
    failed = await counter.shop.post(await counter.shop.start())
    with pytest.raises(TallystickError) as refused:
        await counter.refund(failed)
    assert refused.value.code == "refunds.nothing_taken"


async def test_a_dry_run_gives_nothing_back(counter: Counter) -> None:
    """It says what would be, and neither ledger nor provider hears of it."""
    paid = await counter.pay()
    fields = {"payment_id": str(paid.payment_id), "reason": "r", "take_from": "invoice"}
    answer = await counter.shop.operations.run(OPERATOR, "main", "payments.refund", "try", fields, dry_run=True)
    assert b'"amount":75' in answer.body
    assert await counter.refunds_made() == []
    assert (await counter.shop.do("refunds.list")).items == []
    assert (await counter.shop.reread()).outstanding == 0


async def test_refunds_are_listed_page_by_page(counter: Counter) -> None:
    """In the order in which they were asked for, of a payment, and in a status."""
    paid = await counter.pay()
    made = [await counter.refund(paid, f"part {nth}", amount=10) for nth in range(3)]
    await counter.shop.control.order([Fault(Call.REFUND, FaultKind.DECLINE)])
    failed = await counter.refund(paid, "part 3", amount=10)
    first = await counter.shop.do("refunds.list", payment_id=str(paid.payment_id), limit=2)
    second = await counter.shop.do("refunds.list", payment_id=str(paid.payment_id), after=str(first.next))
    assert [one.refund_id for one in first.items + second.items] == [one.refund_id for one in [*made, failed]]
    assert second.next is None
    assert (await counter.shop.do("refunds.list", status="failed")).items == [failed]
    assert (await counter.shop.do("refunds.list", payment_id=str(failed.refund_id))).items == []
    with pytest.raises(TallystickError) as unknown:
        await counter.shop.do("refunds.find", refund_id=str(paid.payment_id))
    assert unknown.value.code == "refunds.unknown_refund"


class Liar:
    """A provider that tells of another amount than was asked for."""

    def __init__(self, honest: Provider) -> None:
        """Lie in place of *honest*."""
        self.name, self.find_refund, self.honest = honest.name, honest.find_refund, honest

    async def refund(self, request: RefundRequest) -> ProviderRefund:
        """Give it back, and tell another amount."""
        return replace(await self.honest.refund(request), amount=request.amount + 1)


async def test_an_answer_that_does_not_fit_is_noted_by_nobody(counter: Counter) -> None:
    """A provider that tells of another amount is not believed: the refund stays as it is, and the log says why."""
    paid = await counter.pay()
    honest = counter.shop.provider
    counter.shop.provider = Liar(honest)
    with capture_logs() as logs:
        asked = await counter.refund(paid)
    assert asked.status == "requested"
    assert {one.get("code") for one in logs} >= {"refunds.differs"}
    counter.shop.provider = honest
    await counter.shop.wait_and_work()
    assert (await counter.reread(asked)).status == "succeeded"
    await counter.require_agreement()


async def test_an_account_that_was_closed_keeps_the_refund_waiting(counter: Counter) -> None:
    """The provider gave it back, and the ledger cannot take it: it waits, and nothing is given back twice."""
    paid = await counter.pay()
    await counter.shop.control.order([Fault(Call.REFUND, FaultKind.DROP_AFTER)])
    asked = await counter.refund(paid)
    recorded = Recorded(1, 0, counter.shop.clock.now())
    await counter.shop.operations.work(lambda connection: close_account(connection, recorded, "providers/sandbox/USD"))
    with capture_logs() as logs:
        await counter.shop.wait_and_work()
    assert (await counter.reread(asked)).status == "requested"
    assert {one.get("code") for one in logs} >= {"payments.accounts_unusable"}
    assert len(await counter.refunds_made()) == 1


async def test_a_refund_that_failed_does_not_succeed_afterwards(counter: Counter) -> None:
    """What was put back is not given back by a late word; an operator is told."""
    paid = await counter.pay()
    await counter.shop.control.order([Fault(Call.REFUND, FaultKind.DECLINE)])
    failed = await counter.refund(paid)
    fields = {"refund_id": str(failed.refund_id), "status": "succeeded", "provider_refund_id": "re_1"}
    with pytest.raises(TallystickError) as refused:
        await counter.shop.operations.call(SYSTEM, "main", "refunds.note", "late word", fields)
    assert refused.value.code == "refunds.ended"
    late = await counter.shop.operations.call(SYSTEM, "main", "refunds.note", "later", fields | {"status": "pending"})
    assert late.status == "failed"
    await counter.require_agreement()


async def test_refunds_of_every_kind_are_rebuilt(counter: Counter, server: EmbeddedServer) -> None:
    """
    Asked for, pending, succeeded, failed, come back, refused: made anew from the messages, all comes out the same.

    And the ledger is what its hashes say.
    """
    paid = await counter.pay()
    await counter.shop.control.order([Fault(Call.REFUND, FaultKind.DECLINE), Fault(Call.REFUND, FaultKind.WAIT)])
    await counter.refund(paid, "declined", amount=10)
    pending = await counter.refund(paid, "pending", amount=20)
    await asyncio.gather(
        *(counter.refund(paid, f"at once {nth}", amount=15) for nth in range(5)), return_exceptions=True
    )
    await counter.shop.control.decide_refund(pending.provider_refund_id, succeeded=True)
    await counter.hear("refund", pending.provider_refund_id)
    await counter.shop.control.decide_refund(pending.provider_refund_id, succeeded=False)
    await counter.hear("refund", pending.provider_refund_id)
    dispute = await counter.shop.control.open_dispute(str(paid.transaction_id), 5)
    await counter.hear("dispute", dispute.id)
    await counter.shop.control.decide_dispute(dispute.id, won=False)
    await counter.hear("dispute", dispute.id)
    await counter.require_agreement()
    house = House(counter.shop.operations)
    await require_the_same_anew(house, server)
    await seal_book(house)
    async with house.operations.pool.acquire() as connection, house.operations.begin(connection, "repeatable_read"):
        assert (await verify(connection, 1, [SIGNER.verifier], ORIGIN)).ok


async def credit(counter: Counter, amount: int) -> None:
    """Credit the customer's invoice."""
    fields = {"id": str(counter.shop.invoice.id), "lines": [{"line": 0, "amount": amount}]}
    await counter.shop.do("invoicing.credit", **fields, reference=f"credit {amount}", reason="an apology")


REFUSALS = {
    "refunds.too_much", "refunds.ended", "disputes.decided", "repayments.not_enough", "repayments.nothing_to_repay",
    "repayments.not_reversible", "invoicing.credit_too_large", "invoicing.ended", "invalid_input",
}  # fmt: skip
"""What may be answered when much happens at once; anything else is a fault of ours."""


async def be_busy(counter: Counter, chance: random.Random, paid: PaymentOutput) -> None:
    """Refund, hear how refunds and disputes stand, repay and credit, in any order; a refusal is an answer."""
    shop, mine = counter.shop, {"customer": counter.shop.invoice.customer, "asset": "USD"}
    for _ in range(8):
        reference = str(uuid.UUID(int=chance.getrandbits(128)))
        fields: dict[str, object]
        refunds = (await shop.do("refunds.list")).items
        try:
            match chance.choice(["refund", "refund", "note", "note", "dispute", "repay", "credit"]):
                case "refund":
                    source = chance.choice(["invoice", "unallocated"])
                    await counter.refund(paid, reference, amount=chance.randint(1, 30), take_from=source)
                case "note" if refunds:
                    status = chance.choice(["pending", "succeeded", "failed"])
                    said = {"failure": "sent back"} if status == "failed" else {}
                    fields = {"refund_id": str(chance.choice(refunds).refund_id), "provider_refund_id": "re_1"}
                    await say(counter, "refunds.note", **fields, **said, status=status)
                case "dispute":
                    fields = {"provider_dispute_id": f"dp_{chance.randint(1, 3)}", "amount": 5, "currency": "USD"}
                    status = chance.choice(["open", "won", "lost"])
                    told = {"provider": "sandbox", "transaction_id": paid.transaction_id, "status": status}
                    await say(counter, "disputes.note", **fields, **told)
                case "repay":
                    fields = {"amount": chance.randint(1, 40), "channel": "cash", "reference": reference}
                    await shop.do("repayments.receive", **mine, **fields)
                case _:
                    lines = [{"line": 0, "amount": chance.randint(1, 20)}]
                    of = {"id": str(shop.invoice.id), "reference": reference, "reason": "an apology"}
                    await shop.do("invoicing.credit", **of, lines=lines)
        except TallystickError as error:
            if error.code not in REFUSALS:
                raise


@pytest.mark.parametrize("seed", [1, 2])
@pytest.mark.usefixtures("no_deadlock")
async def test_whatever_happens_at_once_the_sums_are_right(
    counter: Counter, owner: asyncpg.Connection, server: EmbeddedServer, seed: int
) -> None:
    """No more goes back than was taken, nobody's money falls below zero, nobody waits in a circle, a rebuild is the same."""
    paid = await counter.pay()
    await counter.shop.rest()
    await asyncio.gather(*(be_busy(counter, random.Random(f"{seed}/{task}"), paid) for task in range(5)))
    standing = [(one.status, one.amount) for one in (await counter.shop.do("refunds.list")).items]
    under_way = sum(amount for status, amount in standing if status in {"requested", "pending"})
    given = sum(amount for status, amount in standing if status == "succeeded")
    held = [(one.status, one.amount) for one in await counter.disputes()]
    assert given + under_way <= paid.amount
    assert await counter.balance("refunds/sandbox/USD") == under_way
    assert await counter.balance("disputes/sandbox/USD") == -sum(amount for status, amount in held if status == "open")
    gone = sum(amount for status, amount in held if status != "won")
    assert await counter.balance("providers/sandbox/USD") == -(paid.amount - given - gone)
    await add_up_in_order(owner)
    await require_the_same_anew(House(counter.shop.operations), server)


async def say(counter: Counter, operation: str, /, **fields: object) -> None:
    """Note something as a worker does."""
    await counter.shop.operations.call(SYSTEM, "main", operation, str(uuid.uuid4()), fields)
