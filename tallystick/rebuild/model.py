"""What a rebuild finds."""

from dataclasses import dataclass, field

from tallystick.errors import Kind, TallystickError


class Difference(TallystickError):
    """{where}: {what}"""

    code = "rebuild.difference"
    kind = Kind.CONFLICT


@dataclass(frozen=True, slots=True)
class Root:
    """How far the log was compared, and what stands there."""

    transfers: int
    """All of the twin's, sealed or not."""
    size: int
    """How many leaves the newest checkpoint covers; all of them where nothing is sealed."""
    root: bytes
    checkpoints: int


@dataclass(slots=True)
class Rebuilt:
    """What was made anew, and the first thing that did not come out the same."""

    messages: int = 0
    usage_events: int = 0
    """Taken as they are stored, since the journal keeps count and hash of them."""
    customers: int = 0
    """Taken with them."""
    judged_beside: int = 0
    """Transactions that were judged while others were open, whose payments in they did not see."""
    judged_elsewhere: list[str] = field(default_factory=list)
    """Keys of refusals that would be none at their place in the order: they were judged just before it, changed nothing."""
    log: Root | None = None
    difference: Difference | None = None

    @property
    def same(self) -> bool:
        """Say whether all came out the same."""
        return self.difference is None
