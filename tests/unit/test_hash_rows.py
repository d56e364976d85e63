"""Many rows are hashed as hashlib hashes each, by whichever way this machine has."""

from hashlib import sha256

import numpy as np
import pytest

from tallystick.ledger.log import hash_rows as module
from tallystick.ledger.log.hash_rows import FEWEST, compiled_loop, hash_rows


@pytest.mark.parametrize("width", [1, 31, 55, 56, 63, 64, 65, 100, 119, 120, 164, 300])
def test_rows_hash_as_hashlib_hashes_each(width: int) -> None:
    """Every width and count, odd ones and few ones too, and rows that lie apart in memory."""
    chance = np.random.default_rng(width)
    for count in (0, 1, 2, FEWEST - 1, FEWEST, FEWEST + 1, 301):
        wide = chance.integers(0, 256, (count, width + 7), dtype=np.uint8)
        rows = wide[:, 3 : 3 + width]
        assert hash_rows(rows).tobytes() == b"".join(sha256(row.tobytes()).digest() for row in rows)


def test_without_the_compiled_loop_the_hashes_are_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where nothing can be compiled hashlib does it all."""
    rows = np.random.default_rng(1).integers(0, 256, (500, 100), dtype=np.uint8)
    before = hash_rows(rows).tobytes()
    monkeypatch.setattr(module, "compiled_loop", lambda: None)
    assert hash_rows(rows).tobytes() == before


def test_it_can_be_switched_off(monkeypatch: pytest.MonkeyPatch) -> None:
    """Who does not trust code that is made at run time sets a variable."""
    monkeypatch.setenv("TALLYSTICK_COMPILED_HASH", "off")
    compiled_loop.cache_clear()
    try:
        assert compiled_loop() is None
    finally:
        compiled_loop.cache_clear()


def test_a_loop_that_hashes_wrong_is_not_used(monkeypatch: pytest.MonkeyPatch) -> None:
    """What was compiled has to agree with hashlib before anything rests on it."""

    def wrong(_messages: int, _count: int, _blocks: int, _hashes: int) -> None:
        """Leave the hashes as they are."""

    monkeypatch.setattr(module, "_compile", lambda: wrong)
    compiled_loop.cache_clear()
    try:
        assert compiled_loop() is None
    finally:
        compiled_loop.cache_clear()
