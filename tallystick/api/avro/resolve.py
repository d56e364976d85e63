"""
Read values that were written by a client's types as ours (Avro specification 1.12, "Schema Resolution").

Which of the client's fields is which of ours is found out once for a protocol; what comes out is a chain of functions
that read. A value that does not fit where its neighbours do, such as a text that is not UTF-8, is read as a ``Flaw``:
it costs the event it stands in, and no other.

A field is found by its name, by an alias that we gave it or by one that the client gave it.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

from tallystick.api.avro.binary import read_bytes, read_long
from tallystick.api.avro.errors import BadProtocol
from tallystick.api.avro.schema import Field, Schema

Read = Callable[[bytes, int], tuple[Any, int]]
"""Read the value at a place, and return it with the place behind it; IndexError or ValueError where there is none."""

Skip = Callable[[bytes, int], int]

MOST_ENTRIES = 64
"""Of a map so many entries are kept; those behind are read over. The rules of an event allow fewer."""
MOST_STEPS = 500_000
"""How much of a call may be read over: values in fields that are not ours, and entries of maps that are too long."""

_PROMOTED = {("int", "long"), ("string", "bytes"), ("bytes", "string")}
_INT = 2**31


@dataclass(frozen=True, slots=True)
class Flaw:
    """A value that could be read over and not be used, and the rule that it breaks."""

    rule: str


NOT_TEXT = Flaw("must be UTF-8")


@dataclass(slots=True)
class Patience:
    """How much more of a call is read over before it is refused."""

    left: int = MOST_STEPS

    def spend(self, steps: int) -> None:
        """
        Take *steps* off.

        Raises:
            ValueError: that was all.
        """
        self.left -= steps
        if self.left < 0:
            raise ValueError("too much in fields that are not known here")


def resolve(writer: Schema, reader: Schema, where: str, patience: Patience) -> Read:
    """
    Return what reads a value of type *writer* as one of type *reader*.

    Raises:
        BadProtocol: no value of the one type is one of the other (``avro.bad_protocol``).
    """
    if writer.kind == "union":
        return _read_branches(writer, reader, where, patience)
    if reader.kind == "union":
        return resolve(writer, _first_fitting(writer, reader, where), where, patience)
    if writer.kind != reader.kind and (writer.kind, reader.kind) not in _PROMOTED:
        raise BadProtocol(rule=f"{where} is a {writer.kind} and must be a {reader.kind}")
    if writer.logical and reader.kind == "long" and writer.logical != "timestamp-micros":
        raise BadProtocol(rule=f"{where} is a {writer.logical[:40]} and must be a plain long")
    if reader.kind == "record":
        return resolve_record(writer, reader, where, patience, {})
    if reader.kind == "map":
        return _read_map(resolve(writer.item, reader.item, where, patience), writer.item, patience)
    return _READ[reader.kind]


Special = Mapping[str, Callable[[Schema, Schema, str, Patience], Read]]


def resolve_record(writer: Schema, reader: Schema, where: str, patience: Patience, special: Special) -> Read:
    """
    Return what reads a record as a dict of our fields; fields in *special* are resolved by what stands there.

    Raises:
        BadProtocol: it lacks a field that has no default, or one does not fit (``avro.bad_protocol``).
    """
    if writer.name != reader.name and not {writer.name, *writer.aliases} & {reader.name, *reader.aliases}:
        raise BadProtocol(rule=f"{where} is a record {writer.name[:80]} and must be a {reader.name}")
    found = _pair(writer, reader)
    defaults = _defaults(reader, {each.name for each in found.values()}, where)
    steps: list[tuple[str | None, Read]] = []
    for theirs in writer.fields:
        ours = found.get(theirs.name)
        if ours is not None:
            path = f"{where}.{ours.name}"
            steps.append((ours.name, special.get(ours.name, resolve)(theirs.schema, ours.schema, path, patience)))
        elif theirs.schema.smallest:
            steps.append((None, _nothing(skip(theirs.schema, patience))))

    def read(data: bytes, at: int) -> tuple[dict[str, Any], int]:
        values = dict(defaults)
        for name, step in steps:
            value, at = step(data, at)
            if name is not None:
                values[name] = value
        return values, at

    return read


def skip(schema: Schema, patience: Patience) -> Skip:
    """Return what reads over a value, within *patience*."""
    if schema.smallest == 0:  # and so without a byte, however many of it there are
        return lambda _, at: at
    match schema.kind:
        case "union":
            made: Skip = partial(_skip_branch, [skip(each, patience) for each in schema.parts])
        case "record":
            made = partial(_skip_all, [skip(each.schema, patience) for each in schema.fields if each.schema.smallest])
        case "array":
            item = skip(schema.item, patience)
            made = partial(_skip_blocks, item, schema.item.smallest, schema.item.weight, patience)
        case "map":
            item = partial(_skip_entry, skip(schema.item, patience))
            made = partial(_skip_blocks, item, 1 + schema.item.smallest, 1 + schema.item.weight, patience)
        case "fixed":
            made = partial(_skip_bytes, schema.size)
        case _:
            made = _SKIP[schema.kind]
    return made


def read_count(data: bytes, at: int, smallest: int) -> tuple[int, int]:
    """
    Read how many items a block of an array or a map has, each of *smallest* bytes at least.

    Raises:
        IndexError, ValueError: there are not so many.
    """
    count, at = read_long(data, at)
    if count < 0:
        size, at = read_long(data, at)
        count = -count
        if not 0 <= size <= len(data) - at:
            raise ValueError(f"a block of {size} bytes with {len(data) - at} left")
    if count * smallest > len(data) - at:
        raise ValueError(f"a block of {count} items with {len(data) - at} bytes left")
    return count, at


def _pair(writer: Schema, reader: Schema) -> dict[str, Field]:
    """Return which of our fields each of the client's is, by the client's name for it."""
    names = {each.name for each in writer.fields}
    found: dict[str, Field] = {each.name: each for each in reader.fields if each.name in names}
    for ours in reader.fields:
        if ours.name in names:
            continue
        for theirs in writer.fields:
            if theirs.name not in found and (theirs.name in ours.aliases or ours.name in theirs.aliases):
                found[theirs.name] = ours
                break
    return found


def _defaults(reader: Schema, given: set[str], where: str) -> dict[str, object]:
    """Return the values of our fields that the client has not."""
    missing = [each for each in reader.fields if each.name not in given]
    for each in missing:
        if not each.has_default:
            raise BadProtocol(rule=f"{where} lacks the field {each.name}")
    return {each.name: each.default for each in missing}


def _nothing(over: Skip) -> Read:
    return lambda data, at: (None, over(data, at))


def _read_branches(writer: Schema, reader: Schema, where: str, patience: Patience) -> Read:
    reads: list[Read] = []
    flaws: list[BadProtocol] = []
    for branch in writer.parts:
        try:
            reads.append(resolve(branch, reader, where, patience))
        except BadProtocol as error:
            flaws.append(error)
            reads.append(_unfit(branch, patience))
    if len(flaws) == len(reads):
        raise flaws[0]

    def read(data: bytes, at: int) -> tuple[Any, int]:
        branch, at = read_long(data, at)
        if not 0 <= branch < len(reads):
            raise ValueError(f"{branch} is no branch of a union of {len(reads)}")
        return reads[branch](data, at)

    return read


def _unfit(branch: Schema, patience: Patience) -> Read:
    """Read over a branch of a client's union that ours has no place for."""
    over, flaw = skip(branch, patience), Flaw("is missing" if branch.kind == "null" else f"must not be a {branch.kind}")
    return lambda data, at: (flaw, over(data, at))


