"""Read the input of an operation out of a request: the query of a GET, the JSON of anything else, fields of the path."""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qsl

import msgspec
from msgspec import inspect

from tallystick.api.find_nul import NUL, find_nul
from tallystick.errors import InvalidInput
from tallystick.flaw import INSTANT, require_whole_instants, worded
from tallystick.operations.model import Input, Operation
from tallystick.operations.run import as_input

_MOST_QUERY_FIELDS = 100
_INTEGER = re.compile(r"-?(0|[1-9][0-9]*)", re.ASCII)
_SECONDS = re.compile(r"[-+.0-9eE]*", re.ASCII)
"""What msgspec would take as seconds since 1970 where it converts text."""
_ESCAPED_NUL = rb"\u0000"


class _Repeated(Exception):
    """A JSON object names one field twice."""


@dataclass(frozen=True, slots=True)
class InputReader:
    """How the input of one operation is read."""

    operation: Operation
    types: Mapping[str, Any]
    """The type of each field, by its name in JSON."""
    integers: frozenset[str]
    instants: frozenset[str]
    lists: frozenset[str]
    judged_singly: frozenset[str]
    """Lists of anything: the operation judges each element, and one that is wrong costs itself alone."""

    @classmethod
    def of(cls, operation: Operation) -> "InputReader":
        """Look at the input class of *operation* once."""
        info = inspect.type_info(operation.input)
        fields = info.fields if isinstance(info, inspect.StructType) else ()
        kinds = {one.encode_name: _kinds(one.type) for one in fields}
        hints = {one.encode_name: one.type for one in msgspec.structs.fields(operation.input)}
        return cls(
            operation,
            hints,
            frozenset(name for name, found in kinds.items() if inspect.IntType in found),
            frozenset(name for name, found in kinds.items() if inspect.DateTimeType in found),
            frozenset(name for name, found in kinds.items() if inspect.ListType in found),
            frozenset(one.encode_name for one in fields if _is_list_of_anything(one.type)),
        )

    def from_query(self, query: bytes, path_fields: Mapping[str, str]) -> Input:
        """
        Read the input from a query string and the fields of the path.

        Raises:
            InvalidInput: a field is missing, unknown, given twice, or breaks its rule (``invalid_input``).
        """
        values: dict[str, Any] = dict(path_fields)
        for name, value in read_query(query):
            if name in self.lists:
                values.setdefault(name, []).append(value)
            elif name in values:
                raise InvalidInput(field=name, rule="The field is given twice")
            else:
                values[name] = value
        for name, value in values.items():
            self._check_text(name, value)
        try:
            request: Input = msgspec.convert(values, self.operation.input, strict=False)
        except msgspec.ValidationError as error:
            raise worded(error, self.operation.input) from error
        require_whole_instants(values, self.operation.input)
        return request

    def from_body(self, body: bytes, path_fields: Mapping[str, str]) -> Input:
        """
        Read the input from a JSON body and the fields of the path; an empty body is an empty object.

        Raises:
            InvalidInput: it is not JSON in UTF-8, names a field twice, or a field is missing, unknown, or breaks
                its rule (``invalid_input``).
        """
        try:
            whole = self._with_path_fields(body or b"{}", path_fields) if path_fields else body or b"{}"
            request: Input = as_input(self.operation, whole)
            refuse_repeated(body)
            if _ESCAPED_NUL in body:
                self._refuse_nul(request)
        except InvalidInput:
            _require_utf8(body)
            raise
        except RecursionError:
            raise InvalidInput(rule="The body is nested too deeply") from None
        return request

    def _refuse_nul(self, request: Input) -> None:
        for name in self.types.keys() - self.judged_singly:
            found = find_nul(name, msgspec.to_builtins(getattr(request, name)))
            if found is not None:
                raise InvalidInput(field=found, rule=NUL)

    def _check_text(self, name: str, value: str | list[str]) -> None:
        texts = value if isinstance(value, list) else [value]
        if name in self.integers and not all(_INTEGER.fullmatch(text) for text in texts):
            raise InvalidInput(field=name, rule="Expected a whole number")
        if name in self.instants and any(_SECONDS.fullmatch(text) for text in texts):
            raise InvalidInput(field=name, rule=f"Expected {INSTANT}")
        if any("\0" in text for text in texts):
            raise InvalidInput(field=name, rule=NUL)

    def _with_path_fields(self, body: bytes, path_fields: Mapping[str, str]) -> bytes:
        """Put the fields of the path into the JSON object of the body."""
        try:
            values = msgspec.json.decode(body, type=dict[str, msgspec.Raw])
        except msgspec.ValidationError as error:
            raise worded(error, dict[str, msgspec.Raw]) from error
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            raise InvalidInput(rule=f"The body is not JSON: {error}") from error
        for name, text in path_fields.items():
            if name in values:
                raise InvalidInput(field=name, rule="The field stands in the path and must not be in the body")
            self._check_text(name, text)
            try:
                value = msgspec.convert(text, self.types[name], strict=False)
            except msgspec.ValidationError as error:
                raise worded(error, self.types[name], name) from error
            require_whole_instants({name: text}, self.operation.input)
            values[name] = msgspec.Raw(msgspec.json.encode(value))
        return msgspec.json.encode(values)


