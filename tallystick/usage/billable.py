"""Which usage is billed: a rule that is configuration, and the reason when it says no."""

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from typing import ClassVar

import msgspec

from tallystick.errors import Kind, TallystickError
from tallystick.usage.pattern import Pattern, read_pattern

MAX_PATTERNS = 50
_ANY_STATUS = 999


class Reason(StrEnum):
    """Why usage is not billed; the closed set."""

    STATUS_NOT_BILLABLE = "status_not_billable"
    NOT_A_RESOURCE = "not_a_resource"
    RESOURCE_EXCLUDED = "resource_excluded"


class InvalidRule(TallystickError):
    """The billable rule cannot be used: {place} {rule}."""

    code: ClassVar[str] = "usage.invalid_rule"
    kind: ClassVar[Kind] = Kind.INVALID

    def __init__(self, place: str, rule: str) -> None:
        """Name the *place* in the configuration and the *rule* that it breaks, worded so that it follows the name."""
        super().__init__(field=place, place=place, rule=rule)


class BillableRule(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The rule as data. Its default: a successful request made to a real resource."""

    statuses: tuple[tuple[int, int], ...] = ((200, 299),)
    """Ranges of HTTP statuses that are billed, both ends included."""
    resources: tuple[str, ...] = ("/*",)
    """Patterns, one of which at least the whole request target must fit: ``*`` is any run of characters, ``?`` one."""
    excluded: tuple[str, ...] = ()
    """Patterns of the same kind, none of which it may fit."""


@dataclass(frozen=True, slots=True)
class CompiledRule:
    """The rule made ready to judge millions of events."""

    statuses: frozenset[int]
    resources: tuple[Pattern, ...]
    excluded: tuple[Pattern, ...]


def compile_rule(rule: BillableRule) -> CompiledRule:
    """
    Make *rule* ready for use.

    Raises:
        InvalidRule: usage.invalid_rule; a range is empty or not of statuses, or one of too many, or a pattern is
            empty, too long, or one of too many.
    """
    return CompiledRule(
        statuses=_statuses(rule.statuses),
        resources=_patterns("resources", rule.resources),
        excluded=_patterns("excluded", rule.excluded),
    )


def judge(status: int | None, resource: str | None, rule: CompiledRule) -> Reason | None:
    """
    Say why an event of this *status* and *resource* is not billed, or None if it is.

    What the event does not say (no status, no resource) is not held against it: its source sends billable usage only.
    """
    if status is not None and status not in rule.statuses:
        return Reason.STATUS_NOT_BILLABLE
    if resource is None:
        return None
    if not any(pattern.matches(resource) for pattern in rule.resources):
        return Reason.NOT_A_RESOURCE
    if rule.excluded and any(pattern.matches(resource) for pattern in rule.excluded):
        return Reason.RESOURCE_EXCLUDED
    return None


def remembering_judge(rule: CompiledRule) -> Callable[[int | None, str | None], Reason | None]:
    """Return a ``judge`` by *rule* for one batch, which judges each status and resource once: most stand there often."""
    judged: dict[tuple[int | None, str | None], Reason | None] = {}

    def judge_once(status: int | None, resource: str | None) -> Reason | None:
        evidence = (status, resource)
        if evidence not in judged:
            judged[evidence] = judge(status, resource, rule)
        return judged[evidence]

    return judge_once


def _statuses(ranges: tuple[tuple[int, int], ...]) -> frozenset[int]:
    if len(ranges) > MAX_PATTERNS:
        raise InvalidRule("statuses", f"must be at most {MAX_PATTERNS} ranges")
    billed: set[int] = set()
    for place, (first, last) in enumerate(ranges):
        if not 0 <= first <= last <= _ANY_STATUS:
            raise InvalidRule(f"statuses[{place}]", f"must be a range within 0 to {_ANY_STATUS}, lower end first")
        billed.update(range(first, last + 1))
    return frozenset(billed)


def _patterns(field: str, texts: tuple[str, ...]) -> tuple[Pattern, ...]:
    if len(texts) > MAX_PATTERNS:
        raise InvalidRule(field, f"must be at most {MAX_PATTERNS} patterns")
    return tuple(_pattern(f"{field}[{place}]", text) for place, text in enumerate(texts))


def _pattern(place: str, text: str) -> Pattern:
    try:
        return read_pattern(text)
    except ValueError as error:
        raise InvalidRule(place, str(error)) from error
