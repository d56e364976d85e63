"""The composition root: what a process of Tallystick is made of, and how it starts and ends."""

import asyncio
import contextlib
import signal
import socket
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from dataclasses import dataclass, replace
from typing import Any, TypeVar

import structlog
import uvicorn

from tallystick.api.avro.answer_calls import Calls
from tallystick.api.avro.over_sockets import AvroOverSockets
from tallystick.api.grpc.serve import GrpcServer
from tallystick.api.recognise import Recogniser, RefusalBook
from tallystick.api.rest.app import make_app
from tallystick.api.rest.serve import server_config, spare_the_collector
from tallystick.errors import Kind, TallystickError
from tallystick.ledger.books import list_books
from tallystick.ledger.watching.ask_witness import parse_witnesses
from tallystick.open_store import FIRST_BOOK, Store, ensure_book, keys_directory, open_store
from tallystick.operations.carry_disputes import carry_disputes
from tallystick.operations.carry_payments import carry_payments
from tallystick.operations.carry_refunds import carry_refunds
from tallystick.operations.late_captures import carry_late_captures
from tallystick.operations.overdue_run import work_overdue
from tallystick.operations.provider_events import carry_events
from tallystick.operations.run import Operations
from tallystick.operations.sealing import Sealing
from tallystick.operations.witnessing import Witnessing
from tallystick.operations.work_alerts import work_alerts
from tallystick.operations.work_holds import work_holds
from tallystick.operations.work_keyvalue import work_keyvalue
from tallystick.operations.work_payouts import carry_payouts, work_payouts
from tallystick.operations.work_queues import Handler, QueueWorker, take_over
from tallystick.operations.work_totals import work_totals
from tallystick.operations.work_usage_months import work_usage_months
from tallystick.operations.work_wallets import work_wallets
from tallystick.operations.work_webhooks import Webhooks
from tallystick.payments import wake as payments
from tallystick.payments.disputes import queue as disputes
from tallystick.payments.hear import keep as provider_events
from tallystick.payments.late import queue as late_captures
from tallystick.payments.payouts import queue as payouts
from tallystick.payments.providers.configure import open_providers
from tallystick.payments.providers.registry import Providers
from tallystick.payments.refunds import queue as refunds
from tallystick.settings import Settings

_log = structlog.get_logger()

_Done = TypeVar("_Done")

HANDLERS: dict[str, Handler] = {
    payments.QUEUE: carry_payments,
    refunds.QUEUE: carry_refunds,
    disputes.QUEUE: carry_disputes,
    payouts.QUEUE: carry_payouts,
    provider_events.QUEUE: carry_events,
    late_captures.QUEUE: carry_late_captures,
}
"""Who works off which queue."""


class PortTaken(TallystickError):
    """Nothing can listen on {host}:{port} ({reason}); stop what does, or set {setting}."""

    code = "up.port_taken"
    kind = Kind.CONFLICT


@dataclass(frozen=True, slots=True)
class Started:
    """What there is to say when the server is up."""

    address: str
    first_key: str | None
    """The first administrator's key, at the first start only."""
    store: Store
    avro: str | None = None
    """Where Avro RPC is spoken over plain sockets; None: nowhere."""
    grpc: str | None = None
    """Where gRPC is spoken; None: nowhere."""


async def up(settings: Settings, announce: Callable[[Started], None], stop: asyncio.Event | None = None) -> None:
    """
    Serve REST, Avro RPC and gRPC, seal, and carry payments through, until a signal (or *stop*) says to end; then leave nothing running.

    Raises:
        TallystickError: it cannot start: ``store.…``, ``up.port_taken``.
    """
    stop = stop or asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    async with contextlib.AsyncExitStack() as stack:
        listener = _listen(settings.host, settings.port, "TALLYSTICK_PORT")
        stack.callback(listener.close)
        avro = None
        if settings.avro_port is not None:
            avro = _listen(settings.avro_host, settings.avro_port, "TALLYSTICK_AVRO_PORT")
            stack.callback(avro.close)
        grpc = _bind_grpc(settings)
        started = await _unless(stop, _start(settings, stack, f"http://{_place(listener)}"))
        if started is None:
            return
        operations = started.store.operations
        if avro is not None:
            await _speak_avro(settings, operations, avro, stack)
            started = replace(started, avro=_place(avro))
        if grpc is not None:
            await grpc.start(operations)
            stack.push_async_callback(grpc.stop)
            started = replace(started, grpc=grpc.place)
        app = make_app(
            operations,
            most_import_bytes=settings.most_import_bytes,
            most_call_bytes=settings.most_call_bytes,
            templates=settings.templates,
        )
        server = _Server(server_config(app))
        stack.push_async_callback(_cancel, [asyncio.create_task(_end(server, stop))])
        spare_the_collector()
        announce(started)
        await server.serve(sockets=[listener])


