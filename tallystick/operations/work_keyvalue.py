"""The sweep of expired values: their rows go, a bite at a time, so that the table stays as small as what is alive."""

import asyncio

import structlog

from tallystick.errors import TallystickError
from tallystick.keyvalue.in_postgres import KeyValueInPostgres
from tallystick.keyvalue.model import KeyValue
from tallystick.operations.run import Operations

_log = structlog.get_logger()
_BITE = 1_000
_PAUSE = 10.0
_BETWEEN_BITES = 0.05


async def work_keyvalue(operations: Operations) -> None:
    """Sweep until cancelled; a store that sweeps itself is left alone, and one that is away is waited for."""
    store = operations.resources.get(KeyValue)
    while isinstance(store, KeyValueInPostgres):
        pause = _PAUSE
        try:
            if await store.sweep(_BITE) == _BITE:
                pause = _BETWEEN_BITES
        except TallystickError as error:
            _log.warning("expired values are not swept", code=error.code)
        await asyncio.sleep(pause)
    await asyncio.Event().wait()
