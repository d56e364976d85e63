"""`tallystick usage why`: where one event is, drawn as a tree."""

import datetime as dt
from collections.abc import Iterator
from typing import Annotated, Any

import msgspec
import typer
from rich.text import Text
from rich.tree import Tree

from tallystick.cli.console import out
from tallystick.cli.run import Book, on_store
from tallystick.lineage.why.model import Arrival, PaidBy, RatedIn, Why
from tallystick.money import Asset, Money
from tallystick.open_store import FIRST_BOOK, Store
from tallystick.security.model import OPERATOR

_DIM = "dim"
_STANDING = {
    "never_seen": ("never seen", "bold red"),
    "not_billable": ("not billable", "bold yellow"),
    "accepted": ("accepted", "bold green"),
    "void": ("taken back", "bold yellow"),
}


def why(
    event: Annotated[
        str, typer.Argument(metavar="EVENT", help="Its id with --source, SOURCE/ID, or the key it is stored under.")
    ],
    source: Annotated[str | None, typer.Option(help="Who reported it: ids are unique within a source.")] = None,
    book: Book = FIRST_BOOK,
    as_json: Annotated[bool, typer.Option("--json", help="Print it as JSON, as REST answers it.")] = False,
) -> None:
    """
    Say where a usage event is: received when and how, billable by which rule, rated in which line, paid by what.

    The exit code is 4 if it was never seen.
    """
    asked = {"event": event, "source": source}

    async def work(store: Store) -> bytes:
        return (await store.operations.run(OPERATOR, book, "usage.why", "", asked)).body

    answer = on_store(work)
    found = msgspec.json.decode(answer, type=Why)
    if as_json:
        print(msgspec.json.format(answer, indent=2).decode())
    else:
        out.print(draw(found), soft_wrap=not out.is_terminal, highlight=False)
    if found.standing == "never_seen":
        raise typer.Exit(4)


def draw(found: Why) -> Tree:
    """Draw what there is to say of an event, from its arrival to the receipt."""
    standing, style = _STANDING[found.standing]
    tree = Tree(_head(found).append(f"  {standing}", style))
    for arrival in found.arrivals:
        tree.add(_arrival(arrival))
    for one in found.corrections:
        what = "amended" if one.kind == "amend" else "taken back"
        tree.add(_node(what, one.reason, f"{_instant(one.at)}  by {one.by}, message {one.message}"))
    for step in found.months:
        tree.add(_node(f"month {step.step}", step.file or "", _instant(step.at)))
    if found.meters:
        branch = tree.add(Text("counted by", "bold"))
        for meter in found.meters:
            counted = "1" if meter.quantity is None else meter.quantity
            branch.add(_node(meter.code, f"{meter.aggregation}, {counted} {meter.name}"))
    for line in found.lines:
        _hang(tree, line)
    for hint in found.hints:
        tree.add(Text(hint, "italic"))
    return tree


def _head(found: Why) -> Text:
    text = Text("event ", "bold cyan").append("/".join(filter(None, (found.source, found.id))) or found.asked, "bold")
    facts = [found.type, f"of {found.customer}" if found.customer else None, _instant(found.at) if found.at else None]
    text.append("".join(f"  {one}" for one in facts if one), _DIM)
    for values in (found.quantities, found.dimensions):
        text.append("".join(f"  {name} {value}" for name, value in (values or {}).items()))
    return text


def _arrival(arrival: Arrival) -> Text:
    what = arrival.outcome.replace("_", " ")
    text = _node(what, arrival.reason or "", "  ".join(_way(arrival)))
    if arrival.rule is not None:
        text.append(f"\nby the rule {_rule(arrival.rule)}", _DIM)
    return text


def _way(arrival: Arrival) -> Iterator[str]:
    if arrival.at is not None:
        yield _instant(arrival.at)
    if arrival.door is not None:
        yield f"by {arrival.door}"
    if arrival.message is not None:
        yield f"from {arrival.by}, message {arrival.message}"


def _rule(rule: dict[str, Any]) -> str:
    statuses = ", ".join(f"{first}-{last}" for first, last in rule["statuses"])
    text = f"status {statuses}; resource {', '.join(rule['resources'])}"
    return f"{text}; not {', '.join(rule['excluded'])}" if rule["excluded"] else text


def _hang(tree: Tree, line: RatedIn) -> None:
    asset = Asset(line.asset, line.exponent)
    name = "adjusted in" if line.adjusts else "rated in"
    where = f"{line.number or line.invoice}/{line.line}"
    amount = f"{Money(line.amount, asset)}"
    branch = tree.add(_node(name, f"{where}  {line.name}  {amount}", f"{line.explanation}\n{_price(line)}"))
    status = line.status.replace("_", " ")
    invoice = branch.add(_node("invoice", f"{line.number or line.invoice}  {status}"))
    for payment in line.payments:
        invoice.add(_payment(payment, asset))


def _price(line: RatedIn) -> str:
    return f"price {line.product}/{line.charge}@{line.price_at.astimezone(dt.UTC):%Y-%m-%dT%H:%M:%SZ}"


def _payment(payment: PaidBy, asset: Asset) -> Text:
    text = _node(
        "payment", f"{Money(payment.amount, asset)} through {payment.provider}, {payment.step}", f"{payment.id}"
    )
    if payment.receipt is not None and payment.receipt_at is not None:
        text.append(f"\nreceipt {payment.receipt}  {_instant(payment.receipt_at)}", "green")
    return text


def _node(name: str, what: str, facts: str = "") -> Text:
    text = Text(name, "bold cyan").append(f"  {what}" if what else "", "")
    return text.append(f"\n{facts}", _DIM) if facts else text


def _instant(at: dt.datetime) -> str:
    return at.astimezone(dt.UTC).strftime("%Y-%m-%d %H:%M:%S")
