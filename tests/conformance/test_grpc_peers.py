"""gRPC as others speak it: @grpc/grpc-js in Node, reading the contract itself, and what reflection tells a client."""

import asyncio
import json
import subprocess
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import grpc
import pytest
import pytest_asyncio
from google.protobuf.descriptor_pool import DescriptorPool
from grpc_reflection.v1alpha.proto_reflection_descriptor_database import ProtoReflectionDescriptorDatabase

from tallystick.api.grpc.generated import tallystick_pb2 as contract
from tests.conformance.grpc_calling import Served, invoice, serving_grpc
from tests.installed_grpcjs import PEERS, installed_grpcjs
from tests.scenarios.serving_up import SECONDS

PROTO = str(Path(__file__).parents[2] / "contracts" / "tallystick.proto")
HEALTH = str(PEERS / "health.proto")
SERVICES = ["Invoices", "Repayments", "Payments", "Receipts"]


@pytest.fixture(scope="session")
def grpcjs() -> Path:
    """Return a directory with @grpc/grpc-js in it."""
    return installed_grpcjs()


@pytest_asyncio.fixture(scope="module")
async def served() -> AsyncIterator[Served]:
    """Serve."""
    async with serving_grpc() as running:
        yield running


async def from_node(where: Path, served: Served, *calls: dict[str, Any]) -> list[dict[str, Any]]:
    """Let Node make calls, in turn on one connection, and return what it says of each."""
    known = {"proto": PROTO, "key": served.key}
    made = [{**known, **one, "request": {"book": "main", **one.get("request", {})}} for one in calls]
    process = await asyncio.create_subprocess_exec(
        "node", str(PEERS / "peer.js"), cwd=where,
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    )  # fmt: skip
    async with asyncio.timeout(SECONDS):
        out, err = await process.communicate(json.dumps({"address": served.address, "calls": made}).encode())
    assert process.returncode == 0, err.decode()
    found: list[dict[str, Any]] = json.loads(out)
    return found


def on(service: str, method: str, /, **request: object) -> dict[str, Any]:
    """Write a call."""
    return {"service": f"tallystick.v1.{service}", "method": method, "request": request}


async def test_node_asks_for_invoices_and_pays(served: Served, grpcjs: Path) -> None:
    """From a request to a receipt, with amounts beyond what a number of JavaScript holds."""
    large = 2**53 + 1
    wanted = {**invoice("node 1", customer="node"), "lines": [{"description": "all", "amount": str(large)}]}
    first, again, other, refused = await from_node(
        grpcjs,
        served,
        on("Invoices", "RequestInvoice", message_id="node-1", invoice=wanted),
        on("Invoices", "RequestInvoice", message_id="node-1", invoice=wanted),
        on("Invoices", "RequestInvoice", message_id="node-1", invoice={**wanted, "reference": "node 2"}),
        on("Invoices", "RequestInvoice", invoice={**wanted, "terms_days": -1}),
    )
    assert first["answer"]["total"] == str(large)
    assert (first["trailing"]["message-id"], "idempotent-replayed" in first["trailing"]) == ("node-1", False)
    assert (again["answer"], again["trailing"]["idempotent-replayed"]) == (first["answer"], "true")
    assert (other["status"], other["trailing"]["tallystick-code"]) == ("ALREADY_EXISTS", "journal.id_reused")
    assert (refused["status"], refused["trailing"]["tallystick-field"]) == ("INVALID_ARGUMENT", "terms_days")
    assert refused["details"]
    assert refused["trailing"]["grpc-status-details-bin"]
    who = {
        "user": "node",
        "email": "node@example.com",
        "timestamp": {"seconds": 1_780_000_000},
        "payment_type": "CREDIT",
    }
    who["payment_type"] = "PAYMENT_TYPE_CREDIT"
    (started,) = await from_node(grpcjs, served, on("Payments", "StartPayment", **who, amount=5_000))
    transaction = started["answer"]["transaction_id"]
    posted, found = await from_node(
        grpcjs,
        served,
        on("Payments", "PostPayment", **who, transaction_id=transaction, amount=5_000),
        on("Invoices", "GetInvoice", id=first["answer"]["id"]),
    )
    assert (posted["answer"]["status"], found["answer"]["status"]) == (
        "PAYMENT_STATUS_SETTLED",
        "INVOICE_STATUS_PARTLY_PAID",
    )
    assert found["answer"]["outstanding"] == str(large - 5_000)


async def test_node_is_refused_and_served_on(served: Served, grpcjs: Path) -> None:
    """No key, a call that is called off, and one whose time is over: each is told, and the connection stays."""
    asked = on("Invoices", "ListInvoices")
    nobody, off, late, well = await from_node(
        grpcjs, served, {**asked, "key": ""}, {**asked, "cancel": True}, {**asked, "seconds": -1}, asked
    )
    assert (nobody["status"], nobody["trailing"]["tallystick-code"]) == ("UNAUTHENTICATED", "security.key_missing")
    assert (off["status"], late["status"]) == ("CANCELLED", "DEADLINE_EXCEEDED")
    assert "answer" in well


async def test_node_is_told_of_health(served: Served, grpcjs: Path) -> None:
    """Without a key: of the whole server and of each service; what is none is not found."""
    check = {"service": "grpc.health.v1.Health", "method": "Check", "proto": HEALTH, "key": ""}
    names = ["", *(f"tallystick.v1.{name}" for name in SERVICES)]
    *known, unknown = await from_node(
        grpcjs, served, *({**check, "request": {"service": name}} for name in [*names, "nothing"])
    )
    assert [one["answer"]["status"] for one in known] == ["SERVING"] * len(names)
    assert unknown["status"] == "NOT_FOUND"


async def test_reflection_tells_the_contract(served: Served) -> None:
    """A client that has nothing but the address learns every service and every message as the contract has them."""

    def ask() -> tuple[set[str], list[str], list[str]]:
        with grpc.insecure_channel(served.address) as channel:
            database = ProtoReflectionDescriptorDatabase(channel)
            pool = DescriptorPool(database)
            services = {name for name in database.get_services() if name.startswith("tallystick.")}
            methods = [one.name for one in pool.FindServiceByName("tallystick.v1.Invoices").methods]
            fields = [one.name for one in pool.FindMessageTypeByName("tallystick.v1.Invoice").fields]
        return services, methods, fields

    services, methods, fields = await asyncio.to_thread(ask)
    assert services == {f"tallystick.v1.{name}" for name in SERVICES}
    assert methods == [one.name for one in contract.DESCRIPTOR.services_by_name["Invoices"].methods]
    assert fields == [one.name for one in contract.Invoice.DESCRIPTOR.fields]
