"""The plan of a run: what all of its processes must know."""

from dataclasses import dataclass
from pathlib import Path

from tests.simulation.workload import Workload

PROCESSES = (("direct-0", "direct-1", "direct-2"), ("direct-3", "direct-4", "direct-5"),
             ("rest-0", "rest-1", "rest-2", "rest-3", "rest-4", "rest-5"))  # fmt: skip
"""The posters, each with its lanes; what comes before the dash is the door that a lane goes by."""
LANES = tuple(lane for process in PROCESSES for lane in process)


@dataclass(frozen=True)
class Plan:
    """Where everything is, and what is sent."""

    directory: str
    address: str
    key: str
    url: str
    """The database, as the schema's owner reaches it."""
    workload: Workload

    def journal(self, lane: str) -> Path:
        """Return the file of a lane."""
        return Path(self.directory) / f"{lane}.jsonl"
