"""What a page points at is there: files, headings, tests that hold a promise."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.docs.runnable import ROOT

FOLDERS = ("docs", "tallystick", "tests", "bench")
PAGES = sorted([*ROOT.glob("*.md"), *(page for folder in FOLDERS for page in (ROOT / folder).rglob("*.md"))])
_LINK = re.compile(r"\[[^\]]*\]\((?P<target>[^)\s]+)\)")
_FENCED = re.compile(r"^```.*?^```$", re.MULTILINE | re.DOTALL)
_HEADING = re.compile(r"^#+ (?P<title>.+)$", re.MULTILINE)
_TEST = re.compile(r"`(test_\w+)`")
_DEFINED = re.compile(r"^ *(?:async )?def (test_\w+)", re.MULTILINE)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_every_link_leads_somewhere(page: Path) -> None:
    """A reader who follows a link into this repository finds the file, and the heading in it."""
    assert [link for link in _links(page) if not _is_there(page, link)] == []


def test_every_test_that_a_page_names_exists() -> None:
    """An "always" of a README is held by a test, so the test it names must be one."""
    defined = {name for path in (ROOT / "tests").rglob("*.py") for name in _DEFINED.findall(path.read_text("utf-8"))}
    named = {(page, name) for page in PAGES for name in _TEST.findall(page.read_text("utf-8"))}
    files = {path.stem for path in (ROOT / "tests").rglob("test_*.py")}
    missing = [f"{page.relative_to(ROOT)}: {name}" for page, name in sorted(named) if name not in defined | files]
    assert missing == []


def _links(page: Path) -> Iterator[str]:
    for found in _LINK.finditer(_FENCED.sub("", page.read_text("utf-8"))):
        if "://" not in found["target"]:
            yield found["target"]


def _is_there(page: Path, link: str) -> bool:
    name, _, anchor = link.partition("#")
    target = (page.parent / name) if name else page
    if not target.exists():
        return False
    return not anchor or anchor in {_anchor(title) for title in _HEADING.findall(target.read_text("utf-8"))}


def _anchor(title: str) -> str:
    """Return a heading's anchor as GitHub makes it."""
    return re.sub(r"[^\w -]", "", title.lower()).replace(" ", "-")
