"""The reference pages are what the program says of itself."""

import re
from collections.abc import Iterator
from typing import get_args, get_type_hints

import msgspec
import pytest

from docs.generate import MEANINGS, PAGES, pages
from tallystick.errors import Kind
from tallystick.operations.table import TABLE
from tallystick.settings import VARIABLES

WRITTEN = pages()


@pytest.mark.parametrize("name", WRITTEN)
def test_a_page_checked_in_is_the_one_generated(name: str) -> None:
    """Whoever changes an operation, an error or a setting changes its page, and sees it in the same commit."""
    assert (PAGES / name).read_text(encoding="utf-8") == WRITTEN[name], "run: python -m docs.generate"


def test_no_page_is_left_over() -> None:
    """The folder holds what is generated, and the page whose examples have a test of their own, and nothing else."""
    assert {path.name for path in PAGES.iterdir()} == {*WRITTEN, "charge-models.md"}


def test_nothing_that_a_caller_can_use_is_left_out() -> None:
    """Every operation with a route, every variable and every kind of error has its place."""
    offered = [one.name for one in TABLE.values() if one.route]
    assert [name for name in offered if f"\n## {name}\n" not in WRITTEN["operations.md"]] == []
    assert [name for name in VARIABLES if f"`{name}`" not in WRITTEN["settings.md"]] == []
    assert set(MEANINGS) == set(Kind)


def test_what_only_workers_do_is_not_offered() -> None:
    """The reference is for callers: an operation without a route is none of theirs."""
    inner = [one.name for one in TABLE.values() if not one.route]
    assert inner
    assert [name for name in inner if f"\n## {name}\n" in WRITTEN["operations.md"]] == []


def test_no_two_structs_of_the_operations_have_one_name() -> None:
    """The reference and the contract know a struct by its name; of two, one would be told as the other."""
    seen: dict[str, type] = {}
    for operation in TABLE.values():
        for struct in (operation.input, operation.output):
            for name, one in _structs_of(struct):
                assert seen.setdefault(name, one) is one or not one.__struct_fields__, (name, seen[name], one)


def _structs_of(type_: object) -> Iterator[tuple[str, type[msgspec.Struct]]]:
    waiting, known = [type_], set[int]()
    while waiting:
        one = waiting.pop()
        if id(one) in known:
            continue
        known.add(id(one))
        if isinstance(one, type) and issubclass(one, msgspec.Struct):
            yield one.__name__, one
            waiting.extend(get_type_hints(one, include_extras=True).values())
        waiting.extend(get_args(one))


@pytest.mark.parametrize("name", ["Event", "Payout"])
def test_what_a_provider_calls_by_the_same_name_is_not_told(name: str) -> None:
    """A payout of Stripe, or an event of the sandbox, lends ours neither its texts nor its types: ours have instants."""
    told = WRITTEN["operations.md"].split(f"\n**`{name}`**")[1].split("\n## ")[0]
    assert re.search(r"_at`\*\* \| instant", told)
