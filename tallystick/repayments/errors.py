"""What repayments and charges refuse."""

from tallystick.errors import Kind, TallystickError


class UnknownCustomer(TallystickError):
    """The customer {customer} is not known in this book."""

    code = "repayments.unknown_customer"
    kind = Kind.NOT_FOUND


class UnknownRepayment(TallystickError):
    """There is no repayment {repayment} in this book."""

    code = "repayments.unknown_repayment"
    kind = Kind.NOT_FOUND


class UnknownProduct(TallystickError):
    """The policy names {product}, of which this book has neither a price nor an invoice."""

    code = "repayments.unknown_product"
    kind = Kind.INVALID


class ReferenceReused(TallystickError):
    """The reference belongs to another one, which differs in this field; take a new reference for new money."""

    code = "repayments.reference_reused"
    kind = Kind.CONFLICT


class NotRepayable(TallystickError):
    """The invoice {invoice} is not one that this customer owes in this asset."""

    code = "repayments.not_repayable"
    kind = Kind.REFUSED


class AccountUnusable(TallystickError):
    """The account {account} cannot be used for this: it is missing, closed, counted in another asset, or at its limit."""

    code = "repayments.account_unusable"
    kind = Kind.REFUSED


class NotEnough(TallystickError):
    """Only {left} minor units of {asset} lie unallocated for this customer."""

    code = "repayments.not_enough"
    kind = Kind.REFUSED


class NothingToRepay(TallystickError):
    """There is nothing that this money could be placed on, so none is taken."""

    code = "repayments.nothing_to_repay"
    kind = Kind.REFUSED


class NotReversible(TallystickError):
    """The repayment cannot be reversed: {why}."""

    code = "repayments.not_reversible"
    kind = Kind.REFUSED


class NoAgreement(TallystickError):
    """The customer {customer} has not agreed to any debit."""

    code = "repayments.no_agreement"
    kind = Kind.NOT_FOUND


class UnknownCharge(TallystickError):
    """There is no charge {charge} in this book."""

    code = "charges.unknown_charge"
    kind = Kind.NOT_FOUND


class OutcomeDiffers(TallystickError):
    """The charge {charge} had another outcome, and has one for ever."""

    code = "charges.outcome_differs"
    kind = Kind.CONFLICT
