"""What files of banks refuse."""

from tallystick.errors import Kind, TallystickError


class UnreadableFile(TallystickError):
    """{place}: {rule}"""

    code = "bank.unreadable_file"
    kind = Kind.INVALID


class NothingToDebit(TallystickError):
    """There are no charges in {asset} on {day} that a bank could be given; `charges.make` makes them."""

    code = "bank.nothing_to_debit"
    kind = Kind.NOT_FOUND


class NoCreditor(TallystickError):
    """Nobody has said who collects: the first file of a book names the creditor."""

    code = "bank.no_creditor"
    kind = Kind.INVALID


class FileDiffers(TallystickError):
    """The file of {day} was made with another creditor and stays as it is; leave the creditor out to get it."""

    code = "bank.file_differs"
    kind = Kind.CONFLICT


class UnknownFile(TallystickError):
    """There is no file {file} in this book."""

    code = "bank.unknown_file"
    kind = Kind.NOT_FOUND


class StatementDiffers(TallystickError):
    """Entry {position} of this statement was imported with another {what}; a statement never changes."""

    code = "bank.statement_differs"
    kind = Kind.CONFLICT


class BalanceDiffers(TallystickError):
    """The statement does not add up: opening balance and entries come to {sum}, and it closes with {closing}."""

    code = "bank.balance_differs"
    kind = Kind.INVALID


class UnknownEntry(TallystickError):
    """There is no entry {entry} in this book."""

    code = "bank.unknown_entry"
    kind = Kind.NOT_FOUND


class EntryMatched(TallystickError):
    """The entry {entry} is matched already, for ever; a repayment that went wrong can be reversed."""

    code = "bank.entry_matched"
    kind = Kind.CONFLICT


class NotMatchable(TallystickError):
    """The entry {entry} cannot repay this invoice: {why}."""

    code = "bank.not_matchable"
    kind = Kind.REFUSED
