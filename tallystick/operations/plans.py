"""The plans' operations: versions are set, found and listed."""

from typing import Annotated

import msgspec

from tallystick.catalog.plans import set_version as setting
from tallystick.catalog.plans.find_plan import find_plan, page_plans
from tallystick.catalog.plans.model import PlanCode, PlanContent, PlansPage, PlanVersion
from tallystick.errors import TallystickError
from tallystick.operations.fields import Instant, PageSize
from tallystick.operations.model import Call, Input, Operation


class PlanVersionInput(Input, frozen=True):
    """A version of a plan, in force from ``effective_at`` until the next."""

    plan: PlanCode
    effective_at: Instant
    content: PlanContent


class FindPlanInput(Input, frozen=True):
    """A plan as it is at an instant, or in its newest version."""

    plan: PlanCode
    at: Instant | None = None


class PlansPageInput(Input, frozen=True):
    """Which page: what sorts behind the cursor."""

    after: Annotated[str, msgspec.Meta(max_length=255, pattern=r"^[^\x00]*$(?!\n)")] = ""
    limit: PageSize = 100


async def set_version(call: Call, request: PlanVersionInput) -> PlanVersion:
    """
    Append a version to a plan: how it is billed, its phases and their charges.

    Subscriptions that follow the plan are billed by it from their next billing period on.
    """
    try:
        return await setting.set_version(
            call.connection, call.recorded, request.plan, request.effective_at, request.content
        )
    except TallystickError as error:
        if error.field not in {None, "plan", "effective_at"}:
            error.field = f"content.{error.field}"
        raise


async def find(call: Call, request: FindPlanInput) -> PlanVersion:
    """Return a plan as it is at an instant, or in its newest version."""
    return await find_plan(call.connection, call.book.book_id, request.plan, request.at)


async def list_plans(call: Call, request: PlansPageInput) -> PlansPage:
    """Return a page of versions by plan and instant."""
    return await page_plans(call.connection, call.book.book_id, request.after, request.limit)


OPERATIONS = [
    Operation("plans.set_version", PlanVersionInput, PlanVersion, "catalog:write", "POST /plans", set_version),
    Operation("plans.find", FindPlanInput, PlanVersion, "catalog:read", "GET /plans/{plan}", find, reads=True),
    Operation("plans.list", PlansPageInput, PlansPage, "catalog:read", "GET /plans", list_plans, reads=True),
]
