"""The auditor's own ledger: it is told the transfers in the order of the log, and finds what should not have been."""

from collections import defaultdict
from dataclasses import dataclass, field

from tests.simulation.facts import Account, Transfer

SWEEP, REVERSAL, HOLD, CAPTURE, RELEASE, EXPIRE = 4, 5, 6, 7, 8, 9
PLAIN = {1, 32, 33, 34, 35, 36, 37, 38, 39}
MAY_BE_REVERSED = PLAIN | {SWEEP, CAPTURE, 10}
_FOREVER = 2**63 - 1


@dataclass(slots=True)
class Hold:
    """A hold under way."""

    transfer: Transfer
    left: int
    uses: int = 0
    ended: bool = False


@dataclass(slots=True)
class Sums:
    """What was posted to an account, and what is held on either side of it."""

    debits: int = 0
    credits: int = 0
    held: int = 0
    incoming: int = 0

    @property
    def balance(self) -> int:
        """Return credits less debits."""
        return self.credits - self.debits


@dataclass(slots=True)
class Model:
    """A ledger in plain dicts."""

    accounts: dict[int, Account]
    sums: dict[int, Sums] = field(default_factory=lambda: defaultdict(Sums))
    holds: dict[str, Hold] = field(default_factory=dict)
    done: dict[str, Transfer] = field(default_factory=dict)
    reversed: set[str] = field(default_factory=set)
    problems: list[str] = field(default_factory=list)

    def take(self, one: Transfer) -> None:
        """Take in the next transfer of the log, and note what is wrong with it."""
        wrong = self._find_wrong(one)
        self.problems += [f"place {one.place}, transfer {one.id}: {what}" for what in wrong]
        self.done[one.id] = one
        self._apply(one)
        if one.reason not in {CAPTURE, RELEASE, EXPIRE}:
            self._require_limits(one)

    def _find_wrong(self, one: Transfer) -> list[str]:
        wrong = []
        if one.id in self.done:
            wrong.append("it is there twice")
        if one.amount <= 0:
            wrong.append(f"it moves {one.amount}")
        if one.debit == one.credit:
            wrong.append("both its accounts are the same")
        for side in (one.debit, one.credit):
            account = self.accounts.get(side)
            if account is None:
                wrong.append(f"there is no account {side}")
                continue
            if account.asset != one.asset:
                wrong.append(f"{account.code} is of another asset")
            if account.opened > one.batch_id:
                wrong.append(f"{account.code} was opened later in the order")
            if account.closed is not None and account.closed < one.batch_id and one.reason not in {RELEASE, EXPIRE}:
                wrong.append(f"{account.code} was closed before")
        return wrong + self._find_wrong_of_kind(one)

    def _find_wrong_of_kind(self, one: Transfer) -> list[str]:
        if one.reason in {CAPTURE, RELEASE, EXPIRE}:
            return self._find_wrong_of_use(one)
        if one.reason == HOLD:
            return (
                [] if one.expires_at is None or one.expires_at > one.recorded_at else ["it had expired when it began"]
            )
        if one.reason == SWEEP:
            return [] if one.sweep_asked is not None and one.amount <= one.sweep_asked else ["it moves more than asked"]
        if one.reason == REVERSAL:
            return self._find_wrong_of_reversal(one)
        return [] if one.reason in PLAIN else [f"nobody sends the reason {one.reason}"]

    def _find_wrong_of_use(self, one: Transfer) -> list[str]:
        hold = self.holds.get(one.hold_id or "")
        if hold is None:
            return [f"it uses the hold {one.hold_id}, which is not before it"]
        expires_at = hold.transfer.expires_at or _FOREVER
        accounts = (hold.transfer.debit, hold.transfer.credit, hold.transfer.asset)
        frees = one.reason != CAPTURE
        expired = expires_at <= one.recorded_at
        wrong = {
            "the hold had ended": hold.ended,
            "its accounts are not the hold's": (one.debit, one.credit, one.asset) != accounts,
            f"it takes {one.amount} of {hold.left} that were left of the hold": one.amount > hold.left,
            f"it frees {one.amount} of {hold.left} that were left of the hold": frees and one.amount != hold.left,
            "the hold had expired": one.reason == CAPTURE and expired,
            f"it asked for {one.use_asked}": not frees and one.use_asked not in {0, one.amount},
            "the hold had not expired yet": one.reason == EXPIRE and not expired,
            f"it is noted as use {one.nth} of {one.used}, and is use {hold.uses + 1} of {one.amount}":
                (one.nth, one.used) != (hold.uses + 1, one.amount),
            f"it is noted to end the hold: {one.ends}": bool(one.ends) != (frees or one.amount == hold.left),
        }  # fmt: skip
        return [what for what, is_so in wrong.items() if is_so]

    def _find_wrong_of_reversal(self, one: Transfer) -> list[str]:
        target = self.done.get(one.reversed_id or "")
        if target is None:
            return [f"it reverses {one.reversed_id}, which is not before it"]
        wrong = []
        if target.id in self.reversed:
            wrong.append("what it reverses was reversed before")
        if target.reason not in MAY_BE_REVERSED:
            wrong.append(f"what it reverses has the reason {target.reason}")
        if (one.debit, one.credit, one.amount) != (target.credit, target.debit, target.amount):
            wrong.append("it does not move back what it reverses")
        return wrong

    def _apply(self, one: Transfer) -> None:
        debit, credit = self.sums[one.debit], self.sums[one.credit]
        held = one.amount if one.reason == HOLD else -one.amount if one.reason in {CAPTURE, RELEASE, EXPIRE} else 0
        debit.held += held
        credit.incoming += held
        if one.reason not in {HOLD, RELEASE, EXPIRE}:
            debit.debits += one.amount
            credit.credits += one.amount
        if one.reason == HOLD:
            self.holds[one.id] = Hold(one, one.amount)
        elif held and one.hold_id in self.holds:
            hold = self.holds[one.hold_id]
            hold.left, hold.uses = hold.left - one.amount, hold.uses + 1
            hold.ended = bool(one.reason != CAPTURE or hold.left <= 0)
        elif one.reason == REVERSAL and one.reversed_id is not None:
            self.reversed.add(one.reversed_id)

    def _require_limits(self, one: Transfer) -> None:
        """Find that what drew on an account left it within the limits in force at this place."""
        for side, name in ((one.debit, "lowest"), (one.credit, "highest")):
            if side not in self.accounts:
                continue
            account, sums = self.accounts[side], self.sums[side]
            lowest, highest = self.limits(account, one.batch_id)
            if name == "lowest" and lowest is not None and sums.balance - sums.held < lowest:
                self.problems.append(
                    f"place {one.place}, transfer {one.id}: {account.code} has {sums.balance} less {sums.held} held, "
                    f"and may not fall below {lowest}"
                )
            if name == "highest" and highest is not None and sums.balance + sums.incoming > highest:
                self.problems.append(
                    f"place {one.place}, transfer {one.id}: {account.code} has {sums.balance} and {sums.incoming} coming, "
                    f"and may not rise above {highest}"
                )

    @staticmethod
    def limits(account: Account, batch_id: int) -> tuple[int | None, int | None]:
        """Return the limits of *account* in force at *batch_id*."""
        in_force = [limit for limit in account.limits if limit[0] < batch_id] or account.limits[:1]
        return in_force[-1][1], in_force[-1][2]
