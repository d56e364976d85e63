"""CloudEvents as a gateway would send them, written before the clock runs."""

import datetime as dt
import random
from dataclasses import dataclass, field

from tallystick.clock import SystemClock
from tallystick.db.connect import open_pool
from tallystick.ids import uuid7
from tallystick.ledger.books import open_book
from tallystick.security.keys import create_key, hash_of, make_key

CUSTOMERS = 1_000
PER_BATCH = 1_000
_HEAD = (
    b"POST /v1/books/main/events HTTP/1.1\r\nhost: x\r\nauthorization: Bearer %s\r\n"
    b"content-type: application/%s\r\ncontent-length: %d\r\n\r\n"
)
_KEPT_BATCHES = 50


@dataclass(slots=True)
class Gateway:
    """Something that reports usage as it happens."""

    key: str
    repeats: int = 0
    """How many events of each batch were sent some batches before."""
    now: dt.datetime = field(default_factory=lambda: SystemClock().now())
    _sent: list[list[bytes]] = field(default_factory=list)
    """The newest batches."""

    def single(self) -> bytes:
        """Write a request with one event."""
        return self._request(b"cloudevents+json", self._event())

    def batch(self) -> bytes:
        """Write a request with a batch, some of its events repeats of events that were answered already."""
        known = [event for batch in self._sent[:-8] for event in batch]
        repeats = random.sample(known, self.repeats) if known else []
        events = [*repeats, *(self._event() for _ in range(PER_BATCH - len(repeats)))]
        random.shuffle(events)
        if self.repeats:
            self._sent = [*self._sent[-_KEPT_BATCHES:], events]
        return self._request(b"cloudevents-batch+json", b"[%b]" % b",".join(events))

    def _event(self) -> bytes:
        at = self.now - dt.timedelta(milliseconds=random.randrange(3_600_000))
        return (
            b'{"specversion":"1.0","id":"%b","source":"/gateway/1","type":"http.request","subject":"customer-%d",'
            b'"time":"%b","data":{"quantities":{"bytes":%d,"seconds":"0.%03d"},"status":200,"resource":"/v1/search"}}'
        ) % (
            str(uuid7()).encode(),
            random.randrange(CUSTOMERS),
            at.strftime("%Y-%m-%dT%H:%M:%S.%fZ").encode(),
            random.randrange(100_000),
            random.randrange(1, 1_000),
        )

    def _request(self, form: bytes, body: bytes) -> bytes:
        return _HEAD % (self.key.encode(), form, len(body)) + body


async def open_gateway_book(url: str) -> str:
    """Open the book, and return an API key that may record usage in it."""
    key, now = make_key(), SystemClock().now()
    pool = await open_pool(url)
    async with pool.acquire() as connection:
        book = await open_book(connection, "main", now)
        await create_key(connection, book.book_id, "gateway", ["usage:write"], hash_of(key), now, None)
    await pool.close()
    return key
