"""What the server is made of."""

import re
from pathlib import Path

import tallystick
from tallystick.main import HANDLERS

_QUEUE = re.compile(r'^QUEUE = "(\w+)"$', re.MULTILINE)


def test_every_queue_is_worked_off() -> None:
    """A job of a queue that nobody works off would wait for ever, and nobody would be told."""
    files = Path(tallystick.__file__).parent.rglob("*.py")
    queues = {name for file in files for name in _QUEUE.findall(file.read_text())}
    assert queues == HANDLERS.keys()
    assert "payments" in queues
