"""Go's own implementation of notes and trees (golang.org/x/mod/sumdb) judges ours."""

import base64
import json
import os
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from tallystick.errors import TallystickError
from tallystick.ledger.log import note
from tallystick.ledger.log.checkpoint import Checkpoint, sign
from tallystick.ledger.log.note import Signer, Verifier
from tallystick.ledger.log.proofs import (
    consistency_proof,
    inclusion_proof,
    ranges_for_consistency,
    ranges_for_inclusion,
)
from tallystick.ledger.log.tiles import parse_path, tile_at
from tallystick.ledger.log.tree import leaf_hash
from tests.unit.test_log_reference import Stored

Judge = Callable[[dict[str, object]], dict[str, object]]

GO_PATH = Path("/usr/share/gocode")
JUDGE = Path(__file__).parent / "golog" / "judge.go"
ORIGIN = "log.example/books/1"
SIGNER = Signer.from_seed(ORIGIN, bytes(range(32)))
ENTRIES = [number.to_bytes(8, "big") for number in range(66_000)]
LEAVES = [leaf_hash(entry) for entry in ENTRIES]


@pytest.fixture(scope="session")
def judge(tmp_path_factory: pytest.TempPathFactory) -> Judge:
    """Build the judge and return what asks it; skip where Go or its library is not installed."""
    if shutil.which("go") is None or not (GO_PATH / "src/golang.org/x/mod/sumdb").is_dir():
        pytest.skip("needs Debian's golang-go and golang-golang-x-mod-dev")
    program = tmp_path_factory.mktemp("golog") / "judge"
    environment = {**os.environ, "GO111MODULE": "off", "GOPATH": str(GO_PATH), "CGO_ENABLED": "0"}
    environment.setdefault("GOCACHE", str(Path.home() / ".cache" / "go-build"))
    subprocess.run(["go", "build", "-o", program, JUDGE], env=environment, check=True)

    def ask(case: dict[str, object]) -> dict[str, object]:
        text = json.dumps(case, default=lambda value: base64.b64encode(value).decode())
        answer = subprocess.run([program], input=text.encode(), capture_output=True, check=True)
        return dict(json.loads(answer.stdout))

    return ask


def signed_checkpoint(size: int) -> bytes:
    """Sign what the log says of itself at *size* entries."""
    return sign(Checkpoint(ORIGIN, size, Stored(LEAVES[:size]).frontier.root()), [SIGNER])


def case_of(size: int) -> dict[str, object]:
    """Gather all that is to be judged of the log at *size* entries."""
    stored = Stored(LEAVES[:size])
    indexes = sorted({index for index in (0, 1, 254, 255, 256, 257, 65_535, 65_536, size - 1) if index < size})
    olds = sorted({old for old in (1, 2, 255, 256, 257, 65_535, 65_536, size) if old <= size})
    tiles = [tile_at(level, number, size) for level in range(3) for number in range(-(-(size >> 8 * level) // 256))]
    return {
        "verifier": str(SIGNER.verifier),
        "checkpoint": sign(Checkpoint(ORIGIN, size, stored.frontier.root()), [SIGNER]),
        "records": [
            {
                "index": index,
                "data": ENTRIES[index],
                "hashes": inclusion_proof(index, size, stored.fetch(ranges_for_inclusion(index, size))),
            }
            for index in indexes
        ],
        "older": [
            {
                "checkpoint": signed_checkpoint(old),
                "hashes": consistency_proof(old, size, stored.fetch(ranges_for_consistency(old, size))),
            }
            for old in olds
        ],
        "tiles": {tile.path: stored.read(tile) for tile in tiles},
    }


@pytest.mark.parametrize("size", [1, 2, 3, 7, 8, 70, 255, 256, 257, 258, 1_000, 65_535, 65_536, 65_537, 66_000])
def test_go_accepts_our_log(judge: Judge, size: int) -> None:
    """Checkpoints, inclusion and consistency proofs hold, and Go makes the same proofs from our tiles."""
    assert judge(case_of(size))["Complaints"] == []


def test_go_refuses_what_was_changed(judge: Judge) -> None:
    """The judge is no rubber stamp: another entry, another place, another tile are each complained of."""
    case = case_of(70)
    records = case["records"]
    tiles = case["tiles"]
    assert isinstance(records, list)
    assert isinstance(tiles, dict)
    records[0]["data"] = b"another"
    records[1]["index"] = 2
    tiles["tile/0/000.p/70"] = bytes(32 * 70)
    complaints = judge(case)["Complaints"]
    assert isinstance(complaints, list)
    assert [complaint.partition(":")[0] for complaint in complaints] == [
        "record 0",
        "record 0 from tiles",
        "record 2",
        "record 2 from tiles",
        "record 69 from tiles",
    ]


def test_we_accept_what_go_signs(judge: Judge) -> None:
    """A key that Go made is read, its note verified, and signing the same text gives the same bytes."""
    text = "first\n\nsecond, with ünïcode\n"
    answer = judge({"text": text, "name": ORIGIN})
    secret, public, signed = str(answer["Secret"]), str(answer["Public"]), base64.b64decode(str(answer["Signed"]))
    assert note.verify(signed, [Verifier.parse(public)]).text == text
    assert note.sign(text, [Signer.parse(secret)]) == signed
    assert Signer.parse(secret).secret_text() == secret


def test_we_take_no_note_that_go_refuses(judge: Judge) -> None:
    """Of a note with any one bit turned over Go takes at most those with stray base64 bits, and we take none."""
    signed = signed_checkpoint(7)
    spoilt = []
    for bit in range(len(signed) * 8):
        mutant = bytearray(signed)
        mutant[bit // 8] ^= 1 << bit % 8
        spoilt.append(bytes(mutant))
    opens = judge({"verifier": str(SIGNER.verifier), "notes": [signed, *spoilt]})["Opens"]
    assert isinstance(opens, list)
    assert opens[0]
    taken_by_go = [note_taken for note_taken, taken in zip(spoilt, opens[1:], strict=True) if taken]
    assert all(taken[:-3] == signed[:-3] and taken[-2:] == b"=\n" for taken in taken_by_go)
    for refused in spoilt:
        with pytest.raises(TallystickError):
            note.verify(refused, [SIGNER.verifier])


def test_tile_addresses_are_read_back() -> None:
    """Every address that the judge was given is one that we read."""
    tiles = case_of(257)["tiles"]
    assert isinstance(tiles, dict)
    assert sorted(parse_path(path).width for path in tiles) == [1, 1, 256]