def read_query(query: bytes) -> list[tuple[str, str]]:
    """
    Read a query string into names and values.

    Raises:
        InvalidInput: it is not UTF-8 behind its percent signs, or has very many fields (``invalid_input``).
    """
    if not query:
        return []
    try:
        return parse_qsl(
            query.decode("ascii"), keep_blank_values=True, errors="strict", max_num_fields=_MOST_QUERY_FIELDS
        )
    except UnicodeDecodeError as error:
        raise InvalidInput(rule=f"The query is not UTF-8: byte {error.start} of a value does not fit") from error
    except ValueError as error:
        raise InvalidInput(rule=f"The query has more than {_MOST_QUERY_FIELDS} fields") from error


def refuse_repeated(body: bytes) -> None:
    """
    Find no object in *body*, which is JSON, that names a field twice.

    Parsers differ in which of the two they take (RFC 8259 §4), so what one side signed the other may not have read.

    Raises:
        InvalidInput: there is one (``invalid_input``).
    """
    try:
        _scan(body.decode())
    except _Repeated as repeated:
        raise InvalidInput(field=str(repeated), rule="The field is given twice") from None


def _look_for_repeated(pairs: list[tuple[str, object]]) -> None:
    if len(dict(pairs)) != len(pairs):
        names = [name for name, _ in pairs]
        raise _Repeated(next(name for place, name in enumerate(names) if name in names[:place]))


def _scan(text: str) -> None:
    if text:
        _scanner.decode(text)


_scanner = json.JSONDecoder(object_pairs_hook=_look_for_repeated, parse_int=str, parse_float=str)


def _is_list_of_anything(type_: inspect.Type) -> bool:
    """Say whether a field is a list whose elements are not looked at here, or is not looked at itself."""
    if isinstance(type_, inspect.Metadata):
        return _is_list_of_anything(type_.type)
    if not isinstance(type_, inspect.ListType):
        return isinstance(type_, inspect.AnyType)
    element = type_.item_type
    return isinstance(element.type if isinstance(element, inspect.Metadata) else element, inspect.AnyType)


def _kinds(type_: inspect.Type) -> set[type[inspect.Type]]:
    """Return the kinds of value that a type admits."""
    if isinstance(type_, inspect.UnionType):
        return {kind for one in type_.types for kind in _kinds(one)}
    if isinstance(type_, inspect.Metadata):
        return _kinds(type_.type)
    return {type(type_)}


def _require_utf8(body: bytes) -> None:
    try:
        body.decode()
    except UnicodeDecodeError as error:
        raise InvalidInput(rule=f"The body is not UTF-8: byte {error.start} does not fit") from error
