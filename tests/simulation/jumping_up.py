"""`tallystick up` by a clock that jumps: ``python -m tests.simulation.jumping_up SEED up …``."""

import sys

import tallystick.open_store
from tallystick.cli.app import app
from tests.simulation.clocks import JumpingClock

if __name__ == "__main__":
    seed = sys.argv.pop(1)
    setattr(tallystick.open_store, "SystemClock", lambda: JumpingClock(seed))  # noqa: B010 - where the process makes its clock
    app()
