"""Signed notes (C2SP signed-note): a text, a blank line, and signatures that name their keys."""

import hashlib
import re
from base64 import b64decode, b64encode
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple, Protocol

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from tallystick.errors import Kind, TallystickError

MAX_SIGNATURES = 100
"""How many signatures a note may carry; each costs work before anything is trusted."""

ED25519 = b"\x01"
"""The type of a plain Ed25519 signature; it stands before the key in the key's text form."""
COSIGNATURE = b"\x04"
"""The type of an Ed25519 signature with a time, of a checkpoint (C2SP tlog-cosignature)."""
_TYPES = {ED25519: "Ed25519", COSIGNATURE: "Ed25519 cosignatures"}
_KEY_ID_SIZE = 4
_CONTROL = re.compile(r"[\x00-\x09\x0b-\x1f]")
PRIVATE_PREFIX = "PRIVATE+KEY+"


class BadNote(TallystickError):
    """The signed note is malformed: {reason}."""

    code = "log.bad_note"
    kind = Kind.INVALID


class BadSignature(TallystickError):
    """The note's signature does not hold: {reason}."""

    code = "log.bad_signature"
    kind = Kind.INVALID


class BadKey(TallystickError):
    """The key for signed notes is malformed: {reason}."""

    code = "log.bad_key"
    kind = Kind.INVALID


class Signature(NamedTuple):
    """One signature line: whose it says it is, and the bytes."""

    name: str
    key_id: bytes
    """The first 4 bytes of a hash over name and key: finds the key, proves nothing."""
    value: bytes


@dataclass(frozen=True, slots=True)
class Note:
    """A note that was taken apart; trust its text only if it comes from `verify`."""

    text: str
    """What is signed, its last newline included."""
    signatures: tuple[Signature, ...]


class PublicKey(Protocol):
    """What can judge a signature line: a key of some type, with its name."""

    @property
    def name(self) -> str:
        """Return the key's name."""
        ...

    @property
    def key_id(self) -> bytes:
        """Return the 4 bytes by which lines name the key beside its name."""
        ...

    def accepts(self, text: str, value: bytes) -> bool:
        """Say whether *value* is this key's signature of *text*."""
        ...


@dataclass(frozen=True, slots=True)
class Verifier:
    """A public key with its name, for plain Ed25519 signatures."""

    name: str
    public_key: bytes
    """32 bytes, RFC 8032."""
    key_id: bytes = field(init=False)

    def __post_init__(self) -> None:
        """Refuse a name that a note cannot carry, or a key of the wrong length (BadKey)."""
        require_key(self.name, self.public_key)
        object.__setattr__(self, "key_id", key_id_of(self.name, ED25519, self.public_key))

    @classmethod
    def parse(cls, text: str) -> "Verifier":
        """
        Read the text form, ``name+id+base64``.

        Raises:
            BadKey: it is malformed, of another algorithm, or its id is not the key's.
        """
        name, key_id, public_key = take_key_apart(text, ED25519)
        verifier = cls(name, public_key)
        if verifier.key_id.hex() != key_id:
            raise BadKey(reason="its id does not belong to its name and key")
        return verifier

    def __str__(self) -> str:
        """Write the text form, ``name+id+base64``."""
        return put_key_together(self.name, self.key_id, ED25519 + self.public_key)

    def accepts(self, text: str, value: bytes) -> bool:
        """Say whether *value* is this key's signature of *text*."""
        return is_signed(self.public_key, text.encode(), value)


