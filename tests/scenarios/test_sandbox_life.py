"""What the sandbox does beside payments: 3-D Secure, refunds, disputes, payouts, on order and by seed."""

import asyncio
import contextlib
import json
import os
import ssl
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import TypeVar

import httpx
import pytest

from tallystick.payments.providers.protocol import (
    DisputeStatus,
    PayoutLineKind,
    Provider,
    ProviderDispute,
    ProviderRefund,
    ProviderRefused,
    ProviderTransaction,
    ProviderUnreachable,
    RefundRequest,
    RefundStatus,
    TransactionStatus,
)
from tallystick.payments.providers.sandbox.change import Call
from tallystick.payments.providers.sandbox.client import SandboxProvider
from tallystick.payments.providers.sandbox.control import Holdings, SandboxControl, SandboxRefused, SandboxUnreachable
from tallystick.payments.providers.sandbox.faults import Fault, FaultKind
from tallystick.payments.providers.sandbox.process import PlanFile
from tallystick.payments.providers.sandbox.spoil import Flaw
from tests.scenarios.sandboxed import SECRET, Doors, doors, order


@pytest.fixture(scope="module")
async def sandbox(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Doors]:
    """Run one sandbox for these tests."""
    async with doors(tmp_path_factory.mktemp("sandbox") / "state") as running:
        yield running


async def test_the_customer_confirms_on_a_page(sandbox: Doors) -> None:
    """3-D Secure as a person sees it: a page with two buttons, and the capture happens once they pressed."""
    provider: Provider = sandbox.provider
    opened = await provider.create(order(email="challenged@example.org"))
    asked = await provider.capture(opened.id, 100, "EUR", "c" + opened.id)
    assert asked.status is opened.status is TransactionStatus.ACTION_REQUIRED
    assert asked.action_url is not None
    async with httpx.AsyncClient(verify=ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT), trust_env=False) as browser:
        page = await browser.get(asked.action_url)
        assert "100 minor units of EUR" in page.text
        done = await browser.post(asked.action_url, data={"succeeded": "yes"})
        assert "captured" in done.text
        again = await browser.post(asked.action_url, data={"succeeded": "no"})
        assert (again.status_code, "nothing to confirm" in again.text) == (409, True)
        assert (await browser.get(asked.action_url + "x")).status_code == 404
    assert (await provider.find(opened.id)).status is TransactionStatus.CAPTURED


@pytest.mark.parametrize(
    ("kind", "succeeded", "ends"),
    [
        (FaultKind.ACTION, True, "captured"),
        (FaultKind.ACTION, False, "declined"),
        (FaultKind.WAIT, True, "captured"),
        (FaultKind.WAIT, False, "declined"),
    ],
)
async def test_a_capture_that_is_not_decided_at_once(
    sandbox: Doors, kind: FaultKind, *, succeeded: bool, ends: str
) -> None:
    """On order a customer must act, or a bank takes its time; the first answer to the key stays what it was."""
    await sandbox.control.order([Fault(Call.CAPTURE, kind)])
    asked = await sandbox.pay()
    assert asked.status.value == ("action_required" if kind is FaultKind.ACTION else "processing")
    decide = sandbox.control.authenticate if kind is FaultKind.ACTION else sandbox.control.complete
    assert (await decide(asked.id, succeeded=succeeded)).status.value == ends
    assert await sandbox.provider.capture(asked.id, 1000, "EUR", f"c-{asked.id}") == asked
    assert (await sandbox.provider.find(asked.id)).status.value == ends


async def test_an_open_payment_is_given_up(sandbox: Doors) -> None:
    """Once canceled it takes no money; once taken it is not canceled."""
    opened = await sandbox.provider.create(order())
    assert (await sandbox.provider.cancel(opened.id)).status is TransactionStatus.CANCELED
    with pytest.raises(ProviderUnreachable, match="HTTP 409"):
        await sandbox.provider.capture(opened.id, 100, "EUR", "c" + opened.id)
    paid = await sandbox.pay()
    assert await sandbox.provider.cancel(paid.id) == paid
    with pytest.raises(ProviderRefused, match="transaction_unknown"):
        await sandbox.provider.cancel("none")


async def test_money_goes_back(sandbox: Doors) -> None:
    """In parts, once for each reference, found by it, and never more than there is."""
    paid = await sandbox.pay()
    request = RefundRequest(f"r-{paid.id}", paid.id, 400, "EUR")
    assert await sandbox.provider.find_refund(paid.id, request.reference) is None
    made = await sandbox.provider.refund(request)
    assert made == await sandbox.provider.refund(request) == await sandbox.provider.find_refund(paid.id, made.reference)
    assert made.status is RefundStatus.SUCCEEDED
    for wrong, reason in [(601, "more_than_is_left"), (1000, "more_than_is_left")]:
        with pytest.raises(ProviderRefused, match=reason):
            await sandbox.provider.refund(RefundRequest(f"r{wrong}-{paid.id}", paid.id, wrong, "EUR"))


