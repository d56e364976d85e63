"""Sessions: what a customer's screen needs while the customer completes a payment, for as long as there is time to."""

import datetime as dt
import uuid
from collections.abc import Mapping

import msgspec
import structlog

from tallystick.errors import TallystickError
from tallystick.keyvalue.model import KeyValue

_log = structlog.get_logger()


class Session(msgspec.Struct, frozen=True):
    """A payment that waits for its customer. What is true of the payment is in its tables; this only helps to show it."""

    payment_id: uuid.UUID
    user: str
    amount: int
    """Minor units."""
    asset: str
    provider: str
    token: str
    """What the customer's device shows the provider."""
    action_url: str | None = None
    """Where the customer does what the provider asks for; None while it asks for nothing."""

    def __repr__(self) -> str:
        """Leave out who pays, and what lets somebody pay: what is printed may end in a log."""
        return f"Session(payment_id={str(self.payment_id)!r}, provider={self.provider!r})"


async def keep_session(
    store: KeyValue, book: str, transaction_id: str, session: Session, lifetime: dt.timedelta
) -> None:
    """
    Keep a session under the provider's transaction id, in place of the one there.

    Where that fails, it is told and nothing else: the payment goes on without. Not for inside a transaction.
    """
    await keep_sessions(store, book, session.provider, {transaction_id: session}, lifetime)


async def keep_sessions(
    store: KeyValue, book: str, provider: str, sessions: Mapping[str, Session], lifetime: dt.timedelta
) -> None:
    """Keep many sessions of a provider's transactions at once, as `keep_session` keeps one."""
    values = {transaction_id: msgspec.json.encode(one) for transaction_id, one in sessions.items()}
    try:
        await store.put_many(_bucket(book, provider), values, lifetime)
    except TallystickError as error:
        _log.warning("sessions are not kept", count=len(values), code=error.code)


async def find_session(store: KeyValue, book: str, provider: str, transaction_id: str) -> Session | None:
    """Return the session of a transaction, None when there is none, its time is over, or nobody can tell now."""
    try:
        entry = await store.get(_bucket(book, provider), transaction_id)
        return None if entry is None else msgspec.json.decode(entry.value, type=Session)
    except TallystickError as error:
        _log.warning("a session is not found", provider=provider, code=error.code)
    except msgspec.MsgspecError:  # kept by a version that had others
        _log.warning("a session is not found", provider=provider, code="unreadable")
    return None


async def end_session(store: KeyValue, book: str, provider: str, transaction_id: str) -> None:
    """Forget the session of a transaction that needs its customer no more; one that stays behind expires."""
    try:
        await store.delete(_bucket(book, provider), transaction_id)
    except TallystickError as error:
        _log.warning("a session stays until it expires", provider=provider, code=error.code)


def _bucket(book: str, provider: str) -> str:
    return f"payment sessions/{book}/{provider}"
