"""What callers do over gRPC, and what they are answered: the same as over REST, from the same table."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import grpc
import pytest
import pytest_asyncio

from tallystick.api.grpc.generated import tallystick_pb2 as contract
from tests.conformance.grpc_calling import Served, empty, invoice, serving_grpc
from tests.scenarios.serving_up import SECONDS, tallystick

OK = grpc.StatusCode.OK
INVALID = grpc.StatusCode.INVALID_ARGUMENT


@pytest_asyncio.fixture(scope="module")
async def served() -> AsyncIterator[Served]:
    """Serve."""
    async with serving_grpc() as running:
        yield running


def payment(customer: str) -> dict[str, Any]:
    """Write what the browser of a customer sends to pay."""
    return {
        "user": customer,
        "email": "ada@example.com",
        "timestamp": {"seconds": 1_780_000_000},
        "payment_type": contract.PAYMENT_TYPE_CREDIT,
    }


async def taken_in(served: Served) -> int:
    """Return what the provider has taken and not paid out."""
    balance: int = (await served.rest.get("/balance", params={"account": "providers/sandbox/USD"})).json()["balance"]
    return abs(balance)


async def test_an_invoice_asked_for_twice_is_one(served: Served) -> None:
    """By the message's id the first answer comes again, by the product's reference the same invoice, over REST as well."""
    wanted = invoice("twice")
    first = await served.call("Invoices.RequestInvoice", message_id="twice 1", invoice=wanted)
    assert (first.status, first.answer.total, first.answer.known) == (OK, 3_000, False)
    assert first.answer.number
    assert "message-id" not in first.trailing  # no metadata holds a space
    again = await served.call("Invoices.RequestInvoice", message_id="twice 1", invoice=wanted)
    assert (again.answer, again.trailing["idempotent-replayed"]) == (first.answer, "true")
    assert "idempotent-replayed" not in first.trailing
    other = await served.call("Invoices.RequestInvoice", invoice=wanted)
    assert (other.answer.id, other.answer.known) == (first.answer.id, True)
    assert other.trailing["message-id"]
    answer = (await served.post("/invoices/request", **wanted)).json()
    assert (answer["id"], answer["known"]) == (first.answer.id, True)


async def test_other_content_under_a_known_name_is_a_conflict(served: Served) -> None:
    """A message's id, and a product's reference, stand for one content for ever."""
    await served.do("Invoices.RequestInvoice", message_id="mine-2", invoice=invoice("conflict"))
    changed = invoice("conflict", lines=[{"description": "fee", "amount": 1}])
    said = await served.call("Invoices.RequestInvoice", message_id="mine-2", invoice=changed)
    assert (said.status, said.refusal()) == (grpc.StatusCode.ALREADY_EXISTS, ("journal.id_reused", "message_id"))
    said = await served.call("Invoices.RequestInvoice", message_id="mine-3", invoice=changed)
    problem = (await served.post("/invoices/request", **changed)).json()
    assert said.status is grpc.StatusCode.ALREADY_EXISTS
    assert said.refusal() == (problem["code"], problem["field"])


@pytest.mark.parametrize(
    "changed",
    [
        {"customer": None},
        {"customer": "a\0b"},
        {"product": "No Product"},
        {"asset": "usd"},
        {"asset": "XXX"},
        {"lines": [{"description": "fee"}]},
        {"lines": [{"description": "a\0b", "amount": 1}]},
        {"lines": [{"description": "fee", "amount": -1}]},
        {"lines": [{"description": "fee", "amount": -(2**63)}]},
        {"lines": [{"description": "fee", "amount": 5}, {"description": "x", "unit_amount": "1e3"}]},
        {"lines": [{"description": "fee", "amount": 5, "quantity": "-1"}]},
        {"terms_days": -1},
        {"terms_days": None, "due_on": "2026-02-30"},
        {"terms_days": 3, "due_on": "2090-01-01"},
        {"zone": "Mars"},
        {"cost_rank": "-0.1"},
        {"memo": "a\0b"},
    ],
    ids=repr,
)
async def test_a_refusal_is_the_same_as_over_rest(served: Served, changed: dict[str, Any]) -> None:
    """Code, field and rule; and the connection serves on."""
    wanted = invoice("refused", **changed)
    said = await served.call("Invoices.RequestInvoice", invoice=wanted)
    answer = await served.post("/invoices/request", **wanted)
    problem = answer.json()
    assert said.refusal() == (problem["code"], problem["field"]), answer.text
    assert said.details == problem["detail"]
    assert (
        said.status
        is {400: INVALID, 404: grpc.StatusCode.NOT_FOUND, 422: grpc.StatusCode.FAILED_PRECONDITION}[answer.status_code]
    )


async def test_many_are_answered_one_by_one(served: Served) -> None:
    """One that cannot be costs itself alone, and keeps its place."""
    wanted = [invoice("many 1"), invoice("many 2", asset="XXX"), invoice("many 1"), invoice("many 3")]
    items = (await served.do("Invoices.RequestInvoices", invoices=wanted)).items
    assert [one.HasField("invoice") for one in items] == [True, False, True, True]
    assert [one.invoice.known for one in items] == [False] * 4
    assert items[0].invoice.id == items[2].invoice.id  # asked for twice in one breath
    assert (items[1].code, items[1].field) == ("ledger.unknown_asset", "asset")
    assert items[1].message


async def test_a_dry_run_keeps_nothing(served: Served) -> None:
    """What would happen is told."""
    for _ in range(2):
        tried = await served.call("Invoices.RequestInvoice", message_id="dry", dry_run=True, invoice=invoice("dry"))
        assert (tried.answer.total, tried.answer.known) == (3_000, False)
        assert "idempotent-replayed" not in tried.trailing
    assert not (await served.do("Invoices.RequestInvoice", message_id="dry", invoice=invoice("dry"))).known


async def test_a_draft_is_issued_and_found_and_voided(served: Served) -> None:
    """An invoice's life, from what a product asked for to its end."""
    draft = await served.do(
        "Invoices.RequestInvoice", invoice=invoice("life", customer="life", issue=False, memo="hello")
    )
    assert not draft.HasField("number")
    found = await served.do("Invoices.GetInvoice", id=draft.id)
    assert (found.status, found.memo) == (contract.INVOICE_STATUS_DRAFT, "hello")
    issued = await served.do("Invoices.IssueInvoice", id=draft.id)
    assert (issued.id, issued.HasField("number"), issued.HasField("issued_at")) == (draft.id, True, True)
    found = await served.do("Invoices.GetInvoice", id=draft.id)
    rest = (await served.rest.get(f"/invoices/{draft.id}")).json()
    assert found.status == contract.INVOICE_STATUS_ISSUED
    assert [(one.name, one.amount, one.quantity) for one in found.lines] == [
        ("instalment", 2_500, "1"),
        ("fee", 500, "1"),
    ]
    assert (found.number, found.due_on, found.outstanding) == (rest["number"], rest["due_on"], 3_000)
    assert found.issued_at.ToDatetime().isoformat() == rest["issued_at"].rstrip("Z")
    page = await served.do("Invoices.ListInvoices", customer="life", status=contract.INVOICE_STATUS_ISSUED)
    assert ([one.id for one in page.items], page.HasField("next")) == ([draft.id], False)
    ended = await served.do("Invoices.VoidInvoice", id=draft.id, reason="a mistake")
    assert (ended.status, ended.amount) == (contract.INVOICE_STATUS_VOID, 3_000)
    again = await served.call("Invoices.VoidInvoice", id=draft.id, reason="a mistake")
    assert again.trailing["idempotent-replayed"] == "true"
    page = await served.do("Invoices.ListInvoices", customer="life", status=contract.INVOICE_STATUS_ISSUED)
    assert list(page.items) == []


