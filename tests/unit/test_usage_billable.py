"""The billable rule: what is billed, the reason when not, and rules that cannot be used."""

import pytest

from tallystick.usage.billable import BillableRule, InvalidRule, Reason, compile_rule, judge


@pytest.mark.parametrize(
    ("status", "resource", "reason"),
    [
        (200, "/a", None),
        (299, "/", None),
        (None, "/a", None),
        (200, None, None),
        (None, None, None),
        (199, "/a", Reason.STATUS_NOT_BILLABLE),
        (300, "/a", Reason.STATUS_NOT_BILLABLE),
        (0, "/a", Reason.STATUS_NOT_BILLABLE),
        (200, "*", Reason.NOT_A_RESOURCE),
        (200, "", Reason.NOT_A_RESOURCE),
        (200, "http://elsewhere.example/", Reason.NOT_A_RESOURCE),
        (404, "*", Reason.STATUS_NOT_BILLABLE),
    ],
)
def test_the_first_rule_bills_successful_requests_to_real_resources(
    status: int | None, resource: str | None, reason: Reason | None
) -> None:
    """2xx on a path is billed; what an event does not say is not held against it."""
    assert judge(status, resource, compile_rule(BillableRule())) is reason


def test_a_rule_widens_and_narrows_by_configuration() -> None:
    """More statuses, other resources and exclusions are data, not code."""
    rule = compile_rule(BillableRule(statuses=((200, 204), (304, 304)), resources=("/v1/*",), excluded=("*/health",)))
    assert judge(304, "/v1/a", rule) is None
    assert judge(206, "/v1/a", rule) is Reason.STATUS_NOT_BILLABLE
    assert judge(200, "/v2/a", rule) is Reason.NOT_A_RESOURCE
    assert judge(200, "/v1/health", rule) is Reason.RESOURCE_EXCLUDED


@pytest.mark.parametrize(
    ("rule", "place"),
    [
        (BillableRule(resources=("",)), "resources[0]"),
        (BillableRule(resources=("/\0",)), "resources[0]"),
        (BillableRule(excluded=("/", "/*a?b*")), "excluded[1]"),
        (BillableRule(excluded=("x" * 201,)), "excluded[0]"),
        (BillableRule(statuses=((200, 299),) * 51), "statuses"),
        (BillableRule(excluded=("x",) * 101), "excluded"),
        (BillableRule(statuses=((299, 200),)), "statuses[0]"),
        (BillableRule(statuses=((200, 299), (-1, 10**12))), "statuses[1]"),
    ],
)
def test_a_rule_that_cannot_be_used_is_refused_by_place(rule: BillableRule, place: str) -> None:
    """A pattern that cannot be matched in bounded time, or is too long, is named before any event is judged by it."""
    with pytest.raises(InvalidRule) as caught:
        compile_rule(rule)
    assert caught.value.field == place
    assert caught.value.code == "usage.invalid_rule"
