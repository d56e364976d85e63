"""Keep payments' sessions, those of many customers at once; and show one with how its payment stands."""

import asyncio
import uuid
from collections import defaultdict
from dataclasses import dataclass, field

import msgspec

from tallystick.keyvalue.model import KeyValue
from tallystick.operations.run import Operations
from tallystick.payments.model import NextAction, PaymentStatus
from tallystick.payments.sessions import Session, find_session, keep_sessions
from tallystick.payments.step import SESSION
from tallystick.security.model import Principal


class SessionOutput(msgspec.Struct, frozen=True):
    """What a customer's screen needs while they complete a payment."""

    payment_id: uuid.UUID
    transaction_id: str
    status: str
    """started, opened, submitted (the outcome is being found out), settled, failed."""
    provider: str
    user: str
    amount: int
    """Minor units."""
    asset: str
    token: str | None
    """What the customer's device shows the provider; null once it needs none any more."""
    next_action: NextAction | None = None
    action_url: str | None = None
    """Where the customer does what is asked of them; null where nothing is."""
    receipt_id: uuid.UUID | None = None
    reason: str | None = None
    """Why it failed."""


@dataclass(slots=True)
class KeepingSessions:
    """Sessions on their way into the store: those that come while others are written go together."""

    store: KeyValue
    _waiting: defaultdict[tuple[str, str], dict[str, Session]] = field(default_factory=lambda: defaultdict(dict))
    _writing: "asyncio.Task[None] | None" = None
    _next: "asyncio.Task[None] | None" = None

    async def keep(self, book: str, transaction_id: str, session: Session) -> None:
        """Keep a session for as long as its customer has."""
        self._waiting[book, session.provider][transaction_id] = session
        if self._next is None:
            self._next = asyncio.create_task(self._write_after(self._writing))
        await asyncio.shield(self._next)

    async def _write_after(self, before: "asyncio.Task[None] | None") -> None:
        """Write all that waits, once what came before is written."""
        if before is not None:
            await asyncio.wait({before})
        await asyncio.sleep(0)  # those that come at the same moment go with it
        taken, self._waiting = self._waiting, defaultdict(dict)
        self._writing, self._next = self._next, None
        for (book, provider), sessions in taken.items():
            await keep_sessions(self.store, book, provider, sessions, SESSION)


class _NoStore:
    """Where there is no store, sessions are not kept."""

    async def keep(self, book: str, transaction_id: str, session: Session) -> None:
        """Keep nothing."""


def keeping_sessions(operations: Operations) -> KeepingSessions | _NoStore:
    """Return what keeps this process's sessions."""
    store = operations.resources.get(KeyValue)
    if store is None:
        return _NoStore()
    keeping: KeepingSessions = operations.resources.setdefault(KeepingSessions, KeepingSessions(store))
    return keeping


async def show_session(operations: Operations, principal: Principal, book: str, output: SessionOutput) -> SessionOutput:
    """Add to a payment as it stands what its session has of it, while it has not ended, for who may complete it."""
    store = operations.resources.get(KeyValue)
    if not principal.holds("payments:write"):
        return output
    if store is None or PaymentStatus(output.status) in {PaymentStatus.SETTLED, PaymentStatus.FAILED}:
        return output
    session = await find_session(store, book, output.provider, output.transaction_id)
    if session is None or session.action_url is None:
        return output
    return msgspec.structs.replace(output, next_action=NextAction.AUTHENTICATE, action_url=session.action_url)
