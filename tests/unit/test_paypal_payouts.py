"""Payouts out of PayPal's transaction search: what each line is, and that together they are the payout."""

import datetime as dt
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import pytest
from aiohttp import web

from tallystick.clock import FixedClock
from tallystick.payments.providers.paypal.account import PayPalAccount
from tallystick.payments.providers.paypal.provider import PayPalProvider
from tallystick.payments.providers.protocol import (
    PayoutLine,
    PayoutLineKind,
    PayoutStatus,
    ProviderPayout,
    ProviderRefused,
    ProviderUnreachable,
)

NOW = dt.datetime(2026, 5, 10, 12, tzinfo=dt.UTC)
TOKEN = {"access_token": "bearer", "expires_in": 3600}
ORDERS = {"CAP1": "ORDER1", "CAP2": "ORDER2"}


@dataclass
class Account:
    """A PayPal account, with what moved in it; it answers searches as PayPal documents that it does."""

    moved: list[dict[str, Any]] = field(default_factory=list)
    disputes: list[dict[str, Any]] = field(default_factory=list)
    refreshed: dt.datetime | None = NOW
    most: int = 10_000
    balances: bool = True
    forbids: bool = False
    asked: list[dict[str, str]] = field(default_factory=list)
    base: str = ""

    def move(
        self,
        code: str,
        amount: str,
        hours: float,
        name: str = "",
        currency: str = "EUR",
        status: str = "S",
        **more: Any,  # noqa: ANN401 - JSON
    ) -> str:
        """Let something move, so many hours before now; return its id."""
        at = NOW - dt.timedelta(hours=hours)
        name = name or f"TX{len(self.moved)}"
        fee = more.pop("fee", None)
        self.moved.append(
            {
                "transaction_id": name,
                "transaction_event_code": code,
                "transaction_status": status,
                "transaction_initiation_date": f"{at:%Y-%m-%dT%H:%M:%S}+0000",
                "transaction_amount": {"currency_code": currency, "value": amount},
                **({"fee_amount": {"currency_code": currency, "value": fee}} if fee else {}),
                **more,
            }
        )
        return name

    async def search(self, request: web.Request) -> web.Response:
        """Search."""
        query = dict(request.query)
        self.asked.append(query)
        start, end = (dt.datetime.fromisoformat(query[name]) for name in ("start_date", "end_date"))
        if self.forbids:
            return _wrong("NOT_AUTHORIZED", 403)
        if end - start > dt.timedelta(days=31):
            return _wrong("INVALID_REQUEST")
        found = [
            one for one in self.moved if start <= dt.datetime.fromisoformat(one["transaction_initiation_date"]) <= end
        ]
        if len(found) > self.most:
            return _wrong("RESULTSET_TOO_LARGE")
        if not self.balances or query.keys() - {"start_date", "end_date"}:
            found = [{key: value for key, value in one.items() if key != "ending_balance"} for one in found]
        size, page = int(query.get("page_size", "100")), int(query.get("page", "1"))
        content: dict[str, Any] = {
            "transaction_details": [{"transaction_info": one} for one in found[(page - 1) * size : page * size]],
            "total_pages": -(-len(found) // size),
        }
        if self.refreshed is not None:
            content["last_refreshed_datetime"] = f"{self.refreshed:%Y-%m-%dT%H:%M:%S}+0000"
        return web.json_response(content)

    async def find_capture(self, request: web.Request) -> web.Response:
        """Return a capture."""
        order = ORDERS.get(request.match_info["id"])
        if order is None:
            return _wrong("INVALID_RESOURCE_ID", 404)
        related = {"supplementary_data": {"related_ids": {"order_id": order}}}
        return web.json_response({"id": request.match_info["id"], "status": "COMPLETED", **related})

    async def find_disputes(self, request: web.Request) -> web.Response:
        """Return the disputes of a capture, latest first."""
        of = request.query["disputed_transaction_id"]
        return web.json_response({"items": [one for one in self.disputes if one["of"] == of]})


def _wrong(issue: str, status: int = 400) -> web.Response:
    return web.json_response({"name": issue, "details": []}, status=status)


@pytest.fixture
async def account() -> AsyncIterator[Account]:
    """Serve an account."""
    serving = Account()
    app = web.Application()

    async def let_in(_: web.Request) -> web.Response:
        return web.json_response(TOKEN)

    app.router.add_post("/v1/oauth2/token", let_in)
    app.router.add_get("/v1/reporting/transactions", serving.search)
    app.router.add_get("/v2/payments/captures/{id}", serving.find_capture)
    app.router.add_get("/v1/customer/disputes", serving.find_disputes)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    serving.base = f"http://127.0.0.1:{runner.addresses[0][1]}"
    yield serving
    await runner.cleanup()


@pytest.fixture
async def provider(account: Account) -> AsyncIterator[PayPalProvider]:
    """Reach it."""
    async with PayPalProvider(PayPalAccount("client", "secret", url=account.base), FixedClock(NOW)) as reached:
        yield reached


async def read(provider: PayPalProvider, which: int = -1) -> tuple[ProviderPayout, Sequence[PayoutLine]]:
    """Read one of the payouts on the list; the last unless told."""
    return await provider.read_payout((await provider.list_payouts(None))[which].id)


def balance(value: str) -> dict[str, str]:
    """Write a balance."""
    return {"currency_code": "EUR", "value": value}


def total(lines: Sequence[PayoutLine]) -> int:
    """Add up what lines come to."""
    return sum(line.amount - line.fee for line in lines)


def follows(name: str) -> dict[str, str]:
    """Say which movement one follows from."""
    return {"paypal_reference_id": name, "paypal_reference_id_type": "TXN"}


async def test_a_payout_is_what_moved_since_the_one_before(account: Account, provider: PayPalProvider) -> None:
    """In its own currency, without what was denied; each line names what it is in the words of everybody else."""
    account.move("T0006", "77.00", 50, "CAP9")
    account.move("T0401", "-77.00", 49, "PAY1", ending_balance=balance("0.00"))
    account.move("T0006", "100.00", 40, "CAP1", fee="-3.49")
    account.move("T0006", "55.00", 39, "CAP3", currency="USD")
    account.move("T0006", "12.00", 38, "CAP4", status="D")
    account.move("T0006", "50.00", 30, "CAP2", paypal_reference_id="ORDER7", paypal_reference_id_type="ODR")
    account.move("T1107", "-20.00", 20, "REF1", fee="0.50", **follows("CAP1"))
    account.move("T0106", "-15.00", 19, "FEE1")
    account.move("T0401", "-112.01", 10, "PAY2", ending_balance=balance("0.00"))
    payout, lines = await read(provider)
    assert (payout.amount, payout.currency, payout.status) == (11_201, "EUR", PayoutStatus.PAID)
    assert payout.arrives_on == dt.date(2026, 5, 10)
    kinds = PayoutLineKind
    assert [(one.kind, one.amount, one.fee, one.transaction_id, one.refund_id) for one in lines] == [
        (kinds.CHARGE, 10_000, 349, "ORDER1", None),
        (kinds.CHARGE, 5_000, 0, "ORDER7", None),
        (kinds.REFUND, -2_000, -50, "ORDER1", "REF1"),
        (kinds.FEE, 0, 1_500, None, None),
    ]
    assert total(lines) == payout.amount
    assert [one.id for one in lines] == ["CAP1.T0006", "CAP2.T0006", "REF1.T1107", "FEE1.T0106"]


@pytest.mark.parametrize(
    ("code", "amount", "kind"),
    [
        ("T0000", "1.00", PayoutLineKind.CHARGE),
        ("T0006", "1.00", PayoutLineKind.CHARGE),
        ("T0099", "1.00", PayoutLineKind.CHARGE),
        ("T0001", "-1.00", PayoutLineKind.ADJUSTMENT),
        ("T0100", "-1.00", PayoutLineKind.FEE),
        ("T0199", "-1.00", PayoutLineKind.FEE),
        ("T1108", "1.00", PayoutLineKind.FEE),
        ("T1109", "1.00", PayoutLineKind.FEE),
        ("T0200", "-1.00", PayoutLineKind.ADJUSTMENT),
        ("T0300", "1.00", PayoutLineKind.ADJUSTMENT),
        ("T1106", "-1.00", PayoutLineKind.DISPUTE),
        ("T1107", "-1.00", PayoutLineKind.REFUND),
        ("T1107", "1.00", PayoutLineKind.ADJUSTMENT),
        ("T1110", "-1.00", PayoutLineKind.DISPUTE),
        ("T1111", "1.00", PayoutLineKind.DISPUTE_REVERSED),
        ("T1201", "-1.00", PayoutLineKind.DISPUTE),
        ("T1201", "1.00", PayoutLineKind.ADJUSTMENT),
        ("T1202", "1.00", PayoutLineKind.DISPUTE_REVERSED),
        ("T1205", "1.00", PayoutLineKind.DISPUTE_REVERSED),
        ("T1208", "1.00", PayoutLineKind.DISPUTE_REVERSED),
        ("T1200", "1.00", PayoutLineKind.ADJUSTMENT),
        ("T2103", "-1.00", PayoutLineKind.ADJUSTMENT),
        ("T9999", "1.00", PayoutLineKind.ADJUSTMENT),
    ],
)
async def test_a_t_code_says_what_a_line_is(
    account: Account, provider: PayPalProvider, code: str, amount: str, kind: PayoutLineKind
) -> None:
    """What is in no list, or goes the wrong way for it, is an adjustment that somebody looks at; the sum is the same."""
    account.move(code, amount, 2, "MOVED")
    account.move("T0400", "-5.00", 1)
    _, lines = await read(provider)
    assert [(one.kind, one.amount - one.fee) for one in lines] == [(kind, 100 if amount == "1.00" else -100)]
    assert (lines[0].amount == 0) == (kind is PayoutLineKind.FEE)
    assert code in lines[0].description


async def test_a_dispute_is_named_though_its_movement_does_not(account: Account, provider: PayPalProvider) -> None:
    """The latest of the payment's that there was when the money moved."""
    account.disputes = [
        {"of": "CAP1", "dispute_id": "PP-D-3", "create_time": f"{NOW:%Y-%m-%dT%H:%M:%SZ}"},
        {"of": "CAP1", "dispute_id": "PP-D-2", "create_time": "2026-05-01T00:00:00.000Z"},
        {"of": "CAP1", "dispute_id": "PP-D-1", "create_time": "2026-04-01T00:00:00.000Z"},
    ]
    account.move("T1110", "-30.00", 5, **follows("CAP1"))
    account.move("T1111", "30.00", 4, **follows("CAP1"))
    account.move("T1201", "-9.00", 3, **follows("CAP2"))
    account.move("T1110", "-9.00", 2)
    account.move("T0401", "-5.00", 1)
    _, lines = await read(provider)
    assert [(one.dispute_id, one.transaction_id) for one in lines] == [
        ("PP-D-2", "ORDER1"),
        ("PP-D-2", "ORDER1"),
        (None, "ORDER2"),
        (None, None),
    ]


async def test_what_stays_with_paypal_is_a_line_of_its_own(account: Account, provider: PayPalProvider) -> None:
    """A withdrawal by hand leaves something behind, which the next one may take along; both reports add up."""
    account.move("T0006", "100.00", 50, "CAP1")
    account.move("T0400", "-60.00", 40, "PAY1", ending_balance=balance("40.00"))
    account.move("T0006", "10.00", 30, "CAP2")
    account.move("T0400", "-45.00", 20, "PAY2", ending_balance=balance("5.00"))
    for which, amount, carried in ((0, 6_000, -4_000), (1, 4_500, 3_500)):
        payout, lines = await read(provider, which)
        assert total(lines) == payout.amount == amount
        assert [one.amount for one in lines if one.kind is PayoutLineKind.ADJUSTMENT] == [carried]
    account.balances = False
    payout, lines = await read(provider)
    assert total(lines) == 1_000, "what PayPal does not tell is not made up"


async def test_a_movement_that_is_missing_shows(account: Account, provider: PayPalProvider) -> None:
    """The balances say what the lines have to come to, so a report with a hole in it does not add up."""
    account.move("T0006", "100.00", 50, "CAP1")
    account.move("T0400", "-60.00", 40, "PAY1", ending_balance=balance("40.00"))
    account.moved.pop(0)
    payout, lines = await read(provider)
    assert total(lines) != payout.amount


async def test_a_withdrawal_may_cost_something(account: Account, provider: PayPalProvider) -> None:
    """What PayPal keeps for it is a fee among its lines."""
    account.move("T0006", "100.00", 50, "CAP1")
    account.move("T0400", "-99.00", 40, "PAY1", fee="-1.00", ending_balance=balance("0.00"))
    payout, lines = await read(provider)
    assert total(lines) == payout.amount == 9_900
    assert [(one.kind, one.fee, one.id) for one in lines][1:] == [(PayoutLineKind.FEE, 100, "PAY1.T0400.fee")]


async def test_money_that_the_bank_sent_back_names_its_payout(account: Account, provider: PayPalProvider) -> None:
    """So it is matched with the payout that failed."""
    account.move("T0400", "-50.00", 40, "PAY1", status="V")
    account.move("T1101", "50.00", 30, "BACK1", **follows("PAY1"))
    account.move("T0401", "-50.00", 20, "PAY2")
    failed, paid = await provider.list_payouts(None)
    assert (failed.status, paid.status) == (PayoutStatus.FAILED, PayoutStatus.PAID)
    _, lines = await provider.read_payout(paid.id)
    assert [(one.kind, one.amount, one.description) for one in lines] == [
        (PayoutLineKind.ADJUSTMENT, 5_000, f"T1101 gives back {failed.id}")
    ]


async def test_a_payment_that_is_none_of_ours_keeps_its_own_name(account: Account, provider: PayPalProvider) -> None:
    """Somebody paid by another way into the account: the line is told, and matches nothing."""
    account.move("T0013", "5.00", 2, "DONATED")
    account.move("T0401", "-5.00", 1)
    _, lines = await read(provider)
    assert [one.transaction_id for one in lines] == ["DONATED"]


async def test_long_times_and_many_movements_are_searched_piece_by_piece(
    account: Account, provider: PayPalProvider
) -> None:
    """PayPal searches 31 days at a time and finds 10,000 movements at most; nothing is missed and nothing told twice."""
    account.most = 20
    for hour in range(100):
        account.move("T0006", "1.00", 2_000 - hour)
    for hour in range(30):
        account.move("T0006", "1.00", 100 - hour)
    account.move("T0401", "-130.00", 1)
    payout, lines = await read(provider)
    assert len(lines) == 130
    assert total(lines) == payout.amount
    assert len({one.id for one in lines}) == 130


async def test_pages_are_read_to_the_last(account: Account, provider: PayPalProvider) -> None:
    """A page has 500 movements."""
    for number in range(1_200):
        account.move("T0100", "-0.01", 30, f"F{number}")
    account.move("T0401", "-12.00", 1)
    _, lines = await read(provider)
    assert len(lines) == 1_200


async def test_the_list_goes_on_behind_the_last_known(account: Account, provider: PayPalProvider) -> None:
    """Oldest first, a hundred at most, and none that PayPal may not show whole yet."""
    for number in range(150):
        account.move("T0401", "-1.00", 200 - number, f"PAY{number:03}")
    first = await provider.list_payouts(None)
    assert [one.id.partition("_")[2] for one in first] == [f"PAY{number:03}" for number in range(100)]
    second = await provider.list_payouts(first[-1].id)
    assert [one.id.partition("_")[2] for one in second] == [f"PAY{number:03}" for number in range(100, 150)]
    assert await provider.list_payouts(second[-1].id) == []
    account.refreshed = NOW - dt.timedelta(hours=60)
    assert len(await provider.list_payouts(first[-1].id)) == 40
    account.refreshed = None
    account.move("T0401", "-1.00", 1, "YOUNG")
    assert len(await provider.list_payouts(first[-1].id)) == 50, "without its word, three hours are waited"


@pytest.mark.parametrize(
    "payout_id",
    [
        "",
        "PAY1",
        "20260510T120000.000000_",
        "20261310T120000.000000_PAY1",
        "20260510T120000.000000_PAY1&x=1",
        "20260510T110000.000000_NONE",
        "20260510T110000.000000_CAP1",
        "20260510T110000.000001_PAY1",
    ],
)
async def test_no_other_name_is_a_payouts(account: Account, provider: PayPalProvider, payout_id: str) -> None:
    """What is not a withdrawal of that second is refused, and nothing of it reaches a question."""
    account.move("T0006", "1.00", 1, "CAP1")
    account.move("T0401", "-1.00", 1, "PAY1")
    with pytest.raises(ProviderRefused):
        await provider.read_payout(payout_id)
    assert not any("&" in value for query in account.asked for value in query.values())


async def test_an_account_that_may_not_search_says_so(account: Account, provider: PayPalProvider) -> None:
    """The app lacks the permission: that is about us, and no word on any payout."""
    account.forbids = True
    with pytest.raises(ProviderUnreachable, match="HTTP 403"):
        await provider.list_payouts(None)