async def test_an_issue_that_cannot_be_names_the_request_s_own_field(served: Served) -> None:
    """What the operation calls `invoices[0]` is called `id` here."""
    for given, status in (
        ({"id": "42"}, INVALID),
        ({}, INVALID),
        ({"id": "019a0000-0000-7000-8000-000000000000"}, grpc.StatusCode.NOT_FOUND),
    ):
        said = await served.call("Invoices.IssueInvoice", **given)
        assert (said.status, said.refusal()[1]) == (status, "id"), (given, said)


async def test_a_part_of_an_invoice_is_credited(served: Served) -> None:
    """The first line, which has the position 0, is named by it."""
    asked = await served.do("Invoices.RequestInvoice", invoice=invoice("credited"))
    note = await served.do(
        "Invoices.CreditInvoice", id=asked.id, reference="c 1", reason="broken", lines=[{"line": 0, "amount": 1_000}]
    )
    assert (note.total, note.applied, note.unallocated, note.invoice) == (1_000, 1_000, 0, asked.id)
    assert [(one.line, one.description, one.amount) for one in note.lines] == [(0, "instalment", 1_000)]
    said = await served.call("Invoices.CreditInvoice", id=asked.id, reference="c 2", reason="x", lines=[{"amount": 1}])
    assert (said.status, said.refusal()) == (INVALID, ("invalid_input", "lines[0].line"))


