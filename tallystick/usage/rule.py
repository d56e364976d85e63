"""The billable rule in force: set as a fact, the newest one counts."""

import datetime as dt
from dataclasses import dataclass
from functools import lru_cache

import msgspec

from tallystick.db.queries import Connection, queries_beside
from tallystick.ledger.accounts import Recorded
from tallystick.usage.billable import BillableRule, CompiledRule, compile_rule

_queries = queries_beside(__file__)
_newest_rule = _queries.tuples("newest_rule")
_insert_rule = _queries.run("insert_rule")


@dataclass(frozen=True, slots=True)
class RuleInForce:
    """A rule, ready to judge with, and since when it is in force."""

    rule: BillableRule
    compiled: CompiledRule
    set_at: dt.datetime | None
    """None: nobody set one, and this is the default."""


async def find_rule(connection: Connection, book_id: int) -> RuleInForce:
    """Return the rule that judges usage from now on."""
    rows = await _newest_rule(connection, book_id)
    if not rows:
        return _DEFAULT
    text, set_at = rows[0]
    rule, compiled = _read(text)
    return RuleInForce(rule, compiled, set_at)


async def set_rule(connection: Connection, recorded: Recorded, rule: BillableRule) -> RuleInForce:
    """
    Put *rule* in force for usage that is recorded from now on; what is stored stays.

    Raises:
        InvalidRule: usage.invalid_rule; it cannot be used.
    """
    compiled = compile_rule(rule)
    await _insert_rule(
        connection, recorded.book_id, recorded.message_place, msgspec.json.encode(rule).decode(), recorded.at
    )
    return RuleInForce(rule, compiled, recorded.at)


@lru_cache(maxsize=64)
def _read(text: str) -> tuple[BillableRule, CompiledRule]:
    rule = msgspec.json.decode(text, type=BillableRule)
    return rule, compile_rule(rule)


_DEFAULT = RuleInForce(BillableRule(), compile_rule(BillableRule()), None)
