"""Leaves, byte by byte, against an encoder that was written from their description alone."""

import uuid

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tallystick.ledger.encode_leaf import ToSeal, decode_leaf, hash_leaves, leaves_of
from tallystick.ledger.log.tree import leaf_hashes
from tallystick.ledger.model import NEVER, RELATES, WHEN_RECORDED, Batch, Reason, transfers
from tests.simulation.merkle import Leaf

HASHES = [bytes([number]) * 32 for number in (1, 2, 3)]
longs = st.integers(1, 2**63 - 1)


@st.composite
def said(draw: st.DrawFn) -> Leaf:
    """Draw what a leaf says."""
    reason = draw(st.sampled_from(Reason))
    return Leaf(
        book=4,
        transfer_id=draw(st.uuids()).bytes,
        debit=draw(st.integers(1, 2**40)),
        credit=draw(st.integers(1, 2**40)),
        asset=draw(st.integers(1, 2**31 - 1)),
        amount=draw(longs),
        reason=reason,
        effective_at=draw(st.sampled_from([WHEN_RECORDED, 0, -5, 10**15])),
        recorded_at=10**15,
        message_hash=draw(st.sampled_from(HASHES)),
        related=draw(st.uuids()).bytes if reason in RELATES else bytes(16),
        expires_at=draw(st.one_of(st.just(NEVER), longs)) if reason == Reason.HOLD else 0,
        asked=draw(longs) if reason in {Reason.SWEEP, Reason.CAPTURE} else 0,
        reference=draw(st.sampled_from(["", "", "order 7", "ä€😀"])),
    )


def sealing_of(leaves: list[Leaf]) -> ToSeal:
    """Make the batch whose leaves these are, its optional columns there only where one of them needs it."""
    rows = transfers(len(leaves))
    for at, one in enumerate(leaves):
        rows["transfer_id"][at] = one.transfer_id
        rows["message_place"][at] = HASHES.index(one.message_hash)
        for column, value in (
            ("debit_account_id", one.debit), ("credit_account_id", one.credit), ("asset_id", one.asset),
            ("amount", one.amount), ("reason", one.reason), ("effective_at", one.effective_at),
        ):  # fmt: skip
            rows[column][at] = value
    expiries = np.array([one.expires_at or NEVER for one in leaves], np.int64)
    asked = np.array([one.asked for one in leaves], np.int64)
    references = [one.reference for one in leaves]
    batch = Batch(
        rows,
        np.frombuffer(b"".join(one.related for one in leaves), "V16")
        if any(one.reason in RELATES for one in leaves)
        else None,
        expiries if (expiries != NEVER).any() else None,
        references if any(references) else None,
    )
    hashes = np.frombuffer(b"".join(HASHES), "V32")
    return ToSeal(4, batch, asked if asked.any() else None, 10**15, hashes)


@given(st.lists(said(), min_size=1, max_size=12))
def test_a_leaf_is_as_it_is_described_whatever_stands_beside_it(leaves: list[Leaf]) -> None:
    """The leaf of a transfer says the same in any company: it can be written again from its facts alone."""
    expected = [one.encode() for one in leaves]
    sealing = sealing_of(leaves)
    assert leaves_of(sealing) == expected
    hashes = b"".join(leaf_hashes(b"\0" + one, len(one) + 1) for one in expected)
    assert hash_leaves(sealing) == hashes


@given(said())
def test_a_leaf_is_read_back(leaf: Leaf) -> None:
    """Who holds a leaf and nothing else reads what it says."""
    found = decode_leaf(leaf.encode())
    assert (found.transfer_id, found.debit_account_id, found.amount, found.reason) == (
        leaf.transfer_id, leaf.debit, leaf.amount, leaf.reason,
    )  # fmt: skip
    assert (found.related, found.expires_at, found.asked) == (leaf.related, leaf.expires_at, leaf.asked)
    assert found.version == (1 if len(leaf.encode()) == 99 else 2)


@pytest.mark.parametrize("wrong", [b"", b"\x01" * 98, b"\x03" * 99, b"\x01" * 163, b"\x02" * 99])
def test_what_is_no_leaf_is_not_read(wrong: bytes) -> None:
    """A leaf is of one of two lengths, and of the version that has that length."""
    with pytest.raises(ValueError, match="not a leaf"):
        decode_leaf(wrong)


def test_a_known_leaf_of_each_version_keeps_its_bytes() -> None:
    """The encoding never changes: these leaves are in somebody's log."""
    plain = Leaf(
        1, uuid.UUID(int=5).bytes, 1, 2, 1, 500, Reason.TRANSFER, WHEN_RECORDED, 10**15, HASHES[0], bytes(16), 0, 0, ""
    )
    hold = Leaf(1, uuid.UUID(int=6).bytes, 1, 2, 1, 500, Reason.HOLD, 0, 10**15, HASHES[0], bytes(16), NEVER, 0, "")
    assert [leaf.hex() for leaf in leaves_of(sealing_of([plain]))] == [
        "01" "00000004" + "00" * 15 + "05" "0000000000000001" "0000000000000002" "00000001" "00000000000001f4" "0001"
        "8000000000000000" "00038d7ea4c68000" + "01" * 32
    ]  # fmt: skip
    assert [leaf.hex() for leaf in leaves_of(sealing_of([hold]))] == [
        "02" "00000004" + "00" * 15 + "06" "0000000000000001" "0000000000000002" "00000001" "00000000000001f4" "0006"
        "0000000000000000" "00038d7ea4c68000" + "01" * 32 + "00" * 16 + "7fffffffffffffff" + "00" * 8 + "00" * 32
    ]  # fmt: skip
