"""Signed notes: what is taken, what is refused, and how keys are changed."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tallystick.errors import TallystickError
from tallystick.ledger.log.note import (
    MAX_SIGNATURES,
    BadKey,
    BadNote,
    BadSignature,
    Signer,
    Verifier,
    decode_base64,
    parse,
    parse_keys,
    sign,
    verify,
)

# The example of golang.org/x/mod/sumdb/note's documentation: a key, a text and the one signature they give.
SECRET = "PRIVATE+KEY+PeterNeumann+c74f20a3+AYEKFALVFGyNhPJEMzD1QIDr+Y7hfZx09iUvxdXHKDFz"
PUBLIC = "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW"
TEXT = "If you think cryptography is the answer to your problem,\nthen you don't know what your problem is.\n"
SIGNED = (
    TEXT
    + "\n— PeterNeumann x08go/ZJkuBS9UG/SffcvIAQxVBtiFupLLr8pAcElZInNIuGUgYN1FFYC2pZSNXgKvqfqdngotpRZb6KE6RyyBwJnAM=\n"
).encode()

OLD = Signer.from_seed("log.example/books", bytes(range(32)))
NEW = Signer.from_seed("log.example/books", bytes(range(1, 33)))
STRANGER = Signer.from_seed("witness.example", bytes(32))

LINE = SIGNED.decode().removeprefix(TEXT + "\n")

MALFORMED = {
    "empty": b"",
    "no signature": TEXT.encode() + b"\n",
    "no blank line": (TEXT + LINE).encode(),
    "no newline at the end": SIGNED[:-1],
    "a blank line at the end": SIGNED + b"\n",
    "a line behind the signatures": SIGNED + b"and so on\n",
    "hyphen for a dash": SIGNED.replace("— ".encode(), b"- "),
    "no space behind the dash": SIGNED.replace("— ".encode(), "—".encode()),
    "two spaces": SIGNED.replace(b"PeterNeumann ", b"PeterNeumann  "),
    "space at the end": SIGNED[:-1] + b" \n",
    "carriage return": SIGNED.replace(b"\n", b"\r\n"),
    "tab in the text": SIGNED.replace(b"you ", b"you\t", 1),
    "NUL in the text": SIGNED.replace(b"you ", b"you\0", 1),
    "not UTF-8": SIGNED.replace(b"you ", b"you\xff", 1),
    "surrogate": SIGNED.replace(b"you ", b"you\xed\xa0\x80", 1),
    "no name": SIGNED.replace(b" PeterNeumann ", b"  "),
    "plus in the name": SIGNED.replace(b" PeterNeumann ", b" Peter+Neumann "),
    "wide space in the name": SIGNED.replace(b" PeterNeumann ", " Peter\u2003Neumann ".encode()),
    "no signature bytes": (TEXT + "\n— PeterNeumann x08gow==\n").encode(),
    "not base64": SIGNED.replace(b"x08go/", b"x08go_"),
    "base64 without padding": SIGNED.replace(b"AM=\n", b"AM\n"),
    "too many signatures": SIGNED + LINE.encode() * MAX_SIGNATURES,
}


@pytest.fixture
def peter() -> Verifier:
    """Return the public key of the published example."""
    return Verifier.parse(PUBLIC)


def test_the_published_example(peter: Verifier) -> None:
    """The key of Go's documentation signs its text as Go does, and its note is taken."""
    signer = Signer.parse(SECRET)
    assert signer.verifier == peter
    assert sign(TEXT, [signer]) == SIGNED
    assert verify(SIGNED, [peter]).text == TEXT


def test_keys_are_written_as_they_are_read() -> None:
    """Both text forms come back unchanged, and a new key works like one that was kept."""
    assert str(Verifier.parse(PUBLIC)) == PUBLIC
    assert Signer.parse(SECRET).secret_text() == SECRET
    made = Signer.generate("log.example/new")
    again = Signer.parse(made.secret_text())
    assert verify(sign("x\n", [again]), [Verifier.parse(str(made.verifier))]).text == "x\n"


def test_a_private_key_does_not_show_itself() -> None:
    """Neither a log line nor a failed parse gives the secret away."""
    signer = Signer.parse(SECRET)
    secret = SECRET.rpartition("+")[2]
    assert secret not in f"{signer!r} {signer}"
    with pytest.raises(BadKey) as caught:
        Signer.parse(SECRET.replace("c74f20a3", "c74f20a4"))
    assert secret not in f"{caught.value!r} {caught.value}"


@pytest.mark.parametrize("note", MALFORMED.values(), ids=MALFORMED.keys())
def test_malformed_notes_are_refused(note: bytes, peter: Verifier) -> None:
    """A note has one form; whatever else is not a note, whoever signed it."""
    with pytest.raises(BadNote) as caught:
        verify(note, [peter])
    assert caught.value.code == "log.bad_note"


