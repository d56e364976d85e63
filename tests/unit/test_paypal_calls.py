"""What is asked of PayPal and what its answers are taken for, word by word, over HTTP."""

import asyncio
import base64
import json
import logging
from collections.abc import AsyncIterator
from contextlib import nullcontext
from typing import Any

import pytest
from aiohttp import web

from tallystick.payments.providers.paypal.account import PayPalAccount
from tallystick.payments.providers.paypal.amount import to_minor, to_value
from tallystick.payments.providers.paypal.answers import Order
from tallystick.payments.providers.paypal.call import key_of
from tallystick.payments.providers.paypal.provider import PayPalProvider
from tallystick.payments.providers.paypal.read_order import GIVEN_UP
from tallystick.payments.providers.protocol import (
    CreateRequest,
    DisputeStatus,
    PaymentType,
    ProviderRefused,
    ProviderUnreachable,
    RefundRequest,
    RefundStatus,
    TransactionStatus,
)

SECRET = "very-secret"
LINK = "https://www.paypal.com/checkoutnow?token=5O190127TN364715T"
ORDER_ID = "5O190127TN364715T"
REFERENCE = "0197a3b0-0000-7000-8000-000000000001"
REQUEST = CreateRequest(REFERENCE, 1230, "EUR", "ada", "ada@example.org", PaymentType.CREDIT)
TOKEN = {"access_token": "A21AA-bearer", "token_type": "Bearer", "expires_in": 32_400}

Answer = tuple[int, Any]


class PayPal:
    """Who answers as PayPal would: what was told it to answer, in turn for each method and path; the last one for ever."""

    def __init__(self) -> None:
        """Know nobody."""
        self.base = ""
        self.ended = ""
        """The authorization that is not taken any more."""
        self.asked: list[tuple[str, str, dict[str, str], Any]] = []
        self.answers: dict[tuple[str, str], list[Answer]] = {}
        self.tell("POST", "/v1/oauth2/token", (200, TOKEN))

    def tell(self, method: str, path: str, *answers: Answer) -> None:
        """Answer so from now on."""
        self.answers[method, path] = list(answers)

    def order(self, status: str = "CREATED", **fields: Any) -> dict[str, Any]:  # noqa: ANN401 - JSON
        """Write an order as PayPal does."""
        captures = [{"id": "3C6", "status": one} for one in fields.pop("captures", ())]
        unit = {
            "reference_id": REFERENCE,
            "custom_id": REFERENCE,
            "amount": {"currency_code": "EUR", "value": "12.30"},
            "payments": {"captures": captures, "refunds": fields.pop("refunds", [])},
            **fields.pop("unit", {}),
        }
        links = [{"href": LINK, "rel": "approve", "method": "GET"}] if status == "CREATED" else []
        return {"id": ORDER_ID, "status": status, "purchase_units": [unit], "links": links, **fields}

    def stands(self, status: str = "CREATED", **fields: Any) -> None:  # noqa: ANN401 - JSON
        """Let the order be found so."""
        self.tell("GET", f"/v2/checkout/orders/{ORDER_ID}", (200, self.order(status, **fields)))

    def asked_for(self, method: str, path: str) -> list[tuple[dict[str, str], Any]]:
        """Return headers and body of each request of one kind."""
        return [(headers, body) for how, where, headers, body in self.asked if (how, where) == (method, path)]

    async def serve(self, request: web.Request) -> web.StreamResponse:
        """Answer."""
        text = (await request.read()).decode()
        body = json.loads(text) if text.startswith(("{", "[")) else text
        headers = {name.lower(): value for name, value in request.headers.items()}
        self.asked.append((request.method, request.path, headers, body))
        if headers.get("authorization") == self.ended:
            return web.json_response({"error": "invalid_token"}, status=401)
        answers = self.answers.get((request.method, request.path), [(404, wrong("INVALID_RESOURCE_ID"))])
        status, content = answers.pop(0) if len(answers) > 1 else answers[0]
        await asyncio.sleep(0)
        return web.json_response(content, status=status) if content is not None else web.Response(status=status)


def wrong(issue: str, name: str = "UNPROCESSABLE_ENTITY") -> dict[str, Any]:
    """Write an error as PayPal does."""
    said = "ada@example.org cannot pay"
    return {"name": name, "message": said, "debug_id": "1", "details": [{"issue": issue, "description": said}]}