@dataclass(frozen=True, slots=True, eq=False)
class Signer:
    """A private key with its name; neither ``repr`` nor ``str`` shows the key."""

    verifier: Verifier
    private_key: Ed25519PrivateKey = field(repr=False)

    @classmethod
    def from_seed(cls, name: str, seed: bytes) -> "Signer":
        """
        Make the key that follows from the 32 bytes of *seed* (RFC 8032).

        Raises:
            BadKey: the name cannot stand in a note, or the seed is of another length.
        """
        require_key(name, seed)
        private_key = Ed25519PrivateKey.from_private_bytes(seed)
        return cls(Verifier(name, private_key.public_key().public_bytes_raw()), private_key)

    @classmethod
    def generate(cls, name: str) -> "Signer":
        """
        Make a new key.

        Raises:
            BadKey: the name cannot stand in a note.
        """
        return cls.from_seed(name, Ed25519PrivateKey.generate().private_bytes_raw())

    @classmethod
    def parse(cls, text: str) -> "Signer":
        """
        Read the secret text form, ``PRIVATE+KEY+name+id+base64``.

        Raises:
            BadKey: it is malformed, of another algorithm, or its id is not the key's; the message holds no secret.
        """
        name, key_id, seed = take_key_apart(without_private_prefix(text), ED25519)
        signer = cls.from_seed(name, seed)
        if signer.verifier.key_id.hex() != key_id:
            raise BadKey(reason="its id does not belong to its name and key")
        return signer

    def secret_text(self) -> str:
        """Write the secret text form, ``PRIVATE+KEY+name+id+base64``."""
        seed = self.private_key.private_bytes_raw()
        return PRIVATE_PREFIX + put_key_together(self.verifier.name, self.verifier.key_id, ED25519 + seed)

    def sign(self, text: str) -> Signature:
        """Sign *text*."""
        return Signature(self.verifier.name, self.verifier.key_id, self.private_key.sign(text.encode()))


def parse_keys(text: str) -> list[Verifier]:
    """
    Read the public keys of one log, one a line, such as a log publishes when its key was changed.

    Raises:
        BadKey: a line is no public key, there is none, or two have different names.
    """
    verifiers = [Verifier.parse(line.strip()) for line in text.splitlines() if line.strip()]
    if not verifiers:
        raise BadKey(reason="there is none")
    if len({verifier.name for verifier in verifiers}) > 1:
        raise BadKey(reason="its lines are keys of different names")
    return verifiers


def sign(text: str, signers: Sequence[Signer]) -> bytes:
    """
    Write *text* as a note signed by each of *signers*, in their order.

    Raises:
        BadNote: the text does not end in a newline or cannot stand in a note, or nobody signs.
    """
    _require_text(text)
    if not 1 <= len(signers) <= MAX_SIGNATURES:
        raise BadNote(reason=f"it takes 1 to {MAX_SIGNATURES} signatures, not {len(signers)}")
    return (text + "\n" + "".join(signature_line(signer.sign(text)) for signer in signers)).encode()


def parse(note: bytes) -> Note:
    """
    Take a note apart without trusting any of it.

    Raises:
        BadNote: it is not well-formed.
    """
    try:
        whole = note.decode()
    except UnicodeDecodeError as error:
        raise BadNote(reason="it is not UTF-8") from error
    body, blank, signatures = whole.rpartition("\n\n")
    if not blank or not signatures.endswith("\n"):
        raise BadNote(reason="it does not end in a blank line and signature lines")
    text = body + "\n"
    _require_text(text)
    lines = signatures[:-1].split("\n")
    if len(lines) > MAX_SIGNATURES:
        raise BadNote(reason=f"it has more than {MAX_SIGNATURES} signatures")
    return Note(text, tuple(_parse_signature_line(line) for line in lines))


def append_lines(note: bytes, lines: Iterable[str]) -> bytes:
    """Return a note with further signature lines, each with its newline; nothing is verified."""
    return note + "".join(lines).encode()


def verify(note: bytes, verifiers: Iterable[PublicKey]) -> Note:
    """
    Take a note apart and return it with only those signatures that keys of *verifiers* made: one at least.

    Signatures of other keys are ignored, so keys can be changed: while a note carries the old and the new key's
    signature, holders of either can verify it.

    Raises:
        BadNote: it is not well-formed.
        BadSignature: no known key signed it, or a signature under a known key's name and id is false.
        BadKey: two different keys of *verifiers* have the same name and id.
    """
    known = _by_name_and_id(verifiers)
    parsed = parse(note)
    signatures = tuple(line for line in parsed.signatures if (line.name, line.key_id) in known)
    if not signatures:
        raise BadSignature(reason="no known key signed it")
    for name, key_id, value in signatures:
        if not known[name, key_id].accepts(parsed.text, value):
            raise BadSignature(reason=f"the one of {name} is false")
    return Note(parsed.text, signatures)


def decode_base64(text: str) -> bytes:
    """
    Decode standard base64 with padding (RFC 4648 §4), in its one canonical spelling only.

    Raises:
        ValueError: there is anything else in it, or a bit set where the padding leaves none.
    """
    value = b64decode(text, validate=True)
    if b64encode(value).decode() != text:
        raise ValueError("base64 with stray bits")
    return value


