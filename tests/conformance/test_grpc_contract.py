"""The contract, the code made from it, and the operations table say the same."""

import subprocess
import sys
import types
import typing
from pathlib import Path
from typing import Any

import grpc
import msgspec
import pytest
from google.protobuf.descriptor import Descriptor, EnumDescriptor

from tallystick.api.grpc.errors import STATUS, told_of
from tallystick.api.grpc.generated import tallystick_pb2 as contract
from tallystick.api.grpc.methods import BEHIND, SERVICES, Method, methods_of
from tallystick.api.grpc.read_message import prefix_of, read_message
from tallystick.api.grpc.write_message import write_message
from tallystick.errors import InvalidInput, Kind, TallystickError
from tallystick.invoicing.model import InvoiceStatus
from tallystick.operations.table import TABLE
from tallystick.payments.model import PaymentStatus
from tallystick.repayments.policy import Policy

ROOT = Path(__file__).parents[2]
FOLDER = "tallystick/api/grpc/generated"
METHODS = [method for service in SERVICES for method in methods_of(service)]
ENVELOPE = {"book", "message_id", "dry_run"}
LEFT_OUT = {"InvoiceLine": {"detail"}}
"""Of answers, what only REST tells: parts of an amount in a layout that each charge model has for itself."""


def test_the_generated_code_is_what_the_contract_gives(tmp_path: Path) -> None:
    """Nobody has changed one without the other, and the command in the package's docstring is the one that makes it."""
    outputs = [f"--{kind}_out={tmp_path}" for kind in ("python", "pyi", "grpc_python")]
    command = [
        sys.executable,
        "-m",
        "grpc_tools.protoc",
        f"-I{FOLDER}=contracts",
        *outputs,
        "contracts/tallystick.proto",
    ]
    subprocess.run(command, cwd=ROOT, check=True)
    made = {path.name: path.read_text(encoding="utf-8") for path in (tmp_path / FOLDER).iterdir()}
    kept = {name: (ROOT / FOLDER / name).read_text(encoding="utf-8") for name in made}
    assert sorted(made) == ["tallystick_pb2.py", "tallystick_pb2.pyi", "tallystick_pb2_grpc.py"]
    assert made == kept


def test_every_method_has_an_operation_behind_it() -> None:
    """And none stands behind nothing."""
    assert {method.name for method in METHODS} == set(BEHIND)
    assert all(behind.operation in TABLE for behind in BEHIND.values())


@pytest.mark.parametrize("method", METHODS, ids=lambda method: method.name)
def test_a_request_has_the_fields_of_its_operation(method: Method) -> None:
    """Every field of the input can be sent, and none is sent that the operation does not know."""
    operation = TABLE[method.behind.operation]
    fields = {field.name for field in method.request.DESCRIPTOR.fields} - ENVELOPE
    if method.name == "Invoices.RequestInvoice":
        fields = {field.name for field in contract.InvoiceRequest.DESCRIPTOR.fields}
    if method.name == "Invoices.IssueInvoice":
        fields = {"invoices"}
    assert fields == set(operation.input.__struct_fields__)
    has = {field.name for field in method.request.DESCRIPTOR.fields} & ENVELOPE
    assert has == ({"book"} if operation.reads else ENVELOPE)


@pytest.mark.parametrize("method", METHODS, ids=lambda method: method.name)
def test_a_response_tells_all_that_the_operation_answers(method: Method) -> None:
    """What is left out is left out on purpose, down to the lines of an invoice."""
    if method.name == "Receipts.GetReceipt":
        assert [field.name for field in method.response.DESCRIPTOR.fields] == ["file"]
        return
    output = TABLE[method.behind.operation].output
    if method.name == "Invoices.IssueInvoice":
        output = _structs(typing.get_type_hints(_structs(typing.get_type_hints(output)["items"])[0])["invoice"])[0]
    assert _differences(output, method.response.DESCRIPTOR) == []


