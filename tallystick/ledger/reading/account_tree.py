"""Account tree: the chart of accounts as codes lay it out, with balances rolled up."""

from collections.abc import Sequence
from typing import Any

import msgspec

from tallystick.db.queries import Connection, queries_beside

_queries = queries_beside(__file__)
_children_of = _queries.values("children_of")
_roll_up = _queries.tuples("roll_up")


class Rolled(msgspec.Struct, frozen=True):
    """The sums of all accounts of one asset on a path and below it, in minor units."""

    asset: str
    accounts: int
    balance: int
    held: int
    incoming: int
    available: int


class TreeNode(msgspec.Struct, frozen=True):
    """
    One step of a path.

    ``is_account`` says whether there is an account of exactly this code, ``below`` how many accounts are further down.
    """

    name: str
    path: str
    is_account: bool
    below: int
    totals: list[Rolled]


class TreePage(msgspec.Struct, frozen=True):
    """The children of a path in order of name, each with its totals; ``next`` is the cursor of the page behind."""

    path: str
    children: list[TreeNode]
    next: str | None


async def list_children(connection: Connection, book_id: int, path: str, after: str, limit: int) -> TreePage:
    """
    Return the children of *path*, an empty one for the roots, whose names sort behind *after*.

    The balances are added up in the database: one snapshot and the changes behind it for each sixteen accounts.
    """
    above = f"{path}/" if path else ""
    names = await _children_of(connection, book_id, above, after, limit + 1)
    shown = names[:limit]
    rows = await _roll_up(connection, book_id, above, shown)
    rolled: dict[str, list[tuple[Any, ...]]] = {name: [] for name in shown}
    for name, *sums in rows:
        rolled[name].append(tuple(sums))
    children = [_node(above, name, rolled[name]) for name in shown]
    return TreePage(path, children, f"{shown[-1]}/" if len(names) > limit else None)


def _node(above: str, name: str, rows: Sequence[tuple[Any, ...]]) -> TreeNode:
    totals = [
        Rolled(asset, accounts, int(balance), int(held), int(incoming), int(balance - held))
        for asset, accounts, _, balance, held, incoming in rows
    ]
    own = sum(own for _, _, own, _, _, _ in rows)
    return TreeNode(name, above + name, own > 0, sum(one.accounts for one in totals) - own, totals)