@pytest.mark.parametrize("kind", [one for one in FaultKind if one.lost_before or one.lost_after])
async def test_a_lost_refund(sandbox: Doors, kind: FaultKind) -> None:
    """A refund whose answer was lost is made once, whether it had been made or not."""
    paid = await sandbox.pay()
    request = RefundRequest(f"r-{paid.id}", paid.id, 1000, "EUR")
    await sandbox.control.order([Fault(Call.REFUND, kind)])
    async with SandboxProvider(sandbox.process.url, SECRET, timeout=0.3) as impatient:
        with pytest.raises(ProviderUnreachable):
            await impatient.refund(request)
    found = await sandbox.provider.find_refund(paid.id, request.reference)
    assert (found is not None) == (kind.lost_after is not None)
    made = await sandbox.provider.refund(request)
    assert found in {None, made}
    assert [one for one in (await sandbox.control.holdings()).refunds if one.transaction_id == paid.id] == [made]


async def test_a_refund_fails_later(sandbox: Doors) -> None:
    """On order it is pending, and then the bank sends it back."""
    paid = await sandbox.pay()
    await sandbox.control.order([Fault(Call.REFUND, FaultKind.WAIT)])
    made = await sandbox.provider.refund(RefundRequest(f"r-{paid.id}", paid.id, 1000, "EUR"))
    assert made.status is RefundStatus.PENDING
    await sandbox.control.decide_refund(made.id, succeeded=False)
    after = await sandbox.provider.find_refund(paid.id, made.reference)
    assert after is not None
    assert (after.status, after.failure) == (RefundStatus.FAILED, "sent_back_by_the_bank")


@pytest.mark.parametrize(("won", "status"), [(True, DisputeStatus.WON), (False, DisputeStatus.LOST)])
async def test_a_dispute_is_opened_and_decided(sandbox: Doors, *, won: bool, status: DisputeStatus) -> None:
    """The provider tells how it stands, each time it is asked."""
    paid = await sandbox.pay()
    opened = await sandbox.control.open_dispute(paid.id, 300, "unrecognized")
    assert await sandbox.provider.find_dispute(opened.id) == opened
    assert (opened.amount, opened.reason, opened.answer_by is not None) == (300, "unrecognized", True)
    await sandbox.control.decide_dispute(opened.id, won=won)
    assert (await sandbox.provider.find_dispute(opened.id)).status is status
    with pytest.raises(ProviderRefused, match="dispute_unknown"):
        await sandbox.provider.find_dispute("none")
    with pytest.raises(SandboxRefused, match="more_than_is_left"):
        await sandbox.control.open_dispute(paid.id, 1001)


async def test_a_payout_is_listed_and_read(tmp_path: Path) -> None:
    """What was taken comes, less fees, with a line for each; a report can be wrong, or not whole yet, on order."""
    async with doors(tmp_path / "state") as sandbox:
        provider, control = sandbox.provider, sandbox.control
        with pytest.raises(SandboxRefused, match="nothing_to_pay_out"):
            await control.pay_out("EUR")
        paid = [await sandbox.pay() for _ in range(2)]
        await control.charge_fee(50, "EUR")
        await control.adjust(-3, "EUR", "rounding of last month")
        first = await control.pay_out("EUR")
        payout, lines = await provider.read_payout(first.id)
        assert payout == first
        assert [line.transaction_id for line in lines] == [*(one.id for one in paid), None, None]
        assert sum(line.amount - line.fee for line in lines) == first.amount
        assert [line.kind for line in lines][2:] == [PayoutLineKind.FEE, PayoutLineKind.ADJUSTMENT]
        await sandbox.pay()
        second = await control.pay_out("EUR", Flaw.LATE_LINE)
        assert [len((await provider.read_payout(second.id))[1]) for _ in range(2)] == [0, 1]
        assert list(await provider.list_payouts(None)) == [first, second]
        assert list(await provider.list_payouts(first.id)) == [second]
        with pytest.raises(ProviderRefused, match="payout_unknown"):
            await provider.list_payouts("none")


async def test_whoever_orders_nonsense_is_told(sandbox: Doors) -> None:
    """The other door refuses by field and rule, and says when nobody is behind it."""
    with pytest.raises(SandboxRefused, match=r"no decline of a find \(HTTP 422\)"):
        await sandbox.control.order([Fault(Call.FIND, FaultKind.DECLINE)])
    with pytest.raises(SandboxRefused, match="length <= 200"):
        await sandbox.control.charge_fee(1, "EUR", "x" * 201)
    async with SandboxControl(sandbox.process.url, "wrong") as control:
        with pytest.raises(SandboxRefused, match="secret_not_accepted"):
            await control.holdings()
    async with SandboxControl("http://127.0.0.1:1", SECRET) as control:
        with pytest.raises(SandboxUnreachable, match="ClientConnectorError"):
            await control.holdings()


RATES = {
    "calls": {
        "create": {"decline": "0.1", "error_before": "0.05", "drop_after": "0.05"},
        "capture": {"decline": "0.1", "action": "0.2", "wait": "0.2", "error_after": "0.1"},
        "refund": {"wait": "0.5"},
    },
    "authentications_failed": "0.3",
    "captures_declined_later": "0.3",
    "refunds_failed_later": "0.5",
    "disputes": "0.3",
    "disputes_won": "0.5",
    "payout_every": 5,
    "flaws": {"wrong_line": "0.5"},
}