def _first_fitting(writer: Schema, reader: Schema, where: str) -> Schema:
    fitting = [each for each in reader.parts if each.kind == writer.kind]
    fitting += [each for each in reader.parts if (writer.kind, each.kind) in _PROMOTED]
    if not fitting:
        wanted = " or ".join(each.kind for each in reader.parts)
        raise BadProtocol(rule=f"{where} is a {writer.kind} and must be {wanted}")
    return fitting[0]


def _read_map(value: Read, item: Schema, patience: Patience) -> Read:
    def read(data: bytes, at: int) -> tuple[Any, int]:
        found: dict[str, Any] = {}
        flaw = None
        while True:
            count, at = read_count(data, at, 1 + item.smallest)
            if count == 0:
                return flaw or found, at
            if count > MOST_ENTRIES:
                patience.spend(count * (1 + item.weight))
            for _ in range(count):
                name, at = _text(data, at)
                entry, at = value(data, at)
                if isinstance(name, Flaw):
                    flaw = Flaw("must have names that are UTF-8")
                elif len(found) <= MOST_ENTRIES:
                    found[name] = entry

    return read


def _text(data: bytes, at: int) -> tuple[Any, int]:
    value, at = read_bytes(data, at)
    try:
        return value.decode(), at
    except UnicodeDecodeError:
        return NOT_TEXT, at


def _int(data: bytes, at: int) -> tuple[int, int]:
    value, at = read_long(data, at)
    if not -_INT <= value < _INT:
        raise ValueError("an int has more than 32 bits")
    return value, at


_READ: dict[str, Read] = {
    "null": lambda _, at: (None, at),
    "int": _int,
    "long": read_long,
    "string": _text,
}


def _skip_bytes(size: int, data: bytes, at: int) -> int:
    if at + size > len(data):
        raise IndexError(at)
    return at + size


def _skip_long(data: bytes, at: int) -> int:
    return read_long(data, at)[1]


def _skip_text(data: bytes, at: int) -> int:
    return read_bytes(data, at)[1]


def _skip_entry(item: Skip, data: bytes, at: int) -> int:
    return item(data, _skip_text(data, at))


_SKIP: dict[str, Skip] = {
    "boolean": partial(_skip_bytes, 1),
    "float": partial(_skip_bytes, 4),
    "double": partial(_skip_bytes, 8),
    "int": _skip_long,
    "long": _skip_long,
    "enum": _skip_long,
    "bytes": _skip_text,
    "string": _skip_text,
}


def _skip_branch(branches: list[Skip], data: bytes, at: int) -> int:
    branch, at = read_long(data, at)
    if not 0 <= branch < len(branches):
        raise ValueError(f"{branch} is no branch of a union of {len(branches)}")
    return branches[branch](data, at)


def _skip_all(steps: list[Skip], data: bytes, at: int) -> int:
    for step in steps:
        at = step(data, at)
    return at


def _skip_blocks(item: Skip, smallest: int, weight: int, patience: Patience, data: bytes, at: int) -> int:
    while True:
        count, at = read_count(data, at, smallest)
        if count == 0:
            return at
        if smallest:
            patience.spend(count * weight)
            for _ in range(count):
                at = item(data, at)
