"""Cosignatures: what a witness says of a checkpoint, and who believes it."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tallystick.errors import TallystickError
from tallystick.ledger.log import cosignature
from tallystick.ledger.log.checkpoint import Checkpoint, sign
from tallystick.ledger.log.cosignature import Cosigner, Witness, find_cosignatures, take_cosignatures
from tallystick.ledger.log.note import (
    BadKey,
    BadNote,
    BadSignature,
    Signer,
    Verifier,
    append_lines,
    signature_line,
    verify,
)

ORIGIN = "log.example/books/1"
SIGNER = Signer.from_seed(ORIGIN, bytes(range(32)))
COSIGNER = Cosigner.from_seed("witness.example/w1", bytes(range(1, 33)))
OTHER = Cosigner.from_seed("witness.example/w2", bytes(range(2, 34)))
CHECKPOINT = Checkpoint(ORIGIN, 7, bytes(range(32)))
SIGNED = sign(CHECKPOINT, [SIGNER])
TIME = 1_679_315_147


def cosigned(*lines: str) -> bytes:
    """Return the checkpoint with further lines."""
    return append_lines(SIGNED, lines)


def line_of(cosigner: Cosigner, time: int = TIME, text: str = str(CHECKPOINT)) -> str:
    """Return the line by which *cosigner* cosigns *text*."""
    return signature_line(cosigner.cosign(text, time))


def test_a_cosignature_is_found_with_its_time() -> None:
    """Whoever knows the witness's key learns that, and when, it saw the checkpoint."""
    found = find_cosignatures(cosigned(line_of(OTHER), line_of(COSIGNER)), [COSIGNER.witness])
    assert found == [(COSIGNER.witness, TIME, line_of(COSIGNER))]


def test_the_signed_message_is_the_one_specified() -> None:
    """A cosignature is a plain Ed25519 signature of two header lines and the checkpoint's text."""
    value = COSIGNER.cosign(str(CHECKPOINT), TIME).value
    assert value[:8] == TIME.to_bytes(8, "big")
    message = f"cosignature/v1\ntime {TIME}\n{CHECKPOINT}".encode()
    COSIGNER.private_key.public_key().verify(value[8:], message)


def test_a_cosigned_checkpoint_is_still_the_logs() -> None:
    """Who knows the log's key alone ignores the witnesses' lines, and who knows a witness's, the log's."""
    whole = cosigned(line_of(COSIGNER))
    assert verify(whole, [SIGNER.verifier]).text == str(CHECKPOINT)
    assert verify(whole, [COSIGNER.witness]).text == str(CHECKPOINT)
    assert verify(whole, [SIGNER.verifier, COSIGNER.witness]).text == str(CHECKPOINT)


def test_keys_are_written_as_they_are_read() -> None:
    """Both text forms come back unchanged; a plain key of the same bytes is another key with another id."""
    assert Witness.parse(str(COSIGNER.witness)) == COSIGNER.witness
    assert Cosigner.parse(COSIGNER.secret_text()).secret_text() == COSIGNER.secret_text()
    plain = Verifier(COSIGNER.witness.name, COSIGNER.witness.public_key)
    assert plain.key_id != COSIGNER.witness.key_id
    for text in (str(plain), str(COSIGNER.witness).replace("w1", "w9"), "", "a+b+c"):
        with pytest.raises(BadKey):
            Witness.parse(text)
    assert COSIGNER.witness.public_key.hex() not in repr(COSIGNER)
    assert "PRIVATE" not in repr(COSIGNER)


@given(st.integers(0, 8 * 72 - 1))
def test_one_bit_of_time_or_signature_spoils_it(bit: int) -> None:
    """The time is signed with the rest."""
    signature = COSIGNER.cosign(str(CHECKPOINT), TIME)
    value = bytearray(signature.value)
    value[bit // 8] ^= 1 << bit % 8
    with pytest.raises(BadSignature):
        find_cosignatures(cosigned(signature_line(signature._replace(value=bytes(value)))), [COSIGNER.witness])


def test_a_time_beyond_what_is_allowed_is_no_time() -> None:
    """A timestamp has 63 bits."""
    time = 2**63
    message = cosignature._message(str(CHECKPOINT), time)
    value = time.to_bytes(8, "big") + COSIGNER.private_key.sign(message)
    assert not COSIGNER.witness.accepts(str(CHECKPOINT), value)
    assert not COSIGNER.witness.accepts(str(CHECKPOINT), value[:-1])


def test_an_answer_is_taken_if_it_is_the_witnesses_own_word_on_this_checkpoint() -> None:
    """Lines of others come along and are left; without one of its own, or with another text, it is no answer."""
    answer = (line_of(OTHER) + line_of(COSIGNER)).encode()
    assert [one.line for one in take_cosignatures(SIGNED, answer, COSIGNER.witness)] == [line_of(COSIGNER)]
    another = str(Checkpoint(ORIGIN, 8, bytes(32)))
    bad: list[tuple[bytes, type[TallystickError]]] = [
        (line_of(OTHER).encode(), BadSignature),
        (line_of(COSIGNER, text=another).encode(), BadSignature),
        (b"and another text\n\n" + answer, BadNote),
        (b"", BadNote),
        (b"\xff\n", BadNote),
        (b"<html>", BadNote),
    ]
    for said, error in bad:
        with pytest.raises(error):
            take_cosignatures(SIGNED, said, COSIGNER.witness)
