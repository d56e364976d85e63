"""What a witness is sent, and what it does not cosign."""

from collections.abc import Callable

import pytest

from tallystick.errors import TallystickError
from tallystick.ledger.log import submission
from tallystick.ledger.log.checkpoint import Checkpoint, sign
from tallystick.ledger.log.note import BadSignature, Signer
from tallystick.ledger.log.proofs import BadProof, consistency_proof, ranges_for_consistency
from tallystick.ledger.log.submission import (
    BadSubmission,
    StaleSize,
    Submission,
    UnknownLog,
    judge_growth,
    judge_origin,
    parse,
)
from tallystick.ledger.log.tree import EMPTY_ROOT
from tests.unit.test_log_reference import Stored, synthetic_leaves

ORIGIN = "log.example/books/1"
SIGNER = Signer.from_seed(ORIGIN, bytes(range(32)))
STRANGER = Signer.from_seed(ORIGIN, bytes(32))
LOGS = {ORIGIN: [SIGNER.verifier]}
LEAVES = synthetic_leaves(300)


def checkpoint_at(size: int) -> Checkpoint:
    """Return what the log says of itself at *size* leaves."""
    return Checkpoint(ORIGIN, size, Stored(LEAVES[:size]).frontier.root())


def submission_of(old: int, new: int, *, signer: Signer = SIGNER) -> Submission:
    """Submit the checkpoint at *new*, proved from *old*."""
    stored = Stored(LEAVES[:new])
    hashes = consistency_proof(old, new, stored.fetch(ranges_for_consistency(old, new)))
    return Submission(old, tuple(hashes), sign(checkpoint_at(new), [signer]))


@pytest.mark.parametrize(("old", "new"), [(0, 1), (0, 300), (1, 2), (7, 300), (256, 257), (300, 300)])
def test_growth_is_cosigned(old: int, new: int) -> None:
    """A checkpoint that continues the last, or is the last again, is acceptable; so is the first."""
    sent = parse(bytes(submission_of(old, new)))
    checkpoint = judge_origin(sent, LOGS)
    judge_growth(sent, checkpoint, checkpoint_at(old) if old else None)
    assert checkpoint == checkpoint_at(new)


def test_the_form_is_the_one_specified() -> None:
    """The old size, a hash a line, a blank line, the note."""
    sent = submission_of(1, 2)
    first, hash_line, blank, *note = bytes(sent).decode().split("\n")
    assert (first, blank) == ("old 1", "")
    assert len(hash_line) == 44
    assert "\n".join(note).encode() == sent.checkpoint
    assert bytes(submission_of(0, 1)).startswith(b"old 0\n\n")


@pytest.mark.parametrize(
    "spoil",
    [
        lambda body: body[:0],
        lambda body: body.replace(b"old 7", b"old 07"),
        lambda body: body.replace(b"old 7", b"7"),
        lambda body: body.replace(b"old 7", b"old -7"),
        lambda body: body.replace(b"old 7\n", b"old 7\nAAAA\n"),
        lambda body: body.replace(b"old 7\n", b"old 7\n" + (b"A" * 43 + b"=\n") * 64),
        lambda body: body.replace(b"old 7\n", b"old 7\n\xff\n"),
        lambda body: body.replace(b"old 7", b"old 9999"),
        lambda body: body.partition(b"\n\n")[0],
        lambda body: body.replace(b"log.example", b"\x01"),
        lambda body: body + b" " * submission.MAX_BYTES,
    ],
)
def test_what_is_malformed_is_told_so(spoil: Callable[[bytes], bytes]) -> None:
    """Nothing of it is believed, and the answer is that it is malformed."""
    with pytest.raises(BadSubmission):
        judge_origin(parse(spoil(bytes(submission_of(7, 300)))), LOGS)


def refusal_of(sent: Submission, known: Checkpoint | None) -> type[TallystickError] | None:
    """Return how a submission is refused; None when it is not."""
    try:
        judge_growth(sent, judge_origin(sent, LOGS), known)
    except TallystickError as error:
        return type(error)
    return None


def test_each_way_of_deceiving_a_witness_is_refused() -> None:
    """Strangers, other logs, rollbacks, forks, and proofs of something else."""
    good = submission_of(7, 300)
    forked = Checkpoint(ORIGIN, 7, bytes(32))
    elsewhere = sign(Checkpoint("log.example/other", 300, bytes(32)), [SIGNER])
    assert refusal_of(good, checkpoint_at(7)) is None
    assert refusal_of(submission_of(7, 300, signer=STRANGER), checkpoint_at(7)) is BadSignature
    assert refusal_of(Submission(7, good.hashes, elsewhere), checkpoint_at(7)) is UnknownLog
    assert refusal_of(good, checkpoint_at(8)) is StaleSize
    assert refusal_of(good, None) is StaleSize
    assert refusal_of(submission_of(0, 300), checkpoint_at(7)) is StaleSize
    assert refusal_of(good, forked) is BadProof
    assert refusal_of(Submission(7, good.hashes[:-1], good.checkpoint), checkpoint_at(7)) is BadProof
    assert refusal_of(Submission(0, good.hashes, good.checkpoint), None) is BadProof
    same = Submission(300, (), good.checkpoint)
    assert refusal_of(same, checkpoint_at(300)) is None
    assert refusal_of(same, Checkpoint(ORIGIN, 300, bytes(32))) is BadProof


def test_an_empty_log_has_one_root() -> None:
    """A checkpoint of nothing says the root of nothing."""
    for root, refused in ((EMPTY_ROOT, None), (bytes(32), BadProof)):
        assert refusal_of(Submission(0, (), sign(Checkpoint(ORIGIN, 0, root), [SIGNER])), None) is refused


def test_a_stale_size_tells_the_one_that_is_known() -> None:
    """So that the log can prove its growth from there."""
    with pytest.raises(StaleSize) as stale:
        judge_growth(submission_of(7, 300), checkpoint_at(300), checkpoint_at(256))
    assert stale.value.size == 256
