"""The protocols of clients: read once, known by the hash of their text, the least used ones forgotten first."""

import json
from collections import OrderedDict
from dataclasses import dataclass, field
from pathlib import Path

from tallystick.api.avro.errors import BadHandshake, BadProtocol, UnknownMessage
from tallystick.api.avro.handshake import HandshakeRequest, Match, write_handshake
from tallystick.api.avro.read_events import events_reader
from tallystick.api.avro.resolve import MOST_STEPS, Patience, Read, resolve_record
from tallystick.api.avro.schema import Protocol, hash_of, read_protocol

OWN_TEXT = json.dumps(
    json.loads((Path(__file__).parent / "usage.avpr").read_text(encoding="utf-8")),
    ensure_ascii=False,
    separators=(",", ":"),
)
"""Our protocol, as it is handed to clients."""
OWN_HASH = hash_of(OWN_TEXT)
MESSAGES = frozenset({"record", "total", "ping", "version"})
OWN = read_protocol(OWN_TEXT, MESSAGES)
MOST_KNOWN = 128
"""How many protocols of clients are remembered; one that was forgotten is asked for again."""

_SPECIAL = {"record": {"events": events_reader}}


@dataclass(frozen=True, slots=True)
class ClientProtocol:
    """How the calls of clients of one protocol are read."""

    readers: dict[str, Read]
    flaws: dict[str, BadProtocol]
    """Why a message cannot be read, by its name."""
    patience: Patience

    def reader(self, name: str) -> Read:
        """
        Return what reads the parameters of the message *name*.

        Raises:
            BadProtocol: as the client declares them, they are none of ours (``avro.bad_protocol``).
            UnknownMessage: the client or we do not have it (``avro.unknown_message``).
        """
        self.patience.left = MOST_STEPS
        found = self.readers.get(name)
        if found is not None:
            return found
        if name in self.flaws:
            raise self.flaws[name].again(self.flaws[name].message, None)
        raise UnknownMessage(name=name[:80])


@dataclass(slots=True)
class ClientProtocols:
    """The protocols that clients have shown."""

    most: int = MOST_KNOWN
    _known: OrderedDict[bytes, ClientProtocol] = field(default_factory=OrderedDict)
    _own: ClientProtocol = field(default_factory=lambda: _resolved(OWN))

    def shake(self, request: HandshakeRequest) -> tuple[ClientProtocol | None, bytes]:
        """
        Answer a handshake; the protocol is None when the client has to show its own.

        Raises:
            BadHandshake: the hash is not that of the text (``avro.bad_handshake``).
            BadProtocol: the text is none of a protocol (``avro.bad_protocol``).
        """
        found = self._find(request)
        if found is None:
            return None, write_handshake(Match.NONE, OWN_HASH, OWN_TEXT)
        match = Match.BOTH if request.server_hash == OWN_HASH else Match.CLIENT
        return found, write_handshake(match, OWN_HASH, OWN_TEXT)

    def _find(self, request: HandshakeRequest) -> ClientProtocol | None:
        if request.client_hash == OWN_HASH:
            return self._own
        found = self._known.get(request.client_hash)
        if found is not None:
            self._known.move_to_end(request.client_hash)
            return found
        text = request.client_protocol
        if text is None:
            return None
        protocol = read_protocol(text, MESSAGES)
        if hash_of(text) != request.client_hash:
            raise BadHandshake(rule="clientHash is not the MD5 of clientProtocol")
        found = self._known[request.client_hash] = _resolved(protocol)
        if len(self._known) > self.most:
            self._known.popitem(last=False)
        return found


def refusing_handshake(request: HandshakeRequest) -> bytes:
    """Answer the handshake of a call that is refused, of which nothing is looked at or remembered."""
    match = Match.BOTH if request.server_hash == OWN_HASH else Match.CLIENT
    return write_handshake(match, OWN_HASH, OWN_TEXT)


def _resolved(protocol: Protocol) -> ClientProtocol:
    """Find out how each message is read."""
    patience = Patience()
    readers: dict[str, Read] = {}
    flaws = dict(protocol.flaws)
    for name, message in protocol.messages.items():
        try:
            if message.one_way:
                raise BadProtocol(rule=f"{name} is answered, and must not be one-way")  # noqa: TRY301 - kept as the others
            readers[name] = resolve_record(
                message.request, OWN.messages[name].request, name, patience, _SPECIAL.get(name, {})
            )
        except BadProtocol as error:
            flaws[name] = error
    return ClientProtocol(readers, flaws, patience)
