"""What REST refuses of an input the command line refuses too."""

import pytest

from tallystick.errors import TallystickError
from tallystick.security.model import OPERATOR
from tests.conftest import House


@pytest.mark.parametrize(
    ("operation", "text"),
    [
        ("security.create_key", b'{"name": "a\\u0000b", "scopes": ["*"], "sha256": "' + b"22" * 32 + b'"}'),
        ("usage.record", b'{"source": "s", "events": [' + b"[" * 5000 + b"]" * 5000 + b"]}"),
        ("ledger.balance", b'{"account": "a", "at": "0001-01-01T00:00:00+14:00"}'),
    ],
)
async def test_what_rest_refuses_the_command_line_refuses_too(house: House, operation: str, text: bytes) -> None:
    """`tallystick do` goes through the same table: an error of ours, which is told on one line, and no other."""
    with pytest.raises(TallystickError):
        await house.operations.run(OPERATOR, "main", operation, "k", text)