async def test_money_is_tried_and_received(served: Served) -> None:
    """The preview says what receiving does."""
    wanted = [invoice(f"repaid {n}", customer="bob", cost_rank=rank) for n, rank in ((1, "0.05"), (2, "0.18"))]
    first, second = (one.invoice for one in (await served.do("Invoices.RequestInvoices", invoices=wanted)).items)
    policy = {"kind": contract.POLICY_KIND_HIGHEST_COST_FIRST}
    tried = await served.do("Repayments.Preview", customer="bob", asset="USD", amount=4_000, policy=policy)
    assert [(one.invoice, one.amount) for one in tried.placed] == [(second.id, 3_000), (first.id, 1_000)]
    assert (tried.said_by, tried.policy.kind) == ("request", contract.POLICY_KIND_HIGHEST_COST_FIRST)
    money = {"customer": "bob", "asset": "USD", "channel": "bank_transfer", "reference": "R1", "policy": policy}
    got = await served.do("Repayments.Receive", amount=4_000, **money)
    assert {one.invoice: one.amount for one in got.allocations} == {second.id: 3_000, first.id: 1_000}
    said = await served.call("Repayments.Receive", amount=4_001, **money)
    assert said.status is grpc.StatusCode.ALREADY_EXISTS, said
    for amount in (0, -1):
        said = await served.call("Repayments.Receive", amount=amount, **{**money, "reference": "R2"})
        assert (said.status, said.refusal()) == (INVALID, ("invalid_input", "amount"))
    found = await served.do("Invoices.GetInvoice", id=first.id)
    assert (found.status, found.outstanding) == (contract.INVOICE_STATUS_PARTLY_PAID, 2_000)


async def test_a_policy_with_its_parts_is_understood(served: Served) -> None:
    """Lists and weights reach the operation, and one that decides nothing is refused by field."""
    await served.do("Invoices.RequestInvoice", invoice=invoice("policy", customer="cy"))
    asked = {"customer": "cy", "asset": "USD", "amount": 900}
    order = {"kind": contract.POLICY_KIND_PRODUCT_ORDER, "products": ["loans"]}
    assert (await served.do("Repayments.Preview", policy=order, **asked)).policy.products == ["loans"]
    split = {"kind": contract.POLICY_KIND_FIXED_SPLIT, "weights": {"loans": 3}}
    assert dict((await served.do("Repayments.Preview", policy=split, **asked)).policy.weights) == {"loans": 3}
    nothing = {"kind": contract.POLICY_KIND_FIXED_SPLIT, "weights": {"loans": 0}}
    said = await served.call("Repayments.Preview", policy=nothing, **asked)
    assert said.refusal() == ("invalid_input", "policy.weights")


async def test_a_payment_from_start_to_receipt(served: Served) -> None:
    """The money is taken once however often its completion is sent, and the receipt is the file that REST gives."""
    asked = await served.do("Invoices.RequestInvoice", invoice=invoice("paid", customer="eve"))
    started = await served.do("Payments.StartPayment", message_id="start-1", invoice_id=asked.id, **payment("eve"))
    assert (started.status, started.amount, started.invoice_id) == (contract.PAYMENT_STATUS_OPENED, 3_000, asked.id)
    completion = {**payment("eve"), "transaction_id": started.transaction_id, "amount": 3_000}
    posted = await served.do("Payments.PostPayment", message_id="post-1", **completion)
    assert (posted.status, posted.payment_id) == (contract.PAYMENT_STATUS_SETTLED, started.payment_id)
    again = await served.call("Payments.PostPayment", message_id="post-1", **completion)
    assert (again.answer.receipt_id, again.trailing["idempotent-replayed"]) == (posted.receipt_id, "true")
    assert (await served.do("Payments.GetPayment", payment_id=started.payment_id)) == posted
    assert (await served.do("Invoices.GetInvoice", id=asked.id)).status == contract.INVOICE_STATUS_PAID
    said = await served.call("Receipts.GetReceipt", receipt_id=posted.receipt_id)
    while said.status is grpc.StatusCode.UNAVAILABLE:  # the log is sealed in a moment
        assert said.trailing["tallystick-retry"] == "true"
        said = await served.call("Receipts.GetReceipt", receipt_id=posted.receipt_id)
    answer = await served.rest.get(f"/receipts/{posted.receipt_id}")
    assert said.answer.file == answer.content


