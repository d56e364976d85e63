"""A verifier of receipts written from docs/how-to/verify-receipts.md alone: it shares no code with the product."""

import base64
import hashlib
import json
import struct
import uuid
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

FIELDS = ("debit_account_id", "credit_account_id", "asset_id", "amount", "reason", "effective_at", "recorded_at")


def verify(file: bytes, key: str) -> dict[str, Any]:
    """
    Return what the receipt says.

    Raises:
        ValueError: it does not hold; whatever else a broken file provokes is raised as it comes.
    """
    receipt = json.loads(file)
    _require(receipt["format"] == "tallystick-receipt@v1", "format")
    _require(_layout(receipt) == file, "layout")
    index, hashes, checkpoint = _take_apart(receipt["proof"])
    size, root = _read_checkpoint(checkpoint, key)
    _require(_root(_leaf_hash(receipt), index, size, hashes) == root, "root")
    statement: dict[str, Any] = receipt["message"]["input"]["statement"]
    said, proven = statement["transfer"], receipt["transfer"]
    _require(receipt["message"]["operation"] == "payments.settle" and proven["reason"] == 3, "operation")
    for name in ("amount", "transfer_id", "debit_account_id", "credit_account_id"):
        _require(said[name] == proven[name], name)
    return statement


def _layout(receipt: object) -> bytes:
    return json.dumps(receipt, indent=2, sort_keys=True, ensure_ascii=False).encode() + b"\n"


def _leaf_hash(receipt: dict[str, Any]) -> bytes:
    text = json.dumps(receipt["message"], sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    transfer = receipt["transfer"]
    leaf = struct.pack(
        ">BI16sqqIqHqq32s",
        1,
        transfer["book_id"],
        uuid.UUID(transfer["transfer_id"]).bytes,
        *(transfer[name] for name in FIELDS),
        hashlib.sha256(text.encode()).digest(),
    )
    return hashlib.sha256(b"\0" + leaf).digest()


def _take_apart(proof: str) -> tuple[int, list[bytes], str]:
    head, _, checkpoint = proof.partition("\n\n")
    header, index, *hashes = head.split("\n")
    _require(header == "c2sp.org/tlog-proof@v1" and index.startswith("index "), "proof")
    return int(index.removeprefix("index ")), [_decode(line) for line in hashes], checkpoint


def _read_checkpoint(note: str, key: str) -> tuple[int, bytes]:
    """Return size and root of the checkpoint, once its signature holds."""
    name, _, encoded = key.strip().split("+", 2)
    public = _decode(encoded)
    key_id = hashlib.sha256(name.encode() + b"\n" + public).digest()[:4]
    text, _, signatures = note.partition("\n\n")
    origin, size, root = text.split("\n")
    _require(origin == name, "origin")
    for line in signatures.splitlines():
        dash, signer, value = line.split(" ")
        signed = _decode(value)
        if (dash, signer, signed[:4]) == ("\u2014", name, key_id):
            Ed25519PublicKey.from_public_bytes(public[1:]).verify(signed[4:], f"{text}\n".encode())
            return int(size), _decode(root)
    raise ValueError("signature")


def _root(leaf_hash: bytes, index: int, size: int, hashes: list[bytes]) -> bytes:
    """Compute the root as RFC 9162 §2.1.3.2 does."""
    _require(0 <= index < size, "index")
    place, last, found = index, size - 1, leaf_hash
    for other in hashes:
        _require(last > 0, "too many hashes")
        if place % 2 or place == last:
            found = hashlib.sha256(b"\1" + other + found).digest()
            while place % 2 == 0 and place:
                place, last = place // 2, last // 2
        else:
            found = hashlib.sha256(b"\1" + found + other).digest()
        place, last = place // 2, last // 2
    _require(last == 0, "too few hashes")
    return found


def _decode(text: str) -> bytes:
    value = base64.b64decode(text, validate=True)
    _require(base64.b64encode(value).decode() == text, "Base64 of another spelling")
    return value


def _require(holds: bool, what: str) -> None:  # noqa: FBT001 - it is the thing required
    if not holds:
        raise ValueError(what)
