"""Find plans: a version in force at an instant, all versions, pages of them."""

import datetime as dt
from collections.abc import Iterable
from typing import Any

import msgspec

from tallystick.catalog.model import instant_in_utc
from tallystick.catalog.plans.model import Phase, PlanContent, PlansPage, PlanVersion
from tallystick.db.queries import Connection, queries_beside
from tallystick.errors import InvalidInput, Kind, TallystickError

_queries = queries_beside(__file__)
_find_version = _queries.tuples("find_version")
_version_at = _queries.tuples("version_at")
_newest_version = _queries.tuples("newest_version")
_versions_of = _queries.tuples("versions_of")
_page_versions = _queries.tuples("page_versions")
_is_plan = _queries.value("is_plan")
_CURSOR = "a cursor is what `next` of the page before gave"
_EARLIEST = dt.datetime(1, 1, 1, tzinfo=dt.UTC)


class UnknownPlan(TallystickError):
    """There is no plan {plan} in force at that time in this book."""

    code = "plans.unknown"
    kind = Kind.NOT_FOUND


class IsPlan(TallystickError):
    """The product {product} is a plan: its prices are set by plans.set_version, and subscriptions invoice it."""

    code = "plans.is_plan"
    kind = Kind.REFUSED


async def find_plan(connection: Connection, book_id: int, plan: str, at: dt.datetime | None) -> PlanVersion:
    """
    Return the version in force *at* that instant; None: the newest there is.

    Raises:
        UnknownPlan: there is none (``plans.unknown``).
    """
    if at is None:
        rows = await _newest_version(connection, book_id, plan)
    else:
        rows = await _version_at(connection, book_id, plan, at)
    if not rows:
        raise UnknownPlan(field="plan", plan=plan)
    return _version(rows[0])


async def version_from(
    connection: Connection, book_id: int, plan: str, effective_at: dt.datetime
) -> PlanVersion | None:
    """Return the version that begins at exactly that instant."""
    rows = await _find_version(connection, book_id, plan, effective_at)
    return _version(rows[0]) if rows else None


async def versions_of(connection: Connection, book_id: int, plans: Iterable[str]) -> dict[str, list[PlanVersion]]:
    """Return all versions of each of *plans*, in order of time."""
    found: dict[str, list[PlanVersion]] = {}
    for row in await _versions_of(connection, book_id, sorted(set(plans))):
        found.setdefault(row[0], []).append(_version(row))
    return found


async def page_plans(connection: Connection, book_id: int, after: str, limit: int) -> PlansPage:
    """
    Return *limit* versions behind the cursor *after*.

    Raises:
        InvalidInput: *after* is not a cursor (``invalid_input``).
    """
    plan, effective_at = _read_cursor(after)
    if after and await version_from(connection, book_id, plan, effective_at) is None:
        raise InvalidInput(field="after", rule=_CURSOR)
    rows = await _page_versions(connection, book_id, plan, effective_at, limit + 1)
    items = [_version(row) for row in rows[:limit]]
    return PlansPage(items, _cursor(items[-1]) if len(rows) > limit else None)


async def require_no_plan(connection: Connection, book_id: int, product: str) -> None:
    """
    Refuse what is done with products that are no plans.

    Raises:
        IsPlan: *product* is one (``plans.is_plan``).
    """
    if await _is_plan(connection, book_id, product):
        raise IsPlan(field="product", product=product)


def _version(row: tuple[Any, ...]) -> PlanVersion:
    plan, effective_at, content, phases = row
    return PlanVersion(
        plan,
        effective_at,
        msgspec.json.decode(content, type=PlanContent),
        msgspec.json.decode(phases, type=list[Phase]),
    )


def _cursor(last: PlanVersion) -> str:
    return f"{last.plan}/{last.effective_at.isoformat()}"


def _read_cursor(text: str) -> tuple[str, dt.datetime]:
    if not text:
        return "", _EARLIEST
    try:
        plan, instant = text.split("/")
        return plan, instant_in_utc(dt.datetime.fromisoformat(instant))
    except ValueError as error:
        raise InvalidInput(field="after", rule=_CURSOR) from error
