"""A dispute takes the money it is about exactly as the provider says it does, however what is heard of it comes."""

import asyncio
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio
from msgspec.structs import replace
from structlog.testing import capture_logs

from tallystick.db.embedded import EmbeddedServer
from tallystick.errors import TallystickError
from tallystick.ids import uuid7
from tallystick.payments.disputes.model import Dispute
from tallystick.payments.model import PaymentOutput
from tallystick.payments.providers.protocol import CreateRequest, DisputeStatus, PaymentType, ProviderDispute
from tallystick.payments.providers.sandbox.change import Call
from tallystick.payments.providers.sandbox.faults import Fault, FaultKind
from tallystick.security.model import SYSTEM
from tests.conftest import House
from tests.db.test_repayments_at_once import require_the_same_anew
from tests.scenarios.giving_back import Counter, open_counter
from tests.scenarios.paying import LOST_ANSWERS, Till


@pytest_asyncio.fixture
async def counter(house: House, till: Till) -> AsyncIterator[Counter]:
    """Open a shop whose customer owes for three requests, and whose bank may want back what they pay."""
    async with open_counter(house, till) as opened:
        yield opened


async def open_dispute(counter: Counter, paid: PaymentOutput, amount: int | None = None) -> ProviderDispute:
    """Let the customer's bank want money back."""
    return await counter.shop.control.open_dispute(str(paid.transaction_id), amount)


@pytest.mark.parametrize("won", [True, False])
async def test_a_dispute_holds_the_money_until_it_is_decided(counter: Counter, *, won: bool) -> None:
    """Open: the provider holds it. Won: it is ours again. Lost: it is a loss. The invoice stays paid all along."""
    paid = await counter.pay()
    opened = await open_dispute(counter, paid, 60)
    await counter.hear("dispute", opened.id)
    (dispute,) = await counter.disputes()
    assert (dispute.status, dispute.amount, dispute.reason, dispute.payment_id) == (
        "open", 60, "fraudulent", paid.payment_id,
    )  # fmt: skip
    assert dispute.answer_by == opened.answer_by
    assert await counter.balance("disputes/sandbox/USD") == -60
    await counter.require_agreement()
    await counter.shop.control.decide_dispute(opened.id, won=won)
    await counter.hear("dispute", opened.id)
    (dispute,) = await counter.disputes()
    assert dispute.status == ("won" if won else "lost")
    assert await counter.balance("losses/disputes/USD") == (0 if won else -60)
    assert (await counter.shop.reread()).outstanding == 0
    assert await counter.told() == ["dispute.opened", "dispute.won" if won else "dispute.lost"]
    assert await counter.shop.do("disputes.find", dispute_id=str(dispute.dispute_id)) == dispute
    await counter.require_agreement()


async def test_one_that_was_decided_before_it_was_heard_of_is_opened_and_decided(counter: Counter) -> None:
    """The webhooks came late or the wrong way round: ledger and events have both steps, in their order."""
    paid = await counter.pay()
    for won in (True, False):
        opened = await open_dispute(counter, paid, 30)
        await counter.shop.control.decide_dispute(opened.id, won=won)
        await counter.hear("dispute", opened.id)
    assert [one.status for one in await counter.disputes()] == ["won", "lost"]
    assert await counter.told() == ["dispute.opened", "dispute.won", "dispute.opened", "dispute.lost"]
    assert await counter.balance("losses/disputes/USD") == -30
    await counter.require_agreement()


async def test_a_webhook_that_was_lost_is_made_up_for(counter: Counter) -> None:
    """An open dispute is looked at each day, so it is decided here even if nobody tells."""
    paid = await counter.pay()
    opened = await open_dispute(counter, paid)
    await counter.hear("dispute", opened.id)
    await counter.shop.wait_and_work(25 * 60 * 60)
    await counter.shop.control.decide_dispute(opened.id, won=False)
    await counter.shop.wait_and_work(25 * 60 * 60)
    assert [one.status for one in await counter.disputes()] == ["lost"]
    assert await counter.shop.due_at() is None
    await counter.require_agreement()


async def test_one_that_comes_before_its_payment_is_settled_waits(counter: Counter) -> None:
    """The money was taken, our book does not know it yet, and the bank wants it back already: both come right."""
    started = await counter.shop.start()
    await counter.shop.control.order([Fault(Call.CAPTURE, FaultKind.DROP_AFTER)])
    assert (await counter.shop.post(started)).status == "submitted"
    opened = await open_dispute(counter, started)
    await counter.hear("dispute", opened.id)
    settled = (await counter.shop.reread_payment(started)).status == "settled"
    assert settled or await counter.disputes() == []
    for _ in range(3):
        await counter.shop.wait_and_work()
    assert (await counter.shop.reread_payment(started)).status == "settled"
    assert [one.status for one in await counter.disputes()] == ["open"]
    await counter.require_agreement()


