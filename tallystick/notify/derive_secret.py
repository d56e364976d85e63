"""
Derive secrets: what signs the events of an endpoint is made of one key in the data directory, and stored nowhere.

    secret = HMAC-SHA256(key, endpoint and generation)

So a copy of the database signs nothing, a rotation writes no secret, and there is one file to keep safe. Nodes that share
a database share this file too; one that has another finds out by the fingerprint before it signs wrongly.
"""

import base64
import hashlib
import hmac
import os
import uuid
from dataclasses import dataclass, field
from pathlib import Path

from tallystick.errors import Kind, TallystickError
from tallystick.ledger.write_whole import write_once

_KEY_BYTES = 32
PREFIX = "whsec_"


class WebhookKeyLost(TallystickError):
    """The secrets of this endpoint were derived from another key than {path}; put that file back, or add the endpoint anew."""

    code = "webhooks.key_lost"
    kind = Kind.REFUSED


@dataclass(slots=True)
class WebhookKey:
    """The key that secrets are derived from; made when it is first needed."""

    path: Path
    _key: bytes | None = field(default=None, repr=False)

    def secret(self, endpoint_id: uuid.UUID, generation: int) -> bytes:
        """Derive the secret of an endpoint's *generation*."""
        return self._derive(f"webhook\0{endpoint_id}\0{generation}")

    def fingerprint(self) -> str:
        """Return what tells this key from others and gives none of it away."""
        return self._derive("fingerprint").hex()[:16]

    def require(self, fingerprint: str | None) -> None:
        """
        Find that an endpoint's secrets are this key's; None: they are not any key's yet.

        Raises:
            WebhookKeyLost: they are another's (``webhooks.key_lost``).
        """
        if fingerprint not in {None, self.fingerprint()}:
            raise WebhookKeyLost(path=self.path)

    def _derive(self, purpose: str) -> bytes:
        return hmac.new(self._load(), f"tallystick\0{purpose}".encode(), hashlib.sha256).digest()

    def _load(self) -> bytes:
        if self._key is None:
            if not self.path.exists():
                self.path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
                write_once(self.path, os.urandom(_KEY_BYTES).hex().encode() + b"\n")
            self._key = bytes.fromhex(self.path.read_text().strip())
        return self._key


def written(secret: bytes) -> str:
    """Write a secret as the Standard Webhooks libraries take it."""
    return PREFIX + base64.b64encode(secret).decode()
