"""What slips refuse."""

from tallystick.errors import Kind, TallystickError


class UnknownSlip(TallystickError):
    """There is no slip {slip} in this book."""

    code = "slips.unknown_slip"
    kind = Kind.NOT_FOUND


class UnknownNotice(TallystickError):
    """There is no notice {reference} in this book."""

    code = "slips.unknown_notice"
    kind = Kind.NOT_FOUND


class NothingToPay(TallystickError):
    """Nothing is outstanding that a slip could be issued for."""

    code = "slips.nothing_to_pay"
    kind = Kind.REFUSED


class AmountBeyond(TallystickError):
    """{amount} minor units are asked for, and a slip can be for {most} at the most: what is outstanding, within 12 digits."""

    code = "slips.amount_beyond"
    kind = Kind.REFUSED


class LiveSlip(TallystickError):
    """The invoice {invoice} has the slip {slip}, which can still be paid; cancel it, or say that there is to be another."""

    code = "slips.live_slip"
    kind = Kind.REFUSED


class Announced(TallystickError):
    """A store says that the slip {slip} was paid, so no other one is issued and it is not cancelled."""

    code = "slips.announced"
    kind = Kind.REFUSED


class ReferenceReused(TallystickError):
    """The reference {reference} belongs to another one, which differs in this field; take a new reference for new money."""

    code = "slips.reference_reused"
    kind = Kind.CONFLICT


class NoticeEnded(TallystickError):
    """The notice {reference} is {state} already."""

    code = "slips.notice_ended"
    kind = Kind.REFUSED


class SlipEnded(TallystickError):
    """The slip {slip} is {status}."""

    code = "slips.ended"
    kind = Kind.REFUSED