@pytest.fixture
async def paypal() -> AsyncIterator[PayPal]:
    """Serve PayPal."""
    serving = PayPal()
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", serving.serve)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    serving.base = f"http://127.0.0.1:{runner.addresses[0][1]}"
    yield serving
    await runner.cleanup()


@pytest.fixture
async def provider(paypal: PayPal) -> AsyncIterator[PayPalProvider]:
    """Reach it."""
    account = PayPalAccount("client", SECRET, url=paypal.base, return_url="https://shop.example/paid")
    async with PayPalProvider(account) as reached:
        yield reached


# Amounts.


@pytest.mark.parametrize(
    ("amount", "code", "value"),
    [
        (1230, "EUR", "12.30"),
        (1, "USD", "0.01"),
        (100, "GBP", "1.00"),
        (1230, "JPY", "1230"),
        (123_400, "HUF", "1234"),
        (5_000, "TWD", "50"),
        (12_340, "KWD", "12.34"),
        (9_223_372_036_854_775_807, "EUR", "92233720368547758.07"),
    ],
)
def test_amounts_are_written_as_paypal_takes_them(amount: int, code: str, value: str) -> None:
    """By the exponent of ISO 4217; of forints and Taiwan's dollars PayPal moves whole ones only."""
    assert to_value(amount, code) == value
    assert to_minor(value, code) == amount


@pytest.mark.parametrize(("amount", "code"), [(123_456, "HUF"), (1, "TWD"), (12_345, "KWD"), (1, "XAU"), (1, "ABC")])
def test_amounts_that_paypal_does_not_take_are_refused(amount: int, code: str) -> None:
    """Rather than rounded."""
    with pytest.raises(ProviderRefused):
        to_value(amount, code)


@pytest.mark.parametrize(
    ("value", "code"),
    [
        ("12.345", "EUR"),
        ("12.5", "JPY"),
        ("", "EUR"),
        ("1e3", "EUR"),
        ("NaN", "EUR"),
        ("Infinity", "EUR"),
        ("1 000.00", "EUR"),
        ("12,30", "EUR"),
        ("+12.30", "EUR"),
        ("１２.30", "EUR"),
        ("9" * 30, "EUR"),
        ("1.00", "XAU"),
    ],
)
def test_amounts_that_are_none_are_not_relied_on(value: str, code: str) -> None:
    """An answer that cannot be read says nothing."""
    with pytest.raises(ProviderUnreachable):
        to_minor(value, code)


# Who we are.


async def test_one_token_serves_many_calls(paypal: PayPal, provider: PayPalProvider) -> None:
    """It is fetched once, by whoever is first, with the secret and for nothing else."""
    paypal.stands("APPROVED")
    await asyncio.gather(*(provider.find(ORDER_ID) for _ in range(10)))
    ((headers, body),) = paypal.asked_for("POST", "/v1/oauth2/token")
    assert base64.b64decode(headers["authorization"].removeprefix("Basic ")).decode() == f"client:{SECRET}"
    assert body == "grant_type=client_credentials"
    found = paypal.asked_for("GET", f"/v2/checkout/orders/{ORDER_ID}")
    assert {headers["authorization"] for headers, _ in found} == {"Bearer A21AA-bearer"}


async def test_a_token_is_replaced_shortly_before_it_ends(paypal: PayPal, provider: PayPalProvider) -> None:
    """One that lasts a minute is over when it comes; an hour's is kept."""
    paypal.stands("APPROVED")
    paypal.tell("POST", "/v1/oauth2/token", (200, TOKEN | {"expires_in": 60}), (200, TOKEN | {"expires_in": 3600}))
    for _ in range(4):
        await provider.find(ORDER_ID)
    assert len(paypal.asked_for("POST", "/v1/oauth2/token")) == 2


async def test_a_token_that_ended_early_is_replaced_once(paypal: PayPal, provider: PayPalProvider) -> None:
    """Ten calls that are not known any more fetch one token, and each is made once more."""
    paypal.tell("POST", "/v1/oauth2/token", (200, TOKEN), (200, TOKEN | {"access_token": "second"}))
    paypal.stands("APPROVED")
    await provider.find(ORDER_ID)
    paypal.ended = "Bearer A21AA-bearer"
    found = await asyncio.gather(*(provider.find(ORDER_ID) for _ in range(10)))
    assert {one.status for one in found} == {TransactionStatus.CREATED}
    assert len(paypal.asked_for("POST", "/v1/oauth2/token")) == 2


