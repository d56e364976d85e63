"""The quick way from CloudEvents to columns gives what the careful way gives, or leaves it to that."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tallystick.usage.decode import cloudevents
from tallystick.usage.decode.cloudevent_columns import columns_of_plain
from tallystick.usage.decode.cloudevents import decode_cloudevents
from tallystick.usage.model import MAX_TEXT

TEXTS = st.sampled_from(["a", "b", "é", "😀", "x" * MAX_TEXT])
ODD_TEXTS = TEXTS | st.sampled_from(["", "x" * (MAX_TEXT + 1), "a\0", 'a"b'])
TIMES = st.sampled_from(
    ["2015-05-17T10:05:03Z", "2015-05-17T10:05:03.5Z", "2015-05-17T10:05:03.123456+02:00", "1970-01-01T00:00:00Z"]
)
ODD_TIMES = TIMES | st.sampled_from(
    [
        "2015-05-17 10:05:03Z", "2015-05-17T10:05:03.1234560Z", "2015-05-17t10:05:03z", "1969-12-31T23:59:59Z",
        "9999-12-31T23:59:59-01:00", "9999-12-31T23:59:59.999999Z", "2015-05-17T10:05Z", "2015-05-17T10:05:03",
        "2015-05-17T10:05:03+0200", "2015-02-29T10:05:03Z", "2015-05-17T10:05:03+99:00", "2015-05-17T24:00:00Z",
    ]
)  # fmt: skip
NUMBERS = st.sampled_from([0, 1, 10**29, "1.5", "0.000001", "123.456", "1.50", "7.00", "007", "1"])
ODD_NUMBERS = NUMBERS | st.sampled_from([10**30, -1, "0.0000001", "01.5", ".5", "5.", "9" * 40, "0.0", "-1", "NaN", ""])


def events(texts: st.SearchStrategy[str], times: st.SearchStrategy[str], numbers: st.SearchStrategy[Any]) -> Any:  # noqa: ANN401 - a strategy of JSON
    """Make events of such texts, times and numbers."""
    data = st.fixed_dictionaries(
        {},
        optional={
            "quantities": st.dictionaries(st.sampled_from(["bytes", "c.d"]), numbers, max_size=2),
            "dimensions": st.dictionaries(st.sampled_from(["region", "seat"]), texts, max_size=2),
            "status": st.sampled_from([200, 404, 1000]),
            "resource": st.sampled_from(["/a", "*"]),
        },
    )
    required = {
        "specversion": st.just("1.0"),
        "id": texts,
        "source": texts,
        "type": texts,
        "subject": texts,
        "time": times,
    }
    return st.fixed_dictionaries(required, optional={"data": data})


PLAIN, ODD = events(TEXTS, TIMES, NUMBERS), events(ODD_TEXTS, ODD_TIMES, ODD_NUMBERS)


def said(body: bytes) -> tuple[object, ...]:
    """Return all that is in a batch."""
    columns = decode_cloudevents(body, most=10)
    count = len(columns)
    invalid = {place: (one.field, one.rule) for place, one in (columns.invalid or {}).items()}
    rows = [
        (columns.keys[place].tobytes(), columns.contents[place].tobytes(), int(columns.at[place]), columns.customers[place],
         columns.quantities[place], columns.dimensions and columns.dimensions[place],
         columns.evidence and columns.evidence[place])
        for place in range(count) if place not in invalid
    ]  # fmt: skip
    return rows, invalid


@given(batch=st.lists(PLAIN | ODD, min_size=1, max_size=4))
def test_both_ways_give_the_same(batch: list[Any]) -> None:
    """Whatever stands in a batch, the columns and the refusals are those that are made event by event."""
    body = json.dumps(batch).encode()
    as_served = said(body)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(cloudevents, "columns_of_plain", lambda _: None)
        assert said(body) == as_served


@given(batch=st.lists(PLAIN, min_size=1, max_size=4))
def test_plain_events_go_the_quick_way(batch: list[Any]) -> None:
    """What gateways usually send is not looked at twice."""
    plain = [one | {"data": {**one.get("data", {}), "status": 200}} for one in batch]
    decoded = cloudevents._envelopes.decode(json.dumps(plain))
    assert columns_of_plain(decoded) is not None