@pytest.mark.parametrize(
    ("enum", "values"),
    [
        (contract.InvoiceStatus.DESCRIPTOR, {one.value for one in InvoiceStatus}),
        (contract.PaymentStatus.DESCRIPTOR, {one.value for one in PaymentStatus}),
        (contract.PaymentType.DESCRIPTOR, {"credit", "debit"}),
        (contract.PolicyKind.DESCRIPTOR, {str(one.__struct_config__.tag) for one in typing.get_args(Policy)}),
    ],
    ids=lambda one: getattr(one, "name", ""),
)
def test_an_enum_has_every_value(enum: EnumDescriptor, values: set[str]) -> None:
    """Beside the one that protobuf asks for, which says that nothing is said."""
    names = [one.name.removeprefix(prefix_of(enum)).lower() for one in enum.values]
    assert names[0] == "unspecified"
    assert set(names[1:]) == values


def test_every_kind_has_a_status() -> None:
    """None of them is OK, and only those where a retry helps have one that libraries send again."""
    assert set(STATUS) == set(Kind)
    assert grpc.StatusCode.OK not in STATUS.values()
    again = {grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.RESOURCE_EXHAUSTED, grpc.StatusCode.ABORTED}
    assert {kind for kind, status in STATUS.items() if status in again} == {kind for kind in Kind if kind.retry_helps}


def test_what_tells_an_error_fits_into_a_head() -> None:
    """However long a text and a field are, and whatever is in them, a client with the usual 8 KiB reads the answer."""
    status, text, metadata = told_of(InvalidInput(field="é" * 5_000, rule="漢" * 5_000))
    names = dict(metadata)
    assert status is grpc.StatusCode.INVALID_ARGUMENT
    assert "tallystick-field" not in names  # it is not ASCII; the details have it
    details = names["grpc-status-details-bin"]
    assert isinstance(details, bytes)
    assert 3 * len(text.encode()) + 4 * len(details) / 3 < 7_000


def test_a_failure_of_our_own_tells_nothing_of_what_is_inside() -> None:
    """The caller learns that it was ours."""
    status, text, metadata = told_of(TallystickError())
    assert (status, text) == (grpc.StatusCode.INTERNAL, "Something went wrong.")
    assert dict(metadata)["tallystick-code"] == "internal"


def test_an_instant_goes_there_and_back() -> None:
    """To the microsecond, before 1970 too."""
    for text in ("2026-01-31T10:00:00.000001+00:00", "1969-12-31T23:59:59.999999+00:00", "9999-12-31T23:59:59+00:00"):
        message = contract.RequestedInvoice()
        write_message(message, {"issued_at": text})
        assert read_message(message)["issued_at"].isoformat() == text


def _structs(type_: Any) -> list[type[msgspec.Struct]]:  # noqa: ANN401 - any type that an output has
    """Return the structs in a type, however they are wrapped."""
    if isinstance(type_, type) and issubclass(type_, msgspec.Struct):
        return [type_]
    return [found for one in typing.get_args(type_) for found in _structs(one)]


def _differences(output: type[msgspec.Struct], descriptor: Descriptor, path: str = "") -> list[str]:
    """Return the fields that one has and the other has not, in what is within them too."""
    hints = typing.get_type_hints(output)
    told = {field.name: field for field in descriptor.fields}
    has = set(hints) - LEFT_OUT.get(descriptor.name, set())
    found = [f"{path}{name}" for name in has ^ set(told)]
    for name in has & set(told):
        structs, inner = _structs(hints[name]), told[name].message_type
        if len(structs) == 1 and inner is not None:
            found += _differences(structs[0], inner, f"{path}{name}.")
        elif len(structs) > 1:
            assert isinstance(hints[name], types.UnionType)
            names = {one for struct in structs for one in struct.__struct_fields__} | {"kind"}
            found += [f"{path}{name}.{one}" for one in names ^ {field.name for field in inner.fields}]
    return found