async def test_a_token_that_does_not_come_keeps_nobody_in_line(paypal: PayPal, provider: PayPalProvider) -> None:
    """All who wait for it hear at once that there is none; one who gives up waiting takes it from nobody."""
    paypal.tell("POST", "/v1/oauth2/token", (503, None))
    answers = await asyncio.gather(*(provider.find(ORDER_ID) for _ in range(10)), return_exceptions=True)
    assert {type(answer) for answer in answers} == {ProviderUnreachable}
    assert len(paypal.asked_for("POST", "/v1/oauth2/token")) == 1
    paypal.tell("POST", "/v1/oauth2/token", (200, TOKEN))
    paypal.stands("APPROVED")
    impatient = asyncio.create_task(provider.find(ORDER_ID))
    await asyncio.sleep(0)
    patient = asyncio.create_task(provider.find(ORDER_ID))
    await asyncio.sleep(0)
    impatient.cancel()
    assert (await patient).status is TransactionStatus.CREATED


async def test_a_secret_that_is_not_taken_says_nothing_of_a_payment(paypal: PayPal, provider: PayPalProvider) -> None:
    """Neither at the token nor behind it: the payment waits until somebody has put the secret right."""
    for status in (400, 401, 403, 500):
        paypal.tell("POST", "/v1/oauth2/token", (status, wrong("invalid_client")))
        with pytest.raises(ProviderUnreachable, match=f"HTTP {status}"):
            await provider.create(REQUEST)
    paypal.tell("POST", "/v1/oauth2/token", (200, TOKEN))
    paypal.tell("POST", "/v2/checkout/orders", (401, wrong("invalid_token")))
    with pytest.raises(ProviderUnreachable, match="HTTP 401"):
        await provider.create(REQUEST)
    assert len(paypal.asked_for("POST", "/v2/checkout/orders")) == 2


@pytest.mark.parametrize("token", [{}, {"access_token": "a\r\nb", "expires_in": 1}, {"access_token": "a"}, [], None])
async def test_what_is_no_token_is_not_used(paypal: PayPal, provider: PayPalProvider, token: object) -> None:
    """A line break in it would be a header of its own."""
    paypal.tell("POST", "/v1/oauth2/token", (200, token))
    with pytest.raises(ProviderUnreachable):
        await provider.find(ORDER_ID)


async def test_nobody_is_told_who_we_are(
    paypal: PayPal, provider: PayPalProvider, caplog: pytest.LogCaptureFixture
) -> None:
    """No error, no cause of one and no log holds the secret, the token or the customer; PayPal's own text is not passed on."""
    caplog.set_level(logging.DEBUG)
    failures: list[BaseException] = []
    for answer in ((500, wrong("X")), (422, wrong("DUPLICATE_INVOICE_ID")), (200, {"id": "x"}), (204, None)):
        paypal.tell("POST", "/v2/checkout/orders", answer)
        with pytest.raises((ProviderRefused, ProviderUnreachable)) as caught:
            await provider.create(REQUEST)
        failures.append(caught.value)
    paypal.base = ""
    nowhere = PayPalAccount("client", SECRET, url="http://127.0.0.1:1")
    async with PayPalProvider(nowhere, timeout=1.0) as unreached:
        with pytest.raises(ProviderUnreachable) as caught:
            await unreached.create(REQUEST)
    failures.append(caught.value)
    told = caplog.text + repr(nowhere)
    for failure in failures:
        one: BaseException | None = failure
        while one is not None:
            told += f"{one!r}{one}{one.__dict__}"
            one = one.__cause__ or one.__context__
    for hidden in (SECRET, "A21AA", base64.b64encode(f"client:{SECRET}".encode()).decode(), "ada@example.org"):
        assert hidden not in told


# Orders.


