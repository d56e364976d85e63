"""
Where every request ends up, native or through a face: is a failure due, what happens, is it on disk; then the answer.

A face is an ASGI application of its own below a path; it reads its provider's requests, asks here, and words what it
gets as its provider would. `Refusal` and `Lost` are for it to word, too.
"""

from collections.abc import Callable
from typing import TypeVar

from tallystick.clock import Clock
from tallystick.payments.providers.protocol import ProviderTransaction
from tallystick.payments.providers.sandbox.change import Call, Fate, Refusal
from tallystick.payments.providers.sandbox.faults import Faults, Way
from tallystick.payments.providers.sandbox.plan import Plan
from tallystick.payments.providers.sandbox.register import Register
from tallystick.payments.providers.sandbox.state_file import StateFile

_Answer = TypeVar("_Answer")


class Lost(Exception):
    """Nobody is to hear the answer; *way* is how they do not."""

    def __init__(self, way: Way) -> None:
        """Lose it in this *way*."""
        self.way = way
        super().__init__(way.value)


class Desk:
    """The register, what is to go wrong, and the disk behind both."""

    def __init__(self, state: StateFile, plan: Plan, url: str, clock: Clock | None = None) -> None:
        """
        Continue from what *state* holds; *url* is the sandbox's own address.

        Raises:
            StateUnusable: what *state* holds cannot be read.
        """
        self.register = Register(state.replay(), state.append, clock, f"{url}/customer/")
        self.faults = Faults()
        self.plan = plan
        self._state = state

    async def answer(self, call: Call, reference: str, act: Callable[[Fate], _Answer]) -> _Answer:
        """
        Do what is asked, unless it is to fail, and return the answer once it is on disk.

        *reference* is the payment's, or whatever else names what is asked for: by it the plan decides.

        Raises:
            Refusal: *act* refused it.
            Lost: the request or its answer is lost, on order or by plan.
        """
        fault = self.faults.take(call) or self.plan.fault(call, reference)
        if fault is None:
            return await self._act(act, Fate.SUCCEED)
        if way := fault.lost_before:
            raise Lost(way)
        way = fault.lost_after
        try:
            answer = await self._act(act, fault.fate)
        except Refusal as refusal:
            if way is None:
                raise
            raise Lost(way) from refusal
        if way is not None:
            raise Lost(way)
        return answer

    async def find(self, transaction_id: str) -> ProviderTransaction:
        """
        Return a transaction as it stands, unless asking for it is to fail.

        Raises:
            Refusal: there is none of this id.
            Lost: the request or its answer is lost, on order or by plan.
        """
        reference = self.reference_of(transaction_id)
        return await self.answer(Call.FIND, reference, lambda _: self.register.transactions.find(transaction_id))

    async def durable(self) -> None:
        """Wait until everything that happened so far is on disk."""
        await self._state.durable()

    def reference_of(self, transaction_id: str) -> str:
        """Return the reference of a transaction, or its id if there is none of it: what the plan goes by."""
        found = self.register.transactions.by_id.get(transaction_id)
        return transaction_id if found is None else found.reference

    async def _act(self, act: Callable[[Fate], _Answer], fate: Fate) -> _Answer:
        try:
            return act(fate)
        finally:
            # Look-ups, refusals and repeated answers wait too: none may tell of a change that a power cut would take back.
            await self._state.durable()
