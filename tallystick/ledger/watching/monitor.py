"""
Monitor: follow somebody's log over HTTP, and raise an alarm when it is not the one it was.

    checkpoint ─ signed by a known key, of this log, not smaller than the last
         │
       tiles ─── hash to its root, and the root that the last one had is in them
         │
      entries ── each hashes to its leaf, and the leaves to the root          (where asked for)

What has passed all of it is the new last checkpoint, in a file of its own. What has not is kept beside it as evidence,
and the last checkpoint stays.
"""

import asyncio
import datetime as dt
import hashlib
from collections import deque
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator, Sequence
from dataclasses import dataclass, field
from enum import Enum
from pathlib import Path
from typing import Any, TypeVar

import msgspec

from tallystick.clock import Clock
from tallystick.errors import InvalidInput, Kind, TallystickError
from tallystick.ledger.log import checkpoint as checkpoints
from tallystick.ledger.log.checkpoint import Checkpoint
from tallystick.ledger.log.entries import BadBundle, Bundle
from tallystick.ledger.log.note import Verifier, decode_base64, encode_base64
from tallystick.ledger.log.note import parse as parse_note
from tallystick.ledger.log.proofs import (
    BadProof,
    consistency_proof,
    ranges_for_growth,
    ranges_for_root,
    root_within,
    verify_consistency,
)
from tallystick.ledger.log.tiles import FULL_WIDTH, Tile, tile_at
from tallystick.ledger.log.tree import HASH_SIZE, Frontier, leaf_hash
from tallystick.ledger.watching.remote_log import LogMissing, LogUnreachable, RemoteLog
from tallystick.ledger.write_whole import write_whole

FORMAT = "tallystick-log-evidence@v1"
_AHEAD = 4
_LONGEST_PAUSE = 600.0
_Read = TypeVar("_Read")
Progress = Callable[[int, int], None]
"""Told how many leaves were read, and how many there are."""


class What(Enum):
    """What is wrong with a log."""

    BAD_CHECKPOINT = "bad_checkpoint"
    """The checkpoint is none, of another log, or not signed by a known key."""
    SHRUNK = "shrunk"
    """The log has fewer leaves than it had."""
    FORKED = "forked"
    """Two checkpoints of one size have different roots: proof by themselves."""
    REWRITTEN = "rewritten"
    """The newer tree does not begin with the older one: proof, with the hashes that show it."""
    TILES_DIFFER = "tiles_differ"
    """What is served does not hash to what is signed."""
    ENTRY_DIFFERS = "entry_differs"
    """An entry does not hash to its leaf."""
    MISSING = "missing"
    """What the checkpoint promises is not served."""


class Reading(Enum):
    """How much of a log is read."""

    TILES = "tiles"
    """The few tiles that show the new tree to begin with the old one."""
    ENTRIES = "entries"
    """Every new leaf and entry as well; at first contact that is all of them."""
    WHOLE = "whole"
    """At the next look all leaves and entries from the first on, whatever was read before; then new ones."""


class Evidence(msgspec.Struct, frozen=True):
    """
    What was seen when an alarm was raised, for others to check; hashes, tiles and entries are in Base64.

    ``forked`` and ``rewritten`` need nobody's word: both notes are signed, and their roots contradict each other; for
    ``rewritten``, ``hashes`` prove that the tree of ``found`` begins with a tree of the size of ``known`` whose root is
    ``root_within``, and not the root that ``known`` signs (RFC 9162 §2.1.4.2). The others show what the log served.
    """

    format: str
    what: str
    says: str
    origin: str
    keys: list[str]
    url: str
    seen_at: dt.datetime
    known: str | None
    """The last checkpoint that was good."""
    found: str | None
    """The one that gave the alarm."""
    root_within: str | None = None
    hashes: list[str] = []
    tiles: dict[str, str] = {}
    entry: dict[str, str] = {}


