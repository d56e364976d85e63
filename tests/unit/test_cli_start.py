"""The command line starts fast: a command imports what it needs, and what others need stays where it is."""

import inspect
import subprocess
import sys
from importlib import import_module
from pathlib import Path

import pytest

import tallystick.operations
from tallystick.cli.app import Commands
from tallystick.cli.listed import Listed, ListedCommands, load
from tallystick.cli.log import LogCommands
from tallystick.cli.usage import UsageCommands
from tallystick.operations.table import TABLE

DOORS = {"uvicorn", "starlette", "httptools", "grpc"}
OF_FILES = {"pyarrow", "fastavro", "typst", "drafthorse", "babel", "PIL", "holidays", "lxml", "mt940"}
OF_FEW = {"aiohttp", "httpx", "llvmlite"}
OF_THE_STORE = {"asyncpg", "numpy", "msgspec", "structlog", "uvloop"}

ORDINARY = (
    "account",
    "book",
    "invoice",
    "key",
    "rate",
    "subscription",
    "tax",
    "trace",
    "usage_why",
    "wallet",
    "do",
    "migrate",
)
"""Modules of commands that talk to the store, and neither listen nor read files nor write them."""
ASKED = (
    "catalog.list_meters", "plans.find", "rating.preview", "security.list_keys", "subscriptions.find", "taxes.rates",
    "wallets.balance", "invoicing.find",
)  # fmt: skip
"""An operation of each room that such commands ask."""


def loaded_by(program: str) -> set[str]:
    """Run *program* in a process of its own and return the packages that it loaded."""
    program += "\nimport sys\nprint(*{name.partition('.')[0] for name in sys.modules})"
    told = subprocess.run([sys.executable, "-c", program], check=True, capture_output=True, text=True)
    return set(told.stdout.split())


def test_the_list_of_commands_needs_nothing_of_what_they_do() -> None:
    """`tallystick --help` loads Typer and Rich, and neither the store nor a door."""
    found = loaded_by("import tallystick.cli.app, tallystick.cli.usage, tallystick.cli.log")
    assert not found & (OF_THE_STORE | DOORS | OF_FILES | OF_FEW)


def test_a_command_that_talks_to_the_store_loads_no_door_and_no_file_format() -> None:
    """The server, Arrow, PDF and their like take longer to load than most commands to run."""
    modules = "".join(f"import tallystick.cli.{name}\n" for name in ORDINARY)
    found = loaded_by(f"{modules}from tallystick.operations.table import TABLE\nfor name in {ASKED}: TABLE[name]")
    assert found >= OF_THE_STORE
    assert not found & (DOORS | OF_FILES | OF_FEW)


def test_a_command_loads_no_drawn_tracebacks_and_no_table_of_currencies() -> None:
    """What writes the log would load the first, which takes longer than it does, and the log draws none."""
    found = loaded_by(
        "import contextlib, os, sys\n"
        "from tallystick.cli.app import main\n"
        "os.environ['TALLYSTICK_POSTGRES_URL'] = 'postgresql://u:p/q@h/x'  # refused once all is loaded\n"
        "sys.argv = ['tallystick', 'key', 'list']\n"
        "with contextlib.suppress(SystemExit): main()"
    )
    assert found >= OF_THE_STORE
    assert not found & {"attr", "pygments", "iso4217"}


@pytest.mark.parametrize(
    "one", [one for group in (Commands, LogCommands, UsageCommands) for one in group.listed], ids=lambda one: one.place
)
def test_what_the_list_says_of_a_command_is_how_its_own_help_begins(one: Listed) -> None:
    """The sentence stands twice, so that the list need not load the command."""
    command = load(one)
    assert command.name == one.name
    assert " ".join((command.help or "").split("\n\n")[0].split()) == one.sentence


@pytest.mark.parametrize("group", [Commands, LogCommands, UsageCommands])
def test_no_command_is_listed_twice(group: type[ListedCommands]) -> None:
    """The second would never be found."""
    assert len({one.name for one in group.listed}) == len(group.listed)


def test_every_operation_that_is_defined_is_found_by_its_name() -> None:
    """The first word of an operation's name says which modules to import for it."""
    found = set()
    for file in sorted(Path(inspect.getfile(tallystick.operations)).parent.glob("*.py")):
        module = import_module(f"tallystick.operations.{file.stem}")
        found |= {operation.name for operation in getattr(module, "OPERATIONS", ())}
    assert found == set(TABLE)
    assert len(TABLE) == len(found)
    assert all(TABLE[name].name == name for name in found)
