"""A log as others see it: checkpoint, tiles and entries over HTTP (C2SP tlog-tiles), of which nothing is believed."""

import asyncio
import re
from collections.abc import Iterable
from http import HTTPStatus
from types import TracebackType
from typing import Self

import aiohttp
import msgspec

from tallystick.errors import Kind, TallystickError
from tallystick.ledger.log.entries import MAX_ENTRY, Bundle, decode_bundle
from tallystick.ledger.log.tiles import FULL_WIDTH, Tile
from tallystick.ledger.log.tree import HASH_SIZE

_MOST_AT_ONCE = 8
_MOST_CHECKPOINT_BYTES = 1 << 20
_MOST_BUNDLE_BYTES = FULL_WIDTH * (MAX_ENTRY + 2)
_TRIES_OF_MISSING = 3
_CREDENTIALS = re.compile(r"//[^/@]*@")
_EMPTY_LOG = "ledger.nothing_sealed"


class LogUnreachable(TallystickError):
    """The log cannot be read: {reason}."""

    code = "log.unreachable"
    kind = Kind.UNAVAILABLE


class LogMissing(TallystickError):
    """The log does not serve {path}, which its checkpoint promises."""

    code = "log.missing"
    kind = Kind.NOT_FOUND


_CODE = re.compile(r"[a-z_.]{1,64}", re.ASCII)


class _Problem(msgspec.Struct):
    code: str = ""


class RemoteLog:
    """A log behind a URL prefix; what is read has the right length and is otherwise as it came."""

    def __init__(
        self, url: str, *, api_key: str | None = None, seconds: float = 20.0, pause: float = 0.5, trust_env: bool = True
    ) -> None:  # fmt: skip
        """Read below *url*, with *api_key* if the log asks for one; an answer has *seconds*, a retry waits for *pause*."""
        self._seconds = seconds
        headers = {"accept-encoding": "gzip, identity"}
        if api_key is not None:
            headers["authorization"] = f"Bearer {api_key}"
        self.url = url.rstrip("/")
        self.shown_url = _CREDENTIALS.sub("//", self.url)
        """The address without a name and password that may be in it."""
        self._pause = pause
        self._turn = asyncio.Semaphore(_MOST_AT_ONCE)
        self._http = aiohttp.ClientSession(headers=headers, cookie_jar=aiohttp.DummyCookieJar(), trust_env=trust_env)

    async def __aenter__(self) -> Self:
        """Return itself."""
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close the connections."""
        await self._http.close()

    async def read_checkpoint(self) -> bytes | None:
        """
        Return the newest signed checkpoint; None when the log says of itself that it is empty.

        Raises:
            LogUnreachable: there is no answer, or none of use (``log.unreachable``).
        """
        status, body = await self._get("checkpoint", _MOST_CHECKPOINT_BYTES)
        if status == HTTPStatus.NOT_FOUND and _code_of(body) == _EMPTY_LOG:
            return None
        if status != HTTPStatus.OK:
            raise LogUnreachable(reason=_refusal(status, body))
        return body

    async def read_tiles(self, tiles: Iterable[Tile]) -> dict[Tile, bytes]:
        """
        Return the hashes of each tile.

        Raises:
            LogUnreachable: there is no answer, or none of use (``log.unreachable``).
            LogMissing: the log says that it has none such (``log.missing``).
        """
        wanted = sorted(tiles)
        contents = await asyncio.gather(*(self.read_tile(tile) for tile in wanted))
        return dict(zip(wanted, contents, strict=True))

    async def read_tile(self, tile: Tile) -> bytes:
        """Return the hashes of one tile; raises what `read_tiles` does."""
        content = await self._read(tile.path, tile.width * HASH_SIZE)
        if content is None and tile.width < FULL_WIDTH:
            full = await self._read(tile._replace(width=FULL_WIDTH).path, FULL_WIDTH * HASH_SIZE)
            content = None if full is None else full[: tile.width * HASH_SIZE]
        if content is None or len(content) != tile.width * HASH_SIZE:
            raise LogMissing(path=tile.path)
        return content

    async def read_entries(self, bundle: Bundle) -> list[bytes]:
        """
        Return the entries of a bundle.

        Raises:
            LogUnreachable: there is no answer, or none of use (``log.unreachable``).
            LogMissing: the log says that it has none such (``log.missing``).
            BadBundle: what came is malformed (``log.bad_bundle``).
        """
        content = await self._read(bundle.path, _MOST_BUNDLE_BYTES)
        if content is not None:
            return decode_bundle(content, bundle.width)
        full = None
        if bundle.width < FULL_WIDTH:
            full = await self._read(Bundle(bundle.number).path, _MOST_BUNDLE_BYTES)
        if full is None:
            raise LogMissing(path=bundle.path)
        return decode_bundle(full, FULL_WIDTH)[: bundle.width]

    async def _read(self, path: str, most_bytes: int) -> bytes | None:
        """Return what lies at *path*; None when the log says again and again that nothing does."""
        for attempt in range(_TRIES_OF_MISSING):
            if attempt:
                await asyncio.sleep(self._pause * attempt)
            status, body = await self._get(path, most_bytes)
            if status == HTTPStatus.OK:
                return body
            if status not in {HTTPStatus.NOT_FOUND, HTTPStatus.GONE}:
                raise LogUnreachable(reason=_refusal(status, body))
        return None

    async def _get(self, path: str, most_bytes: int) -> tuple[int, bytes]:
        """Return status and body, as much of it as may be; a body beyond that is refused."""
        try:
            async with (
                asyncio.timeout(self._seconds),  # for all of it: one byte now and then is no answer either
                self._turn,
                self._http.get(f"{self.url}/{path}", allow_redirects=False) as answer,
            ):
                body = bytearray()
                async for part in answer.content.iter_any():
                    body += part
                    if len(body) > max(most_bytes, _MOST_CHECKPOINT_BYTES):
                        raise LogUnreachable(reason=f"{path} has no end")
                return answer.status, bytes(body)
        except (aiohttp.ClientError, OSError, ValueError) as error:
            raise LogUnreachable(reason=str(error) or type(error).__name__) from error


def _code_of(body: bytes) -> str:
    """Return the code of a problem, empty where *body* is none."""
    try:
        code = msgspec.json.decode(body, type=_Problem).code
        return code if _CODE.fullmatch(code) else ""  # it is printed, and a stranger wrote it
    except (msgspec.MsgspecError, UnicodeDecodeError):
        return ""


def _refusal(status: int, body: bytes) -> str:
    return f"HTTP {status} {_code_of(body)}".strip()
