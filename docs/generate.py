# ruff: noqa: INP001 - docs/ is a folder of pages, no package of the product
"""
Write docs/reference/ from the program itself: operations, errors and settings.

``python -m docs.generate`` writes the pages; ``tests/docs/test_reference.py`` holds that they are what it would write.
"""

import ast
import datetime as dt
import functools
import importlib
import inspect
import pkgutil
import re
import textwrap
from collections.abc import Iterator, Mapping
from dataclasses import MISSING, fields
from itertools import pairwise
from pathlib import Path
from typing import Any, get_args, get_type_hints

import msgspec

import tallystick
from docs.transfer_results import NAME, transfer_results_page
from tallystick.api.errors import STATUS, STATUS_OF_CODE
from tallystick.errors import Kind, TallystickError, every_error
from tallystick.notify.model import EVENT_TYPES, EventData, PlacedAmount
from tallystick.operations.model import Operation
from tallystick.operations.table import TABLE
from tallystick.settings import VARIABLES, Settings

PAGES = Path(__file__).with_name("reference")
_REF = "{name}"
_WRITTEN = "<!-- Written by `python -m docs.generate`; change what it describes, then run that. -->"

MEANINGS: dict[Kind, str] = {
    Kind.INVALID: "The input breaks a rule; `field` names it. Change the input.",
    Kind.UNAUTHENTICATED: "No key was shown, or none that is good.",
    Kind.FORBIDDEN: "The key is good and does not allow this.",
    Kind.NOT_FOUND: "What the input names is not there.",
    Kind.CONFLICT: "It contradicts what is kept: another content under the same name.",
    Kind.REFUSED: "The input is well formed, and the state of things forbids it.",
    Kind.TOO_LARGE: "More than is taken at once. Send less.",
    Kind.RATE_LIMITED: "Too much in too short a time. Send it again later.",
    Kind.UNAVAILABLE: "Something that is needed is away or not ready. Send the same again.",
    Kind.INTERNAL: "A fault of ours; the server's log has it.",
}

Json = dict[str, Any]


def pages() -> dict[str, str]:
    """Return every page by its file's name."""
    return {
        "operations.md": operations_page(),
        "errors.md": errors_page(),
        "settings.md": settings_page(),
        "events.md": events_page(),
        NAME: transfer_results_page(_WRITTEN),
    }


def operations_page() -> str:
    """Describe every operation that a caller can ask for."""
    parts = [
        "# Operations",
        _WRITTEN,
        (
            "All that a caller can do, in the order of the table that every door goes through. On the command line each is\n"
            "`tallystick do NAME JSON`; over REST it is at `/v1/books/{book}` and the route below, with\n"
            "`Authorization: Bearer tsk_…`. A change takes an `Idempotency-Key` (the same key is done once and gets its first\n"
            "answer again) and `?dry_run=true`. An amount is an integer of minor units (cents); an instant has a time zone.\n"
            "Bold fields must be given. The exact contract is [openapi.json](../../contracts/openapi.json)."
        ),
        _index(),
    ]
    homes: dict[str, str] = {}
    parts.extend(_operation(one, homes) for one in TABLE.values() if one.route)
    return _page(parts)


def errors_page() -> str:
    """Describe every error, and once what its kind means."""
    kinds = _table(
        ("kind", "HTTP", "the same again may succeed", "means"),
        [(f"`{kind.value}`", STATUS[kind], "yes" if kind.retry_helps else "no", MEANINGS[kind]) for kind in Kind],
    )
    errors = _table(("code", "kind", "HTTP", "message"), [_error(error) for error in _errors()])
    return _page(
        [
            "# Errors",
            _WRITTEN,
            (
                "Each error has a `code` that stays, and one of ten kinds, which says what can be done about it. REST tells\n"
                "them as problem details (RFC 9457): `code`, `field` (the input to blame, or null), `detail` (the message), `retry`;\n"
                "the command line as one line on standard error, with an exit code other than 0."
            ),
            (
                "A refusal of the kinds `invalid`, `not_found`, `conflict` and `refused` that an operation gave is kept with its\n"
                "message: the same `Idempotency-Key` gets it again. Of the other kinds nothing is kept."
            ),
            "## Kinds",
            kinds,
            "## Codes",
            "What stands in braces is filled in.",
            errors,
        ]
    )


def settings_page() -> str:
    """Describe every environment variable."""
    documented = _docs_of_fields(Settings)
    by_name = {field.name: field for field in fields(Settings)}
    rows = []
    for variable, (name, _) in VARIABLES.items():
        says = documented[name].removeprefix(f"{variable}: ").replace("None", "none")
        rows.append((f"`{variable}`", _default(by_name[name].default), says))
    return _page(
        [
            "# Settings",
            _WRITTEN,
            (
                "Environment variables, read when a process starts; one that is empty counts as absent. `tallystick up` takes\n"
                "`--port`, `--host` and `--data` besides, which go before them."
            ),
            _table(("variable", "default", "what it is"), rows),
        ]
    )


