"""Canonical JSON: one text for one content."""

import hashlib
import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tallystick.canonical import digest, encode

tried = settings(print_blob=True, deadline=None)

texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=8)
contents = st.recursive(
    st.none() | st.booleans() | st.integers() | texts,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(texts, inner, max_size=4),
    max_leaves=12,
)


@pytest.mark.parametrize(
    ("content", "text"),
    [
        ({"b": 1, "a": [True, None, "x"]}, '{"a":[true,null,"x"],"b":1}'),
        ({"\u20ac": "\u00f6", "1": '"\\\n\x0f'}, '{"1":"\\"\\\\\\n\\u000f","\u20ac":"\u00f6"}'),
        ([], "[]"),
        (-(2**63), "-9223372036854775808"),
    ],
)
def test_the_text_is_that_of_the_standard(content: object, text: str) -> None:
    """Keys in order, no blanks, characters as themselves in UTF-8, control characters escaped (RFC 8785 section 3.2)."""
    assert encode(content) == text.encode()


@tried
@given(contents)
def test_what_was_written_reads_back_and_writes_the_same(content: object) -> None:
    """Nothing is lost on the way, and the text of what was read is the same text."""
    text = encode(content)
    assert json.loads(text) == content
    assert encode(json.loads(text)) == text


@tried
@given(st.dictionaries(texts, contents, max_size=5))
def test_the_order_of_making_does_not_show(content: dict[str, object]) -> None:
    """Two dicts with the same entries have one text and one hash."""
    backwards = dict(reversed(content.items()))
    assert encode(backwards) == encode(content)
    assert digest(backwards) == hashlib.sha256(encode(content)).digest()


@pytest.mark.parametrize(
    ("content", "where"),
    [(1.0, "$"), ({"a": [1, {"b": 0.5}]}, "$.a[1].b"), ([float("nan")], "$[0]"), ((1, 2.5), "$[1]")],
)
def test_a_float_is_refused_where_it_stands(content: object, where: str) -> None:
    """The error says which value to write in another way."""
    with pytest.raises(TypeError) as caught:
        encode(content)
    assert str(caught.value).startswith(f"{where} is a float")


@pytest.mark.parametrize("content", [object(), {1: "a"}, {None: "a"}, [len]])
def test_what_json_has_no_word_for_is_refused(content: object) -> None:
    """Keys that are no text and objects without a JSON form are not guessed at."""
    with pytest.raises(TypeError):
        encode(content)
