"""Principals and the scopes they hold."""

import datetime as dt
import uuid
from dataclasses import dataclass

import msgspec

EVERYTHING = "*"


@dataclass(frozen=True, slots=True)
class Principal:
    """Who asks: *book* of None may ask of every book."""

    name: str
    book: str | None
    scopes: frozenset[str]

    def holds(self, scope: str) -> bool:
        """Say whether *scope* (as in ``ledger:write``), or all of its room (``ledger:*``), or everything is held."""
        held = self.scopes
        return scope in held or EVERYTHING in held or f"{scope.partition(':')[0]}:*" in held


OPERATOR = Principal("operator", None, frozenset({EVERYTHING}))
"""Whoever can open the data directory or knows the database's address: the command line on the server itself."""

SYSTEM = Principal("system", None, frozenset({EVERYTHING}))
"""The product's own workers, which finish what a caller began."""


class ApiKey(msgspec.Struct, frozen=True):
    """An API key as it is listed: never the key itself."""

    key_id: uuid.UUID
    name: str
    scopes: list[str]
    created_at: dt.datetime
    expires_at: dt.datetime | None
    revoked_at: dt.datetime | None
