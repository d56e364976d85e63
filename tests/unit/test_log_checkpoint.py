"""Checkpoints: one spelling, one log."""

import base64

import pytest

from tallystick.ledger.log.checkpoint import MAX_SIZE, BadCheckpoint, Checkpoint, parse, parse_decimal, sign, verify
from tallystick.ledger.log.note import BadNote, BadSignature, Signer
from tallystick.ledger.log.note import sign as sign_note
from tallystick.ledger.log.tree import EMPTY_ROOT

ORIGIN = "log.example/books/1"
ROOT = bytes(range(32))
ROOT_TEXT = base64.b64encode(ROOT).decode()
SIGNER = Signer.from_seed(ORIGIN, bytes(32))

NOT_CHECKPOINTS = [
    "",
    "\n",
    f"{ORIGIN}\n7\n{ROOT_TEXT}",
    f"{ORIGIN}\n7\n",
    f"\n7\n{ROOT_TEXT}\n",
    f"{ORIGIN}\n07\n{ROOT_TEXT}\n",
    f"{ORIGIN}\n+7\n{ROOT_TEXT}\n",
    f"{ORIGIN}\n-7\n{ROOT_TEXT}\n",
    f"{ORIGIN}\n 7\n{ROOT_TEXT}\n",
    f"{ORIGIN}\n7_0\n{ROOT_TEXT}\n",
    f"{ORIGIN}\n٧\n{ROOT_TEXT}\n",
    f"{ORIGIN}\n\n{ROOT_TEXT}\n",
    f"{ORIGIN}\n{2**63}\n{ROOT_TEXT}\n",
    f"{ORIGIN}\n{'9' * 5000}\n{ROOT_TEXT}\n",
    f"{ORIGIN}\n7\n{ROOT_TEXT[:-1]}\n",
    f"{ORIGIN}\n7\n{ROOT_TEXT[:-2]}9=\n",
    f"{ORIGIN}\n7\nAAAA\n",
    f"{ORIGIN}\n7\n{ROOT_TEXT}\n\n",
    f"{ORIGIN}\n7\n{ROOT_TEXT}\n\nmore\n",
    f"{ORIGIN}\n7\n{ROOT_TEXT}\nmore",
]


def test_a_checkpoint_is_three_lines() -> None:
    """Origin, size and root, each on its line, and back."""
    checkpoint = Checkpoint(ORIGIN, 7, ROOT)
    assert str(checkpoint) == f"{ORIGIN}\n7\n{ROOT_TEXT}\n"
    assert parse(str(checkpoint)) == checkpoint


@pytest.mark.parametrize("size", [0, 1, 10, MAX_SIZE])
def test_every_size_comes_back(size: int) -> None:
    """The empty log and the largest are written like any other."""
    assert parse(str(Checkpoint(ORIGIN, size, EMPTY_ROOT))).size == size


def test_the_specifications_example() -> None:
    """The published example is read as it is meant."""
    text = "example.com/behind-the-sofa\n20852163\nCsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=\n"
    assert parse(text).size == 20_852_163
    assert str(parse(text)) == text


def test_lines_that_others_add_are_kept() -> None:
    """Extension lines are signed, so they are neither refused nor lost."""
    checkpoint = Checkpoint(ORIGIN, 7, ROOT, ("extra", "lines"))
    assert parse(str(checkpoint)) == checkpoint


@pytest.mark.parametrize("text", NOT_CHECKPOINTS)
def test_any_other_text_is_no_checkpoint(text: str) -> None:
    """Signed or not, a text that is spelt otherwise says nothing about the log."""
    with pytest.raises(BadCheckpoint) as caught:
        parse(text)
    assert caught.value.code == "log.bad_checkpoint"


@pytest.mark.parametrize(
    ("origin", "size", "root"),
    [("", 1, ROOT), ("a\nb", 1, ROOT), (ORIGIN, -1, ROOT), (ORIGIN, MAX_SIZE + 1, ROOT), (ORIGIN, 1, ROOT[1:])],
)
def test_what_cannot_be_written_cannot_be_made(origin: str, size: int, root: bytes) -> None:
    """A checkpoint that exists can be signed and read."""
    with pytest.raises(BadCheckpoint):
        Checkpoint(origin, size, root)


def test_a_signed_checkpoint_is_taken_from_its_own_log_only() -> None:
    """The right key over the wrong log's checkpoint is not enough, nor the right log under the wrong key."""
    checkpoint = Checkpoint(ORIGIN, 7, ROOT)
    signed = sign(checkpoint, [SIGNER])
    assert verify(signed, [SIGNER.verifier], ORIGIN) == checkpoint
    with pytest.raises(BadCheckpoint, match=r"books/1, not of log\.example/books/2"):
        verify(signed, [SIGNER.verifier], "log.example/books/2")
    with pytest.raises(BadSignature):
        verify(signed, [Signer.from_seed(ORIGIN, ROOT).verifier], ORIGIN)


def test_a_signed_note_that_is_no_checkpoint_is_refused() -> None:
    """A log's key may sign other notes; they are not mistaken for checkpoints."""
    with pytest.raises(BadCheckpoint):
        verify(sign_note("hello\n", [SIGNER]), [SIGNER.verifier], ORIGIN)


def test_an_origin_that_a_note_cannot_carry_is_not_signed() -> None:
    """A control character in the origin is noticed before anything is signed."""
    with pytest.raises(BadNote):
        sign(Checkpoint("log\texample", 1, ROOT), [SIGNER])


@pytest.mark.parametrize("text", ["", "00", "01", "1 ", "1\n", "1.0", "1e3", "0x1", str(MAX_SIZE + 1)])
def test_numbers_have_one_spelling(text: str) -> None:
    """Only plain digits without a leading zero are a number."""
    with pytest.raises(ValueError, match="decimal"):
        parse_decimal(text)
