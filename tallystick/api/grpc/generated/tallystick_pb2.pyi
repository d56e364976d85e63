import datetime

from google.protobuf import any_pb2 as _any_pb2
from google.protobuf import timestamp_pb2 as _timestamp_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class InvoiceStatus(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    INVOICE_STATUS_UNSPECIFIED: _ClassVar[InvoiceStatus]
    INVOICE_STATUS_DRAFT: _ClassVar[InvoiceStatus]
    INVOICE_STATUS_ISSUED: _ClassVar[InvoiceStatus]
    INVOICE_STATUS_PARTLY_PAID: _ClassVar[InvoiceStatus]
    INVOICE_STATUS_PAID: _ClassVar[InvoiceStatus]
    INVOICE_STATUS_OVERDUE: _ClassVar[InvoiceStatus]
    INVOICE_STATUS_WRITTEN_OFF: _ClassVar[InvoiceStatus]
    INVOICE_STATUS_VOID: _ClassVar[InvoiceStatus]

class PolicyKind(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    POLICY_KIND_UNSPECIFIED: _ClassVar[PolicyKind]
    POLICY_KIND_OLDEST_FIRST: _ClassVar[PolicyKind]
    POLICY_KIND_PRODUCT_ORDER: _ClassVar[PolicyKind]
    POLICY_KIND_HIGHEST_COST_FIRST: _ClassVar[PolicyKind]
    POLICY_KIND_PRO_RATA: _ClassVar[PolicyKind]
    POLICY_KIND_FIXED_SPLIT: _ClassVar[PolicyKind]

class PaymentType(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    PAYMENT_TYPE_UNSPECIFIED: _ClassVar[PaymentType]
    PAYMENT_TYPE_CREDIT: _ClassVar[PaymentType]
    PAYMENT_TYPE_DEBIT: _ClassVar[PaymentType]

class PaymentStatus(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    PAYMENT_STATUS_UNSPECIFIED: _ClassVar[PaymentStatus]
    PAYMENT_STATUS_STARTED: _ClassVar[PaymentStatus]
    PAYMENT_STATUS_OPENED: _ClassVar[PaymentStatus]
    PAYMENT_STATUS_SUBMITTED: _ClassVar[PaymentStatus]
    PAYMENT_STATUS_SETTLED: _ClassVar[PaymentStatus]
    PAYMENT_STATUS_FAILED: _ClassVar[PaymentStatus]

class NextAction(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    NEXT_ACTION_UNSPECIFIED: _ClassVar[NextAction]
    NEXT_ACTION_AUTHENTICATE: _ClassVar[NextAction]
    NEXT_ACTION_WAIT: _ClassVar[NextAction]

class TakeFrom(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    TAKE_FROM_UNSPECIFIED: _ClassVar[TakeFrom]
    TAKE_FROM_UNALLOCATED: _ClassVar[TakeFrom]
    TAKE_FROM_INVOICE: _ClassVar[TakeFrom]

class RefundStatus(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    REFUND_STATUS_UNSPECIFIED: _ClassVar[RefundStatus]
    REFUND_STATUS_REQUESTED: _ClassVar[RefundStatus]
    REFUND_STATUS_PENDING: _ClassVar[RefundStatus]
    REFUND_STATUS_SUCCEEDED: _ClassVar[RefundStatus]
    REFUND_STATUS_FAILED: _ClassVar[RefundStatus]
INVOICE_STATUS_UNSPECIFIED: InvoiceStatus
INVOICE_STATUS_DRAFT: InvoiceStatus
INVOICE_STATUS_ISSUED: InvoiceStatus
INVOICE_STATUS_PARTLY_PAID: InvoiceStatus
INVOICE_STATUS_PAID: InvoiceStatus
INVOICE_STATUS_OVERDUE: InvoiceStatus
INVOICE_STATUS_WRITTEN_OFF: InvoiceStatus
INVOICE_STATUS_VOID: InvoiceStatus
POLICY_KIND_UNSPECIFIED: PolicyKind
POLICY_KIND_OLDEST_FIRST: PolicyKind
POLICY_KIND_PRODUCT_ORDER: PolicyKind
POLICY_KIND_HIGHEST_COST_FIRST: PolicyKind
POLICY_KIND_PRO_RATA: PolicyKind
POLICY_KIND_FIXED_SPLIT: PolicyKind
PAYMENT_TYPE_UNSPECIFIED: PaymentType
PAYMENT_TYPE_CREDIT: PaymentType
PAYMENT_TYPE_DEBIT: PaymentType
PAYMENT_STATUS_UNSPECIFIED: PaymentStatus
PAYMENT_STATUS_STARTED: PaymentStatus
PAYMENT_STATUS_OPENED: PaymentStatus
PAYMENT_STATUS_SUBMITTED: PaymentStatus
PAYMENT_STATUS_SETTLED: PaymentStatus
PAYMENT_STATUS_FAILED: PaymentStatus
NEXT_ACTION_UNSPECIFIED: NextAction
NEXT_ACTION_AUTHENTICATE: NextAction
NEXT_ACTION_WAIT: NextAction
TAKE_FROM_UNSPECIFIED: TakeFrom
TAKE_FROM_UNALLOCATED: TakeFrom
TAKE_FROM_INVOICE: TakeFrom
REFUND_STATUS_UNSPECIFIED: RefundStatus
REFUND_STATUS_REQUESTED: RefundStatus
REFUND_STATUS_PENDING: RefundStatus
REFUND_STATUS_SUCCEEDED: RefundStatus
REFUND_STATUS_FAILED: RefundStatus

class InvoiceRequest(_message.Message):
    __slots__ = ("product", "reference", "customer", "asset", "lines", "due_on", "terms_days", "zone", "issue", "memo", "cost_rank", "series")
    PRODUCT_FIELD_NUMBER: _ClassVar[int]
    REFERENCE_FIELD_NUMBER: _ClassVar[int]
    CUSTOMER_FIELD_NUMBER: _ClassVar[int]
    ASSET_FIELD_NUMBER: _ClassVar[int]
    LINES_FIELD_NUMBER: _ClassVar[int]
    DUE_ON_FIELD_NUMBER: _ClassVar[int]
    TERMS_DAYS_FIELD_NUMBER: _ClassVar[int]
    ZONE_FIELD_NUMBER: _ClassVar[int]
    ISSUE_FIELD_NUMBER: _ClassVar[int]
    MEMO_FIELD_NUMBER: _ClassVar[int]
    COST_RANK_FIELD_NUMBER: _ClassVar[int]
    SERIES_FIELD_NUMBER: _ClassVar[int]
    product: str
    reference: str
    customer: str
    asset: str
    lines: _containers.RepeatedCompositeFieldContainer[LineRequest]
    due_on: str
    terms_days: int
    zone: str
    issue: bool
    memo: str
    cost_rank: str
    series: str
    def __init__(self, product: _Optional[str] = ..., reference: _Optional[str] = ..., customer: _Optional[str] = ..., asset: _Optional[str] = ..., lines: _Optional[_Iterable[_Union[LineRequest, _Mapping]]] = ..., due_on: _Optional[str] = ..., terms_days: _Optional[int] = ..., zone: _Optional[str] = ..., issue: _Optional[bool] = ..., memo: _Optional[str] = ..., cost_rank: _Optional[str] = ..., series: _Optional[str] = ...) -> None: ...

class LineRequest(_message.Message):
    __slots__ = ("description", "quantity", "unit_amount", "amount", "tax_category", "post_to")
    DESCRIPTION_FIELD_NUMBER: _ClassVar[int]
    QUANTITY_FIELD_NUMBER: _ClassVar[int]
    UNIT_AMOUNT_FIELD_NUMBER: _ClassVar[int]
    AMOUNT_FIELD_NUMBER: _ClassVar[int]
    TAX_CATEGORY_FIELD_NUMBER: _ClassVar[int]
    POST_TO_FIELD_NUMBER: _ClassVar[int]
    description: str
    quantity: str
    unit_amount: str
    amount: int
    tax_category: str
    post_to: str
    def __init__(self, description: _Optional[str] = ..., quantity: _Optional[str] = ..., unit_amount: _Optional[str] = ..., amount: _Optional[int] = ..., tax_category: _Optional[str] = ..., post_to: _Optional[str] = ...) -> None: ...

class RequestInvoiceRequest(_message.Message):
    __slots__ = ("book", "message_id", "dry_run", "invoice")
    BOOK_FIELD_NUMBER: _ClassVar[int]
    MESSAGE_ID_FIELD_NUMBER: _ClassVar[int]
    DRY_RUN_FIELD_NUMBER: _ClassVar[int]
    INVOICE_FIELD_NUMBER: _ClassVar[int]
    book: str
    message_id: str
    dry_run: bool
    invoice: InvoiceRequest
    def __init__(self, book: _Optional[str] = ..., message_id: _Optional[str] = ..., dry_run: _Optional[bool] = ..., invoice: _Optional[_Union[InvoiceRequest, _Mapping]] = ...) -> None: ...

class RequestInvoicesRequest(_message.Message):
    __slots__ = ("book", "message_id", "dry_run", "invoices")
    BOOK_FIELD_NUMBER: _ClassVar[int]
    MESSAGE_ID_FIELD_NUMBER: _ClassVar[int]
    DRY_RUN_FIELD_NUMBER: _ClassVar[int]
    INVOICES_FIELD_NUMBER: _ClassVar[int]
    book: str
    message_id: str
    dry_run: bool
    invoices: _containers.RepeatedCompositeFieldContainer[InvoiceRequest]
    def __init__(self, book: _Optional[str] = ..., message_id: _Optional[str] = ..., dry_run: _Optional[bool] = ..., invoices: _Optional[_Iterable[_Union[InvoiceRequest, _Mapping]]] = ...) -> None: ...

class RequestInvoicesResponse(_message.Message):
    __slots__ = ("items",)
    ITEMS_FIELD_NUMBER: _ClassVar[int]
    items: _containers.RepeatedCompositeFieldContainer[RequestOutcome]
    def __init__(self, items: _Optional[_Iterable[_Union[RequestOutcome, _Mapping]]] = ...) -> None: ...

class RequestOutcome(_message.Message):
    __slots__ = ("invoice", "code", "message", "field")
    INVOICE_FIELD_NUMBER: _ClassVar[int]
    CODE_FIELD_NUMBER: _ClassVar[int]
    MESSAGE_FIELD_NUMBER: _ClassVar[int]
    FIELD_FIELD_NUMBER: _ClassVar[int]
    invoice: RequestedInvoice
    code: str
    message: str
    field: str
    def __init__(self, invoice: _Optional[_Union[RequestedInvoice, _Mapping]] = ..., code: _Optional[str] = ..., message: _Optional[str] = ..., field: _Optional[str] = ...) -> None: ...

class RequestedInvoice(_message.Message):
    __slots__ = ("id", "product", "reference", "number", "customer", "asset", "subtotal", "total", "due_on", "issued_at", "known")
    ID_FIELD_NUMBER: _ClassVar[int]
    PRODUCT_FIELD_NUMBER: _ClassVar[int]
    REFERENCE_FIELD_NUMBER: _ClassVar[int]
    NUMBER_FIELD_NUMBER: _ClassVar[int]
    CUSTOMER_FIELD_NUMBER: _ClassVar[int]
    ASSET_FIELD_NUMBER: _ClassVar[int]
    SUBTOTAL_FIELD_NUMBER: _ClassVar[int]
    TOTAL_FIELD_NUMBER: _ClassVar[int]
    DUE_ON_FIELD_NUMBER: _ClassVar[int]
    ISSUED_AT_FIELD_NUMBER: _ClassVar[int]
    KNOWN_FIELD_NUMBER: _ClassVar[int]
    id: str
    product: str
    reference: str
    number: str
    customer: str
    asset: str
    subtotal: int
    total: int
    due_on: str
    issued_at: _timestamp_pb2.Timestamp
    known: bool
    def __init__(self, id: _Optional[str] = ..., product: _Optional[str] = ..., reference: _Optional[str] = ..., number: _Optional[str] = ..., customer: _Optional[str] = ..., asset: _Optional[str] = ..., subtotal: _Optional[int] = ..., total: _Optional[int] = ..., due_on: _Optional[str] = ..., issued_at: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., known: _Optional[bool] = ...) -> None: ...

class IssueInvoiceRequest(_message.Message):
    __slots__ = ("book", "message_id", "dry_run", "id")
    BOOK_FIELD_NUMBER: _ClassVar[int]
    MESSAGE_ID_FIELD_NUMBER: _ClassVar[int]
    DRY_RUN_FIELD_NUMBER: _ClassVar[int]
    ID_FIELD_NUMBER: _ClassVar[int]
    book: str
    message_id: str
    dry_run: bool
    id: str
    def __init__(self, book: _Optional[str] = ..., message_id: _Optional[str] = ..., dry_run: _Optional[bool] = ..., id: _Optional[str] = ...) -> None: ...

class GetInvoiceRequest(_message.Message):
    __slots__ = ("book", "id")
    BOOK_FIELD_NUMBER: _ClassVar[int]
    ID_FIELD_NUMBER: _ClassVar[int]
    book: str
    id: str
    def __init__(self, book: _Optional[str] = ..., id: _Optional[str] = ...) -> None: ...

class ListInvoicesRequest(_message.Message):
    __slots__ = ("book", "customer", "month", "zone", "status", "after", "limit")
    BOOK_FIELD_NUMBER: _ClassVar[int]
    CUSTOMER_FIELD_NUMBER: _ClassVar[int]
    MONTH_FIELD_NUMBER: _ClassVar[int]
    ZONE_FIELD_NUMBER: _ClassVar[int]
    STATUS_FIELD_NUMBER: _ClassVar[int]
    AFTER_FIELD_NUMBER: _ClassVar[int]
    LIMIT_FIELD_NUMBER: _ClassVar[int]
    book: str
    customer: str
    month: str
    zone: str
    status: InvoiceStatus
    after: str
    limit: int
    def __init__(self, book: _Optional[str] = ..., customer: _Optional[str] = ..., month: _Optional[str] = ..., zone: _Optional[str] = ..., status: _Optional[_Union[InvoiceStatus, str]] = ..., after: _Optional[str] = ..., limit: _Optional[int] = ...) -> None: ...

class ListInvoicesResponse(_message.Message):
    __slots__ = ("items", "next")
    ITEMS_FIELD_NUMBER: _ClassVar[int]
    NEXT_FIELD_NUMBER: _ClassVar[int]
    items: _containers.RepeatedCompositeFieldContainer[Invoice]
    next: str
    def __init__(self, items: _Optional[_Iterable[_Union[Invoice, _Mapping]]] = ..., next: _Optional[str] = ...) -> None: ...

class Invoice(_message.Message):
    __slots__ = ("id", "number", "customer", "product", "asset", "exponent", "period_start", "period_end", "subtotal", "taxes", "total", "credits_applied", "credits", "outstanding", "status", "due_on", "drafted_at", "issued_at", "account", "transfer_id", "usage_through", "lines", "credited", "reference", "memo", "cost_rank")
    ID_FIELD_NUMBER: _ClassVar[int]
    NUMBER_FIELD_NUMBER: _ClassVar[int]
    CUSTOMER_FIELD_NUMBER: _ClassVar[int]
    PRODUCT_FIELD_NUMBER: _ClassVar[int]
    ASSET_FIELD_NUMBER: _ClassVar[int]
    EXPONENT_FIELD_NUMBER: _ClassVar[int]
    PERIOD_START_FIELD_NUMBER: _ClassVar[int]
    PERIOD_END_FIELD_NUMBER: _ClassVar[int]
    SUBTOTAL_FIELD_NUMBER: _ClassVar[int]
    TAXES_FIELD_NUMBER: _ClassVar[int]
    TOTAL_FIELD_NUMBER: _ClassVar[int]
    CREDITS_APPLIED_FIELD_NUMBER: _ClassVar[int]
    CREDITS_FIELD_NUMBER: _ClassVar[int]
    OUTSTANDING_FIELD_NUMBER: _ClassVar[int]
    STATUS_FIELD_NUMBER: _ClassVar[int]
    DUE_ON_FIELD_NUMBER: _ClassVar[int]
    DRAFTED_AT_FIELD_NUMBER: _ClassVar[int]
    ISSUED_AT_FIELD_NUMBER: _ClassVar[int]
    ACCOUNT_FIELD_NUMBER: _ClassVar[int]
    TRANSFER_ID_FIELD_NUMBER: _ClassVar[int]
    USAGE_THROUGH_FIELD_NUMBER: _ClassVar[int]
    LINES_FIELD_NUMBER: _ClassVar[int]
    CREDITED_FIELD_NUMBER: _ClassVar[int]
    REFERENCE_FIELD_NUMBER: _ClassVar[int]
    MEMO_FIELD_NUMBER: _ClassVar[int]
    COST_RANK_FIELD_NUMBER: _ClassVar[int]
    id: str
    number: str
    customer: str
    product: str
    asset: str
    exponent: int
    period_start: _timestamp_pb2.Timestamp
    period_end: _timestamp_pb2.Timestamp
    subtotal: int
    taxes: _containers.RepeatedCompositeFieldContainer[InvoiceTax]
    total: int
    credits_applied: int
    credits: _containers.RepeatedCompositeFieldContainer[CreditUse]
    outstanding: int
    status: InvoiceStatus
    due_on: str
    drafted_at: _timestamp_pb2.Timestamp
    issued_at: _timestamp_pb2.Timestamp
    account: str
    transfer_id: str
    usage_through: int
    lines: _containers.RepeatedCompositeFieldContainer[InvoiceLine]
    credited: int
    reference: str
    memo: str
    cost_rank: str
    def __init__(self, id: _Optional[str] = ..., number: _Optional[str] = ..., customer: _Optional[str] = ..., product: _Optional[str] = ..., asset: _Optional[str] = ..., exponent: _Optional[int] = ..., period_start: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., period_end: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., subtotal: _Optional[int] = ..., taxes: _Optional[_Iterable[_Union[InvoiceTax, _Mapping]]] = ..., total: _Optional[int] = ..., credits_applied: _Optional[int] = ..., credits: _Optional[_Iterable[_Union[CreditUse, _Mapping]]] = ..., outstanding: _Optional[int] = ..., status: _Optional[_Union[InvoiceStatus, str]] = ..., due_on: _Optional[str] = ..., drafted_at: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., issued_at: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., account: _Optional[str] = ..., transfer_id: _Optional[str] = ..., usage_through: _Optional[int] = ..., lines: _Optional[_Iterable[_Union[InvoiceLine, _Mapping]]] = ..., credited: _Optional[int] = ..., reference: _Optional[str] = ..., memo: _Optional[str] = ..., cost_rank: _Optional[str] = ...) -> None: ...

class InvoiceLine(_message.Message):
    __slots__ = ("position", "charge", "name", "price_at", "meter", "period_start", "period_end", "events", "quantity", "unit", "amount", "explanation", "adjusts", "unit_amount", "tax_category", "post_to")
    POSITION_FIELD_NUMBER: _ClassVar[int]
    CHARGE_FIELD_NUMBER: _ClassVar[int]
    NAME_FIELD_NUMBER: _ClassVar[int]
    PRICE_AT_FIELD_NUMBER: _ClassVar[int]
    METER_FIELD_NUMBER: _ClassVar[int]
    PERIOD_START_FIELD_NUMBER: _ClassVar[int]
    PERIOD_END_FIELD_NUMBER: _ClassVar[int]
    EVENTS_FIELD_NUMBER: _ClassVar[int]
    QUANTITY_FIELD_NUMBER: _ClassVar[int]
    UNIT_FIELD_NUMBER: _ClassVar[int]
    AMOUNT_FIELD_NUMBER: _ClassVar[int]
    EXPLANATION_FIELD_NUMBER: _ClassVar[int]
    ADJUSTS_FIELD_NUMBER: _ClassVar[int]
    UNIT_AMOUNT_FIELD_NUMBER: _ClassVar[int]
    TAX_CATEGORY_FIELD_NUMBER: _ClassVar[int]
    POST_TO_FIELD_NUMBER: _ClassVar[int]
    position: int
    charge: str
    name: str
    price_at: _timestamp_pb2.Timestamp
    meter: str
    period_start: _timestamp_pb2.Timestamp
    period_end: _timestamp_pb2.Timestamp
    events: int
    quantity: str
    unit: str
    amount: int
    explanation: str
    adjusts: AdjustedLine
    unit_amount: str
    tax_category: str
    post_to: str
    def __init__(self, position: _Optional[int] = ..., charge: _Optional[str] = ..., name: _Optional[str] = ..., price_at: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., meter: _Optional[str] = ..., period_start: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., period_end: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., events: _Optional[int] = ..., quantity: _Optional[str] = ..., unit: _Optional[str] = ..., amount: _Optional[int] = ..., explanation: _Optional[str] = ..., adjusts: _Optional[_Union[AdjustedLine, _Mapping]] = ..., unit_amount: _Optional[str] = ..., tax_category: _Optional[str] = ..., post_to: _Optional[str] = ...) -> None: ...

class AdjustedLine(_message.Message):
    __slots__ = ("invoice", "line")
    INVOICE_FIELD_NUMBER: _ClassVar[int]
    LINE_FIELD_NUMBER: _ClassVar[int]
    invoice: str
    line: int
    def __init__(self, invoice: _Optional[str] = ..., line: _Optional[int] = ...) -> None: ...

class InvoiceTax(_message.Message):
    __slots__ = ("jurisdiction", "category", "name", "rate", "inclusive", "base", "amount", "treatment", "reason")
    JURISDICTION_FIELD_NUMBER: _ClassVar[int]
    CATEGORY_FIELD_NUMBER: _ClassVar[int]
    NAME_FIELD_NUMBER: _ClassVar[int]
    RATE_FIELD_NUMBER: _ClassVar[int]
    INCLUSIVE_FIELD_NUMBER: _ClassVar[int]
    BASE_FIELD_NUMBER: _ClassVar[int]
    AMOUNT_FIELD_NUMBER: _ClassVar[int]
    TREATMENT_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    jurisdiction: str
    category: str
    name: str
    rate: str
    inclusive: bool
    base: int
    amount: int
    treatment: str
    reason: str
    def __init__(self, jurisdiction: _Optional[str] = ..., category: _Optional[str] = ..., name: _Optional[str] = ..., rate: _Optional[str] = ..., inclusive: _Optional[bool] = ..., base: _Optional[int] = ..., amount: _Optional[int] = ..., treatment: _Optional[str] = ..., reason: _Optional[str] = ...) -> None: ...

class CreditUse(_message.Message):
    __slots__ = ("grant", "asset", "amount", "line", "quantity", "transfer_id")
    GRANT_FIELD_NUMBER: _ClassVar[int]
    ASSET_FIELD_NUMBER: _ClassVar[int]
    AMOUNT_FIELD_NUMBER: _ClassVar[int]
    LINE_FIELD_NUMBER: _ClassVar[int]
    QUANTITY_FIELD_NUMBER: _ClassVar[int]
    TRANSFER_ID_FIELD_NUMBER: _ClassVar[int]
    grant: str
    asset: str
    amount: int
    line: int
    quantity: str
    transfer_id: str
    def __init__(self, grant: _Optional[str] = ..., asset: _Optional[str] = ..., amount: _Optional[int] = ..., line: _Optional[int] = ..., quantity: _Optional[str] = ..., transfer_id: _Optional[str] = ...) -> None: ...

class VoidInvoiceRequest(_message.Message):
    __slots__ = ("book", "message_id", "dry_run", "id", "reason")
    BOOK_FIELD_NUMBER: _ClassVar[int]
    MESSAGE_ID_FIELD_NUMBER: _ClassVar[int]
    DRY_RUN_FIELD_NUMBER: _ClassVar[int]
    ID_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    book: str
    message_id: str
    dry_run: bool
    id: str
    reason: str
    def __init__(self, book: _Optional[str] = ..., message_id: _Optional[str] = ..., dry_run: _Optional[bool] = ..., id: _Optional[str] = ..., reason: _Optional[str] = ...) -> None: ...

class VoidedInvoice(_message.Message):
    __slots__ = ("id", "number", "status", "amount", "asset")
    ID_FIELD_NUMBER: _ClassVar[int]
    NUMBER_FIELD_NUMBER: _ClassVar[int]
    STATUS_FIELD_NUMBER: _ClassVar[int]
    AMOUNT_FIELD_NUMBER: _ClassVar[int]
    ASSET_FIELD_NUMBER: _ClassVar[int]
    id: str
    number: str
    status: InvoiceStatus
    amount: int
    asset: str
    def __init__(self, id: _Optional[str] = ..., number: _Optional[str] = ..., status: _Optional[_Union[InvoiceStatus, str]] = ..., amount: _Optional[int] = ..., asset: _Optional[str] = ...) -> None: ...

class CreditInvoiceRequest(_message.Message):
    __slots__ = ("book", "message_id", "dry_run", "id", "reference", "reason", "lines", "series")
    BOOK_FIELD_NUMBER: _ClassVar[int]
    MESSAGE_ID_FIELD_NUMBER: _ClassVar[int]
    DRY_RUN_FIELD_NUMBER: _ClassVar[int]
    ID_FIELD_NUMBER: _ClassVar[int]
    REFERENCE_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    LINES_FIELD_NUMBER: _ClassVar[int]
    SERIES_FIELD_NUMBER: _ClassVar[int]
    book: str
    message_id: str
    dry_run: bool
    id: str
    reference: str
    reason: str
    lines: _containers.RepeatedCompositeFieldContainer[CreditLine]
    series: str
    def __init__(self, book: _Optional[str] = ..., message_id: _Optional[str] = ..., dry_run: _Optional[bool] = ..., id: _Optional[str] = ..., reference: _Optional[str] = ..., reason: _Optional[str] = ..., lines: _Optional[_Iterable[_Union[CreditLine, _Mapping]]] = ..., series: _Optional[str] = ...) -> None: ...

class CreditLine(_message.Message):
    __slots__ = ("line", "amount", "description")
    LINE_FIELD_NUMBER: _ClassVar[int]
    AMOUNT_FIELD_NUMBER: _ClassVar[int]
    DESCRIPTION_FIELD_NUMBER: _ClassVar[int]
    line: int
    amount: int
    description: str
    def __init__(self, line: _Optional[int] = ..., amount: _Optional[int] = ..., description: _Optional[str] = ...) -> None: ...

class CreditNote(_message.Message):
    __slots__ = ("id", "number", "invoice", "invoice_number", "customer", "product", "asset", "reference", "total", "applied", "unallocated", "reason", "issued_at", "lines", "taxes")
    ID_FIELD_NUMBER: _ClassVar[int]
    NUMBER_FIELD_NUMBER: _ClassVar[int]
    INVOICE_FIELD_NUMBER: _ClassVar[int]
    INVOICE_NUMBER_FIELD_NUMBER: _ClassVar[int]
    CUSTOMER_FIELD_NUMBER: _ClassVar[int]
    PRODUCT_FIELD_NUMBER: _ClassVar[int]
    ASSET_FIELD_NUMBER: _ClassVar[int]
    REFERENCE_FIELD_NUMBER: _ClassVar[int]
    TOTAL_FIELD_NUMBER: _ClassVar[int]
    APPLIED_FIELD_NUMBER: _ClassVar[int]
    UNALLOCATED_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    ISSUED_AT_FIELD_NUMBER: _ClassVar[int]
    LINES_FIELD_NUMBER: _ClassVar[int]
    TAXES_FIELD_NUMBER: _ClassVar[int]
    id: str
    number: str
    invoice: str
    invoice_number: str
    customer: str
    product: str
    asset: str
    reference: str
    total: int
    applied: int
    unallocated: int
    reason: str
    issued_at: _timestamp_pb2.Timestamp
    lines: _containers.RepeatedCompositeFieldContainer[CreditNoteLine]
    taxes: _containers.RepeatedCompositeFieldContainer[CreditNoteTax]
    def __init__(self, id: _Optional[str] = ..., number: _Optional[str] = ..., invoice: _Optional[str] = ..., invoice_number: _Optional[str] = ..., customer: _Optional[str] = ..., product: _Optional[str] = ..., asset: _Optional[str] = ..., reference: _Optional[str] = ..., total: _Optional[int] = ..., applied: _Optional[int] = ..., unallocated: _Optional[int] = ..., reason: _Optional[str] = ..., issued_at: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., lines: _Optional[_Iterable[_Union[CreditNoteLine, _Mapping]]] = ..., taxes: _Optional[_Iterable[_Union[CreditNoteTax, _Mapping]]] = ...) -> None: ...

class CreditNoteLine(_message.Message):
    __slots__ = ("line", "description", "amount")
    LINE_FIELD_NUMBER: _ClassVar[int]
    DESCRIPTION_FIELD_NUMBER: _ClassVar[int]
    AMOUNT_FIELD_NUMBER: _ClassVar[int]
    line: int
    description: str
    amount: int
    def __init__(self, line: _Optional[int] = ..., description: _Optional[str] = ..., amount: _Optional[int] = ...) -> None: ...

class CreditNoteTax(_message.Message):
    __slots__ = ("jurisdiction", "category", "name", "rate", "inclusive", "base", "amount")
    JURISDICTION_FIELD_NUMBER: _ClassVar[int]
    CATEGORY_FIELD_NUMBER: _ClassVar[int]
    NAME_FIELD_NUMBER: _ClassVar[int]
    RATE_FIELD_NUMBER: _ClassVar[int]
    INCLUSIVE_FIELD_NUMBER: _ClassVar[int]
    BASE_FIELD_NUMBER: _ClassVar[int]
    AMOUNT_FIELD_NUMBER: _ClassVar[int]
    jurisdiction: str
    category: str
    name: str
    rate: str
    inclusive: bool
    base: int
    amount: int
    def __init__(self, jurisdiction: _Optional[str] = ..., category: _Optional[str] = ..., name: _Optional[str] = ..., rate: _Optional[str] = ..., inclusive: _Optional[bool] = ..., base: _Optional[int] = ..., amount: _Optional[int] = ...) -> None: ...

class Policy(_message.Message):
    __slots__ = ("kind", "products", "weights")
    class WeightsEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: int
        def __init__(self, key: _Optional[str] = ..., value: _Optional[int] = ...) -> None: ...
    KIND_FIELD_NUMBER: _ClassVar[int]
    PRODUCTS_FIELD_NUMBER: _ClassVar[int]
    WEIGHTS_FIELD_NUMBER: _ClassVar[int]
    kind: PolicyKind
    products: _containers.RepeatedScalarFieldContainer[str]
    weights: _containers.ScalarMap[str, int]
    def __init__(self, kind: _Optional[_Union[PolicyKind, str]] = ..., products: _Optional[_Iterable[str]] = ..., weights: _Optional[_Mapping[str, int]] = ...) -> None: ...

class ReceiveRequest(_message.Message):
    __slots__ = ("book", "message_id", "dry_run", "customer", "asset", "amount", "channel", "reference", "received_on", "from_account", "policy", "invoices")
    BOOK_FIELD_NUMBER: _ClassVar[int]
    MESSAGE_ID_FIELD_NUMBER: _ClassVar[int]
    DRY_RUN_FIELD_NUMBER: _ClassVar[int]
    CUSTOMER_FIELD_NUMBER: _ClassVar[int]
    ASSET_FIELD_NUMBER: _ClassVar[int]
    AMOUNT_FIELD_NUMBER: _ClassVar[int]
    CHANNEL_FIELD_NUMBER: _ClassVar[int]
    REFERENCE_FIELD_NUMBER: _ClassVar[int]
    RECEIVED_ON_FIELD_NUMBER: _ClassVar[int]
    FROM_ACCOUNT_FIELD_NUMBER: _ClassVar[int]
    POLICY_FIELD_NUMBER: _ClassVar[int]
    INVOICES_FIELD_NUMBER: _ClassVar[int]
    book: str
    message_id: str
    dry_run: bool
    customer: str
    asset: str
    amount: int
    channel: str
    reference: str
    received_on: str
    from_account: str
    policy: Policy
    invoices: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, book: _Optional[str] = ..., message_id: _Optional[str] = ..., dry_run: _Optional[bool] = ..., customer: _Optional[str] = ..., asset: _Optional[str] = ..., amount: _Optional[int] = ..., channel: _Optional[str] = ..., reference: _Optional[str] = ..., received_on: _Optional[str] = ..., from_account: _Optional[str] = ..., policy: _Optional[_Union[Policy, _Mapping]] = ..., invoices: _Optional[_Iterable[str]] = ...) -> None: ...

class Repayment(_message.Message):
    __slots__ = ("id", "customer", "asset", "amount", "channel", "reference", "received_on", "from_account", "policy", "allocations", "unallocated", "reversed", "transfer_id", "received_at")
    ID_FIELD_NUMBER: _ClassVar[int]
    CUSTOMER_FIELD_NUMBER: _ClassVar[int]
    ASSET_FIELD_NUMBER: _ClassVar[int]
    AMOUNT_FIELD_NUMBER: _ClassVar[int]
    CHANNEL_FIELD_NUMBER: _ClassVar[int]
    REFERENCE_FIELD_NUMBER: _ClassVar[int]
    RECEIVED_ON_FIELD_NUMBER: _ClassVar[int]
    FROM_ACCOUNT_FIELD_NUMBER: _ClassVar[int]
    POLICY_FIELD_NUMBER: _ClassVar[int]
    ALLOCATIONS_FIELD_NUMBER: _ClassVar[int]
    UNALLOCATED_FIELD_NUMBER: _ClassVar[int]
    REVERSED_FIELD_NUMBER: _ClassVar[int]
    TRANSFER_ID_FIELD_NUMBER: _ClassVar[int]
    RECEIVED_AT_FIELD_NUMBER: _ClassVar[int]
    id: str
    customer: str
    asset: str
    amount: int
    channel: str
    reference: str
    received_on: str
    from_account: str
    policy: Policy
    allocations: _containers.RepeatedCompositeFieldContainer[Allocation]
    unallocated: int
    reversed: bool
    transfer_id: str
    received_at: _timestamp_pb2.Timestamp
    def __init__(self, id: _Optional[str] = ..., customer: _Optional[str] = ..., asset: _Optional[str] = ..., amount: _Optional[int] = ..., channel: _Optional[str] = ..., reference: _Optional[str] = ..., received_on: _Optional[str] = ..., from_account: _Optional[str] = ..., policy: _Optional[_Union[Policy, _Mapping]] = ..., allocations: _Optional[_Iterable[_Union[Allocation, _Mapping]]] = ..., unallocated: _Optional[int] = ..., reversed: _Optional[bool] = ..., transfer_id: _Optional[str] = ..., received_at: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ...) -> None: ...

class Allocation(_message.Message):
    __slots__ = ("invoice", "amount", "why", "transfer_id", "undone")
    INVOICE_FIELD_NUMBER: _ClassVar[int]
    AMOUNT_FIELD_NUMBER: _ClassVar[int]
    WHY_FIELD_NUMBER: _ClassVar[int]
    TRANSFER_ID_FIELD_NUMBER: _ClassVar[int]
    UNDONE_FIELD_NUMBER: _ClassVar[int]
    invoice: str
    amount: int
    why: str
    transfer_id: str
    undone: int
    def __init__(self, invoice: _Optional[str] = ..., amount: _Optional[int] = ..., why: _Optional[str] = ..., transfer_id: _Optional[str] = ..., undone: _Optional[int] = ...) -> None: ...

class PreviewRequest(_message.Message):
    __slots__ = ("book", "customer", "asset", "amount", "policy", "invoices")
    BOOK_FIELD_NUMBER: _ClassVar[int]
    CUSTOMER_FIELD_NUMBER: _ClassVar[int]
    ASSET_FIELD_NUMBER: _ClassVar[int]
    AMOUNT_FIELD_NUMBER: _ClassVar[int]
    POLICY_FIELD_NUMBER: _ClassVar[int]
    INVOICES_FIELD_NUMBER: _ClassVar[int]
    book: str
    customer: str
    asset: str
    amount: int
    policy: Policy
    invoices: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, book: _Optional[str] = ..., customer: _Optional[str] = ..., asset: _Optional[str] = ..., amount: _Optional[int] = ..., policy: _Optional[_Union[Policy, _Mapping]] = ..., invoices: _Optional[_Iterable[str]] = ...) -> None: ...

class PreviewResponse(_message.Message):
    __slots__ = ("customer", "asset", "amount", "policy", "said_by", "placed", "left_out", "unallocated")
    CUSTOMER_FIELD_NUMBER: _ClassVar[int]
    ASSET_FIELD_NUMBER: _ClassVar[int]
    AMOUNT_FIELD_NUMBER: _ClassVar[int]
    POLICY_FIELD_NUMBER: _ClassVar[int]
    SAID_BY_FIELD_NUMBER: _ClassVar[int]
    PLACED_FIELD_NUMBER: _ClassVar[int]
    LEFT_OUT_FIELD_NUMBER: _ClassVar[int]
    UNALLOCATED_FIELD_NUMBER: _ClassVar[int]
    customer: str
    asset: str
    amount: int
    policy: Policy
    said_by: str
    placed: _containers.RepeatedCompositeFieldContainer[Placed]
    left_out: _containers.RepeatedScalarFieldContainer[str]
    unallocated: int
    def __init__(self, customer: _Optional[str] = ..., asset: _Optional[str] = ..., amount: _Optional[int] = ..., policy: _Optional[_Union[Policy, _Mapping]] = ..., said_by: _Optional[str] = ..., placed: _Optional[_Iterable[_Union[Placed, _Mapping]]] = ..., left_out: _Optional[_Iterable[str]] = ..., unallocated: _Optional[int] = ...) -> None: ...

class Placed(_message.Message):
    __slots__ = ("invoice", "number", "product", "due_on", "outstanding", "amount", "why")
    INVOICE_FIELD_NUMBER: _ClassVar[int]
    NUMBER_FIELD_NUMBER: _ClassVar[int]
    PRODUCT_FIELD_NUMBER: _ClassVar[int]
    DUE_ON_FIELD_NUMBER: _ClassVar[int]
    OUTSTANDING_FIELD_NUMBER: _ClassVar[int]
    AMOUNT_FIELD_NUMBER: _ClassVar[int]
    WHY_FIELD_NUMBER: _ClassVar[int]
    invoice: str
    number: str
    product: str
    due_on: str
    outstanding: int
    amount: int
    why: str
    def __init__(self, invoice: _Optional[str] = ..., number: _Optional[str] = ..., product: _Optional[str] = ..., due_on: _Optional[str] = ..., outstanding: _Optional[int] = ..., amount: _Optional[int] = ..., why: _Optional[str] = ...) -> None: ...

class StartPaymentRequest(_message.Message):
    __slots__ = ("book", "message_id", "dry_run", "user", "email", "timestamp", "payment_type", "invoice_id", "amount", "provider")
    BOOK_FIELD_NUMBER: _ClassVar[int]
    MESSAGE_ID_FIELD_NUMBER: _ClassVar[int]
    DRY_RUN_FIELD_NUMBER: _ClassVar[int]
    USER_FIELD_NUMBER: _ClassVar[int]
    EMAIL_FIELD_NUMBER: _ClassVar[int]
    TIMESTAMP_FIELD_NUMBER: _ClassVar[int]
    PAYMENT_TYPE_FIELD_NUMBER: _ClassVar[int]
    INVOICE_ID_FIELD_NUMBER: _ClassVar[int]
    AMOUNT_FIELD_NUMBER: _ClassVar[int]
    PROVIDER_FIELD_NUMBER: _ClassVar[int]
    book: str
    message_id: str
    dry_run: bool
    user: str
    email: str
    timestamp: _timestamp_pb2.Timestamp
    payment_type: PaymentType
    invoice_id: str
    amount: int
    provider: str
    def __init__(self, book: _Optional[str] = ..., message_id: _Optional[str] = ..., dry_run: _Optional[bool] = ..., user: _Optional[str] = ..., email: _Optional[str] = ..., timestamp: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., payment_type: _Optional[_Union[PaymentType, str]] = ..., invoice_id: _Optional[str] = ..., amount: _Optional[int] = ..., provider: _Optional[str] = ...) -> None: ...

class PostPaymentRequest(_message.Message):
    __slots__ = ("book", "message_id", "dry_run", "user", "email", "timestamp", "payment_type", "transaction_id", "amount")
    BOOK_FIELD_NUMBER: _ClassVar[int]
    MESSAGE_ID_FIELD_NUMBER: _ClassVar[int]
    DRY_RUN_FIELD_NUMBER: _ClassVar[int]
    USER_FIELD_NUMBER: _ClassVar[int]
    EMAIL_FIELD_NUMBER: _ClassVar[int]
    TIMESTAMP_FIELD_NUMBER: _ClassVar[int]
    PAYMENT_TYPE_FIELD_NUMBER: _ClassVar[int]
    TRANSACTION_ID_FIELD_NUMBER: _ClassVar[int]
    AMOUNT_FIELD_NUMBER: _ClassVar[int]
    book: str
    message_id: str
    dry_run: bool
    user: str
    email: str
    timestamp: _timestamp_pb2.Timestamp
    payment_type: PaymentType
    transaction_id: str
    amount: int
    def __init__(self, book: _Optional[str] = ..., message_id: _Optional[str] = ..., dry_run: _Optional[bool] = ..., user: _Optional[str] = ..., email: _Optional[str] = ..., timestamp: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., payment_type: _Optional[_Union[PaymentType, str]] = ..., transaction_id: _Optional[str] = ..., amount: _Optional[int] = ...) -> None: ...

class GetPaymentRequest(_message.Message):
    __slots__ = ("book", "payment_id")
    BOOK_FIELD_NUMBER: _ClassVar[int]
    PAYMENT_ID_FIELD_NUMBER: _ClassVar[int]
    book: str
    payment_id: str
    def __init__(self, book: _Optional[str] = ..., payment_id: _Optional[str] = ...) -> None: ...

class Payment(_message.Message):
    __slots__ = ("payment_id", "status", "transaction_id", "token", "amount", "asset", "invoice_id", "receipt_id", "reason", "next_action", "action_url")
    PAYMENT_ID_FIELD_NUMBER: _ClassVar[int]
    STATUS_FIELD_NUMBER: _ClassVar[int]
    TRANSACTION_ID_FIELD_NUMBER: _ClassVar[int]
    TOKEN_FIELD_NUMBER: _ClassVar[int]
    AMOUNT_FIELD_NUMBER: _ClassVar[int]
    ASSET_FIELD_NUMBER: _ClassVar[int]
    INVOICE_ID_FIELD_NUMBER: _ClassVar[int]
    RECEIPT_ID_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    NEXT_ACTION_FIELD_NUMBER: _ClassVar[int]
    ACTION_URL_FIELD_NUMBER: _ClassVar[int]
    payment_id: str
    status: PaymentStatus
    transaction_id: str
    token: str
    amount: int
    asset: str
    invoice_id: str
    receipt_id: str
    reason: str
    next_action: NextAction
    action_url: str
    def __init__(self, payment_id: _Optional[str] = ..., status: _Optional[_Union[PaymentStatus, str]] = ..., transaction_id: _Optional[str] = ..., token: _Optional[str] = ..., amount: _Optional[int] = ..., asset: _Optional[str] = ..., invoice_id: _Optional[str] = ..., receipt_id: _Optional[str] = ..., reason: _Optional[str] = ..., next_action: _Optional[_Union[NextAction, str]] = ..., action_url: _Optional[str] = ...) -> None: ...

class RefundPaymentRequest(_message.Message):
    __slots__ = ("book", "message_id", "dry_run", "payment_id", "reason", "amount", "take_from")
    BOOK_FIELD_NUMBER: _ClassVar[int]
    MESSAGE_ID_FIELD_NUMBER: _ClassVar[int]
    DRY_RUN_FIELD_NUMBER: _ClassVar[int]
    PAYMENT_ID_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    AMOUNT_FIELD_NUMBER: _ClassVar[int]
    TAKE_FROM_FIELD_NUMBER: _ClassVar[int]
    book: str
    message_id: str
    dry_run: bool
    payment_id: str
    reason: str
    amount: int
    take_from: TakeFrom
    def __init__(self, book: _Optional[str] = ..., message_id: _Optional[str] = ..., dry_run: _Optional[bool] = ..., payment_id: _Optional[str] = ..., reason: _Optional[str] = ..., amount: _Optional[int] = ..., take_from: _Optional[_Union[TakeFrom, str]] = ...) -> None: ...

class GetRefundRequest(_message.Message):
    __slots__ = ("book", "refund_id")
    BOOK_FIELD_NUMBER: _ClassVar[int]
    REFUND_ID_FIELD_NUMBER: _ClassVar[int]
    book: str
    refund_id: str
    def __init__(self, book: _Optional[str] = ..., refund_id: _Optional[str] = ...) -> None: ...

class Refund(_message.Message):
    __slots__ = ("refund_id", "payment_id", "invoice_id", "customer", "provider", "transaction_id", "amount", "asset", "take_from", "reason", "status", "provider_refund_id", "failure", "requested_at", "ended_at")
    REFUND_ID_FIELD_NUMBER: _ClassVar[int]
    PAYMENT_ID_FIELD_NUMBER: _ClassVar[int]
    INVOICE_ID_FIELD_NUMBER: _ClassVar[int]
    CUSTOMER_FIELD_NUMBER: _ClassVar[int]
    PROVIDER_FIELD_NUMBER: _ClassVar[int]
    TRANSACTION_ID_FIELD_NUMBER: _ClassVar[int]
    AMOUNT_FIELD_NUMBER: _ClassVar[int]
    ASSET_FIELD_NUMBER: _ClassVar[int]
    TAKE_FROM_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    STATUS_FIELD_NUMBER: _ClassVar[int]
    PROVIDER_REFUND_ID_FIELD_NUMBER: _ClassVar[int]
    FAILURE_FIELD_NUMBER: _ClassVar[int]
    REQUESTED_AT_FIELD_NUMBER: _ClassVar[int]
    ENDED_AT_FIELD_NUMBER: _ClassVar[int]
    refund_id: str
    payment_id: str
    invoice_id: str
    customer: str
    provider: str
    transaction_id: str
    amount: int
    asset: str
    take_from: TakeFrom
    reason: str
    status: RefundStatus
    provider_refund_id: str
    failure: str
    requested_at: _timestamp_pb2.Timestamp
    ended_at: _timestamp_pb2.Timestamp
    def __init__(self, refund_id: _Optional[str] = ..., payment_id: _Optional[str] = ..., invoice_id: _Optional[str] = ..., customer: _Optional[str] = ..., provider: _Optional[str] = ..., transaction_id: _Optional[str] = ..., amount: _Optional[int] = ..., asset: _Optional[str] = ..., take_from: _Optional[_Union[TakeFrom, str]] = ..., reason: _Optional[str] = ..., status: _Optional[_Union[RefundStatus, str]] = ..., provider_refund_id: _Optional[str] = ..., failure: _Optional[str] = ..., requested_at: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., ended_at: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ...) -> None: ...

class GetReceiptRequest(_message.Message):
    __slots__ = ("book", "receipt_id")
    BOOK_FIELD_NUMBER: _ClassVar[int]
    RECEIPT_ID_FIELD_NUMBER: _ClassVar[int]
    book: str
    receipt_id: str
    def __init__(self, book: _Optional[str] = ..., receipt_id: _Optional[str] = ...) -> None: ...

class Receipt(_message.Message):
    __slots__ = ("file",)
    FILE_FIELD_NUMBER: _ClassVar[int]
    file: bytes
    def __init__(self, file: _Optional[bytes] = ...) -> None: ...

class StatusDetails(_message.Message):
    __slots__ = ("code", "message", "details")
    CODE_FIELD_NUMBER: _ClassVar[int]
    MESSAGE_FIELD_NUMBER: _ClassVar[int]
    DETAILS_FIELD_NUMBER: _ClassVar[int]
    code: int
    message: str
    details: _containers.RepeatedCompositeFieldContainer[_any_pb2.Any]
    def __init__(self, code: _Optional[int] = ..., message: _Optional[str] = ..., details: _Optional[_Iterable[_Union[_any_pb2.Any, _Mapping]]] = ...) -> None: ...

class Refusal(_message.Message):
    __slots__ = ("code", "field", "rule", "retry")
    CODE_FIELD_NUMBER: _ClassVar[int]
    FIELD_FIELD_NUMBER: _ClassVar[int]
    RULE_FIELD_NUMBER: _ClassVar[int]
    RETRY_FIELD_NUMBER: _ClassVar[int]
    code: str
    field: str
    rule: str
    retry: bool
    def __init__(self, code: _Optional[str] = ..., field: _Optional[str] = ..., rule: _Optional[str] = ..., retry: _Optional[bool] = ...) -> None: ...
