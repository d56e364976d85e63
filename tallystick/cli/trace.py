"""`tallystick trace`: the chain that an id is part of, drawn as a tree."""

import datetime as dt
from collections.abc import Iterator, Sequence
from typing import Annotated

import msgspec
import typer
from rich.text import Text
from rich.tree import Tree

from tallystick.cli.console import out
from tallystick.cli.run import Book, on_store
from tallystick.lineage.model import Asked, Links, Record, Trace, Traced
from tallystick.lineage.trace import FURTHER, MOST_DEPTH
from tallystick.money import Asset, Money
from tallystick.open_store import FIRST_BOOK, Store
from tallystick.security.model import OPERATOR

_DIM = "dim"


def trace(
    id_: Annotated[
        str,
        typer.Argument(
            metavar="ID",
            help="A message's key; a receipt, payment, invoice, transfer, usage event or key; an invoice's number; "
            "INVOICE/LINE; SOURCE/ID of usage; place:N in the log; an account, meter or customer.",
        ),
    ],
    book: Book = FIRST_BOOK,
    as_json: Annotated[bool, typer.Option("--json", help="Print it as JSON, as REST answers it.")] = False,
    depth: Annotated[int, typer.Option(min=0, max=MOST_DEPTH, help="How many steps to go each way.")] = MOST_DEPTH,
    limit: Annotated[int, typer.Option(min=1, max=1000, help="How many of each kind next to it.")] = FURTHER,
    after: Annotated[int, typer.Option(min=0, help="How many of each kind next to it to pass over.")] = 0,
) -> None:
    """Draw what a record came from and what was made of it, from any id: with amounts, times, places and senders."""
    asked = {"id": id_, "depth": depth, "limit": limit, "after": after}

    async def work(store: Store) -> bytes:
        return (await store.operations.run(OPERATOR, book, "lineage.trace", "", asked)).body

    answer = on_store(work)
    if as_json:
        print(msgspec.json.format(answer, indent=2).decode())
        return
    found = msgspec.json.decode(answer, type=Trace)
    for one in found.found:
        out.print(draw(one), soft_wrap=not out.is_terminal, highlight=False)
    if not found.whole:
        out.print("There is more along the way than is shown: ask with less --depth, or from an id further along.")


def draw(traced: Traced) -> Tree:
    """Draw a record with what is behind and ahead of it."""
    tree = Tree(_label(traced.record, None))
    for name, groups in (("came from", traced.back), ("became", traced.forward)):
        if groups:
            _hang(tree.add(Text(name, "bold green")), groups, traced.record, set())
    return tree


def _hang(branch: Tree, groups: Sequence[Links], of: Record, drawn: set[tuple[str, str]]) -> None:
    """Hang what *of* is linked to on its branch; where two ways meet, what comes behind is drawn once."""
    for group in groups:
        told = of.message
        for link in group.items:
            twig, name = branch.add(_label(link.record, told)), (link.record.kind, link.record.id)
            if link.links and name in drawn:
                twig.add(Text("… as above", _DIM))
            else:
                _hang(twig, link.links, link.record, drawn)
            drawn.add(name)
            told = link.record.message
        more = _say_more(group, of)
        if more:
            branch.add(Text(more, _DIM))


def _label(record: Record, told: Asked | None) -> Text:
    """Write a record on a few lines; who sent its message is left out when *told* just before."""
    text = Text(record.kind.replace("_", " "), "bold cyan")
    if record.reason not in {None, "transfer"}:
        text.append(f" ({record.reason})".replace("_", " "), "cyan")
    if record.amount is not None and record.asset is not None and record.exponent is not None:
        text.append(f"  {Money(record.amount, Asset(record.asset, record.exponent))}", "bold")
    text.append(f"  {record.what}")
    facts = "  ".join(_facts(record))
    if facts:
        text.append(f"\n{facts}", _DIM)
    if record.message is not None and record.message != told:
        text.append(f"\n{_say_message(record)}", _DIM)
    return text


def _facts(record: Record) -> Iterator[str]:
    if record.at is not None:
        yield _instant(record.at)
    if record.id not in record.what and record.kind != "message":
        yield record.id
    if record.place is not None:
        yield f"place {record.place:,} of the log"
    elif record.transfer_id is not None:
        yield "not in the log yet"


def _say_message(record: Record) -> str:
    asked = record.message
    if asked is None:
        return ""
    if record.kind == "message":
        return f"sent by {asked.by} as {asked.key}"
    return f"{asked.operation} by {asked.by}, message {asked.key}"


def _say_more(group: Links, of: Record) -> str:
    """Say how many are not shown, and how to see them."""
    kind = group.kind.replace("_", " ")
    how = f"--after {group.next}" if group.next is not None else f"tallystick trace {of.id}"
    if group.total is None:
        return f"… the newest {len(group.items)} ({kind}); more: {how}" if group.next is not None else ""
    left = group.total - len(group.items)
    return f"… {left:,} more of {group.total:,} ({kind}): {how}" if left > 0 and group.items else ""


def _instant(at: dt.datetime) -> str:
    return at.astimezone(dt.UTC).strftime("%Y-%m-%d %H:%M:%S")
