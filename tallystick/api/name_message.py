"""Name a message whose caller did not."""

from tallystick.ids import uuid7
from tallystick.operations.model import Input


def name_message(operation: str, request: Input) -> str:
    """Return an id for a message: by the id that it carries, so that a repeat is one, or else a new one."""
    given = getattr(request, "id", None)
    return f"{operation}:{given}" if given is not None else str(uuid7())