async def test_an_order_is_opened_as_paypal_wants_it(paypal: PayPal, provider: PayPalProvider) -> None:
    """One purchase unit in our name, under our key; the customer gets the link, and PayPal learns nothing of them."""
    paypal.tell("POST", "/v2/checkout/orders", (201, paypal.order()))
    opened = await provider.create(REQUEST)
    assert (opened.id, opened.token, opened.status) == (ORDER_ID, LINK, TransactionStatus.CREATED)
    assert opened.action_url is None
    ((headers, body),) = paypal.asked_for("POST", "/v2/checkout/orders")
    assert headers["paypal-request-id"] == REFERENCE
    assert headers["prefer"] == "return=representation"
    assert body == {
        "intent": "CAPTURE",
        "purchase_units": [
            {
                "reference_id": REFERENCE,
                "custom_id": REFERENCE,
                "invoice_id": REFERENCE,
                "amount": {"currency_code": "EUR", "value": "12.30"},
            }
        ],
        "application_context": {
            "shipping_preference": "NO_SHIPPING",
            "user_action": "PAY_NOW",
            "return_url": "https://shop.example/paid",
            "cancel_url": "https://shop.example/paid",
        },
    }


async def test_a_creation_is_answered_as_the_first_time(paypal: PayPal, provider: PayPalProvider) -> None:
    """However far the order has come since; another amount for the same payment is refused."""
    paypal.tell("POST", "/v2/checkout/orders", (201, paypal.order()))
    opened = await provider.create(REQUEST)
    paypal.stands("COMPLETED", captures=["COMPLETED"])
    assert await provider.create(REQUEST) == opened
    other = CreateRequest(REFERENCE, 999, "EUR", "ada", "ada@example.org", PaymentType.CREDIT)
    with pytest.raises(ProviderRefused, match="another payment"):
        await provider.create(other)


async def test_an_order_of_another_amount_is_not_the_payments(paypal: PayPal, provider: PayPalProvider) -> None:
    """PayPal repeats what it answered to the key; if that was about other money, this request has opened nothing."""
    paypal.tell(
        "POST", "/v2/checkout/orders", (200, paypal.order(unit={"amount": {"currency_code": "EUR", "value": "1.00"}}))
    )
    with pytest.raises(ProviderRefused, match="another payment"):
        await provider.create(REQUEST)
    paypal.tell("POST", "/v2/checkout/orders", (200, paypal.order(unit={"custom_id": "somebody else's"})))
    with pytest.raises(ProviderUnreachable, match="another payment"):
        await provider.create(REQUEST)


async def test_a_creation_that_nobody_heard_of_is_asked_for_by_its_key(
    paypal: PayPal, provider: PayPalProvider
) -> None:
    """The same request again, letter by letter; of what another process asked for nothing is known here."""
    paypal.tell("POST", "/v2/checkout/orders", (500, None), (200, paypal.order()))
    paypal.stands()
    assert await provider.find_by_reference(REFERENCE) is None
    with pytest.raises(ProviderUnreachable):
        await provider.create(REQUEST)
    found = await provider.find_by_reference(REFERENCE)
    assert found is not None
    assert (found.id, found.token) == (ORDER_ID, LINK)
    first, second = paypal.asked_for("POST", "/v2/checkout/orders")
    assert first[1] == second[1]
    assert first[0]["paypal-request-id"] == second[0]["paypal-request-id"]


