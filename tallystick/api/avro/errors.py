"""What can go wrong in Avro RPC before an operation is reached."""

from tallystick.errors import Kind, TallystickError


class BadFrame(TallystickError):
    """The bytes are not framed as Avro RPC is: {rule}."""

    code = "avro.bad_frame"
    kind = Kind.INVALID


class BadHandshake(TallystickError):
    """The handshake cannot be accepted: {rule}."""

    code = "avro.bad_handshake"
    kind = Kind.INVALID


class BadProtocol(TallystickError):
    """The protocol of the client cannot be used: {rule}."""

    code = "avro.bad_protocol"
    kind = Kind.INVALID


class BadCall(TallystickError):
    """The call does not hold what the protocol of the client says: {rule}."""

    code = "avro.bad_call"
    kind = Kind.INVALID


class UnknownMessage(TallystickError):
    """There is no message {name} in the protocol tallystick.usage.Usage."""

    code = "avro.unknown_message"
    kind = Kind.NOT_FOUND


class CallTooLarge(TallystickError):
    """The call is larger than {limit} bytes; send less at once."""

    code = "avro.call_too_large"
    kind = Kind.TOO_LARGE


class CallsBusy(TallystickError):
    """Too many calls are being received at once; send it again in a moment."""

    code = "avro.busy"
    kind = Kind.RATE_LIMITED
