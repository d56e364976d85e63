"""
Describe the REST interface in OpenAPI 3.1, from the operations table.

``python -m tallystick.api.rest.openapi`` writes contracts/openapi.json.
"""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, get_args

import msgspec

from tallystick.api.errors import PROBLEM_TYPE, Problem
from tallystick.api.rest.cloudevents import BATCHED, SCOPE, STRUCTURED, BatchAnswer, EventItem
from tallystick.api.rest.export_usage import SCOPE as SCOPE_OF_EXPORTS
from tallystick.api.rest.invoice_files import SCOPE as SCOPE_OF_FILES
from tallystick.api.rest.mass_transfers import MEDIA_TYPES
from tallystick.api.rest.routes import BOOKS, Route, route_of
from tallystick.api.rest.slip_files import SCOPE as SCOPE_OF_SLIPS
from tallystick.ledger.files import Format
from tallystick.operations.model import Operation
from tallystick.operations.table import TABLE
from tallystick.operations.usage import MAX_EVENTS
from tallystick.usage.decode.cloudevent import CloudEvent, CloudEventData
from tallystick.usage.export.model import MEDIA_TYPES as USAGE_MEDIA
from tallystick.usage.export.model import Format as UsageFormat
from tallystick.usage.totals.buckets import Per

CONTRACT = Path(__file__).parents[3] / "contracts" / "openapi.json"
_REF = "#/components/schemas/{name}"
_BOOK = {
    "name": "book",
    "in": "path",
    "required": True,
    "description": "The name of the book.",
    "schema": {"type": "string", "pattern": "^[a-z][a-z0-9-]{0,62}$"},
}
_KEY = {
    "name": "Idempotency-Key",
    "in": "header",
    "required": False,
    "description": "Names the message in its book for ever: sent again with the same content it gets its first answer, "
    "with other content a conflict. Left out, it is made from the id in the body, or made up; the answer tells it.",
    "schema": {"type": "string", "pattern": "^[!-~]{1,255}$"},
}
_DRY_RUN = {
    "name": "dry_run",
    "in": "query",
    "required": False,
    "description": "Judge everything and keep nothing.",
    "schema": {"type": "boolean", "default": False},
}
_CHANGE_HEADERS = {
    "Idempotency-Key": {"description": "The key the message is kept under.", "schema": {"type": "string"}},
    "Idempotent-Replayed": {
        "description": "Present when this answer was given before.",
        "schema": {"type": "string", "const": "true"},
    },
}
_PROBLEM = {
    "description": "Nothing was changed; what is wrong.",
    "content": {PROBLEM_TYPE: {"schema": {"$ref": _REF.format(name="Problem")}}},
}

Json = dict[str, Any]

_BESIDE = (Problem, CloudEvent, CloudEventData, EventItem, BatchAnswer)
"""What is in bodies beside the inputs and outputs of operations."""


def document(table: Mapping[str, Operation]) -> Json:
    """Describe every operation of *table* that has a route."""
    routes = [route_of(operation) for operation in table.values() if operation.route]
    outputs = [route.operation.output for route in routes]
    inputs = [route.operation.input for route in routes]
    schemas, components = msgspec.json.schema_components([*_BESIDE, *outputs, *inputs], ref_template=_REF)
    of_outputs, of_inputs = schemas[len(_BESIDE) :][: len(routes)], schemas[len(_BESIDE) + len(routes) :]
    paths: dict[str, Json] = {
        "/health": _HEALTH, "/openapi.json": _DESCRIPTION, **_LOG_PATHS, **_MASS_PATHS, **_EVENT_PATHS, **_USAGE_PATHS,
        **_INVOICE_PATHS, **_PROVIDER_PATHS,
        **_SLIP_PATHS,
    }  # fmt: skip
    for route, input_, output in zip(routes, of_inputs, of_outputs, strict=True):
        described = _operation(route, input_, output, components)
        paths.setdefault(f"{BOOKS}{{book}}{route.path}", {})[route.method.lower()] = described
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Tallystick",
            "version": "1",
            "summary": "From a billable request to a receipt that anyone can check.",
            "description": "Amounts are integers in minor units. Every failure is a problem (RFC 9457) with a stable "
            "`code`. Pages carry `next`, the cursor to send as `after`.",
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        "security": [{"key": []}],
        "paths": paths,
        "components": {
            "schemas": _reachable(components, paths),
            "securitySchemes": {
                "key": {"type": "http", "scheme": "bearer", "description": "An API key, `tsk_…`, of the book."}
            },
        },
    }


def write(described: Json) -> bytes:
    """Write the document as it is checked in and served."""
    return (json.dumps(described, indent=1, ensure_ascii=False) + "\n").encode()