@pytest.mark.parametrize(
    ("status", "fields", "expected"),
    [
        ("CREATED", {}, TransactionStatus.ACTION_REQUIRED),
        ("SAVED", {}, TransactionStatus.ACTION_REQUIRED),
        ("PAYER_ACTION_REQUIRED", {}, TransactionStatus.ACTION_REQUIRED),
        ("APPROVED", {}, TransactionStatus.CREATED),
        ("VOIDED", {}, TransactionStatus.CANCELED),
        ("APPROVED", {"unit": {"description": GIVEN_UP}}, TransactionStatus.CANCELED),
        ("CREATED", {"unit": {"description": GIVEN_UP}}, TransactionStatus.CANCELED),
        ("COMPLETED", {"captures": ["COMPLETED"], "unit": {"description": GIVEN_UP}}, TransactionStatus.CAPTURED),
        ("COMPLETED", {"captures": ["COMPLETED"]}, TransactionStatus.CAPTURED),
        ("COMPLETED", {"captures": ["REFUNDED"]}, TransactionStatus.CAPTURED),
        ("COMPLETED", {"captures": ["PARTIALLY_REFUNDED"]}, TransactionStatus.CAPTURED),
        ("COMPLETED", {"captures": ["PENDING"]}, TransactionStatus.PROCESSING),
        ("COMPLETED", {"captures": ["DECLINED"]}, TransactionStatus.DECLINED),
        ("COMPLETED", {"captures": ["FAILED"]}, TransactionStatus.DECLINED),
        ("COMPLETED", {"captures": ["DECLINED", "COMPLETED"]}, TransactionStatus.CAPTURED),
        ("COMPLETED", {"captures": ["DECLINED", "PENDING"]}, TransactionStatus.PROCESSING),
        ("COMPLETED", {"captures": ["A_NEW_WORD"]}, TransactionStatus.PROCESSING),
        ("COMPLETED", {}, TransactionStatus.PROCESSING),
    ],
)
async def test_every_state_of_an_order_has_one_meaning(
    paypal: PayPal, provider: PayPalProvider, status: str, fields: dict[str, Any], expected: TransactionStatus
) -> None:
    """A capture outweighs its order, and whatever is new is not known yet, rather than over."""
    paypal.stands(status, **fields)
    found = await provider.find(ORDER_ID)
    assert found.status is expected
    assert (found.decline_code is not None) == (expected is TransactionStatus.DECLINED)
    assert (found.action_url == LINK) == (status == "CREATED" and expected is TransactionStatus.ACTION_REQUIRED)


@pytest.mark.parametrize(
    "change",
    [
        {"status": "A_NEW_WORD"},
        {"purchase_units": []},
        {"id": "ANOTHER"},
        {"status": None},
    ],
)
async def test_an_order_that_we_do_not_understand_says_nothing(
    paypal: PayPal, provider: PayPalProvider, change: dict[str, Any]
) -> None:
    """Nobody guesses about money."""
    paypal.tell("GET", f"/v2/checkout/orders/{ORDER_ID}", (200, paypal.order("APPROVED") | change))
    with pytest.raises(ProviderUnreachable):
        await provider.find(ORDER_ID)


@pytest.mark.parametrize(
    ("value", "code", "known"),
    [("12.30", "EUR", True), ("12.3", "EUR", True), ("1.23", "EUR", False), ("12.30", "USD", False)],
)
async def test_a_capture_of_another_amount_is_not_the_payment(
    paypal: PayPal, provider: PayPalProvider, value: str, code: str, *, known: bool
) -> None:
    """Whoever captured it: what is settled is what was taken, or somebody looks."""
    order = paypal.order("COMPLETED", captures=["COMPLETED"])
    order["purchase_units"][0]["payments"]["captures"][0]["amount"] = {"currency_code": code, "value": value}
    paypal.tell("GET", f"/v2/checkout/orders/{ORDER_ID}", (200, order))
    with nullcontext() if known else pytest.raises(ProviderUnreachable, match="another amount"):
        assert (await provider.find(ORDER_ID)).status is TransactionStatus.CAPTURED


# Taking the money.


async def capture(provider: PayPalProvider) -> TransactionStatus:
    """Ask for the money."""
    return (await provider.capture(ORDER_ID, 1230, "EUR", f"capture:{REFERENCE}")).status


async def test_an_approved_order_is_captured_under_our_key(paypal: PayPal, provider: PayPalProvider) -> None:
    """Once it was seen to be approved, and of the amount that is to be taken."""
    paypal.stands("APPROVED")
    path = f"/v2/checkout/orders/{ORDER_ID}/capture"
    paypal.tell("POST", path, (201, paypal.order("COMPLETED", captures=["COMPLETED"])))
    assert await capture(provider) is TransactionStatus.CAPTURED
    ((headers, body),) = paypal.asked_for("POST", path)
    assert headers["paypal-request-id"] == key_of(f"capture:{REFERENCE}")
    assert body == {}
    with pytest.raises(ProviderRefused, match="amount_differs"):
        await provider.capture(ORDER_ID, 1231, "EUR", "k")
    with pytest.raises(ProviderRefused, match="amount_differs"):
        await provider.capture(ORDER_ID, 1230, "USD", "k")
    assert len(paypal.asked_for("POST", path)) == 1


