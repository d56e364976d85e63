"""Patterns for request targets: what they fit, and that no text keeps them busy."""

import re
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tallystick.usage.billable import MAX_PATTERNS, BillableRule, Reason, compile_rule, judge
from tallystick.usage.pattern import LONGEST, read_pattern


@pytest.mark.parametrize(
    ("pattern", "fits", "does_not"),
    [
        ("/*", ["/", "/a", "/a/b?c=d"], ["", "a", "http://x/"]),
        ("/v1/*", ["/v1/", "/v1/a/b"], ["/v1", "/v10/", "x/v1/"]),
        ("/v?/*", ["/v1/a", "/v?/"], ["/v10/a", "/v/a"]),
        ("/health", ["/health"], ["/health/", "/healthy", "x/health"]),
        ("*.png", [".png", "/a/b.png"], ["/a.png?x", "/apng"]),
        ("*/a*a/*", ["/aa/", "/ab/aca/d"], ["/a/", "/ba/"]),
        ("a*a", ["aa", "aba"], ["a"]),
        ("**", ["", "x"], []),
        ("/(a|b)+[c]$", ["/(a|b)+[c]$"], ["/ac"]),
        ("/a.b", ["/a.b"], ["/axb"]),
        ("*\n?", ["a\nb"], ["ab"]),
    ],
)
def test_a_pattern_fits_the_whole_target(pattern: str, fits: list[str], does_not: list[str]) -> None:
    """Star is any run, question mark is one, and everything else, brackets and dots included, is itself."""
    matches = read_pattern(pattern).matches
    assert [text for text in fits if not matches(text)] == []
    assert [text for text in does_not if matches(text)] == []


@given(st.text("ab*", min_size=1, max_size=12), st.text("abc", max_size=20))
def test_a_pattern_says_what_the_same_regular_expression_says(pattern: str, text: str) -> None:
    """Taking the first place where each part stands is as good as trying all."""
    expression = re.escape(pattern).replace(r"\*", ".*")
    assert read_pattern(pattern).matches(text) is (re.fullmatch(expression, text) is not None)


@given(st.text("ab?", max_size=6), st.text("ab?", max_size=6), st.text("ab", max_size=15))
def test_a_question_mark_is_one_character(start: str, end: str, text: str) -> None:
    """At either end, beside a star or without one."""
    expression = re.escape(f"{start}*{end}").replace(r"\*", ".*").replace(r"\?", ".")
    assert read_pattern(f"{start}*{end}").matches(text) is (re.fullmatch(expression, text) is not None)


@pytest.mark.parametrize("pattern", ["*" + "a*" * 99, "*" + "a" * 98 + "b" + "a" * 98 + "*", "*a" * 50 + "*b"])
def test_a_rule_and_an_address_cannot_stop_the_server(pattern: str) -> None:
    """The longest target against as many of the worst patterns as a rule may have is judged in a moment."""
    assert len(pattern) <= LONGEST
    rule = compile_rule(
        BillableRule(resources=(pattern + "!",) * MAX_PATTERNS if len(pattern) < LONGEST else (pattern,))
    )
    longest = "/" + "a" * 65_000
    began = time.process_time()
    judged = judge(200, longest, rule)
    assert time.process_time() - began < 1
    assert judged in {None, Reason.NOT_A_RESOURCE}
