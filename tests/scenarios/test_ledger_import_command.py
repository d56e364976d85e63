"""`tallystick ledger import` and `export` as processes: what they say, and with which code they end."""

import asyncio
import signal
import sys
import uuid
from pathlib import Path

import pyarrow.csv as pc
import pyarrow.parquet as pq
import pytest

from tests.conftest import House
from tests.scenarios.serving_up import SECONDS, Said, environment, tallystick

HEADER = "id,debit,credit,amount,asset\n"


class Command:
    """`tallystick ledger` on a database of the test's own."""

    def __init__(self, url: str, directory: Path) -> None:
        """Work in *directory*."""
        self.url, self.directory = url, directory

    async def __call__(self, *arguments: str) -> Said:
        """Run it."""
        return await tallystick("ledger", *arguments, data=self.directory / "data", TALLYSTICK_POSTGRES_URL=self.url)

    def write(self, name: str, *rows: str) -> str:
        """Write a CSV file of these rows."""
        path = self.directory / name
        path.write_text(HEADER + "".join(f"{row}\n" for row in rows))
        return str(path)


@pytest.fixture
def command(house: House, database_url: str, tmp_path: Path) -> Command:
    """Return the command on the house's database."""
    return Command(database_url, tmp_path)


async def test_what_is_good_ends_with_0_and_again_adds_nothing(house: House, command: Command) -> None:
    """Exit code 0: every row is in the ledger, the second time as it was the first."""
    file = command.write("in.csv", f"{uuid.uuid4()},bank,ada,700,USD", f"{uuid.uuid4()},ada,bank,200,USD")
    first = await command("import", file, "--open-accounts", "USD")
    assert first.status == 0, first.err
    assert "2 ledger.posted" in first.out
    assert "2 accounts opened" in first.out
    again = await command("import", file)
    assert again.status == 0
    assert "2 rows had been imported before" in again.out
    assert (await house.do("ledger.balance", account="ada")).balance == 500


async def test_refused_rows_end_with_3_and_are_named(command: Command) -> None:
    """Exit code 3, each row with its status and field on the screen and in the results, and how to go on."""
    file = command.write(
        "in.csv", f"{uuid.uuid4()},bank,ada,1,USD", f"{uuid.uuid4()},bank,ada,x,USD", f"{uuid.uuid4()},bank,bank,1,USD"
    )
    results = command.directory / "results.parquet"
    said = await command("import", file, "--open-accounts", "USD", "--results", str(results))
    assert said.status == 3
    assert "row 2: invalid_input amount must be an integer" in said.out
    assert "row 3: ledger.same_account credit" in said.out
    assert "--retry-refused" in said.err
    table = pq.read_table(results).to_pydict()
    assert table["status"] == ["ledger.posted", "invalid_input", "ledger.same_account"]
    assert table["field"] == [None, "amount", "credit"]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["import", "missing.csv"], "cannot be read"),
        (["import", "in.csv", "--format", "parquet"], "was said to be parquet and is csv"),
        (["import", "in.csv", "--results", "out.txt"], "The ending of out.txt is none of .parquet"),
        (["import", "in.csv", "--open-accounts", "EUR"], "There is no asset EUR in this book"),
        (["import", "in.csv", "--book", "other"], "There is no book other"),
        (["export", "out.xml"], "The ending of out.xml is none of .parquet"),
        (["export", "out.csv", "--since", "yesterday"], "is no instant such as 2026-01-31T00:00:00Z"),
        (["export", "out.csv", "--account", "nobody"], "There is no account nobody"),
    ],
)
async def test_what_cannot_be_done_is_one_line_that_says_why(command: Command, arguments: list[str], said: str) -> None:
    """Exit code 1, and no traceback, no half file."""
    command.write("in.csv", f"{uuid.uuid4()},bank,ada,1,USD")
    in_place = [str(command.directory / one) if "." in one else one for one in arguments]
    answer = await command(*in_place)
    assert answer.status == 1
    assert said in answer.err
    assert "Traceback" not in answer.err
    assert [path.name for path in command.directory.iterdir() if path.name.startswith("out")] == []


async def test_a_dry_run_says_what_would_be(house: House, command: Command) -> None:
    """Everything is judged and nothing kept."""
    for code in ("bank", "ada"):
        await house.do("ledger.open_account", account=code, asset="USD")
    file = command.write("in.csv", f"{uuid.uuid4()},bank,ada,1,USD")
    said = await command("import", file, "--dry-run")
    assert (said.status, "judged and not kept" in said.out) == (0, True)
    assert (await house.do("ledger.balance", account="ada")).balance == 0


async def test_an_export_is_a_file_that_can_be_imported(house: House, command: Command) -> None:
    """Whole, or of one account; imported again, every transfer of it is known or its instant differs."""
    file = command.write("in.csv", f"{uuid.uuid4()},bank,ada,1,USD", f"{uuid.uuid4()},bank,eve,2,USD")
    await command("import", file, "--open-accounts", "USD")
    out = command.directory / "out.csv"
    said = await command("export", str(out))
    assert (said.status, "2 transfers in" in said.out) == (0, True)
    assert pc.read_csv(out).to_pydict()["credit"] == ["ada", "eve"]
    await command("export", str(out), "--force", "--account", "eve", "--since", "2020-01-01T00:00:00Z")
    assert pc.read_csv(out).to_pydict()["amount"] == [2]


async def test_an_interrupted_import_says_how_to_go_on(house: House, command: Command) -> None:
    """Ctrl-C ends it cleanly; running it again finishes it, and nothing is there twice."""
    rows = 60_000
    file = command.write("in.csv", *(f"{uuid.UUID(int=number << 80 | 7)},bank,ada,1,USD" for number in range(rows)))
    program = [sys.executable, "-m", "tallystick.cli", "ledger", "import", file, "--open-accounts", "USD"]
    process = await asyncio.create_subprocess_exec(
        *program, env=environment(command.directory / "data", TALLYSTICK_POSTGRES_URL=command.url),
        cwd=Path(__file__).parents[2], stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip
    async with asyncio.timeout(SECONDS), house.operations.pool.acquire() as connection:
        while not await connection.fetchval("SELECT count(*) FROM batch"):  # noqa: ASYNC110 - another process posts
            await asyncio.sleep(0.01)
    process.send_signal(signal.SIGINT)
    _, err = await process.communicate()
    if process.returncode != 0:  # it was not done by then
        assert process.returncode == 130
        assert "run it again to go on" in err.decode()
    assert (await command("import", file)).status == 0
    assert (await house.do("ledger.balance", account="ada")).balance == rows
