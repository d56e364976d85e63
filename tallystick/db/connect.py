"""Connections: a pool whose sessions may append facts but not rewrite them."""

import asyncio
import contextlib
from collections.abc import Iterator
from typing import Any

import asyncpg

from tallystick.errors import InvalidInput, Kind, TallystickError

SCHEMA = "tallystick"
ROLE = "tallystick_app"
"""The role the product works as: it may insert facts and read them, never update or delete one."""


class StoreUnreachable(TallystickError):
    """The database cannot be reached; what was asked may or may not be done, so send it again under the same id."""

    code = "store.unreachable"
    kind = Kind.UNAVAILABLE


class StoreNotPrepared(TallystickError):
    """The database is not prepared for this version; run `tallystick migrate`."""

    code = "store.not_prepared"
    kind = Kind.UNAVAILABLE


class StoreBusy(TallystickError):
    """Others change the same things at the same time, again and again; nothing was done, try again."""

    code = "store.busy"
    kind = Kind.UNAVAILABLE


class StoreFull(TallystickError):
    """The database has no room left on its disk; nothing was changed."""

    code = "store.full"
    kind = Kind.UNAVAILABLE


LOST_CONNECTION = (
    OSError,
    asyncio.TimeoutError,
    asyncpg.PostgresConnectionError,
    asyncpg.InterfaceError,
    asyncpg.CannotConnectNowError,
    asyncpg.AdminShutdownError,
    asyncpg.CrashShutdownError,
    asyncpg.TooManyConnectionsError,
    asyncpg.InternalClientError,
)
"""What asyncpg raises when the server is away, going away, or coming back."""


async def open_pool(url: str, *, size: int = 10) -> asyncpg.Pool:
    """
    Open a pool of at most *size* connections that work as the role ``tallystick_app``.

    Raises:
        StoreUnreachable: nobody answers at *url* (``store.unreachable``).
        StoreNotPrepared: the schema or the role is missing (``store.not_prepared``).
    """
    asyncio.get_running_loop().set_exception_handler(_leave_losses_to_whoever_asked)
    try:
        pool = await asyncpg.create_pool(
            url,
            min_size=0,  # no more: the driver would restore them in the background, and complain there
            max_size=size,
            timeout=10,
            statement_cache_size=500,
            max_cacheable_statement_size=0,  # none is too long: the longest ones take longest to prepare
            reset=_leave_as_it_is,
            server_settings={
                "role": ROLE,
                "search_path": SCHEMA,
                "application_name": "tallystick",
                "timezone": "UTC",
                "jit": "off",
                "lock_timeout": "30s",
                "idle_in_transaction_session_timeout": "60s",
                # Whoever waited for a lock must see what its holder wrote: a snapshot as old as the transaction would not.
                "default_transaction_isolation": "read committed",
                # A plan is kept for the life of a connection, and one made while a table was small would read all of
                # it when it has grown: every query here has an index to go by.
                "enable_seqscan": "off",
            },
        )
        async with pool.acquire():
            return pool
    except (asyncpg.InvalidParameterValueError, asyncpg.UndefinedObjectError) as error:
        raise StoreNotPrepared from error
    except LOST_CONNECTION as error:
        raise StoreUnreachable from error


@contextlib.contextmanager
def faults_told() -> Iterator[None]:
    """
    Tell the faults of the store as errors of ours.

    Raises:
        StoreUnreachable: the server is away (``store.unreachable``).
        StoreFull: its disk is full (``store.full``).
        StoreBusy: a lock was not to be had in time (``store.busy``).
        InvalidInput: a value does not fit its column (``invalid_input``).
    """
    try:
        yield
    except (asyncpg.DataError, asyncpg.CharacterNotInRepertoireError, asyncpg.UntranslatableCharacterError) as error:
        raise InvalidInput(rule="A value is outside of what the store can hold") from error
    except asyncpg.LockNotAvailableError as error:
        raise StoreBusy from error
    except asyncpg.DiskFullError as error:
        raise StoreFull from error
    except LOST_CONNECTION as error:
        raise StoreUnreachable from error


async def _leave_as_it_is(_: asyncpg.Connection) -> None:
    """
    Spare the round trip that would reset the session whenever a connection goes back to the pool.

    Nothing is set on a session after it was opened, and an open transaction is rolled back before this. Who takes
    a lock that outlives a transaction, as a sealer does, closes the connection instead of giving it back.
    """


def _leave_losses_to_whoever_asked(loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
    """
    Say nothing here of a connection that was lost: whoever asked over it is told, once and in our words.

    The driver says it twice more, when it takes back a connection whose transaction it could not end, and when it
    drops the answer that nobody waits for since the next question failed first.
    """
    lost = isinstance(context.get("exception"), LOST_CONNECTION)
    if not lost and not str(context.get("message")).startswith("Resetting connection with an active transaction"):
        loop.default_exception_handler(context)


async def connect_as_owner(url: str) -> asyncpg.Connection:
    """
    Connect as the role that *url* names, which owns the schema: for migrations only.

    Raises:
        StoreUnreachable: nobody answers at *url* (``store.unreachable``).
    """
    try:
        return await asyncpg.connect(url, timeout=10, server_settings={"search_path": SCHEMA})
    except LOST_CONNECTION as error:
        raise StoreUnreachable from error
