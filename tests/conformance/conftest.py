"""A real server in front of the house, spoken to over real HTTP."""

import contextlib
import datetime as dt
import itertools
import socket
import uuid
from collections.abc import AsyncIterator
from dataclasses import dataclass

import httpx
import pytest_asyncio
import uvicorn
from starlette.types import ASGIApp

from tallystick.api.rest.app import make_app
from tallystick.api.rest.serve import server_config
from tallystick.clock import SystemClock
from tallystick.ids import uuid7
from tallystick.ledger.books import find_book
from tallystick.security.keys import create_key, hash_of, make_key
from tests.conftest import House

_numbers = itertools.count(1)


@dataclass(frozen=True, slots=True)
class Key:
    """An API key in its holder's hand."""

    key_id: uuid.UUID
    key: str


@dataclass(frozen=True, slots=True)
class Rest:
    """The book ``main`` over HTTP, asked by the holder of a key to everything."""

    house: House
    client: httpx.AsyncClient
    port: int

    async def get(self, path: str, **query: object) -> httpx.Response:
        """Read."""
        return await self.client.get(f"/v1/books/main{path}", params={name: str(one) for name, one in query.items()})

    async def get_raw(self, path: str) -> httpx.Response:
        """Read, with the query as it is given."""
        return await self.client.get(f"/v1/books/main{path}")

    async def post(self, path: str, key: str = "", /, **fields: object) -> httpx.Response:
        """Change."""
        headers = {"idempotency-key": key} if key else {}
        return await self.client.post(f"/v1/books/main{path}", json=fields, headers=headers)

    async def send(self, path: str, body: bytes, **headers: str) -> httpx.Response:
        """Change, with the body as it is given."""
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        return await self.client.post(f"/v1/books/main{path}", content=body, headers=named)

    async def open_accounts(self, *codes: str, asset: str = "USD") -> None:
        """Open accounts that nothing limits."""
        for code in codes:
            assert (await self.post("/accounts", account=code, asset=asset)).status_code == 200

    async def new_key(
        self, *scopes: str, book: str = "main", at: dt.datetime | None = None, expires_at: dt.datetime | None = None
    ) -> Key:
        """Make an API key."""
        key, made = make_key(), at or SystemClock().now()
        async with self.house.operations.pool.acquire() as connection:
            book_id = (await find_book(connection, book)).book_id
            name = f"key {next(_numbers)}"
            kept = await create_key(connection, book_id, name, scopes, hash_of(key), made, expires_at)
        return Key(kept.key_id, key)


def transfer(**changed: object) -> dict[str, object]:
    """Write a transfer of 250 cents from the bank to Ada, with what is *changed*."""
    return {"id": str(uuid7()), "debit": "bank", "credit": "ada", "amount": 250} | changed


@contextlib.asynccontextmanager
async def listening(app: ASGIApp) -> AsyncIterator[int]:
    """Serve *app* as the product does, on a port that is free."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        config = server_config(app)
        config.load()
        server = uvicorn.Server(config)
        server.lifespan = config.lifespan_class(config)
        await server.startup([listener])
        try:
            yield listener.getsockname()[1]
        finally:
            await server.shutdown([listener])


@pytest_asyncio.fixture
async def rest(house: House) -> AsyncIterator[Rest]:
    """Serve a fresh house with the accounts ``bank`` and ``ada``."""
    async with listening(make_app(house.operations)) as port:
        address = f"http://127.0.0.1:{port}"
        async with httpx.AsyncClient(base_url=address, timeout=20, trust_env=False) as client:
            served = Rest(house, client, port)
            client.headers["authorization"] = f"Bearer {(await served.new_key('*')).key}"
            await served.open_accounts("bank", "ada")
            yield served