def _operation(route: Route, input_: Json, output: Json, components: Mapping[str, Json]) -> Json:
    operation = route.operation
    schema = components[input_["$ref"].rsplit("/", 1)[-1]]
    in_path = [_parameter(name, "path", schema) for name in route.path_fields]
    described: Json = {
        "operationId": operation.name,
        "tags": [operation.name.split(".", 1)[0]],
        "summary": operation.summary,
        "description": f"{operation.description}\n\nScope: `{operation.scope}`.",
        "parameters": [_BOOK, *in_path],
    }
    success: Json = {"description": "Done.", "content": {"application/json": {"schema": output}}}
    if route.method == "GET":
        in_query = [name for name in schema.get("properties", {}) if name not in route.path_fields]
        described["parameters"] += [_parameter(name, "query", schema) for name in in_query]
    else:
        body = _without(schema, route.path_fields) if in_path else input_
        described["requestBody"] = {
            "required": bool(schema.get("required")),
            "content": {"application/json": {"schema": body}},
        }
        if not operation.reads:
            described["parameters"] += [_KEY, _DRY_RUN]
            success["headers"] = _CHANGE_HEADERS
    described["responses"] = {"200": success, "default": _PROBLEM}
    return described


def _parameter(name: str, place: str, schema: Json) -> Json:
    required = place == "path" or name in schema.get("required", ())
    return {"name": name, "in": place, "required": required, "schema": schema["properties"][name]}


def _without(schema: Json, names: list[str]) -> Json:
    """Return the schema of an object without the fields that stand in the path."""
    return {
        **schema,
        "properties": {name: one for name, one in schema["properties"].items() if name not in names},
        "required": [name for name in schema.get("required", ()) if name not in names],
    }


def _reachable(components: Mapping[str, Json], start: object) -> dict[str, Json]:
    """Return the schemas that *start* refers to, themselves and through others, in order of name."""
    found: set[str] = set()
    waiting: list[object] = [start]
    while waiting:
        value = waiting.pop()
        if isinstance(value, dict):
            waiting.extend(value.values())
            name = str(value.get("$ref", "")).rsplit("/", 1)[-1]
            if name in components and name not in found:
                found.add(name)
                waiting.append(components[name])
        elif isinstance(value, list):
            waiting.extend(value)
    return {name: components[name] for name in sorted(found)}


def _open_to_all(operation_id: str, summary: str, schema: Json) -> Json:
    success = {"description": summary, "content": {"application/json": {"schema": schema}}}
    return {
        "get": {
            "operationId": operation_id,
            "tags": ["server"],
            "summary": summary,
            "security": [],
            "responses": {"200": success, "default": _PROBLEM},
        }
    }


def _of_log(operation_id: str, summary: str, media: str, parameters: list[Json]) -> Json:
    success = {"description": summary, "content": {media: {"schema": {"type": "string"}}}}
    return {
        "get": {
            "operationId": operation_id,
            "tags": ["log"],
            "summary": summary,
            "description": f"{summary}\n\nScope: `ledger:read`.",
            "parameters": [_BOOK, *parameters],
            "responses": {"200": success, "default": _PROBLEM},
        }
    }


_HEALTH = _open_to_all(
    "health",
    "Say that the server lives, and whether it reaches its store.",
    {
        "type": "object",
        "properties": {"status": {"const": "ok"}, "store": {"enum": ["reachable", "unreachable"]}},
        "required": ["status", "store"],
    },
)
_DESCRIPTION = _open_to_all("openapi", "Return this document.", {"type": "object"})
_TILE = {
    "name": "tile",
    "in": "path",
    "required": True,
    "description": "The address behind `tile/`, as in `0/x001/234.p/5`; its slashes are sent as they are.",
    "schema": {"type": "string"},
}
_LOG_PATHS = {
    f"{BOOKS}{{book}}/log/checkpoint": _of_log(
        "log.checkpoint", "Return the newest signed checkpoint of the log (C2SP tlog-checkpoint).", "text/plain", []
    ),
    f"{BOOKS}{{book}}/log/tile/{{tile}}": _of_log(
        "log.tile", "Return a tile of the log's tree (C2SP tlog-tiles).", "application/octet-stream", [_TILE]
    ),
}

_FILE = {"schema": {"type": "string", "contentEncoding": "binary"}}
_MEDIA = {media.decode(): _FILE for media in MEDIA_TYPES.values()}


def _in_query(name: str, schema: Json, description: str, *, required: bool = False) -> Json:
    return {"name": name, "in": "query", "required": required, "description": description, "schema": schema}


