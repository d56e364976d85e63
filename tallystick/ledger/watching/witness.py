"""
A witness (C2SP tlog-witness): cosigns checkpoints of the logs it knows, and never two that contradict each other.

What it remembers of a log is the last checkpoint that it cosigned, in one file, on disk before anybody is answered.
"""

import asyncio
import contextlib
import fcntl
import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO

import structlog
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route
from starlette.types import ASGIApp

from tallystick.clock import Clock
from tallystick.errors import Kind, TallystickError
from tallystick.ledger.log import checkpoint as checkpoints
from tallystick.ledger.log import submission as submissions
from tallystick.ledger.log.checkpoint import Checkpoint
from tallystick.ledger.log.cosignature import Cosigner
from tallystick.ledger.log.note import BadSignature, Verifier, signature_line
from tallystick.ledger.log.note import parse as parse_note
from tallystick.ledger.log.proofs import BadProof
from tallystick.ledger.log.submission import BadSubmission, StaleSize, UnknownLog
from tallystick.ledger.write_whole import write_whole

SIZE_TYPE = "text/x.tlog.size"
_STATUS: dict[type[TallystickError], int] = {
    BadSubmission: 400,
    BadSignature: 403,
    UnknownLog: 404,
    StaleSize: 409,
    BadProof: 422,
}
_log = structlog.get_logger()


class WitnessTaken(TallystickError):
    """Another witness works in {directory}; two that share a memory could each sign what the other has not seen."""

    code = "log.witness_taken"
    kind = Kind.CONFLICT


@dataclass(slots=True)
class WitnessOffice:
    """A witness at work: its key, the logs it knows with their keys, and its memory."""

    cosigner: Cosigner
    logs: Mapping[str, Sequence[Verifier]]
    directory: Path
    clock: Clock
    _one_at_a_time: asyncio.Lock = field(default_factory=asyncio.Lock)

    @contextlib.contextmanager
    def holding(self) -> Iterator[None]:
        """
        Hold the directory while the context lasts.

        Raises:
            WitnessTaken: another process holds it (``log.witness_taken``).
        """
        self.directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        with (self.directory / "lock").open("w") as lock:
            _lock(lock, self.directory)
            yield

    async def add_checkpoint(self, body: bytes) -> bytes:
        """
        Cosign the checkpoint that *body* submits, and return the signature line.

        Raises:
            BadSubmission, UnknownLog, BadSignature: it is not acceptable from anyone (``log.…``).
            StaleSize: it does not start from what this witness cosigned last (``log.stale_size``).
            BadProof: it does not continue that (``log.bad_proof``).
        """
        submission = submissions.parse(body)
        checkpoint = submissions.judge_origin(submission, self.logs)
        async with self._one_at_a_time:
            submissions.judge_growth(submission, checkpoint, self._last(checkpoint.origin))
            time = int(self.clock.now().timestamp())
            line = signature_line(self.cosigner.cosign(str(checkpoint), time)).encode()
            path = self._path(checkpoint.origin)
            await asyncio.to_thread(write_whole, path, submission.checkpoint + line)
        return line

    def cosigned(self, origin_hash: str) -> bytes | None:
        """Return the last checkpoint cosigned of the log whose name has this SHA-256; None when there is none."""
        origin = next((one for one in self.logs if _hash(one) == origin_hash), None)
        if origin is None or not self._path(origin).exists():
            return None
        return self._path(origin).read_bytes()

    def _last(self, origin: str) -> Checkpoint | None:
        path = self._path(origin)
        return checkpoints.parse(parse_note(path.read_bytes()).text) if path.exists() else None

    def _path(self, origin: str) -> Path:
        return self.directory / f"{_hash(origin)}.checkpoint"


def make_witness_app(office: WitnessOffice) -> ASGIApp:
    """Make the application that offers what *office* does over HTTP."""

    async def add_checkpoint(request: Request) -> Response:
        body = bytearray()
        async for part in request.stream():
            body += part
            if len(body) > submissions.MAX_BYTES:
                return Response(status_code=413)
        try:
            return Response(await office.add_checkpoint(bytes(body)), media_type="text/plain")
        except StaleSize as stale:
            return Response(f"{stale.size}\n", _STATUS[StaleSize], headers={"content-type": SIZE_TYPE})
        except tuple(_STATUS) as refusal:
            _log.warning("not cosigned", reason=refusal.message)
            return Response(f"{refusal.message}\n", _STATUS[type(refusal)], media_type="text/plain")

    async def checkpoint(request: Request) -> Response:
        found = office.cosigned(request.path_params["origin_hash"])
        return Response(found or b"", 404 if found is None else 200, media_type="text/plain")

    return Starlette(
        routes=[
            Route("/add-checkpoint", add_checkpoint, methods=["POST"]),
            Route("/{origin_hash}/checkpoint", checkpoint, methods=["GET"]),
        ]
    )


def _hash(origin: str) -> str:
    return hashlib.sha256(origin.encode()).hexdigest()


def _lock(lock: IO[str], directory: Path) -> None:
    try:
        fcntl.flock(lock.fileno(), fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        raise WitnessTaken(directory=directory) from error
