"""Go's own implementation of notes and trees (golang.org/x/mod/sumdb) judges ours."""

import base64
import datetime as dt
import json
import os
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import asyncpg
import pytest

from tallystick.clock import FixedClock
from tallystick.errors import TallystickError
from tallystick.ids import uuid7
from tallystick.ledger.log import note
from tallystick.ledger.log.checkpoint import Checkpoint, sign
from tallystick.ledger.log.cosignature import Cosigner, Witness, find_cosignatures
from tallystick.ledger.log.entries import Bundle, encode_bundle
from tallystick.ledger.log.note import Signer, Verifier, append_lines, signature_line
from tallystick.ledger.log.proofs import (
    consistency_proof,
    inclusion_proof,
    ranges_for_consistency,
    ranges_for_inclusion,
)
from tallystick.ledger.log.tiles import parse_path, tile_at
from tallystick.ledger.log.tree import leaf_hash
from tallystick.ledger.seal import lead, seal
from tallystick.ledger.watching.monitor import Evidence, LogAlarm, Monitor
from tallystick.ledger.watching.remote_log import RemoteLog
from tests.conformance.conftest import Rest
from tests.unit.test_log_reference import Stored

Judge = Callable[[dict[str, object]], dict[str, object]]

GO_PATH = Path("/usr/share/gocode")
JUDGE = Path(__file__).parent / "golog" / "judge.go"
ORIGIN = "log.example/books/1"
SIGNER = Signer.from_seed(ORIGIN, bytes(range(32)))
NEW_SIGNER = Signer.from_seed(ORIGIN, bytes(range(1, 33)))
COSIGNER = Cosigner.from_seed("witness.example/w1", bytes(range(2, 34)))
TIME = 1_679_315_147
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
        "bundles": {
            Bundle(tile.number, tile.width).path: encode_bundle(ENTRIES[tile.first : tile.first + tile.width])
            for tile in tiles[:: max(1, len(tiles) // 3)]
            if tile.level == 0
        },
    }


@pytest.mark.parametrize("size", [1, 2, 3, 7, 8, 70, 255, 256, 257, 258, 1_000, 65_535, 65_536, 65_537, 66_000])
def test_go_accepts_our_log(judge: Judge, size: int) -> None:
    """Checkpoints, inclusion and consistency proofs hold, entries have their leaves, and Go proves the same from our tiles."""
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
        "tile/entries/000.p/70",
    ]


@pytest.mark.parametrize(
    "bundle", [b"", b"\0", encode_bundle(ENTRIES[:69]), encode_bundle([*ENTRIES[:69], b"another"])]
)
def test_go_refuses_entries_that_are_others(judge: Judge, bundle: bytes) -> None:
    """Too few, cut, or not the ones that were hashed."""
    complaints = judge(case_of(70) | {"bundles": {"tile/entries/000.p/70": bundle}})["Complaints"]
    assert isinstance(complaints, list)
    assert [complaint.partition(":")[0] for complaint in complaints] == ["tile/entries/000.p/70"]


def test_go_verifies_by_either_key_while_a_key_is_changed(judge: Judge) -> None:
    """A checkpoint with two signatures is taken by who knows the old key, the new one, or both; not by strangers."""
    case = case_of(70)
    root = Stored(LEAVES[:70]).frontier.root()
    both = append_lines(
        sign(Checkpoint(ORIGIN, 70, root), [NEW_SIGNER, SIGNER]),
        [signature_line(COSIGNER.cosign(str(Checkpoint(ORIGIN, 70, root)), TIME))],
    )
    for signer in (SIGNER, NEW_SIGNER):
        older: dict[str, object] = {"older": [], "verifier": str(signer.verifier), "checkpoint": both}
        assert judge(case | older)["Complaints"] == []
    stranger = str(Signer.from_seed(ORIGIN, bytes(32)).verifier)
    assert judge({"verifier": stranger, "notes": [both]})["Opens"] == [False]


def test_go_accepts_our_cosignature(judge: Judge) -> None:
    """The witness's word holds, with its time, on this checkpoint and on no other."""
    case = case_of(70)
    text = str(Checkpoint(ORIGIN, 70, Stored(LEAVES[:70]).frontier.root()))
    lines = [signature_line(COSIGNER.cosign(said, TIME)) for said in (text, text.replace("70", "71"))]
    signed = signed_checkpoint(70)
    good, bad = (
        judge(case | {"checkpoint": append_lines(signed, [line]), "witness": str(COSIGNER.witness)}) for line in lines
    )
    assert (good["Complaints"], good["Time"]) == ([], TIME)
    assert bad["Complaints"] != []


def test_we_accept_what_go_cosigns(judge: Judge) -> None:
    """A cosigner's key that Go made is read, and its line found."""
    text = str(Checkpoint(ORIGIN, 7, bytes(32)))
    answer = judge({"text": text, "name": "witness.example/go"})
    line = base64.b64decode(str(answer["Cosigned"])).decode()
    witness = Witness.parse(str(answer["Cosigner"]))
    (found,) = find_cosignatures(append_lines(sign(Checkpoint(ORIGIN, 7, bytes(32)), [SIGNER]), [line]), [witness])
    assert (found.time, found.line) == (TIME, line)


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


