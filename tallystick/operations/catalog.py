"""The catalog's operations: meters, and prices versioned in time."""

from typing import Annotated, Any

import msgspec

from tallystick.catalog import list_catalog
from tallystick.catalog.define_meter import define_meter
from tallystick.catalog.list_catalog import MetersPage, PricesPage
from tallystick.catalog.model import Aggregation, Meter, PriceVersion, TimeUnit
from tallystick.catalog.plans.find_plan import require_no_plan
from tallystick.catalog.set_price import set_price
from tallystick.operations.fields import AssetCode, Instant, PageSize
from tallystick.operations.model import Call, Input, Operation

CatalogCode = Annotated[str, msgspec.Meta(pattern=r"^[a-z][a-z0-9_.-]{0,62}$(?!\n)")]
"""The code of a product, a charge or a meter."""
Name = Annotated[str, msgspec.Meta(min_length=1, max_length=255, pattern=r"^[^\x00-\x1f\x7f]+$(?!\n)")]
DEFAULT_PRODUCT = "api"


class MeterInput(Input, frozen=True):
    """A meter: what it makes of the events of a type, which of them count, and what they are told apart by."""

    code: CatalogCode
    name: Name
    """What it counts, in the plural, as invoices print it: ``requests``."""
    event_type: Name
    aggregation: Aggregation
    quantity: Name | None = None
    """Which quantity is measured; left out exactly for ``count`` and ``unique``."""
    dimension: Name | None = None
    """Of ``unique`` the one whose values are counted; of ``time_weighted``, each value has a level of its own."""
    filters: dict[str, list[str]] = msgspec.field(default_factory=dict)
    """Only events count whose dimensions have one of these values each."""
    group_by: list[str] = msgspec.field(default_factory=list)
    """The dimensions that totals may be told apart by."""
    time_unit: TimeUnit | None = None
    """Given exactly for ``time_weighted``: an hour, a day of 24 hours, or the whole period that is read."""


class PriceInput(Input, frozen=True):
    """A version of a charge's price, in force from ``effective_at`` until the next."""

    charge: CatalogCode
    effective_at: Instant
    name: Name
    asset: AssetCode
    price: dict[str, Any]
    """One of the charge models of rating, every number as decimal text."""
    meter: CatalogCode | None = None
    """Left out exactly for a flat price."""
    product: CatalogCode = DEFAULT_PRODUCT


class CatalogPageInput(Input, frozen=True):
    """Which page: what sorts behind the cursor."""

    after: Annotated[str, msgspec.Meta(max_length=255, pattern=r"^[^\x00]*$(?!\n)")] = ""
    limit: PageSize = 100


async def define(call: Call, request: MeterInput) -> Meter:
    """Define a meter, or find it defined the same."""
    wanted = Meter(*(getattr(request, name) for name in Meter.__struct_fields__))
    return await define_meter(call.connection, call.recorded, wanted)


async def list_meters(call: Call, request: CatalogPageInput) -> MetersPage:
    """Return a page of meters in order of code."""
    return await list_catalog.list_meters(call.connection, call.book.book_id, request.after, request.limit)


async def append_price(call: Call, request: PriceInput) -> PriceVersion:
    """Set what a charge costs from an instant on; invoices that were made stay as they are."""
    await require_no_plan(call.connection, call.book.book_id, request.product)
    wanted = PriceVersion(
        request.product,
        request.charge,
        request.effective_at,
        request.name,
        request.meter,
        request.asset,
        request.price,
    )
    return await set_price(call.connection, call.recorded, wanted)


async def list_prices(call: Call, request: CatalogPageInput) -> PricesPage:
    """Return a page of price versions by product, charge and instant."""
    return await list_catalog.list_prices(call.connection, call.book.book_id, request.after, request.limit)


OPERATIONS = [
    Operation("catalog.define_meter", MeterInput, Meter, "catalog:write", "POST /meters", define),
    Operation(
        "catalog.list_meters", CatalogPageInput, MetersPage, "catalog:read", "GET /meters", list_meters, reads=True
    ),
    Operation("catalog.set_price", PriceInput, PriceVersion, "catalog:write", "POST /prices", append_price),
    Operation(
        "catalog.list_prices", CatalogPageInput, PricesPage, "catalog:read", "GET /prices", list_prices, reads=True
    ),
]
