"""What documents refuse."""

from tallystick.errors import Kind, TallystickError


class UnknownPartyCustomer(TallystickError):
    """There is no customer {customer} in this book; a customer is known from the first usage, invoice, grant or subscription on."""

    code = "documents.unknown_customer"
    kind = Kind.NOT_FOUND


class NoParty(TallystickError):
    """Nobody has said the name and address of {whose}; say them with `parties.set`."""

    code = "documents.no_party"
    kind = Kind.REFUSED


class NoElectronicInvoice(TallystickError):
    """EN 16931 has no way to say this invoice: {reason}."""

    code = "documents.no_electronic_invoice"
    kind = Kind.REFUSED


class TemplateRefused(TallystickError):
    """The template does not work: {reason}."""

    code = "documents.template"
    kind = Kind.INTERNAL


class RulesMissing(TallystickError):
    """The official rules cannot be run: {reason}."""

    code = "documents.rules_missing"
    kind = Kind.REFUSED