class LogAlarm(TallystickError):
    """ALARM, the log {origin} is not what it was: {reason}."""

    code = "log.alarm"
    kind = Kind.REFUSED

    def __init__(self, what: What, origin: str, reason: str, **seen: object) -> None:
        """Keep what is wrong, and what was *seen*: fields of the evidence."""
        super().__init__(origin=origin, reason=reason)
        self.what = what
        self.reason = reason
        self.seen = seen


class BadEvidence(TallystickError):
    """The file proves nothing against the log: {reason}."""

    code = "log.bad_evidence"
    kind = Kind.INVALID


@dataclass(slots=True)
class Monitor:
    """One log that is followed, with the file that holds its last good checkpoint."""

    remote: RemoteLog
    verifiers: Sequence[Verifier]
    state: Path
    clock: Clock
    reading: Reading = Reading.TILES
    progress: Progress | None = None
    origin: str = field(init=False)

    def __post_init__(self) -> None:
        """Take the log's name from its keys (InvalidInput: they are of different logs)."""
        names = {verifier.name for verifier in self.verifiers}
        if len(names) != 1:
            raise InvalidInput(field="--key", rule="Expected keys of one log, one at least")
        self.origin = names.pop()

    async def look(self) -> Checkpoint:
        """
        Read the log's newest checkpoint, and keep it as the last good one if it continues the last.

        Raises:
            LogUnreachable: it cannot be read now, which says nothing about it (``log.unreachable``).
            LogAlarm: it does not continue the last, or does not hold in itself; evidence is kept (``log.alarm``).
        """
        known = self._last()
        note: bytes | None = None
        try:
            note = await self.remote.read_checkpoint()
            checkpoint = await self._judge(note, known)
        except LogMissing as missing:
            raise self._kept(LogAlarm(What.MISSING, self.origin, missing.message), known, note) from missing
        except LogAlarm as alarm:
            raise self._kept(alarm, known, note) from alarm.__cause__
        if self.reading is Reading.WHOLE:
            self.reading = Reading.ENTRIES
        if note is not None and note != known:
            write_whole(self.state, note)
        return checkpoint

    async def _judge(self, note: bytes | None, known_note: bytes | None) -> Checkpoint:
        known = None if known_note is None else checkpoints.parse(parse_note(known_note).text)
        if note is None:
            if known is not None:
                raise LogAlarm(What.SHRUNK, self.origin, f"it had {known.size} leaves, and says now that it is empty")
            raise LogUnreachable(reason="nothing is sealed in it yet")
        try:
            found = checkpoints.verify(note, self.verifiers, self.origin)
        except TallystickError as error:
            raise LogAlarm(What.BAD_CHECKPOINT, self.origin, error.message) from error
        if known is not None:
            await self._judge_growth(known, found)
        else:
            await self._judge_root(found)
        if self.reading is not Reading.TILES:
            start = 0 if self.reading is Reading.WHOLE or known is None else known.size
            await self._judge_leaves(start, found)
        return found

    async def _judge_growth(self, known: Checkpoint, found: Checkpoint) -> None:
        """Find that the tree of *found* begins with that of *known*, by tiles that hash to its root."""
        if found.size < known.size:
            reason = f"it had {known.size} leaves, and shows {found.size} now"
            raise LogAlarm(What.SHRUNK, self.origin, reason)
        if found.size == known.size:
            if found.root != known.root:
                raise LogAlarm(What.FORKED, self.origin, f"it signed two different trees of {found.size} leaves")
            return
        tiles = await self.remote.read_tiles(ranges_for_growth(known.size, found.size))
        root = root_within(known.size, found.size, tiles)
        hashes = consistency_proof(known.size, found.size, tiles)
        try:
            verify_consistency(known.size, found.size, root, found.root, hashes)
        except BadProof as error:
            raise self._tiles_differ(found, tiles) from error
        if root != known.root:
            reason = f"its first {known.size} leaves are not those that it signed before"
            shown = [encode_base64(value) for value in hashes]
            raise LogAlarm(What.REWRITTEN, self.origin, reason, root_within=encode_base64(root), hashes=shown)

    async def _judge_root(self, found: Checkpoint) -> None:
        tiles = await self.remote.read_tiles(ranges_for_root(found.size))
        if root_within(found.size, found.size, tiles) != found.root:
            raise self._tiles_differ(found, tiles)

    async def _judge_leaves(self, start: int, found: Checkpoint) -> None:
        """Read every leaf from *start* on with its entry, and find that they make up the tree that is signed."""
        edge = await self.remote.read_tiles(ranges_for_root(start))
        frontier = Frontier.restore(start, edge.__getitem__)
        tile_roots: dict[int, list[bytes]] = {}
        async for tile, hashes, entries in _in_turn(_tiles_from(start, found.size), self._read_leaves):
            self._judge_entries(tile, hashes, entries)
            fresh = max(0, frontier.size - tile.first)
            for level, _, root in frontier.append(hashes[fresh * HASH_SIZE :]):
                tile_roots.setdefault(level, []).append(root)
            if self.progress is not None:
                self.progress(frontier.size, found.size)
        if frontier.root() != found.root:
            reason = "the leaves that it serves are not those that it signed"
            raise LogAlarm(What.TILES_DIFFER, self.origin, reason)
        if start == 0:
            await self._judge_tiles_above(found, tile_roots)

    async def _judge_tiles_above(self, found: Checkpoint, tile_roots: dict[int, list[bytes]]) -> None:
        """Find in the tiles of the levels above what the leaves hash to."""
        for level, roots in tile_roots.items():
            for number in range(-(-len(roots) // FULL_WIDTH)):
                tile = tile_at(level, number, found.size)
                content = await self.remote.read_tile(tile)
                if content != b"".join(roots[tile.first : tile.first + tile.width]):
                    raise self._tiles_differ(found, {tile: content})

    async def _read_leaves(self, tile: Tile) -> tuple[Tile, bytes, list[bytes]]:
        try:
            hashes, entries = await asyncio.gather(
                self.remote.read_tile(tile), self.remote.read_entries(Bundle(tile.number, tile.width))
            )
        except BadBundle as error:
            raise LogAlarm(What.ENTRY_DIFFERS, self.origin, f"bundle {tile.number}: {error.message}") from error
        return tile, hashes, entries

    def _judge_entries(self, tile: Tile, hashes: bytes, entries: Sequence[bytes]) -> None:
        for at, entry in enumerate(entries):
            leaf = hashes[at * HASH_SIZE : (at + 1) * HASH_SIZE]
            if leaf_hash(entry) != leaf:
                place = tile.first + at
                shown = {"place": str(place), "entry": encode_base64(entry), "leaf_hash": encode_base64(leaf)}
                reason = f"the entry at place {place} is not the one whose hash is in the tree"
                raise LogAlarm(What.ENTRY_DIFFERS, self.origin, reason, entry=shown)

    def _tiles_differ(self, found: Checkpoint, tiles: dict[Tile, bytes]) -> LogAlarm:
        shown = {tile.path: encode_base64(content) for tile, content in tiles.items()}
        reason = f"the tiles that it serves do not hash to the tree of {found.size} leaves that it signed"
        return LogAlarm(What.TILES_DIFFER, self.origin, reason, tiles=shown)

    def _last(self) -> bytes | None:
        """Return the last good checkpoint; None at first contact."""
        try:
            note = self.state.read_bytes()
        except FileNotFoundError:
            return None
        try:
            origin = checkpoints.parse(parse_note(note).text).origin
        except TallystickError as error:
            raise InvalidInput(field="--state", rule=f"{self.state} is no checkpoint: {error.message}") from error
        if origin != self.origin:
            raise InvalidInput(field="--state", rule=f"{self.state} is of the log {origin}, not of {self.origin}")
        return note

    def _kept(self, alarm: LogAlarm, known: bytes | None, found: bytes | None) -> LogAlarm:
        """Keep the evidence beside the state, once for each pair of checkpoints, and say where."""
        evidence = Evidence(
            FORMAT, alarm.what.value, alarm.reason, self.origin, [str(one) for one in self.verifiers], self.remote.shown_url,
            self.clock.now(), _readable(known), _readable(found), **alarm.seen,  # type: ignore[arg-type]  # by `raise LogAlarm`
        )  # fmt: skip
        pair = hashlib.sha256(b"\0".join([alarm.what.value.encode(), known or b"", found or b""])).hexdigest()
        path = self.state.with_name(f"{self.state.name}.{alarm.what.value}-{pair[:12]}.json")
        if not path.exists():
            write_whole(path, msgspec.json.format(msgspec.json.encode(evidence), indent=2) + b"\n")
        said = LogAlarm(alarm.what, self.origin, f"{alarm.reason}; evidence in {path}", **alarm.seen)
        said.reason = alarm.reason
        return said


async def follow(
    monitor: Monitor, every: float, tell: Callable[[Checkpoint | LogAlarm | LogUnreachable], None]
) -> None:
    """Look at the log again and again, *every* so many seconds, and *tell* each outcome; wait longer while it is away."""
    pause = every
    while True:
        try:
            tell(await monitor.look())
            pause = every
        except LogAlarm as alarm:
            tell(alarm)
            pause = every
        except LogUnreachable as away:
            tell(away)
            pause = min(2 * pause, max(every, _LONGEST_PAUSE))
        await asyncio.sleep(pause)


def judge_evidence(file: bytes, verifiers: Sequence[Verifier]) -> What:
    """
    Return what a file of evidence proves against a log by its signatures alone, if it does.

    Raises:
        BadEvidence: it is none, or not proof without trusting whoever wrote it (``log.bad_evidence``).
        TallystickError: a checkpoint in it is not signed by a key of *verifiers* (``log.…``).
    """
    try:
        evidence = msgspec.json.decode(file, type=Evidence)
        hashes = [decode_base64(value) for value in evidence.hashes]
        within = None if evidence.root_within is None else decode_base64(evidence.root_within)
    except (msgspec.MsgspecError, UnicodeDecodeError, ValueError) as error:
        raise BadEvidence(reason=str(error)) from error
    if evidence.known is None or evidence.found is None or not verifiers:
        raise BadEvidence(reason="it takes two signed checkpoints, and the log's key")
    origin = verifiers[0].name
    known = checkpoints.verify(evidence.known.encode(), verifiers, origin)
    found = checkpoints.verify(evidence.found.encode(), verifiers, origin)
    if known.size == found.size and known.root != found.root:
        return What.FORKED
    if within is not None and within != known.root:
        verify_consistency(known.size, found.size, within, found.root, hashes)
        return What.REWRITTEN
    raise BadEvidence(reason="the two checkpoints do not contradict each other")


def _tiles_from(start: int, size: int) -> Iterator[Tile]:
    for number in range(start // FULL_WIDTH, -(-size // FULL_WIDTH)):
        yield tile_at(0, number, size)


async def _in_turn(tiles: Iterator[Tile], read: Callable[[Tile], Coroutine[Any, Any, _Read]]) -> AsyncIterator[_Read]:
    """Read tiles a few ahead, and give what was read in their order."""
    under_way: deque[asyncio.Task[_Read]] = deque()
    try:
        for tile in tiles:
            under_way.append(asyncio.create_task(read(tile)))
            if len(under_way) > _AHEAD:
                yield await under_way.popleft()
        while under_way:
            yield await under_way.popleft()
    finally:
        for task in under_way:
            task.cancel()
        await asyncio.gather(*under_way, return_exceptions=True)


def _readable(note: bytes | None) -> str | None:
    return None if note is None else note.decode(errors="replace")
