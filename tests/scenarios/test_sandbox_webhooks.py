"""What the sandbox tells by webhook: signed, in order unless twisted, again until it is taken."""

import asyncio
import signal
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tallystick.payments.providers.protocol import EventKind
from tallystick.payments.providers.sandbox.control import SandboxRefused
from tallystick.payments.providers.sandbox.faults import Twist
from tests.scenarios.sandboxed import Doors, Inbox, doors, inbox


@pytest.fixture(scope="module")
async def sandbox(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Doors]:
    """Run one sandbox for these tests."""
    async with doors(tmp_path_factory.mktemp("sandbox") / "state") as running:
        yield running


@pytest.fixture
async def box(sandbox: Doors) -> AsyncIterator[Inbox]:
    """Let webhooks arrive."""
    async with inbox() as place:
        await sandbox.control.send_webhooks_to(place.url)
        yield place
        await sandbox.control.forget()
        await sandbox.control.send_webhooks_to(None)


async def heard(sandbox: Doors, box: Inbox, count: int) -> list[str]:
    """Return what the next webhooks say; ``forged`` of those that are not genuine."""
    events = [await box.read(sandbox.provider) for _ in range(count)]
    return ["forged" if event is None else event.type for event in events]


async def test_each_step_is_told_and_proves_to_be_the_providers(sandbox: Doors, box: Inbox) -> None:
    """Opened, taken, given back, disputed, paid out: each with what it is about."""
    paid = await sandbox.pay()
    dispute = await sandbox.control.open_dispute(paid.id, 10)
    payout = await sandbox.control.pay_out("EUR")
    events = [await box.read(sandbox.provider) for _ in range(4)]
    told = {event.type: event for event in events if event is not None}
    assert set(told) == {"transaction.created", "transaction.captured", "dispute.open", "payout.paid"}
    assert told["transaction.captured"].subject == told["dispute.open"].transaction_id == paid.id
    assert told["dispute.open"].subject == dispute.id
    assert (told["payout.paid"].kind, told["payout.paid"].subject) == (EventKind.PAYOUT, payout.id)
    assert told["payout.paid"].transaction_id is None


async def test_events_of_one_payment_arrive_in_order(sandbox: Doors, box: Inbox) -> None:
    """Many payments at once are told of beside each other, each of them from first to last."""
    paid = await asyncio.gather(*(sandbox.pay() for _ in range(20)))
    steps: dict[str, list[str]] = {one.id: [] for one in paid}
    for _ in range(40):
        event = await box.read(sandbox.provider)
        assert event is not None
        steps[event.subject].append(event.type)
    assert set(map(tuple, steps.values())) == {("transaction.created", "transaction.captured")}


@pytest.mark.parametrize(
    ("twists", "arrive"),
    [
        ([Twist.DUPLICATE], ["created", "created", "captured"]),
        ([Twist.FORGED], ["forged", "created", "captured"]),
        ([Twist.OUT_OF_ORDER], ["captured", "created"]),
        ([Twist.LATE], ["captured", "created"]),
        ([Twist.LOST], ["captured"]),
    ],
)
async def test_a_webhook_can_be_twisted(sandbox: Doors, box: Inbox, twists: list[Twist], arrive: list[str]) -> None:
    """Twice, with a false one before it, behind the next, late, or never: as ordered, and no other."""
    await sandbox.control.order(webhooks=twists)
    await sandbox.pay()
    expected = [one if one == "forged" else f"transaction.{one}" for one in arrive]
    assert await heard(sandbox, box, len(arrive)) == expected
    await sandbox.pay()
    assert await heard(sandbox, box, 2) == ["transaction.created", "transaction.captured"]


async def test_a_duplicate_has_the_same_id(sandbox: Doors, box: Inbox) -> None:
    """Whoever keeps ids takes it once."""
    await sandbox.control.order(webhooks=[Twist.DUPLICATE])
    await sandbox.pay()
    first, second, other = [await box.read(sandbox.provider) for _ in range(3)]
    assert first == second
    assert other is not None
    assert first is not None
    assert other.id != first.id


async def test_what_is_not_taken_is_sent_again(sandbox: Doors, box: Inbox) -> None:
    """An endpoint that is down for a moment misses nothing."""
    box.refuse = 3
    await sandbox.pay()
    assert sorted(await heard(sandbox, box, 2)) == ["transaction.captured", "transaction.created"]


@pytest.mark.parametrize(
    ("url", "speaks", "reason"),
    [
        ("https://example.org/hook", "native", "to this machine alone"),
        ("http://10.0.0.1/hook", "native", "to this machine alone"),
        ("http://127.0.0.1.example.org/hook", "native", "to this machine alone"),
        ("file:///etc/passwd", "native", "to this machine alone"),
        ("http://[::1/hook", "native", "to this machine alone"),
        ("http://127.0.0.1:99999/hook", "native", "to this machine alone"),
        ("", "native", "to this machine alone"),
        ("http://127.0.0.1/hook", "klingon", "expected one of"),
    ],
)
async def test_webhooks_stay_on_this_machine(sandbox: Doors, url: str, speaks: str, reason: str) -> None:
    """A plaything must not knock at strangers' doors."""
    with pytest.raises(SandboxRefused, match=reason):
        await sandbox.control.send_webhooks_to(url, speaks=speaks)


async def test_a_restart_still_knows_where_webhooks_go(tmp_path: Path) -> None:
    """The endpoint is remembered beside the state, for its owner's eyes alone, until it is taken back."""
    state = tmp_path / "state"
    async with inbox() as box:
        async with doors(state) as first:
            await first.control.send_webhooks_to(box.url)
            await first.process.kill()
        beside = tmp_path / "state.webhooks"
        assert beside.stat().st_mode & 0o777 == 0o600
        async with doors(state) as second:
            await second.pay()
            assert await heard(second, box, 2) == ["transaction.created", "transaction.captured"]
            await second.control.send_webhooks_to(None)
    assert not beside.exists()


async def test_nobody_listens(tmp_path: Path) -> None:
    """An endpoint that is gone holds up no payment, and the sandbox ends when it is told to."""
    async with inbox() as box:
        gone = box.url
    async with doors(tmp_path / "state") as sandbox:
        await sandbox.control.send_webhooks_to(gone)
        paid = await asyncio.gather(*(sandbox.pay() for _ in range(30)))
        assert len({one.id for one in paid}) == 30
    assert sandbox.process.process.returncode == -signal.SIGTERM
