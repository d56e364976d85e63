"""
Read the protocol of a client: of its messages those that are ours, with bounds to everything (Avro specification 1.12).

What comes from a client is hostile until proven otherwise: its text may be nested without end, and its types may
contain each other, or themselves. A type that contains itself is refused: no field of ours is one, and a field that is
not ours would have to be read to be skipped.
"""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import msgspec

from tallystick.api.avro.errors import BadProtocol

MOST_PROTOCOL_BYTES = 64 * 1024
"""How long the text of a client's protocol may be; ours has a tenth of that."""
MOST_DEPTH = 32
MOST_PARTS = 4096
"""So many types may a type be made of, each counted as often as it stands there."""
MOST_SMALLEST = 1 << 40
"""A type of which even the smallest value has more bytes than this is none that anybody sends."""
_SHOWN = 80

PRIMITIVES = {"null": 0, "boolean": 1, "int": 1, "long": 1, "float": 4, "double": 8, "bytes": 1, "string": 1}
"""Types without parts, with the bytes that a value has at least."""


@dataclass(frozen=True, slots=True, eq=False)
class Schema:
    """A type, with its names resolved; which parts it has depends on its kind."""

    kind: str
    smallest: int
    """Bytes that a value has at least; one of 0 bytes at least has none ever."""
    weight: int = 1
    """How many types it is made of, itself included: what reading over one value takes, its arrays and maps empty."""
    name: str = ""
    """Without its namespace, of a record, an enum or a fixed."""
    aliases: frozenset[str] = frozenset()
    fields: "tuple[Field, ...]" = ()
    parts: "tuple[Schema, ...]" = ()
    """The branches of a union; the items of an array or the values of a map."""
    symbols: tuple[str, ...] = ()
    size: int = 0
    logical: str = ""

    @property
    def item(self) -> "Schema":
        """Return what an array or a map holds."""
        return self.parts[0]


@dataclass(frozen=True, slots=True, eq=False)
class Field:
    """A field of a record, or a parameter of a message."""

    name: str
    schema: Schema
    aliases: frozenset[str] = frozenset()
    has_default: bool = False
    default: object = None


@dataclass(frozen=True, slots=True)
class Message:
    """A message of a protocol: its parameters as a record."""

    request: Schema
    one_way: bool


@dataclass(frozen=True, slots=True)
class Protocol:
    """The messages of a protocol that could be read, and why others could not."""

    messages: dict[str, Message]
    flaws: dict[str, BadProtocol] = field(default_factory=dict)


def hash_of(text: str) -> bytes:
    """Return what a protocol's text is known by: its MD5, as the specification says; nothing is guarded by it."""
    return hashlib.md5(text.encode(), usedforsecurity=False).digest()


def read_protocol(text: str, wanted: frozenset[str]) -> Protocol:
    """
    Read the messages of a protocol that are *wanted*; of the others nothing is looked at.

    Raises:
        BadProtocol: it is too long, or no protocol at all (``avro.bad_protocol``).
    """
    if len(text) > MOST_PROTOCOL_BYTES:
        raise BadProtocol(rule=f"its text has more than {MOST_PROTOCOL_BYTES} characters")
    try:
        whole = msgspec.json.decode(text)
    except (msgspec.DecodeError, RecursionError, UnicodeError) as error:
        raise BadProtocol(rule=f"its text is not JSON ({str(error)[:_SHOWN]})") from error
    if not isinstance(whole, dict):
        raise BadProtocol(rule="its text is not a JSON object")
    types, messages = whole.get("types", []), whole.get("messages", {})
    if not isinstance(types, list) or not isinstance(messages, dict):
        raise BadProtocol(rule="its types must be an array, and its messages an object")
    names = _Names(whole.get("namespace") or _namespace_of(whole.get("protocol")))
    names.announce(types)
    found, flaws = {}, {}
    for name in wanted & messages.keys():
        try:
            found[name] = _message(messages[name], names)
        except BadProtocol as error:
            flaws[name] = error
    return Protocol(found, flaws)