async def test_a_completion_that_is_given_up_takes_the_money_once(served: Served) -> None:
    """Wherever the call was when its caller hung up, sending it again tells the outcome, and no money moved twice."""
    for number, seconds in enumerate((0.002, 0.01, 0.03, 0.1)):
        who = f"gus {number}"
        asked = await served.do("Invoices.RequestInvoice", invoice=invoice(who, customer=who))
        started = await served.do("Payments.StartPayment", invoice_id=asked.id, **payment(who))
        before = await taken_in(served)
        whole = contract.PostPaymentRequest(
            book="main", message_id=who, transaction_id=started.transaction_id, amount=3_000, **payment(who)
        )
        await served.raw("Payments.PostPayment", whole.SerializeToString(), seconds=seconds)
        async with asyncio.timeout(SECONDS):
            while (again := await served.raw("Payments.PostPayment", whole.SerializeToString())).status is not OK:
                assert again.trailing["tallystick-retry"] == "true", again
        found = await served.do("Payments.GetPayment", payment_id=started.payment_id)
        assert found.status == contract.PAYMENT_STATUS_SETTLED
        assert (await served.do("Invoices.GetInvoice", id=asked.id)).outstanding == 0
        assert await taken_in(served) - before == 3_000


async def test_a_completion_that_differs_is_refused_by_field(served: Served) -> None:
    """Whoever completes a payment with another amount moves nothing."""
    asked = await served.do("Invoices.RequestInvoice", invoice=invoice("differs", customer="fay"))
    started = await served.do("Payments.StartPayment", invoice_id=asked.id, **payment("fay"))
    other = {**payment("fay"), "transaction_id": started.transaction_id, "amount": 2_999}
    assert (await served.call("Payments.PostPayment", **other)).refusal()[1] == "amount"
    for type_ in (contract.PAYMENT_TYPE_UNSPECIFIED, 99):
        said = await served.call("Payments.StartPayment", **{**payment("fay"), "payment_type": type_})
        assert said.refusal() == ("invalid_input", "payment_type"), said
    odd = {**payment("fay"), "timestamp": {"seconds": 1, "nanos": 1}}
    assert (await served.call("Payments.StartPayment", **odd)).refusal() == ("invalid_input", "timestamp")
    far = {**payment("fay"), "timestamp": {"seconds": 2**60}}
    assert (await served.call("Payments.StartPayment", **far)).refusal() == ("invalid_input", "timestamp")


async def test_nobody_without_a_good_key_is_served(served: Served) -> None:
    """Who is not known, or may not, learns nothing, and is recorded."""
    asked = await served.do("Invoices.RequestInvoice", invoice=invoice("mine"))
    reader = await served.new_key("invoicing:read")
    for key, book, status, code in (
        ("", "main", grpc.StatusCode.UNAUTHENTICATED, "security.key_missing"),
        ("tsk_" + "x" * 43, "main", grpc.StatusCode.UNAUTHENTICATED, "security.key_invalid"),
        (served.key, "other", grpc.StatusCode.PERMISSION_DENIED, "security.other_book"),
    ):
        said = await served.call("Invoices.GetInvoice", key, id=asked.id, book=book)
        assert (said.status, said.refusal()[0]) == (status, code)
        assert empty(said.answer)
    assert (await served.call("Invoices.GetInvoice", reader, id=asked.id)).answer.id == asked.id
    said = await served.call("Invoices.VoidInvoice", reader, id=asked.id, reason="why not")
    assert (said.status, said.refusal()[0]) == (grpc.StatusCode.PERMISSION_DENIED, "security.scope_missing")
    for book in ("", "Main", "a\0b"):
        said = await served.call("Invoices.GetInvoice", id=asked.id, book=book)
        assert (said.status, said.refusal()) == (INVALID, ("invalid_input", "book"))


async def test_the_port_is_on_loopback_and_of_this_server_alone(served: Served, tmp_path: Path) -> None:
    """Another that wants it is told so before anything is started, as is one whose setting is none."""
    assert served.address.startswith("127.0.0.1:")
    for port, status, told in (
        (served.address.partition(":")[2], 1, "set TALLYSTICK_GRPC_PORT"),
        ("x", 2, "TALLYSTICK_GRPC_PORT is 'x'; it must be a number from 0 to 65535"),
    ):
        data = tmp_path / "data"
        said = await tallystick("up", "--port", "0", data=data, TALLYSTICK_GRPC_PORT=port)
        assert (said.status, told in said.refusal()) == (status, True), said
        assert not data.exists()