UNDECIDED = {"created", "action_required", "processing", "pending", "open"}
_Answer = TypeVar("_Answer")


async def live(state: Path, plan: PlanFile) -> Holdings:
    """Pay sixty times under *plan*, insisting where the answer is lost, until everything is decided."""
    async with doors(state, plan) as sandbox:

        async def pay(reference: str) -> None:
            opened = await insist(lambda: sandbox.provider.create(order(reference, 1000)))
            if opened.status is TransactionStatus.CREATED:
                await insist(lambda: sandbox.provider.capture(opened.id, 1000, "EUR", f"c-{reference}"))

        await asyncio.gather(*(pay(f"p-{number}") for number in range(60)))
        return await decided(sandbox.control)


async def insist(ask: Callable[[], Awaitable[_Answer]]) -> _Answer:
    """Ask until there is an answer."""
    while True:
        with contextlib.suppress(ProviderUnreachable):
            return await ask()


def undecided(held: Holdings) -> list[ProviderTransaction | ProviderRefund | ProviderDispute]:
    """Return what may still be undecided."""
    return [*held.transactions, *held.refunds, *held.disputes]


async def decided(control: SandboxControl) -> Holdings:
    """Return what it holds once nothing happens any more."""
    async with asyncio.timeout(10):
        before, now = None, await control.holdings()
        while before != now or UNDECIDED & {one.status.value for one in undecided(now)}:
            before, now = now, await control.holdings()
    return now


def fates(held: Holdings) -> dict[str, tuple[str, str | None]]:
    """Return how each payment ended, and its dispute, by reference."""
    disputes = {one.transaction_id: one.status.value for one in held.disputes}
    return {one.reference: (one.status.value, disputes.get(one.id)) for one in held.transactions}


async def test_the_same_seed_gives_the_same_fates(tmp_path: Path) -> None:
    """Sixty payments at once, in whatever order they come: declines, challenges, disputes hit the same ones again."""
    rates = tmp_path / "rates.json"
    rates.write_text(json.dumps(RATES))
    first, again, other = await asyncio.gather(
        *(live(tmp_path / f"state-{number}", PlanFile(seed, rates)) for number, seed in enumerate([7, 7, 8]))
    )
    assert fates(first) == fates(again) != fates(other)
    assert set(fates(first).values()) == {
        ("captured", None),
        ("declined", None),
        ("captured", "won"),
        ("captured", "lost"),
    }
    for held in (first, again, other):
        assert 0 < len(held.payouts) <= held.captured["EUR"] // 1000 // 5


async def test_a_refund_ends_by_the_plan(tmp_path: Path) -> None:
    """Half of the refunds wait for the bank, and half of those come back: all are decided without an order."""
    rates = tmp_path / "rates.json"
    rates.write_text(json.dumps({"calls": {"refund": {"wait": 1}}, "refunds_failed_later": 0.5}))
    async with doors(tmp_path / "state", PlanFile(1, rates)) as sandbox:
        for number in range(12):
            paid = await sandbox.pay(reference=f"p-{number}")
            await sandbox.provider.refund(RefundRequest(f"r-{number}", paid.id, 1000, "EUR"))
        held = await decided(sandbox.control)
    assert {one.status for one in held.refunds} == {RefundStatus.SUCCEEDED, RefundStatus.FAILED}


async def test_a_restart_decides_what_was_left_open(tmp_path: Path) -> None:
    """A bank that was about to answer when the process was killed answers afterwards."""
    rates = tmp_path / "rates.json"
    rates.write_text(json.dumps({"calls": {"capture": {"wait": 1}}, "decided_after_ms": 3_600_000}))
    async with doors(tmp_path / "state", PlanFile(1, rates)) as sandbox:
        assert (await sandbox.pay()).status is TransactionStatus.PROCESSING
        await sandbox.process.kill()
    rates.write_text(json.dumps({}))
    async with doors(tmp_path / "state", PlanFile(1, rates)) as sandbox:
        held = await decided(sandbox.control)
        assert [one.status for one in held.transactions] == [TransactionStatus.CAPTURED]


async def test_rates_that_cannot_be_meant_stop_the_start(tmp_path: Path) -> None:
    """Wrong rates are one sentence on standard error, and nothing is served."""
    file = tmp_path / "rates.json"
    file.write_text('{"disputes": 2}')
    told = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "tallystick.payments.providers.sandbox"),
        *("--state", str(tmp_path / "state"), "--rates", str(file)),
        env={**os.environ, "TALLYSTICK_PROVIDER_SECRET": SECRET},
        stderr=asyncio.subprocess.PIPE,
    )
    _, error = await asyncio.wait_for(told.communicate(), 10)
    assert (told.returncode, error.decode()) == (1, f"{file}: disputes: a rate is a number from 0 to 1\n")
