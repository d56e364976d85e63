"""Commands that are listed by name and sentence, and whose modules are imported when they are asked for."""

import gc
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from importlib import import_module
from typing import Any, ClassVar, NamedTuple

import typer
from typer.core import TyperCommand, TyperGroup


class Listed(NamedTuple):
    """A command or a group of commands: how it is called, where it stands, and what the list of commands says of it."""

    name: str
    place: str
    """The module below `tallystick.cli` and what it has there, as in `usage_why:why`: a function or a Typer."""
    sentence: str
    """The first sentence of its help."""


class ListedCommands(TyperGroup):
    """A group that imports the module of a command only when that command is run or its own help is asked for."""

    listed: ClassVar[tuple[Listed, ...]]

    def __init__(self, **settings: Any) -> None:  # noqa: ANN401 - whatever Typer gives to a group
        """Make a group whose commands are names with a sentence."""
        super().__init__(**settings)
        for one in self.listed:
            self.add_command(TyperCommand(one.name, help=one.sentence))

    def resolve_command(self, ctx: Any, args: list[str]) -> tuple[str | None, Any, list[str]]:  # noqa: ANN401 - types that Typer has in a private module
        """Find the command that is asked for, and import it."""
        name, _, rest = super().resolve_command(ctx, args)
        with _nothing_to_collect():
            _load_log()
            return name, next(load(one) for one in self.listed if one.name == name), rest


@contextmanager
def _nothing_to_collect() -> Iterator[None]:
    """Spare what is loaded here the search for garbage, now and at the end: it stays, and is a quarter of a start."""
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()
        gc.enable()


def _load_log() -> None:
    """
    Load what writes the log without the drawn tracebacks of Rich: ours are plain, and those take longer than it.

    One that cannot do without them is loaded with them, by whoever imports it next.
    """
    absent = [name for name in ("rich.pretty", "rich.traceback") if name not in sys.modules]
    for name in absent:
        sys.modules[name] = None  # type: ignore[assignment]  # Python's way to say that there is no such module
    try:
        with suppress(ImportError):
            import_module("structlog")
    finally:
        for name in absent:
            del sys.modules[name]


def load(one: Listed) -> Any:  # noqa: ANN401 - as above
    """Import a listed command."""
    module, _, attribute = one.place.partition(":")
    found = getattr(import_module(f"tallystick.cli.{module}"), attribute)
    alone = typer.Typer(rich_markup_mode="markdown")
    if isinstance(found, typer.Typer):
        alone.add_typer(found, name=one.name)
    else:
        alone.command(one.name)(found)
    return typer.main.get_group(alone).commands[one.name]
