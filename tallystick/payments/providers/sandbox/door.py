"""Where a sandbox that runs is reached, and with which secret: a file beside its state, for its owner's eyes alone."""

import contextlib
from pathlib import Path

import msgspec

from tallystick.errors import Kind, TallystickError
from tallystick.payments.providers.sandbox.private_file import write_privately


class SandboxNotRunning(TallystickError):
    """No sandbox runs on {state}; `tallystick up` starts one, unless it has a real provider."""

    code = "payments.sandbox_not_running"
    kind = Kind.NOT_FOUND


class Door(msgspec.Struct, frozen=True):
    """An address and a secret."""

    url: str
    secret: str

    def __repr__(self) -> str:
        """Leave the secret out."""
        return f"Door(url={self.url!r})"


def leave_door(state: Path, door: Door) -> None:
    """Say where the sandbox with this state file is reached."""
    write_privately(_beside(state), msgspec.json.encode(door))


def find_door(state: Path) -> Door:
    """
    Return where the sandbox with this state file is reached; it may have died since.

    Raises:
        SandboxNotRunning: nobody said so, or it has been stopped (``payments.sandbox_not_running``).
    """
    try:
        return msgspec.json.decode(_beside(state).read_bytes(), type=Door)
    except (OSError, msgspec.DecodeError) as missing:
        raise SandboxNotRunning(state=state) from missing


def take_door_away(state: Path) -> None:
    """Say that it is reached no more."""
    with contextlib.suppress(OSError):
        _beside(state).unlink()


def _beside(state: Path) -> Path:
    return state.with_name(f"{state.name}.door")
