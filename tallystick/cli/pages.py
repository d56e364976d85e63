"""Walk a list to its end, page by page, and print it."""

from collections.abc import AsyncIterator, Callable, Mapping
from typing import Any

from rich.table import Table

from tallystick.cli.console import out, print_whole
from tallystick.cli.run import ask_of
from tallystick.open_store import Store

PAGE = 1000
"""So many are asked for at once."""


async def pages_of(
    store: Store, book: str, operation: str, fields: Mapping[str, object], size: int = PAGE
) -> AsyncIterator[Any]:
    """Ask for every page of a list, in order, leaving out the fields that are None."""
    asked = {**fields, "limit": size}
    while True:
        page = await ask_of(store, book, operation, asked)
        yield page
        if page.next is None:
            return
        asked["after"] = str(page.next)


async def print_pages(
    store: Store,
    book: str,
    operation: str,
    fields: Mapping[str, object],
    table_of: Callable[[list[Any]], Table],
    size: int = PAGE,
) -> int:
    """Print a table of each page that has something on it; return how many were listed."""
    listed = 0
    async for page in pages_of(store, book, operation, fields, size):
        listed += len(page.items)
        if page.items:
            print_whole(out, table_of(page.items))
    return listed
