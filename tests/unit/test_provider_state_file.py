"""The sandbox's memory on disk."""

import asyncio
import os
from pathlib import Path

import pytest

from tallystick.payments.providers.protocol import ProviderTransaction, TransactionStatus
from tallystick.payments.providers.sandbox.change import Call, Change
from tallystick.payments.providers.sandbox.state_file import StateFile, StateUnusable


def change(number: int) -> Change:
    """Make a change that is like no other."""
    transaction = ProviderTransaction(f"t{number}", "tok", f"p{number}", TransactionStatus.CREATED, number + 1, "EUR")
    return Change(Call.CREATE, f"k{number}", "f", transaction)


def copy_of(path: Path) -> list[Change]:
    """Read what a process that starts now would find, while the first still holds the file."""
    copy = path.with_suffix(".copy")
    copy.write_bytes(path.read_bytes())
    return StateFile(copy).replay()


async def test_a_change_is_on_disk_when_durable_returns(tmp_path: Path) -> None:
    """What was awaited is found again, in order."""
    path = tmp_path / "state"
    state = StateFile(path)
    for number in range(3):
        state.append(change(number))
    await state.durable()
    assert copy_of(path) == [change(number) for number in range(3)]


async def test_requests_that_arrive_together_share_an_fsync(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A hundred changes at once cost a few flushes, and each waiter finds its own on disk."""
    state = StateFile(tmp_path / "state")
    synced = 0
    really_sync = os.fsync

    def counted(descriptor: int) -> None:
        nonlocal synced
        synced += 1
        really_sync(descriptor)

    monkeypatch.setattr(os, "fsync", counted)

    async def one(number: int) -> bool:
        state.append(change(number))
        await state.durable()
        return f'"k{number}"'.encode() in state.path.read_bytes()

    assert all(await asyncio.gather(*(one(number) for number in range(100))))
    assert 1 <= synced <= 3


async def test_a_waiter_that_gives_up_takes_no_flush_with_it(tmp_path: Path) -> None:
    """A client that hangs up cannot undo what others wait for."""
    state = StateFile(tmp_path / "state")
    state.append(change(0))
    impatient = asyncio.create_task(state.durable())
    await asyncio.sleep(0)
    impatient.cancel()
    await state.durable()
    assert copy_of(state.path) == [change(0)]


@pytest.mark.parametrize("torn", [b'{"call":"crea', b"\0\0\0", b"{}"])
async def test_a_torn_last_line_is_cut_off(tmp_path: Path, torn: bytes) -> None:
    """The line that a kill interrupted goes, and the next change does not run into its rest."""
    path = tmp_path / "state"
    first = StateFile(path)
    first.append(change(0))
    await first.durable()
    torn_copy = tmp_path / "torn"
    torn_copy.write_bytes(path.read_bytes() + torn)
    state = StateFile(torn_copy)
    assert state.replay() == [change(0)]
    state.append(change(1))
    await state.durable()
    assert copy_of(torn_copy) == [change(0), change(1)]


def test_a_damaged_line_stops_the_start(tmp_path: Path) -> None:
    """Damage that no kill explains is named, not skipped: a payment may stand there."""
    path = tmp_path / "state"
    path.write_bytes(b"{}\n")
    with pytest.raises(StateUnusable, match="line 1 is damaged"):
        StateFile(path).replay()


def test_a_file_has_one_holder(tmp_path: Path) -> None:
    """Two sandboxes on one file would each miss what the other wrote."""
    holder = StateFile(tmp_path / "state")
    with pytest.raises(StateUnusable, match="another sandbox uses it"):
        StateFile(holder.path)


def test_only_the_owner_may_read(tmp_path: Path) -> None:
    """Payments are nobody else's business."""
    state = StateFile(tmp_path / "state")
    assert state.path.stat().st_mode & 0o777 == 0o600


def test_a_file_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    """A wrong path is told in one sentence."""
    with pytest.raises(StateUnusable, match="nowhere/state: No such file"):
        StateFile(tmp_path / "nowhere" / "state")
