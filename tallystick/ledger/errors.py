"""What the ledger refuses as a whole; and, for each ``Status`` of a single transfer, the error it is alone."""

from tallystick.errors import Kind, TallystickError
from tallystick.ledger.model import Status


class UnknownAccount(TallystickError):
    """There is no account {account} in this book."""

    code = "ledger.unknown_account"
    kind = Kind.NOT_FOUND


class UnknownAsset(TallystickError):
    """There is no asset {asset} in this book."""

    code = "ledger.unknown_asset"
    kind = Kind.NOT_FOUND


class UnknownTransfer(TallystickError):
    """There is no such transfer in this book."""

    code = Status.UNKNOWN_TRANSFER.code
    kind = Kind.NOT_FOUND


class AccountExists(TallystickError):
    """The account {account} exists with another {differs}."""

    code = "ledger.account_exists"
    kind = Kind.CONFLICT


class AssetExists(TallystickError):
    """The asset {asset} exists with {exponent} decimal digits."""

    code = "ledger.asset_exists"
    kind = Kind.CONFLICT


class AccountClosed(TallystickError):
    """The account {account} is closed already."""

    code = "ledger.account_closed"
    kind = Kind.REFUSED


class BatchTooLarge(TallystickError):
    """One account's amounts in this batch add up to more than 2^63 - 1; send it in smaller batches."""

    code = "ledger.batch_too_large"
    kind = Kind.INVALID


class GroupFailed(TallystickError):
    """Transfer {item} of the group failed ({status}), so none was posted."""

    code = "ledger.group_failed"
    kind = Kind.REFUSED


class IdConflict(TallystickError):
    """The id belongs to a transfer with other content, beginning with this field; take a new id for a new transfer."""

    code = Status.ID_CONFLICT.code
    kind = Kind.CONFLICT


class AmountNotPositive(TallystickError):
    """The amount must be at least one minor unit."""

    code = Status.AMOUNT_NOT_POSITIVE.code
    kind = Kind.INVALID


class ExpiresTooEarly(TallystickError):
    """The hold expires before it begins."""

    code = Status.EXPIRES_TOO_EARLY.code
    kind = Kind.INVALID


class UnknownHold(TallystickError):
    """There is no such hold in this book."""

    code = Status.UNKNOWN_HOLD.code
    kind = Kind.NOT_FOUND


class NotReversible(TallystickError):
    """What was only held, or belongs to an invoice or a payment, or reverses itself, cannot be reversed."""

    code = Status.NOT_REVERSIBLE.code
    kind = Kind.REFUSED


class AlreadyReversed(TallystickError):
    """The transfer was reversed before, which happens once."""

    code = Status.ALREADY_REVERSED.code
    kind = Kind.REFUSED


class HoldEnded(TallystickError):
    """Nothing is left of the hold: it was used up, released, or expired."""

    code = Status.HOLD_ENDED.code
    kind = Kind.REFUSED


class HoldExpired(TallystickError):
    """The hold has expired."""

    code = Status.HOLD_EXPIRED.code
    kind = Kind.REFUSED


class ExceedsHold(TallystickError):
    """The amount is more than what is left of the hold."""

    code = Status.EXCEEDS_HOLD.code
    kind = Kind.REFUSED


class NothingToMove(TallystickError):
    """The limits of the accounts leave nothing to sweep; it may be sent again later, in a new message."""

    code = Status.NOTHING_TO_MOVE.code
    kind = Kind.REFUSED


class SameAccount(TallystickError):
    """The debit and the credit account are the same."""

    code = Status.SAME_ACCOUNT.code
    kind = Kind.INVALID


class UnknownDebitAccount(TallystickError):
    """There is no such debit account in this book."""

    code = Status.UNKNOWN_DEBIT_ACCOUNT.code
    kind = Kind.NOT_FOUND


class UnknownCreditAccount(TallystickError):
    """There is no such credit account in this book."""

    code = Status.UNKNOWN_CREDIT_ACCOUNT.code
    kind = Kind.NOT_FOUND


class AssetMismatch(TallystickError):
    """The accounts and the transfer are not all of one asset."""

    code = Status.ASSET_MISMATCH.code
    kind = Kind.INVALID


class DebitAccountClosed(TallystickError):
    """The debit account is closed."""

    code = Status.DEBIT_ACCOUNT_CLOSED.code
    kind = Kind.REFUSED


class CreditAccountClosed(TallystickError):
    """The credit account is closed."""

    code = Status.CREDIT_ACCOUNT_CLOSED.code
    kind = Kind.REFUSED


class LimitExceeded(TallystickError):
    """The transfer would take an account beyond its limit; it may be sent again later, in a new message."""

    code = Status.LIMIT_EXCEEDED.code
    kind = Kind.REFUSED


TRANSFER_ERRORS: dict[Status, tuple[type[TallystickError], str]] = {
    Status.ID_CONFLICT: (IdConflict, "id"),
    Status.AMOUNT_NOT_POSITIVE: (AmountNotPositive, "amount"),
    Status.EXPIRES_TOO_EARLY: (ExpiresTooEarly, "expires_at"),
    Status.UNKNOWN_HOLD: (UnknownHold, "hold"),
    Status.UNKNOWN_TRANSFER: (UnknownTransfer, "reverses"),
    Status.NOT_REVERSIBLE: (NotReversible, "reverses"),
    Status.ALREADY_REVERSED: (AlreadyReversed, "reverses"),
    Status.SAME_ACCOUNT: (SameAccount, "credit"),
    Status.UNKNOWN_DEBIT_ACCOUNT: (UnknownDebitAccount, "debit"),
    Status.UNKNOWN_CREDIT_ACCOUNT: (UnknownCreditAccount, "credit"),
    Status.ASSET_MISMATCH: (AssetMismatch, "asset"),
    Status.DEBIT_ACCOUNT_CLOSED: (DebitAccountClosed, "debit"),
    Status.CREDIT_ACCOUNT_CLOSED: (CreditAccountClosed, "credit"),
    Status.HOLD_ENDED: (HoldEnded, "hold"),
    Status.HOLD_EXPIRED: (HoldExpired, "hold"),
    Status.EXCEEDS_HOLD: (ExceedsHold, "amount"),
    Status.LIMIT_EXCEEDED: (LimitExceeded, "amount"),
    Status.NOTHING_TO_MOVE: (NothingToMove, "amount"),
}
"""For each status that is not done, the error it is and the field to blame."""


def error_of(status: Status, differs: str | None = None) -> TallystickError:
    """Make the error of a transfer that was refused with *status*; of a conflict, *differs* names the field."""
    error, field = TRANSFER_ERRORS[status]
    return error(field=differs or field)
