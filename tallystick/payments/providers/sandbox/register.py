"""Everything the sandbox holds, and what it has answered to which key; pure, and rebuilt from its own changes."""

from collections.abc import Callable, Iterable
from typing import Final

from tallystick.clock import Clock, SystemClock
from tallystick.payments.providers.sandbox.change import Change
from tallystick.payments.providers.sandbox.disputes import Disputes
from tallystick.payments.providers.sandbox.history import History
from tallystick.payments.providers.sandbox.payouts import Payouts
from tallystick.payments.providers.sandbox.refunds import Refunds
from tallystick.payments.providers.sandbox.transactions import Transactions


def _ignore(_change: Change) -> None:
    """Keep nothing: for a register that lives in memory alone."""


class Register:
    """
    Every transaction, refund, dispute and payout, and the history that they come from.

    A refusal takes no key and is not kept. The rules are ordered so that a create or a capture that was refused would
    be again; a refund may find more money left when a dispute was won meanwhile.
    """

    def __init__(
        self,
        changes: Iterable[Change] = (),
        keep: Callable[[Change], None] = _ignore,
        clock: Clock | None = None,
        customer_page: str = "http://127.0.0.1/customer/",
    ) -> None:
        """
        Start from *changes*, in the order in which they happened, and hand each new one to *keep*.

        *customer_page* followed by a transaction's token is where its customer does what is asked of them.
        """
        self.history: Final = History(keep, clock or SystemClock())
        self.transactions: Final = Transactions(self.history, customer_page)
        self.refunds: Final = Refunds(self.history, self.transactions)
        self.disputes: Final = Disputes(self.history, self.transactions)
        self.payouts: Final = Payouts(self.history)
        rooms = (self.transactions, self.refunds, self.disputes, self.payouts)
        self.history.begin([room.learn for room in rooms], changes)
