"""The documents that run: what a reader types works, and prints what the document says."""

from pathlib import Path

import pytest

from tests.docs.runnable import ROOT, Step, free_port, missing_lines, open_directory, run_steps, steps_of

TUTORIAL = ROOT / "docs" / "tutorial" / "first-receipt.md"


def test_the_tutorial_runs_and_prints_what_it_says() -> None:
    """A newcomer who types the tutorial, block by block, sees what it shows."""
    with open_directory() as directory:
        steps = _steps_of(TUTORIAL, directory)
        ran = run_steps(steps, directory)
    _require_as_written(steps, ran.printed)
    assert ran.status == 0, ran.printed


def _steps_of(document: Path, directory: Path) -> list[Step]:
    """Read the document, with a port and a place of this test's own."""
    text = document.read_text(encoding="utf-8")
    assert "8081" in text
    assert "/tmp/first-receipt" in text  # noqa: S108 - the reader's directory, replaced by the next line
    own = text.replace("8081", str(free_port())).replace("/tmp/first-receipt", str(directory / "first"))  # noqa: S108 - see above
    return steps_of(own)


def _require_as_written(steps: list[Step], printed: list[str]) -> None:
    for step, output in zip(steps, printed, strict=True):
        missing = missing_lines(step.expected, output)
        assert not missing, f"{step.commands}\nprinted\n{output}\nand not {missing}"


@pytest.mark.parametrize(
    ("expected", "printed", "missing"),
    [
        (["4 lines"], "  4   lines\n", []),
        (["a … c", "d"], "a b c\nd\n", []),
        (["d", "a"], "a\nd\n", ["a"]),
        (["caught"], "✓ receipt.json", ["caught"]),
    ],
)
def test_a_line_that_is_not_printed_is_missed(expected: list[str], printed: str, missing: list[str]) -> None:
    """The judge of the documents finds what is absent or out of order, and overlooks width alone."""
    assert missing_lines(expected, printed) == missing
