"""Cosignatures (C2SP tlog-cosignature): a witness says that it saw a checkpoint continue all those before, and when."""

import struct
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import NamedTuple

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from tallystick.ledger.log.note import (
    COSIGNATURE,
    PRIVATE_PREFIX,
    BadKey,
    BadNote,
    BadSignature,
    Signature,
    is_signed,
    key_id_of,
    parse,
    put_key_together,
    require_key,
    signature_line,
    take_key_apart,
    verify,
    without_private_prefix,
)

_MAX_TIME = 253_402_300_799
"""The last second of the year 9999: what is later is no time that anyone signed at."""
_TIMESTAMPED = struct.Struct(">Q64s")


@dataclass(frozen=True, slots=True)
class Witness:
    """A witness's public key with its name (type 0x04: Ed25519 with a time)."""

    name: str
    public_key: bytes
    """32 bytes, RFC 8032."""
    key_id: bytes = field(init=False)

    def __post_init__(self) -> None:
        """Refuse a name that a note cannot carry, or a key of the wrong length (BadKey)."""
        require_key(self.name, self.public_key)
        object.__setattr__(self, "key_id", key_id_of(self.name, COSIGNATURE, self.public_key))

    @classmethod
    def parse(cls, text: str) -> "Witness":
        """
        Read the text form, ``name+id+base64``.

        Raises:
            BadKey: it is malformed, of another type, or its id is not the key's.
        """
        name, key_id, public_key = take_key_apart(text, COSIGNATURE)
        witness = cls(name, public_key)
        if witness.key_id.hex() != key_id:
            raise BadKey(reason="its id does not belong to its name and key")
        return witness

    def __str__(self) -> str:
        """Write the text form, ``name+id+base64``."""
        return put_key_together(self.name, self.key_id, COSIGNATURE + self.public_key)

    def accepts(self, text: str, value: bytes) -> bool:
        """Say whether *value* is this witness's time and signature of *text*."""
        if len(value) != _TIMESTAMPED.size:
            return False
        time, signature = _TIMESTAMPED.unpack(value)
        return time <= _MAX_TIME and is_signed(self.public_key, _message(text, time), signature)


@dataclass(frozen=True, slots=True, eq=False)
class Cosigner:
    """A witness's private key with its name; neither ``repr`` nor ``str`` shows the key."""

    witness: Witness
    private_key: Ed25519PrivateKey = field(repr=False)

    @classmethod
    def from_seed(cls, name: str, seed: bytes) -> "Cosigner":
        """
        Make the key that follows from the 32 bytes of *seed* (RFC 8032).

        Raises:
            BadKey: the name cannot stand in a note, or the seed is of another length.
        """
        require_key(name, seed)
        private_key = Ed25519PrivateKey.from_private_bytes(seed)
        return cls(Witness(name, private_key.public_key().public_bytes_raw()), private_key)

    @classmethod
    def generate(cls, name: str) -> "Cosigner":
        """
        Make a new key.

        Raises:
            BadKey: the name cannot stand in a note.
        """
        return cls.from_seed(name, Ed25519PrivateKey.generate().private_bytes_raw())

    @classmethod
    def parse(cls, text: str) -> "Cosigner":
        """
        Read the secret text form, ``PRIVATE+KEY+name+id+base64``.

        Raises:
            BadKey: it is malformed, of another type, or its id is not the key's; the message holds no secret.
        """
        name, key_id, seed = take_key_apart(without_private_prefix(text), COSIGNATURE)
        cosigner = cls.from_seed(name, seed)
        if cosigner.witness.key_id.hex() != key_id:
            raise BadKey(reason="its id does not belong to its name and key")
        return cosigner

    def secret_text(self) -> str:
        """Write the secret text form, ``PRIVATE+KEY+name+id+base64``."""
        seed = self.private_key.private_bytes_raw()
        return PRIVATE_PREFIX + put_key_together(self.witness.name, self.witness.key_id, COSIGNATURE + seed)

    def cosign(self, text: str, time: int) -> Signature:
        """Sign *text*, the text of a checkpoint, as seen at *time*, in seconds since 1970 UTC."""
        value = _TIMESTAMPED.pack(time, self.private_key.sign(_message(text, time)))
        return Signature(self.witness.name, self.witness.key_id, value)


class Cosignature(NamedTuple):
    """A cosignature that holds: whose it is, when it was made, and its line of the note, newline included."""

    witness: Witness
    time: int
    """In seconds since 1970 UTC, by the witness's clock."""
    line: str


def find_cosignatures(signed: bytes, witnesses: Iterable[Witness]) -> list[Cosignature]:
    """
    Return the cosignatures of *witnesses* that a signed checkpoint carries, in the order of its lines.

    Lines of others are ignored.

    Raises:
        BadNote: it is not a well-formed note.
        BadSignature: a line under the name and id of one of *witnesses* is not its signature.
        BadKey: two different keys of *witnesses* have the same name and id.
    """
    known = {(witness.name, witness.key_id): witness for witness in witnesses}
    named = {(line.name, line.key_id) for line in parse(signed).signatures}
    if not named & known.keys():
        return []
    return [
        Cosignature(known[line.name, line.key_id], _TIMESTAMPED.unpack(line.value)[0], signature_line(line))
        for line in verify(signed, known.values()).signatures
    ]


def take_cosignatures(signed: bytes, answer: bytes, witness: Witness) -> list[Cosignature]:
    """
    Return the cosignatures that *witness* answered with to the checkpoint *signed*: one at least.

    Raises:
        BadNote: the answer is not a run of signature lines.
        BadSignature: none is of this witness, or one that names it is false.
    """
    text = parse(signed).text
    whole = text.encode() + b"\n" + answer
    if parse(whole).text != text:
        raise BadNote(reason="the witness answered with more than signature lines")
    found = find_cosignatures(whole, [witness])
    if not found:
        raise BadSignature(reason="the witness answered without its own cosignature")
    return found


def _message(text: str, time: int) -> bytes:
    return f"cosignature/v1\ntime {time}\n{text}".encode()