def same(one: Schema, other: Schema) -> bool:
    """Say whether two types are written alike, field for field in one order; defaults and aliases have no part in it."""
    if (one.kind, one.name, one.symbols, one.size, one.logical) != (
        other.kind,
        other.name,
        other.symbols,
        other.size,
        other.logical,
    ):
        return False
    if [each.name for each in one.fields] != [each.name for each in other.fields] or len(one.parts) != len(other.parts):
        return False
    inner = [*((mine.schema, theirs.schema) for mine, theirs in zip(one.fields, other.fields, strict=True))]
    return all(same(mine, theirs) for mine, theirs in (*inner, *zip(one.parts, other.parts, strict=True)))


def _message(given: object, names: "_Names") -> Message:
    if not isinstance(given, dict) or not isinstance(given.get("request"), list):
        raise BadProtocol(rule="a message must be an object with a request")
    return Message(names.record("", given["request"], names.namespace, 0), given.get("one-way") is True)


class _Names:
    """The named types of one protocol, read when they are first asked for."""

    def __init__(self, namespace: object) -> None:
        self.namespace = namespace if isinstance(namespace, str) else ""
        self._given: dict[str, dict[str, Any]] = {}
        self._read: dict[str, Schema] = {}
        self._under_way: set[str] = set()

    def announce(self, types: list[object]) -> None:
        """Take note of what is defined at the head of the protocol; it may be named before it is read."""
        for given in types:
            if isinstance(given, dict) and isinstance(given.get("name"), str):
                self._given[self._full_name(given, self.namespace)[0]] = given

    def schema(self, given: object, namespace: str, depth: int) -> Schema:
        """
        Read a type.

        Raises:
            BadProtocol: it is none, contains itself, or lies too deep (``avro.bad_protocol``).
        """
        if depth > MOST_DEPTH:
            raise BadProtocol(rule=f"its types are nested more than {MOST_DEPTH} deep")
        if isinstance(given, str):
            return self._named(given, namespace, depth)
        if isinstance(given, list):
            return self._union(given, namespace, depth)
        if isinstance(given, dict):
            return self._complex(given, namespace, depth)
        raise BadProtocol(rule=f"{str(given)[:_SHOWN]!r} is no type")

    def record(self, name: str, fields: object, namespace: str, depth: int, **more: Any) -> Schema:  # noqa: ANN401 - what else a Schema has
        """Read a record's fields, or a message's parameters."""
        if not isinstance(fields, list):
            raise BadProtocol(rule=f"the fields of {name} must be an array")
        read = tuple(self._field(each, namespace, depth + 1) for each in fields)
        if len({each.name for each in read}) < len(read):
            raise BadProtocol(rule=f"{name or 'a request'} has two fields of one name")
        weight = _light(1 + sum(each.schema.weight for each in read))
        smallest = _bounded(sum(each.schema.smallest for each in read))
        return Schema("record", smallest, weight, name=name, fields=read, **more)

    def _field(self, given: object, namespace: str, depth: int) -> Field:
        if not isinstance(given, dict) or not isinstance(given.get("name"), str) or "type" not in given:
            raise BadProtocol(rule="a field must have a name and a type")
        schema = self.schema(given["type"], namespace, depth)
        return Field(given["name"], schema, _aliases(given), "default" in given, given.get("default"))

    def _named(self, name: str, namespace: str, depth: int) -> Schema:
        if name in PRIMITIVES:
            return _PRIMITIVES[name]
        full = name if "." in name or not namespace else f"{namespace}.{name}"
        for each in (full, name):
            if each in self._under_way:
                raise BadProtocol(rule=f"the type {each[:_SHOWN]} contains itself")
            if each in self._read:
                return self._read[each]
            if each in self._given:
                return self._complex(self._given[each], self.namespace, depth + 1)
        raise BadProtocol(rule=f"there is no type {name[:_SHOWN]}")

    def _union(self, given: list[object], namespace: str, depth: int) -> Schema:
        parts = tuple(self.schema(each, namespace, depth + 1) for each in given)
        if not parts or any(each.kind == "union" for each in parts):
            raise BadProtocol(rule="a union must have branches, none of which is a union")
        weight = _light(1 + sum(each.weight for each in parts))
        return Schema("union", 1 + min(each.smallest for each in parts), weight, parts=parts)

    def _complex(self, given: Mapping[str, Any], namespace: str, depth: int) -> Schema:
        kind = given.get("type")
        if kind in {"record", "error", "enum", "fixed"}:
            return self._define(given, kind, namespace, depth)
        if kind in {"array", "map"}:
            item = self.schema(given.get("items" if kind == "array" else "values"), namespace, depth + 1)
            return Schema(kind, 1, _light(1 + item.weight), parts=(item,))
        plain = self.schema(kind, namespace, depth + 1)
        logical = given.get("logicalType")
        if isinstance(logical, str) and plain.kind in PRIMITIVES:
            return Schema(plain.kind, plain.smallest, logical=logical)
        return plain

    def _define(self, given: Mapping[str, Any], kind: str, namespace: str, depth: int) -> Schema:
        if not isinstance(given.get("name"), str):
            raise BadProtocol(rule=f"a type {kind} must have a name")
        full, namespace = self._full_name(given, namespace)
        if full in self._under_way:
            raise BadProtocol(rule=f"the type {full[:_SHOWN]} contains itself")
        name = full.rpartition(".")[2]
        self._under_way.add(full)
        try:
            schema = self._content(given, kind, name, namespace, depth)
        finally:
            self._under_way.discard(full)
        self._read[full] = schema
        return schema

    def _content(self, given: Mapping[str, Any], kind: str, name: str, namespace: str, depth: int) -> Schema:
        if kind == "enum":
            symbols = given.get("symbols")
            if not isinstance(symbols, list) or not all(isinstance(each, str) for each in symbols):
                raise BadProtocol(rule=f"the symbols of {name} must be an array of strings")
            return Schema("enum", 1, name=name, aliases=_aliases(given), symbols=tuple(symbols))
        if kind == "fixed":
            size = given.get("size")
            if not isinstance(size, int) or size < 0:
                raise BadProtocol(rule=f"the size of {name} must be a number")
            return Schema("fixed", _bounded(size), name=name, aliases=_aliases(given), size=size)
        return self.record(name, given.get("fields"), namespace, depth, aliases=_aliases(given))

    def _full_name(self, given: Mapping[str, Any], namespace: str) -> tuple[str, str]:
        """Return the whole name of a definition, and the namespace of what is named in it."""
        name = given["name"]
        if "." in name:
            return name, name.rpartition(".")[0]
        own = given.get("namespace")
        namespace = own if isinstance(own, str) else namespace
        return (f"{namespace}.{name}" if namespace else name), namespace


def _aliases(given: Mapping[str, Any]) -> frozenset[str]:
    named = given.get("aliases")
    if not isinstance(named, list):
        return frozenset()
    return frozenset(each.rpartition(".")[2] for each in named if isinstance(each, str))


def _namespace_of(name: object) -> str:
    return name.rpartition(".")[0] if isinstance(name, str) else ""


def _bounded(size: int) -> int:
    if size > MOST_SMALLEST:
        raise BadProtocol(rule="a value of one of its types would have more bytes than any call")
    return size


def _light(weight: int) -> int:
    if weight > MOST_PARTS:
        raise BadProtocol(rule=f"one of its types is made of more than {MOST_PARTS} others")
    return weight


_PRIMITIVES = {name: Schema(name, size) for name, size in PRIMITIVES.items()}
