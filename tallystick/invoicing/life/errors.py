"""What the verbs of an invoice's life refuse."""

from tallystick.errors import Kind, TallystickError


class SomethingPaid(TallystickError):
    """Of the invoice {invoice} {settled} minor units are paid or credited already; what is not owed is taken back by a credit note."""

    code = "invoicing.something_paid"
    kind = Kind.REFUSED


class InvoiceEnded(TallystickError):
    """The invoice {invoice} is {status}; nothing is owed of it any more."""

    code = "invoicing.ended"
    kind = Kind.REFUSED


class DraftOfPeriod(TallystickError):
    """The draft {invoice} has prepaid units of its period spent on it; it can be voided once it is issued."""

    code = "invoicing.draft_of_period"
    kind = Kind.REFUSED


class NothingOutstanding(TallystickError):
    """Nothing is outstanding on the invoice {invoice}."""

    code = "invoicing.nothing_outstanding"
    kind = Kind.REFUSED


class CreditTooLarge(TallystickError):
    """{what} has {left} minor units left to credit, and {wanted} are to be."""

    code = "invoicing.credit_too_large"
    kind = Kind.REFUSED


class CreditReferenceTaken(TallystickError):
    """The reference {reference} is another credit note of this invoice, {credit_note}."""

    code = "invoicing.credit_reference_taken"
    kind = Kind.CONFLICT


class UnknownCreditNote(TallystickError):
    """There is no credit note {credit_note} in this book."""

    code = "invoicing.unknown_credit_note"
    kind = Kind.NOT_FOUND