_INSTANT = {"type": "string", "format": "date-time"}
_MASS_PATHS: dict[str, Json] = {
    f"{BOOKS}{{book}}/transfers/import": {
        "post": {
            "operationId": "ledger.import",
            "tags": ["ledger"],
            "summary": "Post the transfers in a file, and tell as it goes what became of them.",
            "description": "The answer is a line of JSON for each step (`progress`), for each refused row (`refused`), "
            "and at the end one that says it all (`done`), or what ended it (`failed`). Sent again, the file posts "
            "nothing twice.\n\nScope: `ledger:write`.",
            "parameters": [
                _BOOK,
                _in_query("open_accounts", {"type": "string"}, "Open the accounts that the book lacks, in this asset."),
                _in_query("retry_refused", {"type": "boolean"}, "Judge rows again that were refused before."),
                _DRY_RUN,
            ],
            "requestBody": {"required": True, "content": {**_MEDIA, "application/octet-stream": _FILE}},
            "responses": {
                "200": {"description": "Lines of JSON.", "content": {"application/x-ndjson": {"schema": {}}}},
                "default": _PROBLEM,
            },
        }
    },
    f"{BOOKS}{{book}}/transfers/export": {
        "get": {
            "operationId": "ledger.export",
            "tags": ["ledger"],
            "summary": "Return the transfers that moved money, in the order of the log, as a file.",
            "description": "It can be imported elsewhere.\n\nScope: `ledger:read`.",
            "parameters": [
                _BOOK,
                _in_query("format", {"enum": [one.value for one in Format]}, "The file's format.", required=True),
                _in_query("account", {"type": "string"}, "Only this account and those below it."),
                _in_query("since", _INSTANT, "Recorded from this instant on."),
                _in_query("until", _INSTANT, "Recorded before this instant."),
            ],
            "responses": {"200": {"description": "The file.", "content": _MEDIA}, "default": _PROBLEM},
        }
    },
}

_TEXT = {"type": "string"}
_TEXTS = {"type": "array", "items": _TEXT}
_USAGE_PATHS: dict[str, Json] = {
    f"{BOOKS}{{book}}/usage/export": {
        "get": {
            "operationId": "usage.export",
            "tags": ["usage"],
            "summary": "Return readings of usage, or the events themselves, as a file.",
            "description": "Readings as `usage.totals` gives them, all of one moment; with `events` the events as they "
            "are in force. Numbers that may have decimals are text. A file that ends early was cut off: ask again."
            f"\n\nScope: `{SCOPE_OF_EXPORTS}`.",
            "parameters": [
                _BOOK,
                _in_query("format", {"enum": [one.value for one in UsageFormat]}, "The file's format.", required=True),
                _in_query("events", {"type": "boolean", "default": False}, "Events instead of readings."),
                _in_query("start_at", _INSTANT, "From this instant on; of events it may be left out."),
                _in_query("end_at", _INSTANT, "Before this instant; of events it may be left out."),
                _in_query("meter", _TEXT, "What is read; or else a type. Not with events."),
                _in_query("type", _TEXT, "The type of events."),
                _in_query("quantity", _TEXT, "With a type: which quantity is added up. Not with events."),
                _in_query("customer", _TEXT, "Only this customer."),
                _in_query("where", _TEXTS, "Only these values of dimensions, `dimension:value` each."),
                _in_query("group_by", _TEXTS, "Told apart by these dimensions, and `customer`. Not with events."),
                _in_query("per", {"enum": ["none", *get_args(Per)]}, "Cut into these. Not with events."),
                _in_query("zone", _TEXT, "The IANA zone of days and months. Not with events."),
            ],
            "responses": {
                "200": {
                    "description": "The file.", "content": {media.decode(): _FILE for media in USAGE_MEDIA.values()}
                },
                "default": _PROBLEM,
            },
        }
    }
}  # fmt: skip


_SLIP_PATHS: dict[str, Json] = {
    f"{BOOKS}{{book}}/slips/{{id}}/barcode.{what}": {
        "get": {
            "operationId": f"slips.barcode_{what}",
            "tags": ["slips"],
            "summary": f"Return the barcode of a slip as {what.upper()}: GS1-128, with its number beneath.",
            "description": f"The same bytes for the same slip.\n\nScope: `{SCOPE_OF_SLIPS}`.",
            "parameters": [_BOOK, {"name": "id", "in": "path", "required": True, "description": "The id of the slip.",
                                   "schema": {"type": "string", "format": "uuid"}}],
            "responses": {
                "200": {"description": "The file.", "content": {media: _FILE}},
                "304": {"description": "It is still the same."},
                "default": _PROBLEM,
            },
        }
    }
    for what, media in (("svg", "image/svg+xml"), ("png", "image/png"))
}  # fmt: skip