def events_page() -> str:
    """Describe every type of event that others are told of, with its data."""
    types = _table(
        ("type", "subject", "told when", "data"),
        [
            (f"`{one.name}`", f"`{one.subject}`", one.when, f"[{one.data.__name__}](#{_anchor(one.data.__name__)})")
            for one in EVENT_TYPES.values()
        ],
    )
    parts = [
        "# Events",
        _WRITTEN,
        (
            "What others are told of, as signed webhooks ([how to receive them](../how-to/receive-webhooks.md)) and at\n"
            "`GET /events`. The body is `type`, `timestamp` (when it was told), `book`, `subject` and `data`; the events of\n"
            "one subject arrive in the order in which they were told. Amounts are integers of minor units, ids and instants\n"
            "are text, and so is a decimal number. A field that can be absent is left out when there is nothing to say."
        ),
        types,
    ]
    structs: list[type[EventData]] = [*dict.fromkeys(one.data for one in EVENT_TYPES.values()), PlacedAmount]
    parts.extend(part for struct in structs for part in _event_data(struct))
    return _page(parts)


def _event_data(struct: type[EventData]) -> tuple[str, str, str]:
    documented = _docs_of_fields(struct)
    shown = [
        (f"`{one.encode_name}`", "yes" if one.required else "no", documented.get(one.name, ""))
        for one in msgspec.structs.fields(struct)
    ]
    says = _sentence((struct.__doc__ or "").strip())
    return f"## {struct.__name__}", says, _table(("field", "always there", "what it is"), shown)


def load_everything() -> None:
    """Import every module of the product, so that no error is missing."""
    for module in pkgutil.walk_packages(tallystick.__path__, "tallystick."):
        if not module.name.endswith("__main__"):
            importlib.import_module(module.name)


def _index() -> str:
    offered = [one for one in TABLE.values() if one.route]
    rows = [(f"[{one.name}](#{_anchor(one.name)})", f"`{one.route}`", f"`{one.scope}`", one.summary) for one in offered]
    return _table(("operation", "REST", "scope", "what it does"), rows)


def _operation(one: Operation, homes: dict[str, str]) -> str:
    """Describe an operation; *homes* says where on the page each object was described first."""
    kind = "reads" if one.reads else "changes"
    parts = [f"## {one.name}", one.description, f"`{one.route}` · scope `{one.scope}` · {kind}"]
    (input_, output), components = msgspec.json.schema_components([one.input, one.output], ref_template=_REF)
    components |= _inline_objects(components)
    for verb, schema in (("Takes", input_), ("Answers", output)):
        parts.extend(_structure(verb, schema, components, homes, one.name))
    return "\n\n".join(parts)


def _structure(
    verb: str, schema: Json, components: Mapping[str, Json], homes: dict[str, str], operation: str
) -> Iterator[str]:
    """Describe what goes in or out, then the objects inside it, each once on the page."""
    name = _name_in(schema)
    if name is None or not components.get(name, {}).get("properties"):
        yield f"**{verb}** " + ("nothing but the book." if verb == "Takes" else f"{_type(schema, components)}.")
        return
    many = " Each of a list:" if schema.get("type") == "array" else ""
    if name in homes:
        yield f"**{verb}**{many} `{name}`, as under [{homes[name]}](#{_anchor(homes[name])})."
        return
    waiting = [name]
    while waiting:
        current = waiting.pop(0)
        if current in homes:
            continue
        homes[current] = operation
        described = components[current]
        title = f"**{verb}**{many}" if current == name else f"**`{current}`**"
        yield f"{title} {_sentence(described.get('description', '')).replace('None', 'null')}".strip()
        yield _fields(current, described, components)
        inner = [_name_in(one) for one in described["properties"].values()]
        waiting.extend(one for one in inner if one is not None and components.get(one, {}).get("properties"))


def _inline_objects(components: Mapping[str, Json]) -> dict[str, Json]:
    """Return by title the objects that stand inside others, as the events of usage do, which are judged one by one."""
    found = {}
    for described in components.values():
        for schema in described.get("properties", {}).values():
            item = schema.get("items")
            if isinstance(item, dict) and "properties" in item:
                found[item["title"]] = dict(item)
                schema["items"] = {"$ref": item["title"]}
    return found


def _fields(owner: str, described: Json, components: Mapping[str, Json]) -> str:
    required = set(described.get("required", ()))
    documented, instants = _structs()[owner]
    rows = []
    for name, schema in described["properties"].items():
        shown = f"**`{name}`**" if name in required else f"`{name}`"
        says = [documented.get(name, "").replace("None", "null"), *_rules(schema)]
        kind = _type(schema, components)
        kind = kind.replace("text", "instant") if name in instants else kind
        rows.append((shown, kind, " ".join(part for part in says if part)))
    return _table(("field", "type", ""), rows)


