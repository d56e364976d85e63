"""Which operation stands behind each method of the contract, and where the two are not laid out alike."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import msgspec
from google.protobuf.message import Message
from google.protobuf.message_factory import GetMessageClass

from tallystick.api.grpc.generated import tallystick_pb2 as contract
from tallystick.api.grpc.write_message import write_message
from tallystick.errors import TallystickError, every_error
from tallystick.operations.run import KeptRefusal

SERVICES = contract.DESCRIPTOR.services_by_name
Fields = dict[str, Any]


def _alike(fields: Fields) -> Fields:
    return fields


def _write(message: Message, body: bytes) -> None:
    write_message(message, msgspec.json.decode(body))


@dataclass(frozen=True, slots=True)
class Behind:
    """What stands behind a method: the operation, and what has to be done to its input and its answer."""

    operation: str
    read: Callable[[Fields], Fields] = _alike
    """Lays the fields of the request out as the operation's input."""
    write: Callable[[Message, bytes], None] = _write
    """Fills the response from the operation's JSON."""
    renamed: Mapping[str, str] = field(default_factory=dict)
    """Fields of the input that an error may name, and what the request calls them."""


def _invoice(fields: Fields) -> Fields:
    invoice: Fields = fields.pop("invoice", {})
    return {**invoice, **fields}


def _drafts(fields: Fields) -> Fields:
    return {"invoices": [fields["id"]] if "id" in fields else []}


def _issued(message: Message, body: bytes) -> None:
    """
    Write the one answer among what was issued.

    Raises:
        TallystickError: the one that the answer tells.
    """
    (outcome,) = msgspec.json.decode(body)["items"]
    if outcome["invoice"] is None:
        classes = {error.code: error for error in every_error()}
        found: type[TallystickError] = classes.get(outcome["code"], KeptRefusal)
        raise found.again(outcome["message"], outcome["field"])
    write_message(message, outcome["invoice"])


def _file(message: Message, body: bytes) -> None:
    message.file = body


BEHIND: dict[str, Behind] = {
    "Invoices.RequestInvoice": Behind("invoicing.request", _invoice),
    "Invoices.RequestInvoices": Behind("invoicing.request_many"),
    "Invoices.IssueInvoice": Behind(
        "invoicing.issue_requested", _drafts, _issued, {"invoices": "id", "invoices[0]": "id"}
    ),
    "Invoices.GetInvoice": Behind("invoicing.find"),
    "Invoices.ListInvoices": Behind("invoicing.list"),
    "Invoices.VoidInvoice": Behind("invoicing.void"),
    "Invoices.CreditInvoice": Behind("invoicing.credit"),
    "Repayments.Receive": Behind("repayments.receive"),
    "Repayments.Preview": Behind("repayments.preview"),
    "Payments.StartPayment": Behind("payments.start"),
    "Payments.PostPayment": Behind("payments.post"),
    "Payments.GetPayment": Behind("payments.find"),
    "Payments.RefundPayment": Behind("payments.refund"),
    "Payments.GetRefund": Behind("refunds.find"),
    "Receipts.GetReceipt": Behind("receipts.get", write=_file),
}
"""By service and method."""


@dataclass(frozen=True, slots=True)
class Method:
    """A method of the contract with what stands behind it."""

    name: str
    request: type[Message]
    response: type[Message]
    behind: Behind


def methods_of(service: str) -> list[Method]:
    """Return the methods of a service."""
    return [
        Method(
            f"{service}.{one.name}",
            GetMessageClass(one.input_type),
            GetMessageClass(one.output_type),
            BEHIND[f"{service}.{one.name}"],
        )
        for one in SERVICES[service].methods
    ]
