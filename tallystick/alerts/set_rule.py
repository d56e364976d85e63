"""Set rules, and raise what goes beyond them: once for a rule, a customer and a window."""

import datetime as dt
from decimal import Decimal

import msgspec

from tallystick.alerts.model import AlertTerms, Finding, Rule
from tallystick.db.queries import Connection, queries_beside
from tallystick.ledger.accounts import Recorded
from tallystick.notify.tell import Told, tell

_queries = queries_beside(__file__)
_insert_rule = _queries.run("insert_rule")
_list_rules = _queries.tuples("list_rules")
_insert_alert = _queries.run("insert_alert")
_encoder = msgspec.json.Encoder(decimal_format="string")
_terms = msgspec.json.Decoder(AlertTerms)


async def set_rule(connection: Connection, recorded: Recorded, rule: str, terms: AlertTerms, *, active: bool) -> None:
    """Let *rule* be *terms* from now on, in the place of what it was."""
    written = _encoder.encode(terms).decode()
    await _insert_rule(connection, recorded.book_id, rule, active, written, recorded.message_place, recorded.at)


async def list_rules(connection: Connection, book_id: int) -> list[Rule]:
    """Return the rules of a book as they are in force, by name."""
    rows = await _list_rules(connection, book_id)
    return [Rule(rule, active, _terms.decode(terms), set_at) for rule, active, terms, set_at in rows]


async def raise_alert(connection: Connection, recorded: Recorded, rule: str, terms: AlertTerms, found: Finding) -> bool:
    """Append that *rule* went off and tell it; False where that was raised before, and nothing is done."""
    made = await _insert_alert(
        connection, recorded.book_id, rule, found.customer, found.window_start, found.window_end, found.value,
        found.threshold, found.explanation, recorded.message_place, recorded.at,
    )  # fmt: skip
    if made:
        await tell(connection, recorded, [_told(rule, terms, found)])
    return bool(made)


def _told(rule: str, terms: AlertTerms, found: Finding) -> Told:
    data: dict[str, object] = {
        "rule": rule,
        "kind": terms.kind,
        "customer": found.customer,
        "window_start": found.window_start,
        "window_end": found.window_end,
        "value": found.value,
        "threshold": found.threshold,
        "explanation": found.explanation,
    }
    for name in ("meter", "asset", *(["product"] if terms.event == "spend.threshold" else [])):
        if getattr(terms, name) is not None:
            data[name] = getattr(terms, name)
    return Told(terms.event, f"customer/{found.customer}", data)


class RaisedAlert(msgspec.Struct, frozen=True):
    """A rule that went off."""

    rule: str
    customer: str
    window_start: dt.datetime
    window_end: dt.datetime
    value: Decimal
    threshold: Decimal
    explanation: str
    raised_at: dt.datetime


_page_alerts = _queries.rows("page_alerts", RaisedAlert)
_NEWEST = 2**62


async def newest_alerts(connection: Connection, book_id: int, limit: int) -> list[RaisedAlert]:
    """Return what was raised, the newest first."""
    return await _page_alerts(connection, book_id, _NEWEST, 0, limit)
