"""What payouts refuse."""

from tallystick.errors import Kind, TallystickError


class UnknownPayout(TallystickError):
    """There is no payout {payout} in this book."""

    code = "payouts.unknown_payout"
    kind = Kind.NOT_FOUND


class ReportDoesNotAddUp(TallystickError):
    """The lines of the report come to {sum}, and the payout is {amount}; it is read again when it is whole."""

    code = "payouts.does_not_add_up"
    kind = Kind.INVALID


class ReportDiffers(TallystickError):
    """The payout {payout} was recorded with another report ({what}); what was recorded stands."""

    code = "payouts.report_differs"
    kind = Kind.CONFLICT


class UnknownLine(TallystickError):
    """There is no line {line} in this book."""

    code = "payouts.unknown_line"
    kind = Kind.NOT_FOUND


class LineMatched(TallystickError):
    """The line {line} is matched: {why}; what was said by hand can be taken back first."""

    code = "payouts.line_matched"
    kind = Kind.CONFLICT


class UnknownPartner(TallystickError):
    """There is no {partner} {id} in this book that a payout could have paid."""

    code = "payouts.unknown_partner"
    kind = Kind.NOT_FOUND


class PartnerTaken(TallystickError):
    """The {partner} {id} is matched with the line {line} already."""

    code = "payouts.partner_taken"
    kind = Kind.CONFLICT


class NotMatchable(TallystickError):
    """The line {line} cannot be matched with that: {why}."""

    code = "payouts.not_matchable"
    kind = Kind.REFUSED


class NothingToUndo(TallystickError):
    """Nobody said by hand what the line {line} is; there is nothing to take back."""

    code = "payouts.nothing_to_undo"
    kind = Kind.REFUSED


class AccountUnusable(TallystickError):
    """The account {account} is missing, closed, limited or of another asset, so nothing could be booked there."""

    code = "payouts.account_unusable"
    kind = Kind.REFUSED


class EntryNotOfPayout(TallystickError):
    """The entry {entry} of the bank cannot be this payout: {why}."""

    code = "payouts.entry_not_of_payout"
    kind = Kind.REFUSED


class NotOnStatement(TallystickError):
    """No entry of a bank statement was said to be the payout {payout}; there is nothing to take back."""

    code = "payouts.not_on_statement"
    kind = Kind.REFUSED


class LineInOtherCurrency(TallystickError):
    """The line {line} is in {currency}, and the payout is in {payout}; a report adds up in one currency."""

    code = "payouts.line_in_other_currency"
    kind = Kind.INVALID
