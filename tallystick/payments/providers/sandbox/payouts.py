"""The payouts of the sandbox with their reports, and the lines of no transaction; pure: paid ──► failed."""

import datetime as dt
from collections.abc import Sequence

import msgspec

from tallystick.payments.providers.protocol import PayoutLine, PayoutLineKind, PayoutStatus, ProviderPayout
from tallystick.payments.providers.sandbox.balance import Balance, total
from tallystick.payments.providers.sandbox.change import Call, Change, Refusal, known
from tallystick.payments.providers.sandbox.history import History, new_token
from tallystick.payments.providers.sandbox.spoil import Flaw, spoil

ARRIVES_AFTER = dt.timedelta(days=2)
"""How long a payout is on its way to the bank."""

PAGE = 100
"""How many payouts one listing has at most."""


class Payouts:
    """Every payout, found by id, and what waits for the next one."""

    def __init__(self, history: History) -> None:
        """Start with none, owing nothing."""
        self.by_id: dict[str, ProviderPayout] = {}
        self.balance = Balance()
        self._history = history
        self._reports: dict[str, Change] = {}
        self._read_before: set[str] = set()

    def charge_fee(self, amount: int, currency: str, description: str = "monthly fee") -> PayoutLine:
        """Charge the merchant *amount*, which belongs to no transaction; below zero it is given back."""
        return self._add_line(Call.CHARGE_FEE, PayoutLineKind.FEE, -amount, currency, description)

    def adjust(self, amount: int, currency: str, description: str = "correction") -> PayoutLine:
        """Give the merchant *amount*, or take it when below zero, for a reason of the provider's own."""
        return self._add_line(Call.ADJUST, PayoutLineKind.ADJUSTMENT, amount, currency, description)

    def pay_out(self, currency: str, flaw: Flaw | None = None) -> ProviderPayout:
        """
        Pay out everything in *currency* that was not paid out so far; *flaw* is what is wrong with its report.

        Raises:
            Refusal: nothing waits for a payout, or nothing that the flaw could spoil.
        """
        waiting = self.balance.waiting(currency)
        if not waiting:
            raise Refusal(409, "nothing_to_pay_out")
        now = self._history.clock.now()
        report = spoil(waiting, flaw, now, new_token())
        paid = ProviderPayout(
            id=f"pay_{new_token()}",
            status=PayoutStatus.PAID,
            amount=total(report.lines),
            currency=currency,
            arrives_on=(now + ARRIVES_AFTER).date(),
        )
        happened = Change(Call.PAY_OUT, payout=paid, lines=report.lines)
        self._history.happened(msgspec.structs.replace(happened, held_back=report.held_back, left_out=report.left_out))
        return paid

    def fail(self, payout_id: str) -> ProviderPayout:
        """
        Let the bank send a payout back; its money waits for the next one, as a line of its own.

        Raises:
            Refusal: the payout is unknown, or has failed already.
        """
        before = self.find(payout_id)
        if before.status is PayoutStatus.FAILED:
            raise Refusal(409, "already_failed")
        line = self._line(PayoutLineKind.ADJUSTMENT, before.amount, before.currency, f"payout {payout_id} failed")
        after = msgspec.structs.replace(before, status=PayoutStatus.FAILED)
        self._history.happened(Change(Call.FAIL_PAYOUT, payout=after, lines=(line,)))
        return after

    def find(self, payout_id: str) -> ProviderPayout:
        """
        Return a payout as it stands.

        Raises:
            Refusal: there is none of this id.
        """
        return known(self.by_id, payout_id, "payout")

    def list_after(self, after: str | None = None) -> list[ProviderPayout]:
        """
        Return up to 100 payouts, oldest first, behind the payout *after*; None: from the first.

        Raises:
            Refusal: there is no payout *after*.
        """
        ids = list(self.by_id)
        start = 0 if after is None else ids.index(self.find(after).id) + 1
        return [self.by_id[one] for one in ids[start : start + PAGE]]

    def read(self, payout_id: str) -> tuple[ProviderPayout, Sequence[PayoutLine]]:
        """
        Return a payout with the lines of its report; lines that are held back are told from the second time on.

        Raises:
            Refusal: there is none of this id.
        """
        paid, made = self.find(payout_id), self._reports[payout_id]
        whole = payout_id in self._read_before
        self._read_before.add(payout_id)
        return paid, made.lines if whole else made.lines[: len(made.lines) - made.held_back]

    def paid_out_at(self, payout_id: str) -> dt.datetime:
        """Return when a payout that there is was made."""
        return self._reports[payout_id].at

    def learn(self, change: Change) -> None:
        """Make *change* part of what there is."""
        if change.payout is not None:
            self.by_id[change.payout.id] = change.payout
            if change.call is Call.PAY_OUT:
                self._reports[change.payout.id] = change
        self.balance.apply(change)

    def _add_line(self, call: Call, kind: PayoutLineKind, amount: int, currency: str, description: str) -> PayoutLine:
        line = self._line(kind, amount, currency, description)
        self._history.happened(Change(call, lines=(line,)))
        return line

    def _line(self, kind: PayoutLineKind, amount: int, currency: str, description: str) -> PayoutLine:
        now = self._history.clock.now()
        return PayoutLine(f"lin_{new_token()}", kind, amount, 0, currency, now, description=description)