@pytest.mark.parametrize(
    ("status", "fields", "expected"),
    [
        ("CREATED", {}, TransactionStatus.ACTION_REQUIRED),
        ("COMPLETED", {"captures": ["COMPLETED"]}, TransactionStatus.CAPTURED),
        ("COMPLETED", {"captures": ["PENDING"]}, TransactionStatus.PROCESSING),
        ("APPROVED", {"unit": {"description": GIVEN_UP}}, TransactionStatus.CANCELED),
    ],
)
async def test_only_what_waits_for_it_is_captured(
    paypal: PayPal, provider: PayPalProvider, status: str, fields: dict[str, Any], expected: TransactionStatus
) -> None:
    """What the customer has yet to approve, what is captured and what we gave up are told as they stand."""
    paypal.stands(status, **fields)
    assert await capture(provider) is expected
    assert not paypal.asked_for("POST", f"/v2/checkout/orders/{ORDER_ID}/capture")


@pytest.mark.parametrize(
    ("issue", "after", "expected"),
    [
        ("ORDER_NOT_APPROVED", ("CREATED", {}), TransactionStatus.ACTION_REQUIRED),
        ("PAYER_ACTION_REQUIRED", ("PAYER_ACTION_REQUIRED", {}), TransactionStatus.ACTION_REQUIRED),
        ("ORDER_ALREADY_CAPTURED", ("COMPLETED", {"captures": ["COMPLETED"]}), TransactionStatus.CAPTURED),
        ("INSTRUMENT_DECLINED", ("APPROVED", {}), TransactionStatus.DECLINED),
        ("PAYER_CANNOT_PAY", ("APPROVED", {}), TransactionStatus.DECLINED),
        ("INSTRUMENT_DECLINED", ("COMPLETED", {"captures": ["COMPLETED"]}), TransactionStatus.CAPTURED),
    ],
)
async def test_a_refused_capture_is_told_by_how_the_order_stands(
    paypal: PayPal,
    provider: PayPalProvider,
    issue: str,
    after: tuple[str, dict[str, Any]],
    expected: TransactionStatus,
) -> None:
    """What the customer has to do, what was taken before, and a decline with its reason."""
    status, fields = after
    path = f"/v2/checkout/orders/{ORDER_ID}"
    paypal.tell("GET", path, (200, paypal.order("APPROVED")), (200, paypal.order(status, **fields)))
    paypal.tell("POST", f"{path}/capture", (422, wrong(issue)))
    taken = await provider.capture(ORDER_ID, 1230, "EUR", "k")
    assert taken.status is expected
    assert taken.decline_code == (issue if expected is TransactionStatus.DECLINED else None)


async def test_what_a_key_was_refused_before_the_approval_is_asked_under_another(
    paypal: PayPal, provider: PayPalProvider
) -> None:
    """PayPal may repeat under a key what was so when it first saw it; an order is captured once, whatever the keys."""
    path = f"/v2/checkout/orders/{ORDER_ID}"
    paypal.stands("APPROVED")
    taken = paypal.order("COMPLETED", captures=["COMPLETED"])
    paypal.tell("POST", f"{path}/capture", (422, wrong("ORDER_NOT_APPROVED")), (201, taken))
    assert await capture(provider) is TransactionStatus.CAPTURED
    first, second = [headers["paypal-request-id"] for headers, _ in paypal.asked_for("POST", f"{path}/capture")]
    assert first != second


@pytest.mark.parametrize(
    ("status", "issue", "failure"),
    [
        (422, "DUPLICATE_INVOICE_ID", ProviderRefused),
        (404, "INVALID_RESOURCE_ID", ProviderRefused),
        (422, "ORDER_NOT_APPROVED", ProviderUnreachable),  # though it is found to be
        (422, "ORDER_COMPLETION_IN_PROGRESS", ProviderUnreachable),
        (422, "PREVIOUS_REQUEST_IN_PROGRESS", ProviderUnreachable),
        (409, "RESOURCE_CONFLICT", ProviderUnreachable),
        (403, "PERMISSION_DENIED", ProviderUnreachable),
        (429, "RATE_LIMIT_REACHED", ProviderUnreachable),
        (500, "INTERNAL_SERVER_ERROR", ProviderUnreachable),
        (503, "SERVICE_UNAVAILABLE", ProviderUnreachable),
        (302, "INSTRUMENT", ProviderUnreachable),
    ],
)
async def test_other_refusals_lean_to_the_unknown(
    paypal: PayPal, provider: PayPalProvider, status: int, issue: str, failure: type[Exception]
) -> None:
    """Only PayPal's word about this very request refuses it."""
    paypal.stands("APPROVED")
    paypal.tell("POST", f"/v2/checkout/orders/{ORDER_ID}/capture", (status, wrong(issue)))
    with pytest.raises(failure):
        await capture(provider)


