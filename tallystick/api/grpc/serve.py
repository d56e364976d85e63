"""The server of gRPC: its port and bounds, the contract's services on the operations table, health and reflection."""

import asyncio
import contextlib
import functools
from dataclasses import dataclass, field
from typing import Any

import grpc
from grpc_health.v1 import health, health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection

from tallystick.api.grpc.answer_calls import Calls
from tallystick.api.grpc.methods import SERVICES, methods_of
from tallystick.api.probe_store import STORE_SECONDS, store_answers
from tallystick.api.recognise import Recogniser, RefusalBook
from tallystick.operations.run import Operations

MOST_STREAMS = 64
"""So many calls of one connection are answered at once; more of them wait in the client."""
MOST_CALLS = 1_024
"""So many calls of all connections together; more of them are refused."""
_CLOSE_SECONDS = 10
_NAMES = [SERVICES[name].full_name for name in SERVICES]


@dataclass(slots=True)
class GrpcServer:
    """A server that has its port from the start, and takes calls once it is started."""

    host: str
    port: int
    most_bytes: int
    place: str = ""
    """Where it listens."""
    _server: Any = None
    _health: Any = field(default_factory=health.aio.HealthServicer)
    _watching: "asyncio.Task[None] | None" = None
    _answers: bool | None = None
    """What was told of the store last; None: nothing yet."""

    def __post_init__(self) -> None:
        """Take the port; it is taken whole, so that no second server shares it unnoticed."""
        options = [
            ("grpc.so_reuseport", 0),
            ("grpc.max_receive_message_length", self.most_bytes),
            ("grpc.max_concurrent_streams", MOST_STREAMS),
        ]
        self._server = grpc.aio.server(options=options, maximum_concurrent_rpcs=MOST_CALLS)
        host = f"[{self.host}]" if ":" in self.host else self.host
        self.place = f"{host}:{self._server.add_insecure_port(f'{host}:{self.port}')}"

    async def start(self, operations: Operations) -> None:
        """Begin to take calls."""
        calls = Calls(
            operations,
            Recogniser(operations.pool, operations.clock),
            RefusalBook(operations.pool, operations.clock),
        )
        for service in SERVICES:
            self._server.add_generic_rpc_handlers((_handler(calls, service),))
        health_pb2_grpc.add_HealthServicer_to_server(self._health, self._server)
        reflection.enable_server_reflection([*_NAMES, health.SERVICE_NAME, reflection.SERVICE_NAME], self._server)
        await self._tell_health(await store_answers(operations.pool))
        self._watching = asyncio.create_task(self._watch(operations))
        await self._server.start()

    async def stop(self) -> None:
        """Take no more calls; give those that are there a moment to have their answers, and end them."""
        if self._watching is not None:
            self._watching.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._watching
        await self._health.enter_graceful_shutdown()
        await self._server.stop(_CLOSE_SECONDS)

    async def _watch(self, operations: Operations) -> None:
        """Tell health by whether the store answers."""
        while True:
            await asyncio.sleep(STORE_SECONDS)
            await self._tell_health(await store_answers(operations.pool))

    async def _tell_health(self, answers: bool) -> None:  # noqa: FBT001 - it is what is told
        if answers == self._answers:
            return
        self._answers = answers
        status = health_pb2.HealthCheckResponse.SERVING if answers else health_pb2.HealthCheckResponse.NOT_SERVING
        for name in ("", *_NAMES):
            await self._health.set(name, status)


def _handler(calls: Calls, service: str) -> Any:  # noqa: ANN401 - the library has no types
    """Make what answers a service; messages are read by us, so that one that cannot be is told as any other mistake is."""
    handlers = {
        one.name.partition(".")[2]: grpc.unary_unary_rpc_method_handler(functools.partial(calls.answer, one))
        for one in methods_of(service)
    }
    return grpc.method_handlers_generic_handler(SERVICES[service].full_name, handlers)
