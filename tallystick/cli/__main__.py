"""``python -m tallystick.cli`` is ``tallystick``."""

from tallystick.cli.app import main

main()
