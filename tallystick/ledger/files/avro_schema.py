"""
The Avro schemas of what is written, made from its layout.

``python -m tallystick.ledger.files.avro_schema`` writes them to contracts/.
"""

import json
from pathlib import Path
from typing import Any

from tallystick.ledger.files.layout import RESULTS, TRANSFERS, Column, Layout, Stored

CONTRACTS = {"transfers.avsc": TRANSFERS, "transfer_results.avsc": RESULTS}
NAMESPACE = "tallystick"

_TYPES: dict[Stored, str | dict[str, str]] = {
    Stored.UUID: {"type": "string", "logicalType": "uuid"},  # as text, which readers older than Avro 1.12 know too
    Stored.TEXT: "string",
    Stored.LONG: "long",
    Stored.INSTANT: {"type": "long", "logicalType": "timestamp-micros"},
}


def avro_schema(layout: Layout) -> dict[str, Any]:
    """Write the schema of a record that has the columns of *layout*."""
    return {
        "type": "record",
        "name": layout.record,
        "namespace": NAMESPACE,
        "doc": layout.doc,
        "fields": [_field(column) for column in layout.columns],
    }


def schema_text(layout: Layout) -> str:
    """Write the schema as it stands in its file."""
    return json.dumps(avro_schema(layout), indent=1) + "\n"


def _field(column: Column) -> dict[str, Any]:
    stored = _TYPES[column.stored]
    if column.may_lack:
        return {"name": column.name, "type": ["null", stored], "default": None, "doc": column.doc}
    return {"name": column.name, "type": stored, "doc": column.doc}


if __name__ == "__main__":
    for name, layout in CONTRACTS.items():
        (Path(__file__).parents[3] / "contracts" / name).write_text(schema_text(layout), encoding="utf-8")