def _rules(schema: Json) -> list[str]:
    """Return what a value must keep, and what stands for it when it is left out."""
    one = next((part for part in schema.get("anyOf", ()) if part.get("type") != "null"), schema)
    rules = []
    low, high = one.get("minimum"), one.get("maximum")
    if low is not None or high is not None:
        rules.append(f"From {low:,} to {high:,}." if None not in {low, high} else f"At least {low:,}.")
    if "minItems" in one or "maxItems" in one:
        rules.append(f"{one.get('minItems', 0):,} to {one['maxItems']:,} items.")
    if "default" in schema and schema["default"] is not None:
        rules.append(f"Default `{msgspec.json.encode(schema['default']).decode()}`.")
    return rules


def _type(schema: Json, components: Mapping[str, Json]) -> str:
    if "$ref" in schema:
        return _type_of_name(schema["$ref"], components)
    if "anyOf" in schema:
        return " or ".join(_type(part, components) for part in schema["anyOf"])
    if "enum" in schema:
        return " or ".join(f"`{value}`" for value in schema["enum"])
    if "prefixItems" in schema:
        return f"[{', '.join(_type(part, components) for part in schema['prefixItems'])}]"
    if schema.get("type") == "array":
        return f"list of {_type(schema['items'], components)}" if schema.get("items") else "list"
    formats = {"uuid": "UUID", "date-time": "instant", "date": "date", "decimal": "decimal text"}
    kind = str(schema.get("type", "anything")).replace("string", "text")
    return formats.get(schema.get("format", ""), kind)


def _type_of_name(name: str, components: Mapping[str, Json]) -> str:
    described = components[name]
    return f"`{name}`" if described.get("properties") else _type(described, components)


def _name_in(schema: Json) -> str | None:
    """Return the name of the object that *schema* is, lists, or may be."""
    if "$ref" in schema:
        return str(schema["$ref"])
    for part in [schema.get("items"), *schema.get("anyOf", ())]:
        found = _name_in(part) if isinstance(part, dict) else None
        if found is not None:
            return found
    return None


def _errors() -> list[type[TallystickError]]:
    """Return the errors of the product; a test may have made others."""
    load_everything()
    return [error for error in every_error() if error.__module__.startswith("tallystick.")]


def _error(error: type[TallystickError]) -> tuple[object, ...]:
    message = (error.__doc__ or "").strip().splitlines()[0]
    return f"`{error.code}`", f"`{error.kind.value}`", STATUS_OF_CODE.get(error.code) or STATUS[error.kind], message


_OF_PROVIDERS = tuple(f"tallystick.payments.providers.{one}." for one in ("paypal", "sandbox", "stripe"))
"""What they call a refund, a dispute or an event is not what an operation does."""


@functools.cache
def _structs() -> dict[str, tuple[dict[str, str], set[str]]]:
    """Return by struct the texts that stand under its fields, and which of its fields are instants."""
    load_everything()
    found = {}
    waiting: list[type] = [msgspec.Struct]
    while waiting:
        inside: list[type] = waiting.pop().__subclasses__()
        waiting.extend(inside)
        for struct in inside:
            if struct.__module__.startswith("tallystick.") and not struct.__module__.startswith(_OF_PROVIDERS):
                found[struct.__name__] = _docs_of_fields(struct), _instants_of(struct)
    return found


def _instants_of(struct: type) -> set[str]:
    """JSON Schema calls an instant that may lack a zone plain text; ours never lack one."""
    return {name for name, hint in get_type_hints(struct).items() if dt.datetime in {hint, *get_args(hint)}}


def _docs_of_fields(owner: type) -> dict[str, str]:
    """Return the text under each field of a class, in one line."""
    (tree,) = ast.parse(textwrap.dedent(inspect.getsource(owner))).body
    body = tree.body if isinstance(tree, ast.ClassDef) else []
    documented = {}
    for before, after in pairwise(body):
        if isinstance(before, ast.AnnAssign) and isinstance(before.target, ast.Name) and _is_text(after):
            documented[before.target.id] = _sentence(ast.literal_eval(ast.unparse(after)))
    return documented


def _is_text(node: ast.stmt) -> bool:
    return isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str)


def _default(value: object) -> str:
    if value is MISSING:
        return "`/var/lib/tallystick` for root, else `~/.local/share/tallystick`"
    return "none" if value is None else f"`{value}`"


def _sentence(text: str) -> str:
    """Put a docstring on one line, its code marked as Markdown has it."""
    return re.sub(r"\s+", " ", text.replace("``", "`")).strip()


def _anchor(heading: str) -> str:
    """Return a heading's anchor as GitHub makes it."""
    return re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-")


def _table(head: tuple[str, ...], rows: list[tuple[Any, ...]]) -> str:
    lines = [head, ("---",) * len(head), *rows]
    return "\n".join(f"| {' | '.join(str(cell).replace('|', chr(92) + '|') for cell in line)} |" for line in lines)


def _page(parts: list[str]) -> str:
    return "\n\n".join(parts) + "\n"


if __name__ == "__main__":
    PAGES.mkdir(exist_ok=True)
    for file_name, text in pages().items():
        (PAGES / file_name).write_text(text, encoding="utf-8")