async def test_one_about_another_books_payment_is_given_up(counter: Counter) -> None:
    """Two books with one account at a provider hear of each other's disputes: they are kept as heard, and forgotten."""
    stranger = await another_books_payment(counter)
    opened = await counter.shop.control.open_dispute(stranger)
    await counter.hear("dispute", opened.id)
    assert await counter.shop.due_at() is not None
    await counter.shop.wait_and_work(4 * 24 * 60 * 60)
    assert await counter.disputes() == []
    assert await counter.shop.due_at() is None
    assert [one.subject for one in (await counter.shop.do("payments.heard")).items] == [opened.id]


async def test_one_that_the_provider_does_not_know_is_given_up(counter: Counter) -> None:
    """It is asked for a while, since what it tells and what it knows need not be of one moment."""
    await counter.hear("dispute", "dis_never_was")
    assert await counter.shop.due_at() is not None
    await counter.shop.wait_and_work(4 * 24 * 60 * 60)
    assert await counter.disputes() == []
    assert await counter.shop.due_at() is None


async def test_a_lost_answer_about_a_dispute_is_asked_for_again(counter: Counter) -> None:
    """However the answer is lost, and however often, the dispute is noted once."""
    paid = await counter.pay()
    await counter.shop.control.order([Fault(Call.FIND_DISPUTE, kind) for kind in LOST_ANSWERS])
    opened = await open_dispute(counter, paid)
    await counter.hear("dispute", opened.id)
    assert await counter.disputes() == []
    for _ in LOST_ANSWERS:
        await counter.shop.wait_and_work()
    assert [one.status for one in await counter.disputes()] == ["open"]
    await counter.require_agreement()


STEPS = [(step, when) for step in ("disputes.find_known", "disputes.note") for when in ("before", "after")]


async def test_a_death_at_any_step_notes_each_step_once(counter: Counter) -> None:
    """The process dies just before or after each step of opening and deciding; the next one makes it whole."""
    paid = await counter.pay()
    told = []
    for dies in STEPS:
        opened = await open_dispute(counter, paid, 10)
        for decided in (False, True):
            if decided:
                await counter.shop.control.decide_dispute(opened.id, won=False)
            async with counter.process_that_dies(dies) as worker:
                await counter.only_hear("dispute", opened.id)
                await worker.work_once()
            await counter.shop.work()
        told += ["dispute.opened", "dispute.lost"]
    assert await counter.told() == told
    assert [one.status for one in await counter.disputes()] == ["lost"] * len(STEPS)
    await counter.require_agreement()


async def test_the_same_dispute_heard_at_once_is_noted_once(counter: Counter) -> None:
    """Ten workers that learn the same at once open it once."""
    paid = await counter.pay()
    opened = await open_dispute(counter, paid)
    noted = await asyncio.gather(*(note(counter, paid, opened, f"at once {nth}") for nth in range(10)))
    assert len({one.dispute_id for one in noted}) == 1
    assert await counter.balance("disputes/sandbox/USD") == -75
    assert await counter.told() == ["dispute.opened"]


async def test_what_was_decided_is_not_decided_otherwise(counter: Counter) -> None:
    """Lost after won is refused, and an operator is told; open after won was heard late, and changes nothing."""
    paid = await counter.pay()
    opened = await open_dispute(counter, paid)
    await counter.shop.control.decide_dispute(opened.id, won=True)
    await counter.hear("dispute", opened.id)
    with pytest.raises(TallystickError) as refused:
        await note(counter, paid, opened, "lost", status="lost")
    assert refused.value.code == "disputes.decided"
    assert (await note(counter, paid, opened, "open")).status == "won"
    honest = counter.shop.provider
    counter.shop.provider = Turncoat(opened)
    with capture_logs() as logs:
        await counter.hear("dispute", opened.id)
    counter.shop.provider = honest
    assert [one["said"] for one in logs if one["event"] == "a dispute was decided otherwise before"] == ["lost"]
    assert [one.status for one in await counter.disputes()] == ["won"]
    await counter.require_agreement()


class Turncoat:
    """A provider that tells of a dispute that it was lost, whatever it told before."""

    name = "sandbox"

    def __init__(self, opened: ProviderDispute) -> None:
        """Tell of *opened*."""
        self.opened = opened

    async def find_dispute(self, dispute_id: str) -> ProviderDispute:
        """Tell that it was lost."""
        assert dispute_id == self.opened.id
        return replace(self.opened, status=DisputeStatus.LOST)


