"""What happens in the sandbox by itself: a seed and rates."""

from collections import Counter
from decimal import Decimal
from pathlib import Path

import pytest

from tallystick.payments.providers.sandbox.change import Call
from tallystick.payments.providers.sandbox.faults import FaultKind, Twist
from tallystick.payments.providers.sandbox.plan import Plan, Rates, RatesUnusable, read_rates
from tallystick.payments.providers.sandbox.spoil import Flaw

RATES = Rates(
    calls={Call.CREATE: {FaultKind.DECLINE: Decimal("0.1"), FaultKind.DROP_AFTER: Decimal("0.3")}},
    webhooks={Twist.LOST: Decimal("0.5")},
    flaws={Flaw.WRONG_LINE: Decimal(1)},
)
REFERENCES = [f"p-{number}" for number in range(2000)]


def test_the_same_seed_decides_the_same_in_any_order() -> None:
    """What becomes of a reference does not hang on who was asked before."""
    forwards, backwards = Plan(3, RATES), Plan(3, RATES)
    told = {one: forwards.fault(Call.CREATE, one) for one in REFERENCES}
    assert told == {one: backwards.fault(Call.CREATE, one) for one in reversed(REFERENCES)}
    other = Plan(4, RATES)
    assert told != {one: other.fault(Call.CREATE, one) for one in REFERENCES}


def test_rates_are_kept_to() -> None:
    """Of two thousand about as many are hit as the rates say: within a tenth of all."""
    plan = Plan(1, RATES)
    hit = Counter(plan.fault(Call.CREATE, one) for one in REFERENCES)
    assert abs(hit[FaultKind.DECLINE] - 200) < 60
    assert abs(hit[FaultKind.DROP_AFTER] - 600) < 100
    assert abs(sum(plan.twist(one) is Twist.LOST for one in REFERENCES) - 1000) < 100
    assert plan.flaw("EUR") is Flaw.WRONG_LINE


def test_a_call_that_was_lost_is_not_lost_for_ever() -> None:
    """Asked again, its fate is drawn again, so whoever insists gets an answer."""
    plan = Plan(1, RATES)
    assert all(any(plan.fault(Call.CREATE, one) is None for _ in range(40)) for one in REFERENCES[:200])


def test_without_rates_nothing_happens_by_itself() -> None:
    """A sandbox that was told nothing does as it is asked."""
    for plan in (Plan(5), Plan(5, Rates())):
        assert {plan.fault(call, one) for call in Call for one in REFERENCES[:20]} == {None}
        assert (plan.twist("p-1"), plan.flaw("EUR")) == (None, None)


def test_a_rate_of_none_and_of_all() -> None:
    """0 is never and 1 is always."""
    plan = Plan(1, Rates())
    assert not any(plan.strikes("dispute", one, Decimal(0)) for one in REFERENCES)
    assert all(plan.strikes("dispute", one, Decimal(1)) for one in REFERENCES)


def test_rates_come_from_a_file(tmp_path: Path) -> None:
    """As numbers or as text, and exact."""
    file = tmp_path / "rates.json"
    file.write_text('{"calls": {"capture": {"wait": 0.1}}, "disputes": "0.02", "payout_every": 5}')
    rates = read_rates(file)
    assert rates.calls == {Call.CAPTURE: {FaultKind.WAIT: Decimal("0.1")}}
    assert (rates.disputes, rates.payout_every) == (Decimal("0.02"), 5)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("{", "truncated"),
        ('{"disputes": 2}', "disputes: a rate is a number from 0 to 1"),
        ('{"refunds_failed_later": -0.1}', "refunds_failed_later: a rate is a number from 0 to 1"),
        ('{"disputes": "NaN"}', "disputes: a rate is a number from 0 to 1"),
        ('{"disputes": "often"}', "disputes"),
        ('{"calls": {"find": {"decline": 0.1}}}', "calls.find: no decline of a find"),
        ('{"calls": {"create": {"decline": 0.6, "action": 0.6}}}', "calls.create: the rates add up to more than 1"),
        ('{"calls": {"create": {"explode": 0.6}}}', "explode"),
        ('{"webhooks": {"late": 0.6, "lost": 0.6}}', "webhooks: the rates add up to more than 1"),
        ('{"payout_every": 0}', "payout_every"),
        ('{"hope": 1}', "hope"),
        (None, "No such file or directory"),
    ],
)
def test_rates_that_cannot_be_meant_are_named(tmp_path: Path, text: str | None, said: str) -> None:
    """One sentence names file, field and rule."""
    file = tmp_path / "rates.json"
    if text is not None:
        file.write_text(text)
    with pytest.raises(RatesUnusable) as wrong:
        read_rates(file)
    assert said in str(wrong.value)
    assert str(file) in str(wrong.value)