def test_one_bit_anywhere_spoils_a_note(peter: Verifier) -> None:
    """Text, blank line, dash, name, id, signature, padding: no bit can be turned over."""
    for bit in range(len(SIGNED) * 8):
        spoilt = bytearray(SIGNED)
        spoilt[bit // 8] ^= 1 << bit % 8
        with pytest.raises((BadNote, BadSignature)):
            verify(bytes(spoilt), [peter])


def test_blank_lines_may_stand_in_the_text() -> None:
    """The last blank line is the one that ends the text."""
    text = "first\n\n— not a signature\n\nlast\n"
    assert verify(sign(text, [OLD]), [OLD.verifier]).text == text


def test_signatures_of_strangers_are_ignored_but_one_known_is_needed() -> None:
    """A witness may add its line; a note without a line of ours is not taken."""
    note = sign("text\n", [STRANGER, OLD])
    verified = verify(note, [OLD.verifier])
    assert [signature.name for signature in verified.signatures] == ["log.example/books"]
    assert [signature.name for signature in parse(note).signatures] == ["witness.example", "log.example/books"]
    with pytest.raises(BadSignature, match="no known key"):
        verify(sign("text\n", [STRANGER]), [OLD.verifier])
    with pytest.raises(BadSignature, match="no known key"):
        verify(note, [])


def test_a_key_is_changed_without_a_gap() -> None:
    """While both keys sign, holders of either verify; who holds both reads notes from before and after."""
    both, before, after = sign("text\n", [OLD, NEW]), sign("text\n", [OLD]), sign("text\n", [NEW])
    assert OLD.verifier.key_id != NEW.verifier.key_id
    for known in ([OLD.verifier], [NEW.verifier], [OLD.verifier, NEW.verifier]):
        assert len(verify(both, known).signatures) == len(known)
    for note in (before, after):
        assert verify(note, [OLD.verifier, NEW.verifier]).text == "text\n"
    with pytest.raises(BadSignature):
        verify(before, [NEW.verifier])


def test_a_false_signature_of_a_known_key_spoils_the_note_beside_true_ones() -> None:
    """One true signature does not excuse a forged one."""
    forged = sign("other\n", [NEW]).decode().partition("\n\n")[2]
    with pytest.raises(BadSignature, match="false"):
        verify(sign("text\n", [OLD]) + forged.encode(), [OLD.verifier, NEW.verifier])


def test_a_hundred_signatures_are_the_limit() -> None:
    """The most that is taken is taken."""
    assert len(verify(sign("text\n", [OLD] * MAX_SIGNATURES), [OLD.verifier]).signatures) == MAX_SIGNATURES
    with pytest.raises(BadNote, match="1 to 100"):
        sign("text\n", [OLD] * (MAX_SIGNATURES + 1))


@pytest.mark.parametrize("text", ["", "no newline", "tab\there\n", "bell\a\n", "return\r\n"])
def test_a_text_that_cannot_stand_in_a_note_is_not_signed(text: str) -> None:
    """What nobody could verify is refused before it is signed."""
    with pytest.raises(BadNote):
        sign(text, [OLD])


def test_a_note_needs_a_signer() -> None:
    """An unsigned note is none."""
    with pytest.raises(BadNote, match="not 0"):
        sign("text\n", [])


@pytest.mark.parametrize(
    "key",
    [
        "",
        "name",
        "name+c74f20a3",
        PUBLIC.replace("c74f20a3", "c74f20a4"),
        PUBLIC.replace("c74f20a3", "C74F20A3"),
        PUBLIC.replace("PeterNeumann", "PaulNeumann"),
        PUBLIC.replace("PeterNeumann", ""),
        PUBLIC.replace("PeterNeumann", "Peter Neumann"),
        PUBLIC[:-4],
        PUBLIC[:-1] + "!",
        PUBLIC.replace("+AR", "+BR"),
        PUBLIC + "\n",
    ],
)
def test_malformed_keys_are_refused(key: str) -> None:
    """A key that was mistyped is noticed when it is read."""
    for parse_key, text in ((Verifier.parse, key), (Signer.parse, f"PRIVATE+KEY+{key}"), (Signer.parse, key)):
        with pytest.raises(BadKey) as caught:
            parse_key(text)
        assert caught.value.code == "log.bad_key"


def test_two_keys_under_one_name_and_id_are_refused() -> None:
    """An id is short enough to collide; which of the two keys is meant is not guessed."""
    other = Verifier(OLD.verifier.name, NEW.verifier.public_key)
    object.__setattr__(other, "key_id", OLD.verifier.key_id)
    with pytest.raises(BadKey, match="two keys"):
        verify(sign("text\n", [OLD]), [OLD.verifier, other])
    assert verify(sign("text\n", [OLD]), [OLD.verifier, OLD.verifier]).text == "text\n"


@given(st.text(st.characters(min_codepoint=32, exclude_categories=["Cs"]) | st.just("\n")))
@settings(print_blob=True)
def test_any_text_comes_back(text: str) -> None:
    """Whatever a note may hold is returned letter for letter."""
    assert verify(sign(text + "\n", [OLD]), [OLD.verifier]).text == text + "\n"


@given(st.binary(max_size=200))
@settings(print_blob=True)
def test_arbitrary_bytes_are_refused_with_an_error_of_ours(note: bytes) -> None:
    """No input makes the parser fail in a way that callers do not know."""
    with pytest.raises(TallystickError):
        verify(note, [OLD.verifier])


@pytest.mark.parametrize("text", ["AA", "AA=", "AB==", "AAB=", "A A=", "AA==\n", "_-8=", "ÄA==", "AA==AA=="])
def test_base64_has_one_spelling(text: str) -> None:
    """Missing padding, stray bits, spaces and other alphabets are refused."""
    with pytest.raises(ValueError):  # noqa: PT011 - the text is Python's own and differs by cause
        decode_base64(text)


def test_a_log_publishes_its_keys_one_a_line() -> None:
    """As many as it ever had, all of one name; a file without any is no key."""
    assert parse_keys(f"{NEW.verifier}\n\n  {OLD.verifier}\n") == [NEW.verifier, OLD.verifier]
    assert parse_keys(str(OLD.verifier)) == [OLD.verifier]
    for text in ("", "\n \n", f"{OLD.verifier}\n{STRANGER.verifier}", f"{OLD.verifier}\nx"):
        with pytest.raises(BadKey):
            parse_keys(text)
