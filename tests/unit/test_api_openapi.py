"""The OpenAPI document: equal to the one checked in, whole, and true to the operations table."""

import json
from typing import Any

from tallystick.api.rest.openapi import CONTRACT, document, write
from tallystick.api.rest.routes import Routes, offered
from tallystick.operations.table import TABLE

DESCRIBED = json.loads(write(document(TABLE)))


def _values(content: object) -> list[dict[str, Any]]:
    """Return every object in *content*, however deep."""
    if isinstance(content, dict):
        return [content, *(inner for value in content.values() for inner in _values(value))]
    if isinstance(content, list):
        return [inner for value in content for inner in _values(value)]
    return []


def _operations() -> list[tuple[str, str, dict[str, Any]]]:
    return [(path, method, one) for path, methods in DESCRIBED["paths"].items() for method, one in methods.items()]


def test_the_contract_checked_in_is_the_one_served() -> None:
    """Whoever changes an operation changes the contract, and sees it in the same commit."""
    assert CONTRACT.read_bytes() == write(document(TABLE)), "run: python -m tallystick.api.rest.openapi"


def test_every_reference_leads_somewhere() -> None:
    """No schema is referred to that is not there, and none is there that nothing refers to."""
    refs = {value["$ref"].rsplit("/", 1)[-1] for value in _values(DESCRIBED) if "$ref" in value}
    assert refs == set(DESCRIBED["components"]["schemas"])


def test_every_operation_is_described_once() -> None:
    """The table and the document name the same operations, but for those of the product's own workers."""
    names = [one["operationId"] for _, _, one in _operations()]
    assert len(names) == len(set(names))
    beside = {"health", "openapi", "log.checkpoint", "log.tile", "ledger.import", "ledger.export"}
    beside |= {"usage.record_cloudevents", "usage.export", "documents.invoice_pdf", "documents.invoice_xml"}
    beside |= {"documents.credit_note_pdf", "documents.credit_note_xml", "slips.barcode_svg", "slips.barcode_png"}
    beside |= {"payments.provider_webhook"}
    assert {one.name for one in offered(TABLE)} == set(names) - beside
    assert all(one["summary"] and one["responses"]["default"] for _, _, one in _operations())


def test_every_field_of_a_path_is_a_required_parameter() -> None:
    """What stands in braces is told among the parameters, and nothing else claims to stand in the path."""
    for path, _, one in _operations():
        parameters = [given for given in one.get("parameters", ()) if given["in"] == "path"]
        assert {part[1:-1] for part in path.split("/") if part.startswith("{")} == {one["name"] for one in parameters}
        assert all(given["required"] for given in parameters)


def test_only_changes_take_a_key_and_a_dry_run() -> None:
    """What reads has neither."""
    for path, method, one in _operations():
        operation = TABLE.get(one["operationId"])
        if operation is None:
            continue
        names = {given["name"] for given in one["parameters"]}
        assert ({"Idempotency-Key", "dry_run"} <= names) != operation.reads, f"{method} {path}"
        assert ("requestBody" in one) == (method != "get")


def test_only_what_anyone_may_read_or_a_provider_signs_needs_no_key() -> None:
    """The key is wanted by default, and each exception is meant."""
    assert DESCRIBED["security"] == [{"key": []}]
    webhook = "/v1/books/{book}/providers/{provider}/webhook"
    assert {path for path, _, one in _operations() if one.get("security") == []} == {
        "/health", "/openapi.json", webhook
    }  # fmt: skip


def test_every_route_of_the_table_is_another() -> None:
    """No two operations share a method and a path."""
    routes = Routes()
    for operation in offered(TABLE):
        routes.add(operation)
    assert len({operation.route for operation in offered(TABLE)}) == len(offered(TABLE))
