"""What requests for invoices are refused for."""

from tallystick.errors import Kind, TallystickError


class ReferenceTaken(TallystickError):
    """The reference {reference} of {product} is the invoice {invoice}, of which {differs} is not what is asked for now."""

    code = "invoicing.reference_taken"
    kind = Kind.CONFLICT


class LineAmountDiffers(TallystickError):
    """The amount is {amount}, and quantity times unit_amount comes to {product}; give what it comes to, or one of the two."""

    code = "invoicing.line_amount_differs"
    kind = Kind.INVALID


class AmountBeyond(TallystickError):
    """What it comes to, {amount}, is beyond {largest}, the largest amount there is."""

    code = "invoicing.amount_beyond"
    kind = Kind.INVALID


class TotalBelowZero(TallystickError):
    """The invoice comes to {total}, below zero; what is given back is a credit note."""

    code = "invoicing.total_below_zero"
    kind = Kind.REFUSED


class DueBeforeIssue(TallystickError):
    """It would be due on {due_on}, before the day of its issue, {issued_on}."""

    code = "invoicing.due_before_issue"
    kind = Kind.REFUSED


class AccountUnusable(TallystickError):
    """The account {account} cannot be credited: it {why}."""

    code = "invoicing.account_unusable"
    kind = Kind.REFUSED
