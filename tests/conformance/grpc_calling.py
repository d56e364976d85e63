"""A running `tallystick up` that speaks gRPC and REST, and who may call it."""

import contextlib
import itertools
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

import grpc
import httpx
from google.protobuf.message import Message

from tallystick.api.grpc.generated import tallystick_pb2 as contract
from tallystick.api.grpc.methods import methods_of
from tallystick.security.keys import hash_of, make_key
from tests.scenarios.serving_up import KEY, SECONDS, Up, own_directory, up

_numbers = itertools.count(1)


@dataclass(frozen=True, slots=True)
class Said:
    """What a call was answered with."""

    answer: Any
    status: grpc.StatusCode
    details: str
    trailing: dict[str, Any]

    def refusal(self) -> tuple[str, str | None]:
        """Return code and field of a refusal, having looked at that all that tells it says the same."""
        status = contract.StatusDetails()
        status.ParseFromString(self.trailing["grpc-status-details-bin"])
        assert (status.code, status.message) == (self.status.value[0], self.details)
        refusal = contract.Refusal()
        assert status.details[0].Unpack(refusal)
        field = refusal.field if refusal.HasField("field") else None
        assert refusal.code == self.trailing["tallystick-code"]
        assert field == self.trailing.get("tallystick-field")
        assert refusal.rule == self.details != ""
        assert self.trailing["tallystick-retry"] == ("true" if refusal.retry else "false")
        return refusal.code, field


@dataclass(frozen=True, slots=True)
class Served:
    """A server, a channel to it, and an administrator's key to the book ``main``."""

    running: Up
    address: str
    key: str
    channel: Any
    rest: httpx.AsyncClient

    async def raw(self, name: str, data: bytes, key: str | None = None, seconds: float = SECONDS) -> Said:
        """Call a method with bytes."""
        service, _, method = name.partition(".")
        call = self.channel.unary_unary(f"/tallystick.v1.{service}/{method}")
        shown = self.key if key is None else key
        metadata = (("authorization", f"Bearer {shown}"),) if shown else ()
        under_way = call(data, metadata=metadata, timeout=seconds)
        answer = b""
        with contextlib.suppress(grpc.aio.AioRpcError):
            answer = await under_way
        trailing = {one: value for one, value in await under_way.trailing_metadata() or ()}  # noqa: C416 - no dict takes it
        return Said(answer, await under_way.code(), await under_way.details() or "", trailing)

    async def call(self, name: str, key: str | None = None, /, **fields: object) -> Said:
        """Call a method with the fields of its request, of the book ``main`` unless they say otherwise."""
        method = next(one for one in methods_of(name.partition(".")[0]) if one.name == name)
        request = method.request(**{"book": "main", **fields})
        said = await self.raw(name, request.SerializeToString(), key)
        response = method.response()
        response.ParseFromString(said.answer)
        return Said(response, said.status, said.details, said.trailing)

    async def do(self, name: str, /, **fields: object) -> Any:  # noqa: ANN401 - each method has its own
        """Call a method; it must go well."""
        said = await self.call(name, **fields)
        assert said.status is grpc.StatusCode.OK, said
        return said.answer

    async def post(self, path: str, **fields: object) -> httpx.Response:
        """Do the same over REST."""
        return await self.rest.post(path, json=fields)

    async def new_key(self, *scopes: str) -> str:
        """Make a key with these scopes."""
        key = make_key()
        answer = await self.post("/keys", name=f"key {next(_numbers)}", scopes=list(scopes), sha256=hash_of(key).hex())
        assert answer.status_code == 200, answer.text
        return key


@contextlib.asynccontextmanager
async def serving_grpc(**settings: str) -> AsyncIterator[Served]:
    """Serve, with a port for gRPC and dollars."""
    with own_directory() as directory:
        async with up(directory / "data", TALLYSTICK_GRPC_PORT="0", **settings) as running:
            key = KEY.findall(await running.hear(KEY.pattern))[0]
            address = (await running.hear("^  grpc ")).split()[-1]
            base = f"{running.address}/v1/books/main"
            headers = {"authorization": f"Bearer {key}"}
            async with (
                grpc.aio.insecure_channel(address, options=[("grpc.max_send_message_length", -1)]) as channel,
                httpx.AsyncClient(base_url=base, headers=headers, timeout=SECONDS, trust_env=False) as rest,
            ):
                served = Served(running, address, key, channel, rest)
                answer = await served.post("/assets", asset="USD", exponent=2)
                assert answer.status_code == 200, answer.text
                yield served


def invoice(reference: str, **changed: Any) -> dict[str, Any]:  # noqa: ANN401 - fields of any type
    """Write an invoice of 30 dollars that is due in 30 days, with what is *changed*."""
    whole = {
        "product": "loans",
        "reference": reference,
        "customer": "ada",
        "asset": "USD",
        "lines": [{"description": "instalment", "amount": 2_500}, {"description": "fee", "amount": 500}],
        "terms_days": 30,
    }
    return {name: value for name, value in (whole | changed).items() if value is not None}


def empty(response: Message) -> bool:
    """Say whether nothing is set in a response."""
    return not response.ListFields()
