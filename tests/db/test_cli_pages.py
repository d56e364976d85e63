"""Lists that the command line walks to their end."""

import pytest
from rich.table import Table

from tallystick.cli.pages import pages_of, print_pages
from tallystick.open_store import FIRST_BOOK, Store
from tests.conftest import House

CODES = ["a", "b", "c"]


@pytest.fixture
async def store(house: House) -> Store:
    """Open a store whose book has three accounts."""
    await house.do("ledger.ensure_asset", asset="USD", exponent=2)
    for code in CODES:
        await house.do("ledger.open_account", account=code, asset="USD")
    return Store(house.operations, None, "")


@pytest.mark.parametrize("size", [1, 2, 3, 1000])
async def test_every_page_is_asked_for_once(store: Store, size: int) -> None:
    """However many fit on a page, each account comes once, in order, and no field is sent that is None."""
    found = [page async for page in pages_of(store, FIRST_BOOK, "ledger.list_accounts", {"after": None}, size)]
    assert [one.code for page in found for one in page.items] == CODES
    assert len(found) == -(-len(CODES) // size)


async def test_what_is_printed_is_counted(store: Store, capsys: pytest.CaptureFixture[str]) -> None:
    """Each page is a table of its own; an empty one is none, and the command can say that there is nothing."""
    tables: list[list[str]] = []

    def table_of(items: list[object]) -> Table:
        tables.append([str(getattr(one, "code", "")) for one in items])
        return Table()

    assert await print_pages(store, FIRST_BOOK, "ledger.list_accounts", {}, table_of, 2) == len(CODES)
    assert tables == [["a", "b"], ["c"]]
    assert await print_pages(store, FIRST_BOOK, "ledger.list_accounts", {"after": "z"}, table_of) == 0
    assert len(tables) == 2
    capsys.readouterr()
