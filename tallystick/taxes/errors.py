"""What taxes refuse."""

from tallystick.errors import Kind, TallystickError


class UnknownJurisdiction(TallystickError):
    """The jurisdiction {jurisdiction} has no tax rate; set one before with `taxes.set_rate`."""

    code = "taxes.unknown_jurisdiction"
    kind = Kind.NOT_FOUND


class UnknownTaxCustomer(TallystickError):
    """There is no customer {customer} in this book; a customer is known from the first usage, invoice, grant or subscription on."""

    code = "taxes.unknown_customer"
    kind = Kind.NOT_FOUND


class NoTaxRate(TallystickError):
    """The jurisdiction {jurisdiction} has no rate in force for the category {category}; a rate of 0 would say that it is free of tax."""

    code = "taxes.no_rate"
    kind = Kind.REFUSED


class TaxVersionExists(TallystickError):
    """From that instant on there is a version with another {differs}; take a later instant."""

    code = "taxes.version_exists"
    kind = Kind.CONFLICT


class TaxTooLarge(TallystickError):
    """The tax comes to more than {largest} minor units, the largest amount there is."""

    code = "taxes.amount_too_large"
    kind = Kind.REFUSED