@pytest.mark.parametrize("status", [400, 404, 422])
async def test_a_page_of_somebody_elses_refuses_nothing(paypal: PayPal, provider: PayPalProvider, status: int) -> None:
    """A proxy's error is not PayPal's."""
    paypal.tell("POST", "/v2/checkout/orders", (status, "<html>no</html>"))
    with pytest.raises(ProviderUnreachable):
        await provider.create(REQUEST)


async def test_giving_up_marks_the_order(paypal: PayPal, provider: PayPalProvider) -> None:
    """PayPal cancels nothing; what bears our mark is not captured by any process of ours."""
    path = f"/v2/checkout/orders/{ORDER_ID}"
    marked = paypal.order("CREATED", unit={"description": GIVEN_UP})
    paypal.tell("GET", path, (200, paypal.order("CREATED")), (200, marked))
    paypal.tell("PATCH", path, (204, None))
    assert (await provider.cancel(ORDER_ID)).status is TransactionStatus.CANCELED
    ((_, body),) = paypal.asked_for("PATCH", path)
    where = f"/purchase_units/@reference_id=='{REFERENCE}'/description"
    assert body == [{"op": "add", "path": where, "value": GIVEN_UP}]
    assert await capture(provider) is TransactionStatus.CANCELED


async def test_what_was_captured_meanwhile_is_not_given_up(paypal: PayPal, provider: PayPalProvider) -> None:
    """Too late is told as it stands; an order that cannot be marked is not said to be given up."""
    path = f"/v2/checkout/orders/{ORDER_ID}"
    taken = paypal.order("COMPLETED", captures=["COMPLETED"])
    paypal.tell("GET", path, (200, paypal.order("APPROVED")), (200, taken))
    paypal.tell("PATCH", path, (422, wrong("ORDER_ALREADY_COMPLETED")))
    assert (await provider.cancel(ORDER_ID)).status is TransactionStatus.CAPTURED
    paypal.stands("APPROVED")
    for answer, failure in (((422, wrong("NOT_PATCHABLE")), ProviderRefused), ((500, None), ProviderUnreachable)):
        paypal.tell("PATCH", path, answer)
        with pytest.raises(failure):
            await provider.cancel(ORDER_ID)
    paypal.tell("PATCH", path, (422, wrong("NOT_PATCHABLE")))
    paypal.stands("PAYER_ACTION_REQUIRED")
    assert (await provider.cancel(ORDER_ID)).status is TransactionStatus.CANCELED, "nobody has approved it"


# Giving it back.


async def test_a_refund_is_made_once_even_when_paypal_has_forgotten_its_key(
    paypal: PayPal, provider: PayPalProvider
) -> None:
    """The order knows its refunds; one of this reference is told rather than made again."""
    request = RefundRequest("refund/1", ORDER_ID, 500, "EUR")
    made = {"id": "1JU", "status": "PENDING", "amount": {"currency_code": "EUR", "value": "5.00"}}
    paypal.stands("COMPLETED", captures=["COMPLETED"])
    paypal.tell("POST", "/v2/payments/captures/3C6/refund", (201, made))
    refunded = await provider.refund(request)
    assert (refunded.id, refunded.status, refunded.amount) == ("1JU", RefundStatus.PENDING, 500)
    ((headers, body),) = paypal.asked_for("POST", "/v2/payments/captures/3C6/refund")
    key = key_of("refund/1")
    assert (headers["paypal-request-id"], body["custom_id"]) == (key, key)
    assert body["amount"] == {"currency_code": "EUR", "value": "5.00"}
    kept = made | {"status": "CANCELLED", "custom_id": key, "status_details": {"reason": "ECHECK"}}
    paypal.stands("COMPLETED", captures=["PARTIALLY_REFUNDED"], refunds=[kept])
    again = await provider.refund(request)
    assert (again.id, again.status, again.failure) == ("1JU", RefundStatus.FAILED, "ECHECK")
    assert await provider.find_refund(ORDER_ID, "refund/1") == again
    assert await provider.find_refund(ORDER_ID, "refund/2") is None
    assert len(paypal.asked_for("POST", "/v2/payments/captures/3C6/refund")) == 1


