"""Live on: what customers, banks and the provider do by themselves, as the plan decides, after something happened."""

import asyncio
import contextlib
from collections import Counter
from collections.abc import Callable

from tallystick.payments.providers.protocol import (
    DisputeStatus,
    ProviderDispute,
    ProviderRefund,
    ProviderTransaction,
    RefundStatus,
    TransactionStatus,
)
from tallystick.payments.providers.sandbox.change import Event, Record, Refusal
from tallystick.payments.providers.sandbox.desk import Desk
from tallystick.payments.providers.sandbox.plan import Rates

_MS = 1000


class Life:
    """Whoever acts in the sandbox without being asked; nobody does without a plan."""

    def __init__(self, desk: Desk) -> None:
        """Follow what happens at *desk*."""
        self._desk = desk
        self._register = desk.register
        self._captures: Counter[str] = Counter()
        self._writing: set[asyncio.Task[None]] = set()
        if desk.plan.rates is not None:
            self._register.history.listeners.append(self._hear)

    def resume(self) -> None:
        """Decide what a process that ended left undecided."""
        if (rates := self._desk.plan.rates) is None:
            return
        register = self._register
        undecided: list[Record] = [*register.transactions.by_id.values()]
        undecided += [*register.refunds.by_id.values(), *register.disputes.by_id.values()]
        for record in undecided:
            self._decide(record, rates)

    def _hear(self, event: Event) -> None:
        if (rates := self._desk.plan.rates) is None:
            return
        self._decide(event.record, rates)
        match event.record:
            case ProviderTransaction(status=TransactionStatus.CAPTURED) as taken:
                self._follow_capture(taken, rates)

    def _decide(self, record: Record, rates: Rates) -> None:
        """Let whoever has to decide on *record* do so, in a while."""
        register, strikes = self._register, self._desk.plan.strikes
        match record:
            case ProviderTransaction(status=TransactionStatus.ACTION_REQUIRED):
                failed = strikes("authentication", record.reference, rates.authentications_failed)
                self._later(rates, lambda: register.transactions.authenticate(record.id, succeeded=not failed))
            case ProviderTransaction(status=TransactionStatus.PROCESSING):
                failed = strikes("processing", record.reference, rates.captures_declined_later)
                self._later(rates, lambda: register.transactions.complete(record.id, succeeded=not failed))
            case ProviderRefund(status=RefundStatus.PENDING):
                failed = strikes("refund", record.reference, rates.refunds_failed_later)
                self._later(rates, lambda: register.refunds.decide(record.id, succeeded=not failed))
            case ProviderDispute(status=DisputeStatus.OPEN):
                won = strikes("winning", self._desk.reference_of(record.transaction_id), rates.disputes_won)
                self._later(rates, lambda: register.disputes.decide(record.id, won=won))

    def _follow_capture(self, taken: ProviderTransaction, rates: Rates) -> None:
        """Let the customer dispute it, and the provider pay out after so many."""
        if self._desk.plan.strikes("dispute", taken.reference, rates.disputes):
            self._later(rates, lambda: self._register.disputes.open(taken.id))
        if rates.payout_every is None:
            return
        self._captures[taken.currency] += 1
        if self._captures[taken.currency] % rates.payout_every == 0:
            flaw = self._desk.plan.flaw(taken.currency)
            self._later(rates, lambda: self._register.payouts.pay_out(taken.currency, flaw))

    def _later(self, rates: Rates, act: Callable[[], object]) -> None:
        def happen() -> None:
            with contextlib.suppress(Refusal):  # somebody was faster
                act()
                writing = asyncio.get_running_loop().create_task(self._desk.durable())
                self._writing.add(writing)
                writing.add_done_callback(self._writing.discard)

        asyncio.get_running_loop().call_later(rates.decided_after_ms / _MS, happen)
