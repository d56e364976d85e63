"""Avro files between us and an implementation that is not ours: avsc, in JavaScript."""

import json
import os
import shutil
import subprocess
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tallystick.ledger.files import Format, open_transfers, write_transfers
from tests.unit.test_ledger_files_read import column, told
from tests.unit.test_ledger_files_write import INSTANT, posted

AVSC = Path(__file__).parent / "avsc"
Judge = Callable[..., dict[str, Any]]
TRANSFERS = json.loads((Path(__file__).parents[2] / "contracts" / "transfers.avsc").read_text(encoding="utf-8"))
ROWS = 10_000


@pytest.fixture(scope="session")
def avsc(tmp_path_factory: pytest.TempPathFactory) -> Judge:
    """Install avsc, pinned by its hash, and return what asks it; skip where Node or the registry is out of reach."""
    if shutil.which("npm") is None or shutil.which("node") is None:
        pytest.skip("needs node and npm")
    home = tmp_path_factory.mktemp("avsc")
    for name in ("package.json", "package-lock.json"):
        shutil.copy(AVSC / name, home)
    command = ["npm", "ci", "--no-audit", "--no-fund", "--ignore-scripts", "--fetch-retries=1"]
    installed = subprocess.run(command, cwd=home, env=os.environ, capture_output=True, text=True, check=False)
    if installed.returncode:
        pytest.skip(f"npm cannot install avsc: {installed.stderr[-300:]}")

    def ask(verb: str, path: Path, task: dict[str, Any] | None = None) -> dict[str, Any]:
        given = "" if task is None else json.dumps(task)
        command = ["node", str(AVSC / "judge.js"), verb, str(path)]
        done = subprocess.run(command, cwd=home, input=given, capture_output=True, text=True, check=True)
        return dict(json.loads(done.stdout or "{}"))

    return ask


def test_what_we_write_another_implementation_reads(avsc: Judge, tmp_path: Path) -> None:
    """Every value comes through, and the schema is that of contracts/transfers.avsc."""
    path = tmp_path / "export.avro"
    with write_transfers(path, Format.AVRO) as file:
        file.write(posted(5000))
        file.write(posted(5000, first=5001))
    found = avsc("read", path)
    names = [field["name"] for field in TRANSFERS["fields"]]
    assert [field["name"] for field in found["schema"]["fields"]] == names
    assert len(found["rows"]) == ROWS
    first, second = found["rows"][:2]
    assert first == {
        "id": str(uuid.UUID(int=1)),
        "debit": "customers/1",
        "credit": "sales, at home",
        "asset": "USD",
        "amount": 10,
        "reason": "fee",
        "reference": None,
        "effective_at": INSTANT,
        "recorded_at": -INSTANT,
        "place": 1,
    }
    assert second["place"] is None
    assert [row["amount"] for row in found["rows"]] == [10 * number for number in range(1, ROWS + 1)]


@pytest.mark.parametrize("codec", ["null", "deflate"])
def test_what_another_implementation_writes_by_our_contract_we_read(avsc: Judge, tmp_path: Path, codec: str) -> None:
    """The schema in contracts/ is all that a sender needs."""
    path = tmp_path / "import.avro"
    rows = [
        {
            "id": str(uuid.UUID(int=number)),
            "debit": f"customers/{number % 100}",
            "credit": "Erlöse" * (number % 30 + 1),
            "asset": {"string": "USD"} if number % 2 else None,
            "amount": number * 7_000_000_000 + 1,
            "reason": None,
            "reference": {"string": f"order {number}"},
            "effective_at": {"long": INSTANT - number},
            "recorded_at": None,
            "place": None,
        }
        for number in range(ROWS)
    ]
    avsc("write", path, {"schema": TRANSFERS, "codec": codec, "rows": [_unwrapped(row) for row in rows]})
    with open_transfers(path) as file:
        blocks = list(file)
    assert told(blocks) == {}
    assert [block.first_row for block in blocks] == [1, 8193]
    assert column(blocks, "ids") == [uuid.UUID(int=number).bytes for number in range(ROWS)]
    assert column(blocks, "credits") == [row["credit"] for row in rows]
    assert column(blocks, "assets") == ["USD" if number % 2 else None for number in range(ROWS)]
    assert column(blocks, "references") == [f"order {number}" for number in range(ROWS)]
    assert np.concatenate([block.amounts for block in blocks]).tolist() == [row["amount"] for row in rows]
    instants = np.concatenate([block.effective_at for block in blocks if block.effective_at is not None])
    assert instants.tolist() == [INSTANT - number for number in range(ROWS)]


def test_ids_of_sixteen_bytes_from_another_implementation_are_read(avsc: Judge, tmp_path: Path) -> None:
    """The least of schemas: four fields, the id as Avro's fixed."""
    path = tmp_path / "import.avro"
    fixed = {"type": "fixed", "name": "Id", "size": 16}
    kinds: dict[str, object] = {"id": fixed, "debit": "string", "credit": "string", "amount": "int"}
    schema = {"type": "record", "name": "Row", "fields": [{"name": name, "type": kind} for name, kind in kinds.items()]}
    ids = [uuid.UUID(int=number << 90) for number in range(100)]
    rows = [{"id": {"hex": one.hex}, "debit": "a", "credit": "b", "amount": 5} for one in ids]
    avsc("write", path, {"schema": schema, "codec": "null", "rows": rows})
    with open_transfers(path) as file:
        assert column(list(file), "ids") == [one.bytes for one in ids]


def _unwrapped(row: dict[str, Any]) -> dict[str, Any]:
    """Write a value of a union bare, as avsc takes it where only one type fits."""
    return {name: next(iter(value.values())) if isinstance(value, dict) else value for name, value in row.items()}