async def test_nothing_is_given_back_of_what_was_not_taken(paypal: PayPal, provider: PayPalProvider) -> None:
    """Before the money is there, there is none to give."""
    for fields in ({}, {"captures": ["PENDING"]}, {"captures": ["DECLINED"]}):
        paypal.stands("COMPLETED", **fields)
        with pytest.raises(ProviderRefused, match="nothing was captured"):
            await provider.refund(RefundRequest("r", ORDER_ID, 500, "EUR"))


# Disputes.


@pytest.mark.parametrize(
    ("status", "outcome", "expected"),
    [
        ("OPEN", None, DisputeStatus.OPEN),
        ("WAITING_FOR_SELLER_RESPONSE", None, DisputeStatus.OPEN),
        ("UNDER_REVIEW", "RESOLVED_BUYER_FAVOUR", DisputeStatus.OPEN),
        ("RESOLVED", "RESOLVED_BUYER_FAVOUR", DisputeStatus.LOST),
        ("RESOLVED", "ACCEPTED", DisputeStatus.LOST),
        ("RESOLVED", "RESOLVED_SELLER_FAVOUR", DisputeStatus.WON),
        ("RESOLVED", "RESOLVED_WITH_PAYOUT", DisputeStatus.WON),
        ("RESOLVED", "CANCELED_BY_BUYER", DisputeStatus.WON),
        ("RESOLVED", "DENIED", DisputeStatus.WON),
        ("RESOLVED", "NONE", DisputeStatus.OPEN),
        ("RESOLVED", None, DisputeStatus.OPEN),
        ("RESOLVED", "A_NEW_WORD", DisputeStatus.OPEN),
    ],
)
async def test_every_outcome_of_a_dispute_has_one_meaning(
    paypal: PayPal, provider: PayPalProvider, status: str, outcome: str | None, expected: DisputeStatus
) -> None:
    """It is told of the order, whose capture PayPal names; decided in unknown words it is open until somebody looks."""
    dispute: dict[str, Any] = {
        "dispute_id": "PP-D-4012",
        "disputed_transactions": [{"seller_transaction_id": "3C6"}],
        "reason": "MERCHANDISE_OR_SERVICE_NOT_RECEIVED",
        "status": status,
        "dispute_amount": {"currency_code": "EUR", "value": "5.00"},
        "seller_response_due_date": "2026-05-01T12:00:00.000Z",
    }
    if outcome is not None:
        dispute["dispute_outcome"] = {"outcome_code": outcome}
    paypal.tell("GET", "/v1/customer/disputes/PP-D-4012", (200, dispute))
    capture = {"id": "3C6", "status": "COMPLETED", "supplementary_data": {"related_ids": {"order_id": ORDER_ID}}}
    paypal.tell("GET", "/v2/payments/captures/3C6", (200, capture))
    found = await provider.find_dispute("PP-D-4012")
    assert (found.status, found.transaction_id, found.amount) == (expected, ORDER_ID, 500)
    assert found.answer_by is not None


def test_keys_that_paypal_would_not_take_are_hashed() -> None:
    """Two keys stay two, and what PayPal takes is left as it is."""
    assert key_of(REFERENCE) == REFERENCE
    hashed = {key_of(key) for key in ("a b", "a\r\nb", "é", "a" * 109, "")}
    assert len(hashed) == 5
    assert all(len(key) == 64 for key in hashed)


async def test_a_reference_that_paypal_could_not_keep_is_refused(provider: PayPalProvider) -> None:
    """What comes back shortened could be taken for another's."""
    with pytest.raises(ProviderRefused, match="127"):
        await provider.create(CreateRequest("r" * 128, 1, "EUR", "ada", "ada@example.org", PaymentType.CREDIT))


def test_an_order_of_several_units_is_none_of_ours() -> None:
    """We open orders with one."""
    with pytest.raises(ProviderUnreachable):
        _ = Order("1", "APPROVED", []).unit
