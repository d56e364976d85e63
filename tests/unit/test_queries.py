"""Files of named SQL, as they are read."""

import re
from pathlib import Path

import pytest

from tallystick.db.queries import Queries

PRODUCT = Path(__file__).parents[2] / "tallystick"

SHARED = """
-- part: customers_shown
SELECT ref FROM customer

-- name: find_customer
-- with: customers_shown
WHERE customer_id = $1

-- name: page_customers
-- with: customers_shown
WHERE customer_id > $1 LIMIT $2
"""


def written(folder: Path, sql: str) -> Path:
    """Write a file of named SQL."""
    path = folder / "queries.sql"
    path.write_text(sql)
    return path


def test_what_several_blocks_share_stands_once(tmp_path: Path) -> None:
    """A part stands where a block says that it is with it, and is no query of its own."""
    assert Queries(written(tmp_path, SHARED)).blocks == {
        "find_customer": "SELECT ref FROM customer\nWHERE customer_id = $1",
        "page_customers": "SELECT ref FROM customer\nWHERE customer_id > $1 LIMIT $2",
    }


def test_a_part_that_is_not_there_is_named(tmp_path: Path) -> None:
    """A slip of the pen is found when the file is read, and not when the query is sent."""
    with pytest.raises(KeyError, match="customers_told"):
        Queries(written(tmp_path, SHARED.replace("with: customers_shown", "with: customers_told")))


def test_every_part_is_shared() -> None:
    """A part of one block alone, or of none, is only in the reader's way."""
    for file in PRODUCT.rglob("queries.sql"):
        text = file.read_text()
        for part in re.findall(r"^-- part: (\w+)$", text, re.MULTILINE):
            assert len(re.findall(rf"^-- with: {part}$", text, re.MULTILINE)) > 1, f"{part} in {file}"