@pytest.mark.parametrize(
    ("changed", "code", "field"),
    [
        ({"currency": "EUR"}, "disputes.differs", "currency"),
        ({"status": "lost", "amount": 74}, "disputes.differs", "amount"),
        ({"transaction_id": "never_was"}, "disputes.too_early", "transaction_id"),
        ({"amount": 0}, "invalid_input", "amount"),
        ({"status": "withdrawn"}, "invalid_input", "status"),
        ({"currency": "usd"}, "invalid_input", "currency"),
    ],
)
async def test_what_does_not_fit_a_dispute_is_refused(
    counter: Counter, changed: dict[str, object], code: str, field: str
) -> None:
    """Another currency, amount or transaction than is kept is noted by nobody."""
    paid = await counter.pay()
    opened = await open_dispute(counter, paid)
    await counter.hear("dispute", opened.id)
    with pytest.raises(TallystickError) as refused:
        await note(counter, paid, opened, "changed", **changed)
    assert (refused.value.code, refused.value.field) == (code, field)
    assert [one.status for one in await counter.disputes()] == ["open"]
    await counter.require_agreement()


async def test_disputes_are_listed_page_by_page(counter: Counter) -> None:
    """In the order in which they were noted, of a payment, and in a status."""
    paid = await counter.pay()
    for nth in range(3):
        opened = await open_dispute(counter, paid, 10)
        if nth:
            await counter.shop.control.decide_dispute(opened.id, won=True)
        await counter.hear("dispute", opened.id)
    everything = await counter.disputes()
    first = await counter.shop.do("disputes.list", limit=2)
    second = await counter.shop.do("disputes.list", limit=2, after=first.next)
    assert (first.items + second.items, second.next) == (everything, None)
    assert (await counter.shop.do("disputes.list", status="open")).items == everything[:1]
    assert (await counter.shop.do("disputes.list", payment_id=str(paid.payment_id))).items == everything
    assert (await counter.shop.do("disputes.list", payment_id=str(everything[0].dispute_id))).items == []
    for wrong in ("x", "1", "1.", ".1", "9" * 19 + ".1"):
        with pytest.raises(TallystickError) as refused:
            await counter.shop.do("disputes.list", after=wrong)
        assert (refused.value.code, refused.value.field) == ("invalid_input", "after")
    with pytest.raises(TallystickError) as unknown:
        await counter.shop.do("disputes.find", dispute_id=str(paid.payment_id))
    assert unknown.value.code == "disputes.unknown_dispute"


async def test_disputes_are_traced_to_their_payment_and_rebuilt(counter: Counter, server: EmbeddedServer) -> None:
    """From a dispute back to the payment, from the payment on to its end; and anew from the messages, all is the same."""
    paid = await counter.pay()
    await counter.refund(paid, amount=5)
    opened = await open_dispute(counter, paid, 20)
    await counter.hear("dispute", opened.id)
    await counter.shop.control.decide_dispute(opened.id, won=True)
    await counter.hear("dispute", opened.id)
    (dispute,) = await counter.disputes()
    back = await counter.shop.do("lineage.trace", id=str(dispute.dispute_id))
    assert str(paid.payment_id) in str(back)
    forward = str(await counter.shop.do("lineage.trace", id=str(paid.payment_id)))
    assert "dispute_end" in forward
    assert "refund_step" in forward
    await require_the_same_anew(House(counter.shop.operations), server)


async def another_books_payment(counter: Counter) -> str:
    """Pay something at the same provider that this book knows nothing of, and return the provider's id of it."""
    request = CreateRequest(str(uuid7()), 500, "USD", "bob", "bob@example.com", PaymentType.CREDIT)
    created = await counter.shop.provider.create(request)
    await counter.shop.provider.capture(created.id, 500, "USD", f"capture:{request.reference}")
    return str(created.id)


async def note(
    counter: Counter, paid: PaymentOutput, opened: ProviderDispute, key: str, /, **changed: object
) -> Dispute:
    """Note a dispute as a worker does."""
    fields = {
        "provider": "sandbox", "provider_dispute_id": opened.id, "transaction_id": paid.transaction_id,
        "status": "open", "amount": opened.amount, "currency": "USD", "reason": opened.reason,
    }  # fmt: skip
    noted: Dispute = await counter.shop.operations.call(SYSTEM, "main", "disputes.note", key, fields | changed)
    return noted
