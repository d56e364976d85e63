"""The most memory that a process ever had."""

import resource
import sys
from pathlib import Path


def peak_kib() -> int:
    """
    Return the largest resident set of this process so far, in KiB.

    From the kernel's own account of this program where there is one: what ``getrusage`` says begins with what the process
    was that started it.
    """
    status = Path("/proc/self/status")
    if status.exists():
        return next(int(line.split()[1]) for line in status.read_text().splitlines() if line.startswith("VmHWM"))
    unit = 1024 if sys.platform == "darwin" else 1
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // unit
