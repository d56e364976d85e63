"""Payouts of providers on bank statements: what is certain is off its way, what is not waits for a person."""

import datetime as dt
import uuid
from pathlib import Path
from typing import Any

import msgspec
import pytest

from tallystick.collecting.bank.model import Entry
from tallystick.db.embedded import EmbeddedServer
from tallystick.operations.bank_files import import_statements, read_statements
from tallystick.operations.find_arrivals import arrivals
from tallystick.payments.payouts.model import Payout
from tallystick.security.model import OPERATOR
from tests.conftest import House
from tests.db.bank_files import mt940
from tests.db.paid_out import line, open_desk
from tests.db.test_rebuild import rebuilt, said

DAY = dt.date(2026, 10, 5)


def payout(provider_id: str, amount: int = 1_000, **fields: Any) -> Payout:  # noqa: ANN401 - fields of a payout
    """Return a payout that is on its way."""
    made = Payout(
        uuid.uuid5(uuid.NAMESPACE_OID, provider_id), "stripe", provider_id, "1", "EUR", amount, "paid", DAY, arrived=False,
        fees=0, lines=1, unmatched=0, open=0, recorded_at=dt.datetime(2026, 10, 1, tzinfo=dt.UTC),
    )  # fmt: skip
    return msgspec.structs.replace(made, **fields)


FIRST, SECOND = payout("po_1PgafmB7WZ01zgkW"), payout("po_2PgafmB7WZ01zgkW")
CASES: list[tuple[str, list[Entry], list[Payout], list[tuple[int, Payout]]]] = [
    ("its id, cut by the bank", [Entry(DAY, 1_000, text="STRIPE po_1Pga fmB7WZ01zgkW")], [FIRST, SECOND], [(1, FIRST)]),
    ("the provider and the amount", [Entry(DAY, 1_000, name="Stripe Payments")], [FIRST], [(1, FIRST)]),
    ("two of the same amount", [Entry(DAY, 1_000, text="Stripe")], [FIRST, SECOND], []),
    ("two entries of the same amount", [Entry(DAY, 1_000, text="Stripe")] * 2, [FIRST], []),
    ("another amount", [Entry(DAY, 999, text="po_1PgafmB7WZ01zgkW")], [FIRST], []),
    ("nothing that names it", [Entry(DAY, 1_000, text="Gutschrift")], [FIRST], []),
    ("a word that only begins so", [Entry(DAY, 1_000, text="Stripes Ltd")], [FIRST], []),
    ("long before it was to come", [Entry(DAY - dt.timedelta(8), 1_000, text="Stripe")], [FIRST], []),
    ("one that failed", [Entry(DAY, 1_000, text="Stripe")], [payout("po_3PgafmB7WZ01zgkW", status="failed")], []),
    ("one that arrived", [Entry(DAY, 1_000, text="Stripe")], [payout("po_3PgafmB7WZ01zgkW", arrived=True)], []),
    ("what the bank takes back", [Entry(DAY, 1_000, reversal=True, text="Stripe")], [FIRST], []),
    (
        "one by id leaves the other to its name",
        [Entry(DAY, 1_000, text="Stripe"), Entry(DAY, 1_000, text="po_1PgafmB7WZ01zgkW")],
        [FIRST, SECOND],
        [(1, SECOND), (2, FIRST)],
    ),
]


@pytest.mark.parametrize(
    ("entries", "payouts", "expected"), [case[1:] for case in CASES], ids=[case[0] for case in CASES]
)
def test_only_what_is_certain_is_a_payout(
    entries: list[Entry], payouts: list[Payout], expected: list[tuple[int, Payout]]
) -> None:
    """The amount to the unit, and the id of the payout, or its provider's name about its day; never one of two."""
    found = arrivals(enumerate(entries, 1), "EUR", payouts)
    assert [(one.position, one.payout) for one in found] == expected
    assert arrivals(enumerate(entries, 1), "USD", payouts) == []


async def test_money_on_its_way_is_the_banks_once_a_statement_has_it(
    house: House, server: EmbeddedServer, tmp_path: Path
) -> None:
    """Imported twice it moves once, entries that are no payout wait, and the messages alone make the same rows."""
    desk = open_desk(house)
    recorded = await desk.record([line("adjustment", 7_810)], "po_1PgafmB7WZ01zgkW")
    assert (await desk.money())[1] == 7_810
    path = tmp_path / "today.sta"
    path.write_bytes(mt940([(7_810, "", "po_1PgafmB7WZ01zgkW"), (5, "", "nobody knows")], currency="USD"))
    (report,) = await import_statements(desk.operations, OPERATOR, "main", read_statements(path))
    assert [(one.kind, one.amount) for one in report.settled] == [("payout", 7_810)]
    (again,) = await import_statements(desk.operations, OPERATOR, "main", read_statements(path))
    assert again.settled == []
    assert (await desk.do("payouts.find", id=str(recorded.payout_id))).arrived
    assert (await desk.money())[1] == 0
    assert [one.entry.amount for one in (await desk.do("bank.entries", unmatched=True)).items] == [5]
    assert not said(await rebuilt(house, server))