def encode_base64(value: bytes) -> str:
    """Write standard base64 with padding (RFC 4648 §4)."""
    return b64encode(value).decode()


def _by_name_and_id(verifiers: Iterable[PublicKey]) -> dict[tuple[str, bytes], PublicKey]:
    known: dict[tuple[str, bytes], PublicKey] = {}
    for verifier in verifiers:
        if known.setdefault((verifier.name, verifier.key_id), verifier) != verifier:
            raise BadKey(reason=f"two keys are called {verifier.name} with id {verifier.key_id.hex()}")
    return known


def _require_text(text: str) -> None:
    if not text.endswith("\n"):
        raise BadNote(reason="its text does not end in a newline")
    if _CONTROL.search(text):
        raise BadNote(reason="it contains a control character")


def signature_line(signature: Signature) -> str:
    """Write the line of a signature, its newline included."""
    return f"— {signature.name} {encode_base64(signature.key_id + signature.value)}\n"


def _parse_signature_line(line: str) -> Signature:
    match line.split(" "):
        case ["—", name, encoded] if _is_name(name):
            pass
        case _:
            raise BadNote(reason="a signature line is not a dash, a name and base64")
    try:
        raw = decode_base64(encoded)
    except ValueError as error:
        raise BadNote(reason="a signature is not base64") from error
    if len(raw) <= _KEY_ID_SIZE:
        raise BadNote(reason="a signature is too short")
    return Signature(name, raw[:_KEY_ID_SIZE], raw[_KEY_ID_SIZE:])


def _is_name(name: str) -> bool:
    return bool(name) and "+" not in name and not any(letter.isspace() for letter in name) and not _CONTROL.search(name)


def require_key(name: str, key: bytes) -> None:
    """
    Find that a note can carry the name, and that the key is as long as Ed25519's are.

    Raises:
        BadKey: it cannot, or is not.
    """
    if not _is_name(name):
        raise BadKey(reason="its name is empty or holds a space, a plus or a control character")
    if len(key) != 32:  # noqa: PLR2004 - the length of every Ed25519 key, public or seed
        raise BadKey(reason="an Ed25519 key has 32 bytes")


def key_id_of(name: str, type_: bytes, public_key: bytes) -> bytes:
    """Return the id of a key whose signatures are of *type_*."""
    return hashlib.sha256(name.encode() + b"\n" + type_ + public_key).digest()[:_KEY_ID_SIZE]


def is_signed(public_key: bytes, message: bytes, value: bytes) -> bool:
    """Say whether *value* is the Ed25519 signature of *message* (RFC 8032)."""
    try:
        Ed25519PublicKey.from_public_bytes(public_key).verify(value, message)
    except InvalidSignature:
        return False
    return True


def put_key_together(name: str, key_id: bytes, typed_key: bytes) -> str:
    """Write a key's text form; *typed_key* is its type and the key."""
    return f"{name}+{key_id.hex()}+{encode_base64(typed_key)}"


def without_private_prefix(text: str) -> str:
    """
    Return the secret text form of a key without what marks it as secret.

    Raises:
        BadKey: it is not marked so; the message holds no secret.
    """
    if not text.startswith(PRIVATE_PREFIX):
        raise BadKey(reason=f"a private key begins with {PRIVATE_PREFIX}")
    return text.removeprefix(PRIVATE_PREFIX)


def take_key_apart(text: str, type_: bytes) -> tuple[str, str, bytes]:
    """
    Return name, id and the bytes of a key of *type_* from its text form.

    Raises:
        BadKey: it is malformed or of another type; the message does not show the text, which may be secret.
    """
    parts = text.split("+", maxsplit=2)
    if len(parts) != 3:  # noqa: PLR2004 - name, id, key
        raise BadKey(reason="it is not a name, an id and base64, with a plus between them")
    name, key_id, encoded = parts
    try:
        key = decode_base64(encoded)
    except ValueError:
        raise BadKey(reason="its last part is not base64") from None
    if key[:1] != type_:
        raise BadKey(reason=f"it is not for {_TYPES[type_]}")
    return name, key_id, key[1:]
