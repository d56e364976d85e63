"""What can go wrong in HTTP before an operation is reached."""

from tallystick.errors import Kind, TallystickError


class NoSuchPath(TallystickError):
    """There is nothing at {path}; GET /openapi.json lists what there is."""

    code = "rest.no_such_path"
    kind = Kind.NOT_FOUND


class MethodNotAllowed(TallystickError):
    """{path} does not take {method}, only {allowed}."""

    code = "rest.method_not_allowed"
    kind = Kind.INVALID

    def __init__(self, *, path: str, method: str, allowed: str) -> None:
        """Keep *allowed*, which HTTP wants told in a header too."""
        super().__init__(path=path, method=method, allowed=allowed)
        self.allowed = allowed


class BodyTooLarge(TallystickError):
    """The body is larger than {limit} bytes; send less at once."""

    code = "rest.body_too_large"
    kind = Kind.TOO_LARGE


class SpoolFull(TallystickError):
    """There is no room on the server's disk for the file; nothing of it was imported."""

    code = "rest.spool_full"
    kind = Kind.UNAVAILABLE


class ImportsBusy(TallystickError):
    """Other files are being imported; send it again when they are done."""

    code = "rest.imports_busy"
    kind = Kind.RATE_LIMITED


class ExportsBusy(TallystickError):
    """Other files of usage are being given out; ask again when they are done."""

    code = "rest.exports_busy"
    kind = Kind.RATE_LIMITED


class MediaTypeUnknown(TallystickError):
    """The body is {given}; send application/cloudevents+json, application/cloudevents-batch+json, or ce-… headers, in UTF-8."""

    code = "rest.media_type_unknown"
    kind = Kind.INVALID


class NotAvro(TallystickError):
    """The body must be of the content type avro/binary."""

    code = "rest.not_avro"
    kind = Kind.INVALID


class EventConflict(TallystickError):
    """Another event is stored: {place} {rule}."""

    code = "usage.event_conflict"
    kind = Kind.CONFLICT


class CallerGone(Exception):
    """The caller hung up before its request was whole."""
