"""
A receiver of webhooks as a process of its own: ``python -m tests.webhook_sink PORT [quiet]``.

The first line it prints is its port, every other one a request as JSON, as soon as it has come (none, when quiet). How it
answers is in the path: ``/ok``, ``/status/503?retry-after=7``, ``/slow/0.5``, ``/refuse/invoice.paid`` (500 to that type
alone), ``/redirect``, ``/endless``, ``/garbage``, ``/close``, ``/hang``.
"""

import asyncio
import json
import sys
from collections.abc import Callable
from typing import Any, cast
from urllib.parse import parse_qs, urlsplit

import httptools
import uvloop

ENDLESS = b"x" * 4096


class Receiver(asyncio.Protocol):
    """One connection."""

    def __init__(self, tell: Callable[[dict[str, Any]], object] | None) -> None:
        """Tell of what comes."""
        self.tell = tell
        self.parser = httptools.HttpRequestParser(self)
        self.url = b""
        self.headers: dict[str, str] = {}
        self.body = bytearray()
        self.tasks: set[asyncio.Task[None]] = set()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Answer here."""
        self.transport = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:
        """Read on."""
        self.parser.feed_data(data)

    def on_message_begin(self) -> None:
        """Forget the request before."""
        self.url, self.headers, self.body = b"", {}, bytearray()

    def on_url(self, url: bytes) -> None:
        """Note the path."""
        self.url += url

    def on_header(self, name: bytes, value: bytes) -> None:
        """Note a header."""
        self.headers[name.decode().lower()] = value.decode()

    def on_body(self, body: bytes) -> None:
        """Note a piece of the body."""
        self.body += body

    def on_message_complete(self) -> None:
        """Report the request, and answer."""
        if self.tell is not None:
            self.tell({"path": self.url.decode(), "headers": self.headers, "body": self.body.decode()})
        way, _, rest = urlsplit(self.url.decode()).path.strip("/").partition("/")
        if way == "ok":
            self.answer(204)
        else:
            task = asyncio.get_running_loop().create_task(self.do(way, rest, bytes(self.body)))
            self.tasks.add(task)
            task.add_done_callback(self.tasks.discard)

    async def do(self, way: str, rest: str, body: bytes) -> None:
        """Answer as the path says."""
        match way:
            case "slow":
                await asyncio.sleep(float(rest))
                self.answer(200, b"at last")
            case "status":
                asked = parse_qs(urlsplit(self.url.decode()).query).get("retry-after")
                self.answer(int(rest), b"no\0 \xff" + b"n" * 500, *([f"retry-after: {asked[0]}"] if asked else []))
            case "refuse":
                self.answer(500 if json.loads(body)["type"] == rest else 200)
            case "redirect":
                self.answer(302, b"", "location: /ok")
            case "endless":
                self.transport.write(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n")
                while not self.transport.is_closing():
                    self.transport.write(b"%x\r\n%b\r\n" % (len(ENDLESS), ENDLESS))
                    await asyncio.sleep(0)
            case "garbage":
                self.transport.write(b"SSH-2.0-OpenSSH_9.9\r\n")
            case "close":
                self.transport.close()
            case _:
                pass

    def answer(self, status: int, body: bytes = b"", *headers: str) -> None:
        """Write an answer."""
        head = "".join(f"{one}\r\n" for one in headers)
        length = "" if status == 204 else f"content-length: {len(body)}\r\n"
        self.transport.write(f"HTTP/1.1 {status} -\r\n{length}{head}\r\n".encode() + (b"" if status == 204 else body))


async def main(port: int, *, quiet: bool) -> None:
    """Listen until killed, or until whoever started it is gone."""
    loop = asyncio.get_running_loop()
    tell = None if quiet else lambda told: print(json.dumps(told), flush=True)  # noqa: T201 - this is how it tells
    server = await loop.create_server(lambda: Receiver(tell), "127.0.0.1", port)
    print(server.sockets[0].getsockname()[1], flush=True)  # noqa: T201 - this is how it tells
    await loop.run_in_executor(None, sys.stdin.read)  # ends with its parent


if __name__ == "__main__":
    uvloop.run(main(int(sys.argv[1]), quiet="quiet" in sys.argv))
