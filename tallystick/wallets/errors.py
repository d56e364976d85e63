"""What a wallet refuses."""

from tallystick.errors import Kind, TallystickError


class UnknownCustomer(TallystickError):
    """There is no customer {customer} in this book; a customer is known from the first usage, invoice, grant or subscription on."""

    code = "wallets.unknown_customer"
    kind = Kind.NOT_FOUND


class UnknownGrant(TallystickError):
    """There is no grant {grant} in this book."""

    code = "wallets.unknown_grant"
    kind = Kind.NOT_FOUND


class GrantExists(TallystickError):
    """The grant {grant} exists with another {differs}; take a new id for a new grant."""

    code = "wallets.grant_exists"
    kind = Kind.CONFLICT


class GrantEnded(TallystickError):
    """The grant {grant} has ended already: it was {how}."""

    code = "wallets.grant_ended"
    kind = Kind.REFUSED


class UnitBound(TallystickError):
    """A unit of {asset} pays for {units} of the meter {meter} already; take another asset for another ratio."""

    code = "wallets.unit_bound"
    kind = Kind.CONFLICT


class MeterNotBound(TallystickError):
    """No unit of {asset} pays for the meter {meter}; bind it first with `wallets.bind_unit`."""

    code = "wallets.meter_not_bound"
    kind = Kind.REFUSED
