"""Each call to a payment provider is known to fail in two ways, and a test is named that has it fail in both."""

import re
from pathlib import Path

from tallystick.payments.providers.protocol import Provider

ROOT = Path(__file__).parents[2]
README = ROOT / "tallystick/payments/providers/README.md"
_ROW = re.compile(r"^\| `(\w+)` \| ((?:`test_\w+`(?:, )?)+) \|$", re.MULTILINE)


def test_every_call_to_a_provider_has_a_test_that_has_it_fail() -> None:
    """The table of the README names every call of the protocol, and tests that there are."""
    section = README.read_text().partition("## Every call fails twice over")[2].partition("\n## ")[0]
    named = dict(_ROW.findall(section))
    calls = {name for name, one in vars(Provider).items() if callable(one) and not name.startswith("_")}
    assert named.keys() == calls
    written = "\n".join(path.read_text() for path in (ROOT / "tests").rglob("test_*.py"))
    tests = {test for row in named.values() for test in re.findall(r"test_\w+", row)}
    assert {test for test in tests if f"def {test}(" not in written} == set()