async def seal_book(rest: Rest) -> None:
    """Seal what is posted in the book ``main``."""
    async with rest.house.operations.pool.acquire() as connection, connection.transaction():
        sealer = await lead(connection, 1, ORIGIN, [NEW_SIGNER, SIGNER])
        assert sealer is not None
        assert await seal(connection, sealer, rest.house.operations.clock.now()) is not None
        await connection.execute("SELECT pg_advisory_unlock_all()")


async def grow(rest: Rest, count: int) -> int:
    """Post so many transfers of several kinds, seal them, and return the size."""
    rows: list[dict[str, object]] = [
        {"id": str(uuid7()), "debit": "bank", "credit": "ada", "amount": 1 + at} for at in range(count)
    ]
    for at in range(0, count, 7):
        rows[at]["reference"] = f"invoice {at}"
    answer = await rest.post("/transfers/batch", transfers=rows)
    assert answer.status_code == 200, answer.text
    await seal_book(rest)
    return int((await rest.get("/checkpoint")).json()["size"])


async def test_go_accepts_the_log_as_it_is_served(judge: Judge, rest: Rest) -> None:
    """All of it, read over HTTP by the addresses of the specification; and the older checkpoints with their proofs."""
    older = [await grow(rest, count) for count in (3, 250, 3, 300)]
    size = older[-1]
    tiles = [tile_at(level, number, size) for level in range(2) for number in range(-(-(size >> 8 * level) // 256))]
    served, bundles = {}, {}
    for tile in tiles:
        served[tile.path] = (await rest.get(f"/log/{tile.path}")).content
        if tile.level == 0:
            path = Bundle(tile.number, tile.width).path
            answer = await rest.get(f"/log/{path}")
            assert answer.headers["content-encoding"] == "gzip"
            assert answer.headers["content-type"] == "application/octet-stream"
            assert "immutable" in answer.headers["cache-control"]
            bundles[path] = answer.content
    proofs = [(await rest.get("/checkpoint/consistency", **{"from": one})).json() for one in older]
    case: dict[str, object] = {
        "verifier": str(SIGNER.verifier),
        "checkpoint": (await rest.get("/log/checkpoint")).content,
        "tiles": served,
        "bundles": bundles,
        "older": [{"checkpoint": one["older"]["note"].encode(), "hashes": one["hashes"]} for one in proofs],
    }
    assert len(bundles) == 3
    assert judge(case)["Complaints"] == []


async def test_what_was_partial_keeps_its_address_when_it_is_full(rest: Rest) -> None:
    """Whoever holds an older checkpoint finds the tiles and bundles of that size, as they were."""
    size = await grow(rest, 100)
    paths = [f"tile/0/000.p/{size}", f"tile/entries/000.p/{size}"]
    before = [(await rest.get(f"/log/{path}")).content for path in paths]
    assert (await rest.get("/log/tile/entries/000")).status_code == 404
    await grow(rest, 200)
    assert [(await rest.get(f"/log/{path}")).content for path in paths] == before
    assert (await rest.get("/log/tile/entries/000")).status_code == 200
    assert (await rest.get("/log/tile/entries/001.p/45")).status_code == 404
    for wrong in ("tile/entries/0", "tile/entries/000.p/256", "tile/entries/000.p/0", "tile/entries/", "checkpoints"):
        answer = await rest.get(f"/log/{wrong}")
        assert (answer.status_code, answer.json()["code"]) == (400, "log.bad_tile"), wrong


async def forge(owner: asyncpg.Connection) -> None:
    """Change a leaf and forget every seal, as only the owner of the database can."""
    for table in ("checkpoint", "sealed_batch", "batch"):
        await owner.execute(f"ALTER TABLE {table} DISABLE TRIGGER ALL")
    await owner.execute("DELETE FROM checkpoint; DELETE FROM sealed_batch")
    await owner.execute("UPDATE batch SET leaf_hashes = sha256('forged') || substring(leaf_hashes FROM 33)")


async def test_go_agrees_that_a_rewritten_log_was_rewritten(
    judge: Judge, rest: Rest, owner: asyncpg.Connection, tmp_path: Path
) -> None:
    """What the monitor keeps as evidence convinces an implementation that shares nothing with it."""
    await grow(rest, 5)
    key = (await rest.new_key("ledger:read")).key
    async with RemoteLog(f"{rest.client.base_url}/v1/books/main/log", api_key=key, trust_env=False) as remote:
        at = dt.datetime(2026, 11, 21, tzinfo=dt.UTC)
        monitor = Monitor(remote, [SIGNER.verifier], tmp_path / "state", FixedClock(at))
        await monitor.look()
        await forge(owner)
        await grow(rest, 7)
        with pytest.raises(LogAlarm):
            await monitor.look()
    (file,) = tmp_path.glob("state.*.json")
    seen = json.loads(file.read_bytes())
    assert set(seen) == set(Evidence.__struct_fields__)
    case: dict[str, object] = {
        "verifier": str(SIGNER.verifier),
        "checkpoint": seen["found"].encode(),
        "rewritten": {"checkpoint": seen["known"].encode(), "hashes": seen["hashes"]},
        "rootWithin": seen["root_within"],
    }
    assert judge(case)["Complaints"] == []
    honest = judge(case | {"rootWithin": seen["hashes"][0]})["Complaints"]
    assert honest != []