def _document_file(of: str, what: str, media: str, summary: str, description: str) -> Json:
    document = {"name": "id", "in": "path", "required": True, "description": f"The id of the {of.replace('_', ' ')}.",
                "schema": {"type": "string", "format": "uuid"}}  # fmt: skip
    known = {"name": "If-None-Match", "in": "header", "required": False,
             "description": "The tag of the file that is there already.", "schema": {"type": "string"}}  # fmt: skip
    return {
        "get": {
            "operationId": f"documents.{of}_{what}",
            "tags": ["documents"],
            "summary": summary,
            "description": f"{description}\n\nScope: `{SCOPE_OF_FILES}`.",
            "parameters": [_BOOK, document, known],
            "responses": {
                "200": {
                    "description": "The file.",
                    "headers": {"ETag": {"description": "The tag of its bytes.", "schema": {"type": "string"}}},
                    "content": {media: _FILE},
                },
                "304": {"description": "It is still the same."},
                "default": _PROBLEM,
            },
        }
    }


_INVOICE_PATHS: dict[str, Json] = {
    f"{BOOKS}{{book}}/{path}/{{id}}/{what}": _document_file(of, what, media, summary, description)
    for path, of in (("invoices", "invoice"), ("credit-notes", "credit_note"))
    for what, media, summary, description in (
        (
            "pdf",
            "application/pdf",
            f"Return an issued {of.replace('_', ' ')} as PDF/A-3, with its electronic invoice attached.",
            (
                "In the language of the buyer. The header `Electronic-Invoice` says `attached`, or the code of the reason "
                "why EN 16931 has no way to say it."
            ),
        ),
        (
            "xml",
            "application/xml",
            f"Return the electronic invoice of an issued {of.replace('_', ' ')}: EN 16931 as Cross Industry Invoice.",
            "It is what is attached to the PDF.",
        ),
    )
}


def _schema(type_: type[msgspec.Struct]) -> Json:
    return {"$ref": _REF.format(name=type_.__name__)}


_EVENT_PATHS: dict[str, Json] = {
    f"{BOOKS}{{book}}/events": {
        "post": {
            "operationId": "usage.record_cloudevents",
            "tags": ["usage"],
            "summary": "Record usage that comes as CloudEvents 1.0: one event, or a batch of which each is answered.",
            "description": "Structured, batched and binary mode (attributes in `ce-…` headers, the data as JSON body). "
            "An event is known by its source and id, so it is sent again as it was. A single event that is invalid or in "
            f"conflict is a problem; in a batch it is an item, and costs itself alone.\n\nScope: `{SCOPE}`.",
            "parameters": [_BOOK, _DRY_RUN],
            "requestBody": {
                "required": True,
                "content": {
                    STRUCTURED: {"schema": _schema(CloudEvent)},
                    BATCHED: {
                        "schema": {
                            "type": "array", "items": _schema(CloudEvent), "minItems": 1, "maxItems": MAX_EVENTS
                        }
                    },
                    "application/json": {"schema": _schema(CloudEventData)},
                },
            },
            "responses": {
                "200": {
                    "description": "What became of the event, or of each event of the batch.",
                    "content": {"application/json": {"schema": {"oneOf": [_schema(EventItem), _schema(BatchAnswer)]}}},
                },
                "default": _PROBLEM,
            },
        }
    }
}  # fmt: skip

_PROVIDER_PATHS: dict[str, Json] = {
    f"{BOOKS}{{book}}/providers/{{provider}}/webhook": {
        "post": {
            "operationId": "payments.provider_webhook",
            "tags": ["payments"],
            "summary": "Hear what a payment provider tells by webhook.",
            "description": "The provider's signature stands for a key; the body is the provider's own, up to a mebibyte. "
            "The answer is 200 once the event is kept: sent again, it is known. What is not genuine is a 401, and what "
            "cannot be checked or kept just now a 503, to be sent again.",
            "parameters": [
                _BOOK,
                {
                    "name": "provider",
                    "in": "path",
                    "required": True,
                    "description": "The name of a provider of this server.",
                    "schema": {"type": "string"},
                },
            ],
            "security": [],
            "requestBody": {"required": True, "content": {"application/json": {"schema": {}}}},
            "responses": {
                "200": {
                    "description": "It is kept, and the provider is asked how what it is about stands.",
                    "content": {
                        "application/json": {
                            "schema": {
                                "type": "object",
                                "properties": {"heard": {"const": True}},
                                "required": ["heard"],
                            }
                        }
                    },
                },
                "default": _PROBLEM,
            },
        }
    }
}

if __name__ == "__main__":
    CONTRACT.parent.mkdir(exist_ok=True)
    CONTRACT.write_bytes(write(document(TABLE)))
