"""The log: what a traceback tells, and what it must not."""

import pytest
import structlog

from tallystick.cli.run import write_log


def test_a_traceback_shows_no_values(capsys: pytest.CaptureFixture[str]) -> None:
    """It names the error and its lines; what stood in variables, a secret for instance, stays there."""
    before = structlog.get_config()
    write_log()
    secret = "whsec_" + "c2VjcmV0" * 4
    try:
        assert secret.index("nothing of it")
    except ValueError as error:
        structlog.get_logger().error("it broke", exc_info=error)
    finally:
        structlog.configure(**before)
    told = capsys.readouterr().err
    assert "it broke" in told
    assert "substring not found" in told
    assert secret not in told