async def _start(settings: Settings, stack: contextlib.AsyncExitStack, address: str) -> Started:
    """Start all that stands behind the address; *stack* ends it."""
    store = await stack.enter_async_context(open_store(settings, attach=False))
    providers, beside = await stack.enter_async_context(open_providers(settings))
    store.operations.resources[Providers] = providers
    first_key = await _ensure_first_book(store.operations)
    if store.server is not None:
        await take_over(store.operations)
    queues = QueueWorker(store.operations, HANDLERS)
    store.operations.resources[QueueWorker] = queues
    workers = [*_workers(settings, store), *beside]
    stack.push_async_callback(_cancel, [asyncio.create_task(_keep_going(*worker)) for worker in workers])
    return Started(address, first_key, store)


async def _speak_avro(
    settings: Settings, operations: Operations, listener: socket.socket, stack: contextlib.AsyncExitStack
) -> None:
    """Speak Avro RPC on the plain sockets of *listener*; *stack* ends it."""
    recogniser = Recogniser(operations.pool, operations.clock)
    calls = Calls(operations, recogniser, RefusalBook(operations.pool, operations.clock))
    door = AvroOverSockets(calls, settings.most_call_bytes, settings.avro_connections)
    await door.start(listener)
    stack.push_async_callback(door.stop)


def _bind_grpc(settings: Settings) -> GrpcServer | None:
    """Take the port for gRPC, if there is to be one; looking first tells what is in the way better than the library does."""
    if settings.grpc_port is None:
        return None
    _listen(settings.grpc_host, settings.grpc_port, "TALLYSTICK_GRPC_PORT").close()
    return GrpcServer(settings.grpc_host, settings.grpc_port, settings.most_call_bytes)


async def _ensure_first_book(operations: Operations) -> str | None:
    """
    At the first start, open the first book; return its first key, None ever after.

    A first start that died between the book and its key is made good by the next.
    """
    books = await operations.work(list_books)
    if books and FIRST_BOOK not in {book.name for book in books}:
        return None
    return await ensure_book(operations, FIRST_BOOK)


class _Server(uvicorn.Server):
    """Uvicorn without its signal handlers: when to end is decided in `up`."""

    @contextlib.contextmanager
    def capture_signals(self):  # type: ignore[no-untyped-def]  # noqa: ANN202 - the base class has no types for it
        """Leave the signals alone."""
        yield


async def _end(server: uvicorn.Server, stop: asyncio.Event) -> None:
    """Let the server finish what it is answering once *stop* is set."""
    await stop.wait()
    server.should_exit = True


async def _unless(stop: asyncio.Event, work: Coroutine[None, None, _Done]) -> _Done | None:
    """Run *work* to its end, or cancel it when *stop* is set first and return None."""
    working, stopping = asyncio.create_task(work), asyncio.create_task(stop.wait())
    await asyncio.wait({working, stopping}, return_when=asyncio.FIRST_COMPLETED)
    if not working.done():
        await _cancel([working])
        return None
    await _cancel([stopping])
    return working.result()


def _listen(host: str, port: int, setting: str) -> socket.socket:
    """Take the ports first of all: when one is taken, nothing else has been started."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((host, port))
        listener.listen(2048)
    except OSError as error:
        listener.close()
        raise PortTaken(host=host, port=port, reason=error.strerror, setting=setting) from error
    return listener


def _place(listener: socket.socket) -> str:
    """Return the address and port of a listening socket."""
    host, port = listener.getsockname()[:2]
    return f"{host}:{port}"


Worker = tuple[str, Callable[[], Awaitable[None]]]


def _workers(settings: Settings, store: Store) -> list[Worker]:
    sealing = Sealing(store.operations, keys_directory(settings), settings.log_origin)
    workers: list[Worker] = [
        ("sealing", sealing.run),
        ("holds", lambda: work_holds(store.operations)),
        ("wallets", lambda: work_wallets(store.operations)),
        ("due dates", lambda: work_overdue(store.operations)),
        ("queues", store.operations.resources[QueueWorker].run),
        ("payouts", lambda: work_payouts(store.operations)),
        ("usage totals", lambda: work_totals(store.operations)),
        ("usage months", lambda: work_usage_months(store.operations)),
        ("webhooks", Webhooks.of(store.operations).run),
        ("alerts", lambda: work_alerts(store.operations)),
        ("keys and values", lambda: work_keyvalue(store.operations)),
    ]
    if settings.witnesses:
        witnessing = Witnessing(store.operations, parse_witnesses(settings.witnesses))
        workers.append(("witnessing", witnessing.run))
    if store.server is not None:
        workers.append(("postgres", store.server.keep_alive))
    return workers


async def _keep_going(name: str, work: Callable[[], Awaitable[None]]) -> None:
    """Run a worker for as long as the server runs: what it trips over is told, and it starts again."""
    while True:
        try:
            await work()
        except Exception:  # noqa: BLE001 - one worker's fault must not end the others
            _log.exception("worker starts again", worker=name)
        await asyncio.sleep(1)


async def _cancel(tasks: Sequence[asyncio.Task[Any]]) -> None:
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
