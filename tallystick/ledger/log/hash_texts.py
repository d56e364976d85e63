"""Hash texts of many lengths at once, by the loop of `hash_rows` where they are short enough to be one block each."""

from hashlib import sha256

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from tallystick.ledger.log.hash_rows import AT_ONCE, BLOCK, FEWEST, MOST_IN_ONE_BLOCK, HashArray, compiled_loop

_NOTHING = pa.scalar(b"", pa.binary())
_PADDING = pa.array(
    [
        b"\x80".ljust(BLOCK - 8 - length, b"\0") + (8 * length).to_bytes(8, "big")
        for length in range(MOST_IN_ONE_BLOCK + 1)
    ],
    pa.binary(),
)
"""By the length of a text, what makes one block of it (FIPS 180-4 §5.1.1)."""


def hash_texts(texts: pa.BinaryArray) -> HashArray:
    """Return the SHA-256 of each of *texts*, whatever their lengths, 32 bytes a row; none of them is null."""
    lengths = pc.binary_length(texts)
    loop = compiled_loop() if len(texts) >= FEWEST else None
    if loop is None or pc.max(lengths).as_py() > MOST_IN_ONE_BLOCK:
        digests = [sha256(text).digest() for text in texts.to_pylist()]
        return np.frombuffer(b"".join(digests), np.uint8).reshape(-1, 32)
    whole = pc.binary_join_element_wise(texts, _PADDING.take(lengths), _NOTHING)
    start = int(np.frombuffer(whole.buffers()[1], np.int32)[whole.offset])
    count = len(whole)
    padded = np.frombuffer(whole.buffers()[2], np.uint8)[start : start + count * BLOCK]
    if count % AT_ONCE:
        padded = np.concatenate([padded, np.zeros((AT_ONCE - count % AT_ONCE) * BLOCK, np.uint8)])
    hashes = np.empty((len(padded) // BLOCK, 32), np.uint8)
    loop(padded.ctypes.data, len(hashes), 1, hashes.ctypes.data)
    return hashes[:count]
