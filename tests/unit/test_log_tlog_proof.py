"""Proofs for offline use: whole, or not at all."""

import base64

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tallystick.errors import TallystickError
from tallystick.ledger.log.checkpoint import BadCheckpoint, Checkpoint, sign
from tallystick.ledger.log.note import BadSignature, Signer
from tallystick.ledger.log.proofs import BadProof, inclusion_proof, ranges_for_inclusion
from tallystick.ledger.log.tlog_proof import TlogProof, parse, verify
from tests.unit.test_log_reference import Stored, synthetic_leaves

ORIGIN = "log.example/books/1"
SIGNER = Signer.from_seed(ORIGIN, bytes(32))
LEAVES = synthetic_leaves(13)
STORED = Stored(LEAVES)
CHECKPOINT = Checkpoint(ORIGIN, 13, STORED.frontier.root())
SIGNED = sign(CHECKPOINT, [SIGNER])


def proof_of(index: int, extra: bytes = b"") -> bytes:
    """Write the proof of one of the 13 leaves."""
    hashes = inclusion_proof(index, 13, STORED.fetch(ranges_for_inclusion(index, 13)))
    return bytes(TlogProof(index, tuple(hashes), SIGNED, extra))


PROOF = proof_of(5)
HASH = base64.b64encode(LEAVES[0])

MALFORMED = {
    "empty": b"",
    "another version": PROOF.replace(b"@v1", b"@v2"),
    "no checkpoint": PROOF.partition(b"\n\n")[0],
    "no index": PROOF.replace(b"index 5\n", b""),
    "index without number": PROOF.replace(b"index 5", b"index "),
    "leading zero": PROOF.replace(b"index 5", b"index 05"),
    "negative": PROOF.replace(b"index 5", b"index -5"),
    "huge": PROOF.replace(b"index 5", b"index " + b"9" * 6000),
    "two indexes": PROOF.replace(b"index 5\n", b"index 5\nindex 5\n"),
    "empty extra": PROOF.replace(b"index 5", b"extra \nindex 5"),
    "extra that is not base64": PROOF.replace(b"index 5", b"extra =\nindex 5"),
    "extra behind the index": PROOF.replace(b"index 5\n", b"index 5\nextra AAAA\n"),
    "two extras": PROOF.replace(b"index 5", b"extra AAAA\nextra AAAA\nindex 5"),
    "carriage returns": PROOF.replace(b"\n", b"\r\n"),
    "short hash": PROOF.replace(b"index 5\n", b"index 5\nAAAA\n"),
    "64 hashes": PROOF.replace(b"index 5\n", b"index 5\n" + (HASH + b"\n") * 60),
    "space before": b" " + PROOF,
    "not ASCII": PROOF.replace(b"index 5", "index ٥".encode()),
    "longer than a mebibyte": PROOF.replace(b"index 5", b"extra " + b"A" * (1 << 20) + b"\nindex 5"),
}


def test_the_text_is_as_specified() -> None:
    """Header, index, hashes from the leaf upwards, a blank line, and the checkpoint as it was signed."""
    lines = PROOF.decode().split("\n")
    assert lines[:2] == ["c2sp.org/tlog-proof@v1", "index 5"]
    assert lines[2] == base64.b64encode(LEAVES[4]).decode()
    assert lines[6] == ""
    assert PROOF.endswith(b"\n\n" + SIGNED)


@pytest.mark.parametrize("index", range(13))
def test_every_leaf_is_verified_offline(index: int) -> None:
    """The proof, the leaf and the public key are enough."""
    verified = verify(proof_of(index), LEAVES[index], [SIGNER.verifier], ORIGIN)
    assert (verified.index, verified.size, verified.checkpoint) == (index, 13, CHECKPOINT)


def test_a_log_of_one_entry_needs_no_hashes() -> None:
    """The only leaf is the root, and its proof has no lines of hashes."""
    signed = sign(Checkpoint(ORIGIN, 1, LEAVES[0]), [SIGNER])
    text = bytes(TlogProof(0, (), signed))
    assert text.startswith(b"c2sp.org/tlog-proof@v1\nindex 0\n\nlog.example")
    assert verify(text, LEAVES[0], [SIGNER.verifier], ORIGIN).size == 1


def test_extra_data_is_carried_but_proves_nothing() -> None:
    """It comes back as it was, also when somebody changed it."""
    text = proof_of(5, b"\0anything\xff")
    assert parse(text).extra == b"\0anything\xff"
    assert verify(text, LEAVES[5], [SIGNER.verifier], ORIGIN).index == 5


@pytest.mark.parametrize("text", MALFORMED.values(), ids=MALFORMED.keys())
def test_malformed_proofs_are_refused(text: bytes) -> None:
    """A proof has one form."""
    with pytest.raises(BadProof) as caught:
        parse(text)
    assert caught.value.code == "log.bad_proof"


def test_one_bit_anywhere_spoils_a_proof() -> None:
    """Header, index, hashes, checkpoint, signature: no bit can be turned over."""
    for bit in range(len(PROOF) * 8):
        spoilt = bytearray(PROOF)
        spoilt[bit // 8] ^= 1 << bit % 8
        with pytest.raises(TallystickError) as caught:
            verify(bytes(spoilt), LEAVES[5], [SIGNER.verifier], ORIGIN)
        assert caught.value.code.startswith("log.bad_")


def test_one_bit_of_the_leaf_spoils_a_proof() -> None:
    """What is proved is this entry and no other."""
    for bit in range(256):
        leaf = (int.from_bytes(LEAVES[5], "big") ^ 1 << bit).to_bytes(32, "big")
        with pytest.raises(BadProof, match="another root"):
            verify(PROOF, leaf, [SIGNER.verifier], ORIGIN)


def test_the_log_and_its_key_are_the_verifiers_choice() -> None:
    """A sound proof from another log, or under another key, is not taken."""
    with pytest.raises(BadCheckpoint):
        verify(PROOF, LEAVES[5], [SIGNER.verifier], "log.example/books/2")
    with pytest.raises(BadSignature):
        verify(PROOF, LEAVES[5], [Signer.from_seed(ORIGIN, LEAVES[0]).verifier], ORIGIN)


def test_an_old_proof_outlives_a_change_of_key() -> None:
    """Who keeps the retired public key beside the new one verifies receipts from before."""
    new = Signer.from_seed(ORIGIN, LEAVES[0]).verifier
    assert verify(PROOF, LEAVES[5], [new, SIGNER.verifier], ORIGIN).index == 5


@given(
    st.integers(0, 2**63 - 1),
    st.lists(st.binary(min_size=32, max_size=32), max_size=63),
    st.binary(max_size=50),
    st.binary(max_size=50),
)
@settings(print_blob=True)
def test_whatever_is_written_is_read_back(index: int, hashes: list[bytes], extra: bytes, checkpoint: bytes) -> None:
    """Parsing returns what was written, the checkpoint verbatim."""
    proof = TlogProof(index, tuple(hashes), checkpoint, extra)
    assert parse(bytes(proof)) == proof


@given(st.binary(max_size=300))
@settings(print_blob=True)
def test_arbitrary_bytes_are_refused_with_an_error_of_ours(text: bytes) -> None:
    """No input makes the parser fail in a way that callers do not know."""
    with pytest.raises(TallystickError):
        verify(text, LEAVES[5], [SIGNER.verifier], ORIGIN)
